//! The settings of every step of a recipe as one JSON schema, from the types that read them.

use crate::transform::prune::Pattern;
use crate::transform::{Amount, Calibrate, Distill, Lora, Pinned, Prune, Quantize};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// What is typed as a text of a form of its own.
macro_rules! typed {
    ($($name:ident: $schema:expr;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

typed! {
    // a file's path
    Pinned: json_schema!({ "type": "string" });
    // 4, "30%" or 0.3
    Amount: json_schema!({ "anyOf": [{ "type": "integer" }, { "type": "number" }, { "type": "string" }] });
    // 2:4
    Pattern: json_schema!({ "type": "string" });
    // "default", a file's path, or a table of both and more
    Calibrate: json_schema!({ "anyOf": [{ "type": "string" }, { "type": "boolean" }, { "type": "object" }] });
}

/// A file of a recipe.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a schema")]
struct Recipe {
    /// The steps, one after the other.
    step: Vec<Step>,
}

/// A step has one of these keys.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a schema")]
struct Step {
    /// Stores the weights in a mixture of types.
    quantize: Option<Quantize>,
    /// Takes parts of the model out.
    prune: Option<Prune>,
    /// Teaches what is left, or another model, what the whole one says.
    distill: Option<Distill>,
    /// Trains a low-rank adapter on examples, and merges it.
    lora: Option<Lora>,
}

/// Gives the JSON schema of a recipe's file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Recipe).to_value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_is_in_the_schema() {
        let schema = super::schema();
        let steps = schema["$defs"]["Step"]["properties"].as_object().expect("steps");
        for kind in crate::transform::KINDS.iter().filter(|kind| !matches!(kind.name, "scale" | "drop_layer")) {
            assert!(steps.contains_key(kind.name), "{} has no row in schema.rs", kind.name);
        }
    }
}

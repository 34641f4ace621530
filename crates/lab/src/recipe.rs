//! Recipes: an ordered list of compression steps, as TOML. What a step does is its own file's business.
//!
//! ```toml
//! [[step]]
//! quantize = { type = "Q4_K_M" }
//! ```

use super::mixture::Mixture;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What to do to a model, step after step; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// As shown: the file's stem, or the quantization type.
    pub name: String,
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Quantize(Quantize),
}

/// Store the weights in fewer bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    #[serde(rename = "type", with = "by_name")]
    pub mixture: Mixture,
}

/// A recipe as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    step: Vec<Step>,
}

impl Recipe {
    /// The recipe of one quantize step.
    pub fn quantize(mixture: Mixture) -> Recipe {
        Recipe { name: mixture.to_string(), steps: vec![Step::Quantize(Quantize { mixture })] }
    }

    /// The recipe of one quantize step, by the name of its type.
    pub fn named(name: &str) -> Result<Recipe> {
        let mixture: Mixture = name.parse().map_err(|e: String| anyhow::anyhow!(e))?;
        Ok(Recipe::quantize(mixture))
    }

    /// Read a recipe's file.
    pub fn read(file: &Path) -> Result<Recipe> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| anyhow::anyhow!("{}: cannot read the recipe: {e}", file.display()))?;
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Recipe::parse(&name, &text).with_context(|| file.display().to_string())
    }

    /// Read a recipe from TOML; errors name the line, the key and what is allowed.
    pub fn parse(name: &str, text: &str) -> Result<Recipe> {
        let written: Written = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow::anyhow!("line {line}: {}", e.message().replace('\n', ", "))
        })?;
        if written.step.is_empty() {
            bail!("a recipe has at least one step, such as [[step]] with quantize = {{ type = \"Q4_K_M\" }}");
        }
        if written.step.len() > 1 {
            bail!("a model can be quantized once only, but this recipe has {} quantize steps", written.step.len());
        }
        Ok(Recipe { name: name.into(), steps: written.step })
    }

    /// The steps as TOML, the same for the same steps: what an artifact's address and a result's record hold.
    pub fn to_toml(&self) -> String {
        toml::to_string(&Written { step: self.steps.clone() }).expect("steps are plain tables")
    }

    /// The mixture in which the recipe leaves the weights.
    pub fn mixture(&self) -> Mixture {
        let Step::Quantize(quantize) = self.steps[self.steps.len() - 1];
        quantize.mixture
    }
}

mod by_name {
    use super::Mixture;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(mixture: &Mixture, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mixture.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mixture, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_back() {
        let recipe = Recipe::parse("mine", "[[step]]\nquantize = { type = \"Q4_K_M\" }\n").expect("a recipe");
        assert_eq!(recipe, Recipe { name: "mine".into(), ..Recipe::quantize(Mixture::Q4_K_M) });
        assert_eq!(Recipe::parse("mine", &recipe.to_toml()).expect("its own TOML"), recipe);
    }

    #[test]
    fn refusals_say_where_and_what_is_allowed() {
        let refusal = |text: &str| format!("{:#}", Recipe::parse("mine", text).expect_err("refused"));
        for (text, said) in [
            ("[[step]]\nquantise = { type = 'Q8_0' }", "line 2: unknown variant `quantise`, expected `quantize`"),
            ("[[step]]\n\nquantize = { tipe = 'Q8_0' }", "line 3: unknown field `tipe`, expected `type`"),
            ("name = 'x'\n[[step]]", "line 1: unknown field `name`, expected `step`"),
            ("[[step]]\nquantize = { type = 'Q9' }", "line 2: 'Q9' is no quantization type; allowed are F32, F16,"),
            ("[[step]]\nquantize = {}", "line 2: missing field `type`"),
            ("", "a recipe has at least one step"),
            ("[[step]\n", "line 1: "),
        ] {
            let refusal = refusal(text);
            assert!(refusal.starts_with(said) && !refusal.contains('\n'), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn weights_are_quantized_once() {
        let step = "[[step]]\nquantize = { type = 'Q8_0' }\n";
        let refusal = Recipe::parse("mine", &step.repeat(2)).expect_err("refused").to_string();
        assert_eq!(refusal, "a model can be quantized once only, but this recipe has 2 quantize steps");
    }
}

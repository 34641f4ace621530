//! The tools that a model may call, as OpenAI's API writes them, and whether a call is one of them: the name, the required
//! arguments, their types and values (of JSON Schema: type, enum, const, properties, required, additionalProperties, items,
//! anyOf, oneOf).

use super::Call;
use serde_json::{Map, Value as Json};

/// Tools by their names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tools(Vec<Tool>);

#[derive(Debug, Clone, PartialEq)]
struct Tool {
    name: String,
    parameters: Json,
}

impl Tools {
    /// Reads a list of `{"type": "function", "function": {"name": …, "parameters": …}}`, or of what stands under `function`.
    /// An error is the end of a sentence.
    pub(crate) fn read(list: &Json) -> Result<Tools, String> {
        const ALLOWED: &str = "a list of tools is needed, each {\"type\": \"function\", \"function\": {\"name\": …, \
                               \"parameters\": JSON schema}}";
        let list =
            list.as_array().filter(|list| !list.is_empty()).ok_or(format!("is no list with a tool; {ALLOWED}"))?;
        let tool = |(number, tool): (usize, &Json)| {
            let function = tool.get("function").unwrap_or(tool);
            let wrong = |what: &str| format!("has {what} at tool {number}; {ALLOWED}");
            let name = function.get("name").and_then(Json::as_str).ok_or_else(|| wrong("no name"))?;
            let parameters = function.get("parameters").cloned().unwrap_or_else(|| Map::new().into());
            match parameters.is_object() {
                true => Ok(Tool { name: name.to_owned(), parameters }),
                false => Err(wrong("parameters that are no schema")),
            }
        };
        list.iter().enumerate().map(tool).collect::<Result<_, String>>().map(Tools)
    }

    /// Whether there is a tool of the name that takes these arguments; or the end of a sentence about why not.
    pub(crate) fn check(&self, call: &Call) -> Result<(), String> {
        let tool = self.0.iter().find(|tool| tool.name == call.name);
        let tool = tool.ok_or_else(|| format!("there is no tool '{}'", call.name))?;
        fits(&Json::Object(call.arguments.clone()), &tool.parameters, "the arguments")?;
        // a schema that leaves it open means no others, in practice
        let known = tool.parameters.get("properties").and_then(Json::as_object);
        let open = tool.parameters.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false));
        match known.and_then(|known| call.arguments.keys().find(|name| !known.contains_key(*name))) {
            Some(other) if !open => Err(format!("'{other}' is no argument of '{}'", call.name)),
            _ => Ok(()),
        }
    }
}

/// Whether a value is what a schema asks for.
fn fits(value: &Json, schema: &Json, place: &str) -> Result<(), String> {
    for any in ["anyOf", "oneOf"] {
        if let Some(all) = schema.get(any).and_then(Json::as_array)
            && !all.iter().any(|one| fits(value, one, place).is_ok())
        {
            return Err(format!("{place} fits none of {any}"));
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Json::as_array)
        && !allowed.contains(value)
    {
        return Err(format!("{place} is {value}, which is not among its values"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{place} is {value}, which is not its only value"));
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|of| is_of(value, of)) {
        return Err(format!("{place} is {value}, and its type is {}", types.join(" or ")));
    }
    if let Json::Object(fields) = value {
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
            return Err(format!("{place} lacks '{missing}'"));
        }
        let known = schema.get("properties").and_then(Json::as_object);
        for (name, value) in fields {
            match known.and_then(|known| known.get(name)) {
                Some(schema) => fits(value, schema, &format!("'{name}'"))?,
                None if schema.get("additionalProperties") == Some(&Json::Bool(false)) => {
                    return Err(format!("{place} has '{name}', which is not known"));
                }
                None => {}
            }
        }
    }
    match (value, schema.get("items")) {
        (Json::Array(list), Some(of)) => {
            list.iter().try_for_each(|item| fits(item, of, &format!("an item of {place}")))
        }
        _ => Ok(()),
    }
}

fn is_of(value: &Json, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        // what this program does not know it does not refuse
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn name_required_arguments_types_and_values_are_checked() {
        let tools = Tools::read(&json!([
            { "type": "function", "function": { "name": "weather", "parameters": {
                "type": "object", "required": ["city"], "properties": {
                    "city": { "type": "string" }, "days": { "type": "integer" }, "unit": { "enum": ["C", "F"] },
                    "at": { "type": "array", "items": { "type": ["number", "null"] } } } } } },
            { "name": "now" },
        ]))
        .expect("tools");
        let check = |name: &str, arguments: Json| {
            let arguments = arguments.as_object().cloned().expect("an object");
            tools.check(&Call { name: name.into(), arguments })
        };
        assert_eq!(check("weather", json!({ "city": "Ulm", "days": 2.0, "unit": "C", "at": [1, null] })), Ok(()));
        assert_eq!(check("now", json!({})), Ok(()));
        for (name, arguments, why) in [
            ("whether", json!({}), "no tool 'whether'"),
            ("weather", json!({}), "lacks 'city'"),
            ("weather", json!({ "city": 7 }), "'city' is 7, and its type is string"),
            ("weather", json!({ "city": "Ulm", "days": 1.5 }), "its type is integer"),
            ("weather", json!({ "city": "Ulm", "unit": "K" }), "not among its values"),
            ("weather", json!({ "city": "Ulm", "at": ["x"] }), "an item of 'at'"),
            ("weather", json!({ "city": "Ulm", "town": "x" }), "'town' is no argument of 'weather'"),
        ] {
            let said = check(name, arguments).expect_err(why);
            assert!(said.contains(why), "{said}\nshould say {why}");
        }
    }

    #[test]
    fn what_is_no_list_of_tools_is_told() {
        for (list, why) in [
            (json!({}), "is no list with a tool"),
            (json!([]), "is no list with a tool"),
            (json!([{ "type": "function" }]), "no name at tool 0"),
            (json!([{ "name": "a", "parameters": "x" }]), "parameters that are no schema at tool 0"),
        ] {
            assert!(Tools::read(&list).expect_err(why).contains(why));
        }
    }
}

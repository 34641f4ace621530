//! `structured_outputs`: what the answers of a task are held to. It is checked before anything is asked.

use super::Section;
use super::toml::{RawSchema, RawStructured};
use crate::error::Error;
use bantam_grammar::Grammar;
use serde_json::Value as Json;

/// What the answers of a section are held to; None where they may be anything.
pub(super) fn grammar(section: &Section) -> Result<Option<Grammar>, Error> {
    let Some(raw) = &section.raw.structured_outputs else {
        return match section.chat.constrained {
            // a way of asking speaks of all tasks, also those that nothing could hold
            Some(_) if section.raw.constrained.is_some() => Err(section.key.at("constrained").wrong(
                "says nothing without structured_outputs; write structured_outputs = {json = \"schema.json\"}, too",
            )),
            _ => Ok(None),
        };
    };
    let key = section.key.at("structured_outputs");
    let RawStructured { json, json_object, regex, choice, grammar } = raw;
    let given = [
        json.as_ref().map(|schema| schema_of(schema, section)).transpose()?,
        json_object.filter(|whether| *whether).map(|_| Grammar::json_object()),
        regex.clone().map(Grammar::Regex),
        choice.as_ref().map(|texts| Grammar::choice(texts)),
        grammar.as_ref().map(|grammar| lark(grammar, section)).transpose()?,
    ];
    let mut given = given.into_iter().flatten();
    let allowed = "write one of json, json_object = true, regex, choice or grammar";
    let grammar = given.next().ok_or_else(|| key.wrong(format!("is empty; {allowed}")))?;
    if given.next().is_some() {
        return Err(key.wrong(format!("says several things; {allowed}")));
    }
    if choice.as_ref().is_some_and(|texts| texts.is_empty() || texts.iter().any(String::is_empty)) {
        return Err(key.at("choice").wrong("has no text, or an empty one; name the texts that an answer may be"));
    }
    grammar.check().map_err(|why| key.wrong(format!("cannot be held to: {why}")))?;
    Ok((section.chat.constrained != Some(false)).then_some(grammar))
}

fn schema_of(raw: &RawSchema, section: &Section) -> Result<Grammar, Error> {
    match raw {
        RawSchema::Table(table) => Ok(Grammar::JsonSchema(Json::Object(table.clone()))),
        RawSchema::File(file) => {
            let key = section.key.at("structured_outputs");
            let text = section.text_of(file, &key)?;
            let schema = serde_json::from_str(&text);
            schema.map(Grammar::JsonSchema).map_err(|e| key.wrong(format!("{file} is no JSON schema: {e}")))
        }
    }
}

/// The text of a grammar, or that of the file which holds it.
fn lark(text: &str, section: &Section) -> Result<Grammar, Error> {
    match text.ends_with(".lark") && !text.contains('\n') {
        true => section.text_of(text, &section.key.at("structured_outputs")).map(Grammar::Lark),
        false => Ok(Grammar::Lark(text.to_owned())),
    }
}

//! Answers that other programs read: JSON values and calls of tools, found in what a model wrote and held against what is
//! right.

mod calls;
mod fields;
mod tools;

pub(crate) use calls::{Call, Calls, called};
pub(crate) use fields::{Comparison, compare};
pub(crate) use tools::Tools;

use serde_json::Value as Json;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// The text between the first pair of code fences, without the language that stands behind the first.
fn fenced(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("```")?;
    let (inside, _) = after.split_once("```").unwrap_or((after, ""));
    let first = inside.find('\n').unwrap_or(0);
    let is_language = inside[..first].trim().chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c));
    Some(if is_language { &inside[first..] } else { inside })
}

/// The JSON value that an answer is: all of it, but for white space and one pair of code fences around it.
pub(crate) fn whole(text: &str) -> Option<Json> {
    let text = text.trim();
    let inner = match text.starts_with("```") && text.ends_with("```") && text.len() > 6 {
        true => fenced(text).unwrap_or(text),
        false => text,
    };
    serde_json::from_str(inner.trim()).ok()
}

/// The JSON object or list that an answer holds: the whole of it, or the first that stands in it.
pub(crate) fn first(text: &str) -> Option<Json> {
    whole(text).filter(|value| value.is_object() || value.is_array()).or_else(|| {
        let begins = text.char_indices().filter(|(_, c)| matches!(c, '{' | '[')).map(|(at, _)| at);
        // a text of brackets alone would be read again from each of them
        begins.take(MOST_BEGINNINGS).find_map(|at| value_at(&text[at..]).map(|(value, _)| value))
    })
}

/// Places at which a value is looked for, at most.
const MOST_BEGINNINGS: usize = 64;

/// The JSON value that a text begins with, and its bytes.
fn value_at(text: &str) -> Option<(Json, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// A value in one line as `json.dumps` of Python's writes it: what models have mostly read.
pub(crate) fn written(value: &Json) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    serde::Serialize::serialize(value, &mut serializer).expect("a value is always written");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// One line, with a space behind each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Whether two values say the same: numbers by their value, `same` of texts.
fn equal(a: &Json, b: &Json, same: &dyn Fn(&str, &str) -> bool) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::String(a), Json::String(b)) => same(a, b),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, same)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b, same)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_value_is_found_wherever_it_stands() {
        let value = json!({ "a": [1, "}"] });
        for text in [
            "{\"a\": [1, \"}\"]}",
            " \n{\"a\": [1, \"}\"]}\n",
            "```json\n{\"a\": [1, \"}\"]}\n```",
            "Here [it] is:\n```\n{\"a\": [1, \"}\"]}\n```\nAnything else?",
            "Sure! {\"a\": [1, \"}\"]} {\"a\": 2}",
        ] {
            assert_eq!(first(text).as_ref(), Some(&value), "{text}");
        }
        for text in ["", "nothing", "{\"a\": ", "[[[[[[", "7"] {
            assert_eq!(first(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_whole_answer_is_one() {
        for (text, is) in [
            ("{\"a\": 1}", true),
            ("```json\n{\"a\": 1}\n```", true),
            ("```{\"a\": 1}```", true),
            ("7", true),
            ("``````", false),
            ("Sure: {\"a\": 1}", false),
            ("{\"a\": 1} {\"a\": 1}", false),
        ] {
            assert_eq!(whole(text).is_some(), is, "{text}");
        }
    }

    #[test]
    fn values_are_written_as_python_does() {
        assert_eq!(written(&json!({ "a": [1, "é", null], "b": {} })), "{\"a\": [1, \"é\", null], \"b\": {}}");
    }
}

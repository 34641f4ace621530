//! Calls of tools in what a model wrote, in the forms that chat templates of the field teach:
//!
//! ```text
//! <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>        Hermes, Qwen 2.5 and 3, SmolLM3, Granite 4
//! <function=f><parameter=a>1</parameter></function>                  Qwen3-Coder, Qwen 3.5
//! {"name": "f", "parameters": {"a": 1}}                              Llama 3
//! [TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]                 Mistral; also [TOOL_CALLS]f[ARGS]{"a": 1}
//! [f(a=1), g()]                                                      LFM2, Llama 4, Gemma (within ```tool_code)
//! ```
//!
//! Marks around them may be missing, since tokens that are special do not show in an answer's text.

use super::{equal, fenced, value_at};
use serde_json::{Map, Value as Json, json};

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Json>,
}

/// The calls that an answer makes held against the right ones, in whatever order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Calls {
    pub(crate) names_same: bool,
    pub(crate) all_same: bool,
    /// F1 of the arguments, each with its call's name and its value; 1 where there are none on both sides.
    pub(crate) arguments_f1: f64,
}

impl Call {
    /// Reads one call: `{"name", "arguments"}`, with `parameters` for `arguments`, under `function`, or with arguments that
    /// are the text of an object.
    pub(crate) fn read(value: &Json) -> Option<Call> {
        let function = value.get("function").filter(|function| function.is_object()).unwrap_or(value);
        let name = function.get("name")?.as_str()?.to_owned();
        let arguments = ["arguments", "parameters", "args"].iter().find_map(|key| function.get(*key));
        let arguments = match arguments {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(map)) => map.clone(),
            Some(Json::String(text)) => match serde_json::from_str(text) {
                Ok(Json::Object(map)) => map,
                _ => return None,
            },
            Some(_) => return None,
        };
        Some(Call { name, arguments })
    }

    /// Reads one call or a list of them; None where it is neither.
    pub(crate) fn read_all(value: &Json) -> Option<Vec<Call>> {
        match value {
            Json::Array(list) => list.iter().map(Call::read).collect(),
            one => Call::read(one).map(|call| vec![call]),
        }
    }

    fn is(&self, other: &Call, same: &dyn Fn(&str, &str) -> bool) -> bool {
        let (own, other_arguments) = (Json::Object(self.arguments.clone()), Json::Object(other.arguments.clone()));
        self.name == other.name && equal(&own, &other_arguments, same)
    }
}

impl Calls {
    /// `same` tells whether two texts among the arguments are.
    pub(crate) fn compared(said: &[Call], right: &[Call], same: &dyn Fn(&str, &str) -> bool) -> Calls {
        let paired = pairs(said, right, |a, b| a.is(b, same));
        let named = pairs(said, right, |a, b| a.name == b.name);
        let arguments = |calls: &[Call]| -> Vec<(String, String, Json)> {
            let of = |call: &Call| {
                call.arguments
                    .iter()
                    .map(|(key, value)| (call.name.clone(), key.clone(), value.clone()))
                    .collect::<Vec<_>>()
            };
            calls.iter().flat_map(of).collect()
        };
        let (of_said, of_right) = (arguments(said), arguments(right));
        let found = pairs(&of_said, &of_right, |a, b| a.0 == b.0 && a.1 == b.1 && equal(&a.2, &b.2, same));
        let both = of_said.len() + of_right.len();
        Calls {
            names_same: said.len() == right.len() && named == right.len(),
            all_same: said.len() == right.len() && paired == right.len(),
            arguments_f1: if both == 0 {
                f64::from(u8::from(named == right.len()))
            } else {
                2.0 * found as f64 / both as f64
            },
        }
    }
}

/// How many of `right` have one of `said` of their own.
fn pairs<T>(said: &[T], right: &[T], is: impl Fn(&T, &T) -> bool) -> usize {
    let mut taken = vec![false; said.len()];
    let mut count = 0;
    for wanted in right {
        let found = said.iter().enumerate().position(|(at, one)| !taken[at] && is(one, wanted));
        if let Some(at) = found {
            taken[at] = true;
            count += 1;
        }
    }
    count
}

/// The calls in an answer, in their order; none where it makes none.
pub(crate) fn called(text: &str) -> Vec<Call> {
    let forms: [fn(&str) -> Vec<Call>; 5] = [between_marks, as_elements, mistral, as_json, as_python];
    forms.iter().map(|form| form(text)).find(|calls| !calls.is_empty()).unwrap_or_default()
}

/// Marks between which calls stand as JSON or as Python.
const MARKS: [(&str, &str); 4] = [
    ("<tool_call>", "</tool_call>"),
    ("<|tool_call|>", "<|/tool_call|>"),
    ("<|tool_call_start|>", "<|tool_call_end|>"),
    ("<function_call>", "</function_call>"),
];

fn between_marks(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for (begin, end) in MARKS {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(begin) {
            let (inside, next) = after.split_once(end).unwrap_or((after, ""));
            let inner = [as_elements, as_json, as_python];
            calls.extend(inner.iter().map(|form| form(inside)).find(|calls| !calls.is_empty()).unwrap_or_default());
            rest = next;
        }
    }
    calls
}

/// `<function=NAME><parameter=KEY>VALUE</parameter></function>`: a value that is JSON but no text is what it is, else text.
fn as_elements(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("<function=") {
        let Some((name, after)) = after.split_once('>') else { break };
        let (body, next) = after.split_once("</function>").unwrap_or((after, ""));
        let mut arguments = Map::new();
        let mut parameters = body;
        while let Some((_, after)) = parameters.split_once("<parameter=") {
            let Some((key, after)) = after.split_once('>') else { break };
            let (value, next) = after.split_once("</parameter>").unwrap_or((after, ""));
            let value = value.trim_matches('\n');
            let read = serde_json::from_str(value).ok().filter(|read: &Json| !read.is_string());
            arguments.insert(key.trim().to_owned(), read.unwrap_or_else(|| value.into()));
            parameters = next;
        }
        calls.push(Call { name: name.trim().to_owned(), arguments });
        rest = next;
    }
    calls
}

fn mistral(text: &str) -> Vec<Call> {
    let Some((_, after)) = text.split_once("[TOOL_CALLS]") else { return Vec::new() };
    if let Some((Json::Array(list), _)) = value_at(after.trim_start()) {
        return list.iter().filter_map(Call::read).collect();
    }
    let one = |part: &str| {
        let (name, arguments) = part.split_once("[ARGS]").or_else(|| part.find('{').map(|at| part.split_at(at)))?;
        let (arguments, _) = value_at(arguments.trim_start())?;
        Call::read(&json!({ "name": name.trim(), "arguments": arguments }))
    };
    after.split("[TOOL_CALLS]").filter_map(one).collect()
}

/// JSON objects with a name and arguments, one after the other or in a list.
fn as_json(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '[']) {
        match value_at(&rest[at..]) {
            Some((value, bytes)) => {
                calls.extend(Call::read_all(&value).unwrap_or_default());
                rest = &rest[at + bytes..];
            }
            None => rest = &rest[at + 1..],
        }
        if calls.len() > MOST {
            break;
        }
    }
    calls
}

/// Calls that are read of an answer, at most.
const MOST: usize = 64;

/// `[f(a=1, b="x"), g()]` or `f(a=1)`, as Python writes calls with arguments by name.
fn as_python(text: &str) -> Vec<Call> {
    let text = fenced(text).unwrap_or(text).trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let mut python = Python { rest: inner };
    let mut calls = Vec::new();
    loop {
        let Some(call) = python.call() else { return Vec::new() };
        calls.push(call);
        if !python.takes(",") && !python.rest.starts_with(char::is_alphabetic) {
            break;
        }
        if python.rest.trim().is_empty() {
            break;
        }
    }
    if python.rest.trim().is_empty() { calls } else { Vec::new() }
}

/// The rest of a text of Python.
struct Python<'a> {
    rest: &'a str,
}

impl Python<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(word);
        self.rest = found.unwrap_or(rest).trim_start();
        found.is_some()
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_.-".contains(c))).unwrap_or(rest.len());
        let is_name = end > 0 && !rest.starts_with(|c: char| c.is_ascii_digit());
        self.rest = &rest[end..];
        is_name.then(|| rest[..end].to_owned())
    }

    fn call(&mut self) -> Option<Call> {
        let name = self.name()?;
        if !self.takes("(") {
            return None;
        }
        let mut arguments = Map::new();
        while !self.takes(")") {
            let key = self.name()?;
            if !self.takes("=") {
                return None;
            }
            let value = self.value(0)?;
            arguments.insert(key, value);
            if !self.takes(",") && !self.rest.starts_with(')') {
                return None;
            }
        }
        Some(Call { name, arguments })
    }

    /// A literal: text, a number, True, False, None, a list or a dict.
    fn value(&mut self, depth: usize) -> Option<Json> {
        const DEEPEST: usize = 32;
        let rest = self.rest.trim_start();
        self.rest = rest;
        let first = rest.chars().next()?;
        if depth > DEEPEST {
            return None;
        }
        match first {
            '"' | '\'' => self.text(first),
            '[' => {
                self.takes("[");
                let mut list = Vec::new();
                while !self.takes("]") {
                    list.push(self.value(depth + 1)?);
                    if !self.takes(",") && !self.rest.starts_with(']') {
                        return None;
                    }
                }
                Some(list.into())
            }
            '{' => {
                self.takes("{");
                let mut map = Map::new();
                while !self.takes("}") {
                    let Json::String(key) = self.value(depth + 1)? else { return None };
                    if !self.takes(":") {
                        return None;
                    }
                    let value = self.value(depth + 1)?;
                    map.insert(key, value);
                    if !self.takes(",") && !self.rest.starts_with('}') {
                        return None;
                    }
                }
                Some(map.into())
            }
            _ => {
                let end = rest.find(|c: char| ",)]}".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
                self.rest = &rest[end..];
                match &rest[..end] {
                    "True" | "true" => Some(true.into()),
                    "False" | "false" => Some(false.into()),
                    "None" | "null" => Some(Json::Null),
                    number => serde_json::from_str::<serde_json::Number>(number).ok().map(Json::Number),
                }
            }
        }
    }

    fn text(&mut self, quote: char) -> Option<Json> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Some(out.into());
                }
                '\\' => match chars.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    other => out.push(other),
                },
                c => out.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: Json) -> Call {
        Call { name: name.into(), arguments: arguments.as_object().cloned().expect("an object") }
    }

    #[test]
    fn calls_are_found_in_every_form() {
        let one = vec![call("f", json!({ "a": 1, "b": "x, (y)" }))];
        for text in [
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"x, (y)\"}}\n</tool_call>",
            "I will look.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"x, (y)\"}}",
            "{\"name\": \"f\", \"parameters\": {\"a\": 1, \"b\": \"x, (y)\"}}",
            "```json\n[{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1, \\\"b\\\": \\\"x, (y)\\\"}\"}}]\n```",
            "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"x, (y)\"}}]",
            "[TOOL_CALLS]f[ARGS]{\"a\": 1, \"b\": \"x, (y)\"}",
            "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx, (y)\n</parameter>\n</function>\n</tool_call>",
            "[f(a=1, b=\"x, (y)\")]",
            "<|tool_call_start|>[f(a=1, b='x, (y)')]<|tool_call_end|>",
            "```tool_code\nf(a=1, b=\"x, (y)\")\n```",
        ] {
            assert_eq!(called(text), one, "{text}");
        }
        let two = vec![call("f", json!({ "a": [1.5, true, null], "b": { "c": "d" } })), call("g", json!({}))];
        for text in [
            "[f(a=[1.5, True, None], b={'c': \"d\"}), g()]",
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1.5, true, null], \"b\": {\"c\": \"d\"}}}</tool_call>\n\
             <tool_call>{\"name\": \"g\"}</tool_call>",
            "f(a=[1.5, True, None], b={'c': 'd'})\ng()",
        ] {
            assert_eq!(called(text), two, "{text}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for text in
            ["", "I can't do that.", "{\"a\": 1}", "[1, 2]", "f(1)", "f(a=", "[f(a=1) and more", "((((((", "{{{{{{"]
        {
            assert_eq!(called(text), [], "{text}");
        }
        let deep = format!("f(a={})", "[".repeat(100_000));
        assert_eq!(called(&deep), []);
    }

    #[test]
    fn calls_are_compared_in_whatever_order() {
        let same = |a: &str, b: &str| a == b;
        let right = [call("f", json!({ "a": 1, "b": "x" })), call("g", json!({}))];
        let turned = [right[1].clone(), call("f", json!({ "b": "x", "a": 1.0 }))];
        assert_eq!(
            Calls::compared(&turned, &right, &same),
            Calls { names_same: true, all_same: true, arguments_f1: 1.0 }
        );
        let partly = [call("f", json!({ "a": 2, "b": "x" })), call("g", json!({}))];
        assert_eq!(
            Calls::compared(&partly, &right, &same),
            Calls { names_same: true, all_same: false, arguments_f1: 0.5 }
        );
        let none = Calls { names_same: true, all_same: true, arguments_f1: 1.0 };
        assert_eq!(Calls::compared(&[], &[], &same), none);
        assert!(!Calls::compared(&right[1..], &[], &same).names_same);
    }
}

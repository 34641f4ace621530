//! The keys `doc_to_text`, `doc_to_target` and their like: where a text comes from, and what they give for a line of
//! data.

use super::template::{Template, python_word};
use crate::data::{Dataset, Doc, json_type};
use crate::error::{Error, Key};
use crate::front::RawDocTo;
use crate::python::{literal, printed};
use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::Value as Json;

/// Where a text comes from: the value of a `doc_to_…` key.
#[derive(Debug)]
pub(crate) enum DocTo {
    /// A field of the data, taken as it is.
    Field {
        name: String,
        key: Key,
    },
    Template(Template),
    /// The same choice for every item.
    Index(usize),
}

/// What such a key gives for one line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rendered {
    Text(String),
    /// The index of a choice: a whole number in a field, or a template that renders to digits, where there are choices.
    Index(usize),
    /// A list: several right answers.
    List(Vec<Rendered>),
}

impl DocTo {
    /// A field's name if `first`, the first line of the data, has such a field; a template else.
    pub(crate) fn new(text: &str, key: Key, first: &Doc) -> Result<DocTo, Error> {
        if first.fields.contains_key(text) {
            return Ok(DocTo::Field { name: text.into(), key });
        }
        let word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if word && !text.chars().all(|c| c.is_ascii_digit()) {
            return Err(
                key.wrong(format!("{}; write a field's name or a template like \"{{{{field}}}}\"", first.lacks(text)))
            );
        }
        Ok(DocTo::Template(Template::new(text, key)?))
    }

    /// A field's name if `first` has such a field; a template else, which may be a plain word.
    pub(crate) fn field_or_template(text: &str, key: Key, first: &Doc) -> Result<DocTo, Error> {
        match first.fields.contains_key(text) {
            true => Ok(DocTo::Field { name: text.into(), key }),
            false => Ok(DocTo::Template(Template::new(text, key)?)),
        }
    }

    /// Whether it plainly gives a place and no text: a number, or an expression that looks one up or says so.
    pub(super) fn is_an_index(&self) -> bool {
        match self {
            DocTo::Index(_) => true,
            DocTo::Field { .. } => false,
            DocTo::Template(template) => template.is_an_index(),
        }
    }

    /// What this gives for `doc` where a template's list is the text that Python prints of it.
    pub(super) fn render_text(&self, doc: &Doc, has_choices: bool) -> Result<Rendered, Error> {
        match self {
            DocTo::Template(template) => Ok(read(template.render(doc)?, has_choices)),
            _ => self.render(doc, has_choices),
        }
    }

    /// What this gives for `doc`. Whole numbers are indices only where there are choices to index.
    pub(crate) fn render(&self, doc: &Doc, has_choices: bool) -> Result<Rendered, Error> {
        match self {
            DocTo::Index(index) => Ok(Rendered::Index(*index)),
            DocTo::Field { name, key } => {
                let field = doc.fields.get(name).ok_or_else(|| key.wrong(doc.lacks(name)))?;
                rendered(field, has_choices)
                    .map_err(|why| key.wrong(format!("field '{name}' of {} {why}", doc.place())))
            }
            DocTo::Template(template) => {
                if let Some(list) = template.value(doc)?.as_ref().and_then(items) {
                    return Ok(Rendered::List(list.map(|v| rendered_value(&v, has_choices)).collect()));
                }
                let text = template.render(doc)?;
                match written_list(&text) {
                    Some(list) => rendered(&list, has_choices)
                        .map_err(|why| template.key.wrong(format!("{why} at {}", doc.place()))),
                    None => Ok(read(text, has_choices)),
                }
            }
        }
    }

    /// The JSON value that this gives: a field that holds it or its text, or a template that writes it.
    pub(super) fn json(&self, doc: &Doc) -> Result<Json, Error> {
        let read = |text: &str, key: &Key, what: &str| {
            serde_json::from_str(text).map_err(|e| {
                let why = e.to_string();
                let why = why.split(" at line ").next().unwrap_or("broken").to_owned();
                key.wrong(format!("{what} at {} is no JSON ({why}); a JSON value is needed", doc.place()))
            })
        };
        match self {
            DocTo::Field { name, key } => match doc.fields.get(name).ok_or_else(|| key.wrong(doc.lacks(name)))? {
                Json::String(text) => read(text, key, &format!("the text of field '{name}'")),
                value => Ok(value.clone()),
            },
            DocTo::Template(template) => read(&template.render(doc)?, &template.key, "what it gives"),
            DocTo::Index(index) => Ok((*index).into()),
        }
    }

    /// The choices that this gives: a list.
    pub(super) fn list(&self, doc: &Doc) -> Result<Vec<String>, Error> {
        let allowed =
            "choices are a list: [\"a\", \"b\"], a field that holds a list, or one {{ expression }} that gives a list";
        match self {
            DocTo::Field { name, key } => match doc.fields.get(name) {
                Some(Json::Array(list)) => list
                    .iter()
                    .map(|choice| match rendered(choice, false) {
                        Ok(Rendered::Text(text)) => Ok(text),
                        _ => Err(key.wrong(format!("a choice at {} is {}; {allowed}", doc.place(), json_type(choice)))),
                    })
                    .collect(),
                Some(other) => {
                    Err(key.wrong(format!("field '{name}' of {} is {}; {allowed}", doc.place(), json_type(other))))
                }
                None => Err(key.wrong(doc.lacks(name))),
            },
            DocTo::Template(template) => {
                if let Some(list) = template.value(doc)?.as_ref().and_then(items) {
                    return Ok(list.map(|v| plain(&v)).collect());
                }
                match written_list(&template.render(doc)?) {
                    Some(Json::Array(list)) => Ok(list.iter().map(printed).collect()),
                    _ => Err(template.key.wrong(format!("gives no list at {}; {allowed}", doc.place()))),
                }
            }
            DocTo::Index(_) => unreachable!("choices are never read from an index"),
        }
    }
}

/// A key that gives one text per line.
pub(crate) struct TextKey {
    from: DocTo,
    key: Key,
}

impl TextKey {
    /// Reads the key `name` of a task.
    pub(crate) fn new(given: &RawDocTo, name: &str, data: &Dataset, key: &Key) -> Result<TextKey, Error> {
        let key = key.at(name);
        match given {
            RawDocTo::Text(text) => Ok(TextKey { from: DocTo::new(text, key.clone(), data.first())?, key }),
            RawDocTo::Index(_) => Err(key.wrong("is an index; without choices a template or a field's name is needed")),
        }
    }

    /// Reads a key that has to be there.
    pub(crate) fn needed(given: &Option<RawDocTo>, name: &str, data: &Dataset, key: &Key) -> Result<TextKey, Error> {
        let given = given.as_ref().ok_or_else(|| key.wrong(missing(name, data.first())))?;
        TextKey::new(given, name, data, key)
    }

    /// Reads a key that is a field's name where it is not there.
    pub(crate) fn or_field(
        given: &Option<RawDocTo>,
        name: &str,
        field: &str,
        data: &Dataset,
        key: &Key,
    ) -> Result<TextKey, Error> {
        TextKey::new(given.as_ref().unwrap_or(&RawDocTo::Text(field.into())), name, data, key)
    }

    /// The text of a line.
    pub(crate) fn of(&self, doc: &Doc) -> Result<String, Error> {
        match self.from.render(doc, false)? {
            Rendered::Text(text) => Ok(text),
            Rendered::Index(_) | Rendered::List(_) => {
                Err(self.wrong(format!("gives a list at {}; one text is needed", doc.place())))
            }
        }
    }

    /// The error about this key.
    pub(crate) fn wrong(&self, message: String) -> Error {
        self.key.wrong(message)
    }
}

/// The sentence's end about a key that no text can be found without.
pub(super) fn missing(name: &str, first: &Doc) -> String {
    let fields = first.names();
    format!("has no {name}; write a template like \"{{{{field}}}}\" or a field's name, such as '{fields}'")
}

/// The list that a text writes as Python would, as in `['a', 'b']`.
fn written_list(text: &str) -> Option<Json> {
    let is_list = text.starts_with('[') && text.ends_with(']') && text.len() > 1;
    is_list.then(|| literal(text)).flatten().filter(Json::is_array)
}

/// Digits are an index where there are choices.
fn read(text: String, has_choices: bool) -> Rendered {
    let digits = has_choices && !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match text.parse() {
        Ok(index) if digits => Rendered::Index(index),
        _ => Rendered::Text(text),
    }
}

fn rendered(field: &Json, has_choices: bool) -> Result<Rendered, String> {
    let negative = || "is below 0; an index of a choice is 0 or more".to_string();
    Ok(match field {
        Json::String(text) => Rendered::Text(text.clone()),
        Json::Bool(b) if has_choices => Rendered::Index((*b).into()),
        Json::Bool(b) => Rendered::Text(if *b { "True" } else { "False" }.into()),
        Json::Number(n) if has_choices && n.is_i64() && !n.is_u64() => return Err(negative()),
        Json::Number(n) => match n.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(index) if has_choices => Rendered::Index(index),
            _ => Rendered::Text(n.to_string()),
        },
        Json::Array(list) => Rendered::List(list.iter().map(|f| rendered(f, has_choices)).collect::<Result<_, _>>()?),
        Json::Null => {
            return Err(
                "is null, or an empty cell; text, a number or a list is needed: fill it in, or leave the line out"
                    .into(),
            );
        }
        Json::Object(_) => {
            return Err(format!("is {}; text, a number or a list is needed", json_type(field)));
        }
    })
}

fn rendered_value(value: &Value, has_choices: bool) -> Rendered {
    match usize::try_from(value.clone()) {
        Ok(index) if has_choices && value.is_integer() => Rendered::Index(index),
        _ => Rendered::Text(plain(value)),
    }
}

/// The elements where the value is a list.
fn items(value: &Value) -> Option<impl Iterator<Item = Value> + use<>> {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable).then(|| value.try_iter().ok()).flatten()
}

fn plain(value: &Value) -> String {
    python_word(value).map_or_else(|| value.to_string(), str::to_string)
}

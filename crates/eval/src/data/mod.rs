//! The data of a task: JSON lines, one object a line, each remembered with its line so that a message can name it;
//! or rows of a table, with their numbers. Blank lines are skipped. Nothing is known here of templates or tasks.

mod table;

use crate::error::{Error, line_of};
use minijinja::Value;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A task's items or its few-shot pool; never empty.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) docs: Vec<Doc>,
}

/// One line of the data.
#[derive(Debug, Clone)]
pub(crate) struct Doc {
    file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) fields: serde_json::Map<String, Json>,
    /// The fields again, as a template's variables.
    pub(crate) variables: Value,
}

impl Dataset {
    /// Reads JSON lines; `file` is for the messages.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Dataset, Error> {
        let file: Arc<str> = file.into();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start().starts_with('[') {
            return Dataset::of_list(text, &file);
        }
        let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
        let docs = lines.map(|(text, line)| Doc::parse(text, &file, line)).collect::<Result<Vec<_>, _>>()?;
        if docs.is_empty() {
            let message = "has no items; write one JSON object a line".to_string();
            return Err(Error::Malformed { file: file.to_string(), line: 1, message });
        }
        Ok(Dataset { docs })
    }

    /// A file that is one JSON list of objects; an item's number stands for its line.
    fn of_list(text: &str, file: &Arc<str>) -> Result<Dataset, Error> {
        let allowed = "the list must hold JSON objects, like [{\"question\": \"2+2\", \"answer\": \"4\"}]";
        let broken = |line: usize, why: &str| Error::Malformed {
            file: file.to_string(),
            line,
            message: format!("{why}; {allowed}"),
        };
        let items: Vec<Json> = match serde_json::from_str(text) {
            Ok(items) => items,
            Err(e) => {
                return Err(broken(
                    e.line(),
                    &format!("is no JSON ({})", e.to_string().split(" at line ").next().unwrap_or("")),
                ));
            }
        };
        if items.is_empty() {
            return Err(broken(1, "has no items"));
        }
        let doc = |(item, number): (Json, usize)| match item {
            Json::Object(fields) => Ok(Doc::new(file, number, fields)),
            other => Err(broken(1, &format!("item {number} is {}, not an object", json_type(&other)))),
        };
        Ok(Dataset { docs: items.into_iter().zip(1..).map(doc).collect::<Result<_, Error>>()? })
    }

    /// Reads files, one after the other: Parquet, CSV, TSV, a JSON list, or JSON lines. Of tables only the columns are
    /// read that are `named`.
    pub(crate) fn read(files: &[PathBuf], named: &dyn Fn(&str) -> bool) -> Result<Dataset, Error> {
        let mut docs = Vec::new();
        for path in files {
            let file = path.display().to_string();
            let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            docs.extend(match ending.as_str() {
                "parquet" => table::parquet(path, named)?,
                "csv" => table::csv(path, b',', named)?,
                "tsv" => table::csv(path, b'\t', named)?,
                _ => Dataset::parse(&text(path)?, &file)?.docs,
            });
        }
        match docs.is_empty() {
            true => {
                let file = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
                Err(Error::Malformed { file, line: 1, message: "has no items".into() })
            }
            false => Ok(Dataset { docs }),
        }
    }

    /// The first line, whose fields say what the keys of a task may name.
    pub(crate) fn first(&self) -> &Doc {
        &self.docs[0]
    }
}

impl Doc {
    fn parse(text: &str, file: &Arc<str>, line: usize) -> Result<Doc, Error> {
        let broken = |message: String| Error::Malformed { file: file.to_string(), line, message };
        let allowed = "every line must be one JSON object, like {\"question\": \"2+2\", \"answer\": \"4\"}";
        let fields = match serde_json::from_str(text) {
            Ok(Json::Object(fields)) => fields,
            Ok(other) => return Err(broken(format!("is {}, not an object; {allowed}", json_type(&other)))),
            Err(e) => {
                let column = e.column();
                let why = e.to_string();
                let why = why.split(" at line ").next().unwrap_or("broken");
                return Err(broken(format!("is no JSON ({why} at column {column}); {allowed}")));
            }
        };
        Ok(Doc::new(file, line, fields))
    }

    /// `line` is the row's number in a table.
    fn new(file: &Arc<str>, line: usize, fields: serde_json::Map<String, Json>) -> Doc {
        let variables = Value::from_object(Fields::of(&fields));
        Doc { file: file.clone(), line, fields, variables }
    }

    /// `data.jsonl:17`
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// "id, question and choices", for a message about a field that is not there.
    pub(crate) fn names(&self) -> String {
        self.fields.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// A field as the name of a group (text, a number, true or false), or the sentence's end about why it is none.
    pub(crate) fn label(&self, name: &str) -> Result<String, String> {
        match self.fields.get(name) {
            None => Err(self.lacks(name)),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(Json::Number(n)) => Ok(n.to_string()),
            Some(Json::Bool(b)) => Ok(b.to_string()),
            Some(other) => Err(format!(
                "field '{name}' of {} is {}; text, a number, true or false is needed",
                self.place(),
                json_type(other)
            )),
        }
    }

    /// The sentence's end about a field that this line does not have.
    pub(crate) fn lacks(&self, name: &str) -> String {
        let names =
            if self.fields.is_empty() { "it has none".into() } else { format!("its fields are {}", self.names()) };
        format!("'{name}' is no field of {}; {names}", self.place())
    }
}

/// A JSON object as a template's value, in the order in which it was written.
#[derive(Debug)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn of(map: &serde_json::Map<String, Json>) -> Fields {
        Fields(map.iter().map(|(name, field)| (name.clone(), variable(field))).collect())
    }
}

impl minijinja::value::Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.iter().map(|(name, _)| Value::from(name)).collect())
    }
}

fn variable(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => Value::from(i),
            (None, Some(u), _) => Value::from(u),
            (None, None, f) => Value::from(f.unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::from(s),
        Json::Array(list) => list.iter().map(variable).collect(),
        Json::Object(map) => Value::from_object(Fields::of(map)),
    }
}

/// What a JSON value is, for a sentence.
pub(crate) fn json_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| Error::Unreadable { file: file.clone(), source })?;
    utf8(bytes, &file)
}

/// The text of a file, or the line at which it stops being text.
fn utf8(bytes: Vec<u8>, file: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|e| {
        let line = line_of(e.as_bytes(), e.utf8_error().valid_up_to());
        Error::Malformed { file: file.into(), line, message: "is not UTF-8 text; save the file as UTF-8".into() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Dataset::parse(text, "d.jsonl").expect_err(text).to_string()
    }

    #[test]
    fn a_broken_line_is_named() {
        assert!(refused("{\"a\": 1}\n\n{\"a\": \n").starts_with("d.jsonl:3: is no JSON (EOF while parsing a value at"));
        assert!(refused("{}\n[1, 2]").starts_with("d.jsonl:2: is a list, not an object; every line must be"));
        assert!(refused(" \n\n").contains("d.jsonl:1: has no items"), "{}", refused(" \n\n"));
        let deep = "[".repeat(100_000);
        assert!(refused(&deep).contains("recursion limit exceeded"), "{}", refused(&deep));
        let error = utf8(vec![b'a', b'\n', 0xff], "d.jsonl").expect_err("not UTF-8").to_string();
        assert!(error.starts_with("d.jsonl:2: is not UTF-8"), "{error}");
    }

    #[test]
    fn one_list_of_objects_is_data_too() {
        let data = Dataset::parse("[\n  {\"a\": 1},\n  {\"a\": 2}\n]\n", "d.json").expect("a list");
        assert_eq!(
            data.docs.iter().map(|d| (d.line, d.fields["a"].as_u64())).collect::<Vec<_>>(),
            [(1, Some(1)), (2, Some(2))]
        );
        assert!(refused("[{\"a\": 1}, 2]").contains("item 2 is a number, not an object; the list must hold"));
        assert!(
            refused("[{\"a\": 1},\n").starts_with("d.jsonl:2: is no JSON (EOF while parsing a value)"),
            "{}",
            refused("[{\"a\": 1},\n")
        );
        assert!(refused("[]").contains("has no items"));
    }

    #[test]
    fn blank_lines_byte_order_marks_carriage_returns_and_huge_lines_are_fine() {
        let huge = "x".repeat(4 << 20);
        let data =
            Dataset::parse(&format!("\u{feff}{{\"a\": 1}}\r\n\r\n{{\"a\": \"{huge}\"}}"), "d.jsonl").expect("fine");
        assert_eq!(data.docs.iter().map(|d| d.line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(data.docs[1].fields["a"].as_str().map(str::len), Some(huge.len()));
    }
}

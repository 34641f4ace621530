//! The data of a task: JSON lines, one object a line, each remembered with its line so that a message can name it;
//! or rows of a table, with their numbers. Blank lines are skipped. Nothing is known here of templates or tasks.

mod encoding;
mod integer;
mod quotes;
mod table;

use crate::error::{Error, line_of};
use bantam_core::input;
use minijinja::Value;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes of one line of JSON, or of one row of a table.
const LINE: u64 = 16 << 20;
/// The most bytes of a file that is one JSON list, which is held as a whole.
const LIST: u64 = 256 << 20;

/// The fields of a line, in its order.
pub(crate) type Fields = serde_json::Map<String, Json>;

/// A task's items or its few-shot pool; never empty.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) docs: Vec<Doc>,
}

/// The format of files whose names do not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    /// `json`, `csv`, `parquet` or `text`.
    pub(crate) name: String,
    /// The names of a table's columns, where its first line has none.
    pub(crate) column_names: Option<Vec<String>>,
    /// What parts the columns of a table.
    pub(crate) delimiter: Option<u8>,
}

/// One line of the data.
#[derive(Debug, Clone)]
pub(crate) struct Doc {
    pub(crate) source: Arc<Source>,
    pub(crate) line: usize,
    pub(crate) fields: Arc<Fields>,
    /// The same fields, as a template's variables.
    pub(crate) variables: Value,
}

/// Where lines come from.
#[derive(Debug)]
pub(crate) struct Source {
    file: String,
    /// Every column of a table, those among them that no line has because nothing in the suite names them.
    columns: Option<Vec<String>>,
}

impl Source {
    /// A file whose lines have all that it says of them.
    pub(crate) fn of(file: impl Into<String>) -> Source {
        Source { file: file.into(), columns: None }
    }

    /// `data.jsonl:17`
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file)
    }

    fn broken(&self, line: usize, message: String) -> Error {
        Error::Malformed { file: self.file.clone(), line, message }
    }
}

impl Dataset {
    /// Reads JSON lines; `file` is for the messages.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Dataset, Error> {
        Ok(Dataset { docs: json(text.as_bytes(), Source::of(file))? })
    }

    /// A file that is one JSON list of objects; an item's number stands for its line.
    fn of_list(text: &str, file: &Arc<Source>) -> Result<Dataset, Error> {
        let allowed = "the list must hold JSON objects, like [{\"question\": \"2+2\", \"answer\": \"4\"}]";
        let broken = |line: usize, why: &str| file.broken(line, format!("{why}; {allowed}"));
        let items: Vec<Json> = match serde_json::from_str(&integer::exact(text)) {
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
        Dataset::read_as(files, None, named)
    }

    /// Reads files of one format, whatever their names end in.
    pub(crate) fn read_as(
        files: &[PathBuf],
        format: Option<&Format>,
        named: &dyn Fn(&str) -> bool,
    ) -> Result<Dataset, Error> {
        let names = format.and_then(|format| format.column_names.as_deref());
        let delimiter = format.and_then(|format| format.delimiter);
        let format = format.map(|format| format.name.as_str());
        let mut docs = Vec::new();
        for path in files {
            let file = path.display().to_string();
            let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            let tabs = format == Some("csv") && ending == "tsv" && delimiter.is_none();
            docs.extend(match format.filter(|_| !tabs).unwrap_or(&ending) {
                "text" => lines_of_text(path)?,
                "parquet" => table::parquet(path, named)?,
                "csv" => table::csv(path, delimiter.unwrap_or(b','), names, named)?,
                "tsv" => table::csv(path, b'\t', names, named)?,
                _ => json(BufReader::new(open(path)?), Source::of(&file))?,
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
    fn parse(text: &str, file: &Arc<Source>, line: usize) -> Result<Doc, Error> {
        let broken = |message: String| file.broken(line, message);
        let allowed = "every line must be one JSON object, like {\"question\": \"2+2\", \"answer\": \"4\"}";
        let fields = match serde_json::from_str(&integer::exact(text)) {
            Ok(Json::Object(fields)) => fields,
            Ok(other) => return Err(broken(format!("is {}, not an object; {allowed}", json_type(&other)))),
            Err(e) => {
                let column = e.column();
                let why = e.to_string();
                let why = why.split(" at line ").next().unwrap_or("broken");
                // an object that goes on in the next line: a .json file written for people
                let whole = if line == 1 && why.starts_with("EOF") {
                    "; one value over several lines is read where it is a list of objects"
                } else {
                    ""
                };
                return Err(broken(format!("is no JSON ({why} at column {column}); {allowed}{whole}")));
            }
        };
        Ok(Doc::new(file, line, fields))
    }

    /// `line` is the row's number in a table.
    pub(crate) fn new(source: &Arc<Source>, line: usize, fields: Fields) -> Doc {
        let fields = Arc::new(fields);
        let variables = Value::from_object(Variables(fields.clone()));
        Doc { source: source.clone(), line, fields, variables }
    }

    /// The same line with other fields.
    pub(crate) fn with_fields(&self, fields: Fields) -> Doc {
        Doc::new(&self.source, self.line, fields)
    }

    /// `data.jsonl:17`
    pub(crate) fn place(&self) -> String {
        self.source.place(self.line)
    }

    /// "id, question and choices", for a message about a field that is not there.
    pub(crate) fn names(&self) -> String {
        let own: Vec<String> = self.fields.keys().cloned().collect();
        self.source.columns.as_ref().unwrap_or(&own).join(", ")
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
            if self.names().is_empty() { "it has none".into() } else { format!("its fields are {}", self.names()) };
        format!("'{name}' is no field of {}; {names}", self.place())
    }
}

/// What a template calls the line itself, for fields whose names are no words.
pub(crate) const WHOLE: &str = "doc";

/// A JSON object as a template's value, in the order in which it was written; a field becomes a value when it is asked
/// for, so that the data is not held twice.
#[derive(Debug)]
struct Variables(Arc<Fields>);

impl minijinja::value::Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        // `{{ doc["a name with spaces"] }}`: the line as a whole, where no field of it is called so
        let whole = || (name == WHOLE).then(|| Value::from_object(Variables(self.0.clone())));
        self.0.get(name).map(variable).or_else(whole)
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.keys().map(Value::from).collect())
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
        Json::Object(map) => Value::from_object(Variables(Arc::new(map.clone()))),
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

/// JSON lines, or one list where that is what the text begins with. Lines are read one by one, so that a file costs
/// what its items do.
fn json(mut read: impl BufRead, source: Source) -> Result<Vec<Doc>, Error> {
    let source = Arc::new(source);
    let mut docs = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let took = read.by_ref().take(LINE + 1).read_until(b'\n', &mut bytes);
        if took.map_err(|e| Error::Unreadable { file: source.file.clone(), source: e })? == 0 {
            break;
        }
        let whole = bytes.len() as u64 <= LINE;
        let line = if number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes };
        if docs.is_empty() && line.trim_ascii_start().first() == Some(&b'[') {
            return list(read, line, number, &source);
        }
        if !whole {
            return Err(source.broken(number, format!("is longer than {} MiB; an item is no book", LINE >> 20)));
        }
        let text = utf8(line, number, &source)?;
        if !text.trim().is_empty() {
            docs.push(Doc::parse(text.trim_end_matches(['\n', '\r']), &source, number)?);
        }
    }
    match docs.is_empty() {
        true => Err(source.broken(1, "has no items; write one JSON object a line".into())),
        false => Ok(docs),
    }
}

/// The lines of a text, each as the field `text`.
fn lines_of_text(path: &Path) -> Result<Vec<Doc>, Error> {
    let source = Arc::new(Source::of(path.display().to_string()));
    let mut docs = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(open(path)?).split(b'\n')) {
        let line = line.map_err(|e| Error::Unreadable { file: source.file.clone(), source: e })?;
        let text = utf8(&line, number, &source)?.trim_end_matches('\r');
        docs.push(Doc::new(&source, number, Fields::from_iter([("text".to_owned(), Json::from(text))])));
    }
    Ok(docs)
}

/// The items of a file that is one JSON list, whose beginning was read already.
fn list(read: impl Read, begun: &[u8], line: usize, source: &Arc<Source>) -> Result<Vec<Doc>, Error> {
    // so that lines are counted from the file's first
    let mut bytes = vec![b'\n'; line - 1];
    bytes.extend_from_slice(begun);
    let rest = read.take(LIST + 1).read_to_end(&mut bytes);
    rest.map_err(|e| Error::Unreadable { file: source.file.clone(), source: e })?;
    if bytes.len() as u64 > LIST {
        let message = format!("is one JSON list of more than {} MiB; write one JSON object a line", LIST >> 20);
        return Err(source.broken(1, message));
    }
    Ok(Dataset::of_list(utf8(&bytes, 1, source)?, source)?.docs)
}

/// A file of data, ready to be read.
fn open(path: &Path) -> Result<std::fs::File, Error> {
    input::open(path).map_err(|source| Error::Unreadable { file: path.display().to_string(), source })
}

/// The text of a suite's file. Its lines end as on Linux, whatever the editor: what stands between them in a text of several
/// lines is no part of the prompt.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let file = Source::of(path.display().to_string());
    let bytes = input::read(path, input::WRITTEN_BY_HAND);
    let bytes = bytes.map_err(|source| Error::Unreadable { file: file.file.clone(), source })?;
    let text = utf8(&bytes, 1, &file)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n"))
}

/// The text of bytes of a file, whose first is on `line`; or the line at which they stop being text.
fn utf8<'a>(bytes: &'a [u8], line: usize, file: &Source) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|e| {
        let line = line + line_of(bytes, e.valid_up_to()) - 1;
        file.broken(line, encoding::not_utf8(bytes, e.valid_up_to()))
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
        let error = json(&b"{}\n\xff"[..], Source::of("d.jsonl")).expect_err("not UTF-8").to_string();
        assert!(error.starts_with("d.jsonl:2: is not UTF-8"), "{error}");
        let error = json(&b"[{},\n\xff"[..], Source::of("d.jsonl")).expect_err("not UTF-8").to_string();
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

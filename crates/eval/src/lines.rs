//! Lines of data for whoever learns from them: the readers and the templates that tasks have, without a task. The right
//! answers of a task's items are learnt from, too ([`Task::lessons`](crate::Task::lessons)).

use crate::data::{Dataset, Doc};
use crate::error::{Error, Key};
use crate::front::is_simple_template;
use crate::prompt::{Context, Template};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::sync::Arc;

/// What is asked, and the right answer as the model is to continue it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// What the model reads.
    pub prompt: Context,
    /// What it should say, with the delimiter before it.
    pub answer: String,
}

/// The lines of a file: JSON lines, a JSON list, CSV or TSV with a head line, or Parquet.
#[derive(Debug)]
pub struct Lines(Dataset);

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(&'a Doc);

/// A text with places for a line's fields, as `{{ field }}`.
#[derive(Debug)]
pub struct LineTemplate(Template);

impl Lines {
    /// Reads a file by its ending.
    ///
    /// # Errors
    /// Where it cannot be read, or a line of it is none; and where it has none.
    pub fn read(path: &Path) -> Result<Lines, Error> {
        Dataset::read(&[path.to_owned()], &|_| true).map(Lines)
    }

    /// Lists them in order; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.0.docs.iter().map(Line)
    }
}

impl<'a> Line<'a> {
    /// Where it is, as `data.jsonl:17`.
    pub fn place(&self) -> String {
        self.0.place()
    }

    /// Its fields.
    pub fn fields(&self) -> &'a Map<String, Json> {
        &self.0.fields
    }
}

impl LineTemplate {
    /// Compiles a template, of fields and filters only; `place` and `key` name it in errors.
    ///
    /// # Errors
    /// Where it is no template, or one that computes.
    pub fn new(source: &str, place: &str, key: &str) -> Result<LineTemplate, Error> {
        let key = Key::new(&Arc::from(place), key);
        match is_simple_template(source) {
            true => Template::new(source, key).map(LineTemplate),
            false => Err(key.wrong("computes; allowed are fields with filters, as in {{ text | trim }}")),
        }
    }

    /// What it makes of a line.
    ///
    /// # Errors
    /// Where the line lacks a field.
    pub fn render(&self, line: Line) -> Result<String, Error> {
        self.0.render(line.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn columns_are_fields_of_templates() {
        let (_folder, path) = file("a.csv", "text,category\n\"a, b\",x\nc,y\n");
        let template = LineTemplate::new("Q: {{ text }}\nA:", "the step lora", "prompt").expect("a template");
        let lines = Lines::read(&path).expect("lines");
        let said: Vec<String> = lines.iter().map(|line| template.render(line).expect("rendered")).collect();
        assert_eq!(said, ["Q: a, b\nA:", "Q: c\nA:"]);
        let missing = LineTemplate::new("{{ label }}", "the step lora", "prompt").expect("a template");
        let said = missing.render(lines.iter().next().expect("a line")).expect_err("refused").to_string();
        assert!(said.contains("label") && said.contains("a.csv"), "{said}");
    }

    #[test]
    fn what_computes_is_refused() {
        let said = LineTemplate::new("{{ a * 9 }}", "the step lora", "prompt").expect_err("refused").to_string();
        assert!(said.contains("computes"), "{said}");
    }
}

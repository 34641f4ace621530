//! From a line of data to text: the templates of a task, rendered as lm-evaluation-harness's Jinja renders them
//! (StrictUndefined, keep_trailing_newline, Python's string methods, `True` and `None` as Python writes them), and the
//! prompt with its few-shot examples. One thing differs: `tojson` keeps an object's fields in their order. Not the scoring: what an answer is worth is told in [`score`](super::score).
//!
//! The rules are those of `ConfigurableTask` in `lm_eval/api/task.py`, version 0.4.13.

use super::dataset::{Doc, kind};
use super::error::{Error, Key};
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value};
use serde::Deserialize;
use serde_json::Value as Json;

/// Where a piece of text comes from.
#[derive(Debug)]
pub enum Source {
    /// A field of the data, taken as it is.
    Field {
        name: String,
        key: Key,
    },
    Template(Template),
    /// The same choice for every item.
    Index(usize),
}

/// What a source says of one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Text(String),
    /// The index of a choice: a whole number in a field, or a template that renders to digits, where there are choices.
    Index(usize),
    /// Several right answers.
    Any(Vec<Said>),
}

/// A compiled template of one key.
#[derive(Debug)]
pub struct Template {
    key: Key,
    environment: Box<Environment<'static>>,
    /// The expression where the template is one `{{ expression }}` and nothing else: what gives a list.
    expression: Option<String>,
}

/// The environment's only template.
const NAME: &str = "template";

/// Steps that a template may take: some tenths of a second. A loop without an end should not hang who loads a suite.
const FUEL: u64 = 10_000_000;

impl Template {
    pub fn new(source: &str, key: Key) -> Result<Template, Error> {
        let mut environment = Box::new(environment());
        environment
            .add_template_owned(NAME, source.to_string())
            .map_err(|e| key.wrong(format!("is no template: {}", sentence(&e))))?;
        let inner = source.trim().strip_prefix("{{").and_then(|s| s.strip_suffix("}}"));
        let expression = inner.filter(|inner| environment.compile_expression_owned(inner.to_string()).is_ok());
        Ok(Template { expression: expression.map(str::to_string), key, environment })
    }

    pub fn render(&self, doc: &Doc) -> Result<String, Error> {
        let template = self.environment.get_template(NAME).expect("added when it was made");
        let rendered = template.render(doc.variables.clone());
        rendered.map_err(|e| self.failed(doc, &e, template.undeclared_variables(false)))
    }

    /// The value where this is a single expression.
    fn value(&self, doc: &Doc) -> Result<Option<Value>, Error> {
        let Some(expression) = &self.expression else { return Ok(None) };
        let expression = self.environment.compile_expression(expression).expect("compiled when it was made");
        let value = expression.eval(doc.variables.clone());
        match value {
            // evaluating lets an unknown field pass; rendering does not, and knows its name
            Ok(value) if value.is_undefined() => self.render(doc).map(|_| None),
            Ok(value) => Ok(Some(value)),
            Err(e) => Err(self.failed(doc, &e, expression.undeclared_variables(false))),
        }
    }

    /// Says which field is missing where that is what failed.
    fn failed(&self, doc: &Doc, error: &minijinja::Error, asked: impl IntoIterator<Item = String>) -> Error {
        let mut missing: Vec<String> = asked
            .into_iter()
            .filter(|name| {
                !doc.fields.contains_key(name) && !self.environment.globals().any(|(global, _)| global == name)
            })
            .collect();
        missing.sort();
        match missing.first() {
            Some(name) if error.kind() == ErrorKind::UndefinedError => self.key.wrong(doc.lacks(name)),
            _ if error.kind() == ErrorKind::OutOfFuel => {
                self.key.wrong(format!("takes too long at {}; a prompt needs no such loop", doc.place()))
            }
            _ => self.key.wrong(format!("{} at {}; its fields are {}", sentence(error), doc.place(), doc.names())),
        }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, state, value| match python_word(value) {
        Some(word) => out.write_str(word).map_err(minijinja::Error::from),
        None => minijinja::escape_formatter(out, state, value),
    });
    environment
}

/// Python's methods of text and tables; and `list.index`, by which tasks with lettered choices find the right one.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, minijinja::Error> {
    match (value.kind(), name, args) {
        (ValueKind::Seq, "index", [wanted]) => {
            let missing = || minijinja::Error::new(ErrorKind::InvalidOperation, format!("{wanted} is not in {value}"));
            value.try_iter()?.position(|item| item == *wanted).map(Value::from).ok_or_else(missing)
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Jinja prints these as Python does; minijinja would print `true` and `none`.
fn python_word(value: &Value) -> Option<&'static str> {
    match bool::try_from(value.clone()) {
        Ok(true) => Some("True"),
        Ok(false) => Some("False"),
        Err(_) => value.is_none().then_some("None"),
    }
}

/// A template engine's error in one line, with its causes.
fn sentence(error: &minijinja::Error) -> String {
    let mut text = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        text += &format!(": {e}");
        cause = e.source();
    }
    text.replace('\n', " ")
}

impl Source {
    /// A field's name if `first`, the first line of the data, has such a field; a template else.
    pub fn new(text: &str, key: Key, first: &Doc) -> Result<Source, Error> {
        if first.fields.contains_key(text) {
            return Ok(Source::Field { name: text.into(), key });
        }
        let word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if word && !text.chars().all(|c| c.is_ascii_digit()) {
            return Err(
                key.wrong(format!("{}; write a field's name or a template like \"{{{{field}}}}\"", first.lacks(text)))
            );
        }
        Ok(Source::Template(Template::new(text, key)?))
    }

    /// What this says of `doc`. Whole numbers are indices only where there are choices to index.
    pub fn say(&self, doc: &Doc, has_choices: bool) -> Result<Said, Error> {
        match self {
            Source::Index(index) => Ok(Said::Index(*index)),
            Source::Field { name, key } => {
                let field = doc.fields.get(name).ok_or_else(|| key.wrong(doc.lacks(name)))?;
                said(field, has_choices).map_err(|why| key.wrong(format!("field '{name}' of {} {why}", doc.place())))
            }
            Source::Template(template) => {
                if let Some(list) = template.value(doc)?.as_ref().and_then(items) {
                    return Ok(Said::Any(list.map(|v| said_value(&v, has_choices)).collect()));
                }
                Ok(read(template.render(doc)?, has_choices))
            }
        }
    }

    /// The choices that this gives: a list.
    fn list(&self, doc: &Doc) -> Result<Vec<String>, Error> {
        let allowed =
            "choices are a list: [\"a\", \"b\"], a field that holds a list, or one {{ expression }} that gives a list";
        match self {
            Source::Field { name, key } => match doc.fields.get(name) {
                Some(Json::Array(list)) => list
                    .iter()
                    .map(|choice| match said(choice, false) {
                        Ok(Said::Text(text)) => Ok(text),
                        _ => Err(key.wrong(format!("a choice at {} is {}; {allowed}", doc.place(), kind(choice)))),
                    })
                    .collect(),
                Some(other) => {
                    Err(key.wrong(format!("field '{name}' of {} is {}; {allowed}", doc.place(), kind(other))))
                }
                None => Err(key.wrong(doc.lacks(name))),
            },
            Source::Template(template) => match template.value(doc)?.as_ref().and_then(items) {
                Some(list) => Ok(list.map(|v| plain(&v)).collect()),
                None => Err(template.key.wrong(format!("gives no list at {}; {allowed}", doc.place()))),
            },
            Source::Index(_) => unreachable!("choices are never read from an index"),
        }
    }
}

/// Digits are an index where there are choices.
fn read(text: String, has_choices: bool) -> Said {
    let digits = has_choices && !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match text.parse() {
        Ok(index) if digits => Said::Index(index),
        _ => Said::Text(text),
    }
}

fn said(field: &Json, has_choices: bool) -> Result<Said, String> {
    let negative = || "is below 0; an index of a choice is 0 or more".to_string();
    Ok(match field {
        Json::String(text) => Said::Text(text.clone()),
        Json::Bool(b) if has_choices => Said::Index((*b).into()),
        Json::Bool(b) => Said::Text(if *b { "True" } else { "False" }.into()),
        Json::Number(n) if has_choices && n.is_i64() && !n.is_u64() => return Err(negative()),
        Json::Number(n) => match n.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(index) if has_choices => Said::Index(index),
            _ => Said::Text(n.to_string()),
        },
        Json::Array(list) => Said::Any(list.iter().map(|f| said(f, has_choices)).collect::<Result<_, _>>()?),
        Json::Null | Json::Object(_) => return Err(format!("is {}; text, a number or a list is needed", kind(field))),
    })
}

fn said_value(value: &Value, has_choices: bool) -> Said {
    match usize::try_from(value.clone()) {
        Ok(index) if has_choices && value.is_integer() => Said::Index(index),
        _ => Said::Text(plain(value)),
    }
}

/// The elements where the value is a list.
fn items(value: &Value) -> Option<impl Iterator<Item = Value> + use<>> {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable).then(|| value.try_iter().ok()).flatten()
}

fn plain(value: &Value) -> String {
    python_word(value).map_or_else(|| value.to_string(), str::to_string)
}

/// The choices of a task.
#[derive(Debug)]
pub enum Choices {
    /// The same number for every item, each a template of its own.
    Each(Vec<Template>),
    /// One source that gives the list.
    List(Source),
}

impl Choices {
    fn of(&self, doc: &Doc, key: &Key) -> Result<Vec<String>, Error> {
        let choices = match self {
            Choices::Each(templates) => templates.iter().map(|t| t.render(doc)).collect::<Result<Vec<_>, _>>()?,
            Choices::List(source) => source.list(doc)?,
        };
        match choices.iter().position(String::is_empty) {
            _ if choices.is_empty() => {
                Err(key.wrong(format!("there are no choices at {}; at least one is needed", doc.place())))
            }
            Some(i) => Err(key.wrong(format!("choice {i} is empty at {}; every choice needs some text", doc.place()))),
            None => Ok(choices),
        }
    }
}

/// Which of the pool are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// The first ones, the same for every item.
    #[default]
    FirstN,
}

/// All that turns a line of data into a prompt and its right answer.
#[derive(Debug)]
pub struct Prompt {
    pub key: Key,
    pub description: Option<Template>,
    pub text: Source,
    pub choices: Option<Choices>,
    pub target: Source,
    pub target_delimiter: String,
    pub fewshot_delimiter: String,
    pub num_fewshot: usize,
    pub sampler: Sampler,
}

/// One line of data, said in the task's words.
#[derive(Debug)]
pub struct Question {
    pub text: Said,
    pub choices: Vec<String>,
    pub target: Said,
}

impl Prompt {
    pub fn question(&self, doc: &Doc) -> Result<Question, Error> {
        let choices = self.choices.as_ref().map(|c| c.of(doc, &self.key.at("doc_to_choice"))).transpose()?;
        let has = choices.is_some();
        let (text, target) = (self.text.say(doc, has)?, self.target.say(doc, has)?);
        if let Said::Any(_) = text {
            return Err(self.key.at("doc_to_text").wrong(format!("gives a list at {}; text is needed", doc.place())));
        }
        Ok(Question { text, choices: choices.unwrap_or_default(), target })
    }

    /// What stands before the question: the description and the few-shot examples of `pool`, the line itself left out.
    pub fn before(&self, doc: &Doc, pool: &[Doc]) -> Result<String, Error> {
        let mut before = self.description.as_ref().map(|d| d.render(doc)).transpose()?.unwrap_or_default();
        let others = pool.iter().filter(|example| example.fields != doc.fields);
        let shown = match self.sampler {
            Sampler::FirstN => others.take(self.num_fewshot),
        };
        for example in shown {
            before += &self.example(example)?;
        }
        Ok(before)
    }

    fn example(&self, doc: &Doc) -> Result<String, Error> {
        let Question { text, choices, target } = self.question(doc)?;
        let choice = |key: &str, index: usize| choices.get(index).ok_or_else(|| self.beyond(key, index, &choices, doc));
        let question = match text {
            Said::Index(index) => choice("doc_to_text", index)?.clone(),
            Said::Text(text) => text,
            Said::Any(_) => unreachable!("refused in question()"),
        };
        let first = match target {
            Said::Any(several) => several.into_iter().next().unwrap_or(Said::Text(String::new())),
            one => one,
        };
        let answer = match first {
            Said::Index(index) => choice("doc_to_target", index)?.clone(),
            Said::Text(text) => text,
            Said::Any(_) => {
                return Err(self.key.at("doc_to_target").wrong(format!("is a list of lists at {}", doc.place())));
            }
        };
        if answer.is_empty() {
            return Ok(question);
        }
        Ok(question + &self.target_delimiter + &answer + &self.fewshot_delimiter)
    }

    /// An index that no choice has.
    pub fn beyond(&self, key: &str, index: usize, choices: &[String], doc: &Doc) -> Error {
        let allowed = match choices.len() {
            0 => "there are no choices".to_string(),
            n => format!("allowed is 0 to {}", n - 1),
        };
        self.key.at(key).wrong(format!("is choice {index} at {}; {allowed}", doc.place()))
    }
}

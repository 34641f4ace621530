//! Templates, rendered as lm-evaluation-harness's Jinja renders them (StrictUndefined, keep_trailing_newline, Python's
//! string methods, `True` and `None` as Python writes them). One thing differs: `tojson` keeps an object's fields in
//! their order.

use crate::data::{Doc, WHOLE};
use crate::error::{Error, Key};
use crate::python::{number, represented};
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value};

/// A compiled template of one key.
#[derive(Debug)]
pub(crate) struct Template {
    pub(super) key: Key,
    environment: Box<Environment<'static>>,
    /// The expression where the template is one `{{ expression }}` and nothing else: what gives a list.
    expression: Option<String>,
}

/// The environment's only template.
const NAME: &str = "template";

/// Steps that a template may take: some tenths of a second. A loop without an end should not hang who loads a suite.
const FUEL: u64 = 10_000_000;

/// The most bytes that a template may write.
const OUTPUT: usize = 16 << 20;

/// What a template wrote, up to [`OUTPUT`].
struct Bounded(Vec<u8>);

impl Bounded {
    fn is_full(&self) -> bool {
        self.0.len() > OUTPUT
    }
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        match self.is_full() {
            true => Err(std::io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Template {
    /// Whether it is one expression that gives a whole number by what it calls.
    pub(super) fn is_an_index(&self) -> bool {
        let ends = |expression: &String| expression.contains(".index(") || expression.trim_end().ends_with("| int");
        self.expression.as_ref().is_some_and(ends)
    }

    /// Compiles the text of a key.
    pub(crate) fn new(source: &str, key: Key) -> Result<Template, Error> {
        let mut environment = Box::new(environment());
        environment
            .add_template_owned(NAME, source.to_string())
            .map_err(|e| key.wrong(format!("is no template: {}", sentence(&e))))?;
        let inner = source.trim().strip_prefix("{{").and_then(|s| s.strip_suffix("}}"));
        let expression = inner.filter(|inner| environment.compile_expression_owned(inner.to_string()).is_ok());
        Ok(Template { expression: expression.map(str::to_string), key, environment })
    }

    /// The text that this makes of a line of data.
    pub(crate) fn render(&self, doc: &Doc) -> Result<String, Error> {
        let template = self.environment.get_template(NAME).expect("added when it was made");
        let mut out = Bounded(Vec::new());
        let rendered = template.render_captured_to(doc.variables.clone(), &mut out);
        match rendered {
            Ok(_) => Ok(String::from_utf8(out.0).expect("a template writes text")),
            Err(_) if out.is_full() => {
                let message =
                    format!("gives more than {} MiB at {}; no model reads that much", OUTPUT >> 20, doc.place());
                Err(self.key.wrong(message))
            }
            Err(e) => Err(self.failed(doc, &e, template.undeclared_variables(false))),
        }
    }

    /// The value where this is a single expression.
    pub(super) fn value(&self, doc: &Doc) -> Result<Option<Value>, Error> {
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
                !doc.fields.contains_key(name)
                    && name != WHOLE
                    && !self.environment.globals().any(|(global, _)| global == name)
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
    environment.add_filter("regex_replace", regex_replace);
    environment.set_formatter(|out, state, value| {
        match python_word(value).map(str::to_owned).or_else(|| python_value(value)) {
            Some(text) => out.write_str(&text).map_err(minijinja::Error::from),
            None => minijinja::escape_formatter(out, state, value),
        }
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

/// lm-evaluation-harness's own filter: `re.sub`.
fn regex_replace(text: &str, pattern: &str, with: &str, count: Option<usize>) -> Result<String, minijinja::Error> {
    let refused = |why: String| minijinja::Error::new(ErrorKind::InvalidOperation, why);
    let regex = crate::python::regex(pattern).map_err(refused)?;
    let with = crate::python::replacement(with);
    regex
        .try_replacen(text, count.unwrap_or(0), with.as_str())
        .map(|text| text.into_owned())
        .map_err(|e| refused(e.to_string()))
}

/// Lists, tables and real numbers as Python prints them.
fn python_value(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::Number if !value.is_integer() => Some(number(f64::try_from(value.clone()).ok()?)),
        ValueKind::Seq | ValueKind::Map => Some(represented(&json_of(value, 0)?)),
        _ => None,
    }
}

/// A value as JSON; None of what Python has no such literal for.
fn json_of(value: &Value, depth: usize) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    let below = |value: &Value| json_of(value, depth + 1);
    match value.kind() {
        _ if depth > 64 => None,
        ValueKind::None | ValueKind::Undefined => Some(Json::Null),
        ValueKind::Bool => Some(value.is_true().into()),
        ValueKind::Number if value.is_integer() => Some(i64::try_from(value.clone()).ok()?.into()),
        ValueKind::Number => Some(f64::try_from(value.clone()).ok()?.into()),
        ValueKind::String => Some(value.as_str()?.into()),
        ValueKind::Seq => value.try_iter().ok()?.map(|item| below(&item)).collect(),
        ValueKind::Map => {
            let pair = |key: Value| Some((key.as_str()?.to_owned(), below(&value.get_item(&key).ok()?)?));
            value.try_iter().ok()?.map(pair).collect::<Option<_>>().map(Json::Object)
        }
        _ => None,
    }
}

/// Jinja prints these as Python does; minijinja would print `true` and `none`.
pub(super) fn python_word(value: &Value) -> Option<&'static str> {
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

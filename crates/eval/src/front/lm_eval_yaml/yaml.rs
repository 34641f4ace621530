//! YAML as PyYAML reads it, every value with its line. PyYAML follows YAML 1.1: `yes` is true, `1e-5` is text, `010` is
//! eight; a parser of YAML 1.2 would read other tasks. `!function` stays what it is.
//! <https://yaml.org/type/> (bool, int, float, null, merge), and `yaml/resolver.py` of PyYAML 6.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// How deep values may lie in one another.
const DEPTH: usize = 64;
/// The most values of a file: an alias in an alias would make many of few.
const VALUES: usize = 1 << 20;

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
    /// `!function utils.process_docs`
    Function(String),
}

/// Why a text is no YAML, with the line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    pub(crate) line: usize,
    pub(crate) why: String,
}

impl Node {
    /// Reads a file's first document.
    pub(crate) fn parse(text: &str) -> Result<Node, Broken> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader {
            parser: Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false }),
            anchors: HashMap::new(),
            values: 0,
        };
        reader.document()
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(map) => map.iter().rev().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Text, where it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a list.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, for a sentence.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "empty",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Function(_) => "a function",
        }
    }

    /// As a line of data would hold it; a function is its name.
    pub(crate) fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::from(*b),
            Value::Int(i) => Json::from(*i),
            Value::Float(f) => Json::from(*f),
            Value::Text(text) | Value::Function(text) => Json::from(text.as_str()),
            Value::List(list) => list.iter().map(Node::json).collect(),
            Value::Map(map) => {
                Json::Object(map.iter().map(|(key, node)| (key.clone(), node.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// Every text within, for whoever has to look at all templates of a task.
    pub(crate) fn texts(&self, see: &mut dyn FnMut(&str)) {
        match &self.value {
            Value::Text(text) => see(text),
            Value::List(list) => list.iter().for_each(|node| node.texts(see)),
            Value::Map(map) => map.iter().for_each(|(_, node)| node.texts(see)),
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    values: usize,
}

/// An event without its borrowed parts.
enum Step {
    Scalar {
        text: String,
        plain: bool,
        anchor: usize,
        tag: Option<String>,
    },
    List(usize),
    Map(usize),
    End,
    Alias(usize),
    /// Of no value: the beginning of a document, a comment.
    Other,
    Over,
}

impl Reader<'_> {
    fn step(&mut self) -> Result<(Step, usize), Broken> {
        let Some(next) = self.parser.next_event() else { return Ok((Step::Over, 1)) };
        let (event, span) = next.map_err(|e| Broken { line: e.marker().line(), why: e.info() })?;
        let line = span.start.line();
        let step = match event {
            Event::Scalar(text, style, anchor, tag) => Step::Scalar {
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain,
                anchor,
                tag: tag.map(|tag| tag.original()),
            },
            Event::SequenceStart(_, anchor, _) => Step::List(anchor),
            Event::MappingStart(_, anchor, _) => Step::Map(anchor),
            Event::SequenceEnd | Event::MappingEnd => Step::End,
            Event::Alias(anchor) => Step::Alias(anchor),
            Event::StreamEnd | Event::DocumentEnd => Step::Over,
            _ => Step::Other,
        };
        Ok((step, line))
    }

    fn document(&mut self) -> Result<Node, Broken> {
        loop {
            match self.step()? {
                (Step::Other, _) => {}
                (Step::Over, line) => return Ok(Node { line, value: Value::Null }),
                (step, line) => return Ok(self.node(step, line, 0)?.unwrap_or(Node { line, value: Value::Null })),
            }
        }
    }

    /// The value that begins with a step; None where the step ends the list or map around it.
    fn node(&mut self, step: Step, line: usize, depth: usize) -> Result<Option<Node>, Broken> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(Broken { line, why: "has too many values, or too deep in one another".into() });
        }
        let (anchor, value) = match step {
            Step::Scalar { text, plain, anchor, tag } => (anchor, scalar(text, plain, tag.as_deref())),
            Step::List(anchor) => {
                let mut list = Vec::new();
                while let Some(node) = self.next(depth)? {
                    list.push(node);
                }
                (anchor, Value::List(list))
            }
            Step::Map(anchor) => (anchor, Value::Map(self.map(depth)?)),
            Step::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| Broken { line, why: "names what is not there".into() })?;
                self.values += size(&node);
                return Ok(Some(Node { line, ..node }));
            }
            Step::End | Step::Over | Step::Other => return Ok(None),
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(Some(node))
    }

    fn next(&mut self, depth: usize) -> Result<Option<Node>, Broken> {
        loop {
            match self.step()? {
                (Step::Other, _) => {}
                (step, line) => return self.node(step, line, depth + 1),
            }
        }
    }

    /// A key that is there twice has its last value, in the place of the first, as in Python's dictionaries.
    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Broken> {
        let (mut map, mut merged) = (Vec::<(String, Node)>::new(), Vec::<(String, Node)>::new());
        while let Some(key) = self.next(depth)? {
            let line = key.line;
            let mut node = self.next(depth)?.unwrap_or(Node { line, value: Value::Null });
            // a key is where it is written, whatever the lines that its value takes
            node.line = line;
            match (name(&key.value), node.value) {
                (Some(name), value) if name != "<<" => put(&mut map, name, Node { line, value }),
                (Some(_), Value::Map(others)) => merged.extend(others),
                (Some(_), Value::List(several)) => {
                    merged.extend(several.into_iter().rev().flat_map(|one| match one.value {
                        Value::Map(others) => others,
                        _ => Vec::new(),
                    }))
                }
                _ => return Err(Broken { line, why: "has a key that is no word".into() }),
            }
        }
        let own = std::mem::take(&mut map);
        merged.into_iter().chain(own).for_each(|(name, node)| put(&mut map, name, node));
        Ok(map)
    }
}

fn put(map: &mut Vec<(String, Node)>, name: String, node: Node) {
    match map.iter_mut().find(|(there, _)| *there == name) {
        Some((_, there)) => *there = node,
        None => map.push((name, node)),
    }
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(i) => Some(i.to_string()),
        Value::Bool(b) => Some(if *b { "True" } else { "False" }.into()),
        Value::Float(f) => Some(f.to_string()),
        Value::Null => Some("None".into()),
        _ => None,
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.iter().map(|(_, node)| size(node)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: String, plain: bool, tag: Option<&str>) -> Value {
    match tag {
        Some("!function") => Value::Function(text.trim().to_owned()),
        Some("!!null" | "tag:yaml.org,2002:null") => Value::Null,
        Some("!!str" | "!" | "tag:yaml.org,2002:str") => Value::Text(text),
        _ if plain => resolved(text),
        _ => Value::Text(text),
    }
}

/// What a word without quotes is.
fn resolved(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match begins {
        true => int(&text).map(Value::Int).or_else(|| float(&text).map(Value::Float)).unwrap_or(Value::Text(text)),
        false => Value::Text(text),
    }
}

fn signed(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

fn int(text: &str) -> Option<i64> {
    let (sign, digits) = signed(text);
    let of = |digits: &str, base: u32, allowed: &dyn Fn(char) -> bool| {
        let bare: String = digits.chars().filter(|c| *c != '_').collect();
        let right = !digits.is_empty() && digits.chars().all(|c| c == '_' || allowed(c));
        right.then(|| i64::from_str_radix(&bare, base).ok()).flatten().map(|n| sign * n)
    };
    if let Some(digits) = digits.strip_prefix("0b") {
        return of(digits, 2, &|c| matches!(c, '0' | '1'));
    }
    if let Some(digits) = digits.strip_prefix("0x") {
        return of(digits, 16, &|c| c.is_ascii_hexdigit());
    }
    if digits.contains(':') {
        return sexagesimal(digits).map(|n| sign * n);
    }
    match digits.strip_prefix('0') {
        Some("") => Some(0),
        Some(digits) => of(digits, 8, &|c| ('0'..='7').contains(&c)),
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => of(digits, 10, &|c| c.is_ascii_digit()),
        None => None,
    }
}

/// `1:30` is 90.
fn sexagesimal(digits: &str) -> Option<i64> {
    let mut parts = digits.split(':');
    let first = parts.next().filter(|first| first.starts_with(|c: char| ('1'..='9').contains(&c)))?;
    let first: i64 = first.replace('_', "").parse().ok()?;
    parts.try_fold(first, |sum, part| {
        let right = matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
        let part: i64 = part.parse().ok().filter(|part| right && *part < 60)?;
        sum.checked_mul(60)?.checked_add(part)
    })
}

/// A point is needed, and a sign in the exponent.
fn float(text: &str) -> Option<f64> {
    let (sign, bare) = signed(text);
    match bare {
        ".inf" | ".Inf" | ".INF" => return Some(sign as f64 * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match bare.find(['e', 'E']) {
        Some(at) => (&bare[..at], Some(&bare[at + 1..])),
        None => (bare, None),
    };
    let (whole, part) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let right = digits(whole) && digits(part) && (first(whole) || bare == text && whole.is_empty() && first(part));
    let right = right
        && exponent
            .is_none_or(|e| e.len() > 1 && e.starts_with(['-', '+']) && e[1..].bytes().all(|b| b.is_ascii_digit()));
    right.then(|| bare.replace('_', "").parse::<f64>().ok()).flatten().map(|f| sign as f64 * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Node::parse(text).expect("YAML").json()
    }

    #[test]
    fn words_and_numbers_are_what_pyyaml_takes_them_for() {
        let text = "a: yes\nb: no\nc: 'no'\nd: 010\ne: 1e-5\nf: 1.5e+3\ng: ~\nh:\ni: 0x1F\nj: 1:30\nk: 1_000\nl: -.5\nm: .5\nn: 08\no: \
                    2020-01-01\np: 1.\nq: on\nr: y\n";
        let wanted = serde_json::json!({ "a": true, "b": false, "c": "no", "d": 8, "e": "1e-5", "f": 1500.0, "g": null, "h": null,
            "i": 31, "j": 90, "k": 1000, "l": "-.5", "m": 0.5, "n": "08", "o": "2020-01-01", "p": 1.0, "q": true, "r": "y" });
        assert_eq!(json(text), wanted);
    }

    #[test]
    fn functions_anchors_and_merges_are_kept_with_their_lines() {
        let node =
            Node::parse("a: &x\n  p: 1\n  q: 2\nb:\n  <<: *x\n  q: 3\nc: !function utils.f\n\"d\": |\n  one\n  two\n")
                .expect("YAML");
        assert_eq!(node.json()["b"], serde_json::json!({ "p": 1, "q": 3 }));
        assert_eq!(node.get("c").map(|c| (&c.value, c.line)), Some((&Value::Function("utils.f".into()), 7)));
        assert_eq!(node.get("d").and_then(Node::text), Some("one\ntwo\n"));
        let broken = Node::parse("a: 1\nb: [1, 2\n").expect_err("not closed");
        assert!(broken.line >= 2, "{broken:?}");
        let bomb: String = (0..40)
            .map(|i| {
                format!("a{i}: &a{i} [{}]\n", if i == 0 { "1".into() } else { format!("*a{p}, *a{p}", p = i - 1) })
            })
            .collect();
        assert!(Node::parse(&bomb).is_err());
        assert!(Node::parse(&"[".repeat(1000)).is_err());
    }
}

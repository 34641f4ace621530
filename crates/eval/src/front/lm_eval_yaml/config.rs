//! A task's file with all that it includes: keys with their values, each with the file and the line that it stands in.
//! (`lm_eval/tasks/_yaml_loader.py`, 0.4.13.)

use super::yaml::{Node, Value};
use crate::error::Error;
use bantam_core::input;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of a task or a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    keys: Vec<(String, Entry)>,
}

/// A key's value, and the file that it stands in.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) file: Arc<Path>,
}

impl Entry {
    /// `gsm8k.yaml:12`
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.node.line)
    }
}

impl Config {
    /// Reads a file and what it includes.
    pub(super) fn read(path: &Path) -> Result<Config, Error> {
        read(path, &mut Vec::new())
    }

    /// The keys of a map within a file.
    pub(super) fn of(node: &Node, file: &Arc<Path>) -> Config {
        let entry = |node: &Node| Entry { node: node.clone(), file: file.clone() };
        let keys = match &node.value {
            Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), entry(node))).collect(),
            _ => Vec::new(),
        };
        Config { keys }
    }

    /// Keys that a name says.
    pub(super) fn of_json(keys: &[(String, Json)]) -> Config {
        let file: Arc<Path> = PathBuf::from("lm_eval").into();
        let entry = |value: &Json| Entry { node: node(value), file: file.clone() };
        Config { keys: keys.iter().map(|(key, value)| (key.clone(), entry(value))).collect() }
    }

    /// What is there and not empty.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entry(key).filter(|entry| !entry.node.is_null())
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, entry)| entry)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.node.text()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.keys.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Lays others over these.
    pub(super) fn update(&mut self, others: &Config) {
        for (key, entry) in &others.keys {
            match self.keys.iter_mut().find(|(name, _)| name == key) {
                Some((_, there)) => *there = entry.clone(),
                None => self.keys.push((key.clone(), entry.clone())),
            }
        }
    }

    pub(super) fn without(mut self, keys: &[&str]) -> Config {
        self.keys.retain(|(key, _)| !keys.contains(&key.as_str()));
        self
    }

    pub(super) fn with(mut self, key: &str, value: &str, like: &Entry) -> Config {
        let node = Node { line: like.node.line, value: Value::Text(value.into()) };
        let own = Config { keys: vec![(key.into(), Entry { node, file: like.file.clone() })] };
        self.update(&own);
        self
    }

    /// Where each key stands.
    pub(super) fn places(&self) -> BTreeMap<String, String> {
        self.keys.iter().map(|(key, entry)| (key.clone(), entry.place())).collect()
    }

    /// As a name says them.
    pub(super) fn json(&self) -> Vec<(String, Json)> {
        self.keys.iter().map(|(key, entry)| (key.clone(), written(&entry.node, &entry.file))).collect()
    }
}

/// A function's name in JSON, with the file from which it is named.
const FUNCTION: &str = "!function";

fn written(node: &Node, file: &Path) -> Json {
    match &node.value {
        Value::Function(name) => serde_json::json!({ FUNCTION: name, "file": file.to_string_lossy() }),
        Value::List(list) => list.iter().map(|node| written(node, file)).collect(),
        Value::Map(map) => Json::Object(map.iter().map(|(key, node)| (key.clone(), written(node, file))).collect()),
        _ => node.json(),
    }
}

fn node(value: &Json) -> Node {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(list) => Value::List(list.iter().map(node).collect()),
        Json::Object(map) => match (map.get(FUNCTION).and_then(Json::as_str), map.get("file").and_then(Json::as_str)) {
            // the module's place goes before its name
            (Some(name), Some(file)) => {
                let folder = Path::new(file).parent().unwrap_or(Path::new(""));
                Value::Function(folder.join(name).to_string_lossy().into_owned())
            }
            _ => Value::Map(map.iter().map(|(key, value)| (key.clone(), node(value))).collect()),
        },
    };
    Node { line: 1, value }
}

fn read(path: &Path, seen: &mut Vec<PathBuf>) -> Result<Config, Error> {
    let shown = path.display().to_string();
    let broken = |line: usize, message: String| Error::Malformed { file: shown.clone(), line, message };
    let unreadable = |source| Error::Unreadable { file: shown.clone(), source };
    let real = path.canonicalize().map_err(unreadable)?;
    if seen.contains(&real) {
        return Err(broken(1, "is included twice, or includes itself; every file may be included once".into()));
    }
    seen.push(real);
    let bytes = input::read(path, input::WRITTEN_BY_HAND).map_err(unreadable)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| broken(1, "is not UTF-8 text; save the file as UTF-8".into()))?;
    let root = Node::parse(text).map_err(|e| broken(e.line, format!("is no YAML: {}", e.why)))?;
    if !matches!(root.value, Value::Map(_)) {
        return Err(broken(root.line, format!("is {}; a task's file holds keys, as in task: NAME", root.kind())));
    }
    let file: Arc<Path> = path.into();
    let own = Config::of(&root, &file);
    let mut all = Config::default();
    for (line, included) in includes(&root).map_err(|(line, why)| broken(line, why))? {
        let included = path.parent().unwrap_or(Path::new("")).join(included);
        let config = read(&included, seen).map_err(|error| match error {
            Error::Unreadable { file, source } => broken(line, format!("include: {file} cannot be read: {source}")),
            other => other,
        })?;
        all.update(&config.without(&["task_list"]));
    }
    all.update(&own.without(&["include"]));
    Ok(all)
}

fn includes(root: &Node) -> Result<Vec<(usize, &str)>, (usize, String)> {
    let Some(include) = root.get("include").filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
    let nodes: Vec<&Node> = match &include.value {
        Value::List(list) => list.iter().collect(),
        _ => vec![include],
    };
    let path = |node: &'_ Node| (node.line, format!("include: is {}; a file's path is needed", node.kind()));
    nodes.into_iter().map(|node| Ok((node.line, node.text().ok_or_else(|| path(node))?))).collect()
}

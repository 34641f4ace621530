//! The lines of a task's splits: files that the task names, or a dataset of the hub; as Python's datasets gives them.

use super::config::{Config, Entry};
use super::yaml::{Node, Value};
use crate::data::{Dataset, Doc, Fields, Format};
use crate::error::{Error, Key, either};
use crate::front::OnHub;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// What `dataset_kwargs` may hold that changes nothing here: how files are fetched, and whether code may run.
const IGNORED: [&str; 7] =
    ["trust_remote_code", "streaming", "verification_mode", "cache_dir", "download_mode", "num_proc", "keep_in_memory"];
/// Formats of local files, as `dataset_path` names them.
const FORMATS: [&str; 4] = ["json", "csv", "parquet", "text"];

/// What it may say of tables, as pandas reads them.
const COLUMNS: [&str; 4] = ["column_names", "names", "sep", "delimiter"];

/// Where a task's data is.
pub(super) struct Splits<'a> {
    config: &'a Config,
    key: &'a Key,
    path: String,
}

impl<'a> Splits<'a> {
    pub(super) fn of(config: &'a Config, key: &'a Key) -> Result<Splits<'a>, Error> {
        let path = match config.get("dataset_path").map(|entry| &entry.node) {
            Some(Node { value: Value::Text(path), .. }) => path.clone(),
            Some(other) => {
                return Err(key.at("dataset_path").wrong(format!("is {}; ORG/NAME or json is needed", other.kind())));
            }
            None => {
                return Err(key.wrong(
                    "has no dataset_path; write dataset_path: ORG/NAME, or json with dataset_kwargs: data_files",
                ));
            }
        };
        let splits = Splits { config, key, path };
        splits.check_kwargs()?;
        Ok(splits)
    }

    fn kwargs(&self) -> Option<&'a Entry> {
        self.config.get("dataset_kwargs")
    }

    fn check_kwargs(&self) -> Result<(), Error> {
        let Some(Entry { node, .. }) = self.kwargs() else { return Ok(()) };
        let Value::Map(map) = &node.value else {
            return Err(self.key.at("dataset_kwargs").wrong(format!("is {}; a map is needed", node.kind())));
        };
        let local = FORMATS.contains(&self.path.as_str());
        let known = |name: &str| {
            IGNORED.contains(&name)
                || (name == "data_files" && local)
                || (name == "revision" && !local)
                || (self.path == "csv" && COLUMNS.contains(&name))
        };
        match map.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((name, _)) if name == "data_files" => Err(self.key.at("dataset_kwargs").wrong(format!(
                "data_files of '{}' cannot be chosen; allowed are those of dataset_path json, csv, parquet or text",
                self.path
            ))),
            Some((name, _)) => Err(self.key.at("dataset_kwargs").wrong(format!(
                "'{name}' is not known; allowed is {}",
                match (local, self.path == "csv") {
                    (true, true) => "data_files, column_names or sep",
                    (true, false) => "data_files",
                    (false, _) => "revision",
                }
            ))),
        }
    }

    /// How the local files are written.
    fn format(&self) -> Result<Format, Error> {
        let key = self.key.at("dataset_kwargs");
        let given = |names: [&str; 2]| {
            names.iter().find_map(|name| self.kwargs()?.node.get(name).filter(|node| !node.is_null()))
        };
        let column_names = match given(["column_names", "names"]) {
            None => None,
            Some(node) => match &node.value {
                Value::List(list) => Some(list.iter().map(|name| crate::python::printed(&name.json())).collect()),
                _ => return Err(key.wrong(format!("column_names is {}; a list of names is needed", node.kind()))),
            },
        };
        let delimiter = match given(["sep", "delimiter"]).map(|node| (node.text(), node)) {
            None => None,
            Some((Some(text), _)) if text.len() == 1 => text.bytes().next(),
            Some((_, node)) => {
                let said = node.text().unwrap_or(node.kind());
                return Err(key.wrong(format!("sep is '{said}'; one ASCII letter is needed, as \",\" or \"\\t\"")));
            }
        };
        Ok(Format { name: self.path.clone(), column_names, delimiter })
    }

    /// What the hub calls a split; None where the files lie here.
    pub(super) fn on_hub(&self, split: &str) -> Option<String> {
        if FORMATS.contains(&self.path.as_str()) || Path::new(&self.path).is_dir() {
            return None;
        }
        let revision = self.kwargs().and_then(|kwargs| kwargs.node.get("revision")?.text());
        let revision = revision.map_or(String::new(), |revision| format!("@{revision}"));
        let name = self.name().map_or(String::new(), |name| format!("{name}/"));
        Some(format!("{}{revision}#{name}{split}", self.path))
    }

    fn name(&self) -> Option<String> {
        self.config.get("dataset_name").map(|entry| crate::python::printed(&entry.node.json()))
    }

    /// The lines of a split, which the key `of` names.
    pub(super) fn read(&self, split: &str, of: &str, on_hub: OnHub) -> Result<Dataset, Error> {
        let key = self.key.at(of);
        let everything = |_: &str| true;
        let data = match self.on_hub(split) {
            Some(name) => Dataset::read(&on_hub(&name).map_err(|why| key.wrong(why))?, &everything),
            None if FORMATS.contains(&self.path.as_str()) => {
                Dataset::read_as(&self.files(split, &key)?, Some(&self.format()?), &everything)
            }
            None => Dataset::read(&in_folder(Path::new(&self.path), split, &key)?, &everything),
        };
        Ok(filled(data?))
    }

    /// The files of a split by `data_files`: a map of splits, or files that are all of them `train`.
    fn files(&self, split: &str, key: &Key) -> Result<Vec<PathBuf>, Error> {
        let at = self.key.at("dataset_kwargs");
        let entry = self.kwargs().and_then(|kwargs| Some((kwargs.node.get("data_files")?, &kwargs.file)));
        let (node, file) = entry.ok_or_else(|| {
            at.wrong(format!(
                "has no data_files, which dataset_path {} needs; write data_files: {{{split}: FILE}}",
                self.path
            ))
        })?;
        let named = match &node.value {
            Value::Map(splits) => match node.get(split) {
                Some(node) => node,
                None => {
                    let there: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
                    return Err(
                        key.wrong(format!("is '{split}', which data_files does not have; it has {}", either(&there)))
                    );
                }
            },
            _ if split == "train" => node,
            _ => return Err(key.wrong(format!("is '{split}'; files without a split are train"))),
        };
        let one = std::slice::from_ref(named);
        let paths = match &named.value {
            Value::List(list) => list.as_slice(),
            _ => one,
        };
        let mut files = Vec::new();
        for node in paths {
            let path = node
                .text()
                .ok_or_else(|| at.wrong(format!("a file of '{split}' is {}; a path is needed", node.kind())))?;
            if path.contains("://") {
                return Err(at.wrong(format!("'{path}' is an address; fetch the file, and name it by its path")));
            }
            files.extend(found(path, file.parent().unwrap_or(Path::new(""))).ok_or_else(|| {
                at.wrong(format!("'{path}' is no file, neither from the working folder nor from the task's own"))
            })?);
        }
        Ok(files)
    }
}

/// A file from the working folder, as lm-evaluation-harness reads paths, or else from the folder of the task's file; a name
/// with `*` is several.
fn found(path: &str, folder: &Path) -> Option<Vec<PathBuf>> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    [PathBuf::from(path), folder.join(path)].into_iter().find_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let Some((begin, end)) = name.split_once('*') else { return path.is_file().then(|| vec![path.clone()]) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(parent).ok()?.flatten().map(|entry| entry.path());
        let meant = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        };
        let mut files: Vec<PathBuf> = entries.filter(meant).collect();
        files.sort();
        (!files.is_empty()).then_some(files)
    })
}

/// The files of a folder whose names say that they are of a split.
fn in_folder(folder: &Path, split: &str, key: &Key) -> Result<Vec<PathBuf>, Error> {
    let words: &[&str] = match split {
        "train" => &["train", "training"],
        "validation" => &["validation", "valid", "val", "dev"],
        "test" => &["test", "testing", "eval", "evaluation"],
        other => &[other],
    };
    let folders = [folder.to_owned(), folder.join("data")];
    let entries = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_of = |path: &PathBuf| {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let read = path
            .extension()
            .is_some_and(|end| ["parquet", "jsonl", "json", "csv", "tsv"].iter().any(|known| end == *known));
        read && name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| words.contains(&part))
    };
    let mut files: Vec<PathBuf> = entries.filter(is_of).collect();
    files.sort();
    match files.is_empty() {
        true => Err(key.wrong(format!("is '{split}', of which {} has no file", folder.display()))),
        false => Ok(files),
    }
}

/// Every line with every field that any line has: one that is missing is null, as in a table.
fn filled(data: Dataset) -> Dataset {
    let mut names: Vec<String> = Vec::new();
    for doc in &data.docs {
        let is_new = doc.fields.len() > names.len() || doc.fields.keys().zip(&names).any(|(own, known)| own != known);
        if is_new {
            names.extend(doc.fields.keys().filter(|own| !names.contains(own)).cloned().collect::<Vec<_>>());
        }
    }
    let whole = |doc: Doc| {
        if doc.fields.len() == names.len() {
            return doc;
        }
        let field = |name: &String| (name.clone(), doc.fields.get(name).cloned().unwrap_or(Json::Null));
        doc.with_fields(names.iter().map(field).collect::<Fields>())
    };
    Dataset { docs: data.docs.into_iter().map(whole).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_a_line_lacks_is_null_as_in_a_table() {
        let data = Dataset::parse("{\"a\": 1}\n{\"b\": 2, \"a\": 3}\n{\"a\": 4}\n", "d.jsonl").expect("lines");
        let filled = filled(data);
        let rows: Vec<String> = filled.docs.iter().map(|doc| Json::Object((*doc.fields).clone()).to_string()).collect();
        assert_eq!(rows, [r#"{"a":1,"b":null}"#, r#"{"b":2,"a":3}"#, r#"{"a":4,"b":null}"#]);
    }
}

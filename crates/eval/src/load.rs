//! Finding a suite and reading it: a bundled one by name, or a user's by path. What the words mean is told in
//! [`mean`](super::mean).

use super::dataset::{Dataset, text};
use super::error::{Error, Key, either};
use super::mean::{self, Home};
use super::raw::RawSuite;
use super::task::{Suite, Task};
use bantam_bundled::suites as bundled;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Gives the files of data that a suite names as `hub:…`, or in one sentence why they are not here. The suite room knows
/// no hub; whoever loads a suite does.
pub type OnHub<'a> = &'a dyn Fn(&str) -> Result<Vec<PathBuf>, String>;

/// What a data file's name begins with where it is on the hub.
const HUB: &str = "hub:";

/// The data on the hub that a suite names, without the `hub:` before it.
pub fn data_on_hub(name: &str) -> Result<Vec<String>, Error> {
    let place = Place::find(name)?;
    let manifest = place.manifest()?;
    RawSuite::parse(&manifest, &place.label())?;
    let mut named = Vec::new();
    // whatever key it stands under: items, examples, documents
    hub_names(&toml::from_str(&manifest).unwrap_or_default(), &mut named);
    named.sort();
    named.dedup();
    Ok(named)
}

fn hub_names(table: &toml::Table, names: &mut Vec<String>) {
    for value in table.values() {
        let tables = match value {
            toml::Value::String(text) => {
                names.extend(text.strip_prefix(HUB).map(str::to_owned));
                continue;
            }
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_table).collect(),
            _ => continue,
        };
        tables.into_iter().for_each(|table| hub_names(table, names));
    }
}

/// Reads a suite: `NAME` or `bundled:NAME` for a bundled one, else the path to a TOML file.
/// Data on the hub is out of reach: see [`load_with`].
pub fn load(name: &str) -> Result<Suite, Error> {
    load_with(name, &|data| Err(format!("hub:{data} is on the hub, which is not asked here")))
}

/// Reads a suite, with somebody to ask for data that is on the hub.
pub fn load_with(name: &str, on_hub: OnHub) -> Result<Suite, Error> {
    let place = Place::find(name)?;
    let file: Arc<str> = place.label().into();
    let manifest = place.manifest()?;
    let raw = RawSuite::parse(&manifest, &file)?;

    let whole = Key::new(&file, "task");
    let suite = raw.name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| place.stem());
    // a column whose name stands nowhere in the file is asked for by nothing in it
    let named = |column: &str| manifest.contains(column);
    let read = |data: &str, key: &Key| match data.strip_prefix(HUB) {
        Some(data) => Dataset::read(&on_hub(data).map_err(|why| key.wrong(why))?, &named),
        None => place.data(data, key, &named),
    };
    let home = Home { file: &file, suite: &suite, read: &read };
    let mut tasks: Vec<Task> = Vec::new();
    for (number, raw) in (1..).zip(raw.task.unwrap_or_default()) {
        for task in mean::tasks(raw, number, &home)? {
            if tasks.iter().any(|other| other.name == task.name) {
                return Err(whole.wrong(format!("names '{}' twice; every task needs a name of its own", task.name)));
            }
            tasks.push(task);
        }
    }
    if tasks.is_empty() {
        return Err(whole.wrong("there is none; a suite needs at least one [[task]]"));
    }
    Ok(Suite {
        version: raw.version.unwrap_or(1),
        title: raw.title.unwrap_or_else(|| suite.clone()),
        description: raw.description.unwrap_or_default(),
        name: suite,
        file: file.to_string(),
        tasks,
    })
}

/// Where a suite's files are.
enum Place {
    Bundled(String),
    File(PathBuf),
}

impl Place {
    fn find(name: &str) -> Result<Place, Error> {
        let bare = name.strip_prefix("bundled:").unwrap_or(name);
        if bundled::names().any(|known| known == bare) {
            return Ok(Place::Bundled(bare.into()));
        }
        let path = Path::new(name);
        let is_path = name.ends_with(".toml") || path.components().count() > 1 || path.exists();
        if is_path && !name.starts_with("bundled:") {
            return Ok(Place::File(path.into()));
        }
        let known: Vec<&str> = bundled::names().collect();
        let known = if known.is_empty() { String::new() } else { format!("{}, or ", either(&known)) };
        Err(Error::Unknown { name: name.into(), known })
    }

    fn label(&self) -> String {
        match self {
            Place::Bundled(name) => format!("bundled:{name}"),
            Place::File(path) => path.display().to_string(),
        }
    }

    fn stem(&self) -> String {
        match self {
            Place::Bundled(name) => name.clone(),
            Place::File(path) => path.file_stem().map_or("suite".into(), |s| s.to_string_lossy().into_owned()),
        }
    }

    fn manifest(&self) -> Result<String, Error> {
        match self {
            Place::Bundled(name) => {
                Ok(bundled::file(&format!("{name}.toml")).expect("found by name in the list").to_string())
            }
            Place::File(path) => text(path),
        }
    }

    /// A data file, named relative to the suite's.
    fn data(&self, name: &str, key: &Key, named: &dyn Fn(&str) -> bool) -> Result<Dataset, Error> {
        match self {
            Place::Bundled(_) => {
                let text = bundled::file(name).ok_or_else(|| key.wrong(format!("'{name}' is not in this binary")))?;
                Dataset::parse(text, name)
            }
            Place::File(path) => {
                let data = path.parent().unwrap_or(Path::new("")).join(name);
                Dataset::read(&[data], named).map_err(|e| match e {
                    Error::Unreadable { file, source } => {
                        key.wrong(format!("{file} cannot be read: {source}; the path is relative to the suite's file"))
                    }
                    other => other,
                })
            }
        }
    }
}

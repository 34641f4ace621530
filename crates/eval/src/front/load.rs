//! Finding a suite and reading it: a bundled one by name, or a user's by path. What the words mean is told in
//! [`resolve`](super::resolve).

use super::Beside;
use super::lm_eval_yaml::{self, LmEvalTask};
use super::resolve::{SuiteContext, tasks};
use super::toml::{RawSuite, RawTask};
use crate::battery::{self, Battery};
use crate::data::{Dataset, text};
use crate::error::{Error, Key, either};
use crate::task::{Suite, Task};
use bantam_bundled::suites as bundled;
use bantam_core::chat::Chat;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Gives the files of data that a suite names as `hub:…`, or in one sentence why they are not here. This crate knows no
/// hub; whoever loads a suite does.
pub type OnHub<'a> = &'a dyn Fn(&str) -> Result<Vec<PathBuf>, String>;

/// What a data file's name begins with where it is on the hub.
const HUB: &str = "hub:";

/// Lists the data on the hub that a suite names, without the `hub:` before it.
///
/// # Errors
/// Where the suite's file is not found or its text is not a suite's.
pub fn data_on_hub(name: &str) -> Result<Vec<String>, Error> {
    if LmEvalTask::is_named(name) {
        return lm_eval_yaml::data_on_hub(name);
    }
    let origin = Origin::find(name)?;
    let manifest = origin.manifest()?;
    RawSuite::parse(&manifest, &origin.label())?;
    let mut named = Vec::new();
    // whatever key it stands under: items, examples, documents
    hub_names(&::toml::from_str(&manifest).unwrap_or_default(), &mut named);
    for task in origin.harness_tasks()? {
        named.extend(lm_eval_yaml::data_on_hub(&task)?);
    }
    named.sort();
    named.dedup();
    Ok(named)
}

fn hub_names(table: &::toml::Table, names: &mut Vec<String>) {
    for value in table.values() {
        let tables = match value {
            ::toml::Value::String(text) => {
                names.extend(text.strip_prefix(HUB).map(str::to_owned));
                continue;
            }
            ::toml::Value::Table(table) => vec![table],
            ::toml::Value::Array(list) => list.iter().filter_map(::toml::Value::as_table).collect(),
            _ => continue,
        };
        tables.into_iter().for_each(|table| hub_names(table, names));
    }
}

/// Reads a suite: `NAME` or `bundled:NAME` for a bundled one, else the path to a TOML file.
/// Data on the hub is out of reach: see [`load_with`].
///
/// # Errors
/// Where a file is not found or cannot be read, a key cannot be used, or a line of data has not what the task asks for.
pub fn load(name: &str) -> Result<Suite, Error> {
    load_with(name, &|data| Err(format!("hub:{data} is on the hub, which is not asked here")))
}

/// Reads a suite, with somebody to ask for data that is on the hub.
///
/// # Errors
/// As [`load`]; and where data of the hub is not here.
pub fn load_with(name: &str, on_hub: OnHub) -> Result<Suite, Error> {
    load_as(name, &Chat::default(), on_hub)
}

/// Reads a suite as it is to be put to models that were taught to talk: what `chat` says goes before what the suite's
/// file says. Where it has a name, tasks are called TASK@NAME.
///
/// # Errors
/// As [`load_with`]; and where the settings contradict each other.
pub fn load_as(name: &str, chat: &Chat, on_hub: OnHub) -> Result<Suite, Error> {
    if LmEvalTask::is_named(name) {
        return lm_eval_yaml::load(name, None, chat, on_hub);
    }
    let origin = Origin::find(name)?;
    let file: Arc<str> = origin.label().into();
    let manifest = origin.manifest()?;
    let raw = RawSuite::parse(&manifest, &file)?;

    let whole = Key::new(&file, "task");
    let suite = raw.name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| origin.stem());
    // a column whose name stands nowhere in the file is asked for by nothing in it
    let named = |column: &str| manifest.contains(column);
    let beside = Files { origin: &origin, named: &named, on_hub };
    let whole_suite = raw.chat.unwrap_or_default();
    let context = SuiteContext { file: &file, suite: &suite, chat, below: &whole_suite, beside: &beside };
    let mut all: Vec<Task> = Vec::new();
    for (number, raw) in (1..).zip(raw.task.unwrap_or_default()) {
        let made = match lm_eval_yaml::of_section(&raw, &origin.folder(), &Key::new(&file, format!("task {number}")))? {
            Some(named) => {
                lm_eval_yaml::load(&named.to_string(), None, &chat.over(&raw.chat()).over(&whole_suite), on_hub)?.tasks
            }
            None => tasks(raw, number, &context)?,
        };
        for task in made {
            if all.iter().any(|other| other.name == task.name) {
                return Err(whole.wrong(format!("names '{}' twice; every task needs a name of its own", task.name)));
            }
            all.push(task);
        }
    }
    if all.is_empty() {
        return Err(whole.wrong("there is none; a suite needs at least one [[task]]"));
    }
    Ok(Suite {
        version: raw.version.unwrap_or(1),
        title: raw.title.unwrap_or_else(|| suite.clone()),
        description: raw.description.unwrap_or_default(),
        name: suite,
        file: file.to_string(),
        tasks: all,
    })
}

/// Reads the one task of a suite that has this name, as far as the others can be left unread; None where there is none.
///
/// # Errors
/// As [`load_as`].
pub fn load_task(suite: &str, task: &str, chat: &Chat, on_hub: OnHub) -> Result<Option<Task>, Error> {
    let loaded = match LmEvalTask::is_named(suite) {
        true => lm_eval_yaml::load(suite, Some(task), chat, on_hub)?,
        false => load_as(suite, chat, on_hub)?,
    };
    Ok(loaded.tasks.into_iter().find(|one| one.name == task))
}

/// The files that a suite names: beside it, or on the hub.
struct Files<'a> {
    origin: &'a Origin,
    /// Whether a column of a table is one that the suite names.
    named: &'a dyn Fn(&str) -> bool,
    on_hub: OnHub<'a>,
}

impl Beside for Files<'_> {
    fn data(&self, file: &str, key: &Key) -> Result<Dataset, Error> {
        match file.strip_prefix(HUB) {
            Some(data) => Dataset::read(&(self.on_hub)(data).map_err(|why| key.wrong(why))?, self.named),
            None => self.origin.data(file, key, self.named),
        }
    }

    fn text(&self, file: &str, key: &Key) -> Result<String, Error> {
        self.origin.text(file, key)
    }
}

/// A file beside the suite's that cannot be read, told with the key that names it.
fn beside(error: Error, key: &Key) -> Error {
    match error {
        Error::Unreadable { file, source } => {
            key.wrong(format!("{file} cannot be read: {source}; the path is relative to the suite's file"))
        }
        other => other,
    }
}

/// Where a suite's files are.
pub(super) enum Origin {
    Bundled(String),
    /// Made of its name.
    Battery(Battery),
    Path(PathBuf),
}

impl Origin {
    pub(super) fn find(name: &str) -> Result<Origin, Error> {
        if name.starts_with(battery::PREFIX) {
            let refused = |message| Error::Malformed { file: name.into(), line: 1, message };
            return Battery::parse(name).map(Origin::Battery).map_err(refused);
        }
        let bare = name.strip_prefix("bundled:").unwrap_or(name);
        if bundled::names().any(|known| known == bare) {
            return Ok(Origin::Bundled(bare.into()));
        }
        let path = Path::new(name);
        let is_path = name.ends_with(".toml") || path.components().count() > 1 || path.exists();
        if is_path && !name.starts_with("bundled:") {
            return Ok(Origin::Path(path.into()));
        }
        let known: Vec<&str> = bundled::names().collect();
        let known = if known.is_empty() { String::new() } else { format!("{}, or ", either(&known)) };
        Err(Error::Unknown { name: name.into(), known })
    }

    fn label(&self) -> String {
        match self {
            Origin::Bundled(name) => format!("bundled:{name}"),
            Origin::Battery(battery) => battery.name(),
            Origin::Path(path) => path.display().to_string(),
        }
    }

    fn stem(&self) -> String {
        match self {
            Origin::Bundled(name) => name.clone(),
            Origin::Battery(_) => battery::SUITE.into(),
            Origin::Path(path) => path.file_stem().map_or("suite".into(), |s| s.to_string_lossy().into_owned()),
        }
    }

    /// The folder from which the suite's paths lead.
    fn folder(&self) -> PathBuf {
        match self {
            Origin::Bundled(_) | Origin::Battery(_) => PathBuf::new(),
            Origin::Path(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// The tasks of lm-evaluation-harness that the suite names.
    pub(super) fn harness_tasks(&self) -> Result<Vec<String>, Error> {
        let file: Arc<str> = self.label().into();
        let raw = RawSuite::parse(&self.manifest()?, &file)?;
        let of = |(number, raw): (usize, &RawTask)| {
            lm_eval_yaml::of_section(raw, &self.folder(), &Key::new(&file, format!("task {number}")))
        };
        let found = (1..).zip(raw.task.iter().flatten()).map(of).collect::<Result<Vec<_>, Error>>()?;
        Ok(found.into_iter().flatten().map(|task| task.to_string()).collect())
    }

    pub(super) fn is_bundled(&self) -> bool {
        matches!(self, Origin::Bundled(_) | Origin::Battery(_))
    }

    pub(super) fn manifest(&self) -> Result<String, Error> {
        match self {
            Origin::Bundled(name) => {
                Ok(bundled::file(&format!("{name}.toml")).expect("found by name in the list").to_string())
            }
            Origin::Battery(battery) => Ok(battery.manifest()),
            Origin::Path(path) => text(path),
        }
    }

    /// A data file, named relative to the suite's.
    fn data(&self, name: &str, key: &Key, named: &dyn Fn(&str) -> bool) -> Result<Dataset, Error> {
        match self {
            Origin::Bundled(_) => {
                let text = bundled::file(name).ok_or_else(|| key.wrong(format!("'{name}' is not in this binary")))?;
                Dataset::parse(text, name)
            }
            Origin::Battery(battery) => {
                let text = battery.data(name).ok_or_else(|| key.wrong(format!("'{name}' is not made here")))?;
                Dataset::parse(&text, name)
            }
            Origin::Path(path) => {
                let data = path.parent().unwrap_or(Path::new("")).join(name);
                Dataset::read(&[data], named).map_err(|e| beside(e, key))
            }
        }
    }

    /// The text of a file, named likewise.
    fn text(&self, name: &str, key: &Key) -> Result<String, Error> {
        match self {
            Origin::Bundled(_) => {
                let text = bundled::file(name).ok_or_else(|| key.wrong(format!("'{name}' is not in this binary")))?;
                Ok(text.to_owned())
            }
            Origin::Battery(_) => Err(key.wrong(format!("'{name}' is not made here"))),
            Origin::Path(_) => text(&self.folder().join(name)).map_err(|e| beside(e, key)),
        }
    }
}

//! Tasks, groups and tags by name, as `TaskManager` of lm-evaluation-harness finds them (`lm_eval/tasks/_index.py`): every
//! `.yaml` below the folders, the first of a name within a folder, the last folder first.
//!
//! lm_eval comes with 14,000 files. Most names are found by looking into the few files that hold the word at all; only for
//! a tag, which a task may have from a file that it includes, all of them are read.

use super::config::Config;
use super::yaml::Value;
use bantam_core::input;
use bantam_core::meant::distance;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

/// Folders that hold no tasks.
const IGNORED: [&str; 2] = ["__pycache__", ".ipynb_checkpoints"];
/// How deep folders are looked into.
const DEPTH: usize = 16;

/// What a name means.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// One task, in this file.
    Task(PathBuf),
    /// A group, in this file.
    Group(PathBuf),
    /// A task that is a class of Python's.
    Class(PathBuf),
    /// The tasks with a tag, by name, each with its file.
    Tag(Vec<(String, PathBuf)>),
}

/// The folders' files with their texts.
pub(super) struct Registry {
    folders: Vec<Arc<Files>>,
}

/// The files of one folder, sorted, with their texts.
struct Files {
    folder: PathBuf,
    changed: Option<SystemTime>,
    texts: Vec<(PathBuf, String)>,
    index: Mutex<Option<Arc<Index>>>,
}

/// All that a folder has, by name.
#[derive(Default)]
struct Index {
    names: BTreeMap<String, Found>,
    tags: BTreeMap<String, Vec<(String, PathBuf)>>,
}

/// Folders that were read already: a plan asks for names many times.
static READ: LazyLock<Mutex<Vec<Arc<Files>>>> = LazyLock::new(Mutex::default);

impl Registry {
    pub(super) fn open(folders: &[PathBuf]) -> Registry {
        Registry { folders: folders.iter().map(|folder| Files::open(folder)).collect() }
    }

    pub(super) fn folders(&self) -> Vec<String> {
        self.folders.iter().map(|files| files.folder.display().to_string()).collect()
    }

    /// What a name means; None where it means nothing.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let quick = self.folders.iter().rev().find_map(|files| files.quickly(name));
        if quick.is_some() {
            return quick;
        }
        let own = self.folders.iter().rev().find_map(|files| files.index().names.get(name).cloned());
        if own.is_some() {
            return own;
        }
        let mut tagged: BTreeMap<String, PathBuf> = BTreeMap::new();
        for files in &self.folders {
            tagged.extend(files.index().tags.get(name).into_iter().flatten().cloned());
        }
        (!tagged.is_empty()).then(|| Found::Tag(tagged.into_iter().collect()))
    }

    /// Names that are like one that is none.
    pub(super) fn like(&self, name: &str) -> Vec<String> {
        let (wanted, mut near) = (name.to_lowercase(), Vec::new());
        for (path, _) in self.folders.iter().flat_map(|files| &files.texts) {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().trim_start_matches('_').to_lowercase());
            let Some(stem) = stem else { continue };
            let distance = distance(&stem, &wanted);
            if distance <= 2 && distance < wanted.len() / 2 {
                near.push((distance, stem));
            }
        }
        near.sort();
        near.dedup();
        near.into_iter().map(|(_, name)| name).take(3).collect()
    }
}

impl Files {
    fn open(folder: &Path) -> Arc<Files> {
        let changed = std::fs::metadata(folder).and_then(|folder| folder.modified()).ok();
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = read.iter().find(|files| files.folder == folder && files.is_current(changed)) {
            return files.clone();
        }
        let mut texts = Vec::new();
        gather(folder, 0, &mut texts);
        texts.sort();
        let files = Arc::new(Files { folder: folder.to_owned(), changed, texts, index: Mutex::default() });
        read.retain(|files| files.folder != folder);
        read.push(files.clone());
        files
    }

    /// Of a user's few files each may have changed; of a package's many none does while a program runs.
    fn is_current(&self, changed: Option<SystemTime>) -> bool {
        self.changed == changed && self.texts.len() > 1000
    }

    /// A task or group whose file says its name in so many words.
    fn quickly(&self, name: &str) -> Option<Found> {
        let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        let says = |line: &str| {
            let pair = line.split_once(':').map(|(key, value)| (bare(key), bare(value)));
            pair.is_some_and(|(key, value)| matches!(key.as_str(), "task" | "group") && value == name)
        };
        let candidates = self.texts.iter().filter(|(_, text)| text.contains(name) && text.lines().any(says));
        candidates
            .filter_map(|(path, _)| named(&Config::read(path).ok()?, path))
            .find(|(own, _)| own == name)
            .map(|(_, found)| found)
    }

    fn index(&self) -> Arc<Index> {
        let mut known = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.as_ref() {
            return index.clone();
        }
        let mut index = Index::default();
        for (path, _) in &self.texts {
            let Ok(config) = Config::read(path) else { continue };
            let Some((name, found)) = named(&config, path) else { continue };
            if index.names.contains_key(&name) {
                continue;
            }
            if !matches!(found, Found::Group(_)) {
                words(&config, "tag")
                    .into_iter()
                    .for_each(|tag| index.tags.entry(tag).or_default().push((name.clone(), path.clone())));
            }
            index.names.insert(name, found);
        }
        known.insert(Arc::new(index)).clone()
    }
}

/// What a file is, by its keys; None where it is neither a task nor a group.
pub(super) fn named(config: &Config, path: &Path) -> Option<(String, Found)> {
    let name = |key: &str| config.text(key).map(str::to_owned);
    if config.get("class").is_some() {
        return Some((name("task").or_else(|| name("group"))?, Found::Class(path.to_owned())));
    }
    match name("group") {
        Some(group) => Some((group, Found::Group(path.to_owned()))),
        None => Some((name("task")?, Found::Task(path.to_owned()))),
    }
}

/// One word, or a list of them.
fn words(config: &Config, key: &str) -> Vec<String> {
    match config.get(key).map(|entry| &entry.node.value) {
        Some(Value::Text(word)) => vec![word.clone()],
        Some(Value::List(list)) => list.iter().filter_map(|node| node.text().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn gather(folder: &Path, depth: usize, texts: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            let wanted = depth < DEPTH && !IGNORED.iter().any(|ignored| name == *ignored);
            if wanted {
                gather(&path, depth + 1, texts);
            }
        } else if name.to_string_lossy().ends_with(".yaml")
            && let Ok(bytes) = input::read(&path, input::WRITTEN_BY_HAND)
        {
            texts.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

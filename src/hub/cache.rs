//! The Hugging Face cache of this machine, as `huggingface_hub` lays it out: `models--ORG--NAME/refs/REVISION` names a
//! commit, `snapshots/COMMIT/` has its files. It is only read.

use super::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where downloaded models lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache(PathBuf);

impl Cache {
    /// Where the environment says it is: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, or below the home folder.
    pub fn here() -> Cache {
        Cache::from(|name| std::env::var_os(name))
    }

    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache(folder.into())
    }

    /// The order of `huggingface_hub/constants.py`.
    pub(super) fn from(variable: impl Fn(&str) -> Option<OsString>) -> Cache {
        let folder = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(folder("HF_HOME")?.join("hub")))
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface/hub")))
            .or_else(|| Some(folder("HOME")?.join(".cache/huggingface/hub")));
        Cache(cache.unwrap_or_else(|| ".cache/huggingface/hub".into()))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The snapshot of ORG/NAME[@REVISION]; None where the name has not that form or the model is not here.
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
        let Some(model) = folder_of(id).map(|folder| self.0.join(folder)).filter(|folder| folder.is_dir()) else {
            return Ok(None);
        };
        let named = std::fs::read_to_string(model.join("refs").join(revision)).ok();
        let commit = named.as_deref().map_or(revision, str::trim);
        let snapshot = model.join("snapshots").join(commit);
        if is_plain(revision) && is_plain(commit) && snapshot.is_dir() {
            return Ok(Some(snapshot));
        }
        let there = ["refs", "snapshots"].iter().flat_map(|kind| entries(&model.join(kind))).collect();
        Err(Error::Revision { name: id.into(), revision: revision.into(), cache: self.0.clone(), there })
    }

    /// The models that are here, by name.
    pub fn models(&self) -> Vec<String> {
        let name = |folder: &String| Some(folder.strip_prefix("models--")?.replacen("--", "/", 1));
        entries(&self.0).iter().filter_map(name).collect()
    }
}

/// "models--ORG--NAME"; None where the name is no ORG/NAME.
fn folder_of(id: &str) -> Option<String> {
    let (organisation, name) = id.split_once('/')?;
    (is_plain(organisation) && is_plain(name)).then(|| format!("models--{organisation}--{name}"))
}

/// One component of a path, that leads nowhere else.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with('.')
}

/// What is in a folder, sorted; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let read = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = read.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

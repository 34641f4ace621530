//! hub: from a model's name as typed to where its files are and which they are.
//!
//! A name is a bundled model, a folder, a .gguf file, or ORG/NAME[@REVISION] in the Hugging Face cache of this machine.
//! It looks at files and reads no weights; nothing is downloaded.

mod cache;
mod digest;

pub use cache::Cache;
pub use digest::{digest_of_file, digest_of_folder, files};

use crate::record::Place;
use std::path::{Path, PathBuf};

/// A model that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As shown: "bantam-l", "HuggingFaceTB/SmolLM2-135M".
    pub name: String,
    pub place: Place,
}

/// Why a name is no model, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{name}' is no bundled model; there are {}", list(there))]
    NotBundled { name: String, there: Vec<String> },
    #[error(
        "'{name}' is no model here: no folder or .gguf file of that name, none of the bundled ones ({}) and not in the \
         Hugging Face cache {} ({}); give a path, or get it with `hf download {name}`",
        list(bundled), cache.display(), list(cached)
    )]
    Unknown { name: String, bundled: Vec<String>, cache: PathBuf, cached: Vec<String> },
    #[error("'{name}' has no revision {revision} in the Hugging Face cache {}; there are {}", cache.display(), list(there))]
    Revision { name: String, revision: String, cache: PathBuf, there: Vec<String> },
    #[error("{}: is no model: {why}", path.display())]
    NoModel { path: PathBuf, why: String },
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
}

impl Error {
    fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Unreadable { path, source }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Finds a model by the name typed. `bundled` are the names of those inside this binary.
pub fn find(name: &str, bundled: &[String], cache: &Cache) -> Result<Found, Error> {
    let in_binary = |name: &str| Found { name: name.into(), place: Place::Bundled(name.into()) };
    if let Some(name) = name.strip_prefix("bundled:") {
        return match bundled.iter().any(|b| b == name) {
            true => Ok(in_binary(name)),
            false => Err(Error::NotBundled { name: name.into(), there: bundled.to_vec() }),
        };
    }
    let path = Path::new(name);
    if path.is_dir() {
        return folder(path);
    }
    if path.is_file() {
        return gguf(path);
    }
    if bundled.iter().any(|b| b == name) {
        return Ok(in_binary(name));
    }
    match cache.find(name)? {
        Some(snapshot) => Ok(Found { name: name.into(), ..folder(&snapshot)? }),
        None => {
            let (cache, cached) = (cache.folder().into(), cache.models());
            Err(Error::Unknown { name: name.into(), bundled: bundled.to_vec(), cache, cached })
        }
    }
}

/// A folder with a config and weights; or one that holds a single GGUF file, which is meant then.
fn folder(path: &Path) -> Result<Found, Error> {
    let files = names(path)?;
    let with = |ending: &str| files.iter().filter(|f| f.ends_with(ending)).cloned().collect::<Vec<_>>();
    let (safetensors, ggufs) = (with(".safetensors"), with(".gguf"));
    let why = if files.iter().any(|f| f == "config.json") && !safetensors.is_empty() {
        return Ok(Found { name: last_name(path), place: Place::Folder(path.into()) });
    } else if let [one] = &ggufs[..] {
        return gguf(&path.join(one));
    } else if !ggufs.is_empty() {
        format!("it has several GGUF files; name one of them ({})", list(&ggufs))
    } else if !files.iter().any(|f| f == "config.json") {
        "it has no config.json and no .gguf file".into()
    } else {
        "it has a config.json but no .safetensors file; other formats of weights are not read".into()
    };
    Err(Error::NoModel { path: path.into(), why })
}

fn gguf(path: &Path) -> Result<Found, Error> {
    match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
        true => Ok(Found { name: stem(path), place: Place::Gguf(path.into()) }),
        false => {
            let why = "a model is a .gguf file or a folder with config.json, tokenizer.json and .safetensors".into();
            Err(Error::NoModel { path: path.into(), why })
        }
    }
}

/// The names of a folder's files, sorted.
fn names(path: &Path) -> Result<Vec<String>, Error> {
    let entries = std::fs::read_dir(path).map_err(Error::unreadable(path))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// "models/mine/" and "." have names, too.
fn last_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;

//! What a model's files looked like when they were identified: whether they are still the same is asked in microseconds,
//! and their bytes are read again only where something moved.

use crate::library::models;
use bantam_core::record::{ModelRef, Place};
use bantam_core::stamp;
use bantam_format::gguf;
use bantam_hub as hub;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a model as the system tells of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<FileFacts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileFacts {
    path: PathBuf,
    /// None where it is not there.
    facts: Option<stamp::Stamp>,
}

impl Stamp {
    /// Looks at the files of a model, its adapter's among them. What is inside the binary has none.
    pub fn of(model: &ModelRef) -> Stamp {
        let mut files = files_of(&model.place);
        for entry in model.adapter.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()) {
            files.push(entry.path());
        }
        files.sort();
        Stamp(files.into_iter().map(|path| FileFacts { facts: facts(&path), path }).collect())
    }

    /// The last moment at which one of the files was changed, in seconds since the Unix epoch.
    pub fn changed(&self) -> Option<f64> {
        let changed = self.0.iter().filter_map(|file| file.facts.as_ref()).map(|facts| facts.changed);
        changed.max().map(|(seconds, nanos)| seconds as f64 + nanos as f64 * 1e-9)
    }
}

/// Tells whether a model is still the one that was identified, by all its bytes; one with an adapter is taken for another
/// as soon as one of its files was touched.
pub fn is_same(model: &ModelRef) -> bool {
    model.adapter.is_none() && models::digest(&model.place).is_ok_and(|digest| digest == model.digest)
}

fn files_of(place: &Place) -> Vec<PathBuf> {
    match place {
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => vec![],
        Place::Gguf(file) => gguf::parts(file),
        Place::Folder(folder) => hub::files(folder).unwrap_or_else(|_| vec![folder.clone()]),
    }
}

fn facts(path: &Path) -> Option<stamp::Stamp> {
    fs::metadata(path).ok().map(|facts| stamp::Stamp::of(&facts))
}

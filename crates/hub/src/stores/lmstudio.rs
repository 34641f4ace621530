//! LM Studio's folders: PUBLISHER/REPOSITORY with GGUF files, or with a config and safetensors as Apple's MLX has them.

use super::{Error, Found, Keeper, LM_STUDIO, Stored, is_part};
use crate::{files, folder, gguf};
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Finds a model by the name behind the prefix: PUBLISHER/REPOSITORY/FILE, or PUBLISHER/REPOSITORY where that is one model.
/// None where the folder has none of it.
pub(super) fn find(root: &Path, typed: &str) -> Result<Option<Found>, Error> {
    let parts: Vec<&str> = typed.split('/').collect();
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| is_part(part)) {
        return Ok(None);
    }
    let path = parts.iter().fold(root.to_owned(), |path, part| path.join(part));
    let place = match (path.is_dir(), path.is_file()) {
        (true, _) => folder(&path)?.place,
        (false, true) => crate::gguf(&path)?.place,
        _ => return Ok(None),
    };
    Ok(Some(Found { name: named(root, &path), place, commit: None }))
}

/// Everything that the folder has.
pub(super) fn kept(root: &Path) -> Vec<Stored> {
    folders(root).iter().flat_map(|publisher| folders(publisher)).flat_map(|repo| models(root, &repo)).collect()
}

fn models(root: &Path, repo: &Path) -> Vec<Stored> {
    let names = crate::names(repo).unwrap_or_default();
    // the first part of a split file means all of it; projectors of images are no models
    let choices = gguf::choices(names.iter().map(String::as_str));
    let mut all: Vec<Stored> = choices
        .into_iter()
        .filter_map(|choice| {
            let paths: Vec<PathBuf> = choice.files.iter().map(|file| repo.join(file)).collect();
            let first = paths.first()?.clone();
            Some(stored(named(root, &first), Ok(Place::Gguf(first)), &paths))
        })
        .collect();
    if names.iter().any(|name| name == "config.json") {
        let place = folder(repo).map(|found| found.place);
        let paths = files(repo).unwrap_or_default();
        all.push(stored(named(root, repo), place, &paths));
    }
    all
}

fn stored(name: String, place: Result<Place, Error>, paths: &[PathBuf]) -> Stored {
    let facts: Vec<_> = paths.iter().filter_map(|path| std::fs::metadata(path).ok()).collect();
    let used = |facts: &std::fs::Metadata| -> Option<SystemTime> { facts.accessed().ok() };
    Stored {
        name,
        keeper: Keeper::LmStudio,
        place,
        bytes: Bytes(facts.iter().map(std::fs::Metadata::len).sum()),
        used: facts.iter().filter_map(used).max(),
    }
}

/// A path below the root as it is named.
fn named(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    format!("{LM_STUDIO}{}", parts.join("/"))
}

/// The folders in a folder, sorted; hidden ones are the program's own.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_shown = |path: &PathBuf| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
    let mut all: Vec<PathBuf> = entries.filter(|path| path.is_dir()).filter(is_shown).collect();
    all.sort();
    all
}

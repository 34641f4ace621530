//! The models that are on this machine: inside the binary, in the Hugging Face cache, in Ollama's and LM Studio's stores, made
//! by bantam, in folders given.
//! It looks at the files' entries and reads none.

use crate::library::home::Home;
use crate::library::models;
use anyhow::{Context, Result, bail};
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_hub::{self as hub, Cache, Keeper, Repo, RepoKind, Stored, Stores};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A model, or a data set of the hub's, that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As it can be named to other commands.
    pub name: String,
    pub origin: Origin,
    pub path: Option<PathBuf>,
    pub bytes: Bytes,
    /// Of files of which a part is still to be fetched.
    pub incomplete: Bytes,
    /// When a file of it was last read, as the file system tells it: to the day, often.
    pub used: Option<SystemTime>,
    /// Branches and tags with the commits that they meant when they were pulled.
    pub revisions: Vec<(String, String)>,
    /// Why it cannot be used, in one sentence.
    pub broken: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Bundled,
    Cache,
    Dataset,
    Ollama,
    LmStudio,
    Artifact,
    Folder,
}

impl Entry {
    /// One of which nothing but the name is known yet.
    fn whole(name: String, origin: Origin) -> Entry {
        let (bytes, incomplete) = (Bytes(0), Bytes(0));
        Entry { name, origin, path: None, bytes, incomplete, used: None, revisions: Vec::new(), broken: None }
    }

    /// A model, and all of it is here.
    pub fn is_usable(&self) -> bool {
        self.origin != Origin::Dataset && self.incomplete.0 == 0 && self.broken.is_none()
    }
}

impl Origin {
    pub fn name(self) -> &'static str {
        match self {
            Origin::Bundled => "bundled",
            Origin::Cache => "hub",
            Origin::Dataset => "hub, data",
            Origin::Ollama => Keeper::Ollama.name(),
            Origin::LmStudio => Keeper::LmStudio.name(),
            Origin::Artifact => "made here",
            Origin::Folder => "folder",
        }
    }

    /// Whether bantam put it there, so that it may remove it.
    pub fn is_removable(self) -> bool {
        matches!(self, Origin::Cache | Origin::Dataset | Origin::Artifact)
    }
}

/// Everything that is here.
///
/// # Errors
/// Where a folder that was given cannot be read.
pub fn take(cache: &Cache, stores: &Stores, home: &Home, folders: &[PathBuf]) -> Result<Vec<Entry>> {
    let mut entries = bundled()?;
    entries.extend(cache.kept().into_iter().map(|kept| cached(kept, cache)));
    entries.extend(stores.kept().into_iter().map(kept_elsewhere));
    entries.extend(files(&home.artifacts(), Origin::Artifact));
    entries.extend(unfinished(&home.artifacts()));
    for folder in folders {
        std::fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
        entries.extend(models_in(folder));
    }
    Ok(entries)
}

fn bundled() -> Result<Vec<Entry>> {
    let entry = |name: String| {
        let bytes = models::bytes(&Place::Bundled(name.clone()))?;
        let name = format!("bundled:{name}");
        Ok(Entry { bytes, ..Entry::whole(name, Origin::Bundled) })
    };
    models::bundled_names().into_iter().map(entry).collect()
}

/// What another program keeps: used where it is, and never written.
fn kept_elsewhere(stored: Stored) -> Entry {
    let origin = match stored.keeper {
        Keeper::Ollama => Origin::Ollama,
        Keeper::LmStudio => Origin::LmStudio,
    };
    let (path, broken) = match stored.place {
        Ok(Place::Gguf(path) | Place::Folder(path)) => (Some(path), None),
        Ok(Place::Bundled(_) | Place::Endpoint(_) | Place::System(_)) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Entry { path, broken, bytes: stored.bytes, used: stored.used, ..Entry::whole(stored.name, origin) }
}

fn cached(kept: hub::Kept, cache: &Cache) -> Entry {
    let origin = if kept.repo.kind == RepoKind::Model { Origin::Cache } else { Origin::Dataset };
    Entry {
        path: Some(cache.folder().to_path_buf()),
        bytes: kept.bytes,
        incomplete: kept.incomplete,
        used: kept.used,
        revisions: kept.refs,
        ..Entry::whole(kept.repo.id(), origin)
    }
}

/// What was being made when its maker was killed; what somebody makes at this moment is locked.
fn unfinished(artifacts: &Path) -> Vec<Entry> {
    let entry = |path: PathBuf| {
        let facts = std::fs::metadata(&path).ok()?;
        let (name, incomplete, used) = (path.display().to_string(), Bytes(facts.len()), facts.accessed().ok());
        Some(Entry { path: Some(path), incomplete, used, ..Entry::whole(name, Origin::Artifact) })
    };
    partials(artifacts).into_iter().filter(|path| !is_locked(path)).filter_map(entry).collect()
}

fn partials(artifacts: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(artifacts).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut partials: Vec<PathBuf> = read.filter(|path| path.extension().is_some_and(|e| e == "partial")).collect();
    partials.sort();
    partials
}

/// Whether a process is making this file: it holds the lock beside it.
fn is_locked(partial: &Path) -> bool {
    // NAME.partial and NAME.json.partial have NAME.lock
    let name = partial.with_extension("");
    let name = if name.extension().is_some_and(|e| e == "json") { name.with_extension("") } else { name };
    let mut lock = name.into_os_string();
    lock.push(".lock");
    std::fs::File::open(lock).is_ok_and(|file| file.try_lock().is_err())
}

/// Removes what makers of artifacts left that were killed: they would take its room for ever, since the same variant may
/// never be made again.
pub fn sweep(home: &Home) {
    for partial in partials(&home.artifacts()).into_iter().filter(|path| !is_locked(path)) {
        // what cannot be removed is listed by `bantam models`
        let _ = std::fs::remove_file(partial);
    }
}

/// The GGUF files of a folder, sorted by name.
fn files(folder: &Path, origin: Origin) -> Vec<Entry> {
    let entry = |path: PathBuf| {
        let facts = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let (name, bytes, used) = (path.display().to_string(), Bytes(facts.len()), facts.accessed().ok());
        Some(Entry { path: Some(path), bytes, used, ..Entry::whole(name, origin) })
    };
    let is_gguf = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let read = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.path()).filter(is_gguf).collect();
    paths.sort();
    paths.into_iter().filter_map(entry).collect()
}

/// The folder's GGUF files, and the model folders in it; or itself, where it is one.
fn models_in(folder: &Path) -> Vec<Entry> {
    let mut entries = files(folder, Origin::Folder);
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    folders.push(folder.to_path_buf());
    folders.sort();
    let is_model = |folder: &&PathBuf| folder.join("config.json").is_file() && hub::files(folder).is_ok();
    for folder in folders.iter().filter(is_model) {
        let facts: Vec<_> =
            hub::files(folder).into_iter().flatten().filter_map(|f| std::fs::metadata(f).ok()).collect();
        entries.push(Entry {
            path: Some(folder.clone()),
            bytes: Bytes(facts.iter().map(std::fs::Metadata::len).sum()),
            used: facts.iter().filter_map(|f| f.accessed().ok()).max(),
            ..Entry::whole(folder.display().to_string(), Origin::Folder)
        });
    }
    entries
}

/// The entry that a name means, if bantam may remove it.
///
/// # Errors
/// Where there is none, or it is no file of the cache or of bantam's own.
pub fn removable<'a>(entries: &'a [Entry], name: &str) -> Result<&'a Entry> {
    let file = |entry: &Entry| entry.path.as_deref()?.file_name().map(|f| f.to_string_lossy().into_owned());
    // a path from where one is, or through a link, is the same file
    let typed = Path::new(name).canonicalize().ok();
    let is_at = |entry: &Entry| {
        let at = entry.path.as_deref().and_then(|path| path.canonicalize().ok());
        entry.origin == Origin::Artifact && typed.is_some() && typed == at
    };
    let is_file = |entry: &Entry| entry.origin == Origin::Artifact && file(entry).as_deref() == Some(name);
    let found = entries.iter().find(|entry| entry.name == name || is_file(entry) || is_at(entry));
    match found {
        None => {
            let names: Vec<&str> =
                entries.iter().filter(|e| e.origin.is_removable()).map(|e| e.name.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!("'{name}' is not here; what can be removed: {names}")
        }
        Some(Entry { origin: Origin::Bundled, .. }) => bail!("'{name}' is inside this binary and cannot be removed"),
        Some(Entry { origin: Origin::Ollama, name, .. }) => {
            bail!("'{name}' is Ollama's, which bantam never writes; `ollama rm {}` removes it", bare(name))
        }
        Some(Entry { origin: Origin::LmStudio, name, .. }) => {
            bail!("'{name}' is LM Studio's, which bantam never writes; remove it there")
        }
        Some(entry) => Ok(entry),
    }
}

/// A name without its keeper's prefix.
fn bare(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, bare)| bare)
}

/// Removes a repository of the cache or a file that bantam made; gives back what that freed.
pub fn remove(entry: &Entry, cache: &Cache) -> Result<Bytes> {
    let kind = match entry.origin {
        Origin::Cache => RepoKind::Model,
        Origin::Dataset => RepoKind::Dataset,
        Origin::Artifact => return remove_artifact(entry),
        Origin::Bundled | Origin::Folder | Origin::Ollama | Origin::LmStudio => {
            bail!("{}: is not bantam's to remove", entry.name)
        }
    };
    let repo = Repo::new(kind, &entry.name).with_context(|| format!("{}: is no repository's name", entry.name))?;
    Ok(cache.remove(&repo)?)
}

/// The file, and the note beside it that says what it was made of.
fn remove_artifact(entry: &Entry) -> Result<Bytes> {
    let path = entry.path.as_deref().with_context(|| format!("{}: has no file", entry.name))?;
    std::fs::remove_file(path).with_context(|| format!("{}: cannot be removed", path.display()))?;
    let stem = path.file_stem().unwrap_or_default();
    for beside in std::fs::read_dir(path.parent().unwrap_or(Path::new("."))).into_iter().flatten().flatten() {
        if beside.path().file_stem() == Some(stem) {
            let beside = beside.path();
            std::fs::remove_file(&beside).with_context(|| format!("{}: cannot be removed", beside.display()))?;
        }
    }
    Ok(Bytes(entry.bytes.0 + entry.incomplete.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_removable_by_every_path_that_leads_to_it() {
        let folder = tempfile::tempdir().expect("temp dir");
        let home = Home::at(folder.path());
        fs::create_dir_all(home.artifacts()).expect("makes");
        fs::write(home.artifacts().join("m.gguf"), "x").expect("writes");
        let entries = take(&Cache::at(folder.path().join("hub")), &Stores::default(), &home, &[]).expect("lists");
        let detour = home.artifacts().join("../artifacts/./m.gguf").display().to_string();
        for name in ["m.gguf", &home.artifacts().join("m.gguf").display().to_string(), &detour] {
            let found = removable(&entries, name).expect(name);
            assert_eq!(found.path.as_deref(), Some(&*home.artifacts().join("m.gguf")));
        }
        let other = folder.path().join("m.gguf");
        fs::write(&other, "x").expect("writes");
        assert!(removable(&entries, &other.display().to_string()).is_err(), "another file of that name");
    }

    #[test]
    fn what_a_killed_maker_left_is_listed_with_its_size_and_swept() {
        let folder = tempfile::tempdir().expect("temp dir");
        let home = Home::at(folder.path());
        let at = |name: &str| home.artifacts().join(name);
        fs::create_dir_all(home.artifacts()).expect("makes");
        for name in ["m.Q8_0.0123.partial", "m.Q8_0.0123.json.partial", "m.Q4_0.4567.partial", "m.Q4_0.89ab.gguf"] {
            fs::write(at(name), "half of it").expect("writes");
        }
        let held = fs::File::create(at("m.Q4_0.4567.lock")).expect("makes");
        held.try_lock().expect("nobody has it");
        let entries = take(&Cache::at(folder.path().join("hub")), &Stores::default(), &home, &[]).expect("lists");
        let left: Vec<&Entry> = entries.iter().filter(|entry| entry.incomplete.0 > 0).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left.iter().all(|entry| entry.incomplete == Bytes(10) && entry.name.contains("Q8_0")), "{left:?}");
        sweep(&home);
        assert!(!at("m.Q8_0.0123.partial").exists() && !at("m.Q8_0.0123.json.partial").exists());
        assert!(at("m.Q4_0.4567.partial").exists(), "somebody is making it");
        assert!(at("m.Q4_0.89ab.gguf").exists(), "it is whole");
    }
    #[test]
    fn what_other_programs_keep_is_listed_and_never_removed() {
        let folder = tempfile::tempdir().expect("temp dir");
        let home = Home::at(folder.path());
        let at = |file: &str| folder.path().join(file);
        fs::create_dir_all(at("studio/me/tiny")).expect("makes");
        fs::write(at("studio/me/tiny/tiny.gguf"), "GGUF").expect("writes");
        fs::create_dir_all(at("ollama/manifests/registry.ollama.ai/library/gone")).expect("makes");
        fs::write(at("ollama/manifests/registry.ollama.ai/library/gone/latest"), "{}").expect("writes");
        let stores = Stores::at(at("ollama"), at("studio"));
        let entries = take(&Cache::at(at("hub")), &stores, &home, &[]).expect("lists");
        let kept: Vec<&Entry> = entries.iter().filter(|entry| entry.origin != Origin::Bundled).collect();
        let told: Vec<(&str, &str, bool)> =
            kept.iter().map(|e| (e.name.as_str(), e.origin.name(), e.broken.is_some())).collect();
        assert_eq!(told, [("lmstudio:me/tiny/tiny.gguf", "LM Studio", false), ("ollama:gone:latest", "Ollama", true)]);
        let refused = removable(&entries, "lmstudio:me/tiny/tiny.gguf").expect_err("LM Studio's").to_string();
        assert!(refused.contains("never writes"), "{refused}");
        let refused = removable(&entries, "ollama:gone:latest").expect_err("Ollama's").to_string();
        assert!(refused.contains("`ollama rm gone:latest` removes it"), "{refused}");
    }
}

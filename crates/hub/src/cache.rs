//! The Hugging Face cache of this machine, as `huggingface_hub` lays it out, so that files are shared with
//! transformers, vLLM and llama.cpp both ways:
//!
//! ```text
//! models--ORG--NAME/refs/REVISION            the commit that a branch or tag means
//!                   snapshots/COMMIT/FILE -> ../../blobs/HASH
//!                   blobs/HASH, HASH.incomplete
//! .locks/models--ORG--NAME/HASH.lock
//! ```

use super::Error;
use super::expand;
use super::gguf;
use super::name::{Name, Repo, RepoKind, is_commit, is_plain};
use super::verify::Hash;
use bantam_core::cancel::Cancel;
use bantam_core::disk;
use bantam_core::unit::Bytes;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder that downloaded models lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache(PathBuf);

/// A repository that is in the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The repository.
    pub repo: Repo,
    /// Its branches and tags with the commits they meant when they were pulled.
    pub refs: Vec<(String, String)>,
    /// The commits of which a snapshot is there.
    pub commits: Vec<String>,
    /// Bytes of its whole files; a file of several commits counts once.
    pub bytes: Bytes,
    /// Bytes of files that are not complete yet.
    pub incomplete: Bytes,
    /// When a file of it was last read; None where the file system does not tell.
    pub used: Option<SystemTime>,
}

/// HF_HOME, or where it is by default: `huggingface_hub/constants.py`.
pub(super) fn home(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| expand::folder(name, &variable);
    folder("HF_HOME")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
        .or_else(|| Some(expand::home(&variable)?.join(".cache/huggingface")))
}

impl Cache {
    /// Finds the cache where the environment says: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, or below the home folder.
    pub fn here() -> Cache {
        Cache::from(|name| std::env::var_os(name))
    }

    /// Names a folder as the cache, whatever the environment says.
    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache(folder.into())
    }

    /// The order of `huggingface_hub/constants.py`.
    pub(super) fn from(variable: impl Fn(&str) -> Option<OsString>) -> Cache {
        let folder = |name: &str| expand::folder(name, &variable);
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| Some(home(&variable)?.join("hub")));
        Cache(cache.unwrap_or_else(|| ".cache/huggingface/hub".into()))
    }

    /// Gives the cache's folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn of(&self, repo: &Repo) -> PathBuf {
        self.0.join(repo.folder())
    }

    pub(super) fn blob(&self, repo: &Repo, hash: &Hash) -> PathBuf {
        self.of(repo).join("blobs").join(hash.hex())
    }

    /// Where a blob grows; the name is Python's, so that either goes on with what the other began.
    pub(super) fn part(&self, repo: &Repo, hash: &Hash) -> PathBuf {
        self.of(repo).join("blobs").join(format!("{}.incomplete", hash.hex()))
    }

    pub(super) fn lock(&self, repo: &Repo, hash: &Hash) -> PathBuf {
        self.0.join(".locks").join(repo.folder()).join(format!("{}.lock", hash.hex()))
    }

    pub(super) fn snapshot(&self, repo: &Repo, commit: &str) -> PathBuf {
        self.of(repo).join("snapshots").join(commit)
    }

    /// Gives the commit that a revision meant when it was last pulled; None where there is no snapshot of it.
    pub fn commit(&self, repo: &Repo, revision: &str) -> Option<String> {
        let named = std::fs::read_to_string(self.of(repo).join("refs").join(revision)).ok();
        let commit = named.as_deref().map_or(revision, str::trim);
        let known = is_plain(commit) && self.snapshot(repo, commit).is_dir();
        known.then(|| commit.to_owned())
    }

    /// Remembers what a branch or a tag means.
    pub(super) fn remember(&self, repo: &Repo, revision: &str, commit: &str) -> Result<(), Error> {
        if is_commit(revision) {
            return Ok(());
        }
        let file = self.of(repo).join("refs").join(revision);
        // a cache that cannot be written may be read
        if std::fs::read(&file).is_ok_and(|there| there.trim_ascii() == commit.as_bytes()) {
            return Ok(());
        }
        write_anew(&file, commit.as_bytes()).map_err(Error::unwritable(&file))
    }

    /// Makes a file of a snapshot a link to its blob; a copy where the file system has no links.
    pub(super) fn link(&self, repo: &Repo, commit: &str, path: &str, hash: &Hash) -> Result<PathBuf, Error> {
        let file = self.snapshot(repo, commit).join(path);
        let target = Path::new(&"../".repeat(2 + path.matches('/').count())).join("blobs").join(hash.hex());
        if std::fs::read_link(&file).is_ok_and(|there| there == target) {
            return Ok(file);
        }
        let folder = file.parent().expect("a file of a snapshot is in a folder").to_path_buf();
        std::fs::create_dir_all(&folder).map_err(Error::unwritable(&folder))?;
        let made = beside(&file);
        let blob = self.blob(repo, hash);
        let link = std::os::unix::fs::symlink(&target, &made).or_else(|_| std::fs::hard_link(&blob, &made));
        let link = link.or_else(|_| std::fs::copy(&blob, &made).map(|_| ()));
        link.and_then(|()| std::fs::rename(&made, &file)).map_err(Error::unwritable(&file))?;
        Ok(file)
    }

    /// Finds the snapshot of `ORG/NAME[@REVISION]`; None where the name has not that form or the model is not here.
    ///
    /// # Errors
    /// As for [`Cache::snapshot_of`].
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        Name::parse(name).map_or(Ok(None), |name| self.snapshot_of(&name))
    }

    /// Finds the snapshot of a name; None where nothing of the repository is here.
    ///
    /// # Errors
    /// [`Error::NotCached`] where the repository is here and the revision is not.
    pub fn snapshot_of(&self, name: &Name) -> Result<Option<PathBuf>, Error> {
        let folder = self.of(&name.repo);
        if !folder.is_dir() {
            return Ok(None);
        }
        if let Some(commit) = self.commit(&name.repo, &name.revision) {
            return Ok(Some(self.snapshot(&name.repo, &commit)));
        }
        let there: Vec<String> = ["refs", "snapshots"].iter().flat_map(|kind| entries(&folder.join(kind))).collect();
        if there.is_empty() {
            return Ok(None);
        }
        let (cache, revision) = (self.0.clone(), name.revision.clone());
        Err(Error::NotCached { name: name.repo.id(), revision, cache, there })
    }

    /// Lists the models that are here, by name.
    pub fn models(&self) -> Vec<String> {
        let repos = entries(&self.0).into_iter().filter_map(|folder| Repo::of_folder(&folder));
        repos.filter(|repo| repo.kind == RepoKind::Model).map(|repo| repo.id()).collect()
    }

    /// Lists everything that is here, with sizes; looks at every file's entry and reads none.
    pub fn kept(&self) -> Vec<Kept> {
        entries(&self.0).into_iter().filter_map(|folder| Some(self.kept_of(Repo::of_folder(&folder)?))).collect()
    }

    fn kept_of(&self, repo: Repo) -> Kept {
        let folder = self.of(&repo);
        let refs = below(&folder.join("refs")).into_iter().filter_map(|revision| {
            let commit = std::fs::read_to_string(folder.join("refs").join(&revision)).ok()?;
            Some((revision, commit.trim().to_owned()))
        });
        let (mut bytes, mut incomplete, mut used) = (0, 0, None);
        for blob in entries(&folder.join("blobs")) {
            let Ok(facts) = std::fs::metadata(folder.join("blobs").join(&blob)) else { continue };
            if blob.ends_with(".incomplete") {
                incomplete += facts.len()
            } else {
                bytes += facts.len()
            }
            used = used.max(facts.accessed().ok());
        }
        Kept {
            refs: refs.collect(),
            commits: entries(&folder.join("snapshots")),
            bytes: Bytes(bytes),
            incomplete: Bytes(incomplete),
            used,
            repo,
        }
    }

    /// Removes a repository with all its revisions and gives the bytes that this freed. Files that another program has
    /// open stay readable to it.
    ///
    /// # Errors
    /// Where the repository is not here or cannot be removed.
    pub fn remove(&self, repo: &Repo) -> Result<Bytes, Error> {
        let folder = self.of(repo);
        if !folder.is_dir() {
            let there = self.kept().into_iter().map(|kept| kept.repo.id()).collect();
            return Err(Error::NotHere { name: repo.id(), cache: self.0.clone(), there });
        }
        let freed = self.kept_of(repo.clone());
        std::fs::remove_dir_all(&folder).map_err(Error::unwritable(&folder))?;
        let locks = self.0.join(".locks").join(repo.folder());
        if locks.is_dir() {
            std::fs::remove_dir_all(&locks).map_err(Error::unwritable(&locks))?;
        }
        Ok(Bytes(freed.bytes.0 + freed.incomplete.0))
    }

    /// Reads every blob of a repository, whatever is remembered of it, and lists those that are not what their names say.
    ///
    /// # Errors
    /// Where a blob cannot be read, or `cancel` was called meanwhile.
    pub fn rotten(&self, repo: &Repo, cancel: &Cancel) -> Result<Vec<PathBuf>, Error> {
        let folder = self.of(repo).join("blobs");
        let mut rotten = Vec::new();
        for (blob, hash) in entries(&folder).iter().filter_map(|name| Some((folder.join(name), Hash::of_hex(name)?))) {
            match hash.check(&blob, true, cancel) {
                Ok(None) => {}
                Ok(Some(_)) => rotten.push(blob),
                Err(_) if cancel.is_cancelled() => return Err(Error::Cancelled),
                Err(error) => return Err(Error::unreadable(&blob)(error)),
            }
        }
        Ok(rotten)
    }

    /// The file of a snapshot that a name with a quantization means.
    pub(super) fn gguf_in(snapshot: &Path, name: &str, quant: Option<&str>) -> Result<PathBuf, Error> {
        let files = below(snapshot);
        let all = gguf::choices(files.iter().map(String::as_str));
        Ok(snapshot.join(&gguf::choose(name, &all, quant)?.files[0]))
    }
}

/// Writes a small file so that a reader sees the old or the new one, never half of it.
fn write_anew(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    disk::write(file, bytes)
}

/// A name beside a file that no other process or thread uses; short, since the file's own may be as long as names can be.
fn beside(file: &Path) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    file.with_file_name(format!(".bantam-{}-{thread}", std::process::id()))
}

/// What is in a folder, sorted; nothing where it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<String> {
    let read = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = read.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All files below a folder, by their paths from there, sorted.
pub(super) fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        for name in entries(&folder.join(&at)) {
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            let there = folder.join(&path);
            // a link to a folder is no file and is not followed
            match std::fs::symlink_metadata(&there) {
                Ok(facts) if facts.is_dir() => folders.push(path),
                Ok(_) if there.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

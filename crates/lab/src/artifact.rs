//! Artifacts: files whose name is a hash of what they are made from, written once and never half there.
//!
//! A file is written under a temporary name, synced and renamed, while a lock keeps every other process from making the
//! same one; whoever comes second finds it. Beside it lies a note (JSON) with its own hash, and with what the file
//! looked like when it had that hash: one that looks otherwise is hashed again before it is believed.

use crate::history::StepNote;
use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_core::disk::{self, Lock, LockError, hex, sync_folder_of};
use bantam_core::stamp::Stamp;
use bantam_core::unit::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Where an artifact is, or will be.
pub(crate) struct ArtifactFiles {
    pub file: PathBuf,
    note: PathBuf,
    lock: PathBuf,
    partial: PathBuf,
}

/// What lies beside an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// SHA-256 of what it was made from.
    pub address: String,
    /// SHA-256 of the file.
    pub sha256: String,
    pub bytes: u64,
    /// The recipe's steps, as TOML.
    pub recipe: String,
    /// What the steps did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepNote>,
    /// What the file looked like when it had this hash.
    #[serde(default)]
    pub seen: Option<Stamp>,
}

/// The stamp of a file; None of a link or anything else.
fn stamp(path: &Path) -> Option<Stamp> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|facts| Stamp::of(&facts))
}

/// Counts and hashes what goes through it.
pub(crate) struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
    /// The file's name, for sentences.
    name: String,
}

impl ArtifactFiles {
    /// The place of the artifact with this address; `stem` is for people only.
    pub(crate) fn new(folder: &Path, stem: &str, address: &str) -> ArtifactFiles {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let stem: String = stem.chars().map(safe).collect();
        let named = |ending: &str| folder.join(format!("{stem}.{}.{ending}", &address[..16]));
        ArtifactFiles { file: named("gguf"), note: named("json"), lock: named("lock"), partial: named("partial") }
    }

    /// The artifact's note, if the artifact is there, whole, and the one of that address. A file that does not look as
    /// it did when it was hashed is hashed again.
    pub(crate) fn find(&self, address: &str) -> Option<Note> {
        let note: Note = serde_json::from_slice(&fs::read(&self.note).ok()?).ok()?;
        let looks = stamp(&self.file)?;
        if note.address != address || note.bytes != looks.bytes {
            return None;
        }
        if note.seen.as_ref() == Some(&looks) {
            return Some(note);
        }
        let is_whole = hash_of(&self.file).is_ok_and(|hash| hash == note.sha256);
        // where it was written to in the meantime, it is looked at again next time
        let note = Note { seen: Some(looks), ..note };
        is_whole.then(|| {
            // a note that cannot be kept costs another look
            let _ = self.keep(&note);
            note
        })
    }

    fn keep(&self, note: &Note) -> io::Result<()> {
        disk::write(&self.note, &serde_json::to_vec_pretty(note)?)
    }

    /// Waits until no other process is making this artifact; `waiting` is called with its number if one is. The lock's file goes with
    /// it.
    pub(crate) fn lock(&self, cancel: &Cancel, waiting: impl FnOnce(Option<u32>)) -> Result<Lock> {
        let lock = Lock::take(&self.lock, cancel, || waiting(disk::holder(&self.lock)));
        let lock = lock.map_err(|error| match error {
            LockError::Cancelled => anyhow::anyhow!("cancelled"),
            LockError::Refused(e) => anyhow::anyhow!("{}: cannot lock the artifact: {e}", self.lock.display()),
        });
        Ok(lock?.with_its_file().signed())
    }

    /// Write the artifact, under the lock: `fill` writes the file, `check` reads it, `note` tells of it. Nothing is left
    /// of a failure.
    pub(crate) fn write(
        &self,
        fill: impl FnOnce(&mut Hashing<BufWriter<File>>) -> Result<()>,
        check: impl FnOnce(&Path) -> Result<()>,
        note: impl FnOnce(u64, String) -> Note,
    ) -> Result<Note> {
        let written = self.write_partial(fill, check, note);
        if written.is_err() {
            // the cause is what matters; a file that cannot be removed is removed next time
            let _ = fs::remove_file(&self.partial);
        }
        written
    }

    fn write_partial(
        &self,
        fill: impl FnOnce(&mut Hashing<BufWriter<File>>) -> Result<()>,
        check: impl FnOnce(&Path) -> Result<()>,
        note: impl FnOnce(u64, String) -> Note,
    ) -> Result<Note> {
        let name = self.partial.display().to_string();
        // a link that somebody has put there is not followed
        match fs::remove_file(&self.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(name),
            _ => (),
        }
        let file = File::create_new(&self.partial).with_context(|| name.clone())?;
        let inner = BufWriter::with_capacity(1 << 20, file);
        let mut out = Hashing::new(inner, name);
        fill(&mut out)?;
        let mut note = note(out.bytes, hex(&out.hash.finalize()));
        out.inner.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all())?;
        check(&self.partial)?;
        let mut finish = || -> io::Result<()> {
            fs::rename(&self.partial, &self.file)?;
            sync_folder_of(&self.file)?;
            note.seen = stamp(&self.file);
            self.keep(&note)
        };
        finish().with_context(|| self.file.display().to_string())?;
        Ok(note)
    }
}

/// SHA-256 of a file.
fn hash_of(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(file)?;
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&part[..n]),
        }
    }
}

/// Say beforehand that a disk is too full, where it can be asked.
pub(crate) fn check_room(folder: &Path, needed: u64) -> Result<()> {
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        if left < needed {
            let (needed, left) = (Bytes(needed), Bytes(left));
            bail!("{}: the artifact needs {needed}, and its disk has {left} left; free some", folder.display());
        }
    }
    Ok(())
}

impl<W> Hashing<W> {
    pub(crate) fn new(inner: W, name: String) -> Hashing<W> {
        Hashing { inner, hash: Sha256::new(), bytes: 0, name }
    }

    /// How many bytes went through.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it wrote into, and the hash of all that went through.
    pub(crate) fn finish(self) -> (W, String) {
        (self.inner, hex(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.name)))?;
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

//! Files on disk: written whole or not at all, locks that one holder has, and hashes in hex.

use crate::cancel::Cancel;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// A file that is being written beside its final place, under a name of its own; it is removed where it is not
/// finished.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    place: PathBuf,
}

impl Draft {
    /// Begins a file that will stand at `place`.
    ///
    /// # Errors
    /// Where the folder does not exist or takes no file.
    pub fn of(place: &Path) -> io::Result<Draft> {
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Draft { file: NamedTempFile::new_in(folder)?, place: place.to_owned() })
    }

    /// Gives the file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Brings what was written to the disk and renames the draft to its place, over a file that stands there.
    ///
    /// # Errors
    /// Where the disk is full or the file cannot be renamed; the draft is gone then.
    pub fn finish(self) -> io::Result<()> {
        self.finish_as(FOR_ALL)
    }

    /// The same with these permissions.
    fn finish_as(self, mode: u32) -> io::Result<()> {
        self.file.as_file().set_permissions(PermissionsExt::from_mode(mode))?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.place).map_err(|e| e.error)?;
        sync_folder_of(&self.place)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// As [`Draft::of`] and [`Draft::finish`], and where the bytes cannot be written.
pub fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::of(place)?;
    draft.write_all(bytes)?;
    draft.finish()
}

/// The same for what is nobody else's business: only its owner can read it.
///
/// # Errors
/// As [`write()`].
pub fn write_private(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::of(place)?;
    draft.write_all(bytes)?;
    draft.finish_as(FOR_OWNER)
}

/// Makes a folder that only its owner can enter, and those above it as folders are; one that is there stays as it is.
///
/// # Errors
/// Where it cannot be made.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// A temporary file is its owner's alone; what it becomes is as other files are …
const FOR_ALL: u32 = 0o644;
/// … or stays so.
const FOR_OWNER: u32 = 0o600;

/// Syncs the folder that holds `place`: a rename is on the disk when its folder is.
///
/// # Errors
/// Where the folder cannot be opened or synced.
pub fn sync_folder_of(place: &Path) -> io::Result<()> {
    match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A lock on a file that one holder has at a time, in this process and among others. The kernel lets go of it when its
/// holder dies. The call is flock(2), as Python's filelock makes it, so that both wait for each other.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
    /// Whether the file goes with the lock.
    remove: bool,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The job was cancelled while it waited.
    #[error("cancelled")]
    Cancelled,
    /// The lock file cannot be made or locked.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

/// How long to wait between two tries for a lock that somebody else holds.
pub const LOOK: Duration = Duration::from_millis(100);

impl Lock {
    /// Waits for the lock; `waiting` is called once where somebody else has it.
    ///
    /// # Errors
    /// Where the file cannot be made or locked, or `cancel` was called while waiting.
    pub fn take(path: &Path, cancel: &Cancel, waiting: impl FnOnce()) -> Result<Lock, LockError> {
        let mut waiting = Some(waiting);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            match file.try_lock() {
                // a holder that removed the file on leaving has left a lock that nobody else sees
                Ok(()) if is_at(&file, path) => return Ok(Lock { _file: file, path: path.to_owned(), remove: false }),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            waiting.take().into_iter().for_each(|waiting| waiting());
            if cancel.is_cancelled() {
                return Err(LockError::Cancelled);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Makes the lock remove its file when it is dropped.
    #[must_use]
    pub fn with_its_file(mut self) -> Lock {
        self.remove = true;
        self
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.remove {
            // before the file is closed, and with it unlocked; a lock file that stays does no harm
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the path still leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |(a, b): (fs::Metadata, fs::Metadata)| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(same)
}

/// Writes bytes as hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("report.md");
        write(&place, b"first").expect("written");
        let mut draft = Draft::of(&place).expect("begun");
        draft.write_all(b"half of the sec").expect("written");
        drop(draft);
        assert_eq!(fs::read(&place).expect("read"), b"first");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing is left of the draft");
        write(&place, b"second").expect("written");
        assert_eq!(fs::read(&place).expect("read"), b"second");
        assert!(write(&folder.path().join("none/x"), b"").is_err());
    }

    #[test]
    fn what_is_private_is_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let own = folder.path().join("a/own");
        create_private_folder(&own).expect("made");
        create_private_folder(&own).expect("it is there already");
        write_private(&own.join("x"), b"secret").expect("written");
        write(&own.join("y"), b"plain").expect("written");
        assert_eq!((mode(&own), mode(&own.join("x")), mode(&own.join("y"))), (0o700, 0o600, 0o644));
        assert!(create_private_folder(&own.join("x")).is_err(), "a file stands there");
    }

    #[test]
    fn a_lock_is_held_by_one_and_given_on_when_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.lock");
        let first = Lock::take(&path, &Cancel::new(), || panic!("it is free")).expect("free");
        let cancel = Cancel::new();
        let mut told = 0;
        let second = Lock::take(&path, &cancel, || {
            told += 1;
            cancel.cancel();
        });
        assert!(matches!(second, Err(LockError::Cancelled)));
        assert_eq!(told, 1);
        drop(first);
        let again = Lock::take(&path, &Cancel::new(), || panic!("it is free")).expect("free again").with_its_file();
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn hex_is_two_digits_a_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}

//! What every room does on disk the same way: files that are there whole or not at all, locks that one holder has, and
//! hashes in hex.

use crate::cancel::Cancel;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// A file that is being written beside its place, under a name of its own; it is gone where it is not finished.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    place: PathBuf,
}

impl Draft {
    /// Begins a file that will stand at `place`.
    ///
    /// # Errors
    /// Where the folder is not there or takes no file.
    pub fn of(place: &Path) -> io::Result<Draft> {
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Draft { file: NamedTempFile::new_in(folder)?, place: place.to_owned() })
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Brings what was written to the disk and gives it its name, in place of what had it.
    ///
    /// # Errors
    /// Where the disk is full or the name cannot be given; the draft is gone then.
    pub fn finish(self) -> io::Result<()> {
        readable_by_all(self.file.as_file())?;
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
/// As [`Draft`].
pub fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::of(place)?;
    draft.write_all(bytes)?;
    draft.finish()
}

/// A temporary file is its owner's alone; what it becomes is as other files are.
fn readable_by_all(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

/// Brings a rename to the disk: it is there when its folder is.
///
/// # Errors
/// What the file system says.
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

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The wish to stop came first.
    #[error("cancelled")]
    Cancelled,
    /// The file system refuses.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

/// Between two looks at a lock that somebody else holds.
pub const LOOK: Duration = Duration::from_millis(100);

impl Lock {
    /// Waits for the lock; `waiting` is called once where somebody else has it.
    ///
    /// # Errors
    /// Where the file cannot be made or locked, or `cancel` says so while waiting.
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

    /// Makes the file go with the lock.
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

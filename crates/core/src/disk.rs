//! Files on disk: written whole or not at all, locks that one holder has, and hashes in hex.
//!
//! A draft is known by its name as one of its target's, and is locked while somebody writes it: what a killed process
//! left is removed when the same target is begun again.

use crate::cancel::Cancel;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

/// What the names of drafts end in.
const ENDING: &str = ".bantam-tmp";
/// The mode of a file, from which the umask takes what it takes.
const FOR_ALL: u32 = 0o666;
/// The mode of what is its owner's alone.
const FOR_OWNER: u32 = 0o600;
/// A draft of no bytes may be one that somebody has made and not yet locked; older ones are nobody's.
const NEWBORN: Duration = Duration::from_secs(60);

/// A file that is being written beside its final place, under a name of its own; it is removed where it is not
/// finished.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    place: PathBuf,
}

impl Draft {
    /// Begins a file that will stand at `place`, and removes what killed processes have left of the same.
    ///
    /// # Errors
    /// Where the folder does not exist or takes no file.
    pub fn of(place: &Path) -> io::Result<Draft> {
        Draft::begin(place, FOR_ALL)
    }

    /// The same of a mode from which the umask takes what it takes.
    fn begin(place: &Path, mode: u32) -> io::Result<Draft> {
        let folder = folder_of(place);
        let prefix = prefix_of(place);
        remove_leftovers(folder, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.permissions(fs::Permissions::from_mode(mode));
        let file = builder.prefix(&prefix).suffix(ENDING).tempfile_in(folder)?;
        // a file system without locks has leftovers that stay
        let _ = file.as_file().try_lock();
        Ok(Draft { file, place: place.to_owned() })
    }

    /// Gives the file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Where the draft lies while it is written.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Brings what was written to the disk and renames the draft to its place, over a file that stands there, whose mode
    /// it takes.
    ///
    /// # Errors
    /// Where the disk is full or the file cannot be renamed; the draft is gone then.
    pub fn finish(self) -> io::Result<()> {
        let before = fs::symlink_metadata(&self.place).ok().filter(fs::Metadata::is_file);
        self.finish_as(before.map(|before| before.permissions()))
    }

    /// The same with these permissions, where it is not to keep its own.
    fn finish_as(self, mode: Option<fs::Permissions>) -> io::Result<()> {
        mode.map_or(Ok(()), |mode| self.file.as_file().set_permissions(mode))?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.place).map_err(|e| e.error)?;
        sync_folder_of(&self.place)
    }
}

/// A folder that is being filled beside its final place; it is removed where it is not finished.
#[derive(Debug)]
pub struct DraftFolder {
    folder: TempDir,
    place: PathBuf,
    _lock: Option<File>,
}

impl DraftFolder {
    /// Begins a folder that will stand at `place`, and removes what killed processes have left of the same.
    ///
    /// # Errors
    /// Where the folder around it does not exist or takes none.
    pub fn of(place: &Path) -> io::Result<DraftFolder> {
        let (around, prefix) = (folder_of(place), prefix_of(place));
        remove_leftovers(around, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.permissions(fs::Permissions::from_mode(0o777));
        let folder = builder.prefix(&prefix).suffix(ENDING).tempdir_in(around)?;
        let lock = File::open(folder.path()).ok().filter(|lock| lock.try_lock().is_ok());
        Ok(DraftFolder { folder, place: place.to_owned(), _lock: lock })
    }

    /// Where it lies while it is filled.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Renames the folder to its place, and removes the folder that stood there.
    ///
    /// # Errors
    /// Where one of the two cannot be moved; the old one stands there then.
    pub fn replace(self) -> io::Result<()> {
        if !self.place.is_dir() {
            return self.finish();
        }
        let aside = tempfile::Builder::new()
            .prefix(&prefix_of(&self.place))
            .suffix(ENDING)
            .tempdir_in(folder_of(&self.place))?;
        let (place, old) = (self.place.clone(), aside.path().join("old"));
        fs::rename(&place, &old)?;
        self.finish().inspect_err(|_| {
            let _ = fs::rename(&old, &place);
        })
    }

    /// Renames the folder to its place, over an empty folder that stands there.
    ///
    /// # Errors
    /// Where something else stands there; the draft is gone then.
    pub fn finish(self) -> io::Result<()> {
        fs::rename(self.folder.path(), &self.place)?;
        // it is no longer where it would be removed
        let _ = self.folder.keep();
        sync_folder_of(&self.place)
    }
}

fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the names of a target's drafts begin with; cut where a file system would not take the whole.
fn prefix_of(place: &Path) -> String {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short: String = name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 200).map(|(_, c)| c).collect();
    format!(".{short}.")
}

/// Removes drafts that nobody holds any more. What cannot be removed does no harm.
fn remove_leftovers(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_draft = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(ENDING));
        let Some(found) = is_draft.then(|| entry.metadata().ok()).flatten() else { continue };
        let is_newborn =
            found.len() == 0 && found.modified().ok().and_then(|at| at.elapsed().ok()).is_none_or(|age| age < NEWBORN);
        if (found.is_file() && is_newborn) || !(found.is_file() || found.is_dir()) {
            continue;
        }
        let path = entry.path();
        let is_held = File::open(&path).is_ok_and(|file| file.try_lock().is_err());
        if !is_held {
            let _ = if found.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
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
    let mut draft = Draft::begin(place, FOR_OWNER)?;
    draft.write_all(bytes)?;
    draft.finish_as(Some(fs::Permissions::from_mode(FOR_OWNER)))
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

    /// Writes this process's number into the lock's file, for those who wait.
    #[must_use]
    pub fn signed(self) -> Lock {
        sign(&self._file);
        self
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

/// Writes this process's number into a file that it holds the lock of. Where it cannot be written, those who wait are not
/// told whom they wait for.
pub fn sign(mut file: &File) {
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
}

/// The number of the process that signed a lock's file last; None where nobody did.
pub fn holder(lock: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(lock).ok()?.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
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
    fn a_lock_says_whose_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (place, cancel) = (folder.path().join("x.lock"), Cancel::new());
        assert_eq!(holder(&place), None);
        let lock = Lock::take(&place, &cancel, || {}).expect("nobody has it");
        assert_eq!(holder(&place), None, "it is not signed");
        let _lock = lock.signed();
        assert_eq!(holder(&place), Some(std::process::id()));
        fs::write(&place, "no number").expect("written");
        assert_eq!(holder(&place), None);
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
    fn what_a_killed_process_left_goes_when_the_same_target_is_begun_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("model.gguf");
        let left = folder.path().join(format!(".model.gguf.abcdef{ENDING}"));
        let left_folder = folder.path().join(format!(".model.gguf.folder{ENDING}"));
        let of_another = folder.path().join(format!(".other.gguf.abcdef{ENDING}"));
        fs::write(&left, b"half").expect("written");
        fs::write(&of_another, b"half").expect("written");
        fs::create_dir(&left_folder).and_then(|()| fs::write(left_folder.join("x"), b"half")).expect("written");
        let mut held = Draft::of(&place).expect("begun");
        held.write_all(b"in work").expect("written");
        assert!(!left.exists() && !left_folder.exists() && of_another.exists());
        let held_folder = DraftFolder::of(&place).expect("begun");
        let second = Draft::of(&place).expect("begun");
        assert!(held.path().exists() && held_folder.path().exists(), "what somebody writes is left alone");
        second.finish().expect("finished");
        held.finish().expect("finished");
        assert_eq!(fs::read(&place).expect("read"), b"in work");
        assert!(held_folder.finish().is_err(), "a file stands there");
    }

    #[test]
    fn a_folder_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("made");
        for text in ["one", "two"] {
            let draft = DraftFolder::of(&place).expect("begun");
            fs::write(draft.path().join(text), text).expect("written");
            draft.replace().expect("replaced");
            assert!(place.join(text).is_file());
        }
        assert!(!place.join("one").exists());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_file_has_the_mode_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("x");
        write(&place, b"first").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let usual = folder.path().join("usual");
        fs::write(&usual, b"").expect("written");
        assert_eq!(mode(&place), mode(&usual), "as the umask has it");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).expect("set");
        write(&place, b"second").expect("written");
        assert_eq!(mode(&place), 0o600);
    }

    #[test]
    fn a_name_as_long_as_a_file_system_takes_has_its_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("ä".repeat(125));
        write(&place, b"whole").expect("written");
        assert_eq!(fs::read(&place).expect("read"), b"whole");
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

//! The store's file as the system sees it: made for its owner alone, and whether it is still the one that was opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the file and its folder where they are not there, for their owner alone: targets and answers are in it. What is
/// there keeps its permissions. SQLite gives the files beside it (`-wal`, `-shm`) the same.
pub(super) fn make_private(file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        bantam_core::disk::create_private_folder(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Which file was opened.
#[derive(Debug)]
pub(super) struct Guard {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Held open, so that no other file gets its inode's number.
    _file: File,
}

impl Guard {
    pub(super) fn of(path: &Path) -> Option<Guard> {
        let file = File::open(path).ok()?;
        let facts = file.metadata().ok()?;
        Some(Guard { path: path.into(), device: facts.dev(), inode: facts.ino(), _file: file })
    }

    /// Whether the path still leads to the file that was opened.
    pub(super) fn still_holds(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode))
    }
}

/// Tries what SQLite failed at, to learn the reason from the system: appending a page in the file's folder.
pub(super) fn try_writing(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut probe = tempfile::tempfile_in(folder)?;
    // as far into the file as the store is, since a limit may be on its size
    let at = fs::metadata(file).map_or(0, |facts| facts.len());
    io::Seek::seek(&mut probe, io::SeekFrom::Start(at))?;
    probe.write_all(&[0; 1 << 16])?;
    probe.sync_all()
}

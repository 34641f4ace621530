//! What a child writes to stderr, kept on disk and bounded: the newest part in one file, the part before it in another
//! beside it (`NAME.old`), so that a child that chatters for hours cannot fill the disk.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most bytes in each of the two files.
const HALF: u64 = 256 << 10;
/// Most bytes of the log that go with a failed trial.
pub const TAIL: usize = 16 << 10;

/// A child's log, to read while it is written or after.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

/// The writing end.
pub(super) struct Writer {
    log: Log,
    file: File,
    written: u64,
}

impl Log {
    /// Starts an empty log and makes its folder.
    pub(super) fn create(path: &Path) -> io::Result<(Log, Writer)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = Log { path: path.to_path_buf() };
        let file = File::create(path)?;
        match fs::remove_file(log.old()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok((log.clone(), Writer { log, file, written: 0 })),
        }
    }

    /// Gives the path of the newer file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn old(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".old");
        name.into()
    }

    /// The last [`TAIL`] bytes, from the beginning of a line where that cuts one; empty where nothing can be read.
    pub fn tail(&self) -> String {
        let mut bytes = last(&self.old(), TAIL);
        bytes.extend(last(&self.path, TAIL));
        let cut = bytes.len().saturating_sub(TAIL);
        let tail = &bytes[cut..];
        let begin = match tail.iter().position(|&b| b == b'\n') {
            Some(end) if cut > 0 => end + 1,
            _ => 0,
        };
        String::from_utf8_lossy(&tail[begin..]).into_owned()
    }
}

/// At most so many bytes from the end of a file.
fn last(path: &Path, most: usize) -> Vec<u8> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(most as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    read().unwrap_or_default()
}

/// A child's stderr on its way into a log that can be changed for another one while the child runs.
pub(super) struct Copier<R> {
    from: R,
    writer: Mutex<Writer>,
}

impl<R: AsFd> Copier<R> {
    pub(super) fn new(from: R, writer: Writer) -> Self {
        Self { from, writer: Mutex::new(writer) }
    }

    /// Writes all that comes until the end. A log that cannot be written is still read, lest the child block on it.
    pub(super) fn run(&self) {
        // waits without the lock, so that the log can be changed meanwhile; reads and writes with it
        while self.is_readable(None) {
            if self.drain(&mut self.lock()).is_err() {
                return;
            }
        }
    }

    /// Starts an empty log for what comes from now on; what is in the pipe already belongs to the one before.
    pub(super) fn change(&self, path: &Path) -> io::Result<Log> {
        let mut writer = self.lock();
        // at its end there is nothing more to write
        let _ = self.drain(&mut writer);
        let (log, new) = Log::create(path)?;
        *writer = new;
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // a panic while writing lost a part of the log, which is all that there is to lose
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the pipe holds; an error means that no more will come.
    fn drain(&self, writer: &mut Writer) -> Result<(), Ended> {
        let mut buffer = [0; 8 << 10];
        while self.is_readable(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            match rustix::io::read(&self.from, &mut buffer) {
                Ok(0) => return Err(Ended),
                // a full disk costs the log, not the run
                Ok(n) => drop(writer.append(&buffer[..n])),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Ended),
            }
        }
        Ok(())
    }

    /// Whether a read would not wait, for at most so long.
    fn is_readable(&self, patience: Option<&Timespec>) -> bool {
        loop {
            match poll(&mut [PollFd::new(&self.from, PollFlags::IN)], patience) {
                Ok(n) => return n > 0,
                Err(Errno::INTR) => {}
                // no descriptor to wait for: the read says so
                Err(_) => return true,
            }
        }
    }
}

/// The child, and all that it started, have closed their end.
struct Ended;

impl Writer {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written + bytes.len() as u64 > HALF {
            fs::rename(&self.log.path, self.log.old())?;
            self.file = File::create(&self.log.path)?;
            self.written = 0;
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log, and the pipe into it.
    fn piped(folder: &tempfile::TempDir) -> (Log, io::PipeWriter, Copier<io::PipeReader>) {
        let (log, writer) = Log::create(&folder.path().join("logs/worker.log")).unwrap();
        let (from, to) = io::pipe().unwrap();
        (log, to, Copier::new(from, writer))
    }

    /// Writes the text from another thread, as a child does, and copies it to its end.
    fn copy(text: &[u8], mut to: io::PipeWriter, copier: &Copier<io::PipeReader>) {
        std::thread::scope(|scope| {
            scope.spawn(move || to.write_all(text).unwrap());
            copier.run();
        });
    }

    fn written(text: &[u8]) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let (log, to, copier) = piped(&folder);
        copy(text, to, &copier);
        (folder, log)
    }

    #[test]
    fn a_change_of_logs_loses_nothing_and_mixes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (first, mut to, copier) = piped(&folder);
        to.write_all(b"of the first trial\n").unwrap();
        let second = copier.change(&folder.path().join("logs/second.log")).unwrap();
        copy(b"of the second\n", to, &copier);
        assert_eq!((first.tail().as_str(), second.tail().as_str()), ("of the first trial\n", "of the second\n"));
        let third = copier.change(&folder.path().join("logs/third.log")).unwrap();
        assert_eq!(third.tail(), "", "the pipe has ended");
    }

    #[test]
    fn keeps_what_was_said() {
        let (_folder, log) = written("loading\ngröße 3\n".as_bytes());
        assert_eq!(log.tail(), "loading\ngröße 3\n");
    }

    #[test]
    fn a_chatterer_fills_no_disk_and_its_last_words_are_kept() {
        let lines: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
        let (folder, log) = written(lines.as_bytes());
        let size: u64 =
            fs::read_dir(folder.path().join("logs")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(lines.len() > 2_000_000 && size <= 2 * HALF, "{size}");
        let tail = log.tail();
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 20, "{}", tail.len());
        assert!(tail.starts_with("line 1") && tail.ends_with("line 199999\n"), "{:?}", &tail[..20]);
    }

    #[test]
    fn the_tail_reaches_over_the_change_of_files() {
        let lines: String = (0..25_000).map(|n| format!("line {n}\n")).collect();
        assert!((HALF as usize..HALF as usize + TAIL).contains(&lines.len()), "the new file holds less than a tail");
        let (_folder, log) = written(lines.as_bytes());
        assert!(lines.ends_with(&log.tail()) && log.tail().len() > TAIL - 20);
    }

    #[test]
    fn a_new_log_begins_empty() {
        let (folder, log) = written(&vec![b'x'; 3 * HALF as usize]);
        assert!(!log.tail().is_empty());
        let (log, _) = Log::create(&folder.path().join("logs/worker.log")).unwrap();
        assert_eq!(log.tail(), "");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_read_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (log, to, copier) = piped(&folder);
        fs::remove_dir_all(folder.path().join("logs")).unwrap();
        copy(&vec![b'y'; 3 * HALF as usize], to, &copier);
        assert_eq!(log.tail(), "");
    }
}

//! What a child writes to stderr, kept on disk and bounded: the newest part in one file, the part before it in another
//! beside it (`NAME.old`), so that a child that chatters for hours cannot fill the disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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

impl Writer {
    /// Writes all that comes until the end. A log that cannot be written is still read, lest the child block on it.
    pub(super) fn copy(mut self, mut from: impl Read) {
        let mut buffer = [0; 8 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    // a full disk costs the log, not the run
                    let _ = self.append(&buffer[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

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

    fn written(text: &[u8]) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let (log, writer) = Log::create(&folder.path().join("logs/worker.log")).unwrap();
        writer.copy(text);
        (folder, log)
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
        let (log, writer) = Log::create(&folder.path().join("logs/worker.log")).unwrap();
        fs::remove_dir_all(folder.path().join("logs")).unwrap();
        let text = vec![b'y'; 3 * HALF as usize];
        let mut rest = text.as_slice();
        writer.copy(&mut rest);
        assert!(rest.is_empty() && log.tail().is_empty());
    }
}

//! What files hash to, read once for each: the SHA-256 of a file is remembered by its size, its times and its inode, so that
//! a changed file is read again, one that only was renamed or linked is at worst read again, too, and any other never is.
//!
//! What is remembered is a line a file in bantam's own home; where nothing can be written there, it lasts as long as the
//! process.

use crate::cancel::Cancel;
use crate::disk::{self, hex};
use crate::stamp::Stamp;
use crate::sync::lock;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Read and hashed at once.
const CHUNK: usize = 1 << 20;
/// Lines that the memory grows to before it is written anew with the younger half of them.
const MOST: usize = 8192;
/// A file that changed so shortly before it was read may change once more under the same times.
const SETTLED: Duration = Duration::from_millis(50);

/// A memory of what files hash to.
#[derive(Debug, Default)]
pub struct DigestMemo {
    file: Option<PathBuf>,
    known: Mutex<Option<HashMap<Stamp, String>>>,
}

static HERE: OnceLock<DigestMemo> = OnceLock::new();

/// Says once, before the first file is read, in which file this process remembers digests.
pub fn keep_in(file: impl Into<PathBuf>) {
    // a second word comes too late: some are remembered elsewhere already
    let _ = HERE.set(DigestMemo::at(file));
}

/// Gives this process's memory of digests.
pub fn here() -> &'static DigestMemo {
    HERE.get_or_init(DigestMemo::default)
}

impl DigestMemo {
    /// Makes a memory that is kept in a file; the file and its folder are made when there is something to remember.
    pub fn at(file: impl Into<PathBuf>) -> DigestMemo {
        DigestMemo { file: Some(file.into()), known: Mutex::default() }
    }

    /// Gives the SHA-256 of a file in hex, without reading it where it is as it was when it was read last.
    ///
    /// # Errors
    /// Where it is no regular file, cannot be read, or `cancel` was called meanwhile.
    pub fn sha256(&self, file: &Path, cancel: &Cancel) -> io::Result<String> {
        let stamp = Stamp::of(&regular(file)?);
        match self.recall(&stamp) {
            Some(digest) => Ok(digest),
            None => self.sha256_anew(file, cancel),
        }
    }

    /// Reads a file, whatever is remembered of it, and gives its SHA-256 in hex.
    ///
    /// # Errors
    /// As [`DigestMemo::sha256`].
    pub fn sha256_anew(&self, file: &Path, cancel: &Cancel) -> io::Result<String> {
        let begun = SystemTime::now();
        regular(file)?;
        let mut open = File::open(file)?;
        let before = open.metadata()?;
        let digest = sha256_of(&mut open, cancel)?;
        let after = open.metadata()?;
        if Stamp::of(&before) == Stamp::of(&after) && is_settled(&before, begun) {
            self.remember(Stamp::of(&before), &digest);
        }
        Ok(digest)
    }

    fn recall(&self, stamp: &Stamp) -> Option<String> {
        lock(&self.known).get_or_insert_with(|| self.load()).get(stamp).cloned()
    }

    /// What cannot be written is remembered by this process alone.
    fn remember(&self, stamp: Stamp, digest: &str) {
        let mut known = lock(&self.known);
        let known = known.get_or_insert_with(|| self.load());
        if known.insert(stamp, digest.to_owned()).as_deref() == Some(digest) {
            return;
        }
        let Some(file) = &self.file else { return };
        let append = || {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            // one write of a short line: lines of several processes do not mix
            File::options().append(true).create(true).open(file)?.write_all(line(&stamp, digest).as_bytes())
        };
        let _ = append();
    }

    fn load(&self) -> HashMap<Stamp, String> {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        if let Some(file) = self.file.as_ref().filter(|_| lines.len() > MOST) {
            // what another process adds meanwhile is read once more, later
            let _ = disk::write(file, (lines[lines.len() - MOST / 2..].join("\n") + "\n").as_bytes());
        }
        lines.into_iter().filter_map(read).collect()
    }
}

/// A time as one number of nanoseconds.
fn nanos((seconds, nanos): (i64, i64)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

fn line(stamp: &Stamp, digest: &str) -> String {
    let Stamp { device, inode, bytes, modified, changed } = *stamp;
    format!("{digest} {device} {inode} {bytes} {} {}\n", nanos(modified), nanos(changed))
}

/// None for a line that is no whole one.
fn read(line: &str) -> Option<(Stamp, String)> {
    let (digest, rest) = line.split_once(' ')?;
    let numbers: Vec<i128> = rest.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let whole = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let [device, inode, bytes, modified, changed] = <[i128; 5]>::try_from(numbers).ok().filter(|_| whole)?;
    let number = |n: i128| u64::try_from(n).ok();
    let time = |n: i128| Some((i64::try_from(n.div_euclid(1_000_000_000)).ok()?, (n.rem_euclid(1_000_000_000)) as i64));
    let stamp = Stamp {
        bytes: number(bytes)?,
        device: number(device)?,
        inode: number(inode)?,
        modified: time(modified)?,
        changed: time(changed)?,
    };
    Some((stamp, digest.to_owned()))
}

/// Whether nothing about a file has changed for a while.
fn is_settled(facts: &Metadata, now: SystemTime) -> bool {
    let Stamp { modified, changed, .. } = Stamp::of(facts);
    let nanos = u64::try_from(nanos(modified.max(changed))).unwrap_or(0);
    now.duration_since(UNIX_EPOCH + Duration::from_nanos(nanos)).is_ok_and(|age| age >= SETTLED)
}

/// A pipe or a device would be waited for or read without end.
fn regular(file: &Path) -> io::Result<Metadata> {
    let facts = fs::metadata(file)?;
    match facts.is_file() {
        true => Ok(facts),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "is no regular file")),
    }
}

fn sha256_of(file: &mut File, cancel: &Cancel) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        if cancel.is_cancelled() {
            return Err(io::Error::other("stopped while it was read"));
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sha256sum of "hello\n"
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
        let file = folder.join(name);
        fs::write(&file, text).expect("written");
        file
    }

    /// A memory that holds a lie about a file shows whether it is asked.
    fn with_lie(memo: &DigestMemo, file: &Path) {
        memo.remember(Stamp::of(&fs::metadata(file).expect("there")), &"0".repeat(64));
    }

    #[test]
    fn what_is_remembered_is_not_read_and_what_changed_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "weights", "hello\n");
        let kept = folder.path().join("home/digests");
        let (memo, cancel) = (DigestMemo::at(&kept), Cancel::new());
        assert_eq!(memo.sha256(&file, &cancel).expect("read"), HELLO);
        with_lie(&memo, &file);
        assert_eq!(memo.sha256(&file, &cancel).expect("recalled"), "0".repeat(64));
        assert_eq!(DigestMemo::at(&kept).sha256(&file, &cancel).expect("recalled elsewhere"), "0".repeat(64));
        assert_eq!(memo.sha256_anew(&file, &cancel).expect("read"), HELLO);
        // the same length: a rotten disk or another file of the same name
        fs::write(&file, "jello\n").expect("written");
        let changed = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::options().write(true).open(&file).expect("open").set_modified(changed).expect("set");
        let anew = memo.sha256(&file, &cancel).expect("read");
        assert!(anew != "0".repeat(64) && anew != HELLO, "{anew}");
    }

    #[test]
    fn a_file_that_changed_just_now_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "weights", "hello\n");
        let facts = fs::metadata(&file).expect("there");
        let changed =
            UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos(Stamp::of(&facts).changed)).expect("after 1970"));
        assert!(!is_settled(&facts, changed + SETTLED / 2));
        assert!(is_settled(&facts, changed + SETTLED * 2));
    }

    #[test]
    fn damaged_lines_are_no_memory_and_pipes_are_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept =
            written(folder.path(), "digests", &format!("{HELLO} 1 2\nnonsense\n\n{HELLO} 1 2 3 4 5\n{HELLO} 1 2 3 4"));
        assert_eq!(DigestMemo::at(&kept).load().len(), 1);
        assert!(DigestMemo::default().sha256(folder.path(), &Cancel::new()).is_err());
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(DigestMemo::default().sha256(&kept, &cancel).is_err());
    }

    #[test]
    fn the_memory_does_not_grow_without_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = (0..=MOST).map(|n| format!("{HELLO} 1 {n} 3 4 5\n")).collect();
        let kept = written(folder.path(), "digests", &lines);
        assert_eq!(DigestMemo::at(&kept).load().len(), MOST + 1);
        assert_eq!(DigestMemo::at(&kept).load().len(), MOST / 2);
    }
}

//! A file's bytes, mapped from disk or compiled into the binary.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::{Error, Result};

/// The bytes of a file, which dereference to a slice.
#[derive(Debug)]
pub enum Bytes {
    /// A file mapped from disk, read-only.
    Mapped(Mmap),
    /// Bytes compiled into the binary.
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps a file. Pages are read when they are touched, so opening costs nothing however large the file.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be opened or mapped.
    pub fn map(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::read(path))?;
        // SAFETY: the map is read-only and private to us. Whoever truncates a model file while it is being read stops
        // the process, as with every mapped file; bantam's own artifacts are renamed into place and never rewritten.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::read(path))?;
        Ok(Self::Mapped(map))
    }

    /// Gives the memory of a range back once it has been copied. Mapped pages count as the process's own until then,
    /// and a load would be reported as taking twice what it takes. They may still be read: they come back from the
    /// file.
    pub fn release(&self, range: Range<usize>) {
        if let Self::Mapped(map) = self {
            // SAFETY: the map is of a file, private and never written, so dropped pages hold what the file holds.
            let advised = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
            if let Err(error) = advised {
                tracing::debug!(%error, "mapped weights stay in memory until the model is loaded");
            }
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}

/// A part of a file's bytes, which keeps the file mapped as long as it is there.
#[derive(Debug, Clone)]
pub struct SharedBytes {
    pub(crate) bytes: Arc<Bytes>,
    pub(crate) range: Range<usize>,
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Resident pages of files, in KiB, where /proc tells; files in memory (tmpfs) are counted apart.
    fn resident_file_pages() -> Option<usize> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| -> Option<usize> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        Some(field("RssFile:")? + field("RssShmem:")?)
    }

    #[test]
    fn released_bytes_leave_memory_and_can_be_read_again() {
        let content: Vec<u8> = (0..32 << 20).map(|i: u32| (i >> 4) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(&content).expect("write");
        let bytes = Bytes::map(file.path()).expect("map");
        assert!(bytes[..] == content[..]);
        let before = resident_file_pages();
        bytes.release(0..bytes.len());
        if let (Some(before), Some(after)) = (before, resident_file_pages()) {
            // other tests map and drop a few files of at most 2 MB meanwhile
            assert!(before >= after + 20_000, "{before} KiB before, {after} KiB after");
        }
        assert!(bytes[..] == content[..]);
    }
}

//! A file's bytes, mapped from disk or compiled into the binary.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::model::error::{Error, Result};

#[derive(Debug)]
pub enum Bytes {
    Mapped(Mmap),
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps a file. Pages are read when they are touched, so opening costs nothing however large the file.
    pub fn map(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::read(path))?;
        // SAFETY: the map is read-only and private to us. Whoever truncates a model file while it is being read stops
        // the process, as with every mapped file; bantam's own artifacts are renamed into place and never rewritten.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::read(path))?;
        Ok(Self::Mapped(map))
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

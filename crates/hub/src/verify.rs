//! What a file's bytes must hash to. The hub names large files by their SHA-256 and small ones by git's blob hash,
//! which is a SHA-1 of the length and the bytes; both are computed while the bytes go by.

use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_core::disk::hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The hash of a file, in lower-case hex; it is the file's name among the cache's blobs, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256 of the bytes, 64 digits.
    Sha256(String),
    /// SHA-1 of the length and the bytes as `git hash-object` computes it, 40 digits.
    GitBlob(String),
}

impl Hash {
    /// Reads the hash out of an ETag, quoted or not, weak or not; None where it is no hash of the contents.
    pub fn of_etag(etag: &str) -> Option<Hash> {
        Hash::of_hex(etag.trim().trim_start_matches("W/").trim_matches('"'))
    }

    /// Reads a hash from its hex digits: 64 are a SHA-256, 40 a git blob; None for anything else.
    pub fn of_hex(hex: &str) -> Option<Hash> {
        let hex = hex.to_ascii_lowercase();
        match (hex.len(), hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            (64, true) => Some(Hash::Sha256(hex)),
            (40, true) => Some(Hash::GitBlob(hex)),
            _ => None,
        }
    }

    /// Gives the hex digits, in lower case.
    pub fn hex(&self) -> &str {
        match self {
            Hash::Sha256(hex) | Hash::GitBlob(hex) => hex,
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hash::Sha256(hex) => write!(f, "sha256 {hex}"),
            Hash::GitBlob(hex) => write!(f, "git blob {hex}"),
        }
    }
}

/// A hash that is being computed.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// A SHA-256.
    Sha256(Sha256),
    /// A git blob's SHA-1, which begins with the length.
    GitBlob(Sha1),
}

impl Hasher {
    /// Starts the kind of hash that is expected of a file with so many bytes.
    pub(crate) fn like(expected: &Hash, size: u64) -> Hasher {
        match expected {
            Hash::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Hash::GitBlob(_) => Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::GitBlob(hash) => hash.update(bytes),
        }
    }

    /// Gives the hash of all bytes added.
    pub(crate) fn finish(self) -> Hash {
        match self {
            Hasher::Sha256(hash) => Hash::Sha256(hex(&hash.finalize())),
            Hasher::GitBlob(hash) => Hash::GitBlob(hex(&hash.finalize())),
        }
    }
}

impl Hash {
    /// Whether a file's bytes hash to it; a large file is read only where nothing is remembered of it, or `anew` says so.
    /// Gives the hash that was found where it is another one.
    ///
    /// # Errors
    /// Where the file cannot be read, or `cancel` was called meanwhile.
    pub(crate) fn check(&self, file: &Path, anew: bool, cancel: &Cancel) -> io::Result<Option<Hash>> {
        let found = match self {
            Hash::Sha256(_) if anew => Hash::Sha256(digest::here().sha256_anew(file, cancel)?),
            Hash::Sha256(_) => Hash::Sha256(digest::here().sha256(file, cancel)?),
            Hash::GitBlob(_) => git_blob(file, cancel)?,
        };
        Ok((found != *self).then_some(found))
    }
}

/// Small files have such a hash: they are read each time.
fn git_blob(file: &Path, cancel: &Cancel) -> io::Result<Hash> {
    let facts = std::fs::metadata(file)?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
    }
    let mut reader = File::open(file)?;
    let mut hasher = Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {}\0", facts.len())));
    let mut buffer = vec![0; 256 << 10];
    loop {
        if cancel.is_cancelled() {
            return Err(io::Error::other("stopped while it was read"));
        }
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let hash = |expected: &str, bytes: &[u8]| {
            let mut hasher = Hasher::like(&Hash::of_hex(expected).expect("hex"), bytes.len() as u64);
            bytes.chunks(3).for_each(|part| hasher.update(part));
            hasher.finish()
        };
        // echo hello | git hash-object --stdin; echo hello | sha256sum
        for expected in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            assert_eq!(hash(expected, b"hello\n").hex(), expected);
        }
    }

    #[test]
    fn an_etag_is_a_hash_or_nothing() {
        let git = Some(Hash::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".into()));
        assert_eq!(Hash::of_etag("\"ce013625030ba8dba906f756967f9e9ca394464a\""), git);
        assert_eq!(Hash::of_etag("W/\"CE013625030BA8DBA906F756967F9E9CA394464A\""), git);
        assert_eq!(Hash::of_etag("\"5e-1700\""), None);
        assert_eq!(Hash::of_etag("../../../../../../../../../../../../../../../../x"), None);
    }
}

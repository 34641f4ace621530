//! What a file's bytes must hash to. The hub names large files by their SHA-256 and small ones by git's blob hash, which
//! is a SHA-1 of the length and the bytes; both are computed while the bytes go by.

use bantam_core::disk::hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of a file, in lower-case hex; it is the file's name among the cache's blobs, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hash {
    Sha256(String),
    /// `git hash-object`.
    GitBlob(String),
}

impl Hash {
    /// From an ETag: quoted or not, weak or not. None where it is no hash of the contents.
    pub fn of_etag(etag: &str) -> Option<Hash> {
        Hash::of_hex(etag.trim().trim_start_matches("W/").trim_matches('"'))
    }

    pub fn of_hex(hex: &str) -> Option<Hash> {
        let hex = hex.to_ascii_lowercase();
        match (hex.len(), hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            (64, true) => Some(Hash::Sha256(hex)),
            (40, true) => Some(Hash::GitBlob(hex)),
            _ => None,
        }
    }

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

/// A hash on its way.
#[derive(Clone)]
pub enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    /// For a file that is to have this hash and so many bytes.
    pub fn like(expected: &Hash, size: u64) -> Hasher {
        match expected {
            Hash::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Hash::GitBlob(_) => Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::GitBlob(hash) => hash.update(bytes),
        }
    }

    pub fn finish(self) -> Hash {
        match self {
            Hasher::Sha256(hash) => Hash::Sha256(hex(&hash.finalize())),
            Hasher::GitBlob(hash) => Hash::GitBlob(hex(&hash.finalize())),
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

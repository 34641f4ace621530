//! What the system tells of a file that changes when somebody writes to it or puts another in its place: asked in
//! microseconds, so that bytes are read again only where something moved.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Which file it is, how long, and when its bytes and its entry were last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Its length in bytes.
    pub bytes: u64,
    /// The device that it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When its bytes were last changed, in seconds and nanoseconds since the Unix epoch.
    pub modified: (i64, i64),
    /// When its entry was last changed, likewise.
    pub changed: (i64, i64),
}

impl Stamp {
    /// Takes the stamp of what the system told.
    pub fn of(facts: &Metadata) -> Stamp {
        Stamp {
            bytes: facts.len(),
            device: facts.dev(),
            inode: facts.ino(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

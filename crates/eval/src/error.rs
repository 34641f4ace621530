//! Why a suite cannot be used, in one sentence with its file, its key or line, and what is allowed.

use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{name}' is no suite: write {known}the path to a suite's TOML file")]
    Unknown { name: String, known: String },
    #[error("{file}: cannot be read: {source}")]
    Unreadable { file: String, source: std::io::Error },
    /// The text of a file is not what it should be: TOML, JSON lines, UTF-8.
    #[error("{file}:{line}: {message}")]
    Broken { file: String, line: usize, message: String },
    /// The text is read, but a key of it cannot be meant.
    #[error("{file}: {key}: {message}")]
    Meaning { file: String, key: String, message: String },
}

/// A key of a suite's file, for the sentence in which it is wrong.
#[derive(Debug, Clone)]
pub struct Key {
    file: Arc<str>,
    path: String,
}

impl Key {
    pub fn new(file: &Arc<str>, path: impl Into<String>) -> Key {
        Key { file: file.clone(), path: path.into() }
    }

    /// A key within this one.
    pub fn at(&self, key: &str) -> Key {
        Key { file: self.file.clone(), path: format!("{}: {key}", self.path) }
    }

    pub fn wrong(&self, message: impl Into<String>) -> Error {
        Error::Meaning { file: self.file.to_string(), key: self.path.clone(), message: message.into() }
    }
}

/// The line of a byte of a text, from 1.
pub fn line_of(text: &[u8], byte: usize) -> usize {
    text[..byte.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

/// "a, b or c" for a sentence that says what is allowed.
pub fn either<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => only.as_ref().into(),
        [first @ .., last] => {
            format!("{} or {}", first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}

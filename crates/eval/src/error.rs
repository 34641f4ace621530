//! Why a suite cannot be used, in one sentence with its file, its key or line, and what is allowed.

use bantam_bundled::suites as bundled;
use bantam_core::meant::meant_words;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a suite cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a bundled suite nor a path.
    #[error(
        "'{name}' is no suite{}: write {known}the path to a suite's TOML file",
        meant_words(name, bundled::names())
    )]
    Unknown {
        /// The name as given.
        name: String,
        /// The bundled suites, as the sentence goes on.
        known: String,
    },
    /// A file that cannot be opened or read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file's path.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text of a file is not what it should be: TOML, JSON lines, UTF-8.
    #[error("{file}:{line}: {message}")]
    Malformed {
        /// The file's path.
        file: String,
        /// The line, from 1; of a table the row.
        line: usize,
        /// The sentence's end.
        message: String,
    },
    /// A suite that would take more of this machine than a suite may.
    #[error("{file}: {message}")]
    Harmful {
        /// The suite's file.
        file: String,
        /// The sentence's end.
        message: String,
    },
    /// A key whose value cannot be used.
    #[error("{file}: {key}: {message}")]
    Invalid {
        /// The suite's file.
        file: String,
        /// The task and the key, as in `task 't': doc_to_text`.
        key: String,
        /// The sentence's end.
        message: String,
    },
}

/// A key of a suite's file, for the sentence in which it is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    file: Arc<str>,
    path: String,
    /// Where keys within this one stand, as `gsm8k.yaml:12`, if that is known.
    places: Option<Arc<BTreeMap<String, String>>>,
}

impl Key {
    /// A key of a file; `path` is what the sentence calls it.
    pub(crate) fn new(file: &Arc<str>, path: impl Into<String>) -> Key {
        Key { file: file.clone(), path: path.into(), places: None }
    }

    /// A key within this one.
    pub(crate) fn at(&self, key: &str) -> Key {
        let place = self.places.as_ref().and_then(|places| places.get(key));
        let file = place.map_or_else(|| self.file.clone(), |place| place.as_str().into());
        Key { file, path: format!("{}: {key}", self.path), places: None }
    }

    /// The same key, with the places of those within it.
    pub(crate) fn with_places(self, places: BTreeMap<String, String>) -> Key {
        Key { places: Some(Arc::new(places)), ..self }
    }

    /// The error about this key; `message` is the sentence's end.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Error {
        Error::Invalid { file: self.file.to_string(), key: self.path.clone(), message: message.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.path)
    }
}

/// The line of a byte of a text, from 1.
pub(crate) fn line_of(text: &[u8], byte: usize) -> usize {
    text[..byte.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

/// "a, b or c" for a sentence that says what is allowed.
pub(crate) fn either<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => only.as_ref().into(),
        [first @ .., last] => {
            format!("{} or {}", first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}

//! What can be wrong with a file, each as one sentence: what happened, to what, and what is allowed.

use std::path::{Path, PathBuf};

/// A result whose error is, unless named otherwise, this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a file cannot be read, as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses to open or map a file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is damaged or is not what its name says.
    #[error("{file}: {what}")]
    Broken {
        /// The file's name, for the sentence.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file is well formed, and asks for something this version does not do.
    #[error("{file}: {what} is not supported; supported: {supported}")]
    Unsupported {
        /// The file's name, for the sentence.
        file: String,
        /// What it asks for.
        what: String,
        /// What could be asked for instead.
        supported: String,
    },
}

impl Error {
    /// Makes an [`Error::Broken`] of a file's name and what is wrong with it.
    pub fn broken(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Broken { file: file.into(), what: what.into() }
    }

    /// Makes an [`Error::Unsupported`] of a file's name, what it asks for and what is supported.
    pub fn unsupported(file: impl Into<String>, what: impl Into<String>, supported: impl Into<String>) -> Self {
        Self::Unsupported { file: file.into(), what: what.into(), supported: supported.into() }
    }

    /// Wraps what the file system says of a path into [`Error::Read`], for `map_err`.
    pub fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

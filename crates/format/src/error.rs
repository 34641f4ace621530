//! What can be wrong with a file, each as one sentence: what happened, to what, and what is allowed.

use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file is damaged or is not what its name says.
    #[error("{file}: {what}")]
    Broken { file: String, what: String },
    /// The file is well formed, and asks for something this version does not do.
    #[error("{file}: {what} is not supported; supported: {supported}")]
    Unsupported { file: String, what: String, supported: String },
}

impl Error {
    pub fn broken(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Broken { file: file.into(), what: what.into() }
    }

    pub fn unsupported(file: impl Into<String>, what: impl Into<String>, supported: impl Into<String>) -> Self {
        Self::Unsupported { file: file.into(), what: what.into(), supported: supported.into() }
    }

    /// Wraps what the file system says of a path.
    pub fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

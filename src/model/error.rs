//! What can go wrong with a model, each as one sentence: what happened, to what, and what is allowed.
//! It is not a place for retries: a caller that can choose matches on the variant.

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
    /// The caller asked for something the model cannot answer.
    #[error("{0}")]
    Request(String),
    /// The arithmetic failed: out of memory, or shapes that passed the checks and should not have.
    #[error("the computation failed: {}", first_line(.0))]
    Compute(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn broken(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Broken { file: file.into(), what: what.into() }
    }

    pub(crate) fn unsupported(file: impl Into<String>, what: impl Into<String>, supported: impl Into<String>) -> Self {
        Self::Unsupported { file: file.into(), what: what.into(), supported: supported.into() }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

/// candle prints a backtrace behind its sentence when the environment asks for one.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

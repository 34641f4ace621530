//! What can go wrong with a model, each as one sentence: what happened, to what, and what is allowed. Nothing is
//! retried here: a caller that can choose matches on the variant.

use std::path::Path;

/// What a fallible function of this crate gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model cannot be opened, or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, is damaged, or asks for something this version does not do.
    #[error(transparent)]
    File(#[from] bantam_format::Error),
    /// The caller asked for something the model cannot answer.
    #[error("{0}")]
    Request(String),
    /// The arithmetic failed: out of memory, or shapes that passed the checks and should not have.
    #[error("the computation failed: {}", first_line(.0))]
    Compute(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn broken(file: impl Into<String>, what: impl Into<String>) -> Self {
        bantam_format::Error::broken(file, what).into()
    }

    pub(crate) fn unsupported(file: impl Into<String>, what: impl Into<String>, supported: impl Into<String>) -> Self {
        bantam_format::Error::unsupported(file, what, supported).into()
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| bantam_format::Error::read(path)(source).into()
    }
}

/// candle prints a backtrace behind its sentence when the environment asks for one.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

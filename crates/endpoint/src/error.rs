//! Why an endpoint gave no answer, in one sentence each.

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The next request could pass what may be spent.
    #[error(
        "{name}: max_spend of {most} {currency} is not passed: {spent:.6} are spent, and with what is underway the next \
         request could come to {next:.6}; raise max_spend to go on from here, what was answered is kept"
    )]
    Spent {
        /// The endpoint, as the profile calls it.
        name: String,
        /// What may be spent.
        most: f64,
        /// In which currency.
        currency: String,
        /// What was spent.
        spent: f64,
        /// What it could come to.
        next: f64,
    },
    /// Again and again there was no answer that could be read.
    #[error(
        "{url}: {why}, {tries} times in a row; see whether the server runs and the address is right, or try again later"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong the last time.
        why: String,
        /// How often it was tried.
        tries: usize,
    },
    /// The server wants to be left alone for longer than anybody waits.
    #[error("{url}: asks to wait {seconds} s before the next request; run again then, what was answered is kept")]
    TooMany {
        /// The address.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The server refuses the request, and will again.
    #[error("{url}: refused with {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Refused {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        said: String,
        /// Which field it complains about, where it says so.
        field: String,
    },
    /// The answer has another form than the API's.
    #[error("{url}: {why}")]
    Form {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was answered cannot be kept.
    #[error("{0}")]
    Ledger(String),
    /// The key cannot be used.
    #[error("{0}")]
    Key(String),
}

impl Error {
    /// Tells whether the server has no such thing as was asked for, though it may have others.
    pub fn is_absent(&self) -> bool {
        let other_way = ["not a chat model", "not supported in the v1/", "does not support", "not supported"];
        match self {
            Error::Refused { status: 404 | 405 | 501, .. } => true,
            Error::Refused { status: 400 | 422 | 500, said, .. } => other_way.iter().any(|words| said.contains(words)),
            _ => false,
        }
    }

    /// Tells whether it is about this one request, so that others may be answered.
    pub fn is_of_request(&self) -> bool {
        matches!(self, Error::Refused { status: 400 | 413 | 422, .. })
    }
}

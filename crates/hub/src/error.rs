//! Why the hub, the cache or a name gives nothing, in one sentence with what to do about it.

use bantam_core::unit::Bytes;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    // names and places of this machine
    #[error("'{name}' is no bundled model; there are {}", list(there))]
    NotBundled { name: String, there: Vec<String> },
    #[error(
        "'{name}' is no model here: no folder or .gguf file of that name, none of the bundled ones ({}) and not in the \
         Hugging Face cache {} ({}); give a path, or get it with `bantam pull {name}`",
        list(bundled), cache.display(), list(cached)
    )]
    Unknown { name: String, bundled: Vec<String>, cache: PathBuf, cached: Vec<String> },
    #[error("'{name}' has no revision {revision} in the Hugging Face cache {}; there are {}", cache.display(), list(there))]
    NotCached { name: String, revision: String, cache: PathBuf, there: Vec<String> },
    #[error("{name} is not in the Hugging Face cache {}; there are {}", cache.display(), list(there))]
    NotHere { name: String, cache: PathBuf, there: Vec<String> },
    #[error("{}: is no model: {why}", path.display())]
    NoModel { path: PathBuf, why: String },
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
    #[error(
        "'{text}' is no name on the hub: {why}; write ORG/NAME, ORG/NAME@REVISION or, for one GGUF, ORG/NAME:Q4_K_M"
    )]
    Name { text: String, why: String },
    #[error("'{text}' is no dataset on the hub: {why}; write hub:ORG/NAME#SPLIT or hub:ORG/NAME@REVISION#CONFIG/SPLIT")]
    DataName { text: String, why: String },
    #[error("{name} has no {what}; there are {}", list(there))]
    NoSplit { name: String, what: String, there: Vec<String> },
    #[error("{name} is not whole in the Hugging Face cache {}: {why}; `bantam run` fetches it unless it is offline", cache.display())]
    NoData { name: String, cache: PathBuf, why: String },
    #[error("{variable} is '{value}'; {allowed}")]
    Variable { variable: String, value: String, allowed: &'static str },

    // what the hub says
    #[error(
        "{name} is gated: ask for access at {page}, then {}",
        if *with_token { "try again (the token given has no access yet)" } else { TOKEN }
    )]
    Gated { name: String, page: String, with_token: bool },
    #[error(
        "{name} is not on {endpoint}, or it is private: check the name, {}",
        if *with_token { "or give a token that may read it (the one given may not)" } else { "or, if it is yours, set HF_TOKEN to a token that may read it" }
    )]
    NoRepo { name: String, endpoint: String, with_token: bool },
    #[error("{name} has no revision '{revision}' on the hub; there are {}", list(there))]
    NoRevision { name: String, revision: String, there: Vec<String> },
    #[error("{name} has no file {wanted}; there are {}", list(there))]
    NoFile { name: String, wanted: String, there: Vec<String> },
    #[error(
        "{endpoint} does not accept the token given (HF_TOKEN, or the file that `hf auth login` wrote): make a new one"
    )]
    Token { endpoint: String },
    #[error("{url} answers {status}{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused { url: String, status: u16, text: String },
    #[error("{url}: {why} ({tries} tries); what is fetched already is kept, the same command goes on from there")]
    Unreachable { url: String, why: String, tries: u32 },
    #[error(
        "{url} wants no requests for {seconds} s (too many were made); try again then, or set HF_TOKEN, which allows more"
    )]
    TooMany { url: String, seconds: u64 },
    #[error("{url} answers with what is not the hub's protocol: {why}; does HF_ENDPOINT name a hub?")]
    Protocol { url: String, why: String },
    #[error("{what} is not in the Hugging Face cache {}, and bantam is offline (HF_HUB_OFFLINE or --offline)", cache.display())]
    Offline { what: String, cache: PathBuf },

    #[error("only the hub itself can tell that, and bantam is offline (HF_HUB_OFFLINE or --offline)")]
    NotAsked,

    // what is pulled
    #[error("{name} lists the file '{file}', which would leave the cache folder; nothing of it was fetched")]
    UnsafePath { name: String, file: String },
    #[error(
        "{name} has its weights only as pickles ({}), which can run any code when they are loaded; bantam reads \
         safetensors and GGUF: look for a converted repository, or fetch the files all the same with --include",
        list(files)
    )]
    Pickles { name: String, files: Vec<String> },
    #[error("{name} has several GGUF files; choose one with --quant or as {name}:TYPE: {}", list(there))]
    WhichGguf { name: String, there: Vec<String> },
    #[error("nothing in {name} matches {}; there are {}", list(patterns), list(there))]
    NoMatch { name: String, patterns: Vec<String>, there: Vec<String> },
    #[error("{name} has no files that a model is read from (safetensors, GGUF); there are {}", list(there))]
    NoWeights { name: String, there: Vec<String> },
    #[error("{} needs {needed} more, and {} has {free}; make room, or set HF_HUB_CACHE to a folder on a larger disk", name, cache.display())]
    NoRoom { name: String, needed: Bytes, free: Bytes, cache: PathBuf },
    #[error(
        "{file} of {name} arrived wrong twice: its hash should be {expected} and is {found}; nothing of it was kept"
    )]
    Mismatch { name: String, file: String, expected: String, found: String },
    #[error(
        "writing {file} stopped after {kept}: {source}; what is there is kept, make room and the same command goes on from it"
    )]
    Stopped { file: String, kept: Bytes, source: std::io::Error },
    #[error("stopped; what is fetched is kept, the same command goes on from there")]
    Cancelled,
    #[error("{file}: {why}")]
    Header { file: String, why: String },
    #[error(transparent)]
    Format(#[from] bantam_format::Error),
}

const TOKEN: &str = "set HF_TOKEN to a token of that account (or run `hf auth login`)";

/// The longest list in a sentence.
const MOST: usize = 12;

impl Error {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Unreadable { path, source }
    }

    pub(super) fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Unwritable { path, source }
    }
}

/// "a, b, c"; the end of a long list is told by its number.
pub(super) fn list(names: &[String]) -> String {
    match names.len() {
        0 => "none".into(),
        n if n > MOST => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
        _ => names.join(", "),
    }
}

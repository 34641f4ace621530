//! Why the hub, the cache or a name gives nothing, in one sentence with what to do about it.

use super::name::Name;
use bantam_core::meant::meant_words;
use bantam_core::unit::Bytes;
use std::path::{Path, PathBuf};

/// Why the hub, the cache or a name gives nothing, as one sentence with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // names and places of this machine
    /// `bundled:NAME` names no bundled model.
    #[error("'{name}' is no bundled model{}; there are {}", meant_words(name, there.iter().map(String::as_str)), list(there))]
    NotBundled {
        /// The name, without `bundled:`.
        name: String,
        /// The bundled models.
        there: Vec<String>,
    },
    /// A name is no model on this machine.
    #[error(
        "'{name}' is no model here{}: no folder or .gguf file of that name, none of the bundled ones ({}) and not in the \
         Hugging Face cache {} ({}); give a path, or {}",
        meant_words(name, bundled.iter().chain(cached).map(String::as_str)), list(bundled), cache.display(), list(cached),
        get(name)
    )]
    Unknown {
        /// The name as typed.
        name: String,
        /// The bundled models.
        bundled: Vec<String>,
        /// The cache's folder.
        cache: PathBuf,
        /// The models in the cache.
        cached: Vec<String>,
    },
    /// No store of a program that keeps models is here.
    #[error("no store of {keeper}'s is here, so that there is no '{name}' of it: {looked} are looked at")]
    NoStore {
        /// The program.
        keeper: &'static str,
        /// The model's name, without the program's prefix.
        name: String,
        /// Where its models are looked for.
        looked: &'static str,
    },
    /// A program keeps no model of this name.
    #[error("{keeper} keeps no model '{name}' here{meant}; there are {there}")]
    NotKept {
        /// The program.
        keeper: &'static str,
        /// The name as typed.
        name: String,
        /// What may have been meant, as words behind the name.
        meant: String,
        /// What it keeps.
        there: String,
    },
    /// What Ollama keeps under a name cannot be used.
    #[error("{name}: {why} ({})", manifest.display())]
    BrokenManifest {
        /// The model, with its tag.
        name: String,
        /// The manifest's file.
        manifest: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A path leads to nothing.
    #[error("{}: there is no such file or folder{}", path.display(), nearest(path))]
    NotThere {
        /// The path as typed.
        path: PathBuf,
    },
    /// A repository is in the cache, but not at this revision.
    #[error("'{name}' has no revision {revision} in the Hugging Face cache {}; there are {}", cache.display(), list(there))]
    NotCached {
        /// The repository, ORG/NAME.
        name: String,
        /// The revision asked for.
        revision: String,
        /// The cache's folder.
        cache: PathBuf,
        /// The revisions and commits in the cache.
        there: Vec<String>,
    },
    /// A repository to be removed is not in the cache.
    #[error("{name} is not in the Hugging Face cache {}; there are {}", cache.display(), list(there))]
    NotHere {
        /// The repository, ORG/NAME.
        name: String,
        /// The cache's folder.
        cache: PathBuf,
        /// The repositories in the cache.
        there: Vec<String>,
    },
    /// A file or folder is no model.
    #[error("{}: is no model: {why}", path.display())]
    NoModel {
        /// The file or folder.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },
    /// A file or folder of this machine cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file or folder of this machine cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A text is no model's name on the hub.
    #[error(
        "'{text}' is no name on the hub: {why}; write ORG/NAME, ORG/NAME@REVISION or, for one GGUF, ORG/NAME:Q4_K_M"
    )]
    Name {
        /// The text as typed.
        text: String,
        /// The part that is wrong.
        why: String,
    },
    /// A text is no dataset's name on the hub.
    #[error("'{text}' is no dataset on the hub: {why}; write hub:ORG/NAME#SPLIT or hub:ORG/NAME@REVISION#CONFIG/SPLIT")]
    DataName {
        /// The text as typed.
        text: String,
        /// The part that is wrong.
        why: String,
    },
    /// A dataset has no such split or config.
    #[error("{name} has no {what}; there are {}", list(there))]
    NoSplit {
        /// The repository, ORG/NAME.
        name: String,
        /// What was asked for.
        what: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The files of a split are not all in the cache.
    #[error("{name} is not whole in the Hugging Face cache {}: {why}; `bantam run` fetches it unless it is offline", cache.display())]
    NoData {
        /// The dataset's name with its split.
        name: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What is missing.
        why: String,
    },
    /// An environment variable has a value that is not allowed.
    #[error("{variable} is '{value}'; {allowed}")]
    Variable {
        /// The variable's name.
        variable: String,
        /// Its value.
        value: String,
        /// What is allowed, as the end of a sentence.
        allowed: &'static str,
    },

    // what the hub says
    /// The hub gives the repository only to those who asked for access.
    #[error(
        "{name} is gated: ask for access at {page}, then {}",
        if *with_token { "try again (the token given has no access yet)" } else { TOKEN }
    )]
    Gated {
        /// The repository, ORG/NAME.
        name: String,
        /// The address of the page to ask at.
        page: String,
        /// Whether a token was shown.
        with_token: bool,
    },
    /// The hub has no such repository, or hides it.
    #[error(
        "{name} is not on {endpoint}, or it is private: check the name, {}",
        if *with_token { "or give a token that may read it (the one given may not)" } else { "or, if it is yours, set HF_TOKEN to a token that may read it" }
    )]
    NoRepo {
        /// The repository, ORG/NAME.
        name: String,
        /// The hub's address.
        endpoint: String,
        /// Whether a token was shown.
        with_token: bool,
    },
    /// The repository has no such revision.
    #[error("{name} has no revision '{revision}' on the hub; there are {}", list(there))]
    NoRevision {
        /// The repository, ORG/NAME.
        name: String,
        /// The revision asked for.
        revision: String,
        /// Its branches and tags.
        there: Vec<String>,
    },
    /// The repository has no such file.
    #[error("{name} has no file {wanted}; there are {}", list(there))]
    NoFile {
        /// The repository, ORG/NAME.
        name: String,
        /// The file asked for.
        wanted: String,
        /// The files it has.
        there: Vec<String>,
    },
    /// The hub does not accept the token.
    #[error(
        "{endpoint} does not accept the token given (HF_TOKEN, or the file that `hf auth login` wrote): make a new one"
    )]
    Token {
        /// The hub's address.
        endpoint: String,
    },
    /// The hub refuses for a reason that has no variant of its own.
    #[error("{url} answers {status}{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused {
        /// The address asked for, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the hub says; may be empty.
        text: String,
    },
    /// The hub does not answer, after several tries.
    #[error("{url}: {why} ({tries} tries); {}", if *fetching { KEPT } else { NETWORK })]
    Unreachable {
        /// Whether it was a file of a pull, of which a part may be here.
        fetching: bool,
        /// The address asked for, without its query.
        url: String,
        /// What went wrong the last time.
        why: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The hub wants no requests for longer than bantam waits by itself.
    #[error(
        "{url} wants no requests for {seconds} s (too many were made); try again then, or set HF_TOKEN, which allows more"
    )]
    TooMany {
        /// The address asked for, without its query.
        url: String,
        /// How long the hub asks to wait, in seconds.
        seconds: u64,
    },
    /// An answer is not of the hub's protocol.
    #[error("{url} answers with what is not the hub's protocol: {why}; does HF_ENDPOINT name a hub?")]
    Protocol {
        /// The address asked for.
        url: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// Something is not in the cache, and the hub may not be asked.
    #[error("{what} is not in the Hugging Face cache {}, and bantam is offline (HF_HUB_OFFLINE or --offline)", cache.display())]
    Offline {
        /// What is missing.
        what: String,
        /// The cache's folder.
        cache: PathBuf,
    },

    /// Only the hub can tell, and it may not be asked.
    #[error("only the hub itself can tell that, and bantam is offline (HF_HUB_OFFLINE or --offline)")]
    NotAsked,

    // what is pulled
    /// A repository lists a file whose path leads out of its folder.
    #[error("{name} lists the file '{file}', which would leave the cache folder; nothing of it was fetched")]
    UnsafePath {
        /// The repository, ORG/NAME.
        name: String,
        /// The path.
        file: String,
    },
    /// A file that is wanted cannot have its name here.
    #[error("{name} lists the file '{file}', {why}; leave it out with --include patterns that do not match it")]
    OddName {
        /// The repository, ORG/NAME.
        name: String,
        /// The path.
        file: String,
        /// What is wrong with it, as the rest of a clause.
        why: &'static str,
    },
    /// A file of the cache is not what its name says.
    #[error(
        "{}: has rotted: its bytes hash to {found}, which is not its name; `bantam pull {name}` fetches it anew",
        file.display()
    )]
    Rotten {
        /// The repository, ORG/NAME.
        name: String,
        /// The blob.
        file: PathBuf,
        /// The hash of its bytes.
        found: String,
    },
    /// A repository has its weights only as pickles, which bantam does not read.
    #[error(
        "{name} has its weights only as pickles ({}), which can run any code when they are loaded; bantam reads \
         safetensors and GGUF: look for a converted repository, or fetch the files all the same with --include",
        list(files)
    )]
    Pickles {
        /// The repository, ORG/NAME.
        name: String,
        /// The pickles.
        files: Vec<String>,
    },
    /// A repository has several GGUF models, and none or several of them are meant.
    #[error("{name} has several GGUF files; choose one with --quant or as {name}:TYPE: {}", list(there))]
    WhichGguf {
        /// The repository, ORG/NAME.
        name: String,
        /// The quantizations or files to choose from.
        there: Vec<String>,
    },
    /// No file matches the user's patterns.
    #[error("nothing in {name} matches {}; there are {}", list(patterns), list(there))]
    NoMatch {
        /// The repository, ORG/NAME.
        name: String,
        /// The patterns.
        patterns: Vec<String>,
        /// The files that there are.
        there: Vec<String>,
    },
    /// A repository has no weights that bantam reads.
    #[error("{name} has no files that a model is read from (safetensors, GGUF); there are {}", list(there))]
    NoWeights {
        /// The repository, ORG/NAME.
        name: String,
        /// The files that there are.
        there: Vec<String>,
    },
    /// The disk has too little room for a pull.
    #[error("{} needs {needed} more, and {} has {free}; make room, or set HF_HUB_CACHE to a folder on a larger disk", name, cache.display())]
    NoRoom {
        /// The repository, ORG/NAME.
        name: String,
        /// Bytes still to be fetched.
        needed: Bytes,
        /// Bytes free on the disk.
        free: Bytes,
        /// The cache's folder.
        cache: PathBuf,
    },
    /// A file arrived twice with the wrong hash.
    #[error(
        "{file} of {name} arrived wrong twice: its hash should be {expected} and is {found}; nothing of it was kept"
    )]
    Mismatch {
        /// The repository, ORG/NAME.
        name: String,
        /// The path in the repository.
        file: String,
        /// The hash that the hub tells.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// Writing a file failed on the way.
    #[error(
        "writing {file} stopped after {kept}: {source}; what is there is kept, make room and the same command goes on from it"
    )]
    Stopped {
        /// The path in the repository.
        file: String,
        /// Bytes that are on disk and kept.
        kept: Bytes,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The job was cancelled.
    #[error("stopped; what is fetched is kept, the same command goes on from there")]
    Cancelled,
    /// The header of a weight file cannot be used.
    #[error("{file}: {why}")]
    Header {
        /// The file or the repository.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file is not in the format that its name says.
    #[error(transparent)]
    Format(#[from] bantam_format::Error),
}

const KEPT: &str = "what is fetched already is kept, the same command goes on from there";
const NETWORK: &str = "is this machine on a network, and does HF_ENDPOINT, where it is set, name a hub?";
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

/// How a name that is not here might come here: only what a pull takes is said to be pulled.
fn get(name: &str) -> String {
    match Name::parse(name) {
        Ok(of_hub) if of_hub.repo.has_owner() => format!("get it with `bantam pull {of_hub}`"),
        Ok(of_hub) if Path::new(name).extension().is_none_or(|e| !e.eq_ignore_ascii_case("gguf")) => {
            format!("its ORG/NAME on the hub (`bantam search {}` looks for it)", of_hub.repo.id())
        }
        _ => "its ORG/NAME on the hub".into(),
    }
}

/// What is there of a path that is not: the models in its folder, or how far it goes.
fn nearest(path: &Path) -> String {
    if path.starts_with("~") {
        return " (a ~ in quotes is no home folder)".into();
    }
    let folder = path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let Some(folder) = folder else { return String::new() };
    let Ok(entries) = std::fs::read_dir(folder) else {
        let there = path.ancestors().find(|above| above.is_dir());
        return there.map_or_else(String::new, |there| format!("; of its path only {} is there", there.display()));
    };
    let is_gguf = |name: &String| name.to_ascii_lowercase().ends_with(".gguf");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut ggufs: Vec<String> = names.filter(is_gguf).collect();
    ggufs.sort();
    if ggufs.is_empty() { String::new() } else { format!("; its folder has {}", list(&ggufs)) }
}

/// "a, b, c"; the end of a long list is told by its number.
pub(super) fn list(names: &[String]) -> String {
    match names.len() {
        0 => "none".into(),
        n if n > MOST => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
        _ => names.join(", "),
    }
}

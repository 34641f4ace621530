//! The hub: from a model's name as typed to where its files are, which they are, and how they get here.
//!
//! A name is a bundled model, a folder, a .gguf file, or `ORG/NAME[@REVISION][:QUANT]` in the Hugging Face cache of
//! this machine. [`find`] looks at this machine only; [`Hub`] asks the hub itself, for listings, searches, headers and
//! files. It reads no weights and knows no architectures.
//!
//! The client is our own, thin, on ureq with rustls and without an async runtime. hf-hub would not save it: 0.5 checks
//! no hash of what arrived, has no resume by range that could be steered, no offline mode and no search, and 1.0 cannot
//! leave its own storage protocol out; what is left of it, three addresses and the layout of the cache, is short.
//!
//! In reading order: `name` (with `address`), `settings` (with `expand`) and `cache` say what, who and where; `http` asks, `listing` and `search` are
//! the answers; `model_info` and `header` read what can be known before a pull; `select` and `gguf` choose files,
//! `fetch` brings one with `verify` and `lock`, `pull` all of them, `pull_progress` counts; `data` does the same for
//! datasets; `digest` is what a model is known by afterwards. `stores` has what Ollama and LM Studio keep here.

#![warn(missing_docs)]

mod address;
mod cache;
mod data;
mod digest;
mod error;
mod expand;
mod fetch;
pub mod gguf;
mod glob;
mod header;
mod http;
mod listing;
mod lock;
mod model_info;
mod name;
mod pull;
mod pull_progress;
mod search;
mod select;
mod settings;
mod stores;
mod verify;

pub use cache::{Cache, Kept};
pub use data::DataName;
pub use digest::{digest_of_file, digest_of_folder, files};
pub use error::Error;
pub use header::{GgufFacts, Header, TensorHead};
pub use http::Wait;
pub use listing::{Counted, Gate, Listing, Page, Remote};
pub use model_info::ModelInfo;
pub use name::{MAIN, Name, Repo, RepoKind, is_commit};
pub use pull::{Planned, Progress, Pulled};
pub use pull_progress::PullProgress;
pub use search::{Hit, Hits, Next, Query, Sort};
pub use select::Want;
pub use settings::{Patience, Settings, Token};
pub use stores::{Keeper, Stored, Stores};
pub use verify::Hash;

use bantam_core::cancel::Cancel;
use bantam_core::record::Place;
use error::list;
use http::{Denial, Fault, Http};
use listing::{Raw, RawRefs};
use std::path::{Path, PathBuf};

/// Fetches one small file from an address that is none of the hub's: no token is shown to it.
///
/// # Errors
/// One sentence where the host refuses or does not answer, or the file is longer than `most`.
pub fn file_at(url: &str, settings: &Settings, cancel: &Cancel, most: u64) -> Result<Vec<u8>, Error> {
    let origin = url.find("://").map_or(0, |at| at + 3);
    let end = url[origin..].find('/').map_or(url.len(), |at| origin + at);
    // the host is asked as the hub would be, so that its refusals are its own
    let settings = Settings { endpoint: url[..end].to_owned(), token: None, ..settings.clone() };
    let http = Http::new(&settings, cancel);
    let told = |fault| match fault {
        Fault::Final(error) => error,
        Fault::Passing { why, .. } => {
            Error::Unreachable { fetching: false, url: settings.endpoint.clone(), why, tries: 1 }
        }
        Fault::Denied(Denial { url, status, text, .. }) => Error::Refused { url, status, text },
    };
    let bytes = http.bytes(url, http::ByteRange::Whole, most + 1).map_err(told)?;
    match bytes.len() as u64 > most {
        true => Err(Error::Protocol { url: url.into(), why: format!("a file of over {most} bytes") }),
        false => Ok(bytes),
    }
}

/// The hub as this machine is set up to ask it. One for each job: when the job is cancelled, its connections are cut.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    http: Http,
    cancel: Cancel,
}

impl Hub {
    /// Makes a client with these settings; setting `cancel` cuts its connections.
    pub fn new(settings: Settings, cancel: &Cancel) -> Hub {
        Hub { http: Http::new(&settings, cancel), settings, cancel: cancel.clone() }
    }

    /// Gives the settings that it asks with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks the hub what it has under a name.
    ///
    /// # Errors
    /// One sentence on why the hub does not tell: gated, private, not there, not reachable.
    pub fn listing(&self, name: &Name) -> Result<Listing, Error> {
        let url = listing::url(&self.settings.endpoint, name);
        let (raw, _): (Raw, _) = self.http.json(&url).map_err(|fault| self.explain(fault, name, None))?;
        raw.listing(name, &url)
    }

    /// Gives the address of a repository's page, for a person.
    pub fn page_of(&self, repo: &Repo) -> String {
        Listing::page_url(&self.settings.endpoint, repo)
    }

    /// A fault as a sentence about the repository that was asked for.
    fn explain(&self, fault: Fault, name: &Name, listing: Option<&Listing>) -> Error {
        let denial = match fault {
            Fault::Final(error) => return error,
            Fault::Passing { why, .. } => {
                return Error::Unreachable { fetching: false, url: self.settings.endpoint.clone(), why, tries: 1 };
            }
            Fault::Denied(denial) => denial,
        };
        let Denial { url, status, code, text } = denial;
        let (id, with_token) = (name.repo.id(), self.settings.token.is_some());
        let endpoint = self.settings.endpoint.clone();
        match (code.as_str(), status) {
            ("GatedRepo", _) => Error::Gated { name: id, page: self.page_of(&name.repo), with_token },
            ("RevisionNotFound", _) => {
                let (revision, there) = (name.revision.clone(), self.revisions(&name.repo));
                Error::NoRevision { name: id, revision, there }
            }
            ("EntryNotFound", _) => {
                let wanted = url.rsplit('/').next().unwrap_or_default().to_owned();
                Error::NoFile { name: id, wanted, there: listing.map(Listing::names).unwrap_or_default() }
            }
            ("RepoNotFound", _) | ("", 404) => Error::NoRepo { name: id, endpoint, with_token },
            (_, 401) if with_token => Error::Token { endpoint },
            (_, 401) => Error::NoRepo { name: id, endpoint, with_token },
            _ => Error::Refused { url, status, text },
        }
    }

    /// Branches and tags, for a message; none where they cannot be had.
    fn revisions(&self, repo: &Repo) -> Vec<String> {
        let url = RawRefs::url(&self.settings.endpoint, repo);
        self.http.json::<RawRefs>(&url).map(|(refs, _)| refs.names()).unwrap_or_default()
    }
}

/// A model found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As shown: "bantam-l", "HuggingFaceTB/SmolLM2-135M".
    pub name: String,
    /// Where its files are.
    pub place: Place,
    /// The commit of the hub's repository that it is; None where it is not from there.
    pub commit: Option<String>,
}

/// Finds a model by the name typed. `bundled` are the names of those inside this binary.
///
/// # Errors
/// One sentence where there is no such model here, or what has that name is no model.
pub fn find(name: &str, bundled: &[String], cache: &Cache) -> Result<Found, Error> {
    let in_binary = |name: &str| Found { name: name.into(), place: Place::Bundled(name.into()), commit: None };
    if let Some(name) = name.strip_prefix("bundled:") {
        return match bundled.iter().any(|b| b == name) {
            true => Ok(in_binary(name)),
            false => Err(Error::NotBundled { name: name.into(), there: bundled.to_vec() }),
        };
    }
    let path = Path::new(name);
    if path.is_dir() {
        return folder(path);
    }
    if path.is_file() {
        return gguf(path);
    }
    if bundled.iter().any(|b| b == name) {
        return Ok(in_binary(name));
    }
    if is_path_only(name) {
        return Err(Error::NotThere { path: path.into() });
    }
    match cached(name, cache)? {
        Some(found) => Ok(found),
        None => {
            let (cache, cached) = (cache.folder().into(), cache.models());
            Err(Error::Unknown { name: name.into(), bundled: bundled.to_vec(), cache, cached })
        }
    }
}

/// Whether what was typed can be nothing but a path: it begins as one, or ends as a file of weights.
fn is_path_only(name: &str) -> bool {
    let begins = ["/", "./", "../", "~/"].iter().any(|begin| name.starts_with(begin)) || [".", ".."].contains(&name);
    begins || (address::path_of(name).is_none() && name.to_ascii_lowercase().ends_with(".gguf"))
}

/// A model of the cache, with the commit that it is.
fn cached(typed: &str, cache: &Cache) -> Result<Option<Found>, Error> {
    let Ok(name) = Name::parse(typed) else { return Ok(None) };
    let Some(snapshot) = cache.snapshot_of(&name)? else { return Ok(None) };
    let found = match &name.quant {
        Some(quant) => gguf(&Cache::gguf_in(&snapshot, &name.repo.id(), Some(quant))?)?,
        None => folder(&snapshot)?,
    };
    let commit = snapshot.file_name().map(|commit| commit.to_string_lossy().into_owned());
    // an address is long, and the name in it is what is meant
    let typed = if address::path_of(typed).is_some() { name.to_string() } else { typed.into() };
    Ok(Some(Found { name: typed, commit, ..found }))
}

/// A folder with a config and weights; or one that holds a single GGUF file, which is meant then.
fn folder(path: &Path) -> Result<Found, Error> {
    let files = names(path)?;
    let with = |ending: &str| files.iter().filter(|f| f.ends_with(ending)).cloned().collect::<Vec<_>>();
    let (safetensors, ggufs) = (with(".safetensors"), with(".gguf"));
    let why = if let Some(shard) = missing_shard(path) {
        format!(
            "{shard} is not there, which its index names: a download that did not end? `bantam pull` goes on with it"
        )
    } else if files.iter().any(|f| f == "config.json") && !safetensors.is_empty() {
        return Ok(Found { name: last_name(path), place: Place::Folder(path.into()), commit: None });
    } else if let [one] = &ggufs[..] {
        return gguf(&path.join(one));
    } else if let Some(first) = one_split(path, &ggufs) {
        return gguf(&first);
    } else if !ggufs.is_empty() {
        format!("it has several GGUF files; name one of them ({})", list(&ggufs))
    } else if !files.iter().any(|f| f == "config.json") {
        "it has no config.json and no .gguf file".into()
    } else {
        other_weights(&files)
    };
    Err(Error::NoModel { path: path.into(), why })
}

/// The first part of the one split model whose parts these files are.
fn one_split(folder: &Path, files: &[String]) -> Option<PathBuf> {
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
    bantam_format::gguf::is_one_set(&paths).then(|| paths.into_iter().min())?
}

/// Why a folder whose weights are no safetensors is no model here, and what to do.
fn other_weights(files: &[String]) -> String {
    let first = |endings: &[&str]| files.iter().find(|file| endings.iter().any(|ending| file.ends_with(ending)));
    let (what, file) = if let Some(file) = first(&[".bin", ".pt", ".pth", ".ckpt"]) {
        ("a PyTorch pickle, which can run code where it is opened", file)
    } else if let Some(file) = first(&[".npz"]) {
        ("an MLX file of arrays", file)
    } else if let Some(file) = first(&[".h5", ".msgpack", ".onnx", ".ot"]) {
        ("of another framework", file)
    } else {
        return "it has a config.json but no .safetensors file".into();
    };
    format!(
        "it has no .safetensors file: its weights are in {file}, {what}; the hub mostly has the model as safetensors or \
         GGUF, too, and transformers writes them with save_pretrained"
    )
}

/// The first file that the index of a sharded checkpoint names and that is not there; the index does not count beside
/// model.safetensors.
fn missing_shard(folder: &Path) -> Option<String> {
    if folder.join("model.safetensors").is_file() {
        return None;
    }
    let index = std::fs::read(folder.join("model.safetensors.index.json")).ok()?;
    let index: serde_json::Value = serde_json::from_slice(&index).ok()?;
    let shards = index.get("weight_map")?.as_object()?.values().filter_map(serde_json::Value::as_str);
    let mut missing: Vec<&str> = shards.filter(|shard| !folder.join(shard).is_file()).collect();
    missing.sort_unstable();
    missing.first().map(|shard| (*shard).to_owned())
}

fn gguf(path: &Path) -> Result<Found, Error> {
    match is_gguf(path) {
        true => Ok(Found { name: stem(path), place: Place::Gguf(path.into()), commit: None }),
        false => {
            let why = "a model is a .gguf file or a folder with config.json, tokenizer.json and .safetensors".into();
            Err(Error::NoModel { path: path.into(), why })
        }
    }
}

/// Tells a GGUF file by its ending, or by how it begins: one of Ollama's blobs has its hash for a name.
pub fn is_gguf(path: &Path) -> bool {
    use std::io::Read;
    let begins = || {
        let mut start = [0; 4];
        let read = bantam_core::input::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && &start == b"GGUF"
    };
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) || begins()
}

/// The names of a folder's files, sorted.
fn names(path: &Path) -> Result<Vec<String>, Error> {
    let entries = std::fs::read_dir(path).map_err(Error::unreadable(path))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// "models/mine/" and "." have names, too.
fn last_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;

//! The models of this machine as somebody chooses among them: where each is from, what its headers say, and what it would
//! need and do here before it is loaded. Weights are not read.

use crate::library::fit;
use crate::library::home::Home;
use crate::library::inventory::{self, Entry, Origin};
use crate::library::models::{self, ModelFacts};
use crate::library::own;
use anyhow::{Context, Result};
use bantam_core::input;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_format::gguf::Gguf;
use bantam_host::card::{Card, bandwidth};
use bantam_hub::{Cache, Name, Stores, gguf};
use bantam_model::{Container, KvType};
use std::path::{Path, PathBuf};

/// A model that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelved {
    /// As a profile names it.
    pub typed: String,
    pub origin: Origin,
    pub bytes: Bytes,
    /// What its headers say, or why it cannot be used.
    pub facts: Result<Facts, String>,
}

/// What the headers of a model say.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What bantam runs it as.
    pub runs: String,
    pub parameters: u64,
    /// The mixture of types of a GGUF file, else the types.
    pub quant: String,
    /// As its file or its card has it.
    pub licence: Option<String>,
    /// Keys and values of a token; zero in an encoder.
    pub cache_per_token: u64,
    /// The longest sequence it was made for.
    pub longest: u64,
    pub path: Option<PathBuf>,
}

/// What this machine has, and what it can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    pub models: Vec<Shelved>,
    /// Memory that a program can take now.
    pub memory: Result<Bytes, String>,
    /// Bytes a second that the memory gives: no token comes faster than its weights are read.
    pub bandwidth: Result<f64, String>,
}

impl Facts {
    /// Memory at work with a cache of so many tokens at most: an estimate.
    pub fn memory(&self, weights: Bytes) -> Bytes {
        let tokens = self.longest.min(fit::CONTEXT);
        fit::at_work(weights.0, self.cache_per_token.saturating_mul(tokens))
    }
}

/// Looks at this machine and at a folder; reading the bandwidth takes a third of a second of all processors.
///
/// # Errors
/// Where the stores of models cannot be listed.
pub fn look(folder: &Path, with_bandwidth: bool) -> Result<Shelf> {
    let entries = inventory::take(&Cache::here(), &Stores::here(), &Home::find()?, &[])?;
    let is_model = |entry: &&Entry| entry.origin != Origin::Dataset && entry.incomplete.0 == 0;
    let mut models: Vec<Shelved> = entries.iter().filter(is_model).flat_map(shelved).collect();
    let near = own::around(folder).models.into_iter().map(|(path, bytes)| {
        let typed = path.to_string_lossy().into_owned();
        let typed = if typed.contains('/') || typed.ends_with(".gguf") { typed } else { format!("./{typed}") };
        Shelved { facts: read(&typed), typed, origin: Origin::Folder, bytes }
    });
    models.extend(near);
    let card = Card::here();
    let measured = || bandwidth::measure(card.threads(), bandwidth::BUFFER, bandwidth::PASSES);
    let bandwidth = match with_bandwidth {
        true => measured().map(|b| b.bytes_per_second).ok_or_else(|| "the bandwidth took no time".to_owned()),
        false => Err("the bandwidth is not measured while a run goes on".to_owned()),
    };
    Ok(Shelf { models, memory: fit::available(&card), bandwidth })
}

/// An entry as it is chosen: of a repository with several GGUF models each of them.
fn shelved(entry: &Entry) -> Vec<Shelved> {
    let of = |typed: String, bytes: Bytes, facts: Result<Facts, String>| Shelved {
        typed,
        origin: entry.origin,
        bytes,
        facts,
    };
    let facts = match &entry.broken {
        Some(why) => Err(why.clone()),
        None => read(&entry.name),
    };
    let several = if facts.is_err() && entry.origin == Origin::Cache { ggufs(&entry.name) } else { Vec::new() };
    match several.is_empty() {
        true => vec![of(entry.name.clone(), entry.bytes, facts)],
        false => several.into_iter().map(|(typed, bytes)| of(typed.clone(), bytes, read(&typed))).collect(),
    }
}

/// The GGUF models of a repository of the cache, as they are named.
fn ggufs(repo: &str) -> Vec<(String, Bytes)> {
    let snapshot = Name::parse(repo).ok().and_then(|name| Cache::here().snapshot_of(&name).ok()?);
    let Some(snapshot) = snapshot else { return Vec::new() };
    let entries = std::fs::read_dir(&snapshot).into_iter().flatten().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let size = |file: &String| std::fs::metadata(snapshot.join(file)).map_or(0, |facts| facts.len());
    let models = gguf::choices(names.iter().map(String::as_str)).into_iter();
    models.map(|model| (format!("{repo}:{}", model.quant), Bytes(model.files.iter().map(size).sum()))).collect()
}

fn read(typed: &str) -> Result<Facts, String> {
    facts(typed).map_err(|error| crate::show::sentence(&error))
}

fn facts(typed: &str) -> Result<Facts> {
    let place = models::find(typed)?.place;
    let path = match &place {
        Place::Folder(path) | Place::Gguf(path) => Some(path.clone()),
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => None,
    };
    let licence = licence(&place);
    let types = |types: Vec<&str>| types.join(", ");
    Ok(match models::inspect(&place)? {
        ModelFacts::Decoder(facts) => Facts {
            runs: facts.config.architecture.class().into(),
            parameters: facts.parameters(),
            quant: match facts.container {
                Container::Gguf { mixture: Some(mixture), .. } => mixture.into(),
                _ => types(facts.types.keys().map(String::as_str).collect()),
            },
            licence,
            cache_per_token: facts.cost.cache_bytes_per_token(KvType::default()),
            longest: facts.config.max_positions as u64,
            path,
        },
        ModelFacts::Encoder(facts) => Facts {
            runs: format!("{}, an encoder", facts.config.class),
            parameters: facts.parameters(),
            quant: types(facts.types.keys().map(String::as_str).collect()),
            licence,
            cache_per_token: 0,
            longest: facts.context as u64,
            path,
        },
    })
}

/// What a GGUF file says of its licence, or the head of a folder's card.
fn licence(place: &Place) -> Option<String> {
    match place {
        Place::Bundled(_) => Some(env!("CARGO_PKG_LICENSE").to_lowercase()),
        Place::Gguf(path) => Gguf::open(path).ok()?.optional_string("general.license").map(str::to_owned),
        Place::Folder(path) => licence_of_card(&card(path)?),
        Place::Endpoint(_) | Place::System(_) => None,
    }
}

/// The card's text, where a folder has one.
fn card(folder: &Path) -> Option<String> {
    input::read_to_string(&folder.join("README.md"), input::WRITTEN_BY_HAND).ok()
}

/// The line `license:` in the head of a card.
fn licence_of_card(card: &str) -> Option<String> {
    let head = card.strip_prefix("---")?.split("\n---").next()?;
    let of = |key: &str| head.lines().find_map(|line| line.strip_prefix(key));
    let written = of("license_name:").or_else(|| of("license:"))?;
    Some(written.trim().trim_matches(['"', '\'']).to_owned()).filter(|licence| !licence.is_empty())
}

/// The card of a model that is here.
///
/// # Errors
/// One sentence where it is not here, or has none.
pub fn readme(typed: &str) -> Result<String> {
    let place = models::find(typed)?.place;
    let folder = match &place {
        Place::Folder(path) => path.as_path(),
        Place::Gguf(path) => path.parent().unwrap_or(Path::new(".")),
        Place::Bundled(name) => {
            return Ok(format!(
                "# {name}\nThe scores of the bundled models, and how they were trained, stand in models/README.md of the repository."
            ));
        }
        Place::Endpoint(_) | Place::System(_) => Path::new("."),
    };
    card(folder).with_context(|| format!("{typed} has no README.md beside it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_stands_in_the_head_of_a_card() {
        let card = "---\nlanguage: en\nlicense: \"apache-2.0\"\n---\n# A model\nlicense: none";
        assert_eq!(licence_of_card(card).as_deref(), Some("apache-2.0"));
        let named = "---\nlicense: other\nlicense_name: qwen-research\n---\n";
        assert_eq!(licence_of_card(named).as_deref(), Some("qwen-research"));
        assert_eq!(licence_of_card("# no head\nlicense: mit"), None);
    }

    #[test]
    fn bundled_models_are_on_the_shelf_with_what_their_headers_say() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("broken.gguf"), "GGUF").expect("written");
        let shelf = look(folder.path(), false).expect("looks");
        let small = shelf.models.iter().find(|model| model.typed == "bundled:bantam-s").expect("bundled");
        let facts = small.facts.as_ref().expect("readable");
        assert_eq!((facts.parameters, facts.runs.as_str()), (426_624, "LlamaForCausalLM"));
        assert!(facts.memory(small.bytes).0 > small.bytes.0 && facts.licence.is_some());
        let broken = shelf.models.iter().find(|model| model.typed.ends_with("broken.gguf")).expect("listed");
        assert!(broken.facts.is_err() && shelf.bandwidth.is_err());
    }
}

//! Models by name and by place: `hub` finds files, `family` has those inside the binary, `model` and `compress` read
//! them; here they meet.

use anyhow::{Context, Result, bail};
use bantam_bundled::models::{self as family, Bundled};
use bantam_core::cache_type::CacheType;
use bantam_core::endpoint::Endpoint;
use bantam_core::record::{Id, ModelRef, Place};
use bantam_core::system::System;
use bantam_core::unit::Bytes;
use bantam_format::gguf;
use bantam_hub as hub;
use bantam_lab::{self as lab, Recipe};
use bantam_model::encoder::{self, Encoder};
use bantam_model::{self as model, Adapter, Embedded, KvType, LoadOptions, Model};
use std::path::{Path, PathBuf};

/// A model that was found and whose headers are read.
pub struct Opened {
    pub model: ModelRef,
    /// How it is to keep keys and values, where the name says.
    pub kv: Option<CacheType>,
    facts: ModelFacts,
    /// Recipes can be done to it.
    pub compresses: bool,
    /// The names of its chat templates; None where it is no decoder, or its tokenizer cannot be read.
    pub chat_templates: Option<Vec<String>>,
}

/// A model that is ready to be asked.
pub enum Loaded {
    Decoder(Box<Model>),
    Encoder(Box<Encoder>),
}

/// What can be said of a model before it is loaded.
pub enum ModelFacts {
    Decoder(Box<model::Facts>),
    Encoder(Box<encoder::Facts>),
}

impl ModelFacts {
    /// Parameters in the files.
    pub fn parameters(&self) -> u64 {
        match self {
            ModelFacts::Decoder(facts) => facts.parameters(),
            ModelFacts::Encoder(facts) => facts.parameters(),
        }
    }
}

/// Between a model and the folder of its adapter.
const WITH: &str = " + ";

/// A model's name with an adapter, as `MODEL + FOLDER`.
pub fn with_adapter(model: &str, adapter: &Path) -> String {
    format!("{model}{WITH}{}", adapter.display())
}

/// What was typed, in the model and the folder of an adapter, without the type of a cache behind them. A file that is
/// there is taken before ` + ` is read as more than a part of its name.
fn parts_of(typed: &str) -> (&str, Option<PathBuf>) {
    let (typed, _) = CacheType::split(typed);
    let whole = std::iter::once((typed, None));
    let parts =
        typed.rmatch_indices(WITH).map(|(at, _)| (&typed[..at], Some(PathBuf::from(&typed[at + WITH.len()..]))));
    let there = whole.chain(parts).find(|(model, _)| Path::new(model).exists());
    there.unwrap_or_else(|| match typed.split_once(WITH) {
        None => (typed, None),
        Some((model, adapter)) => (model, Some(PathBuf::from(adapter))),
    })
}

/// Finds a model by the name typed; reads none of its weights.
pub fn find(typed: &str) -> Result<hub::Found> {
    let (model, _) = parts_of(typed);
    Ok(found(model, &hub::Cache::here())?)
}

/// Among what other programs keep, where the name says so; else among the bundled, the paths and the cache.
fn found(model: &str, cache: &hub::Cache) -> Result<hub::Found, hub::Error> {
    match hub::Stores::here().find(model)? {
        Some(found) => Ok(found),
        None => hub::find(model, &bundled_names(), cache),
    }
}

/// Opens the adapter that was typed behind a model, and checks that its tensors belong to the model. Reads headers
/// only.
///
/// # Errors
/// One sentence on what is missing, not supported, or does not fit.
pub fn adapter(typed: &str, facts: &ModelFacts) -> Result<Option<Adapter>> {
    let (model, Some(folder)) = parts_of(typed) else { return Ok(None) };
    let ModelFacts::Decoder(facts) = facts else {
        bail!("{model} is an encoder, and adapters are for decoders; leave out {}", folder.display())
    };
    let (adapter, config) = (Adapter::open(&folder)?, &facts.config);
    let cost = model::cost(config);
    let modules = cost.tensors.iter().filter_map(|tensor| Some(tensor.name.rsplit_once('.')?.0));
    adapter.check(config, modules)?;
    Ok(Some(adapter))
}

/// The name on the hub, where it is one and the model is not here or not whole; None where there is nothing to fetch.
pub fn to_fetch(typed: &str) -> Option<hub::Name> {
    let (typed, _) = parts_of(typed);
    let cache = hub::Cache::here();
    match found(typed, &cache) {
        // a word without an owner is a mistyped model far more often than one of the hub's oldest, which `pull` gets
        Err(hub::Error::Unknown { .. }) => hub::Name::parse(typed).ok().filter(|name| name.repo.has_owner()),
        Err(hub::Error::NotCached { .. }) => hub::Name::parse(typed).ok(),
        // a pull that was stopped, or one of other files
        Err(hub::Error::NoModel { path, .. }) if path.starts_with(cache.folder()) => hub::Name::parse(typed).ok(),
        Err(hub::Error::WhichGguf { .. }) => hub::Name::parse(typed).ok(),
        _ => None,
    }
}

/// Finds a model by the name typed and identifies it; reads all its bytes, about a second a gigabyte.
///
/// # Errors
/// One sentence with what there is and what to do.
pub fn open(typed: &str) -> Result<Opened> {
    let hub::Found { name, place, commit } = find(typed)?;
    let place = rooted(place);
    let digest = digest(&place)?;
    let facts = inspect(&place)?;
    let mut model = ModelRef { name, place, digest, parameters: facts.parameters(), commit, adapter: None };
    if let Some(adapter) = adapter(typed, &facts)? {
        let folder = std::path::absolute(adapter.folder())?;
        let digests = adapter.files().map(|file| Ok(Id::of_bytes(&std::fs::read(file)?)));
        let digests: Vec<Id> = digests.into_iter().collect::<std::io::Result<_>>().context("reading the adapter")?;
        let last =
            folder.file_name().map_or_else(|| folder.display().to_string(), |l| l.to_string_lossy().into_owned());
        model.name = format!("{}{WITH}{last}", model.name);
        model.digest = Id::of(&("adapted 1", &model.digest, digests));
        model.parameters += adapter.parameters();
        model.adapter = Some(folder);
    }
    let compresses = matches!(facts, ModelFacts::Decoder(_));
    let chat_templates = match &facts {
        ModelFacts::Decoder(facts) => facts.tokenizer.as_ref().ok().map(|summary| summary.chat_templates.clone()),
        ModelFacts::Encoder(_) => None,
    };
    Ok(Opened { model, kv: CacheType::split(typed).1, facts, compresses, chat_templates })
}

/// What loads of it are to keep keys and values in.
pub fn kv_type(kv: CacheType) -> KvType {
    match kv {
        CacheType::F32 => KvType::F32,
        CacheType::F16 => KvType::F16,
        CacheType::Q8_0 => KvType::Q8_0,
        CacheType::Q4_0 => KvType::Q4_0,
    }
}

/// The same place from every folder: results outlive the one that a command was given in.
fn rooted(place: Place) -> Place {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    match place {
        Place::Folder(path) => Place::Folder(absolute(path)),
        Place::Gguf(path) => Place::Gguf(absolute(path)),
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => place,
    }
}

/// The identity of a model's files, without that of an adapter; reads all their bytes.
///
/// # Errors
/// Where a file cannot be read.
pub fn digest(place: &Place) -> Result<Id> {
    Ok(match place {
        Place::Bundled(name) => bundled_digest(bundled(name)?),
        Place::Folder(folder) => hub::digest_of_folder(folder)?,
        Place::Gguf(file) => digest_of_gguf(file)?,
        Place::Endpoint(at) => at.digest(),
        Place::System(of) => return composed(of),
    })
}

/// The names of the models inside this binary, smallest first.
pub fn bundled_names() -> Vec<String> {
    family::embedded().iter().map(|bundled| bundled.name.to_string()).collect()
}

/// Loads a model to ask it, of whichever kind it is.
pub fn load_any(place: &Place, options: &LoadOptions) -> Result<Loaded> {
    Ok(match place {
        Place::Folder(path) if encoder::is_encoder(path) => Loaded::Encoder(Box::new(encoder::load(path, options)?)),
        _ => Loaded::Decoder(Box::new(load(place, options)?)),
    })
}

/// Loads a model that generates; an encoder is refused.
pub fn load(place: &Place, options: &LoadOptions) -> Result<Model> {
    Ok(match place {
        Place::Bundled(name) => model::load(&embedded(bundled(name)?)?, options)?,
        Place::Folder(path) | Place::Gguf(path) => model::load(path, options)?,
        Place::Endpoint(at) => return away(at),
        Place::System(of) => return composed(of),
    })
}

/// Why a model behind an address cannot be opened here.
fn away<T>(at: &Endpoint) -> Result<T> {
    bail!("{} is behind an address, so that nothing of its files is here", at.label())
}

/// Why several variants cannot be opened as one.
fn composed<T>(of: &System) -> Result<T> {
    bail!("{} is a system of variants, which has no files of its own: open its members", of.label())
}

/// The facts of a model without its weights.
pub fn inspect(place: &Place) -> Result<ModelFacts> {
    let decoder = |facts| ModelFacts::Decoder(Box::new(facts));
    Ok(match place {
        Place::Folder(path) if encoder::is_encoder(path) => ModelFacts::Encoder(Box::new(encoder::inspect(path)?)),
        Place::Bundled(name) => decoder(model::inspect(&embedded(bundled(name)?)?)?),
        Place::Folder(path) | Place::Gguf(path) => decoder(model::inspect(path)?),
        Place::Endpoint(at) => return away(at),
        Place::System(of) => return composed(of),
    })
}

/// Opens a model to compress it.
pub fn source(name: &str, place: &Place) -> Result<lab::Source<'static>> {
    match place {
        Place::Folder(path) if encoder::is_encoder(path) => bail!(
            "{name} is an encoder, which is measured as it is: a recipe makes a GGUF file, and that holds no encoder"
        ),
        Place::Bundled(name) => lab::Source::embedded(&embedded(bundled(name)?)?),
        Place::Folder(path) | Place::Gguf(path) => lab::Source::open(name, path),
        Place::Endpoint(at) => away(at),
        Place::System(of) => composed(of),
    }
}

/// Opens a model whose weights may be quantized already: they are the numbers they stand for.
pub fn unpacked(name: &str, place: &Place) -> Result<lab::Source<'static>> {
    match place {
        Place::Gguf(path) => lab::Source::unpacked(name, path),
        Place::Folder(path) => match model::main_file(path)? {
            file if file.is_dir() => source(name, place),
            file => lab::Source::unpacked(name, &file),
        },
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => source(name, place),
    }
}

/// Hands the model's files to `with`, wherever they are.
pub fn with_files<T>(place: &Place, with: impl FnOnce(model::Source) -> Result<T>) -> Result<T> {
    match place {
        Place::Bundled(name) => with((&embedded(bundled(name)?)?).into()),
        Place::Folder(path) | Place::Gguf(path) => with(path.into()),
        Place::Endpoint(at) => away(at),
        Place::System(of) => composed(of),
    }
}

/// The size of the model's files.
pub fn bytes(place: &Place) -> Result<Bytes> {
    Ok(Bytes(match place {
        Place::Bundled(name) => bundled(name)?.files.iter().map(|file| file.data.len() as u64).sum(),
        Place::Gguf(file) => gguf::parts(file).iter().map(|part| size(part)).sum::<Result<u64>>()?,
        Place::Folder(folder) => hub::files(folder)?.iter().map(|file| size(file)).sum::<Result<u64>>()?,
        Place::Endpoint(at) => return away(at),
        Place::System(of) => return composed(of),
    }))
}

/// The size of the file that a recipe makes.
pub fn bytes_after(source: &lab::Source, recipe: &Recipe) -> Result<Bytes> {
    Ok(Bytes(lab::plan_types(source, recipe)?.bytes))
}

/// The files of a model, so that none of them is written over while it is read; none of a bundled one.
pub fn files(place: &Place) -> Vec<PathBuf> {
    match place {
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => Vec::new(),
        Place::Gguf(file) => gguf::parts(file),
        Place::Folder(folder) => {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
        }
    }
}

/// A whole file's hash, or one over those of all parts of a split one.
fn digest_of_gguf(file: &Path) -> Result<Id> {
    match &gguf::parts(file)[..] {
        [whole] => Ok(hub::digest_of_file(whole)?),
        parts => {
            let digests = parts.iter().map(|part| Ok(hub::digest_of_file(part)?)).collect::<Result<Vec<Id>>>()?;
            Ok(Id::of(&("parts 1", digests)))
        }
    }
}

fn size(file: &Path) -> Result<u64> {
    Ok(std::fs::metadata(file).with_context(|| file.display().to_string())?.len())
}

fn bundled(name: &str) -> Result<&'static Bundled> {
    let found = family::embedded().iter().find(|bundled| bundled.name == name);
    found.with_context(|| format!("'{name}' is not bundled in this binary; there are {}", bundled_names().join(", ")))
}

fn embedded(bundled: &'static Bundled) -> Result<Embedded> {
    let needed = |file: &str| bundled.file(file).with_context(|| format!("{}: {file} is missing", bundled.name));
    Ok(Embedded {
        name: bundled.name,
        config: needed("config.json")?,
        weights: needed("model.safetensors")?,
        tokenizer: needed("tokenizer.json")?,
        tokenizer_config: bundled.file("tokenizer_config.json"),
        generation_config: bundled.file("generation_config.json"),
    })
}

fn bundled_digest(bundled: &Bundled) -> Id {
    let files: Vec<(&str, Id)> = bundled.files.iter().map(|f| (f.name, Id::of_bytes(f.data))).collect();
    Id::of(&("bundled 1", files))
}

/// What the loaded model holds with a sequence of so many tokens: its weights in the format of its file, and the cache,
/// which an encoder has not. Working memory and the program itself come on top, so this is a floor.
pub fn memory(opened: &Opened, weights: Bytes, tokens: usize, kv: CacheType) -> Bytes {
    let (per_token, states) = match &opened.facts {
        ModelFacts::Decoder(facts) => (facts.cost.cache_bytes_per_token(kv_type(kv)), facts.cost.state_bytes()),
        ModelFacts::Encoder(_) => (0, 0),
    };
    Bytes(weights.0 + tokens as u64 * per_token + states)
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_taken_before_an_adapter_is_read_into_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (plus, adapter) = (path("a + b.gguf"), path("c + d"));
        std::fs::write(&plus, b"").expect("writes");
        assert_eq!(parts_of(&plus), (plus.as_str(), None));
        assert_eq!(parts_of(&format!("{plus} + {adapter}")), (plus.as_str(), Some(PathBuf::from(&adapter))));
        assert_eq!(parts_of("bantam-s + x + y"), ("bantam-s", Some(PathBuf::from("x + y"))));
        assert_eq!(parts_of("bantam-s"), ("bantam-s", None));
    }

    #[test]
    fn a_model_with_an_adapter_is_another_model() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model");
        let base = golden.join("llama").display().to_string();
        let adapted = |name: &str| open(&with_adapter(&base, &golden.join("peft").join(name)));
        let (plain, dora, bf16) =
            (open(&base).expect("base"), adapted("dora").expect("adapted"), adapted("bf16").expect("adapted"));
        assert_eq!(dora.model.name, "llama + dora");
        assert_eq!(dora.model.adapter, Some(golden.join("peft/dora")));
        assert_eq!(dora.model.parameters, plain.model.parameters + 3648);
        assert_eq!(plain.model.adapter, None);
        assert!(dora.model.digest != plain.model.digest && dora.model.digest != bf16.model.digest);
        let of_another = adapted("gpt2").err().expect("must refuse").to_string();
        assert!(of_another.ends_with("belongs to no module of the model"), "{of_another}");
        let absent = adapted("absent").err().expect("must refuse").to_string();
        assert!(absent.contains("absent/adapter_config.json"), "{absent}");
    }
}

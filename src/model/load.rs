//! From a place to a `Model`: a folder with config.json and safetensors, a GGUF file, or files compiled into the
//! binary. Opening reads headers only; loading reads the weights.

use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::config::Config;
use super::decoder::Decoder;
use super::error::{Error, Result};
use super::format::gguf::{self, Gguf, GgufWeights, MAGIC};
use super::format::packed::Packed;
use super::format::safetensors::Safetensors;
use super::tokenizer::{Files, Tokenizer};
use super::weights::Precision;

/// A language model ready to be asked.
pub struct Model {
    pub config: Config,
    pub tokenizer: Tokenizer,
    pub decoder: Decoder,
    pub(super) max_length: usize,
}

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A folder with config.json, tokenizer.json and safetensors, or with one .gguf file; or a .gguf file.
    Path(&'a Path),
    Embedded(&'a Embedded),
}

/// A model's files, compiled into the binary.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// For sentences that speak of it.
    pub name: &'static str,
    pub config: &'static [u8],
    pub weights: &'static [u8],
    pub tokenizer: &'static [u8],
    pub tokenizer_config: Option<&'static [u8]>,
    pub generation_config: Option<&'static [u8]>,
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub device: Device,
    pub precision: Precision,
    /// The longest sequence it will be given; the config's when not set.
    pub max_length: Option<usize>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::AsStored, max_length: None }
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a PathBuf> for Source<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a Embedded> for Source<'a> {
    fn from(files: &'a Embedded) -> Self {
        Self::Embedded(files)
    }
}

/// Loads a model from where it is.
pub fn load<'a>(source: impl Into<Source<'a>>, options: &LoadOptions) -> Result<Model> {
    Opened::new(source.into())?.load(options)
}

impl Model {
    /// The longest sequence it is given; longer contexts lose their beginning when scored, as in lm-eval.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Sets the longest sequence, which must be at least 2 for anything to be predicted.
    pub fn set_max_length(&mut self, tokens: usize) {
        self.max_length = tokens.max(2);
    }
}

/// A model whose headers are read and whose weights are not.
pub(super) struct Opened<'a> {
    pub name: String,
    pub config: Config,
    pub format: Format<'a>,
}

pub(super) enum Format<'a> {
    Folder(&'a Path),
    Gguf(Gguf),
    Embedded(&'a Embedded),
}

impl<'a> Opened<'a> {
    pub fn new(source: Source<'a>) -> Result<Self> {
        match source {
            Source::Embedded(files) => Self::embedded(files),
            Source::Path(path) if path.is_dir() => Self::folder(path),
            Source::Path(path) => Self::file(path),
        }
    }

    fn folder(path: &'a Path) -> Result<Self> {
        if !path.join("config.json").is_file() {
            return Self::file(&only_gguf_in(path)?);
        }
        let name = path.display().to_string();
        let config = Config::from_json(&read(&path.join("config.json"))?, &format!("{name}/config.json"))?;
        let generation = read_optional(&path.join("generation_config.json"))?;
        let config = config.with_generation(generation.as_deref(), &format!("{name}/generation_config.json"))?;
        Ok(Self { name, config, format: Format::Folder(path) })
    }

    fn file(path: &Path) -> Result<Self> {
        let mut start = [0; MAGIC.len()];
        let mut file = std::fs::File::open(path).map_err(Error::read(path))?;
        let is_gguf = file.read_exact(&mut start).is_ok() && start == MAGIC;
        if !is_gguf {
            let what = "neither a GGUF file nor a folder with config.json and safetensors".to_owned();
            return Err(Error::broken(path.display().to_string(), what));
        }
        let gguf = Gguf::open(path)?;
        Ok(Self { name: path.display().to_string(), config: Config::from_gguf(&gguf)?, format: Format::Gguf(gguf) })
    }

    fn embedded(files: &'a Embedded) -> Result<Self> {
        let name = files.name.to_owned();
        let config = Config::from_json(files.config, &format!("{name}/config.json"))?;
        let config = config.with_generation(files.generation_config, &format!("{name}/generation_config.json"))?;
        Ok(Self { name, config, format: Format::Embedded(files) })
    }

    fn load(self, options: &LoadOptions) -> Result<Model> {
        if let Format::Gguf(gguf) = &self.format {
            gguf.check_types()?;
        }
        let tokenizer = self.tokenizer()?;
        let (device, precision) = (&options.device, options.precision);
        let decoder = match &self.format {
            Format::Gguf(gguf) => Decoder::new(&self.config, &GgufWeights::new(gguf, &self.config, device, precision)),
            _ => {
                let files = self.safetensors(device, precision)?;
                match self.config.quantization.clone() {
                    Some(packing) => Decoder::new(&self.config, &Packed::new(files, packing, device, precision)),
                    None => Decoder::new(&self.config, &files),
                }
            }
        }?;
        let max_length = options.max_length.unwrap_or(self.config.max_positions);
        let mut model = Model { max_length, tokenizer, decoder, config: self.config };
        model.set_max_length(max_length);
        Ok(model)
    }

    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let of_config = |tokenizer, config, chat_template| Files {
            tokenizer,
            config,
            chat_template,
            bos: self.config.bos,
            eos: self.config.eos.first().copied(),
        };
        match &self.format {
            Format::Gguf(gguf) => Tokenizer::from_gguf(gguf),
            Format::Embedded(files) => {
                Tokenizer::from_files(of_config(files.tokenizer, files.tokenizer_config, None), &self.name)
            }
            Format::Folder(path) => {
                let tokenizer = read(&path.join("tokenizer.json"))?;
                let config = read_optional(&path.join("tokenizer_config.json"))?;
                let template = read_optional(&path.join("chat_template.jinja"))?;
                Tokenizer::from_files(of_config(&tokenizer, config.as_deref(), template.as_deref()), &self.name)
            }
        }
    }

    /// The safetensors of a model that is no GGUF file.
    pub fn safetensors(&self, device: &Device, precision: Precision) -> Result<Safetensors> {
        match &self.format {
            Format::Folder(path) => Safetensors::open(path, device, precision),
            Format::Embedded(files) => Safetensors::embedded(files.name, files.weights, device, precision),
            Format::Gguf(gguf) => Err(gguf.broken("a GGUF file has no safetensors")),
        }
        .map(|files| files.of_family(self.config.family))
    }
}

/// The one GGUF file of a folder, or the first part of the one split file.
fn only_gguf_in(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(Error::read(folder))?;
    let is_gguf = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_gguf).collect();
    found.sort();
    match found.first() {
        Some(first) if gguf::is_one_set(&found) => Ok(first.clone()),
        first => {
            let what = match first {
                Some(_) => format!("{} .gguf files in it; name the one you mean", found.len()),
                None => "no model in it: neither config.json nor a .gguf file".into(),
            };
            Err(Error::broken(folder.display().to_string(), what))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::read(path))
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::read(path)(error)),
    }
}

//! From a place to a `Model`: a folder with config.json and safetensors, a GGUF file, or files compiled into the
//! binary. Opening reads headers only; loading reads the weights.

use std::io::Read;
use std::path::{Path, PathBuf};

use bantam_kernels::kv::KvType;
use candle_core::Device;

use super::adapter::{Adaptation, Adapted, Adapter};
use super::agree::Agreed;
use super::arithmetic::{Arithmetic, Computed};
use super::cache::Cache;
use super::checkpoint::gguf::{GgufWeights, check_types};
use super::checkpoint::packed::{self, Packed, Quantization};
use super::checkpoint::safetensors::Safetensors;
use super::config::{self, Config};
use super::decoder::Decoder;
use super::error::{Error, Result};
use super::tokenizer::{Files, Summary, Tokenizer};
use super::weights::{Precision, Weights};
use bantam_format::gguf::{self, Gguf, MAGIC};
use bantam_format::heap;

/// A language model, loaded and ready to score and generate.
pub struct Model {
    /// Its sizes and options, with what an adapter changes of them.
    pub config: Config,
    /// The checkpoint's own tokenizer.
    pub tokenizer: Tokenizer,
    /// The graph with its weights.
    pub decoder: Decoder,
    /// How the matrices of a quantized checkpoint are held; `None` for others.
    pub packing: Option<packed::Summary>,
    /// What was decided where its files disagree, a sentence each.
    pub notes: Vec<String>,
    pub(super) max_length: usize,
    pub(super) kv: KvType,
}

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A folder with config.json, tokenizer.json and safetensors, or with one .gguf file; or a .gguf file.
    Path(&'a Path),
    /// Files compiled into the binary.
    Embedded(&'a Embedded),
}

/// The files of a model, compiled into the binary.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// What error messages call it.
    pub name: &'static str,
    /// config.json.
    pub config: &'static [u8],
    /// One safetensors file.
    pub weights: &'static [u8],
    /// tokenizer.json.
    pub tokenizer: &'static [u8],
    /// tokenizer_config.json, where there is one.
    pub tokenizer_config: Option<&'static [u8]>,
    /// generation_config.json, where there is one.
    pub generation_config: Option<&'static [u8]>,
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where the weights and the arithmetic are.
    pub device: Device,
    /// How matrices are held in memory.
    pub precision: Precision,
    /// The longest sequence it will be given, in tokens; the config's when `None`.
    pub max_length: Option<usize>,
    /// The folder of a LoRA adapter; `None` for the model alone.
    pub adapter: Option<PathBuf>,
    /// How the adapter is put on the model.
    pub adaptation: Adaptation,
    /// How matrices are multiplied.
    pub arithmetic: Arithmetic,
    /// How keys and values are kept of sequences that go on. In blocks (q8_0, q4_0) they are read so everywhere, also
    /// where a text is scored in one pass.
    pub kv: KvType,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            precision: Precision::AsStored,
            max_length: None,
            adapter: None,
            adaptation: Adaptation::Applied,
            arithmetic: Arithmetic::Fast,
            kv: KvType::default(),
        }
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
///
/// # Errors
/// Where the source holds no model, or one that is damaged or not supported, or does not fit its adapter.
pub fn load<'a>(source: impl Into<Source<'a>>, options: &LoadOptions) -> Result<Model> {
    Opened::new(source.into())?.load(options)
}

/// Gives a model's weights by name to `with`: those of its files, unpacked where they are quantized, with the adapter
/// that the options name. No graph is built, for whoever writes the weights elsewhere.
///
/// # Errors
/// Where `load` fails, where `with` does, and where the adapter has a tensor that `with` did not ask for.
pub fn with_weights<'a, T>(
    source: impl Into<Source<'a>>,
    options: &LoadOptions,
    with: impl FnOnce(&Config, &dyn Weights) -> Result<T>,
) -> Result<T> {
    Ok(Opened::new(source.into())?.with_weights(options, with)?.0)
}

/// Reads a model's tokenizer alone.
///
/// # Errors
/// Where the config or the tokenizer is missing, damaged or not supported.
pub fn read_tokenizer<'a>(source: impl Into<Source<'a>>) -> Result<Tokenizer> {
    Opened::new(source.into())?.tokenizer()
}

/// Gives what a path to a model leads to: a folder with config.json, or a GGUF file, also where it is a folder's only
/// one.
///
/// # Errors
/// Where a folder without config.json has no GGUF file, or several that are not the parts of one.
pub fn main_file(path: &Path) -> Result<PathBuf> {
    if path.is_dir() && !path.join("config.json").is_file() {
        return only_gguf_in(path);
    }
    Ok(path.to_owned())
}

impl Model {
    /// Makes an empty cache on the decoder's device, of the type that the model was loaded with.
    ///
    /// # Errors
    /// When a device has no memory.
    pub fn cache(&self) -> Result<Cache> {
        Cache::new(&self.config, self.decoder.device(), self.kv)
    }

    /// The longest sequence it is given, in tokens; longer contexts lose their beginning when scored, as in lm-eval.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Sets the longest sequence, in tokens; at least 2, so that anything can be predicted.
    pub fn set_max_length(&mut self, tokens: usize) {
        self.max_length = tokens.max(2);
    }
}

/// A model whose headers are read and whose weights are not.
pub(super) struct Opened<'a> {
    /// The path it was opened by, or an embedded model's own name.
    pub name: String,
    /// Its config, with the generation config's end tokens and the quantization of a file of its own.
    pub config: Config,
    /// Where its weights are.
    pub format: Format<'a>,
    /// What was decided where its files disagree, a sentence each.
    pub notes: Vec<String>,
}

pub(super) enum Format<'a> {
    Folder(&'a Path),
    Gguf(Gguf),
    Embedded(&'a Embedded),
}

impl<'a> Opened<'a> {
    /// Reads the headers and the config of what is at the source.
    pub(crate) fn new(source: Source<'a>) -> Result<Self> {
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
        let bytes = read(&path.join("config.json"))?;
        let config = Config::from_json(&bytes, &format!("{name}/config.json"))?;
        let generation = read_optional(&path.join("generation_config.json"))?;
        let notes = config.unused_ids(&bytes, generation.as_deref());
        let mut config = config.with_generation(generation.as_deref(), &format!("{name}/generation_config.json"))?;
        if config.quantization.is_none() {
            config.quantization = separate_quantization(path)?;
        }
        Self { name, config, format: Format::Folder(path), notes }.agreed()
    }

    /// With the config held against the tensors that the files hold; files that are not there show when they are needed.
    fn agreed(mut self) -> Result<Self> {
        let Ok(files) = self.safetensors(&Device::Cpu, Precision::AsStored) else { return Ok(self) };
        let Agreed { config, notes } = self.config.clone().agree(&files)?;
        self.config = config;
        self.notes.extend(notes);
        Ok(self)
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
        let config = Config::from_gguf(&gguf)?;
        config.agree_with_gguf(&gguf)?;
        let notes = config::ids::unused_of_gguf(&gguf).into_iter().collect();
        Ok(Self { name: path.display().to_string(), config, format: Format::Gguf(gguf), notes })
    }

    fn embedded(files: &'a Embedded) -> Result<Self> {
        let name = files.name.to_owned();
        let config = Config::from_json(files.config, &format!("{name}/config.json"))?;
        let config = config.with_generation(files.generation_config, &format!("{name}/generation_config.json"))?;
        Ok(Self { name, config, format: Format::Embedded(files), notes: Vec::new() })
    }

    fn load(mut self, options: &LoadOptions) -> Result<Model> {
        if let Format::Gguf(gguf) = &self.format {
            check_types(gguf)?;
        }
        let (tokenizer, notes) = (self.tokenizer()?, self.notes.clone());
        if let Format::Gguf(gguf) = &mut self.format {
            gguf.forget("tokenizer.");
        }
        heap::give_back();
        heap::keep();
        let ((config, decoder), packing) =
            self.with_weights(options, |config, weights| Ok((config.clone(), Decoder::new(config, weights)?)))?;
        // what looking through the weights took
        heap::give_back();
        let decoder = match options.kv {
            // what these round off is below what another order of the same sums makes of it
            KvType::F32 | KvType::F16 => decoder,
            blocks => decoder.rounding_to(blocks),
        };
        let max_length = options.max_length.unwrap_or(config.max_positions);
        let mut model = Model { max_length, kv: options.kv, tokenizer, decoder, config, packing, notes };
        model.set_max_length(max_length);
        Ok(model)
    }

    /// Gives the model's weights to `with`, unpacked and with the adapter that the options name, and the config that
    /// goes with them; then what became of packed matrices, where there were any.
    fn with_weights<T>(
        &self,
        options: &LoadOptions,
        with: impl FnOnce(&Config, &dyn Weights) -> Result<T>,
    ) -> Result<(T, Option<packed::Summary>)> {
        let (device, precision) = (&options.device, options.precision);
        let adapted = |weights: &dyn Weights| self.with_adapter(weights, options, with);
        if let Format::Gguf(gguf) = &self.format {
            return Ok((adapted(&GgufWeights::new(gguf, &self.config, device, precision).mapped())?, None));
        }
        let files = self.safetensors(device, precision)?;
        match self.config.quantization.clone() {
            None => Ok((adapted(&files)?, None)),
            Some(quantization) => {
                let packed = Packed::new(files, quantization, device, precision);
                Ok((adapted(&packed)?, Some(packed.summary())))
            }
        }
    }

    fn with_adapter<T>(
        &self,
        weights: &dyn Weights,
        options: &LoadOptions,
        with: impl FnOnce(&Config, &dyn Weights) -> Result<T>,
    ) -> Result<T> {
        let arithmetic = options.arithmetic;
        let Some(folder) = &options.adapter else { return with(&self.config, &Computed::new(weights, arithmetic)) };
        let adapter = Adapter::open(folder)?.on(&options.device);
        let adapted = Adapted::new(weights, &adapter, &self.config, options.adaptation);
        let done = with(&adapter.config(self.config.clone()), &Computed::new(&adapted, arithmetic))?;
        adapted.finish()?;
        Ok(done)
    }

    /// Reads its tokenizer.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        match &self.format {
            Format::Gguf(gguf) => Tokenizer::from_gguf(gguf),
            Format::Embedded(files) => self.tokenizer_of(&Files::embedded(files)),
            Format::Folder(path) => self.tokenizer_of(&Files::of_folder(path)?),
        }
    }

    fn tokenizer_of(&self, files: &Files) -> Result<Tokenizer> {
        files.tokenizer(self.config.bos, self.config.eos.first().copied())
    }

    /// The tokenizer's facts, at less cost than the tokenizer.
    pub(crate) fn summary(&self) -> Result<Summary> {
        let of = |files| Summary::of_files(files, self.config.bos, self.config.eos.first().copied());
        match &self.format {
            Format::Gguf(gguf) => Summary::of_gguf(gguf),
            Format::Embedded(files) => of(Files::embedded(files)),
            Format::Folder(path) => of(Files::of_folder(path)?),
        }
    }

    /// The safetensors of a model that is no GGUF file.
    pub(crate) fn safetensors(&self, device: &Device, precision: Precision) -> Result<Safetensors> {
        match &self.format {
            Format::Folder(path) => Safetensors::open(path, device, precision),
            Format::Embedded(files) => Safetensors::embedded(files.name, files.weights, device, precision),
            Format::Gguf(gguf) => Err(Error::broken(gguf.file(), "a GGUF file has no safetensors")),
        }
        .map(|files| files.of_architecture(self.config.architecture))
    }
}

/// The quantization that older checkpoints have in a file of its own.
fn separate_quantization(folder: &Path) -> Result<Option<Quantization>> {
    for name in Quantization::SEPARATE_FILES {
        let path = folder.join(name);
        if let Some(bytes) = read_optional(&path)? {
            return Quantization::from_separate(&bytes, &path.display().to_string()).map(Some);
        }
    }
    Ok(None)
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

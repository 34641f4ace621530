//! Sources: a model to be compressed, as tensors under their GGUF names whose rows can be read one by one, and what a
//! GGUF file says about it. From a Hugging Face folder, from files in the binary, from a GGUF file of floats, or from
//! whatever answers for the weights of a config: a packed checkpoint, a model with an adapter merged in.

use super::mixture::Anatomy;
use anyhow::{Context, Result, bail};
use bantam_format::ggml::Type;
use bantam_format::gguf;
use bantam_format::gguf::{Gguf, Value};
use bantam_model::checkpoint::gguf::Placed;
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_model::config::gguf::{self as metadata, Pair, Told};
use bantam_model::cost::TensorShape;
use bantam_model::tokenizer::Files;
use bantam_model::tokenizer::gguf as vocabulary;
use bantam_model::{self as model, Config, Embedded, Precision, Tokenizer};
use candle_core::{DType, Device};
use half::{bf16, f16};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

/// A model, opened and checked; its weights stay where they are until they are read.
pub struct Source<'w> {
    name: String,
    weights: Weights<'w>,
    metadata: Vec<Pair>,
    notes: Vec<String>,
    tensors: Vec<Tensor>,
    anatomy: Anatomy,
    digest: OnceLock<String>,
}

/// A tensor of the source under its GGUF name, the row length last in its shape.
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    data: Data,
}

enum Weights<'w> {
    Safetensors(Safetensors),
    Gguf(Gguf),
    Asked(&'w dyn model::Weights),
}

/// Where a tensor's numbers are.
enum Data {
    /// In tensors of the checkpoint, one after the other.
    Checkpoint(Vec<Piece>),
    /// In a GGUF file under the tensor's own name.
    Gguf(DType),
    /// Made from the config.
    Made(Vec<f32>),
}

/// A tensor of the checkpoint as it becomes part of a GGUF tensor.
struct Piece {
    name: String,
    shape: Vec<usize>,
    /// For each row the checkpoint's row that stands there.
    order: Option<Vec<usize>>,
    /// The file has 1 + w.
    plus_one: bool,
    /// The checkpoint has it as (in, out).
    transposed: bool,
}

/// A tensor's numbers, ready to be read by row.
pub struct Rows<'a> {
    pub count: usize,
    pub columns: usize,
    /// Of as many rows each.
    parts: Vec<Part<'a>>,
}

struct Part<'a> {
    numbers: Numbers<'a>,
    order: Option<&'a [usize]>,
    plus_one: bool,
    transposed: bool,
}

enum Numbers<'a> {
    Stored(DType, &'a [u8]),
    Made(Cow<'a, [f32]>),
}

impl<'w> Source<'w> {
    /// Open a folder (config.json, a tokenizer, safetensors) or a GGUF file. `name` is what the model is called.
    pub fn open(name: &str, path: &Path) -> Result<Source<'static>> {
        if !path.is_dir() {
            return Source::of_gguf(name, Gguf::open(path)?);
        }
        let place = path.display().to_string();
        let optional = |file: &str| match std::fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => bail!("cannot read {}: {e}", path.join(file).display()),
        };
        let config = optional("config.json")?.with_context(|| format!("{place}: config.json is missing"))?;
        let generation = optional("generation_config.json")?;
        let config = read_config(&config, generation.as_deref(), &place)?;
        if let Some(quantization) = &config.quantization {
            bail!(
                "{place}: its weights are quantized already ({quantization}); `bantam export` writes what they stand for"
            );
        }
        let weights = Safetensors::open(path, &Device::Cpu, Precision::AsStored)?.of_family(config.family);
        Source::of_checkpoint(name, &place, weights, &config, &Files::of_folder(path)?)
    }

    /// A checkpoint compiled into the binary.
    pub fn embedded(files: &Embedded) -> Result<Source<'static>> {
        let weights = Safetensors::embedded(files.name, files.weights, &Device::Cpu, Precision::AsStored)?;
        let config = read_config(files.config, files.generation_config, files.name)?;
        let weights = weights.of_family(config.family);
        Source::of_checkpoint(files.name, files.name, weights, &config, &Files::embedded(files))
    }

    /// `place` names the folder in errors.
    fn of_checkpoint(
        name: &str,
        place: &str,
        weights: Safetensors,
        config: &Config,
        files: &Files,
    ) -> Result<Source<'static>> {
        refuse_strangers(&weights, config).with_context(|| place.to_owned())?;
        let tokenizer = files.tokenizer(config.bos, config.eos.first().copied())?;
        for tensor in model::cost(config).tensors {
            let raw = weights.raw(&tensor.name)?;
            let turned = is_turned(config, &tensor);
            let as_stored: Vec<usize> =
                if turned { tensor.shape.iter().rev().copied().collect() } else { tensor.shape.clone() };
            if raw.shape != as_stored {
                bail!(
                    "{place}: tensor {} has shape {:?}, but config.json asks for {as_stored:?}",
                    tensor.name,
                    raw.shape
                );
            }
        }
        Source::new(name, &format!("{place}/config.json"), Weights::Safetensors(weights), config, &tokenizer)
    }

    /// Of weights that are asked for one by one, as f32.
    pub fn asked(
        name: &str,
        place: &str,
        weights: &'w dyn model::Weights,
        config: &Config,
        tokenizer: &Tokenizer,
    ) -> Result<Source<'w>> {
        Source::new(name, place, Weights::Asked(weights), config, tokenizer)
    }

    fn new(name: &str, file: &str, weights: Weights<'w>, config: &Config, tokenizer: &Tokenizer) -> Result<Source<'w>> {
        let stored = matches!(weights, Weights::Safetensors(_));
        let mut tensors = placed(config, stored)?;
        let parameters = tensors.iter().map(Tensor::weights).sum();
        let Told { pairs: mut metadata, mut notes } = metadata::of_config(name, config, parameters, file)?;
        let words = vocabulary::of_tokenizer(tokenizer, config.vocab, &config.eos).with_context(|| file.to_owned())?;
        metadata.extend(words.pairs);
        notes.extend(words.notes);
        tensors.extend(metadata::rope_tensors(config).into_iter().map(|(name, factors)| Tensor {
            name: name.into(),
            shape: vec![factors.len()],
            data: Data::Made(factors),
        }));
        let anatomy = Anatomy::of(config);
        Ok(Source { name: name.into(), weights, metadata, notes, tensors, anatomy, digest: OnceLock::new() })
    }

    fn of_gguf(name: &str, file: Gguf) -> Result<Source<'static>> {
        let architecture = file.string("general.architecture")?.to_owned();
        let count = |key: &str| Ok::<_, anyhow::Error>(count(&file, &format!("{architecture}.{key}"))?.unwrap_or(0));
        let heads = count("attention.head_count")?;
        let kv_heads = count("attention.head_count_kv")?;
        let anatomy = Anatomy {
            layers: count("block_count")?,
            heads,
            kv_heads: if kv_heads == 0 { heads } else { kv_heads },
            experts: count("expert_count")?,
            tied: file.tensor("output.weight").is_none(),
            llama: architecture == "llama",
        };
        let tensors = gguf_tensors(&file)?;
        let metadata = gguf_metadata(&file);
        let weights = Weights::Gguf(file);
        let digest = OnceLock::new();
        Ok(Source { name: name.into(), weights, metadata, notes: Vec::new(), tensors, anatomy, digest })
    }

    /// Where other programs will do otherwise than the file says, in sentences for the user.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// What a GGUF file says about the model, without what compression changes.
    pub fn metadata(&self) -> &[Pair] {
        &self.metadata
    }

    pub fn anatomy(&self) -> &Anatomy {
        &self.anatomy
    }

    /// The tensor's numbers.
    pub fn rows<'a>(&'a self, tensor: &'a Tensor) -> Result<Rows<'a>> {
        let whole = |numbers| vec![Part { numbers, order: None, plus_one: false, transposed: false }];
        let parts = match (&tensor.data, &self.weights) {
            (Data::Checkpoint(pieces), _) => pieces.iter().map(|piece| self.part(piece)).collect::<Result<_>>()?,
            (Data::Gguf(dtype), Weights::Gguf(file)) => {
                let info = file.tensor(&tensor.name).with_context(|| format!("tensor {} is missing", tensor.name))?;
                whole(Numbers::Stored(*dtype, file.data(info)))
            }
            (Data::Made(numbers), _) => whole(Numbers::Made(Cow::Borrowed(numbers))),
            _ => unreachable!("a source's tensors lie in its own weights"),
        };
        // a bias is a column of single numbers, so that its rows can be moved like its matrix's
        let columns = if tensor.shape.len() == 1 { 1 } else { tensor.shape[tensor.shape.len() - 1] };
        Ok(Rows { count: tensor.weights() as usize / columns.max(1), columns, parts })
    }

    fn part<'a>(&'a self, piece: &'a Piece) -> Result<Part<'a>> {
        let numbers = match &self.weights {
            Weights::Safetensors(weights) => {
                let raw = weights.raw(&piece.name)?;
                Numbers::Stored(raw.dtype, raw.bytes)
            }
            Weights::Asked(weights) => {
                let tensor = match piece.shape[..] {
                    [out, inp] => weights.linear(&piece.name, out, inp)?.dequantized()?,
                    _ => weights.tensor(&piece.name, &piece.shape)?,
                };
                Numbers::Made(Cow::Owned(tensor.flatten_all()?.to_vec1()?))
            }
            Weights::Gguf(_) => unreachable!("a GGUF file's tensors have no pieces"),
        };
        Ok(Part { numbers, order: piece.order.as_deref(), plus_one: piece.plus_one, transposed: piece.transposed })
    }

    /// The identity of weights, config and tokenizer: a SHA-256 over all that a GGUF file of this model would hold.
    /// Reads all weights the first time; `progress` is told of every run of weights read.
    pub fn digest(&self, progress: &mut dyn FnMut(u64)) -> Result<&str> {
        if let Some(digest) = self.digest.get() {
            return Ok(digest);
        }
        let mut hash = Sha256::new();
        hash.update(gguf::head(&self.metadata, &[]));
        for tensor in &self.tensors {
            hash.update(format!("{} {:?} ", tensor.name, tensor.shape));
            for part in self.rows(tensor)?.parts {
                match part.numbers {
                    Numbers::Stored(dtype, bytes) => {
                        hash.update(dtype.as_str());
                        for part in bytes.chunks(1 << 24) {
                            hash.update(part);
                            progress((part.len() / dtype.size_in_bytes()) as u64);
                        }
                    }
                    Numbers::Made(numbers) => numbers.iter().for_each(|x| hash.update(x.to_le_bytes())),
                }
            }
        }
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.digest.get_or_init(|| digest))
    }
}

impl Tensor {
    /// How many weights it has.
    pub fn weights(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// The type in which it stays if no rule changes it: f32 for a checkpoint's norms and biases.
    pub fn kept_type(&self) -> Type {
        match self.data {
            Data::Gguf(DType::F16) => Type::F16,
            Data::Gguf(DType::BF16) => Type::BF16,
            _ => Type::F32,
        }
    }
}

impl Rows<'_> {
    /// Read row `index` of the GGUF order into `row`, as f32.
    pub fn read(&self, index: usize, row: &mut [f32]) {
        let rows = self.count / self.parts.len();
        let part = &self.parts[index / rows];
        let index = part.order.map_or(index % rows, |order| order[index % rows]);
        match part.transposed {
            // a column of the checkpoint's matrix
            true => row
                .iter_mut()
                .enumerate()
                .for_each(|(i, x)| part.numbers.read(i * rows + index, std::slice::from_mut(x))),
            false => part.numbers.read(index * self.columns, row),
        }
        if part.plus_one {
            row.iter_mut().for_each(|x| *x += 1.0);
        }
    }
}

impl Numbers<'_> {
    /// As many numbers as there is room for, from the `first` on.
    fn read(&self, first: usize, row: &mut [f32]) {
        let range = first..first + row.len();
        match self {
            Numbers::Made(numbers) => row.copy_from_slice(&numbers[range]),
            Numbers::Stored(DType::F32, bytes) => {
                widen(&bytes[range.start * 4..range.end * 4], row, f32::from_le_bytes);
            }
            Numbers::Stored(DType::BF16, bytes) => {
                widen(&bytes[range.start * 2..range.end * 2], row, |b| bf16::from_le_bytes(b).to_f32());
            }
            Numbers::Stored(_, bytes) => {
                widen(&bytes[range.start * 2..range.end * 2], row, |b| f16::from_le_bytes(b).to_f32());
            }
        }
    }
}

fn widen<const N: usize>(bytes: &[u8], row: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (x, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
        *x = number(*bytes);
    }
}

/// config.json, and generation_config.json with the last word on which tokens end a generation.
fn read_config(config: &[u8], generation: Option<&[u8]>, place: &str) -> Result<Config> {
    let config = Config::from_json(config, &format!("{place}/config.json"))?;
    Ok(config.with_generation(generation, &format!("{place}/generation_config.json"))?)
}

/// No tensor may be there that the config does not call for: it would be lost in silence.
fn refuse_strangers(weights: &Safetensors, config: &Config) -> Result<()> {
    let expected = model::cost(config).tensors;
    let known: std::collections::HashSet<&str> =
        expected.iter().filter_map(|tensor| weights.stored_name(&tensor.name)).collect();
    // the output of a tied model is sometimes saved again, and old checkpoints keep rotary frequencies and masks
    let derived = |name: &str| {
        let buffers =
            ["rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"];
        buffers.iter().any(|buffer| name.ends_with(buffer)) || (config.tied && name.ends_with("lm_head.weight"))
    };
    match weights.names().into_iter().find(|name| !known.contains(name) && !derived(name)) {
        Some(name) => bail!("tensor {name} has no place in a GGUF file of the {} architecture", config.family.gguf),
        None => Ok(()),
    }
}

/// Whether a checkpoint has the matrix as (in, out).
pub(super) fn is_turned(config: &Config, tensor: &TensorShape) -> bool {
    config.family.transposed && tensor.is_matrix() && tensor.part.is_within_layer()
}

/// The GGUF tensors of a config, each with the tensors of the checkpoint that it is made of. `stored` is whether these
/// lie as in the files, and not as the graph asks for them.
fn placed(config: &Config, stored: bool) -> Result<Vec<Tensor>> {
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut by_name: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for wanted in model::cost(config).tensors {
        let placed = Placed::of(config, &wanted.name);
        let placed = placed.with_context(|| format!("tensor {} has no GGUF name", wanted.name))?;
        // a matrix of one row is a vector there
        let one: Vec<usize> =
            if wanted.shape.first() == Some(&1) { wanted.shape[1..].to_vec() } else { wanted.shape.clone() };
        let stacked = if placed.stacked > 1 { vec![placed.stacked] } else { Vec::new() };
        let transposed = stored && is_turned(config, &wanted);
        let piece = Piece {
            name: wanted.name,
            shape: wanted.shape,
            order: placed.order,
            plus_one: placed.plus_one,
            transposed,
        };
        let index = *by_name.entry(placed.tensor.clone()).or_insert(tensors.len());
        match tensors.get_mut(index).map(|tensor| &mut tensor.data) {
            Some(Data::Checkpoint(pieces)) => pieces.push(piece),
            _ => tensors.push(Tensor {
                name: placed.tensor,
                shape: [stacked, one].concat(),
                data: Data::Checkpoint(vec![piece]),
            }),
        }
    }
    Ok(tensors)
}

/// The file's tensors in the file's order, all of them floats.
fn gguf_tensors(file: &Gguf) -> Result<Vec<Tensor>> {
    let tensor = |info: &gguf::TensorInfo| {
        let dtype = match info.kind {
            Type::F32 => DType::F32,
            Type::F16 => DType::F16,
            Type::BF16 => DType::BF16,
            _ => bail!(
                "{}: tensor {} is stored as {} already; compress from F32, F16 or BF16 weights",
                file.file(),
                info.name,
                info.kind
            ),
        };
        Ok(Tensor { name: info.name.clone(), shape: info.shape.clone(), data: Data::Gguf(dtype) })
    };
    file.tensors().iter().map(tensor).collect()
}

/// The file's metadata, the architecture first, without what compression writes anew.
fn gguf_metadata(file: &Gguf) -> Vec<Pair> {
    const OURS: [&str; 3] = ["general.file_type", "general.quantization_version", "general.alignment"];
    let theirs = |(key, _): &(&String, &Value)| !OURS.contains(&key.as_str()) && !key.starts_with("split.");
    let pairs = file.metadata().iter().filter(theirs);
    let mut pairs: Vec<Pair> = pairs.map(|(key, value)| (key.clone(), value.clone())).collect();
    pairs.sort_by_key(|(key, _)| key != "general.architecture");
    pairs
}

/// A count under a key, or the first of a list of them, one a layer.
fn count(file: &Gguf, key: &str) -> Result<Option<usize>> {
    match file.metadata().get(key) {
        Some(Value::Array(..)) => Ok(file.integers(key)?.first().and_then(|&n| usize::try_from(n).ok())),
        _ => Ok(file.optional_integer(key)?.map(|n| n as usize)),
    }
}

//! Sources: a model to be compressed, as tensors under their GGUF names whose rows can be read one by one, and what a
//! GGUF file says about it. From a Hugging Face folder, from files in the binary, or from a GGUF file of floats.

use super::block::GgmlType;
use super::gguf;
use super::metadata::{self, Pair};
use super::mixture::Anatomy;
use super::vocabulary;
use crate::model::cost::TensorShape;
use crate::model::format::gguf::{Gguf, Value};
use crate::model::format::safetensors::Safetensors;
use crate::model::{self, Config, Embedded, Precision, names};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use half::{bf16, f16};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::OnceLock;

/// A model, opened and checked; its weights stay where they are until they are read.
pub struct Source {
    name: String,
    weights: Weights,
    metadata: Vec<Pair>,
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

enum Weights {
    Safetensors(Safetensors),
    Gguf(Gguf),
}

/// Where a tensor's numbers are.
enum Data {
    /// In a checkpoint under this name, its rows perhaps in another order.
    Checkpoint { name: String, order: Option<Vec<usize>> },
    /// In a GGUF file under the tensor's own name.
    Gguf(DType),
    /// Made from the config.
    Made(Vec<f32>),
}

/// A tensor's numbers, ready to be read by row.
pub struct Rows<'a> {
    pub count: usize,
    pub columns: usize,
    numbers: Numbers<'a>,
    /// For each row of the GGUF tensor the row that stands there.
    order: Option<&'a [usize]>,
}

#[derive(Clone, Copy)]
enum Numbers<'a> {
    Stored(DType, &'a [u8]),
    Made(&'a [f32]),
}

/// The small files of a checkpoint.
struct Files {
    config: Vec<u8>,
    generation_config: Option<Vec<u8>>,
    tokenizer: Vec<u8>,
    tokenizer_config: Option<Vec<u8>>,
    chat_template: Option<Vec<u8>>,
}

impl Source {
    /// Open a folder (config.json, tokenizer.json, safetensors) or a GGUF file. `name` is what the model is called.
    pub fn open(name: &str, path: &Path) -> Result<Source> {
        if !path.is_dir() {
            return Source::of_gguf(name, Gguf::open(path)?);
        }
        let place = path.display().to_string();
        let optional = |file: &str| match std::fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => bail!("cannot read {}: {e}", path.join(file).display()),
        };
        let needed = |file: &str| optional(file)?.with_context(|| format!("{place}: {file} is missing"));
        let files = Files {
            config: needed("config.json")?,
            generation_config: optional("generation_config.json")?,
            tokenizer: needed("tokenizer.json")?,
            tokenizer_config: optional("tokenizer_config.json")?,
            chat_template: optional("chat_template.jinja")?,
        };
        let weights = Safetensors::open(path, &Device::Cpu, Precision::AsStored)?;
        Source::of_checkpoint(name, &place, weights, &files)
    }

    /// A checkpoint compiled into the binary.
    pub fn embedded(files: &Embedded) -> Result<Source> {
        let weights = Safetensors::embedded(files.name, files.weights, &Device::Cpu, Precision::AsStored)?;
        let small = Files {
            config: files.config.to_vec(),
            generation_config: files.generation_config.map(<[u8]>::to_vec),
            tokenizer: files.tokenizer.to_vec(),
            tokenizer_config: files.tokenizer_config.map(<[u8]>::to_vec),
            chat_template: None,
        };
        Source::of_checkpoint(files.name, files.name, weights, &small)
    }

    /// `place` names the folder in errors.
    fn of_checkpoint(name: &str, place: &str, weights: Safetensors, files: &Files) -> Result<Source> {
        let file = format!("{place}/config.json");
        let config = Config::from_json(&files.config, &file)?;
        if config.family.name != "llama" {
            bail!("{file}: model_type {:?} cannot be written as GGUF; allowed is llama", config.family.name);
        }
        let mut tensors = checkpoint_tensors(&weights, &config).with_context(|| place.to_owned())?;
        let parameters = tensors.iter().map(Tensor::weights).sum();
        let mut metadata = metadata::of_config(name, &config, parameters, &file)?;
        metadata.extend(files.vocabulary(&config).with_context(|| place.to_owned())?);
        tensors.extend(metadata::rope_divisors(&config).map(|divisors| Tensor {
            name: "rope_freqs.weight".into(),
            shape: vec![divisors.len()],
            data: Data::Made(divisors),
        }));
        let anatomy = Anatomy {
            layers: config.layers.len(),
            heads: config.heads,
            kv_heads: config.kv_heads,
            experts: 0,
            tied: config.tied,
            llama: config.family.gguf == "llama",
        };
        let weights = Weights::Safetensors(weights);
        Ok(Source { name: name.into(), weights, metadata, tensors, anatomy, digest: OnceLock::new() })
    }

    fn of_gguf(name: &str, file: Gguf) -> Result<Source> {
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
        Ok(Source { name: name.into(), weights, metadata, tensors, anatomy, digest: OnceLock::new() })
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
        let (numbers, order) = match (&tensor.data, &self.weights) {
            (Data::Checkpoint { name, order }, Weights::Safetensors(weights)) => {
                let raw = weights.raw(name)?;
                (Numbers::Stored(raw.dtype, raw.bytes), order.as_deref())
            }
            (Data::Gguf(dtype), Weights::Gguf(file)) => {
                let info = file.tensor(&tensor.name).with_context(|| format!("tensor {} is missing", tensor.name))?;
                (Numbers::Stored(*dtype, file.data(info)), None)
            }
            (Data::Made(numbers), _) => (Numbers::Made(numbers), None),
            _ => unreachable!("a source's tensors lie in its own weights"),
        };
        // a bias is a column of single numbers, so that its rows can be moved like its matrix's
        let columns = if tensor.shape.len() == 1 { 1 } else { tensor.shape[tensor.shape.len() - 1] };
        Ok(Rows { count: tensor.weights() as usize / columns.max(1), columns, numbers, order })
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
            match self.rows(tensor)?.numbers {
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
    pub fn kept_type(&self) -> GgmlType {
        match self.data {
            Data::Gguf(DType::F16) => GgmlType::F16,
            Data::Gguf(DType::BF16) => GgmlType::BF16,
            _ => GgmlType::F32,
        }
    }
}

impl Rows<'_> {
    /// Read row `index` of the GGUF order into `row`, as f32.
    pub fn read(&self, index: usize, row: &mut [f32]) {
        let index = self.order.map_or(index, |order| order[index]);
        let range = index * self.columns..(index + 1) * self.columns;
        match self.numbers {
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

impl Files {
    fn vocabulary(&self, config: &Config) -> Result<Vec<Pair>> {
        let files = vocabulary::Files {
            tokenizer: &self.tokenizer,
            config: self.tokenizer_config.as_deref(),
            chat_template: self.chat_template.as_deref(),
        };
        let eos = self.generation_ends()?.unwrap_or_else(|| config.eos.clone());
        vocabulary::of_tokenizer(&files, config.vocab, config.bos, &eos)
    }

    /// generation_config.json has the last word on which tokens end a generation.
    fn generation_ends(&self) -> Result<Option<Vec<u32>>> {
        let Some(bytes) = &self.generation_config else { return Ok(None) };
        let generation: Json = serde_json::from_slice(bytes).context("generation_config.json")?;
        let id = |id: &Json| id.as_u64().and_then(|id| u32::try_from(id).ok());
        match &generation["eos_token_id"] {
            Json::Null => Ok(None),
            Json::Array(ids) => Ok(Some(ids.iter().filter_map(id).collect())),
            one => Ok(Some(vec![id(one).context("generation_config.json: eos_token_id is no token id")?])),
        }
    }
}

/// The tensors that the config calls for, each present, in its shape, and no other.
fn checkpoint_tensors(weights: &Safetensors, config: &Config) -> Result<Vec<Tensor>> {
    let expected = model::cost(config).tensors;
    let known = |name: &str| expected.iter().any(|tensor| tensor.name == name);
    // the output of a tied model is sometimes saved again, and old checkpoints keep the rotary frequencies
    let derived = |name: &str| name.ends_with("rotary_emb.inv_freq") || (config.tied && name == "lm_head.weight");
    if let Some(name) = weights.names().into_iter().find(|name| !known(name) && !derived(name)) {
        bail!("tensor {name} has no place in a GGUF file of the {} architecture", config.family.gguf);
    }
    expected.into_iter().map(|tensor| checkpoint_tensor(weights, config, tensor)).collect()
}

fn checkpoint_tensor(weights: &Safetensors, config: &Config, tensor: TensorShape) -> Result<Tensor> {
    let TensorShape { name, shape, .. } = tensor;
    let raw = weights.raw(&name)?;
    if raw.shape != shape {
        bail!("tensor {name} has shape {:?}, but config.json asks for {shape:?}", raw.shape);
    }
    let gguf = config.family.to_gguf(&name).with_context(|| format!("tensor {name} has no GGUF name"))?;
    Ok(Tensor { name: gguf, shape, data: Data::Checkpoint { order: names::gguf_row_order(config, &name), name } })
}

/// The file's tensors in the file's order, all of them floats.
fn gguf_tensors(file: &Gguf) -> Result<Vec<Tensor>> {
    let tensor = |info: &crate::model::format::gguf::TensorInfo| {
        let dtype = match GgmlType::of(info.kind) {
            Some(GgmlType::F32) => DType::F32,
            Some(GgmlType::F16) => DType::F16,
            Some(GgmlType::BF16) => DType::BF16,
            _ => bail!(
                "{}: tensor {} is stored as {} already; compress from F32, F16 or BF16 weights",
                file.file(),
                info.name,
                info.kind.name
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

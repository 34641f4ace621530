//! The facts of a model without its weights: what the config, the headers and the tokenizer say.

use std::collections::BTreeMap;

use candle_core::Device;

use super::checkpoint::packed::Packed;
use super::config::Config;
use super::cost::{Cost, TensorShape, cost};
use super::error::Result;
use super::load::{Format, Opened, Source};
use super::tokenizer::Summary;
use super::weights::Precision;
use bantam_format::gguf::file_type_name;
use bantam_format::gguf::{Gguf, Value};

/// The key of GGUF files that bantam chose types for tensor by tensor: `general.file_type` is the nearest mixture then.
pub const CHOSEN_KEY: &str = "bantam.types_chosen";

/// The key of GGUF files that bantam made of quantized weights: the types that these were in.
pub const REQUANTIZED_KEY: &str = "bantam.requantized_from";

/// What is known of a model before it is loaded.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The path it was opened by, or an embedded model's own name.
    pub name: String,
    /// Its config, read and checked.
    pub config: Config,
    /// What its graph costs; the parameters that run are counted there, since files hold packed ones, buffers, and
    /// parts of larger models.
    pub cost: Cost,
    /// Which kind of file the weights are in.
    pub container: Container,
    /// Bytes of its weight files.
    pub bytes: u64,
    /// For each type that tensors are stored in, how many there are and their bytes.
    pub types: BTreeMap<String, Share>,
    /// For a quantized checkpoint, how many of its matrices are packed.
    pub packed: Option<usize>,
    /// The tokenizer's facts, or in one sentence why it cannot be read.
    pub tokenizer: std::result::Result<Summary, String>,
    /// The types that the weights were quantized in before they became what they are, where the file says so.
    pub requantized_from: Option<String>,
    /// What was decided where its files disagree, a sentence each.
    pub notes: Vec<String>,
}

/// The kind of file that the weights are stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// A folder, or embedded bytes, of safetensors.
    Safetensors {
        /// How many files the tensors are spread over.
        files: usize,
    },
    /// A GGUF file, whole or split.
    Gguf {
        /// The version of the format, 2 or 3.
        version: u32,
        /// The mixture of types that the file says it is, such as Q4_K_M; `None` where it does not say or is not known.
        mixture: Option<&'static str>,
        /// Whether types were chosen tensor by tensor, so that the mixture is only the one that comes nearest.
        chosen: bool,
    },
}

/// The tensors that are stored in one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How many tensors there are.
    pub tensors: u64,
    /// Numbers in all of them; a packed tensor of safetensors counts the words it is packed in.
    pub elements: u64,
    /// Bytes of all of them in the files.
    pub bytes: u64,
}

impl Facts {
    /// Parameters of the graph; a tied head counts once.
    pub fn parameters(&self) -> u64 {
        self.cost.parameters
    }

    /// Bits of weight files per parameter of the graph; what else the files hold counts too.
    pub fn bits_per_parameter(&self) -> f64 {
        let stored: u64 = self.types.values().map(|share| share.bytes).sum();
        stored as f64 * 8.0 / self.cost.parameters as f64
    }
}

/// Reads headers, config and tokenizer of a model, and no weights. A tokenizer that cannot be read is a fact, not an
/// error.
///
/// # Errors
/// Where `load` fails on the config or the headers: what is missing, damaged or not supported.
pub fn inspect<'a>(source: impl Into<Source<'a>>) -> Result<Facts> {
    let opened = Opened::new(source.into())?;
    let cost = cost(&opened.config);
    let (container, bytes, types, packed) = match &opened.format {
        Format::Gguf(gguf) => of_gguf(gguf)?,
        _ => of_safetensors(&opened, &cost.tensors)?,
    };
    let tokenizer = opened.summary().map_err(|error| error.to_string());
    let requantized_from = match &opened.format {
        Format::Gguf(gguf) => gguf.optional_string(REQUANTIZED_KEY).map(str::to_owned),
        _ => None,
    };
    let Opened { name, config, notes, .. } = opened;
    Ok(Facts { name, config, cost, container, bytes, types, packed, tokenizer, requantized_from, notes })
}

type Stored = (Container, u64, BTreeMap<String, Share>, Option<usize>);

fn of_gguf(gguf: &Gguf) -> Result<Stored> {
    let mut types = BTreeMap::new();
    for tensor in gguf.tensors() {
        count(&mut types, tensor.kind.name().to_owned(), tensor.elements(), tensor.size);
    }
    let mixture = gguf.optional_integer("general.file_type")?.and_then(file_type_name);
    let chosen = matches!(gguf.metadata().get(CHOSEN_KEY), Some(Value::Bool(true)));
    Ok((Container::Gguf { version: gguf.version(), mixture, chosen }, gguf.bytes(), types, None))
}

fn of_safetensors(opened: &Opened, asked: &[TensorShape]) -> Result<Stored> {
    let files = opened.safetensors(&Device::Cpu, Precision::AsStored)?;
    let mut types = BTreeMap::new();
    for info in files.infos() {
        let (from, to) = info.data_offsets;
        count(&mut types, format!("{:?}", info.dtype), info.shape.iter().product(), to - from);
    }
    let (container, bytes) = (Container::Safetensors { files: files.file_count() }, files.bytes());
    let packed = match opened.config.quantization.clone() {
        None => {
            asked.iter().try_for_each(|tensor| files.fits(&tensor.name, &tensor.shape))?;
            None
        }
        Some(quantization) => {
            let packed = Packed::new(files, quantization, &Device::Cpu, Precision::AsStored);
            asked.iter().try_for_each(|tensor| packed.fits(&tensor.name, &tensor.shape))?;
            Some(packed.modules().len())
        }
    };
    Ok((container, bytes, types, packed))
}

fn count(types: &mut BTreeMap<String, Share>, kind: String, elements: usize, bytes: usize) {
    let share = types.entry(kind).or_default();
    share.tensors += 1;
    share.elements += elements as u64;
    share.bytes += bytes as u64;
}

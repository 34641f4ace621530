//! The facts of an encoder without its weights: what its configs, the headers and the tokenizer say.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::Config;
use super::load::OpenedEncoder;
use super::pipeline::Pipeline;
use crate::error::Result;
use crate::inspect::Share;
use crate::load::LoadOptions;
use crate::tokenizer::Summary;

/// What is known of an encoder before it is loaded.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The folder it was opened by.
    pub name: String,
    /// Its config, read and checked.
    pub config: Config,
    /// How its embeddings are made.
    pub pipeline: Pipeline,
    /// The width of an embedding.
    pub width: usize,
    /// The longest text it reads, in tokens, special ones among them.
    pub context: usize,
    /// How many safetensors files its weights are in.
    pub files: usize,
    /// Bytes of its weight files.
    pub bytes: u64,
    /// For each type that tensors are stored in, how many there are and their bytes.
    pub types: BTreeMap<String, Share>,
    /// The tokenizer's facts, or in one sentence why it cannot be read.
    pub tokenizer: std::result::Result<Summary, String>,
}

impl Facts {
    /// Parameters in the files, floating ones only.
    pub fn parameters(&self) -> u64 {
        self.types.values().map(|share| share.elements).sum()
    }

    /// Bits of weight files per parameter.
    pub fn bits_per_parameter(&self) -> f64 {
        self.types.values().map(|share| share.bytes).sum::<u64>() as f64 * 8.0 / self.parameters() as f64
    }
}

/// Reads the headers, configs and tokenizer of an encoder, and no weights. A tokenizer that cannot be read is a fact,
/// not an error.
///
/// # Errors
/// Where `load` fails on the configs or the headers: what is missing, damaged or not supported.
pub fn inspect(folder: &Path) -> Result<Facts> {
    let opened = OpenedEncoder::new(folder)?;
    let files = opened.files(&LoadOptions::default())?;
    let mut types: BTreeMap<String, Share> = BTreeMap::new();
    for info in files.infos().filter(|info| is_weight(info.dtype)) {
        let (from, to) = info.data_offsets;
        let share = types.entry(format!("{:?}", info.dtype)).or_default();
        share.tensors += 1;
        share.elements += info.shape.iter().product::<usize>() as u64;
        share.bytes += (to - from) as u64;
    }
    Ok(Facts {
        name: folder.display().to_string(),
        files: files.file_count(),
        bytes: files.bytes(),
        types,
        tokenizer: opened.summary().map_err(|error| error.to_string()),
        width: opened.width,
        context: opened.context,
        pipeline: opened.pipeline,
        config: opened.config,
    })
}

/// Old checkpoints carry their position numbers as a tensor of integers, which is no parameter.
fn is_weight(dtype: safetensors::Dtype) -> bool {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    matches!(dtype, F64 | F32 | F16 | BF16)
}

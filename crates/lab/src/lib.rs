//! The compress room: a model and a recipe become an artifact, a real GGUF file with everything inside that llama.cpp
//! and bantam need. It changes weights and writes them; it measures nothing.
//!
//! In reading order: a `recipe` is what to do, a `source` is what to do it to; `mixture` says which type each tensor
//! gets, `quantize` and `block` turn its rows into bytes; `metadata` and `vocabulary` tell the rest of a model in GGUF's
//! words, `gguf` lays the file out, and `artifact` writes it once. `export` writes plain numbers, as GGUF or safetensors.

mod artifact;
pub mod block;
pub mod export;
mod mixture;
mod quantize;
mod recipe;
mod source;
pub mod train;

pub use bantam_format::ggml::Type;
pub use bantam_format::gguf::NewTensor as TensorInfo;
pub use mixture::Mixture;
pub use recipe::{Quantize, Recipe, Step};
pub use source::Source;

use anyhow::{Context, Result, bail};
use artifact::{Note, Place};
use bantam_core::cancel::Cancel;
use bantam_format::gguf::{self, ALIGNMENT, Value};
use bantam_model::Config;
use bantam_model::config::gguf::Pair;
use bantam_model::cost::{TensorShape, cost};
use mixture::Anatomy;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Part of every artifact's address: raise it when the same recipe would write other bytes.
const FORMAT: u32 = 2;

/// `general.quantization_version`: the block layouts' version, 2 since May 2023.
const QUANTIZATION_VERSION: u32 = 2;

/// What a recipe will make of a model, known before it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// The size of the file.
    pub bytes: u64,
    pub weights: u64,
}

impl Plan {
    /// Bits of the file a weight.
    pub fn bits_per_weight(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.weights as f64
    }
}

/// A compressed model on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    pub path: PathBuf,
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    pub tensors: Vec<TensorInfo>,
    /// Whether it was there already.
    pub found: bool,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    pub stage: Stage<'a>,
    /// Weights gone through, of how many.
    pub done: u64,
    pub total: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage<'a> {
    /// Reading the source to know whether the artifact is there already.
    Identify,
    /// Another process is making the same artifact.
    Wait,
    /// Writing a tensor.
    Write { tensor: &'a str, kind: Type },
}

/// What each tensor becomes, and how large the file will be.
pub fn plan_types(source: &Source, recipe: &Recipe) -> Plan {
    let tensors = types(source, recipe.mixture());
    let head = gguf::head(&with_types(source, recipe.mixture()), &tensors).len() as u64;
    let bytes = tensors.iter().fold(head, |bytes, tensor| bytes + gguf::aligned(tensor.bytes()));
    Plan { tensors, bytes, weights: source.tensors().iter().map(source::Tensor::weights).sum() }
}

/// Bytes that the tensors of a model would take in a mixture, from its config alone; the vocabulary in the file's head
/// comes on top.
pub fn weight_bytes(config: &Config, mixture: Mixture) -> u64 {
    let anatomy = Anatomy::of(config);
    let bytes = |tensor: &TensorShape| {
        let name = config.family.to_gguf(&tensor.name).unwrap_or_else(|| tensor.name.clone());
        let kind = mixture.tensor_type(&name, &tensor.shape, &anatomy).unwrap_or(Type::F32);
        kind.bytes(tensor.shape.iter().product()).expect("a mixture gives whole blocks") as u64
    };
    cost(config).tensors.iter().map(bytes).sum()
}

/// Make the artifact of a source and a recipe in the folder `artifacts`, or find it there.
pub fn apply(
    source: &Source,
    recipe: &Recipe,
    artifacts: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Artifact> {
    std::fs::create_dir_all(artifacts).with_context(|| format!("{}: cannot make the folder", artifacts.display()))?;
    let plan = plan_types(source, recipe);
    let address = address(source, recipe, &plan, progress)?;
    let place = Place::new(artifacts, &format!("{}.{}", source.name(), recipe.mixture()), &address);
    let artifact = |note: Note, found| Artifact {
        path: place.file.clone(),
        bytes: note.bytes,
        sha256: note.sha256,
        tensors: plan.tensors.clone(),
        found,
    };
    if let Some(note) = place.find(&address, plan.bytes) {
        return Ok(artifact(note, true));
    }
    let _lock = place.lock(|| progress(Progress { stage: Stage::Wait, done: 0, total: plan.weights }))?;
    if let Some(note) = place.find(&address, plan.bytes) {
        return Ok(artifact(note, true));
    }
    artifact::check_room(artifacts, plan.bytes)?;
    let note = |bytes, sha256| Note { address: address.clone(), sha256, bytes, recipe: recipe.to_toml() };
    let note = place.write(|out| write(source, recipe, &plan, cancel, progress, out), note)?;
    Ok(artifact(note, false))
}

/// SHA-256 of the source's identity, the recipe's steps and the format's version.
fn address(source: &Source, recipe: &Recipe, plan: &Plan, progress: &mut dyn FnMut(Progress)) -> Result<String> {
    let (mut done, total) = (0, plan.weights);
    let digest = source.digest(&mut |weights| {
        done += weights;
        progress(Progress { stage: Stage::Identify, done, total });
    })?;
    let text = format!("bantam artifact {FORMAT}\n{digest}\n{}", recipe.to_toml());
    Ok(artifact::hex(&Sha256::digest(text)))
}

fn write(
    source: &Source,
    recipe: &Recipe,
    plan: &Plan,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
    out: &mut impl Write,
) -> Result<()> {
    out.write_all(&gguf::head(&with_types(source, recipe.mixture()), &plan.tensors))?;
    let mut done = 0;
    for (tensor, info) in source.tensors().iter().zip(&plan.tensors) {
        let rows = source.rows(tensor)?;
        let stage = Stage::Write { tensor: &info.name, kind: info.kind };
        let mut bytes = 0;
        quantize::encode(&rows, info.kind, &mut |slab| {
            if cancel.is_cancelled() {
                bail!("cancelled");
            }
            out.write_all(slab)?;
            bytes += slab.len() as u64;
            let share = bytes as f64 / info.bytes() as f64;
            progress(Progress { stage, done: done + (tensor.weights() as f64 * share) as u64, total: plan.weights });
            Ok(())
        })
        .with_context(|| format!("{}: tensor {}", source.name(), info.name))?;
        done += tensor.weights();
        out.write_all(&[0; ALIGNMENT as usize][..(gguf::aligned(bytes) - bytes) as usize])?;
    }
    Ok(())
}

fn types(source: &Source, mixture: Mixture) -> Vec<TensorInfo> {
    let info = |tensor: &source::Tensor| TensorInfo {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        kind: mixture.tensor_type(&tensor.name, &tensor.shape, source.anatomy()).unwrap_or_else(|| tensor.kept_type()),
    };
    source.tensors().iter().map(info).collect()
}

/// The source's metadata and what the weights became.
fn with_types(source: &Source, mixture: Mixture) -> Vec<Pair> {
    let mut pairs = source.metadata().to_vec();
    pairs.push(("general.quantization_version".into(), Value::U32(QUANTIZATION_VERSION)));
    pairs.push(("general.file_type".into(), Value::U32(mixture.file_type())));
    pairs
}

#[cfg(test)]
#[cfg(goldens)]
mod tests;

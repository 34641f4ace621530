//! The tensors of an encoder's checkpoint by the names of its architecture's table, whatever the checkpoint calls them:
//! with the architecture's prefix or without, and norms by today's names or by those of TensorFlow's days (gamma,
//! beta).

use std::collections::HashSet;

use candle_core::Tensor;

use super::architecture::Architecture;
use crate::checkpoint::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::ops;
use crate::weights::Weights;

/// The name of the word embedding, without the architecture's prefix.
pub(super) const WORDS: &str = "embeddings.word_embeddings";

/// The tensors of a checkpoint, with the prefix under which its encoder was found.
pub(super) struct Checkpoint<'a> {
    files: &'a Safetensors,
    names: HashSet<&'a str>,
    prefix: &'static str,
    eps: f64,
}

/// A layer norm with its weights.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    /// Norms x (.., width).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(x, &self.weight, Some(&self.bias), self.eps)?)
    }
}

impl<'a> Checkpoint<'a> {
    /// Finds the prefix that the encoder's tensors have. Fails where there is no word embedding, with the
    /// architecture's prefix or without.
    pub(super) fn new(files: &'a Safetensors, architecture: &Architecture, eps: f64, place: &str) -> Result<Self> {
        let names: HashSet<&str> = files.names().into_iter().collect();
        let words = |prefix: &&str| names.contains(format!("{prefix}{WORDS}.weight").as_str());
        let prefix = [architecture.prefix, ""].into_iter().find(words).ok_or_else(|| {
            let prefix = architecture.prefix;
            Error::broken(place, format!("tensor {WORDS}.weight is missing, with {prefix:?} before it and without"))
        })?;
        Ok(Self { files, names, prefix, eps })
    }

    /// Gives the whole name of one of the encoder's own tensors.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether there is a tensor of this whole name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether a tensor of this whole name holds other numbers than the word embedding.
    pub(super) fn differs_from_words(&self, name: &str) -> bool {
        self.files.differ(name, &format!("{}.weight", self.own(WORDS)))
    }

    /// Reads the matrix (out, inp) at `name` with its bias.
    pub(super) fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let bias = self.files.tensor(&format!("{name}.bias"), &[out])?;
        Ok(self.table(name, out, inp)?.with_bias(bias))
    }

    /// Reads the matrix (rows, width) at `name` without a bias.
    pub(super) fn table(&self, name: &str, rows: usize, width: usize) -> Result<Linear> {
        self.files.linear(&format!("{name}.weight"), rows, width)
    }

    /// Reads the tensor of this whole name and shape.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.files.tensor(name, shape)
    }

    /// Reads the norm at `name`, under either pair of names.
    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        let either = |now: &str, then: &str| {
            let (now, then) = (format!("{name}.{now}"), format!("{name}.{then}"));
            let old = !self.has(&now) && self.has(&then);
            self.files.tensor(if old { &then } else { &now }, &[width])
        };
        Ok(Norm { weight: either("weight", "gamma")?, bias: either("bias", "beta")?, eps: self.eps })
    }
}

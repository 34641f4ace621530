//! The tensors of an encoder's checkpoint by the names of its family's table, whatever the checkpoint calls them: with the
//! family's prefix or without, and norms by today's names or by those of TensorFlow's days (gamma, beta).

use std::collections::HashSet;

use candle_core::Tensor;

use super::family::Family;
use crate::checkpoint::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::ops;
use crate::weights::Weights;

pub const WORDS: &str = "embeddings.word_embeddings";

/// A checkpoint whose encoder was found in it.
pub struct Checkpoint<'a> {
    files: &'a Safetensors,
    names: HashSet<&'a str>,
    prefix: &'static str,
    eps: f64,
}

/// A layer norm's numbers.
#[derive(Debug, Clone)]
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(x, &self.weight, Some(&self.bias), self.eps)?)
    }
}

impl<'a> Checkpoint<'a> {
    /// Fails where there is no word embedding, with the family's prefix or without.
    pub fn new(files: &'a Safetensors, family: &Family, eps: f64, place: &str) -> Result<Self> {
        let names: HashSet<&str> = files.names().into_iter().collect();
        let words = |prefix: &&str| names.contains(format!("{prefix}{WORDS}.weight").as_str());
        let prefix = [family.prefix, ""].into_iter().find(words).ok_or_else(|| {
            let prefix = family.prefix;
            Error::broken(place, format!("tensor {WORDS}.weight is missing, with {prefix:?} before it and without"))
        })?;
        Ok(Self { files, names, prefix, eps })
    }

    /// The encoder's own tensors.
    pub fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The matrix (out, inp) at `name` with its bias.
    pub fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let bias = self.files.tensor(&format!("{name}.bias"), &[out])?;
        Ok(self.table(name, out, inp)?.with_bias(bias))
    }

    /// The matrix (rows, width) at `name` without one.
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Linear> {
        self.files.linear(&format!("{name}.weight"), rows, width)
    }

    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.files.tensor(name, shape)
    }

    pub fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        let either = |now: &str, then: &str| {
            let (now, then) = (format!("{name}.{now}"), format!("{name}.{then}"));
            let old = !self.has(&now) && self.has(&then);
            self.files.tensor(if old { &then } else { &now }, &[width])
        };
        Ok(Norm { weight: either("weight", "gamma")?, bias: either("bias", "beta")?, eps: self.eps })
    }
}

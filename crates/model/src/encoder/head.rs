//! The heads that may follow the layers: a pooler over the first token, scores for classes, scores for masked tokens. A
//! checkpoint has those it was saved with.

use candle_core::Tensor;

use super::architecture::Job;
use super::checkpoint::{Checkpoint, Norm};
use super::config::Config;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops::{self, Activation};

/// tanh(dense x) over the first token, which BERT was trained to tell pairs by.
pub(super) struct Pooler(Linear);

/// out(activation(dense x)) over the first token.
pub(super) struct Classifier {
    dense: Linear,
    activation: Activation,
    out: Linear,
}

/// decoder(norm(activation(dense x))) over any token.
pub(super) struct MaskFiller {
    dense: Linear,
    activation: Activation,
    norm: Norm,
    decoder: Linear,
    bias: Tensor,
}

impl Pooler {
    /// Reads the pooler, where the checkpoint has one.
    pub(super) fn find(config: &Config, weights: &Checkpoint) -> Result<Option<Self>> {
        let Some(name) = config.architecture.names.pooler.map(|name| weights.own(name)) else { return Ok(None) };
        match weights.has(&format!("{name}.weight")) {
            true => Ok(Some(Self(weights.linear(&name, config.dim, config.dim)?))),
            false => Ok(None),
        }
    }

    /// Takes first tokens (n, dim) to (n, dim).
    pub(super) fn forward(&self, first: &Tensor) -> Result<Tensor> {
        Ok(ops::activate(&self.0.forward(first)?, Activation::Tanh)?)
    }
}

impl Classifier {
    /// The head of a checkpoint that has classes. `optional` lets it be absent: sentence-transformers keeps the name of
    /// an architecture whose head it threw away.
    pub(super) fn find(config: &Config, weights: &Checkpoint, optional: bool) -> Result<Option<Self>> {
        let names = &config.architecture.names.classifier;
        let absent = !weights.has(&format!("{}.weight", names.out));
        if config.job != Job::Classify || (optional && absent) {
            return Ok(None);
        }
        let dense = match names.dense_is_pooler {
            true => weights.own(names.dense),
            false => names.dense.to_owned(),
        };
        Ok(Some(Self {
            dense: weights.linear(&dense, config.dim, config.dim)?,
            activation: names.activation,
            out: weights.linear(names.out, config.labels.len(), config.dim)?,
        }))
    }

    /// Takes first tokens (n, dim) to scores (n, classes).
    pub(super) fn forward(&self, first: &Tensor) -> Result<Tensor> {
        self.out.forward(&ops::activate(&self.dense.forward(first)?, self.activation)?)
    }
}

impl MaskFiller {
    /// The head of a checkpoint that fills masks; many were saved without it.
    pub(super) fn find(config: &Config, weights: &Checkpoint, words: &Linear) -> Result<Option<Self>> {
        let names = &config.architecture.names.mask_filler;
        if config.job != Job::FillMask || !weights.has(&format!("{}.weight", names.dense)) {
            return Ok(None);
        }
        // a matrix that is not the embedding is the head, whatever the config says of tying
        let decoder = format!("{}.weight", names.decoder);
        let own = weights.has(&decoder) && (!config.tied || weights.differs_from_words(&decoder));
        // where nothing is tied the decoder's own bias counts, though the other one is saved as well
        let decoder_bias = format!("{}.bias", names.decoder);
        let bias = match weights.has(&decoder_bias) && (own || !weights.has(names.bias)) {
            true => &decoder_bias,
            false => names.bias,
        };
        Ok(Some(Self {
            dense: weights.linear(names.dense, config.dim, config.dim)?,
            activation: names.activation.unwrap_or(config.activation),
            norm: weights.norm(names.norm, config.dim)?,
            decoder: if own { weights.table(names.decoder, config.vocab, config.dim)? } else { words.clone() },
            bias: weights.tensor(bias, &[config.vocab])?,
        }))
    }

    /// Takes hidden states (n, dim) to the logits of every token (n, vocab).
    pub(super) fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        let x = self.norm.forward(&ops::activate(&self.dense.forward(hidden)?, self.activation)?)?;
        Ok(self.decoder.forward(&x)?.broadcast_add(&self.bias)?)
    }
}

//! What a run makes smaller: a loss of a batch, and its gradients. A network with a loss on its logits is one, computed on
//! one tape; a decoder that keeps what enters each layer only, and computes the layer again when its gradient is due, is
//! another (Chen et al. 2016, arXiv:1604.06174).

use super::batch::Batch;
use anyhow::Result;
use bantam_model::{Decoder, Walk, ops};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// A loss, and its gradients for the variables of a run.
pub trait Objective: Sync {
    /// Computes the loss of a batch: a scalar, the mean over the batch by its weights.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn loss(&self, batch: &Batch) -> Result<Tensor>;

    /// Computes a batch's part of the loss, and the gradient of each of `vars`; None where none reaches it.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn gradients(&self, batch: &Batch, share: f64, vars: &[&Var]) -> Result<(f64, Vec<Option<Tensor>>)> {
        let loss = (self.loss(batch)? * share)?;
        let mut store = loss.backward()?;
        let grads = vars.iter().map(|var| store.remove(var)).collect();
        Ok((f64::from(loss.to_scalar::<f32>()?), grads))
    }

    /// Computes what is made of the variables once for each step.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn begin_step(&self) -> Result<()> {
        Ok(())
    }
}

/// What is trained: from a batch to the logits (rows, vocab) of its `rows`.
pub trait Network: Sync {
    /// Computes the logits of a batch's rows, (rows, vocab).
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn logits(&self, batch: &Batch) -> Result<Tensor>;
}

impl Network for Decoder {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        head(self, &self.forward(&batch.tokens, &batch.spans, &mut [])?, batch)
    }
}

/// The logits of a batch's rows of the hidden states, (T, dim).
fn head(decoder: &Decoder, hidden: &Tensor, batch: &Batch) -> Result<Tensor> {
    let rows = Tensor::new(batch.rows.as_slice(), decoder.device())?;
    Ok(decoder.logits(&hidden.index_select(&rows, 0)?)?)
}

/// What is wanted of the logits (rows, vocab): a scalar, the mean over the batch by its weights.
pub trait Loss: Sync {
    /// Computes the loss of a batch from its logits.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor>;
}

impl<F: Fn(&Tensor, &Batch) -> Result<Tensor> + Sync> Loss for F {
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor> {
        self(logits, batch)
    }
}

/// Computes the loss of language modelling: cross entropy of the next token.
///
/// # Errors
/// Where the arithmetic fails.
pub fn next_token(logits: &Tensor, batch: &Batch) -> Result<Tensor> {
    Ok(ops::cross_entropy(logits, &batch.targets, &batch.weights)?)
}

/// A network and a loss, on one tape.
pub struct Taped<'a> {
    network: &'a dyn Network,
    loss: &'a dyn Loss,
}

impl<'a> Taped<'a> {
    /// Puts a loss on a network.
    pub fn new(network: &'a dyn Network, loss: &'a dyn Loss) -> Taped<'a> {
        Taped { network, loss }
    }
}

impl Objective for Taped<'_> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.loss.loss(&self.network.logits(batch)?, batch)
    }
}

/// A decoder and a loss, a layer at a time: of the way forward only what enters each layer is kept, so that the memory is
/// that of one layer's tape, at the price of computing the way forward twice.
pub struct Recomputed<'a> {
    decoder: &'a Decoder,
    loss: &'a dyn Loss,
}

impl<'a> Recomputed<'a> {
    /// Puts a loss on a decoder, whose embedding must not learn.
    pub fn new(decoder: &'a Decoder, loss: &'a dyn Loss) -> Recomputed<'a> {
        Recomputed { decoder, loss }
    }
}

impl Objective for Recomputed<'_> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let walk = self.decoder.walk(&batch.tokens, &batch.spans)?;
        let last = forward(&walk, |_| ())?;
        self.loss.loss(&head(self.decoder, &walk.normed(&last)?, batch)?, batch)
    }

    fn gradients(&self, batch: &Batch, share: f64, vars: &[&Var]) -> Result<(f64, Vec<Option<Tensor>>)> {
        let walk = self.decoder.walk(&batch.tokens, &batch.spans)?;
        let mut entered = Vec::with_capacity(walk.layers());
        let last = Var::from_tensor(&forward(&walk, |x| entered.push(x.clone()))?)?;
        let logits = head(self.decoder, &walk.normed(last.as_tensor())?, batch)?;
        let loss = (self.loss.loss(&logits, batch)? * share)?;
        drop(logits);
        let mut grads = vec![None; vars.len()];
        let mut upstream = take(loss.backward()?, vars, &mut grads, Some(&last))?;
        while let (Some(x), Some(dy)) = (entered.pop(), upstream.take()) {
            // what enters the first layer came from nothing that learns
            let x = (!entered.is_empty()).then(|| Var::from_tensor(&x)).transpose()?.ok_or(x);
            let y = walk.layer(entered.len(), x.as_ref().map_or_else(|x| x, Var::as_tensor))?;
            let store = (y * dy)?.sum_all()?.backward()?;
            upstream = take(store, vars, &mut grads, x.as_ref().ok())?;
        }
        Ok((f64::from(loss.to_scalar::<f32>()?), grads))
    }
}

/// Through all layers, each on a tape of its own that is forgotten with it; shows what enters each.
fn forward(walk: &Walk, mut see: impl FnMut(&Tensor)) -> Result<Tensor> {
    let mut x = walk.embedded()?.detach();
    for layer in 0..walk.layers() {
        see(&x);
        x = walk.layer(layer, &x)?.detach();
    }
    Ok(x)
}

/// Adds what a tape knows of the variables to their gradients; gives that of the tape's beginning.
fn take(
    mut store: GradStore,
    vars: &[&Var],
    grads: &mut [Option<Tensor>],
    beginning: Option<&Var>,
) -> Result<Option<Tensor>> {
    for (var, sum) in vars.iter().zip(grads) {
        if let Some(grad) = store.remove(var) {
            *sum = Some(match sum.take() {
                Some(before) => (before + grad)?,
                None => grad,
            });
        }
    }
    Ok(beginning.and_then(|var| store.remove(var)))
}

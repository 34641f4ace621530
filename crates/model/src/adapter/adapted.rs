//! A model's weights with an adapter: a source of weights around another, so that it serves safetensors, quantized
//! checkpoints and GGUF files alike.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Mutex;

use candle_core::{D, Tensor};

use super::tensors::Role;
use super::{Adaptation, Adapter, Ends};
use crate::config::Config;
use crate::error::Result;
use crate::linear::{Linear, LowRank, Magnitude};
use crate::weights::Weights;

/// Weights with an adapter, asked for by the names of the model. Both are borrowed or its own.
pub struct Adapted<W, A> {
    inner: W,
    adapter: A,
    how: Adaptation,
    ends: Ends,
    /// The modules of the adapter that were asked for.
    asked: Mutex<BTreeSet<String>>,
}

/// What an adapter does to one matrix.
enum Update {
    /// W + b a, rows perhaps scaled.
    Rows(LowRank),
    /// An embedding under DoRA: W + b a, with the columns scaled to these lengths.
    Columns { a: Tensor, b: Tensor, magnitude: Tensor },
}

impl<W: Weights, A: Borrow<Adapter>> Adapted<W, A> {
    /// Puts an adapter on a source of weights. `base` is the model's own config, before `Adapter::config`.
    pub fn new(inner: W, adapter: A, base: &Config, how: Adaptation) -> Self {
        Self { inner, adapter, how, ends: Ends::of(base), asked: Mutex::default() }
    }

    /// Checks, once the graph is built, that every tensor of the adapter was used.
    ///
    /// # Errors
    /// Where a tensor belongs to no module that was asked for; the error names one.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.lock().expect("no holder of the lock panics");
        self.adapter.borrow().check_used(&asked)
    }

    /// The adapter's module for a module of the graph.
    fn module(&self, of_graph: &str) -> Option<String> {
        let found = self.adapter.borrow().module(of_graph, &self.ends)?;
        self.asked.lock().expect("no holder of the lock panics").insert(found.clone());
        Some(found)
    }

    /// The matrix before any update.
    fn base(&self, name: &str, module: Option<&str>, out: usize, inp: usize) -> Result<Linear> {
        if let Some(module) = module
            && let Some(whole) = self.whole(name, module, out, inp)?
        {
            return Ok(Linear::dense(whole));
        }
        match name.strip_suffix(".weight") {
            // a head that was the embedding, until an adapter came to one of them
            Some(head) if self.ends.tied && head == self.ends.head => {
                let embedding = self.ends.embedding.clone();
                let module = self.adapter.borrow().module(&embedding, &self.ends);
                // what was trained for the embedding alone does not reach the head
                let module = module.filter(|module| !self.adapter.borrow().is_saved(module));
                self.base(&format!("{embedding}.weight"), module.as_deref(), out, inp)
            }
            _ => self.inner.linear(name, out, inp),
        }
    }

    /// A module's own matrix, (out, inp), where the adapter has it whole.
    fn whole(&self, name: &str, module: &str, out: usize, inp: usize) -> Result<Option<Tensor>> {
        let whole = |shape| self.adapter.borrow().tensors.tensor(module, Role::Weight, shape);
        match self.ends.architecture.is_transposed(name) {
            true => Ok(whole(&[inp, out])?.map(|w| w.t()?.contiguous()).transpose()?),
            false => whole(&[out, inp]),
        }
    }

    /// A module's update of an (out, inp) matrix, where it has one.
    fn update(&self, module: &str, base: &Linear, out: usize, inp: usize) -> Result<Option<Update>> {
        let (tensors, lora) = (&self.adapter.borrow().tensors, &self.adapter.borrow().lora);
        let is_embedding = tensors.has_role(module, Role::EmbeddingA) || tensors.has_role(module, Role::EmbeddingB);
        if !is_embedding && !tensors.has_role(module, Role::A) && !tensors.has_role(module, Role::B) {
            return Ok(None);
        }
        let (rank, scale) = (lora.rank_of(module), lora.scale_of(module));
        if is_embedding {
            let a = tensors.needed(module, Role::EmbeddingB, &[inp, rank])?.t()?.contiguous()?;
            let b = (tensors.needed(module, Role::EmbeddingA, &[rank, out])?.t()?.contiguous()? * scale)?;
            if !lora.dora {
                return Ok(Some(Update::Rows(LowRank { a, b, scale: 1.0, magnitude: None })));
            }
            let magnitude = tensors.needed(module, Role::Magnitude, &[inp])?;
            return Ok(Some(Update::Columns { a, b, magnitude }));
        }
        let a = tensors.needed(module, Role::A, &[rank, inp])?;
        let b = (tensors.needed(module, Role::B, &[out, rank])? * scale)?;
        if !lora.dora {
            return Ok(Some(Update::Rows(LowRank { a, b, scale: 1.0, magnitude: None })));
        }
        let length = tensors.needed(module, Role::Magnitude, &[out])?;
        let norm = (base.dequantized()? + b.matmul(&a)?)?.sqr()?.sum(D::Minus1)?.sqrt()?;
        self.over(module, &length, &norm)?;
        Ok(Some(Update::Rows(LowRank { a, b, scale: 1.0, magnitude: Some(Magnitude { length, norm }) })))
    }

    /// DoRA's magnitudes over the norms of what they scale, which must not be zero.
    fn over(&self, module: &str, magnitude: &Tensor, norm: &Tensor) -> Result<Tensor> {
        let factor = (magnitude / norm)?;
        match factor.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            true => Ok(factor),
            false => {
                let key = self.adapter.borrow().tensors.first_key(module);
                Err(self
                    .adapter
                    .borrow()
                    .tensors
                    .broken(key, "is of a matrix with a row or column of zeros, which DoRA cannot scale"))
            }
        }
    }

    /// The bias that B's own bias comes to.
    fn added_bias(&self, module: &str, out: usize) -> Result<Option<Tensor>> {
        match self.adapter.borrow().tensors.tensor(module, Role::BBias, &[out])? {
            None => Ok(None),
            Some(bias) => Ok(Some((bias * self.adapter.borrow().lora.scale_of(module))?)),
        }
    }

    /// W in f32 with its update in it.
    fn merged(&self, module: &str, base: &Linear, update: Update) -> Result<Tensor> {
        let weight = base.dequantized()?;
        match update {
            Update::Rows(update) => update.merged(&weight),
            Update::Columns { a, b, magnitude } => {
                let sum = (weight + b.matmul(&a)?)?;
                let norm = sum.sqr()?.sum(0)?.sqrt()?;
                Ok(sum.broadcast_mul(&self.over(module, &magnitude, &norm)?)?)
            }
        }
    }
}

impl<W: Weights, A: Borrow<Adapter>> Weights for Adapted<W, A> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let (Some(_), &[out, inp]) = (name.strip_suffix(".weight"), shape)
            && self.changes(name)
        {
            return self.linear_as(name, out, inp, Adaptation::Merged)?.dequantized();
        }
        let (stem, role) = match (name.strip_suffix(".weight"), name.strip_suffix(".bias")) {
            (Some(stem), _) => (stem, Role::Weight),
            (_, Some(stem)) => (stem, Role::Bias),
            _ => return self.inner.tensor(name, shape),
        };
        let Some(module) = self.module(stem) else { return self.inner.tensor(name, shape) };
        let base = match self.adapter.borrow().tensors.tensor(&module, role, shape)? {
            Some(whole) => whole,
            None => self.inner.tensor(name, shape)?,
        };
        match (role, shape) {
            (Role::Bias, &[out]) => match self.added_bias(&module, out)? {
                Some(added) => Ok((base + added)?),
                None => Ok(base),
            },
            _ => Ok(base),
        }
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        self.linear_as(name, out, inp, self.how)
    }
}

impl<W: Weights, A: Borrow<Adapter>> Adapted<W, A> {
    /// Whether a matrix is another one than the inner source has.
    fn changes(&self, name: &str) -> bool {
        name.strip_suffix(".weight").is_some_and(|stem| {
            self.adapter.borrow().module(stem, &self.ends).is_some() || (self.ends.tied && stem == self.ends.head)
        })
    }

    fn linear_as(&self, name: &str, out: usize, inp: usize, how: Adaptation) -> Result<Linear> {
        let module = name.strip_suffix(".weight").and_then(|stem| self.module(stem));
        let base = self.base(name, module.as_deref(), out, inp)?;
        let Some(module) = module else { return Ok(base) };
        let linear = match (self.update(&module, &base, out, inp)?, how) {
            (None, _) => base,
            (Some(Update::Rows(update)), Adaptation::Applied) => base.with_adapter(update),
            (Some(update), _) => Linear::dense(self.merged(&module, &base, update)?),
        };
        // a graph with a bias of its own asks for it, and gets both
        match self.added_bias(&module, out)? {
            Some(bias) => Ok(linear.with_bias(bias)),
            None => Ok(linear),
        }
    }
}

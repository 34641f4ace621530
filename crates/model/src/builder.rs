//! Asks a source of weights for the tensors of one layer while the graph is built: it turns parts into the checkpoint's
//! names, and asks in the shapes the config gives.

use candle_core::Tensor;

use super::config::Config;
use super::error::Result;
use super::linear::Linear;
use super::names::Part;
use super::norm::Norm;
use super::weights::Weights;

/// The layer being built, and what it is built of.
#[derive(Clone, Copy)]
pub(crate) struct Builder<'a> {
    /// The model's config, which has the sizes and the architecture's names.
    pub config: &'a Config,
    /// Where tensors are asked for by name.
    pub weights: &'a dyn Weights,
    /// The layer's number, from 0; without meaning for the embedding, the final norm and the head.
    pub layer: usize,
}

/// A matrix of the graph and what it is: its part, and its number where there are several.
pub(crate) type Named<'a> = (Part, usize, &'a Linear);

impl Builder<'_> {
    /// Asks for the matrix of a part, (out, inp), with a bias (out) where `biased`.
    pub(crate) fn linear(&self, part: Part, out: usize, inp: usize, biased: bool) -> Result<Linear> {
        self.nth_linear(part, 0, out, inp, biased)
    }

    /// Asks for the matrix of the part's `index`-th expert.
    pub(crate) fn nth_linear(&self, part: Part, index: usize, out: usize, inp: usize, biased: bool) -> Result<Linear> {
        let linear = self.weights.linear(&format!("{}.weight", self.stem(part, index)), out, inp)?;
        self.biased_nth(linear, part, index, out, biased)
    }

    /// Adds the bias of a part to a matrix, its own or one that it shares, where `biased`.
    pub(crate) fn biased(&self, linear: Linear, part: Part, out: usize, biased: bool) -> Result<Linear> {
        self.biased_nth(linear, part, 0, out, biased)
    }

    fn biased_nth(&self, linear: Linear, part: Part, index: usize, out: usize, biased: bool) -> Result<Linear> {
        Ok(match biased {
            true => linear.with_bias(self.weights.tensor(&format!("{}.bias", self.stem(part, index)), &[out])?),
            false => linear,
        })
    }

    /// Asks for the weight of a part that is no matrix.
    pub(crate) fn weight(&self, part: Part, shape: &[usize]) -> Result<Tensor> {
        self.weights.tensor(&format!("{}.weight", self.stem(part, 0)), shape)
    }

    /// Asks for the bias of a part that is no matrix.
    pub(crate) fn bias(&self, part: Part, size: usize) -> Result<Tensor> {
        self.weights.tensor(&format!("{}.bias", self.stem(part, 0)), &[size])
    }

    /// Asks for a tensor whose name is whole.
    pub(crate) fn bare(&self, part: Part, size: usize) -> Result<Tensor> {
        self.weights.tensor(&self.stem(part, 0), &[size])
    }

    /// Asks for the norm of a part over the last `size` features.
    pub(crate) fn norm(&self, part: Part, size: usize) -> Result<Norm> {
        // one without weights has no name
        let stem = if self.config.architecture.norm.has_weight() { self.stem(part, 0) } else { String::new() };
        Norm::new(self.config, self.weights, &stem, size, true)
    }

    /// Asks for the norms of `count` heads, each with its own weight and no bias, as one.
    pub(crate) fn norm_each(&self, part: Part, count: usize, size: usize) -> Result<Norm> {
        let norm = |head| Norm::new(self.config, self.weights, &self.stem(part, head), size, false);
        Norm::each((0..count).map(norm).collect::<Result<_>>()?)
    }

    fn stem(&self, part: Part, index: usize) -> String {
        let stem = self.config.architecture.stem(part, self.layer, index);
        stem.expect("a family's row names every part that its graph has")
    }
}

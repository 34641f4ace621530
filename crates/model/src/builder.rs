//! Where a graph stands while it is built: in which layer, over which weights. It turns parts into the checkpoint's
//! names and asks for them in the shapes the config gives.

use super::config::Config;
use super::error::Result;
use super::linear::Linear;
use super::names::Part;
use super::norm::Norm;
use super::weights::Weights;

#[derive(Clone, Copy)]
pub struct Builder<'a> {
    pub config: &'a Config,
    pub weights: &'a dyn Weights,
    pub layer: usize,
}

/// A matrix of the graph and what it is: its part, and its number where there are several.
pub type Named<'a> = (Part, usize, &'a Linear);

impl Builder<'_> {
    /// The matrix of a part, (out, inp), with a bias where the config says so.
    pub fn linear(&self, part: Part, out: usize, inp: usize, biased: bool) -> Result<Linear> {
        self.nth_linear(part, 0, out, inp, biased)
    }

    /// The matrix of the part's `index`-th expert.
    pub fn nth_linear(&self, part: Part, index: usize, out: usize, inp: usize, biased: bool) -> Result<Linear> {
        let stem = self.stem(part, index);
        let linear = self.weights.linear(&format!("{stem}.weight"), out, inp)?;
        Ok(match biased {
            true => linear.with_bias(self.weights.tensor(&format!("{stem}.bias"), &[out])?),
            false => linear,
        })
    }

    pub fn norm(&self, part: Part, size: usize) -> Result<Norm> {
        Norm::new(self.config, self.weights, &self.stem(part, 0), size, true)
    }

    /// A norm of `count` heads, each with its own weight and no bias.
    pub fn norm_each(&self, part: Part, count: usize, size: usize) -> Result<Norm> {
        let norm = |head| Norm::new(self.config, self.weights, &self.stem(part, head), size, false);
        Norm::each((0..count).map(norm).collect::<Result<_>>()?)
    }

    fn stem(&self, part: Part, index: usize) -> String {
        let stem = self.config.family.stem(part, self.layer, index);
        stem.expect("a family's row names every part that its graph has")
    }
}

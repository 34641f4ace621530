//! The graph in pieces: what enters the first layer, one layer by itself, and what leaves the final norm. For whoever
//! changes weights from layer to layer, or has room for one of them only: hidden states go in, hidden states come out.
//! The pieces are those that a `Decoder` is made of, and one after the other they compute what it computes.

use candle_core::Tensor;

use super::builder::Builder;
use super::config::Config;
use super::decoder::{self, Layout};
use super::error::{Error, Result};
use super::linear::Linear;
use super::ops::Span;
use super::weights::Weights;

/// What stands before the first layer and after the last.
pub struct Ends {
    ends: decoder::Ends,
    config: Config,
}

/// One layer of a model by itself.
pub struct OneLayer {
    layer: decoder::Layer,
    config: Config,
    number: usize,
}

impl Ends {
    /// Builds the embedding and the final norm.
    ///
    /// # Errors
    /// Where a tensor that they are made of is missing, damaged or of another shape.
    pub fn new(config: &Config, weights: &dyn Weights) -> Result<Self> {
        config.refuse_apart("a step")?;
        let ends = decoder::Ends::new(&Builder { config, weights, layer: 0 })?;
        Ok(Self { ends, config: config.clone() })
    }

    /// Looks up `tokens`, the concatenation of all `spans`: what the first layer reads, (T, dim).
    ///
    /// # Errors
    /// On a token outside the vocabulary, spans that do not add up to the tokens or name a cache, or a position beyond a
    /// learned table.
    pub fn embed(&self, tokens: &[u32], spans: &[Span]) -> Result<Tensor> {
        decoder::check_tokens(tokens, &self.config)?;
        self.ends.embedded(tokens, &Layout::new(tokens.len(), spans, &[], &self.config)?.positions)
    }

    /// Takes what leaves the last layer, (T, dim), through the final norm: what the head reads.
    ///
    /// # Errors
    /// Where it is not finite, or not `dim` wide.
    pub fn norm(&self, x: &Tensor) -> Result<Tensor> {
        self.ends.normed(x)
    }
}

impl OneLayer {
    /// Builds layer `number`, from 0, out of a source of weights, which is asked for nothing else.
    ///
    /// # Errors
    /// Where there is no such layer, or a tensor of it is missing, damaged or of another shape.
    pub fn new(config: &Config, weights: &dyn Weights, number: usize) -> Result<Self> {
        let layers = config.layers.len();
        if number >= layers {
            return Err(Error::Request(format!("there is no layer {number}: the model has {layers}, the first is 0")));
        }
        config.refuse_apart("a step")?;
        let layer = decoder::Layer::new(&Builder { config, weights, layer: number })?;
        Ok(Self { layer, config: config.clone(), number })
    }

    /// Takes x, (T, dim), the hidden states of the tokens of all `spans`, to what leaves the layer.
    ///
    /// # Errors
    /// Where spans do not add up to the rows or name a cache, or what comes out is not finite.
    pub fn forward(&self, x: &Tensor, spans: &[Span]) -> Result<Tensor> {
        let layout = Layout::new(x.dim(0)?, spans, &[], &self.config)?;
        let pass = layout.pass(spans, &[], &self.config, x.device())?;
        let y = self.layer.forward(x, &pass, self.number, &mut [], &[])?;
        decoder::refuse_damage_after(self.number, &y, &self.config)?;
        Ok(y)
    }

    /// Gives its matrices by their checkpoint names, in the order in which it computes.
    pub fn linears(&self) -> Vec<(String, &Linear)> {
        self.layer.linears(&self.config, self.number)
    }
}

//! A norm with its weights, of any of the kinds the architectures use. The arithmetic is in `ops`.

use candle_core::Tensor;

use super::architecture::NormKind;
use super::config::Config;
use super::error::Result;
use super::ops;
use super::weights::Weights;

/// A norm with its weight, and a bias where a layer norm has one.
pub(crate) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    kind: NormKind,
    eps: f64,
}

impl Norm {
    /// Asks for the norm under `stem`, such as `model.layers.0.input_layernorm`, over the last `size` features; a layer
    /// norm
    /// has a bias unless `biased` says no.
    pub(crate) fn new(config: &Config, weights: &dyn Weights, stem: &str, size: usize, biased: bool) -> Result<Self> {
        let kind = config.architecture.norm;
        let bias = (kind == NormKind::Layer && biased).then(|| weights.tensor(&format!("{stem}.bias"), &[size]));
        let weight = weights.tensor(&format!("{stem}.weight"), &[size])?;
        // one that learns is added to in every pass, where its gradient goes
        let (weight, kind) = match kind {
            NormKind::RmsPlusOne if !weight.track_op() => ((weight + 1.0)?, NormKind::Rms),
            kind => (weight, kind),
        };
        Ok(Self { weight, bias: bias.transpose()?, kind, eps: config.norm_eps })
    }

    /// Joins the norms of several heads into one: x (.., heads, size) is normed head by head, each with its own weight.
    /// Only
    /// layer norms without bias come so.
    pub(crate) fn each(norms: Vec<Self>) -> Result<Self> {
        let weights: Vec<&Tensor> = norms.iter().map(|norm| &norm.weight).collect();
        let (kind, eps) = (norms[0].kind, norms[0].eps);
        Ok(Self { weight: Tensor::stack(&weights, 0)?, bias: None, kind, eps })
    }

    /// Norms x (.., size), or (.., heads, size) where each head has its own weight.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.weight.rank() == 2 {
            let ones = Tensor::ones(self.weight.dim(1)?, self.weight.dtype(), self.weight.device())?;
            return Ok(ops::layer_norm(x, &ones, None, self.eps)?.broadcast_mul(&self.weight)?);
        }
        Ok(match self.kind {
            NormKind::Rms => ops::rms_norm(x, &self.weight, self.eps)?,
            NormKind::RmsPlusOne => ops::rms_norm(x, &(&self.weight + 1.0)?, self.eps)?,
            NormKind::Layer | NormKind::LayerUnbiased => {
                ops::layer_norm(x, &self.weight, self.bias.as_ref(), self.eps)?
            }
        })
    }
}

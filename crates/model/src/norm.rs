//! A norm with its weights, of any of the kinds the architectures use. The arithmetic is in `ops`.

use candle_core::{D, Tensor};

use super::architecture::NormKind;
use super::config::Config;
use super::error::Result;
use super::ops;
use super::weights::Weights;

/// A norm with its weight, and a bias where a layer norm has one; some have neither.
pub(crate) struct Norm {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    kind: NormKind,
    eps: f64,
}

impl Norm {
    /// Asks for the norm under `stem`, such as `model.layers.0.input_layernorm`, over the last `size` features; a layer
    /// norm
    /// has a bias unless `biased` says no.
    pub(crate) fn new(config: &Config, weights: &dyn Weights, stem: &str, size: usize, biased: bool) -> Result<Self> {
        let (kind, eps) = (config.architecture.norm, config.norm_eps);
        if !kind.has_weight() {
            return Ok(Self { weight: None, bias: None, kind, eps });
        }
        let bias = (kind.has_bias() && biased).then(|| weights.tensor(&format!("{stem}.bias"), &[size]));
        let weight = weights.tensor(&format!("{stem}.weight"), &[size])?;
        // one that learns is added to in every pass, where its gradient goes
        let (weight, kind) = match kind {
            NormKind::RmsPlusOne if !weight.track_op() => ((weight + 1.0)?, NormKind::Rms),
            NormKind::LayerPlusOne if !weight.track_op() => ((weight + 1.0)?, NormKind::Layer),
            kind => (weight, kind),
        };
        Ok(Self { weight: Some(weight), bias: bias.transpose()?, kind, eps })
    }

    /// The same with another number under the root.
    pub(crate) fn with_eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// The one without weights that divides by the root of the mean square.
    pub(crate) fn plain(eps: f64) -> Self {
        Self { weight: None, bias: None, kind: NormKind::PlainRms, eps }
    }

    /// Joins the norms of several heads into one: x (.., heads, size) is normed head by head, each with its own weight.
    /// Only
    /// layer norms without bias come so.
    pub(crate) fn each(norms: Vec<Self>) -> Result<Self> {
        let weights: Vec<&Tensor> = norms.iter().filter_map(|norm| norm.weight.as_ref()).collect();
        let (kind, eps) = (norms[0].kind, norms[0].eps);
        Ok(Self { weight: Some(Tensor::stack(&weights, 0)?), bias: None, kind, eps })
    }

    /// Norms x (.., size), or (.., heads, size) where each head has its own weight.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ones = |size: usize| Tensor::ones(size, x.dtype(), x.device());
        let weight = match &self.weight {
            Some(weight) if weight.rank() == 2 => {
                let normed = ops::layer_norm(x, &ones(weight.dim(1)?)?, None, self.eps)?;
                return Ok(normed.broadcast_mul(weight)?);
            }
            Some(weight) if self.kind.is_plus_one() => (weight + 1.0)?,
            Some(weight) => weight.clone(),
            None => ones(x.dim(D::Minus1)?)?,
        };
        Ok(match self.kind.is_layer_norm() {
            false => ops::rms_norm(x, &weight, self.eps)?,
            true => ops::layer_norm(x, &weight, self.bias.as_ref(), self.eps)?,
        })
    }
}

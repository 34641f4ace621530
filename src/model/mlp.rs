//! The gated feed-forward part of one layer: down(silu(gate x) * up x).

use candle_core::Tensor;

use super::config::{Activation, Config};
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::ops;
use super::weights::Weights;

pub struct Mlp {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// The tensors under `prefix`, such as `model.layers.0.mlp`.
    pub fn new(config: &Config, weights: &dyn Weights, prefix: &str) -> Result<Self> {
        let linear = |name: &str, out, inp| {
            let linear = weights.linear(&format!("{prefix}.{name}.weight"), out, inp)?;
            Ok::<_, super::Error>(match config.mlp_bias {
                true => linear.with_bias(weights.tensor(&format!("{prefix}.{name}.bias"), &[out])?),
                false => linear,
            })
        };
        Ok(Self {
            gate: linear("gate_proj", config.ffn, config.dim)?,
            up: linear("up_proj", config.ffn, config.dim)?,
            down: linear("down_proj", config.dim, config.ffn)?,
            activation: config.activation,
        })
    }

    /// x (T, dim) to (T, dim).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [gate, up] = forward_all([&self.gate, &self.up], x)?;
        let inner = match self.activation {
            Activation::Silu => ops::gate_mul(&gate, &up, ops::Activation::Silu)?,
        };
        self.down.forward(&inner)
    }

    /// Its matrices, by the last part of their checkpoint names.
    pub fn linears(&self) -> [(&'static str, &Linear); 3] {
        [("gate_proj", &self.gate), ("up_proj", &self.up), ("down_proj", &self.down)]
    }
}

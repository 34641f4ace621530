//! Attention of one layer: project to heads, turn q and k by their positions, look back, project home. What a token
//! may see is decided by the spans (`ops::attention`), not here.

use candle_core::Tensor;

use super::config::Config;
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::ops::{self, Attend, Pairing, Past};
use super::weights::Weights;

pub struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

/// What all layers of one pass share: who sees whom, and the angles, (T, rotary dims / 2) each.
pub struct Pass {
    pub attend: Attend,
    pub cos: Tensor,
    pub sin: Tensor,
}

impl Attention {
    /// The tensors under `prefix`, such as `model.layers.0.self_attn`.
    pub fn new(config: &Config, weights: &dyn Weights, prefix: &str) -> Result<Self> {
        let linear = |name: &str, out, inp| {
            let linear = weights.linear(&format!("{prefix}.{name}.weight"), out, inp)?;
            Ok::<_, super::Error>(match config.attention_bias {
                true => linear.with_bias(weights.tensor(&format!("{prefix}.{name}.bias"), &[out])?),
                false => linear,
            })
        };
        Ok(Self {
            q: linear("q_proj", config.q_dim(), config.dim)?,
            k: linear("k_proj", config.kv_dim(), config.dim)?,
            v: linear("v_proj", config.kv_dim(), config.dim)?,
            o: linear("o_proj", config.dim, config.q_dim())?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        })
    }

    /// x (T, dim) to (T, dim), with the new keys and values, (T, kv_heads, head_dim) each, for the caches.
    pub fn forward(&self, x: &Tensor, pass: &Pass, pasts: &[Past]) -> Result<(Tensor, Tensor, Tensor)> {
        let tokens = x.dims2()?.0;
        let [q, k, v] = forward_all([&self.q, &self.k, &self.v], x)?;
        let q = q.reshape((tokens, self.heads, self.head_dim))?;
        let k = k.reshape((tokens, self.kv_heads, self.head_dim))?;
        let v = v.reshape((tokens, self.kv_heads, self.head_dim))?;
        let q = ops::rope(&q, &pass.cos, &pass.sin, Pairing::Half)?;
        let k = ops::rope(&k, &pass.cos, &pass.sin, Pairing::Half)?;
        let seen = ops::attention(&q, &k, &v, pasts, &pass.attend)?;
        let y = self.o.forward(&seen.reshape((tokens, self.heads * self.head_dim))?)?;
        Ok((y, k, v))
    }

    /// Its matrices, by the last part of their checkpoint names.
    pub fn linears(&self) -> [(&'static str, &Linear); 4] {
        [("q_proj", &self.q), ("k_proj", &self.k), ("v_proj", &self.v), ("o_proj", &self.o)]
    }
}

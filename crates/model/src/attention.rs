//! Attention of one layer: project to heads, norm and rotate q and k, attend to earlier tokens, project back to the
//! stream. What a token may see is decided by the spans (`ops::attention`) and the layer's window, not here.

use std::ops::Range;
use std::sync::Arc;

use bantam_kernels::kv::KvType;
use candle_core::Tensor;

use super::architecture::{Over, Projections};
use super::builder::{Builder, Named};
use super::config::{Config, Layer};
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::names::Part;
use super::norm::Norm;
use super::ops::{self, Attend, Pairing, Past, Span};

/// The attention of one layer, with its weights.
pub(crate) struct Attention {
    qkv: Qkv,
    output: Linear,
    norms: Option<Norms>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    softcap: Option<f32>,
    causal: bool,
    layer: Layer,
}

/// The projections, as the checkpoint stores them.
enum Qkv {
    Separate { q: Linear, k: Linear, v: Linear },
    Joined(Linear),
    JoinedByHead(Linear),
}

struct Norms {
    q: Norm,
    k: Norm,
    over: Over,
}

/// What all layers of one pass share.
pub(crate) struct Pass {
    /// Which run of tokens follows which, or a cache.
    pub spans: Arc<[Span]>,
    /// For each of the config's ropes cos and sin, (T, rotary dims / 2) each.
    pub angles: Vec<(Tensor, Tensor)>,
    /// The tokens whose keys and values are kept for later passes, and how. They are read now as they will be then.
    pub kept: Vec<(KvType, Range<usize>)>,
}

impl Pass {
    /// Keys and values, (T, kv_heads, head_dim) each, as they are kept.
    fn as_kept(&self, k: Tensor, v: Tensor) -> Result<(Tensor, Tensor)> {
        if self.kept.iter().all(|(ty, _)| *ty == KvType::F32) {
            return Ok((k, v));
        }
        let (_, heads, d) = k.dims3()?;
        let rounded = |x: &Tensor| -> Result<Tensor> {
            let mut numbers = x.flatten_all()?.to_vec1::<f32>()?;
            for (ty, tokens) in &self.kept {
                ty.round(&mut numbers[tokens.start * heads * d..tokens.end * heads * d], d);
            }
            Ok(Tensor::from_vec(numbers, x.shape(), x.device())?)
        };
        Ok((rounded(&k)?, rounded(&v)?))
    }
}

impl Attention {
    /// Builds the attention of the builder's layer.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(crate) fn new(builder: &Builder) -> Result<Self> {
        let Builder { config, layer, .. } = *builder;
        let (q_dim, kv_dim, dim) = (config.q_dim(), config.kv_dim(), config.dim);
        let biased = config.biases.qkv;
        let joined = || builder.linear(Part::Qkv, q_dim + 2 * kv_dim, dim, biased);
        let qkv = match config.architecture.projections {
            Projections::Separate => Qkv::Separate {
                q: builder.linear(Part::Q, q_dim, dim, biased)?,
                k: builder.linear(Part::K, kv_dim, dim, biased)?,
                v: builder.linear(Part::V, kv_dim, dim, biased)?,
            },
            Projections::Joined => Qkv::Joined(joined()?),
            Projections::JoinedByHead => Qkv::JoinedByHead(joined()?),
        };
        Ok(Self {
            qkv,
            output: builder.linear(Part::Output, dim, q_dim, config.biases.output)?,
            norms: config.qk_norm.then(|| Norms::new(builder)).transpose()?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            softcap: config.score_softcap,
            causal: config.causal,
            layer: config.layers[layer],
        })
    }

    /// Takes x (T, dim) to (T, dim), and gives the new keys and values, (T, kv_heads, head_dim) each, for the caches.
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass, pasts: &[Past]) -> Result<(Tensor, Tensor, Tensor)> {
        let tokens = x.dims2()?.0;
        let (q, k, v) = self.project(x, tokens)?;
        let (q, k) = match &self.norms {
            Some(norms) => (norms.normed(&norms.q, &q)?, norms.normed(&norms.k, &k)?),
            None => (q, k),
        };
        let (q, k) = match self.layer.rope {
            Some(rope) => {
                let (cos, sin) = &pass.angles[rope];
                (ops::rope(&q, cos, sin, Pairing::Half)?, ops::rope(&k, cos, sin, Pairing::Half)?)
            }
            None => (q, k),
        };
        let (k, v) = pass.as_kept(k, v)?;
        let attend = Attend {
            spans: pass.spans.clone(),
            scale: self.layer.scale,
            window: self.layer.window,
            softcap: self.softcap,
            causal: self.causal,
        };
        let seen = ops::attention(&q, &k, &v, pasts, &attend)?;
        let y = self.output.forward(&seen.reshape((tokens, self.heads * self.head_dim))?)?;
        Ok((y, k, v))
    }

    /// q (T, heads, head_dim), k and v (T, kv_heads, head_dim).
    fn project(&self, x: &Tensor, tokens: usize) -> Result<(Tensor, Tensor, Tensor)> {
        let heads = |y: &Tensor, heads: usize| y.reshape((tokens, heads, self.head_dim));
        let (q_dim, kv_dim) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (q, k, v) = match &self.qkv {
            Qkv::Separate { q, k, v } => {
                let [q, k, v] = forward_all([q, k, v], x)?;
                (q, k, v)
            }
            Qkv::Joined(qkv) => {
                let y = qkv.forward(x)?;
                let part = |from, len| y.narrow(1, from, len);
                (part(0, q_dim)?, part(q_dim, kv_dim)?, part(q_dim + kv_dim, kv_dim)?)
            }
            Qkv::JoinedByHead(qkv) => {
                let y = qkv.forward(x)?.reshape((tokens, self.heads, 3 * self.head_dim))?;
                let part = |nth: usize| y.narrow(2, nth * self.head_dim, self.head_dim);
                (part(0)?, part(1)?, part(2)?)
            }
        };
        Ok((heads(&q, self.heads)?, heads(&k, self.kv_heads)?, heads(&v, self.kv_heads)?))
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let mut all = match &self.qkv {
            Qkv::Separate { q, k, v } => vec![(Part::Q, 0, q), (Part::K, 0, k), (Part::V, 0, v)],
            Qkv::Joined(qkv) | Qkv::JoinedByHead(qkv) => vec![(Part::Qkv, 0, qkv)],
        };
        all.push((Part::Output, 0, &self.output));
        all
    }
}

impl Norms {
    fn new(builder: &Builder) -> Result<Self> {
        let Config { heads, kv_heads, head_dim, architecture, .. } = *builder.config;
        let over = architecture.qk_norm_over;
        let norm = |part, heads: usize| match over {
            Over::Head => builder.norm(part, head_dim),
            Over::EachHead => builder.norm_each(part, heads, head_dim),
            Over::Row => builder.norm(part, heads * head_dim),
        };
        Ok(Self { q: norm(Part::QNorm, heads)?, k: norm(Part::KNorm, kv_heads)?, over })
    }

    /// x (T, heads, head_dim), normed.
    fn normed(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        match self.over {
            Over::Head | Over::EachHead => norm.forward(x),
            Over::Row => {
                let (tokens, heads, head_dim) = x.dims3()?;
                Ok(norm.forward(&x.reshape((tokens, heads * head_dim))?)?.reshape((tokens, heads, head_dim))?)
            }
        }
    }
}

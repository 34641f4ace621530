//! Attention of one layer: project to heads, norm and rotate q and k, attend to earlier tokens, project back to the
//! stream. What a token may see is decided by the spans (`ops::attention`) and the layer's window, not here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bantam_kernels::kv::KvType;
use candle_core::Tensor;

use super::architecture::{Over, Projections};
use super::builder::{Builder, Named};
use super::config::{Latent, Layer, LayerHeads};
use super::error::{Error, Result};
use super::linear::{Linear, forward_all};
use super::names::Part;
use super::norm::Norm;
use super::ops::{self, Attend, Pairing, Past, Span};
use super::recurrent::sigmoid;

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
    pairing: Pairing,
    /// Queries and keys are normed after they are turned.
    normed_turned: bool,
    /// The matrix of queries gives a gate, too: of each head q, then its gate.
    gated: bool,
    /// A score for each head of queries that takes its share of attention and gives no value.
    sinks: Option<Arc<[f32]>>,
    /// Queries, keys and values end at both sides of it.
    clip: Option<f32>,
    /// The norm of values, where they have one.
    value_norm: Option<Norm>,
    /// What keys are multiplied by.
    key_factor: f64,
    /// The norm of what all heads give together.
    sub_norm: Option<Norm>,
    /// Width of what a head gives; less than that of its keys where those are wider.
    value_dim: usize,
}

/// The projections, as the checkpoint stores them.
enum Qkv {
    Separate {
        q: Linear,
        k: Linear,
        v: Linear,
    },
    /// Values are keys before their norm.
    Shared {
        q: Linear,
        k: Linear,
    },
    /// Keys and values are another layer's.
    Alone(Linear),
    Joined(Linear),
    JoinedByHead(Linear),
    /// Out of a few numbers of each token.
    Latent(Box<LatentQkv>),
}

/// Multi-head latent attention's projections (DeepSeek V2, <https://arxiv.org/abs/2405.04434>).
struct LatentQkv {
    query: LatentQuery,
    /// To the few numbers, and the key that turns.
    down: Linear,
    norm: Norm,
    /// To the keys that do not turn and the values, head by head.
    up: Linear,
    sizes: Latent,
}

enum LatentQuery {
    Straight(Linear),
    Through { down: Linear, norm: Norm, up: Linear },
}

struct Norms {
    q: Norm,
    /// None where keys are another layer's.
    k: Option<Norm>,
    over: Over,
}

/// What all layers of one pass share.
pub(crate) struct Pass {
    /// Which run of tokens follows which, or a cache.
    pub spans: Arc<[Span]>,
    /// For each of the config's ropes cos and sin, (T, rotary dims / 2) each.
    pub angles: Vec<(Tensor, Tensor)>,
    /// What each query is multiplied by, (T, 1, 1), where queries grow with their position.
    pub growth: Option<Tensor>,
    /// The tokens whose keys and values are kept for later passes, and how. They are read now as they will be then.
    pub kept: Vec<(KvType, Range<usize>)>,
    /// What each layer reads of each token beside the stream, (T, layers, width), where layers do.
    pub inputs: Option<Tensor>,
    /// Keys and values of layers that later ones read, by layer.
    pub lent: RefCell<BTreeMap<usize, (Tensor, Tensor)>>,
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
        let LayerHeads { kv_heads, head_dim } = config.heads_of(&config.layers[layer]);
        let (q_dim, kv_dim, dim) = (config.heads * head_dim, kv_heads * head_dim, config.dim);
        let biased = config.biases.qkv;
        let gated = config.architecture.gated_attention;
        let joined = || builder.linear(Part::Qkv, q_dim + 2 * kv_dim, dim, biased);
        let own = config.layers[layer];
        let qkv = match config.architecture.projections {
            Projections::Latent => {
                let sizes = config.latent.expect("a checked config has the sizes of its projections");
                Qkv::Latent(Box::new(LatentQkv::new(builder, sizes)?))
            }
            Projections::Separate if own.keys_of.is_some() => {
                Qkv::Alone(builder.linear(Part::Q, q_dim, dim, biased)?)
            }
            Projections::Separate if own.keys_are_values => Qkv::Shared {
                q: builder.linear(Part::Q, q_dim, dim, biased)?,
                k: builder.linear(Part::K, kv_dim, dim, biased)?,
            },
            Projections::Separate => Qkv::Separate {
                q: builder.linear(Part::Q, if gated { 2 * q_dim } else { q_dim }, dim, biased)?,
                k: builder.linear(Part::K, kv_dim, dim, biased)?,
                v: builder.linear(Part::V, kv_dim, dim, biased)?,
            },
            Projections::Joined => Qkv::Joined(joined()?),
            Projections::JoinedByHead => Qkv::JoinedByHead(joined()?),
        };
        let value_dim = config.latent.map_or(head_dim, |sizes| sizes.value);
        let sub_norms = config.architecture.sub_norms;
        Ok(Self {
            qkv,
            output: builder.linear(Part::Output, dim, config.heads * value_dim, config.biases.output)?,
            sub_norm: sub_norms.then(|| builder.norm(Part::AttentionSubNorm, config.heads * value_dim)).transpose()?,
            key_factor: config.factors.map_or(1.0, |factors| factors.keys),
            value_dim,
            norms: config.qk_norm.then(|| Norms::new(builder)).transpose()?,
            heads: config.heads,
            kv_heads,
            head_dim,
            softcap: config.score_softcap,
            causal: config.causal,
            layer: own,
            pairing: config.architecture.pairing,
            normed_turned: config.architecture.normed_turned,
            gated,
            // read out of the graph: they get no gradient
            sinks: match config.architecture.sinks {
                true => Some(builder.bare(Part::Sinks, config.heads)?.to_vec1::<f32>()?.into()),
                false => None,
            },
            clip: config.qkv_clip,
            value_norm: config.architecture.value_norm.then(|| Norm::plain(config.norm_eps)),
        })
    }

    /// Takes x (T, dim) to (T, dim), and gives the new keys and values, (T, kv_heads, head_dim) each, for the caches.
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass, pasts: &[Past]) -> Result<(Tensor, Tensor, Tensor)> {
        let tokens = x.dims2()?.0;
        if let Qkv::Alone(q) = &self.qkv {
            let q = q.forward(x)?.reshape((tokens, self.heads, self.head_dim))?;
            let q = self.turned_alone(&self.normed_alone(q, |norms| Some(&norms.q))?, pass)?;
            let lent = self.layer.keys_of.and_then(|source| pass.lent.borrow().get(&source).cloned());
            let (k, v) =
                lent.ok_or_else(|| Error::Request("a layer's keys are those of one that did not run".into()))?;
            return Ok((self.attended(&q, &k, &v, None, pass, pasts)?, k, v));
        }
        if let Qkv::Latent(latent) = &self.qkv {
            let (q, k, v) = latent.project(x, self, pass)?;
            let (k, v) = pass.as_kept(k, v)?;
            return Ok((self.attended(&q, &k, &v, None, pass, pasts)?, k, v));
        }
        let (q, gate, k, v) = self.project(x, tokens)?;
        let k = if self.key_factor == 1.0 { k } else { (k * self.key_factor)? };
        let (q, k) = match self.normed_turned {
            true => self.normed(self.turned((q, k), pass)?)?,
            false => {
                let (q, k) = self.normed((q, k))?;
                self.turned((self.clipped(q)?, self.clipped(k)?), pass)?
            }
        };
        let v = self.clipped(v)?;
        let v = match &self.value_norm {
            Some(norm) => norm.forward(&v)?,
            None => v,
        };
        let q = match &pass.growth {
            Some(growth) => q.broadcast_mul(growth)?,
            None => q,
        };
        let (k, v) = pass.as_kept(k, v)?;
        Ok((self.attended(&q, &k, &v, gate, pass, pasts)?, k, v))
    }

    /// What queries see in keys and values, back on the stream.
    fn attended(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        gate: Option<Tensor>,
        pass: &Pass,
        pasts: &[Past],
    ) -> Result<Tensor> {
        let attend = Attend {
            spans: pass.spans.clone(),
            scale: self.layer.scale,
            window: self.layer.window,
            softcap: self.softcap,
            causal: self.causal,
            sinks: self.sinks.clone(),
        };
        let seen = ops::attention(q, k, v, pasts, &attend)?;
        let seen = match gate {
            Some(gate) => (seen * sigmoid(&gate)?)?,
            None => seen,
        };
        let seen = match self.value_dim == self.head_dim {
            true => seen,
            false => seen.narrow(2, 0, self.value_dim)?,
        };
        let seen = seen.reshape((seen.dim(0)?, self.heads * self.value_dim))?;
        match &self.sub_norm {
            Some(norm) => self.output.forward(&norm.forward(&seen)?),
            None => self.output.forward(&seen),
        }
    }

    /// As far as queries, keys and values may reach.
    fn clipped(&self, x: Tensor) -> Result<Tensor> {
        Ok(match self.clip {
            Some(most) => x.clamp(-most, most)?,
            None => x,
        })
    }

    /// Queries and keys through their norms, where they have any.
    fn normed(&self, (q, k): (Tensor, Tensor)) -> Result<(Tensor, Tensor)> {
        Ok((self.normed_alone(q, |norms| Some(&norms.q))?, self.normed_alone(k, |norms| norms.k.as_ref())?))
    }

    /// One of the two through its norm.
    fn normed_alone<'n>(&'n self, x: Tensor, of: impl Fn(&'n Norms) -> Option<&'n Norm>) -> Result<Tensor> {
        match self.norms.as_ref().and_then(|norms| Some((norms, of(norms)?))) {
            Some((norms, norm)) => norms.normed(norm, &x),
            None => Ok(x),
        }
    }

    /// Queries and keys turned by their positions, where the layer does so.
    fn turned(&self, (q, k): (Tensor, Tensor), pass: &Pass) -> Result<(Tensor, Tensor)> {
        Ok((self.turned_alone(&q, pass)?, self.turned_alone(&k, pass)?))
    }

    /// One of the two turned by its positions.
    fn turned_alone(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(rope) = self.layer.rope else { return Ok(x.clone()) };
        let (cos, sin) = &pass.angles[rope];
        Ok(ops::rope(x, cos, sin, self.pairing)?)
    }

    /// q (T, heads, head_dim) and its gate, where there is one, k and v (T, kv_heads, head_dim).
    fn project(&self, x: &Tensor, tokens: usize) -> Result<(Tensor, Option<Tensor>, Tensor, Tensor)> {
        let heads = |y: &Tensor, heads: usize| y.reshape((tokens, heads, self.head_dim));
        let (q_dim, kv_dim) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (q, k, v) = match &self.qkv {
            Qkv::Separate { q, k, v } => {
                let [q, k, v] = forward_all([q, k, v], x)?;
                (q, k, v)
            }
            Qkv::Shared { q, k } => {
                let [q, k] = forward_all([q, k], x)?;
                (q, k.clone(), k)
            }
            Qkv::Alone(_) | Qkv::Latent(_) => unreachable!("they are projected otherwise"),
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
        let (q, gate) = match self.gated {
            true => {
                let both = q.reshape((tokens, self.heads, 2 * self.head_dim))?;
                let half = |first| both.narrow(2, first, self.head_dim)?.contiguous();
                (half(0)?, Some(half(self.head_dim)?))
            }
            false => (heads(&q, self.heads)?, None),
        };
        Ok((q, gate, heads(&k, self.kv_heads)?, heads(&v, self.kv_heads)?))
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let mut all = match &self.qkv {
            Qkv::Separate { q, k, v } => vec![(Part::Q, 0, q), (Part::K, 0, k), (Part::V, 0, v)],
            Qkv::Shared { q, k } => vec![(Part::Q, 0, q), (Part::K, 0, k)],
            Qkv::Alone(q) => vec![(Part::Q, 0, q)],
            Qkv::Joined(qkv) | Qkv::JoinedByHead(qkv) => vec![(Part::Qkv, 0, qkv)],
            Qkv::Latent(latent) => latent.linears(),
        };
        all.push((Part::Output, 0, &self.output));
        all
    }
}

impl LatentQkv {
    /// What norms of the few numbers add under the root, whatever a config says of the others.
    const EPS: f64 = 1e-6;

    fn new(builder: &Builder, sizes: Latent) -> Result<Self> {
        let (dim, heads, biased) = (builder.config.dim, builder.config.heads, builder.config.biases.qkv);
        let norm = |part, size| Ok::<_, Error>(builder.norm(part, size)?.with_eps(Self::EPS));
        let query = match sizes.query_rank {
            None => LatentQuery::Straight(builder.linear(Part::Q, heads * sizes.key(), dim, false)?),
            Some(rank) => LatentQuery::Through {
                down: builder.linear(Part::QueryDown, rank, dim, biased)?,
                norm: norm(Part::QueryDownNorm, rank)?,
                up: builder.linear(Part::QueryUp, heads * sizes.key(), rank, false)?,
            },
        };
        Ok(Self {
            query,
            down: builder.linear(Part::LatentDown, sizes.rank + sizes.turned, dim, biased)?,
            norm: norm(Part::LatentNorm, sizes.rank)?,
            up: builder.linear(Part::LatentUp, heads * (sizes.still + sizes.value), sizes.rank, false)?,
            sizes,
        })
    }

    /// q, k and v of x (T, dim), (T, heads, width) each, of the one width that they are kept in.
    fn project(&self, x: &Tensor, attention: &Attention, pass: &Pass) -> Result<(Tensor, Tensor, Tensor)> {
        let Latent { rank, still, turned, value, .. } = self.sizes;
        let (tokens, heads) = (x.dim(0)?, attention.heads);
        let q = match &self.query {
            LatentQuery::Straight(linear) => linear.forward(x)?,
            LatentQuery::Through { down, norm, up } => up.forward(&norm.forward(&down.forward(x)?)?)?,
        };
        let q = q.reshape((tokens, heads, still + turned))?;
        let q_turned = attention.turned_alone(&q.narrow(2, still, turned)?.contiguous()?, pass)?;
        let few = self.down.forward(x)?;
        let k_turned = few.narrow(1, rank, turned)?.reshape((tokens, 1, turned))?;
        let k_turned = attention.turned_alone(&k_turned, pass)?.expand((tokens, heads, turned))?;
        let kv = self.up.forward(&self.norm.forward(&few.narrow(1, 0, rank)?.contiguous()?)?)?;
        let kv = kv.reshape((tokens, heads, still + value))?;
        let filled = |x: &Tensor| x.pad_with_zeros(2, 0, self.sizes.kept() - x.dim(2)?)?.contiguous();
        Ok((
            filled(&Tensor::cat(&[&q.narrow(2, 0, still)?, &q_turned], 2)?)?,
            filled(&Tensor::cat(&[&kv.narrow(2, 0, still)?, &k_turned], 2)?)?,
            filled(&kv.narrow(2, still, value)?)?,
        ))
    }

    fn linears(&self) -> Vec<Named<'_>> {
        let mut all = match &self.query {
            LatentQuery::Straight(linear) => vec![(Part::Q, 0, linear)],
            LatentQuery::Through { down, up, .. } => vec![(Part::QueryDown, 0, down), (Part::QueryUp, 0, up)],
        };
        all.extend([(Part::LatentDown, 0, &self.down), (Part::LatentUp, 0, &self.up)]);
        all
    }
}

impl Norms {
    fn new(builder: &Builder) -> Result<Self> {
        let (config, layer) = (builder.config, &builder.config.layers[builder.layer]);
        let (heads, architecture) = (config.heads, config.architecture);
        let LayerHeads { kv_heads, head_dim } = config.heads_of(layer);
        let over = architecture.qk_norm_over;
        let norm = |part, heads: usize| match over {
            Over::Head => builder.norm(part, head_dim),
            Over::EachHead => builder.norm_each(part, heads, head_dim),
            Over::Row => builder.norm(part, heads * head_dim),
        };
        let k = layer.keys_of.is_none().then(|| norm(Part::KNorm, kv_heads)).transpose()?;
        Ok(Self { q: norm(Part::QNorm, heads)?, k, over })
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

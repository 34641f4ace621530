//! The one graph: embedding, layers of attention and MLP with a norm before each, a final norm, a head. A batch is one
//! ragged row of tokens cut into spans; nothing is padded. It knows tokens and positions, not text.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::attention::{Attention, Pass};
use super::cache::Cache;
use super::config::Config;
use super::error::{Error, Result};
use super::linear::Linear;
use super::mlp::Mlp;
use super::ops::{self, Attend, Span};
use super::rope::Rope;
use super::weights::Weights;

pub struct Decoder {
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Linear,
    rope: Rope,
    eps: f64,
    scale: f32,
    vocab: usize,
    device: Device,
}

struct Layer {
    attention_norm: Tensor,
    attention: Attention,
    mlp_norm: Tensor,
    mlp: Mlp,
}

impl Decoder {
    /// Builds the graph a config describes out of a source of weights.
    pub fn new(config: &Config, weights: &dyn Weights) -> Result<Self> {
        let embedding = weights.linear("model.embed_tokens.weight", config.vocab, config.dim)?;
        let norm = weights.tensor("model.norm.weight", &[config.dim])?;
        Ok(Self {
            head: match config.tied {
                true => embedding.clone(),
                false => weights.linear("lm_head.weight", config.vocab, config.dim)?,
            },
            layers: (0..config.layers).map(|i| Layer::new(config, weights, i)).collect::<Result<_>>()?,
            device: norm.device().clone(),
            rope: config.rope.clone(),
            eps: config.norm_eps,
            scale: (config.head_dim as f32).sqrt().recip(),
            vocab: config.vocab,
            embedding,
            norm,
        })
    }

    /// Runs `tokens`, the concatenation of all `spans`, and gives (T, dim) after the final norm. A root span whose
    /// `past` names a cache continues that sequence, and is added to it unless the cache is frozen. Fails, and leaves
    /// the caches as they were, on a token outside the vocabulary, spans that do not add up to the tokens, or two
    /// spans that would both be added to one cache.
    pub fn forward(&self, tokens: &[u32], spans: &[Span], caches: &mut [Cache]) -> Result<Tensor> {
        let layout = Layout::new(tokens, spans, caches, self.vocab)?;
        layout.reserve(caches)?;
        let (cos, sin) = self.rope.tables(&layout.positions, &layout.longest, &self.device)?;
        let attend = Attend { spans: Arc::from(spans), causal: true, scale: self.scale, window: None, softcap: None };
        let pass = Pass { attend, cos, sin };
        let mut x = self.embedding.rows(tokens)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &pass, index, caches, &layout.appends, self.eps)?;
        }
        for append in &layout.appends {
            caches[append.cache].advance(append.len);
        }
        Ok(ops::rms_norm(&x, &self.norm, self.eps)?)
    }

    /// Rows of `forward`'s result, (n, dim), to logits (n, vocab), f32. Ask only for the rows you need: on a small
    /// model the head is most of the work.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)
    }

    /// Every matrix of the graph with its checkpoint name, in order; a tied head is not listed twice.
    pub fn linears(&self) -> Vec<(String, &Linear)> {
        let mut all = vec![("model.embed_tokens.weight".to_owned(), &self.embedding)];
        for (i, layer) in self.layers.iter().enumerate() {
            let name = |part: &str, last: &str| format!("model.layers.{i}.{part}.{last}.weight");
            all.extend(layer.attention.linears().map(|(last, linear)| (name("self_attn", last), linear)));
            all.extend(layer.mlp.linears().map(|(last, linear)| (name("mlp", last), linear)));
        }
        all.push(("lm_head.weight".to_owned(), &self.head));
        all
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Layer {
    fn new(config: &Config, weights: &dyn Weights, index: usize) -> Result<Self> {
        let prefix = format!("model.layers.{index}");
        let norm = |name: &str| weights.tensor(&format!("{prefix}.{name}.weight"), &[config.dim]);
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: Attention::new(config, weights, &format!("{prefix}.self_attn"))?,
            mlp_norm: norm("post_attention_layernorm")?,
            mlp: Mlp::new(config, weights, &format!("{prefix}.mlp"))?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        index: usize,
        caches: &[Cache],
        appends: &[Append],
        eps: f64,
    ) -> Result<Tensor> {
        let pasts: Vec<_> = caches.iter().map(|cache| cache.past(index)).collect();
        let (y, k, v) = self.attention.forward(&ops::rms_norm(x, &self.attention_norm, eps)?, pass, &pasts)?;
        for &Append { cache, first, len } in appends {
            caches[cache].write(index, &k.narrow(0, first, len)?, &v.narrow(0, first, len)?)?;
        }
        let x = (x + y)?;
        let y = self.mlp.forward(&ops::rms_norm(&x, &self.mlp_norm, eps)?)?;
        Ok((x + y)?)
    }
}

/// Where every token of a batch stands, checked.
struct Layout {
    /// The position of each token in its own sequence.
    positions: Vec<u32>,
    /// For each token the length of the longest sequence of its tree.
    longest: Vec<usize>,
    appends: Vec<Append>,
}

/// A span that is to be added to a cache: its first token in the batch, and how many.
#[derive(Clone, Copy)]
struct Append {
    cache: usize,
    first: usize,
    len: usize,
}

impl Layout {
    fn new(tokens: &[u32], spans: &[Span], caches: &[Cache], vocab: usize) -> Result<Self> {
        if let Some(token) = tokens.iter().find(|&&t| t as usize >= vocab) {
            return Err(Error::Request(format!("token {token} is outside the vocabulary of {vocab}")));
        }
        let total: usize = spans.iter().map(|span| span.len).sum();
        if total != tokens.len() || tokens.is_empty() {
            return Err(Error::Request(format!("spans of {total} tokens do not cover {} tokens", tokens.len())));
        }
        // (position of the first token, root span) of each span, and each tree's longest sequence at its root
        let mut starts: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
        let mut longest = vec![0; spans.len()];
        let mut appends: Vec<Append> = Vec::new();
        let mut first = 0;
        for (i, span) in spans.iter().enumerate() {
            let (start, root) = match (span.parent, span.past) {
                (None, None) => (0, i),
                (None, Some(cache)) if cache < caches.len() => (caches[cache].len(), i),
                (Some(parent), None) if parent < i => (starts[parent].0 + spans[parent].len, starts[parent].1),
                _ => return Err(Error::Request(format!("span {i} names a later span, an absent cache, or both"))),
            };
            if let Some(cache) = span.past.filter(|&cache| !caches[cache].is_frozen()) {
                if appends.iter().any(|other| other.cache == cache) {
                    return Err(Error::Request(format!(
                        "two spans would be added to cache {cache}; freeze it to share it"
                    )));
                }
                appends.push(Append { cache, first, len: span.len });
            }
            longest[root] = longest[root].max(start + span.len);
            starts.push((start, root));
            first += span.len;
        }
        let each = || spans.iter().zip(&starts);
        Ok(Self {
            positions: each().flat_map(|(span, &(start, _))| (start..start + span.len).map(|p| p as u32)).collect(),
            longest: each().flat_map(|(span, &(_, root))| std::iter::repeat_n(longest[root], span.len)).collect(),
            appends,
        })
    }

    /// Makes room for what will be added; a cache that is only read gets its (perhaps empty) rows.
    fn reserve(&self, caches: &mut [Cache]) -> Result<()> {
        caches.iter_mut().enumerate().try_for_each(|(i, cache)| {
            let more = self.appends.iter().find(|append| append.cache == i).map_or(0, |append| append.len);
            cache.reserve(more)
        })
    }
}

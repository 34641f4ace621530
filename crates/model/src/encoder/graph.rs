//! The encoder's graph: three embeddings and a norm, then layers of attention and feed-forward part with a norm after
//! each. A batch is one ragged row of tokens; nothing is padded, so that a text's numbers do not depend on its company.

use std::sync::Arc;

use candle_core::Tensor;

use super::architecture::Positions;
use super::checkpoint::{Checkpoint, Norm, WORDS};
use super::config::Config;
use crate::error::{Error, Result};
use crate::linear::{Linear, forward_all};
use crate::ops::{self, Activation, Attend, Span};

/// The tokens of one text or pair of texts, special ones among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The tokens in order.
    pub tokens: Vec<u32>,
    /// Which of two texts each token is of, 0 or 1.
    pub types: Vec<u32>,
    /// Whether the text did not fit and lost its end.
    pub truncated: bool,
}

/// The layers of an encoder with their weights.
pub(super) struct Graph {
    words: Linear,
    positions: Linear,
    types: Option<Linear>,
    norm: Norm,
    layers: Vec<EncoderLayer>,
    heads: usize,
    activation: Activation,
    layout: Layout,
}

struct EncoderLayer {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    mlp_norm: Norm,
}

impl Graph {
    /// Builds the graph a config describes out of a checkpoint.
    pub(super) fn new(config: &Config, weights: &Checkpoint) -> Result<Self> {
        let dim = config.dim;
        let table = |name: &str, rows| weights.table(&weights.own(&format!("embeddings.{name}")), rows, dim);
        Ok(Self {
            words: weights.table(&weights.own(WORDS), config.vocab, dim)?,
            positions: table("position_embeddings", config.positions)?,
            types: match config.types {
                0 => None,
                types => Some(table("token_type_embeddings", types)?),
            },
            norm: weights.norm(&weights.own("embeddings.LayerNorm"), dim)?,
            layers: (0..config.layers).map(|i| EncoderLayer::new(config, weights, i)).collect::<Result<_>>()?,
            heads: config.heads,
            activation: config.activation,
            layout: Layout {
                vocab: config.vocab,
                types: config.types,
                context: config.context(),
                positions: config.architecture.positions,
                pad: config.pad,
            },
        })
    }

    /// Gives the last hidden states of all inputs, one after the other: (T, dim). Fails on a token outside the
    /// vocabulary, an input without tokens and one longer than the position table.
    pub(super) fn forward(&self, inputs: &[Input]) -> Result<Tensor> {
        let mut hidden = self.embed(inputs)?;
        let spans: Arc<[Span]> =
            inputs.iter().map(|input| Span { len: input.tokens.len(), parent: None, past: None }).collect();
        let (_, dim) = hidden.dims2()?;
        let scale = ((dim / self.heads) as f32).sqrt().recip();
        let attend = Attend { spans, causal: false, scale, window: None, softcap: None, sinks: None };
        for layer in &self.layers {
            hidden = layer.forward(&hidden, self.heads, self.activation, &attend)?;
        }
        Ok(hidden)
    }

    /// What the layers are given, (T, dim).
    fn embed(&self, inputs: &[Input]) -> Result<Tensor> {
        inputs.iter().try_for_each(|input| self.layout.check(input))?;
        let all = |of: &dyn Fn(&Input) -> Vec<u32>| inputs.iter().flat_map(of).collect::<Vec<u32>>();
        let mut x = self.words.rows(&all(&|input| input.tokens.clone()))?;
        if let Some(types) = &self.types {
            x = (x + types.rows(&all(&|input| self.layout.types(input)))?)?;
        }
        self.norm.forward(&(x + self.positions.rows(&all(&|input| self.layout.positions(input)))?)?)
    }

    /// The embedding of the vocabulary, (vocab, dim), which a mask filler may be tied to.
    pub(super) fn words(&self) -> &Linear {
        &self.words
    }
}

impl EncoderLayer {
    fn new(config: &Config, weights: &Checkpoint, index: usize) -> Result<Self> {
        let names = config.architecture.names;
        let own = |name: &str| weights.own(&format!("{}{index}.{name}", names.layer));
        let square = |name: &str| weights.linear(&own(name), config.dim, config.dim);
        Ok(Self {
            q: square(names.q)?,
            k: square(names.k)?,
            v: square(names.v)?,
            o: square(names.o)?,
            attention_norm: weights.norm(&own(names.attention_norm), config.dim)?,
            up: weights.linear(&own(names.up), config.ffn, config.dim)?,
            down: weights.linear(&own(names.down), config.dim, config.ffn)?,
            mlp_norm: weights.norm(&own(names.mlp_norm), config.dim)?,
        })
    }

    /// x (T, dim) to (T, dim).
    fn forward(&self, x: &Tensor, heads: usize, activation: Activation, attend: &Attend) -> Result<Tensor> {
        let (tokens, dim) = x.dims2()?;
        let [q, k, v] = forward_all([&self.q, &self.k, &self.v], x)?;
        let heads = |t: Tensor| t.reshape((tokens, heads, dim / heads));
        let seen = ops::attention(&heads(q)?, &heads(k)?, &heads(v)?, &[], attend)?;
        let y = self.o.forward(&seen.reshape((tokens, dim))?)?;
        let x = self.attention_norm.forward(&(x + y)?)?;
        let y = self.down.forward(&ops::activate(&self.up.forward(&x)?, activation)?)?;
        self.mlp_norm.forward(&(x + y)?)
    }
}

/// Where a token stands and of what type it is.
struct Layout {
    vocab: usize,
    types: usize,
    context: usize,
    positions: Positions,
    pad: u32,
}

impl Layout {
    fn check(&self, input: &Input) -> Result<()> {
        let len = input.tokens.len();
        if let Some(token) = input.tokens.iter().find(|&&t| t as usize >= self.vocab) {
            return Err(Error::Request(format!("token {token} is outside the vocabulary of {}", self.vocab)));
        }
        if len == 0 || len > self.context || input.types.len() != len {
            return Err(Error::Request(format!("an input of {len} tokens, the encoder takes 1 to {}", self.context)));
        }
        Ok(())
    }

    /// A checkpoint with one row of types (RoBERTa's) has no second text's type to tell.
    fn types(&self, input: &Input) -> Vec<u32> {
        let last = self.types.saturating_sub(1) as u32;
        input.types.iter().map(|&t| t.min(last)).collect()
    }

    fn positions(&self, input: &Input) -> Vec<u32> {
        match self.positions {
            Positions::FromZero => (0..input.tokens.len() as u32).collect(),
            Positions::AfterPadding => {
                let mut next = self.pad;
                let place = |&token: &u32| {
                    if token == self.pad {
                        return self.pad;
                    }
                    next += 1;
                    next
                };
                input.tokens.iter().map(place).collect()
            }
        }
    }
}

//! The one graph: embedding, layers of attention and MLP with norms about them as the architecture has it, a final
//! norm, a head. A batch is one ragged row of tokens cut into spans; nothing is padded. It knows tokens and positions,
//! not text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

use bantam_kernels::kv::KvType;
use candle_core::{DType, Device, Tensor};

use super::altup::{AltUp, Streams};
use super::architecture::{Positions, Residual};
use super::attention::{Attention, Pass};
use super::builder::{Builder, Named};
use super::cache::Cache;
use super::config::{self, Config, Factors};
use super::error::{Error, Result};
use super::experts::Experts;
use super::layer_inputs::{LayerInput, LayerInputs};
use super::linear::Linear;
use super::mlp::Mlp;
use super::names::Part;
use super::norm::Norm;
use super::ops::{self, Span};
use super::recurrent::Recurrent;
use super::weights::Weights;

/// A decoder-only language model with its weights: tokens in, hidden states and logits out.
pub struct Decoder {
    config: Config,
    ends: Ends,
    layers: Vec<Layer>,
    head: Linear,
    device: Device,
    /// The type that all keys and values are rounded to before they are read; `None` for as they are computed.
    rounded: Option<KvType>,
}

/// What stands before the first layer and after the last.
pub(crate) struct Ends {
    embedding: Linear,
    /// One row for each position, where positions are learned.
    positions: Option<Linear>,
    /// The row of the first position.
    first_position: u32,
    norm: Norm,
    /// What is embedded goes through the norm, too.
    normed: bool,
    embedding_scale: f64,
    inputs: Option<LayerInputs>,
    streams: Option<Streams>,
}

/// One layer with its weights.
pub(crate) struct Layer {
    attention_norm: Option<Norm>,
    mixer: Mixer,
    attention_post_norm: Option<Norm>,
    mlp_norm: Option<Norm>,
    mlp: Option<FeedForward>,
    mlp_post_norm: Option<Norm>,
    parallel: bool,
    residual_scale: f64,
    altup: Option<Box<AltUp>>,
    input: Option<Box<LayerInput>>,
    /// What leaves it is multiplied by this, (1).
    scale: Option<Tensor>,
    /// Later layers read its keys and values.
    lends: bool,
    /// Whose keys and values it reads: mostly its own.
    keys_of: usize,
}

/// What carries something from token to token: attention, a state, both or neither.
struct Mixer {
    attention: Option<Box<Attention>>,
    state: Option<Box<Recurrent>>,
    /// What attention and state read and give is multiplied by.
    factors: Option<Factors>,
}

enum FeedForward {
    Dense(Box<Mlp>),
    Experts(Box<Experts>),
    Both(Box<Both>),
}

/// An MLP and experts side by side, each between norms of its own (Gemma 4).
struct Both {
    mlp: Mlp,
    mlp_norm: Norm,
    experts: Experts,
    before: Norm,
    after: Norm,
    /// What the router reads is normed without weights and multiplied by it, (dim).
    scale: Tensor,
    router_norm: Norm,
}

impl Decoder {
    /// Builds the graph a config describes out of a source of weights.
    ///
    /// # Errors
    /// Where a tensor that the config asks for is missing, damaged or of another shape.
    pub fn new(config: &Config, weights: &dyn Weights) -> Result<Self> {
        let builder = Builder { config, weights, layer: 0 };
        let ends = Ends::new(&builder)?;
        Ok(Self {
            layers: (0..config.layers.len())
                .map(|layer| Layer::new(&Builder { layer, ..builder }))
                .collect::<Result<_>>()?,
            head: match config.tied {
                true => builder.biased(ends.embedding.clone(), Part::Head, config.vocab, config.biases.head)?,
                false => builder.linear(Part::Head, config.vocab, config.dim, config.biases.head)?,
            },
            device: ends.embedding.device(),
            config: config.clone(),
            ends,
            rounded: None,
        })
    }

    /// Has every token see keys and values as this type keeps them, also where none are kept: a text that is scored in one
    /// pass is then read as one that is read token by token.
    pub fn rounding_to(self, kept: KvType) -> Self {
        Self { rounded: Some(kept), ..self }
    }

    /// What all layers of a pass over so many tokens share.
    fn pass(&self, layout: &Layout, spans: &[Span], caches: &[Cache]) -> Result<Pass> {
        let mut pass = layout.pass(spans, caches, &self.config, &self.device)?;
        if let Some(kept) = self.rounded {
            pass.kept = vec![(kept, 0..layout.positions.len())];
        }
        Ok(pass)
    }

    /// Runs `tokens`, the concatenation of all `spans`, and gives (T, dim) after the final norm. A root span whose
    /// `past` names a cache continues that sequence, and is added to it unless the cache is frozen.
    ///
    /// # Errors
    /// On a token outside the vocabulary, spans that do not add up to the tokens, two spans that would both be added to
    /// one
    /// cache, or a position beyond a learned table. The caches stay as they were.
    pub fn forward(&self, tokens: &[u32], spans: &[Span], caches: &mut [Cache]) -> Result<Tensor> {
        self.forward_observed(tokens, spans, caches, &mut |_, _| {})
    }

    /// Runs as `forward` does, and shows `see` what enters the first layer (as 0), what leaves each layer but the last
    /// (as 1,
    /// 2, ..), and what leaves the final norm, (T, dim) each: the `hidden_states` of transformers.
    ///
    /// # Errors
    /// Where `forward` fails.
    pub fn forward_observed(
        &self,
        tokens: &[u32],
        spans: &[Span],
        caches: &mut [Cache],
        see: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        check_tokens(tokens, &self.config)?;
        let layout = Layout::new(tokens.len(), spans, caches, &self.config)?;
        let Some(recompute) = Recompute::needed(tokens, spans, caches, &layout, &self.config) else {
            return self.run(tokens, spans, caches, &layout, see);
        };
        recompute.forget(caches);
        let layout = Layout::new(recompute.tokens.len(), &recompute.spans, caches, &self.config)?;
        let y = self.run(&recompute.tokens, &recompute.spans, caches, &layout, see)?;
        Ok(y.index_select(&Tensor::new(&recompute.asked[..], &self.device)?, 0)?)
    }

    fn run(
        &self,
        tokens: &[u32],
        spans: &[Span],
        caches: &mut [Cache],
        layout: &Layout,
        see: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        layout.reserve(caches)?;
        let mut pass = self.pass(layout, spans, caches)?;
        let embedded = self.ends.embedded(tokens, &layout.positions)?;
        pass.inputs = self.ends.inputs(tokens, &embedded)?;
        let mut x = self.ends.spread(embedded)?;
        for (index, layer) in self.layers.iter().enumerate() {
            see(index, &x);
            x = layer.forward(&x, &pass, index, caches, &layout.appends)?;
            refuse_damage_after(index, &x, &self.config)?;
        }
        for append in &layout.appends {
            let rope_regime = self.config.rope_regime(layout.longest[append.first]);
            caches[append.cache].advance(&tokens[append.first..][..append.len], rope_regime);
        }
        let y = self.ends.normed(&x)?;
        see(self.layers.len(), &y);
        Ok(y)
    }

    /// Begins a pass over `tokens`, the concatenation of all `spans`, that the caller takes from layer to layer; no cache
    /// is read or added to.
    ///
    /// # Errors
    /// As `forward`.
    pub fn walk<'d>(&'d self, tokens: &'d [u32], spans: &[Span]) -> Result<Walk<'d>> {
        self.config.refuse_apart("what is learnt or looked at")?;
        check_tokens(tokens, &self.config)?;
        let layout = Layout::new(tokens.len(), spans, &[], &self.config)?;
        let pass = self.pass(&layout, spans, &[])?;
        Ok(Walk { decoder: self, tokens, positions: layout.positions, pass })
    }

    /// Turns rows of `forward`'s result, (n, dim), into logits (n, vocab), f32. Ask only for the rows you need: on a
    /// small
    /// model the head is most of the work.
    ///
    /// # Errors
    /// Where the rows are not `dim` wide, or the arithmetic fails.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let logits = scaled(self.head.forward(hidden)?, self.config.logit_scale)?;
        match self.config.logit_softcap {
            Some(cap) => Ok((((logits / f64::from(cap))?.tanh()?) * f64::from(cap))?),
            None => Ok(logits),
        }
    }

    /// Gives every matrix of the graph with its checkpoint name, in order; the head is listed even where it is the
    /// embedding.
    pub fn linears(&self) -> Vec<(String, &Linear)> {
        let outer = |part, linear| (matrix_name(&self.config, part, 0, 0), linear);
        let mut all = vec![outer(Part::Embedding, &self.ends.embedding)];
        all.extend(self.ends.positions.iter().map(|table| outer(Part::Positions, table)));
        let inputs = self.ends.inputs.iter().flat_map(LayerInputs::linears);
        all.extend(inputs.map(|(part, linear)| outer(part, linear)));
        let streams = self.ends.streams.iter().flat_map(Streams::linears);
        all.extend(streams.map(|(part, nth, linear)| (matrix_name(&self.config, part, 0, nth), linear)));
        for (i, layer) in self.layers.iter().enumerate() {
            all.extend(layer.linears(&self.config, i));
        }
        all.push(outer(Part::Head, &self.head));
        all
    }

    /// The device that its weights are on, and that caches must be on.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// The checkpoint's name of a part's matrix.
fn matrix_name(config: &Config, part: Part, layer: usize, index: usize) -> String {
    let stem = config.architecture.stem(part, layer, index);
    format!("{}.weight", stem.expect("a graph has the parts of its row only"))
}

/// Refuses tokens that the embedding has no row for.
pub(crate) fn check_tokens(tokens: &[u32], config: &Config) -> Result<()> {
    let vocab = config.vocab;
    match tokens.iter().find(|&&t| t as usize >= vocab) {
        Some(token) => Err(Error::Request(format!("token {token} is outside the vocabulary of {vocab}"))),
        None => Ok(()),
    }
}

/// Refuses what left a layer where it is not finite.
pub(crate) fn refuse_damage_after(layer: usize, x: &Tensor, config: &Config) -> Result<()> {
    refuse_damage(x, || format!("after layer {} of {}", layer + 1, config.layers.len()))
}

/// A pass on its way through the layers, for whoever does something between two of them: computes a layer again for its
/// gradient, or looks at what it leaves.
pub struct Walk<'d> {
    decoder: &'d Decoder,
    tokens: &'d [u32],
    positions: Vec<u32>,
    pass: Pass,
}

impl Walk<'_> {
    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.decoder.layers.len()
    }

    /// What the first layer reads, (T, dim).
    ///
    /// # Errors
    /// Where memory is short.
    pub fn embedded(&self) -> Result<Tensor> {
        self.decoder.ends.embedded(self.tokens, &self.positions)
    }

    /// What layer `index` makes of x, (T, dim) both.
    ///
    /// # Errors
    /// Where there is no such layer, or x has another shape.
    pub fn layer(&self, index: usize, x: &Tensor) -> Result<Tensor> {
        let layer = self.decoder.layers.get(index);
        let layer = layer.ok_or_else(|| Error::Request(format!("layer {index} of {}", self.layers())))?;
        layer.forward(x, &self.pass, index, &mut [], &[])
    }

    /// What the last layer left, through the final norm: `Decoder::forward`'s result.
    ///
    /// # Errors
    /// Where x has another shape.
    pub fn normed(&self, x: &Tensor) -> Result<Tensor> {
        self.decoder.ends.normed(x)
    }
}

/// Refuses hidden states that are not finite: what comes of them looks like an answer and is none. A training that goes
/// astray sees it in its loss.
fn refuse_damage(x: &Tensor, place: impl Fn() -> String) -> Result<()> {
    if x.track_op() || !x.device().is_cpu() || x.dtype() != DType::F32 {
        return Ok(());
    }
    let finite = ops::with_floats([x], "hidden states", |[x]| Ok(x.iter().fold(true, |all, x| all & x.is_finite())))?;
    match finite {
        true => Ok(()),
        false => Err(Error::Request(format!(
            "the model's hidden states are not finite {}; its weights may be damaged",
            place()
        ))),
    }
}

/// x times a factor, which mostly is 1.
fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { Ok((x * factor)?) }
}

impl Ends {
    pub(crate) fn new(builder: &Builder) -> Result<Self> {
        let config = builder.config;
        let learned = config.architecture.positions == Positions::Learned;
        let first_position = config.architecture.first_position;
        let positions = || builder.linear(Part::Positions, config.max_positions + first_position, config.dim, false);
        Ok(Self {
            first_position: first_position as u32,
            embedding: builder.linear(Part::Embedding, config.vocab, config.dim, false)?,
            positions: learned.then(positions).transpose()?,
            norm: builder.norm(Part::FinalNorm, config.dim)?,
            normed: config.architecture.embedding_norm,
            embedding_scale: config.embedding_scale,
            inputs: config.layer_inputs.map(|sizes| LayerInputs::new(builder, sizes)).transpose()?,
            streams: config.streams.map(|sizes| Streams::new(builder, sizes)).transpose()?,
        })
    }

    /// (T, dim): what the first layer reads.
    pub(crate) fn embedded(&self, tokens: &[u32], positions: &[u32]) -> Result<Tensor> {
        let x = scaled(self.embedding.rows(tokens)?, self.embedding_scale)?;
        match &self.positions {
            Some(table) if self.first_position == 0 => Ok((x + table.rows(positions)?)?),
            Some(table) => {
                let rows: Vec<u32> = positions.iter().map(|position| position + self.first_position).collect();
                Ok((x + table.rows(&rows)?)?)
            }
            None if self.normed => self.norm.forward(&x),
            None => Ok(x),
        }
    }

    /// What each layer reads of the tokens beside the stream, where layers do.
    fn inputs(&self, tokens: &[u32], embedded: &Tensor) -> Result<Option<Tensor>> {
        self.inputs.as_ref().map(|inputs| inputs.of(tokens, embedded)).transpose()
    }

    /// What the first layer reads: what is embedded, (T, dim), or all streams, (T, streams · dim).
    fn spread(&self, embedded: Tensor) -> Result<Tensor> {
        self.streams.as_ref().map_or_else(|| Ok(embedded.clone()), |streams| streams.spread(&embedded))
    }

    /// What leaves the last layer through the final norm, (T, dim).
    pub(crate) fn normed(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.streams {
            Some(streams) => self.norm.forward(&streams.gathered(x)?)?,
            None => self.norm.forward(x)?,
        };
        refuse_damage(&y, || "after the final norm".to_owned())?;
        Ok(y)
    }
}

impl Layer {
    pub(crate) fn new(builder: &Builder) -> Result<Self> {
        let Builder { config, layer, .. } = *builder;
        let norm = |wanted: bool, part| wanted.then(|| builder.norm(part, config.dim)).transpose();
        let residual = config.architecture.residual;
        let before = residual != Residual::PostNorm;
        let after = matches!(residual, Residual::PostNorm | Residual::Sandwich);
        let own = config.layers[layer];
        let (mixes, feeds) = (own.mixer != config::Mixer::Nothing, config.feeds(&own));
        let attention = || Attention::new(builder).map(Box::new);
        let state = config.state.filter(|_| own.mixer.keeps_state());
        Ok(Self {
            attention_norm: norm(before && mixes, Part::AttentionNorm)?,
            mixer: Mixer {
                attention: own.mixer.attends().then(attention).transpose()?,
                state: state.map(|sizes| Recurrent::new(builder, sizes).map(Box::new)).transpose()?,
                factors: config.factors,
            },
            attention_post_norm: norm(after && mixes, Part::AttentionPostNorm)?,
            mlp_norm: norm(before && feeds && !config.shares_norm(), Part::MlpNorm)?,
            mlp: feeds.then(|| FeedForward::new(builder, own)).transpose()?,
            mlp_post_norm: norm(after && feeds, Part::MlpPostNorm)?,
            parallel: config.parallel,
            residual_scale: config.residual_scale,
            altup: config.streams.map(|sizes| AltUp::new(builder, sizes).map(Box::new)).transpose()?,
            input: config.layer_inputs.map(|sizes| LayerInput::new(builder, sizes).map(Box::new)).transpose()?,
            scale: match config.architecture.layer_scale {
                true => Some(builder.bare(Part::LayerScale, 1)?),
                false => None,
            },
            lends: config.layers.iter().any(|other| other.keys_of == Some(layer)),
            keys_of: config.layers[layer].keys_of.unwrap_or(layer),
        })
    }

    /// Its matrices by their checkpoint names, in order.
    pub(crate) fn linears(&self, config: &Config, number: usize) -> Vec<(String, &Linear)> {
        let attention = self.mixer.attention.iter().flat_map(|attention| attention.linears());
        let state = self.mixer.state.iter().flat_map(|state| state.linears());
        attention
            .chain(state)
            .chain(self.mlp.iter().flat_map(FeedForward::linears))
            .chain(self.altup.iter().flat_map(|altup| altup.linears()))
            .chain(self.input.iter().flat_map(|input| input.linears()))
            .map(|(part, index, linear)| (matrix_name(config, part, number, index), linear))
            .collect()
    }

    /// Takes x (T, dim) to (T, dim), and adds the keys and values of `appends`, or the states at their ends, to their caches.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        index: usize,
        caches: &mut [Cache],
        appends: &[Append],
    ) -> Result<Tensor> {
        let predicted = self.altup.as_ref().map(|altup| altup.predicted(x)).transpose()?;
        let own = self.altup.as_ref().zip(predicted.as_ref()).map(|(altup, all)| altup.active(all)).transpose()?;
        let x = own.as_ref().unwrap_or(x);
        let read = normed(self.attention_norm.as_ref(), x)?;
        let mut sum = match self.mixed(&read, pass, index, caches, appends)? {
            Some(y) => {
                let y = normed(self.attention_post_norm.as_ref(), &y)?.into_owned();
                ops::add(x, scaled(y, self.residual_scale)?)?
            }
            None => x.clone(),
        };
        if let Some(altup) = &self.altup {
            sum = ((sum + altup.past_attention(&read)?)? * FRAC_1_SQRT_2)?;
        }
        let Some(mlp) = &self.mlp else { return self.with_input(sum, predicted.as_ref(), pass, index) };
        let read = match (self.parallel, &self.mlp_norm) {
            (true, None) => read,
            (true, Some(norm)) => Cow::Owned(norm.forward(x)?),
            (false, norm) => normed(norm.as_ref(), &sum)?,
        };
        let y = mlp.forward(&read, &sum)?;
        let y = scaled(normed(self.mlp_post_norm.as_ref(), &y)?.into_owned(), self.residual_scale)?;
        self.with_input(ops::add(&sum, y)?, predicted.as_ref(), pass, index)
    }

    /// What the mixers make of what they read, (T, dim); nothing of a layer that has none.
    fn mixed(
        &self,
        read: &Tensor,
        pass: &Pass,
        index: usize,
        caches: &mut [Cache],
        appends: &[Append],
    ) -> Result<Option<Tensor>> {
        let of = |factor: fn(&Factors) -> f64| self.mixer.factors.as_ref().map_or(1.0, factor);
        let mut sum = None;
        if let Some(attention) = &self.mixer.attention {
            let read = scaled(read.clone(), of(|factors| factors.attention_in))?;
            let pasts: Vec<_> = caches.iter().map(|cache| cache.past(self.keys_of)).collect();
            let (y, k, v) = attention.forward(&read, pass, &pasts)?;
            drop(pasts); // what is read is not written to
            let written = if self.keys_of == index { appends } else { &[] };
            if self.lends {
                pass.lent.borrow_mut().insert(index, (k.clone(), v.clone()));
            }
            for &Append { cache, first, len, .. } in written {
                caches[cache].write(index, &k.narrow(0, first, len)?, &v.narrow(0, first, len)?)?;
            }
            sum = Some(scaled(y, of(|factors| factors.attention_out))?);
        }
        if let Some(mixer) = &self.mixer.state {
            let read = scaled(read.clone(), of(|factors| factors.state_in))?;
            let held: Vec<_> = caches.iter().map(|cache| cache.state(index)).collect();
            let ends: Vec<usize> = appends.iter().map(|append| append.span).collect();
            let (y, states) = mixer.forward(&read, pass, &held, &ends)?;
            for (append, state) in appends.iter().zip(states) {
                caches[append.cache].keep(index, state);
            }
            let y = scaled(y, of(|factors| factors.state_out))?;
            sum = Some(match sum {
                Some(other) => ops::add(&other, y)?,
                None => y,
            });
        }
        Ok(sum)
    }

    /// What leaves the layer, of what attention and MLP made: with what it reads beside the stream, for all streams.
    fn with_input(&self, made: Tensor, predicted: Option<&Tensor>, pass: &Pass, index: usize) -> Result<Tensor> {
        let input = |x: &Tensor| -> Result<Option<Tensor>> {
            let Some((layer, all)) = self.input.as_ref().zip(pass.inputs.as_ref()) else { return Ok(None) };
            layer.read(x, &all.narrow(1, index, 1)?.squeeze(1)?).map(Some)
        };
        if let Some((altup, predicted)) = self.altup.as_ref().zip(predicted) {
            let corrected = altup.corrected(predicted, &made)?;
            let added = input(&altup.read(&corrected)?)?;
            return altup.added_to_others(&corrected, added.as_ref());
        }
        let made = match input(&made)? {
            Some(y) => ops::add(&made, y)?,
            None => made,
        };
        Ok(match &self.scale {
            Some(scale) => made.broadcast_mul(scale)?,
            None => made,
        })
    }
}

/// x through a norm that may not be there.
fn normed<'a>(norm: Option<&Norm>, x: &'a Tensor) -> Result<Cow<'a, Tensor>> {
    match norm {
        Some(norm) => Ok(Cow::Owned(norm.forward(x)?)),
        None => Ok(Cow::Borrowed(x)),
    }
}

impl FeedForward {
    fn new(builder: &Builder, layer: config::Layer) -> Result<Self> {
        let dim = builder.config.dim;
        match builder.config.experts.filter(|_| layer.experts) {
            Some(facts) if builder.config.architecture.parallel_experts => Ok(Self::Both(Box::new(Both {
                mlp: Mlp::new(builder)?,
                mlp_norm: builder.norm(Part::BesidePostNorm, dim)?,
                experts: Experts::new(builder, facts)?,
                before: builder.norm(Part::ExpertNorm, dim)?,
                after: builder.norm(Part::ExpertPostNorm, dim)?,
                scale: (builder.bare(Part::RouterScale, dim)? / (dim as f64).sqrt())?,
                router_norm: Norm::plain(builder.config.norm_eps),
            }))),
            Some(facts) => Ok(Self::Experts(Box::new(Experts::new(builder, facts)?))),
            None => Ok(Self::Dense(Box::new(Mlp::new(builder)?))),
        }
    }

    /// What is made of x, the stream through a norm, or besides of the stream itself.
    fn forward(&self, x: &Tensor, stream: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(mlp) => mlp.forward(x),
            Self::Experts(experts) => experts.forward(x),
            Self::Both(both) => {
                let read = both.router_norm.forward(stream)?.broadcast_mul(&both.scale)?;
                let experts = both.experts.forward_by(&both.before.forward(stream)?, &read)?;
                Ok((both.mlp_norm.forward(&both.mlp.forward(x)?)? + both.after.forward(&experts)?)?)
            }
        }
    }

    fn linears(&self) -> Vec<Named<'_>> {
        match self {
            Self::Dense(mlp) => mlp.linears(),
            Self::Experts(experts) => experts.linears(),
            Self::Both(both) => [both.mlp.linears(), both.experts.linears()].concat(),
        }
    }
}

/// A batch that reads again what some caches hold: where a sequence has grown so that all its tokens turn differently
/// (`Rope::rope_regime`), nothing kept of it holds any more; and where it was cut, no state is that of what is left.
struct Recompute {
    tokens: Vec<u32>,
    spans: Vec<Span>,
    /// The rows of this batch that are those of the one asked for.
    asked: Vec<u32>,
    /// The caches that are read again, and added to.
    emptied: Vec<usize>,
}

impl Recompute {
    fn needed(tokens: &[u32], spans: &[Span], caches: &[Cache], layout: &Layout, config: &Config) -> Option<Self> {
        let mut firsts = spans.iter().scan(0, |at, span| {
            let first = *at;
            *at += span.len;
            Some(first)
        });
        let stale: Vec<Option<usize>> = spans
            .iter()
            .map(|span| {
                let first = firsts.next().filter(|_| span.len > 0)?;
                let cache = span.past.filter(|&cache| !caches[cache].is_empty())?;
                let regime = config.rope_regime(layout.longest[first]);
                (caches[cache].is_cut() || caches[cache].rope_regime() != regime).then_some(cache)
            })
            .collect();
        if stale.iter().all(Option::is_none) {
            return None;
        }
        let mut recompute = Self { tokens: Vec::new(), spans: Vec::new(), asked: Vec::new(), emptied: Vec::new() };
        let mut first = 0;
        for (span, stale) in spans.iter().zip(stale) {
            let mut span = span.clone();
            let asked = &tokens[first..first + span.len];
            first += span.len;
            if let Some(cache) = stale {
                let held = caches[cache].tokens();
                recompute.tokens.extend(held);
                span.len += held.len();
                match caches[cache].is_frozen() {
                    true => span.past = None,
                    false => recompute.emptied.push(cache),
                }
            }
            let row = recompute.tokens.len() as u32;
            recompute.asked.extend(row..row + asked.len() as u32);
            recompute.tokens.extend(asked);
            recompute.spans.push(span);
        }
        Some(recompute)
    }

    fn forget(&self, caches: &mut [Cache]) {
        self.emptied.iter().for_each(|&cache| caches[cache].truncate(0));
    }
}

/// Where every token of a batch stands, checked.
pub(crate) struct Layout {
    /// The position of each token in its own sequence.
    pub(crate) positions: Vec<u32>,
    /// For each token the length of the longest sequence of its tree.
    longest: Vec<usize>,
    appends: Vec<Append>,
}

/// A span that is to be added to a cache: its first token in the batch, and how many.
#[derive(Clone, Copy)]
pub(crate) struct Append {
    cache: usize,
    span: usize,
    first: usize,
    len: usize,
}

impl Layout {
    /// Lays out a batch of so many tokens.
    pub(crate) fn new(tokens: usize, spans: &[Span], caches: &[Cache], config: &Config) -> Result<Self> {
        let total: usize = spans.iter().map(|span| span.len).sum();
        if total != tokens || tokens == 0 {
            return Err(Error::Request(format!("spans of {total} tokens do not cover {tokens} tokens")));
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
                appends.push(Append { cache, span: i, first, len: span.len });
            }
            longest[root] = longest[root].max(start + span.len);
            starts.push((start, root));
            first += span.len;
        }
        let most = longest.iter().copied().max().unwrap_or(0);
        if config.architecture.positions == Positions::Learned && most > config.max_positions {
            let table = config.max_positions;
            return Err(Error::Request(format!(
                "a sequence of {most} tokens is longer than the {table} learned positions"
            )));
        }
        let each = || spans.iter().zip(&starts);
        Ok(Self {
            positions: each().flat_map(|(span, &(start, _))| (start..start + span.len).map(|p| p as u32)).collect(),
            longest: each().flat_map(|(span, &(_, root))| std::iter::repeat_n(longest[root], span.len)).collect(),
            appends,
        })
    }

    /// What all layers of a pass over the batch share.
    pub(crate) fn pass(&self, spans: &[Span], caches: &[Cache], config: &Config, device: &Device) -> Result<Pass> {
        let tables = config.ropes.iter().map(|rope| {
            let (cos, sin) = rope.tables(&self.positions, &self.longest, device)?;
            Ok::<_, Error>((cos, if config.architecture.turns_back { sin.neg()? } else { sin }))
        });
        let kept = self.appends.iter().map(|append| {
            let tokens = append.first..append.first + append.len;
            (caches[append.cache].kv_type(), tokens)
        });
        let growth = config.query_growth.map(|growth| {
            let factors: Vec<f32> = self.positions.iter().map(|&position| growth.at(position)).collect();
            Tensor::from_vec(factors, (self.positions.len(), 1, 1), device)
        });
        let (spans, angles) = (Arc::from(spans), tables.collect::<Result<_>>()?);
        Ok(Pass {
            spans,
            angles,
            growth: growth.transpose()?,
            kept: kept.collect(),
            inputs: None,
            lent: RefCell::new(BTreeMap::new()),
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

//! Continues prompts, one or many at a time: each step runs one new token of every sequence that is still going, and
//! where one has ended the next one's prompt. Text and stop strings are the caller's; it sees every token at once and may
//! stop any sequence.

use std::ops::ControlFlow;

use candle_core::Tensor;

use super::cache::Cache;
use super::error::{Error, Result};
use super::head::Head;
use super::load::Model;
use super::ops::Span;
use super::rope::Scaling;
use super::sample::{Sampling, SequenceSampler};
use super::steer::{Next, Steering};

/// The most prompt tokens in one pass; a longer prompt continues from its own cache.
const PASS: usize = 512;
/// The most sequences that go on together.
const SLOTS: usize = 32;
/// The most memory that their caches may come to need: 1 GiB.
const CACHES: usize = 1 << 30;

/// The continuation of one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens, without the end-of-sequence token that ended them.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub end: End,
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The model gave one of its end-of-sequence tokens.
    Eos,
    /// `max_tokens`, or the model's longest sequence, was reached.
    Length,
    /// Whoever steers it broke off.
    Stopped,
}

impl Model {
    /// The longest sequence of a prompt and what follows: a rope that grows with the sequence goes on to its factor,
    /// unless the model was told to take less than its config says.
    fn longest_generated(&self) -> usize {
        let told = self.max_length < self.config.max_positions;
        let grown = self.config.ropes.iter().filter_map(|rope| match rope.scaling {
            Scaling::Dynamic { factor, original } => Some((factor * original as f64) as usize),
            _ => None,
        });
        grown.max().filter(|_| !told).map_or(self.max_length, |grown| grown.max(self.max_length))
    }

    /// Continues one prompt. `on_token` sees every token as it comes and may stop.
    ///
    /// # Errors
    /// On an empty prompt, and on one as long as the longest sequence.
    pub fn generate(
        &self,
        prompt: &[u32],
        sampling: &Sampling,
        mut on_token: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let mut all = self.generate_all(&[prompt], sampling, |_, token| on_token(token))?;
        Ok(all.pop().expect("one continuation for one prompt"))
    }

    /// Continues several prompts together, each as if it were alone but for rounding, which in quantized products
    /// depends on how many rows are multiplied at once. `on_token` gets the prompt's index and a token.
    ///
    /// # Errors
    /// Where any prompt is empty or as long as the longest sequence, and where the logits are not finite.
    pub fn generate_all(
        &self,
        prompts: &[&[u32]],
        sampling: &Sampling,
        on_token: impl FnMut(usize, u32) -> ControlFlow<()>,
    ) -> Result<Vec<Generated>> {
        self.generate_after(&self.head(&[])?, prompts, sampling, on_token)
    }

    /// Continues prompts as `generate_all` does, steered; those that begin with the head go on from it.
    ///
    /// # Errors
    /// Where `generate_all` fails.
    pub fn generate_after(
        &self,
        head: &Head,
        prompts: &[&[u32]],
        sampling: &Sampling,
        mut steering: impl Steering,
    ) -> Result<Vec<Generated>> {
        let mut sequences = Sequences::new(self, head, prompts, sampling)?;
        while sequences.fill(self)? {
            let (ready, hidden) = sequences.pass(self)?;
            if ready.is_empty() {
                continue;
            }
            let logits = self.decoder.logits(&hidden)?.to_vec2::<f32>()?;
            for (index, mut logits) in ready.into_iter().zip(logits) {
                let sequence = &mut sequences.all[index];
                steering.allow(index, &mut logits)?;
                let token = sequence.sampler.next(&logits)?;
                sequence.accept(token, self, |token| steering.drawn(index, token));
            }
        }
        Ok(sequences.all.into_iter().map(Sequence::finish).collect())
    }
}

/// The sequences of one call. As many as there are slots go on together; where one ends, the next begins.
struct Sequences<'a> {
    all: Vec<Sequence<'a>>,
    /// Which sequence each slot holds.
    slots: Vec<Option<usize>>,
    /// Of each slot.
    caches: Vec<Cache>,
    /// The first sequence that has had no slot yet.
    next: usize,
    head: &'a Head,
}

struct Sequence<'a> {
    /// What the model has not seen yet: the rest of the prompt, then the last token.
    pending: Vec<u32>,
    tokens: Vec<u32>,
    prompt: usize,
    sampler: SequenceSampler<'a>,
    sampling: &'a Sampling,
    end: Option<End>,
}

impl<'a> Sequences<'a> {
    fn new(model: &Model, head: &'a Head, prompts: &[&[u32]], sampling: &'a Sampling) -> Result<Self> {
        let sequence = |prompt: &&[u32]| {
            if prompt.is_empty() || prompt.len() >= model.longest_generated() {
                let (len, most) = (prompt.len(), model.longest_generated() - 1);
                return Err(Error::Request(format!(
                    "a prompt of {len} tokens cannot be continued; allowed are 1 to {most}"
                )));
            }
            Ok(Sequence {
                pending: prompt.to_vec(),
                tokens: Vec::new(),
                prompt: prompt.len(),
                sampler: SequenceSampler::new(sampling),
                sampling,
                end: (sampling.max_tokens == 0).then_some(End::Length),
            })
        };
        let slots = slots(model, prompts, sampling);
        let caches = (0..slots).map(|_| model.cache()).collect::<Result<_>>()?;
        let all = prompts.iter().map(sequence).collect::<Result<_>>()?;
        Ok(Self { all, slots: vec![None; slots], caches, next: 0, head })
    }

    /// Gives the slots of sequences that have ended to those that wait, and tells whether any is left to go on.
    fn fill(&mut self, model: &Model) -> Result<bool> {
        for (slot, cache) in self.slots.iter_mut().zip(&mut self.caches) {
            if slot.is_some_and(|index| self.all[index].end.is_none()) {
                continue;
            }
            while self.all.get(self.next).is_some_and(|sequence| sequence.end.is_some()) {
                self.next += 1;
            }
            *slot = (self.next < self.all.len()).then_some(self.next);
            let Some(sequence) = slot.map(|index| &mut self.all[index]) else { continue };
            self.next += 1;
            cache.truncate(0);
            let computed = self.head.covers(&sequence.pending, model.config.rope_regime(sequence.prompt));
            if computed > 0 {
                sequence.pending.drain(..computed);
                cache.begin_with(&self.head.cache(), sequence.pending.len())?;
            }
        }
        Ok(self.slots.iter().any(Option::is_some))
    }

    /// Runs what is pending, and gives the sequences that now wait for a token with their last rows, (sequences, dim). A
    /// pass has room for `PASS` tokens of prompts beside the last tokens of the others; a prompt is cut where it would be
    /// cut alone, so that it is computed alike in any company.
    fn pass(&mut self, model: &Model) -> Result<(Vec<usize>, Tensor)> {
        let (mut tokens, mut spans, mut ready, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut room = PASS;
        for (slot, index) in self.slots.iter().enumerate().filter_map(|(slot, index)| Some((slot, (*index)?))) {
            let sequence = &mut self.all[index];
            let len = match model.config.causal {
                true => sequence.pending.len().min(PASS),
                // a prompt whose tokens see what follows is read in one piece
                false => sequence.pending.len(),
            };
            if len > 1 && len > room && room < PASS {
                continue;
            }
            room = if len > 1 { room.saturating_sub(len) } else { room };
            tokens.extend(sequence.pending.drain(..len));
            spans.push(Span { len, parent: None, past: Some(slot) });
            if sequence.pending.is_empty() {
                ready.push(index);
                rows.push(tokens.len() as u32 - 1);
            }
        }
        let hidden = model.decoder.forward(&tokens, &spans, &mut self.caches)?;
        let all_or_none = rows.is_empty() || rows.len() == tokens.len();
        let last = match all_or_none {
            true => hidden,
            false => hidden.index_select(&Tensor::new(rows, hidden.device())?, 0)?,
        };
        Ok((ready, last))
    }
}

/// How many sequences go on together: as many as fit into the memory that caches are given, at least one.
fn slots(model: &Model, prompts: &[&[u32]], sampling: &Sampling) -> usize {
    let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0).saturating_add(sampling.max_tokens);
    let longest = longest.min(model.longest_generated());
    let heads = 2 * model.config.attention_layers() * model.config.kv_heads;
    let keys_and_values = longest.saturating_mul(model.kv.bytes(heads, model.config.head_dim));
    let bytes = keys_and_values.saturating_add(model.config.state_numbers() * size_of::<f32>());
    (CACHES / bytes.max(1)).clamp(1, SLOTS).min(prompts.len())
}

impl Sequence<'_> {
    fn accept(&mut self, token: u32, model: &Model, mut drawn: impl FnMut(u32) -> Next) {
        let ends = model.config.eos.contains(&token) || self.sampling.end_tokens.contains(&token);
        if ends && !self.sampling.ignore_eos {
            self.end = Some(End::Eos);
            return;
        }
        self.push(token, model);
        match drawn(token) {
            Next::Stop => self.end = Some(End::Stopped),
            Next::Draw => {}
            Next::Write(tokens) => tokens.into_iter().for_each(|token| self.push(token, model)),
        }
    }

    /// Goes on with a token, if there is room for it.
    fn push(&mut self, token: u32, model: &Model) {
        if self.end.is_some() {
            return;
        }
        self.tokens.push(token);
        self.pending.push(token);
        let length = self.prompt + self.tokens.len();
        let full = self.tokens.len() >= self.sampling.max_tokens || length >= model.longest_generated();
        self.end = full.then_some(End::Length);
    }

    fn finish(self) -> Generated {
        Generated { tokens: self.tokens, end: self.end.expect("the loop runs until every sequence has ended") }
    }
}

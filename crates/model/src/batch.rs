//! Sequences that go on together: each pass runs the newest token of every one that is in its answer, and a piece of the
//! prompts of those that are not. One may join or leave between any two passes, and each is drawn by its own rules. Who
//! joins when, and what becomes of the tokens, is the caller's.

use candle_core::Tensor;

use super::cache::Cache;
use super::error::{Error, Result};
use super::generate::{End, Generated};
use super::head::Head;
use super::load::Model;
use super::ops::Span;
use super::rope::Scaling;
use super::sample::{Sampling, SequenceSampler};
use super::steer::{Next, Steering};

/// The most prompt tokens in one pass; a longer prompt continues from its own cache.
const PASS: usize = 512;
/// The most sequences that go on together where nobody says how many.
const SLOTS: usize = 32;
/// The most memory that their caches may come to need then: 1 GiB.
const CACHES: usize = 1 << 30;

/// Sequences that go on together, each in a slot of its own.
pub struct Batch<'m> {
    model: &'m Model,
    slots: Vec<Option<Sequence>>,
    /// Of each slot.
    caches: Vec<Cache>,
}

/// A prompt that is to be gone on with, and what has followed so far.
pub struct Sequence {
    /// What the model has not seen yet: the rest of the prompt, then the last token.
    pending: Vec<u32>,
    tokens: Vec<u32>,
    prompt: usize,
    sampler: SequenceSampler,
    end: Option<End>,
    /// How many tokens were drawn and the sum of their log-probabilities, where that is asked for.
    drawn: (usize, f64),
}

impl Model {
    /// The longest sequence of a prompt and what follows: a rope that grows with the sequence goes on to its factor,
    /// unless the model was told to take less than its config says.
    pub fn longest_generated(&self) -> usize {
        let told = self.max_length < self.config.max_positions;
        let grown = self.config.ropes.iter().filter_map(|rope| match rope.scaling {
            Scaling::Dynamic { factor, original } => Some((factor * original as f64) as usize),
            _ => None,
        });
        grown.max().filter(|_| !told).map_or(self.max_length, |grown| grown.max(self.max_length))
    }

    /// How many sequences of so many tokens go on together where nobody says how many: as many as fit into 1 GiB of
    /// keys and values, 1 to 32.
    pub fn slots_of(&self, tokens: usize) -> usize {
        let longest = tokens.min(self.longest_generated());
        let keys_and_values = longest.saturating_mul(self.config.kept_bytes(self.kv));
        let bytes = keys_and_values.saturating_add(self.config.state_numbers() * size_of::<f32>());
        (CACHES / bytes.max(1)).clamp(1, SLOTS)
    }

    /// Makes a sequence of a prompt.
    ///
    /// # Errors
    /// On an empty prompt, and on one as long as the longest sequence.
    pub fn sequence(&self, prompt: &[u32], sampling: &Sampling) -> Result<Sequence> {
        let most = self.longest_generated();
        if prompt.is_empty() || prompt.len() >= most {
            let (len, most) = (prompt.len(), most - 1);
            return Err(Error::Request(format!(
                "a prompt of {len} tokens cannot be continued; allowed are 1 to {most}"
            )));
        }
        Ok(Sequence {
            pending: prompt.to_vec(),
            tokens: Vec::new(),
            prompt: prompt.len(),
            end: (sampling.max_tokens == 0).then_some(End::Length),
            sampler: SequenceSampler::new(sampling),
            drawn: (0, 0.0),
        })
    }
}

impl<'m> Batch<'m> {
    /// Makes so many empty slots.
    ///
    /// # Errors
    /// When a device has no memory.
    pub fn new(model: &'m Model, slots: usize) -> Result<Self> {
        let caches = (0..slots).map(|_| model.cache()).collect::<Result<_>>()?;
        Ok(Self { model, slots: (0..slots).map(|_| None).collect(), caches })
    }

    /// The first slot that nobody has.
    pub fn free(&self) -> Option<usize> {
        self.slots.iter().position(Option::is_none)
    }

    /// Whether nobody has a slot.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Gives a slot to a sequence, in place of what it held; one that begins with the head goes on from it.
    ///
    /// # Errors
    /// When a device has no memory.
    pub fn join(&mut self, slot: usize, mut sequence: Sequence, head: Option<&Head>) -> Result<()> {
        let (model, cache) = (self.model, &mut self.caches[slot]);
        cache.truncate(0);
        if let Some(head) = head {
            let computed = head.covers(&sequence.pending, model.config.rope_regime(sequence.prompt));
            if computed > 0 {
                sequence.pending.drain(..computed);
                cache.begin_with(&head.cache(), sequence.pending.len())?;
            }
        }
        self.slots[slot] = Some(sequence);
        Ok(())
    }

    /// Gives a slot to a sequence that goes on from what the slot held last, as far as both begin alike; gives how many of
    /// its tokens are known so. One at least is left to be computed.
    pub fn go_on(&mut self, slot: usize, mut sequence: Sequence) -> usize {
        let cache = &mut self.caches[slot];
        // where tokens see what follows them nothing is known before all is
        let most = if self.model.config.causal { sequence.pending.len().saturating_sub(1) } else { 0 };
        let alike = cache.tokens().iter().zip(&sequence.pending).take_while(|(held, asked)| held == asked).count();
        let known = alike.min(most);
        cache.truncate(known);
        sequence.pending.drain(..known);
        self.slots[slot] = Some(sequence);
        known
    }

    /// Takes a sequence out of its slot, ended or not, and gives its tokens so far.
    pub fn leave(&mut self, slot: usize) -> Option<Generated> {
        self.slots[slot].take().map(Sequence::finish)
    }

    /// Runs what is pending, and gives the slots of sequences that now wait for a token with its logits. A pass has room
    /// for 512 tokens of prompts beside the last tokens of the others; a prompt is cut where it would be cut alone, so
    /// that it is computed alike in any company.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    pub fn pass(&mut self) -> Result<Vec<(usize, Vec<f32>)>> {
        let (mut tokens, mut spans, mut ready, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut room = PASS;
        let going = |sequence: &&mut Sequence| sequence.end.is_none();
        for (slot, sequence) in self.slots.iter_mut().enumerate() {
            let Some(sequence) = sequence.as_mut().filter(going) else { continue };
            let len = match self.model.config.causal {
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
                ready.push(slot);
                rows.push(tokens.len() as u32 - 1);
            }
        }
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let decoder = &self.model.decoder;
        let hidden = decoder.forward(&tokens, &spans, &mut self.caches)?;
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let last = match rows.len() == tokens.len() {
            true => hidden,
            false => hidden.index_select(&Tensor::new(rows, hidden.device())?, 0)?,
        };
        Ok(ready.into_iter().zip(decoder.logits(&last)?.to_vec2::<f32>()?).collect())
    }

    /// Draws the token that a slot's sequence waits for, steered; `number` is what steering knows the sequence by. Gives
    /// why the sequence has ended, if it has now.
    ///
    /// # Errors
    /// Where steering fails, and where the logits are not finite: the sequence cannot go on, the others can.
    pub fn draw(
        &mut self,
        slot: usize,
        mut logits: Vec<f32>,
        number: usize,
        steering: &mut impl Steering,
    ) -> Result<Option<End>> {
        let sequence = self.slots[slot].as_mut().expect("who waits for a token has a slot");
        steering.allow(number, &mut logits)?;
        let token = sequence.sampler.next(&logits)?;
        sequence.accept(token, self.model, |token| steering.drawn(number, token));
        if sequence.sampler.sampling().likelihood && sequence.end != Some(End::Eos) {
            sequence.drawn = (sequence.drawn.0 + 1, sequence.drawn.1 + logprob(&logits, token));
        }
        Ok(sequence.end)
    }
}

impl Sequence {
    /// Whether it has ended before it began.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn accept(&mut self, token: u32, model: &Model, mut drawn: impl FnMut(u32) -> Next) {
        let sampling = self.sampler.sampling();
        let ends = model.config.eos.contains(&token) || sampling.end_tokens.contains(&token);
        if ends && !sampling.ignore_eos {
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
        let full = self.tokens.len() >= self.sampler.sampling().max_tokens || length >= model.longest_generated();
        self.end = full.then_some(End::Length);
    }

    /// Its tokens; of one that was taken out before its end, those so far.
    pub(super) fn finish(self) -> Generated {
        let (count, logprob) = self.drawn;
        Generated {
            tokens: self.tokens,
            end: self.end.unwrap_or(End::Stopped),
            likelihood: (count > 0).then(|| (logprob / count as f64).exp()),
        }
    }
}

/// The log-probability of a token by softmax over all logits.
fn logprob(logits: &[f32], token: u32) -> f64 {
    f64::from(logits[token as usize]) - f64::from(bantam_kernels::float::log_sum_exp(logits))
}

//! One answer in the making: which tokens it may be drawn from, its text as it grows, and when it is enough.

use super::text::{Growing, Marks, Parts, Piece};
use bantam_grammar::Held;
use bantam_model::steer::{Next, Steering};
use bantam_model::{End, Error, Model, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// How an answer is to be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    pub(super) marks: Marks,
    /// How many of the likeliest tokens are told with each drawn one; `None` where probabilities are not asked for.
    pub(super) logprobs: Option<usize>,
    /// Added to the logits of these tokens.
    pub(super) bias: Vec<(u32, f32)>,
    /// Taken off a token's logit for each time that it stands in the answer.
    pub(super) frequency_penalty: f32,
    /// Taken off a token's logit where it stands in the answer.
    pub(super) presence_penalty: f32,
}

/// A drawn token and how likely it was, before anything steered it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub(super) token: u32,
    pub(super) logprob: f32,
    /// The likeliest tokens in its place.
    pub(super) top: Vec<(u32, f32)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Calls,
}

impl Finish {
    /// As the API names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Calls => "tool_calls",
        }
    }
}

/// An answer in the making.
pub(super) struct Answer {
    model: Arc<Model>,
    style: Style,
    growing: Growing,
    parts: Parts,
    /// What it is held to.
    held: Option<Held>,
    counts: HashMap<u32, u32>,
    /// Logits of the token to come, where probabilities are asked for.
    logits: Vec<f32>,
    /// What has come since it was last taken.
    news: News,
    pub(super) tokens: usize,
    pub(super) reasoning_tokens: usize,
    has_calls: bool,
}

/// What has come of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct News {
    pub(super) pieces: Vec<Piece>,
    pub(super) drawn: Vec<Drawn>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.drawn.is_empty()
    }
}

impl Answer {
    pub(super) fn new(model: Arc<Model>, style: Style, held: Option<Held>) -> Answer {
        Answer {
            model,
            growing: Growing::default(),
            parts: Parts::new(style.marks.clone()),
            held,
            counts: HashMap::new(),
            logits: Vec::new(),
            news: News::default(),
            tokens: 0,
            reasoning_tokens: 0,
            has_calls: false,
            style,
        }
    }

    /// What has come since the last time.
    pub(super) fn take(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Ends it, and says why it ended.
    pub(super) fn finish(&mut self, end: End) -> Finish {
        let rest = self.growing.rest(&self.model.tokenizer);
        self.hear(&rest);
        let last = self.parts.finish();
        self.news.pieces.extend(last);
        match end {
            _ if self.has_calls => Finish::Calls,
            End::Eos | End::Stopped => Finish::Stop,
            End::Length => Finish::Length,
        }
    }

    fn hear(&mut self, text: &str) {
        let pieces = self.parts.push(text);
        self.has_calls |= pieces.iter().any(|piece| matches!(piece, Piece::Call(_)));
        self.news.pieces.extend(pieces);
    }

    fn steer(&mut self, logits: &mut [f32]) -> Result<()> {
        if self.style.logprobs.is_some() {
            self.logits = logits.to_vec();
        }
        let mut add = |token: u32, bias: f32| {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        };
        self.style.bias.iter().for_each(|&(token, bias)| add(token, bias));
        let (each, once) = (self.style.frequency_penalty, self.style.presence_penalty);
        if each != 0.0 || once != 0.0 {
            self.counts.iter().for_each(|(&token, &count)| add(token, -(each * count as f32 + once)));
        }
        match &mut self.held {
            Some(held) if self.parts.is_content() => held.allow(logits).map_err(|why| Error::Request(why.to_string())),
            _ => Ok(()),
        }
    }

    fn accept(&mut self, token: u32) -> Next {
        self.tokens += 1;
        if self.parts.is_thinking() {
            self.reasoning_tokens += 1;
        }
        if let Some(most) = self.style.logprobs {
            self.news.drawn.push(likelihood(token, &self.logits, most));
        }
        if self.style.frequency_penalty != 0.0 || self.style.presence_penalty != 0.0 {
            *self.counts.entry(token).or_default() += 1;
        }
        let was_content = self.parts.is_content();
        let mark = self.style.marks.tokens.iter().find(|(id, _)| *id == token);
        let text = match mark {
            Some((_, mark)) => self.growing.rest(&self.model.tokenizer) + mark,
            None => self.growing.push(token, &self.model.tokenizer),
        };
        self.hear(&text);
        let is_whole = match &mut self.held {
            // what was allowed can be taken
            Some(held) if was_content => held.take(token).is_err() || held.is_whole(),
            _ => false,
        };
        if is_whole || self.parts.is_over() { Next::Stop } else { Next::Draw }
    }
}

/// How likely a token was, and which were the likeliest.
fn likelihood(token: u32, logits: &[f32], most: usize) -> Drawn {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    let logprob = |token: u32| (f64::from(logits[token as usize] - largest) - total.ln()) as f32;
    let mut all: Vec<u32> = (0..logits.len() as u32).collect();
    let likelier = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if most < all.len() {
        all.select_nth_unstable_by(most, likelier);
        all.truncate(most);
    }
    all.sort_by(likelier);
    Drawn { token, logprob: logprob(token), top: all.into_iter().map(|token| (token, logprob(token))).collect() }
}

/// The answers of a batch, each by its slot.
pub(super) struct Answers<'a>(pub(super) &'a mut [Option<super::engine::Running>]);

impl Steering for Answers<'_> {
    fn allow(&mut self, slot: usize, logits: &mut [f32]) -> Result<()> {
        self.0[slot].as_mut().map_or(Ok(()), |running| running.answer.steer(logits))
    }

    fn drawn(&mut self, slot: usize, token: u32) -> Next {
        self.0[slot].as_mut().map_or(Next::Stop, |running| running.answer.accept(token))
    }
}

/// The answer that is alone in a batch.
pub(super) struct One<'a>(pub(super) &'a mut Answer);

impl Steering for One<'_> {
    fn allow(&mut self, _: usize, logits: &mut [f32]) -> Result<()> {
        self.0.steer(logits)
    }

    fn drawn(&mut self, _: usize, token: u32) -> Next {
        self.0.accept(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_are_those_of_the_softmax() {
        let drawn = likelihood(2, &[0.0, 2.0, 1.0, -3.0], 2);
        let total: f32 = [0.0f32, 2.0, 1.0, -3.0].iter().map(|l| l.exp()).sum();
        assert!((drawn.logprob - (1.0 - total.ln())).abs() < 1e-6);
        assert_eq!(drawn.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(likelihood(0, &[0.0], 5).top, [(0, 0.0)]);
        assert!(likelihood(0, &[0.0, 1.0], 0).top.is_empty());
    }
}

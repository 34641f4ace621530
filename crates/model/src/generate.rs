//! Continues prompts, one or many at a time: each step runs one new token of every sequence that is still going, and
//! where one has ended the next one's prompt. Text and stop strings are the caller's; it sees every token at once and may
//! stop any sequence.

use std::ops::ControlFlow;

use super::batch::{Batch, Sequence};
use super::error::Result;
use super::head::Head;
use super::load::Model;
use super::sample::Sampling;
use super::steer::Steering;

/// The continuation of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The new tokens, without the end-of-sequence token that ended them.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub end: End,
    /// The geometric mean of the probabilities of its tokens, less those that were written for it; None where
    /// [`Sampling::likelihood`] did not ask for it, and of a continuation without tokens.
    pub likelihood: Option<f64>,
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
        let sequences: Vec<Sequence> =
            prompts.iter().map(|prompt| self.sequence(prompt, sampling)).collect::<Result<_>>()?;
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0).saturating_add(sampling.max_tokens);
        let slots = self.slots_of(longest).min(prompts.len());
        let (mut batch, mut numbers) = (Batch::new(self, slots)?, vec![0; slots]);
        let mut waiting = sequences.into_iter().enumerate();
        let mut done: Vec<Option<Generated>> = prompts.iter().map(|_| None).collect();
        loop {
            while let Some(slot) = batch.free() {
                let Some((number, sequence)) = waiting.next() else { break };
                match sequence.is_over() {
                    true => done[number] = Some(sequence.finish()),
                    false => {
                        numbers[slot] = number;
                        batch.join(slot, sequence, Some(head))?;
                    }
                }
            }
            if batch.is_empty() {
                break;
            }
            for (slot, logits) in batch.pass()? {
                let number = numbers[slot];
                if batch.draw(slot, logits, number, &mut steering)?.is_some() {
                    done[number] = batch.leave(slot);
                }
            }
        }
        Ok(done.into_iter().map(|generated| generated.expect("the loop runs until every sequence has ended")).collect())
    }
}

//! What steers a continuation from outside, token by token: which tokens may be drawn, when it is enough, and what is
//! written for the model.

use std::ops::ControlFlow;

use super::error::Result;

/// Steers the sequences of one call, each by its number.
pub trait Steering {
    /// Is shown the logits of a sequence's next token, and forbids tokens by making theirs −∞; one at least must stay.
    ///
    /// # Errors
    /// Where no token could follow.
    fn allow(&mut self, _sequence: usize, _logits: &mut [f32]) -> Result<()> {
        Ok(())
    }

    /// Is told the token that a sequence went on with, and says what comes next.
    fn drawn(&mut self, sequence: usize, token: u32) -> Next;
}

/// What a sequence does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Draws the next token.
    Draw,
    /// Goes on with these tokens, as if it had drawn them, and draws then; steering is not told of them.
    Write(Vec<u32>),
    /// Ends.
    Stop,
}

/// A function that sees every token and may break off.
impl<F: FnMut(usize, u32) -> ControlFlow<()>> Steering for F {
    fn drawn(&mut self, sequence: usize, token: u32) -> Next {
        match self(sequence, token) {
            ControlFlow::Continue(()) => Next::Draw,
            ControlFlow::Break(()) => Next::Stop,
        }
    }
}

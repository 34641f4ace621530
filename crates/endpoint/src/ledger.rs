//! Where answers are kept as soon as they are there, with what they cost.

use bantam_core::record::Id;

/// Keeps answers by what was asked. Calls come from several threads.
pub trait Ledger: Send + Sync {
    /// Finds the answer to a request that was made before; None where it is to be asked again.
    fn find(&self, request: &Id) -> Option<String>;

    /// Keeps an answer and what it cost; when this returns, the death of the process loses nothing of it.
    ///
    /// # Errors
    /// Where it cannot be kept, in one sentence.
    fn keep(&self, request: &Id, answer: &str, cost: f64) -> Result<(), String>;

    /// Keeps that something was paid for which no answer is kept: a timing, or an answer that broke off.
    ///
    /// # Errors
    /// Where it cannot be kept, in one sentence.
    fn pay(&self, cost: f64) -> Result<(), String>;

    /// Tells what was spent so far.
    ///
    /// # Errors
    /// Where it cannot be read, in one sentence.
    fn spent(&self) -> Result<f64, String>;
}

/// Keeps nothing.
#[derive(Debug, Default)]
pub struct Forgetful;

impl Ledger for Forgetful {
    fn find(&self, _: &Id) -> Option<String> {
        None
    }

    fn keep(&self, _: &Id, _: &str, _: f64) -> Result<(), String> {
        Ok(())
    }

    fn pay(&self, _: f64) -> Result<(), String> {
        Ok(())
    }

    fn spent(&self) -> Result<f64, String> {
        Ok(0.0)
    }
}

//! What a task may ask of a model: three questions on text, each put in batches and answered in order. Implemented by whoever holds a model (in-process or behind
//! an endpoint) and by the tests' fakes; the token rules behind them are in [`tokens`](super::tokens).

use anyhow::Result;
use serde::Serialize;

/// Everything a task may ask of a model. Log-likelihoods are in nats.
pub trait LanguageModel {
    /// How likely each continuation is after its context, and whether it is what greedy decoding would say.
    fn loglikelihood(&mut self, requests: &[Choices]) -> Result<Vec<Vec<Loglikelihood>>>;

    /// How likely each whole text is, from its first token on.
    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>>;

    /// What the model says after each prompt, cut before the first stop string.
    fn generate(&mut self, prompts: &[&str], settings: &Generation) -> Result<Vec<Generated>>;
}

/// One context and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choices {
    pub context: String,
    pub continuations: Vec<String>,
}

/// How likely a continuation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loglikelihood {
    pub logprob: f64,
    /// Every token of it is the most likely one.
    pub greedy: bool,
    /// Tokens that were computed for it; a context shared by several continuations counts with the first.
    pub tokens: usize,
    /// The context did not fit and lost its beginning.
    pub truncated: bool,
}

/// How likely a whole text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rolling {
    pub logprob: f64,
    pub tokens: usize,
}

/// How to generate. Temperature 0 is greedy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// The text ends before the first of these, and at the model's own end of text.
    pub until: Vec<String>,
    pub max_tokens: usize,
    pub temperature: f64,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    pub text: String,
    /// Prompt and generated tokens.
    pub tokens: usize,
    /// The prompt did not fit and lost its beginning.
    pub truncated: bool,
    pub stopped: Stop,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At a stop string.
    Until,
    /// At the model's end of text.
    EndOfText,
    /// At `max_tokens`.
    Length,
}

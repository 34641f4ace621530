//! What a task may ask of a model: questions on text, each put in batches and answered in order. Implemented by whoever
//! holds a model (in-process or behind an endpoint) and by the tests' fakes; the token rules behind them are in
//! [`tokens`](super::tokens). No model can do all of it: who cannot says so, and the task has that for its reason.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Everything a task may ask of a model. Log-likelihoods are in nats.
pub trait LanguageModel {
    /// How likely each continuation is after its context, and whether it is what greedy decoding would say.
    fn loglikelihood(&mut self, requests: &[Choices]) -> Result<Vec<Vec<Loglikelihood>>>;

    /// How likely each whole text is, from its first token on.
    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>>;

    /// What the model says after each prompt, cut before the first stop string.
    fn generate(&mut self, prompts: &[&str], settings: &Generation) -> Result<Vec<Generated>>;

    /// The classes of the model's classification head, in the order of its scores; None where it has no head.
    fn classes(&self) -> Option<Vec<String>> {
        None
    }

    /// What the head says of each text.
    fn classify(&mut self, _texts: &[Texts]) -> Result<Vec<Classified>> {
        bail!("this model has no classification head")
    }

    /// A vector for each text, all of one length.
    fn embed(&mut self, _texts: &[&str], _how: How) -> Result<Vec<Embedded>> {
        bail!("this model gives no embeddings")
    }
}

/// A text, or two that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts<'a> {
    pub text: &'a str,
    pub pair: Option<&'a str>,
}

/// What a classification head says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// How likely each class is.
    pub probabilities: Vec<f32>,
    pub tokens: usize,
    /// The text did not fit and lost a part.
    pub truncated: bool,
}

/// How a text is to become a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    pub role: Role,
    pub pooling: Pooling,
}

/// What the text is: some models were trained with other words before a question than before what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Plain,
    Query,
    Document,
}

/// How the last hidden states of a model that does not say so itself become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    #[default]
    Mean,
    /// The last token's.
    Last,
}

/// A text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    pub vector: Vec<f32>,
    pub tokens: usize,
    /// The text did not fit and lost a part.
    pub truncated: bool,
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

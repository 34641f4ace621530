//! The forms of two APIs: what a question becomes as a request, and what stands in an answer.

mod anthropic;
mod openai;

use bantam_core::endpoint::Api;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: String,
    /// What it says.
    pub content: String,
}

/// What is asked for an answer in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Talk {
    /// The conversation, or one user's message.
    pub messages: Vec<Message>,
    /// Tokens that are written at most.
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    /// Only the most likely tokens are drawn from that together have this share.
    pub top_p: Option<f64>,
    /// Only so many of the most likely tokens are drawn from.
    pub top_k: Option<usize>,
    /// Only tokens are drawn from that have this share of the most likely one's.
    pub min_p: Option<f64>,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// What a drawn answer is drawn with.
    pub seed: u64,
    /// The JSON schema that the answer is held to; of the OpenAI API only.
    pub schema: Option<Json>,
}

impl Talk {
    /// The likeliest answer of so many tokens; what is asked is said beside it.
    pub fn greedy(max_tokens: usize) -> Talk {
        Talk {
            messages: Vec::new(),
            max_tokens,
            temperature: 0.0,
            top_p: None,
            top_k: None,
            min_p: None,
            stop: Vec::new(),
            seed: 0,
            schema: None,
        }
    }
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The answer.
    pub text: String,
    /// Tokens of thinking before it, where the server tells.
    pub thinking: Option<usize>,
    /// Why it ends there.
    pub stopped: Stopped,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// By itself, or at a stop string.
    End,
    /// No more tokens were allowed.
    Length,
}

/// A token of a text that was sent, and how likely it was there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its text.
    pub text: String,
    /// Its log-likelihood in nats; None of the first one.
    pub logprob: Option<f64>,
    /// Whether no other was likelier.
    pub is_likeliest: bool,
}

/// A token that could come next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likely {
    /// Its text.
    pub text: String,
    /// Its log-likelihood in nats.
    pub logprob: f64,
}

/// Tokens as the server counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// What one event of a stream says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Piece {
    /// Text that is new, of the answer or of the thinking before it.
    pub(crate) text: String,
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    /// The answer is whole.
    pub(crate) ends: bool,
}

/// A request in the form of one API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: &'static str,
    pub(crate) body: Json,
    /// Bytes of text in it, which it has no more tokens than.
    pub(crate) bytes: usize,
    /// Tokens that are written at most.
    pub(crate) output: usize,
}

/// A conversation's request.
pub(crate) fn talk(api: Api, model: &str, talk: &Talk) -> Request {
    let (path, body) = match api {
        Api::Openai => ("/chat/completions", openai::talk(model, talk)),
        Api::Anthropic => ("/messages", anthropic::talk(model, talk)),
    };
    let bytes = talk.messages.iter().map(|message| message.content.len()).sum();
    Request { path, body, bytes, output: talk.max_tokens }
}

/// A request for a text that goes on from another; only OpenAI's API has such.
pub(crate) fn text(model: &str, prompt: &str, talk: &Talk) -> Request {
    let body = openai::text(model, prompt, talk);
    Request { path: "/completions", body, bytes: prompt.len(), output: talk.max_tokens }
}

/// A request for how likely each token of a text is.
pub(crate) fn echo(model: &str, text: &str) -> Request {
    Request { path: "/completions", body: openai::echo(model, text), bytes: text.len(), output: 1 }
}

/// A request for the likeliest next tokens.
pub(crate) fn next(model: &str, prompt: &str, most: usize) -> Request {
    Request { path: "/completions", body: openai::next(model, prompt, most), bytes: prompt.len(), output: 1 }
}

/// The tokens of an answer; None where the server does not say.
pub(crate) fn usage(api: Api, answer: &Json) -> Option<Usage> {
    let usage = answer.get("usage")?;
    match api {
        Api::Openai => openai::usage(usage),
        Api::Anthropic => anthropic::usage(usage),
    }
}

/// What stands in an answer to [`talk`].
pub(crate) fn said(api: Api, answer: &Json) -> Option<Said> {
    match api {
        Api::Openai => openai::said(answer),
        Api::Anthropic => anthropic::said(answer),
    }
}

/// What stands in an answer to [`text`].
pub(crate) fn written(answer: &Json) -> Option<Said> {
    openai::written(answer)
}

/// What stands in an answer to [`echo`]: the tokens of the text that was sent; None where the server tells none.
pub(crate) fn tokens(answer: &Json) -> Option<Vec<Token>> {
    openai::tokens(answer)
}

/// What stands in an answer to [`next`].
pub(crate) fn likely(answer: &Json) -> Option<Vec<Likely>> {
    openai::likely(answer)
}

/// One event of a streamed answer; None where it is none of the API's.
pub(crate) fn piece(api: Api, data: &str) -> Option<Piece> {
    match api {
        Api::Openai => openai::piece(data),
        Api::Anthropic => anthropic::piece(data),
    }
}

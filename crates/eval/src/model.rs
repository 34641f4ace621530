//! What a task may ask of a model: questions on text, each put in batches and answered in order. Implemented by whoever
//! holds a model (in-process or behind an endpoint) and by the tests' fakes; the token rules behind them are in
//! [`tokens`](crate::tokens). No model can do all of it: who cannot says so, and the task has that for its reason.

use anyhow::{Result, bail};
use bantam_grammar::Grammar;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Everything a task may ask of a model. Log-likelihoods are in nats.
pub trait LanguageModel {
    /// Tells how likely each continuation is after its context, and whether it is what greedy decoding would say.
    ///
    /// # Errors
    /// Where the model cannot tell or fails.
    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>>;

    /// Tells how likely each whole text is, from its first token on.
    ///
    /// # Errors
    /// Where the model cannot tell or fails.
    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>>;

    /// Tells whether questions with choices are to be put to it as such, by [`choose`](LanguageModel::choose): it says what
    /// it would answer, and not how likely each choice is. `talks` is whether their contexts are conversations.
    ///
    /// # Errors
    /// Where that cannot be found out.
    fn chooses(&mut self, _talks: bool) -> Result<bool> {
        Ok(false)
    }

    /// Answers each question with one of its choices.
    ///
    /// # Errors
    /// Where the model is asked for likelihoods instead, or fails.
    fn choose(&mut self, _questions: &[Question]) -> Result<Vec<Chosen>> {
        bail!("this model is asked how likely each choice is")
    }

    /// Generates a text after each prompt, cut before the first stop string.
    ///
    /// # Errors
    /// Where the model cannot generate or fails.
    fn generate(&mut self, prompts: &[&str], settings: &GenerationSettings) -> Result<Vec<Generated>>;

    /// Writes a conversation by the model's own chat template, as the text to go on from: up to where the model's answer
    /// begins, or within the assistant's message that is the last one.
    ///
    /// # Errors
    /// Where the model has no such template, or it refuses the conversation.
    fn write_chat(&mut self, _messages: &[Message], _style: &ChatStyle) -> Result<Written> {
        bail!("this model has no chat template")
    }

    /// Is told before a task's first question that every context or prompt of it, asked now or another time, stands between
    /// `first` and `last` in the order of bytes: what the two begin with they all begin with, and it can be computed once.
    ///
    /// # Errors
    /// Where the model fails.
    fn begin(&mut self, _first: &str, _last: &str) -> Result<()> {
        Ok(())
    }

    /// Names the classes of the model's classification head, in the order of its scores; None where it has no head.
    fn classes(&self) -> Option<Vec<String>> {
        None
    }

    /// Classifies each text with the model's head.
    ///
    /// # Errors
    /// Where the model has no head or fails.
    fn classify(&mut self, _texts: &[TextPair]) -> Result<Vec<Classified>> {
        bail!("this model has no classification head")
    }

    /// Embeds each text: a vector for each, all of one length.
    ///
    /// # Errors
    /// Where the model gives no embeddings or fails.
    fn embed(&mut self, _texts: &[&str], _settings: EmbedSettings) -> Result<Vec<Embedded>> {
        bail!("this model gives no embeddings")
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Message {
    /// Whose it is.
    pub role: Role,
    /// What it says.
    pub content: String,
}

/// Whose a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What stands above the conversation.
    System,
    /// Who asks.
    User,
    /// Who answers: the model.
    Assistant,
}

impl Role {
    /// Gives the word that templates know.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// How a model's chat template writes a task's conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChatStyle {
    /// Which of the model's templates; None for its default one.
    pub template: Option<String>,
    /// Variables that the template is given beside the messages.
    pub variables: Map<String, Json>,
    /// Tools that the model may call, as OpenAI's API has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Json>,
}

/// What a chat template wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text to go on from.
    pub text: String,
    /// The template refuses a system's message, so the conversation was written without.
    pub without_system: bool,
}

/// What a model says of one item, whatever it was asked.
pub(crate) trait ModelAnswer {
    /// Whether the item's text did not fit and lost a part.
    fn truncated(&self) -> bool;
}

/// A text, or two that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPair<'a> {
    /// The text, or the first of two.
    pub text: &'a str,
    /// The second text.
    pub pair: Option<&'a str>,
}

/// What a classification head says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// How likely each class is.
    pub probabilities: Vec<f32>,
    /// Tokens of the text.
    pub tokens: usize,
    /// The text did not fit and lost a part.
    pub truncated: bool,
}

/// How a text is to become a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedSettings {
    /// What the text is.
    pub role: TextRole,
    /// How states become a vector where the model does not say so itself.
    pub pooling: Pooling,
}

/// What a text is: some models were trained with other words before a question than before what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRole {
    /// A text among its like.
    Plain,
    /// A question.
    Query,
    /// What may answer a question.
    Document,
}

/// How the last hidden states of a model that does not say so itself become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The last token's.
    Last,
}

/// A text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The vector, as the model gives it.
    pub vector: Vec<f32>,
    /// Tokens of the text.
    pub tokens: usize,
    /// The text did not fit and lost a part.
    pub truncated: bool,
}

/// One context and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuations {
    /// What stands before.
    pub context: String,
    /// Texts whose likelihood after the context is asked, each for itself.
    pub continuations: Vec<String>,
}

/// A question with choices, for a model that says which one it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What stands before the choices; empty where each choice is whole in itself.
    pub context: String,
    /// The choices, each as it goes on from the context.
    pub choices: Vec<String>,
}

/// What a model took of a question's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The choice; None where what it said is none of them.
    pub choice: Option<usize>,
    /// What it said.
    pub answer: String,
    /// Prompt and answer tokens.
    pub tokens: usize,
}

/// How likely a continuation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loglikelihood {
    /// The log-likelihood of the continuation after its context.
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
    /// The log-likelihood of all its tokens.
    pub logprob: f64,
    /// Tokens of the text.
    pub tokens: usize,
}

/// How to generate. Temperature 0 is greedy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GenerationSettings {
    /// The text ends before the first of these, and at the model's own end of text.
    pub until: Vec<String>,
    /// Tokens that are generated at most.
    pub max_tokens: usize,
    /// What the logits are divided by.
    pub temperature: f64,
    /// Only so many of the most likely tokens are drawn from.
    pub top_k: Option<usize>,
    /// Only the most likely tokens are drawn from that together have this share.
    pub top_p: Option<f64>,
    /// Only tokens are drawn from that have this share of the most likely one's.
    pub min_p: Option<f64>,
    /// The prompts are conversations written in this style: what ends a turn in them ends the answer, too.
    #[serde(skip)]
    pub chat: Option<ChatStyle>,
    /// The model thinks before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// What the answer is held to as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<Grammar>,
    /// The how many-th answer to the same prompt is drawn: each has a draw of its own.
    #[serde(skip)]
    pub draw: u64,
}

impl GenerationSettings {
    /// Takes the most likely token each time, up to so many, and stops nowhere but at the model's own end.
    pub fn greedy(max_tokens: usize) -> GenerationSettings {
        GenerationSettings {
            until: Vec::new(),
            max_tokens,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            chat: None,
            thinking: None,
            grammar: None,
            draw: 0,
        }
    }
}

/// How a model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thinking {
    /// The text that ends it; the answer stands after the last one of these.
    pub end: String,
    /// Tokens of it, at most: then its end is written for the model, and `max_tokens` is what the answer may have.
    pub budget: Option<usize>,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The answer: the text after the prompt, and after the thinking where there is some, up to the stop string.
    pub text: String,
    /// Prompt and generated tokens.
    pub tokens: usize,
    /// The prompt did not fit and lost its beginning.
    pub truncated: bool,
    /// Why the text ends there.
    pub stopped: StopReason,
    /// What the model thought before; None where it was not to think.
    pub thought: Option<Thought>,
    /// The geometric mean of the probabilities of the tokens that were written, 0 to 1; None where that is not known.
    pub likelihood: Option<f64>,
}

/// A model's thinking before one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thought {
    /// Tokens of it, with its end where the model wrote it.
    pub tokens: usize,
    /// How it came to its end.
    pub end: ThoughtEnd,
}

/// How thinking came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThoughtEnd {
    /// The model ended it.
    Own,
    /// The budget was spent, and the end was written for the model.
    Budget,
    /// It did not end: all there is counts as the answer, as in lm-evaluation-harness.
    Open,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// At a stop string.
    Until,
    /// At the model's end of text.
    EndOfText,
    /// At `max_tokens`.
    Length,
}

impl ModelAnswer for Loglikelihood {
    fn truncated(&self) -> bool {
        self.truncated
    }
}

impl ModelAnswer for Rolling {
    /// A long text is read in windows and loses nothing.
    fn truncated(&self) -> bool {
        false
    }
}

impl ModelAnswer for Generated {
    fn truncated(&self) -> bool {
        self.truncated
    }
}

impl ModelAnswer for Classified {
    fn truncated(&self) -> bool {
        self.truncated
    }
}

impl ModelAnswer for Embedded {
    fn truncated(&self) -> bool {
        self.truncated
    }
}

impl<A: ModelAnswer> ModelAnswer for Vec<A> {
    fn truncated(&self) -> bool {
        self.iter().any(ModelAnswer::truncated)
    }
}

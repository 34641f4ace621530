//! Answers in the making: where each ends, and how long the model may think before it.

use bantam_eval::{GenerationSettings, StopReason, Thought, ThoughtEnd, tokens};
use bantam_grammar::Held;
use bantam_model::steer::{Next, Steering};
use bantam_model::tokenizer::Special;
use bantam_model::{self as model, Tokenizer};

/// Tokens that are decoded beside those that a stop string may stand in: the first of them may decode to something else
/// than within its text.
const MARGIN: usize = 4;

/// The answers to some prompts, which are watched as they grow.
pub(super) struct Answers<'a> {
    tokenizer: &'a Tokenizer,
    settings: &'a GenerationSettings,
    /// What is written for the model when it has thought enough.
    end_of_thinking: Vec<u32>,
    all: Vec<Answer>,
    /// What each answer itself is held to, where they are.
    held: Vec<Held>,
}

#[derive(Clone, Default)]
struct Answer {
    tokens: Vec<u32>,
    /// Tokens before the answer itself, once the thinking is over; of a model that does not think none from the start.
    thought: Option<usize>,
    /// The end of the thinking was written for the model.
    was_cut: bool,
    /// The answer itself had all the tokens that it may have.
    is_full: bool,
}

/// One answer, as text.
pub(super) struct Finished {
    pub(super) text: String,
    pub(super) stopped: StopReason,
    pub(super) thought: Option<Thought>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        count: usize,
        settings: &'a GenerationSettings,
        tokenizer: &'a Tokenizer,
        held: Option<Held>,
    ) -> anyhow::Result<Answers<'a>> {
        let thinking = settings.thinking.as_ref();
        let end_of_thinking = match thinking {
            Some(thinking) => tokenizer.encode(&thinking.end, Special::Without)?,
            None => Vec::new(),
        };
        let answer = Answer { thought: thinking.is_none().then_some(0), ..Answer::default() };
        let held = held.map_or_else(Vec::new, |held| vec![held; count]);
        Ok(Answers { tokenizer, settings, end_of_thinking, all: vec![answer; count], held })
    }

    /// Tokens that are generated at most. Thinking without a budget is a part of `max_tokens`.
    pub(super) fn most_tokens(&self) -> usize {
        let budget = self.settings.thinking.as_ref().and_then(|thinking| thinking.budget);
        self.settings.max_tokens + budget.map_or(0, |budget| budget + self.end_of_thinking.len())
    }

    /// Whether the end of `tokens` has one of the texts in it.
    fn has_just(&self, tokens: &[u32], texts: &[String], special: Special) -> bool {
        // a text has no more tokens than bytes
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        let tail = &tokens[tokens.len().saturating_sub(longest + MARGIN)..];
        // what cannot be decoded yet has no such text yet
        longest > 0 && self.tokenizer.decode(tail, special).is_ok_and(|t| tokens::before_stop(&t, texts).is_some())
    }

    /// An answer that has come to its end.
    pub(super) fn finish(&self, index: usize, end: model::End) -> anyhow::Result<Finished> {
        let answer = &self.all[index];
        let mut text = self.tokenizer.decode(&answer.tokens, Special::Without)?;
        let mut thought = None;
        if let Some(thinking) = &self.settings.thinking {
            let parts = text.rsplit_once(&thinking.end).map(|(_, after)| after.to_owned());
            text = match (parts, answer.thought) {
                (Some(after), _) => after,
                // the end is a token that does not show in the text
                (None, Some(from)) => self.tokenizer.decode(&answer.tokens[from..], Special::Without)?,
                (None, None) => text,
            };
            if answer.thought.is_some() {
                text = text.trim_start_matches(tokens::python_space).to_owned();
            }
            thought = Some(Thought {
                tokens: answer.thought.unwrap_or(answer.tokens.len()),
                end: match answer.thought {
                    None => ThoughtEnd::Open,
                    Some(_) if answer.was_cut => ThoughtEnd::Budget,
                    Some(_) => ThoughtEnd::Own,
                },
            });
        }
        let stopped = match end {
            model::End::Eos => StopReason::EndOfText,
            model::End::Length => StopReason::Length,
            model::End::Stopped if answer.is_full => StopReason::Length,
            model::End::Stopped => StopReason::Until,
        };
        let kept = tokens::before_stop(&text, &self.settings.until).map(str::to_owned);
        Ok(Finished { text: kept.unwrap_or(text), stopped, thought })
    }
}

impl Steering for &mut Answers<'_> {
    fn allow(&mut self, index: usize, logits: &mut [f32]) -> bantam_model::Result<()> {
        let is_thinking = self.all[index].thought.is_none();
        match self.held.get_mut(index).filter(|_| !is_thinking) {
            Some(held) => held.allow(logits).map_err(|e| bantam_model::Error::Request(e.to_string())),
            None => Ok(()),
        }
    }

    fn drawn(&mut self, index: usize, token: u32) -> Next {
        let GenerationSettings { until, max_tokens, thinking, .. } = self.settings;
        self.all[index].tokens.push(token);
        let answer = &self.all[index];
        let count = answer.tokens.len();
        if let (None, Some(thinking)) = (answer.thought, thinking) {
            if self.has_just(&answer.tokens, std::slice::from_ref(&thinking.end), Special::With) {
                self.all[index].thought = Some(count);
            } else if thinking.budget.is_some_and(|budget| count >= budget) {
                let end = self.end_of_thinking.clone();
                let answer = &mut self.all[index];
                answer.tokens.extend(&end);
                (answer.thought, answer.was_cut) = (Some(answer.tokens.len()), true);
                return Next::Write(end);
            }
            return Next::Draw;
        }
        let from = answer.thought.unwrap_or(0);
        // what was allowed can be taken
        let is_whole = self.held.get_mut(index).is_some_and(|held| held.take(token).is_err() || held.is_whole());
        let answer = &self.all[index];
        if is_whole {
            return Next::Stop;
        }
        if self.has_just(&answer.tokens[from..], until, Special::Without) {
            return Next::Stop;
        }
        if thinking.as_ref().is_some_and(|thinking| thinking.budget.is_some()) && count - from >= *max_tokens {
            self.all[index].is_full = true;
            return Next::Stop;
        }
        Next::Draw
    }
}

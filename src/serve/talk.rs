//! A conversation with one model in this process: what a server does for a client, without one. The model's chat template
//! writes the prompt, the engine decodes it, and what was computed of the conversation before is not computed again.

use super::answer::{Answer, One, Style};
use super::ask::{Fields, Wishes};
use super::chat::Chat;
use super::complete::encoded;
use super::refusal::Refusal;
use super::text::{Marks, Piece};
use anyhow::{Context, Result, anyhow};
use bantam_core::unit::Seconds;
use bantam_model::{Batch, End, Model, Sampling};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Instant;

/// How answers are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// 0 takes the likeliest token each time.
    pub temperature: f32,
    pub top_p: f32,
    pub top_k: Option<usize>,
    pub min_p: f32,
    /// The first answer's seed; each further one has the next.
    pub seed: u64,
    /// Tokens of an answer, at most.
    pub max_tokens: usize,
}

/// A piece of an answer, as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What the model thinks before it answers.
    Thought(String),
    Text(String),
}

/// How an answer came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The model ended it.
    Whole,
    /// It was as long as an answer may be.
    TooLong,
    /// Somebody stopped it.
    Stopped,
}

/// What an answer took, by this process's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Took {
    /// Tokens of the prompt, and how many of them were known from the conversation before.
    pub prompt: usize,
    pub known: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Until the first token.
    pub first: Seconds,
    /// From the first token to the last.
    pub decode: Seconds,
    pub ended: Ended,
}

impl Took {
    /// Tokens a second from the first to the last; None of an answer of one token.
    pub fn decode_tps(&self) -> Option<f64> {
        (self.tokens > 1 && self.decode.0 > 0.0).then(|| (self.tokens - 1) as f64 / self.decode.0)
    }

    /// Tokens of the prompt that were read a second.
    pub fn prefill_tps(&self) -> Option<f64> {
        (self.first.0 > 0.0).then(|| (self.prompt - self.known) as f64 / self.first.0)
    }
}

/// A conversation.
pub struct Talk<'m> {
    model: &'m Arc<Model>,
    batch: Batch<'m>,
    /// None of a model without a chat template: each text is gone on with as it stands.
    chat: Option<Chat>,
    system: Option<String>,
    messages: Vec<Json>,
    answers: u64,
}

impl<'m> Talk<'m> {
    /// Begins a conversation.
    ///
    /// # Errors
    /// Where the model's chat template cannot be read.
    pub fn begin(model: &'m Arc<Model>, system: Option<String>) -> Result<Talk<'m>> {
        let chat = Chat::of(&model.tokenizer)?;
        Ok(Talk { batch: Batch::new(model, 1)?, model, chat, system, messages: Vec::new(), answers: 0 })
    }

    /// Whether the model was taught to talk: it has a chat template.
    pub fn chats(&self) -> bool {
        self.chat.is_some()
    }

    /// Forgets what was said; what the model is told before stays.
    pub fn reset(&mut self) {
        self.messages.clear();
    }

    /// Takes the last message and its answer back, as if they had not been said.
    pub fn take_back(&mut self) {
        self.messages.truncate(self.messages.len().saturating_sub(2));
    }

    /// Tells the model something before the conversation, which begins anew; None for nothing.
    pub fn tell(&mut self, system: Option<String>) {
        self.system = system;
        self.reset();
    }

    /// What the model is told before the conversation.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Answers a message; `stop` is asked before every token. What cannot be answered was not said.
    ///
    /// # Errors
    /// Where the template refuses the conversation, or it is longer than the model takes.
    pub fn answer(
        &mut self,
        text: &str,
        draws: &Draws,
        stop: &dyn Fn() -> bool,
        say: &mut dyn FnMut(Said) -> Result<()>,
    ) -> Result<Took> {
        self.messages.push(json!({ "role": "user", "content": text }));
        let mut whole = String::new();
        let took = self.go_on(text, draws, stop, &mut |said| {
            if let Said::Text(text) = &said {
                whole.push_str(text);
            }
            say(said)
        });
        match (&took, self.chat.is_some()) {
            (Ok(_), true) => self.messages.push(json!({ "role": "assistant", "content": whole })),
            _ => drop(self.messages.pop()),
        }
        took
    }

    fn go_on(
        &mut self,
        text: &str,
        draws: &Draws,
        stop: &dyn Fn() -> bool,
        say: &mut dyn FnMut(Said) -> Result<()>,
    ) -> Result<Took> {
        let (prompt, marks, turn_end) = self.prompt(text)?;
        let sampling = Sampling {
            temperature: draws.temperature,
            top_k: draws.top_k,
            top_p: draws.top_p,
            min_p: draws.min_p,
            seed: draws.seed.wrapping_add(self.answers),
            end_tokens: turn_end.into_iter().collect(),
            ..Sampling::greedy(draws.max_tokens)
        };
        self.answers += 1;
        let sequence = self.model.sequence(&prompt, &sampling).map_err(|error| {
            anyhow!("{error}: the conversation is too long for its context; /reset begins a new one, --ctx takes more")
        })?;
        let begun = Instant::now();
        let mut took = Took {
            prompt: prompt.len(),
            known: self.batch.go_on(0, sequence),
            tokens: 0,
            first: Seconds(0.0),
            decode: Seconds(0.0),
            ended: Ended::Stopped,
        };
        let style = Style { marks, ..Style::default() };
        let mut answer = Answer::new(self.model.clone(), style, None);
        let done = self.decode(&mut answer, stop, say, (begun, &mut took));
        // its keys and values stay, for the next turn
        self.batch.leave(0);
        let end = done?;
        if let Some(end) = end {
            took.ended = if end == End::Length { Ended::TooLong } else { Ended::Whole };
        }
        answer.finish(end.unwrap_or(End::Stopped));
        told(&mut answer, say)?;
        took.tokens = answer.tokens;
        Ok(took)
    }

    /// Draws until the answer ends, or somebody stops it: then there is no end.
    fn decode(
        &mut self,
        answer: &mut Answer,
        stop: &dyn Fn() -> bool,
        say: &mut dyn FnMut(Said) -> Result<()>,
        (begun, took): (Instant, &mut Took),
    ) -> Result<Option<End>> {
        loop {
            if stop() {
                return Ok(None);
            }
            for (slot, logits) in self.batch.pass()? {
                let ended = self.batch.draw(slot, logits, slot, &mut One(answer))?;
                let now = begun.elapsed().as_secs_f64();
                match took.first.0 > 0.0 {
                    false => took.first = Seconds(now),
                    true => took.decode = Seconds(now - took.first.0),
                }
                told(answer, say)?;
                if ended.is_some() {
                    return Ok(ended);
                }
            }
        }
    }

    /// The prompt's tokens, what may stand in the answer, and what ends it.
    fn prompt(&self, text: &str) -> Result<(Vec<u32>, Marks, Option<u32>)> {
        let refused = |refusal: Refusal| anyhow!("{}", refusal.message);
        let Some(chat) = &self.chat else {
            let tokens = encoded(text, &self.model.tokenizer, "prompt").map_err(refused)?;
            return Ok((tokens, Marks::default(), None));
        };
        let system = self.system.as_ref().map(|system| json!({ "role": "system", "content": system }));
        let messages: Vec<Json> = system.into_iter().chain(self.messages.iter().cloned()).collect();
        let body = serde_json::to_vec(&json!({ "messages": messages })).context("writing the conversation")?;
        let fields = Fields::read(&body).map_err(refused)?;
        let prompt = chat.prompt(&fields, &Wishes::default()).map_err(refused)?;
        let tokens = encoded(&prompt.text, &self.model.tokenizer, "messages").map_err(refused)?;
        Ok((tokens, prompt.marks, prompt.turn_end))
    }
}

/// Says what has come.
fn told(answer: &mut Answer, say: &mut dyn FnMut(Said) -> Result<()>) -> Result<()> {
    for piece in answer.take().pieces {
        match piece {
            Piece::Reasoning(text) => say(Said::Thought(text))?,
            Piece::Content(text) | Piece::Call(text) => say(Said::Text(text))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::models;
    use bantam_core::record::Place;
    use bantam_model::LoadOptions;
    use bantam_model::chat::{ChatTemplate, Conversation};
    use bantam_model::tokenizer::Special;
    use std::cell::Cell;
    use std::ops::ControlFlow;

    fn model() -> Arc<Model> {
        let place = Place::Bundled("bantam-s".into());
        Arc::new(models::load(&place, &LoadOptions::default()).expect("loads"))
    }

    fn draws(max_tokens: usize) -> Draws {
        Draws { temperature: 0.0, top_p: 1.0, top_k: None, min_p: 0.0, seed: 1, max_tokens }
    }

    fn said(talk: &mut Talk, text: &str, stop: &dyn Fn() -> bool) -> (String, Took) {
        let mut whole = String::new();
        let took = talk.answer(text, &draws(12), stop, &mut |said| {
            if let Said::Text(text) = said {
                whole.push_str(&text);
            }
            Ok(())
        });
        (whole, took.expect("an answer"))
    }

    #[test]
    fn what_is_known_of_a_conversation_changes_no_answer() {
        let model = model();
        let mut talk = Talk::begin(&model, None).expect("begins");
        let (first, took) = said(&mut talk, "My card was charged twice", &|| false);
        assert!(took.known == 0 && took.tokens > 0 && took.first.0 > 0.0);
        let (second, took) = said(&mut talk, "What is 12 + 30?", &|| false);
        assert!(took.known > 0 && took.known < took.prompt, "{took:?}");
        // the same conversation, computed whole
        let message = |role: &str, content: &str| json!({ "role": role, "content": content });
        let messages = [
            message("user", "My card was charged twice"),
            message("assistant", &first),
            message("user", "What is 12 + 30?"),
        ];
        let template = ChatTemplate::of(&model.tokenizer, false).expect("compiles").expect("there is one");
        let whole = Conversation { messages: &messages, add_generation_prompt: true, ..Conversation::default() };
        let prompt = model.tokenizer.encode(&template.render(&whole).expect("renders"), Special::With).expect("tokens");
        assert_eq!(prompt.len(), took.prompt);
        let sampling =
            Sampling { end_tokens: template.turn_end(&model.tokenizer).into_iter().collect(), ..Sampling::greedy(12) };
        let alone = model.generate(&prompt, &sampling, |_| ControlFlow::Continue(())).expect("generates");
        assert_eq!(second, model.tokenizer.decode(&alone.tokens, Special::Without).expect("text"));
        // taken back and asked again it is the same once more, and all but its last token is known
        talk.take_back();
        let (again, took) = said(&mut talk, "What is 12 + 30?", &|| false);
        assert_eq!((again, took.prompt - took.known), (second, 1));
        talk.reset();
        let (anew, _) = said(&mut talk, "My card was charged twice", &|| false);
        assert_eq!(anew, first);
    }

    #[test]
    fn an_answer_is_stopped_and_the_conversation_goes_on() {
        let model = model();
        let mut talk = Talk::begin(&model, Some("Be brief.".into())).expect("begins");
        let left = Cell::new(3);
        let (text, took) = said(&mut talk, "What is 12 + 30?", &|| left.replace(left.get() - 1) == 0);
        assert_eq!((took.ended, took.tokens > 0), (Ended::Stopped, true), "{text}");
        let (_, took) = said(&mut talk, "My card was charged twice", &|| false);
        assert!(took.ended != Ended::Stopped && took.known > 0, "{took:?}");
        let long = "word ".repeat(3000);
        let refused = talk.answer(&long, &draws(4), &|| false, &mut |_| Ok(())).expect_err("too long").to_string();
        assert!(refused.contains("/reset begins a new one"), "{refused}");
        // what could not be answered was not said
        assert!(said(&mut talk, "What is 12 + 30?", &|| false).1.tokens > 0);
    }
}

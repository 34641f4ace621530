//! Answers in the API's form, whole or in chunks.

use super::answer::{Drawn, Finish, News};
use super::chat;
use super::text::{Piece, text_of};
use bantam_model::{TokenScore, Tokenizer};
use serde_json::{Map, Value as Json, json};

/// What one request is answered with.
pub(super) struct Reply<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) model: &'a str,
    pub(super) is_chat: bool,
    /// A number of this request alone.
    pub(super) number: u64,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) logprobs: bool,
    /// What each answer to it begins with: its prompt, where that is to be repeated.
    pub(super) echo: Vec<String>,
    /// The tokens of each answer's prompt with their likelihoods, where these are to be repeated, too.
    pub(super) scored: Vec<Vec<(u32, Option<TokenScore>)>>,
    /// Calls of functions so far, by answer.
    pub(super) calls: Vec<usize>,
}

/// Tokens of a request and of its answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    pub(super) answers: usize,
    pub(super) reasoning: usize,
}

impl Usage {
    fn json(self) -> Json {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.answers,
            "total_tokens": self.prompt + self.answers,
            "completion_tokens_details": { "reasoning_tokens": self.reasoning },
        })
    }
}

impl Reply<'_> {
    fn frame(&self, choices: Vec<Json>, is_chunk: bool) -> Map<String, Json> {
        let (prefix, object) = match (self.is_chat, is_chunk) {
            (true, true) => ("chatcmpl", "chat.completion.chunk"),
            (true, false) => ("chatcmpl", "chat.completion"),
            (false, _) => ("cmpl", "text_completion"),
        };
        let frame = json!({
            "id": format!("{prefix}-{:016x}", self.number),
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": concat!("bantam-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        });
        match frame {
            Json::Object(fields) => fields,
            _ => unreachable!("it is written as an object"),
        }
    }

    /// The whole answer: what came of each, and why it ended.
    pub(super) fn whole(&mut self, answers: Vec<(News, Finish)>, usage: Usage) -> Json {
        let choice = |(index, (news, finish)): (usize, (News, Finish))| match self.is_chat {
            true => self.message(index, news, finish),
            false => {
                let begin = self.echo.get(index).cloned().unwrap_or_default();
                let prompt = self.scored.get(index).map_or(&[][..], Vec::as_slice);
                let logprobs = self.text_logprobs(prompt, &news.drawn, begin.len());
                let text = begin + &texts(&news.pieces);
                json!({ "index": index, "text": text, "logprobs": logprobs, "finish_reason": finish.name() })
            }
        };
        let choices = answers.into_iter().enumerate().map(choice).collect();
        let mut frame = self.frame(choices, false);
        frame.insert("usage".into(), usage.json());
        Json::Object(frame)
    }

    fn message(&self, index: usize, news: News, finish: Finish) -> Json {
        let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
        for piece in &news.pieces {
            match piece {
                Piece::Content(text) => content.push_str(text),
                Piece::Reasoning(text) => reasoning.push_str(text),
                Piece::Call(text) => match chat::written(text, &self.call_id(index, calls.len()), calls.len()) {
                    Some(call) => calls.push(call),
                    None => content.push_str(text),
                },
            }
        }
        let finish = if finish == Finish::Calls && calls.is_empty() { Finish::Stop } else { finish };
        let mut message = Map::new();
        message.insert("role".into(), json!("assistant"));
        let is_call = content.is_empty() && !calls.is_empty();
        message.insert("content".into(), if is_call { Json::Null } else { json!(content) });
        if !reasoning.is_empty() {
            message.insert("reasoning_content".into(), json!(reasoning));
        }
        if !calls.is_empty() {
            calls.iter_mut().filter_map(Json::as_object_mut).for_each(|call| drop(call.remove("index")));
            message.insert("tool_calls".into(), json!(calls));
        }
        json!({
            "index": index, "message": message, "logprobs": self.chat_logprobs(&news.drawn), "finish_reason": finish.name()
        })
    }

    /// The chunk that begins an answer.
    pub(super) fn begin(&self, index: usize) -> Option<Json> {
        match (self.is_chat, self.echo.get(index)) {
            (true, _) => Some(self.chunk(index, json!({ "role": "assistant", "content": "" }), None, None)),
            (false, Some(prompt)) if !prompt.is_empty() => Some(self.chunk(index, json!(prompt), None, None)),
            (false, _) => None,
        }
    }

    /// The chunks of what has come of an answer.
    pub(super) fn news(&mut self, index: usize, news: &News) -> Vec<Json> {
        let mut deltas = Vec::new();
        for piece in &news.pieces {
            deltas.push(match (self.is_chat, piece) {
                (false, Piece::Content(text) | Piece::Reasoning(text) | Piece::Call(text)) => json!(text),
                (true, Piece::Content(text)) => json!({ "content": text }),
                (true, Piece::Reasoning(text)) => json!({ "reasoning_content": text }),
                (true, Piece::Call(text)) => {
                    let number = self.calls[index];
                    match chat::written(text, &self.call_id(index, number), number) {
                        Some(call) => {
                            self.calls[index] += 1;
                            json!({ "tool_calls": [call] })
                        }
                        None => json!({ "content": text }),
                    }
                }
            });
        }
        if deltas.is_empty() && !news.drawn.is_empty() {
            deltas.push(if self.is_chat { json!({}) } else { json!("") });
        }
        let mut logprobs = match self.is_chat {
            true => self.chat_logprobs(&news.drawn),
            false => self.text_logprobs(&[], &news.drawn, 0),
        };
        deltas.into_iter().map(|delta| self.chunk(index, delta, Some(logprobs.take()), None)).collect()
    }

    /// The chunk that ends an answer.
    pub(super) fn end(&self, index: usize, finish: Finish) -> Json {
        let finish = if finish == Finish::Calls && self.calls[index] == 0 { Finish::Stop } else { finish };
        self.chunk(index, if self.is_chat { json!({}) } else { json!("") }, None, Some(finish))
    }

    /// The chunk that says what was used.
    pub(super) fn usage(&self, usage: Usage) -> Json {
        let mut frame = self.frame(Vec::new(), true);
        frame.insert("usage".into(), usage.json());
        Json::Object(frame)
    }

    fn chunk(&self, index: usize, delta: Json, logprobs: Option<Json>, finish: Option<Finish>) -> Json {
        let what = if self.is_chat { "delta" } else { "text" };
        let choice = json!({
            "index": index, what: delta, "logprobs": logprobs, "finish_reason": finish.map(Finish::name)
        });
        Json::Object(self.frame(vec![choice], true))
    }

    fn call_id(&self, index: usize, number: usize) -> String {
        format!("call_{:016x}{index:02x}{number:02x}", self.number)
    }

    fn chat_logprobs(&self, drawn: &[Drawn]) -> Json {
        if !self.logprobs {
            return Json::Null;
        }
        let token = |token: u32, logprob: f32| {
            let text = text_of(token, self.tokenizer);
            json!({ "token": text, "logprob": finite(logprob), "bytes": text.as_bytes() })
        };
        let entry = |drawn: &Drawn| {
            let mut entry = token(drawn.token, drawn.logprob);
            entry["top_logprobs"] = drawn.top.iter().map(|&(id, logprob)| token(id, logprob)).collect();
            entry
        };
        json!({ "content": drawn.iter().map(entry).collect::<Vec<_>>() })
    }

    /// Those of the older kind of completion: of the prompt where it has some, and of what was drawn after it, whose text
    /// begins at `begin`.
    fn text_logprobs(&self, prompt: &[(u32, Option<TokenScore>)], drawn: &[Drawn], begin: usize) -> Json {
        if !self.logprobs {
            return Json::Null;
        }
        let (mut tokens, mut offsets) = (Vec::new(), Vec::new());
        let texts: Vec<String> = prompt.iter().map(|&(token, _)| text_of(token, self.tokenizer)).collect();
        // what the tokenizer sets before a text is no part of it
        let mut offset = 0;
        let set_before = texts.iter().map(String::len).sum::<usize>().saturating_sub(begin);
        for text in texts {
            offsets.push(offset);
            offset += if tokens.is_empty() && set_before == text.len() { 0 } else { text.len() };
            tokens.push(text);
        }
        offset = begin;
        for drawn in drawn {
            let text = text_of(drawn.token, self.tokenizer);
            offsets.push(offset);
            offset += text.len();
            tokens.push(text);
        }
        let top = |drawn: &Drawn| -> Map<String, Json> {
            // of two tokens that are written alike the likelier one is told
            let texts = drawn.top.iter().rev().map(|&(id, logprob)| (text_of(id, self.tokenizer), finite(logprob)));
            texts.collect()
        };
        let told = |score: &TokenScore| finite(score.logprob as f32);
        let logprobs = prompt.iter().map(|(_, score)| score.as_ref().map_or(Json::Null, told));
        let logprobs = logprobs.chain(drawn.iter().map(|drawn| finite(drawn.logprob)));
        // of a prompt's tokens the likeliest in its place, and itself
        let pair = |(token, score): &(u32, Option<TokenScore>)| {
            let Some(score) = score else { return Json::Null };
            let mut pair = Map::new();
            pair.insert(text_of(score.likeliest, self.tokenizer), finite(score.most as f32));
            pair.entry(text_of(*token, self.tokenizer)).or_insert(told(score));
            Json::Object(pair)
        };
        let tops = prompt.iter().map(pair).chain(drawn.iter().map(|drawn| Json::Object(top(drawn))));
        json!({
            "tokens": tokens,
            "token_logprobs": logprobs.collect::<Vec<_>>(),
            "top_logprobs": tops.collect::<Vec<_>>(),
            "text_offset": offsets,
        })
    }
}

/// JSON has no word for −∞; this is as good as never.
fn finite(logprob: f32) -> Json {
    json!(logprob.max(-9999.0))
}

fn texts(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Content(text) | Piece::Reasoning(text) | Piece::Call(text) => text.clone(),
    };
    pieces.iter().map(text).collect()
}

//! Answers that are held to a form: a JSON schema, a regular expression, or a grammar. A [`Grammar`] says what texts are
//! allowed, a [`Vocabulary`] which tokens texts are made of, and a [`Held`] which tokens may come next in one answer. The
//! engine is llguidance, which compiles nothing beforehand and takes some 50 µs a token; this crate knows no model and no
//! tokenizer.

#![warn(missing_docs)]

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::sync::Arc;

/// What an answer may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
    /// JSON that a schema allows.
    JsonSchema(Json),
    /// A text that a regular expression matches from its beginning to its end.
    Regex(String),
    /// A text of a grammar in Lark's form, as llguidance reads it.
    Lark(String),
}

/// Why an answer cannot be held to a form, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// White space between two tokens of JSON: a model that has nothing to say would write it without end.
const WHITE_SPACE: &str = r"[ \n]{1,12}";

impl Grammar {
    /// Any JSON object.
    pub fn json_object() -> Grammar {
        Grammar::JsonSchema(json!({ "type": "object" }))
    }

    /// One of these texts.
    pub fn choice(texts: &[String]) -> Grammar {
        let mut pattern = String::new();
        for text in texts {
            pattern.push_str(if pattern.is_empty() { "" } else { "|" });
            for c in text.chars() {
                match c.is_alphanumeric() || c == '_' || c == ' ' {
                    true => pattern.push(c),
                    // a String takes whatever is written to it
                    false => drop(write!(pattern, "\\x{{{:X}}}", u32::from(c))),
                }
            }
        }
        Grammar::Regex(format!("({pattern})"))
    }

    /// Tells whether it can be held to.
    ///
    /// # Errors
    /// Where it is no schema, expression or grammar, or asks for what the engine does not do.
    pub fn check(&self) -> Result<(), Error> {
        let bytes = Vocabulary::new((0..=255).map(|byte| vec![byte]).collect())?;
        bytes.hold(self, &[]).map(drop)
    }

    fn top(&self) -> Result<TopLevelGrammar, Error> {
        Ok(match self {
            Grammar::JsonSchema(schema) => {
                let mut schema = match schema {
                    Json::Bool(true) => json!({}),
                    schema => schema.clone(),
                };
                let fields = schema.as_object_mut().ok_or(Error("a JSON schema is a table".into()))?;
                fields.entry("x-guidance").or_insert_with(|| json!({ "whitespace_pattern": WHITE_SPACE }));
                TopLevelGrammar::from_json_schema(schema)
            }
            Grammar::Regex(pattern) => TopLevelGrammar::from_regex(pattern),
            Grammar::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        })
    }
}

/// The tokens that texts are made of.
pub struct Vocabulary {
    factory: ParserFactory,
    /// How many tokens there are, without the engine's own.
    count: usize,
}

/// What stands before the bytes of a token that is no part of a text.
pub const SPECIAL: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

impl Vocabulary {
    /// Takes the bytes of every token, by its number: [`SPECIAL`] before those of one that is no part of a text, none of one
    /// that is not used.
    ///
    /// # Errors
    /// Where there are no tokens.
    pub fn new(mut words: Vec<Vec<u8>>) -> Result<Vocabulary, Error> {
        // the engine needs a token that ends: here it is one that no model draws
        let end = words.len() as u32;
        words.push([&[SPECIAL][..], b"<end>"].concat());
        let info = TokRxInfo::new(words.len() as u32, end);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let mut factory = ParserFactory::new_simple(&env).map_err(said)?;
        factory.quiet();
        Ok(Vocabulary { factory, count: end as usize })
    }

    /// Begins an answer that is held to a grammar; `ends` are the tokens that end it.
    ///
    /// # Errors
    /// As [`Grammar::check`].
    pub fn hold(&self, grammar: &Grammar, ends: &[u32]) -> Result<Held, Error> {
        let parser = self.factory.create_parser(grammar.top()?).map_err(said)?;
        let mut matcher = Matcher::new(Ok(parser));
        if let Some(why) = matcher.get_error() {
            return Err(Error(sentence(&why)));
        }
        // a part of a schema that is not obeyed is none that an answer is held to
        if let Some(warning) = matcher.grammar_warnings().first() {
            return Err(Error(sentence(warning)));
        }
        Ok(Held { matcher, ends: ends.to_vec(), count: self.count })
    }
}

fn said(error: impl std::fmt::Display) -> Error {
    Error(sentence(&format!("{error:#}")))
}

/// The first line of what the engine says.
fn sentence(said: &str) -> String {
    let said = said.split("\n<state>").next().unwrap_or_default();
    said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// An answer that is held to a grammar.
#[derive(Clone)]
pub struct Held {
    matcher: Matcher,
    ends: Vec<u32>,
    /// Tokens of the vocabulary.
    count: usize,
}

impl Held {
    /// Forbids the tokens that cannot come next, by −∞; those that end an answer are allowed where it is whole.
    ///
    /// # Errors
    /// Where no token can come next.
    pub fn allow(&mut self, logits: &mut [f32]) -> Result<(), Error> {
        let ending: Vec<(usize, f32)> =
            self.ends.iter().map(|end| *end as usize).filter_map(|end| Some((end, *logits.get(end)?))).collect();
        let may_end = match self.matcher.is_stopped() {
            true => {
                logits.fill(f32::NEG_INFINITY);
                true
            }
            false => {
                let mask = self.matcher.compute_mask().map_err(said)?;
                for (token, logit) in logits.iter_mut().enumerate() {
                    // a head may be wider than its tokenizer
                    if token >= self.count || !mask.get(token) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
                self.matcher.is_accepting().map_err(said)?
            }
        };
        for (end, logit) in ending {
            logits[end] = if may_end { logit } else { f32::NEG_INFINITY };
        }
        match logits.iter().any(|logit| *logit > f32::NEG_INFINITY) {
            true => Ok(()),
            false => Err(Error("no token of the model's can go on with the answer as it must be".into())),
        }
    }

    /// Takes the token that the answer went on with; one that ends it changes nothing.
    ///
    /// # Errors
    /// Where the token cannot come next.
    pub fn take(&mut self, token: u32) -> Result<(), Error> {
        if self.ends.contains(&token) || self.matcher.is_stopped() {
            return Ok(());
        }
        self.matcher.consume_token(token).map_err(said)
    }

    /// Tells whether the answer is whole and nothing can be added to it.
    pub fn is_whole(&mut self) -> bool {
        self.matcher.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u32 = 256;

    fn bytes() -> Vocabulary {
        let words = (0..=255).map(|byte| vec![byte]).chain([b"\xff<end>".to_vec(), b"\": \"".to_vec()]);
        Vocabulary::new(words.collect()).expect("a vocabulary")
    }

    /// Whether a text can be written, and whether it is whole then.
    fn written(grammar: &Grammar, text: &str) -> (bool, bool) {
        let mut held = bytes().hold(grammar, &[END]).expect("a grammar");
        for byte in text.bytes() {
            let mut logits = vec![0.0; 258];
            if held.allow(&mut logits).is_err() || logits[usize::from(byte)] == f32::NEG_INFINITY {
                return (false, false);
            }
            held.take(u32::from(byte)).expect("allowed");
        }
        let mut logits = vec![0.0; 300];
        let allowed = held.allow(&mut logits);
        assert!(logits[258..].iter().all(|logit| *logit == f32::NEG_INFINITY), "beyond the vocabulary");
        (true, allowed.is_ok() && logits[END as usize] == 0.0)
    }

    #[test]
    fn a_schema_allows_what_it_describes_and_no_more() {
        let schema = json!({ "type": "object", "required": ["name", "age"], "additionalProperties": false,
            "properties": { "name": { "type": "string" }, "age": { "type": "integer" } } });
        let grammar = Grammar::JsonSchema(schema);
        for (text, is) in [
            ("{\"name\": \"Ann\", \"age\": 7}", (true, true)),
            ("{\n  \"name\": \"Ann\",\n  \"age\": 7\n}", (true, true)),
            ("{\"name\": \"Ann\"", (true, false)),
            ("{\"name\": \"Ann\"}", (false, false)),
            ("{\"name\": 7", (false, false)),
            ("Sure", (false, false)),
        ] {
            assert_eq!(written(&grammar, text), is, "{text}");
        }
        let endless = format!("{{{}", " ".repeat(40));
        assert_eq!(written(&grammar, &endless), (false, false));
    }

    #[test]
    fn choices_and_expressions_are_whole_texts() {
        let choice = Grammar::choice(&["yes (1)".into(), "no".into()]);
        assert_eq!(written(&choice, "yes (1)"), (true, true));
        assert_eq!(written(&choice, "ye"), (true, false));
        assert_eq!(written(&choice, "yes, 1"), (false, false));
        let digits = Grammar::Regex("[0-9]{2,3}".into());
        assert_eq!(
            [written(&digits, "1"), written(&digits, "12"), written(&digits, "1234")],
            [(true, false), (true, true), (false, false)]
        );
        let lark = Grammar::Lark("start: \"a\" start \"b\" | \"c\"".into());
        assert_eq!([written(&lark, "aacbb"), written(&lark, "aacb")], [(true, true), (true, false)]);
        assert!(written(&Grammar::json_object(), "{\"a\": [1, {}]}").1 && !written(&Grammar::json_object(), "[1]").0);
    }

    #[test]
    fn an_answer_ends_where_nothing_can_follow() {
        let mut held = bytes().hold(&Grammar::Regex("ok".into()), &[END]).expect("a grammar");
        assert!(!held.is_whole());
        for byte in *b"ok" {
            held.allow(&mut vec![0.0; 258]).expect("goes on");
            held.take(u32::from(byte)).expect("allowed");
        }
        assert!(held.is_whole());
        let mut logits = vec![0.0; 258];
        held.allow(&mut logits).expect("ends");
        assert_eq!(logits.iter().filter(|logit| **logit == 0.0).count(), 1);
        held.take(END).expect("the end changes nothing");
    }

    #[test]
    fn what_cannot_be_held_to_is_a_sentence() {
        for grammar in [
            Grammar::JsonSchema(json!({ "type": "thing" })),
            Grammar::JsonSchema(json!(7)),
            Grammar::Regex("(".into()),
            Grammar::Lark("start: missing".into()),
        ] {
            let said = grammar.check().expect_err("refused").to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "{said}");
        }
    }
}

//! From text to an encoder's tokens: the checkpoint's own tokenizer with its special tokens, cut to what fits (the
//! longer of a pair loses first, as in transformers), and what sentence-transformers does to a text before: lower case,
//! prompts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tokenizers::{EncodeInput, TruncationDirection, TruncationParams, TruncationStrategy};

use super::graph::Input;
use super::pipeline::read_json;
use crate::error::{Error, Result};
use crate::tokenizer::Inner;

/// The least tokens that hold a pair of texts: RoBERTa writes four special ones around it.
pub(super) const SHORTEST: usize = 6;

/// What a text is to a search. Some models were trained with another prompt before a question than before a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// No part of a search: the default prompt, where there is one.
    Plain,
    /// The question.
    Query,
    /// A text that may answer it.
    Document,
}

/// Turns texts into tokens as one checkpoint wants them.
pub(super) struct Texts {
    /// Truncates, and does not pad.
    tokenizer: Inner,
    prepare: Prepare,
}

/// What sentence-transformers does to a text before its tokenizer sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prepare {
    /// Whitespace around a text is removed, as sentence-transformers does.
    pub strip: bool,
    /// The text is lower-cased.
    pub lower_case: bool,
    /// The most tokens, where the checkpoint says so.
    pub max_length: Option<usize>,
    prompts: BTreeMap<String, String>,
    default_prompt: Option<String>,
}

/// sentence_bert_config.json
#[derive(Debug, Default, Deserialize)]
struct RawTransformer {
    max_seq_length: Option<u64>,
    do_lower_case: Option<bool>,
}

/// config_sentence_transformers.json
#[derive(Debug, Default, Deserialize)]
struct RawPrompts {
    prompts: Option<BTreeMap<String, Option<String>>>,
    default_prompt_name: Option<String>,
}

/// The names that a transformer module's own config has had (`Transformer.load` in sentence-transformers).
const TRANSFORMER_CONFIGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

impl Prepare {
    /// Reads what a sentence-transformers model says: `folder` has the prompts, `transformer` the tokenizer.
    pub(super) fn read(folder: &Path, transformer: &Path) -> Result<Self> {
        let mut raw = RawTransformer::default();
        for name in TRANSFORMER_CONFIGS {
            if let Some(found) = read_json(&transformer.join(name))? {
                raw = found;
                break;
            }
        }
        let file = folder.join("config_sentence_transformers.json");
        let RawPrompts { prompts, default_prompt_name } = read_json(&file)?.unwrap_or_default();
        let prompts: BTreeMap<String, String> =
            prompts.unwrap_or_default().into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
        if let Some(name) = default_prompt_name.as_ref().filter(|name| !prompts.contains_key(*name)) {
            let what = format!("default_prompt_name {name:?} is none of the prompts");
            return Err(Error::broken(file.display().to_string(), what));
        }
        Ok(Self {
            strip: true,
            lower_case: raw.do_lower_case.unwrap_or(false),
            max_length: raw.max_seq_length.and_then(|tokens| usize::try_from(tokens).ok()),
            default_prompt: default_prompt_name,
            prompts,
        })
    }

    /// The words put before a text of this role; a role without its own gets the default's, if there is one.
    fn prompt(&self, role: Role) -> &str {
        let names: &[&str] = match role {
            Role::Plain => &[],
            Role::Query => &["query"],
            Role::Document => &["document", "passage", "corpus"],
        };
        let own = names.iter().find_map(|name| self.prompts.get(*name));
        let default = || self.prompts.get(self.default_prompt.as_ref()?);
        own.or_else(default).map_or("", String::as_str)
    }

    fn apply(&self, text: &str, role: Role) -> String {
        let text = format!("{}{text}", self.prompt(role));
        let text = if self.strip { text.trim() } else { &text };
        if self.lower_case { text.to_lowercase() } else { text.to_owned() }
    }
}

impl Texts {
    /// Takes a tokenizer and cuts at `max_length` tokens, the special ones among them.
    pub(super) fn new(tokenizer: &Inner, prepare: Prepare, max_length: usize) -> Result<Self> {
        let mut tokenizer = tokenizer.clone();
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: max_length.max(SHORTEST),
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| Error::Request(format!("cannot truncate: {e}")))?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, prepare })
    }

    /// Gives the tokens of a text, or of two that are read together.
    pub(super) fn read(&self, text: &str, pair: Option<&str>, role: Role) -> Result<Input> {
        let text = self.prepare.apply(text, role);
        let input = match pair {
            None => EncodeInput::Single(text.into()),
            Some(pair) => EncodeInput::Dual(text.into(), self.prepare.apply(pair, role).into()),
        };
        let encoding = self.tokenizer.encode_fast(input, true);
        let encoding = encoding.map_err(|e| Error::Request(format!("cannot tokenize the text: {e}")))?;
        if encoding.get_ids().is_empty() {
            return Err(Error::Request("a text without any token has no vector; leave it out of the data".into()));
        }
        Ok(Input {
            tokens: encoding.get_ids().to_vec(),
            types: encoding.get_type_ids().to_vec(),
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_gets_its_own_prompt_or_the_default() {
        let prompts = [("query", "Q: "), ("passage", "P: "), ("sts", "S: ")];
        let prompts: BTreeMap<String, String> = prompts.map(|(n, t)| (n.to_owned(), t.to_owned())).into();
        let mut prepare = Prepare { prompts, strip: true, ..Prepare::default() };
        assert_eq!(prepare.apply(" A b ", Role::Query), "Q:  A b");
        assert_eq!(prepare.apply("A", Role::Document), "P: A");
        assert_eq!(prepare.apply(" A ", Role::Plain), "A");
        prepare.default_prompt = Some("sts".into());
        prepare.lower_case = true;
        assert_eq!(prepare.apply("A", Role::Plain), "s: a");
    }
}

//! From text to tokens and back, exactly as the checkpoint's own tokenizer does it. The algorithm is the `tokenizers`
//! crate's; this adds the rules that stand outside tokenizer.json: which tokens begin and end a sequence, whether they
//! are added, and the chat templates, which are kept as text and rendered in `chat`.
//!
//! `files` reads a checkpoint's own files (`early` and `sentencepiece` those from before tokenizer.json), `gguf` the
//! metadata of a GGUF file, with `pieces` and `splitters` for the two kinds there are, and `components` is what
//! bantam's own GGUF files say besides. `compact` keeps a vocabulary in little memory. `claims` and `guard` stand before the crate where a file is hostile. `summary` gives a tokenizer's facts without building it, `trim` leaves tokens out, `words` says what bytes tokens stand for.

mod claims;
mod compact;
pub(crate) mod components;
mod early;
mod files;
pub mod gguf;
mod guard;
mod pieces;
mod sentencepiece;
pub(crate) mod splitters;
mod summary;
mod trim;
mod words;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::processors::PostProcessorWrapper;

use super::error::{Error, Result};
pub use compact::Inner;
pub use files::Files;
#[cfg(test)]
pub(crate) use files::Vocabulary;
pub(crate) use pieces::{Pieces, TokenKind};
pub use summary::Summary;
pub use trim::Trimmed;
pub use words::Word;

/// A special token.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    bos: Option<Token>,
    eos: Option<Token>,
    adds_bos: bool,
    special_tokens: BTreeMap<String, String>,
    chat_templates: BTreeMap<String, String>,
}

/// A special token: its id, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// How it is written, such as `</s>`.
    pub text: String,
}

/// Whether special tokens count: in `encode`, those the checkpoint wants around a text (mostly one at the beginning);
/// in `decode`, those among the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// They are added, or written out.
    With,
    /// They are not added, or left out of the text.
    Without,
}

/// Which special tokens are set around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    bos: bool,
    eos: bool,
}

impl Tokenizer {
    /// `rule` overrides what the tokenizer does by itself.
    fn new(
        mut inner: tokenizers::Tokenizer,
        bos: Option<Token>,
        eos: Option<Token>,
        rule: Option<Rule>,
    ) -> tokenizers::Result<Self> {
        // a checkpoint may ship settings for training batches; scores need every token of a text and no others
        inner.with_truncation(None)?;
        inner.with_padding(None);
        if let Some(rule) = rule {
            inner.with_post_processor(Some(frame(
                bos.as_ref().filter(|_| rule.bos),
                eos.as_ref().filter(|_| rule.eos),
            )?));
        }
        let inner = compact::of(&inner)?;
        let first = guard::guarded(|| inner.encode("", true))?.get_ids().first().copied();
        let adds_bos = first.is_some() && first == bos.as_ref().map(|token| token.id);
        let named = [("bos_token", &bos), ("eos_token", &eos)].into_iter();
        let special_tokens = named.filter_map(|(role, token)| Some((role.to_owned(), token.as_ref()?.text.clone())));
        Ok(Self {
            special_tokens: special_tokens.collect(),
            adds_bos,
            inner,
            bos,
            eos,
            chat_templates: BTreeMap::new(),
        })
    }

    /// Gives the tokens of a text. Special tokens that are written out in the text become themselves.
    ///
    /// # Errors
    /// Where the tokenizer cannot read the text.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<u32>> {
        let encoding = guard::guarded(|| self.inner.encode_fast(text, special == Special::With));
        let encoding = encoding.map_err(|e| Error::Request(format!("cannot tokenize the text: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Gives the tokens of a text as `encode` with `Special::With` does, but for special tokens that are written out in
    /// it: they are the letters that they are written with, as llama.cpp's programs read the texts of files.
    ///
    /// # Errors
    /// As `encode`.
    pub fn encode_letters(&self, text: &str) -> Result<Vec<u32>> {
        let mut inner = self.inner.clone();
        inner.set_encode_special_tokens(true);
        Self { inner, ..self.clone() }.encode(text, Special::With)
    }

    /// Gives the text of tokens; without special tokens it reads as a person wrote it.
    ///
    /// # Errors
    /// Where the tokenizer cannot put the tokens together.
    pub fn decode(&self, tokens: &[u32], special: Special) -> Result<String> {
        let text = guard::guarded(|| self.inner.decode(tokens, special == Special::Without));
        text.map_err(|e| Error::Request(format!("cannot decode the tokens: {e}")))
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> Option<&Token> {
        self.bos.as_ref()
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<&Token> {
        self.eos.as_ref()
    }

    /// Whether `encode` with `Special::With` begins with `bos`.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// The Jinja template that turns a conversation into a prompt; `None` where the checkpoint has none by the name
    /// `default`.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_templates.get("default").map(String::as_str)
    }

    /// All chat templates by name, such as `default` and `tool_use`.
    pub fn chat_templates(&self) -> &BTreeMap<String, String> {
        &self.chat_templates
    }

    /// The special tokens as they are written, by their roles: `bos_token`, `pad_token` and so on.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.special_tokens
    }

    /// How many tokens there are, special ones included.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there are no tokens at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives it as the files of a checkpoint that transformers reads, by their names: for a model that has none of them.
    ///
    /// # Errors
    /// Where the tokenizer cannot be written.
    pub fn files(&self) -> Result<Vec<(String, String)>> {
        let whole = self.inner.to_string(true);
        let whole = whole.map_err(|e| Error::Request(format!("cannot write the tokenizer: {e}")))?;
        let mut config: serde_json::Map<String, Value> =
            self.special_tokens.iter().map(|(role, text)| (role.clone(), json!(text))).collect();
        // what stands around a text is said in tokenizer.json
        config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
        config.insert("clean_up_tokenization_spaces".into(), json!(false));
        let config = serde_json::to_string_pretty(&config).expect("names and texts are always written") + "\n";
        let templates = self.chat_templates.iter().map(|(name, template)| match name.as_str() {
            "default" => ("chat_template.jinja".to_owned(), template.clone()),
            name => (format!("additional_chat_templates/{name}.jinja"), template.clone()),
        });
        let files = [("tokenizer.json".to_owned(), whole), ("tokenizer_config.json".to_owned(), config)];
        Ok(files.into_iter().chain(templates).collect())
    }

    /// The `tokenizers` crate's tokenizer, for what looks inside: export writes its vocabulary and merges.
    pub fn inner(&self) -> &Inner {
        &self.inner
    }
}

/// A post-processor that sets these tokens around a text, and around the second of two.
fn frame(before: Option<&Token>, after: Option<&Token>) -> tokenizers::Result<PostProcessorWrapper> {
    let framed = |sequence: &str, of: u32| -> Vec<Value> {
        let piece = |token: &Token| json!({"SpecialToken": {"id": token.text, "type_id": of}});
        let text = json!({"Sequence": {"id": sequence, "type_id": of}});
        before.map(piece).into_iter().chain([text]).chain(after.map(piece)).collect()
    };
    let specials: serde_json::Map<String, Value> = before
        .into_iter()
        .chain(after)
        .map(|token| (token.text.clone(), json!({"id": token.text, "ids": [token.id], "tokens": [token.text]})))
        .collect();
    let pair = [framed("A", 0), framed("B", 1)].concat();
    let template = json!({"type": "TemplateProcessing", "single": framed("A", 0), "pair": pair,
        "special_tokens": specials});
    Ok(serde_json::from_value(template)?)
}

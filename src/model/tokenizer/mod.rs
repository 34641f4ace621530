//! Text to tokens and back, exactly as the checkpoint's own tokenizer does it. The algorithm is the `tokenizers`
//! crate's; this adds the rules that stand outside tokenizer.json: which tokens begin and end a sequence, whether the
//! first is added, and the chat template, which is kept as text and rendered elsewhere.

mod rebuild;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::processors::PostProcessorWrapper;

use super::error::{Error, Result};

/// A checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<Token>,
    eos: Option<Token>,
    adds_bos: bool,
    chat_template: Option<String>,
}

/// A special token: its id, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: u32,
    pub text: String,
}

/// Whether special tokens count: in `encode`, those the checkpoint wants around a text (mostly one at the beginning);
/// in `decode`, those among the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    With,
    Without,
}

/// tokenizer_config.json, as far as it matters.
#[derive(Debug, Default, Deserialize)]
struct RawConfig {
    tokenizer_class: Option<String>,
    add_bos_token: Option<bool>,
    bos_token: Option<Value>,
    eos_token: Option<Value>,
    chat_template: Option<Value>,
}

/// The files a tokenizer is read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    /// tokenizer.json.
    pub tokenizer: &'a [u8],
    /// tokenizer_config.json.
    pub config: Option<&'a [u8]>,
    /// chat_template.jinja, which newer checkpoints have instead of a key in tokenizer_config.json.
    pub chat_template: Option<&'a [u8]>,
    /// The ids config.json names, for checkpoints whose tokenizer_config.json names none.
    pub bos: Option<u32>,
    pub eos: Option<u32>,
}

impl Tokenizer {
    /// Reads tokenizer.json and what stands beside it. `folder` names the place in errors.
    pub(super) fn from_files(files: Files, folder: &str) -> Result<Self> {
        let inner = tokenizers::Tokenizer::from_bytes(files.tokenizer)
            .map_err(|e| Error::broken(format!("{folder}/tokenizer.json"), format!("not a tokenizer: {e}")))?;
        let config: RawConfig = match files.config {
            None => RawConfig::default(),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|e| {
                Error::broken(format!("{folder}/tokenizer_config.json"), format!("not a tokenizer config: {e}"))
            })?,
        };
        let find = |named: Option<&Value>, id: Option<u32>| {
            let named = named.and_then(token_text).and_then(|text| Some((inner.token_to_id(text)?, text.to_owned())));
            let (id, text) = named.or_else(|| id.and_then(|id| Some((id, inner.id_to_token(id)?))))?;
            Some(Token { id, text })
        };
        let (bos, eos) = (find(config.bos_token.as_ref(), files.bos), find(config.eos_token.as_ref(), files.eos));
        let template = files.chat_template.map(|text| String::from_utf8_lossy(text).into_owned());
        let chat_template = template.or_else(|| default_template(config.chat_template?));
        // LlamaTokenizer rewrites its post-processor from this flag; other classes leave tokenizer.json as it is
        let rewritten = config.tokenizer_class.is_some_and(|class| class.starts_with("LlamaTokenizer"));
        let rule = config.add_bos_token.filter(|_| rewritten);
        Self::new(inner, bos, eos, rule, chat_template)
            .map_err(|e| Error::broken(format!("{folder}/tokenizer.json"), e.to_string()))
    }

    /// `adds_bos` overrides what the tokenizer does by itself.
    fn new(
        mut inner: tokenizers::Tokenizer,
        bos: Option<Token>,
        eos: Option<Token>,
        adds_bos: Option<bool>,
        chat_template: Option<String>,
    ) -> tokenizers::Result<Self> {
        // a checkpoint may ship settings for training batches; scores need every token of a text and no others
        inner.with_truncation(None)?;
        inner.with_padding(None);
        let begins = |inner: &tokenizers::Tokenizer| -> tokenizers::Result<bool> {
            let first = inner.encode("", true)?.get_ids().first().copied();
            Ok(first.is_some() && first == bos.as_ref().map(|token| token.id))
        };
        let adds = begins(&inner)?;
        if let Some(wanted) = adds_bos.filter(|&wanted| wanted != adds) {
            inner.with_post_processor(Some(frame(bos.as_ref().filter(|_| wanted), None)?));
        }
        Ok(Self { adds_bos: begins(&inner)?, inner, bos, eos, chat_template })
    }

    /// The tokens of a text. Special tokens that are written out in the text become themselves.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, special == Special::With);
        let encoding = encoding.map_err(|e| Error::Request(format!("cannot tokenize the text: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens; without special tokens it reads as a person wrote it.
    pub fn decode(&self, tokens: &[u32], special: Special) -> Result<String> {
        let text = self.inner.decode(tokens, special == Special::Without);
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

    /// The Jinja template that turns a conversation into a prompt, where the checkpoint has one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// How many tokens there are, special ones included.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The library's own tokenizer, for what looks inside: export writes its vocabulary and merges.
    pub fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }
}

/// A token is written as a string, or as a table with its content.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// A template, or a list of named ones, of which "default" is meant.
fn default_template(value: Value) -> Option<String> {
    match value {
        Value::String(template) => Some(template),
        Value::Array(named) => {
            let default = named.into_iter().find(|entry| entry["name"] == "default")?;
            default["template"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// A post-processor that sets these tokens around a text.
fn frame(before: Option<&Token>, after: Option<&Token>) -> tokenizers::Result<PostProcessorWrapper> {
    let piece = |token: &Token| json!({"SpecialToken": {"id": token.text, "type_id": 0}});
    let whole: Vec<Value> = before
        .map(piece)
        .into_iter()
        .chain([json!({"Sequence": {"id": "A", "type_id": 0}})])
        .chain(after.map(piece))
        .collect();
    let specials: serde_json::Map<String, Value> = before
        .into_iter()
        .chain(after)
        .map(|token| (token.text.clone(), json!({"id": token.text, "ids": [token.id], "tokens": [token.text]})))
        .collect();
    let template = json!({"type": "TemplateProcessing", "single": whole, "pair": [
        {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": specials});
    Ok(serde_json::from_value(template)?)
}

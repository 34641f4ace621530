//! What can be said of a tokenizer without building it. A vocabulary of 150,000 tokens with its merges takes a quarter
//! of a second to build; to count its tokens, and to learn what is set around a text, a small one is enough: the same
//! files with only the tokens in it that have a part to play.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Tokenizer;
use super::files::{Files, Vocabulary};
use super::splitters::Splitter;
use crate::error::{Error, Result};
use bantam_format::gguf::Gguf;

/// What is known of a tokenizer without building it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many tokens there are, special ones included.
    pub tokens: usize,
    /// Whether a text is begun with the BOS token.
    pub adds_bos: bool,
    /// The names of its chat templates; the one without a name of its own is `default`.
    pub chat_templates: Vec<String>,
}

impl From<&Tokenizer> for Summary {
    fn from(tokenizer: &Tokenizer) -> Self {
        Self {
            tokens: tokenizer.len(),
            adds_bos: tokenizer.adds_bos(),
            chat_templates: tokenizer.chat_templates().keys().cloned().collect(),
        }
    }
}

impl Summary {
    /// Whether there is a chat template without a name of its own.
    pub fn has_chat_template(&self) -> bool {
        self.chat_templates.iter().any(|name| name == "default")
    }

    /// Of a checkpoint's files. Merges are not looked at: whether they fit the vocabulary shows when it is loaded.
    pub(crate) fn of_files(mut files: Files, bos: Option<u32>, eos: Option<u32>) -> Result<Self> {
        let Vocabulary::Json(json) = &files.vocabulary else { return Ok(Self::from(&files.tokenizer(bos, eos)?)) };
        let not_a_tokenizer = |e: serde_json::Error| {
            Error::broken(format!("{}/tokenizer.json", files.place), format!("not a tokenizer: {e}"))
        };
        let mut shell: Shell = serde_json::from_slice(json).map_err(not_a_tokenizer)?;
        let texts: HashSet<&str> = shell.added_tokens.iter().filter_map(|token| token["content"].as_str()).collect();
        let wanted = Wanted { texts, ids: [bos, eos] };
        let vocabulary = At { keys: &["model", "vocab"], wanted: &wanted };
        let counted = vocabulary.deserialize(&mut serde_json::Deserializer::from_slice(json));
        let counted = counted.map_err(not_a_tokenizer)?;
        // added tokens have their numbers whether or not the vocabulary has them, too
        let mut vocab = counted.found;
        let mut tokens = counted.entries;
        for added in &shell.added_tokens {
            if let (Some(text), Some(id)) = (added["content"].as_str(), added["id"].as_u64()) {
                tokens += usize::from(!vocab.contains_key(text));
                vocab.entry(text.to_owned()).or_insert(id);
            }
        }
        let inside = vocab.len();
        shell.rest.insert("added_tokens".into(), shell.added_tokens.into());
        shell.rest.insert("model".into(), json!({"type": "WordLevel", "vocab": vocab, "unk_token": ""}));
        files.vocabulary = Vocabulary::Json(serde_json::to_vec(&shell.rest).map_err(not_a_tokenizer)?);
        let without_texts = Self::from(&files.tokenizer(bos, eos)?);
        Ok(Self { tokens: without_texts.tokens + tokens - inside, ..without_texts })
    }

    /// Of a GGUF file.
    pub(crate) fn of_gguf(gguf: &Gguf) -> Result<Self> {
        let default = match gguf.string("tokenizer.ggml.model")? {
            "llama" => true,
            "gpt2" => {
                let pre = gguf.optional_string("tokenizer.ggml.pre").unwrap_or("default");
                Splitter::named(pre).is_some_and(|splitter| splitter.adds_bos)
            }
            _ => return Ok(Self::from(&Tokenizer::from_gguf(gguf)?)),
        };
        let has_bos = gguf.has("tokenizer.ggml.bos_token_id");
        Ok(Self {
            tokens: gguf.list_len("tokenizer.ggml.tokens")?,
            adds_bos: has_bos && gguf.optional_bool("tokenizer.ggml.add_bos_token", default),
            chat_templates: templates_of(gguf),
        })
    }
}

fn templates_of(gguf: &Gguf) -> Vec<String> {
    let default = gguf.has("tokenizer.chat_template").then(|| "default".to_owned());
    let named = gguf.metadata().keys().filter_map(|key| key.strip_prefix("tokenizer.chat_template."));
    default.into_iter().chain(named.map(str::to_owned)).collect()
}

/// tokenizer.json without its model.
#[derive(Deserialize)]
struct Shell {
    #[serde(default)]
    added_tokens: Vec<Value>,
    #[serde(rename = "model")]
    _model: IgnoredAny,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// The tokens with a part to play: those that are added, and those whose numbers config.json gives.
struct Wanted<'a> {
    texts: HashSet<&'a str>,
    ids: [Option<u32>; 2],
}

impl Wanted<'_> {
    fn has(&self, text: &str, id: u64) -> bool {
        self.texts.contains(text) || self.ids.iter().flatten().any(|&wanted| u64::from(wanted) == id)
    }
}

/// How many entries a vocabulary has, and the numbers of those that were sought.
#[derive(Default)]
struct Counted {
    entries: usize,
    found: BTreeMap<String, u64>,
}

/// Where the vocabulary is: down these keys, past all others.
struct At<'a> {
    keys: &'static [&'static str],
    wanted: &'a Wanted<'a>,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Counted;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Counted, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Counted;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(if self.keys.is_empty() { "a table of tokens, or a list of pieces" } else { "a table" })
    }

    /// A table on the way, or tokens with their numbers.
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Counted, M::Error> {
        let mut counted = Counted::default();
        if let [key, keys @ ..] = self.keys {
            while let Some(found) = map.next_key::<String>()? {
                match found == *key {
                    true => counted = map.next_value_seed(At { keys, ..self })?,
                    false => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            return Ok(counted);
        }
        while let Some((token, id)) = map.next_entry::<Cow<'de, str>, u64>()? {
            counted.entries += 1;
            if self.wanted.has(&token, id) {
                counted.found.insert(token.into_owned(), id);
            }
        }
        Ok(counted)
    }

    /// Pieces with their scores, in the order of their numbers.
    fn visit_seq<S: SeqAccess<'de>>(self, mut pieces: S) -> std::result::Result<Counted, S::Error> {
        let mut counted = Counted::default();
        while let Some((piece, _)) = pieces.next_element::<(String, IgnoredAny)>()? {
            if self.wanted.has(&piece, counted.entries as u64) {
                counted.found.insert(piece, counted.entries as u64);
            }
            counted.entries += 1;
        }
        Ok(counted)
    }
}

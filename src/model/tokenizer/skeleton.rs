//! What GGUF has no words for: a tokenizer without its tokens. bantam writes it beside GGUF's own keys (the normalizer,
//! the exact pattern, the flags of added tokens, what stands around a text), so that a file that bantam wrote tokenizes
//! exactly as the checkpoint did. Other readers ignore the key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

/// The key, a text of JSON.
pub(crate) const KEY: &str = "bantam.tokenizer";

/// tokenizer.json without vocabulary and merges; added tokens by their flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skeleton {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Map<String, Value>,
    /// The numbers of tokens found before anything else, by their flags: s(pecial), n(ormalized), l(strip), r(strip),
    /// w (single word).
    added: BTreeMap<String, Vec<u32>>,
}

/// The letters of flags, and their names in tokenizer.json.
const FLAGS: [(char, &str); 5] =
    [('s', "special"), ('n', "normalized"), ('l', "lstrip"), ('r', "rstrip"), ('w', "single_word")];

/// The lists of the model that GGUF has keys for.
const LISTS: [&str; 2] = ["vocab", "merges"];

impl Skeleton {
    /// Of a tokenizer.json.
    pub fn of(json: &Value) -> Self {
        let part = |name: &str| json.get(name).cloned().unwrap_or_default();
        let model = json["model"].as_object().into_iter().flatten().filter(|(key, _)| !LISTS.contains(&key.as_str()));
        let mut added: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for token in json["added_tokens"].as_array().into_iter().flatten() {
            let flags = FLAGS.iter().filter(|(_, name)| token[*name] == true).map(|(letter, _)| *letter).collect();
            added.entry(flags).or_default().extend(token["id"].as_u64().and_then(|id| u32::try_from(id).ok()));
        }
        Self {
            normalizer: part("normalizer"),
            pre_tokenizer: part("pre_tokenizer"),
            post_processor: part("post_processor"),
            decoder: part("decoder"),
            model: model.map(|(key, value)| (key.clone(), value.clone())).collect(),
            added,
        }
    }

    pub fn read(text: &str) -> tokenizers::Result<Self> {
        serde_json::from_str(text).map_err(|e| format!("{KEY}: {e}").into())
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("text keys and JSON values are always written")
    }

    /// The tokenizer, with tokens and merges given back. `tokens` has every token at its number.
    pub fn clothe(
        &self,
        vocab: BTreeMap<String, u32>,
        merges: Vec<(String, String)>,
        tokens: &[String],
    ) -> tokenizers::Result<Tokenizer> {
        let mut model = self.model.clone();
        model.insert("vocab".into(), json!(vocab));
        model.insert("merges".into(), json!(merges));
        let mut added = Vec::new();
        for (flags, ids) in &self.added {
            for &id in ids {
                let content = tokens.get(id as usize).ok_or_else(|| format!("{KEY}: there is no token {id}"))?;
                let mut token = json!({"id": id, "content": content});
                FLAGS.iter().for_each(|(letter, name)| token[*name] = flags.contains(*letter).into());
                added.push(token);
            }
        }
        added.sort_by_key(|token| token["id"].as_u64());
        let whole = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor, "decoder": self.decoder, "model": model});
        Ok(serde_json::from_value(whole)?)
    }
}

//! The parts of a tokenizer that GGUF has no keys for: tokenizer.json without its tokens. bantam writes it beside
//! GGUF's own keys (the normalizer, the exact pattern, the flags of added tokens, what stands around a text), so that a
//! file that bantam wrote tokenizes exactly as the checkpoint did. Other readers ignore the key.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::claims;

/// The key of a GGUF file that has them, as a string of JSON.
pub(crate) const KEY: &str = "bantam.tokenizer";

/// tokenizer.json without vocabulary and merges; added tokens by their flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Components {
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

impl Components {
    /// Takes them out of a tokenizer.json.
    pub(crate) fn of(json: &Value) -> Self {
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

    /// Reads what `write` wrote.
    pub(crate) fn read(text: &str) -> tokenizers::Result<Self> {
        serde_json::from_str(text).map_err(|e| format!("{KEY}: {e}").into())
    }

    /// Writes them as JSON.
    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).expect("text keys and JSON values are always written")
    }

    /// Builds the tokenizer, with tokens and merges given back. `tokens` has every token at its number.
    pub(crate) fn with_vocabulary(
        &self,
        vocab: Vocab,
        merges: Vec<(String, String)>,
        tokens: &[String],
    ) -> tokenizers::Result<Tokenizer> {
        claims::check_parts(&self.normalizer, &self.pre_tokenizer, &self.post_processor, &self.decoder)?;
        let mut inner = Tokenizer::new(self.model(vocab, merges)?);
        inner.with_normalizer(part::<NormalizerWrapper>(&self.normalizer)?)?;
        inner.with_pre_tokenizer(part::<PreTokenizerWrapper>(&self.pre_tokenizer)?);
        inner.with_post_processor(part::<PostProcessorWrapper>(&self.post_processor)?);
        inner.with_decoder(part::<DecoderWrapper>(&self.decoder)?);
        let (mut special, mut plain) = (Vec::new(), Vec::new());
        for (flags, ids) in &self.added {
            let has = |letter: char| flags.contains(letter);
            for &id in ids {
                let content = tokens.get(id as usize).ok_or_else(|| format!("{KEY}: there is no token {id}"))?;
                let token = AddedToken::from(content.clone(), has('s'))
                    .normalized(has('n'))
                    .lstrip(has('l'))
                    .rstrip(has('r'))
                    .single_word(has('w'));
                if has('s') { special.push(token) } else { plain.push(token) }
            }
        }
        inner.add_special_tokens(special)?;
        inner.add_tokens(plain)?;
        Ok(inner)
    }

    fn model(&self, vocab: Vocab, merges: Vec<(String, String)>) -> tokenizers::Result<BPE> {
        let flag = |key: &str| self.model.get(key).and_then(Value::as_bool).unwrap_or(false);
        let text = |key: &str| self.model.get(key).and_then(Value::as_str).map(str::to_owned);
        let prefix = text("continuing_subword_prefix").unwrap_or_default();
        let pairs = merges.iter().map(|(left, right)| (left.as_str(), right.as_str()));
        claims::check_merges(vocab.keys().map(String::as_str), pairs, &prefix)?;
        let mut model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .fuse_unk(flag("fuse_unk"))
            .byte_fallback(flag("byte_fallback"))
            .ignore_merges(flag("ignore_merges"));
        if let Some(unknown) = text("unk_token") {
            model = model.unk_token(unknown);
        }
        if let Some(prefix) = text("continuing_subword_prefix") {
            model = model.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = text("end_of_word_suffix") {
            model = model.end_of_word_suffix(suffix);
        }
        model.build()
    }
}

/// A part of tokenizer.json, where there is one.
fn part<T: DeserializeOwned>(json: &Value) -> tokenizers::Result<Option<T>> {
    Ok(serde_json::from_value(json.clone())?)
}

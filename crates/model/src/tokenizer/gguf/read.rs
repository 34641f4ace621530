//! A tokenizer out of the metadata of a GGUF file, which stores its parts (tokens, scores or merges, types) and the
//! name of the way it splits text, but not tokenizer.json. Two kinds are known: `llama`, a SentencePiece vocabulary
//! whose merges follow from the scores, and `gpt2`, byte-level BPE. Files that bantam wrote say the rest in their
//! `components`, and nothing is left to be known.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper};

use crate::error::{Error, Result};
use crate::tokenizer::claims;
use crate::tokenizer::components::{self, Components};
use crate::tokenizer::guard::guarded;
use crate::tokenizer::pieces::{self, Pieces, TokenKind};
use crate::tokenizer::splitters::Splitter;
use crate::tokenizer::{Rule, Token, Tokenizer};
use bantam_format::gguf::Gguf;

impl Tokenizer {
    /// Rebuilds the tokenizer a GGUF file describes.
    ///
    /// # Errors
    /// Where parts are missing or do not fit together, and on a kind or a splitting rule that is not known, since
    /// guessing would tokenize wrongly without a word.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let vocabulary = GgufVocabulary::read(gguf)?;
        let mut failed = None;
        let rebuilt = guarded(|| Ok(vocabulary.tokenizer().map_err(|error| failed = Some(error)).ok()));
        match (rebuilt, failed) {
            (Ok(Some(tokenizer)), _) => Ok(tokenizer),
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(vocabulary.broken(error)),
            (Ok(None), None) => unreachable!("a tokenizer that is not there has failed"),
        }
    }
}

/// The key under which a file may hold all of tokenizer.json.
const WHOLE: &str = "tokenizer.huggingface.json";

/// Roles of special tokens, as transformers and as GGUF names them.
static ROLES: &[(&str, &str)] =
    &[("unk_token", "unknown"), ("sep_token", "seperator"), ("pad_token", "padding"), ("mask_token", "mask")];

/// The key of a special token's id.
fn id_key(role: &str) -> String {
    format!("tokenizer.ggml.{role}_token_id")
}

/// A space as gguf-py writes it in merges of tokens that hold spaces, so that the one between the two is found.
const WRITTEN_SPACE: char = '\u{120}';

/// The two sides of a merge: where both and what they make are tokens, whether spaces in them are written as such or as
/// gguf-py does; else those around the first space, but for one at the beginning.
fn pair(merge: &str, tokens: &HashSet<&str>) -> Option<(String, String)> {
    let sides = |merge: &str| {
        let at = merge.match_indices(' ').map(|(at, _)| (merge[..at].to_owned(), merge[at + 1..].to_owned()));
        at.collect::<Vec<_>>()
    };
    let known = |(left, right): &(String, String)| {
        let whole = format!("{left}{right}");
        [left, right, &whole].into_iter().all(|token| tokens.contains(token.as_str()))
    };
    let written = sides(merge);
    let spaced =
        written.iter().map(|(left, right)| (left.replace(WRITTEN_SPACE, " "), right.replace(WRITTEN_SPACE, " ")));
    let found = written.iter().find(|sides| known(sides)).cloned().or_else(|| spaced.clone().find(known));
    found.or_else(|| written.into_iter().find(|(left, _)| !left.is_empty()))
}

/// The parts, read and checked against each other.
struct GgufVocabulary<'a> {
    gguf: &'a Gguf,
    tokens: Vec<String>,
    kinds: Vec<TokenKind>,
}

impl<'a> GgufVocabulary<'a> {
    fn read(gguf: &'a Gguf) -> Result<Self> {
        let tokens = gguf.strings("tokenizer.ggml.tokens")?;
        let kinds = match gguf.has("tokenizer.ggml.token_type") {
            false => vec![TokenKind::Normal; tokens.len()],
            true => {
                let numbers = gguf.integers("tokenizer.ggml.token_type")?;
                let kinds: Option<Vec<TokenKind>> = numbers.into_iter().map(TokenKind::of).collect();
                kinds.ok_or_else(|| {
                    Error::broken(gguf.file(), "tokenizer.ggml.token_type holds a number outside 1 to 6")
                })?
            }
        };
        if tokens.is_empty() || kinds.len() != tokens.len() {
            let what = format!("tokenizer.ggml.token_type has {} entries for {} tokens", kinds.len(), tokens.len());
            return Err(Error::broken(gguf.file(), what));
        }
        Ok(Self { gguf, tokens, kinds })
    }

    fn tokenizer(&self) -> Result<Tokenizer> {
        let kind = self.gguf.string("tokenizer.ggml.model")?;
        let components = match self.gguf.optional_string(components::KEY) {
            Some(text) => Some(Components::read(text).map_err(|e| self.broken(e))?),
            None => None,
        };
        let (inner, adds_bos) = match (kind, &components) {
            (_, None) if self.gguf.has(WHOLE) => (self.whole_json()?, false),
            ("llama" | "gpt2", Some(components)) => (self.whole(components, kind == "llama")?, false),
            ("llama", None) => (self.pieces()?.tokenizer().map_err(|e| self.broken(e))?, true),
            ("gpt2", None) => self.byte_level()?,
            (other, _) => {
                let what = format!("tokenizer.ggml.model {other:?}");
                return Err(Error::unsupported(self.gguf.file(), what, "llama, gpt2"));
            }
        };
        let (bos, eos) = (self.token("bos")?, self.token("eos")?);
        let adds =
            |key: &str, default: bool| self.gguf.optional_bool(&format!("tokenizer.ggml.add_{key}_token"), default);
        let plain = components.is_none() && !self.gguf.has(WHOLE);
        let rule = plain.then(|| Rule { bos: adds("bos", adds_bos), eos: adds("eos", false) });
        if let Some(rule) = rule {
            self.refuse_missing("bos", rule.bos && bos.is_none())?;
            self.refuse_missing("eos", rule.eos && eos.is_none())?;
        }
        let mut tokenizer = Tokenizer::new(inner, bos, eos, rule).map_err(|e| self.broken(e))?;
        for (role, key) in ROLES {
            if let Some(token) = self.token(key)? {
                tokenizer.special_tokens.insert((*role).to_owned(), token.text);
            }
        }
        if let Some(template) = self.gguf.optional_string("tokenizer.chat_template") {
            tokenizer.chat_templates.insert("default".to_owned(), template.to_owned());
        }
        for key in self.gguf.metadata().keys() {
            if let (Some(name), Some(text)) =
                (key.strip_prefix("tokenizer.chat_template."), self.gguf.optional_string(key))
            {
                tokenizer.chat_templates.insert(name.to_owned(), text.to_owned());
            }
        }
        Ok(tokenizer)
    }

    /// The tokenizer.json that a file holds as it is.
    fn whole_json(&self) -> Result<tokenizers::Tokenizer> {
        let json = self.gguf.string(WHOLE)?;
        claims::check(json.as_bytes()).map_err(|what| Error::broken(self.gguf.file(), format!("{WHOLE}: {what}")))?;
        tokenizers::Tokenizer::from_bytes(json)
            .map_err(|e| Error::broken(self.gguf.file(), format!("{WHOLE} is no tokenizer: {e}")))
    }

    /// The tokenizer that the components and the file's own lists make together.
    fn whole(&self, components: &Components, pieces: bool) -> Result<tokenizers::Tokenizer> {
        let merges = match self.gguf.has("tokenizer.ggml.merges") {
            true => self.merges()?,
            false if pieces => self.pieces()?.merges_by_score(),
            false => return Err(Error::broken(self.gguf.file(), "tokenizer.ggml.merges is missing")),
        };
        let known = self.tokens.iter().zip(0..).zip(&self.kinds).filter(|(_, kind)| **kind != TokenKind::Unused);
        let vocab = known.map(|((token, id), _)| (token.clone(), id)).collect();
        components.with_vocabulary(vocab, merges, &self.tokens).map_err(|e| self.broken(e))
    }

    /// SentencePiece BPE: spaces become ▁, unknown characters their bytes.
    fn pieces(&self) -> Result<Pieces> {
        let scores = self.gguf.floats("tokenizer.ggml.scores")?;
        if scores.len() != self.tokens.len() {
            let what = format!("tokenizer.ggml.scores has {} entries for {} tokens", scores.len(), self.tokens.len());
            return Err(Error::broken(self.gguf.file(), what));
        }
        Ok(Pieces {
            tokens: self.tokens.clone(),
            kinds: self.kinds.clone(),
            scores,
            merges: self.gguf.has("tokenizer.ggml.merges").then(|| self.merges()).transpose()?,
            unknown: self.token("unknown")?.map(|token| token.id),
            prefixes_space: self.gguf.optional_bool("tokenizer.ggml.add_space_prefix", true),
            collapses_spaces: self.gguf.optional_bool("tokenizer.ggml.remove_extra_whitespaces", false),
        })
    }

    /// Byte-level BPE, and whether its splitting rule wants a first token.
    fn byte_level(&self) -> Result<(tokenizers::Tokenizer, bool)> {
        let name = self.gguf.optional_string("tokenizer.ggml.pre").unwrap_or("default");
        let splitter = Splitter::named(name).ok_or_else(|| {
            Error::unsupported(self.gguf.file(), format!("tokenizer.ggml.pre {name:?}"), Splitter::names())
        })?;
        let merges = self.merges()?;
        let pairs = merges.iter().map(|(left, right)| (left.as_str(), right.as_str()));
        claims::check_merges(self.tokens.iter().map(String::as_str), pairs, "").map_err(|e| self.broken(e.into()))?;
        let model = BPE::builder().vocab_and_merges(pieces::ids(&self.tokens), merges);
        let model = model.ignore_merges(splitter.whole_first).build().map_err(|e| self.broken(e))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let split =
            |p: &&str| json!({"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": false});
        let steps: Vec<Value> = splitter.patterns.iter().map(split).chain([bytes.clone()]).collect();
        let pre: PreTokenizerWrapper = self.part(json!({"type": "Sequence", "pretokenizers": steps}))?;
        inner.with_pre_tokenizer(Some(pre));
        inner.with_decoder(Some(self.part::<DecoderWrapper>(bytes)?));
        if splitter.composes {
            let composed: NormalizerWrapper = self.part(json!({"type": "NFC"}))?;
            inner.with_normalizer(Some(composed)).map_err(|e| self.broken(e))?;
        }
        pieces::add(&mut inner, &self.tokens, &self.kinds).map_err(|e| self.broken(e))?;
        Ok((inner, splitter.adds_bos))
    }

    fn merges(&self) -> Result<Vec<(String, String)>> {
        let merges = self.gguf.strings("tokenizer.ggml.merges")?;
        let tokens: HashSet<&str> = self.tokens.iter().map(String::as_str).collect();
        let pairs: Option<Vec<(String, String)>> = merges.iter().map(|merge| pair(merge, &tokens)).collect();
        pairs.ok_or_else(|| Error::broken(self.gguf.file(), "tokenizer.ggml.merges holds an entry that is no pair"))
    }

    /// The special token whose id the file names; none where the id is no token's, which is noted elsewhere
    /// (`config::ids`).
    fn token(&self, role: &str) -> Result<Option<Token>> {
        let key = id_key(role);
        let Some(value) = self.gguf.metadata().get(&key) else { return Ok(None) };
        let number = value.integer();
        let number = number.ok_or_else(|| Error::broken(self.gguf.file(), format!("{key} is not a whole number")))?;
        let found = u32::try_from(number).ok().and_then(|id| Some((id, self.tokens.get(id as usize)?)));
        Ok(found.map(|(id, text)| Token { id, text: text.clone() }))
    }

    /// Refuses an id that is no token's where the token has to be written.
    fn refuse_missing(&self, role: &str, missing: bool) -> Result<()> {
        let key = id_key(role);
        match self.gguf.metadata().get(&key).and_then(|value| value.integer()).filter(|_| missing) {
            None => Ok(()),
            Some(id) => {
                let tokens = self.tokens.len();
                let what = format!("{key} is {id}, a text is to have that token, and there are {tokens} tokens");
                Err(Error::broken(self.gguf.file(), what))
            }
        }
    }

    fn part<T: DeserializeOwned>(&self, json: Value) -> Result<T> {
        serde_json::from_value(json).map_err(|e| self.broken(e.into()))
    }

    fn broken(&self, error: tokenizers::Error) -> Error {
        Error::broken(self.gguf.file(), format!("its tokenizer cannot be rebuilt: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_of_tokens_with_spaces_are_told_apart_by_the_vocabulary() {
        let tokens = [" ", "  ", "   ", "a", " a", "\u{120}b", "\u{120}", "b"];
        let tokens: HashSet<&str> = tokens.into_iter().collect();
        let sides = |merge: &str| pair(merge, &tokens).map(|(left, right)| format!("{left}|{right}"));
        // literal spaces, and as gguf-py writes them
        for (merge, want) in [
            ("   ", " | "),
            ("    ", " |  "),
            ("\u{120} \u{120}", " | "),
            ("\u{120}\u{120} \u{120}", "  | "),
            ("  a", " |a"),
            ("\u{120} a", " |a"),
            // in a vocabulary of bytes the sign is a letter of its own
            ("\u{120} b", "\u{120}|b"),
            // what is no merge of this vocabulary is cut at its first space, for the error to name
            ("x y", "x|y"),
        ] {
            assert_eq!(sides(merge).as_deref(), Some(want), "{merge:?}");
        }
        assert_eq!(sides("ab"), None);
    }
}

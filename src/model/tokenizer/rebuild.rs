//! A tokenizer out of the metadata of a GGUF file, which stores its parts (tokens, scores or merges, types) and the
//! name of the way it splits text, but not tokenizer.json. Two kinds are known: `llama`, a SentencePiece vocabulary
//! whose merges follow from the scores, and `gpt2`, byte-level BPE.
//!
//! The splitting rules are llama.cpp's (`llm_tokenizer_bpe` in src/llama-vocab.cpp), the merges from scores are
//! transformers' (`generate_merges` in convert_slow_tokenizer.py).

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper};

use super::{Token, Tokenizer, frame};
use crate::model::error::{Error, Result};
use crate::model::format::gguf::Gguf;

/// What `tokenizer.ggml.pre` names: how byte-level BPE cuts a text before merging.
struct Splitter {
    names: &'static [&'static str],
    /// Each pattern cuts the pieces of the one before.
    patterns: &'static [&'static str],
    /// A piece that is a token as a whole is taken without merging.
    whole_first: bool,
    adds_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

static SPLITTERS: &[Splitter] = &[
    Splitter { names: &["llama-bpe", "llama3", "llama-v3"], patterns: &[LLAMA3], whole_first: true, adds_bos: true },
    Splitter {
        names: &["gpt-2", "jina-es", "jina-de", "mpt", "olmo"],
        patterns: &[GPT2],
        whole_first: false,
        adds_bos: false,
    },
    Splitter {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell"],
        patterns: &[r"\p{N}", GPT2],
        whole_first: false,
        adds_bos: false,
    },
    Splitter { names: &["qwen2"], patterns: &[QWEN2], whole_first: false, adds_bos: false },
    Splitter {
        names: &["default"],
        patterns: &[
            r"[\p{P}\$\+<=>\^~\|]+",
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
            r"\p{N}+",
            r"[0-9][0-9][0-9]",
        ],
        whole_first: false,
        adds_bos: false,
    },
];

/// Bytes of the longest piece that merges are sought for. Trained vocabularies stop at 16 or 64 characters; the work
/// grows with the square of the length.
const LONGEST_PIECE: usize = 1024;

/// `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn of(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

impl Tokenizer {
    /// Rebuilds the tokenizer a GGUF file describes. Fails on parts that are missing or do not fit together, and on a
    /// kind or a splitting rule that is not known, since guessing would tokenize wrongly without a word.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        Vocabulary::read(gguf)?.tokenizer()
    }
}

/// The parts, read and checked against each other.
struct Vocabulary<'a> {
    gguf: &'a Gguf,
    tokens: Vec<String>,
    kinds: Vec<Kind>,
}

impl<'a> Vocabulary<'a> {
    fn read(gguf: &'a Gguf) -> Result<Self> {
        let tokens = gguf.strings("tokenizer.ggml.tokens")?;
        let kinds = match gguf.has("tokenizer.ggml.token_type") {
            false => vec![Kind::Normal; tokens.len()],
            true => {
                let numbers = gguf.integers("tokenizer.ggml.token_type")?;
                let kinds: Option<Vec<Kind>> = numbers.into_iter().map(Kind::of).collect();
                kinds.ok_or_else(|| gguf.broken("tokenizer.ggml.token_type holds a number outside 1 to 6"))?
            }
        };
        if tokens.is_empty() || kinds.len() != tokens.len() {
            let what = format!("tokenizer.ggml.token_type has {} entries for {} tokens", kinds.len(), tokens.len());
            return Err(gguf.broken(what));
        }
        Ok(Self { gguf, tokens, kinds })
    }

    fn tokenizer(&self) -> Result<Tokenizer> {
        let kind = self.gguf.string("tokenizer.ggml.model")?;
        let (mut inner, adds_bos) = match kind {
            "llama" => (self.sentencepiece()?, true),
            "gpt2" => self.byte_level()?,
            other => {
                let what = format!("tokenizer.ggml.model {other:?}");
                return Err(Error::unsupported(self.gguf.file(), what, "llama, gpt2"));
            }
        };
        inner.add_special_tokens(self.added(&[Kind::Control, Kind::Unknown], true)).map_err(|e| self.broken(e))?;
        inner.add_tokens(self.added(&[Kind::UserDefined], false)).map_err(|e| self.broken(e))?;
        let (bos, eos) = (self.token("bos")?, self.token("eos")?);
        let adds =
            |key: &str, default: bool| self.gguf.optional_bool(&format!("tokenizer.ggml.add_{key}_token"), default);
        let before = bos.as_ref().filter(|_| adds("bos", adds_bos));
        let after = eos.as_ref().filter(|_| adds("eos", false));
        inner.with_post_processor(Some(frame(before, after).map_err(|e| self.broken(e))?));
        let template = self.gguf.optional_string("tokenizer.chat_template").map(str::to_owned);
        Tokenizer::new(inner, bos, eos, None, template).map_err(|e| self.broken(e))
    }

    /// SentencePiece BPE: spaces become ▁, unknown characters their bytes.
    fn sentencepiece(&self) -> Result<tokenizers::Tokenizer> {
        let unknown = self.token("unknown")?;
        let bytes = self.kinds.contains(&Kind::Byte);
        let mut model = BPE::builder().vocab_and_merges(self.ids(), self.merges_by_score()?).byte_fallback(bytes);
        if let Some(unknown) = &unknown {
            model = model.unk_token(unknown.text.clone()).fuse_unk(true);
        }
        let mut inner = tokenizers::Tokenizer::new(model.build().map_err(|e| self.broken(e))?);
        let prefixed = self.gguf.optional_bool("tokenizer.ggml.add_space_prefix", true);
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prefix = json!({"type": "Prepend", "prepend": "▁"});
        let normalizers = if prefixed { vec![prefix, spaces] } else { vec![spaces] };
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefixed {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let normalizer: NormalizerWrapper = self.part(json!({"type": "Sequence", "normalizers": normalizers}))?;
        let decoder: DecoderWrapper = self.part(json!({"type": "Sequence", "decoders": decoders}))?;
        inner.with_normalizer(Some(normalizer)).map_err(|e| self.broken(e))?;
        inner.with_decoder(Some(decoder));
        Ok(inner)
    }

    /// Byte-level BPE, and whether its splitting rule wants a first token.
    fn byte_level(&self) -> Result<(tokenizers::Tokenizer, bool)> {
        let name = self.gguf.optional_string("tokenizer.ggml.pre").unwrap_or("default");
        let splitter = SPLITTERS.iter().find(|splitter| splitter.names.contains(&name)).ok_or_else(|| {
            let known: Vec<&str> = SPLITTERS.iter().flat_map(|s| s.names).copied().collect();
            Error::unsupported(self.gguf.file(), format!("tokenizer.ggml.pre {name:?}"), known.join(", "))
        })?;
        let merges = self.gguf.strings("tokenizer.ggml.merges")?;
        let pairs: Option<Vec<(String, String)>> =
            merges.iter().map(|m| m.split_once(' ').map(|(l, r)| (l.to_owned(), r.to_owned()))).collect();
        let pairs = pairs.ok_or_else(|| self.gguf.broken("tokenizer.ggml.merges holds an entry that is no pair"))?;
        let model = BPE::builder().vocab_and_merges(self.ids(), pairs).ignore_merges(splitter.whole_first);
        let mut inner = tokenizers::Tokenizer::new(model.build().map_err(|e| self.broken(e))?);
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let split =
            |p: &&str| json!({"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": false});
        let steps: Vec<Value> = splitter.patterns.iter().map(split).chain([bytes.clone()]).collect();
        let pre: PreTokenizerWrapper = self.part(json!({"type": "Sequence", "pretokenizers": steps}))?;
        inner.with_pre_tokenizer(Some(pre));
        inner.with_decoder(Some(self.part::<DecoderWrapper>(bytes)?));
        Ok((inner, splitter.adds_bos))
    }

    /// Every way to write a token as two others is a merge; the best score goes first.
    fn merges_by_score(&self) -> Result<Vec<(String, String)>> {
        let scores = self.gguf.floats("tokenizer.ggml.scores")?;
        if scores.len() != self.tokens.len() {
            let what = format!("tokenizer.ggml.scores has {} entries for {} tokens", scores.len(), self.tokens.len());
            return Err(self.gguf.broken(what));
        }
        let ids: HashMap<&str, usize> = self.tokens.iter().enumerate().map(|(id, t)| (t.as_str(), id)).collect();
        let mut merges = Vec::new();
        let pieces = self.tokens.iter().enumerate();
        for (id, token) in pieces.filter(|(id, t)| self.kinds[*id] == Kind::Normal && t.len() <= LONGEST_PIECE) {
            let first = merges.len();
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                    merges.push((scores[id], left, right, (l, r)));
                }
            }
            merges[first..].sort_by_key(|&(.., ids)| ids);
        }
        let longer = |a: &str, b: &str| b.chars().count().cmp(&a.chars().count());
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(longer(a.1, b.1)).then(longer(a.2, b.2)));
        Ok(merges.into_iter().map(|(_, left, right, _)| (left.to_owned(), right.to_owned())).collect())
    }

    fn ids(&self) -> Vocab {
        self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect()
    }

    /// The tokens of these kinds, which are found in a text before anything else.
    fn added(&self, kinds: &[Kind], special: bool) -> Vec<AddedToken> {
        let chosen = self.tokens.iter().zip(&self.kinds).filter(|(_, kind)| kinds.contains(kind));
        chosen.map(|(text, _)| AddedToken::from(text.clone(), special).normalized(false)).collect()
    }

    /// The special token whose id the file names.
    fn token(&self, role: &str) -> Result<Option<Token>> {
        let key = format!("tokenizer.ggml.{role}_token_id");
        let Some(id) = self.gguf.optional_integer(&key)? else { return Ok(None) };
        match self.tokens.get(id as usize) {
            Some(text) => Ok(Some(Token { id: id as u32, text: text.clone() })),
            None => Err(self.gguf.broken(format!("{key} is {id}, and there are {} tokens", self.tokens.len()))),
        }
    }

    fn part<T: DeserializeOwned>(&self, json: Value) -> Result<T> {
        serde_json::from_value(json).map_err(|e| self.broken(e.into()))
    }

    fn broken(&self, error: tokenizers::Error) -> Error {
        self.gguf.broken(format!("its tokenizer cannot be rebuilt: {error}"))
    }
}

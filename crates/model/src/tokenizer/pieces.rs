//! SentencePiece vocabularies of the BPE kind: pieces with scores become a BPE whose merges follow from them. It reads
//! no file; a GGUF file's metadata and a tokenizer.model both end here.
//!
//! The merges are transformers' (`generate_merges` in convert_slow_tokenizer.py).

use std::collections::HashMap;

use serde_json::json;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, Tokenizer};

use super::claims;

/// Bytes of the longest piece that merges are sought for. Trained vocabularies stop at 16 or 64 characters; the work
/// grows with the square of the length.
const LONGEST_PIECE: usize = 1024;

/// The kind of a token: `tokenizer.ggml.token_type`, and SentencePiece's `Type` with the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A piece of text.
    Normal,
    /// What stands for text that no piece covers.
    Unknown,
    /// A special token, which is no text.
    Control,
    /// A piece that is found in a text before any merging.
    UserDefined,
    /// A place in the vocabulary without use.
    Unused,
    /// One byte of text that no piece covers, written `<0xNN>`.
    Byte,
}

impl TokenKind {
    /// Its number in the files, 1 to 6.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }

    /// Finds the kind of this number.
    pub(crate) fn of(number: i64) -> Option<Self> {
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

/// A vocabulary of pieces, and how it treats spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    /// The tokens, each at the place of its id.
    pub tokens: Vec<String>,
    /// The kind of each token.
    pub kinds: Vec<TokenKind>,
    /// The score of each token; a larger one merges earlier.
    pub scores: Vec<f64>,
    /// The merges in their order, where the vocabulary comes with its own.
    pub merges: Option<Vec<(String, String)>>,
    /// The id of the token for what no piece covers; `None` where there is none.
    pub unknown: Option<u32>,
    /// Whether a space is put before a text.
    pub prefixes_space: bool,
    /// Whether spaces at both ends are removed and several become one.
    pub collapses_spaces: bool,
}

impl Pieces {
    /// Builds the tokenizer, with special and user-defined tokens, but without those set around a text.
    pub(crate) fn tokenizer(&self) -> tokenizers::Result<Tokenizer> {
        let merges = self.merges.clone().unwrap_or_else(|| self.merges_by_score());
        let pairs = || merges.iter().map(|(left, right)| (left.as_str(), right.as_str()));
        claims::check_merges(self.tokens.iter().map(String::as_str), pairs(), "")?;
        let mut model = BPE::builder()
            .vocab_and_merges(ids(&self.tokens), merges)
            .byte_fallback(self.kinds.contains(&TokenKind::Byte));
        if let Some(unknown) = self.unknown.and_then(|id| self.tokens.get(id as usize)) {
            model = model.unk_token(unknown.clone()).fuse_unk(true);
        }
        let mut inner = Tokenizer::new(model.build()?);
        inner.with_normalizer(Some(self.normalizer()?))?;
        inner.with_decoder(Some(self.decoder()?));
        add(&mut inner, &self.tokens, &self.kinds)?;
        Ok(inner)
    }

    fn normalizer(&self) -> tokenizers::Result<NormalizerWrapper> {
        let mut steps = Vec::new();
        if self.collapses_spaces {
            steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            steps.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
        }
        if self.prefixes_space {
            steps.push(json!({"type": "Prepend", "prepend": "▁"}));
        }
        steps.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
        Ok(serde_json::from_value(json!({"type": "Sequence", "normalizers": steps}))?)
    }

    fn decoder(&self) -> tokenizers::Result<DecoderWrapper> {
        let mut steps = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if self.prefixes_space {
            steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Ok(serde_json::from_value(json!({"type": "Sequence", "decoders": steps}))?)
    }

    /// Derives the merges: every way to write a token as two others is one; the best score goes first.
    pub(crate) fn merges_by_score(&self) -> Vec<(String, String)> {
        let ids: HashMap<&str, usize> = self.tokens.iter().enumerate().map(|(id, t)| (t.as_str(), id)).collect();
        let mergeable = |id: usize| matches!(self.kinds[id], TokenKind::Normal | TokenKind::UserDefined);
        let mut merges = Vec::new();
        let pieces = self.tokens.iter().enumerate();
        for (id, token) in pieces.filter(|(id, t)| mergeable(*id) && t.len() <= LONGEST_PIECE) {
            let first = merges.len();
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                    merges.push((self.scores[id], left, right, (l, r)));
                }
            }
            merges[first..].sort_by_key(|&(.., ids)| ids);
        }
        let longer = |a: &str, b: &str| b.chars().count().cmp(&a.chars().count());
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(longer(a.1, b.1)).then(longer(a.2, b.2)));
        merges.into_iter().map(|(_, left, right, _)| (left.to_owned(), right.to_owned())).collect()
    }
}

/// Maps each token to its place.
pub(super) fn ids(tokens: &[String]) -> Vocab {
    tokens.iter().zip(0..).map(|(token, id)| (token.clone(), id)).collect()
}

/// Adds the tokens that are found in a text before anything else: special ones, and user-defined ones.
pub(super) fn add(inner: &mut Tokenizer, tokens: &[String], kinds: &[TokenKind]) -> tokenizers::Result<()> {
    let of = |special: bool, chosen: &[TokenKind]| -> Vec<AddedToken> {
        let chosen = tokens.iter().zip(kinds).filter(|(text, kind)| chosen.contains(kind) && !text.is_empty());
        chosen.map(|(text, _)| AddedToken::from(text.clone(), special).normalized(false)).collect()
    };
    inner.add_special_tokens(of(true, &[TokenKind::Control, TokenKind::Unknown]))?;
    inner.add_tokens(of(false, &[TokenKind::UserDefined]))?;
    Ok(())
}

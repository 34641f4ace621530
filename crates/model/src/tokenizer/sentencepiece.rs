//! tokenizer.model, SentencePiece's own file: a protocol buffer of pieces, scores and a few settings. Only the BPE kind
//! is read; vocabularies of the unigram kind are refused by name.
//!
//! Fields: sentencepiece_model.proto in google/sentencepiece.

use super::pieces::{Pieces, TokenKind};
use crate::error::{Error, Result};

/// Reads a tokenizer.model; `file` names it in errors.
pub(super) fn read(bytes: &[u8], file: &str) -> Result<Pieces> {
    let broken = |what: &str| Error::broken(file, format!("not a SentencePiece model: {what}"));
    let mut pieces = Pieces { prefixes_space: true, collapses_spaces: true, ..Pieces::default() };
    let mut model_type = 1;
    for field in Fields(bytes) {
        match field.ok_or_else(|| broken("it breaks off"))? {
            (1, Field::Bytes(piece)) => {
                let (token, score, kind) = self::piece(piece).ok_or_else(|| broken("a piece cannot be read"))?;
                if kind == TokenKind::Unknown {
                    pieces.unknown = u32::try_from(pieces.tokens.len()).ok();
                }
                pieces.tokens.push(token);
                pieces.scores.push(score);
                pieces.kinds.push(kind);
            }
            (2, Field::Bytes(trainer)) => {
                let found = number(trainer, 3).ok_or_else(|| broken("its trainer settings break off"))?;
                model_type = found.unwrap_or(model_type);
            }
            (3, Field::Bytes(settings)) => {
                let flag = |id| number(settings, id).ok_or_else(|| broken("its normalizer settings break off"));
                pieces.prefixes_space = flag(3)? != Some(0);
                pieces.collapses_spaces = flag(4)? != Some(0);
            }
            _ => (),
        }
    }
    match model_type {
        _ if pieces.tokens.is_empty() => Err(broken("it has no pieces")),
        2 => Ok(pieces),
        other => {
            let name = ["", "unigram", "BPE", "word", "character"].get(other as usize).copied().unwrap_or("unknown");
            Err(Error::unsupported(
                file,
                format!("a SentencePiece model of the {name} kind"),
                "BPE, or a tokenizer.json",
            ))
        }
    }
}

/// Its text, score and kind.
fn piece(bytes: &[u8]) -> Option<(String, f64, TokenKind)> {
    let (mut token, mut score, mut kind) = (String::new(), 0.0, TokenKind::Normal);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(text)) => token = String::from_utf8_lossy(text).into_owned(),
            (2, Field::Fixed32(bits)) => score = f64::from(f32::from_bits(bits)),
            (3, Field::Number(number)) => kind = TokenKind::of(i64::try_from(number).ok()?)?,
            _ => (),
        }
    }
    Some((token, score, kind))
}

/// The number in the field `id` of a message; `None` outside where the message is damaged.
fn number(bytes: &[u8], id: u64) -> Option<Option<u64>> {
    let mut found = None;
    for field in Fields(bytes) {
        if let (at, Field::Number(number)) = field?
            && at == id
        {
            found = Some(number);
        }
    }
    Some(found)
}

enum Field<'a> {
    Number(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; `None` where the bytes are no message, and then nothing more.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 127).checked_shl(shift)?;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

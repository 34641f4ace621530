//! How far models lie from each other over a text: one reads it as the base, the others as its variants, side by side,
//! and of every token that is scored the divergence of their predictions is taken. No logits are kept.
//!
//! The text is cut as llama-perplexity cuts it (`kl_divergence` in tools/perplexity/perplexity.cpp of llama.cpp): into
//! windows of one length, each read by itself with the BOS in the place of its first token where the tokenizer sets
//! one, and of each the second half scored. The divergence is over the whole vocabulary, in f64; there the base's
//! logarithms are rounded to 16 bits and what has less than e^-16 is left out.

use candle_core::Tensor;
use rayon::prelude::*;

use super::decoder::Decoder;
use super::error::{Error, Result};
use super::load::Model;
use super::ops::Span;
use super::sample::argmax;
use super::tokenizer::Tokenizer;

/// The most logits of a model held at a time: 16 MB.
const LOGITS: usize = 1 << 22;

/// A text in windows of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    tokens: Vec<u32>,
    len: usize,
    bos: Option<u32>,
}

/// What a base and a variant say of one token that really came next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Σ p·ln(p/q) over the vocabulary, p the base's probabilities and q the variant's.
    pub divergence: f64,
    /// −ln of the base's probability of the token.
    pub base_nll: f64,
    /// −ln of the variant's.
    pub nll: f64,
    /// Whether both find the same token the likeliest.
    pub same_top: bool,
}

impl Windows {
    /// Cuts a text into whole windows of `len` tokens, at most `most` of them; what is left over is not read. Special
    /// tokens that are written out in the text are taken for the letters that they are.
    ///
    /// # Errors
    /// Where the text cannot be tokenized, or is shorter than one window.
    pub fn new(tokenizer: &Tokenizer, text: &str, len: usize, most: Option<usize>) -> Result<Self> {
        Self::of_tokens(tokenizer.encode_letters(text)?, tokenizer, len, most)
    }

    /// Cuts tokens into windows as `new` does.
    ///
    /// # Errors
    /// Where they are fewer than one window takes.
    pub fn of_tokens(mut tokens: Vec<u32>, tokenizer: &Tokenizer, len: usize, most: Option<usize>) -> Result<Self> {
        let count = (tokens.len() / len.max(1)).min(most.unwrap_or(usize::MAX));
        if count == 0 || len < 4 {
            let has = tokens.len();
            return Err(Error::Request(format!(
                "the text has {has} tokens, and one window takes {len} (at least 4): give a longer text or a shorter window"
            )));
        }
        tokens.truncate(count * len);
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos()).map(|token| token.id);
        Ok(Self { tokens, len, bos })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.len() / self.len
    }

    /// Tokens of each.
    #[allow(clippy::len_without_is_empty, reason = "there is always one window at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tokens that are scored in each.
    pub fn scored(&self) -> usize {
        self.len - 1 - self.len / 2
    }

    /// Tokens of all.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The window of a number as a model reads it.
    pub fn read(&self, number: usize) -> Vec<u32> {
        let mut read = self.own(number).to_vec();
        if let Some(bos) = self.bos {
            read[0] = bos;
        }
        read
    }

    fn own(&self, number: usize) -> &[u32] {
        &self.tokens[number * self.len..(number + 1) * self.len]
    }

    /// Has the base and its variants read one window, and scores its second half: for each variant its tokens in their
    /// order.
    ///
    /// # Errors
    /// Where a model does not know a token, its vocabulary has another size than the base's, its logits are not finite,
    /// or memory is short.
    pub fn compare(&self, number: usize, base: &Model, variants: &[&Model]) -> Result<Vec<Vec<Scored>>> {
        let vocab = base.config.vocab;
        if let Some(other) = variants.iter().find(|variant| variant.config.vocab != vocab) {
            let has = other.config.vocab;
            return Err(Error::Request(format!("a model of {has} tokens cannot be held against one of {vocab}")));
        }
        let decoders: Vec<&Decoder> = variants.iter().map(|variant| &variant.decoder).collect();
        self.compare_decoders(number, vocab, &base.decoder, &decoders)
    }

    /// Compares as `compare` does, graphs whose heads all give `vocab` logits.
    ///
    /// # Errors
    /// As `compare`.
    pub fn compare_decoders(
        &self,
        number: usize,
        vocab: usize,
        base: &Decoder,
        variants: &[&Decoder],
    ) -> Result<Vec<Vec<Scored>>> {
        let (read, targets) = (self.read(number), &self.own(number)[self.len / 2 + 1..]);
        let hidden = |model: &Decoder| self.hidden(&read, model);
        let base_hidden = hidden(base)?;
        let variant_hidden = variants.iter().map(|variant| hidden(variant)).collect::<Result<Vec<_>>>()?;
        let rows = (LOGITS / vocab).max(1);
        let mut found = vec![Vec::with_capacity(targets.len()); variants.len()];
        for (slab, targets) in targets.chunks(rows).enumerate() {
            let logits = |model: &Decoder, hidden: &Tensor| -> Result<Vec<f32>> {
                let some = hidden.narrow(0, slab * rows, targets.len())?;
                Ok(model.logits(&some)?.flatten_all()?.to_vec1()?)
            };
            let base: Vec<Prediction> = {
                let logits = logits(base, &base_hidden)?;
                logits.par_chunks_exact(vocab).map(Prediction::new).collect::<Result<_>>()?
            };
            for ((variant, hidden), found) in variants.iter().zip(&variant_hidden).zip(&mut found) {
                let logits = logits(variant, hidden)?;
                let rows = logits.par_chunks_exact(vocab).zip(&base).zip(targets);
                found.extend(
                    rows.map(|((row, base), &token)| base.held_against(row, token)).collect::<Result<Vec<_>>>()?,
                );
            }
        }
        Ok(found)
    }

    /// What leaves the final norm at the tokens after which a token is scored.
    fn hidden(&self, read: &[u32], model: &Decoder) -> Result<Tensor> {
        let span = Span { len: read.len(), parent: None, past: None };
        let hidden = model.forward(read, &[span], &mut [])?;
        Ok(hidden.narrow(0, self.len / 2, self.scored())?)
    }
}

/// The base's prediction of one token.
struct Prediction {
    logits: Vec<f32>,
    /// Of each token of the vocabulary.
    probabilities: Vec<f64>,
    /// ln Σ exp of the logits.
    normalizer: f64,
    top: u32,
}

impl Prediction {
    fn new(logits: &[f32]) -> Result<Self> {
        let (top, normalizer) = normalizer(logits)?;
        let probabilities = logits.iter().map(|&logit| (f64::from(logit) - normalizer).exp()).collect();
        Ok(Self { logits: logits.to_vec(), probabilities, normalizer, top })
    }

    /// Σ p (ln p − ln q), with ln p a logit less its normalizer.
    fn held_against(&self, logits: &[f32], token: u32) -> Result<Scored> {
        let (top, normalizer) = normalizer(logits)?;
        let rows = self.probabilities.iter().zip(self.logits.iter().zip(logits));
        let moved: f64 = rows.map(|(p, (&base, &own))| p * (f64::from(base) - f64::from(own))).sum();
        let at = token as usize;
        Ok(Scored {
            // rounding leaves crumbs on either side of nothing
            divergence: (moved + normalizer - self.normalizer).max(0.0),
            base_nll: self.normalizer - f64::from(self.logits[at]),
            nll: normalizer - f64::from(logits[at]),
            same_top: top == self.top,
        })
    }
}

/// The likeliest token, and ln Σ exp.
fn normalizer(logits: &[f32]) -> Result<(u32, f64)> {
    let top = argmax(logits);
    let most = f64::from(logits[top as usize]);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
    let normalizer = most + sum.ln();
    match normalizer.is_finite() {
        true => Ok((top, normalizer)),
        false => Err(Error::Request("the model's logits are not finite; its weights may be damaged".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ p·ln(p/q), written out.
    #[test]
    fn divergence_is_that_of_the_definition() {
        let (p, q) = ([1.0f32, 2.0, 3.0, -1.0], [0.5f32, 2.5, 2.0, 0.0]);
        let softmax = |row: &[f32; 4]| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            row.map(|x| f64::from(x).exp() / sum)
        };
        let (ps, qs) = (softmax(&p), softmax(&q));
        let known: f64 = ps.iter().zip(&qs).map(|(p, q)| p * (p / q).ln()).sum();
        let found = Prediction::new(&p).and_then(|base| base.held_against(&q, 1)).expect("finite");
        assert!((found.divergence - known).abs() < 1e-12 && found.divergence > 0.1, "{found:?} {known}");
        assert!((found.base_nll + ps[1].ln()).abs() < 1e-12 && (found.nll + qs[1].ln()).abs() < 1e-12);
        assert!(!found.same_top);
        let itself = Prediction::new(&p).and_then(|base| base.held_against(&p, 0)).expect("finite");
        assert_eq!((itself.divergence, itself.same_top), (0.0, true));
        assert!(Prediction::new(&[f32::NAN, 1.0]).is_err());
    }
}

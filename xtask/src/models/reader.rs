//! Corpus documents as the trainer wants them: tokens and how much each counts.

use super::corpus::{self, Doc};
use super::tokenizer::Special;
use anyhow::{Result, anyhow, ensure};
use bantam_lab::train::{Documents, Example};
use tokenizers::Tokenizer;

/// One document in so many begins with <s>. Suites ask without it and running text is scored after it: both must work.
const BEGIN_ONE_IN: u64 = 4;

/// The endless corpus of a seed, read through a tokenizer.
pub(super) struct Reader {
    pub tokenizer: Tokenizer,
    pub seed: u64,
}

impl Documents for Reader {
    fn document(&self, index: u64) -> Result<Example> {
        let doc = corpus::training_doc(self.seed, index);
        example(&self.tokenizer, &doc, index.is_multiple_of(BEGIN_ONE_IN))
    }
}

/// A document's tokens, closed by </s>, which counts as the last piece does. A token counts as the piece it ends in.
fn example(tokenizer: &Tokenizer, doc: &Doc, begin: bool) -> Result<Example> {
    let text = doc.text();
    let encoding =
        tokenizer.encode(text.as_str(), false).map_err(|error| anyhow!("a text was not encoded: {error}"))?;
    let (mut tokens, mut weights) = (Vec::with_capacity(encoding.len() + 2), Vec::with_capacity(encoding.len() + 2));
    if begin {
        tokens.push(Special::Begin.id());
        weights.push(0.0);
    }
    let mut pieces = doc.pieces.iter();
    let (mut piece_end, mut weight) = (0, 0.0);
    for (&token, &(_, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
        while end > piece_end {
            let Some((piece, counts)) = pieces.next() else { break };
            (piece_end, weight) = (piece_end + piece.len(), *counts);
        }
        tokens.push(token);
        weights.push(weight);
    }
    ensure!(!tokens.is_empty(), "a training document has no text");
    tokens.push(Special::End.id());
    weights.push(weight);
    Ok(Example { id: 0, tokens, weights })
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer;
    use super::*;

    #[test]
    fn every_token_counts_as_the_piece_it_ends_in() {
        let reader = Reader { tokenizer: tokenizer::learn(1, 300).unwrap(), seed: 1 };
        let doc = Doc { pieces: vec![("Q: 12 + é".into(), 0.1), (" 345\n".into(), 1.0)] };
        let got = example(&reader.tokenizer, &doc, true).unwrap();
        let text = reader.tokenizer.decode(&got.tokens, true).unwrap();
        assert_eq!(text, "Q: 12 + é 345\n");
        let heavy: Vec<u32> =
            got.tokens.iter().zip(&got.weights).filter(|(_, w)| **w == 1.0).map(|(t, _)| *t).collect();
        assert_eq!(reader.tokenizer.decode(&heavy, false).unwrap(), " 345\n</s>");
        assert_eq!((got.tokens[0], got.weights[0]), (Special::Begin.id(), 0.0));
    }

    #[test]
    fn a_document_is_a_pure_function_of_its_index() {
        let reader = Reader { tokenizer: tokenizer::learn(1, 300).unwrap(), seed: 1 };
        assert_eq!(reader.document(17).unwrap(), reader.document(17).unwrap());
        assert_eq!(reader.document(16).unwrap().tokens[0], Special::Begin.id());
        assert_ne!(reader.document(17).unwrap().tokens[0], Special::Begin.id());
    }
}

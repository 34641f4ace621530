//! The family's tokenizer: byte-level BPE learned from the corpus, every digit a token of its own.
//!
//! It cuts text as SmolLM's does (digits one by one, then GPT-2's pattern), because llama.cpp knows that way of cutting by
//! name: a GGUF file says `tokenizer.ggml.pre = smollm`, and the tokens are the same there. It adds no special tokens.

use super::corpus;
use super::size::VOCAB;
use anyhow::{Result, anyhow};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

/// Documents it is learned from: enough that no word of the corpus is rare.
pub(super) const DOCUMENTS: usize = 20_000;

/// The tokens that are not text, in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Begin,
    End,
    Pad,
}

impl Special {
    pub(super) const ALL: [Special; 3] = [Special::Begin, Special::End, Special::Pad];

    pub(super) fn text(self) -> &'static str {
        match self {
            Special::Begin => "<s>",
            Special::End => "</s>",
            Special::Pad => "<pad>",
        }
    }

    pub(super) fn id(self) -> u32 {
        self as u32
    }
}

/// Learns the vocabulary from the first so many documents of the corpus of `seed`, always the same from the same.
pub(super) fn learn(seed: u64, documents: usize) -> Result<Tokenizer> {
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![Digits::new(true).into(), byte_level.into()])));
    tokenizer.with_decoder(Some(byte_level));
    let trainer = BpeTrainer::builder()
        .vocab_size(VOCAB)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(Special::ALL.map(|special| AddedToken::from(special.text(), true)).to_vec())
        .build();
    let texts = corpus::training_docs(seed).take(documents).map(|doc| doc.text());
    tokenizer
        .train(&mut TrainerWrapper::from(trainer), texts)
        .map_err(|error| anyhow!("no vocabulary was learned: {error}"))?;
    Ok(tokenizer)
}

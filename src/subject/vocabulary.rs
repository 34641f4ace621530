//! A model's tokens as texts, for answers that are held to a form.

use bantam_grammar::{Error, SPECIAL, Vocabulary};
use bantam_model::Tokenizer;

/// What the tokens of a tokenizer are.
///
/// # Errors
/// Where there are none.
pub fn vocabulary(tokenizer: &Tokenizer) -> Result<Vocabulary, Error> {
    let word = |word: bantam_model::tokenizer::Word| match word.is_special {
        true => [&[SPECIAL][..], &word.bytes].concat(),
        false => word.bytes,
    };
    Vocabulary::new(tokenizer.words().into_iter().map(word).collect())
}

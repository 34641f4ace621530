//! From text to tokens and back by lm-evaluation-harness's rules (`lm_eval/api/model.py`,
//! `lm_eval/models/huggingface.py`, version 0.4.13): which tokens belong to a continuation, how much of a prompt is
//! kept, where a generated text ends. What is done with tokens, windows and truncated contexts among it, is the
//! model's.

use crate::ask::Unaskable;
use anyhow::{Result, ensure};

/// A tokenizer, as far as the rules need one.
pub trait Tokenize {
    /// Encodes a text; `special` adds the tokens that the tokenizer puts around a text of its own accord.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>>;

    /// Gives what stands before a text without context: the beginning-of-sequence token, else the end-of-sequence one.
    ///
    /// # Errors
    /// Where the tokenizer has neither.
    fn prefix(&self) -> Result<u32>;

    /// Tells whether a text begins with that token, written out: then no special tokens are added, since a chat template
    /// has set them already (`tok_encode` and `has_bos_prefix` in `lm_eval/models/`).
    fn begins(&self, _text: &str) -> bool {
        false
    }
}

/// Encodes a text with the tokens that the tokenizer puts around it, unless it begins with them itself.
///
/// # Errors
/// Where the tokenizer fails.
pub fn encode(tokenizer: &impl Tokenize, text: &str) -> Result<Vec<u32>> {
    tokenizer.encode(text, !tokenizer.begins(text))
}

/// A context and one continuation, in tokens; neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The context's tokens.
    pub context: Vec<u32>,
    /// The tokens that the continuation adds.
    pub continuation: Vec<u32>,
}

/// Encodes a context and its continuation (`TemplateLM._encode_pair`): the two are tokenized as one text, and what is
/// longer than the context alone is the continuation. White space at the context's end goes to the continuation, since
/// that is where tokens put it.
///
/// # Errors
/// Where the tokenizer fails, or the continuation adds no token.
pub fn encode_pair(tokenizer: &impl Tokenize, context: &str, continuation: &str) -> Result<Pair> {
    let given = (context, continuation);
    let (context, continuation) = match context.is_empty() {
        true => after_nothing(tokenizer, continuation)?,
        false => split(tokenizer, context, continuation)?,
    };
    ensure!(!continuation.is_empty(), Unaskable::adds_nothing(given.0, given.1));
    Ok(Pair { context, continuation })
}

fn after_nothing(tokenizer: &impl Tokenize, continuation: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let (prefix, tokens) = (tokenizer.prefix()?, tokenizer.encode(continuation, false)?);
    Ok(match tokens.split_first() {
        Some((&first, rest)) if first == prefix => (vec![first], rest.to_vec()),
        _ => (vec![prefix], tokens),
    })
}

fn split(tokenizer: &impl Tokenize, context: &str, continuation: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let bare = context.trim_end_matches(python_space);
    let tokens = encode(tokenizer, bare)?;
    let mut whole = encode(tokenizer, &format!("{context}{continuation}"))?;
    let rest = whole.split_off(tokens.len().min(whole.len()));
    // a context of white space only, where no token begins a sequence, leaves nothing to go on from
    let tokens = if tokens.is_empty() { vec![tokenizer.prefix()?] } else { tokens };
    Ok((tokens, rest))
}

/// Tells what Python's `str.strip` and `\s` take for white space: Unicode's, and four separators.
pub fn python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Encodes a whole text: as the tokenizer gives it, special tokens included, so that one that begins a sequence is
/// itself scored (after [`Tokenize::prefix`]). An empty text may have no token: it is as likely as can be.
///
/// # Errors
/// Where the tokenizer fails.
pub fn encode_whole(tokenizer: &impl Tokenize, text: &str) -> Result<Vec<u32>> {
    encode(tokenizer, text)
}

/// Encodes a prompt, cut from the left so that `max_tokens` can follow, and tells whether it was cut.
///
/// # Errors
/// Where the tokenizer fails, or there is no room for a prompt.
pub fn encode_prompt(
    tokenizer: &impl Tokenize,
    text: &str,
    max_length: usize,
    max_tokens: usize,
) -> Result<(Vec<u32>, bool)> {
    ensure!(
        max_tokens < max_length,
        "max_gen_toks is {max_tokens} and the model takes {max_length} tokens in all; there is no room for a prompt"
    );
    let mut tokens = encode(tokenizer, text)?;
    if tokens.is_empty() {
        tokens.push(tokenizer.prefix()?);
    }
    let over = tokens.len().saturating_sub(max_length - max_tokens);
    tokens.drain(..over);
    Ok((tokens, over > 0))
}

/// Cuts a generated text before its first stop string; None where there is none in it.
pub fn before_stop<'a>(text: &'a str, until: &[String]) -> Option<&'a str> {
    let mut kept = text;
    for stop in until.iter().filter(|stop| !stop.is_empty()) {
        kept = kept.split(stop.as_str()).next().unwrap_or(kept);
    }
    (kept.len() < text.len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token per character, and 1 at the beginning where `begins`; "ab" in one piece is the token 2.
    struct Letters {
        begins: bool,
    }

    impl Tokenize for Letters {
        fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
            let begin = (special && self.begins).then_some(1);
            Ok(begin.into_iter().chain(text.replace("ab", "\u{2}").chars().map(|c| c as u32)).collect())
        }

        fn prefix(&self) -> Result<u32> {
            Ok(1)
        }
    }

    fn letters(text: &str) -> Vec<u32> {
        text.chars().map(|c| c as u32).collect()
    }

    /// The context and the continuation.
    fn split(begins: bool, context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
        let pair = encode_pair(&Letters { begins }, context, continuation).expect("some tokens");
        (pair.context, pair.continuation)
    }

    #[test]
    fn white_space_at_the_contexts_end_moves_to_the_continuation() {
        assert_eq!(split(true, "x \n", "y"), ([vec![1], letters("x")].concat(), letters(" \ny")));
        assert_eq!(split(false, " ", "y"), (vec![1], letters(" y")));
    }

    #[test]
    fn a_continuation_is_what_the_whole_has_more_than_the_context() {
        // whole: x, ab, c. The merged token counts as context, though what is given is the context's own tokens
        assert_eq!(split(false, "xa", "bc"), (letters("xa"), letters("c")));
        let error = encode_pair(&Letters { begins: false }, "xa", "b").expect_err("nothing is left").to_string();
        assert!(error.contains("adds no token"), "{error}");
    }

    #[test]
    fn without_context_the_prefix_stands_before_once() {
        for begins in [false, true] {
            assert_eq!(split(begins, "", "yz"), (vec![1], letters("yz")));
            assert_eq!(split(begins, "", "\u{1}y"), (vec![1], letters("y")));
        }
    }

    #[test]
    fn a_prompt_leaves_room_for_its_answer() {
        let tokenizer = Letters { begins: true };
        assert_eq!(encode_prompt(&tokenizer, "cdef", 6, 3).expect("room"), (letters("def"), true));
        assert_eq!(encode_prompt(&tokenizer, "cd", 6, 3).expect("room"), ([vec![1], letters("cd")].concat(), false));
        assert!(encode_prompt(&tokenizer, "cd", 3, 3).is_err());
    }

    #[test]
    fn a_text_ends_before_its_first_stop() {
        let until = ["\n".to_string(), "Q:".to_string()];
        assert_eq!(before_stop("a Q: b\nc", &until), Some("a "));
        assert_eq!(before_stop("a b", &until), None);
        assert_eq!(before_stop("\n", &until), Some(""));
    }
}

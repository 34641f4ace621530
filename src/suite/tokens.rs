//! From text to the tokens that a model scores, by lm-evaluation-harness's rules (`lm_eval/api/model.py`,
//! `lm_eval/models/huggingface.py`, `lm_eval/utils.py`, version 0.4.13): which tokens belong to a continuation, what is
//! cut where a text is too long, in which windows a whole text is scored, where a generated text ends. Only the rules;
//! whoever holds a tokenizer and a model puts them together.

use super::model::Choices;
use anyhow::{Result, ensure};

/// A tokenizer, as far as the rules need one.
pub trait Tokenize {
    /// The tokens of a text; `special` adds those that the tokenizer puts around a text of its own accord.
    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>>;

    /// What stands before a text that has no context: the beginning-of-sequence token, else the end-of-sequence one.
    fn prefix(&self) -> Result<u32>;
}

/// Continuations that follow the same tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Never empty.
    pub context: Vec<u32>,
    pub continuations: Vec<Vec<u32>>,
    /// Which of the asked continuations these are.
    pub members: Vec<usize>,
    /// The context lost its beginning.
    pub truncated: bool,
}

/// The tokens of each continuation, grouped by the context they follow. One group, unless a context is too long: then
/// it is cut from the left by as much as each continuation needs.
pub fn groups(tokenizer: &impl Tokenize, asked: &Choices, max_length: usize) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for (member, continuation) in asked.continuations.iter().enumerate() {
        let (mut context, continuation) = pair(tokenizer, &asked.context, continuation)?;
        ensure!(!continuation.is_empty(), "continuation {member} adds no token to its context; make it longer");
        ensure!(
            continuation.len() <= max_length,
            "continuation {member} has {} tokens and the model takes {max_length}; shorten it or raise max_length",
            continuation.len()
        );
        // the last token is scored but never given
        let over = (context.len() + continuation.len()).saturating_sub(max_length + 1);
        context.drain(..over);
        match groups.iter_mut().find(|group| group.context == context) {
            Some(group) => {
                group.continuations.push(continuation);
                group.members.push(member);
            }
            None => groups.push(Group {
                context,
                continuations: vec![continuation],
                members: vec![member],
                truncated: over > 0,
            }),
        }
    }
    Ok(groups)
}

/// `TemplateLM._encode_pair`: the two are tokenized as one text, and what is longer than the context alone is the
/// continuation. White space at the context's end goes to the continuation, since that is where tokens put it.
fn pair(tokenizer: &impl Tokenize, context: &str, continuation: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    if context.is_empty() {
        let (prefix, tokens) = (tokenizer.prefix()?, tokenizer.encode(continuation, false)?);
        return Ok(match tokens.split_first() {
            Some((&first, rest)) if first == prefix => (vec![first], rest.to_vec()),
            _ => (vec![prefix], tokens),
        });
    }
    let bare = context.trim_end_matches(python_space);
    let tokens = tokenizer.encode(bare, true)?;
    let mut whole = tokenizer.encode(&format!("{context}{continuation}"), true)?;
    let rest = whole.split_off(tokens.len().min(whole.len()));
    // a context of white space only, where no token begins a sequence, leaves nothing to go on from
    let tokens = if tokens.is_empty() { vec![tokenizer.prefix()?] } else { tokens };
    Ok((tokens, rest))
}

/// What Python's `str.strip` and `\s` take for white space: Unicode's, and four separators.
pub fn python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A part of a long text: what is given, and what of it is scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub context: Vec<u32>,
    pub scored: Vec<u32>,
}

/// The tokens of a whole text: as the tokenizer gives them, special tokens included, so that one that begins a sequence
/// is itself scored (after [`Tokenize::prefix`]).
pub fn whole(tokenizer: &impl Tokenize, text: &str) -> Result<Vec<u32>> {
    let tokens = tokenizer.encode(text, true)?;
    ensure!(!tokens.is_empty(), "the text has no tokens");
    Ok(tokens)
}

/// Disjoint windows over a whole text: each scores up to `max_length` tokens after one token of context, and the last
/// one, which scores what is left, is filled up with context (`get_rolling_token_windows`, `make_disjoint_window`).
pub fn windows(tokens: &[u32], prefix: u32, max_length: usize) -> Vec<Window> {
    let max_length = max_length.max(1);
    let (first, rest) = tokens.split_at(max_length.min(tokens.len()));
    let mut windows = Vec::new();
    if !first.is_empty() {
        windows.push(Window { context: vec![prefix], scored: first.to_vec() });
    }
    let mut done = first.len();
    for scored in rest.chunks(max_length) {
        let end = done + scored.len();
        let context = tokens[end - max_length - 1..done].to_vec();
        windows.push(Window { context, scored: scored.to_vec() });
        done = end;
    }
    windows
}

/// The tokens of a prompt, cut from the left so that `max_tokens` can follow, and whether it was cut.
pub fn prompt(tokenizer: &impl Tokenize, text: &str, max_length: usize, max_tokens: usize) -> Result<(Vec<u32>, bool)> {
    ensure!(
        max_tokens < max_length,
        "max_gen_toks is {max_tokens} and the model takes {max_length} tokens in all; there is no room for a prompt"
    );
    let mut tokens = tokenizer.encode(text, true)?;
    if tokens.is_empty() {
        tokens.push(tokenizer.prefix()?);
    }
    let over = tokens.len().saturating_sub(max_length - max_tokens);
    tokens.drain(..over);
    Ok((tokens, over > 0))
}

/// A generated text up to the first stop string; None where there is none in it.
pub fn cut<'a>(text: &'a str, until: &[String]) -> Option<&'a str> {
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

    fn ask(context: &str, continuations: &[&str]) -> Choices {
        Choices { context: context.into(), continuations: continuations.iter().map(|c| c.to_string()).collect() }
    }

    fn letters(text: &str) -> Vec<u32> {
        text.chars().map(|c| c as u32).collect()
    }

    #[test]
    fn white_space_at_the_contexts_end_moves_to_the_continuation() {
        let groups = groups(&Letters { begins: true }, &ask("x \n", &["y", " z"]), 99).expect("short");
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].context, [vec![1], letters("x")].concat());
        assert_eq!(groups[0].continuations, [letters(" \ny"), letters(" \n z")]);
        assert!(!groups[0].truncated);
    }

    #[test]
    fn a_continuation_is_what_the_whole_has_more_than_the_context() {
        let group = &groups(&Letters { begins: false }, &ask("xa", &["bc"]), 99).expect("short")[0];
        // x, ab, c: the merged token counts as context, though what is given is the context's own tokens
        assert_eq!((group.context.clone(), group.continuations[0].clone()), (letters("xa"), letters("c")));
        assert!(groups(&Letters { begins: false }, &ask("xa", &["b"]), 99).is_err());
    }

    #[test]
    fn without_context_the_prefix_stands_before() {
        for begins in [false, true] {
            let group = &groups(&Letters { begins }, &ask("", &["yz"]), 99).expect("short")[0];
            assert_eq!((group.context.clone(), group.continuations[0].clone()), (vec![1], letters("yz")));
        }
        let blank = &groups(&Letters { begins: false }, &ask(" ", &["y"]), 99).expect("short")[0];
        assert_eq!((blank.context.clone(), blank.continuations[0].clone()), (vec![1], letters(" y")));
        let doubled = &groups(&Letters { begins: false }, &ask("", &["\u{1}y"]), 99).expect("short")[0];
        assert_eq!((doubled.context.clone(), doubled.continuations[0].clone()), (vec![1], letters("y")));
    }

    #[test]
    fn what_is_too_long_loses_its_beginning_by_as_much_as_each_continuation_needs() {
        let asked = ask("cdefg", &["123", "4", "567"]);
        let cut = groups(&Letters { begins: false }, &asked, 4).expect("fits");
        let shape = |g: &Group| (g.context.clone(), g.members.clone(), g.truncated);
        assert_eq!(
            cut.iter().map(shape).collect::<Vec<_>>(),
            [(letters("fg"), vec![0, 2], true), (letters("defg"), vec![1], true),]
        );
        let error = groups(&Letters { begins: false }, &asked, 2).expect_err("3 tokens do not fit").to_string();
        assert!(error.contains("has 3 tokens and the model takes 2"), "{error}");
    }

    #[test]
    fn windows_are_disjoint_and_the_last_is_filled_with_context() {
        let tokens: Vec<u32> = (10..20).collect();
        let all = windows(&tokens, 0, 4);
        let expected: [(&[u32], &[u32]); 3] =
            [(&[0], &[10, 11, 12, 13]), (&[13], &[14, 15, 16, 17]), (&[15, 16, 17], &[18, 19])];
        assert_eq!(all.len(), 3);
        for (window, (context, scored)) in all.iter().zip(expected) {
            assert_eq!((window.context.as_slice(), window.scored.as_slice()), (context, scored));
            assert!(window.context.len() + window.scored.len() <= 5);
        }
        assert_eq!(windows(&tokens, 0, 99).len(), 1);
        assert_eq!(windows(&[], 0, 4), []);
    }

    #[test]
    fn a_prompt_leaves_room_for_its_answer() {
        let tokenizer = Letters { begins: true };
        assert_eq!(prompt(&tokenizer, "cdef", 6, 3).expect("room"), (letters("def"), true));
        assert_eq!(prompt(&tokenizer, "cd", 6, 3).expect("room"), ([vec![1], letters("cd")].concat(), false));
        assert!(prompt(&tokenizer, "cd", 3, 3).is_err());
    }

    #[test]
    fn a_text_ends_before_its_first_stop() {
        let until = ["\n".to_string(), "Q:".to_string()];
        assert_eq!(cut("a Q: b\nc", &until), Some("a "));
        assert_eq!(cut("a b", &until), None);
        assert_eq!(cut("\n", &until), Some(""));
    }
}

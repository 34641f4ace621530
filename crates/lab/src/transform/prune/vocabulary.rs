//! Vocabulary rows taken out: the tokens that a text never uses leave the embedding, the head and the tokenizer. The text
//! falls into the same tokens afterwards, which is checked; other texts are still read, in more and smaller tokens.

use super::Pinned;
use crate::history::StepNote;
use crate::transform::cut::{Pieces, Selection};
use crate::transform::{Checkpoint, Form, Planning, TrimmedOf, texts};
use anyhow::{Context, Result, anyhow, ensure};
use bantam_core::input;
use bantam_model::chat::{ChatTemplate, Conversation};
use bantam_model::names::Part;
use bantam_model::tokenizer::{Special, Trimmed};
use bantam_model::{Config, Tokenizer};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The longest text that is read.
const LONGEST: u64 = 1 << 30;

pub(super) fn plan(text: &Pinned, form: &mut Form) -> Result<()> {
    trim(text, form).map(|_| ())
}

pub(super) fn apply<'a>(text: &Pinned, mut checkpoint: Checkpoint<'a>) -> Result<Checkpoint<'a>> {
    let before = checkpoint.config()?.clone();
    let kept = trim(text, &mut checkpoint.form)?;
    let after = checkpoint.config()?.clone();
    let rows = kept;
    let select = |place: &bantam_model::names::Place| Selection {
        rows: matches!(place.part, Part::Embedding | Part::Head).then(|| rows.clone()),
        ..Selection::default()
    };
    let pieces = Pieces::new(&before, &after, &select)?;
    let gone = before.vocab - after.vocab;
    let did = format!("{gone} of {} tokens taken out that {} never uses", before.vocab, text.file.display());
    let note = StepNote::new("prune", did).with("removed_tokens", gone).with("text_sha256", text.sha256.clone());
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, HashMap::new())).noted(note))
}

/// Gives the form a trimmed tokenizer and the config that goes with it, and the old number of each token.
fn trim(text: &Pinned, form: &mut Form) -> Result<Arc<Vec<u32>>> {
    text.check()?;
    let (whole, planning) = (form.current_tokenizer()?.clone(), form.planning().clone());
    let key = text.sha256.clone().unwrap_or_default();
    let known = planning.trimmed(&whole, &key).filter(|known| !known.text.is_empty());
    let trimmed = match known {
        Some(known) => known,
        None => {
            let (tokenizer, kept) = trim_anew(text, &whole, &planning, form.config()?.vocab)?;
            let trimmed = TrimmedOf { whole, text: key, tokenizer: Arc::new(tokenizer), kept: Arc::new(kept) };
            planning.keep(trimmed.clone());
            trimmed
        }
    };
    let config = renumbered(form.config()?, &trimmed.kept);
    form.set_config(config);
    form.set_tokenizer(trimmed.tokenizer);
    Ok(trimmed.kept)
}

/// Works out what stays of a model's `vocab` tokens, which takes seconds for a large vocabulary and for a long text.
fn trim_anew(text: &Pinned, tokenizer: &Tokenizer, planning: &Planning, vocab: usize) -> Result<(Tokenizer, Vec<u32>)> {
    let texts = texts(text)?;
    let trimmed = trimmed(tokenizer, &texts, planning)?;
    let beyond = trimmed.kept.iter().find(|id| **id as usize >= vocab);
    ensure!(beyond.is_none(), "the tokenizer has more tokens than the model's embedding has rows");
    ensure!(
        trimmed.kept.len() < vocab,
        "{}: it uses all {vocab} tokens, or others are made of them, so that none can go",
        text.file.display()
    );
    check(tokenizer, &trimmed, &texts, planning).with_context(|| text.file.display().to_string())?;
    Ok((trimmed.tokenizer, trimmed.kept))
}

/// The tokenizer with what the texts use, as they are and behind a space, and what a chat template adds of its own.
fn trimmed(tokenizer: &Tokenizer, texts: &[String], planning: &Planning) -> Result<Trimmed> {
    let mut used = BTreeSet::new();
    for (number, text) in texts.iter().chain(&conversation(tokenizer)).enumerate() {
        planning.step("reading the text, piece", (number + 1).min(texts.len()), texts.len())?;
        used.extend(tokenizer.encode(text, Special::With)?);
        used.extend(tokenizer.encode_letters(text)?);
        used.extend(tokenizer.encode(&format!(" {text}"), Special::With)?);
    }
    let of = used.len();
    planning.step("making a tokenizer of the tokens used,", of, tokenizer.len())?;
    Ok(tokenizer.trimmed(&used)?)
}

/// A short conversation in the model's template, for the words that the template adds.
fn conversation(tokenizer: &Tokenizer) -> Option<String> {
    let template = ChatTemplate::of(tokenizer, false).ok()??;
    let messages = [json!({"role": "user", "content": "."}), json!({"role": "assistant", "content": "."})];
    let told = Conversation { messages: &messages, ..Conversation::default() };
    let asked = Conversation { messages: &messages[..1], add_generation_prompt: true, ..Conversation::default() };
    let all = [template.render(&told).ok()?, template.render(&asked).ok()?];
    Some(all.concat())
}

/// Whether every text is the same tokens as before, and they the same text.
fn check(before: &Tokenizer, trimmed: &Trimmed, texts: &[String], planning: &Planning) -> Result<()> {
    for (number, text) in texts.iter().enumerate() {
        planning.step("reading the text again, piece", number + 1, texts.len())?;
        let (old, new) = (before.encode(text, Special::With)?, trimmed.tokenizer.encode(text, Special::With)?);
        let same = old.len() == new.len() && new.iter().zip(&old).all(|(&new, old)| trimmed.kept[new as usize] == *old);
        let read = same && trimmed.tokenizer.decode(&new, Special::With)? == before.decode(&old, Special::With)?;
        let begin: String = text.chars().take(40).collect();
        ensure!(read, "the trimmed tokenizer does not read {begin:?} as the whole one did");
    }
    Ok(())
}

/// The config with fewer tokens under new numbers.
fn renumbered(config: &Config, kept: &[u32]) -> Config {
    let new = |id: u32| kept.binary_search(&id).ok().map(|new| new as u32);
    Config {
        vocab: kept.len(),
        bos: config.bos.and_then(new),
        eos: config.eos.iter().copied().filter_map(new).collect(),
        ..config.clone()
    }
}

/// The texts of a file: all that stands in quotes of each line of a .jsonl, and else the file as it is, in pieces.
fn texts(pinned: &Pinned) -> Result<Vec<String>> {
    let name = pinned.file.display();
    let whole =
        input::read_to_string(&pinned.file, LONGEST).map_err(|e| anyhow!("{name}: cannot read the text: {e}"))?;
    ensure!(!whole.trim().is_empty(), "{name}: there is no text in it");
    match texts::is_lines(&pinned.file) {
        true => Ok(texts::of_lines(&name.to_string(), &whole)?.concat()),
        false => Ok(pieces(&whole)),
    }
}

/// About how long the pieces are that a text is read in, so that a wish to stop is heard soon.
const PIECE: usize = 1 << 16;

/// A text in pieces that begin with a line's first word, with a space before it or none: no token lies across such a place.
fn pieces(whole: &str) -> Vec<String> {
    let (mut pieces, mut rest) = (Vec::new(), whole);
    while rest.len() > PIECE {
        let seams = rest.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at > PIECE);
        let starts_a_word = |at: &usize| {
            let line = rest[*at..].strip_prefix(' ').unwrap_or(&rest[*at..]);
            line.starts_with(|c: char| !c.is_whitespace())
        };
        let Some(at) = seams.into_iter().find(starts_a_word) else { break };
        let (piece, after) = rest.split_at(at);
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces.push(rest.to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_lines_begin_with_a_word() {
        let text = "one line\n\n  of three\n and more\n".repeat(9000);
        let pieces = pieces(&text);
        assert!(pieces.len() > 3 && pieces.concat() == text);
        assert!(pieces.iter().all(|piece| piece.starts_with("one") || piece.starts_with(" and")));
        let unbroken = "x".repeat(3 * PIECE);
        assert_eq!(super::pieces(&unbroken), std::slice::from_ref(&unbroken));
    }
}

//! Words and sentences of an answer.
//!
//! lm-evaluation-harness counts sentences by NLTK's Punkt, a model of English abbreviations that was trained on newspapers (Kiss
//! and Strunk 2006), and finds words in capitals by NLTK's words, which are those of the Penn Treebank. The words here are parted by
//! the same rules, as far as they decide how many are in capitals; the sentences are Punkt's steps with a list of common abbreviations in the place of its trained tables, and differ
//! where an answer has rarer ones.

use crate::python::{regex, split};
use fancy_regex::Regex;
use std::sync::LazyLock;

/// `\w+`, as often as it is there.
pub(super) fn words(text: &str) -> usize {
    static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"\w+").expect("a pattern without faults"));
    WORD.find_iter(text).map_while(Result::ok).count()
}

/// What commonly stands before a full stop that ends no sentence, of what Punkt takes for that, too; `e.g.` and `etc.` it does not.
const ABBREVIATIONS: &[&str] = &[
    "a.m", "adm", "aug", "ave", "bros", "c", "calif", "co", "col", "colo", "conn", "corp", "cos", "ct", "d.c", "dec",
    "dr", "e.l", "feb", "fla", "fri", "ft", "ga", "gen", "inc", "jan", "jr", "kan", "ky", "lt", "ltd", "maj", "messrs",
    "mich", "minn", "mr", "mrs", "ms", "n.j", "n.y", "nev", "nov", "oct", "okla", "ore", "p.m", "pa", "ph.d", "prof",
    "rep", "reps", "s.a", "s.c", "sen", "sept", "sr", "st", "tenn", "tues", "u.k", "u.n", "u.s", "u.s.a", "va", "vs",
    "vt", "wash", "wed", "wis", "yr",
];

/// Words that begin a sentence wherever they stand in capitals behind an abbreviation.
const STARTERS: &[&str] = &[
    "a",
    "about",
    "after",
    "all",
    "also",
    "although",
    "among",
    "an",
    "and",
    "another",
    "any",
    "as",
    "at",
    "because",
    "before",
    "both",
    "but",
    "by",
    "could",
    "did",
    "do",
    "does",
    "during",
    "each",
    "even",
    "for",
    "from",
    "he",
    "her",
    "here",
    "his",
    "how",
    "however",
    "i",
    "if",
    "in",
    "indeed",
    "instead",
    "is",
    "it",
    "its",
    "last",
    "like",
    "many",
    "meanwhile",
    "more",
    "moreover",
    "most",
    "my",
    "no",
    "not",
    "now",
    "of",
    "on",
    "once",
    "one",
    "only",
    "or",
    "other",
    "our",
    "perhaps",
    "she",
    "since",
    "so",
    "some",
    "still",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "though",
    "thus",
    "to",
    "under",
    "until",
    "was",
    "we",
    "well",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "why",
    "with",
    "yet",
    "you",
    "your",
];

/// Sentences by the stops between words; a text without any is one.
pub(super) fn sentences(text: &str) -> usize {
    // a quote or bracket that stands alone is the end of what was said before
    let is_closing = |word: &&str| word.chars().all(|c| "\"')]}\u{201d}".contains(c));
    let words: Vec<&str> = split(text).filter(|word| !is_closing(word)).collect();
    if words.is_empty() {
        return usize::from(split(text).next().is_some());
    }
    1 + words.windows(2).filter(|pair| is_end(pair[0], pair[1])).count()
}

/// Whether a sentence ends between two words.
fn is_end(word: &str, next: &str) -> bool {
    let closing = |c: char| ")]}'\"\u{201d}\u{2019}*".contains(c);
    let bare = word.trim_end_matches(closing);
    if bare.ends_with(['?', '!']) {
        return true;
    }
    let Some(stem) = bare.strip_suffix('.') else { return false };
    let first = next.trim_start_matches(|c: char| "([{'\"\u{201c}\u{2018}*".contains(c));
    let begins_large = first.chars().next().is_some_and(char::is_uppercase);
    let begins_small = first.chars().next().is_some_and(char::is_lowercase);
    let name = stem.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let next_word = first.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let is_initial = name.chars().count() == 1 && name.chars().all(char::is_alphabetic);
    // an ellipsis ends a sentence where the next one plainly begins, too
    if stem.ends_with('.') || ABBREVIATIONS.contains(&name.as_str()) || is_initial {
        return begins_large && STARTERS.contains(&next_word.as_str());
    }
    let is_number = name.chars().any(|c| c.is_ascii_digit()) && !name.chars().any(char::is_alphabetic);
    !(is_number && begins_small)
}

/// Signs that part words, wherever they stand.
const PARTING: &str = ";@#$%&?!*[](){}<>\"`«»“”‘’„\u{2012}\u{2013}\u{2014}\u{2015}";
/// Ends of words that are words of their own to the Penn Treebank, in one case as in the other.
const CLITICS: [&str; 7] = ["'s", "'m", "'d", "'ll", "'re", "'ve", "n't"];
/// Two words written as one: how long the first is.
const CONTRACTIONS: [(&str, usize); 8] =
    [("cannot", 3), ("d'ye", 1), ("gimme", 3), ("gonna", 3), ("gotta", 3), ("lemme", 3), ("more'n", 4), ("wanna", 3)];

/// Words in capitals, as the Penn Treebank parts words: `DON'T` is two of them, `WELL-KNOWN` one.
pub(super) fn capitals(text: &str) -> usize {
    static DOTS: LazyLock<Regex> = LazyLock::new(|| regex(r"\.{2,}|--|[:,](?!\d)").expect("a pattern without faults"));
    let text = text.replace(|c: char| PARTING.contains(c), " ");
    let text = DOTS.replace_all(&text, " ");
    split(&text).flat_map(parts).filter(|word| is_upper(word)).count()
}

/// A word between white space as one word, or two.
fn parts(word: &str) -> Vec<&str> {
    let word = word.trim_end_matches('.');
    let lower = word.to_lowercase();
    let contracted = CONTRACTIONS.iter().find(|(whole, _)| lower == *whole).map(|(_, first)| *first);
    let clitic = |end: &&&str| word.ends_with(**end) || word.ends_with(&end.to_uppercase());
    let cut = contracted.or_else(|| CLITICS.iter().find(clitic).map(|end| word.len() - end.len()));
    match cut.filter(|cut| *cut > 0) {
        Some(cut) => vec![&word[..cut], &word[cut..]],
        None => vec![word],
    }
}

/// `str.isupper`: some letter, and none that is small.
pub(super) fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_stops_that_are_not_abbreviations() {
        assert_eq!(
            sentences("Dr. Smith met Mr. J. Jones at 5 p.m. in the U.S. embassy. They talked! \"Really?\" Yes."),
            4
        );
        assert_eq!(sentences("no stop at all"), 1);
        assert_eq!(sentences("Wait... what? He left..."), 2);
        // to Punkt these are the ends of sentences
        assert_eq!(sentences("It is 3.5 km. See e.g. the map."), 3);
        assert_eq!(sentences(" "), 0);
    }

    #[test]
    fn words_are_parted_from_signs_and_from_each_other() {
        assert_eq!(capitals("I DON'T know, he CANNOT!"), 5);
        assert_eq!(capitals("(WELL-KNOWN) A/B -- OK. Ok \"YES\" IT'S"), 6);
        assert_eq!(words("don't stop-now"), 4);
    }
}

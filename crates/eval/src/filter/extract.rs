//! Filters that look for an answer by what the question offers (`lm_eval/filters/extraction.py`, and
//! `lm_eval/tasks/bbh/cot_zeroshot/utils.py`, 0.4.13).

use super::pattern;
use crate::error::{Error, Key};
use crate::python::{regex, split, stripped};
use fancy_regex::Regex;
use serde::Serialize;
use std::sync::LazyLock;

/// A filter that a task's file names as a class of Python's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Custom {
    /// A letter in brackets, or a choice by its text.
    MultiChoice,
    /// A pattern's name for what it finds.
    MapRegex,
    /// The words of a list, in the order in which they were said.
    WordSort,
    /// The program that the answer goes on from, with the answer behind it.
    Completed,
    /// The same with what stands before the end of a block of code.
    CompletedWithin,
    /// What stands in the first block of code.
    CodeBlock,
}

/// Where a regular expression looks, and which of its finds is taken.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Search {
    #[serde(serialize_with = "pattern")]
    pub(super) regex: Regex,
    pub(super) group_select: i64,
    pub(super) fallback: String,
    /// What does not matter in a text before it is searched for choices.
    pub(super) ignoring: Ignoring,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Ignoring {
    pub(super) case: bool,
    pub(super) punctuation: bool,
    #[serde(serialize_with = "patterns")]
    pub(super) regexes: Vec<Regex>,
}

fn patterns<S: serde::Serializer>(regexes: &[Regex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(regexes.iter().map(Regex::as_str))
}

/// A pattern and what its finds are called.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mapped {
    #[serde(serialize_with = "pattern")]
    pub(super) regex: Regex,
    pub(super) value: String,
}

static PUNCTUATION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\p{P}").expect("a pattern without faults"));

impl Ignoring {
    fn left(&self, text: &str) -> String {
        let mut text =
            self.regexes.iter().fold(text.to_owned(), |text, regex| regex.replace_all(&text, "").into_owned());
        if self.case {
            text = text.to_lowercase();
        }
        if self.punctuation {
            text = PUNCTUATION.replace_all(&text, "").into_owned();
        }
        text
    }
}

/// `re.findall(regex, text)[group_select].strip()`, and of several groups the first that is not empty; None where there
/// is no such match.
pub(super) fn select(regex: &Regex, group_select: i64, text: &str) -> Option<String> {
    // a search that runs out of its backtracking budget has found nothing more
    let matches: Vec<_> = regex.captures_iter(text).map_while(Result::ok).collect();
    let index = if group_select < 0 {
        matches.len().checked_sub(group_select.unsigned_abs() as usize)
    } else {
        usize::try_from(group_select).ok()
    };
    let found = matches.get(index?)?;
    let group = |i| found.get(i).map_or("", |m| m.as_str());
    let taken = match found.len() {
        1 => group(0),
        2 => group(1),
        groups => (1..groups).map(group).find(|g| !g.is_empty())?,
    };
    Some(stripped(taken).to_string())
}

/// A find that is some text.
fn find(regex: &Regex, group_select: i64, text: &str) -> Option<String> {
    select(regex, group_select, text).filter(|found| !found.is_empty())
}

/// The letter of a choice: as the pattern finds it, else by the choice's text, else after a colon.
pub(super) fn multiple_choice(search: &Search, text: &str, choices: &[String]) -> String {
    let Search { regex: own, group_select, fallback, ignoring } = search;
    let letters: Vec<char> = ('A'..='Z').take(choices.len()).collect();
    let by_pattern = || find(own, *group_select, text);
    let by_text = || {
        let texts: Vec<String> = choices.iter().map(|choice| ignoring.left(stripped(choice))).collect();
        // the longest first: a choice that another one begins with must not hide it
        let mut longest: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
        longest.sort_by_key(|text| std::cmp::Reverse(text.chars().count()));
        let any = Regex::new(&longest.join("|")).ok().filter(|_| !texts.is_empty())?;
        let found = find(&any, *group_select, &ignoring.left(text))?;
        // of two equal ones the last has the letter
        let place = texts.iter().rposition(|text| *text == found);
        Some(place.and_then(|place| letters.get(place)).map_or(found, |letter| format!("({letter})")))
    };
    let by_letter = || {
        let any: String = letters.iter().map(char::to_string).collect::<Vec<_>>().join("|");
        let found = find(&regex(&format!(r":[\s]*({any})")).ok()?, *group_select, text)?;
        Some(if found.len() == 1 { format!("({found})") } else { found })
    };
    by_pattern().or_else(by_text).or_else(by_letter).unwrap_or_else(|| fallback.clone())
}

/// `re.escape`
fn escaped(text: &str) -> String {
    fancy_regex::escape(text).into_owned()
}

/// The name of the pattern that finds something in what all of them together find.
pub(super) fn mapped(search: &Search, each: &[Mapped], text: &str) -> String {
    let found = find(&search.regex, search.group_select, &search.ignoring.left(text));
    let name = found.and_then(|found| {
        let text = search.ignoring.left(&found);
        each.iter()
            .find(|mapped| find(&mapped.regex, search.group_select, &text).is_some())
            .map(|mapped| mapped.value.clone())
    });
    name.unwrap_or_else(|| search.fallback.clone())
}

/// The words of the question's list as the text has them: each where it is said last.
pub(super) fn sorted(text: &str, input: &str) -> String {
    let words: Vec<&str> = split(input.split("List:").nth(1).unwrap_or("")).collect();
    let pattern = words.iter().map(|word| format!(r"\b{word}\b")).collect::<Vec<_>>().join("|");
    let Some(regex) = regex(&pattern).ok().filter(|_| !words.is_empty()) else { return String::new() };
    let said: Vec<String> =
        regex.find_iter(text).map_while(Result::ok).map(|found| found.as_str().to_owned()).collect();
    let last = |(at, word): &(usize, &String)| !said[at + 1..].contains(word);
    said.iter().enumerate().filter(last).map(|(_, word)| word.clone()).collect::<Vec<_>>().join(" ")
}

/// What stands before the end of a block of code.
pub(super) fn within_fence(text: &str) -> &str {
    text.split_once("```").map_or(text, |(within, _)| within)
}

/// What stands in the first block of code, of a text that goes on from the beginning of one; nothing where none is closed.
pub(super) fn code_block(text: &str) -> String {
    static BLOCK: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?s)```(?:\w+)?\n?(.*?)\n?```").expect("a pattern without faults"));
    let first = |text: &str| Some(BLOCK.captures(text).ok()??.get(1)?.as_str().to_owned());
    first(&format!("```{text}")).or_else(|| first(&text.replace("```python", "```"))).unwrap_or_default()
}

/// The choices within a question: what stands behind `(A)`, `(B)` and so on.
pub(crate) fn choices_within(input: &str) -> Vec<String> {
    static CHOICE: LazyLock<Regex> = LazyLock::new(|| regex(r"\([A-Z]\)([^\n^(]*)").expect("a pattern without faults"));
    let found = CHOICE.captures_iter(input).map_while(Result::ok);
    found.filter_map(|found| Some(found.get(1)?.as_str().to_owned())).collect()
}

/// Reads the pattern of a search.
pub(super) fn search(
    pattern: &str,
    group_select: i64,
    fallback: String,
    ignoring: Ignoring,
    key: &Key,
) -> Result<Search, Error> {
    let regex = regex(pattern).map_err(|why| key.at("regex_pattern").wrong(why))?;
    Ok(Search { regex, group_select, fallback, ignoring })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(pattern: &str, group_select: i64, ignoring: Ignoring) -> Search {
        Search { regex: regex(pattern).expect("valid"), group_select, fallback: "[invalid]".into(), ignoring }
    }

    fn loose() -> Ignoring {
        Ignoring { case: true, punctuation: true, regexes: Vec::new() }
    }

    /// What the filters of 0.4.13 gave.
    #[test]
    fn a_choice_is_found_by_its_letter_or_by_its_text() {
        let choices = ["Guilty", "Guilty of Romance", "It's fine."].map(String::from);
        let search = by(r"(\([A-Z]\))", 0, loose());
        let found = |text: &str| multiple_choice(&search, text, &choices);
        assert_eq!(found("I say (C), not (A)."), "(C)");
        assert_eq!(found("it is Guilty of romance"), "(B)");
        assert_eq!(found("clearly: its FINE"), "(C)");
        assert_eq!(found("Answer: B"), "(B)");
        assert_eq!(found("nothing"), "[invalid]");
        let last = by(r"(\([A-Z]\))", -1, loose());
        assert_eq!(multiple_choice(&last, "(C) or (A)", &choices), "(A)");
        assert_eq!(choices_within("Q?\nOptions:\n(A) one (B) two\n(C) three^4"), [" one ", " two", " three"]);
    }

    #[test]
    fn patterns_have_names_and_words_an_order() {
        let each = [("yes|true", "Yes"), ("no|false", "No")];
        let mapped_by =
            each.map(|(pattern, value)| Mapped { regex: regex(pattern).expect("valid"), value: value.into() });
        let search = by("yes|true|no|false", -1, Ignoring { case: true, ..Ignoring::default() });
        assert_eq!(mapped(&search, &mapped_by, "True, that is FALSE"), "No");
        assert_eq!(mapped(&search, &mapped_by, "perhaps"), "[invalid]");
        let input = "Sort the following words alphabetically: List: syndrome therefrom  banana";
        assert_eq!(sorted("banana syndrome, no: banana therefrom", input), "syndrome banana therefrom");
        assert_eq!(sorted("nothing", input), "");
    }

    #[test]
    fn code_is_what_stands_in_the_first_block() {
        assert_eq!(code_block("python\ndef f():\n    pass\n``` and ```x```"), "def f():\n    pass");
        assert_eq!(code_block("\nx = 1\n```"), "x = 1");
        assert_eq!(code_block("no block"), "");
        assert_eq!(within_fence("    return 1\n```\nThat is it."), "    return 1\n");
    }
}

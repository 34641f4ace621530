//! Filters: what is taken from a generated text before it is compared (`lm_eval/filters/`), and how `filter_list` names
//! them. Every pipeline of filters makes a task of its own.

mod extract;

pub(crate) use extract::{Custom, choices_within};
use extract::{Ignoring, Mapped, Search};

use crate::error::{Error, Key};
use crate::front::{RawFilter, RawPipeline};
use crate::python::{self, stripped};
use fancy_regex::Regex;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a regex's no match and a map's unlisted text become, so that they match no target; as in lm-evaluation-harness.
pub(crate) const INVALID: &str = "[invalid]";
/// The pattern of a regex that names none.
pub(crate) const NUMBER: &str = r"#### (\-?[0-9\.\,]+)";

/// A step from what the model generated to what is compared.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Filter {
    /// The match numbered `group_select` of all, from the end where negative; of its groups the first that is not
    /// empty.
    Regex {
        #[serde(serialize_with = "pattern")]
        regex: Regex,
        group_select: i64,
        fallback: String,
    },
    Lowercase,
    Uppercase,
    /// White space at both ends is dropped.
    RemoveWhitespace,
    /// The text by another one; a text that is not listed by the default.
    Map {
        mapping: BTreeMap<String, String>,
        default: String,
    },
    /// The letter of one of the item's choices.
    MultiChoice(Search),
    /// What a pattern's finds are called.
    MapRegex {
        search: Search,
        each: Vec<Mapped>,
    },
    /// The words of the item's list.
    WordSort,
    /// The text that was said most often, of equally many the first.
    MajorityVote,
    /// Only so many of the texts.
    TakeFirstK(usize),
    /// The item's own program goes before the text.
    Completed,
    /// The same, and the text ends where a block of code does.
    CompletedWithin,
    /// What stands in the first block of code.
    CodeBlock,
}

/// The named pipelines of `filter_list`; one without filters where none is given.
pub(crate) fn pipelines(given: &[RawPipeline], key: &Key) -> Result<Vec<(String, Vec<Filter>)>, Error> {
    let key = key.at("filter_list");
    if given.is_empty() {
        return Ok(vec![("none".into(), Vec::new())]);
    }
    for (i, pipeline) in given.iter().enumerate() {
        if given[..i].iter().any(|other| other.name == pipeline.name) {
            return Err(key.wrong(format!("names '{}' twice; remove one", pipeline.name)));
        }
    }
    let pipeline = |raw: &RawPipeline| {
        let key = key.at(&raw.name);
        // one text is generated per item, so the first is all there is
        let filters = raw.filter.iter().filter(|raw| !matches!(raw, RawFilter::TakeFirst {}));
        Ok((raw.name.clone(), filters.map(|raw| Filter::parse(raw, &key)).collect::<Result<_, Error>>()?))
    };
    given.iter().map(pipeline).collect()
}

/// Compiles a regular expression of a suite's file.
pub(crate) fn regex(pattern: &str, key: &Key) -> Result<Regex, Error> {
    python::regex(pattern).map_err(|why| key.wrong(why))
}

/// Reads a filter that has Python's keys: `regex_pattern`, `group_select`, `fallback`, `ignore_case`, `ignore_punctuation`,
/// `regexes_to_ignore`.
#[derive(Debug)]
pub(crate) struct SearchKeys {
    pub(crate) pattern: String,
    pub(crate) group_select: i64,
    pub(crate) fallback: String,
    pub(crate) ignore_case: bool,
    pub(crate) ignore_punctuation: bool,
    pub(crate) regexes_to_ignore: Vec<String>,
}

impl SearchKeys {
    fn search(&self, key: &Key) -> Result<Search, Error> {
        let ignored = key.at("regexes_to_ignore");
        let ignoring = Ignoring {
            case: self.ignore_case,
            punctuation: self.ignore_punctuation,
            regexes: self.regexes_to_ignore.iter().map(|pattern| regex(pattern, &ignored)).collect::<Result<_, _>>()?,
        };
        extract::search(&self.pattern, self.group_select, self.fallback.clone(), ignoring, key)
    }
}

fn pattern<S: serde::Serializer>(regex: &Regex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(regex.as_str())
}

impl Filter {
    fn parse(raw: &RawFilter, key: &Key) -> Result<Filter, Error> {
        Ok(match raw {
            RawFilter::Regex { regex_pattern, group_select, fallback } => Filter::Regex {
                regex: regex(regex_pattern.as_deref().unwrap_or(NUMBER), &key.at("regex_pattern"))?,
                group_select: group_select.unwrap_or(0),
                fallback: fallback.clone().unwrap_or(INVALID.into()),
            },
            RawFilter::Lowercase {} => Filter::Lowercase,
            RawFilter::Uppercase {} => Filter::Uppercase,
            RawFilter::RemoveWhitespace {} => Filter::RemoveWhitespace,
            RawFilter::Map { mapping_dict, default_value } => {
                Filter::Map { mapping: mapping_dict.clone(), default: default_value.clone().unwrap_or(INVALID.into()) }
            }
            RawFilter::TakeFirst {} => unreachable!("left out where the pipeline is made"),
        })
    }

    /// The filter that finds a choice's letter, of the choices that an item has.
    pub(crate) fn multi_choice(keys: &SearchKeys, key: &Key) -> Result<Filter, Error> {
        keys.search(key).map(Filter::MultiChoice)
    }

    /// The filter that calls finds by the name of their pattern.
    pub(crate) fn map_regex(keys: &SearchKeys, values: &[(String, String)], key: &Key) -> Result<Filter, Error> {
        let each =
            values.iter().map(|(pattern, value)| Ok(Mapped { regex: regex(pattern, key)?, value: value.clone() }));
        Ok(Filter::MapRegex { search: keys.search(key)?, each: each.collect::<Result<_, Error>>()? })
    }

    /// What the filter leaves of the texts that a model gave for one item; `on` is what the item has for it to look at.
    pub(crate) fn apply(&self, mut texts: Vec<String>, on: &[String]) -> Vec<String> {
        match self {
            Filter::MajorityVote => majority(texts).into_iter().collect(),
            Filter::TakeFirstK(k) => {
                texts.truncate(*k);
                texts
            }
            one => texts.into_iter().map(|text| one.apply_to(text, on)).collect(),
        }
    }

    fn apply_to(&self, text: String, on: &[String]) -> String {
        match self {
            Filter::Regex { regex, group_select, fallback } => {
                extract::select(regex, *group_select, &text).unwrap_or_else(|| fallback.clone())
            }
            Filter::Lowercase => text.to_lowercase(),
            Filter::Uppercase => text.to_uppercase(),
            Filter::RemoveWhitespace => stripped(&text).to_string(),
            Filter::Map { mapping, default } => mapping.get(&text).unwrap_or(default).clone(),
            Filter::MultiChoice(search) => extract::multiple_choice(search, &text, on),
            Filter::MapRegex { search, each } => extract::mapped(search, each, &text),
            Filter::WordSort => extract::sorted(&text, on.first().map_or("", String::as_str)),
            Filter::Completed => [on.first().map_or("", String::as_str), &text].concat(),
            Filter::CompletedWithin => [on.first().map_or("", String::as_str), extract::within_fence(&text)].concat(),
            Filter::CodeBlock => extract::code_block(&text),
            Filter::MajorityVote | Filter::TakeFirstK(_) => text,
        }
    }
}

/// The text that is there most often; of equally many the first.
fn majority(texts: Vec<String>) -> Option<String> {
    let count = |text: &String| texts.iter().filter(|other| *other == text).count();
    let most = texts.iter().map(count).max()?;
    texts.iter().find(|text| count(text) == most).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str, group_select: i64) -> Filter {
        let regex = Regex::new(pattern).expect("valid");
        Filter::Regex { regex, group_select, fallback: "[invalid]".into() }
    }

    #[test]
    fn a_regex_takes_the_match_and_the_group_that_findall_would_give() {
        let cases = [
            (r"\d+", 0, "a 1 b 22", "1"),
            (r"\d+", -1, "a 1 b 22", "22"),
            (r"x(\d+)", 1, "x1 x22", "22"),
            (r"x(\d*)", 0, "x", ""),
            (r"([A-Z])|([0-9]+)", -1, "A 12", "12"),
            (r"(a)|(b)", 5, "a b", "[invalid]"),
            (r"(a)|(b)", -3, "a b", "[invalid]"),
            (r"(x?)(y?)", 0, "z", "[invalid]"),
            (r"answer is(.*)", 0, "the answer is  42 ", "42"),
            (r"\d+", i64::MIN, "1", "[invalid]"),
        ];
        for (pattern, group_select, text, expected) in cases {
            assert_eq!(
                regex(pattern, group_select).apply_to(text.into(), &[]),
                expected,
                "{pattern} {group_select} {text}"
            );
        }
    }

    #[test]
    fn a_regex_that_explodes_falls_back() {
        let text = "a".repeat(40);
        assert_eq!(regex(r"(?:(a+)+)(?!a)\1$b", 0).apply_to(text, &[]), "[invalid]");
    }

    #[test]
    fn filters_follow_one_another() {
        let mapping = BTreeMap::from([("yes".to_string(), "1".to_string())]);
        let map = Filter::Map { mapping, default: "0".into() };
        let all = [Filter::RemoveWhitespace, Filter::Lowercase, map];
        let apply = |text: &str| all.iter().fold(text.to_string(), |text, f| f.apply_to(text, &[]));
        assert_eq!((apply(" Yes"), apply("no")), ("1".to_string(), "0".to_string()));
        assert_eq!(Filter::Uppercase.apply_to("é".into(), &[]), "É");
        assert_eq!(Filter::RemoveWhitespace.apply_to(" a\n".into(), &[]), "a");
        let several = |filter: Filter| filter.apply(["b", "a", "c", "a", "c"].map(String::from).to_vec(), &[]);
        assert_eq!(several(Filter::MajorityVote), ["a"]);
        assert_eq!(several(Filter::TakeFirstK(2)), ["b", "a"]);
    }
}

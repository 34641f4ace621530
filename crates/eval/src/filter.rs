//! Filters: what is taken from a generated text before it is compared (`lm_eval/filters/`), and how `filter_list` names
//! them. Every pipeline of filters makes a task of its own.

use crate::error::{Error, Key};
use crate::front::{RawFilter, RawPipeline};
use fancy_regex::Regex;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a regex's no match and a map's unlisted text become, so that they match no target; as in lm-evaluation-harness.
const INVALID: &str = "[invalid]";

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
    /// White space at the beginning is dropped.
    RemoveWhitespace,
    /// The text by another one; a text that is not listed by the default.
    Map {
        mapping: BTreeMap<String, String>,
        default: String,
    },
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
    Regex::new(pattern).map_err(|e| {
        let why = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        key.wrong(format!("'{pattern}' is no regular expression: {why}"))
    })
}

fn pattern<S: serde::Serializer>(regex: &Regex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(regex.as_str())
}

impl Filter {
    fn parse(raw: &RawFilter, key: &Key) -> Result<Filter, Error> {
        Ok(match raw {
            RawFilter::Regex { regex_pattern, group_select, fallback } => Filter::Regex {
                regex: regex(regex_pattern.as_deref().unwrap_or(r"#### (\-?[0-9\.\,]+)"), &key.at("regex_pattern"))?,
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

    /// What the filter leaves of a text.
    pub(crate) fn apply(&self, text: String) -> String {
        match self {
            Filter::Regex { regex, group_select, fallback } => {
                select(regex, *group_select, &text).unwrap_or_else(|| fallback.clone())
            }
            Filter::Lowercase => text.to_lowercase(),
            Filter::Uppercase => text.to_uppercase(),
            Filter::RemoveWhitespace => text.trim_start().to_string(),
            Filter::Map { mapping, default } => mapping.get(&text).unwrap_or(default).clone(),
        }
    }
}

/// `re.findall(regex, text)[group_select].strip()`; None where nothing matches or there are not so many matches.
fn select(regex: &Regex, group_select: i64, text: &str) -> Option<String> {
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
    Some(taken.trim().to_string())
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
            assert_eq!(regex(pattern, group_select).apply(text.into()), expected, "{pattern} {group_select} {text}");
        }
    }

    #[test]
    fn a_regex_that_explodes_falls_back() {
        let text = "a".repeat(40);
        assert_eq!(regex(r"(?:(a+)+)(?!a)\1$b", 0).apply(text), "[invalid]");
    }

    #[test]
    fn filters_follow_one_another() {
        let mapping = BTreeMap::from([("yes".to_string(), "1".to_string())]);
        let map = Filter::Map { mapping, default: "0".into() };
        let all = [Filter::RemoveWhitespace, Filter::Lowercase, map];
        let apply = |text: &str| all.iter().fold(text.to_string(), |text, f| f.apply(text));
        assert_eq!((apply(" Yes"), apply("no")), ("1".to_string(), "0".to_string()));
        assert_eq!(Filter::Uppercase.apply("é".into()), "É");
    }
}

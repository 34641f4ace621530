//! `exact_match`: is what the model wrote one of the right answers, after leaving out what does not matter? Of choices:
//! is a right one what greedy decoding would say?

use super::{Score, Scorer, Taken};
use crate::error::{Error, Key};
use crate::filter::regex;
use crate::front::RawMetric;
use bantam_core::metric::Metric;
use fancy_regex::Regex;
use serde::Serialize;

pub(super) const SCORER: Scorer = Scorer {
    compares_text: true,
    of_choices: Some(|item| Taken {
        choice: item.likeliest(|_| 1.0),
        score: Score::right(item.gold.iter().any(|&gold| item.answers[gold].greedy)),
    }),
    of_generated: Some(|item| Score::right(item.targets.iter().any(|target| item.ignoring.same(item.text, target)))),
    ..Scorer::new(Metric::ExactMatch)
};

/// What does not matter, left out of both sides in this order (`exact_match_hf_evaluate` in `lm_eval/api/metrics.py`).
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ExactMatch {
    #[serde(serialize_with = "patterns")]
    regexes_to_ignore: Vec<Regex>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
    /// Of metrics that compare words: their endings do not matter.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) use_stemmer: bool,
}

/// Tasks without it keep the names of their results.
fn is_false(flag: &bool) -> bool {
    !flag
}

fn patterns<S: serde::Serializer>(regexes: &[Regex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(regexes.iter().map(Regex::as_str))
}

impl ExactMatch {
    /// What `metric_list` says beside the first metric that compares texts; nothing is left out where none is in the list.
    pub(crate) fn parse(given: Option<&[RawMetric]>, key: &Key) -> Result<ExactMatch, Error> {
        let compares = |raw: &&RawMetric| {
            Metric::parse(&raw.metric).and_then(super::scorer).is_some_and(|scorer| scorer.compares_text)
        };
        let given = given.unwrap_or_default();
        let stems = given.iter().any(|raw| raw.use_stemmer);
        let Some(raw) = given.iter().find(compares) else {
            return Ok(ExactMatch { use_stemmer: stems, ..ExactMatch::default() });
        };
        let key = key.at("metric_list: regexes_to_ignore");
        Ok(ExactMatch {
            regexes_to_ignore: raw.regexes_to_ignore.iter().map(|r| regex(r, &key)).collect::<Result<_, _>>()?,
            ignore_case: raw.ignore_case,
            ignore_punctuation: raw.ignore_punctuation,
            ignore_numbers: raw.ignore_numbers,
            use_stemmer: stems,
        })
    }

    /// Nothing is left out but words' endings.
    #[cfg(test)]
    pub(super) fn stemming() -> ExactMatch {
        ExactMatch { use_stemmer: true, ..ExactMatch::default() }
    }

    /// Whether two texts are the same but for what does not matter.
    pub(crate) fn same(&self, said: &str, target: &str) -> bool {
        self.bare(said) == self.bare(target)
    }

    fn bare(&self, text: &str) -> String {
        let mut text = text.to_string();
        for regex in &self.regexes_to_ignore {
            text = regex.replace_all(&text, "").into_owned();
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        text.retain(|c| {
            !(self.ignore_punctuation && c.is_ascii_punctuation() || self.ignore_numbers && c.is_ascii_digit())
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::GeneratedText;
    use super::*;

    #[test]
    fn what_is_ignored_is_ignored_on_both_sides() {
        let plain = ExactMatch::default();
        assert!(plain.same("Yes", "Yes") && !plain.same("yes", "Yes") && !plain.same("Yes ", "Yes"));
        let case = ExactMatch { ignore_case: true, ..ExactMatch::default() };
        assert!(case.same("YES", "yes"));
        let punctuation = ExactMatch { ignore_punctuation: true, ..ExactMatch::default() };
        assert!(punctuation.same("a-b!", "ab.") && !punctuation.same("a b", "ab"));
        let numbers = ExactMatch { ignore_numbers: true, ..ExactMatch::default() };
        assert!(numbers.same("x1", "x22"));
        let regex = |r: &str| Regex::new(r).expect("valid");
        let ignored = ExactMatch { regexes_to_ignore: vec![regex(","), regex("^\\$")], ..ExactMatch::default() };
        assert!(ignored.same("$1,000", "1000"));
    }

    #[test]
    fn any_of_several_targets_is_right() {
        let targets = ["4", "four"].map(String::from);
        let item = GeneratedText {
            text: "four",
            raw: "four",
            cut: false,
            targets: &targets,
            ignoring: &ExactMatch::default(),
            passed: None,
        };
        assert_eq!(SCORER.of_generated.map(|score| score(&item)), Some(Score::once(1.0)));
    }
}

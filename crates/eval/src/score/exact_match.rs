//! Exact match: is what the model wrote one of the right answers, after leaving out what does not matter?

use super::{Filter, once};
use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;
use fancy_regex::Regex;
use serde::Serialize;

/// What does not matter, left out of both sides in this order (`exact_match_hf_evaluate` in `lm_eval/api/metrics.py`).
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExactMatch {
    #[serde(serialize_with = "patterns")]
    pub regexes_to_ignore: Vec<Regex>,
    pub ignore_case: bool,
    pub ignore_punctuation: bool,
    pub ignore_numbers: bool,
}

fn patterns<S: serde::Serializer>(regexes: &[Regex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(regexes.iter().map(Regex::as_str))
}

impl ExactMatch {
    pub fn same(&self, said: &str, target: &str) -> bool {
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

/// The score of one generated text, and the text after the filters.
pub fn written(
    metrics: &[Metric],
    exact_match: &ExactMatch,
    filters: &[Filter],
    text: &str,
    targets: &[String],
) -> (Vec<ItemScore>, String) {
    let answer = filters.iter().fold(text.to_string(), |text, filter| filter.apply(text));
    let right = targets.iter().any(|target| exact_match.same(&answer, target));
    (metrics.iter().map(|&metric| once(metric, f64::from(u8::from(right)))).collect(), answer)
}

#[cfg(test)]
mod tests {
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
        let (scores, answer) = written(&[Metric::ExactMatch], &ExactMatch::default(), &[], "four", &targets);
        assert_eq!((scores[0].value, answer.as_str()), (1.0, "four"));
    }
}

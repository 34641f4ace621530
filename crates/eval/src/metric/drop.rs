//! `drop_em` and `drop_f1`: DROP's scores of an answer that is a number, a date or several spans of text (Dua et al. 2019; the script
//! of AllenNLP, as lm-evaluation-harness 0.4.13 has it). A right answer is a JSON list of its spans; of several the best counts.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use std::collections::BTreeSet;

pub(super) const EXACT: Scorer =
    Scorer { of_generated: Some(|item| Score::once(best(item).0)), ..Scorer::new(Metric::DropEm) };
pub(super) const F1: Scorer =
    Scorer { of_generated: Some(|item| Score::once(best(item).1)), ..Scorer::new(Metric::DropF1) };

fn best(item: &GeneratedText) -> (f64, f64) {
    let said = normalized(item.text);
    let mut best = (0.0_f64, 0.0_f64);
    for target in item.targets {
        let spans: Vec<String> = serde_json::from_str(target).unwrap_or_else(|_| vec![target.clone()]);
        // an answer without a text is none
        if spans.first().is_none_or(|first| first.trim().is_empty()) {
            continue;
        }
        let spans: Vec<String> = spans.iter().map(|span| normalized(span)).collect();
        let is_same = spans.len() == 1 && spans[0] == said;
        let bags: Vec<BTreeSet<&str>> = spans.iter().map(|span| span.split_whitespace().collect()).collect();
        best = (best.0.max(f64::from(u8::from(is_same))), best.1.max(f1(&said.split_whitespace().collect(), &bags)));
    }
    best
}

/// The mean over the right spans of the F1 with the one that the answer's words are aligned with, to two digits.
fn f1(said: &BTreeSet<&str>, right: &[BTreeSet<&str>]) -> f64 {
    // one answer can be aligned with one span only: the best one
    let best = right.iter().map(|right| if numbers_agree(right, said) { of_bags(said, right) } else { 0.0 });
    let mean = best.fold(0.0, f64::max) / right.len() as f64;
    // to the even one, as Python's round does of what lies in the middle
    (mean * 100.0).round_ties_even() / 100.0
}

fn of_bags(said: &BTreeSet<&str>, right: &BTreeSet<&str>) -> f64 {
    let both = right.intersection(said).count() as f64;
    let precision = if said.is_empty() { 1.0 } else { both / said.len() as f64 };
    let recall = if right.is_empty() { 1.0 } else { both / right.len() as f64 };
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// Of a right answer with numbers one is there.
fn numbers_agree(right: &BTreeSet<&str>, said: &BTreeSet<&str>) -> bool {
    let numbers: BTreeSet<&str> = right.iter().copied().filter(|word| number(word).is_some()).collect();
    numbers.is_empty() || numbers.intersection(said).next().is_some()
}

/// `float(text)`
fn number(text: &str) -> Option<f64> {
    let bare = text.trim().replace('_', "");
    bare.parse().ok().filter(|_: &f64| !bare.is_empty())
}

/// In lower case, without punctuation and articles, numbers as Python prints them.
fn normalized(text: &str) -> String {
    let token = |token: &str| {
        let token = token.to_lowercase();
        let bare = match number(&token) {
            Some(_) => token,
            None => token.chars().filter(|c| !c.is_ascii_punctuation()).collect(),
        };
        let fixed = match number(&bare) {
            Some(number) => crate::python::printed(&serde_json::json!(number)),
            None => bare,
        };
        let words = fixed.split_whitespace().filter(|word| !["a", "an", "the"].contains(word));
        words.collect::<Vec<_>>().join(" ")
    };
    let tokens = text.split([' ', '-']).map(token).filter(|token| !token.trim().is_empty());
    tokens.collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::ExactMatch;
    use super::*;

    fn scores(said: &str, right: &[&str]) -> (f64, f64) {
        let targets: Vec<String> = right.iter().map(|right| right.to_string()).collect();
        best(&GeneratedText {
            text: said,
            raw: said,
            cut: false,
            targets: &targets,
            ignoring: &ExactMatch::default(),
            passed: None,
        })
    }

    /// `process_results` of lm_eval/tasks/drop/utils.py, 0.4.13.
    #[test]
    fn answers_score_as_lm_eval_has_them() {
        for (said, right, want) in [
            (" The 12 yards", &[r#"["12"]"#][..], (0.0, 0.67)),
            ("12", &[r#"["12"]"#], (1.0, 1.0)),
            ("12.0", &[r#"["12"]"#], (1.0, 1.0)),
            ("13 yards", &[r#"["12"]"#], (0.0, 0.0)),
            ("Chicago Bears", &[r#"["the Bears", "Packers"]"#, r#"["Bears"]"#], (0.0, 0.67)),
            ("the bears", &[r#"["Bears"]"#], (1.0, 1.0)),
            ("Bears", &[r#"["Bears", "Packers"]"#], (0.0, 0.5)),
            ("forty-two", &[r#"["forty two"]"#], (1.0, 1.0)),
            ("", &[r#"["x"]"#], (0.0, 0.0)),
            ("x", &[r#"[" "]"#], (0.0, 0.0)),
        ] {
            assert_eq!(scores(said, right), want, "{said:?} for {right:?}");
        }
    }
}

//! `first_letter`: does a generated text begin as a right one does?

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    of_generated: Some(|item| {
        let first = item.text.chars().next();
        Score::right(item.targets.iter().any(|target| target.chars().next() == first))
    }),
    ..Scorer::new(Metric::FirstLetter)
};

#[cfg(test)]
mod tests {
    use super::super::{ExactMatch, GeneratedText};
    use super::*;

    #[test]
    fn a_metric_of_one_file_scores_generated_texts() {
        let score = |text: &str| {
            let targets = ["four".to_string()];
            let item = GeneratedText { text, targets: &targets, ignoring: &ExactMatch::default() };
            SCORER.of_generated.map(|score| score(&item).value)
        };
        assert_eq!((score("five"), score("six")), (Some(1.0), Some(0.0)));
    }
}

//! `word_perplexity`: how likely a whole text is, per word.

use super::{Score, Scorer};
use crate::tokens::python_space;
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "weighted_perplexity",
    of_text: Some(|text| Score { value: text.logprob, weight: words(text.text) as f64 }),
    ..Scorer::new(Metric::WordPerplexity)
};

/// `len(re.split(r"\s+", text))`: white space at either end counts one more, empty text is one word.
fn words(text: &str) -> usize {
    let starts = text.chars().zip(std::iter::once('x').chain(text.chars()));
    1 + starts.filter(|&(c, before)| python_space(c) && !python_space(before)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_python_splits_them() {
        for (text, count) in [("", 1), ("a", 1), ("a b", 2), (" a\n\t b ", 4), ("  ", 2), ("a\u{1c}b\u{a0}c", 3)] {
            assert_eq!(words(text), count, "{text:?}");
        }
    }
}

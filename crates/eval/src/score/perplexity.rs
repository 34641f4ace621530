//! How likely a text is: the log-likelihood with the words or bytes that it covers.

use super::once;
use crate::Loglikelihood;
use crate::tokens::python_space;
use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;

/// The scores of one continuation: `perplexity` is per item, `acc` whether greedy decoding would have said it.
pub fn completed(metrics: &[Metric], answer: &Loglikelihood) -> Vec<ItemScore> {
    let score = |&metric: &Metric| match metric {
        Metric::Acc => once(metric, f64::from(u8::from(answer.greedy))),
        _ => once(metric, answer.logprob),
    };
    metrics.iter().map(score).collect()
}

/// The scores of a whole text: per word, or per UTF-8 byte.
pub fn rolled(metrics: &[Metric], logprob: f64, text: &str) -> Vec<ItemScore> {
    let weight = |metric| if metric == Metric::WordPerplexity { words(text) } else { text.len() };
    metrics.iter().map(|&metric| ItemScore { metric, value: logprob, weight: weight(metric) as f64 }).collect()
}

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

    #[test]
    fn weights_are_words_or_bytes() {
        let scores = rolled(&[Metric::WordPerplexity, Metric::BitsPerByte], -3.0, "é b");
        assert_eq!(scores.iter().map(|s| s.weight).collect::<Vec<_>>(), [2.0, 4.0]);
    }
}

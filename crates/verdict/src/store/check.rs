//! What is read is held against what can be: a score outside its metric's range was not written by bantam, and an outcome
//! whose items are gone is none.

use bantam_core::metric::Aggregation;
use bantam_core::record::{Failure, ItemResult, ItemScore, Outcome};
use bantam_core::unit::Unit;

/// The outcome, or a failure with its reason where an item has a score that cannot be.
pub(super) fn checked(outcome: Outcome) -> Outcome {
    let impossible = outcome.items.iter().find_map(|item| Some((item, item.scores.iter().find(|s| !can_be(s))?)));
    let Some((item, score)) = impossible else { return outcome };
    let message = format!(
        "the store is damaged: item {} has {} {}, which cannot be; `--fresh` measures it again",
        item.index, score.metric, score.value
    );
    Outcome { result: outcome.result.and(Err(Failure::Error { message })), ..outcome }
}

/// Whether an item can have the scores that it has; one that cannot is asked again.
pub(super) fn is_possible(item: &ItemResult) -> bool {
    item.scores.iter().all(can_be)
}

/// Whether an item can have this score.
fn can_be(score: &ItemScore) -> bool {
    let ItemScore { metric, value, weight } = *score;
    let is_class = |x: f64| x >= 0.0 && x.fract() == 0.0 && x < 1e9;
    match metric.aggregation() {
        Aggregation::Mean if metric.is_bias() => (-1.0..=1.0).contains(&value) && weight == 1.0,
        // a share, or the odd one that is no share of something
        Aggregation::Mean => {
            let most = if metric.unit() == Unit::Fraction { 1.0 } else { f64::MAX };
            (0.0..=most).contains(&value) && weight >= 0.0 && weight.is_finite()
        }
        // counts, packed in whole numbers
        Aggregation::Bleu | Aggregation::Chrf => {
            [value, weight].iter().all(|x| *x >= 0.0 && x.fract() == 0.0 && *x < (1u64 << 53) as f64)
        }
        // a log-likelihood of some text; an impossible text has minus infinity
        Aggregation::WeightedPerplexity | Aggregation::BitsPerByte => {
            value <= TINY && !value.is_nan() && weight >= 0.0 && weight.is_finite()
        }
        Aggregation::MacroF1 | Aggregation::Mcc | Aggregation::F1 => is_class(value) && is_class(weight),
        Aggregation::Spearman | Aggregation::Pearson => !value.is_nan() && !weight.is_nan(),
        Aggregation::None => false,
    }
}

/// Rounding may lift the log of a certain text above zero by this.
const TINY: f64 = 1e-3;

/// Whether an outcome has all the items it was finished with. `then` is how many that were, `asked` how many the task
/// has, for outcomes of versions that did not write it down.
pub(super) fn is_whole(there: usize, then: Option<usize>, asked: usize) -> bool {
    there >= then.unwrap_or(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::metric::Metric;

    fn score(metric: Metric, value: f64, weight: f64) -> bool {
        can_be(&ItemScore { metric, value, weight })
    }

    #[test]
    fn scores_that_cannot_be_are_told_from_those_that_can() {
        let possible = [
            (Metric::Acc, 1.0, 1.0),
            (Metric::NdcgAt10, 0.63, 1.0),
            (Metric::WordPerplexity, -812.5, 300.0),
            (Metric::BitsPerByte, f64::NEG_INFINITY, 3.0),
            (Metric::BitsPerByte, 0.0, 0.0),
            (Metric::MacroF1, 3.0, 0.0),
            (Metric::Spearman, -0.4, 5.0),
        ];
        for (metric, value, weight) in possible {
            assert!(score(metric, value, weight), "{metric} {value} {weight}");
        }
        let impossible = [
            (Metric::Acc, 5.0, 1.0),
            (Metric::Acc, -0.1, 1.0),
            (Metric::ExactMatch, f64::NAN, 1.0),
            (Metric::Acc, 1.0, f64::INFINITY),
            (Metric::WordPerplexity, 10.0, 3.0),
            (Metric::MacroF1, 0.5, 1.0),
            (Metric::Pearson, f64::NAN, 1.0),
            (Metric::Disk, 1.0, 1.0),
        ];
        for (metric, value, weight) in impossible {
            assert!(!score(metric, value, weight), "{metric} {value} {weight}");
        }
    }

    #[test]
    fn an_outcome_is_whole_with_the_items_it_was_finished_with() {
        assert!(is_whole(10, Some(10), 12), "two could not be asked");
        assert!(!is_whole(5, Some(10), 12) && !is_whole(5, None, 10));
        assert!(is_whole(0, None, 0));
    }
}

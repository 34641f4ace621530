//! What a single item contributes to a score of the whole sample (macro F1, Matthews', a rank correlation), so that two
//! variants can be compared item by item as with any mean.
//!
//! An item's contribution is the score plus its influence: T + (n − 1)(mean of T₋ⱼ − T₋ᵢ), with T₋ᵢ the score without
//! item i (the jackknife's estimate of the influence function; Efron and Tibshirani 1993, "An Introduction to the
//! Bootstrap", section 11.5). The mean of the contributions is T exactly, and its spread is, to first order, that of T.

use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;

/// Gives each item's contribution to the score of the reference and of the candidate, who scored the same items; `None`
/// where one of the two scores does not exist.
///
/// Where both gave an item the same value it makes no difference, though the rest of the sample gives it another
/// influence: its contribution is the same to both, and the items that differ share what the scores differ by.
/// Otherwise few flips would look like many small differences, and a handful of them would seem to settle much.
pub(super) fn contributions(
    metric: Metric,
    reference: &[ItemScore],
    candidate: &[ItemScore],
) -> Option<(Vec<f64>, Vec<f64>)> {
    let (before, mut now) = (of(metric, reference)?, of(metric, candidate)?);
    let differ: Vec<bool> = reference.iter().zip(candidate).map(|(a, b)| a.value != b.value).collect();
    let count = differ.iter().filter(|differs| **differs).count();
    let moved = |now: &[f64]| now.iter().zip(&before).map(|(now, before)| now - before).collect::<Vec<f64>>();
    let whole: f64 = moved(&now).iter().sum();
    let own: f64 = moved(&now).iter().zip(&differ).filter(|(_, differs)| **differs).map(|(moved, _)| moved).sum();
    let share = (whole - own) / count.max(1) as f64;
    for ((now, before), differs) in now.iter_mut().zip(&before).zip(&differ) {
        *now = if *differs { *now + share } else { *before };
    }
    Some((before, now))
}

fn of(metric: Metric, scores: &[ItemScore]) -> Option<Vec<f64>> {
    let pairs: Vec<(f64, f64)> = scores.iter().map(|score| (score.value, score.weight)).collect();
    let whole = metric.aggregate(pairs.iter().copied())?;
    let without = metric.without_each(&pairs);
    let n = without.len() as f64;
    let mean = without.iter().sum::<f64>() / n;
    mean.is_finite().then(|| without.iter().map(|without| whole + (n - 1.0) * (mean - without)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(metric: Metric, pairs: &[(f64, f64)]) -> Vec<ItemScore> {
        pairs.iter().map(|&(value, weight)| ItemScore { metric, value, weight }).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn items_are_worth_the_score_on_average_and_differ_only_where_answers_do() {
        let right: Vec<f64> = (0..60).map(|i| f64::from(i % 3)).collect();
        let answers = |wrong: usize| -> Vec<(f64, f64)> {
            right.iter().enumerate().map(|(i, &r)| (if i % 10 < wrong { (r + 1.0) % 3.0 } else { r }, r)).collect()
        };
        for metric in [Metric::MacroF1, Metric::Mcc] {
            let (a, b) = (answers(2), answers(3));
            let (before, now) =
                contributions(metric, &scores(metric, &a), &scores(metric, &b)).expect("both have a score");
            assert!((mean(&before) - metric.aggregate(a.clone()).expect("a score")).abs() < 1e-12);
            assert!((mean(&now) - metric.aggregate(b.clone()).expect("a score")).abs() < 1e-12);
            let differing = before.iter().zip(&now).filter(|(x, y)| x != y).count();
            assert_eq!(differing, 6, "one answer in ten");
        }
    }

    #[test]
    fn correlations_are_shared_out_as_well() {
        let noise = |seed: u32, i: u32| f64::from((i * 7919 + seed * 104_729) % 101) / 101.0;
        let pairs = |seed, noisy: f64| -> Vec<(f64, f64)> {
            (0..80).map(|i| (f64::from(i) / 80.0 + noisy * noise(seed, i), f64::from(i / 8))).collect()
        };
        let (a, b) = (pairs(1, 0.5), pairs(2, 1.5));
        let metric = Metric::Spearman;
        let (before, now) = contributions(metric, &scores(metric, &a), &scores(metric, &b)).expect("both have a score");
        let whole = metric.aggregate(b).expect("a score") - metric.aggregate(a).expect("a score");
        assert!(whole < 0.0 && (mean(&now) - mean(&before) - whole).abs() < 1e-12);
    }

    #[test]
    fn without_a_score_there_is_nothing_to_share_out() {
        let flat = scores(Metric::Pearson, &[(0.5, 1.0), (0.5, 2.0), (0.5, 3.0)]);
        assert_eq!(contributions(Metric::Pearson, &flat, &flat), None);
    }
}

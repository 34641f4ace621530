//! One number for several tasks, to draw and to list by; it decides nothing.
//!
//! Accuracies are corrected for guessing, (score − chance) / (1 − chance), since 60% of two choices and 60% of ten are not
//! the same: 0 is guessing, 1 is all right. Metrics of other kinds (perplexities, correlations) are not mixed in, and what
//! is left out is said.

use super::figures::counted;
use super::score::TaskScore;
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::{Figure, Interval, Provenance, Reading};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};

/// A number over several tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// What says its unit and which way is better: the first task's.
    pub metric: Metric,
    /// The number, or why there is none.
    pub reading: Reading,
    /// Whether it stands for all of the tasks: their metrics are of one kind. Where not, nothing is ordered by it.
    #[serde(default)]
    pub of_all: bool,
}

/// Gives the number for these tasks: the mean of the accuracies, else of the scores of one metric, of perplexities the
/// geometric mean. Missing as soon as one of them is, for a mean over fewer tasks would be another number; and where
/// there is no accuracy among several kinds.
pub fn overall(scores: &[&TaskScore]) -> Overall {
    let Some(first) = scores.first() else {
        return Overall { metric: Metric::Acc, reading: Reading::missing("no task was asked"), of_all: false };
    };
    let accuracies: Vec<&TaskScore> = scores.iter().copied().filter(|score| is_accuracy(score.metric)).collect();
    if let Some(first) = accuracies.first() {
        let left: Vec<String> = scores.iter().filter(|score| !is_accuracy(score.metric)).map(|s| named(s)).collect();
        return Overall {
            metric: first.metric,
            reading: combined(&accuracies, &mean_of(&accuracies, &left), corrected, |x| x),
            of_all: left.is_empty(),
        };
    }
    if scores.iter().any(|score| score.metric != first.metric) {
        let kinds = scores.iter().map(|score| named(score)).collect::<Vec<_>>().join(", ");
        let reason = format!("metrics of several kinds have no mean: {kinds}");
        return Overall { metric: first.metric, reading: Reading::missing(reason), of_all: false };
    }
    let how = |name: &str| format!("{name} of {} over {}", first.metric.label(), counted(scores.len(), "task"));
    let reading = match first.metric.aggregation() {
        Aggregation::WeightedPerplexity => combined(scores, &how("geometric mean"), |_, x| x.ln(), f64::exp),
        _ => combined(scores, &how("mean"), |_, x| x, |x| x),
    };
    Overall { metric: first.metric, reading, of_all: true }
}

fn is_accuracy(metric: Metric) -> bool {
    metric.unit() == Unit::Fraction && metric.aggregation() == Aggregation::Mean && metric.better(1.0, 0.0)
}

fn corrected(score: &TaskScore, value: f64) -> f64 {
    match score.chance.filter(|chance| *chance < 1.0) {
        Some(chance) => (value - chance) / (1.0 - chance),
        None => value,
    }
}

fn named(score: &TaskScore) -> String {
    format!("{} of {}", score.metric.label(), score.task)
}

fn mean_of(accuracies: &[&TaskScore], left: &[String]) -> String {
    let corrected = match accuracies.iter().any(|score| score.chance.is_some()) {
        true => ", corrected for guessing (0 is guessing, 100% all right)",
        false => "",
    };
    let without = if left.is_empty() { String::new() } else { format!("; without {}", left.join(", ")) };
    let scores = match accuracies.len() {
        1 => "the score of the one task of right and wrong".to_owned(),
        n => format!("mean of the scores of {n} tasks of right and wrong"),
    };
    format!("{scores}{corrected}{without}")
}

/// The mean of the scores as `of` has them, and back; its interval as of independent tasks, by what each end of theirs is
/// away from the score (Zou and Donner 2008, "MOVER"): that of one task is its own, and none leaves the scale.
fn combined(
    scores: &[&TaskScore],
    how: &str,
    of: impl Fn(&TaskScore, f64) -> f64,
    back: impl Fn(f64) -> f64,
) -> Reading {
    let n = scores.len() as f64;
    let (mut sum, mut squares, mut level) = (0.0, Some([0.0; 2]), 0.0);
    for score in scores {
        let figure = match score.reading() {
            Reading::Known(figure) => figure,
            Reading::Missing { reason } => return Reading::missing(format!("{} has no score: {reason}", score.task)),
        };
        let value = of(score, figure.value);
        sum += value;
        let away = figure.interval.map(|i| [value - of(score, i.low), of(score, i.high) - value]);
        squares = squares.zip(away).map(|([below, above], away)| [below + away[0].powi(2), above + away[1].powi(2)]);
        level = figure.interval.map_or(level, |i| i.level);
    }
    let mean = sum / n;
    let away = squares.map(|squares: [f64; 2]| squares.map(|squares| squares.sqrt() / n));
    let interval = away.filter(|away| away.iter().all(|away| away.is_finite()));
    let no_interval = interval.is_none().then(|| "one of its scores has none".into());
    Reading::Known(Figure {
        value: back(mean),
        unit: scores[0].metric.unit(),
        provenance: Provenance::Derived,
        interval: interval.map(|[below, above]| Interval { low: back(mean - below), high: back(mean + above), level }),
        no_interval,
        n: Some(scores.len()),
        how: how.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers, confidence};

    fn of(made: Made) -> Overall {
        let rows = made.rows();
        let scores: Vec<TaskScore> = rows.iter().filter_map(|row| TaskScore::of(row, confidence())).collect();
        overall(&scores.iter().collect::<Vec<_>>())
    }

    #[test]
    fn it_is_missing_when_one_task_is() {
        assert_eq!(of(Made::base("m", 10).task("a", &[1, 0])).reading.value(), Some(0.5));
        let broken = of(Made::base("m", 10).task("a", &[1, 0]).failed_task("b", "too slow"));
        assert_eq!(broken.reading, Reading::missing("b has no score: too slow"));
        assert!(overall(&[]).reading.known().is_none());
    }

    #[test]
    fn accuracies_are_corrected_for_guessing() {
        let made = Made::base("m", 10)
            .task_with_chance("two", &answers(100, 40, 0), 0.5) // 0.6 is a fifth of the way
            .task_with_chance("ten", &answers(100, 40, 0), 0.1); // 0.6 is 5/9 of the way
        let overall = of(made);
        let figure = overall.reading.known().expect("two scores");
        assert!((figure.value - (0.2 + 5.0 / 9.0) / 2.0).abs() < 1e-12 && overall.of_all);
        assert!(figure.how.contains("corrected for guessing"), "{}", figure.how);
        assert!(figure.interval.is_some_and(|i| i.low < figure.value && figure.value < i.high));
    }

    #[test]
    fn what_is_of_another_kind_is_left_out_with_a_word() {
        let texts: Vec<f64> = (0..30).map(|i| -2.0 - f64::from(i % 5) / 10.0).collect();
        let mixed = of(Made::base("m", 10).task("a", &answers(100, 20, 0)).text("p", &texts));
        let how = &mixed.reading.known().expect("an accuracy").how;
        assert!(!mixed.of_all && how.ends_with("; without word perplexity of p"), "{how}");
        let alone = of(Made::base("m", 10).text("p", &texts).text("q", &texts));
        assert!(alone.of_all && alone.reading.known().is_some_and(|f| f.how.starts_with("geometric mean")));
        let kinds: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i % 3), f64::from(i % 2))).collect();
        let none = of(Made::base("m", 10).text("p", &texts).classes("c", Metric::Mcc, &kinds));
        assert!(matches!(&none.reading, Reading::Missing { reason } if reason.contains("several kinds")), "{none:?}");
    }
}

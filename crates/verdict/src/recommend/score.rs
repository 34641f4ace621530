//! What a variant can do: the score of one task with its interval, whether guessing would do as well, and the score
//! broken down by slices.

use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::{self, Figure, ItemResult, ItemScore, Provenance, Reading, Row, TaskRef};
use bantam_core::stats::{Bootstrap, Clusters, Estimate, Interval, Level, StatsError, interval};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How sure and from which seed: what every interval here needs to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inference {
    pub level: Level,
    pub seed: u64,
}

impl Inference {
    /// Enough resamples for an interval that is read, not only for one that decides.
    pub(super) fn bootstrap(self) -> Bootstrap {
        Bootstrap { resamples: 2000, level: self.level, ..Bootstrap::new(self.seed) }
    }
}

/// One variant on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    pub suite: String,
    pub task: String,
    /// The metric that decides.
    pub metric: Metric,
    /// Every metric of the task, the deciding one first.
    pub readings: Vec<(Metric, Reading)>,
    pub items: usize,
    /// The score of guessing, where there is one, and whether this score is no better.
    pub chance: Option<f64>,
    pub at_chance: Option<bool>,
    pub slices: Vec<SliceScore>,
    pub gaps: Vec<Gap>,
}

/// The deciding metric over the items whose `slice` is `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceScore {
    pub slice: String,
    pub value: String,
    pub reading: Reading,
}

/// Best less worst group of items that differ in nothing else (minimal pairs).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    pub slice: String,
    pub best: String,
    pub worst: String,
    pub reading: Reading,
}

impl TaskScore {
    /// The score of one task; None for a row that measured speed.
    pub fn of(row: &Row, inference: Inference) -> Option<TaskScore> {
        let record::Ask::Task(task) = &row.trial.ask else { return None };
        let metric = *task.metrics.first()?;
        let missing = row.outcome.result.as_ref().err().map(record::Failure::sentence);
        let items: Vec<&ItemResult> = row.outcome.items.iter().collect();
        let read = |metric| match &missing {
            Some(reason) => Reading::missing(reason.clone()),
            None => reading(&items, metric, inference),
        };
        let items = if missing.is_some() { &[][..] } else { &items };
        Some(TaskScore {
            suite: task.suite.clone(),
            task: task.task.clone(),
            metric,
            readings: task.metrics.iter().map(|&metric| (metric, read(metric))).collect(),
            items: items.iter().filter(|item| item.score(metric).is_some()).count(),
            chance: task.chance,
            at_chance: at_chance(items, task, metric, inference.level),
            slices: slices(items, metric, inference),
            gaps: gaps(items, metric, inference),
        })
    }

    /// The deciding metric's reading.
    pub fn reading(&self) -> &Reading {
        &self.readings[0].1
    }
}

/// The score of some items with its interval: Wilson's where items are right or wrong and stand for themselves, the
/// bootstrap for everything else.
pub fn reading(items: &[&ItemResult], metric: Metric, inference: Inference) -> Reading {
    let (scores, kept) = scored(items, metric);
    if scores.is_empty() {
        return Reading::missing("no item was scored");
    }
    let Some(value) = aggregate(metric, &scores) else {
        return Reading::missing(
            "the items scored give no finite number (an answer without any probability, or no text)",
        );
    };
    let interval = score_interval(&scores, &kept, metric, inference).ok();
    Reading::Known(Figure {
        value,
        unit: metric.unit(),
        provenance: Provenance::Measured,
        interval: interval.map(as_record),
        n: Some(scores.len()),
        how: match interval {
            Some(interval) => format!("{} over {} items, {} interval", metric.name(), scores.len(), interval.method),
            None => format!("{} over {} items, too few for an interval", metric.name(), scores.len()),
        },
    })
}

fn scored<'a>(items: &[&'a ItemResult], metric: Metric) -> (Vec<ItemScore>, Vec<&'a ItemResult>) {
    items.iter().filter_map(|item| item.score(metric).map(|score| (score, *item))).unzip()
}

fn aggregate<'a>(metric: Metric, scores: impl IntoIterator<Item = &'a ItemScore>) -> Option<f64> {
    metric.aggregate(scores.into_iter().map(|s| (s.value, s.weight))).filter(|value| value.is_finite())
}

fn score_interval(
    scores: &[ItemScore],
    items: &[&ItemResult],
    metric: Metric,
    inference: Inference,
) -> Result<Interval, StatsError> {
    let clusters = clusters(items)?;
    if clusters.are_single()
        && let Some(right) = count_right(scores, metric)
    {
        return interval::wilson(right, scores.len() as u64, inference.level);
    }
    let of = |drawn: &[usize]| aggregate(metric, drawn.iter().map(|&i| &scores[i])).unwrap_or(f64::NAN);
    inference.bootstrap().of(&clusters, of).map(|estimate: Estimate| estimate.interval)
}

/// How many items are right, where all of them are right or wrong and count the same.
fn count_right(scores: &[ItemScore], metric: Metric) -> Option<u64> {
    let binary = scores.iter().all(|s| s.weight == 1.0 && (s.value == 0.0 || s.value == 1.0));
    (binary && metric.aggregation() == Aggregation::Mean)
        .then(|| scores.iter().filter(|s| s.value == 1.0).count() as u64)
}

/// Which items are drawn together: those of a minimal pair.
pub(super) fn clusters(items: &[&ItemResult]) -> Result<Clusters, StatsError> {
    Clusters::by(&belonging(items))
}

/// What an item belongs to: its pair, or itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Belongs<'a> {
    To(&'a str),
    Alone(usize),
}

pub(super) fn belonging<'a>(items: &[&'a ItemResult]) -> Vec<Belongs<'a>> {
    items.iter().map(|item| item.pair.as_deref().map_or(Belongs::Alone(item.index), Belongs::To)).collect()
}

pub(super) fn as_record(interval: Interval) -> record::Interval {
    record::Interval { low: interval.low, high: interval.high, level: interval.level.get() }
}

fn at_chance(items: &[&ItemResult], task: &TaskRef, metric: Metric, level: Level) -> Option<bool> {
    let (scores, _) = scored(items, metric);
    let right = count_right(&scores, metric)?;
    interval::at_chance(right, scores.len() as u64, task.chance?, level).ok()
}

fn slices(items: &[&ItemResult], metric: Metric, inference: Inference) -> Vec<SliceScore> {
    let mut scores = Vec::new();
    for slice in slice_names(items) {
        for (value, items) in groups(items, slice) {
            let reading = reading(&items, metric, inference);
            scores.push(SliceScore { slice: slice.into(), value: value.into(), reading });
        }
    }
    scores
}

fn slice_names<'a>(items: &[&'a ItemResult]) -> BTreeSet<&'a str> {
    items.iter().flat_map(|item| item.slices.keys()).map(String::as_str).collect()
}

/// Items by their value of a slice; numbers in the order of numbers (8 before 16), the rest by the alphabet.
fn groups<'a>(items: &[&'a ItemResult], slice: &str) -> Vec<(&'a str, Vec<&'a ItemResult>)> {
    let mut groups: BTreeMap<&str, Vec<&ItemResult>> = BTreeMap::new();
    for item in items {
        if let Some(value) = item.slices.get(slice) {
            groups.entry(value).or_default().push(item);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::INFINITY);
    groups.sort_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)));
    groups
}

fn gaps(items: &[&ItemResult], metric: Metric, inference: Inference) -> Vec<Gap> {
    let names = slice_names(items);
    names
        .into_iter()
        .filter(|slice| splits_pairs(items, slice))
        .filter_map(|slice| gap(items, metric, slice, inference))
        .collect()
}

/// Whether the members of some pair differ in this slice: then the slice is what the pairs were made to compare.
fn splits_pairs(items: &[&ItemResult], slice: &str) -> bool {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    items.iter().any(|item| match (&item.pair, item.slices.get(slice)) {
        (Some(pair), Some(value)) => seen.insert(pair, value).is_some_and(|before| before != value),
        _ => false,
    })
}

/// The interval is of the difference between the two groups that came out best and worst, as if they had been named
/// beforehand: with many groups it starts a little too far from zero.
fn gap(items: &[&ItemResult], metric: Metric, slice: &str, inference: Inference) -> Option<Gap> {
    let (scores, items) = scored(items, metric);
    let of_group = |drawn: &[usize], group: &str| {
        let in_group = |i: &&usize| items[**i].slices.get(slice).is_some_and(|value| value == group);
        aggregate(metric, drawn.iter().filter(in_group).map(|&i| &scores[i]))
    };
    let all: Vec<usize> = (0..items.len()).collect();
    let known: Vec<(&str, f64)> =
        groups(&items, slice).into_iter().filter_map(|(group, _)| Some((group, of_group(&all, group)?))).collect();
    let better = |a: &&(&str, f64), b: &&(&str, f64)| match metric.better(a.1, b.1) {
        true => std::cmp::Ordering::Greater,
        false if a.1 == b.1 => std::cmp::Ordering::Equal,
        false => std::cmp::Ordering::Less,
    };
    let (best, worst) = (known.iter().max_by(better)?, known.iter().min_by(better)?);
    let apart = |drawn: &[usize]| match (of_group(drawn, best.0), of_group(drawn, worst.0)) {
        (Some(best), Some(worst)) => (best - worst).abs().copysign(if metric.better(worst, best) { -1.0 } else { 1.0 }),
        _ => f64::NAN,
    };
    let interval = clusters(&items).and_then(|clusters| inference.bootstrap().of(&clusters, apart)).ok();
    Some(Gap {
        slice: slice.into(),
        best: best.0.into(),
        worst: worst.0.into(),
        reading: Reading::Known(Figure {
            value: (best.1 - worst.1).abs(),
            unit: metric.unit(),
            provenance: Provenance::Measured,
            interval: interval.map(|estimate| as_record(estimate.interval)),
            n: Some(items.len()),
            how: format!("{} of the best less the worst {slice}, pairs drawn together", metric.name()),
        }),
    })
}

/// One number for all deciding tasks, to order and to draw by; never what decides.
///
/// The mean of the tasks that are shares of right answers; where none is, the geometric mean of the perplexities. It is
/// missing as soon as one of them is: a mean over fewer tasks would be another number.
pub fn overall(scores: &[&TaskScore]) -> Overall {
    let shares: Vec<_> = scores.iter().filter(|s| s.metric.unit() == Unit::Fraction).collect();
    if !shares.is_empty() {
        let readings: Vec<_> = shares.iter().map(|s| (s.task.as_str(), s.reading())).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        return Overall { metric: shares[0].metric, reading: combined(&readings, shares[0].metric, "mean", mean) };
    }
    let Some(first) = scores.first() else {
        return Overall { metric: Metric::Acc, reading: Reading::missing("no task was asked") };
    };
    let alike = scores.iter().filter(|s| s.metric == first.metric);
    let readings: Vec<_> = alike.map(|s| (s.task.as_str(), s.reading())).collect();
    let geometric = |values: &[f64]| (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp();
    Overall { metric: first.metric, reading: combined(&readings, first.metric, "geometric mean", geometric) }
}

/// A number over several tasks; `metric` says its unit and which way is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    pub metric: Metric,
    pub reading: Reading,
}

fn combined(readings: &[(&str, &Reading)], metric: Metric, name: &str, of: impl Fn(&[f64]) -> f64) -> Reading {
    let mut values = Vec::new();
    for (task, reading) in readings {
        match reading {
            Reading::Known(figure) => values.push(figure.value),
            Reading::Missing { reason } => return Reading::missing(format!("{task} has no score: {reason}")),
        }
    }
    Reading::Known(Figure {
        value: of(&values),
        unit: metric.unit(),
        provenance: Provenance::Derived,
        interval: None,
        n: Some(values.len()),
        how: format!("{name} of {} tasks", values.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, inference};

    #[test]
    fn right_and_wrong_get_wilsons_interval() {
        let row = Made::base("m", 10).task("t", &[1, 1, 0, 1, 1, 1, 0, 1, 1, 0]).rows().remove(0);
        let score = TaskScore::of(&row, inference()).unwrap();
        let figure = score.reading().known().unwrap();
        assert!((figure.value - 0.7).abs() < 1e-12);
        // proportion_confint(7, 10, method='wilson')
        let interval = figure.interval.unwrap();
        assert!((interval.low - 0.39677814746).abs() < 1e-9 && (interval.high - 0.89220873259).abs() < 1e-9);
        assert_eq!((score.items, score.at_chance), (10, None));
    }

    #[test]
    fn a_failed_trial_has_its_reason_for_a_score() {
        let row = Made::base("m", 10).failed_task("t", "the worker was killed").rows().remove(0);
        let score = TaskScore::of(&row, inference()).unwrap();
        assert_eq!(score.reading(), &Reading::missing("the worker was killed"));
        assert!(score.slices.is_empty() && score.at_chance.is_none());
    }

    #[test]
    fn guessing_is_recognised() {
        let answers: Vec<u8> = (0..200).map(|i| u8::from(i % 4 == 0)).collect();
        let guessing = Made::base("m", 10).task_with_chance("t", &answers, 0.25).rows().remove(0);
        assert_eq!(TaskScore::of(&guessing, inference()).unwrap().at_chance, Some(true));
        let answers: Vec<u8> = (0..200).map(|i| u8::from(i % 2 == 0)).collect();
        let able = Made::base("m", 10).task_with_chance("t", &answers, 0.25).rows().remove(0);
        assert_eq!(TaskScore::of(&able, inference()).unwrap().at_chance, Some(false));
    }

    #[test]
    fn slices_come_in_the_order_of_numbers() {
        let mut row = Made::base("m", 10).task("t", &[1, 0, 1, 1, 0, 1]).rows().remove(0);
        for (item, length) in row.outcome.items.iter_mut().zip(["128", "16", "8", "128", "16", "8"]) {
            item.slices.insert("length".into(), length.into());
        }
        let slices = TaskScore::of(&row, inference()).unwrap().slices;
        let seen: Vec<_> = slices.iter().map(|s| (s.value.as_str(), s.reading.value().unwrap())).collect();
        assert_eq!(seen, [("8", 1.0), ("16", 0.0), ("128", 1.0)]);
    }

    #[test]
    fn minimal_pairs_show_the_gap_between_their_groups() {
        let answers: Vec<u8> = (0..80).map(|i| u8::from(i % 2 == 0 || i % 8 == 1)).collect();
        let mut row = Made::base("m", 10).task("t", &answers).rows().remove(0);
        for item in &mut row.outcome.items {
            item.pair = Some(format!("p{}", item.index / 2));
            item.slices.insert("group".into(), if item.index % 2 == 0 { "a" } else { "b" }.into());
            item.slices.insert("length".into(), "8".into());
        }
        let score = TaskScore::of(&row, inference()).unwrap();
        assert_eq!(score.gaps.len(), 1, "length does not differ inside a pair");
        let gap = &score.gaps[0];
        assert_eq!((gap.slice.as_str(), gap.best.as_str(), gap.worst.as_str()), ("group", "a", "b"));
        let figure = gap.reading.known().unwrap();
        assert!((figure.value - 0.75).abs() < 1e-12);
        let interval = figure.interval.unwrap();
        assert!(interval.low > 0.5 && interval.high < 0.95, "{interval:?}");
        assert!(score.reading().known().unwrap().how.contains("bootstrap"), "pairs are drawn together");
    }

    #[test]
    fn perplexity_gets_a_bootstrap_interval_that_holds_it() {
        let row = Made::base("m", 10).text("t", &[-2.0, -3.0, -2.5, -1.5, -2.2, -2.9]).rows().remove(0);
        let figure = TaskScore::of(&row, inference()).unwrap().reading().known().unwrap().clone();
        let interval = figure.interval.unwrap();
        assert!(interval.low < figure.value && figure.value < interval.high);
        assert!((figure.value - (14.1_f64 / 6.0).exp()).abs() < 1e-9);
    }

    #[test]
    fn a_document_without_probability_gives_a_reason_not_infinity() {
        let row = Made::base("m", 10).text("t", &[-2.0, f64::NEG_INFINITY]).rows().remove(0);
        assert!(TaskScore::of(&row, inference()).unwrap().reading().known().is_none());
    }

    #[test]
    fn overall_is_missing_when_one_task_is() {
        let rows = Made::base("m", 10).task("a", &[1, 0]).failed_task("b", "too slow").rows();
        let scores: Vec<_> = rows.iter().filter_map(|row| TaskScore::of(row, inference())).collect();
        let of = |scores: &[TaskScore]| overall(&scores.iter().collect::<Vec<_>>()).reading;
        assert_eq!(of(&scores[..1]).value(), Some(0.5));
        assert_eq!(of(&scores), Reading::missing("b has no score: too slow"));
        assert!(of(&[]).known().is_none());
    }
}

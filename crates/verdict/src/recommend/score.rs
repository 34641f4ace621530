//! The scores of a variant: each task with its interval, whether guessing would do as well, and the score broken down
//! by slices.

use super::answer_cost;
use super::calibration::Calibration;
use super::figures::counted;
use super::rate::Rate;
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::profile::{Profile, Race};
use bantam_core::record::{self, Figure, ItemResult, ItemScore, Provenance, Reading, Row, TaskRef};
use bantam_core::stats::groups::Groups;
use bantam_core::stats::mean::{Mean, Scale};
use bantam_core::stats::{Bootstrap, Clusters, Interval, Level, StatsError, agreement, correlation, interval};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What every interval here is made with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confidence {
    /// The confidence level.
    pub level: Level,
    /// The seed of what is drawn: the critical value of a gap among several groups, the order in which items are asked.
    pub seed: u64,
    /// Whether items were looked at as they came in, so that half of the level is spent on that (`race = "fast"`).
    pub watched: bool,
}

impl Confidence {
    /// What a profile asks for.
    ///
    /// # Panics
    /// Where the profile's confidence is not between 0.5 and 0.9999, which no checked profile's is.
    pub fn of(profile: &Profile) -> Confidence {
        let level = Level::new(profile.objective.confidence);
        Confidence {
            level: level.expect("a profile's confidence lies between 0.5 and 0.9999"),
            seed: profile.measure.seed,
            watched: profile.race == Race::Fast,
        }
    }
}

/// The score of one variant on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The suite's name.
    pub suite: String,
    /// The task's name within its suite.
    pub task: String,
    /// The metric that decides.
    pub metric: Metric,
    /// Every metric of the task, the deciding one first.
    pub readings: Vec<(Metric, Reading)>,
    /// How many items have a score by the deciding metric; 0 where the trial failed.
    pub items: usize,
    /// The score of guessing, where the task has one.
    pub chance: Option<f64>,
    /// Whether the score is no better than guessing; `None` where that cannot be tested.
    pub at_chance: Option<bool>,
    /// The deciding metric for every value of every slice.
    pub slices: Vec<SliceScore>,
    /// The gaps between groups, for the slices in which pairs differ.
    pub gaps: Vec<Gap>,
    /// What its answers cost, by every metric of [`Metric::OF_ANSWERS`].
    #[serde(default)]
    pub costs: Vec<(Metric, Reading)>,
    /// Whether it is right as often as it is sure; `None` of a task without choices.
    #[serde(default)]
    pub calibration: Option<Calibration>,
}

/// The deciding metric over the items whose `slice` is `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceScore {
    /// The slice's name, such as `depth`.
    pub slice: String,
    /// The value that these items have in common.
    pub value: String,
    /// The score over these items.
    pub reading: Reading,
}

/// The best less the worst group of items that differ in nothing else (minimal pairs).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The slice in which the pairs differ.
    pub slice: String,
    /// The value whose items score best.
    pub best: String,
    /// The value whose items score worst.
    pub worst: String,
    /// The difference, zero or more; an interval that holds zero shows no gap.
    pub reading: Reading,
}

impl TaskScore {
    /// Scores one task; `None` for a row that measured speed.
    pub fn of(row: &Row, confidence: Confidence) -> Option<TaskScore> {
        TaskScore::priced(row, confidence, Rate::Unasked)
    }

    /// The same where answers have a price.
    pub fn priced(row: &Row, confidence: Confidence, rate: Rate) -> Option<TaskScore> {
        let record::Ask::Task(task) = &row.trial.ask else { return None };
        let metric = *task.metrics.first()?;
        let missing = row.outcome.result.as_ref().err().map(record::Failure::sentence);
        let items: Vec<&ItemResult> = row.outcome.items.iter().collect();
        let read = |metric| match &missing {
            Some(reason) => Reading::missing(reason.clone()),
            None => reading(&items, metric, confidence.level),
        };
        let items = if missing.is_some() { &[][..] } else { &items };
        Some(TaskScore {
            suite: task.suite.clone(),
            task: task.task.clone(),
            metric,
            readings: task.metrics.iter().map(|&metric| (metric, read(metric))).collect(),
            items: items.iter().filter(|item| item.score(metric).is_some()).count(),
            chance: task.chance,
            at_chance: at_chance(items, task, metric, confidence.level),
            slices: [slices(items, metric, confidence.level), parts(items, confidence.level)].concat(),
            gaps: gaps(items, metric, confidence),
            costs: match &missing {
                None => answer_cost::costs(items, metric, &row.outcome.energy, rate, confidence.level),
                Some(reason) => Metric::OF_ANSWERS.map(|m| (m, Reading::missing(reason.clone()))).to_vec(),
            },
            calibration: Calibration::of(items, confidence),
        })
    }

    /// Finds what its answers cost by a metric; `None` where the metric is no cost of answers.
    pub fn cost(&self, metric: Metric) -> Option<&Reading> {
        self.costs.iter().find(|(m, _)| *m == metric).map(|(_, reading)| reading)
    }

    /// Gives the reading of the deciding metric.
    pub fn reading(&self) -> &Reading {
        &self.readings[0].1
    }
}

/// The score of some items with its interval, or with the reason why they are too few for one.
pub fn reading(items: &[&ItemResult], metric: Metric, level: Level) -> Reading {
    let (scores, kept) = scored(items, metric);
    if scores.is_empty() {
        return Reading::missing("no item was scored");
    }
    let Some(value) = aggregate(metric, &scores) else {
        let has_more = scores.iter().any(|score| score.value > 1.0 || score.weight > 1.0);
        return Reading::missing(match metric.aggregation() {
            Aggregation::F1 if has_more => "f1 is of two classes, and these items have more; macro_f1 is of any number",
            _ => "the items scored give no finite number (an answer without any probability, or no text)",
        });
    };
    let interval = score_interval(&scores, &kept, metric, level);
    let over = format!("{} over {}", metric.name(), counted(scores.len(), "item"));
    Reading::Known(Figure {
        value,
        unit: metric.unit(),
        provenance: Provenance::Measured,
        interval: interval.as_ref().ok().copied().map(as_record),
        no_interval: interval.as_ref().err().map(too_few),
        n: Some(scores.len()),
        how: match interval {
            Ok(interval) => format!("{over}, {} interval", interval.method),
            Err(_) => over,
        },
    })
}

/// Every reason begins alike, so that a table may show the first words.
pub(super) fn too_few(error: &StatsError) -> String {
    match error.to_string() {
        reason if reason.starts_with("too few") => reason,
        reason => format!("too few items: {reason}"),
    }
}

fn scored<'a>(items: &[&'a ItemResult], metric: Metric) -> (Vec<ItemScore>, Vec<&'a ItemResult>) {
    items.iter().filter_map(|item| item.score(metric).map(|score| (score, *item))).unzip()
}

fn aggregate<'a>(metric: Metric, scores: impl IntoIterator<Item = &'a ItemScore>) -> Option<f64> {
    metric.aggregate(scores.into_iter().map(|s| (s.value, s.weight))).filter(|value| value.is_finite())
}

/// Wilson's where items are right or wrong and stand for themselves, its kin for all other means, and what a single item
/// moves for scores of a whole sample; docs/statistics.md holds how often each keeps its word.
fn score_interval(
    scores: &[ItemScore],
    items: &[&ItemResult],
    metric: Metric,
    level: Level,
) -> Result<Interval, StatsError> {
    let clusters = clusters(items)?;
    let numbers: Vec<(f64, f64)> = scores.iter().map(|score| (score.value, score.weight)).collect();
    let classes = || numbers.iter().map(|&(found, right)| (found as usize, right as usize)).collect::<Vec<_>>();
    match metric.aggregation() {
        Aggregation::Mean => match count_right(scores, metric).filter(|_| clusters.are_single()) {
            Some(right) => interval::wilson(right, scores.len() as u64, level),
            None => mean(&numbers, &clusters, share_or_open(metric, &numbers)).map(|mean| mean.interval(level)),
        },
        Aggregation::WeightedPerplexity => per_weight(&numbers, items, |nats| (-nats).exp(), level),
        Aggregation::BitsPerByte => per_weight(&numbers, items, |nats| -nats / std::f64::consts::LN_2, level),
        Aggregation::MacroF1 => agreement::macro_f1_interval(&classes(), &clusters, level),
        Aggregation::Mcc => agreement::mcc_interval(&classes(), &clusters, level),
        Aggregation::F1 | Aggregation::Bleu | Aggregation::Chrf => drawn_again(&numbers, &clusters, metric, level),
        Aggregation::Spearman => correlation::spearman_interval(&numbers, &clusters, level),
        Aggregation::Pearson => correlation::pearson_interval(&numbers, &clusters, level),
        Aggregation::None => Err(StatsError::Empty),
    }
}

/// Items that an interval by drawing again needs.
const DRAWN: usize = 10;

/// The interval of a score of counts: by drawing items, or their clusters, again (BCa), with the same seed every time.
fn drawn_again(
    numbers: &[(f64, f64)],
    clusters: &Clusters,
    metric: Metric,
    level: Level,
) -> Result<Interval, StatsError> {
    if clusters.count() < DRAWN {
        return Err(StatsError::TooFew { have: clusters.count(), need: DRAWN });
    }
    let score = |items: &[usize]| metric.aggregate(items.iter().map(|&item| numbers[item])).unwrap_or(f64::NAN);
    let interval = Bootstrap { level, ..Bootstrap::new(1) }.of(clusters, score)?.interval;
    // items that are all alike say nothing of others
    if interval.low < interval.high { Ok(interval) } else { Err(StatsError::NoSpread) }
}

fn share_or_open(metric: Metric, numbers: &[(f64, f64)]) -> Scale {
    if metric.is_bias() {
        return Scale::Between(-1.0, 1.0);
    }
    let shares = metric.unit() == Unit::Fraction && numbers.iter().all(|(value, _)| (0.0..=1.0).contains(value));
    if shares { Scale::Between(0.0, 1.0) } else { Scale::Open }
}

fn mean(numbers: &[(f64, f64)], clusters: &Clusters, scale: Scale) -> Result<Mean, StatsError> {
    let (values, weights): (Vec<f64>, Vec<f64>) = numbers.iter().copied().unzip();
    Mean::new(&values, &weights, clusters, scale)
}

/// Documents that an interval of a perplexity needs: the spread of fewer says as good as nothing.
const DOCUMENTS: usize = 5;

/// The interval of a falling function of the log-likelihood per word or byte; what has none of these says nothing.
fn per_weight(
    numbers: &[(f64, f64)],
    items: &[&ItemResult],
    shown: impl Fn(f64) -> f64,
    level: Level,
) -> Result<Interval, StatsError> {
    let weighs = numbers.iter().zip(items).filter(|((_, weight), _)| *weight > 0.0);
    let (numbers, items): (Vec<(f64, f64)>, Vec<&ItemResult>) =
        weighs.map(|(&(nats, weight), item)| ((nats / weight, weight), *item)).unzip();
    let clusters = clusters(&items)?;
    // as many as documents of one length that say as much (Kish): one long document among short ones is one
    let (sum, squares) = numbers.iter().fold((0.0, 0.0), |(s, q), (_, weight)| (s + weight, q + weight * weight));
    let have = clusters.count().min((sum * sum / squares) as usize);
    if have < DOCUMENTS {
        return Err(StatsError::TooFew { have, need: DOCUMENTS });
    }
    let nats = mean(&numbers, &clusters, Scale::Open)?.interval(level);
    Ok(Interval { low: shown(nats.high), high: shown(nats.low), ..nats })
}

/// How many items are right, where all of them are right or wrong and count the same.
fn count_right(scores: &[ItemScore], metric: Metric) -> Option<u64> {
    let binary = scores.iter().all(|s| s.weight == 1.0 && (s.value == 0.0 || s.value == 1.0));
    (binary && metric.aggregation() == Aggregation::Mean && !metric.is_bias())
        .then(|| scores.iter().filter(|s| s.value == 1.0).count() as u64)
}

/// Which items count together: those of a cluster, or of a minimal pair.
pub(super) fn clusters(items: &[&ItemResult]) -> Result<Clusters, StatsError> {
    Clusters::by(&cluster_keys(items))
}

/// The cluster that an item is in: its own, its minimal pair, or itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClusterKey<'a> {
    Cluster(&'a str),
    Pair(&'a str),
    Single(usize),
}

pub(super) fn cluster_keys<'a>(items: &[&'a ItemResult]) -> Vec<ClusterKey<'a>> {
    let key = |item: &&'a ItemResult| match (&item.cluster, &item.pair) {
        (Some(cluster), _) => ClusterKey::Cluster(cluster),
        (None, Some(pair)) => ClusterKey::Pair(pair),
        (None, None) => ClusterKey::Single(item.index),
    };
    items.iter().map(key).collect()
}

pub(super) fn as_record(interval: Interval) -> record::Interval {
    record::Interval { low: interval.low, high: interval.high, level: interval.level.get() }
}

fn at_chance(items: &[&ItemResult], task: &TaskRef, metric: Metric, level: Level) -> Option<bool> {
    let (scores, _) = scored(items, metric);
    let right = count_right(&scores, metric)?;
    interval::at_chance(right, scores.len() as u64, task.chance?, level).ok()
}

fn slices(items: &[&ItemResult], metric: Metric, level: Level) -> Vec<SliceScore> {
    let mut scores = Vec::new();
    for slice in slice_names(items) {
        for (value, items) in groups(items, slice) {
            let reading = reading(&items, metric, level);
            scores.push(SliceScore { slice: slice.into(), value: value.into(), reading });
        }
    }
    scores
}

/// How often each part of an answer is right, where answers have parts: the fields of a JSON value, as values of a slice of
/// their own.
fn parts(items: &[&ItemResult], level: Level) -> Vec<SliceScore> {
    let names: BTreeSet<&str> = items.iter().flat_map(|item| item.parts.keys()).map(String::as_str).collect();
    let of = |name: &str| {
        let with = items.iter().filter_map(|item| Some((*item.parts.get(name)?, *item)));
        let as_score = |(right, item): (bool, &ItemResult)| ItemResult {
            index: item.index,
            pair: item.pair.clone(),
            cluster: item.cluster.clone(),
            scores: vec![ItemScore { metric: PART, value: f64::from(u8::from(right)), weight: 1.0 }],
            ..ItemResult::default()
        };
        let scored: Vec<ItemResult> = with.map(as_score).collect();
        SliceScore {
            slice: PARTS.into(),
            value: name.into(),
            reading: reading(&scored.iter().collect::<Vec<_>>(), PART, level),
        }
    };
    names.into_iter().map(of).collect()
}

/// The slice whose values are the parts of answers.
const PARTS: &str = "field";
/// What a part of an answer is right by.
const PART: Metric = Metric::JsonExact;

pub(super) fn slice_names<'a>(items: &[&'a ItemResult]) -> BTreeSet<&'a str> {
    items.iter().flat_map(|item| item.slices.keys()).map(String::as_str).collect()
}

/// Items by their value of a slice; numbers in the order of numbers (8 before 16), the rest by the alphabet.
pub(super) fn groups<'a>(items: &[&'a ItemResult], slice: &str) -> Vec<(&'a str, Vec<&'a ItemResult>)> {
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

fn gaps(items: &[&ItemResult], metric: Metric, confidence: Confidence) -> Vec<Gap> {
    let names = slice_names(items);
    names
        .into_iter()
        .filter(|slice| splits_pairs(items, slice))
        .filter_map(|slice| gap(items, metric, slice, confidence))
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

/// The best less the worst group, with an interval that allows for their having been chosen among all.
pub(super) fn gap(items: &[&ItemResult], metric: Metric, slice: &str, confidence: Confidence) -> Option<Gap> {
    let (_, items) = scored(items, metric);
    let groups: Vec<Group> =
        groups(&items, slice).into_iter().filter_map(|(name, items)| Group::of(name, items, metric)).collect();
    let better = |a: &&Group, b: &&Group| match metric.better(a.value, b.value) {
        true => std::cmp::Ordering::Greater,
        false if a.value == b.value => std::cmp::Ordering::Equal,
        false => std::cmp::Ordering::Less,
    };
    let (best, worst) = (groups.iter().max_by(better)?, groups.iter().min_by(better)?);
    let interval = gap_interval(&groups, metric, confidence);
    Some(Gap {
        slice: slice.into(),
        best: best.name.into(),
        worst: worst.name.into(),
        reading: Reading::Known(Figure {
            value: (best.value - worst.value).abs(),
            unit: metric.unit(),
            provenance: Provenance::Measured,
            interval: interval.as_ref().ok().copied().map(as_record),
            no_interval: interval.as_ref().err().map(too_few),
            n: Some(items.len()),
            how: format!(
                "{} of the best less the worst {slice}, of {} groups together, pairs counted together",
                metric.name(),
                groups.len()
            ),
        }),
    })
}

/// The items that have one value of a slice.
struct Group<'a> {
    name: &'a str,
    items: Vec<&'a ItemResult>,
    scores: Vec<ItemScore>,
    value: f64,
}

impl<'a> Group<'a> {
    fn of(name: &'a str, items: Vec<&'a ItemResult>, metric: Metric) -> Option<Group<'a>> {
        let (scores, items) = scored(&items, metric);
        let value = aggregate(metric, &scores)?;
        Some(Group { name, items, scores, value })
    }
}

fn gap_interval(groups: &[Group], metric: Metric, confidence: Confidence) -> Result<Interval, StatsError> {
    if metric.is_of_whole_sample() {
        for group in groups {
            score_interval(&group.scores, &group.items, metric, confidence.level)?; // else its moves mean nothing
        }
    }
    let mut places: HashMap<ClusterKey, usize> = HashMap::new();
    let keys: Vec<Vec<ClusterKey>> = groups.iter().map(|group| cluster_keys(&group.items)).collect();
    for key in keys.iter().flatten() {
        let next = places.len();
        places.entry(*key).or_insert(next);
    }
    let moves = groups.iter().zip(&keys).map(|(group, keys)| {
        let mut of_cluster = vec![0.0; places.len()];
        let of_item = moves(metric, &group.scores, group.value);
        keys.iter().zip(of_item).for_each(|(key, moved)| of_cluster[places[key]] += moved);
        of_cluster
    });
    let sizes: Vec<usize> = keys.iter().map(|keys| keys.iter().collect::<HashSet<_>>().len()).collect();
    let span = match metric.aggregation() {
        Aggregation::Mean if metric.unit() == Unit::Fraction => 1.0,
        Aggregation::Mean if metric.is_bias() => 2.0,
        Aggregation::MacroF1 | Aggregation::F1 | Aggregation::Bleu | Aggregation::Chrf => 1.0,
        Aggregation::Mcc | Aggregation::Spearman | Aggregation::Pearson => 2.0,
        _ => 0.0,
    };
    let groups = Groups::new(groups.iter().map(|group| group.value).collect(), moves.collect(), &sizes, span)?;
    Ok(groups.gap(confidence.level, confidence.seed).interval)
}

/// What each item moves the score of them all: its influence over their number.
fn moves(metric: Metric, scores: &[ItemScore], value: f64) -> Vec<f64> {
    let numbers: Vec<(f64, f64)> = scores.iter().map(|score| (score.value, score.weight)).collect();
    if metric.is_of_whole_sample() {
        let without = metric.without_each(&numbers);
        let n = without.len() as f64;
        let mean = without.iter().sum::<f64>() / n;
        return without.iter().map(|without| (n - 1.0) / n * (mean - without)).collect();
    }
    let whole: f64 = numbers.iter().map(|(_, weight)| weight).sum();
    let nats = numbers.iter().map(|(nats, _)| nats).sum::<f64>() / whole;
    let moved = |&(x, weight): &(f64, f64)| match metric.aggregation() {
        Aggregation::WeightedPerplexity => -value * (x - nats * weight) / whole,
        Aggregation::BitsPerByte => -(x - nats * weight) / whole / std::f64::consts::LN_2,
        _ => (x - value) * weight / whole,
    };
    numbers.iter().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, confidence};

    #[test]
    fn right_and_wrong_get_wilsons_interval() {
        let row = Made::base("m", 10).task("t", &[1, 1, 0, 1, 1, 1, 0, 1, 1, 0]).rows().remove(0);
        let score = TaskScore::of(&row, confidence()).unwrap();
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
        let score = TaskScore::of(&row, confidence()).unwrap();
        assert_eq!(score.reading(), &Reading::missing("the worker was killed"));
        assert!(score.slices.is_empty() && score.at_chance.is_none());
    }

    #[test]
    fn guessing_is_recognised() {
        let answers: Vec<u8> = (0..200).map(|i| u8::from(i % 4 == 0)).collect();
        let guessing = Made::base("m", 10).task_with_chance("t", &answers, 0.25).rows().remove(0);
        assert_eq!(TaskScore::of(&guessing, confidence()).unwrap().at_chance, Some(true));
        let answers: Vec<u8> = (0..200).map(|i| u8::from(i % 2 == 0)).collect();
        let able = Made::base("m", 10).task_with_chance("t", &answers, 0.25).rows().remove(0);
        assert_eq!(TaskScore::of(&able, confidence()).unwrap().at_chance, Some(false));
    }

    #[test]
    fn slices_come_in_the_order_of_numbers() {
        let mut row = Made::base("m", 10).task("t", &[1, 0, 1, 1, 0, 1]).rows().remove(0);
        for (item, length) in row.outcome.items.iter_mut().zip(["128", "16", "8", "128", "16", "8"]) {
            item.slices.insert("length".into(), length.into());
        }
        let slices = TaskScore::of(&row, confidence()).unwrap().slices;
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
        let score = TaskScore::of(&row, confidence()).unwrap();
        assert_eq!(score.gaps.len(), 1, "length does not differ inside a pair");
        let gap = &score.gaps[0];
        assert_eq!((gap.slice.as_str(), gap.best.as_str(), gap.worst.as_str()), ("group", "a", "b"));
        let figure = gap.reading.known().unwrap();
        assert!((figure.value - 0.75).abs() < 1e-12);
        let interval = figure.interval.unwrap();
        assert!(interval.low > 0.5 && interval.high < 0.95, "{interval:?}");
        assert!(score.reading().known().unwrap().how.contains("likelihood"), "pairs count together");
    }

    #[test]
    fn two_pairs_that_are_right_are_not_all_pairs() {
        let mut row = Made::base("m", 10).task("t", &[1, 1, 1, 1]).rows().remove(0);
        row.outcome.items.iter_mut().for_each(|item| item.pair = Some(format!("p{}", item.index / 2)));
        let figure = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().clone();
        let interval = figure.interval.unwrap();
        assert!(interval.high == 1.0 && interval.low < 0.35, "{interval:?}");
    }

    #[test]
    fn items_of_one_conversation_count_together() {
        let answers: Vec<u8> = (0..200).map(|i| u8::from((i / 5) % 4 != 0)).collect();
        let mut row = Made::base("m", 10).task("t", &answers).rows().remove(0);
        let alone = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().interval.unwrap();
        for item in &mut row.outcome.items {
            item.cluster = Some(format!("c{}", item.index / 5));
            item.pair = Some(format!("p{}", item.index));
        }
        let together = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().interval.unwrap();
        let width = |i: record::Interval| i.high - i.low;
        assert!(width(together) > 2.0 * width(alone), "{together:?} {alone:?}");
    }

    #[test]
    fn a_class_of_one_item_says_too_few() {
        for metric in [Metric::MacroF1, Metric::Mcc] {
            let row = Made::base("m", 10).classes("t", metric, &[(0.0, 0.0), (0.0, 0.0)]).rows().remove(0);
            let figure = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().clone();
            assert_eq!(figure.interval, None);
            assert_eq!(figure.no_interval.unwrap(), "too few items: the smallest class has 2, and each needs 10");
        }
    }

    #[test]
    fn all_right_in_large_enough_classes_is_not_certain() {
        let right: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i % 2), f64::from(i % 2))).collect();
        for metric in [Metric::MacroF1, Metric::Mcc] {
            let row = Made::base("m", 10).classes("t", metric, &right).rows().remove(0);
            let figure = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().clone();
            let interval = figure.interval.unwrap();
            assert!(interval.high == 1.0 && interval.low < 0.96 && interval.low > 0.8, "{interval:?}");
        }
    }

    #[test]
    fn documents_that_are_all_alike_say_nothing_of_others() {
        let row = Made::base("m", 10).text("t", &[-2.0; 5]).rows().remove(0);
        let figure = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().clone();
        assert!(figure.interval.is_none() && figure.no_interval.unwrap().starts_with("too few"));
    }

    #[test]
    fn many_equal_groups_show_no_gap() {
        let answers: Vec<u8> = (0..480).map(|i| u8::from((i * 7919) % 101 < 80)).collect();
        let mut row = Made::base("m", 10).task("t", &answers).rows().remove(0);
        for item in &mut row.outcome.items {
            item.pair = Some(format!("p{}", item.index / 8));
            item.slices.insert("group".into(), format!("g{}", item.index % 8));
        }
        let gap = TaskScore::of(&row, confidence()).unwrap().gaps.remove(0);
        let interval = gap.reading.known().unwrap().interval.unwrap();
        assert!(gap.reading.value().unwrap() > 0.03 && interval.low == 0.0, "{gap:?}");
    }

    #[test]
    fn perplexity_gets_an_interval_that_holds_it() {
        let row = Made::base("m", 10).text("t", &[-2.0, -3.0, -2.5, -1.5, -2.2, -2.9]).rows().remove(0);
        let figure = TaskScore::of(&row, confidence()).unwrap().reading().known().unwrap().clone();
        let interval = figure.interval.unwrap();
        assert!(interval.low < figure.value && figure.value < interval.high);
        assert!((figure.value - (14.1_f64 / 6.0).exp()).abs() < 1e-9);
    }

    #[test]
    fn a_document_without_probability_gives_a_reason_not_infinity() {
        let row = Made::base("m", 10).text("t", &[-2.0, f64::NEG_INFINITY]).rows().remove(0);
        assert!(TaskScore::of(&row, confidence()).unwrap().reading().known().is_none());
    }
}

//! What the variants answered, side by side: for each task the items that all of them have, in two halves.

use super::super::answer_cost;
use super::super::known::Memo;
use super::super::loss::BATTERY;
use super::super::rate::Pricing;
use super::super::score::{ClusterKey, cluster_keys};
use super::super::summary::TaskName;
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::profile::{Hold, Profile};
use bantam_core::record::{Ask, Id, ItemResult, Row, TaskRef, Variant};
use bantam_core::stats::Level;
use bantam_core::stats::calibration::Shares;
use bantam_core::system::Sureness;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Clusters that a half of a task needs: by fewer neither a threshold nor a promise is worth anything.
const FEWEST: usize = 20;

/// How many parts the first half has for cross-fitting.
pub(super) const FOLDS: usize = 5;

/// The costs of an item that add up over members.
pub const COSTS: [Metric; 4] =
    [Metric::SecondsPerItem, Metric::TokensPerItem, Metric::JoulesPerItem, Metric::CentsPerItem];

/// Which half of a task's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// By which rules are chosen.
    First,
    /// By which they are judged.
    Second,
}

/// All that systems are made of.
pub(super) struct Table {
    pub variants: Vec<Answerer>,
    pub tasks: Vec<TaskTable>,
    /// Tasks that decide by a score that is no mean of items: they are left to one member whole.
    pub whole: Vec<TaskName>,
    /// The place of what the others are held against.
    pub reference: usize,
    /// The place among [`COSTS`] of what is to be low.
    pub by: usize,
    pub hold: Hold,
}

/// A variant with its rows.
pub(super) struct Answerer {
    pub variant: Variant,
    /// Rows with all their items, those of tasks before those of speed.
    pub rows: Vec<Row>,
    /// Seconds that loading it takes.
    pub load: Option<f64>,
}

/// The items of a task.
pub(super) struct TaskTable {
    pub name: TaskName,
    pub task: TaskRef,
    pub margin: f64,
    /// Whether scores are shares, from 0 to 1.
    pub is_share: bool,
    pub metric: Metric,
    /// Indices of the items.
    pub items: Vec<usize>,
    /// The cluster of each, numbered from 0.
    pub clusters: Vec<usize>,
    pub halves: Vec<Half>,
    /// Its part of the first half.
    pub folds: Vec<usize>,
    /// What each variant gave, in the order of the variants.
    pub answers: Vec<Answers>,
}

/// What one variant gave of a task's items.
pub(super) struct Answers {
    /// Scores, higher being better.
    pub scores: Vec<f64>,
    /// How sure it is of each item; none where it does not say.
    pub sure: Option<(Sureness, Vec<f64>)>,
    /// By [`COSTS`]; none where it is not known of all items.
    pub costs: [Option<Vec<f64>>; COSTS.len()],
}

impl Table {
    /// Lays the rows out.
    ///
    /// # Errors
    /// A sentence: what is missing.
    pub(super) fn of<'a>(rows: &'a [Row], profile: &Profile, by: Metric, memo: &Memo<'a>) -> Result<Table, String> {
        let decides = |name: &TaskName| match &profile.objective.tasks {
            Some(tasks) => tasks.iter().any(|task| name.is_called(task)),
            None => name.suite != BATTERY,
        };
        let mut variants: Vec<(&Variant, Vec<&Row>)> = Vec::new();
        for row in rows.iter().filter(|row| !row.trial.variant.is_system()) {
            match variants.iter_mut().find(|(variant, _)| variant.id == row.trial.variant.id) {
                Some((_, of)) => of.push(row),
                None => variants.push((&row.trial.variant, vec![row])),
            }
        }
        let mut tasks: Vec<(TaskName, &TaskRef)> = Vec::new();
        for row in rows {
            if let (Ask::Task(task), Some(name)) = (&row.trial.ask, TaskName::of(row))
                && decides(&name)
                && tasks.iter().all(|(known, _)| *known != name)
            {
                tasks.push((name, task));
            }
        }
        // who failed somewhere, or was not asked everything in a race, cannot be a member
        let is_whole = |row: &Row| row.outcome.result.is_ok() && row.outcome.settled.is_none();
        variants.retain(|(_, rows)| {
            tasks
                .iter()
                .all(|(name, _)| rows.iter().any(|row| TaskName::of(row).as_ref() == Some(name) && is_whole(row)))
        });
        if tasks.is_empty() || variants.len() < 2 {
            return Err("A system takes two variants that were asked every task that decides.".into());
        }
        let variants: Vec<Answerer> =
            variants.into_iter().map(|(variant, rows)| Answerer::of(variant, &rows, memo)).collect();
        let reference = reference(&variants, profile);
        let mut laid_out = Table {
            variants,
            tasks: Vec::new(),
            whole: Vec::new(),
            reference,
            by: COSTS.iter().position(|cost| *cost == by).unwrap_or(0),
            hold: profile.systems.as_ref().map_or(Hold::All, |systems| systems.hold),
        };
        let mut small = None;
        for (name, task) in tasks {
            let margin = profile.objective.margin_of(|called| name.is_called(called));
            match task.metrics.first() {
                Some(metric) if metric.aggregation() == Aggregation::Mean => {
                    let pricing = Pricing::of(profile);
                    let made =
                        TaskTable::of(&laid_out.variants, reference, &name, task, *metric, margin, profile, &pricing);
                    let fewest = |half| made.clusters_of(half);
                    let least = fewest(Half::First).min(fewest(Half::Second));
                    if least < FEWEST {
                        small = Some((name.clone(), 2 * least));
                    }
                    laid_out.tasks.push(made);
                }
                _ => laid_out.whole.push(name),
            }
        }
        if let Some((name, items)) = small {
            return Err(format!(
                "{name} has {items} items or clusters that all variants answered; a system needs {} of each task, half to \
                 choose its rules by and half to judge them.",
                2 * FEWEST
            ));
        }
        if laid_out.tasks.is_empty() {
            return Err(
                "No task that decides has a score that is a mean of its items, which rules are chosen by.".into()
            );
        }
        laid_out.without_unpriced()
    }

    /// Leaves out the variants whose cost is not known, for they cannot be told cheaper.
    fn without_unpriced(mut self) -> Result<Table, String> {
        let by = self.by;
        let priced = |place: usize| self.tasks.iter().all(|task| task.answers[place].costs[by].is_some());
        let keep: Vec<bool> = (0..self.variants.len()).map(priced).collect();
        if !keep[self.reference] || keep.iter().filter(|keep| **keep).count() < 2 {
            return Err(format!(
                "{} is not known of the reference and another variant, so that no system can be told cheaper.",
                COSTS[by].label()
            ));
        }
        self.reference = keep[..self.reference].iter().filter(|keep| **keep).count();
        let mut places = keep.iter();
        self.variants.retain(|_| *places.next().expect("one for each"));
        for task in &mut self.tasks {
            let mut places = keep.iter();
            task.answers.retain(|_| *places.next().expect("one for each"));
        }
        Ok(self)
    }

    /// The names of the variants, in a sentence.
    pub(super) fn labels(&self) -> String {
        self.variants.iter().map(|v| v.variant.label()).collect::<Vec<_>>().join(", ")
    }

    /// What an item costs a variant, over all tasks' items of a half.
    pub(super) fn mean_cost(&self, place: usize, half: Half) -> f64 {
        let each = self.tasks.iter().flat_map(|task| {
            let costs = task.answers[place].costs[self.by].as_deref().unwrap_or_default();
            task.half(half).map(|item| costs[item])
        });
        mean(each)
    }
}

/// The mean; of nothing it is not a number.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

/// What the advice would hold others against: the one the profile names, or the largest model as published.
fn reference(variants: &[Answerer], profile: &Profile) -> usize {
    let named = profile.objective.reference.as_deref();
    let named = named.and_then(|named| variants.iter().position(|v| v.variant.is_called(named)));
    named.unwrap_or_else(|| {
        let size = |place: &usize| {
            let variant = &variants[*place].variant;
            (variant.is_base(), variant.model.parameters)
        };
        (0..variants.len()).max_by_key(size).unwrap_or(0)
    })
}

impl Answerer {
    fn of<'a>(variant: &Variant, rows: &[&'a Row], memo: &Memo<'a>) -> Answerer {
        let load = rows.iter().find_map(|row| row.outcome.load.filter(|_| row.outcome.loaded_by.is_none()));
        let mut rows: Vec<Row> = rows.iter().map(|row| memo.whole(row).into_owned()).collect();
        rows.sort_by_key(|row| matches!(row.trial.ask, Ask::Speed(_)));
        Answerer { variant: variant.clone(), load: load.map(|load| load.0), rows }
    }

    /// Its row of a task.
    pub(super) fn row(&self, name: &TaskName) -> Option<&Row> {
        self.rows.iter().find(|row| TaskName::of(row).as_ref() == Some(name))
    }
}

impl TaskTable {
    #[expect(clippy::too_many_arguments, reason = "one caller, and each is a thing of its own")]
    fn of(
        variants: &[Answerer],
        reference: usize,
        name: &TaskName,
        task: &TaskRef,
        metric: Metric,
        margin: f64,
        profile: &Profile,
        pricing: &Pricing,
    ) -> TaskTable {
        let rows: Vec<&Row> = variants.iter().map(|v| v.row(name).expect("others were left out")).collect();
        let scored = |row: &Row| -> BTreeSet<usize> {
            let items = row.outcome.items.iter();
            items
                .filter(|item| item.score(metric).is_some_and(|s| s.value.is_finite()))
                .map(|item| item.index)
                .collect()
        };
        let mut items = scored(rows[reference]);
        for row in &rows {
            let own = scored(row);
            items.retain(|index| own.contains(index));
        }
        let by_index = |row: &'_ Row| -> BTreeMap<usize, usize> {
            row.outcome.items.iter().enumerate().map(|(place, item)| (item.index, place)).collect()
        };
        let places = by_index(rows[reference]);
        let of_reference: Vec<&ItemResult> =
            items.iter().map(|index| &rows[reference].outcome.items[places[index]]).collect();
        let (clusters, halves, folds) = halves(&cluster_keys(&of_reference), profile.measure.seed, &task.digest);
        let sign = if metric.direction() == Direction::Higher { 1.0 } else { -1.0 };
        let answers = variants.iter().zip(&rows).map(|(variant, row)| {
            let places = by_index(row);
            let own: Vec<&ItemResult> = items.iter().map(|index| &row.outcome.items[places[index]]).collect();
            let value = |item: &&ItemResult| sign * item.score(metric).map_or(f64::NAN, |score| score.value);
            let cost = |cost| {
                let rate = pricing.rate(&variant.variant.model);
                let level = Level::P95; // of an interval that is not asked for
                let each = answer_cost::each(&own, cost, metric, &row.outcome.energy, rate, level).ok()?;
                (each.len() == own.len()).then_some(each)
            };
            Answers { scores: own.iter().map(value).collect(), sure: sure(&own), costs: COSTS.map(cost) }
        });
        TaskTable {
            name: name.clone(),
            task: task.clone(),
            margin,
            is_share: metric.unit() == bantam_core::unit::Unit::Fraction,
            metric,
            answers: answers.collect(),
            items: items.into_iter().collect(),
            clusters,
            halves,
            folds,
        }
    }

    /// The places of the items of a half.
    pub(super) fn half(&self, half: Half) -> impl Iterator<Item = usize> + '_ {
        (0..self.items.len()).filter(move |&item| self.halves[item] == half)
    }

    fn clusters_of(&self, half: Half) -> usize {
        self.half(half).map(|item| self.clusters[item]).collect::<BTreeSet<_>>().len()
    }
}

/// Numbers the clusters, and cuts them into halves and the first half into folds, by a draw that depends on the seed and the
/// task alone.
fn halves(keys: &[ClusterKey], seed: u64, task: &Id) -> (Vec<usize>, Vec<Half>, Vec<usize>) {
    let mut numbers: HashMap<ClusterKey, usize> = HashMap::new();
    let mut clusters = Vec::with_capacity(keys.len());
    for key in keys {
        let next = numbers.len();
        clusters.push(*numbers.entry(*key).or_insert(next));
    }
    let mut drawn: Vec<(Id, usize)> = numbers
        .iter()
        .map(|(key, number)| {
            let key = match key {
                ClusterKey::Cluster(name) => format!("cluster {name}"),
                ClusterKey::Pair(name) => format!("pair {name}"),
                ClusterKey::Single(index) => format!("item {index}"),
            };
            (Id::of(&("half", seed, task, key)), *number)
        })
        .collect();
    drawn.sort();
    let first = drawn.len().div_ceil(2);
    let mut place = vec![0; drawn.len()];
    drawn.iter().enumerate().for_each(|(at, (_, number))| place[*number] = at);
    let half = |cluster: &usize| if place[*cluster] < first { Half::First } else { Half::Second };
    let fold = |cluster: &usize| place[*cluster] % FOLDS;
    (clusters.clone(), clusters.iter().map(half).collect(), clusters.iter().map(fold).collect())
}

/// How sure a variant is of each item, where it says so of all of them.
fn sure(items: &[&ItemResult]) -> Option<(Sureness, Vec<f64>)> {
    let share = |item: &&ItemResult| {
        let shares = Shares::of(&item.logprobs).filter(|_| item.logprobs.len() > 1)?;
        Some(shares.confidence()).filter(|confidence| confidence.is_finite())
    };
    let shares = || items.iter().map(share).collect::<Option<Vec<f64>>>();
    let likelihoods = || items.iter().map(|item| item.likelihood).collect::<Option<Vec<f64>>>();
    shares().map(|sure| (Sureness::Share, sure)).or_else(|| likelihoods().map(|sure| (Sureness::Likelihood, sure)))
}

//! The race: which items which variant is asked next, and which variant need not be asked any more.
//!
//! The reference is asked everything. Then the others, by what the profile prefers, so that the first that is shown good
//! enough makes all that are dearer needless. Each is asked block by block, the tasks in turn, every block the same
//! items for all in an order drawn by the profile's seed; after each block it leaves where it can hardly pass any more
//! ([`futility`]). Who is left is judged once, on all items, as without a race, and those that left
//! by their scores still count in the family: nothing is claimed that an exhaustive run would not claim.
//!
//! The fast race (`fast`) may also end a task early because it shows enough: half of the level is spent on looking.

use super::advice::words::miss;
use super::advice::{Advice, advise_knowing, could_be_advised, is_dearer_than_reference};
use super::constraint::Status;
use super::decided;
use super::known::Known;
use super::score;
use super::score::ClusterKey;
use super::summary::{TaskName, VariantSummary};
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::profile::{self, Profile};
use bantam_core::record::{Ask, Id, ItemResult, Row, TaskRef, Trial};
use bantam_core::stats::futility::{self, Seen};
use bantam_core::stats::{Judgement, Level};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

mod bets;
mod fast;
mod order;

pub(super) use bets::bets;

/// A variant leaves where its chance to pass is below this.
const HOPELESS: f64 = 0.01;

/// Into how many blocks a task's items are cut.
const BLOCKS: usize = 12;

/// A block has at least so many items, since loading and asking have a cost of their own.
const SMALLEST_BLOCK: usize = 16;

/// What the race knows: the trials that are over, and the items of those that are not.
pub trait Track {
    /// The trials that are over, as rows; they may be without their items.
    fn rows(&self) -> Vec<Row>;

    /// Tells whether a trial is over.
    fn is_over(&self, trial: &Id) -> bool;

    /// The items that a trial has so far.
    fn items(&self, trial: &Id) -> Vec<ItemResult>;

    /// What was worked out of rows before.
    fn known(&self) -> &dyn Known;
}

/// What the trials that are over come to.
#[derive(Debug)]
struct SoFar {
    /// How many they are.
    over: usize,
    advice: Advice,
    /// Why the variants that left did.
    reasons: HashMap<Id, String>,
    /// How many of them could have been advised: they count in the family of whoever is judged at the end.
    left: usize,
    /// How many could be advised at all, whether they left or not.
    rivals: usize,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A trial's items are asked: these, or all that are missing.
    Ask {
        /// The trial.
        trial: Trial,
        /// The items by their places; `None` for all.
        items: Option<BTreeSet<usize>>,
    },
    /// A trial is not asked any more.
    Leave {
        /// The trial.
        trial: Trial,
        /// Why, in one clause.
        reason: String,
    },
    /// A trial is over before all its items were asked: those that were show enough.
    Settle {
        /// The trial.
        trial: Trial,
        /// Why, in one clause.
        reason: String,
    },
}

/// How a variant stands on a task of which some items were asked.
struct Prospect {
    /// How many were asked of both.
    asked: usize,
    /// The mean difference from the reference on them.
    mean: f64,
    /// The chance that it is shown good enough on all of them.
    chance: f64,
}

/// A race between the variants of a run, on its tasks. Speeds are measured before.
#[derive(Debug)]
pub struct Race {
    profile: Profile,
    /// The trials that ask a task, in the plan's order.
    trials: Vec<Trial>,
    /// A task's items in the order in which they are asked, by its digest.
    orders: HashMap<Id, Vec<usize>>,
    /// On which tasks, by their digests, how many were found to have no chance.
    failed_on: HashMap<Id, usize>,
    /// What the trials that were over came to.
    so_far: Option<SoFar>,
}

impl Race {
    /// Sets up the race of a run's trials.
    pub fn new(trials: &[Trial], profile: &Profile) -> Race {
        let trials: Vec<Trial> = trials.iter().filter(|trial| matches!(trial.ask, Ask::Task(_))).cloned().collect();
        let (orders, failed_on) = (HashMap::new(), HashMap::new());
        Race { profile: profile.clone(), trials, orders, failed_on, so_far: None }
    }

    /// What comes next; `None` where every trial is over.
    pub fn next(&mut self, track: &dyn Track) -> Option<Step> {
        let open: Vec<Trial> = self.trials.iter().filter(|trial| !track.is_over(&trial.id)).cloned().collect();
        if let Some(trial) = open.iter().find(|trial| self.is_reference(trial)) {
            return Some(Step::Ask { trial: trial.clone(), items: None });
        }
        let over = self.trials.len() - open.len();
        if self.so_far.as_ref().is_none_or(|known| known.over != over) {
            let rows = track.rows();
            let advice = advise_knowing(&rows, &self.profile, track.known());
            let left = |row: &Row| Some((row.trial.variant.id.clone(), row.outcome.raced()?.to_owned()));
            let reasons: HashMap<Id, String> = rows.iter().filter_map(left).collect();
            let counts =
                |summary: &&VariantSummary| reasons.contains_key(summary.id()) && could_be_advised(&advice, summary);
            let left = advice.summaries.iter().filter(counts).count();
            let is_rival =
                |summary: &&VariantSummary| !advice.is_reference(summary.id()) && could_be_advised(&advice, summary);
            let rivals = advice.summaries.iter().filter(is_rival).count();
            self.so_far = Some(SoFar { over, left, rivals, reasons, advice });
        }
        let so_far = self.so_far.take()?;
        let step = self.step(&so_far, &open, track);
        self.so_far = Some(so_far);
        step
    }

    /// What comes next of the variant that is preferred among those that are not over.
    fn step(&mut self, so_far: &SoFar, open: &[Trial], track: &dyn Track) -> Option<Step> {
        let advice = &so_far.advice;
        // the first of those that cost the same: they keep the plan's order
        let variant = &open.iter().min_by(|a, b| preferred(advice, &a.variant.id, &b.variant.id))?.variant.id;
        let trials: Vec<&Trial> = open.iter().filter(|trial| trial.variant.id == *variant).collect();
        let tasks: Vec<&TaskRef> = trials.iter().filter_map(|trial| task_of(trial)).collect();
        for task in tasks {
            if !self.orders.contains_key(&task.digest) {
                let of_reference = self.reference_on(task).map_or_else(Vec::new, |trial| track.items(&trial.id));
                let order = order::drawn(task, self.profile.measure.seed, &of_reference);
                self.orders.insert(task.digest.clone(), order);
            }
        }
        let needless = self.leaves(so_far, variant);
        let hopeless = || trials.iter().find_map(|trial| self.hopeless(so_far, trial, track));
        if let Some((on, reason)) = needless.map(|reason| (None, reason)).or_else(hopeless) {
            let trial = trials[0].clone();
            if let Some(task) = on {
                *self.failed_on.entry(task).or_default() += 1;
            }
            return Some(Step::Leave { trial, reason });
        }
        let settled = || trials.iter().find_map(|trial| self.settled(so_far, trial, track));
        match self.is_fast().then(settled).flatten() {
            Some(step) => Some(step),
            None => Some(self.block(so_far, &trials, track)),
        }
    }

    fn is_fast(&self) -> bool {
        self.profile.race == profile::Race::Fast
    }

    /// The trial that asks the reference a task.
    fn reference_on(&self, task: &TaskRef) -> Option<&Trial> {
        self.trials.iter().find(|trial| self.is_reference(trial) && task_of(trial) == Some(task))
    }

    fn is_reference(&self, trial: &Trial) -> bool {
        let named = self.profile.objective.reference.as_deref();
        named.is_some_and(|named| trial.variant.is_called(named))
    }

    /// Why a variant need not be asked any more, by what is over.
    fn leaves(&self, so_far: &SoFar, variant: &Id) -> Option<String> {
        if let Some(reason) = so_far.reasons.get(variant) {
            return Some(reason.clone());
        }
        let advice = &so_far.advice;
        if let Some(summary) = advice.summary(variant) {
            if let Some(check) = summary.checks.iter().find(|c| c.requirement.is_cost() && c.status == Status::Unmet) {
                return Some(format!("it left the race: {}", miss(advice, summary, check)));
            }
            // a cost of answers is not known before they are asked, and then it is not dearer
            if is_dearer_than_reference(advice, summary) {
                return Some("it left the race: it costs more than the reference, which keeps every limit".into());
            }
            let winner = advice.summaries.iter().find(|other| other.qualifies && is_dearer(advice, summary, other));
            if let Some(winner) = winner {
                let metric = advice.prefer.metric().label();
                let label = winner.variant.label();
                return Some(format!("it left the race: {label} is good enough and better in {metric}"));
            }
            // its p-value is raised for all; at the end it is raised for at least those that left, and for itself
            let least = (so_far.left + 1) as f64 / (advice.summaries.len() - 1).max(1) as f64;
            let fails = |judgement: &Judgement| judgement.p.not_worse * least > judgement.interval.level.alpha();
            let not_shown = summary.comparisons.iter().find(|c| c.judgement().is_some_and(fails));
            if let Some(comparison) = not_shown {
                return Some(format!("it left the race: it is not shown good enough on {}", comparison.task));
            }
        }
        None
    }

    /// On which task, by its digest, a variant can hardly pass any more, and why, from the items that it has.
    fn hopeless(&self, so_far: &SoFar, trial: &Trial, track: &dyn Track) -> Option<(Option<Id>, String)> {
        let (task, now) = (task_of(trial)?, self.prospect(so_far, trial, track)?);
        let least = if self.is_fast() { fast::HOPELESS } else { HOPELESS };
        (now.chance < least).then(|| {
            let reason = format!(
                "it left the race after {} of {} items of {}: {:+.1} points from the reference there, and a chance of {:.1}% \
                 (estimated) to be shown good enough on all of them",
                now.asked,
                task.items,
                task.task,
                100.0 * now.mean,
                100.0 * now.chance,
            );
            (Some(task.digest.clone()), reason)
        })
    }

    /// How a variant stands on a task; `None` where the task cannot make it leave.
    fn prospect(&self, so_far: &SoFar, trial: &Trial, track: &dyn Track) -> Option<Prospect> {
        let task = task_of(trial)?;
        let metric = raced_by(&so_far.advice, task)?;
        let (before, now) = (track.items(&self.reference_on(task)?.id), track.items(&trial.id));
        let of_reference: BTreeMap<usize, &ItemResult> = before.iter().map(|item| (item.index, item)).collect();
        let sign = if metric.direction() == Direction::Higher { 1.0 } else { -1.0 };
        let pair = |item: &ItemResult| {
            let base = of_reference.get(&item.index)?.score(metric)?.value;
            Some(sign * (item.score(metric)?.value - base))
        };
        let both: Vec<&ItemResult> = now.iter().filter(|item| pair(item).is_some()).collect();
        let differences: Vec<f64> = both.iter().filter_map(|item| pair(item)).collect();
        let mut places: HashMap<ClusterKey, usize> = HashMap::new();
        let mut clusters = Vec::new();
        for key in score::cluster_keys(&both) {
            let next = places.len();
            clusters.push(*places.entry(key).or_insert(next));
        }
        let seen = Seen { differences: &differences, clusters: &clusters, items: task.items };
        let level = Level::new(self.profile.objective.confidence).ok()?;
        // the fast race leaves half of the level for the end, and all who could be advised count there
        let among = if self.is_fast() { 2 * so_far.rivals } else { so_far.left + 1 };
        let chance = futility::chance(&seen, self.margin(task), level, among);
        let asked = differences.len();
        Some(Prospect { asked, mean: differences.iter().sum::<f64>() / asked.max(1) as f64, chance })
    }

    fn margin(&self, task: &TaskRef) -> f64 {
        let name = TaskName { suite: task.suite.clone(), task: task.task.clone() };
        self.profile.objective.margin_of(|called| name.is_called(called))
    }

    /// The next items of a variant: of one of the tasks that can make it leave; the others whole, at the end.
    fn block(&self, so_far: &SoFar, open: &[&Trial], track: &dyn Track) -> Step {
        let raced = |trial: &&&Trial| task_of(trial).is_some_and(|task| raced_by(&so_far.advice, task).is_some());
        let next = open.iter().filter(raced).map(|trial| (self.turn(so_far, trial, track), *trial));
        let next = next.min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, trial)) = next else { return Step::Ask { trial: open[0].clone(), items: None } };
        let answered: BTreeSet<usize> = track.items(&trial.id).iter().map(|item| item.index).collect();
        let order = task_of(trial).and_then(|task| self.orders.get(&task.digest)).map_or(&[][..], Vec::as_slice);
        let (blocks, least) =
            if self.is_fast() { (fast::BLOCKS, fast::SMALLEST_BLOCK) } else { (BLOCKS, SMALLEST_BLOCK) };
        let size = order.len().div_ceil(blocks).max(least);
        let items: BTreeSet<usize> = order.iter().copied().filter(|item| !answered.contains(item)).take(size).collect();
        let is_last = items.is_empty() || answered.len() + items.len() >= order.len();
        Step::Ask { trial: trial.clone(), items: (!is_last).then_some(items) }
    }

    /// Whose turn it is: the task with the least. The share that was asked, so that they take turns; in the fast race the
    /// chance to pass.
    fn turn(&self, so_far: &SoFar, trial: &Trial, track: &dyn Track) -> f64 {
        if self.is_fast() {
            return self.chance_on(so_far, trial, track);
        }
        let items = task_of(trial).map_or(1, |task| task.items.max(1));
        track.items(&trial.id).len() as f64 / items as f64
    }
}

fn task_of(trial: &Trial) -> Option<&TaskRef> {
    match &trial.ask {
        Ask::Task(task) => Some(task),
        Ask::Speed(_) => None,
    }
}

/// The metric by which a task can make a variant leave: that of a task which decides, where it is a mean of items.
fn raced_by(advice: &Advice, task: &TaskRef) -> Option<Metric> {
    let name = TaskName { suite: task.suite.clone(), task: task.task.clone() };
    let metric = *task.metrics.first().filter(|metric| metric.aggregation() == Aggregation::Mean)?;
    advice.deciding().any(|asked| asked.name == name).then_some(metric)
}

/// What the profile prefers first; what is not known of comes last.
fn preferred(advice: &Advice, a: &Id, b: &Id) -> Ordering {
    let cost = |id: &Id, metric: Metric| advice.summary(id).and_then(|summary| summary.cost(metric).value());
    [advice.prefer.metric(), Metric::Disk].into_iter().fold(Ordering::Equal, |so_far, metric| {
        so_far.then_with(|| match (cost(a, metric), cost(b, metric)) {
            (Some(a), Some(b)) if metric.better(a, b) => Ordering::Less,
            (Some(a), Some(b)) if metric.better(b, a) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            _ => Ordering::Equal,
        })
    })
}

fn is_dearer(advice: &Advice, summary: &VariantSummary, other: &VariantSummary) -> bool {
    let metric = advice.prefer.metric();
    decided::better(metric, &summary.cost(metric), &other.cost(metric)) == Some(Ordering::Greater)
}

#[cfg(test)]
mod tests;

//! What a system promises of items that no rule has seen, told on the first half alone, and whether the second half kept it.

use super::compose;
use super::fit::{self, TaskFit};
use super::table::{COSTS, FOLDS, Half, Table, TaskTable, mean};
use super::words;
use super::{Considered, Fitted, Kept, Pays, Share, TaskRule};
use crate::recommend::cost;
use bantam_core::metric::Direction;
use bantam_core::record::Reading;
use bantam_core::stats::distribution::student_quantile;
use bantam_core::stats::{Clusters, Level, ratio};
use bantam_core::system::{Composition, Escalate, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// Looks at a system closely.
pub(super) fn considered(
    table: &Table,
    fitted: &Fitted,
    single: Option<&usize>,
    tried: bool,
    level: Level,
) -> Considered {
    let known: Vec<usize> = (0..COSTS.len()).filter(|&by| is_known(table, fitted, by)).collect();
    // each bound may fail; together they hold
    let alpha = level.alpha() / (table.tasks.len() + known.len()) as f64;
    let crossed: Vec<Vec<TaskFit>> =
        (0..FOLDS).map(|fold| table.tasks.iter().map(|task| refit(table, task, fitted, fold)).collect()).collect();
    let tasks: Vec<TaskRule> = table
        .tasks
        .iter()
        .enumerate()
        .map(|(at, task)| TaskRule {
            task: task.name.clone(),
            rule: rule(table, fitted, at),
            right_at: fitted.rules[at].right_at,
            escalated: mean(
                task.half(Half::Second).map(|item| f64::from(u8::from(fitted.rules[at].goes_on(task, item).is_some()))),
            ),
            score: score(task, at, &crossed, fitted, alpha),
        })
        .collect();
    let costs = known.iter().map(|&by| (COSTS[by], promised_cost(table, &crossed, fitted, by, alpha))).collect();
    let of_single = single.and_then(|&single| share(table, fitted, single, level));
    let memory = |of: fn(f64, f64) -> f64, how: &str| peak(table, fitted, of, how);
    let mut considered = Considered {
        variant: compose::variant(table, fitted),
        tried,
        tasks,
        costs,
        of_single,
        pays: Pays::Yes,
        memory_of_all: memory(|a, b| a + b, "the peaks of its members together"),
        memory_of_one: memory(f64::max, "the highest peak among its members"),
        loading: loading(table, fitted),
    };
    considered.pays = words::pays(&considered, fitted, single.map(|&single| table.variants[single].variant.label()));
    considered
}

/// Whether a cost is known of every item, also where it goes on.
fn is_known(table: &Table, fitted: &Fitted, by: usize) -> bool {
    let known = |(task, rule): (&TaskTable, &TaskFit)| {
        let members = std::iter::once(rule.first).chain(rule.then.map(|(to, ..)| to));
        members.into_iter().all(|place| task.answers[place].costs[by].is_some())
            && (0..task.items.len()).all(|item| rule.cost(table, task, item, by).is_some())
    };
    table.tasks.iter().zip(&fitted.rules).all(known)
        && fitted.members.iter().all(|&place| table.tasks.iter().all(|task| task.answers[place].costs[by].is_some()))
}

/// The rule that the other folds would have chosen.
fn refit(table: &Table, task: &TaskTable, fitted: &Fitted, fold: usize) -> TaskFit {
    let others = |item: usize| task.folds[item] != fold;
    match fitted.composition {
        Composition::Cascade => fit::cascade_rule(table, task, (fitted.members[0], fitted.members[1]), others),
        Composition::Specialists => {
            let all: Vec<usize> = (0..table.variants.len()).collect();
            fit::specialist_rule(table, task, &all, others)
        }
    }
}

/// The rule of a task as a router's file has it.
fn rule(table: &Table, fitted: &Fitted, at: usize) -> Rule {
    let fit = &fitted.rules[at];
    let number = |place: usize| fitted.members.iter().position(|member| *member == place).unwrap_or(0);
    let name = &table.tasks[at].name;
    Rule {
        task: format!("{}/{}", name.suite, name.task),
        first: number(fit.first),
        escalate: fit.then.map(|(to, by, below)| Escalate { to: number(to), by, below }),
    }
}

fn score(task: &TaskTable, at: usize, crossed: &[Vec<TaskFit>], fitted: &Fitted, alpha: f64) -> Kept {
    let of = |rule: &TaskFit, item: usize| (rule.score(task, item), task.clusters[item]);
    let halves = Halves {
        first: task.half(Half::First).map(|item| of(&fitted.rules[at], item)).collect(),
        crossed: task.half(Half::First).map(|item| of(&crossed[task.folds[item]][at], item)).collect(),
        second: task.half(Half::Second).map(|item| of(&fitted.rules[at], item)).collect(),
    };
    let kept = halves.kept(-1.0, alpha, task.is_share);
    match task.metric.direction() {
        Direction::Higher => kept,
        // scores were turned so that higher is better
        Direction::Lower => Kept { promised: -kept.promised, bound: -kept.bound, found: -kept.found, ..kept },
    }
}

fn promised_cost(table: &Table, crossed: &[Vec<TaskFit>], fitted: &Fitted, by: usize, alpha: f64) -> Kept {
    let (mut halves, mut before) = (Halves::default(), 0);
    for (at, task) in table.tasks.iter().enumerate() {
        for item in 0..task.items.len() {
            let of = |rule: &TaskFit| Some((rule.cost(table, task, item, by)?, before + task.clusters[item]));
            match task.halves[item] {
                Half::First => {
                    halves.first.extend(of(&fitted.rules[at]));
                    halves.crossed.extend(of(&crossed[task.folds[item]][at]));
                }
                Half::Second => halves.second.extend(of(&fitted.rules[at])),
            }
        }
        before += task.clusters.iter().max().map_or(0, |most| most + 1);
    }
    halves.kept(1.0, alpha, false)
}

/// Values of items, each with its cluster: of the first half by the rules themselves and cross-fitted, of the second half.
#[derive(Default)]
struct Halves {
    first: Vec<(f64, usize)>,
    crossed: Vec<(f64, usize)>,
    second: Vec<(f64, usize)>,
}

impl Halves {
    /// A promise for the mean of the second half from the first alone; `side` is 1 where more is worse. It is the worse of two
    /// means: that of the rules on the items that they were chosen by, which flatters their score, and the cross-fitted one,
    /// of whose rules each is a little another. The bound is that with Student's t times the error of the difference of two
    /// means, of this half and of one of the second's size. Shares have no less error than with two right and two wrong
    /// answers more (Agresti and Coull 1998): a half without a mistake does not promise that there are none.
    fn kept(&self, side: f64, alpha: f64, is_share: bool) -> Kept {
        let of = |values: &[(f64, usize)]| mean(values.iter().map(|(value, _)| *value));
        let (own, crossed, found) = (of(&self.first), of(&self.crossed), of(&self.second));
        let promised = if side * own > side * crossed { own } else { crossed };
        let (count, error) = error(&self.first, own, is_share);
        let ahead = self.second.iter().map(|(_, cluster)| cluster).collect::<BTreeSet<_>>().len().max(1) as f64;
        let both = error * (1.0 + count / ahead).sqrt();
        let t = student_quantile(1.0 - alpha, (count - 1.0).max(1.0));
        let mut bound = promised + side * t * both;
        if is_share {
            // scores that were turned lie below zero
            bound = if promised < 0.0 { bound.clamp(-1.0, 0.0) } else { bound.clamp(0.0, 1.0) };
        }
        let held = side * found <= side * bound + 1e-9 * bound.abs().max(1e-9);
        Kept { promised, bound, found, items: self.second.len(), held }
    }
}

/// How many clusters there are, and the standard error of the mean.
fn error(values: &[(f64, usize)], mean: f64, is_share: bool) -> (f64, f64) {
    let mut clusters: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (value, cluster) in values {
        let sums = clusters.entry(*cluster).or_default();
        *sums = (sums.0 + value, sums.1 + 1.0);
    }
    let (count, all) = (clusters.len() as f64, values.len() as f64);
    let squares: f64 = clusters.values().map(|(sum, items)| (sum - mean * items).powi(2)).sum();
    let seen = count / (count - 1.0).max(1.0) * squares / (all * all);
    let least = match is_share {
        true => {
            let share = (mean.abs() * count + 2.0) / (count + 4.0);
            share * (1.0 - share) / (count + 4.0)
        }
        false => 0.0,
    };
    (count, seen.max(least).sqrt())
}

/// What the system costs as a share of a single variant on the second half.
fn share(table: &Table, fitted: &Fitted, single: usize, level: Level) -> Option<Share> {
    let (mut own, mut others, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
    for (at, task) in table.tasks.iter().enumerate() {
        for item in task.half(Half::Second) {
            own.push(fitted.rules[at].cost(table, task, item, table.by)?);
            others.push(task.answers[single].costs[table.by].as_ref()?[item]);
            clusters.push((at, task.clusters[item]));
        }
    }
    let (value, interval) = ratio::ratio(&own, &others, &Clusters::by(&clusters).ok()?, level).ok()?;
    Some(Share { value, low: interval.low, high: interval.high })
}

fn peak(table: &Table, fitted: &Fitted, of: fn(f64, f64) -> f64, how: &str) -> Reading {
    let peaks =
        fitted.members.iter().map(|&place| cost::peak_memory(&table.variants[place].rows.iter().collect::<Vec<_>>()));
    compose::combined(peaks, of, how)
}

/// Seconds of an item that loading takes on average, where one member at a time is in memory and tasks come mixed.
fn loading(table: &Table, fitted: &Fitted) -> Option<f64> {
    let all: f64 = table.tasks.iter().map(|task| task.half(Half::Second).count() as f64).sum();
    let mut seconds = 0.0;
    match fitted.composition {
        Composition::Cascade => {
            for (at, task) in table.tasks.iter().enumerate() {
                for item in task.half(Half::Second) {
                    if let Some(then) = fitted.rules[at].goes_on(task, item) {
                        seconds += fit::one_after_the_other(table, fitted.rules[at].first, then)?;
                    }
                }
            }
            Some(seconds / all)
        }
        Composition::Specialists => {
            for &member in &fitted.members {
                let own = table.tasks.iter().zip(&fitted.rules).filter(|(_, rule)| rule.first == member);
                let share = own.map(|(task, _)| task.half(Half::Second).count() as f64).sum::<f64>() / all;
                // it is loaded where the question before was another's
                seconds += share * (1.0 - share) * table.variants[member].load?;
            }
            Some(seconds)
        }
    }
}

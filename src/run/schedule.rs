//! Schedulers: which trial comes next. [`Exhaustive`] does all of them: the tasks variant by variant, so that each is
//! loaded once, then the speed shapes in rounds, so that what changes on the machine falls on all variants alike.
//!
//! A scheduler sees what is known and nothing else; making variants, running, storing and telling are the session's.

use crate::run::plan::Plan;
use crate::run::session::now;
use crate::run::steer::Steer;
use bantam_core::record::{Ask, Failure, Id, ItemResult, Shape, Trial};
use bantam_core::stats::speed;
use bantam_verdict::store::{self, Store};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Says what is to be done next, until nothing is. It is asked again after each piece of work, and must not name a trial
/// that is over.
pub trait Scheduler {
    /// The next work; None where the run is complete.
    fn next(&mut self, known: &Outcomes) -> Option<Work>;
}

/// A trial to be done, or some of its items.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    pub trial: Trial,
    /// The items to be asked now; None for all that are missing. A trial is over when it has all of its items.
    pub items: Option<BTreeSet<usize>>,
    /// The round in which a speed shape takes its turn; None for a task, and for a turn of its own.
    pub round: Option<u64>,
    /// How it ends though not all was asked; None where it is to be done.
    pub ends: Option<Ends>,
}

/// How a trial ends before all was asked, and why, in one clause.
#[derive(Debug, Clone, PartialEq)]
pub enum Ends {
    /// Its variant left a race: it has no result.
    Leaves(String),
    /// What was asked shows enough: that is its result.
    Settled(String),
}

/// What is known of a run's trials.
pub struct Outcomes<'a> {
    over: &'a BTreeMap<Id, Result<(), Failure>>,
    store: &'a Store,
}

impl<'a> Outcomes<'a> {
    /// What this session has found, and the store that has the rest.
    pub(crate) fn new(over: &'a BTreeMap<Id, Result<(), Failure>>, store: &'a Store) -> Outcomes<'a> {
        Outcomes { over, store }
    }

    /// How a trial ended: with its result, of this session or an earlier one, or with a failure of this session. None while
    /// it is not over; what failed earlier is tried again.
    pub fn result(&self, trial: &Id) -> Option<&'a Result<(), Failure>> {
        self.over.get(trial)
    }

    /// The store that has the rest.
    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// Whether nothing more is to be done of a trial.
    pub fn is_over(&self, trial: &Id) -> bool {
        self.over.contains_key(trial)
    }

    /// The items that a trial has so far, in the order of the suite's data.
    ///
    /// # Errors
    /// The store's.
    pub fn items(&self, trial: &Id) -> store::Result<Vec<ItemResult>> {
        self.store.items_of(trial)
    }
}

/// Every trial of a plan, in its order, but for those that wait for others. It stays with a variant for as long as it can,
/// and goes round all of them where speed is measured.
#[derive(Debug)]
pub struct Exhaustive {
    trials: Vec<Trial>,
    variant: Option<Id>,
    rounds: Rounds,
    steer: Steer,
}

impl Exhaustive {
    /// All trials of the plan.
    pub fn of(plan: &Plan) -> Exhaustive {
        Exhaustive {
            trials: plan.run.trials.clone(),
            variant: None,
            rounds: Rounds::default(),
            steer: plan.steer.clone(),
        }
    }
}

/// The rounds of one speed shape after the other.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    shape: Option<Shape>,
    /// How many rounds of this shape were begun.
    begun: usize,
    /// The number of this round.
    number: u64,
    /// Those that have still to take their turn in this round.
    waiting: VecDeque<Id>,
}

impl Rounds {
    /// The next turn among trials that are ready and not over. A round is finished before another begins, and a shape
    /// before the next.
    pub(super) fn next(&mut self, trials: &[&Trial]) -> Option<Work> {
        loop {
            while let Some(id) = self.waiting.pop_front() {
                if let Some(trial) = trials.iter().find(|trial| trial.id == id) {
                    return Some(Work { trial: (*trial).clone(), items: None, round: Some(self.number), ends: None });
                }
            }
            self.begin(trials)?;
        }
    }

    /// Begins a round of the shape that is at work, or of the first that is left.
    fn begin(&mut self, trials: &[&Trial]) -> Option<()> {
        let shapes: Vec<Shape> = trials.iter().filter_map(|trial| shape(trial)).collect();
        let next = self.shape.filter(|shape| shapes.contains(shape)).or(shapes.first().copied())?;
        if self.shape.replace(next) != Some(next) {
            self.begun = 0;
        }
        let takers: Vec<&Id> =
            trials.iter().filter(|trial| shape(trial) == Some(next)).map(|trial| &trial.id).collect();
        self.waiting = speed::order(takers.len(), self.begun).into_iter().map(|place| takers[place].clone()).collect();
        self.begun += 1;
        self.number = self.number.saturating_add(1).max((now() * 1000.0) as u64);
        Some(())
    }
}

fn shape(trial: &Trial) -> Option<Shape> {
    match trial.ask {
        Ask::Speed(shape) => Some(shape),
        Ask::Task(_) => None,
    }
}

impl Scheduler for Exhaustive {
    fn next(&mut self, known: &Outcomes) -> Option<Work> {
        self.trials.retain(|trial| !known.is_over(&trial.id));
        let wishes = self.steer.wishes();
        // whoever needs what is left out waits for the next run, too
        let left_out: BTreeSet<&Id> =
            self.trials.iter().filter(|t| wishes.skipped.contains(&t.variant.id)).map(|t| &t.id).collect();
        let wanted = |trial: &&Trial| {
            !left_out.contains(&trial.id) && !trial.needs.iter().any(|needed| left_out.contains(needed))
        };
        let ready = |trial: &&Trial| trial.needs.iter().all(|needed| known.is_over(needed));
        let comes_first = |trial: &&Trial| wishes.first.as_ref() == Some(&trial.variant.id);
        let of_this_variant = |trial: &&Trial| self.variant.as_ref() == Some(&trial.variant.id);
        let tasks = || self.trials.iter().filter(|trial| shape(trial).is_none()).filter(wanted).filter(ready);
        let next = tasks().find(comes_first).or_else(|| tasks().find(of_this_variant)).or_else(|| tasks().next());
        if let Some(next) = next.cloned() {
            self.variant = Some(next.variant.id.clone());
            return Some(Work { trial: next, items: None, round: None, ends: None });
        }
        let shapes = self.trials.iter().filter(|trial| shape(trial).is_some());
        let speeds: Vec<&Trial> = shapes.filter(wanted).filter(ready).collect();
        // where all that is left waits for what never comes, the session says so of each
        let stuck = || {
            let trial = self.trials.iter().find(wanted)?.clone();
            Some(Work { trial, items: None, round: None, ends: None })
        };
        self.rounds.next(&speeds).or_else(stuck)
    }
}

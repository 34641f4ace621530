//! Schedulers: which trial comes next. [`Exhaustive`] does all of them, variant by variant, so that each is loaded once.
//!
//! A scheduler sees what is known and nothing else; making variants, running, storing and telling are the session's.

use crate::run::plan::Plan;
use bantam_core::record::{Failure, Id, ItemResult, Trial};
use bantam_verdict::store::{self, Store};
use std::collections::{BTreeMap, BTreeSet};

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

/// Every trial of a plan, in its order, but for those that wait for others. It stays with a variant for as long as it can.
#[derive(Debug)]
pub struct Exhaustive {
    trials: Vec<Trial>,
    variant: Option<Id>,
}

impl Exhaustive {
    /// All trials of the plan.
    pub fn of(plan: &Plan) -> Exhaustive {
        Exhaustive { trials: plan.run.trials.clone(), variant: None }
    }
}

impl Scheduler for Exhaustive {
    fn next(&mut self, known: &Outcomes) -> Option<Work> {
        self.trials.retain(|trial| !known.is_over(&trial.id));
        let ready = |trial: &&Trial| trial.needs.iter().all(|needed| known.is_over(needed));
        let of_this_variant = |trial: &&Trial| self.variant.as_ref() == Some(&trial.variant.id);
        let here = self.trials.iter().find(|trial| of_this_variant(trial) && ready(trial));
        // where all that is left waits for what never comes, the session says so of each
        let next = here.or_else(|| self.trials.iter().find(ready)).or(self.trials.first())?.clone();
        self.variant = Some(next.variant.id.clone());
        Some(Work { trial: next, items: None })
    }
}

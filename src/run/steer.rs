//! What somebody who watches a run wishes of it while it goes on: variants that are left out for now, and one that comes first.
//! It holds for this run alone; what is left out is done by the next one.

use bantam_core::record::Id;
use bantam_core::sync::lock;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The wishes of a run, shared by who wishes and who does.
#[derive(Debug, Clone, Default)]
pub struct Steer(Arc<Mutex<Wishes>>);

/// What is wished now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Variants that nothing more is asked of.
    pub skipped: BTreeSet<Id>,
    /// The variant whose tasks come before all others.
    pub first: Option<Id>,
}

impl Steer {
    /// Leaves a variant out, or takes it in again; a trial that is at work goes on to its end.
    pub fn skip(&self, variant: &Id, skipped: bool) {
        let mut wishes = lock(&self.0);
        match skipped {
            true => wishes.skipped.insert(variant.clone()),
            false => wishes.skipped.remove(variant),
        };
    }

    /// Has a variant's tasks come next, or none's.
    pub fn first(&self, variant: Option<Id>) {
        lock(&self.0).first = variant;
    }

    /// What is wished now.
    pub fn wishes(&self) -> Wishes {
        lock(&self.0).clone()
    }
}

/// A plan is the same, whatever is wished of its run.
impl PartialEq for Steer {
    fn eq(&self, _: &Steer) -> bool {
        true
    }
}

//! How often what a system promised held, over many ways of cutting the items that are there into halves. One half that kept
//! it may have been lucky.

use super::{Considered, Pays, consider};
use crate::recommend::known::Known;
use crate::recommend::summary::TaskName;
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::Row;
use serde::Serialize;

/// A system over many splits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Splits {
    /// Its label.
    pub label: String,
    /// In how many splits it was looked at: the first half of each says which systems look good.
    pub splits: usize,
    /// In how many of them all that was promised held.
    pub held: usize,
    /// Of each task the splits in which its score held.
    pub scores: Vec<(TaskName, usize)>,
    /// Of each cost the splits in which it held.
    pub costs: Vec<(Metric, usize)>,
    /// In how many it was shown to pay.
    pub pays: usize,
    /// In how many it was told that it does not.
    pub pays_not: usize,
}

impl Splits {
    fn of(label: String) -> Splits {
        Splits { label, splits: 0, held: 0, scores: Vec::new(), costs: Vec::new(), pays: 0, pays_not: 0 }
    }

    fn add(&mut self, considered: &Considered) {
        self.splits += 1;
        self.held += usize::from(considered.broken().is_empty());
        self.pays += usize::from(considered.pays == Pays::Yes);
        self.pays_not += usize::from(matches!(considered.pays, Pays::No { .. }));
        for told in &considered.tasks {
            count(&mut self.scores, &told.task, told.score.held);
        }
        for (metric, kept) in &considered.costs {
            count(&mut self.costs, metric, kept.held);
        }
    }
}

fn count<K: PartialEq + Clone>(counts: &mut Vec<(K, usize)>, of: &K, held: bool) {
    match counts.iter_mut().find(|(known, _)| known == of) {
        Some((_, count)) => *count += usize::from(held),
        None => counts.push((of.clone(), usize::from(held))),
    }
}

/// Cuts the items in so many ways, by the seeds from the profile's on, and counts; those first that were looked at most.
///
/// # Panics
/// As [`consider`].
pub fn splits(rows: &[Row], profile: &Profile, known: &dyn Known, ways: usize) -> Vec<Splits> {
    let mut found: Vec<Splits> = Vec::new();
    for way in 0..ways {
        let mut profile = profile.clone();
        profile.measure.seed = profile.measure.seed.wrapping_add(way as u64);
        let Some((systems, _)) = consider(rows, &profile, known) else { break };
        for considered in &systems.considered {
            let label = considered.variant.label();
            let place = found.iter().position(|one| one.label == label).unwrap_or_else(|| {
                found.push(Splits::of(label));
                found.len() - 1
            });
            found[place].add(considered);
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.splits));
    found
}

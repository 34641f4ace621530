//! The order in which a race asks the items of a task: drawn by the profile's seed, the same for all variants, and what
//! goes together (a conversation, a minimal pair) one after the other, so that it is seen whole.

use super::score;
use bantam_core::record::{Id, ItemResult, TaskRef};
use std::collections::HashMap;

/// The places of a task's items in the order in which they are asked. What goes together is known from the items of the
/// reference, which is asked first.
pub(super) fn drawn(task: &TaskRef, seed: u64, of_reference: &[ItemResult]) -> Vec<usize> {
    by_cluster(task, seed, of_reference).into_iter().map(|(_, item)| item).collect()
}

/// The same with the first of the items that it goes with before each.
pub(super) fn by_cluster(task: &TaskRef, seed: u64, of_reference: &[ItemResult]) -> Vec<(usize, usize)> {
    let mut first: Vec<usize> = (0..task.items).collect();
    let known: Vec<&ItemResult> = of_reference.iter().filter(|item| item.index < task.items).collect();
    let mut of_cluster = HashMap::new();
    for (item, key) in known.iter().zip(score::cluster_keys(&known)) {
        first[item.index] = *of_cluster.entry(key).or_insert(item.index);
    }
    let mut drawn: Vec<(usize, usize)> = first.into_iter().zip(0..task.items).collect();
    drawn.sort_by_cached_key(|(first, item)| (Id::of(&(seed, &task.digest, first)).0, *item));
    drawn
}

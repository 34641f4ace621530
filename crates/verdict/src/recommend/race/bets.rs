//! The items of a task as bets, in the order in which the race asked them.

use super::order;
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::record::{ItemResult, TaskRef};
use bantam_core::stats::betting::{Bets, Unit};
use bantam_core::unit;
use std::collections::{BTreeMap, HashMap};

/// Lays out what could be bet on: clusters of items, up to the first that was not asked whole. `None` where scores have no
/// ends, or are none of single items, so that no bet on them is fair.
pub(in crate::recommend) fn bets(
    task: &TaskRef,
    metric: Metric,
    seed: u64,
    of_reference: &[ItemResult],
    of_candidate: &[ItemResult],
) -> Option<Bets> {
    if metric.aggregation() != Aggregation::Mean || metric.unit() != unit::Unit::Fraction {
        return None;
    }
    let sign = if metric.direction() == Direction::Higher { 1.0 } else { -1.0 };
    let by_place = |items: &[ItemResult]| -> HashMap<usize, Option<(f64, f64)>> {
        let score = |item: &ItemResult| item.score(metric).map(|score| (score.value, score.weight));
        items.iter().map(|item| (item.index, score(item))).collect()
    };
    let (before, now) = (by_place(of_reference), by_place(of_candidate));
    let mut of_cluster: BTreeMap<usize, f64> = BTreeMap::new();
    let order = order::by_cluster(task, seed, of_reference);
    for (first, item) in &order {
        *of_cluster.entry(*first).or_default() += before.get(item).copied().flatten().map_or(0.0, |(_, weight)| weight);
    }
    let heaviest = of_cluster.values().copied().fold(0.0, f64::max);
    let mut units = Vec::new();
    for cluster in order.chunk_by(|a, b| a.0 == b.0) {
        // the rest was asked in another order, or not at all
        if cluster.iter().any(|(_, item)| !now.contains_key(item)) {
            break;
        }
        let mut unit = Unit { weight: 0.0, moved: 0.0 };
        for (_, item) in cluster {
            let (Some(Some((base, weight))), Some(Some((value, _)))) = (before.get(item), now.get(item)) else {
                continue;
            };
            if ![base, value].iter().all(|score| (0.0..=1.0).contains(*score)) {
                return None;
            }
            unit = Unit { weight: unit.weight + weight, moved: unit.moved + weight * sign * (value - base) };
        }
        if unit.weight > 0.0 {
            units.push(unit);
        }
    }
    Bets::new(units, heaviest, 1.0)
}

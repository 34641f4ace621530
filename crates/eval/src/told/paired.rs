//! Our items held against those of a file of samples, by their places in the data.

use super::Samples;
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::{Id, ItemResult};
use bantam_core::stats::{Interval, Level, Pairs, Table, tango};
use std::collections::BTreeMap;

/// What items that both scored say together.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// Items that both scored.
    pub items: usize,
    /// Items whose score is the same.
    pub same: usize,
    /// Our mean less theirs, with its interval where there is one.
    pub difference: f64,
    /// Its interval at 95%; None where nothing differs, or too few were paired.
    pub interval: Option<Interval>,
    /// Right and wrong on both sides, theirs as the reference; None of scores that are neither.
    pub table: Option<Table>,
    /// Of items whose prompt is known on both sides those that were asked otherwise here.
    pub asked_otherwise: usize,
}

/// Two numbers that are the same but for how they were written.
const SAME: f64 = 1e-6;

/// Pairs our items' scores with those that a file tells under a metric's name; None where no item was scored by both, or where a
/// score is made of the sample as a whole. `prompts` are ours, by the items' places.
pub fn paired(
    ours: &[ItemResult],
    metric: Metric,
    theirs: &Samples,
    name: &str,
    prompts: &BTreeMap<usize, String>,
) -> Option<Paired> {
    if metric.aggregation() != Aggregation::Mean {
        return None;
    }
    let (mut here, mut there, mut asked_otherwise) = (Vec::new(), Vec::new(), 0);
    for item in ours {
        let Some(sample) = theirs.items.get(&item.index) else { continue };
        let (Some(own), Some(other)) = (item.score(metric), sample.scores.get(name)) else { continue };
        here.push(own.value);
        there.push(*other);
        if let (Some(prompt), Some(hash)) = (prompts.get(&item.index), &sample.prompt) {
            asked_otherwise += usize::from(Id::of_bytes(prompt.as_bytes()) != *hash);
        }
    }
    let same = here.iter().zip(&there).filter(|(a, b)| (*a - *b).abs() < SAME).count();
    let items = here.len();
    let pairs = Pairs::new(there, here).ok()?;
    let table = pairs.table();
    let interval = match table {
        Some(table) => (items > 1).then(|| tango::interval(&table, Level::P95)),
        None => pairs.mean().ok().map(|mean| mean.interval(Level::P95)),
    };
    Some(Paired { items, same, difference: pairs.difference(), interval, table, asked_otherwise })
}

//! Two or more stores of one profile, held against each other: which pairs of variants does one call faster one way and
//! another the other way. A machine that was busy in one of them must not turn a verdict round.

use anyhow::{Context, Result, bail, ensure};
use bantam_core::metric::Metric;
use bantam_core::record::Shape;
use bantam_core::stats::Level;
use bantam_verdict::recommend::cost::ShapeCost;
use bantam_verdict::store::Store;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is compared between variants.
const METRICS: [Metric; 2] = [Metric::PrefillTps, Metric::DecodeTps];

/// Two variants at one shape by one metric.
type Pair = (String, String, String, String);

/// Prints what each store tells apart, and the pairs that two of them tell apart in opposite directions.
///
/// # Errors
/// Where a store cannot be read, or where there are such pairs.
pub(crate) fn compare(stores: &[PathBuf]) -> Result<()> {
    ensure!(stores.len() >= 2, "give two stores at least, as store.sqlite or the BANTAM_HOME that holds it");
    let verdicts: Vec<BTreeMap<Pair, Ordering>> = stores.iter().map(|path| verdicts(path)).collect::<Result<_>>()?;
    for (path, verdicts) in stores.iter().zip(&verdicts) {
        let apart = verdicts.values().filter(|order| order.is_ne()).count();
        println!("{}: {apart} of {} pairs told apart", path.display(), verdicts.len());
    }
    let opposite = opposite(&verdicts);
    for (one, other, shape, metric) in &opposite {
        println!("opposite: {one} and {other} at {shape} by {metric}");
    }
    match opposite.len() {
        0 => Ok(()),
        count => bail!("{count} pairs are told apart in opposite directions"),
    }
}

fn opposite(verdicts: &[BTreeMap<Pair, Ordering>]) -> Vec<&Pair> {
    let mut pairs: Vec<&Pair> = verdicts.iter().flat_map(BTreeMap::keys).collect();
    pairs.sort();
    pairs.dedup();
    let says = |pair: &Pair, order: Ordering| verdicts.iter().any(|verdicts| verdicts.get(pair) == Some(&order));
    pairs.retain(|pair| says(pair, Ordering::Less) && says(pair, Ordering::Greater));
    pairs
}

/// What the latest run of a store says of every pair of its variants.
fn verdicts(path: &Path) -> Result<BTreeMap<Pair, Ordering>> {
    let file = if path.is_dir() { path.join("store.sqlite") } else { path.to_path_buf() };
    ensure!(file.is_file(), "{}: is no file", file.display());
    let store = Store::open(&file)?;
    let run = store.runs()?.into_iter().next().with_context(|| format!("{}: holds no run", file.display()))?;
    let rows = store.rows(&run.id)?;
    let costs: Vec<(String, Shape, ShapeCost)> = (rows.iter())
        .filter_map(|row| {
            let cost = ShapeCost::of(row, Level::P95)?;
            Some((row.trial.variant.label(), cost.shape, cost))
        })
        .collect();
    let mut verdicts = BTreeMap::new();
    for (n, (one, shape, cost)) in costs.iter().enumerate() {
        for (other, _, theirs) in costs[n + 1..].iter().filter(|(_, other, _)| other == shape) {
            for metric in METRICS {
                let shown = cost.faster(theirs, metric, Level::P95).shown();
                verdicts.insert((one.clone(), other.clone(), shape.to_string(), metric.to_string()), shown);
            }
        }
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_opposite_directions_are_named() {
        let pair = |name: &str| (name.to_string(), "z".to_string(), "pp1+tg2".to_string(), "decode".to_string());
        let one =
            BTreeMap::from([(pair("a"), Ordering::Less), (pair("b"), Ordering::Less), (pair("c"), Ordering::Greater)]);
        let other = BTreeMap::from([
            (pair("a"), Ordering::Equal),
            (pair("b"), Ordering::Greater),
            (pair("c"), Ordering::Greater),
        ]);
        assert_eq!(opposite(&[one, other]), [&pair("b")]);
    }
}

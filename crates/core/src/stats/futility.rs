//! Futility: can a candidate, after some of the items, still hope to be shown not worse after all of them?
//!
//! The remaining items are predicted from those that were seen (predictive power: Spiegelhalter, Freedman and Blackburn,
//! "Monitoring clinical trials: conditional or predictive power?", Controlled Clinical Trials 1986). Stopping for futility
//! claims nothing, so that it raises no error of the final test, which is made once and with all items; it can only cost
//! power, and as little as the chance at which one stops.

use super::Level;
use super::distribution::{normal_cdf, normal_quantile};
use std::collections::BTreeMap;

/// Fewer items than this predict nothing.
pub const FEWEST: usize = 20;

/// What has been seen of one candidate on one task.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Candidate less reference, item by item, above zero where the candidate is better.
    pub differences: &'a [f64],
    /// To which cluster each item belongs; items of one cluster are right or wrong together.
    pub clusters: &'a [usize],
    /// How many items there will be.
    pub items: usize,
}

/// Estimates the chance that the candidate is shown not worse by more than `margin` once all items are seen, where its
/// p-value has to be below what the level leaves out over `among`, the number of candidates that will at least count
/// beside it; 1 where too few were seen to say. One item more won and one more lost are added to what was seen, so that no
/// spread is taken for none.
pub fn chance(seen: &Seen, margin: f64, level: Level, among: usize) -> f64 {
    let (seen_items, all) = (seen.differences.len(), seen.items as f64);
    if seen_items < FEWEST || seen_items >= seen.items {
        return 1.0;
    }
    let (m, left) = (seen_items as f64, (seen.items - seen_items) as f64);
    let total: f64 = seen.differences.iter().sum();
    let mean = total / m;
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for (difference, cluster) in seen.differences.iter().zip(seen.clusters) {
        *sums.entry(*cluster).or_default() += difference - mean;
    }
    // the variance that an item adds, its cluster's others included; two more items, one won and one lost
    let variance = (sums.values().map(|sum| sum * sum).sum::<f64>() + 2.0) / (m + 2.0);
    let needed = all * (normal_quantile(1.0 - level.alpha() / among.max(1) as f64) * (variance / all).sqrt() - margin);
    let expected = total + left * mean;
    let spread = (left * variance + left * left * variance / m).sqrt();
    1.0 - normal_cdf((needed - expected) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lost: usize, gained: usize, same: usize, items: usize) -> f64 {
        let differences: Vec<f64> = [vec![-1.0; lost], vec![1.0; gained], vec![0.0; same]].concat();
        let clusters: Vec<usize> = (0..differences.len()).collect();
        chance(&Seen { differences: &differences, clusters: &clusters, items }, 0.03, Level::P95, 1)
    }

    #[test]
    fn who_loses_often_has_no_chance_and_who_loses_nothing_has_a_good_one() {
        assert!(seen(12, 0, 28, 360) < 1e-3, "{}", seen(12, 0, 28, 360));
        assert!(seen(0, 0, 40, 360) > 0.5, "{}", seen(0, 0, 40, 360));
        assert!(seen(2, 1, 37, 360) > 0.05);
        assert_eq!(seen(19, 0, 0, 360), 1.0, "too few to say");
        assert_eq!(seen(40, 0, 0, 40), 1.0, "the final test says it");
    }

    #[test]
    fn items_of_one_cluster_count_once() {
        let differences = [vec![-1.0; 12], vec![0.0; 28]].concat();
        let (alone, together): (Vec<usize>, Vec<usize>) = ((0..40).collect(), (0..40).map(|i| i / 12).collect());
        let of =
            |clusters: &[usize]| chance(&Seen { differences: &differences, clusters, items: 360 }, 0.03, Level::P95, 1);
        assert!(of(&together) > 20.0 * of(&alone), "{} and {}", of(&together), of(&alone));
    }
}

//! The bootstrap: how sure any number computed from items is, by drawing the items again, with replacement, many times.
//!
//! Items that belong together (the two halves of a minimal pair, questions on one document) are drawn together, as one
//! cluster: taken for independent they would promise more than they know. Same seed, same interval, on every machine.

use super::distribution::{normal_cdf, normal_quantile};
use super::{Interval, Level, Method, Sample, StatsError, percentile, sample};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

/// A bootstrap's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How often the items are drawn again; at least 100.
    pub resamples: usize,
    /// Seed of the draws: the same seed gives the same interval on every machine.
    pub seed: u64,
    /// Confidence level of the intervals.
    pub level: Level,
    /// How intervals are read off the replicates.
    pub kind: IntervalKind,
}

/// How an interval is read off the bootstrap replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalKind {
    /// The plain percentiles of the replicates.
    Percentile,
    /// Percentiles shifted for bias and skew: Efron, "Better Bootstrap Confidence Intervals", 1987.
    Bca,
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The statistic of the items themselves.
    pub value: f64,
    /// How sure it is; it holds the value.
    pub interval: Interval,
}

/// A partition of items into clusters that are drawn together. Never empty; every item is in exactly one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    clusters: Vec<Vec<usize>>,
    items: usize,
}

impl Clusters {
    /// Makes a cluster of its own for each of `items` items.
    ///
    /// # Errors
    /// `Empty` when `items` is 0.
    pub fn each(items: usize) -> Result<Clusters, StatsError> {
        if items == 0 {
            return Err(StatsError::Empty);
        }
        Ok(Clusters { clusters: (0..items).map(|i| vec![i]).collect(), items })
    }

    /// Puts items with equal keys into one cluster; `keys[i]` is item `i`'s.
    ///
    /// # Errors
    /// `Empty` without keys.
    pub fn by<K: Hash + Eq>(keys: &[K]) -> Result<Clusters, StatsError> {
        if keys.is_empty() {
            return Err(StatsError::Empty);
        }
        let mut place: HashMap<&K, usize> = HashMap::new();
        let mut clusters: Vec<Vec<usize>> = Vec::new();
        for (item, key) in keys.iter().enumerate() {
            let at = *place.entry(key).or_insert(clusters.len()); // numbered as first seen: hash order must not leak
            if at == clusters.len() {
                clusters.push(Vec::new());
            }
            clusters[at].push(item);
        }
        Ok(Clusters { clusters, items: keys.len() })
    }

    /// Gives the number of clusters, at least 1.
    pub fn count(&self) -> usize {
        self.clusters.len()
    }

    /// Gives the number of items in all clusters together.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Lists the clusters, each as its items' indices.
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.clusters.iter().map(Vec::as_slice)
    }

    /// Tells whether every cluster holds a single item.
    pub fn are_single(&self) -> bool {
        self.count() == self.items()
    }
}

impl Bootstrap {
    /// Makes BCa at 95% with 5000 resamples: its ends then move by less than a tenth of the half-width from seed to
    /// seed.
    pub fn new(seed: u64) -> Bootstrap {
        Bootstrap { resamples: 5000, seed, level: Level::P95, kind: IntervalKind::Bca }
    }

    /// Estimates the mean of a sample with its interval.
    ///
    /// # Errors
    /// As for [`Bootstrap::of`].
    pub fn mean(&self, values: &Sample) -> Result<Estimate, StatsError> {
        let x = values.values();
        self.of(&Clusters::each(x.len())?, |items| mean_of(x, items))
    }

    /// Estimates the median of a sample with its interval.
    ///
    /// # Errors
    /// As for [`Bootstrap::of`].
    pub fn median(&self, values: &Sample) -> Result<Estimate, StatsError> {
        let x = values.values();
        self.of(&Clusters::each(x.len())?, |items| median_of(x, items))
    }

    /// Estimates any `statistic` of items, which are given to it by their indices (with repetition).
    ///
    /// # Errors
    /// `TooFew` below two clusters, `Resamples` below 100, `NotFinite` when the statistic gives no number.
    pub fn of(&self, clusters: &Clusters, statistic: impl Fn(&[usize]) -> f64) -> Result<Estimate, StatsError> {
        let replicates = self.replicates(clusters, statistic)?;
        Ok(Estimate { value: replicates.estimate, interval: replicates.interval(self.level) })
    }

    /// Estimates the ratio of medians, `a` over `b`, of two samples that were not measured in pairs, such as timings of
    /// two variants.
    ///
    /// # Errors
    /// As for [`Bootstrap::of`]; `NotFinite` when a median of `b` is zero.
    pub fn ratio_of_medians(&self, a: &Sample, b: &Sample) -> Result<Estimate, StatsError> {
        let (x, y) = (a.values(), b.values());
        let groups = [Clusters::each(x.len())?, Clusters::each(y.len())?];
        let replicates = self.replicates_in_groups(&groups, |items| median_of(x, items[0]) / median_of(y, items[1]))?;
        Ok(Estimate { value: replicates.estimate, interval: replicates.interval(self.level) })
    }

    /// Gives the replicates themselves, for intervals at several levels and for one-sided tests.
    ///
    /// # Errors
    /// As for [`Bootstrap::of`].
    pub fn replicates(
        &self,
        clusters: &Clusters,
        statistic: impl Fn(&[usize]) -> f64,
    ) -> Result<Replicates, StatsError> {
        self.replicates_in_groups(std::array::from_ref(clusters), |items: [&[usize]; 1]| statistic(items[0]))
    }

    /// Draws within each of `N` groups apart, since their sizes were chosen and not found.
    fn replicates_in_groups<const N: usize>(
        &self,
        groups: &[Clusters; N],
        statistic: impl Fn([&[usize]; N]) -> f64,
    ) -> Result<Replicates, StatsError> {
        if self.resamples < 100 {
            return Err(StatsError::Resamples(self.resamples));
        }
        if let Some(small) = groups.iter().find(|group| group.count() < 2) {
            return Err(StatsError::TooFew { have: small.count(), need: 2 });
        }
        let whole = groups.each_ref().map(|group| group.clusters.concat());
        let of = |items: &[Vec<usize>; N]| statistic(items.each_ref().map(Vec::as_slice));
        let estimate = of(&whole);

        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = whole.clone();
        let mut values = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            for (items, group) in drawn.iter_mut().zip(groups) {
                draw(group, &mut rng, items);
            }
            values.push(of(&drawn));
        }
        sample::check_finite(&[estimate])?;
        sample::check_finite(&values)?;
        values.sort_by(f64::total_cmp);
        let (bias, acceleration) = match self.kind {
            IntervalKind::Percentile => (0.0, 0.0),
            IntervalKind::Bca => (bias(&values, estimate), acceleration(groups, &whole, of)?),
        };
        Ok(Replicates { estimate, sorted: values, bias, acceleration, kind: self.kind })
    }
}

fn draw(clusters: &Clusters, rng: &mut ChaCha8Rng, items: &mut Vec<usize>) {
    items.clear();
    if clusters.are_single() {
        items.extend((0..clusters.count()).map(|_| rng.random_range(0..clusters.count())));
        return;
    }
    for _ in 0..clusters.count() {
        items.extend_from_slice(&clusters.clusters[rng.random_range(0..clusters.count())]);
    }
}

/// z0: how far the estimate sits from the middle of its replicates, ties counted half.
fn bias(sorted: &[f64], estimate: f64) -> f64 {
    let slack = slack(sorted);
    let below = sorted.partition_point(|&x| x < estimate - slack) as f64;
    let up_to = sorted.partition_point(|&x| x <= estimate + slack) as f64;
    let share = 0.5 * (below + up_to) / sorted.len() as f64;
    let least = 0.5 / sorted.len() as f64; // an estimate outside all replicates would shift by infinity
    normal_quantile(share.clamp(least, 1.0 - least))
}

/// Replicates equal but for rounding are ties: the same items summed in another order.
fn slack(sorted: &[f64]) -> f64 {
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    1e-12 * least.abs().max(most.abs())
}

/// Skewness of the jackknife values over six (Efron 1987, eq. 7.3), clusters left out one at a time; over several
/// groups their influences add up (Efron and Tibshirani 1993, eq. 14.36).
fn acceleration<const N: usize>(
    groups: &[Clusters; N],
    whole: &[Vec<usize>; N],
    of: impl Fn(&[Vec<usize>; N]) -> f64,
) -> Result<f64, StatsError> {
    let (mut cubes, mut squares) = (0.0, 0.0);
    for (g, group) in groups.iter().enumerate() {
        let mut rest = whole.clone();
        let mut left_out = Vec::with_capacity(group.count());
        for out in 0..group.count() {
            rest[g].clear();
            rest[g].extend(group.clusters.iter().enumerate().filter(|(i, _)| *i != out).flat_map(|(_, items)| items));
            left_out.push(of(&rest));
        }
        sample::check_finite(&left_out)?;
        let mean = sample::mean(&left_out);
        let n = group.count() as f64;
        cubes += left_out.iter().map(|x| (mean - x).powi(3)).sum::<f64>() / n.powi(3);
        squares += left_out.iter().map(|x| (mean - x).powi(2)).sum::<f64>() / n.powi(2);
    }
    Ok(if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 })
}

fn mean_of(values: &[f64], items: &[usize]) -> f64 {
    items.iter().map(|&i| values[i]).sum::<f64>() / items.len() as f64
}

fn median_of(values: &[f64], items: &[usize]) -> f64 {
    let mut drawn: Vec<f64> = items.iter().map(|&i| values[i]).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    percentile::of_sorted(&drawn, 50.0)
}

/// The statistic of every resample, with what BCa needs to read intervals and tests from them.
#[derive(Debug, Clone)]
pub struct Replicates {
    estimate: f64,
    sorted: Vec<f64>,
    bias: f64,
    acceleration: f64,
    kind: IntervalKind,
}

impl Replicates {
    /// Gives the statistic of the items as they are.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Gives the standard deviation of the replicates, which estimates the statistic's standard error.
    pub fn standard_error(&self) -> f64 {
        let mean = sample::mean(&self.sorted);
        let squares: f64 = self.sorted.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / (self.sorted.len() - 1) as f64).sqrt()
    }

    /// Gives the interval at a confidence level, widened where needed to hold the estimate.
    pub fn interval(&self, level: Level) -> Interval {
        let method = match self.kind {
            IntervalKind::Percentile => Method::BootstrapPercentile,
            IntervalKind::Bca => Method::BootstrapBca,
        };
        let end = |z: f64| percentile::of_sorted(&self.sorted, 100.0 * self.share_for(z));
        Interval { low: end(-level.z()), high: end(level.z()), level, method }.holding(self.estimate)
    }

    /// Gives the one-sided p-value against "the truth is at most `limit`": the tail at which the interval's low end
    /// meets it.
    pub fn p_above(&self, limit: f64) -> f64 {
        let limit = limit + slack(&self.sorted);
        let at_most = self.sorted.partition_point(|&x| x <= limit);
        self.p_for((at_most + 1) as f64 / (self.sorted.len() + 1) as f64)
    }

    /// Gives the one-sided p-value against "the truth is at least `limit`".
    pub fn p_below(&self, limit: f64) -> f64 {
        let limit = limit - slack(&self.sorted);
        let at_least = self.sorted.len() - self.sorted.partition_point(|&x| x < limit);
        1.0 - self.p_for(1.0 - (at_least + 1) as f64 / (self.sorted.len() + 1) as f64)
    }

    /// Which share of the replicates lies left of the end that a normal would put at `z` (Efron 1987, eq. 6.8).
    fn share_for(&self, z: f64) -> f64 {
        let reach = self.bias + z;
        let stretch = 1.0 - self.acceleration * reach;
        if stretch <= 0.0 {
            return if reach < 0.0 { 0.0 } else { 1.0 };
        }
        normal_cdf(self.bias + reach / stretch)
    }

    /// `share_for` backwards: the tail area whose end has `share` of the replicates to its left.
    fn p_for(&self, share: f64) -> f64 {
        let least = 1.0 / (self.sorted.len() + 1) as f64; // no more can be known from that many replicates
        let shifted = normal_quantile(share) - self.bias;
        let stretch = 1.0 + self.acceleration * shifted;
        let p = match stretch <= 0.0 || !shifted.is_finite() {
            true if shifted < 0.0 => 0.0,
            true => 1.0,
            false => normal_cdf(shifted / stretch - self.bias),
        };
        p.clamp(least, 1.0 - least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEWED: [f64; 20] =
        [0.1, 0.4, 0.2, 3.1, 0.9, 1.7, 0.3, 0.6, 2.2, 0.5, 0.8, 1.1, 5.4, 0.7, 0.2, 1.3, 0.45, 0.95, 2.9, 0.15];

    fn skewed() -> Sample {
        Sample::new(SKEWED.to_vec()).unwrap()
    }

    #[test]
    fn agrees_with_scipy_to_within_monte_carlo_error() {
        // scipy.stats.bootstrap((x,), f, n_resamples=400000, method='percentile' | 'BCa', rng=7).confidence_interval
        let near = |got: Estimate, value: f64, low: f64, high: f64| {
            assert!((got.value - value).abs() < 1e-12, "{got:?}");
            assert!((got.interval.low - low).abs() < 0.03 && (got.interval.high - high).abs() < 0.05, "{got:?}");
        };
        let bca = Bootstrap { resamples: 20_000, ..Bootstrap::new(1) };
        let percentile = Bootstrap { kind: IntervalKind::Percentile, ..bca };
        near(percentile.mean(&skewed()).unwrap(), 1.1975, 0.695, 1.82);
        near(bca.mean(&skewed()).unwrap(), 1.1975, 0.77, 1.9925);
        near(percentile.median(&skewed()).unwrap(), 0.75, 0.425, 1.2);
        near(bca.median(&skewed()).unwrap(), 0.75, 0.425, 1.2);
        let x = skewed();
        let replicates = bca.replicates(&Clusters::each(20).unwrap(), |items| mean_of(x.values(), items)).unwrap();
        assert!((replicates.standard_error() - 0.28875).abs() < 0.005); // .standard_error
    }

    #[test]
    fn one_seed_gives_one_interval() {
        let once = Bootstrap::new(7).mean(&skewed()).unwrap();
        assert_eq!(once, Bootstrap::new(7).mean(&skewed()).unwrap());
        assert_ne!(once, Bootstrap::new(8).mean(&skewed()).unwrap());
    }

    #[test]
    fn a_test_and_its_interval_agree() {
        let x = skewed();
        for kind in [IntervalKind::Percentile, IntervalKind::Bca] {
            let boot = Bootstrap { kind, ..Bootstrap::new(3) };
            let replicates = boot.replicates(&Clusters::each(20).unwrap(), |items| mean_of(x.values(), items)).unwrap();
            let interval = replicates.interval(Level::P95);
            for (limit, beyond) in [(interval.low - 0.02, true), (interval.low + 0.02, false)] {
                assert_eq!(replicates.p_above(limit) < 0.025, beyond);
            }
            for (limit, beyond) in [(interval.high + 0.02, true), (interval.high - 0.02, false)] {
                assert_eq!(replicates.p_below(limit) < 0.025, beyond);
            }
        }
    }

    #[test]
    fn copies_in_a_cluster_add_no_certainty() {
        let thrice: Vec<f64> = SKEWED.iter().flat_map(|&x| [x, x, x]).collect();
        let keys: Vec<usize> = (0..60).map(|i| i / 3).collect();
        let boot = Bootstrap::new(5);
        let clustered = boot.of(&Clusters::by(&keys).unwrap(), |items| mean_of(&thrice, items)).unwrap().interval;
        let naive = boot.mean(&Sample::new(thrice.clone()).unwrap()).unwrap().interval;
        let honest = boot.mean(&skewed()).unwrap().interval;
        assert!((clustered.half_width() - honest.half_width()).abs() < 1e-9);
        assert!(naive.half_width() < 0.7 * honest.half_width());
    }

    #[test]
    fn clusters_are_numbered_as_first_seen() {
        let clusters = Clusters::by(&["b", "a", "b", "c"]).unwrap();
        assert_eq!(clusters.iter().collect::<Vec<_>>(), [&[0, 2][..], &[1], &[3]]);
        assert_eq!((clusters.count(), clusters.items(), clusters.are_single()), (3, 4, false));
    }

    #[test]
    fn a_faster_variant_shows_in_the_ratio_of_medians() {
        let slow = Sample::new((0..12).map(|i| 10.0 + 0.1 * f64::from(i)).collect()).unwrap();
        let fast = Sample::new((0..9).map(|i| 20.0 + 0.2 * f64::from(i)).collect()).unwrap();
        let ratio = Bootstrap::new(2).ratio_of_medians(&fast, &slow).unwrap();
        assert!(ratio.interval.contains(ratio.value) && ratio.interval.low > 1.8 && ratio.interval.high < 2.2);
    }

    #[test]
    fn refuses_what_cannot_be_resampled() {
        let one = Sample::new(vec![1.0]).unwrap();
        assert_eq!(Bootstrap::new(1).mean(&one), Err(StatsError::TooFew { have: 1, need: 2 }));
        let lazy = Bootstrap { resamples: 5, ..Bootstrap::new(1) };
        assert_eq!(lazy.mean(&skewed()), Err(StatsError::Resamples(5)));
        let nan = Bootstrap::new(1).of(&Clusters::each(3).unwrap(), |_| f64::NAN);
        assert!(matches!(nan, Err(StatsError::NotFinite { .. })));
        assert_eq!(Clusters::each(0), Err(StatsError::Empty));
        assert_eq!(Clusters::by::<u8>(&[]), Err(StatsError::Empty));
    }
}

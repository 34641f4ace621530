//! Percentiles of a sample, by linear interpolation between the two nearest values.
//!
//! Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996, definition 7: the default of numpy and R.

use super::distribution::binomial_cdf;
use super::{Interval, Level, Method, Sample, StatsError};
use serde::{Deserialize, Serialize};

/// The percentiles by which latencies are reported, in the sample's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// 5th percentile.
    pub p5: f64,
    /// 25th percentile, the lower quartile.
    pub p25: f64,
    /// 50th percentile, the median.
    pub p50: f64,
    /// 75th percentile, the upper quartile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Percentiles {
    /// Computes the percentiles of a sample.
    pub fn of(sample: &Sample) -> Percentiles {
        let sorted = sample.sorted();
        let at = |percent| of_sorted(&sorted, percent);
        Percentiles {
            p5: at(5.0),
            p25: at(25.0),
            p50: at(50.0),
            p75: at(75.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
        }
    }
}

/// Computes the `percent`-th percentile of values in rising order; below 0 and above 100 it is the end value.
///
/// # Panics
/// When there are no values: a `Sample` always has some.
pub fn of_sorted(sorted: &[f64], percent: f64) -> f64 {
    assert!(!sorted.is_empty(), "a percentile needs at least one value");
    let place = (percent.clamp(0.0, 100.0) / 100.0) * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Computes an interval of the `percent`-th percentile of what a sample was drawn from: from one ordered value to
/// another, whatever the distribution (Thompson 1936), the ends between two values by how much of the tail each leaves
/// (after Hettmansperger and Sheather 1986).
///
/// # Errors
/// `TooFew` where even the smallest and the largest value leave more than the level allows: the 95th percentile needs 72
/// values at 95%.
pub fn interval(sample: &Sample, percent: f64, level: Level) -> Result<Interval, StatsError> {
    let share = percent.clamp(0.0, 100.0) / 100.0;
    let n = sample.len();
    // the chance that at most k of n values lie below the percentile
    let at_most = |k: usize| binomial_cdf(k as u64, n as u64, share);
    let rarer = if share < 0.5 { share } else { 1.0 - share };
    let need = (level.tail().ln() / (-rarer).ln_1p()).ceil(); // so that not all values lie on one side
    if rarer <= 0.0 || (n as f64) < need {
        return Err(StatsError::TooFew { have: n, need: if rarer > 0.0 { need as usize } else { usize::MAX } });
    }
    let sorted = sample.sorted();
    // the k-th smallest, from 1, is too high with the chance that fewer than k values lie below the percentile
    let too_high = |k: usize| at_most(k - 1);
    let too_low = |k: usize| 1.0 - at_most(k - 1);
    let low = (1..n).rev().find(|&k| too_high(k) <= level.tail()).unwrap_or(1);
    let high = (2..=n).find(|&k| too_low(k) <= level.tail()).unwrap_or(n);
    let between = |outer: usize, inner: usize, left: &dyn Fn(usize) -> f64| {
        let weight = (level.tail() - left(outer)) / (left(inner) - left(outer));
        sorted[outer - 1] + weight.clamp(0.0, 1.0) * (sorted[inner - 1] - sorted[outer - 1])
    };
    let (low, high) = (between(low, low + 1, &too_high), between(high, high - 1, &too_low));
    Ok(Interval { low, high, level, method: Method::OrderStatistics }.holding(of_sorted(&sorted, percent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_numpy() {
        // np.percentile([12.1, 11.8, 12.6, 12.0, 13.4, 11.9, 12.2], [0, 10, 25, 50, 90, 99, 100])
        let sorted = [11.8, 11.9, 12.0, 12.1, 12.2, 12.6, 13.4];
        let known =
            [(0.0, 11.8), (10.0, 11.86), (25.0, 11.95), (50.0, 12.1), (90.0, 12.92), (99.0, 13.352), (100.0, 13.4)];
        for (percent, value) in known {
            assert!((of_sorted(&sorted, percent) - value).abs() < 1e-9, "{percent}");
        }
    }

    #[test]
    fn a_percentile_lies_between_two_ordered_values() {
        // scipy.stats.quantile_test(range(1, 101), p=0.5).confidence_interval(0.95): [40, 61] at 96.5%, so within it here
        let hundred = Sample::new((1..=100).map(f64::from).collect()).unwrap();
        let median = interval(&hundred, 50.0, Level::P95).unwrap();
        assert!(median.low >= 40.0 && median.low <= 41.0 && median.high <= 61.0 && median.high >= 60.0, "{median:?}");
        let p95 = interval(&hundred, 95.0, Level::P95).unwrap();
        assert!(p95.low >= 89.0 && p95.high <= 100.0 && p95.low < p95.high, "{p95:?}");
        let mirrored = Sample::new((1..=100).map(|i| 101.0 - f64::from(i)).map(|x| 101.0 - x).collect()).unwrap();
        let p5 = interval(&mirrored, 5.0, Level::P95).unwrap();
        assert!((p5.low - (101.0 - p95.high)).abs() < 1e-9 && (p5.high - (101.0 - p95.low)).abs() < 1e-9);
    }

    #[test]
    fn a_tail_that_no_value_can_reach_is_too_few() {
        let of = |n: i32| Sample::new((0..n).map(f64::from).collect()).unwrap();
        assert_eq!(interval(&of(71), 95.0, Level::P95), Err(StatsError::TooFew { have: 71, need: 72 }));
        assert!(interval(&of(72), 95.0, Level::P95).is_ok() && interval(&of(6), 50.0, Level::P95).is_ok());
        assert!(interval(&of(5), 50.0, Level::P95).is_err() && interval(&of(50), 100.0, Level::P95).is_err());
    }

    #[test]
    fn one_value_is_every_percentile() {
        let all = Percentiles::of(&Sample::new(vec![7.0]).unwrap());
        assert_eq!((all.p5, all.p50, all.p99), (7.0, 7.0, 7.0));
    }
}

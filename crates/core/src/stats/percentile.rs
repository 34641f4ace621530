//! Percentiles of a sample, by linear interpolation between the two nearest values.
//!
//! Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996, definition 7: the default of numpy and R.

use super::Sample;
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
    fn one_value_is_every_percentile() {
        let all = Percentiles::of(&Sample::new(vec![7.0]).unwrap());
        assert_eq!((all.p5, all.p50, all.p99), (7.0, 7.0, 7.0));
    }
}

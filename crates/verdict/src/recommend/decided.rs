//! Which of two costs is decidedly the better one: an advice never rests on a difference that the repeats cannot tell.

use bantam_core::metric::Metric;
use bantam_core::record::{Figure, Provenance, Reading};
use std::cmp::Ordering;

/// Costs less than this share apart are equal: another run, another day, another allocator moves them as much.
pub const EQUAL_WITHIN: f64 = 0.02;

/// Tells which of two readings of a cost is decidedly better (`Less`: the first comes before the second). `Equal` where
/// they are less than [`EQUAL_WITHIN`] apart, where their intervals meet, or where one is of a single repeat; `None`
/// where one is not known.
pub fn better(metric: Metric, a: &Reading, b: &Reading) -> Option<Ordering> {
    let (a, b) = (a.known()?, b.known()?);
    if !is_decidable(metric, a) || !is_decidable(metric, b) || near(a.value, b.value) || meet(a, b) {
        return Some(Ordering::Equal);
    }
    Some(if metric.better(a.value, b.value) { Ordering::Less } else { Ordering::Greater })
}

/// Whether a reading may decide at all: a time, a speed or an energy of one repeat has no interval, and may be anything.
pub fn may_decide(metric: Metric, reading: &Reading) -> bool {
    reading.known().is_some_and(|figure| is_decidable(metric, figure))
}

fn is_decidable(metric: Metric, figure: &Figure) -> bool {
    !is_scattered(metric, figure)
}

/// Whether a figure is of what differs from time to time, and nothing says by how much.
pub(super) fn is_scattered(metric: Metric, figure: &Figure) -> bool {
    // what answers cost is derived of times, and scatters as they do
    let exact = figure.provenance == Provenance::Derived && !metric.is_of_answers();
    scatters(metric) && figure.interval.is_none() && !exact
}

/// Whether a cost differs from repeat to repeat.
pub(super) fn scatters(metric: Metric) -> bool {
    !matches!(metric, Metric::PeakMemory | Metric::Disk | Metric::DecodeCeiling)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= EQUAL_WITHIN * a.abs().min(b.abs())
}

fn meet(a: &Figure, b: &Figure) -> bool {
    let ends = |figure: &Figure| figure.interval.map_or((figure.value, figure.value), |i| (i.low, i.high));
    let ((low, high), (other_low, other_high)) = (ends(a), ends(b));
    low <= other_high && other_low <= high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, bytes};
    use bantam_core::stats::Level;

    fn decode(tps: &[f64]) -> Reading {
        let row = Made::base("m", 10).speed(tps).rows().remove(0);
        let cost = crate::recommend::cost::ShapeCost::of(&row, Level::P95).expect("a shape");
        cost.reading(Metric::DecodeTps).expect("decode").clone()
    }

    #[test]
    fn less_than_two_percent_apart_is_equal() {
        let memory = |a, b| better(Metric::PeakMemory, &bytes(a), &bytes(b));
        assert_eq!(memory(100.0, 101.9), Some(Ordering::Equal));
        assert_eq!(memory(100.0, 102.1), Some(Ordering::Less));
        assert_eq!(memory(102.1, 100.0), Some(Ordering::Greater));
        assert_eq!(better(Metric::Disk, &bytes(1.0), &Reading::missing("unknown")), None);
    }

    #[test]
    fn intervals_that_meet_and_single_repeats_decide_nothing() {
        let speed = |a: &[f64], b: &[f64]| better(Metric::DecodeTps, &decode(a), &decode(b));
        assert_eq!(speed(&[100.0, 101.0, 99.0], &[50.0, 51.0, 49.0]), Some(Ordering::Less));
        assert_eq!(speed(&[100.0, 60.0, 140.0], &[70.0, 71.0, 69.0]), Some(Ordering::Equal));
        assert_eq!(speed(&[9273.0], &[1.49, 1.5, 1.48]), Some(Ordering::Equal), "one repeat may be anything");
        assert!(!may_decide(Metric::DecodeTps, &decode(&[9273.0])) && may_decide(Metric::Disk, &bytes(1.0)));
    }
}

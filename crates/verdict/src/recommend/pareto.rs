//! The Pareto front: points that no other point beats on one axis without losing on another.

use bantam_core::metric::Metric;
use bantam_core::record::Id;
use serde::{Deserialize, Serialize};

/// The variants on the Pareto front of the overall score against one cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Front {
    /// The cost.
    pub cost: Metric,
    /// The variants, in the order of the summaries.
    pub members: Vec<Id>,
}

/// Tells which points are on the front: those that none of the others beats.
pub fn front<T>(points: &[T], beats: impl Fn(&T, &T) -> bool) -> Vec<bool> {
    points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect()
}

/// Gives the corners of a staircase through the points of a front, from left to right: between two of them nothing
/// better is known.
pub fn stairs(mut front: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    for point in front {
        if let Some(last) = stairs.last().copied() {
            stairs.push((point.0, last.1));
        }
        stairs.push(point);
    }
    stairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// At least as good on every axis (a higher score, a lower cost), better on one.
    fn dominates(a: &(u8, u8), b: &(u8, u8)) -> bool {
        a.0 >= b.0 && a.1 <= b.1 && a != b
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [(90, 100), (80, 50), (70, 60), (80, 50), (95, 200)];
        assert_eq!(front(&points, dominates), [true, true, false, true, true]);
        assert!(front(&[], dominates).is_empty());
    }

    #[test]
    fn stairs_have_a_corner_between_two_points() {
        assert_eq!(stairs(vec![(2.0, 5.0), (1.0, 3.0)]), [(1.0, 3.0), (2.0, 3.0), (2.0, 5.0)]);
        assert!(stairs(Vec::new()).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn everything_off_the_front_is_beaten_by_something_on_it(
            points in prop::collection::vec((0..6_u8, 0..6_u8), 1..20)
        ) {
            let on = front(&points, dominates);
            prop_assert!(on.contains(&true));
            for (point, on_it) in points.iter().zip(&on) {
                let beaten = points.iter().zip(&on).any(|(other, on)| *on && dominates(other, point));
                prop_assert_eq!(*on_it, !beaten);
            }
        }
    }
}

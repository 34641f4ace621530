//! The Pareto front: points that no other point beats on one axis without losing on another.

use bantam_core::metric::{Direction, Metric};
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

/// Tells which points are on the front. `points[i]` has one value an axis; a point that lacks one is not on the front
/// and beats nobody, since nothing is known of it. Equal points are on it together.
///
/// # Panics
/// Where a point has not as many values as there are axes.
pub fn front(points: &[Vec<Option<f64>>], axes: &[Direction]) -> Vec<bool> {
    let known: Vec<Option<Vec<f64>>> = points.iter().map(|point| point.iter().copied().collect()).collect();
    let beaten = |point: &[f64]| known.iter().flatten().any(|other| dominates(other, point, axes));
    known.iter().map(|point| point.as_ref().is_some_and(|point| !beaten(point))).collect()
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

/// At least as good on every axis, better on one.
fn dominates(a: &[f64], b: &[f64], axes: &[Direction]) -> bool {
    assert!(a.len() == axes.len() && b.len() == axes.len(), "a point has one value an axis");
    let better = |x: f64, y: f64, axis: Direction| match axis {
        Direction::Higher => x > y,
        Direction::Lower => x < y,
    };
    let sides = || a.iter().zip(b).zip(axes);
    sides().all(|((x, y), axis)| !better(*y, *x, *axis)) && sides().any(|((x, y), axis)| better(*x, *y, *axis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AXES: [Direction; 2] = [Direction::Higher, Direction::Lower];

    fn point(score: f64, memory: f64) -> Vec<Option<f64>> {
        vec![Some(score), Some(memory)]
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [point(0.9, 100.0), point(0.8, 50.0), point(0.7, 60.0), point(0.8, 50.0), point(0.95, 200.0)];
        assert_eq!(front(&points, &AXES), [true, true, false, true, true]);
    }

    #[test]
    fn what_is_unknown_is_not_on_the_front_and_beats_nobody() {
        let points = [vec![Some(1.0), None], point(0.5, 10.0), vec![None, Some(1.0)]];
        assert_eq!(front(&points, &AXES), [false, true, false]);
        assert!(front(&[], &AXES).is_empty());
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
            values in prop::collection::vec((0..6_u8, 0..6_u8, 0..6_u8), 1..20)
        ) {
            let axes = [Direction::Higher, Direction::Lower, Direction::Higher];
            let points: Vec<Vec<Option<f64>>> =
                values.iter().map(|&(a, b, c)| [a, b, c].map(|x| Some(f64::from(x))).to_vec()).collect();
            let on = front(&points, &axes);
            prop_assert!(on.contains(&true));
            let value = |i: usize| -> Vec<f64> { points[i].iter().flatten().copied().collect() };
            for i in 0..points.len() {
                let beaten = (0..points.len()).any(|j| on[j] && dominates(&value(j), &value(i), &axes));
                prop_assert_eq!(on[i], !beaten);
            }
        }
    }
}

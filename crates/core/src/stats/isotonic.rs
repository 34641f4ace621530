//! Isotonic regression: how often something is so, as a function that never falls of how sure one was; pool adjacent
//! violators (Ayer et al. 1955; as a calibration: Zadrozny and Elkan, KDD 2002).

use super::{StatsError, sample};

/// A function that never falls, in steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    steps: Vec<Step>,
}

/// Where the function has one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The least x of its points; it reaches up to the next step's.
    pub from: f64,
    /// The mean of its points.
    pub value: f64,
    /// How many points it has.
    pub points: usize,
}

impl Isotonic {
    /// Fits the least squares function that never falls to points (x, y). Points of one x are one before anything is pooled.
    ///
    /// # Errors
    /// `Empty` without points, `NotFinite` for what is no number.
    pub fn fit(points: &[(f64, f64)]) -> Result<Isotonic, StatsError> {
        if points.is_empty() {
            return Err(StatsError::Empty);
        }
        let flat: Vec<f64> = points.iter().flat_map(|(x, y)| [*x, *y]).collect();
        sample::check_finite(&flat)?;
        let mut sorted = points.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        // (from, sum, points)
        let mut pools: Vec<(f64, f64, usize)> = Vec::new();
        let mut last = f64::NEG_INFINITY;
        for (x, y) in sorted {
            match pools.last_mut().filter(|_| x == last) {
                Some(pool) => (pool.1, pool.2) = (pool.1 + y, pool.2 + 1),
                None => {
                    pool_falls(&mut pools);
                    pools.push((x, y, 1));
                }
            }
            last = x;
        }
        pool_falls(&mut pools);
        let step = |(from, sum, points): (f64, f64, usize)| Step { from, value: sum / points as f64, points };
        Ok(Isotonic { steps: pools.into_iter().map(step).collect() })
    }

    /// Lists the steps, from the least x on.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Gives the value at x; below the first step it is the first's.
    pub fn at(&self, x: f64) -> f64 {
        let behind = self.steps.partition_point(|step| step.from <= x);
        self.steps[behind.saturating_sub(1)].value
    }
}

/// Pools the last steps as long as the last is not above the one before it.
fn pool_falls(pools: &mut Vec<(f64, f64, usize)>) {
    while let [.., (_, sum, points), (_, last_sum, last_points)] = pools[..] {
        if sum / (points as f64) < last_sum / last_points as f64 {
            return;
        }
        pools.pop();
        let before = pools.last_mut().expect("there were two");
        (before.1, before.2) = (sum + last_sum, points + last_points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn adjacent_falls_are_pooled() {
        let points = [(1.0, 0.0), (2.0, 1.0), (3.0, 0.0), (4.0, 1.0), (4.0, 0.0), (5.0, 1.0)];
        let fit = Isotonic::fit(&points).expect("fits");
        // scikit-learn's IsotonicRegression gives 0, ½, ½, ½, 1 at 1 to 5
        let values: Vec<f64> = [1.0, 2.0, 3.0, 4.0, 5.0].map(|x| fit.at(x)).to_vec();
        assert_eq!(values, [0.0, 0.5, 0.5, 0.5, 1.0]);
        assert_eq!((fit.at(-1.0), fit.at(9.0), fit.at(1.5)), (0.0, 1.0, 0.0));
        assert_eq!(fit.steps().len(), 3);
        assert!(Isotonic::fit(&[]).is_err() && Isotonic::fit(&[(f64::NAN, 0.0)]).is_err());
    }

    proptest! {
        #[test]
        fn it_never_falls_and_keeps_the_mean(points in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 1..60)) {
            let fit = Isotonic::fit(&points).unwrap();
            prop_assert!(fit.steps().windows(2).all(|pair| pair[0].value < pair[1].value && pair[0].from < pair[1].from));
            let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
            prop_assert!((mean(&|(x, _)| fit.at(*x)) - mean(&|(_, y)| *y)).abs() < 1e-9);
        }
    }
}

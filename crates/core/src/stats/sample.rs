//! A sample: a list of numbers that can be computed with, not empty and every one finite. Checked once, here.

use super::{Percentiles, StatsError, percentile};

/// A list of finite numbers, at least one, in the order measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Checks the values.
    ///
    /// # Errors
    /// `Empty` without values, `NotFinite` at the first NaN or infinity.
    pub fn new(values: Vec<f64>) -> Result<Sample, StatsError> {
        if values.is_empty() {
            return Err(StatsError::Empty);
        }
        check_finite(&values)?;
        Ok(Sample(values))
    }

    /// Gives the values, in the order measured.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Counts the values: always at least one, which is why there is no `is_empty`.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Computes the arithmetic mean.
    pub fn mean(&self) -> f64 {
        mean(&self.0)
    }

    /// Computes the median; of an even number of values the mean of the middle two.
    pub fn median(&self) -> f64 {
        percentile::of_sorted(&self.sorted(), 50.0)
    }

    /// Computes the variance with n − 1 below; `None` for a single value, which has no spread to show.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|x| (x - mean).powi(2)).sum();
        (self.len() > 1).then(|| squares / (self.len() - 1) as f64)
    }

    /// Computes the standard deviation with n − 1 below; `None` for a single value.
    pub fn standard_deviation(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// Computes the standard error of the mean; `None` for a single value.
    pub fn standard_error(&self) -> Option<f64> {
        self.standard_deviation().map(|sd| sd / (self.len() as f64).sqrt())
    }

    // by order, not as a fold over f64::max: Rust 1.95 was seen to fold only the first four of seven known values
    /// Gives the smallest value.
    pub fn min(&self) -> f64 {
        extremes(&self.0).expect("a sample is not empty").0
    }

    /// Gives the largest value.
    pub fn max(&self) -> f64 {
        extremes(&self.0).expect("a sample is not empty").1
    }

    /// Gives the values in rising order.
    pub fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Computes the percentiles by which latencies are reported.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles::of(self)
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The least and the greatest of the values; `None` without any. By order, for the same reason as [`Sample::min`].
pub(super) fn extremes(values: &[f64]) -> Option<(f64, f64)> {
    let ordered = || values.iter().copied();
    Some((ordered().min_by(f64::total_cmp)?, ordered().max_by(f64::total_cmp)?))
}

pub(super) fn check_finite(values: &[f64]) -> Result<(), StatsError> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { index, value: values[index] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_computed_with() {
        assert_eq!(Sample::new(vec![]), Err(StatsError::Empty));
        assert!(matches!(Sample::new(vec![1.0, f64::NAN]), Err(StatsError::NotFinite { index: 1, .. })));
        assert!(matches!(Sample::new(vec![f64::INFINITY]), Err(StatsError::NotFinite { index: 0, .. })));
    }

    #[test]
    fn moments_agree_with_numpy() {
        // np.mean(x), np.std(x, ddof=1), scipy.stats.sem(x), np.median(x)
        let x = Sample::new(vec![12.1, 11.8, 12.6, 12.0, 13.4, 11.9, 12.2]).unwrap();
        assert!((x.mean() - 12.285714285714286).abs() < 1e-12);
        assert!((x.standard_deviation().unwrap() - 0.5550632739564365).abs() < 1e-12);
        assert!((x.standard_error().unwrap() - 0.20979419782772082).abs() < 1e-12);
        assert_eq!((x.median(), x.min(), x.max()), (12.1, 11.8, 13.4));
    }

    #[test]
    fn one_value_has_no_spread() {
        assert_eq!(Sample::new(vec![3.0]).unwrap().standard_error(), None);
    }
}

//! Values that do not belong with the others. They are named, never removed: the reader decides.
//!
//! A slow repeat on a busy machine drags the mean and the standard deviation with it and so hides itself; both rules
//! here lean on the middle of the sample instead.

use super::{Sample, percentile};
use serde::{Deserialize, Serialize};

/// The modified z-score above which a value is an outlier: Iglewicz and Hoaglin, "How to Detect and Handle Outliers",
/// 1993.
pub const MODIFIED_Z_LIMIT: f64 = 3.5;

/// Finds the values whose modified z-score exceeds [`MODIFIED_Z_LIMIT`]: their indices, in the sample's order.
pub fn outliers(sample: &Sample) -> Vec<usize> {
    let scores = modified_z_scores(sample);
    (0..sample.len()).filter(|&i| scores[i].abs() > MODIFIED_Z_LIMIT).collect()
}

/// Computes each value's distance from the median in robust standard deviations: 0.6745 (x − median) / MAD.
///
/// When more than half of the values are equal the MAD is zero, and the mean absolute deviation (× 1.2533) takes its
/// place; when all are equal every score is zero.
pub fn modified_z_scores(sample: &Sample) -> Vec<f64> {
    const MAD_OF_NORMAL: f64 = 0.674_489_750_196_081_7; // 75th percentile of the standard normal
    const MEAN_DEVIATION_TO_SIGMA: f64 = 1.253_314_137_315_500_1; // sqrt(pi / 2)
    let median = sample.median();
    let mut distances: Vec<f64> = sample.values().iter().map(|x| (x - median).abs()).collect();
    distances.sort_by(f64::total_cmp);
    let mad = percentile::of_sorted(&distances, 50.0);
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let sigma = if mad > 0.0 { mad / MAD_OF_NORMAL } else { mean * MEAN_DEVIATION_TO_SIGMA };
    sample.values().iter().map(|x| if sigma > 0.0 { (x - median) / sigma } else { 0.0 }).collect()
}

/// Tukey's fences ("Exploratory Data Analysis", 1977): 1.5 interquartile ranges beyond the quartiles is mild, 3 severe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fences {
    /// Severe outliers lie below this: lower quartile less 3 interquartile ranges.
    pub severe_low: f64,
    /// Mild outliers lie below this: lower quartile less 1.5 interquartile ranges.
    pub mild_low: f64,
    /// Mild outliers lie above this: upper quartile plus 1.5 interquartile ranges.
    pub mild_high: f64,
    /// Severe outliers lie above this: upper quartile plus 3 interquartile ranges.
    pub severe_high: f64,
}

/// Where a value lies among Tukey's fences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlyingness {
    /// Within the mild fences: no outlier.
    Inside,
    /// Beyond a mild fence, within the severe one.
    Mild,
    /// Beyond a severe fence.
    Severe,
}

impl Fences {
    /// Computes the fences of a sample.
    pub fn of(sample: &Sample) -> Fences {
        let sorted = sample.sorted();
        let (low, high) = (percentile::of_sorted(&sorted, 25.0), percentile::of_sorted(&sorted, 75.0));
        let range = high - low;
        Fences {
            severe_low: low - 3.0 * range,
            mild_low: low - 1.5 * range,
            mild_high: high + 1.5 * range,
            severe_high: high + 3.0 * range,
        }
    }

    /// Tells between which fences a value lies.
    pub fn place(&self, value: f64) -> Outlyingness {
        if value < self.severe_low || value > self.severe_high {
            Outlyingness::Severe
        } else if value < self.mild_low || value > self.mild_high {
            Outlyingness::Mild
        } else {
            Outlyingness::Inside
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::new(values.to_vec()).unwrap()
    }

    #[test]
    fn finds_the_one_slow_repeat() {
        // 0.6745 * (x - np.median(x)) / scipy.stats.median_abs_deviation(x);
        // np.percentile(x, [25, 75]) is [9.975, 10.225]
        let x = sample(&[10.1, 10.2, 9.9, 10.0, 10.3, 14.8, 10.1, 9.8]);
        let scores = modified_z_scores(&x);
        for (got, known) in
            scores.iter().zip([0.0, 0.449660, -0.899320, -0.449660, 0.899320, 21.134012, 0.0, -1.348980])
        {
            assert!((got - known).abs() < 1e-5, "{got} is not {known}");
        }
        assert_eq!(outliers(&x), [5]);
        let fences = Fences::of(&x);
        assert!((fences.mild_low - 9.6).abs() < 1e-9 && (fences.severe_high - 10.975).abs() < 1e-9);
        assert_eq!(
            (fences.place(10.0), fences.place(10.7), fences.place(14.8)),
            (Outlyingness::Inside, Outlyingness::Mild, Outlyingness::Severe)
        );
    }

    #[test]
    fn equal_values_have_no_outlier() {
        assert!(outliers(&sample(&[2.0; 6])).is_empty());
    }

    #[test]
    fn one_stranger_among_equals_is_found() {
        let mut values = vec![1.0; 20];
        values.push(1.5);
        assert_eq!(outliers(&sample(&values)), [20], "the MAD is zero here");
    }
}

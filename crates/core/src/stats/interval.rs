//! An interval with its confidence and how it was made, and the intervals that have a formula: Wilson's for a
//! proportion, Student's for a mean.

use super::distribution::{binomial_at_least, normal_quantile, student_quantile};
use super::{Sample, StatsError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A confidence level: how often such an interval covers the truth, above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

impl Level {
    /// 90%.
    pub const P90: Level = Level(0.90);
    /// 95%.
    pub const P95: Level = Level(0.95);
    /// 99%.
    pub const P99: Level = Level(0.99);

    /// Checks that a level lies between 0 and 1, ends excluded.
    ///
    /// # Errors
    /// `Level` outside 0 to 1.
    pub fn new(level: f64) -> Result<Level, StatsError> {
        if level > 0.0 && level < 1.0 { Ok(Level(level)) } else { Err(StatsError::Level(level)) }
    }

    /// Gives the level as a number: 0.95 for 95%.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Gives the share left out on each side: 0.025 at 95%. The size of a one-sided test that agrees with the interval.
    pub fn tail(self) -> f64 {
        0.5 * (1.0 - self.0)
    }

    /// Gives the share left out altogether: 0.05 at 95%. The size of a claim of one side alone.
    pub fn alpha(self) -> f64 {
        1.0 - self.0
    }

    /// Gives how many standard errors the interval reaches to each side: 1.96 at 95%.
    pub fn z(self) -> f64 {
        -normal_quantile(self.tail())
    }
}

impl TryFrom<f64> for Level {
    type Error = StatsError;
    fn try_from(level: f64) -> Result<Level, StatsError> {
        Level::new(level)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> f64 {
        level.0
    }
}

/// How an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Wilson's score interval, for a proportion.
    Wilson,
    /// Student's t interval, for a mean.
    StudentT,
    /// Plain percentiles of bootstrap replicates.
    BootstrapPercentile,
    /// Bootstrap percentiles corrected for bias and skew (BCa).
    BootstrapBca,
    /// Tango's score interval, for a difference of paired proportions.
    Tango,
    /// Distances in the standard errors of the likeliest distribution (empirical likelihood), for a mean.
    Score,
    /// What each item moves, added up as for a share of as many independent items, for macro F1 and Matthews'
    /// correlation.
    Influence,
    /// The same on Fisher's scale, for a correlation.
    Fisher,
    /// From one ordered value to another, for a percentile.
    OrderStatistics,
    /// Simultaneous over all pairs of groups, for the best less the worst.
    Simultaneous,
    /// All values that a test does not reject.
    Inverted,
    /// All values that nobody could bet against with gain, at any time: for whoever looks as items come in.
    Betting,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Wilson => "Wilson score",
            Method::StudentT => "Student's t",
            Method::BootstrapPercentile => "percentile bootstrap",
            Method::BootstrapBca => "BCa bootstrap",
            Method::Tango => "Tango's paired score",
            Method::Score => "empirical-likelihood score",
            Method::Influence => "influence",
            Method::Fisher => "Fisher's z",
            Method::OrderStatistics => "order-statistic",
            Method::Simultaneous => "simultaneous",
            Method::Inverted => "test-inversion",
            Method::Betting => "betting",
        })
    }
}

/// A confidence interval from `low` to `high`, in the unit of what was estimated; `low` is never above `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end, never below `low`.
    pub high: f64,
    /// The confidence level it was computed for.
    pub level: Level,
    /// How it was computed.
    pub method: Method,
}

impl Interval {
    /// Tells whether a value lies in the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Gives half the distance between the ends.
    pub fn half_width(&self) -> f64 {
        0.5 * (self.high - self.low)
    }

    /// Tells whether the two intervals share a value; touching ends count.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Mirrors the interval at zero: the interval of −x where this is of x.
    pub fn negated(self) -> Interval {
        Interval { low: -self.high, high: -self.low, ..self }
    }

    /// Stretched, where needed, to hold `value`: an interval without its own estimate would only confuse.
    pub(super) fn holding(self, value: f64) -> Interval {
        Interval { low: self.low.min(value), high: self.high.max(value), ..self }
    }
}

/// Computes Wilson's score interval for `successes` of `trials`; both ends lie within 0 to 1.
///
/// Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927. Unlike the textbook's
/// p ± z·se it keeps its promise near 0 and 1, where good models live (Brown, Cai and DasGupta, 2001).
///
/// # Errors
/// `Proportion` without trials, or with more successes than trials.
pub fn wilson(successes: u64, trials: u64, level: Level) -> Result<Interval, StatsError> {
    if trials == 0 || successes > trials {
        return Err(StatsError::Proportion { successes, trials });
    }
    Ok(share(successes as f64 / trials as f64, trials as f64, level))
}

/// Wilson's interval of a share that is known as well as one of `n` independent items would be; `n` need not be whole
/// (Lee and Dubin, "Estimation and Sample Size Considerations for Clustered Binary Responses", 1994).
pub(super) fn share(p: f64, n: f64, level: Level) -> Interval {
    let z = level.z();
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let reach = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // At 0 and n successes one end is exactly 0 or 1; rounding may put it a hair beside.
    let interval =
        Interval { low: (centre - reach).max(0.0), high: (centre + reach).min(1.0), level, method: Method::Wilson };
    interval.holding(p)
}

/// Computes Student's interval for the mean of a sample.
///
/// # Errors
/// `TooFew` for a single value.
pub fn student(sample: &Sample, level: Level) -> Result<Interval, StatsError> {
    let error = sample.standard_error().ok_or(StatsError::TooFew { have: sample.len(), need: 2 })?;
    let reach = -student_quantile(level.tail(), (sample.len() - 1) as f64) * error;
    let mean = sample.mean();
    Ok(Interval { low: mean - reach, high: mean + reach, level, method: Method::StudentT })
}

/// Tells whether guessing with success probability `chance` reaches `successes` of `trials` too easily to call the
/// score better than guessing: the exact one-sided binomial test does not reject at the level's tail.
///
/// # Errors
/// `Proportion` as for [`wilson`], `Probability` when `chance` lies outside 0 to 1.
pub fn at_chance(successes: u64, trials: u64, chance: f64, level: Level) -> Result<bool, StatsError> {
    if trials == 0 || successes > trials {
        return Err(StatsError::Proportion { successes, trials });
    }
    if !(0.0..=1.0).contains(&chance) {
        return Err(StatsError::Probability(chance));
    }
    Ok(binomial_at_least(successes, trials, chance) > level.tail())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(k, n, alpha, method='wilson')
        for (k, n, level, low, high) in [
            (0, 10, 0.95, 0.0, 0.27753279986288926),
            (7, 10, 0.95, 0.39677814746114537, 0.8922087325936989),
            (180, 200, 0.95, 0.8505941875672826, 0.9343295513309041),
            (200, 200, 0.90, 0.9866528393452243, 1.0),
            (33, 1000, 0.99, 0.02125224510075469, 0.0509039029190273),
        ] {
            let got = wilson(k, n, Level::new(level).unwrap()).unwrap();
            assert!((got.low - low).abs() < 1e-12 && (got.high - high).abs() < 1e-12, "{got:?}");
        }
    }

    #[test]
    fn student_agrees_with_scipy() {
        // scipy.stats.t.interval(0.95, 6, loc=np.mean(x), scale=scipy.stats.sem(x))
        let x = Sample::new(vec![12.1, 11.8, 12.6, 12.0, 13.4, 11.9, 12.2]).unwrap();
        let got = student(&x, Level::P95).unwrap();
        assert!((got.low - 11.772366376748183).abs() < 1e-10 && (got.high - 12.79906219468039).abs() < 1e-10);
    }

    #[test]
    fn refuses_impossible_counts_and_levels() {
        assert!(matches!(wilson(0, 0, Level::P95), Err(StatsError::Proportion { .. })));
        assert!(matches!(wilson(5, 4, Level::P95), Err(StatsError::Proportion { .. })));
        assert!(matches!(
            student(&Sample::new(vec![1.0]).unwrap(), Level::P95),
            Err(StatsError::TooFew { have: 1, need: 2 })
        ));
        for bad in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(Level::new(bad).is_err());
        }
    }

    #[test]
    fn a_score_near_guessing_is_at_chance() {
        // scipy.stats.binom.sf(59, 200, 0.25) is 0.062, sf(65, 200, 0.25) is 0.005
        assert!(at_chance(60, 200, 0.25, Level::P95).unwrap());
        assert!(!at_chance(66, 200, 0.25, Level::P95).unwrap());
        assert!(at_chance(40, 200, 0.25, Level::P95).unwrap(), "below chance is not above it");
        assert!(!at_chance(1, 200, 0.0, Level::P95).unwrap(), "what cannot be guessed was not guessed");
        assert!(at_chance(1, 2, 1.5, Level::P95).is_err());
    }

    #[test]
    fn a_level_in_a_file_is_checked() {
        assert!(serde_json::from_str::<Level>("0.9").is_ok());
        assert!(serde_json::from_str::<Level>("95").is_err());
    }
}

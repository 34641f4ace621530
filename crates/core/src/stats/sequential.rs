//! When to stop repeating a timing: when it is known well enough, or when the time set aside for it is spent.
//!
//! Stopping at a fixed relative width keeps the interval's promise as repeats grow (Chow and Robbins, "On the
//! Asymptotic Theory of Fixed-Width Sequential Confidence Intervals", 1965); with very few it would stop on luck, hence
//! `at_least`.

use super::{Level, Sample, StatsError, interval};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A stopping rule: repeat until the half-width of the mean's interval is at most `target` of the mean, or `budget` is
/// spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    target: f64,
    level: Level,
    at_least: usize,
    at_most: usize,
    budget: Duration,
}

/// Why repeating stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The target half-width was reached.
    Precise,
    /// The time set aside was spent before that.
    BudgetSpent,
    /// The most repeats allowed were made before that.
    EnoughRepeats,
}

impl Rule {
    /// Makes a rule; `target` is a share of the mean, such as 0.02. At least 5 and at most 1000 repeats unless set
    /// otherwise.
    ///
    /// # Errors
    /// `Target` when it is not above zero.
    pub fn new(target: f64, level: Level, budget: Duration) -> Result<Rule, StatsError> {
        match target.is_finite() && target > 0.0 {
            true => Ok(Rule { target, level, at_least: 5, at_most: 1000, budget }),
            false => Err(StatsError::Target(target)),
        }
    }

    /// Bounds the repeats: never fewer than two, nor an upper bound below the lower.
    pub fn repeats(self, at_least: usize, at_most: usize) -> Rule {
        let at_least = at_least.max(2);
        Rule { at_least, at_most: at_most.max(at_least), ..self }
    }

    /// Tells whether to stop after these `repeats`, which took `spent` so far, and why; `None` means one more repeat.
    ///
    /// The budget wins over everything, so a slow machine may end with a single repeat and no interval; it never ends
    /// with none.
    pub fn stop(&self, repeats: &[f64], spent: Duration) -> Option<Stop> {
        if repeats.is_empty() {
            return None;
        }
        let precise = repeats.len() >= self.at_least && self.width(repeats).is_some_and(|width| width <= self.target);
        if precise {
            Some(Stop::Precise)
        } else if spent >= self.budget {
            Some(Stop::BudgetSpent)
        } else if repeats.len() >= self.at_most {
            Some(Stop::EnoughRepeats)
        } else {
            None
        }
    }

    /// Gives the half-width of the mean's interval over the mean; `None` for fewer than two repeats, for values that
    /// are no numbers and for a mean of zero.
    pub fn width(&self, repeats: &[f64]) -> Option<f64> {
        let sample = Sample::new(repeats.to_vec()).ok()?;
        let half = interval::student(&sample, self.level).ok()?.half_width();
        let mean = sample.mean().abs();
        (mean > 0.0).then(|| half / mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule::new(0.02, Level::P95, Duration::from_secs(10)).unwrap()
    }

    const STEADY: [f64; 6] = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0];
    const WILD: [f64; 6] = [10.0, 14.0, 7.0, 11.0, 9.0, 16.0];

    #[test]
    fn stops_when_precise() {
        assert_eq!(rule().stop(&STEADY, Duration::from_secs(1)), Some(Stop::Precise));
        assert_eq!(rule().stop(&WILD, Duration::from_secs(1)), None);
    }

    #[test]
    fn two_lucky_repeats_are_not_precision() {
        assert_eq!(rule().stop(&[10.0, 10.0], Duration::ZERO), None);
        assert_eq!(rule().repeats(0, 9).stop(&[10.0, 10.0], Duration::ZERO), Some(Stop::Precise));
    }

    #[test]
    fn stops_when_time_or_repeats_run_out() {
        assert_eq!(rule().stop(&WILD, Duration::from_secs(10)), Some(Stop::BudgetSpent));
        assert_eq!(rule().stop(&WILD[..1], Duration::from_secs(11)), Some(Stop::BudgetSpent));
        assert_eq!(rule().repeats(2, 6).stop(&WILD, Duration::from_secs(1)), Some(Stop::EnoughRepeats));
        assert_eq!(rule().stop(&[], Duration::from_secs(99)), None, "one repeat there must be");
    }

    #[test]
    fn width_is_the_half_interval_over_the_mean() {
        // scipy.stats.t.interval(0.95, 6, ...) of these is 11.772366 to 12.799062 around 12.285714
        let width = rule().width(&[12.1, 11.8, 12.6, 12.0, 13.4, 11.9, 12.2]).unwrap();
        assert!((width - (12.79906219468039 - 11.772366376748183) / 2.0 / 12.285714285714286).abs() < 1e-10);
        assert_eq!(rule().width(&[1.0]), None);
        assert_eq!(rule().width(&[-1.0, 1.0]), None);
    }

    #[test]
    fn refuses_a_target_of_nothing() {
        for target in [0.0, -0.1, f64::NAN] {
            assert!(Rule::new(target, Level::P95, Duration::ZERO).is_err());
        }
    }
}

//! Why numbers were refused. Each is one sentence; the caller adds which task or measurement they came from.

use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub enum StatsError {
    Empty,
    NotFinite { index: usize, value: f64 },
    TooFew { have: usize, need: usize },
    Unpaired { reference: usize, candidate: usize },
    Level(f64),
    Margin(f64),
    Proportion { successes: u64, trials: u64 },
    Probability(f64),
    Weight { index: usize, value: f64 },
    Resamples(usize),
    Target(f64),
    NoSpread,
}

impl fmt::Display for StatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StatsError::*;
        match self {
            Empty => write!(f, "there are no values to compute with"),
            NotFinite { index, value } => write!(f, "value {index} is {value}; every value must be a finite number"),
            TooFew { have, need } => write!(f, "{have} independent values are too few; at least {need} are needed"),
            Unpaired { reference, candidate } => {
                write!(f, "{reference} values cannot be paired with {candidate}; both sides must answer the same items")
            }
            Level(level) => write!(f, "{level} is no confidence level; it must lie between 0 and 1, such as 0.95"),
            Margin(margin) => write!(f, "{margin} is no margin; it must be a finite number of zero or more"),
            Proportion { successes, trials } => {
                write!(
                    f,
                    "{successes} successes in {trials} trials is no proportion; trials must be at least 1 and at least the successes"
                )
            }
            Probability(p) => write!(f, "{p} is no probability; it must lie between 0 and 1"),
            Weight { index, value } => {
                write!(f, "weight {index} is {value}; every weight must be finite and above zero")
            }
            Resamples(n) => write!(f, "{n} bootstrap resamples are too few; at least 100 are needed"),
            Target(target) => {
                write!(f, "{target} is no target for a relative half-width; it must be above zero, such as 0.02")
            }
            NoSpread => write!(
                f,
                "all scores of both sides are the same number, which says nothing about how far items could differ"
            ),
        }
    }
}

impl std::error::Error for StatsError {}

//! Why numbers were refused. Each is one sentence; the caller adds which task or measurement they came from.

use std::fmt;

/// A refusal of numbers: what is wrong with them, and what is allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum StatsError {
    /// No values where at least one is needed.
    Empty,
    /// A value that is NaN or infinite.
    NotFinite {
        /// Position of the first such value.
        index: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// Fewer independent values than the method needs.
    TooFew {
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// A class with fewer items than its own score needs.
    SmallClass {
        /// How many items the smallest class has.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// Two sides of different lengths, which cannot be paired item by item.
    Unpaired {
        /// How many values the reference has.
        reference: usize,
        /// How many values, weights or keys the other side has.
        candidate: usize,
    },
    /// A confidence level that is not between 0 and 1.
    Level(f64),
    /// A non-inferiority margin that is negative or no finite number.
    Margin(f64),
    /// Counts that make no proportion: no trials, or more successes than trials.
    Proportion {
        /// How many successes were counted.
        successes: u64,
        /// How many trials were counted.
        trials: u64,
    },
    /// A probability outside 0 to 1.
    Probability(f64),
    /// A weight that is not finite and above zero.
    Weight {
        /// Position of the first such weight.
        index: usize,
        /// The weight.
        value: f64,
    },
    /// Fewer than 100 bootstrap resamples.
    Resamples(usize),
    /// A relative half-width to aim at that is not finite and above zero.
    Target(f64),
    /// All values, of both sides where there are two, are one number, so that nothing says how far items could differ.
    NoSpread,
}

impl fmt::Display for StatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StatsError::*;
        match self {
            Empty => write!(f, "there are no values to compute with"),
            NotFinite { index, value } => write!(f, "value {index} is {value}; every value must be a finite number"),
            TooFew { have, need } => write!(f, "{have} independent values are too few; at least {need} are needed"),
            SmallClass { have, need } => {
                write!(f, "too few items: the smallest class has {have}, and each needs {need}")
            }
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
            NoSpread => {
                write!(f, "all values are the same number, which says nothing about how far items could differ")
            }
        }
    }
}

impl std::error::Error for StatsError {}

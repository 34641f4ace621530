//! Gains and losses as fractions, for scores that are more than right and wrong, items that weigh more than others, and
//! clusters: the same formula as for counts (Tango's), in which an item counts as the part of it that was lost.
//!
//! ```text
//!   shares   gained = Σ w·max(d, 0) / Σ w,  lost = Σ w·max(−d, 0) / Σ w      d: candidate less reference
//!   items    (Σ u)² / Σ u²                  u: a cluster's weight (Kish, "Survey Sampling", 1965)
//!   step     how much one whole gain or loss is: E d² / E |d|, so that the variance is the one seen
//! ```
//!
//! Few differences say little of how large the next may be. So two more, as large as scores can differ, are thought to
//! have been seen: with none the step is the whole span, with many it is what they show. One more loss makes the shares
//! lost and the variance larger, whatever its size, so that it never helps.

use super::Pairs;
use super::tango::Counts;

/// How many differences as large as can be are thought to have been seen before the first.
const SUPPOSED: f64 = 2.0;

/// The scores of two sides as gains and losses in steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fractions {
    /// Gains and losses, in steps.
    pub counts: Counts,
    /// The score of one step; a difference of shares times this is a difference of scores.
    pub step: f64,
}

impl Fractions {
    /// Counts the pairs; `span` is how far two scores of an item may lie apart. `None` where that is nothing.
    pub fn of(pairs: &Pairs, span: f64) -> Option<Fractions> {
        if span.is_nan() || span <= 0.0 {
            return None;
        }
        let (differences, weights): (Vec<f64>, &[f64]) = (pairs.differences().collect(), pairs.weights());
        let all: f64 = weights.iter().sum();
        let part = |side: f64| {
            let parts = differences.iter().zip(weights).map(|(d, w)| w * (side * d).max(0.0));
            parts.sum::<f64>() / all
        };
        let (gained, lost) = (part(1.0), part(-1.0));
        let (mut squares, mut squared_weights) = (0.0, 0.0);
        for items in pairs.clusters().iter() {
            let weight: f64 = items.iter().map(|&i| weights[i]).sum();
            let moved: f64 = items.iter().map(|&i| weights[i] * differences[i].abs()).sum();
            squares += moved * moved; // (weight · mean difference)²
            squared_weights += weight * weight;
        }
        let items = pairs.effective_items();
        let (seen, size) = (squares / squared_weights * items, (gained + lost) * items);
        let step = (seen + SUPPOSED * span * span) / (size + SUPPOSED * span);
        let counts = Counts::of_shares(items, gained / step, lost / step);
        Some(Fractions { counts, step })
    }
}

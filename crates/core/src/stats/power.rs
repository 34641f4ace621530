//! How many more items would settle an inconclusive comparison.
//!
//! All of it supposes that the truth is as seen so far, and asks for a four in five chance that the test then shows it.

use super::{Level, Pairs, Table, distribution::normal_quantile, tango};
use serde::{Deserialize, Serialize};

/// The power that the larger test is planned for: the chance that it shows a true difference.
pub const POWER: f64 = 0.8;

/// How many more items a comparison needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// About so many more than there are; at least one.
    Items(u64),
    /// No number of items would, if the truth is as seen.
    Never(Never),
}

/// Why no number of items would be enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// The difference seen lies exactly on the line (zero, or minus the margin) that it is to be told from.
    OnTheLine,
}

impl More {
    /// The same beyond `items`, when `tests` such questions share one promise: every z is that of the stricter level
    /// that Bonferroni would ask, so it errs on the side of more.
    pub(super) fn among(self, tests: usize, items: usize, level: Level) -> More {
        let More::Items(more) = self else { return self };
        let power = normal_quantile(POWER);
        let strict = -normal_quantile(level.tail() / tests.max(1) as f64);
        let factor = ((strict + power) / (level.z() + power)).powi(2);
        beyond(items as f64, factor * (items as f64 + more as f64), false)
    }

    /// In units of which `factor` make one, rounded up.
    pub(super) fn times(self, factor: f64) -> More {
        match self {
            More::Items(items) => More::Items((items as f64 * factor).ceil() as u64),
            never => never,
        }
    }
}

/// Estimates how many more right-or-wrong items would show on which side of `from` the difference of shares lies: 0 to
/// tell the two apart, −margin to settle non-inferiority.
///
/// Nam, "Establishing Equivalence of Two Treatments and Sample Size Requirements in Matched-Pairs Design", Biometrics
/// 53, 1997; at 0 it is Connor's number for McNemar's test, 1987.
pub fn more_items(table: &Table, from: f64, level: Level) -> More {
    let from = from.max(-1.0);
    let seen = table.difference();
    let flips = table.flips() as f64 / table.items() as f64;
    let if_on_the_line = tango::null_variance(table, from).sqrt();
    let as_seen = (flips - seen * seen).max(0.0).sqrt();
    let reach = level.z() * if_on_the_line + normal_quantile(POWER) * as_seen;
    beyond(table.items() as f64, (reach / (seen - from)).powi(2), seen == from)
}

/// Estimates the same for scores of any kind: `items` gave a difference `away` from the line with standard error
/// `error`, which shrinks with the root of their number.
pub fn more_scored_items(items: usize, away: f64, error: f64, level: Level) -> More {
    let reach = (level.z() + normal_quantile(POWER)) * error;
    beyond(items as f64, items as f64 * (reach / away).powi(2), away == 0.0)
}

/// Estimates how many more items would show which of two variants is better.
pub fn more_to_tell_apart(pairs: &Pairs, level: Level) -> More {
    match pairs.table() {
        Some(table) => more_items(&table, 0.0, level),
        None => more_scored_items(pairs.items(), pairs.difference(), pairs.standard_error(), level),
    }
}

fn beyond(have: f64, need: f64, on_the_line: bool) -> More {
    match on_the_line {
        true => More::Never(Never::OnTheLine),
        false => More::Items((need - have).ceil().max(1.0) as u64), // `as` holds at the largest u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(gained: u64, lost: u64, items: u64) -> Table {
        Table { both: items - gained - lost, gained, lost, neither: 0 }
    }

    #[test]
    fn telling_two_apart_agrees_with_connor() {
        // (norm.ppf(.975)*sqrt(psi) + norm.ppf(.8)*sqrt(psi - d*d))**2 / d**2 with psi = (b+c)/n, d = (b-c)/n
        for (gained, lost, items, need) in [(20, 11, 100, 298.0204324096056_f64), (9, 14, 300, 2163.9314362050036)] {
            let more = need.ceil() as u64 - items;
            assert_eq!(more_items(&table(gained, lost, items), 0.0, Level::P95), More::Items(more));
        }
    }

    #[test]
    fn the_items_asked_for_do_show_it() {
        // Were the larger test exactly as seen, the one-sided p would be far enough below the tail to hold at 80%
        // power.
        let now = table(9, 14, 300);
        assert!(tango::p_above(&now, -0.03) > 0.025);
        let More::Items(more) = more_items(&now, -0.03, Level::P95) else { panic!("it is not on the line") };
        let times = (300 + more).div_ceil(300);
        let p = tango::p_above(&table(9 * times, 14 * times, 300 * times), -0.03);
        assert!(p < 0.0027 * 2.0 && p > 1e-6, "{p}"); // norm.sf(1.96 + 0.84) is 0.0026
    }

    #[test]
    fn on_the_line_no_number_is_enough() {
        assert_eq!(more_items(&table(7, 7, 100), 0.0, Level::P95), More::Never(Never::OnTheLine));
        assert_eq!(more_scored_items(50, 0.0, 0.1, Level::P95), More::Never(Never::OnTheLine));
    }

    #[test]
    fn agreement_so_far_needs_a_number_all_the_same() {
        let z = Level::P95.z();
        let need = z * z * 0.98 / 0.02; // from z²/(n + z²) < 0.02
        assert_eq!(more_items(&table(0, 0, 50), -0.02, Level::P95), More::Items((need - 50.0).ceil() as u64));
    }

    #[test]
    fn half_the_distance_takes_four_times_the_items() {
        let more = |away| match more_scored_items(100, away, 0.02, Level::P95) {
            More::Items(more) => more + 100,
            never => panic!("{never:?}"),
        };
        assert!((more(0.01) as f64 / more(0.02) as f64 - 4.0).abs() < 0.05);
        assert_eq!(more_scored_items(100, 0.5, 0.02, Level::P95), More::Items(1));
        assert_eq!(More::Items(3).times(2.5), More::Items(8));
    }

    #[test]
    fn more_questions_take_more_items() {
        assert_eq!(More::Items(50).among(1, 100, Level::P95), More::Items(50));
        // ((norm.ppf(1 - .025/10) + norm.ppf(.8)) / (norm.ppf(.975) + norm.ppf(.8)))**2 * 150 is 254.419
        assert_eq!(More::Items(50).among(10, 100, Level::P95), More::Items(155));
        assert_eq!(More::Never(Never::OnTheLine).among(10, 100, Level::P95), More::Never(Never::OnTheLine));
    }
}

//! The score test and interval for a difference of two shares right on the same items.
//!
//! Tango, "Equivalence Test and Confidence Interval for the Difference in Proportions for the Paired-Sample Design",
//! Statistics in Medicine 17, 1998. It stays honest where variants agree on every item: no flip in n items still leaves
//! room for z²/(n + z²), where the textbook interval shrinks to nothing.

use super::distribution::{bisect, normal_cdf};
use super::{Interval, Level, Method, Table};

/// Computes the interval of the true difference, candidate less reference; within −1 to 1.
pub fn interval(table: &Table, level: Level) -> Interval {
    let (seen, z) = (table.difference(), level.z());
    let low = bisect(-1.0, seen, |difference| score(table, difference) > z);
    let high = bisect(seen, 1.0, |difference| score(table, difference) > -z);
    Interval { low, high, level, method: Method::Tango }.holding(seen)
}

/// Gives the one-sided p-value against "the true difference is at most `limit`".
pub fn p_above(table: &Table, limit: f64) -> f64 {
    normal_cdf(-score(table, limit))
}

/// Gives the one-sided p-value against "the true difference is at least `limit`".
pub fn p_below(table: &Table, limit: f64) -> f64 {
    normal_cdf(score(table, limit))
}

/// How many standard errors the difference seen lies above `difference`, were that the truth. Falls as it rises.
fn score(table: &Table, difference: f64) -> f64 {
    let above = table.difference() - difference;
    let error = (null_variance(table, difference) / table.items() as f64).sqrt();
    match above == 0.0 {
        true => 0.0,
        false => above / error, // no error left, at ±1, is certainty: infinite
    }
}

/// Variance of one item's difference were the true difference `difference`, the chance of a loss fitted to that.
pub(super) fn null_variance(table: &Table, difference: f64) -> f64 {
    let (n, gained, lost) = (table.items() as f64, table.gained as f64, table.lost as f64);
    // The fitted chance q of a loss solves a·q² + b·q + c = 0.
    let a = 2.0 * n;
    let b = (2.0 * n - gained + lost) * difference - gained - lost;
    let c = -lost * difference * (1.0 - difference);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    let q = if b > 0.0 { -2.0 * c / (b + root) } else { (root - b) / (2.0 * a) }; // the form without cancellation
    (2.0 * q + difference * (1.0 - difference)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_likelihood_maximised_numerically() {
        // scipy: the constrained multinomial likelihood by minimize_scalar, the ends by brentq. The second is the
        // airway study of Bentur et al. 2009, for which the literature prints −0.517 to −0.026.
        for (gained, lost, items, level, low, high, p) in [
            (12, 2, 50, 0.95, 0.06111240608605906, 0.3447087477982222, 0.0006946827016909678),
            (1, 7, 21, 0.95, -0.5172322772714699, -0.026003032262108584, 0.9646180207895051),
            (9, 14, 300, 0.95, -0.05086525868653829, 0.01576258112650023, 0.02768757701485266),
            (0, 3, 200, 0.90, -0.03693651864206614, -0.0014526321698360824, 0.01157046751059761),
            (0, 0, 200, 0.95, -0.0188453, 0.0188453, 0.0005884331363608841),
            (20, 11, 100, 0.99, -0.05662601986625739, 0.2359735444677255, 0.0068217921597997265),
        ] {
            let table = Table { both: items - gained - lost, gained, lost, neither: 0 };
            let got = interval(&table, Level::new(level).unwrap());
            assert!((got.low - low).abs() < 1e-6 && (got.high - high).abs() < 1e-6, "{got:?}");
            assert!((p_above(&table, -0.05) - p).abs() < 1e-6, "{table:?}");
        }
    }

    #[test]
    fn agreement_on_every_item_still_leaves_room() {
        let z = Level::P95.z();
        for items in [1, 50, 1000] {
            let got = interval(&Table { both: items, ..Table::default() }, Level::P95);
            let room = z * z / (items as f64 + z * z);
            assert!((got.high - room).abs() < 1e-9 && (got.low + room).abs() < 1e-9, "{got:?}");
        }
    }

    #[test]
    fn total_loss_and_total_gain_end_at_one() {
        let lost = interval(&Table { lost: 8, ..Table::default() }, Level::P95);
        let gained = interval(&Table { gained: 8, ..Table::default() }, Level::P95);
        assert_eq!((lost.low, gained.high), (-1.0, 1.0));
        assert!(lost.high < 0.0 && gained.low > 0.0);
    }
}

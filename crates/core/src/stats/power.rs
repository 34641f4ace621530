//! How many more items would settle an inconclusive comparison.
//!
//! An order of magnitude with a bound, no more: the number goes with the square of a distance that is known to within
//! its standard error, so that near the line it is a lottery, and none is given. It asks for a four in five chance that
//! the larger test shows what was seen so far.

use super::tango::{self, Counts};
use super::{Pairs, distribution::normal_quantile};
use serde::{Deserialize, Serialize};

/// The power that the larger test is planned for: the chance that it shows a true difference.
pub const POWER: f64 = 0.8;

/// Below so many standard errors from the line a number would be more luck than forecast (and over thirty times the
/// items there are).
const AT_THE_LINE: f64 = 0.5;

/// How many more items a comparison needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// So many more than there are; at least one.
    Items {
        /// If the truth is as seen.
        about: u64,
        /// If it lies a standard error farther from the line.
        at_least: u64,
        /// If it lies a standard error nearer to it; `None` where that is beyond it.
        at_most: Option<u64>,
    },
    /// No number of items can be named.
    Never(Never),
}

/// Why no number of items can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// The difference seen lies at the line (zero, or minus the margin) that it is to be told from: another margin
    /// would tell, another number of items hardly.
    OnTheLine,
}

impl More {
    /// The number if the truth is as seen; `None` where none can be named.
    pub fn about(self) -> Option<u64> {
        match self {
            More::Items { about, .. } => Some(about),
            More::Never(_) => None,
        }
    }

    /// The same beyond `items`, when `tests` such questions share one promise of size `tail`: every z is that of the
    /// stricter level that Bonferroni would ask, so it errs on the side of more.
    pub(super) fn among(self, tests: usize, items: usize, tail: f64) -> More {
        let More::Items { about, at_least, at_most } = self else { return self };
        let reach = |tail: f64| normal_quantile(POWER) - normal_quantile(tail);
        let factor = (reach(tail / tests.max(1) as f64) / reach(tail)).powi(2);
        let grown = |more: u64| beyond(items as f64, factor * (items as f64 + more as f64));
        More::Items { about: grown(about), at_least: grown(at_least), at_most: at_most.map(grown) }
    }

    /// In units of which `factor` make one, rounded up.
    pub(super) fn times(self, factor: f64) -> More {
        let More::Items { about, at_least, at_most } = self else { return self };
        let times = |items: u64| (items as f64 * factor).ceil() as u64;
        More::Items { about: times(about), at_least: times(at_least), at_most: at_most.map(times) }
    }
}

/// Estimates how many more items, of which some are gained and some lost, would show at the one-sided `tail` on which
/// side of `from` the difference of shares lies: 0 to tell the two apart, −margin to settle non-inferiority.
///
/// Nam, "Establishing Equivalence of Two Treatments and Sample Size Requirements in Matched-Pairs Design", Biometrics
/// 53, 1997; at 0 it is Connor's number for McNemar's test, 1987.
pub fn more_items(counts: impl Into<Counts>, from: f64, tail: f64) -> More {
    let (counts, from): (Counts, f64) = (counts.into(), from.max(-1.0));
    let seen = counts.difference();
    let if_on_the_line = tango::null_variance(counts, from).sqrt();
    let as_seen = (counts.differing() - seen * seen).max(0.0).sqrt();
    let reach = normal_quantile(POWER) * as_seen - normal_quantile(tail) * if_on_the_line;
    more(counts.items(), (seen - from).abs(), reach, if_on_the_line / counts.items().sqrt())
}

/// Estimates the same for scores of any kind: `items` gave a difference `away` from the line with standard error
/// `error`, which shrinks with the root of their number.
pub fn more_scored_items(items: usize, away: f64, error: f64, tail: f64) -> More {
    let reach = (normal_quantile(POWER) - normal_quantile(tail)) * error * (items as f64).sqrt();
    more(items as f64, away.abs(), reach, error)
}

/// Gives the smallest loss that so many items would have shown, four times in five, at the one-sided `tail`: what "no loss
/// was seen" leaves open. Where items are right or wrong no fewer of them can differ than are lost; else `error` is the
/// standard error that was seen.
pub fn smallest_seen(pairs: &Pairs, tail: f64) -> f64 {
    let (alone, reach) = (-normal_quantile(tail), normal_quantile(POWER));
    let clusters = pairs.clusters().count() as f64;
    let Some(table) = pairs.table() else { return (alone + reach) * pairs.standard_error() };
    let counts = Counts::from(&table);
    // items that go together are worth as many as their spread says
    let own = (counts.differing() - counts.difference().powi(2)).max(0.0) / counts.items();
    let worth =
        if own > 0.0 { (own / pairs.standard_error().powi(2)).clamp(0.05, 1.0) } else { clusters / counts.items() };
    smallest(counts.items() * worth, counts.differing(), (alone, reach))
}

/// The share of answers that change between a variant and its reference where nothing is measured yet: what a
/// quantization to four bits changes of small models.
pub const CHANGED: f64 = 0.1;

/// Gives the smallest loss that so many right or wrong items can show, four times in five, at the one-sided `tail`, where a
/// share `changed` of all answers differ: what there is to be known before anything is measured.
pub fn smallest_shown(items: usize, changed: f64, tail: f64) -> f64 {
    smallest(items as f64, changed, (-normal_quantile(tail), normal_quantile(POWER)))
}

/// Gives how many items it takes to show a loss, in the same way.
pub fn items_to_show(loss: f64, changed: f64, tail: f64) -> usize {
    let (alone, reach) = (-normal_quantile(tail), normal_quantile(POWER));
    let differing = changed.max(loss);
    let root = (alone * differing.sqrt() + reach * (differing - loss * loss).max(0.0).sqrt()) / loss;
    (root * root).ceil() as usize
}

fn smallest(items: f64, changed: f64, (alone, reach): (f64, f64)) -> f64 {
    let mut loss = 1.0_f64; // from above: none is a solution, too, where none differ
    for _ in 0..200 {
        let differing = changed.max(loss);
        let next = (alone * differing.sqrt() + reach * (differing - loss * loss).max(0.0).sqrt()) / items.sqrt();
        if (next - loss).abs() < 1e-9 {
            break;
        }
        loss = 0.5 * (loss + next.min(1.0));
    }
    loss
}

/// Estimates how many more items would show at the one-sided `tail` which of two variants is better.
pub fn more_to_tell_apart(pairs: &Pairs, tail: f64) -> More {
    match pairs.table() {
        Some(table) => more_items(&table, 0.0, tail),
        None => more_scored_items(pairs.items(), pairs.difference(), pairs.standard_error(), tail),
    }
}

/// `reach` over the distance, squared, is what is needed; the distance is known to within `error`.
fn more(have: f64, away: f64, reach: f64, error: f64) -> More {
    if away == 0.0 || away < AT_THE_LINE * error {
        return More::Never(Never::OnTheLine);
    }
    let at = |away: f64| beyond(have, (reach / away).powi(2));
    let nearer = away - error;
    More::Items { about: at(away), at_least: at(away + error), at_most: (nearer > 0.0).then(|| at(nearer)) }
}

fn beyond(have: f64, need: f64) -> u64 {
    (need - have).ceil().max(1.0) as u64 // `as` holds at the largest u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Table;

    const TAIL: f64 = 0.025;

    fn table(gained: u64, lost: u64, items: u64) -> Table {
        Table { both: items - gained - lost, gained, lost, neither: 0 }
    }

    fn about(more: More) -> u64 {
        more.about().expect("a number")
    }

    #[test]
    fn telling_two_apart_agrees_with_connor() {
        // (norm.ppf(.975)*sqrt(psi) + norm.ppf(.8)*sqrt(psi - d*d))**2 / d**2 with psi = (b+c)/n, d = (b-c)/n
        for (gained, lost, items, need) in [(20, 11, 100, 298.0204324096056_f64), (9, 14, 300, 2163.9314362050036)] {
            assert_eq!(about(more_items(&table(gained, lost, items), 0.0, TAIL)), need.ceil() as u64 - items);
        }
    }

    #[test]
    fn no_loss_seen_leaves_a_loss_open() {
        let pairs = |n: usize, flips: usize| {
            let before = vec![1.0; n];
            let after = (0..n).map(|i| f64::from(u8::from(i >= flips))).collect();
            Pairs::new(before, after).expect("pairs")
        };
        let open = |n, flips| smallest_seen(&pairs(n, flips), TAIL);
        // z² / (n + z²) with z = 1.96 + 0.84 is 0.0727 at 100: all that differ are lost
        assert!((open(100, 0) - 0.0754).abs() < 0.004, "{}", open(100, 0));
        assert!(open(400, 0) < open(100, 0) / 3.0 && open(400, 40) > open(400, 0));
        // it would have been seen: a table with that loss is significant
        let lost = (open(400, 0) * 400.0) as u64;
        assert!(tango::p_below(&table(0, lost, 400), 0.0) < TAIL);
    }

    #[test]
    fn what_items_can_show_is_known_before_they_are_asked() {
        // (norm.ppf(.975)*sqrt(.1) + norm.ppf(.8)*sqrt(.1 - d*d))/sqrt(360) is d at 0.04665
        let shown = smallest_shown(360, 0.1, TAIL);
        assert!((shown - 0.0465).abs() < 0.0005, "{shown}");
        assert!(smallest_shown(60, 0.1, TAIL) > 2.0 * shown && smallest_shown(3, 0.1, TAIL) <= 1.0);
        // and back again
        assert!(items_to_show(shown, 0.1, TAIL).abs_diff(360) <= 1, "{}", items_to_show(shown, 0.1, TAIL));
        assert_eq!(items_to_show(0.03, 0.1, 0.05), 685, "870 are enough for three points, and 60 are not");
    }

    /// The chance that a loss is shown by the test itself, added up over all tables of so many items.
    fn power(items: u64, changed: f64, loss: f64, tail: f64) -> f64 {
        use crate::stats::distribution::binomial_pmf;
        let lost_of_changed = (changed + loss) / (2.0 * changed);
        let of_flips = |flips: u64| {
            let shown = |lost: &u64| tango::p_below(&table(flips - lost, *lost, items), 0.0) < tail;
            (0..=flips).filter(shown).map(|lost| binomial_pmf(lost, flips, lost_of_changed)).sum::<f64>()
        };
        (0..=items / 4).map(|flips| binomial_pmf(flips, items, changed) * of_flips(flips)).sum()
    }

    #[test]
    fn what_items_can_show_is_shown_by_the_test_four_times_in_five() {
        for (items, said) in [(360, 0.041), (180, 0.058), (870, 0.0266)] {
            let loss = smallest_shown(items, CHANGED, 0.05);
            assert!((loss - said).abs() < 0.001, "{items} items: {loss}");
            let shown = power(items as u64, CHANGED, loss, 0.05);
            assert!((shown - POWER).abs() < 0.03, "{items} items: {shown}");
        }
    }

    #[test]
    fn the_items_asked_for_do_show_it() {
        // Were the larger test exactly as seen, the one-sided p would be far enough below the tail to hold at 80%
        // power.
        let now = table(9, 14, 300);
        assert!(tango::p_above(&now, -0.03) > 0.015);
        let more = about(more_items(&now, -0.03, 0.001));
        let times = (300 + more).div_ceil(300);
        let p = tango::p_above(&table(9 * times, 14 * times, 300 * times), -0.03);
        assert!(p < 0.0002 && p > 1e-8, "{p}");
    }

    #[test]
    fn at_the_line_no_number_is_named() {
        assert_eq!(more_items(&table(7, 7, 100), 0.0, TAIL), More::Never(Never::OnTheLine));
        assert_eq!(more_scored_items(50, 0.0, 0.1, TAIL), More::Never(Never::OnTheLine));
        assert_eq!(more_scored_items(50, 0.04, 0.1, TAIL), More::Never(Never::OnTheLine), "0.4 standard errors");
    }

    #[test]
    fn a_number_comes_with_its_bounds() {
        let More::Items { about, at_least, at_most } = more_scored_items(100, 0.03, 0.02, TAIL) else { panic!() };
        assert!(at_least < about && at_most.is_some_and(|most| about < most), "{at_least} {about} {at_most:?}");
        let More::Items { at_most, .. } = more_scored_items(100, 0.015, 0.02, TAIL) else { panic!() };
        assert_eq!(at_most, None, "the line is within a standard error");
    }

    #[test]
    fn agreement_so_far_needs_a_number_all_the_same() {
        let z = -normal_quantile(TAIL);
        let need = z * z * 0.98 / 0.02; // from z²/(n + z²) < 0.02
        assert_eq!(about(more_items(&table(0, 0, 50), -0.02, TAIL)), (need - 50.0).ceil() as u64);
    }

    #[test]
    fn half_the_distance_takes_four_times_the_items() {
        let more = |away| about(more_scored_items(100, away, 0.02, TAIL)) + 100;
        assert!((more(0.015) as f64 / more(0.03) as f64 - 4.0).abs() < 0.1);
        assert_eq!(about(more_scored_items(100, 0.5, 0.02, TAIL)), 1);
        assert_eq!(
            about(more_scored_items(100, 0.03, 0.02, TAIL).times(2.5)),
            ((more(0.03) - 100) as f64 * 2.5).ceil() as u64
        );
    }

    #[test]
    fn more_questions_take_more_items() {
        let fifty = More::Items { about: 50, at_least: 50, at_most: None };
        assert_eq!(fifty.among(1, 100, TAIL), fifty);
        // ((norm.ppf(1 - .025/10) + norm.ppf(.8)) / (norm.ppf(.975) + norm.ppf(.8)))**2 * 150 is 254.419
        assert_eq!(about(fifty.among(10, 100, TAIL)), 155);
        assert_eq!(More::Never(Never::OnTheLine).among(10, 100, TAIL), More::Never(Never::OnTheLine));
    }
}

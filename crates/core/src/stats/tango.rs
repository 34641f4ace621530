//! The score test and interval for a difference of two shares right on the same items.
//!
//! Tango, "Equivalence Test and Confidence Interval for the Difference in Proportions for the Paired-Sample Design",
//! Statistics in Medicine 17, 1998. It stays honest where variants agree on every item: no flip in n items still leaves
//! room, where the textbook interval shrinks to nothing.
//!
//! The score's tail is not the normal's, which far from zero is up to twenty times too strict, but the chance of a score
//! at least as extreme among all tables of n items under the fitted null (Lloyd and Moldovan, "A More Powerful Exact
//! Test of Noninferiority from Binary Matched-Pairs Data", Statistics in Medicine 27, 2008: the estimated p-value).
//! Gains and losses may be fractions: where scores lie between 0 and 1, an item counts as the part of it that was lost.

use super::distribution::{binomial_pmf, bisect, normal_cdf};
use super::{Interval, Level, Method, Table};

/// Gains and losses among a number of items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    items: f64,
    gained: f64,
    lost: f64,
}

impl From<&Table> for Counts {
    fn from(table: &Table) -> Counts {
        Counts { items: table.items() as f64, gained: table.gained as f64, lost: table.lost as f64 }
    }
}

impl Counts {
    /// Counts shares gained and lost of `items` items. A broken item is none: 3.6 items of a weighted mean are three.
    pub fn of_shares(items: f64, gained: f64, lost: f64) -> Counts {
        let items = (items + 1e-9).floor().max(1.0);
        // Shares of one sum to one at most; beyond that no item is left that could be alike.
        let room = (gained + lost).max(1.0);
        Counts { items, gained: gained / room * items, lost: lost / room * items }
    }

    /// Gives the share gained less the share lost.
    pub fn difference(&self) -> f64 {
        (self.gained - self.lost) / self.items
    }

    /// Gives the number of items.
    pub fn items(&self) -> f64 {
        self.items
    }

    /// Gives the share of items that differ.
    pub(super) fn differing(&self) -> f64 {
        (self.gained + self.lost) / self.items
    }

    /// Seen from the other side.
    fn mirrored(self) -> Counts {
        Counts { gained: self.lost, lost: self.gained, ..self }
    }
}

/// Computes the interval of the true difference, candidate less reference: all differences that neither one-sided test
/// rejects at the level's tail. Within −1 to 1.
pub fn interval(counts: impl Into<Counts>, level: Level) -> Interval {
    let counts = counts.into();
    let high = -lowest(counts.mirrored(), level.tail());
    Interval { low: lowest(counts, level.tail()), high, level, method: Method::Tango }.holding(counts.difference())
}

/// The smallest difference against which the items do not speak at `tail`.
fn lowest(counts: Counts, tail: f64) -> f64 {
    let seen = counts.difference();
    let z = -super::distribution::normal_quantile(tail);
    let about = bisect(-1.0, seen, |difference| score(counts, difference) > z);
    // The exact tail lies near the normal's: a bracket around it, widened until it holds.
    let mut reach = 0.25 * (seen - about).max(1e-6);
    let rejected = |difference: f64| p_above(counts, difference) <= tail;
    let (mut low, mut high) = ((about - reach).max(-1.0), (about + reach).min(seen));
    while low > -1.0 && !rejected(low) {
        reach *= 2.0;
        low = (low - reach).max(-1.0);
    }
    while high < seen && rejected(high) {
        reach *= 2.0;
        high = (high + reach).min(seen);
    }
    while high - low > 1e-7 + 1e-5 * (seen - low) {
        let middle = 0.5 * (low + high);
        if rejected(middle) { low = middle } else { high = middle }
    }
    low
}

/// From here on, by the flips expected, the normal tail is as good and takes no time.
const NORMAL_FROM: f64 = 4000.0;

/// Gives the one-sided p-value against "the true difference is at most `limit`". Between whole counts, which alone have
/// a chance, it goes in a straight line.
pub fn p_above(counts: impl Into<Counts>, limit: f64) -> f64 {
    let counts = counts.into();
    let between = |value: f64| {
        if (value - value.round()).abs() < 1e-9 { (value.round(), 0.0) } else { (value.floor(), value.fract()) }
    };
    let ((gained, more_gained), (lost, more_lost)) = (between(counts.gained), between(counts.lost));
    let mut sum = 0.0;
    for (gain, gain_share) in [(gained, 1.0 - more_gained), (gained + 1.0, more_gained)] {
        for (loss, loss_share) in [(lost, 1.0 - more_lost), (lost + 1.0, more_lost)] {
            if gain_share * loss_share > 0.0 {
                // one more of each may be one more than there are
                let loss = loss.min(counts.items - gain.min(counts.items));
                let whole = Counts { gained: gain.min(counts.items), lost: loss, ..counts };
                sum += gain_share * loss_share * p_of_whole(whole, limit);
            }
        }
    }
    sum.min(1.0)
}

fn p_of_whole(counts: Counts, limit: f64) -> f64 {
    let seen = score(counts, limit);
    let loss = fitted_loss(counts, limit);
    let null = Null { items: counts.items, gain: (loss + limit).clamp(0.0, 1.0), loss: loss.clamp(0.0, 1.0) };
    match null.items * (null.gain + null.loss) > NORMAL_FROM {
        true => normal_cdf(-seen),
        false => null.chance_of_at_least(seen, limit),
    }
}

/// Gives the one-sided p-value against "the true difference is at least `limit`".
pub fn p_below(counts: impl Into<Counts>, limit: f64) -> f64 {
    p_above(counts.into().mirrored(), -limit)
}

/// What the items would be like on the line: each gained, lost or alike with a fixed chance.
struct Null {
    items: f64,
    gain: f64,
    loss: f64,
}

/// Chances below this are not added up.
const NEGLIGIBLE: f64 = 1e-15;

impl Null {
    /// The chance of a table whose score is at least `seen`: over all numbers of losses that are at all likely the
    /// chance of so many, times that of enough gains among the rest. The more losses, the more gains are enough.
    fn chance_of_at_least(&self, seen: f64, limit: f64) -> f64 {
        let items = self.items as u64;
        let at_least = if seen.is_finite() { seen - 1e-9 * (1.0 + seen.abs()) } else { seen };
        let extreme = |gained: u64, lost: u64| {
            let counts = Counts { items: self.items, gained: gained as f64, lost: lost as f64 };
            reaches(counts, limit, at_least)
        };
        let gain_of_rest = if self.loss < 1.0 { (self.gain / (1.0 - self.loss)).min(1.0) } else { 0.0 };
        let (first, last) = likely(items, self.loss);
        let mut enough = first_that(items - first, |gained| extreme(gained, first));
        let mut chance_of_losses = binomial_pmf(first, items, self.loss);
        let mut sum = 0.0;
        let mut tail = Tail::of(gain_of_rest);
        let likeliest = self.items * self.loss;
        for lost in first..=last {
            while enough <= items - lost && !extreme(enough, lost) {
                enough += 1;
            }
            if enough > items - lost {
                break;
            }
            sum += chance_of_losses * tail.at_least(enough, items - lost);
            // beyond the likeliest number each has less than the one before, and asks for as many gains or more
            if chance_of_losses < NEGLIGIBLE * 1e-3 * sum && lost as f64 > likeliest {
                break;
            }
            chance_of_losses = match self.loss < 1.0 {
                true => chance_of_losses * (items - lost) as f64 / (lost + 1) as f64 * self.loss / (1.0 - self.loss),
                false => binomial_pmf(lost + 1, items, self.loss),
            };
        }
        sum.min(1.0)
    }
}

/// The chance of at least so many of so many, asked again and again with one item fewer and as many wanted or more: what was
/// added up once is carried on, as long as that loses no digits.
struct Tail {
    chance: f64,
    /// Wanted, items, P(X = wanted − 1), P(X ≥ wanted), and the latter when it was last added up.
    known: Option<(u64, u64, f64, f64, f64)>,
}

impl Tail {
    /// What is left of a sum is carried on down to this share of it: twelve digits stay.
    const LEAST: f64 = 1e-3;

    fn of(chance: f64) -> Tail {
        Tail { chance, known: None }
    }

    fn at_least(&mut self, least: u64, items: u64) -> f64 {
        if least == 0 || self.chance <= 0.0 || self.chance >= 1.0 {
            return at_least_of(least, items, self.chance);
        }
        if let Some(carried) = self.carried(least, items) {
            return carried;
        }
        let sum = at_least_of(least, items, self.chance);
        self.known = Some((least, items, binomial_pmf(least - 1, items, self.chance), sum, sum));
        sum
    }

    /// From one item more: P(X ≥ k; n) = P(X ≥ k; n − 1) + p·P(X = k − 1; n − 1).
    fn carried(&mut self, least: u64, items: u64) -> Option<f64> {
        let (mut wanted, of, mut below, mut sum, whole) = self.known?;
        if of != items + 1 || wanted > least || wanted > items {
            return None;
        }
        below *= (of - wanted + 1) as f64 / (of as f64 * (1.0 - self.chance));
        sum -= self.chance * below;
        while wanted < least {
            below *= (items - wanted + 1) as f64 / wanted as f64 * (self.chance / (1.0 - self.chance));
            sum -= below;
            wanted += 1;
        }
        if sum < Tail::LEAST * whole || below < f64::MIN_POSITIVE {
            return None;
        }
        self.known = Some((wanted, items, below, sum, whole));
        Some(sum)
    }
}

/// The smallest number up to `most` of which it holds, where it holds of all above too; `most` + 1 where of none.
fn first_that(most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// Where a binomial has all of its mass but about 1e-15.
fn likely(items: u64, chance: f64) -> (u64, u64) {
    let (n, mean) = (items as f64, items as f64 * chance);
    let reach = 8.5 * (mean * (1.0 - chance)).sqrt() + 30.0;
    ((mean - reach).max(0.0) as u64, (mean + reach).min(n) as u64)
}

/// The chance of at least `least` of `items`: the smaller side is added up, outwards from the line.
fn at_least_of(least: u64, items: u64, chance: f64) -> f64 {
    if least == 0 || chance <= 0.0 || chance >= 1.0 {
        return f64::from(u8::from(least == 0 || (chance >= 1.0 && least <= items)));
    }
    let odds = chance / (1.0 - chance);
    let (mut sum, upper) = (0.0, least as f64 > items as f64 * chance);
    let mut k = if upper { least } else { least - 1 };
    let mut term = binomial_pmf(k, items, chance);
    loop {
        sum += term;
        if term < NEGLIGIBLE * sum || (upper && k == items) || (!upper && k == 0) {
            break;
        }
        if upper {
            term *= (items - k) as f64 / (k + 1) as f64 * odds;
            k += 1;
        } else {
            term *= k as f64 / (items - k + 1) as f64 / odds;
            k -= 1;
        }
    }
    if upper { sum } else { (1.0 - sum).max(0.0) }
}

/// How many standard errors the difference seen lies above `difference`, were that the truth. Falls as it rises.
fn score(counts: Counts, difference: f64) -> f64 {
    let above = counts.difference() - difference;
    let error = (null_variance(counts, difference) / counts.items).sqrt();
    match above.abs() < 1e-15 {
        true => 0.0,
        false => above / error, // no error left, at ±1, is certainty: infinite
    }
}

/// Whether the score is at least `least`, told from its square: this is asked for each table along the line, and roots and
/// quotients would be most of the work.
fn reaches(counts: Counts, difference: f64, least: f64) -> bool {
    let above = counts.difference() - difference;
    if above.abs() < 1e-15 || !least.is_finite() {
        return score(counts, difference) >= least;
    }
    let bound = || least * least * null_variance(counts, difference) / counts.items;
    match (above > 0.0, least >= 0.0) {
        (true, true) => above * above >= bound(),
        (true, false) => true,
        (false, true) => false,
        (false, false) => above * above <= bound(),
    }
}

/// Variance of one item's difference were the true difference `difference`, the chance of a loss fitted to that.
pub(super) fn null_variance(counts: Counts, difference: f64) -> f64 {
    (2.0 * fitted_loss(counts, difference) + difference * (1.0 - difference)).max(0.0)
}

/// The likeliest chance of a loss were the true difference `difference`: it solves a·q² + b·q + c = 0.
fn fitted_loss(counts: Counts, difference: f64) -> f64 {
    let Counts { items: n, gained, lost } = counts;
    let a = 2.0 * n;
    let b = (2.0 * n - gained + lost) * difference - gained - lost;
    let c = -lost * difference * (1.0 - difference);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    if b > 0.0 { -2.0 * c / (b + root) } else { (root - b) / (2.0 * a) } // the form without cancellation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(items: u64, gained: u64, lost: u64) -> Counts {
        Counts { items: items as f64, gained: gained as f64, lost: lost as f64 }
    }

    #[test]
    fn the_score_agrees_with_the_likelihood_maximised_numerically() {
        // scipy: the constrained multinomial likelihood by minimize_scalar; norm.sf of the score at −0.05.
        for (gained, lost, items, p) in [
            (12, 2, 50, 0.0006946827016909678),
            (1, 7, 21, 0.9646180207895051),
            (9, 14, 300, 0.02768757701485266),
            (0, 3, 200, 0.01157046751059761),
            (0, 0, 200, 0.0005884331363608841),
            (20, 11, 100, 0.0068217921597997265),
        ] {
            let got = normal_cdf(-score(counts(items, gained, lost), -0.05));
            assert!((got - p).abs() < 1e-6, "{gained} {lost} {items}: {got}");
        }
    }

    /// The definition, table by table, with factorials and nothing skipped.
    fn by_definition(of: Counts, limit: f64) -> f64 {
        let n = of.items as u64;
        let ln_factorial = |k: u64| (1..=k).map(|i| (i as f64).ln()).sum::<f64>();
        let (seen, loss) = (score(of, limit), fitted_loss(of, limit));
        let gain = (loss + limit).max(0.0);
        let power = |p: f64, k: u64| if k == 0 { 0.0 } else { k as f64 * p.ln() };
        let mut sum = 0.0;
        for lost in 0..=n {
            for gained in 0..=(n - lost) {
                if score(counts(n, gained, lost), limit) >= seen - 1e-9 {
                    let rest = n - lost - gained;
                    let ways = ln_factorial(n) - ln_factorial(lost) - ln_factorial(gained) - ln_factorial(rest);
                    let chance = power(loss, lost) + power(gain, gained) + power((1.0 - loss - gain).max(0.0), rest);
                    sum += (ways + chance).exp();
                }
            }
        }
        sum
    }

    #[test]
    fn the_tail_agrees_with_its_definition_table_by_table() {
        for (items, gained, lost) in
            [(20, 0, 0), (20, 3, 1), (33, 1, 7), (40, 9, 14), (60, 0, 2), (25, 25, 0), (12, 0, 12)]
        {
            for limit in [-0.3, -0.05, 0.0, 0.1] {
                let (got, known) =
                    (p_above(counts(items, gained, lost), limit), by_definition(counts(items, gained, lost), limit));
                assert!((got - known).abs() < 1e-9, "{items} {gained} {lost} at {limit}: {got} is not {known}");
                let below = p_below(counts(items, lost, gained), -limit);
                assert!((below - known).abs() < 1e-9, "the mirror image is the same test");
            }
        }
    }

    #[test]
    fn agreement_on_every_item_is_as_likely_as_no_loss_in_so_many() {
        // No flip in n items where each is lost with chance m: (1 − m)^n, by hand.
        for (items, margin) in [(360, 0.02_f64), (50, 0.1), (2000, 0.03)] {
            let known = (1.0 - margin).powi(items as i32);
            assert!((p_above(counts(items, 0, 0), -margin) / known - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn thousands_of_items_agree_with_the_normal_tail_near_the_line() {
        let many = counts(9000, 900, 990); // −1 point, 1.5 standard errors above −1.72 points
        let (exact, normal) = (p_above(many, -0.0172), normal_cdf(-score(many, -0.0172)));
        assert!((exact / normal - 1.0).abs() < 0.02, "{exact} against {normal}");
    }

    #[test]
    fn one_more_loss_never_helps() {
        for (items, limit) in [(14, -0.1), (92, -0.03), (175, -0.02), (350, -0.03), (360, -0.02)] {
            for gained in [0, 1, 2, 5, 9] {
                let p: Vec<f64> =
                    (0..=(items - gained).min(40)).map(|lost| p_above(counts(items, gained, lost), limit)).collect();
                for (lost, two) in p.windows(2).enumerate() {
                    assert!(
                        two[1] >= two[0] - 1e-12,
                        "{items} items, {gained} gained, {lost} and one more lost: {two:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_interval_is_what_the_tests_do_not_reject() {
        for (items, gained, lost) in
            [(50, 12, 2), (21, 1, 7), (300, 9, 14), (200, 0, 3), (200, 0, 0), (8, 0, 8), (1, 1, 0)]
        {
            let of = counts(items, gained, lost);
            let got = interval(of, Level::P95);
            assert!(got.contains(of.difference()) && got.low >= -1.0 && got.high <= 1.0, "{got:?}");
            for (p, end) in [(p_above(of, got.low - 1e-3), got.low), (p_below(of, got.high + 1e-3), got.high)] {
                assert!(p <= 0.026 || end.abs() > 0.99, "{items} {gained} {lost}: {p} beyond {got:?}");
            }
            assert!(p_above(of, got.low + 1e-3) > 0.024 && p_below(of, got.high - 1e-3) > 0.024, "{got:?}");
        }
        // The airway study of Bentur et al. 2009, for which the literature prints −0.517 to −0.026 by the normal tail.
        let airway = interval(counts(21, 1, 7), Level::P95);
        assert!((airway.low + 0.517).abs() < 0.02 && (airway.high + 0.026).abs() < 0.02, "{airway:?}");
    }

    #[test]
    fn total_loss_and_total_gain_end_at_one() {
        let (lost, gained) = (interval(counts(8, 0, 8), Level::P95), interval(counts(8, 8, 0), Level::P95));
        assert!((lost.low + 1.0).abs() < 1e-9 && (gained.high - 1.0).abs() < 1e-9);
        assert!(lost.high < 0.0 && gained.low > 0.0);
    }
}

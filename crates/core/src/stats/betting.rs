//! Testing by betting: is a mean difference above a limit, for somebody who looks after every item and stops when he likes?
//!
//! Whoever doubts it offers fair bets on each unit before it is seen, at odds under which nobody can expect to gain were the
//! mean no more than the limit. What a stake of 1 has grown to is then evidence that may be looked at all the time: were the
//! doubt right, it would ever reach 1/α with a chance of at most α (Ville's inequality).
//!
//! ```text
//!   stake     W(c) = Π (1 + c · (x − w·limit)/(span + limit))       x: what the unit moved, w: its weight, at most 1
//!   evidence  the mean of W over the shares c in SHARES             staking a part on each share
//!   p-value   1 / the most that the evidence has been               at any time, so it never rises
//! ```
//!
//! Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical
//! Society B 86, 2024; e-processes: Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid
//! inference", Statistical Science 38, 2023.

use super::{Interval, Level, Method};

/// The shares of the stake that are bet on every unit: the first is best where nothing differs, the last where much does.
/// A finer set finds a little sooner what lies between and pays for it everywhere.
const SHARES: [f64; 4] = [0.9, 0.5, 0.25, 0.1];

/// What is seen at once: an item, or all items of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Its weight.
    pub weight: f64,
    /// The weighted sum of its items' differences, candidate less reference.
    pub moved: f64,
}

/// Units in the order in which they were seen, which must have been drawn without looking at what they show.
#[derive(Debug, Clone, PartialEq)]
pub struct Bets {
    units: Vec<Unit>,
    span: f64,
}

impl Bets {
    /// Takes units; `heaviest` is the most that any unit to come may weigh, `span` how far two scores of an item may lie
    /// apart. `None` where one of them is nothing, or a unit lies beyond them: then no bet is fair.
    pub fn new(units: Vec<Unit>, heaviest: f64, span: f64) -> Option<Bets> {
        let possible = |number: f64| number.is_finite() && number > 0.0;
        let within = |unit: &Unit| {
            let most = unit.weight * span * (1.0 + 1e-9);
            unit.weight > 0.0 && unit.weight <= heaviest * (1.0 + 1e-9) && unit.moved.abs() <= most
        };
        let fair = possible(heaviest) && possible(span) && units.iter().all(within);
        fair.then(|| Bets {
            units: units.iter().map(|u| Unit { weight: u.weight / heaviest, moved: u.moved / heaviest }).collect(),
            span,
        })
    }

    /// Gives the p-value against "the true difference is at most `limit`", which holds whenever one stops.
    pub fn p_above(&self, limit: f64) -> f64 {
        self.p(limit, 1.0)
    }

    /// Gives the p-value against "the true difference is at least `limit`", which holds whenever one stops.
    pub fn p_below(&self, limit: f64) -> f64 {
        self.p(-limit, -1.0)
    }

    /// Gives the interval of the true difference: all values that neither side's bets speak against at the level's tail. It
    /// holds the truth at all times at once, so that it is wider than one for a number of items fixed beforehand.
    pub fn interval(&self, level: Level) -> Interval {
        let lowest = |side: f64| {
            let (mut low, mut high) = (-self.span, self.span);
            while high - low > 1e-6 * self.span {
                let middle = 0.5 * (low + high);
                if self.p(middle, side) <= level.tail() { low = middle } else { high = middle }
            }
            low
        };
        let (low, high) = (lowest(1.0), -lowest(-1.0));
        Interval { low: low.min(high), high: high.max(low), level, method: Method::Betting }
    }

    /// The p-value of one side; `side` is −1 for the differences seen from the other.
    fn p(&self, limit: f64, side: f64) -> f64 {
        // nothing is worse than the span, and nothing to bet on
        let reach = self.span + limit;
        if reach <= 0.0 {
            return 1.0;
        }
        let mut stakes = SHARES.map(|_| 1.0 / SHARES.len() as f64);
        let mut most: f64 = 1.0;
        for unit in &self.units {
            let won = (side * unit.moved - unit.weight * limit) / reach;
            for (stake, share) in stakes.iter_mut().zip(SHARES) {
                *stake *= 1.0 + share * won;
            }
            most = most.max(stakes.iter().sum());
        }
        1.0 / most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn of(differences: &[f64]) -> Bets {
        let units = differences.iter().map(|&moved| Unit { weight: 1.0, moved }).collect();
        Bets::new(units, 1.0, 1.0).unwrap()
    }

    #[test]
    fn nothing_lost_is_shown_not_worse_in_time_and_a_loss_takes_longer() {
        let items_needed = |every: usize| {
            let difference = |i: usize| if every > 0 && i % every == every - 1 { -1.0 } else { 0.0 };
            (1..3000).find(|&n| of(&(0..n).map(difference).collect::<Vec<f64>>()).p_above(-0.03) <= 0.05)
        };
        // by hand: 0.9/0.97 of the margin an item on a quarter of the stake, until 20
        let alone = (80.0_f64.ln() / (1.0 + 0.9 * 0.03 / 0.97_f64).ln()).ceil() as usize;
        assert!((alone - 40..=alone).contains(&items_needed(0).unwrap()), "{:?} and {alone}", items_needed(0));
        assert!(items_needed(100) > items_needed(0));
        assert_eq!(items_needed(20), None, "five points worse is never shown to be less than three");
    }

    #[test]
    fn a_p_value_never_rises_as_items_come_and_rises_with_the_limit() {
        let seen: Vec<f64> = (0..400).map(|i| [0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0][i * i % 7]).collect();
        let after = |n: usize| of(&seen[..n]).p_above(-0.1);
        assert!((10..400).all(|n| after(n) <= after(n - 1)));
        let at = |limit: f64| of(&seen).p_above(limit);
        assert!((-9..9).all(|n| at(f64::from(n) / 10.0) <= at(f64::from(n + 1) / 10.0)));
        assert_eq!(of(&seen).p_above(-1.0), 1.0, "nothing can be worse than that, and nobody bets on it");
    }

    #[test]
    fn the_other_side_is_the_mirror_image_and_the_interval_holds_what_neither_rejects() {
        let seen: Vec<f64> = (0..300).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
        let turned: Vec<f64> = seen.iter().map(|x| -x).collect();
        assert_eq!(of(&seen).p_above(0.1), of(&turned).p_below(-0.1));
        let interval = of(&seen).interval(Level::P95);
        assert!(interval.contains(0.2) && interval.low > 0.08 && interval.high < 0.4, "{interval:?}");
        assert!(of(&seen).p_above(interval.low + 1e-3) > 0.025 && of(&seen).p_below(interval.high - 1e-3) > 0.025);
    }

    #[test]
    fn what_lies_beyond_its_ends_is_not_bet_on() {
        let unit = |weight: f64, moved: f64| vec![Unit { weight, moved }];
        assert!(Bets::new(unit(1.0, 1.5), 1.0, 1.0).is_none());
        assert!(Bets::new(unit(3.0, 1.0), 2.0, 1.0).is_none());
        assert!(Bets::new(unit(1.0, 0.0), 1.0, 0.0).is_none());
        assert!(Bets::new(unit(2.0, -2.0), 2.0, 1.0).is_some());
        assert!(Bets::new(unit(2.0, f64::NAN), 2.0, 1.0).is_none());
    }

    #[test]
    fn whoever_looks_all_the_time_is_seldom_wrong() {
        // at the limit in truth, by few and by many flips, alone and in clusters of three that go together
        for (gained, size, seed) in [(0.0, 1, 1), (0.02, 1, 2), (0.2, 1, 3), (0.02, 3, 4)] {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let wrong = (0..2000).filter(|_| {
                let mut unit = || {
                    let thrown: f64 = random.random();
                    let moved = if thrown < gained { 1.0 } else { -f64::from(u8::from(thrown < 2.0 * gained + 0.03)) };
                    Unit { weight: size as f64, moved: size as f64 * moved }
                };
                let units = (0..600 / size).map(|_| unit()).collect();
                Bets::new(units, size as f64, 1.0).unwrap().p_above(-0.03) <= 0.05
            });
            let wrong = wrong.count();
            assert!(wrong <= 100 + 20, "{gained}, {size}: {wrong} of 2000");
        }
    }
}

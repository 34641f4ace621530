//! Speeds: so many tokens in so many seconds, how sure that is, and which of two is the faster.
//!
//! A rate is all tokens over all seconds, since that is what was delivered: the mean of rates is too high wherever the
//! times scatter. Repeats that follow each other are alike (a correlation of 0.3 to 0.6 is common), so an interval over
//! repeats is far too narrow; over *batches*, the turns of a variant in short rounds, it holds. Two variants are compared
//! round by round: what the machine does to a round it does to both, and in the ratio it cancels.
//!
//! Batch means: Law and Carson, "A Sequential Procedure for Determining the Length of a Steady-State Simulation", 1979.
//! The ratio of two sums and its variance: Cochran, "Sampling Techniques", 1977, chapter 6.

use super::distribution::{student_cdf, student_quantile};
use super::{Level, StatsError};
use serde::{Deserialize, Serialize};

/// Fewer rounds than this show nothing: Student's t over two or three is a guess.
pub const LEAST_ROUNDS: usize = 5;
/// And so do fewer processes: where a program lies in memory makes it faster or slower for as long as it runs.
pub const LEAST_PROCESSES: usize = 3;
/// How much the 5th percentile of a variant's times differs from one measurement to another on the same machine, as a
/// standard deviation of its logarithm. Measured: 4.6% (the mean's was 35%).
pub const BETWEEN_MEASUREMENTS: f64 = 0.046;
/// What is left of the lag-1 correlation of neighbouring batches never stretches an interval by more than this allows.
const MOST_CORRELATED: f64 = 0.9;

/// What was delivered in one batch, and what that took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch {
    /// Tokens, or whatever is counted.
    pub amount: f64,
    /// Seconds, or joules.
    pub cost: f64,
}

/// A total over a total, with its interval where there are two batches at least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The sum of all amounts over the sum of all costs.
    pub value: f64,
    /// The ends of its interval, both above zero.
    pub ends: Option<(f64, f64)>,
    /// How many batches it is made of.
    pub batches: usize,
}

impl Rate {
    /// The same in cost per amount: seconds a token of tokens a second.
    pub fn inverted(self) -> Rate {
        Rate { value: 1.0 / self.value, ends: self.ends.map(|(low, high)| (1.0 / high, 1.0 / low)), ..self }
    }

    /// Half of the interval on the scale of logarithms, which is about its relative half-width.
    pub fn relative_half_width(self) -> Option<f64> {
        self.ends.map(|(low, high)| 0.5 * (high / low).ln())
    }
}

/// Computes the total rate of batches in the order measured, with an interval on the scale of logarithms: a rate is above
/// zero, and so are both ends. `t` has one degree of freedom less than there are batches; the variance is that of a ratio
/// of sums, stretched for what correlation is left between neighbouring batches.
///
/// # Errors
/// `Empty` without batches, `NotFinite` where an amount or cost is no number above zero.
pub fn rate(batches: &[Batch], level: Level) -> Result<Rate, StatsError> {
    if batches.is_empty() {
        return Err(StatsError::Empty);
    }
    check(batches.iter().flat_map(|batch| [batch.amount, batch.cost]))?;
    let (amount, cost) =
        batches.iter().fold((0.0, 0.0), |(amount, cost), batch| (amount + batch.amount, cost + batch.cost));
    let value = amount / cost;
    let residuals: Vec<f64> = batches.iter().map(|batch| batch.amount - value * batch.cost).collect();
    let ends = spread(&residuals, level).map(|half| {
        // residuals are in amounts: their mean's reach over the mean amount is relative
        let half = half * batches.len() as f64 / amount;
        (value * (-half).exp(), value * half.exp())
    });
    Ok(Rate { value, ends, batches: batches.len() })
}

/// How many times as fast one is as another, round by round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean of the rounds' ratios: above 1 where the first is faster.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// The chance of a ratio so far from 1 where there is no difference, on both sides.
    pub p: f64,
    /// The rounds that it is made of.
    pub rounds: usize,
    /// The processes that it is made of; the degrees of freedom are one less. As many as rounds where each had its own.
    #[serde(default)]
    pub processes: usize,
}

/// A round that two have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// The rate of the first.
    pub one: f64,
    /// The rate of the second.
    pub other: f64,
    /// Whether a process of either goes on from the round before, so that the two rounds are alike.
    pub goes_on: bool,
}

/// Compares two by the rates that they had in the same rounds, in the order of the rounds: Student's t over the logarithms
/// of the rounds' ratios, stretched as in [`rate`]. Rounds of the same processes share what these processes are like, and
/// count as one.
///
/// # Errors
/// `TooFew` below [`LEAST_ROUNDS`] or [`LEAST_PROCESSES`], `NotFinite` where a rate is no number above zero.
pub fn ratio(rounds: &[Round], level: Level) -> Result<Ratio, StatsError> {
    if rounds.len() < LEAST_ROUNDS {
        return Err(StatsError::TooFew { have: rounds.len(), need: LEAST_ROUNDS });
    }
    check(rounds.iter().flat_map(|round| [round.one, round.other]))?;
    let of_process = rounds.chunk_by(|_, next| next.goes_on);
    let log = |rounds: &[Round]| rounds.iter().map(|r| (r.one / r.other).ln()).sum::<f64>() / rounds.len() as f64;
    let logs: Vec<f64> = of_process.map(log).collect();
    if logs.len() < LEAST_PROCESSES {
        return Err(StatsError::TooFew { have: logs.len(), need: LEAST_PROCESSES });
    }
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let residuals: Vec<f64> = logs.iter().map(|log| log - mean).collect();
    let error = standard_error(&residuals);
    let half = spread(&residuals, level).unwrap_or(f64::INFINITY);
    // equal in every round is no difference; apart by the same in every round is one
    let p = match (mean == 0.0, error > 0.0) {
        (true, _) => 1.0,
        (false, true) => 2.0 * student_cdf(-(mean / error).abs(), (logs.len() - 1) as f64),
        (false, false) => 0.0,
    };
    let ends = ((mean - half).exp(), (mean + half).exp());
    Ok(Ratio { value: mean.exp(), low: ends.0, high: ends.1, p, rounds: rounds.len(), processes: logs.len() })
}

/// Compares two that were never measured side by side, by the 5th percentiles of their times, which differ least from one
/// measurement to the next; says how many times as fast the first is, with an interval for that difference alone.
///
/// # Errors
/// `NotFinite` where a time is no number above zero.
pub fn apart(time: f64, other: f64, level: Level) -> Result<(f64, f64, f64), StatsError> {
    check([time, other].into_iter())?;
    let (log, half) = ((other / time).ln(), level.z() * BETWEEN_MEASUREMENTS * std::f64::consts::SQRT_2);
    Ok((log.exp(), (log - half).exp(), (log + half).exp()))
}

fn check(values: impl Iterator<Item = f64>) -> Result<(), StatsError> {
    match values.enumerate().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
        Some((index, value)) => Err(StatsError::NotFinite { index, value }),
        None => Ok(()),
    }
}

/// How far the interval of a mean reaches to each side, from the values' distances to it; `None` for a single value.
fn spread(residuals: &[f64], level: Level) -> Option<f64> {
    let freedom = residuals.len().checked_sub(1).filter(|&freedom| freedom > 0)?;
    Some(-student_quantile(level.tail(), freedom as f64) * standard_error(residuals))
}

/// The standard error of a mean of values in a row. Their lag-1 correlation r, raised by its bias of 1/n, stretches the
/// variance by (1 + r)/(1 − r), as in a first-order autoregression; it never narrows it.
fn standard_error(residuals: &[f64]) -> f64 {
    let n = residuals.len() as f64;
    let squares: f64 = residuals.iter().map(|x| x * x).sum();
    if squares == 0.0 {
        return 0.0;
    }
    let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let correlation = (products / squares + 1.0 / n).clamp(0.0, MOST_CORRELATED);
    (squares / (n - 1.0) / n * (1.0 + correlation) / (1.0 - correlation)).sqrt()
}

/// The order in which so many take their turns in a round, by their places. Rounds come in pairs, there and back, so that
/// a steady drift falls on all alike; the next pair begins a third of the way on, so that nobody is always first.
pub fn order(count: usize, round: usize) -> Vec<usize> {
    let begin = (round / 2) * count.div_ceil(3);
    let there = (0..count).map(|place| (begin + place) % count);
    if round.is_multiple_of(2) { there.collect() } else { there.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::distribution::normal_quantile;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rounds that had processes of their own.
    fn rounds(of: &[(f64, f64)]) -> Vec<Round> {
        of.iter().map(|&(one, other)| Round { one, other, goes_on: false }).collect()
    }

    fn batches(rates: &[f64]) -> Vec<Batch> {
        rates.iter().map(|rate| Batch { amount: 10.0, cost: 10.0 / rate }).collect()
    }

    #[test]
    fn a_rate_is_what_was_delivered_not_the_mean_of_rates() {
        // one hiccup of ten seconds: 20 tokens in 11 s, where the mean of rates says 5.5
        let rate = rate(&batches(&[10.0, 1.0]), Level::P95).unwrap();
        assert!((rate.value - 20.0 / 11.0).abs() < 1e-12);
        assert!((rate.inverted().value - 11.0 / 20.0).abs() < 1e-12);
    }

    #[test]
    fn no_end_of_an_interval_is_below_zero() {
        let rate = rate(&batches(&[20.0, 0.5]), Level::P95).unwrap();
        let (low, high) = rate.ends.unwrap();
        assert!(low > 0.0 && low < rate.value && rate.value < high, "{rate:?}");
        let (least, most) = rate.inverted().ends.unwrap();
        assert!((least * high - 1.0).abs() < 1e-12 && (most * low - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_batch_has_no_interval() {
        assert_eq!(rate(&batches(&[20.0]), Level::P95).unwrap().ends, None);
        assert_eq!(rate(&[], Level::P95), Err(StatsError::Empty));
        let none = Batch { amount: 0.0, cost: 1.0 };
        assert!(matches!(rate(&[none], Level::P95), Err(StatsError::NotFinite { .. })));
    }

    #[test]
    fn uncorrelated_rounds_give_students_interval() {
        // residuals in turn above and below: no correlation to stretch for. scipy.stats.t.interval(0.95, 5, ...)
        let logs = [0.03, 0.01, 0.03, 0.01, 0.03, 0.01];
        let of: Vec<(f64, f64)> = logs.iter().map(|log: &f64| (log.exp(), 1.0)).collect();
        let found = ratio(&rounds(&of), Level::P95).unwrap();
        assert!((found.value.ln() - 0.02).abs() < 1e-12);
        assert!((found.high.ln() - 0.031495992447).abs() < 1e-9, "{}", found.high.ln());
        assert!((found.p - 0.006_566_271_8).abs() < 1e-9, "{}", found.p);
    }

    #[test]
    fn what_falls_on_both_alike_cancels() {
        let machine = [1.0, 0.2, 0.9, 0.3, 1.1, 0.5];
        let apart: Vec<(f64, f64)> = machine.iter().map(|m| (103.0 * m, 100.0 * m)).collect();
        let found = ratio(&rounds(&apart), Level::P95).unwrap();
        assert!((found.value - 1.03).abs() < 1e-12 && found.low > 1.029, "{found:?}");
        let alike: Vec<(f64, f64)> = machine.iter().map(|m| (100.0 * m, 100.0 * m)).collect();
        assert_eq!(ratio(&rounds(&alike), Level::P95).unwrap().p, 1.0);
    }

    #[test]
    fn four_rounds_show_nothing() {
        assert_eq!(ratio(&rounds(&[(2.0, 1.0); 4]), Level::P95), Err(StatsError::TooFew { have: 4, need: 5 }));
    }

    #[test]
    fn rounds_of_one_process_count_as_one() {
        // three processes, of which each is 2% to the one side or the other in all of its rounds
        let logs = [0.02, 0.02, -0.02, -0.02, 0.03, 0.03];
        let mut of = rounds(&logs.map(|log: f64| (log.exp(), 1.0)));
        let each = ratio(&of, Level::P95).unwrap();
        of.iter_mut().skip(1).step_by(2).for_each(|round| round.goes_on = true);
        let found = ratio(&of, Level::P95).unwrap();
        assert_eq!((found.rounds, found.processes, each.processes), (6, 3, 6));
        assert!((found.value - each.value).abs() < 1e-12 && found.p > each.p && found.high > each.high);
        of.iter_mut().skip(3).for_each(|round| round.goes_on = true);
        assert_eq!(ratio(&of, Level::P95), Err(StatsError::TooFew { have: 2, need: 3 }));
    }

    #[test]
    fn measured_at_different_times_only_large_differences_are_told() {
        let (value, low, _) = apart(1.0, 1.10, Level::P95).unwrap();
        assert!((value - 1.1).abs() < 1e-12 && low < 1.0, "10% is within what two measurements differ by");
        assert!(apart(1.0, 1.20, Level::P95).unwrap().1 > 1.0);
    }

    /// A machine whose state is a first-order autoregression, repeat after repeat, on top of a drift.
    struct Machine {
        random: ChaCha8Rng,
        correlation: f64,
        scatter: f64,
        state: f64,
        drift: f64,
        now: f64,
    }

    impl Machine {
        fn new(seed: u64, correlation: f64, scatter: f64, drift: f64) -> Machine {
            let mut machine =
                Machine { random: ChaCha8Rng::seed_from_u64(seed), correlation, scatter, state: 0.0, drift, now: 0.0 };
            machine.state = machine.normal() * scatter;
            machine
        }

        fn normal(&mut self) -> f64 {
            normal_quantile(self.random.random_range(1e-12..1.0 - 1e-12))
        }

        /// How long a repeat takes that would take a second on the undisturbed machine.
        fn repeat(&mut self) -> f64 {
            let step = self.scatter * (1.0 - self.correlation * self.correlation).sqrt();
            self.state = self.correlation * self.state + step * self.normal();
            self.now += 1.0;
            (self.state + self.drift * self.now).exp()
        }

        fn turn(&mut self, repeats: usize) -> Batch {
            Batch { amount: repeats as f64, cost: (0..repeats).map(|_| self.repeat()).sum() }
        }

        fn skip(&mut self, repeats: usize) {
            (0..repeats).for_each(|_| {
                self.repeat();
            });
        }
    }

    const WORLDS: u64 = 4000;

    /// How often the interval over so many rounds holds the rate of the machine, where `between` repeats of others pass
    /// between two turns.
    fn coverage(correlation: f64, scatter: f64, repeats: usize, between: usize, rounds: usize) -> f64 {
        let truth = (-scatter * scatter / 2.0).exp();
        let holds = |seed: &u64| {
            let mut machine = Machine::new(*seed, correlation, scatter, 0.0);
            let turn = |_| {
                let batch = machine.turn(repeats);
                machine.skip(between);
                batch
            };
            let batches: Vec<Batch> = (0..rounds).map(turn).collect();
            let (low, high) = rate(&batches, Level::P95).unwrap().ends.unwrap();
            low <= truth && truth <= high
        };
        (0..WORLDS).filter(holds).count() as f64 / WORLDS as f64
    }

    /// How often two variants that are the same are told apart; both stand in a field of so many, whose order turns as
    /// bantam's does.
    fn false_alarms(correlation: f64, drift: f64, repeats: usize, variants: usize, count: usize) -> f64 {
        let alarm = |seed: &u64| {
            let mut machine = Machine::new(*seed, correlation, 0.1, drift);
            let (one, other) = (0, (*seed as usize) % (variants - 1) + 1);
            let mut pairs = Vec::new();
            for round in 0..count {
                let mut rates = vec![0.0; variants];
                for variant in order(variants, round) {
                    let batch = machine.turn(repeats);
                    rates[variant] = batch.amount / batch.cost;
                }
                pairs.push((rates[one], rates[other]));
            }
            ratio(&rounds(&pairs), Level::P95).unwrap().p <= 0.05
        };
        (0..WORLDS).filter(alarm).count() as f64 / WORLDS as f64
    }

    #[test]
    #[ignore = "a simulation of minutes; its table stands in docs/statistics.md"]
    fn intervals_of_rates_hold_what_they_promise() {
        for (correlation, scatter, repeats, between, rounds) in [
            (0.0, 0.1, 4, 0, 6),
            (0.3, 0.1, 4, 0, 8),
            (0.6, 0.1, 12, 0, 8),
            (0.3, 0.2, 4, 20, 6),
            (0.6, 0.2, 4, 20, 6),
            (0.6, 0.2, 1, 17, 6),
            (0.6, 0.1, 12, 36, 10),
        ] {
            let held = coverage(correlation, scatter, repeats, between, rounds);
            println!("| {correlation} | {scatter} | {repeats} | {between} | {rounds} | {:.1}% |", held * 100.0);
            assert!((0.93..=0.97).contains(&held), "{held}");
        }
    }

    #[test]
    #[ignore = "a simulation of minutes; its table stands in docs/statistics.md"]
    fn the_same_is_told_apart_no_more_often_than_promised() {
        for (correlation, drift, repeats, variants, rounds) in [
            (0.0, 0.0, 4, 2, 6),
            (0.3, 0.0, 4, 2, 6),
            (0.6, 0.0, 4, 2, 6),
            (0.6, 0.0, 12, 2, 6),
            (0.3, 1e-3, 4, 2, 8),
            (0.3, 0.0, 4, 18, 6),
            (0.6, 0.0, 4, 18, 6),
            (0.6, 1e-3, 4, 18, 6),
            (0.6, -1e-3, 4, 18, 10),
        ] {
            let alarms = false_alarms(correlation, drift, repeats, variants, rounds);
            println!("| {correlation} | {drift} | {repeats} | {variants} | {rounds} | {:.1}% |", alarms * 100.0);
            // three standard errors of the simulation above 1.05 times the level
            assert!(alarms <= 0.0525 + 0.0103, "{alarms}");
        }
    }
}

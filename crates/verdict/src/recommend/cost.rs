//! The costs of a variant: speed, latency and energy of every shape, memory and disk of the whole; and which of two is
//! the faster.
//!
//! Rates are all tokens over all seconds, latencies all seconds over all tokens, and the rounds in which they were
//! measured are the batches of their intervals ([`bantam_core::stats::speed`]). Rounds that other programs disturbed
//! were made again and do not count, unless too few were quiet.

use super::figures::counted;
use super::score::as_record;
use bantam_core::metric::Metric;
use bantam_core::record::{self, Ask, Figure, Outcome, Provenance, Reading, Row, Shape, SpeedSample};
use bantam_core::stats::speed::{self, Batch, LEAST_ROUNDS};
use bantam_core::stats::{Level, Percentiles, Sample, StatsError, interval};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The costs of one variant at one speed shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShapeCost {
    /// How many tokens went in and came out.
    pub shape: Shape,
    /// Every metric of speed, energy and memory; those not measured are missing with the reason.
    pub readings: Vec<(Metric, Reading)>,
    /// How many repeats were measured; 0 where the trial failed.
    pub repeats: usize,
    /// Seconds to the first token over the repeats; `None` where the shape was not measured.
    pub ttft: Option<Percentiles>,
    /// Seconds between tokens over all repeats; `None` where nothing was decoded.
    pub inter_token: Option<Percentiles>,
    /// What the machine can do: prefill and decode at the 5th percentile of the times. It differs least from one
    /// measurement to the next.
    #[serde(default)]
    pub attainable: Vec<(Metric, Figure)>,
    /// The rates of every round, in order; empty for what was measured before there were rounds.
    #[serde(default)]
    pub rounds: Vec<RoundRates>,
    /// Why its speeds rest on too little, in a few words to stand beside each of them: "1 repeat", "disturbed". `None`
    /// where they do not.
    #[serde(default)]
    pub doubt: Option<String>,
}

/// How fast a variant was in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRates {
    /// The round's number: two variants that have one in common took their turns side by side.
    pub round: u64,
    /// Tokens a second, all of the turn's repeats together.
    pub prefill: f64,
    /// Tokens a second; `None` where nothing was decoded.
    pub decode: Option<f64>,
    /// Whether other programs took the machine meanwhile.
    pub disturbed: bool,
    /// The number of the process that measured it, which goes on for a turn or two.
    #[serde(default)]
    pub worker: u32,
}

/// Whether one variant was shown faster than another at a shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedComparison {
    /// Measured side by side: how many times as fast it was, round by round.
    SameRounds(speed::Ratio),
    /// Measured at different times, and to be said with that word: how many times as fast it was by the 5th percentiles of
    /// the times, with an interval for what such percentiles differ by from one measurement to the next.
    DifferentTimes {
        /// The ratio, above 1 where the first is faster.
        value: f64,
        /// The lower end of its interval.
        low: f64,
        /// The upper end of its interval.
        high: f64,
    },
    /// Nothing is shown.
    NotShown {
        /// Why, in one sentence.
        reason: String,
    },
}

impl SpeedComparison {
    /// Tells whether the first is shown faster (`Greater`) or slower (`Less`) at the level of the interval; `Equal` where
    /// neither is shown, which is not that they are equal.
    pub fn shown(&self) -> std::cmp::Ordering {
        let (low, high) = match self {
            SpeedComparison::SameRounds(ratio) => (ratio.low, ratio.high),
            SpeedComparison::DifferentTimes { low, high, .. } => (*low, *high),
            SpeedComparison::NotShown { .. } => return std::cmp::Ordering::Equal,
        };
        match () {
            () if low > 1.0 => std::cmp::Ordering::Greater,
            () if high < 1.0 => std::cmp::Ordering::Less,
            () => std::cmp::Ordering::Equal,
        }
    }
}

impl ShapeCost {
    /// Works out the costs of one shape; `None` for a row that asked a task.
    pub fn of(row: &Row, level: Level) -> Option<ShapeCost> {
        let Ask::Speed(shape) = row.trial.ask else { return None };
        let outcome = &row.outcome;
        let samples = if outcome.result.is_ok() { outcome.samples.as_slice() } else { &[] };
        let measured = Measured::of(samples);
        let counted: Vec<&SpeedSample> = measured.batches.iter().flatten().copied().collect();
        let gaps: Vec<f64> = counted.iter().flat_map(|s| s.inter_token.iter().copied()).collect();
        let (ttft, inter_token) = (percentiles(counted.iter().map(|s| s.ttft.0).collect()), percentiles(gaps));
        let mut cost = ShapeCost {
            shape,
            readings: TIMED
                .iter()
                .map(|&(metric, of)| (metric, timed(outcome, &measured, shape, metric, of, level)))
                .chain(
                    POWERED.iter().map(|&(metric, of)| (metric, powered(outcome, &measured, shape, metric, of, level))),
                )
                .chain([
                    (Metric::DecodeCeiling, outcome.ceiling.clone()),
                    (Metric::PeakMemory, outcome.peak_memory.clone()),
                ])
                .collect(),
            repeats: samples.len(),
            ttft,
            inter_token,
            attainable: attainable(&counted, shape),
            rounds: round_rates(samples, shape),
            doubt: measured.doubt,
        };
        if row.trial.variant.is_system() {
            let how = "an answer of the system, put together of its members' repeats";
            cost.readings.iter_mut().for_each(|(_, reading)| put_down(reading, Provenance::Derived, how));
            cost.attainable.clear();
        }
        if let Some(how) = &outcome.predicted {
            cost.readings.iter_mut().for_each(|(_, reading)| put_down(reading, Provenance::Estimated, how));
            cost.attainable.clear();
        }
        Some(cost)
    }

    /// Finds a metric's reading; `None` where it is no metric of a shape.
    pub fn reading(&self, metric: Metric) -> Option<&Reading> {
        self.readings.iter().find(|(m, _)| *m == metric).map(|(_, reading)| reading)
    }

    /// Tells whether this variant is faster than another by a metric of speed, at the same shape: in the rounds that both
    /// have in common and nobody disturbed. Nothing is shown where these are too few though both were measured side by
    /// side, and where the times of either were disturbed or rest on too little.
    pub fn faster(&self, other: &ShapeCost, metric: Metric, level: Level) -> SpeedComparison {
        let not = |reason: String| SpeedComparison::NotShown { reason };
        if self.shape != other.shape {
            return not(format!("{} and {} are different shapes", self.shape, other.shape));
        }
        let common = self.common(other, metric);
        let quiet = common.iter().filter(|(ours, theirs, _)| !ours.disturbed && !theirs.disturbed);
        let mut before: Option<[u32; 2]> = None;
        let round = |&(ours, theirs, (one, other)): &(&RoundRates, &RoundRates, (f64, f64))| {
            let now = [ours.worker, theirs.worker];
            let goes_on = before.replace(now).is_some_and(|before| before[0] == now[0] || before[1] == now[1]);
            speed::Round { one, other, goes_on }
        };
        let quiet: Vec<speed::Round> = quiet.map(round).collect();
        if quiet.len() >= LEAST_ROUNDS {
            let few = "the quiet rounds are of too few processes to show it: raise measure.budget";
            return match speed::ratio(&quiet, level) {
                Ok(ratio) => SpeedComparison::SameRounds(ratio),
                Err(StatsError::TooFew { .. }) => not(few.into()),
                Err(e) => not(e.to_string()),
            };
        }
        if !common.is_empty() {
            let why = match common.len() - quiet.len() {
                0 => "raise measure.budget".to_string(),
                busy => format!("other programs disturbed {busy} of {}; stop them and measure again", common.len()),
            };
            return not(format!(
                "{} quiet rounds are too few to show it, {LEAST_ROUNDS} are needed: {why}",
                quiet.len()
            ));
        }
        if let Some(doubt) = self.doubt.as_ref().or(other.doubt.as_ref()) {
            return not(format!("measured at different times, and one of them on too little: {doubt}"));
        }
        let time = |cost: &ShapeCost| cost.attainable.iter().find(|(m, _)| *m == metric).map(|(_, f)| 1.0 / f.value);
        match time(self).zip(time(other)).map(|(one, two)| speed::apart(one, two, level)) {
            Some(Ok((value, low, high))) => SpeedComparison::DifferentTimes { value, low, high },
            Some(Err(e)) => not(e.to_string()),
            None => not("the speed of one of them was not measured".into()),
        }
    }

    /// The rounds that both have in common, with the rates of both.
    fn common<'a>(&'a self, other: &'a ShapeCost, metric: Metric) -> Vec<(&'a RoundRates, &'a RoundRates, (f64, f64))> {
        let of = |rates: &RoundRates| match metric {
            Metric::DecodeTps | Metric::InterToken => rates.decode,
            _ => Some(rates.prefill),
        };
        let both = |ours: &'a RoundRates| {
            let theirs = other.rounds.iter().find(|theirs| theirs.round == ours.round)?;
            Some((ours, theirs, (of(ours)?, of(theirs)?)))
        };
        self.rounds.iter().filter_map(both).collect()
    }
}

/// Says of a number that it was not measured of what it is told of, and how it came about.
fn put_down(reading: &mut Reading, to: Provenance, how: &str) {
    if let Reading::Known(figure) = reading {
        if figure.provenance != Provenance::Estimated {
            figure.provenance = to;
        }
        figure.how = format!("{}; {how}", figure.how);
    }
}

/// Tells whether a metric is of speed, so that the rounds decide which of two is the better one.
pub fn is_speed(metric: Metric) -> bool {
    matches!(metric, Metric::PrefillTps | Metric::DecodeTps | Metric::Ttft | Metric::InterToken)
}

/// Tells whether every shape was measured in rounds.
pub fn has_rounds(shapes: &[ShapeCost]) -> bool {
    !shapes.is_empty() && shapes.iter().all(|shape| !shape.rounds.is_empty())
}

/// Tells whether one variant is shown faster than another at every shape that both were measured at; not where there is
/// none.
pub fn shown_faster(one: &[ShapeCost], other: &[ShapeCost], metric: Metric, level: Level) -> bool {
    let pairs = one.iter().filter_map(|ours| Some((ours, other.iter().find(|theirs| theirs.shape == ours.shape)?)));
    let shown: Vec<bool> = pairs.map(|(ours, theirs)| ours.faster(theirs, metric, level).shown().is_gt()).collect();
    !shown.is_empty() && shown.iter().all(|&shown| shown)
}

/// The repeats that count, in their batches.
struct Measured<'a> {
    batches: Vec<Vec<&'a SpeedSample>>,
    /// What the batches are: "6 rounds".
    words: String,
    doubt: Option<String>,
}

/// Repeats of before there were rounds are put together in so many batches at most.
const BATCHES: usize = 10;

impl Measured<'_> {
    fn of(samples: &[SpeedSample]) -> Measured<'_> {
        let rounds = by_round(samples);
        if rounds.is_empty() {
            return Measured::without_rounds(samples);
        }
        let quiet: Vec<Vec<&SpeedSample>> = rounds.values().filter(|round| !is_disturbed(round)).cloned().collect();
        let busy = rounds.len() - quiet.len();
        let batches = if quiet.len() >= LEAST_ROUNDS || busy == 0 { quiet } else { rounds.into_values().collect() };
        let (repeats, count) = (batches.iter().map(Vec::len).sum::<usize>(), batches.len());
        let doubt = match (repeats, count) {
            (1, _) => Some("1 repeat".into()),
            (_, 1) => Some(format!("{} in 1 round", counted(repeats, "repeat"))),
            _ if batches.iter().any(|round| is_disturbed(round)) => {
                Some(format!("disturbed in {busy} of {}", counted(count, "round")))
            }
            (_, count) if count < LEAST_ROUNDS => Some(counted(count, "round")),
            _ => None,
        };
        let again = match busy {
            busy if busy > 0 && doubt.is_none() => format!(", {busy} that others disturbed left out"),
            _ => String::new(),
        };
        Measured {
            words: format!("{} in {}{again}", counted(repeats, "repeat"), counted(count, "round")),
            batches,
            doubt,
        }
    }

    /// Repeats that follow each other are alike, so some of them together make a batch where there are enough.
    fn without_rounds(samples: &[SpeedSample]) -> Measured<'_> {
        let size = samples.len().div_ceil(BATCHES).max(1);
        let all: Vec<&SpeedSample> = samples.iter().collect();
        let batches: Vec<Vec<&SpeedSample>> = all.chunks(size).map(<[_]>::to_vec).collect();
        let doubt = (samples.len() == 1).then(|| "1 repeat".to_string());
        let words = match batches.len() {
            1 => counted(samples.len(), "repeat"),
            n => format!("{} in {n} batches", counted(samples.len(), "repeat")),
        };
        Measured { words, batches, doubt }
    }
}

fn by_round(samples: &[SpeedSample]) -> BTreeMap<u64, Vec<&SpeedSample>> {
    let mut rounds: BTreeMap<u64, Vec<&SpeedSample>> = BTreeMap::new();
    for sample in samples {
        if let Some(turn) = &sample.turn {
            rounds.entry(turn.round).or_default().push(sample);
        }
    }
    rounds
}

fn is_disturbed(round: &[&SpeedSample]) -> bool {
    round.iter().any(|sample| sample.turn.as_ref().is_some_and(|turn| turn.disturbed.is_some()))
}

fn round_rates(samples: &[SpeedSample], shape: Shape) -> Vec<RoundRates> {
    let rate = |round: &[&SpeedSample], of: Of| Some(total(round, shape, of)?.rate()).filter(|rate| rate.is_finite());
    let rates = |(number, round): (u64, Vec<&SpeedSample>)| {
        Some(RoundRates {
            round: number,
            prefill: rate(&round, prefill)?,
            decode: rate(&round, decode),
            disturbed: is_disturbed(&round),
            worker: round.last()?.turn.as_ref()?.worker,
        })
    };
    by_round(samples).into_iter().filter_map(rates).collect()
}

fn attainable(samples: &[&SpeedSample], shape: Shape) -> Vec<(Metric, Figure)> {
    let figure = |(metric, of): (Metric, Of)| {
        let times = samples.iter().filter_map(|s| of(s, shape)).map(|spent| spent.cost / spent.amount).collect();
        let best = Sample::new(times).ok()?.percentiles().p5;
        let figure = Figure {
            value: 1.0 / best,
            unit: Unit::TokensPerSecond,
            provenance: Provenance::Measured,
            interval: None,
            no_interval: None,
            n: Some(samples.len()),
            how: format!("5th percentile of the times of {} at {shape}", counted(samples.len(), "repeat")),
        };
        figure.value.is_finite().then_some((metric, figure))
    };
    [(Metric::PrefillTps, prefill as Of), (Metric::DecodeTps, decode as Of)].into_iter().filter_map(figure).collect()
}

fn percentiles(values: Vec<f64>) -> Option<Percentiles> {
    Sample::new(values).ok().map(|sample| sample.percentiles())
}

/// How many tokens, or answers, and what they took.
#[derive(Clone, Copy)]
struct Spent {
    amount: f64,
    cost: f64,
}

impl Spent {
    fn rate(self) -> f64 {
        self.amount / self.cost
    }
}

/// One repeat's; None where the repeat cannot give it.
type Of = fn(&SpeedSample, Shape) -> Option<Spent>;

/// The sum over a batch; None as soon as one repeat has none.
fn total(batch: &[&SpeedSample], shape: Shape, of: Of) -> Option<Spent> {
    batch.iter().try_fold(Spent { amount: 0.0, cost: 0.0 }, |sum, sample| {
        let one = of(sample, shape)?;
        Some(Spent { amount: sum.amount + one.amount, cost: sum.cost + one.cost })
    })
}

fn prefill(sample: &SpeedSample, shape: Shape) -> Option<Spent> {
    Some(Spent { amount: shape.prompt as f64, cost: sample.prefill.0 })
}

fn decode(sample: &SpeedSample, shape: Shape) -> Option<Spent> {
    decodes(sample).then(|| Spent { amount: decoded(sample, shape), cost: sample.decode.0 })
}

fn first_token(sample: &SpeedSample, _: Shape) -> Option<Spent> {
    Some(Spent { amount: 1.0, cost: sample.ttft.0 })
}

const TIMED: [(Metric, Of); 4] = [
    (Metric::PrefillTps, prefill),
    (Metric::DecodeTps, decode),
    (Metric::Ttft, first_token),
    (Metric::InterToken, decode),
];

const POWERED: [(Metric, Of); 3] = [
    (Metric::PrefillEnergy, |s, shape| Some(Spent { amount: shape.prompt as f64, cost: s.energy?.prefill_joules })),
    (Metric::DecodeEnergy, |s, shape| {
        let cost = s.energy?.decode_joules;
        decodes(s).then(|| Spent { amount: decoded(s, shape), cost })
    }),
    (Metric::Energy1000, |s, _| {
        let energy = s.energy?;
        Some(Spent { amount: 3600.0 / 1000.0, cost: energy.prefill_joules + energy.decode_joules })
    }),
];

/// An encoder decodes nothing, and nor does who is asked for one token, which comes out of the prefill.
fn decodes(sample: &SpeedSample) -> bool {
    sample.decode.0 > 0.0
}

/// The tokens that `decode` took the time of: the first one comes out of the prefill.
fn decoded(sample: &SpeedSample, shape: Shape) -> f64 {
    match sample.inter_token.len() {
        0 => shape.output.saturating_sub(1).max(1) as f64,
        gaps => gaps as f64,
    }
}

const NOTHING_DECODED: &str = "nothing was decoded: an encoder answers in one pass, and so does a single output token";

fn timed(outcome: &Outcome, measured: &Measured, shape: Shape, metric: Metric, of: Of, level: Level) -> Reading {
    if let Err(failure) = &outcome.result {
        return Reading::missing(failure.sentence());
    }
    let batches: Vec<Batch> = (measured.batches.iter())
        .filter_map(|batch| total(batch, shape, of))
        .map(|Spent { amount, cost }| Batch { amount, cost })
        .collect();
    if batches.is_empty() {
        let is_empty = outcome.samples.is_empty();
        return Reading::missing(if is_empty { "no repeat was finished" } else { NOTHING_DECODED });
    }
    let rate = match speed::rate(&batches, level) {
        // a latency is seconds a token
        Ok(rate) if metric.unit() == Unit::TokensPerSecond => rate,
        Ok(rate) => rate.inverted(),
        Err(e) => return Reading::missing(format!("the times of its repeats give no rate: {e}")),
    };
    let interval = rate.ends.map(|(low, high)| record::Interval { low, high, level: level.get() });
    Reading::Known(Figure {
        value: rate.value,
        unit: metric.unit(),
        provenance: Provenance::Measured,
        interval,
        no_interval: measured.doubt.clone().filter(|_| interval.is_none()),
        n: Some(measured.batches.iter().map(Vec::len).sum()),
        how: format!("over {} at {shape}{}", measured.words, measured.marked()),
    })
}

impl Measured<'_> {
    fn marked(&self) -> String {
        self.doubt.as_ref().map_or(String::new(), |doubt| format!("; too little to rely on: {doubt}"))
    }
}

/// The weakest origin among the repeats labels them all: a mean of measured and estimated is an estimate. What is not
/// shown to be above the idle machine is no figure.
fn powered(outcome: &Outcome, measured: &Measured, shape: Shape, metric: Metric, of: Of, level: Level) -> Reading {
    if let Err(failure) = &outcome.result {
        return Reading::missing(failure.sentence());
    }
    let counted = || measured.batches.iter().flatten();
    let spent: Vec<Spent> = measured.batches.iter().filter_map(|batch| total(batch, shape, of)).collect();
    if spent.is_empty() {
        return Reading::missing(match &outcome.energy {
            _ if metric == Metric::DecodeEnergy && !outcome.samples.is_empty() && !counted().any(|s| decodes(s)) => {
                NOTHING_DECODED
            }
            Reading::Missing { reason } => reason,
            Reading::Known(_) => "the energy of single repeats was not read",
        });
    }
    if 2 * spent.len() < measured.batches.len() {
        return Reading::missing(format!(
            "the idle power changed in {} of {} by as much as the work drew: stop other programs and measure again",
            measured.batches.len() - spent.len(),
            super::figures::counted(measured.batches.len(), "round")
        ));
    }
    let estimated = |s: &SpeedSample| s.energy.is_some_and(|e| e.provenance == Provenance::Estimated);
    let provenance = if counted().any(|s| estimated(s)) { Provenance::Estimated } else { Provenance::Measured };
    let amount: f64 = spent.iter().map(|s| s.amount).sum();
    let value = spent.iter().map(|s| s.cost).sum::<f64>() / amount;
    // joules above idle may be below zero in a batch, so their interval is on their own scale
    let each = Sample::new(spent.iter().map(|s| s.cost / s.amount).collect());
    let interval = each.and_then(|each| interval::student(&each, level)).ok();
    let unit = metric.unit();
    if value <= 0.0 || interval.is_some_and(|i| i.low <= 0.0 && spent.len() >= LEAST_ROUNDS) {
        let seen =
            interval.map_or(String::new(), |i| format!(", between {} and {}", unit.show(i.low), unit.show(i.high)));
        return Reading::missing(format!(
            "the work is not shown to draw more than the idle machine ({}{seen}): other work disturbed the idle baseline, \
             or the meter is too coarse for work so short",
            unit.show(value)
        ));
    }
    Reading::Known(Figure {
        value,
        unit,
        provenance,
        interval: interval.map(|i| record::Interval { low: i.low.max(0.0), ..as_record(i) }),
        no_interval: None,
        n: Some(counted().count()),
        how: format!("over {} at {shape}{}", measured.words, measured.marked()),
    })
}

/// Gives the memory a variant needs at work: the highest peak over its speed shapes, or over its tasks where no speed
/// was measured (scoring many items at once takes more than answering one). Missing as soon as one of them is: what ran
/// out of memory has no peak, and the peaks of what did fit would hide that.
pub fn peak_memory(rows: &[&Row]) -> Reading {
    let speed: Vec<&Row> = rows.iter().copied().filter(|row| matches!(row.trial.ask, Ask::Speed(_))).collect();
    let at_work = if speed.is_empty() { rows } else { &speed };
    let mut highest: Option<(&Row, &Figure)> = None;
    for row in at_work {
        match &row.outcome.peak_memory {
            Reading::Missing { reason } => {
                return Reading::missing(format!("unknown at {}: {reason}", row.trial.ask.label()));
            }
            Reading::Known(figure) if highest.is_none_or(|(_, most)| figure.value > most.value) => {
                highest = Some((row, figure));
            }
            Reading::Known(_) => {}
        }
    }
    match highest {
        Some((row, most)) => Reading::Known(Figure {
            how: format!("{}, highest at {}", most.how, row.trial.ask.label()),
            ..most.clone()
        }),
        None => Reading::missing("nothing was run"),
    }
}

/// Gives the size of the variant's files, in bytes.
pub fn disk(rows: &[&Row]) -> Reading {
    let readings = || rows.iter().map(|row| &row.outcome.disk);
    let known = readings().find(|reading| reading.known().is_some());
    known.or(readings().next()).cloned().unwrap_or_else(|| Reading::missing("nothing was run"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, bytes};
    use bantam_core::record::Failure;

    fn cost(made: Made) -> ShapeCost {
        ShapeCost::of(&made.rows()[0], Level::P95).unwrap()
    }

    #[test]
    fn a_rate_is_what_was_delivered_with_an_interval_above_zero() {
        // 31 tokens each: one repeat hung for half a minute
        let cost = cost(Made::base("m", 10).speed(&[100.0, 1.0]));
        let decode = cost.reading(Metric::DecodeTps).unwrap().known().unwrap();
        assert!((decode.value - 62.0 / 31.31).abs() < 1e-9, "{}", decode.value);
        let interval = decode.interval.unwrap();
        assert!(interval.low > 0.0 && interval.low < decode.value && decode.value < interval.high, "{interval:?}");
        assert_eq!((decode.n, cost.repeats), (Some(2), 2));
        let gap = cost.reading(Metric::InterToken).unwrap().value().unwrap();
        assert!((gap * decode.value - 1.0).abs() < 1e-12);
        assert!(cost.inter_token.unwrap().p50 > 0.0 && cost.ttft.is_some());
    }

    /// Rounds of one repeat each, numbered from `first`; a rate below zero is one that was disturbed.
    fn in_rounds(name: &str, first: u64, tps: &[f64]) -> ShapeCost {
        let mut row = Made::base(name, 10).speed(&tps.iter().map(|t| t.abs()).collect::<Vec<_>>()).rows().remove(0);
        for (n, sample) in row.outcome.samples.iter_mut().enumerate() {
            sample.turn = Some(bantam_core::record::Turn {
                round: first + n as u64,
                started: 0.0,
                worker: n as u32 / 2,
                peak: None,
                disturbed: (tps[n] < 0.0).then(|| "other programs kept 2.0 of 2 CPUs busy".into()),
            });
        }
        ShapeCost::of(&row, Level::P95).unwrap()
    }

    fn told(one: &ShapeCost, other: &ShapeCost) -> SpeedComparison {
        one.faster(other, Metric::DecodeTps, Level::P95)
    }

    #[test]
    fn what_slows_a_round_down_slows_both_and_cancels() {
        let machine = [1.0, 0.4, 1.1, 0.5, 0.9, 0.6];
        let a = in_rounds("a", 1, &machine.map(|m| 104.0 * m));
        let b = in_rounds("b", 1, &machine.map(|m| 100.0 * m));
        let ratio = told(&a, &b);
        assert!(matches!(&ratio, SpeedComparison::SameRounds(r) if (r.value - 1.04).abs() < 1e-9 && r.rounds == 6));
        assert_eq!(ratio.shown(), std::cmp::Ordering::Greater);
        assert_eq!(told(&b, &a).shown(), std::cmp::Ordering::Less);
        let width = |cost: &ShapeCost| {
            let interval = cost.reading(Metric::DecodeTps).unwrap().known().unwrap().interval.unwrap();
            interval.high / interval.low
        };
        assert!(width(&a) > 1.5, "alone it is known to no such difference");
    }

    #[test]
    fn nothing_is_faster_on_a_disturbed_machine_or_in_few_rounds() {
        let quiet = in_rounds("a", 1, &[200.0; 6]);
        let busy = in_rounds("b", 1, &[100.0, -50.0, 100.0, -50.0, 100.0, 100.0]);
        let SpeedComparison::NotShown { reason } = told(&quiet, &busy) else { panic!("four quiet rounds") };
        assert!(reason.contains("4 quiet rounds are too few") && reason.contains("disturbed 2 of 6"), "{reason}");
        assert_eq!(busy.doubt.as_deref(), Some("disturbed in 2 of 6 rounds"));
        let few = in_rounds("c", 1, &[100.0; 3]);
        assert_eq!(told(&quiet, &few).shown(), std::cmp::Ordering::Equal);
        assert_eq!(few.doubt.as_deref(), Some("3 rounds"));
    }

    #[test]
    fn two_processes_of_each_show_nothing_however_many_rounds_they_made() {
        let mut a = in_rounds("a", 1, &[110.0; 8]);
        a.rounds.iter_mut().for_each(|rates| rates.worker /= 2);
        let SpeedComparison::NotShown { reason } = told(&a, &in_rounds("b", 1, &[100.0; 8])) else {
            panic!("of two processes")
        };
        assert!(reason.contains("too few processes"), "{reason}");
    }

    #[test]
    fn disturbed_rounds_that_were_made_again_do_not_count() {
        let cost = in_rounds("a", 1, &[100.0, -10.0, 100.0, 100.0, 100.0, -10.0, 100.0]);
        let decode = cost.reading(Metric::DecodeTps).unwrap().known().unwrap();
        assert!((decode.value - 100.0).abs() < 1e-9 && cost.doubt.is_none());
        assert!(decode.how.contains("5 repeats in 5 rounds, 2 that others disturbed left out"), "{}", decode.how);
    }

    #[test]
    fn measured_at_different_times_is_said_with_that_word() {
        let (a, b) = (in_rounds("a", 1, &[110.0; 6]), in_rounds("b", 100, &[100.0; 6]));
        assert!(matches!(told(&a, &b), SpeedComparison::DifferentTimes { value, .. } if (value - 1.1).abs() < 1e-9));
        assert_eq!(told(&a, &b).shown(), std::cmp::Ordering::Equal, "10% is what the machine differs by");
        let c = in_rounds("c", 100, &[70.0; 6]);
        assert_eq!(told(&a, &c).shown(), std::cmp::Ordering::Greater);
    }

    #[test]
    fn a_single_repeat_is_marked_wherever_its_figure_goes() {
        let cost = in_rounds("a", 1, &[7.45]);
        assert_eq!(cost.doubt.as_deref(), Some("1 repeat"));
        let decode = cost.reading(Metric::DecodeTps).unwrap().known().unwrap();
        assert!(decode.how.ends_with("too little to rely on: 1 repeat") && decode.interval.is_none(), "{}", decode.how);
    }

    #[test]
    fn what_the_machine_can_do_is_the_5th_percentile_of_the_times() {
        let cost = in_rounds("a", 1, &[100.0, 100.0, 50.0, 100.0, 25.0, 100.0]);
        let (_, best) = cost.attainable.iter().find(|(m, _)| *m == Metric::DecodeTps).unwrap();
        assert!((best.value - 100.0).abs() < 1e-9);
    }

    #[test]
    fn joules_below_idle_or_not_shown_above_it_are_no_figure() {
        let made = |joules: &[f64]| {
            let mut row = Made::base("m", 10).speed(&[100.0; 6]).joules(1.0, Provenance::Measured).rows().remove(0);
            for (sample, joules) in row.outcome.samples.iter_mut().zip(joules) {
                sample.energy.as_mut().unwrap().decode_joules = 31.0 * joules;
            }
            ShapeCost::of(&row, Level::P95).unwrap().reading(Metric::DecodeEnergy).unwrap().clone()
        };
        for joules in [[-1.0; 6], [1.0, -1.0, 2.0, -1.5, 0.5, -0.5]] {
            let reading = made(&joules);
            let Reading::Missing { reason } = &reading else { panic!("{reading:?}") };
            assert!(reason.contains("idle"), "{reason}");
        }
        // noise around a figure that is there is kept, or the mean would be too large
        let known = made(&[1.0, 1.2, 0.8, 1.1, 0.9, 1.0]);
        assert!((known.value().unwrap() - 1.0).abs() < 1e-9 && known.known().unwrap().interval.unwrap().low >= 0.0);
    }

    #[test]
    fn energy_without_a_meter_is_missing_with_its_reason() {
        let cost = cost(Made::base("m", 10).speed(&[100.0, 110.0]));
        assert_eq!(cost.reading(Metric::DecodeEnergy), Some(&Reading::missing("no meter here")));
    }

    #[test]
    fn one_estimated_repeat_makes_the_mean_an_estimate() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).joules(2.0, Provenance::Measured).rows().remove(0);
        let read = |row: &Row| {
            ShapeCost::of(row, Level::P95).unwrap().reading(Metric::DecodeEnergy).unwrap().known().unwrap().clone()
        };
        assert_eq!(read(&row).provenance, Provenance::Measured);
        assert!((read(&row).value - 2.0).abs() < 1e-9);
        row.outcome.samples[1].energy.as_mut().unwrap().provenance = Provenance::Estimated;
        assert_eq!(read(&row).provenance, Provenance::Estimated);
    }

    #[test]
    fn memory_is_that_of_the_speed_shapes_where_there_are_some() {
        let rows = Made::base("m", 10).task("t", &[1, 0]).speed(&[100.0, 110.0]).rows();
        let mut rows: Vec<Row> = rows;
        rows[0].outcome.peak_memory = bytes(900.0);
        rows[1].outcome.peak_memory = bytes(500.0);
        let all: Vec<&Row> = rows.iter().collect();
        assert_eq!(peak_memory(&all).value(), Some(500.0));
        assert_eq!(peak_memory(&all[..1]).value(), Some(900.0));
        assert!(peak_memory(&[]).known().is_none());
    }

    #[test]
    fn what_ran_out_of_memory_has_no_peak() {
        let mut rows = Made::base("m", 10).speed(&[100.0, 110.0]).speed(&[90.0, 91.0]).rows();
        rows[1].outcome.peak_memory = Reading::missing("killed at 2 GiB");
        let reading = peak_memory(&rows.iter().collect::<Vec<_>>());
        assert!(matches!(&reading, Reading::Missing { reason } if reason.contains("killed at 2 GiB")), "{reading:?}");
    }

    #[test]
    fn what_decodes_nothing_has_no_decode_speed_and_says_why() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).rows().remove(0);
        for sample in &mut row.outcome.samples {
            (sample.decode, sample.inter_token) = (bantam_core::unit::Seconds(0.0), Vec::new());
        }
        let cost = ShapeCost::of(&row, Level::P95).unwrap();
        for metric in [Metric::DecodeTps, Metric::InterToken, Metric::DecodeEnergy] {
            assert_eq!(cost.reading(metric), Some(&Reading::missing(NOTHING_DECODED)), "{metric}");
        }
        assert!(cost.reading(Metric::PrefillTps).unwrap().known().is_some() && cost.inter_token.is_none());
    }

    #[test]
    fn a_failed_shape_has_no_numbers() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).rows().remove(0);
        row.outcome.result = Err(Failure::Timeout { seconds: 5.0 });
        let cost = ShapeCost::of(&row, Level::P95).unwrap();
        assert!(cost.reading(Metric::DecodeTps).unwrap().known().is_none() && cost.ttft.is_none());
    }
}

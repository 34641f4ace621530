//! How fast: prefill and decode apart, warmed up, repeated in short turns until the interval is narrow enough or the time
//! is spent.
//!
//! One repeat is one request of the shape: the prompt in one pass, then token after token, each the likeliest after the
//! one before; the end-of-text token stops nothing, so that every repeat decodes as many. As in llama-bench the prompt
//! is random tokens. The first token out belongs to the prefill, so a shape of n output tokens decodes n − 1. What
//! decodes nothing, an encoder above all, is timed by its prefill alone; its time to the first token is that to its
//! answer.
//!
//! Repeats come in [`Turns::turn`]s: in a round every variant of a run takes one, and the rounds go on for each until
//! [`stop`] says that it is known. So what changes on the machine falls on all alike, and the rounds are the batches of
//! [`bantam_core::stats::speed`]. A turn that other programs disturbed is made again, for as long as that takes no more
//! than half of the budget.

use crate::meter::Clock;
use bantam_core::cancel::Cancel;
use bantam_core::record::{Conditions, Figure, Interval, Provenance, Shape, SpeedSample, Turn, Warning, WarningKind};
use bantam_core::stats::speed::{self, Batch};
use bantam_core::stats::{Level, Sample, outlier};
use bantam_core::unit::{Seconds, Unit, counted};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Undisturbed rounds that are made at least, where the budget allows them: an even number, there and back.
pub const ROUNDS: usize = 6;
/// A turn takes this share of the budget, or one repeat where that takes longer.
const SLICES: u32 = 10;
/// More repeats than this tell nothing more.
const MOST_REPEATS: usize = 1000;
/// Turns that were disturbed are made again while they took no more than this share of the budget.
const AGAIN_SHARE: f64 = 0.5;
/// The warm-up goes on for so long, or for this share of the budget where that is less: clocks need time to rise, and
/// the first pass repacks weights.
const WARM_UP: Duration = Duration::from_millis(300);
const WARM_UP_SHARE: f64 = 0.2;
/// A worker that was warmed up before needs so much of that again: others have had the caches meanwhile.
const WARM_UP_AGAIN: u32 = 6;
/// More outliers than this share of the repeats is noise from outside.
const NOISE: f64 = 0.1;

/// What is timed: a model that takes a prompt and then one token after the other. What it returns is there, not
/// underway: a device that works in the background is waited for.
pub trait Timed {
    /// Why the model gives no token.
    type Error;

    /// Forgets everything and takes a prompt; gives the likeliest next token.
    ///
    /// # Errors
    /// What the model says.
    fn prefill(&mut self, prompt: &[u32]) -> Result<u32, Self::Error>;

    /// Takes one more token; gives the likeliest next one.
    ///
    /// # Errors
    /// What the model says.
    fn decode(&mut self, token: u32) -> Result<u32, Self::Error>;
}

/// Told where the phases of a repeat begin and end, to read meters there.
pub trait Phases {
    /// What the meters showed at one moment.
    type Mark;

    /// Reads the meters now.
    fn mark(&mut self) -> Self::Mark;

    /// Takes in what the meters showed at a repeat's start, at the end of its prefill and at its end.
    fn spent(&mut self, marks: [Self::Mark; 3]);
}

/// Turns of one variant at one shape.
pub struct Turns<'a> {
    /// Prompt and output tokens of a repeat.
    pub shape: Shape,
    /// Size of the model's vocabulary, from which the prompt is drawn.
    pub vocab: u32,
    /// Seed of the prompt.
    pub seed: u64,
    /// How long all repeats of all turns may take together.
    pub budget: Duration,
    /// The clock that times.
    pub clock: &'a dyn Clock,
    /// Set to stop between two repeats.
    pub cancel: &'a Cancel,
}

impl<'a> Turns<'a> {
    /// Makes the turns of a shape under these conditions.
    pub fn new(
        shape: Shape,
        vocab: u32,
        conditions: &Conditions,
        clock: &'a dyn Clock,
        cancel: &'a Cancel,
    ) -> Turns<'a> {
        Turns { shape, vocab, seed: conditions.seed, budget: budget(conditions), clock, cancel }
    }

    /// Warms up and repeats for one turn, at least once, after `earlier` repeats. `warm` is a process that has taken a
    /// turn before. None after a cancel: half a turn is none.
    ///
    /// # Errors
    /// What the model says.
    pub fn turn<M: Timed, P: Phases>(
        &self,
        model: &mut M,
        phases: &mut P,
        earlier: usize,
        warm: bool,
    ) -> Result<Option<Vec<Repeat>>, M::Error> {
        let prompt = self.prompt();
        self.warm_up(model, &prompt, warm)?;
        let mut made: Vec<Repeat> = Vec::new();
        let mut spent = Duration::ZERO;
        while !self.cancel.is_cancelled() {
            let began = self.clock.now();
            let sample = self.once(model, phases, &prompt)?;
            spent += time_of(&sample);
            made.push(Repeat { sample, began });
            if spent >= self.budget / SLICES || earlier + made.len() >= MOST_REPEATS {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// Random tokens, the same for every variant with this vocabulary.
    fn prompt(&self) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        (0..self.shape.prompt).map(|_| random.random_range(0..self.vocab.max(1))).collect()
    }

    fn warm_up<M: Timed>(&self, model: &mut M, prompt: &[u32], warm: bool) -> Result<(), M::Error> {
        let start = self.clock.now();
        let long = WARM_UP.min(self.budget.mul_f64(WARM_UP_SHARE)) / if warm { WARM_UP_AGAIN } else { 1 };
        while !self.cancel.is_cancelled() {
            let mut token = model.prefill(prompt)?;
            for _ in 1..self.shape.output {
                token = model.decode(token)?;
                if self.clock.now() - start >= long {
                    break;
                }
            }
            if self.clock.now() - start >= long {
                break;
            }
        }
        Ok(())
    }

    fn once<M: Timed, P: Phases>(
        &self,
        model: &mut M,
        phases: &mut P,
        prompt: &[u32],
    ) -> Result<SpeedSample, M::Error> {
        let began = phases.mark();
        let start = self.clock.now();
        let mut token = model.prefill(prompt)?;
        let first = self.clock.now();
        let prefilled = phases.mark();
        let decode_start = self.clock.now();
        let mut inter_token = Vec::with_capacity(self.shape.output);
        let mut last = decode_start;
        for _ in 1..self.shape.output {
            token = model.decode(token)?;
            let now = self.clock.now();
            inter_token.push((now - last).as_secs_f64());
            last = now;
        }
        let prefill = Seconds((first - start).as_secs_f64());
        let decode = Seconds((last - decode_start).as_secs_f64());
        let sample = SpeedSample { prefill, ttft: prefill, decode, inter_token, energy: None, turn: None };
        let ended = phases.mark();
        phases.spent([began, prefilled, ended]);
        Ok(sample)
    }
}

/// A repeat, and when on the clock it began.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// The timings.
    pub sample: SpeedSample,
    /// The clock's time at its start.
    pub began: Duration,
}

/// How long a turn takes at least.
pub fn slice(conditions: &Conditions) -> Duration {
    budget(conditions) / SLICES
}

fn budget(conditions: &Conditions) -> Duration {
    Duration::try_from_secs_f64(conditions.budget.0).unwrap_or(Duration::MAX)
}

fn time_of(sample: &SpeedSample) -> Duration {
    Duration::try_from_secs_f64(sample.prefill.0 + sample.decode.0).unwrap_or(Duration::MAX)
}

/// Repeats by their rounds, in the order of the rounds. Those of before there were rounds are no part of one.
pub fn rounds(samples: &[SpeedSample]) -> Vec<Vec<&SpeedSample>> {
    let mut rounds: std::collections::BTreeMap<u64, Vec<&SpeedSample>> = Default::default();
    for sample in samples {
        if let Some(turn) = &sample.turn {
            rounds.entry(turn.round).or_default().push(sample);
        }
    }
    rounds.into_values().collect()
}

/// What took the machine while a round was made, if anything was seen.
pub fn disturbance<'a>(round: &[&'a SpeedSample]) -> Option<&'a str> {
    round.iter().find_map(|sample| sample.turn.as_ref()?.disturbed.as_deref())
}

/// Why no more turns are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The target half-width was reached.
    Precise,
    /// The time set aside was spent before that.
    BudgetSpent,
    /// The most repeats allowed were made before that.
    EnoughRepeats,
}

/// Tells whether these repeats are enough, and why; `None` means one more turn. Both phases must be known well enough.
/// The budget wins over everything, so a slow variant may end with a single repeat; it never ends with none. Precision is
/// asked for after every second round only, since who looks often stops on luck.
pub fn stop(samples: &[SpeedSample], conditions: &Conditions) -> Option<Stop> {
    let rounds = rounds(samples);
    let (clean, disturbed): (Vec<_>, Vec<_>) = rounds.into_iter().partition(|round| disturbance(round).is_none());
    let spent = |rounds: &[Vec<&SpeedSample>]| -> Duration {
        rounds.iter().flatten().fold(Duration::ZERO, |sum, sample| sum.saturating_add(time_of(sample)))
    };
    let budget = budget(conditions);
    let precise = || {
        let known = |width: Option<f64>| width.is_some_and(|width| width <= conditions.half_width);
        let [prefill, decode] = widths(&clean);
        known(prefill) && (known(decode) || !decodes(samples))
    };
    if clean.is_empty() && disturbed.is_empty() {
        None
    } else if clean.len() >= ROUNDS
        && samples.len() >= conditions.min_repeats.min(MOST_REPEATS)
        && clean.len().is_multiple_of(2)
        && precise()
    {
        Some(Stop::Precise)
    } else if spent(&clean).saturating_add(spent(&disturbed).saturating_sub(budget.mul_f64(AGAIN_SHARE))) >= budget {
        Some(Stop::BudgetSpent)
    } else {
        (samples.len() >= MOST_REPEATS).then_some(Stop::EnoughRepeats)
    }
}

/// Gives the memory that a variant needs at a shape: the median of the peaks of the processes that measured it, between
/// the least and the most of them; None where no peak is known.
pub fn peak_memory(samples: &[SpeedSample]) -> Option<Figure> {
    let mut peaks: std::collections::BTreeMap<u32, u64> = Default::default();
    for turn in samples.iter().filter_map(|sample| sample.turn.as_ref()) {
        let peak = peaks.entry(turn.worker).or_default();
        *peak = turn.peak?.0.max(*peak);
    }
    let peaks = Sample::new(peaks.into_values().map(|bytes| bytes as f64).collect()).ok()?;
    // the median lies between the least and the most of n unless all lie on one side of it: 2 · 2⁻ⁿ
    let level = 1.0 - 0.5f64.powi(peaks.len() as i32 - 1);
    let interval = Interval { low: peaks.min(), high: peaks.max(), level };
    let how = match peaks.len() {
        1 => "VmHWM of the worker".into(),
        n => format!("median VmHWM of {n} workers, between the least and the most of them"),
    };
    Some(Figure {
        value: peaks.median(),
        unit: Unit::Bytes,
        provenance: Provenance::Measured,
        interval: (peaks.len() > 1).then_some(interval),
        no_interval: None,
        n: Some(peaks.len()),
        how,
    })
}

fn decodes(samples: &[SpeedSample]) -> bool {
    samples.iter().any(|sample| !sample.inter_token.is_empty())
}

/// The relative half-widths of the intervals of prefill and decode, with the rounds as batches.
fn widths(rounds: &[Vec<&SpeedSample>]) -> [Option<f64>; 2] {
    let phases: [fn(&SpeedSample) -> f64; 2] = [|s| s.prefill.0, |s| s.decode.0];
    phases.map(|time| {
        let batch = |round: &Vec<&SpeedSample>| Batch {
            amount: round.len() as f64,
            cost: round.iter().map(|sample| time(sample)).sum(),
        };
        let batches: Vec<Batch> = rounds.iter().map(batch).collect();
        speed::rate(&batches, Level::P95).ok()?.relative_half_width()
    })
}

/// What makes the timings of a finished measurement doubtful.
pub fn warnings(samples: &[SpeedSample], stop: Stop, conditions: &Conditions) -> Vec<Warning> {
    disturbed(samples).into_iter().chain(imprecise(samples, stop, conditions)).chain(noisy(samples)).collect()
}

fn disturbed(samples: &[SpeedSample]) -> Option<Warning> {
    let rounds = rounds(samples);
    let seen: Vec<&str> = rounds.iter().filter_map(|round| disturbance(round)).collect();
    let (first, clean) = (seen.first()?, rounds.len() - seen.len());
    let then = match clean >= speed::LEAST_ROUNDS {
        // these were made again, and only the others count
        true => return None,
        false => "too few were quiet, so its speed is compared with no other; stop other programs and measure again",
    };
    let text = format!("{first} in {} of {}: {then}", seen.len(), counted(rounds.len(), "round"));
    Some(Warning { kind: WarningKind::ForeignLoad, text })
}

fn imprecise(samples: &[SpeedSample], stop: Stop, conditions: &Conditions) -> Option<Warning> {
    let why = match stop {
        Stop::Precise => return None,
        Stop::BudgetSpent => format!("the {} of measure.budget were spent", conditions.budget),
        Stop::EnoughRepeats => "no more are made".into(),
    };
    let rounds = rounds(samples);
    let [prefill, decode] = widths(&rounds).map(|width| match width {
        Some(width) => format!("±{:.1}%", width * 100.0),
        None => "no interval (a single round)".into(),
    });
    let decode = if decodes(samples) { format!(" and decode to {decode}") } else { String::new() };
    let text = format!(
        "{why} after {} in {}: prefill is known to {prefill}{decode}, ±{:.1}% was asked; raise measure.budget or \
         measure.half_width, or quieten the machine",
        counted(samples.len(), "repeat"),
        counted(rounds.len(), "round"),
        conditions.half_width * 100.0
    );
    Some(Warning { kind: WarningKind::BudgetSpent, text })
}

fn noisy(samples: &[SpeedSample]) -> Option<Warning> {
    let count = |of: fn(&SpeedSample) -> f64| {
        Sample::new(samples.iter().map(of).collect()).map_or(0, |sample| outlier::outliers(&sample).len())
    };
    let most = count(|s| s.prefill.0).max(count(|s| s.decode.0));
    (most >= 2 && most as f64 > NOISE * samples.len() as f64).then(|| Warning {
        kind: WarningKind::Noisy,
        text: format!(
            "{most} of {} repeats were outliers: something else took the machine now and then; stop other programs and \
             measure again",
            samples.len()
        ),
    })
}

/// Writes into the repeats of a turn when and where they were made, and what disturbed it. `epoch` is the clock's zero in
/// seconds since the Unix epoch.
pub fn sign(repeats: Vec<Repeat>, turn: &Turn, epoch: f64) -> Vec<SpeedSample> {
    let signed = |Repeat { sample, began }: Repeat| SpeedSample {
        turn: Some(Turn { started: epoch + began.as_secs_f64(), ..turn.clone() }),
        ..sample
    };
    repeats.into_iter().map(signed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::clock::Hand;
    use std::convert::Infallible;

    /// Takes its time on a clock in hand: a second per prompt token's hundredth, and a listed time per token.
    struct Fake<'a> {
        clock: &'a Hand,
        prefills: usize,
        decodes: usize,
        gaps: fn(usize) -> u64,
    }

    impl Timed for Fake<'_> {
        type Error = Infallible;

        fn prefill(&mut self, prompt: &[u32]) -> Result<u32, Infallible> {
            self.clock.turn(Duration::from_millis(10 * prompt.len() as u64));
            self.prefills += 1;
            Ok(7)
        }

        fn decode(&mut self, token: u32) -> Result<u32, Infallible> {
            assert_eq!(token, 7);
            self.clock.turn(Duration::from_millis((self.gaps)(self.decodes)));
            self.decodes += 1;
            Ok(7)
        }
    }

    /// Writes down the time of every mark.
    struct Watch<'a>(&'a Hand, Vec<[Duration; 3]>);

    impl Phases for Watch<'_> {
        type Mark = Duration;

        fn mark(&mut self) -> Duration {
            // reading a meter takes time, which must be in no phase
            self.0.turn(Duration::from_millis(1));
            self.0.now()
        }

        fn spent(&mut self, marks: [Duration; 3]) {
            self.1.push(marks);
        }
    }

    const SHAPE: Shape = Shape { prompt: 4, output: 3 };

    fn conditions(half_width: f64, budget: f64) -> Conditions {
        Conditions {
            threads: 1,
            seed: 3,
            max_length: None,
            limit: None,
            half_width,
            budget: Seconds(budget),
            min_repeats: 5,
            timeout: None,
            memory_limit: None,
            tdp_watts: None,
            idle: Seconds(0.0),
            engine: Default::default(),
        }
    }

    /// Turns until it stops. `disturbed` tells which rounds were.
    fn measure(
        gaps: fn(usize) -> u64,
        conditions: &Conditions,
        disturbed: fn(usize) -> bool,
    ) -> (Stop, Vec<SpeedSample>, usize) {
        let (clock, cancel) = (Hand::default(), Cancel::new());
        let turns = Turns::new(SHAPE, 100, conditions, &clock, &cancel);
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps };
        let mut samples = Vec::new();
        let mut phases = Watch(&clock, Vec::new());
        for round in 0.. {
            let Ok(made) = turns.turn(&mut model, &mut phases, samples.len(), round > 0);
            let disturbed = disturbed(round).then(|| "other programs kept 1.0 of 2 CPUs busy".to_string());
            let turn = Turn { round: round as u64, started: 0.0, worker: 1, peak: None, disturbed };
            samples.extend(sign(made.expect("nobody cancelled"), &turn, 100.0));
            if let Some(stop) = stop(&samples, conditions) {
                return (stop, samples, model.prefills);
            }
        }
        unreachable!()
    }

    fn never(_: usize) -> bool {
        false
    }

    #[test]
    fn a_steady_model_is_known_after_the_least_rounds() {
        let conditions = conditions(0.05, 10.0);
        let (stop, samples, prefills) = measure(|_| 20, &conditions, never);
        // a turn is a second: 13 repeats of 80 ms
        assert_eq!((stop, samples.len(), rounds(&samples).len()), (Stop::Precise, 78, ROUNDS));
        let sample = &samples[0];
        assert!((sample.prefill.0 - 0.040).abs() < 1e-9 && (sample.decode.0 - 0.040).abs() < 1e-9, "{sample:?}");
        assert_eq!(sample.inter_token, [0.02, 0.02]);
        // 300 ms of warm-up at first, 50 ms later: 80 ms each
        assert_eq!(prefills, 4 + 5 + 78);
        assert!(warnings(&samples, stop, &conditions).is_empty());
        let starts: Vec<f64> = samples.iter().map(|s| s.turn.as_ref().unwrap().started).collect();
        assert!(starts[0] > 100.0 && starts.windows(2).all(|pair| pair[0] < pair[1]), "{starts:?}");
    }

    #[test]
    fn a_wild_model_spends_the_budget_and_says_so() {
        let conditions = conditions(0.01, 2.0);
        let (stop, samples, _) = measure(|i| 10 + 90 * (i as u64 / 7 % 2), &conditions, never);
        assert_eq!(stop, Stop::BudgetSpent);
        let spent: f64 = samples.iter().map(|s| s.prefill.0 + s.decode.0).sum();
        assert!((2.0..2.3).contains(&spent), "{spent}");
        let warnings = warnings(&samples, stop, &conditions);
        assert_eq!(warnings[0].kind, WarningKind::BudgetSpent);
        assert!(warnings[0].text.contains("prefill is known to ±0.0% and decode to ±"), "{}", warnings[0].text);
    }

    #[test]
    fn a_disturbed_round_is_made_again() {
        let conditions = conditions(0.05, 10.0);
        let (stop, samples, _) = measure(|_| 20, &conditions, |round| round == 1 || round == 2);
        assert_eq!((stop, rounds(&samples).len()), (Stop::Precise, ROUNDS + 2));
        assert!(warnings(&samples, stop, &conditions).is_empty(), "the quiet rounds suffice");
    }

    #[test]
    fn on_a_machine_that_never_rests_it_ends_and_says_so() {
        let conditions = conditions(0.05, 10.0);
        let (stop, samples, _) = measure(|_| 20, &conditions, |_| true);
        let spent: f64 = samples.iter().map(|s| s.prefill.0 + s.decode.0).sum();
        assert!(stop == Stop::BudgetSpent && (15.0..16.5).contains(&spent), "{stop:?} {spent}");
        let warnings = warnings(&samples, stop, &conditions);
        let busy = warnings.iter().find(|w| w.kind == WarningKind::ForeignLoad).expect("it says so");
        assert!(busy.text.contains("1.0 of 2 CPUs busy in 15 of 15 rounds"), "{}", busy.text);
    }

    #[test]
    fn a_single_slow_repeat_is_enough_when_the_budget_is_spent() {
        let conditions = conditions(0.05, 0.01);
        let (stop, samples, prefills) = measure(|_| 20, &conditions, never);
        assert_eq!((stop, samples.len(), prefills), (Stop::BudgetSpent, 1, 2));
        let text = &warnings(&samples, stop, &conditions)[0].text;
        assert!(text.contains("after 1 repeat in 1 round:") && text.contains("a single round"), "{text}");
    }

    #[test]
    fn what_decodes_nothing_is_timed_by_its_prefill() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 1.0));
        let turns = Turns::new(Shape { output: 0, ..SHAPE }, 100, &conditions, &clock, &cancel);
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps: |_| 20 };
        let mut samples = Vec::new();
        for round in 0..6 {
            let Ok(made) = turns.turn(&mut model, &mut Watch(&clock, Vec::new()), 0, false);
            let turn = Turn { round, started: 0.0, worker: 1, peak: None, disturbed: None };
            samples.extend(sign(made.expect("nobody cancelled"), &turn, 0.0));
        }
        assert_eq!((stop(&samples, &conditions), model.decodes), (Some(Stop::Precise), 0));
        assert!(samples.iter().all(|s| s.inter_token.is_empty() && s.decode.0 == 0.0 && s.ttft == s.prefill));
    }

    #[test]
    fn memory_is_the_median_of_several_processes() {
        let sample = |worker: u32, mib: u64| SpeedSample {
            prefill: Seconds(0.1),
            ttft: Seconds(0.1),
            decode: Seconds(0.1),
            inter_token: vec![0.1],
            energy: None,
            turn: Some(Turn {
                round: 1,
                started: 0.0,
                worker,
                peak: Some(bantam_core::unit::Bytes(mib << 20)),
                disturbed: None,
            }),
        };
        let samples = [sample(1, 20), sample(1, 22), sample(2, 30), sample(3, 21)];
        let peak = peak_memory(&samples).expect("all are known");
        assert_eq!((peak.value, peak.n), (f64::from(22 << 20), Some(3)));
        let interval = peak.interval.expect("there are several");
        assert_eq!((interval.low, interval.high, interval.level), (f64::from(21 << 20), f64::from(30 << 20), 0.75));
        assert_eq!(peak_memory(&samples[..2]).expect("one is").interval, None);
        assert_eq!(peak_memory(&[]), None);
    }

    #[test]
    fn half_a_turn_is_none() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 1.0));
        let turns = Turns::new(SHAPE, 100, &conditions, &clock, &cancel);
        cancel.cancel();
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps: |_| 20 };
        assert_eq!(turns.turn(&mut model, &mut Watch(&clock, Vec::new()), 0, false), Ok(None));
    }

    #[test]
    fn the_prompt_is_the_same_every_time_and_within_the_vocabulary() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 1.0));
        let shape = Shape { prompt: 1000, output: 2 };
        let prompt = || Turns::new(shape, 50, &conditions, &clock, &cancel).prompt();
        assert_eq!(prompt(), prompt());
        assert!(prompt().iter().all(|&t| t < 50) && prompt().iter().any(|&t| t > 40));
    }

    #[test]
    fn meters_are_read_around_both_phases() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 0.01));
        let turns = Turns::new(SHAPE, 100, &conditions, &clock, &cancel);
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps: |_| 20 };
        let mut watch = Watch(&clock, Vec::new());
        turns.turn(&mut model, &mut watch, 0, false).expect("nothing fails");
        let [a, b, c] = watch.1[0];
        assert_eq!(((b - a).as_millis(), (c - b).as_millis()), (41, 41));
    }
}

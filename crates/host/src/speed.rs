//! How fast: prefill and decode apart, warmed up, repeated until the interval is narrow enough or the time is spent.
//!
//! One repeat is one request of the shape: the prompt in one pass, then token after token, each the likeliest after the
//! one before; the end-of-text token stops nothing, so that every repeat decodes as many. As in llama-bench the prompt
//! is random tokens. The first token out belongs to the prefill, so a shape of n output tokens decodes n − 1. What
//! decodes nothing, an encoder above all, is timed by its prefill alone; its time to the first token is that to its
//! answer.

use crate::meter::Clock;
use bantam_core::cancel::Cancel;
use bantam_core::record::{Conditions, Shape, SpeedSample, Warning, WarningKind};
use bantam_core::stats::sequential::{Rule, Stop};
use bantam_core::stats::{Level, Sample, StatsError, outlier};
use bantam_core::unit::Seconds;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// More repeats than this tell nothing more.
const MOST_REPEATS: usize = 1000;
/// The warm-up goes on for so long, or for this share of the budget where that is less: clocks need time to rise, and
/// the first pass repacks weights.
const WARM_UP: Duration = Duration::from_millis(300);
const WARM_UP_SHARE: f64 = 0.2;
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

    /// Fills in what was spent between a repeat's start, the end of its prefill and its end.
    fn spent(&mut self, marks: [Self::Mark; 3], sample: &mut SpeedSample);
}

/// How a measurement is done.
pub struct Protocol<'a> {
    /// Prompt and output tokens of a repeat.
    pub shape: Shape,
    /// Size of the model's vocabulary, from which the prompt is drawn.
    pub vocab: u32,
    /// Seed of the prompt.
    pub seed: u64,
    /// When to stop repeating.
    pub rule: Rule,
    /// How long all repeats may take together.
    pub budget: Duration,
    /// The clock that times.
    pub clock: &'a dyn Clock,
    /// Set to stop between two repeats.
    pub cancel: &'a Cancel,
}

impl<'a> Protocol<'a> {
    /// Makes the protocol of a shape under these conditions.
    ///
    /// # Errors
    /// Where `half_width` is not above zero.
    pub fn new(
        shape: Shape,
        vocab: u32,
        conditions: &Conditions,
        clock: &'a dyn Clock,
        cancel: &'a Cancel,
    ) -> Result<Protocol<'a>, StatsError> {
        let budget = Duration::try_from_secs_f64(conditions.budget.0).unwrap_or(Duration::MAX);
        let rule = Rule::new(conditions.half_width, Level::P95, budget)?.repeats(conditions.min_repeats, MOST_REPEATS);
        Ok(Protocol { shape, vocab, seed: conditions.seed, rule, budget, clock, cancel })
    }

    /// Warms up and repeats, and hands every finished repeat to `each` at once. `earlier` repeats, of an interrupted
    /// measurement, count. Says what became of it: which repeats there are and why it stopped; None after a cancel.
    ///
    /// # Errors
    /// What the model says.
    pub fn measure<M: Timed, P: Phases>(
        &self,
        model: &mut M,
        phases: &mut P,
        earlier: Vec<SpeedSample>,
        each: &mut dyn FnMut(&SpeedSample),
    ) -> Result<Option<Measured>, M::Error> {
        let mut samples = earlier;
        if let Some(stop) = self.stop(&samples) {
            return Ok(Some(Measured { samples, stop }));
        }
        let prompt = self.prompt();
        self.warm_up(model, &prompt)?;
        loop {
            if self.cancel.is_cancelled() {
                return Ok(None);
            }
            let sample = self.once(model, phases, &prompt)?;
            each(&sample);
            samples.push(sample);
            if let Some(stop) = self.stop(&samples) {
                return Ok(Some(Measured { samples, stop }));
            }
        }
    }

    /// Random tokens, the same for every variant with this vocabulary.
    fn prompt(&self) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        (0..self.shape.prompt).map(|_| random.random_range(0..self.vocab.max(1))).collect()
    }

    fn warm_up<M: Timed>(&self, model: &mut M, prompt: &[u32]) -> Result<(), M::Error> {
        let start = self.clock.now();
        let long = WARM_UP.min(self.budget.mul_f64(WARM_UP_SHARE));
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
        let mut sample = SpeedSample { prefill, ttft: prefill, decode, inter_token, energy: None };
        let ended = phases.mark();
        phases.spent([began, prefilled, ended], &mut sample);
        Ok(sample)
    }

    /// Both phases must be known well enough; time is up for both at once.
    fn stop(&self, samples: &[SpeedSample]) -> Option<Stop> {
        let [prefill, decode] = both_phases(samples);
        let spent: f64 = prefill.iter().chain(&decode).sum();
        let spent = Duration::try_from_secs_f64(spent).unwrap_or(Duration::MAX);
        if self.shape.output <= 1 {
            return self.rule.stop(&prefill, spent);
        }
        match (self.rule.stop(&prefill, spent)?, self.rule.stop(&decode, spent)?) {
            (Stop::Precise, stop) | (stop, _) => Some(stop),
        }
    }
}

fn both_phases(samples: &[SpeedSample]) -> [Vec<f64>; 2] {
    [samples.iter().map(|s| s.prefill.0).collect(), samples.iter().map(|s| s.decode.0).collect()]
}

/// All repeats of a measurement, and why they were enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// All repeats, earlier ones included.
    pub samples: Vec<SpeedSample>,
    /// Why no more were made.
    pub stop: Stop,
}

impl Measured {
    /// What makes the timings doubtful.
    pub fn warnings(&self, conditions: &Conditions) -> Vec<Warning> {
        self.imprecise(conditions).into_iter().chain(self.noisy()).collect()
    }

    fn imprecise(&self, conditions: &Conditions) -> Option<Warning> {
        let why = match self.stop {
            Stop::Precise => return None,
            Stop::BudgetSpent => format!("the {} of measure.budget were spent", conditions.budget),
            Stop::EnoughRepeats => "no more are made".into(),
        };
        let target = conditions.half_width;
        let rule = Rule::new(target, Level::P95, Duration::MAX).ok()?;
        let known = both_phases(&self.samples).map(|values| rule.width(&values));
        let [prefill, decode] = known.map(|width| match width {
            Some(width) => format!("±{:.1}%", width * 100.0),
            None => "no interval (a single repeat)".into(),
        });
        let decodes = self.samples.iter().any(|sample| !sample.inter_token.is_empty());
        let decode = if decodes { format!(" and decode to {decode}") } else { String::new() };
        let text = format!(
            "{why} after {} repeats: prefill is known to {prefill}{decode}, ±{:.1}% was asked; raise \
             measure.budget or measure.half_width, or quieten the machine",
            self.samples.len(),
            target * 100.0
        );
        Some(Warning { kind: WarningKind::BudgetSpent, text })
    }

    fn noisy(&self) -> Option<Warning> {
        let count = |values: Vec<f64>| Sample::new(values).map_or(0, |sample| outlier::outliers(&sample).len());
        let [prefill, decode] = both_phases(&self.samples).map(count);
        let most = prefill.max(decode);
        (most >= 2 && most as f64 > NOISE * self.samples.len() as f64).then(|| Warning {
            kind: WarningKind::Noisy,
            text: format!(
                "{most} of {} repeats were outliers: something else took the machine now and then; stop other programs \
                 and measure again",
                self.samples.len()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::clock::Hand;
    use bantam_core::record::{PhaseEnergy, Provenance};
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

    /// Writes down the time of every mark; a joule a millisecond.
    struct Watch<'a>(&'a Hand);

    impl Phases for Watch<'_> {
        type Mark = Duration;

        fn mark(&mut self) -> Duration {
            // reading a meter takes time, which must be in no phase
            self.0.turn(Duration::from_millis(1));
            self.0.now()
        }

        fn spent(&mut self, [a, b, c]: [Duration; 3], sample: &mut SpeedSample) {
            sample.energy = Some(PhaseEnergy {
                prefill_joules: (b - a).as_millis() as f64,
                decode_joules: (c - b).as_millis() as f64,
                provenance: Provenance::Measured,
            });
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

    fn measure(
        gaps: fn(usize) -> u64,
        conditions: &Conditions,
        earlier: Vec<SpeedSample>,
    ) -> (Measured, Vec<SpeedSample>, usize) {
        let (clock, cancel) = (Hand::default(), Cancel::new());
        let protocol = Protocol::new(SHAPE, 100, conditions, &clock, &cancel).expect("a target above zero");
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps };
        let mut said = Vec::new();
        let mut each = |sample: &SpeedSample| said.push(sample.clone());
        let measured = protocol.measure(&mut model, &mut Watch(&clock), earlier, &mut each);
        let Ok(measured) = measured;
        (measured.expect("nobody cancelled"), said, model.prefills)
    }

    #[test]
    fn a_steady_model_is_known_after_the_least_repeats() {
        let conditions = conditions(0.05, 10.0);
        let (measured, said, prefills) = measure(|_| 20, &conditions, Vec::new());
        assert_eq!((measured.stop, said.len()), (Stop::Precise, 5));
        assert_eq!(measured.samples, said);
        let sample = &said[0];
        assert!((sample.prefill.0 - 0.040).abs() < 1e-9 && (sample.decode.0 - 0.040).abs() < 1e-9, "{sample:?}");
        assert_eq!(sample.inter_token, [0.02, 0.02]);
        assert_eq!(sample.energy.map(|e| (e.prefill_joules, e.decode_joules)), Some((41.0, 41.0)));
        // 300 ms of warm-up at 80 ms each
        assert_eq!(prefills, 4 + 5);
        assert!(measured.warnings(&conditions).is_empty());
    }

    #[test]
    fn a_wild_model_spends_the_budget_and_says_so() {
        let conditions = conditions(0.01, 2.0);
        let (measured, said, _) = measure(|i| if i / 2 % 2 == 0 { 10 } else { 100 }, &conditions, Vec::new());
        assert_eq!(measured.stop, Stop::BudgetSpent);
        let spent: f64 = said.iter().map(|s| s.prefill.0 + s.decode.0).sum();
        assert!((2.0..2.3).contains(&spent), "{spent}");
        let warnings = measured.warnings(&conditions);
        assert_eq!(warnings[0].kind, WarningKind::BudgetSpent);
        assert!(warnings[0].text.contains("prefill is known to ±0.0% and decode to ±"), "{}", warnings[0].text);
    }

    #[test]
    fn repeats_of_an_interrupted_measurement_count() {
        let conditions = conditions(0.05, 10.0);
        let (whole, ..) = measure(|_| 20, &conditions, Vec::new());
        let (measured, said, _) = measure(|_| 20, &conditions, whole.samples[..3].to_vec());
        assert_eq!((measured.samples.len(), said.len()), (5, 2));
        let (_, said, prefills) = measure(|_| 20, &conditions, whole.samples);
        assert_eq!((said.len(), prefills), (0, 0), "nothing was missing");
    }

    #[test]
    fn a_single_slow_repeat_is_enough_when_the_budget_is_spent() {
        let conditions = conditions(0.05, 0.01);
        let (measured, said, prefills) = measure(|_| 20, &conditions, Vec::new());
        assert_eq!((measured.stop, said.len(), prefills), (Stop::BudgetSpent, 1, 2));
        assert!(measured.warnings(&conditions)[0].text.contains("a single repeat"));
    }

    #[test]
    fn what_decodes_nothing_is_timed_by_its_prefill() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 10.0));
        let shape = Shape { output: 0, ..SHAPE };
        let protocol = Protocol::new(shape, 100, &conditions, &clock, &cancel).expect("a target above zero");
        let mut model = Fake { clock: &clock, prefills: 0, decodes: 0, gaps: |_| 20 };
        let Ok(measured) = protocol.measure(&mut model, &mut Watch(&clock), Vec::new(), &mut |_| {});
        let measured = measured.expect("nobody cancelled");
        assert_eq!((measured.stop, measured.samples.len(), model.decodes), (Stop::Precise, 5, 0));
        assert!(measured.samples.iter().all(|s| s.inter_token.is_empty() && s.decode.0 == 0.0 && s.ttft == s.prefill));
        assert!(measured.warnings(&conditions).is_empty());
    }

    #[test]
    fn the_prompt_is_the_same_every_time_and_within_the_vocabulary() {
        let (clock, cancel, conditions) = (Hand::default(), Cancel::new(), conditions(0.05, 1.0));
        let shape = Shape { prompt: 1000, output: 2 };
        let prompt = || Protocol::new(shape, 50, &conditions, &clock, &cancel).expect("valid").prompt();
        assert_eq!(prompt(), prompt());
        assert!(prompt().iter().all(|&t| t < 50) && prompt().iter().any(|&t| t > 40));
    }
}

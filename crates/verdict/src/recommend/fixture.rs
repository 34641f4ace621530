//! Made-up results for the tests of `recommend`: a variant, what it answered, how fast it was.

use super::known::{Memo, Nothing};
use super::score::Confidence;
use super::summary::VariantSummary;
use bantam_core::metric::Metric;
use bantam_core::record::*;
use bantam_core::stats::Level;
use bantam_core::unit::{Bytes, Seconds, Unit};

/// 95 % and one seed.
pub(super) fn confidence() -> Confidence {
    Confidence { level: Level::P95, seed: 1, watched: false }
}

/// A measured number of bytes.
pub(super) fn bytes(value: f64) -> Reading {
    Reading::Known(Figure {
        value,
        unit: Unit::Bytes,
        provenance: Provenance::Measured,
        interval: None,
        no_interval: None,
        n: None,
        how: "VmHWM of the worker".into(),
    })
}

/// `n` answers of which `wrong`, from position `from` on, are wrong.
pub(crate) fn answers(n: usize, wrong: usize, from: usize) -> Vec<u8> {
    (0..n).map(|i| u8::from((i + n - from) % n >= wrong)).collect()
}

/// The summary of rows of one variant, held against nothing.
pub(super) fn summary(rows: &[Row]) -> VariantSummary {
    VariantSummary::of(
        &rows[0].trial.variant,
        &rows.iter().collect::<Vec<_>>(),
        confidence(),
        &crate::recommend::rate::Pricing::default(),
        &Memo::of(&Nothing),
    )
}

/// A variant in the making, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    variant: Variant,
    mib: u64,
    rows: Vec<Row>,
}

impl Made {
    /// A model as it is, whose weights and memory take `mib`.
    pub(crate) fn base(name: &str, mib: u64) -> Made {
        let model = ModelRef {
            name: name.into(),
            place: Place::Bundled(name.into()),
            digest: Id::of(&name),
            parameters: mib * 500_000,
            commit: None,
            adapter: None,
        };
        Made { variant: Variant::new(model, None), mib, rows: Vec::new() }
    }

    /// The model `name` after a recipe, of which `mib` are left of `of`.
    pub(crate) fn quantized(name: &str, of: u64, recipe: &str, mib: u64) -> Made {
        let model = Made::base(name, of).variant.model;
        Made { variant: Variant::new(model, Some((recipe.into(), recipe.into()))), mib, rows: Vec::new() }
    }

    /// Adds a task whose items are right (1) or wrong (0), where guessing has no score.
    pub(crate) fn task(self, task: &str, right: &[u8]) -> Made {
        self.asked(task, Metric::Acc, None, right.iter().map(|&x| (f64::from(x), 1.0)))
    }

    /// Adds a task whose items are right (1) or wrong (0), and where guessing scores `chance`.
    pub(crate) fn task_with_chance(self, task: &str, right: &[u8], chance: f64) -> Made {
        self.asked(task, Metric::Acc, Some(chance), right.iter().map(|&x| (f64::from(x), 1.0)))
    }

    /// Documents of one word each, with their log-likelihoods.
    pub(crate) fn text(self, task: &str, logprobs: &[f64]) -> Made {
        self.asked(task, Metric::WordPerplexity, None, logprobs.iter().map(|&x| (x, 1.0)))
    }

    /// Classes found and right, for a metric of the whole sample.
    pub(super) fn classes(self, task: &str, metric: Metric, found: &[(f64, f64)]) -> Made {
        self.asked(task, metric, None, found.iter().copied())
    }

    fn asked(
        self,
        task: &str,
        metric: Metric,
        chance: Option<f64>,
        scores: impl ExactSizeIterator<Item = (f64, f64)>,
    ) -> Made {
        let task = TaskRef {
            suite: "suite".into(),
            task: task.into(),
            digest: Id::of(&task),
            file: "bundled:suite".into(),
            items: scores.len(),
            metrics: vec![metric],
            chance,
            chat: Default::default(),
        };
        let item = |(index, (value, weight)): (usize, (f64, f64))| ItemResult {
            index,
            scores: vec![ItemScore { metric, value, weight }],
            target: Some("right".into()),
            answer: Some(if value == 1.0 { "right" } else { "wrong" }.into()),
            tokens: 10,
            ..ItemResult::default()
        };
        let items = scores.enumerate().map(item).collect();
        self.row(Ask::Task(task), |outcome| outcome.items = items)
    }

    /// Says how sure it was of each item of the task that was added last, as the share of the likelier of two choices, and what
    /// each took in seconds.
    pub(super) fn sure(mut self, shares: &[f64], seconds: &[f64]) -> Made {
        let row = self.rows.last_mut().expect("a task was added");
        for ((item, share), seconds) in row.outcome.items.iter_mut().zip(shares).zip(seconds) {
            item.logprobs = vec![share.ln() - 2.0, (1.0 - share).ln() - 2.0];
            item.spent = Some(Spent { seconds: *seconds, joules: None, estimated: false, billed: None, cents: None });
        }
        self
    }

    /// Adds a task that gave no result.
    pub(super) fn failed_task(self, task: &str, message: &str) -> Made {
        let failure = Failure::Error { message: message.into() };
        let mut made = self.task(task, &[]);
        let row = made.rows.last_mut().expect("just made");
        row.outcome = Outcome::failed(row.trial.id.clone(), failure, 0.0, Seconds(1.0));
        made
    }

    /// One shape, decoded at each of these tokens a second; the next call measures another shape.
    pub(crate) fn speed(self, decode_tps: &[f64]) -> Made {
        let before = self.rows.iter().filter(|row| matches!(row.trial.ask, Ask::Speed(_))).count();
        let shape = Shape { prompt: 64 + before, output: 32 };
        let sample = |tps: &f64| SpeedSample {
            prefill: Seconds(0.1),
            ttft: Seconds(0.11),
            decode: Seconds(31.0 / tps),
            inter_token: vec![1.0 / tps; 31],
            energy: None,
            turn: None,
        };
        let samples = decode_tps.iter().map(sample).collect();
        self.row(Ask::Speed(shape), |outcome| outcome.samples = samples)
    }

    /// Adds a shape that gave no result.
    pub(super) fn failed_speed(self, message: &str) -> Made {
        let failure = Failure::Error { message: message.into() };
        let mut made = self.speed(&[]);
        let row = made.rows.last_mut().expect("just made");
        row.outcome = Outcome::failed(row.trial.id.clone(), failure, 0.0, Seconds(1.0));
        made
    }

    /// Gives the repeats made so far an energy per decoded token.
    pub(super) fn joules(mut self, decode: f64, provenance: Provenance) -> Made {
        for sample in self.rows.iter_mut().flat_map(|row| &mut row.outcome.samples) {
            sample.energy = Some(PhaseEnergy { prefill_joules: 1.0, decode_joules: decode * 31.0, provenance });
        }
        self
    }

    fn row(mut self, ask: Ask, fill: impl FnOnce(&mut Outcome)) -> Made {
        let trial = Trial::new(self.variant.clone(), ask, conditions(), &Id("host".into()));
        let size = || bytes((self.mib << 20) as f64);
        let mut outcome = Outcome {
            trial: trial.id.clone(),
            result: Ok(()),
            items: vec![],
            samples: vec![],
            peak_memory: size(),
            energy: Reading::missing("no meter here"),
            disk: size(),
            ceiling: Reading::missing("no bandwidth measured"),
            load: None,
            loaded_by: None,
            wall: Seconds(1.0),
            warnings: vec![],
            started: 0.0,
            predicted: None,
            settled: None,
        };
        fill(&mut outcome);
        self.rows.push(Row { trial, outcome });
        self
    }

    /// Gives the rows added so far.
    pub(crate) fn rows(self) -> Vec<Row> {
        self.rows
    }
}

fn conditions() -> Conditions {
    Conditions {
        threads: 2,
        seed: 1,
        max_length: None,
        limit: None,
        half_width: 0.05,
        budget: Seconds(1.0),
        min_repeats: 2,
        timeout: None,
        memory_limit: Some(Bytes(1 << 30)),
        tdp_watts: None,
        idle: Seconds(0.0),
        engine: Default::default(),
    }
}

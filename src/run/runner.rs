//! Runners: who does a trial. [`Process`](crate::run::process::Process) spawns a worker; [`Mock`] answers from a table.

use crate::run::protocol::{Measure, Prepared};
use bantam_core::cancel::Cancel;
use bantam_core::event::Event;
use bantam_core::record::{Failure, Id, ItemResult, Outcome, Reading, SpeedSample, Turn, Variant};
use bantam_core::unit::{Bytes, Seconds};
use std::collections::BTreeMap;

/// Makes variants and runs trials, and says what happens meanwhile. Nothing that goes wrong in there is an error here:
/// it is a failure with its reason. Neither stores anything: what is said is all there is to keep.
pub trait Runner {
    /// Makes the files of a variant, or finds them made.
    fn prepare(&mut self, variant: &Variant, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Result<Prepared, Failure>;

    /// Does what is missing of a trial. Items and samples are said one by one; the outcome holds them again.
    fn run(&mut self, measure: &Measure, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Outcome;

    /// Lets go of what was kept for further turns of a trial, which is over.
    fn release(&mut self, _trial: &Id) {}
}

/// Answers from a table, and remembers what it was asked; for tests and demonstrations without a model.
#[derive(Debug, Default)]
pub struct Mock {
    /// By trial. A trial that is not here fails.
    pub answers: BTreeMap<Id, Answer>,
    /// Variants that cannot be made, and why.
    pub unmakable: BTreeMap<Id, Failure>,
    /// Everything asked, in order.
    pub asked: Vec<Asked>,
}

/// What a mocked trial gives.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub items: Vec<ItemResult>,
    pub samples: Vec<SpeedSample>,
    /// Fails after the items and samples above, with this.
    pub failure: Option<Failure>,
    pub peak_memory: Option<Reading>,
}

/// One question that a [`Mock`] was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Prepare(Id),
    /// A trial, and the items that it was asked, in order.
    Run(Id, Vec<usize>),
}

impl Runner for Mock {
    fn prepare(&mut self, variant: &Variant, _: &Cancel, say: &mut dyn FnMut(Event)) -> Result<Prepared, Failure> {
        self.asked.push(Asked::Prepare(variant.id.clone()));
        say(Event::Preparing { variant: variant.clone(), fraction: 0.5 });
        match self.unmakable.get(&variant.id) {
            Some(failure) => Err(failure.clone()),
            None => Ok(Prepared { place: variant.model.place.clone(), bytes: Bytes(1000) }),
        }
    }

    fn run(&mut self, measure: &Measure, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Outcome {
        let trial = &measure.trial;
        let Some(answer) = self.answers.get(&trial.id) else {
            let message = format!("the table has no answer for {}", trial.ask.label());
            return Outcome::failed(trial.id.clone(), Failure::Error { message }, 0.0, Seconds(0.0));
        };
        say(Event::Loaded { trial: trial.id.clone(), seconds: Seconds(0.1) });
        let mut outcome = Outcome {
            result: answer.failure.clone().map_or(Ok(()), Err),
            load: Some(Seconds(0.1)),
            ..Outcome::failed(trial.id.clone(), Failure::Cancelled, 1.0, Seconds(1.0))
        };
        let missing = || Reading::missing("a table has no meters");
        outcome.peak_memory = answer.peak_memory.clone().unwrap_or_else(missing);
        (outcome.energy, outcome.disk, outcome.ceiling) = (missing(), missing(), missing());
        let mut asked = Vec::new();
        let is_wanted = |index| measure.block.as_ref().is_none_or(|block| block.contains(index));
        let unanswered =
            answer.items.iter().filter(|item| !measure.answered.contains(&item.index) && is_wanted(&item.index));
        for item in unanswered {
            if cancel.is_cancelled() {
                break;
            }
            asked.push(item.index);
            outcome.items.push(item.clone());
            let done = measure.answered.len() + asked.len();
            say(Event::Item { trial: trial.id.clone(), item: Box::new(item.clone()), done, of: answer.items.len() });
        }
        // one repeat a turn
        for (i, sample) in answer.samples.iter().enumerate().skip(measure.samples.len()).take(1) {
            let turn = measure.round.map(|round| Turn {
                round,
                started: (round + i as u64) as f64,
                worker: 1,
                peak: None,
                disturbed: None,
            });
            let sample = SpeedSample { turn, ..sample.clone() };
            outcome.samples.push(sample.clone());
            say(Event::Sample { trial: trial.id.clone(), sample: Box::new(sample), done: i + 1 });
        }
        if cancel.is_cancelled() {
            outcome.result = Err(Failure::Cancelled);
        }
        self.asked.push(Asked::Run(trial.id.clone(), asked));
        outcome
    }
}

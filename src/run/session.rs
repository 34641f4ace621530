//! A session: a plan done from its first variant to its last, each variant made and then measured.
//!
//! Whatever is finished is stored before anyone hears of it. What fails is an outcome with its reason, and the rest goes
//! on; only the store's own failure ends a session. What the store has already is not asked again, so that doing the
//! same plan twice does only what was missing.

use crate::run::chance::at_chance;
use crate::run::plan::{Plan, Planned};
use crate::run::protocol::{Measure, Prepared};
use crate::run::runner::Runner;
use bantam_core::cancel::Cancel;
use bantam_core::event::{Event, Observer};
use bantam_core::record::{Ask, Failure, Id, Outcome, Row, Trial, Warning};
use bantam_core::unit::Seconds;
use bantam_verdict::store::{self, Store};
use std::time::{SystemTime, UNIX_EPOCH};

/// Does what the store has not got of a plan, and gives all its rows. After a [`Cancel`], the rows so far.
///
/// # Errors
/// The store's, where it can keep no more; what was finished is in it. `cancel` is set then, since nothing may go on.
pub fn run(
    plan: &Plan,
    runner: &mut dyn Runner,
    store: &mut Store,
    observers: &mut [&mut dyn Observer],
    cancel: &Cancel,
) -> store::Result<Vec<Row>> {
    store.begin_run(&plan.run)?;
    let mut session = Session { bandwidth: &plan.host.bandwidth, runner, store, observers, cancel };
    let planned = Event::Planned { run: plan.run.id.clone(), trials: plan.run.trials.clone(), done: plan.done.clone() };
    session.tell(&planned);
    for warning in &plan.host.doubts {
        session.warn(None, warning);
    }
    for planned in &plan.variants {
        session.variant(planned)?;
    }
    let cancelled = cancel.is_cancelled();
    if !cancelled {
        session.store.end_run(&plan.run.id, now())?;
    }
    session.tell(&Event::Ended { run: plan.run.id.clone(), cancelled });
    session.store.rows(&plan.run.id)
}

struct Session<'a, 'o> {
    bandwidth: &'a Result<f64, String>,
    runner: &'a mut dyn Runner,
    store: &'a mut Store,
    observers: &'a mut [&'o mut dyn Observer],
    cancel: &'a Cancel,
}

impl Session<'_, '_> {
    /// Makes the variant and does those of its trials that have no result.
    fn variant(&mut self, planned: &Planned) -> store::Result<()> {
        let mut missing = Vec::new();
        for trial in &planned.trials {
            if !self.store.has_result(&trial.id)? {
                missing.push(trial);
            }
        }
        if missing.is_empty() || self.cancel.is_cancelled() {
            return Ok(());
        }
        let prepared = match self.prepare(planned) {
            Ok(prepared) => prepared,
            Err(failure) => return self.not_prepared(planned, &missing, failure),
        };
        for trial in missing {
            if self.cancel.is_cancelled() {
                break;
            }
            self.trial(trial, &prepared)?;
        }
        Ok(())
    }

    fn prepare(&mut self, planned: &Planned) -> Result<Prepared, Failure> {
        let variant = &planned.variant;
        self.tell(&Event::Preparing { variant: variant.clone(), fraction: 0.0 });
        let Session { runner, observers, cancel, .. } = self;
        let prepared = runner.prepare(variant, cancel, &mut |event| tell(observers, &event))?;
        self.tell(&Event::Prepared { variant: variant.id.clone(), bytes: prepared.bytes });
        Ok(prepared)
    }

    /// None of the variant's trials can be done.
    fn not_prepared(&mut self, planned: &Planned, missing: &[&Trial], failure: Failure) -> store::Result<()> {
        self.tell(&Event::NotPrepared { variant: planned.variant.id.clone(), failure: failure.clone() });
        if failure == Failure::Cancelled {
            return Ok(());
        }
        for trial in missing {
            self.finish(trial, Outcome::failed(trial.id.clone(), failure.clone(), now(), Seconds(0.0)))?;
        }
        Ok(())
    }

    fn trial(&mut self, trial: &Trial, prepared: &Prepared) -> store::Result<()> {
        let measure = Measure {
            trial: trial.clone(),
            place: prepared.place.clone(),
            answered: self.store.answered(&trial.id)?,
            samples: self.store.samples_of(&trial.id)?,
            bandwidth: self.bandwidth.clone(),
        };
        self.tell(&Event::Started { trial: trial.id.clone() });
        let mut kept = Ok(());
        let Session { runner, store, observers, cancel, .. } = self;
        let outcome = runner.run(&measure, cancel, &mut |event| {
            if kept.is_err() {
                return;
            }
            kept = keep(store, &event);
            match kept {
                Ok(()) => tell(observers, &event),
                // the only way to stop the runner; the error tells the caller why
                Err(_) => cancel.cancel(),
            }
        });
        kept?;
        self.finish(trial, outcome)
    }

    /// Stores an outcome and tells it with all its items, those of earlier sessions too. A cancelled trial is not
    /// finished: its items are kept and the rest is done another time.
    fn finish(&mut self, trial: &Trial, mut outcome: Outcome) -> store::Result<()> {
        if outcome.result != Err(Failure::Cancelled) {
            outcome.items = self.store.items_of(&trial.id)?;
            outcome.samples = self.store.samples_of(&trial.id)?;
            if let (Ok(()), Ask::Task(task)) = (&outcome.result, &trial.ask) {
                outcome.warnings.extend(at_chance(task, &outcome.items));
            }
            self.store.finish(&outcome)?;
        }
        for warning in &outcome.warnings {
            self.warn(Some(&trial.id), warning);
        }
        self.tell(&Event::Finished { trial: trial.id.clone(), outcome: Box::new(outcome) });
        Ok(())
    }

    fn warn(&mut self, trial: Option<&Id>, warning: &Warning) {
        tell(self.observers, &Event::Warned { trial: trial.cloned(), warning: warning.clone() });
    }

    fn tell(&mut self, event: &Event) {
        tell(self.observers, event);
    }
}

/// Stores what an event says is finished.
fn keep(store: &mut Store, event: &Event) -> store::Result<()> {
    match event {
        Event::Item { trial, item, .. } => store.put_item(trial, item),
        Event::Sample { trial, sample, .. } => store.put_sample(trial, sample),
        _ => Ok(()),
    }
}

fn tell(observers: &mut [&mut dyn Observer], event: &Event) {
    for observer in observers {
        observer.on(event);
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

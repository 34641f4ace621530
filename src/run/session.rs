//! A session: a plan's trials done one after the other as a scheduler wants them, each variant made before it is first
//! measured, and all of them before speeds are.
//!
//! Whatever is finished is stored before anyone hears of it. What fails is an outcome with its reason, and the rest goes
//! on; only the store's own failure ends a session. What the store has already is not asked again, so that doing the
//! same plan twice does only what was missing.

use crate::library::stamp::{self, Stamp};
use crate::run::at_chance::at_chance;
use crate::run::plan::Plan;
use crate::run::protocol::{Asking, Measure, Prepared};
use crate::run::runner::Runner;
use crate::run::schedule::{Ends, Outcomes, Scheduler, Work};
use bantam_core::cancel::Cancel;
use bantam_core::disk;
use bantam_core::event::{Event, Observer};
use bantam_core::record::{
    Ask, Conditions, Failure, Figure, Id, Outcome, Place, Reading, Row, SpeedSample, Trial, Variant, Warning,
};
use bantam_core::unit::Seconds;
use bantam_host::speed;
use bantam_verdict::store::{self, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Does what the store has not got of a plan, and gives all its rows, without their items. After a [`Cancel`], the rows so far.
///
/// # Errors
/// The store's, where it can keep no more or is not there any more; what was finished is in it. `cancel` is set then, since
/// nothing may go on.
pub fn run(
    plan: &Plan,
    scheduler: &mut dyn Scheduler,
    runner: &mut dyn Runner,
    store: &mut Store,
    observers: &mut [&mut dyn Observer],
    cancel: &Cancel,
) -> store::Result<Vec<Row>> {
    store.begin_run(&plan.run)?;
    let mut session = Session {
        plan,
        runner,
        store,
        observers,
        cancel,
        over: BTreeMap::new(),
        prepared: BTreeMap::new(),
        parts: BTreeMap::new(),
        stamps: BTreeMap::new(),
        forgotten: BTreeSet::new(),
        alone: None,
    };
    session.begin()?;
    while let Some(work) = scheduler.next(&Outcomes::new(&session.over, session.store)) {
        if cancel.is_cancelled() {
            break;
        }
        session.work(&work)?;
    }
    session.end()
}

struct Session<'a, 'o> {
    plan: &'a Plan,
    runner: &'a mut dyn Runner,
    store: &'a mut Store,
    observers: &'a mut [&'o mut dyn Observer],
    cancel: &'a Cancel,
    /// Trials that have their result, and those that failed in this session.
    over: BTreeMap<Id, Result<(), Failure>>,
    /// Variants that were made in this session, or could not be.
    prepared: BTreeMap<Id, Result<Prepared, Failure>>,
    /// What blocks of items and turns of unfinished trials gave beside their items and repeats.
    parts: BTreeMap<Id, Outcome>,
    /// What the files of each model looked like when they were last known to be the ones that were identified.
    stamps: BTreeMap<Id, Stamp>,
    /// Trials whose result of before made room for the new one.
    forgotten: BTreeSet<Id>,
    /// Held from the first speed shape on.
    alone: Option<Alone>,
}

impl Session<'_, '_> {
    fn begin(&mut self) -> store::Result<()> {
        for trial in &self.plan.run.trials {
            if !self.plan.again.contains(&trial.id) && self.store.has_result(&trial.id)? {
                self.over.insert(trial.id.clone(), Ok(()));
            }
        }
        for planned in &self.plan.variants {
            let model = &planned.variant.model;
            let stamp = Stamp::of(model);
            // what was touched since it was identified is looked at before it is measured
            if stamp.changed().is_none_or(|changed| changed < self.plan.run.started) {
                self.stamps.insert(model.digest.clone(), stamp);
            }
        }
        let Plan { run, done, host, .. } = self.plan;
        self.tell(&Event::Planned { run: run.id.clone(), trials: run.trials.clone(), done: done.clone() });
        for warning in &host.warnings {
            self.warn(None, warning);
        }
        Ok(())
    }

    fn end(self) -> store::Result<Vec<Row>> {
        let (run, cancelled) = (&self.plan.run.id, self.cancel.is_cancelled());
        self.store.check_there()?;
        if !cancelled {
            self.store.end_run(run, now())?;
        }
        tell(self.observers, &Event::Ended { run: run.clone(), cancelled });
        let mut rows = self.store.light_rows(run)?;
        // a result of before, whose turn to be measured again never came, is none of this run
        rows.retain(|row| !self.plan.again.contains(&row.trial.id) || self.forgotten.contains(&row.trial.id));
        Ok(rows)
    }

    /// Makes the variant where it is not made yet, and does the work.
    fn work(&mut self, work: &Work) -> store::Result<()> {
        let trial = &work.trial;
        if self.plan.again.contains(&trial.id) && self.forgotten.insert(trial.id.clone()) {
            self.store.forget(&trial.id)?;
        }
        match &work.ends {
            Some(Ends::Leaves(reason)) => {
                let raced = Failure::Raced { reason: reason.clone() };
                return self.finish(trial, Outcome::failed(trial.id.clone(), raced, now(), Seconds(0.0)));
            }
            Some(Ends::Settled(reason)) => return self.settle(trial, reason),
            None => {}
        }
        if let Some(failure) = self.unmet(trial) {
            return self.finish(trial, Outcome::failed(trial.id.clone(), failure, now(), Seconds(0.0)));
        }
        if matches!(trial.ask, Ask::Speed(_)) && self.alone.is_none() {
            self.begin_speeds()?;
            if self.cancel.is_cancelled() || self.over.contains_key(&trial.id) {
                return Ok(());
            }
        }
        match self.prepared(&trial.variant) {
            Ok(prepared) => self.measure(work, &prepared),
            // the rest waits for another session
            Err(Failure::Cancelled) => {
                self.over.insert(trial.id.clone(), Err(Failure::Cancelled));
                Ok(())
            }
            Err(failure) => self.finish(trial, Outcome::failed(trial.id.clone(), failure, now(), Seconds(0.0))),
        }
    }

    /// Waits until no other session measures speeds here, takes over what that one has found, and makes all variants, so
    /// that no work of making one falls between two turns.
    fn begin_speeds(&mut self) -> store::Result<()> {
        let mut said = false;
        let (file, cancel) = (self.store.file().to_path_buf(), self.cancel);
        let alone = Alone::wait(&file, cancel, &mut |holder| {
            if !std::mem::replace(&mut said, true) {
                let does = "measuring speeds over the same results, since two at once would slow each other";
                tell(self.observers, &Event::Waits { does: does.into(), holder });
            }
        });
        self.alone = Some(alone);
        let plan = self.plan;
        for trial in &plan.run.trials {
            if !self.plan.again.contains(&trial.id) && self.store.has_result(&trial.id)? {
                self.over.entry(trial.id.clone()).or_insert(Ok(()));
            }
        }
        for trial in plan.run.trials.iter().filter(|trial| matches!(trial.ask, Ask::Speed(_))) {
            if !self.cancel.is_cancelled() && !self.over.contains_key(&trial.id) {
                // what cannot be made is told at its turn
                let _ = self.prepared(&trial.variant);
            }
        }
        Ok(())
    }

    /// Ends a trial with the items that it has, which show enough.
    fn settle(&mut self, trial: &Trial, reason: &str) -> store::Result<()> {
        let known = match self.parts.remove(&trial.id) {
            Some(parts) => Some(parts),
            None => self.store.outcome_of(&trial.id)?.filter(|outcome| outcome.result.is_ok()),
        };
        // items of a session that was stopped before it said more of them than what they are
        let lost = || {
            let why = Failure::Error { message: "it was asked in an earlier session, which was stopped".into() };
            Outcome { result: Ok(()), ..Outcome::failed(trial.id.clone(), why, now(), Seconds(0.0)) }
        };
        let before = known.unwrap_or_else(lost);
        self.finish(trial, Outcome { settled: Some(reason.to_owned()), ..before })
    }

    /// Why a trial cannot be done: another one that it needs has no result.
    fn unmet(&self, trial: &Trial) -> Option<Failure> {
        trial.needs.iter().find_map(|needed| {
            let why = match self.over.get(needed) {
                Some(Ok(())) => return None,
                Some(Err(failure)) => failure.sentence(),
                None => "it was not measured".into(),
            };
            let known = self.plan.run.trials.iter().find(|other| other.id == *needed);
            let named = known.map_or_else(
                || format!("trial {needed}, which is not in this run"),
                |other| format!("{} of {}", other.ask.label(), other.variant.label()),
            );
            Some(Failure::Error { message: format!("needs {named}, which has no result: {why}") })
        })
    }

    /// The variant's files, made when they are first asked for.
    fn prepared(&mut self, variant: &Variant) -> Result<Prepared, Failure> {
        if let Some(known) = self.prepared.get(&variant.id) {
            return known.clone();
        }
        self.tell(&Event::Preparing { variant: variant.clone(), fraction: 0.0 });
        let Session { runner, observers, cancel, .. } = self;
        let prepared = runner.prepare(variant, cancel, &mut |event| tell(observers, &event));
        // a file that was made of another model is not this variant's
        let prepared = prepared.and_then(|prepared| self.unreplaced(variant).map(|()| prepared));
        if let Ok(Prepared { place: Place::Folder(file) | Place::Gguf(file), .. }) = &prepared {
            // where it is not kept, nobody is told where the file is
            let _ = self.store.put_place(&variant.id, file);
        }
        let variant = variant.id.clone();
        self.tell(&match &prepared {
            Ok(prepared) => Event::Prepared { variant: variant.clone(), bytes: prepared.bytes },
            Err(failure) => Event::NotPrepared { variant: variant.clone(), failure: failure.clone() },
        });
        self.prepared.insert(variant, prepared.clone());
        prepared
    }

    fn measure(&mut self, work: &Work, prepared: &Prepared) -> store::Result<()> {
        let trial = &work.trial;
        if trial.variant.has_own_files()
            && let Err(failure) = self.unreplaced(&trial.variant)
        {
            return self.finish(trial, Outcome::failed(trial.id.clone(), failure, now(), Seconds(0.0)));
        }
        let measure = Measure {
            trial: trial.clone(),
            place: prepared.place.clone(),
            answered: self.store.answered(&trial.id)?,
            block: work.items.clone(),
            samples: self.store.samples_of(&trial.id)?.into_iter().map(counted).collect(),
            round: match trial.ask {
                Ask::Speed(_) => Some(work.round.unwrap_or((now() * 1000.0) as u64)),
                Ask::Task(_) => None,
            },
            bandwidth: self.plan.host.bandwidth.clone(),
            parallel_batches: self.plan.parallel_batches(trial),
            endpoint: self.asking(trial).map(Box::new),
            program: self.plan.program_of(trial).cloned().map(Box::new),
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
        if trial.variant.has_own_files()
            && let Err(failure) = self.unreplaced(&trial.variant)
        {
            // the answers may be of either model
            self.store.forget(&trial.id)?;
            let failed = Outcome::failed(trial.id.clone(), failure, outcome.started, outcome.wall);
            return self.finish(trial, failed);
        }
        let outcome = match self.parts.remove(&trial.id) {
            Some(earlier) => joined(earlier, outcome),
            None => outcome,
        };
        if outcome.result.is_ok() && self.goes_on(work, &measure)? {
            self.parts.insert(trial.id.clone(), outcome);
            return Ok(());
        }
        self.finish(trial, outcome)
    }

    /// How an endpoint is asked a trial; None of a model on this machine.
    fn asking(&self, trial: &Trial) -> Option<Asking> {
        let terms = self.plan.endpoints.get(&trial.variant.id)?.clone();
        let of_it = self.plan.run.trials.iter().filter(|other| other.variant.id == trial.variant.id);
        let trials: Vec<&Id> = of_it.map(|other| &other.id).collect();
        let is_fresh = self.plan.again.contains(&trial.id);
        Some(Asking {
            terms,
            store: self.store.file().to_path_buf(),
            account: Id::of(&("account 1", trials)),
            since: if is_fresh { self.plan.run.started } else { 0.0 },
        })
    }

    /// Whether a variant's model is still the one that was identified; what was measured of another would be kept under
    /// its name.
    fn unreplaced(&mut self, variant: &Variant) -> Result<(), Failure> {
        let model = &variant.model;
        let stamp = Stamp::of(model);
        if self.stamps.get(&model.digest) == Some(&stamp) {
            return Ok(());
        }
        if stamp::is_same(model) {
            self.stamps.insert(model.digest.clone(), stamp);
            return Ok(());
        }
        let place = match &model.place {
            Place::Folder(path) | Place::Gguf(path) => path.display().to_string(),
            Place::Bundled(name) => name.clone(),
            Place::Endpoint(at) => at.url.clone(),
            Place::System(of) => of.label(),
        };
        let message = format!(
            "{place}: is not the model any more that this run began with, so what was measured is not kept; run again to \
             measure what is there now, and leave the file alone meanwhile"
        );
        Err(Failure::Error { message })
    }

    /// Whether more is to be done of a trial: it lacks items that were not asked for yet, or its speed is not known well
    /// enough. A turn that gave nothing is the last.
    fn goes_on(&self, work: &Work, done: &Measure) -> store::Result<bool> {
        let trial = &work.trial;
        Ok(match &trial.ask {
            Ask::Task(task) => work.items.is_some() && self.store.answered(&trial.id)?.len() < task.items,
            Ask::Speed(_) => {
                let samples = self.store.samples_of(&trial.id)?;
                samples.len() > done.samples.len() && speed::stop(&samples, &trial.conditions).is_none()
            }
        })
    }

    /// Stores an outcome and tells it with all its items, those of earlier sessions too. A cancelled trial is not
    /// finished: its items are kept and the rest is done another time.
    fn finish(&mut self, trial: &Trial, mut outcome: Outcome) -> store::Result<()> {
        self.runner.release(&trial.id);
        if outcome.result != Err(Failure::Cancelled) {
            outcome.items = self.store.items_of(&trial.id)?;
            outcome.samples = self.store.samples_of(&trial.id)?;
            if let (Ok(()), Ask::Task(task)) = (&outcome.result, &trial.ask) {
                outcome.warnings.extend(at_chance(task, &outcome.items));
            }
            if let (Ok(()), Ask::Speed(_)) = (&outcome.result, &trial.ask) {
                add_up_turns(&mut outcome, &trial.conditions);
            }
            self.store.finish(&outcome)?;
        }
        self.store.check_there()?;
        self.over.insert(trial.id.clone(), outcome.result.clone());
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

/// A repeat as a worker needs it, which counts them: a line that grew from turn to turn would grow its memory.
fn counted(sample: SpeedSample) -> SpeedSample {
    SpeedSample { inter_token: Vec::new(), ..sample }
}

/// What the turns of a speed shape come to beside the repeats: the peak of several processes, and what makes the timings
/// doubtful.
fn add_up_turns(outcome: &mut Outcome, conditions: &Conditions) {
    if let Some(stop) = speed::stop(&outcome.samples, conditions) {
        outcome.warnings.extend(speed::warnings(&outcome.samples, stop, conditions));
    }
    if let Some(peak) = speed::peak_memory(&outcome.samples) {
        outcome.peak_memory = Reading::Known(peak);
    }
    if let Reading::Known(joules) = &outcome.energy
        && joules.value < 0.0
    {
        outcome.energy = Reading::missing(
            "all turns together drew less than the idle machine before and after them: other work disturbed the \
             baseline, or the meter is too coarse for work so short",
        );
    }
}

/// What two blocks of items, or two turns, of one trial gave together.
fn joined(earlier: Outcome, later: Outcome) -> Outcome {
    let peak_memory = match (&earlier.peak_memory, &later.peak_memory) {
        (Reading::Known(before), Reading::Known(now)) if before.value > now.value => earlier.peak_memory,
        (Reading::Missing { .. }, Reading::Known(_)) => earlier.peak_memory,
        _ => later.peak_memory,
    };
    let energy = match (earlier.energy, later.energy) {
        (Reading::Known(before), Reading::Known(now)) => {
            Reading::Known(Figure { value: before.value + now.value, ..now })
        }
        // the joules of some turns only would be too few
        (Reading::Missing { reason }, _) | (_, Reading::Missing { reason }) => Reading::Missing { reason },
    };
    let is_turn = !later.samples.is_empty();
    let mut warnings = earlier.warnings;
    let known = |warning: &Warning| {
        warnings.iter().any(|known| if is_turn { known.kind == warning.kind } else { known == warning })
    };
    let new: Vec<Warning> = later.warnings.into_iter().filter(|warning| !known(warning)).collect();
    warnings.extend(new);
    Outcome {
        peak_memory,
        energy,
        warnings,
        wall: Seconds(earlier.wall.0 + later.wall.0),
        started: earlier.started,
        predicted: None,
        load: earlier.load,
        loaded_by: earlier.loaded_by,
        ..later
    }
}

/// Held by the one session that measures speeds over a store: two at once would take each other's time, and the repeats
/// of both would stand as one measurement's.
struct Alone {
    /// Lets go when it is closed.
    _lock: Option<File>,
}

impl Alone {
    /// Waits its turn; `waits` is called again and again meanwhile. Where files cannot be locked nobody is waited for.
    fn wait(store: &Path, cancel: &Cancel, waits: &mut dyn FnMut(Option<u32>)) -> Alone {
        let file = store.with_extension("speed.lock");
        let is_on_disk = store.parent().is_some_and(Path::is_dir) && store.exists();
        let open = || File::options().create(true).append(true).open(&file).ok();
        let Some(lock) = is_on_disk.then(open).flatten() else { return Alone { _lock: None } };
        while let Err(TryLockError::WouldBlock) = lock.try_lock() {
            if cancel.is_cancelled() {
                return Alone { _lock: None };
            }
            waits(disk::holder(&file));
            std::thread::sleep(LOOK);
        }
        disk::sign(&lock);
        Alone { _lock: Some(lock) }
    }
}

/// How often it is looked whether the other session is done.
const LOOK: Duration = Duration::from_millis(100);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_another_session_says_for_whose_and_can_be_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("store.sqlite");
        std::fs::write(&store, "").expect("writes");
        let (cancel, mut heard) = (Cancel::new(), Vec::new());
        let first = Alone::wait(&store, &cancel, &mut |holder| heard.push(holder));
        assert!(first._lock.is_some() && heard.is_empty(), "nobody has it");
        let second = Alone::wait(&store, &cancel, &mut |holder| {
            heard.push(holder);
            cancel.cancel();
        });
        assert!(second._lock.is_none());
        assert_eq!(heard, [Some(std::process::id())]);
    }
}

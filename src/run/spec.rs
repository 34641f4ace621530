//! One trial as a file, for another machine: what to ask of which model under which recipe, told so that it can be found and
//! held against its hashes there. Doing it leaves one result file, whole or not at all, under the trial's own name: done twice,
//! or on two machines at once, it is there once.

use crate::library::home::Home;
use crate::library::models;
use crate::run::plan::{Estimate, Host, Plan, Planned};
use crate::run::process::Process;
use crate::run::schedule::Exhaustive;
use crate::run::steer::Steer;
use crate::run::{engine, session};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::event::Observer;
use bantam_core::profile::{Constraints, Measure, Objective, Profile, Race};
use bantam_core::record::{Ask, Engine, Id, ModelRef, Outcome, Place, Reading, Row, Run, Trial, Variant};
use bantam_core::{disk, input};
use bantam_verdict::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Raised where a key changes its meaning.
const SPEC: &str = "bantam.spec/1";
const RESULT: &str = "bantam.trial/1";
/// The most bytes of either: a result has all that its items gave.
const MOST: u64 = 1 << 30;
/// The folder of what is done of trials, within that of the results.
const PARTIAL: &str = "partial";

/// A trial for another machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    schema: String,
    /// The trial as it was planned; its id names the result.
    pub trial: Trial,
    /// How the profile names the model, where it is not where it was.
    model: String,
    /// Threads that the profile asks for; none for all that the machine has.
    threads: Option<usize>,
}

/// What came of a trial, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    schema: String,
    /// The trial as it was planned.
    pub spec: Id,
    /// The trial as it was done: by this engine, on this class of machine.
    pub trial: Trial,
    pub outcome: Outcome,
    /// The class of machine, within which speeds can be compared.
    pub host: Id,
    /// The machine in words.
    pub host_words: String,
    /// The host's card and the engine.
    pub card: serde_json::Value,
    /// The version of bantam that did it.
    pub bantam: String,
}

/// What a spec's doing came to.
pub enum Ended {
    /// It was done before.
    Found(Box<Done>),
    Done(Box<Done>),
    Cancelled,
}

impl Spec {
    pub fn new(trial: Trial, threads: Option<usize>) -> Spec {
        Spec { schema: SPEC.into(), model: typed(&trial.variant.model), trial, threads }
    }

    /// # Errors
    /// One sentence where the file cannot be read, is none, or is of another version.
    pub fn read(file: &Path) -> Result<Spec> {
        read(file, SPEC, "a trial of `bantam plan --emit`")
    }

    /// The models and suites that it needs, as a profile names them: what is not here of the hub can be fetched.
    pub fn as_profile(&self) -> Profile {
        let suites = match &self.trial.ask {
            Ask::Task(task) => vec![task.file.clone()],
            Ask::Speed(_) => Vec::new(),
        };
        // where it is at its place, it need not be fetched
        let is_here = match &self.trial.variant.model.place {
            Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => true,
            Place::Folder(path) | Place::Gguf(path) => path.exists(),
        };
        let models = if is_here { Vec::new() } else { vec![self.model.clone()] };
        Profile {
            name: "trial".into(),
            title: "trial".into(),
            models,
            endpoints: Vec::new(),
            engine: None,
            recipes: Vec::new(),
            kv: Vec::new(),
            suites,
            chat: Vec::new(),
            measure: Measure::default(),
            constraints: Constraints::default(),
            objective: Objective::default(),
            tolerance: Vec::new(),
            race: Race::Off,
            price: None,
            loss: None,
            systems: None,
        }
    }

    /// The name of the file that the result goes to.
    pub fn result(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.trial.id))
    }

    /// Does the trial, unless its result is in the folder. What is done of it stays there until it is over, so that the
    /// same machine goes on where it was stopped.
    ///
    /// # Errors
    /// One sentence where the model or the suite is not the one that was planned, or the folder cannot be written.
    pub fn run(&self, folder: &Path, observer: &mut dyn Observer, cancel: &Cancel) -> Result<Ended> {
        let file = self.result(folder);
        if let Ok(done) = Done::read(&file)
            && done.spec == self.trial.id
            && done.outcome.result.is_ok()
        {
            return Ok(Ended::Found(Box::new(done)));
        }
        let home = Home::find()?;
        let host = Host::here(matches!(self.trial.ask, Ask::Speed(_)));
        let trial = self.here(&host)?;
        let partial = folder.join(PARTIAL);
        std::fs::create_dir_all(&partial).with_context(|| format!("{}: cannot be made", partial.display()))?;
        let kept = partial.join(format!("{}.{}.sqlite", trial.id, host_name()));
        let mut store = Store::open(&kept)?;
        let row = do_one(&trial, host.clone(), &home, &mut store, observer, cancel)?;
        let Some(row) = row else { return Ok(Ended::Cancelled) };
        let done = Done {
            schema: RESULT.into(),
            spec: self.trial.id.clone(),
            trial,
            outcome: row.outcome,
            host: host.id,
            host_words: host.words,
            card: host.card,
            bantam: env!("CARGO_PKG_VERSION").into(),
        };
        disk::write(&file, &serde_json::to_vec(&done)?)
            .with_context(|| format!("{}: cannot be written", file.display()))?;
        drop(store);
        // what is left here is done over at worst
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", kept.display()));
        }
        let _ = std::fs::remove_dir(&partial);
        Ok(Ended::Done(Box::new(done)))
    }

    /// The trial as this machine does it: with its place of the model, its engine and its threads.
    fn here(&self, host: &Host) -> Result<Trial> {
        let planned = &self.trial;
        let model = found(&planned.variant.model, &self.model)?;
        let variant = Variant { model, ..planned.variant.clone() };
        let mut conditions = planned.conditions.clone();
        conditions.engine = engine::here();
        conditions.threads = self.threads.unwrap_or(host.threads);
        Ok(Trial::new(variant, planned.ask.clone(), conditions, &host.id))
    }
}

impl Done {
    /// # Errors
    /// One sentence where the file cannot be read, is none, or is of another version.
    pub fn read(file: &Path) -> Result<Done> {
        read(file, RESULT, "a result of `bantam trial run`")
    }

    pub fn engine(&self) -> &Engine {
        &self.trial.conditions.engine
    }
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path, schema: &str, what: &str) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: String,
    }
    let bytes = input::read(file, MOST).with_context(|| format!("{}: cannot be read", file.display()))?;
    let none = |why: String| anyhow!("{}: is not {what} ({why})", file.display());
    let Versioned { schema: found } = serde_json::from_slice(&bytes).map_err(|e| none(e.to_string()))?;
    ensure!(found == schema, none(format!("its schema is {found}, and {schema} is read here")));
    serde_json::from_slice(&bytes).map_err(|e| none(e.to_string()))
}

/// How a model is named on another machine: by what is the same there.
fn typed(model: &ModelRef) -> String {
    let name = match (&model.place, &model.commit) {
        (Place::Bundled(name), _) => format!("bundled:{name}"),
        (Place::Endpoint(at), _) => at.label(),
        (Place::System(of), _) => of.label(),
        (_, Some(commit)) => {
            let bare = model.name.split(" + ").next().unwrap_or(&model.name);
            match bare.split_once(':') {
                Some((repo, file)) => format!("{repo}@{commit}:{file}"),
                None => format!("{bare}@{commit}"),
            }
        }
        (Place::Folder(path) | Place::Gguf(path), None) => path.display().to_string(),
    };
    match &model.adapter {
        Some(adapter) => models::with_adapter(&name, adapter),
        None => name,
    }
}

/// The model where it is here: at the same place, or by its name.
fn found(planned: &ModelRef, typed: &str) -> Result<ModelRef> {
    let at_its_place = match &planned.place {
        Place::Folder(path) | Place::Gguf(path) if path.exists() && planned.adapter.is_none() => {
            Some(path.display().to_string())
        }
        _ => None,
    };
    let mut other = None;
    for name in at_its_place.into_iter().chain([typed.to_owned()]) {
        match models::open(&name) {
            Ok(opened) if opened.model.digest == planned.digest => {
                return Ok(ModelRef { name: planned.name.clone(), commit: planned.commit.clone(), ..opened.model });
            }
            Ok(opened) => {
                other.get_or_insert(anyhow!(
                    "{name}: is not the model that was planned with: it is {}, and {} was {}; bring the same files here",
                    opened.model.digest,
                    planned.name,
                    planned.digest
                ));
            }
            Err(error) => {
                other.get_or_insert(error.context(format!("the model {} is not here", planned.name)));
            }
        }
    }
    Err(other.unwrap_or_else(|| anyhow!("the model {} is not here", planned.name)))
}

/// Does one trial over a store of its own; None where it was cancelled.
fn do_one(
    trial: &Trial,
    host: Host,
    home: &Home,
    store: &mut Store,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Option<Row>> {
    let missing = || Reading::missing("a single trial is not estimated");
    let planned = Planned {
        variant: trial.variant.clone(),
        trials: vec![trial.clone()],
        estimate: Estimate { memory: missing(), disk: missing() },
    };
    let run = Run {
        id: trial.id.clone(),
        profile_name: "trial".into(),
        profile: String::new(),
        host: host.card.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        started: session::now(),
        finished: None,
        trials: vec![trial.clone()],
        left_out: Vec::new(),
    };
    let (again, endpoints) = (BTreeSet::new(), BTreeMap::new());
    let (done, notes, program) = (Vec::new(), Vec::new(), None);
    let steer = Steer::default();
    let plan = Plan { run, variants: vec![planned], done, host, again, notes, endpoints, program, steer };
    let mut runner = Process::new(home).context("cannot find bantam's own binary to start workers from")?;
    let mut scheduler = Exhaustive::of(&plan);
    session::run(&plan, &mut scheduler, &mut runner, store, &mut [observer], cancel)?;
    if cancel.is_cancelled() {
        return Ok(None);
    }
    let Some(outcome) = store.outcome_of(&trial.id)? else {
        bail!("{}: it came to no end", trial.ask.label());
    };
    Ok(Some(Row { trial: trial.clone(), outcome }))
}

/// The machine's name, as part of a file's: a folder that several machines share has what each of them is at.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, place: Place, commit: Option<&str>) -> ModelRef {
        ModelRef {
            name: name.into(),
            place,
            digest: Id::of(&name),
            parameters: 1,
            commit: commit.map(String::from),
            adapter: None,
        }
    }

    #[test]
    fn a_model_is_named_by_what_another_machine_has_too() {
        let folder = || Place::Folder("/here/snapshots/x".into());
        assert_eq!(typed(&model("bantam-s", Place::Bundled("bantam-s".into()), None)), "bundled:bantam-s");
        assert_eq!(typed(&model("org/a", folder(), Some("abc"))), "org/a@abc");
        assert_eq!(typed(&model("org/a:Q4_0", folder(), Some("abc"))), "org/a@abc:Q4_0");
        assert_eq!(typed(&model("a", folder(), None)), "/here/snapshots/x");
    }

    #[test]
    fn another_model_under_the_name_is_refused() {
        let planned = model("bantam-s", Place::Bundled("bantam-s".into()), None);
        let refused = found(&planned, "bundled:bantam-s").expect_err("another digest").to_string();
        assert!(refused.contains("is not the model that was planned with"), "{refused}");
        let here = models::open("bundled:bantam-s").expect("bundled").model;
        assert_eq!(found(&here, "bundled:bantam-s").expect("the same"), here);
    }
}

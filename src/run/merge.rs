//! Results of many machines in one store: every trial of a plan once, however often and wherever it was done. Scores count
//! wherever they were measured; speeds are taken of one class of machine, and what was timed on another has no speed in the run, with
//! the reason.

use crate::run::emit::{Emitted, RESULTS};
use crate::run::spec::Done;
use crate::run::{Done as Decided, Workplace};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Conditions, Failure, Id, Outcome, Run, Trial};
use bantam_core::unit::{Seconds, counted};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What came together.
pub struct Merged {
    pub run: Run,
    /// A class of machine in words, how many trials it did, and whether its speeds are the run's.
    pub hosts: Vec<Host>,
    /// Trials of the plan of which no result is there.
    pub missing: Vec<Trial>,
    /// What is to be known about it, a sentence each.
    pub notes: Vec<String>,
}

/// A class of machine that did some of the trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub id: Id,
    pub words: String,
    pub trials: usize,
    pub gives_speeds: bool,
}

/// Reads the plan and all results below the folders, and puts them into the store as one run.
///
/// # Errors
/// One sentence where no folder holds a plan, two hold different ones, a result cannot be read, or the store cannot be
/// written.
pub fn merge(folders: &[PathBuf], class: Option<&str>, workplace: &mut Workplace) -> Result<Merged> {
    let plan = plan_of(folders)?;
    let (results, mut notes) = results(folders, &plan)?;
    let hosts = hosts(&results, &plan, class)?;
    let speeds = hosts.iter().find(|host| host.gives_speeds).map(|host| host.id.clone());
    let timed_here = results.values().flatten().find(|done| Some(&done.host) == speeds.as_ref());
    let speeds_as = timed_here.map(|done| (&done.host, &done.trial.conditions));
    let mut chosen = Chosen { plan: &plan, speeds: speeds_as, outcomes: Vec::new(), missing: Vec::new() };
    plan.trials
        .iter()
        .for_each(|trial| chosen.take(trial, results.get(&trial.id).map(Vec::as_slice).unwrap_or_default()));
    let Chosen { outcomes, missing, .. } = chosen;
    notes.extend(engines(&outcomes));
    let card = speeds.as_ref().or(hosts.first().map(|host| &host.id));
    let card = results.values().flatten().find(|done| Some(&done.host) == card).map(|done| done.card.clone());
    let run = Run {
        host: with_hosts(card.unwrap_or_else(|| plan.host.clone()), &hosts),
        trials: outcomes.iter().map(|(trial, _)| trial.clone()).chain(missing.iter().cloned()).collect(),
        finished: None,
        started: plan.started,
        ..plan
    };
    let ids: Vec<&Id> = run.trials.iter().map(|trial| &trial.id).collect();
    let run = Run { id: Id::of(&("merged 1", &run.profile, ids)), ..run };
    store(&run, &outcomes, &results, missing.is_empty(), workplace)?;
    Ok(Merged { run, hosts, missing, notes })
}

/// Decides over what was merged.
///
/// # Errors
/// The store's.
pub fn decided(merged: &Merged, workplace: &Workplace) -> Result<Decided> {
    let rows = workplace.store.light_rows(&merged.run.id)?;
    let profile = Profile::from_resolved(&merged.run.profile).context("the plan's profile")?;
    let run = workplace.store.run(&merged.run.id)?.unwrap_or_else(|| merged.run.clone());
    Decided::of(run, rows, &profile, !merged.missing.is_empty(), workplace)
}

/// The one plan that the folders hold, or the folders that they are the results of.
fn plan_of(folders: &[PathBuf]) -> Result<Run> {
    let mut found: Option<(PathBuf, Run)> = None;
    for folder in folders {
        ensure!(folder.is_dir(), "{}: there is no such folder", folder.display());
        let around = folder.join("..");
        let around = if folder.file_name().is_some_and(|name| name == RESULTS) { around } else { folder.clone() };
        for place in [folder, &around] {
            let Some(plan) = Emitted::read(place)? else { continue };
            match &found {
                Some((first, run)) if run.id != plan.run.id => bail!(
                    "{} and {} hold plans of different runs ({} and {}); merge them one by one",
                    first.display(),
                    place.display(),
                    run.profile_name,
                    plan.run.profile_name
                ),
                _ => found = Some((place.clone(), plan.run)),
            }
            break;
        }
    }
    let named = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    let (_, run) = found.with_context(|| {
        format!("{named}: there is no plan.json; name the folder that `bantam plan --emit` wrote, too")
    })?;
    Ok(run)
}

type Results = BTreeMap<Id, Vec<Done>>;

/// All results of the plan's trials, by their planned trial; and what else lies there.
fn results(folders: &[PathBuf], plan: &Run) -> Result<(Results, Vec<String>)> {
    let planned: BTreeSet<&Id> = plan.trials.iter().map(|trial| &trial.id).collect();
    let (mut all, mut strangers) = (Results::new(), 0);
    for file in files(folders) {
        let done = Done::read(&file)?;
        match planned.contains(&done.spec) {
            true => all.entry(done.spec.clone()).or_default().push(done),
            false => strangers += 1,
        }
    }
    // the same ones in the same order, whichever folder is named first
    for results in all.values_mut() {
        results.sort_by(|a, b| {
            (a.outcome.result.is_err(), &a.trial.id, &a.host)
                .cmp(&(b.outcome.result.is_err(), &b.trial.id, &b.host))
                .then(a.outcome.started.total_cmp(&b.outcome.started))
        });
    }
    let notes = (strangers > 0)
        .then(|| format!("{} of trials that are not in this plan were left aside", counted(strangers, "result")));
    Ok((all, notes.into_iter().collect()))
}

/// The files of results: in a folder, or in the folder of results within a plan's.
fn files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for folder in folders {
        for place in [folder.clone(), folder.join(RESULTS)] {
            let entries = std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
            files.extend(entries.filter(|path| is_result(path)).map(|path| path.canonicalize().unwrap_or(path)));
        }
    }
    files.into_iter().collect()
}

/// "0123456789abcdef.json"; what is half written has another name.
fn is_result(path: &Path) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    path.extension().is_some_and(|ending| ending == "json")
        && stem.len() == 16
        && stem.chars().all(|c| c.is_ascii_hexdigit())
}

/// The classes of machines, and which of them gives the speeds: the one that is asked for, or that timed most of the trials.
fn hosts(results: &Results, plan: &Run, class: Option<&str>) -> Result<Vec<Host>> {
    let mut hosts: BTreeMap<&Id, (Host, usize)> = BTreeMap::new();
    for trial in &plan.trials {
        let mut counted = BTreeSet::new();
        for done in results.get(&trial.id).into_iter().flatten() {
            let host = Host { id: done.host.clone(), words: done.host_words.clone(), trials: 0, gives_speeds: false };
            let (host, timed) = hosts.entry(&done.host).or_insert((host, 0));
            if counted.insert(&done.host) {
                host.trials += 1;
                *timed += usize::from(matches!(trial.ask, Ask::Speed(_)) && done.outcome.result.is_ok());
            }
        }
    }
    let most = hosts.values().map(|(_, timed)| *timed).max().unwrap_or(0);
    let best = match class {
        Some(class) => {
            let named: Vec<&Id> = hosts.keys().copied().filter(|id| id.0.starts_with(class)).collect();
            let [one] = named[..] else {
                let all: Vec<String> =
                    hosts.values().map(|(host, _)| format!("{} ({})", host.id, host.words)).collect();
                bail!("--class {class}: is no one of the classes that did trials: {}", all.join(", "));
            };
            Some(one.clone())
        }
        None => hosts.iter().find(|(_, (_, timed))| *timed == most && most > 0).map(|(id, _)| (*id).clone()),
    };
    let mut hosts: Vec<Host> = hosts.into_values().map(|(host, _)| host).collect();
    for host in &mut hosts {
        host.gives_speeds = Some(&host.id) == best.as_ref();
    }
    Ok(hosts)
}

/// Which result of each trial counts.
struct Chosen<'a> {
    plan: &'a Run,
    /// The class of machine that gives the speeds, and how a trial is done there.
    speeds: Option<(&'a Id, &'a Conditions)>,
    outcomes: Vec<(Trial, Outcome)>,
    missing: Vec<Trial>,
}

impl Chosen<'_> {
    /// Of a task the first good result, one of the planned engine before others; of a speed shape the one of the class that gives the
    /// speeds.
    fn take(&mut self, planned: &Trial, results: &[Done]) {
        let Some(first) = results.first() else { return self.missing.push(planned.clone()) };
        let chosen = match &planned.ask {
            Ask::Task(_) => {
                let as_planned =
                    |done: &&Done| done.engine() == &planned.conditions.engine && done.outcome.result.is_ok();
                results.iter().find(as_planned).unwrap_or(first)
            }
            Ask::Speed(_) => match self.speeds {
                None => first,
                Some((class, conditions)) => match results.iter().find(|done| done.host == *class) {
                    Some(done) => done,
                    None => return self.elsewhere(planned, first, class, conditions),
                },
            },
        };
        let trial = self.renamed(&chosen.trial, planned);
        self.outcomes.push((trial, chosen.outcome.clone()));
    }

    /// Timed, but on another class of machine: no speed of this run, unless the store has one of its class.
    fn elsewhere(&mut self, planned: &Trial, done: &Done, class: &Id, conditions: &Conditions) {
        let message = format!(
            "it was timed on another class of machine ({}, class {}), and speeds are compared within one only; `bantam merge --class` \
             takes that one's",
            done.host_words, done.host
        );
        let trial = Trial::new(planned.variant.clone(), planned.ask.clone(), conditions.clone(), class);
        let failed = Outcome::failed(trial.id.clone(), Failure::Error { message }, done.outcome.started, Seconds(0.0));
        self.outcomes.push((trial, failed));
    }

    /// The trial as it was done, with the model's place as the plan has it: that of the other machine is not here.
    fn renamed(&self, done: &Trial, planned: &Trial) -> Trial {
        debug_assert!(self.plan.trials.iter().any(|trial| trial.id == planned.id), "of this plan");
        Trial { variant: planned.variant.clone(), ..done.clone() }
    }
}

/// Scores of several engines stand side by side: in the last digit they need not agree.
fn engines(outcomes: &[(Trial, Outcome)]) -> Option<String> {
    let tasks = outcomes.iter().filter(|(trial, outcome)| matches!(trial.ask, Ask::Task(_)) && outcome.result.is_ok());
    let mut engines: BTreeMap<String, usize> = BTreeMap::new();
    tasks.for_each(|(trial, _)| *engines.entry(trial.conditions.engine.to_string()).or_default() += 1);
    let told: Vec<String> = engines.iter().map(|(engine, n)| format!("{engine} ({})", counted(*n, "trial"))).collect();
    (engines.len() > 1)
        .then(|| format!("scores are of several engines, which need not agree in the last digit: {}", told.join("; ")))
}

fn with_hosts(mut card: serde_json::Value, hosts: &[Host]) -> serde_json::Value {
    let told = hosts.iter().map(|host| {
        serde_json::json!({ "class": host.id, "machine": host.words, "trials": host.trials, "gives_speeds": host.gives_speeds })
    });
    if card.is_object() {
        card["merged_from"] = told.collect();
    }
    card
}

/// Keeps the run with what counts; and every other good result under its own name, for runs that ask for it.
fn store(
    run: &Run,
    outcomes: &[(Trial, Outcome)],
    results: &Results,
    is_whole: bool,
    workplace: &mut Workplace,
) -> Result<()> {
    let store = &mut workplace.store;
    for done in results.values().flatten().filter(|done| done.outcome.result.is_ok()) {
        if outcomes.iter().all(|(trial, _)| trial.id != done.trial.id) {
            keep(store, &done.trial, &done.outcome)?;
        }
    }
    store.begin_run(run)?;
    for (trial, outcome) in outcomes {
        keep(store, trial, outcome)?;
    }
    if is_whole {
        let last = outcomes.iter().map(|(_, outcome)| outcome.started + outcome.wall.0).fold(run.started, f64::max);
        store.end_run(&run.id, last)?;
    }
    Ok(())
}

/// Puts an outcome in the place of what is there of its trial; a good one that is there stays, and a failure takes nothing away.
fn keep(store: &mut bantam_verdict::store::Store, trial: &Trial, outcome: &Outcome) -> Result<()> {
    if store.has_result(&trial.id)? {
        return Ok(());
    }
    store.put_trial(trial)?;
    store.forget(&trial.id)?;
    outcome.items.iter().try_for_each(|item| store.put_item(&trial.id, item))?;
    outcome.samples.iter().try_for_each(|sample| store.put_sample(&trial.id, sample))?;
    store.finish(&Outcome { trial: trial.id.clone(), ..outcome.clone() })?;
    Ok(())
}

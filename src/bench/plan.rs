//! The plan: a profile as variants and trials, and what the store has already of them. It measures nothing.

use crate::profile::{self, Profile};
use crate::record::{Ask, Conditions, Id, Reading, Run, TaskRef, Trial, Variant};
use crate::store::{self, Store};

/// What a session will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The run, with all its trials in order. The same profile with the same models and suites on the same host is the
    /// same run, so that doing it again goes on with it.
    pub run: Run,
    /// The same trials by variant.
    pub variants: Vec<Planned>,
    /// Trials that have their result.
    pub done: Vec<Id>,
}

/// A variant, what is asked of it and what it will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub variant: Variant,
    pub trials: Vec<Trial>,
    pub estimate: Estimate,
}

/// What a variant will take, computed from the config alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    pub memory: Reading,
    pub disk: Reading,
}

/// What the machine is: its card, and the identity under which speeds can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub id: Id,
    pub card: serde_json::Value,
}

impl Plan {
    /// Every variant on every task and speed shape. Tasks come first, since their scores do not mind a warm machine
    /// and speed does mind a cold one.
    pub fn of(
        profile: &Profile,
        variants: Vec<(Variant, Estimate)>,
        tasks: &[TaskRef],
        host: Host,
        store: &Store,
    ) -> store::Result<Plan> {
        let conditions = conditions(profile);
        let asks: Vec<Ask> =
            tasks.iter().cloned().map(Ask::Task).chain(profile.measure.speed.iter().copied().map(Ask::Speed)).collect();
        let planned = |(variant, estimate): (Variant, Estimate)| {
            let trial = |ask: &Ask| Trial::new(variant.clone(), ask.clone(), conditions.clone(), &host.id);
            Planned { trials: asks.iter().map(trial).collect(), variant: variant.clone(), estimate }
        };
        let variants: Vec<Planned> = variants.into_iter().map(planned).collect();
        let run = run(profile, &variants, host.card);
        let mut done = Vec::new();
        for trial in &run.trials {
            if store.has_result(&trial.id)? {
                done.push(trial.id.clone());
            }
        }
        Ok(Plan { run, variants, done })
    }

    /// How many trials have no result yet.
    pub fn missing(&self) -> usize {
        self.run.trials.len() - self.done.len()
    }
}

fn run(profile: &Profile, variants: &[Planned], host: serde_json::Value) -> Run {
    let meant = toml::to_string(profile).expect("a profile has string keys and no numbers that TOML cannot write");
    let trials: Vec<Trial> = variants.iter().flat_map(|planned| planned.trials.clone()).collect();
    let ids: Vec<&Id> = trials.iter().map(|trial| &trial.id).collect();
    Run {
        id: Id::of(&("run 1", &meant, ids)),
        profile_name: profile.name.clone(),
        profile: meant,
        host,
        version: env!("CARGO_PKG_VERSION").into(),
        started: super::session::now(),
        finished: None,
        trials,
    }
}

/// How the profile wants it measured; what it leaves open is filled in from this machine.
fn conditions(profile: &Profile) -> Conditions {
    let profile::Measure {
        speed: _,
        threads,
        seed,
        limit,
        max_length,
        half_width,
        budget,
        min_repeats,
        timeout,
        memory_limit,
        tdp_watts,
        idle,
    } = profile.measure.clone();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Conditions {
        threads: threads.unwrap_or_else(cores),
        seed,
        max_length,
        limit,
        half_width,
        budget,
        min_repeats,
        timeout,
        memory_limit,
        tdp_watts,
        idle,
    }
}

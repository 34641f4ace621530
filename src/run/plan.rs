//! The plan: a profile as variants and trials, and what the store has already of them. It measures nothing.

use crate::library::models::{self, Opened};
use crate::library::suites;
use crate::run::engine;
use anyhow::{Context, Result, bail};
use bantam_core::profile::{self, Profile, RecipeRef};
use bantam_core::record::{
    Ask, Conditions, Engine, Figure, Id, Provenance, Reading, Run, TaskRef, Trial, Variant, Warning,
};
use bantam_core::unit::{Bytes, Unit};
use bantam_host::card::{Card, Fact};
use bantam_lab::Recipe;
use bantam_verdict::store::{self, Store};

/// Parameters of a model whose passes are too short to share.
const SMALL: u64 = 32_000_000;
/// More batches at a time would take more memory than the model.
const MOST_PARALLEL_BATCHES: usize = 16;

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
    pub host: Host,
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

impl Estimate {
    fn of(opened: &Opened, recipe: Option<&Recipe>, tokens: usize) -> Result<Estimate> {
        let bytes = match recipe {
            Some(_) if !opened.compresses => {
                let reason = "an encoder is not compressed";
                return Ok(Estimate { memory: Reading::missing(reason), disk: Reading::missing(reason) });
            }
            // opened only here: a model that is quantized already can be measured, though not compressed
            Some(recipe) => models::bytes_after(&models::source(&opened.model.name, &opened.model.place)?, recipe)?,
            None => models::bytes(&opened.model.place)?,
        };
        let memory = models::memory(opened, bytes, tokens);
        let how = format!("weights and a cache of {tokens} tokens; working memory and the program come on top");
        Ok(Estimate {
            memory: figure(memory, Provenance::Estimated, how),
            disk: figure(bytes, Provenance::Derived, "sizes of the tensors and of the rest of the file".into()),
        })
    }
}

fn figure(bytes: Bytes, provenance: Provenance, how: String) -> Reading {
    Reading::Known(Figure { value: bytes.0 as f64, unit: Unit::Bytes, provenance, interval: None, n: None, how })
}

/// What the machine is.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The identity under which speeds can be compared.
    pub id: Id,
    /// The whole card and the engine, as they are stored with the run.
    pub card: serde_json::Value,
    /// Bytes a second that its memory gives, or why that is unknown.
    pub bandwidth: Result<f64, String>,
    /// What makes its numbers doubtful before anything has run.
    pub warnings: Vec<Warning>,
    pub threads: usize,
    /// What computes on it.
    pub engine: Engine,
    /// "AMD EPYC, 2 threads, 23.5 GiB".
    pub words: String,
}

impl Host {
    /// This machine. Measuring its bandwidth takes a third of a second of all its CPUs.
    pub fn here(with_bandwidth: bool) -> Host {
        let card = Card::here();
        let card = if with_bandwidth { card.with_bandwidth() } else { card };
        let engine = engine::here();
        Host {
            id: card.id(),
            bandwidth: match &card.bandwidth {
                Fact::Known(bandwidth) => Ok(bandwidth.bytes_per_second),
                Fact::Unknown { reason } => Err(reason.clone()),
            },
            warnings: card.warnings(),
            threads: card.threads(),
            words: format!(
                "{}, {} threads, {}",
                card.cpu.model.show(String::clone),
                card.threads(),
                card.memory.total.show(Bytes::to_string)
            ),
            card: record(&card, &engine),
            engine,
        }
    }
}

/// The card with one key more.
fn record(card: &Card, engine: &Engine) -> serde_json::Value {
    let mut record = serde_json::to_value(card).expect("a card has string keys");
    record["engine"] = serde_json::to_value(engine).expect("an engine is three strings");
    record
}

impl Plan {
    /// Finds the profile's models, recipes and suites, and looks at this machine. Models are identified by all their
    /// bytes, so large ones take a second a gigabyte.
    ///
    /// # Errors
    /// One sentence on the model, recipe or suite that cannot be used; or the store's.
    pub fn make(profile: &Profile, store: &Store) -> Result<Plan> {
        let tasks = tasks(profile)?;
        let variants = variants(profile)?;
        check_names(profile, &tasks, &variants)?;
        let host = Host::here(!profile.measure.speed.is_empty());
        Ok(Plan::of(profile, variants, &tasks, host, store)?)
    }

    /// Every variant on every task and speed shape. Tasks come first, since their scores do not mind a warm machine
    /// and speed does mind a cold one.
    pub fn of(
        profile: &Profile,
        variants: Vec<(Variant, Estimate)>,
        tasks: &[TaskRef],
        host: Host,
        store: &Store,
    ) -> store::Result<Plan> {
        let conditions = conditions(profile, &host);
        let asks: Vec<Ask> =
            tasks.iter().cloned().map(Ask::Task).chain(profile.measure.speed.iter().copied().map(Ask::Speed)).collect();
        let planned = |(variant, estimate): (Variant, Estimate)| {
            let trial = |ask: &Ask| Trial::new(variant.clone(), ask.clone(), conditions.clone(), &host.id);
            Planned { trials: asks.iter().map(trial).collect(), variant: variant.clone(), estimate }
        };
        let variants: Vec<Planned> = variants.into_iter().map(planned).collect();
        let run = run(profile, &variants, host.card.clone());
        let mut done = Vec::new();
        for trial in &run.trials {
            if store.has_result(&trial.id)? {
                done.push(trial.id.clone());
            }
        }
        Ok(Plan { run, variants, done, host })
    }

    /// How many batches of the trial's items are answered at the same time. Threads that share the passes of a small model
    /// wait for each other most of the time, so each takes batches of its own there. That takes memory, and is done only
    /// where a speed shape tells the variant's.
    pub fn parallel_batches(&self, trial: &Trial) -> usize {
        let is_small = trial.variant.model.parameters <= SMALL;
        let has_speed = || self.run.trials.iter().any(|other| matches!(other.ask, Ask::Speed(_)));
        match trial.ask {
            Ask::Task(_) if is_small && has_speed() => trial.conditions.threads.clamp(1, MOST_PARALLEL_BATCHES),
            _ => 1,
        }
    }

    /// How many trials have no result yet.
    pub fn missing(&self) -> usize {
        self.run.trials.len() - self.done.len()
    }
}

fn run(profile: &Profile, variants: &[Planned], host: serde_json::Value) -> Run {
    let resolved = toml::to_string(profile).expect("a profile has string keys and no numbers that TOML cannot write");
    let trials: Vec<Trial> = variants.iter().flat_map(|planned| planned.trials.clone()).collect();
    let ids: Vec<&Id> = trials.iter().map(|trial| &trial.id).collect();
    Run {
        id: Id::of(&("run 1", &resolved, ids)),
        profile_name: profile.name.clone(),
        profile: resolved,
        host,
        version: env!("CARGO_PKG_VERSION").into(),
        started: crate::run::session::now(),
        finished: None,
        trials,
    }
}

/// The tasks of the profile's suites, in order.
fn tasks(profile: &Profile) -> Result<Vec<TaskRef>> {
    let mut tasks = Vec::new();
    for name in &profile.suites {
        let suite = suites::load(name)?;
        tasks.extend(suite.tasks.into_iter().map(|task| task.limited(profile.measure.limit).reference()));
    }
    Ok(tasks)
}

/// Every model after every recipe, in the profile's order, and what each will take.
fn variants(profile: &Profile) -> Result<Vec<(Variant, Estimate)>> {
    let recipes: Vec<Option<Recipe>> = profile.recipes.iter().map(recipe).collect::<Result<_>>()?;
    // the longest sequence that is surely asked for
    let longest = profile.measure.speed.iter().map(|shape| shape.prompt + shape.output).max().unwrap_or(0);
    let mut variants = Vec::new();
    for name in &profile.models {
        let opened = models::open(name)?;
        if opened.model.adapter.is_some() && recipes.iter().any(Option::is_some) {
            bail!(
                "{name}: a recipe starts from a model's own files; write the merged model with `bantam export` first"
            );
        }
        for recipe in &recipes {
            let steps = recipe.as_ref().map(|recipe| (recipe.name.clone(), recipe.to_toml()));
            let estimate = Estimate::of(&opened, recipe.as_ref(), longest)?;
            variants.push((Variant::new(opened.model.clone(), steps), estimate));
        }
    }
    Ok(variants)
}

/// What the objective and the constraints speak of must be among what will be measured.
fn check_names(profile: &Profile, tasks: &[TaskRef], variants: &[(Variant, Estimate)]) -> Result<()> {
    if let Some(named) = &profile.objective.reference
        && !variants.iter().any(|(variant, _)| variant.is_called(named))
    {
        let labels: Vec<String> = variants.iter().map(|(variant, _)| variant.label()).collect();
        bail!("objective.reference: {named:?} is none of the profile's variants: {}", labels.join(", "));
    }
    let constraints = &profile.constraints;
    let named = (constraints.score.iter().map(|(task, _)| ("constraints.score", task)))
        .chain(constraints.relative.iter().map(|(task, _)| ("constraints.relative", task)))
        .chain(profile.objective.tasks.iter().flatten().map(|task| ("objective.tasks", task)));
    for (key, name) in named {
        if !tasks.iter().any(|task| task.task == *name) {
            let known: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
            bail!("{key}: {name:?} is none of the profile's tasks: {}", known.join(", "));
        }
    }
    Ok(())
}

/// The recipe behind a name; None for the model as it is.
fn recipe(named: &RecipeRef) -> Result<Option<Recipe>> {
    match named {
        RecipeRef::Base => Ok(None),
        RecipeRef::File(file) => Recipe::read(file).map(Some),
        RecipeRef::Quantize(name) => Ok(Some(Recipe::named(name).context("recipes")?)),
    }
}

/// How the profile wants it measured; what it leaves open is filled in from this machine.
fn conditions(profile: &Profile, host: &Host) -> Conditions {
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
    Conditions {
        threads: threads.unwrap_or(host.threads),
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
        engine: host.engine.clone(),
    }
}

//! A run of before, as results.json tells of it, whether the file lies somewhere or is made of the store just now: what
//! `check` and `diff` hold two of against each other ([`hold`]).

pub mod hold;

use crate::report::page::{Page, Record};
use crate::report::{Scores, print_json};
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::cache_type::CacheType;
use bantam_core::input;
use bantam_core::profile::Measure;
use bantam_core::record::{
    Ask, Conditions, Engine, Failure, Id, ModelRef, Outcome, Place, Row, TaskRef, Trial, Variant,
};
use bantam_core::unit::{Bytes, Seconds};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The most bytes of a results.json.
const MOST: u64 = 1 << 30;
/// What its schema's name begins with.
const SCHEMA: &str = "bantam.results/1";

/// A run of before.
#[derive(Debug, Clone)]
pub struct Past {
    /// What it is called in sentences: the file, or the profile's name.
    pub name: String,
    /// The run's id.
    pub run: Id,
    /// The profile's name.
    pub profile_name: String,
    /// The profile as it was meant, TOML.
    pub profile: String,
    /// The version of bantam that measured.
    pub version: String,
    /// Seconds since 1970.
    pub started: f64,
    /// The host's card.
    pub host: Value,
    /// The models, each once.
    pub models: Vec<ModelRef>,
    /// Every figure of every variant.
    pub records: Vec<Record>,
    /// The trials, in the order of the plan.
    pub trials: Vec<PastTrial>,
    /// The variant that was advised.
    pub advised: Option<String>,
    /// What was concluded, in a line.
    pub conclusion: String,
}

/// A trial of before.
#[derive(Debug, Clone)]
pub struct PastTrial {
    /// The trial's id.
    pub id: Id,
    /// The variant's label.
    pub variant: String,
    /// The variant's id.
    pub variant_id: Id,
    /// The label of the task or shape.
    pub ask: String,
    /// Why it has no result; None where it has.
    pub failure: Option<String>,
    /// The task, of a trial that asked one and told so.
    pub task: Option<TaskRef>,
    /// What computed it, where it was told.
    pub engine: Option<Engine>,
    /// Whether what each item gave is known.
    pub has_items: bool,
    row: Option<Row>,
}

/// The file's frame, as far as it is read.
#[derive(Deserialize)]
struct RawFile {
    schema: String,
    bantam: String,
    run: RawRun,
    profile: String,
    host: Value,
    #[serde(default)]
    words: Value,
    #[serde(default)]
    models: Vec<ModelRef>,
    trials: Vec<RawTrial>,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct RawRun {
    id: Id,
    profile: String,
    started: f64,
}

#[derive(Deserialize)]
struct RawTrial {
    id: Id,
    variant: String,
    variant_id: Id,
    ask: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    task: Option<TaskRef>,
    #[serde(default)]
    engine: Option<Engine>,
    #[serde(default)]
    scores: Option<Scores>,
}

impl Past {
    /// Reads a results.json, or the one in a report's folder.
    ///
    /// # Errors
    /// One sentence where it cannot be read or is none.
    pub fn read(file: &Path) -> Result<Past> {
        let file = if file.is_dir() { file.join(crate::report::RESULTS) } else { file.to_owned() };
        let bytes = input::read(&file, MOST).with_context(|| format!("{}: cannot be read", file.display()))?;
        Past::parse(&bytes, &file.display().to_string())
    }

    /// Takes a run as its page tells of it.
    ///
    /// # Errors
    /// None but that of a page that does not read back.
    pub fn of(page: &Page, name: &str) -> Result<Past> {
        let mut json = Vec::new();
        print_json(page, &mut json)?;
        Past::parse(&json, name)
    }

    fn parse(bytes: &[u8], name: &str) -> Result<Past> {
        let none = |why: String| anyhow!("{name}: is no results.json of bantam's ({why})");
        let whole: Value = serde_json::from_slice(bytes).map_err(|e| none(e.to_string()))?;
        let found = whole.pointer("/words/found").and_then(Value::as_bool);
        let advised = found.filter(|found| *found).and_then(|_| advised_label(&whole));
        let file: RawFile = serde_json::from_value(whole).map_err(|e| none(e.to_string()))?;
        if file.schema != SCHEMA {
            bail!("{name}: is of schema {}, and {SCHEMA} is read here", file.schema);
        }
        let conclusion = file.words.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        let trials =
            file.trials.into_iter().map(|trial| trial.read()).collect::<Result<Vec<_>, String>>().map_err(none)?;
        Ok(Past {
            name: name.into(),
            run: file.run.id,
            profile_name: file.run.profile,
            profile: file.profile,
            version: file.bantam,
            started: file.run.started,
            host: file.host,
            models: file.models,
            records: file.records,
            trials,
            advised,
            conclusion,
        })
    }

    /// Gives the labels of the variants, in the order of the plan.
    pub fn variants(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for label in self
            .trials
            .iter()
            .map(|trial| trial.variant.as_str())
            .chain(self.records.iter().map(|r| r.variant.as_str()))
        {
            if !all.contains(&label) {
                all.push(label);
            }
        }
        all
    }

    /// Gives the tasks, each once.
    pub fn tasks(&self) -> Vec<&TaskRef> {
        let mut all: Vec<&TaskRef> = Vec::new();
        for task in self.trials.iter().filter_map(|trial| trial.task.as_ref()) {
            if !all.iter().any(|known| known.suite == task.suite && known.task == task.task) {
                all.push(task);
            }
        }
        all
    }

    /// Finds a figure of the whole of a task, a shape or a variant.
    pub fn record(&self, variant: &str, ask: &str, metric: &str) -> Option<&Record> {
        self.records.iter().find(|r| r.slice.is_empty() && r.variant == variant && r.ask == ask && r.metric == metric)
    }

    /// Gives the engines that computed the trials, each once.
    pub fn engines(&self) -> Vec<String> {
        let of_host = || serde_json::from_value::<Engine>(self.host.get("engine").cloned().unwrap_or_default()).ok();
        let mut all: Vec<String> = Vec::new();
        for engine in self.trials.iter().filter_map(|trial| trial.engine.as_ref()).map(Engine::to_string) {
            if !all.contains(&engine) {
                all.push(engine);
            }
        }
        if all.is_empty() {
            all.extend(of_host().map(|engine| engine.to_string()));
        }
        all
    }

    /// Tells what machine it was measured on, as far as that decides speed; None where the card does not say.
    pub fn machine(&self) -> Option<String> {
        let at = |pointer: &str| self.host.pointer(pointer).map(Value::to_string);
        let known = |name: &str| at(&format!("/cpu/{name}/known"));
        Some(format!(
            "{}, {} CPUs, {}",
            known("model")?.trim_matches('"'),
            known("allowed")?,
            at("/system/arch")?.trim_matches('"')
        ))
    }
}

/// The advised variant's label, which the advice has by its id.
fn advised_label(whole: &Value) -> Option<String> {
    let id = whole.pointer("/advice/conclusion/advised/variant").and_then(Value::as_str)?;
    let trials = whole.get("trials")?.as_array()?;
    let trial = trials.iter().find(|trial| trial.get("variant_id").and_then(Value::as_str) == Some(id))?;
    trial.get("variant").and_then(Value::as_str).map(str::to_owned)
}

impl RawTrial {
    fn read(self) -> Result<PastTrial, String> {
        let items = self.scores.as_ref().map(Scores::items).transpose()?;
        let has_items = items.is_some();
        let row = self.task.as_ref().map(|task| {
            let failure = self.reason.clone().map(|message| Failure::Error { message });
            let failed = Outcome::failed(self.id.clone(), Failure::Cancelled, 0.0, Seconds(0.0));
            let outcome = Outcome { result: failure.map_or(Ok(()), Err), items: items.unwrap_or_default(), ..failed };
            let conditions = conditions(self.engine.clone().unwrap_or_default());
            let (ask, variant) = (Ask::Task(task.clone()), named(&self.variant, &self.variant_id));
            Row { trial: Trial { id: self.id.clone(), variant, ask, conditions, needs: Vec::new() }, outcome }
        });
        Ok(PastTrial {
            id: self.id,
            variant: self.variant,
            variant_id: self.variant_id,
            ask: self.ask,
            failure: self.reason,
            task: self.task,
            engine: self.engine,
            has_items,
            row,
        })
    }
}

/// A variant of which name and id are known.
fn named(label: &str, id: &Id) -> Variant {
    let model = ModelRef {
        name: label.into(),
        place: Place::Bundled(label.into()),
        digest: id.clone(),
        parameters: 0,
        commit: None,
        adapter: None,
    };
    Variant { id: id.clone(), model, recipe: None, steps: String::new(), kv: CacheType::default() }
}

/// What nobody asks of a run of before but for its engine.
fn conditions(engine: Engine) -> Conditions {
    let Measure { seed, limit, max_length, half_width, budget, min_repeats, timeout, tdp_watts, idle, .. } =
        Measure::default();
    let memory_limit: Option<Bytes> = None;
    Conditions {
        threads: 1,
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
        engine,
    }
}

//! The schema of results.json, for programs that read it. The parts are the types that the report is made of; the
//! file's own frame, which [`build`](super::build) puts together, is written down here once more. A test of xtask holds
//! a produced file against it, so that the two cannot part.

use super::page::{AdvisedFile, Record};
use super::scores::Scores;
use crate::recommend::advice::words::Words;
use bantam_core::record::{Id, LeftOut, ModelRef, Warning};
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// Everything that a run found, for programs.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Results {
    /// `bantam.results/1`; raised when a key changes its meaning or goes, not for new keys.
    schema: String,
    title: String,
    /// The version that measured.
    bantam: String,
    run: Run,
    /// The profile with defaults and parents filled in, as TOML.
    profile: String,
    /// The machine that it was measured on.
    host: Map<String, Value>,
    /// The advice in words.
    words: Words,
    /// The advice with its evidence: standings, comparisons, Pareto front, ties. Every figure stands in `records`, too.
    advice: Advice,
    /// Where the advised variant's file is and what to do with it; null where nothing is advised or its place is unknown.
    advised_file: Option<AdvisedFile>,
    /// The models that were tried, each once.
    models: Vec<ModelRef>,
    trials: Vec<Trial>,
    /// Pairs of a model and a recipe that cannot be made, with the reason.
    left_out: Vec<LeftOut>,
    /// Every figure of every variant, flat: what results.csv has.
    records: Vec<Record>,
}

/// Which execution of which profile; times in seconds since 1970.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Run {
    id: Id,
    profile: String,
    started: f64,
    finished: Option<f64>,
    /// Whether every trial has a result or a reason why there is none; an unfinished run has no advice.
    complete: bool,
}

/// What was concluded; more keys say what it rests on.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Advice {
    conclusion: Value,
    standings: Vec<Map<String, Value>>,
}

/// One variant on one task or speed shape, and how it ended.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Trial {
    id: Id,
    variant: String,
    variant_id: Id,
    ask: String,
    /// The task with the hash of all that decides its score; null for a speed shape.
    task: Option<Map<String, Value>>,
    /// What computed it: revision, instruction set, device.
    engine: Map<String, Value>,
    status: Status,
    /// Why it failed, in a sentence.
    reason: Option<String>,
    items: usize,
    samples: usize,
    wall_seconds: f64,
    warnings: Vec<Warning>,
    /// What each item gave on the deciding metric; left out of a speed shape.
    scores: Option<Scores>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Status {
    Finished,
    Failed,
}

/// Gives the JSON schema of results.json.
pub fn schema() -> Value {
    schemars::schema_for!(Results).to_value()
}

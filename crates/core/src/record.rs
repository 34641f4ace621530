//! The records: what was asked, what came out, and where every number is from.
//!
//! Plain data that the worker sends, the store keeps and the deciding half reads. No behaviour beyond identity
//! and the adding up of items; nothing here knows a model, a database or a screen.

use crate::cache_type::CacheType;
use crate::chat::Chat;
use crate::endpoint::Endpoint;
use crate::metric::Metric;
use crate::system::System;
use crate::unit::{Bytes, Seconds, Unit};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Read off an instrument or counted on this host.
    Measured,
    /// Computed from measured numbers or from exact facts.
    Derived,
    /// A model's guess; never mixed with measured numbers without its label.
    Estimated,
}

impl Provenance {
    /// Gives the word for it on screens and in reports.
    pub fn label(self) -> &'static str {
        match self {
            Provenance::Measured => "measured",
            Provenance::Derived => "derived",
            Provenance::Estimated => "estimated",
        }
    }
}

/// An interval at a confidence level, 0.95 for 95%.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end, in the unit of the figure.
    pub low: f64,
    /// The upper end, never below `low`.
    pub high: f64,
    /// The confidence level, 0.95 for 95%.
    pub level: f64,
}

/// A number that keeps its unit, its interval and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The number, in `unit`.
    pub value: f64,
    /// What the number counts.
    pub unit: Unit,
    /// Whether it was measured, derived or estimated.
    pub provenance: Provenance,
    /// How sure it is; None where no interval was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Why there is no interval where one is due: "too few items: the smallest class has 3, and each needs 10".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<String>,
    /// How many items or samples it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// How to get it again, in a few words: "VmHWM of the worker", "RAPL package-0, idle 4.1 W subtracted".
    pub how: String,
}

/// A number, or the reason why there is none. Never zero for missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The number.
    Known(Figure),
    /// There is no number.
    Missing {
        /// Why, as a sentence or part of one.
        reason: String,
    },
}

impl Reading {
    /// Makes a reading without a number, with its reason.
    pub fn missing(reason: impl Into<String>) -> Reading {
        Reading::Missing { reason: reason.into() }
    }

    /// Gives the figure; None where it is missing.
    pub fn known(&self) -> Option<&Figure> {
        match self {
            Reading::Known(figure) => Some(figure),
            Reading::Missing { .. } => None,
        }
    }

    /// Gives the number; None where it is missing.
    pub fn value(&self) -> Option<f64> {
        self.known().map(|f| f.value)
    }
}

/// A content hash in hex, short enough to read aloud: the first 16 digits of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Id(pub String);

impl Id {
    /// The identity of anything that can be written as JSON. Field order is part of it.
    pub fn of(content: &impl Serialize) -> Id {
        let bytes = serde_json::to_vec(content).expect("records have string keys and no failing serializers");
        Id::of_bytes(&bytes)
    }

    /// Computes the identity of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Id {
        let hash = Sha256::digest(bytes);
        Id(crate::disk::hex(&hash[..8]))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a model's files are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Inside this binary, by name.
    Bundled(String),
    /// A folder with config.json, tokenizer.json and safetensors.
    Folder(PathBuf),
    /// One GGUF file.
    Gguf(PathBuf),
    /// No files: a model that answers at an address.
    Endpoint(Box<Endpoint>),
    /// No files of its own: several variants that answer as one. What it gives is put together of what they gave.
    System(Box<System>),
}

/// A model as a profile named it and as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelRef {
    /// As shown: "bantam-l", "HuggingFaceTB/SmolLM2-135M".
    pub name: String,
    /// Where its files are.
    pub place: Place,
    /// The identity of the weights, config and tokenizer, so that a changed folder is another model.
    pub digest: Id,
    /// How many parameters it has, counted from the shapes of its tensors; 0 where that is not known.
    pub parameters: u64,
    /// The commit of the hub's repository that it is, for one from there; pin it as ORG/NAME@COMMIT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The folder of the LoRA adapter that is applied to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
}

/// A model after a recipe, with keys and values kept in one type. The untouched model is the base variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Hash of the model's digest, the recipe, the format version and, where it is not the default, the cache's type.
    pub id: Id,
    /// The model before the recipe.
    pub model: ModelRef,
    /// The recipe's name, None for the base.
    pub recipe: Option<String>,
    /// The recipe's steps as TOML, so that a result can be made again.
    #[serde(default)]
    pub steps: String,
    /// How its keys and values are kept.
    #[serde(default, skip_serializing_if = "CacheType::is_default")]
    pub kv: CacheType,
}

impl Variant {
    /// Makes a variant of a model; `recipe` is its name and its steps as TOML, None for the base.
    pub fn new(model: ModelRef, recipe: Option<(String, String)>) -> Variant {
        let (recipe, steps) = recipe.map_or((None, String::new()), |(name, steps)| (Some(name), steps));
        let id = Id::of(&("variant 1", &model.digest, &steps));
        Variant { id, model, recipe, steps, kv: CacheType::default() }
    }

    /// Makes it one whose keys and values are kept in this type.
    #[must_use]
    pub fn keeping(self, kv: CacheType) -> Variant {
        let id = match kv.is_default() {
            true => Id::of(&("variant 1", &self.model.digest, &self.steps)),
            false => Id::of(&("variant 1", &self.model.digest, &self.steps, kv)),
        };
        Variant { id, kv, ..self }
    }

    /// Tells whether it is the untouched model, its keys and values kept as they are where nothing is said.
    pub fn is_base(&self) -> bool {
        self.has_own_files() && self.kv.is_default()
    }

    /// Tells whether its files are the model's own, which no recipe has to make.
    pub fn has_own_files(&self) -> bool {
        self.recipe.is_none() && !self.is_system()
    }

    /// Tells whether several variants answer as this one.
    pub fn is_system(&self) -> bool {
        matches!(self.model.place, Place::System(_))
    }

    /// "bantam-l · Q4_K_M", "bantam-l · Q4_K_M · kv:q4_0", or "bantam-l" for the base.
    pub fn label(&self) -> String {
        let recipe = self.recipe.as_deref().map(String::from);
        let kv = (!self.kv.is_default()).then(|| format!("kv:{}", self.kv));
        [Some(self.model.name.clone()), recipe, kv].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// What distinguishes it from others of its model: "base", "Q4_K_M", "base kv:q4_0".
    pub fn treatment(&self) -> String {
        let recipe = self.recipe.as_deref().unwrap_or("base");
        if self.kv.is_default() { recipe.to_owned() } else { self.kv.behind(recipe) }
    }

    /// Whether a profile means it by this: a label, or a model as profiles write it, which is its base variant.
    pub fn is_called(&self, named: &str) -> bool {
        if self.label() == named {
            return true;
        }
        let (named, kv) = CacheType::split(named);
        let typed = match &self.model.place {
            Place::Bundled(name) => named.strip_prefix("bundled:") == Some(name),
            Place::Folder(path) | Place::Gguf(path) => {
                path == std::path::Path::new(named) || std::path::absolute(named).is_ok_and(|named| named == *path)
            }
            Place::Endpoint(at) => {
                Endpoint::typed(named).is_some_and(|typed| typed.url == at.url && typed.model == at.model)
            }
            Place::System(_) => false,
        };
        self.has_own_files() && self.kv == kv.unwrap_or_default() && (typed || self.model.name == named)
    }
}

/// The lengths of a speed measurement, named as llama-bench names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Prompt tokens: pp512.
    pub prompt: usize,
    /// Generated tokens: tg128.
    pub output: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("pp{}+tg{}", self.prompt, self.output))
    }
}

/// One task of a suite, by name and by the hash of all that decides its score (template, data, scorer, limit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRef {
    /// The suite's name.
    pub suite: String,
    /// The task's name within the suite.
    pub task: String,
    /// Hash of all that decides its score.
    pub digest: Id,
    /// The suite file: a path, or `bundled:NAME`.
    pub file: String,
    /// How many items are asked (after the profile's limit).
    pub items: usize,
    /// The metrics, the first being the one that decides.
    pub metrics: Vec<Metric>,
    /// The score of guessing on the deciding metric, where there is one.
    pub chance: Option<f64>,
    /// What a profile or a command says about how it is asked, beside the suite's file; the digest covers it.
    #[serde(default, skip_serializing_if = "Chat::is_empty")]
    pub chat: Chat,
}

/// What a trial asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a run holds hundreds of them, nearly all tasks; a box would be in everyone's way"
)]
pub enum Ask {
    /// To answer the items of a task.
    Task(TaskRef),
    /// To be timed at a speed shape.
    Speed(Shape),
}

impl Ask {
    /// "arithmetic", "pp128+tg64".
    pub fn label(&self) -> String {
        match self {
            Ask::Task(task) => task.task.clone(),
            Ask::Speed(shape) => shape.to_string(),
        }
    }
}

/// What computes a trial's answers. Two engines need not agree in the last digits, so their results are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Engine {
    /// Name and revision of the arithmetic: "candle 1". It is raised whenever numbers change.
    pub revision: String,
    /// The instruction set that the kernels use: "avx512", "neondot", "scalar".
    pub isa: String,
    /// Where they run: "cpu".
    pub device: String,
}

/// The engine of a record that was written before engines were named.
impl Default for Engine {
    fn default() -> Engine {
        let unknown = || "unknown".to_owned();
        Engine { revision: unknown(), isa: unknown(), device: unknown() }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}, {}", self.revision, self.isa, self.device)
    }
}

/// How a trial is run; part of its identity where it can change a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Threads that compute.
    pub threads: usize,
    /// Seed of everything random, such as the speed prompt.
    pub seed: u64,
    /// Longest sequence the model is given, None for its own maximum.
    pub max_length: Option<usize>,
    /// Items of the suite that are asked, None for all.
    pub limit: Option<usize>,
    /// Speed: stop when the interval's half-width is below this share of the value …
    pub half_width: f64,
    /// … or when this much time is spent.
    pub budget: Seconds,
    /// Speed: repeats that are made at least, 2 or more.
    pub min_repeats: usize,
    /// How long the trial may take; None for no limit.
    pub timeout: Option<Seconds>,
    /// The most private memory that the worker may take; None for no limit.
    pub memory_limit: Option<Bytes>,
    /// Thermal design power for an energy estimate where no meter exists.
    pub tdp_watts: Option<f64>,
    /// How long the idle baseline is watched before and after, where there is a meter.
    pub idle: Seconds,
    #[serde(default)]
    /// What computes: results of another engine are never taken for this one's.
    pub engine: Engine,
}

/// One variant on one task, or at one speed shape, on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Hash of what decides its results; see [`Trial::new`].
    pub id: Id,
    /// The variant that is measured.
    pub variant: Variant,
    /// What is asked of it.
    pub ask: Ask,
    /// How it is run.
    pub conditions: Conditions,
    /// Trials whose results this one's are made of, such as the base model's answers that it is compared with. They are
    /// done before it. No part of its identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Id>,
}

impl Trial {
    /// A trial's id is a hash of its contents, of the engine and, for speed, of the host it runs on.
    pub fn new(variant: Variant, ask: Ask, conditions: Conditions, host: &Id) -> Trial {
        let c = &conditions;
        let id = match &ask {
            Ask::Task(task) => {
                Id::of(&("task 2", &variant.id, &task.digest, task.items, c.max_length, c.seed, &c.engine))
            }
            Ask::Speed(shape) => Id::of(&(
                ("speed 2", &variant.id, shape, host, &c.engine),
                (c.threads, c.half_width, c.budget, c.min_repeats, c.tdp_watts),
            )),
        };
        Trial { id, variant, ask, conditions, needs: Vec::new() }
    }
}

/// One metric of one item: what [`Metric::aggregate`] adds up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// The metric.
    pub metric: Metric,
    /// The item's value, as the metric's [`Aggregation`](crate::metric::Aggregation) takes it.
    pub value: f64,
    /// 1 for means; words or bytes for perplexities; what the value is held against for metrics of a whole sample.
    pub weight: f64,
}

/// What answering one item took. Items are asked in batches, so it is the item's part of what its batch took, by its share
/// of the batch's tokens: derived, where the sum over items is measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Seconds of the whole machine: where several batches were answered at a time, each counts for its part.
    pub seconds: f64,
    /// Joules above idle; None where there is no meter. One item's may be below zero: what was drawn less than the
    /// baseline is noise, and a sum is right only if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
    /// Whether the joules are an estimate from CPU time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The tokens that an endpoint counts, which are what is paid for; None of a model on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed: Option<Billed>,
    /// What it cost in cents, where several members of a system answered, each at its own price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cents: Option<f64>,
}

/// The tokens of an answer as an endpoint counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Billed {
    /// Tokens that were read.
    pub input: f64,
    /// Tokens that were written.
    pub output: f64,
    /// Whether they are an estimate from the texts' lengths, since the endpoint did not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What one item gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Position in the suite's data.
    pub index: usize,
    /// One score for each of the task's metrics.
    pub scores: Vec<ItemScore>,
    /// The choice taken (multiple choice) or None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<usize>,
    /// The right answer, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the model said, as text: the choice or the generation after filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Log-likelihood per choice (nats), or of the whole document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<f64>,
    /// Values of the task's slices: depth → "3".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slices: BTreeMap<String, String>,
    /// Which items differ in nothing but a group (minimal pairs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Which items came together and are right or wrong together: of one conversation, one document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Prompt and answer tokens that were computed.
    #[serde(default)]
    pub tokens: usize,
    /// What answering it took; None where that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
    /// The indices of the right choices, of an item with choices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold: Vec<usize>,
    /// Of them those in which the model thought before its answer; None where it was not to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<usize>,
    /// Where what the model wrote was cut off, so that a wrong answer is perhaps none; None where it came to its own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Whether the answer is right in each of its parts, where it has some: the fields of a JSON value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, bool>,
    /// Of a written answer the geometric mean of its tokens' probabilities, 0 to 1; None where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<f64>,
}

/// Where what a model wrote was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The thinking took all its budget; its end was written for the model, and an answer followed.
    Thinking,
    /// The thinking took all the tokens there were: there is no answer.
    NoAnswer,
    /// The answer took all the tokens that it may have.
    Answer,
}

impl ItemResult {
    /// Gives the item's score on a metric; None where it has none.
    pub fn score(&self, metric: Metric) -> Option<ItemScore> {
        self.scores.iter().copied().find(|s| s.metric == metric)
    }
}

/// One repeat of a speed shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeedSample {
    /// How long the prompt took.
    pub prefill: Seconds,
    /// First token out, from the start of the prompt.
    pub ttft: Seconds,
    /// How long all tokens after the first took; 0 where nothing is decoded.
    pub decode: Seconds,
    /// Between one token and the next, in order.
    pub inter_token: Vec<f64>,
    /// Joules above idle during prefill and decode, with where they are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<PhaseEnergy>,
    /// The turn in which it was made; None for one that was measured before there were rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

/// One turn of a variant in a round. In a round every variant of a run takes a turn at the same shape, one right after
/// the other, so that what changes on the machine falls on all alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The round's number: when it began, in milliseconds since the Unix epoch. Two repeats of one number were made side
    /// by side.
    pub round: u64,
    /// When this repeat began, in seconds since the Unix epoch.
    pub started: f64,
    /// The number of the process that made it.
    pub worker: u32,
    /// The most that this process had held by the end of the turn; None where that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Bytes>,
    /// What else took the machine during the turn, as part of a sentence; None where nothing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disturbed: Option<String>,
}

/// Energy of one repeat, idle already subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseEnergy {
    /// Joules above idle during prefill; below zero where less than the baseline was drawn. One such repeat is noise,
    /// and a mean is right only if it is kept; a mean below zero is no figure.
    pub prefill_joules: f64,
    /// Joules above idle during decode; below zero where less than the baseline was drawn.
    pub decode_joules: f64,
    /// Measured by meters, or estimated from CPU time.
    pub provenance: Provenance,
}

/// What makes a number doubtful, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Warning {
    /// What kind of doubt it is, for programs.
    pub kind: WarningKind,
    /// One sentence with the figures and what to do.
    pub text: String,
}

/// The kinds of things that make a number doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// Other programs kept CPUs busy.
    ForeignLoad,
    /// The hypervisor gave CPU time to other machines.
    Steal,
    /// The processor slowed itself down, or its settings keep the clock low.
    Throttling,
    /// The idle power changed while the work ran.
    Drift,
    /// Memory went to swap, or swap is in use.
    Swap,
    /// The control group allows less memory than the machine has.
    MemoryLimit,
    /// This process may use fewer CPUs than the machine has.
    CpuLimit,
    /// The CPU governor is unknown, so the clock may change unseen.
    UnknownGovernor,
    /// The machine runs on its battery.
    Battery,
    /// Timings scatter, or the machine is virtual and its neighbours unseen.
    Noisy,
    /// A speed was not known as precisely as asked when its time or its repeats were spent.
    BudgetSpent,
    /// A score is not better than guessing.
    AtChance,
    /// A task has so few items that variants cannot be compared on it.
    TooFewItems,
    /// Inputs were longer than the model takes: they were cut, or a speed prompt was read in pieces.
    Truncated,
    /// Items that the model could not be asked, so that they have no score.
    Unasked,
    /// The model's chat template left out a part of what it was to write.
    Chat,
    /// What the model wrote was cut off before its own end.
    CutOff,
    /// Something in the suite's file is doubtful, such as two choices of one text.
    Suite,
    /// Matrices of a quantized checkpoint that are held wider than they were stored.
    Widened,
    /// The model's files disagree with each other, or say what nothing uses.
    Files,
    /// An energy span was too short for its meter.
    Meter,
    /// An endpoint was asked otherwise than a model on this machine, or did not tell all.
    Endpoint,
}

/// Why a trial has no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Failure {
    /// The model or suite was refused or an error came up, in one sentence.
    Error {
        /// What went wrong.
        message: String,
    },
    /// The variant could not be made.
    Compress {
        /// Why.
        message: String,
    },
    /// The worker ran out of memory.
    OutOfMemory {
        /// Where, and what to do.
        message: String,
    },
    /// The trial took longer than it may.
    Timeout {
        /// The limit, in seconds.
        seconds: f64,
    },
    /// The worker died: signal or exit code, and the end of its log.
    Crash {
        /// How it died.
        message: String,
        /// The end of its log.
        log: String,
    },
    /// The trial was cancelled.
    Cancelled,
    /// The variant left a race: no more items of it were worth asking.
    Raced {
        /// Why, in one clause.
        reason: String,
    },
}

impl Failure {
    /// Says in one sentence why there is no result.
    pub fn sentence(&self) -> String {
        match self {
            Failure::Error { message } | Failure::OutOfMemory { message } => message.clone(),
            Failure::Compress { message } => format!("the variant could not be made: {message}"),
            Failure::Timeout { seconds } => format!("no result within {}", Seconds(*seconds)),
            Failure::Crash { message, .. } => message.clone(),
            Failure::Cancelled => "cancelled".into(),
            Failure::Raced { reason } => reason.clone(),
        }
    }
}

/// What a trial gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The trial's id.
    pub trial: Id,
    /// Whether the trial came to its end, or why not.
    pub result: Result<(), Failure>,
    /// What each item gave; those before a failure are kept.
    pub items: Vec<ItemResult>,
    /// The repeats of a speed shape; those before a failure are kept.
    pub samples: Vec<SpeedSample>,
    /// The most that the worker held from loading the model to the trial's end.
    pub peak_memory: Reading,
    /// Joules above idle over the whole trial.
    pub energy: Reading,
    /// Size of the variant's files.
    pub disk: Reading,
    /// Tokens a second that the host's memory bandwidth allows: bandwidth over the bytes read per decoded token.
    pub ceiling: Reading,
    /// How long the model took to load, as it was measured when it was loaded …
    pub load: Option<Seconds>,
    /// … for this earlier trial, where it was not for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_by: Option<Id>,
    /// How long the whole trial took.
    pub wall: Seconds,
    /// What makes its numbers doubtful.
    pub warnings: Vec<Warning>,
    /// Seconds since the Unix epoch.
    pub started: f64,
    /// Of a speed that was predicted for another device: how, in a few words. None of what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<String>,
    /// Of a task that a race ended before all its items were asked, since those that were show enough: why. `None` where
    /// all were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
}

impl Outcome {
    /// Why the variant left a race before this trial was over; None where it did not.
    pub fn raced(&self) -> Option<&str> {
        match &self.result {
            Err(Failure::Raced { reason }) => Some(reason),
            _ => None,
        }
    }

    /// An outcome without results, because of `failure`.
    pub fn failed(trial: Id, failure: Failure, started: f64, wall: Seconds) -> Outcome {
        let reason = failure.sentence();
        let missing = || Reading::missing(reason.clone());
        Outcome {
            trial,
            peak_memory: missing(),
            energy: missing(),
            disk: missing(),
            ceiling: missing(),
            result: Err(failure),
            items: Vec::new(),
            samples: Vec::new(),
            load: None,
            loaded_by: None,
            wall,
            warnings: Vec::new(),
            started,
            predicted: None,
            settled: None,
        }
    }

    /// The score over all items; None where no item has the metric.
    pub fn score(&self, metric: Metric) -> Option<f64> {
        metric.aggregate(self.items.iter().filter_map(|i| i.score(metric)).map(|s| (s.value, s.weight)))
    }
}

/// A trial and what it gave: what the store returns and the deciding half reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The trial.
    pub trial: Trial,
    /// What it gave.
    pub outcome: Outcome,
}

/// One execution of a profile, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The run's id.
    pub id: Id,
    /// The profile's name.
    pub profile_name: String,
    /// The resolved profile, with defaults and parents filled in, as TOML.
    pub profile: String,
    /// The host card and the engine, as JSON.
    pub host: serde_json::Value,
    /// The version of bantam that ran it.
    pub version: String,
    /// Seconds since the Unix epoch.
    pub started: f64,
    /// Seconds since the Unix epoch; None while it runs and where it was interrupted.
    pub finished: Option<f64>,
    /// All its trials, in the order of the plan.
    pub trials: Vec<Trial>,
    /// Pairs of a model and a recipe that cannot be made, and are not among the trials.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// A model and a recipe of a profile that do not go together, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// The model's name.
    pub model: String,
    /// The recipe's name; `base` for the model as it is.
    pub recipe: String,
    /// Why it cannot be made, in one sentence.
    pub reason: String,
}

impl LeftOut {
    /// "bantam-l · Q4_K_M", as the variant would be called.
    pub fn label(&self) -> String {
        match self.recipe.as_str() {
            "base" => self.model.clone(),
            recipe => format!("{} · {recipe}", self.model),
        }
    }
}

impl std::fmt::Display for LeftOut {
    /// "skipped: bantam-l · Q4_K_M, because …".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "skipped: {}, because {}", self.label(), self.reason)
    }
}

//! The records: what was asked, what came out, and where every number is from.
//!
//! Plain data that the worker sends, the store keeps and the deciding half reads. No behaviour beyond identity
//! and the adding up of items; nothing here knows a model, a database or a screen.

use crate::metric::Metric;
use crate::unit::{Bytes, Seconds, Unit};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    pub low: f64,
    pub high: f64,
    pub level: f64,
}

/// A number that keeps its unit, its interval and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub value: f64,
    pub unit: Unit,
    pub provenance: Provenance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
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
    Known(Figure),
    Missing { reason: String },
}

impl Reading {
    pub fn missing(reason: impl Into<String>) -> Reading {
        Reading::Missing { reason: reason.into() }
    }

    pub fn known(&self) -> Option<&Figure> {
        match self {
            Reading::Known(figure) => Some(figure),
            Reading::Missing { .. } => None,
        }
    }

    pub fn value(&self) -> Option<f64> {
        self.known().map(|f| f.value)
    }
}

/// A content hash in hex, short enough to read aloud: the first 16 digits of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub String);

impl Id {
    /// The identity of anything that can be written as JSON. Field order is part of it.
    pub fn of(content: &impl Serialize) -> Id {
        let bytes = serde_json::to_vec(content).expect("records have string keys and no failing serializers");
        Id::of_bytes(&bytes)
    }

    pub fn of_bytes(bytes: &[u8]) -> Id {
        let hash = Sha256::digest(bytes);
        Id(hash.iter().take(8).map(|b| format!("{b:02x}")).collect())
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a model's files are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Inside this binary, by name.
    Bundled(String),
    /// A folder with config.json, tokenizer.json and safetensors.
    Folder(PathBuf),
    /// One GGUF file.
    Gguf(PathBuf),
}

/// A model as a profile named it and as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRef {
    /// As shown: "bantam-l", "HuggingFaceTB/SmolLM2-135M".
    pub name: String,
    pub place: Place,
    /// The identity of the weights, config and tokenizer, so that a changed folder is another model.
    pub digest: Id,
    pub parameters: u64,
    /// The commit of the hub's repository that it is, for one from there; pin it as ORG/NAME@COMMIT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The folder of the LoRA adapter that is applied to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
}

/// A model after a recipe. The untouched model is the base variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Hash of the model's digest, the recipe and the format version.
    pub id: Id,
    pub model: ModelRef,
    /// The recipe's name, None for the base.
    pub recipe: Option<String>,
    /// The recipe's steps as TOML, so that a result can be made again.
    #[serde(default)]
    pub steps: String,
}

impl Variant {
    pub fn new(model: ModelRef, recipe: Option<(String, String)>) -> Variant {
        let (recipe, steps) = recipe.map_or((None, String::new()), |(name, steps)| (Some(name), steps));
        let id = Id::of(&("variant 1", &model.digest, &steps));
        Variant { id, model, recipe, steps }
    }

    pub fn is_base(&self) -> bool {
        self.recipe.is_none()
    }

    /// "bantam-l · Q4_K_M", or "bantam-l" for the base.
    pub fn label(&self) -> String {
        match &self.recipe {
            Some(recipe) => format!("{} · {recipe}", self.model.name),
            None => self.model.name.clone(),
        }
    }

    /// Whether a profile means it by this: a label, or a model as profiles write it, which is its base variant.
    pub fn is_called(&self, named: &str) -> bool {
        let typed = match &self.model.place {
            Place::Bundled(name) => named.strip_prefix("bundled:") == Some(name),
            Place::Folder(path) | Place::Gguf(path) => path == std::path::Path::new(named),
        };
        self.label() == named || (self.is_base() && (typed || self.model.name == named))
    }
}

/// The lengths of a speed measurement, named as llama-bench names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    pub suite: String,
    pub task: String,
    pub digest: Id,
    /// The suite file: a path, or `bundled:NAME`.
    pub file: String,
    /// How many items are asked (after the profile's limit).
    pub items: usize,
    /// The metrics, the first being the one that decides.
    pub metrics: Vec<Metric>,
    /// The score of guessing on the deciding metric, where there is one.
    pub chance: Option<f64>,
}

/// What a trial asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    Task(TaskRef),
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
    /// The instruction set that the kernels use: "avx512", "neon", "scalar".
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
    pub threads: usize,
    pub seed: u64,
    /// Longest sequence the model is given, None for its own maximum.
    pub max_length: Option<usize>,
    /// Items of the suite that are asked, None for all.
    pub limit: Option<usize>,
    /// Speed: stop when the interval's half-width is below this share of the value …
    pub half_width: f64,
    /// … or when this much time is spent.
    pub budget: Seconds,
    pub min_repeats: usize,
    pub timeout: Option<Seconds>,
    pub memory_limit: Option<Bytes>,
    /// Thermal design power for an energy estimate where no meter exists.
    pub tdp_watts: Option<f64>,
    /// How long the idle baseline is watched before and after, where there is a meter.
    pub idle: Seconds,
    #[serde(default)]
    pub engine: Engine,
}

/// One variant on one task, or at one speed shape, on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub id: Id,
    pub variant: Variant,
    pub ask: Ask,
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
    pub metric: Metric,
    pub value: f64,
    /// 1 for means; words or bytes for perplexities; what the value is held against for metrics of a whole sample.
    pub weight: f64,
}

/// What one item gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Position in the suite's data.
    pub index: usize,
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
    /// Which items belong together (minimal pairs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Prompt and answer tokens that were computed.
    #[serde(default)]
    pub tokens: usize,
}

impl ItemResult {
    pub fn score(&self, metric: Metric) -> Option<ItemScore> {
        self.scores.iter().copied().find(|s| s.metric == metric)
    }
}

/// One repeat of a speed shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeedSample {
    pub prefill: Seconds,
    /// First token out, from the start of the prompt.
    pub ttft: Seconds,
    pub decode: Seconds,
    /// Between one token and the next, in order.
    pub inter_token: Vec<f64>,
    /// Joules above idle during prefill and decode, with where they are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<PhaseEnergy>,
}

/// Energy of one repeat, idle already subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseEnergy {
    pub prefill_joules: f64,
    pub decode_joules: f64,
    pub provenance: Provenance,
}

/// What makes a number doubtful, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Warning {
    pub kind: WarningKind,
    /// One sentence with the figures and what to do.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    ForeignLoad,
    Steal,
    Throttling,
    Drift,
    Swap,
    MemoryLimit,
    CpuLimit,
    UnknownGovernor,
    Battery,
    Noisy,
    BudgetSpent,
    AtChance,
    Truncated,
    /// Matrices of a quantized checkpoint that are held wider than they were stored.
    Widened,
    Meter,
}

/// Why a trial has no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Failure {
    /// The model or suite was refused or an error came up, in one sentence.
    Error {
        message: String,
    },
    /// The variant could not be made.
    Compress {
        message: String,
    },
    OutOfMemory {
        message: String,
    },
    Timeout {
        seconds: f64,
    },
    /// The worker died: signal or exit code, and the end of its log.
    Crash {
        message: String,
        log: String,
    },
    Cancelled,
}

impl Failure {
    pub fn sentence(&self) -> String {
        match self {
            Failure::Error { message } | Failure::OutOfMemory { message } => message.clone(),
            Failure::Compress { message } => format!("the variant could not be made: {message}"),
            Failure::Timeout { seconds } => format!("no result within {}", Seconds(*seconds)),
            Failure::Crash { message, .. } => message.clone(),
            Failure::Cancelled => "cancelled".into(),
        }
    }
}

/// What a trial gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub trial: Id,
    pub result: Result<(), Failure>,
    pub items: Vec<ItemResult>,
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
    pub wall: Seconds,
    pub warnings: Vec<Warning>,
    /// Seconds since the Unix epoch.
    pub started: f64,
}

impl Outcome {
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
    pub trial: Trial,
    pub outcome: Outcome,
}

/// One execution of a profile, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: Id,
    pub profile_name: String,
    /// The resolved profile, with defaults and parents filled in, as TOML.
    pub profile: String,
    /// The host card and the engine, as JSON.
    pub host: serde_json::Value,
    pub version: String,
    pub started: f64,
    pub finished: Option<f64>,
    pub trials: Vec<Trial>,
}

//! Profiles: what to try, what matters, what may not be exceeded and how to measure, as TOML.
//!
//! A profile is read as typed ([`raw`]), laid over the one it extends, and then meant: [`Profile`] has nothing
//! optional that has a default, and a `Profile` that exists is valid. Names of models, recipes and suites are
//! checked here for form only; whether they exist is found out by the plan.

mod mean;
mod raw;

pub use raw::Raw;

use crate::metric::Metric;
use crate::record::Shape;
use crate::unit::{Bytes, Seconds};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Gives the JSON schema of a profile file, for editors and other programs.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Raw).to_value()
}

/// What a user wants of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    pub title: String,
    /// As typed: `bundled:NAME`, a folder, a .gguf file, or `ORG/NAME[@REVISION]`.
    pub models: Vec<String>,
    /// Every model is tried as it is ("base") and after each of these.
    pub recipes: Vec<RecipeRef>,
    /// As typed: a bundled suite's name or a path to its TOML.
    pub suites: Vec<String>,
    pub measure: Measure,
    pub constraints: Constraints,
    pub objective: Objective,
}

impl Profile {
    /// A profile as a run keeps it: meant already, with nothing to fill in.
    pub fn from_meant(text: &str) -> Result<Profile, toml::de::Error> {
        toml::from_str(text)
    }
}

/// A recipe by name: a quantization type ("Q4_K_M"), or a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipeRef {
    /// The model as it is.
    Base,
    /// A bundled recipe, which is one quantize step of that name.
    Quantize(String),
    /// A recipe of the user's, in a TOML file.
    File(PathBuf),
}

/// How to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Speed shapes; empty measures no speed.
    pub speed: Vec<Shape>,
    pub threads: Option<usize>,
    pub seed: u64,
    /// Items per task, None for all.
    pub limit: Option<usize>,
    pub max_length: Option<usize>,
    pub half_width: f64,
    pub budget: Seconds,
    pub min_repeats: usize,
    pub timeout: Option<Seconds>,
    pub memory_limit: Option<Bytes>,
    pub tdp_watts: Option<f64>,
    pub idle: Seconds,
}

/// What may not be exceeded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Constraints {
    pub max_memory: Option<Bytes>,
    pub max_disk: Option<Bytes>,
    pub min_decode_tps: Option<f64>,
    pub max_ttft: Option<Seconds>,
    pub max_joules_per_token: Option<f64>,
    /// Task name to the least score of its deciding metric (the most, where lower is better).
    pub score: Vec<(String, f64)>,
    /// Task name to the least share of the reference's score.
    pub relative: Vec<(String, f64)>,
}

/// What matters among those that meet the constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub prefer: Prefer,
    /// How much worse than the reference is still good enough: a share of the score, 0.02 for two points of accuracy,
    /// and a share of the ratio for perplexities (1.02 times).
    pub margin: f64,
    pub confidence: f64,
    /// The model that the others are held against, as in `models`; None for the largest base that ran.
    pub reference: Option<String>,
    /// Tasks that decide, None for all.
    pub tasks: Option<Vec<String>>,
}

/// Which way is best, once it is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// Least memory at work.
    Smallest,
    /// Most decoded tokens a second.
    Fastest,
    /// Least energy a token.
    Leanest,
}

impl Prefer {
    pub fn metric(self) -> Metric {
        match self {
            Prefer::Smallest => Metric::PeakMemory,
            Prefer::Fastest => Metric::DecodeTps,
            Prefer::Leanest => Metric::DecodeEnergy,
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Prefer::Smallest => "smallest",
            Prefer::Fastest => "fastest",
            Prefer::Leanest => "leanest",
        }
    }
}

/// A profile that cannot be used, in one sentence with its file and, where there is one, its line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{}:{line}: {message}", file.display())]
    Broken { file: PathBuf, line: usize, message: String },
    #[error("{}: {key}: {message}", file.display())]
    Meaning { file: PathBuf, key: String, message: String },
}

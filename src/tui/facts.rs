//! What the screens know: plain numbers and names, worked out elsewhere (see jobs) and only laid out here.

use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Id, Reading, Trial, Variant};
use bantam_core::unit::Bytes;
use std::collections::BTreeSet;

/// A planned profile: what would be tried, and what the store already has.
#[derive(Debug, Clone)]
pub struct Setup {
    pub profile: Profile,
    pub models: Vec<ModelCard>,
    pub suites: Vec<SuiteCard>,
    pub trials: Vec<Trial>,
    pub variants: usize,
    pub done: BTreeSet<Id>,
    /// One line about the host: processor, cores, memory.
    pub host: String,
    /// How energy will be told: a meter's name, an estimate, or why not at all.
    pub energy: String,
    /// What makes numbers doubtful here.
    pub doubts: Vec<String>,
}

/// A model of the profile, from its config alone.
#[derive(Debug, Clone)]
pub struct ModelCard {
    pub name: String,
    /// As the profile names it.
    pub typed: String,
    pub facts: Result<ModelFacts, String>,
}

#[derive(Debug, Clone)]
pub struct ModelFacts {
    pub architecture: String,
    pub parameters: u64,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub vocab: usize,
    pub context: usize,
    /// None in an encoder, which keeps nothing.
    pub kv_bytes_per_token: Option<Bytes>,
    pub stored: Bytes,
    pub weights: String,
    /// Recipe name, size of its weights, memory at full context; exact sizes of files not yet made: derived.
    pub sizes: Vec<(String, Bytes, Bytes)>,
}

#[derive(Debug, Clone)]
pub struct SuiteCard {
    pub name: String,
    pub facts: Result<SuiteFacts, String>,
}

#[derive(Debug, Clone)]
pub struct SuiteFacts {
    /// After the profile's limit.
    pub items: usize,
    pub available: usize,
    pub metric: Metric,
}

/// Results so far: a row a variant, a column a figure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<TableColumn>,
    pub rows: Vec<TableRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// "routing", "decode", "memory".
    pub title: String,
    pub metric: Metric,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    pub variant: Variant,
    pub cells: Vec<Reading>,
    pub on_front: bool,
    pub advised: bool,
    /// Where the scatter puts it: memory and mean score.
    pub at: Option<(f64, f64)>,
}

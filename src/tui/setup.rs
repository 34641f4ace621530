//! A planned profile as the screens know it: plain numbers and names, worked out in `jobs` and only laid out by them.

use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Id, LeftOut, Trial};
use bantam_core::unit::{Bytes, Seconds};
use std::collections::BTreeSet;

/// A planned profile: what would be tried, and what the store already has.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub profile: Profile,
    pub models: Vec<ModelEntry>,
    pub suites: Vec<SuiteEntry>,
    pub trials: Vec<Trial>,
    pub variants: usize,
    /// The variants, each with its size and the time that it will take.
    pub grid: Vec<GridRow>,
    /// Models after recipes that cannot be made of them, and why.
    pub unmakable: Vec<LeftOut>,
    pub done: BTreeSet<Id>,
    /// One line about the host: processor, cores, memory.
    pub host: String,
    /// How energy will be told: a meter's name, an estimate, or why not at all.
    pub energy: String,
    /// What makes numbers doubtful here.
    pub warnings: Vec<String>,
}

impl Setup {
    /// The pairs that cannot be made, by model and reason: a line each.
    pub(super) fn unmakable_by_reason(&self) -> Vec<String> {
        let mut reasons: Vec<(&LeftOut, Vec<&str>)> = Vec::new();
        for pair in &self.unmakable {
            match reasons.iter_mut().find(|(first, _)| (&first.model, &first.reason) == (&pair.model, &pair.reason)) {
                Some((_, recipes)) => recipes.push(&pair.recipe),
                None => reasons.push((pair, vec![&pair.recipe])),
            }
        }
        let told = |(pair, recipes): (&LeftOut, Vec<&str>)| {
            format!("✗ {} · {}: {}", pair.model, recipes.join(", "), pair.reason)
        };
        reasons.into_iter().map(told).collect()
    }
}

/// A model of the profile, from its config alone.
#[derive(Debug, Clone)]
pub(super) struct ModelEntry {
    pub name: String,
    /// As the profile names it.
    pub typed: String,
    pub info: Result<ModelInfo, String>,
}

/// The weights of a recipe's file and the memory with them, or why it cannot be made.
pub(super) type Sizes = Result<(Bytes, Bytes), String>;

#[derive(Debug, Clone)]
pub(super) struct ModelInfo {
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
    /// Recipe name, size of its weights and memory at full context, or why it cannot be made; exact sizes of files not
    /// yet made: derived.
    pub sizes: Vec<(String, Sizes)>,
}

#[derive(Debug, Clone)]
pub(super) struct SuiteEntry {
    pub name: String,
    pub info: Result<SuiteInfo, String>,
}

#[derive(Debug, Clone)]
pub(super) struct SuiteInfo {
    /// After the profile's limit.
    pub items: usize,
    pub available: usize,
    pub metric: Metric,
    pub tasks: Vec<TaskEntry>,
}

/// A task of a suite.
#[derive(Debug, Clone)]
pub(super) struct TaskEntry {
    pub suite: String,
    pub name: String,
    /// After the profile's limit.
    pub items: usize,
    pub available: usize,
    /// The smallest loss that these items could show; None of scores that are no shares of right answers.
    pub smallest: Option<f64>,
    /// Letters of an item in the mean, question and answers.
    pub letters: f64,
}

/// A variant before it is measured.
#[derive(Debug, Clone)]
pub(super) struct GridRow {
    pub label: String,
    /// Of its file, derived.
    pub disk: Bytes,
    pub trials: usize,
    pub done: usize,
    /// None where nothing tells.
    pub expected: Option<Expected>,
}

/// How long something will take, about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub time: Seconds,
    pub from: From,
}

/// What a time is reckoned from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum From {
    /// Trials of this plan that were measured on this machine.
    Measured,
    /// What processors of such machines do.
    #[default]
    Guess,
}

impl From {
    pub(super) fn words(self) -> &'static str {
        match self {
            From::Measured => "(by trials here)",
            From::Guess => "(a guess)",
        }
    }
}

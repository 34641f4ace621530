//! What the steps of a recipe did to a model, in the words of the steps: kept in the file that comes out, and beside an
//! artifact, so that it can be read where the file is all that is left.

use anyhow::{Context, Result};
use bantam_format::gguf::{Gguf, Value};
use bantam_model::config::gguf::Pair;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::Path;

/// The key of a GGUF file that has it, as a string of JSON.
pub(crate) const KEY: &str = "bantam.steps";

/// What one step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepNote {
    /// The step's kind, as recipes name it.
    pub step: String,
    /// What it did, in a sentence for people.
    pub did: String,
    /// What programs may want of it: seeds, hashes of inputs, what was removed, errors of each layer.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Json>,
}

impl StepNote {
    /// A note without details.
    pub fn new(step: &str, did: impl Into<String>) -> StepNote {
        StepNote { step: step.into(), did: did.into(), details: Map::new() }
    }

    /// With a detail.
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> StepNote {
        self.details.insert(key.into(), value.into());
        self
    }
}

/// What the steps did that a GGUF file went through; nothing where it tells of none.
///
/// # Errors
/// Where the file cannot be read, or has something else under the key.
pub fn of_file(file: &Path) -> Result<Vec<StepNote>> {
    let file = Gguf::open(file)?;
    match file.optional_string(KEY) {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).with_context(|| format!("{}: {KEY}", file.file())),
    }
}

/// Adds notes to those that a file's metadata has.
pub(crate) fn add(pairs: &mut Vec<Pair>, notes: &[StepNote]) {
    if notes.is_empty() {
        return;
    }
    let before = pairs.iter().position(|(key, _)| key == KEY).map(|place| pairs.remove(place).1);
    let before = before.and_then(|value| match value {
        Value::String(text) => serde_json::from_str::<Vec<Json>>(&text).ok(),
        _ => None,
    });
    let new = notes.iter().filter_map(|note| serde_json::to_value(note).ok());
    let all: Vec<Json> = before.into_iter().flatten().chain(new).collect();
    pairs.push((KEY.into(), Value::String(Json::from(all).to_string())));
}

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

/// The key of a GGUF file that says of what it was made and how, as a string of JSON.
pub(crate) const MADE: &str = "bantam.made";

/// Of what a file was made, and how: with it, the file can be made again and held against what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// What the model was called.
    pub name: String,
    /// The identity of its weights, config and tokenizer: SHA-256 over all that decides what it does.
    pub base: String,
    /// The commit of the hub that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The recipe's steps as TOML, with the hashes of the files that they name.
    pub recipe: String,
    /// The version that made it.
    pub bantam: String,
}

/// Of what a GGUF file was made and how, the first first; nothing where it does not say.
///
/// # Errors
/// Where the file cannot be read, or has something else under the key.
pub fn made_of(file: &Path) -> Result<Vec<Made>> {
    let file = Gguf::open(file)?;
    match file.optional_string(MADE) {
        None => Ok(Vec::new()),
        Some(text) if text.trim().is_empty() => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).with_context(|| format!("{}: {MADE}", file.file())),
    }
}

/// The same of metadata; what cannot be read says nothing.
pub(crate) fn made_in(pairs: &[Pair]) -> Vec<Made> {
    let text = pairs.iter().find_map(|(key, value)| match value {
        Value::String(text) if key == MADE => Some(text),
        _ => None,
    });
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Says in a file's metadata of what it is made; in `room` bytes, where they are enough, so that a file is as long as it was
/// planned whatever its recipe turns out to be.
pub(crate) fn say_made(pairs: &mut Vec<Pair>, made: &[Made], room: usize) {
    pairs.retain(|(key, _)| key != MADE);
    let mut text = if made.is_empty() { String::new() } else { serde_json::to_string(made).unwrap_or_default() };
    // JSON may end in spaces
    text.extend(std::iter::repeat_n(' ', room.saturating_sub(text.len())));
    pairs.push((MADE.into(), Value::String(text)));
}

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

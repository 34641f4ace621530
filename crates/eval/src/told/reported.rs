//! `.eval_results/*.yaml` of a model's repository on the hub (<https://huggingface.co/docs/hub/eval-results>): a list of entries, each a
//! benchmark's dataset and task with a value. Anybody may write anything there, so that such a score is "reported", never measured.

use super::{Teller, Told, ToldScore, malformed, unreadable};
use crate::error::Error;
use crate::front::YamlNode;
use bantam_core::input;
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::path::Path;

/// An entry to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The benchmark's dataset on the hub.
    pub dataset: String,
    /// The task within it.
    pub task: String,
    /// The dataset's revision, where one was named.
    pub revision: Option<String>,
    /// The score.
    pub value: f64,
    /// When it was measured, as `2026-11-30T12:00:00Z`.
    pub date: String,
    /// How it was measured.
    pub notes: String,
}

/// Reads a file of entries; the hub's form, and the one that its API answers with.
pub(super) fn read(file: &Path) -> Result<Told, Error> {
    let text = input::read_to_string(file, input::WRITTEN_BY_HAND).map_err(unreadable(file))?;
    let node =
        YamlNode::parse(&text).map_err(|broken| malformed(file, broken.line, format!("is no YAML: {}", broken.why)))?;
    let wrong = |line: usize, why: &str| {
        malformed(
            file,
            line,
            format!("{why}; a list of dataset: {{id: ORG/NAME, task_id: NAME}} and value: NUMBER is needed"),
        )
    };
    let Some(entries) = node.list() else { return Err(wrong(node.line, "is no list")) };
    let mut scores = Vec::new();
    for entry in entries {
        let entry = entry.get("data").unwrap_or(entry);
        let of_dataset = |key: &str| entry.get("dataset").and_then(|dataset| dataset.get(key));
        let text = |node: Option<&YamlNode>| node.and_then(YamlNode::text).map(str::to_owned);
        let dataset = text(of_dataset("id")).ok_or_else(|| wrong(entry.line, "has an entry without a dataset's id"))?;
        let task = text(of_dataset("task_id")).ok_or_else(|| wrong(entry.line, "has an entry without a task_id"))?;
        let value = entry.get("value").map(YamlNode::json);
        let number = match &value {
            Some(Json::Number(number)) => number.as_f64(),
            Some(Json::String(text)) => text.trim().trim_end_matches('%').parse().ok(),
            _ => None,
        };
        scores.push(ToldScore {
            task,
            dataset: Some(dataset),
            metric: None,
            filter: "none".into(),
            value: number.ok_or_else(|| wrong(entry.line, "has an entry whose value is no number"))?,
            stderr: None,
            items: None,
            num_fewshot: None,
            notes: text(entry.get("notes")),
        });
    }
    Ok(Told { file: file.to_owned(), teller: Teller::Reported, model: None, scores, samples: Vec::new() })
}

/// The text of a file with these entries.
pub fn to_yaml(entries: &[Entry]) -> String {
    // a JSON string is a YAML one
    let quoted = |text: &str| Json::from(text).to_string();
    entries.iter().fold(String::new(), |mut out, entry| {
        // a String takes whatever is written to it
        let _ = writeln!(out, "- dataset:\n    id: {}\n    task_id: {}", quoted(&entry.dataset), quoted(&entry.task));
        if let Some(revision) = &entry.revision {
            let _ = writeln!(out, "    revision: {}", quoted(revision));
        }
        let _ = writeln!(
            out,
            "  value: {}\n  date: {}\n  notes: {}",
            entry.value,
            quoted(&entry.date),
            quoted(&entry.notes)
        );
        out
    })
}

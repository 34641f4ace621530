//! `.eval_results/bantam.yaml`, as a model's repository on the hub reports scores: an entry for each task of a dataset of the hub.

use super::results;
use super::scores::VariantScores;
use anyhow::{Context, Result};
use bantam_core::disk;
use bantam_eval::told::{Entry, to_yaml};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Writes the entries of one variant below its folder; None where no task has a dataset of the hub. `started` is in seconds since the
/// Unix epoch.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(scores: &VariantScores, started: f64, folder: &Path) -> Result<Option<PathBuf>> {
    let entries = entries(scores, started);
    if entries.is_empty() {
        return Ok(None);
    }
    let folder = results::own_folder(&scores.variant, folder)?.join(".eval_results");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let file = folder.join("bantam.yaml");
    disk::write(&file, to_yaml(&entries).as_bytes())
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(Some(file))
}

fn entries(scores: &VariantScores, started: f64) -> Vec<Entry> {
    let moment = OffsetDateTime::from_unix_timestamp(started as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    let date = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let of = |task: &super::scores::TaskScores| {
        let text = |key: &str| task.facts.config.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let dataset = text("dataset_path").filter(|path| path.split('/').count() == 2)?;
        let score = task.scores.first()?;
        let notes = format!(
            "{} ({}), {}-shot, {} items, a share of 1 where it is one; lm-evaluation-harness's task {}, asked by bantam {}",
            score.metric,
            score.filter,
            task.facts.num_fewshot,
            task.size,
            task.facts.name,
            env!("CARGO_PKG_VERSION")
        );
        let value = score.value;
        Some(Entry {
            dataset,
            task: task.facts.name.clone(),
            revision: text("revision"),
            value,
            date: date.clone(),
            notes,
        })
    };
    scores.tasks.iter().filter_map(of).collect()
}

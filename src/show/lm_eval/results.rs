//! `results_DATE.json` in lm-evaluation-harness's own form (`lm_eval/result_schema.py`, 0.4.13), so that what reads its results
//! reads these.

use super::scores::{Score, TaskScores, VariantScores};
use anyhow::{Context, Result};
use bantam_core::disk;
use bantam_core::metric::Direction;
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What stands beside the scores.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub limit: Option<usize>,
    /// Seconds since the Unix epoch.
    pub started: f64,
    pub seconds: f64,
}

/// The folder of one variant below another, made where it is not there.
///
/// # Errors
/// Where it cannot be made.
pub fn own_folder(variant: &str, folder: &Path) -> Result<PathBuf> {
    let folder = folder.join(plain(variant));
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    Ok(folder)
}

/// Writes the results of one variant below a folder, in one of its own.
///
/// # Errors
/// Where the folder cannot be made or the file cannot be written.
pub fn write(scores: &VariantScores, asked: Asked, folder: &Path, date: &str) -> Result<PathBuf> {
    let folder = own_folder(&scores.variant, folder)?;
    let file = folder.join(format!("results_{date}.json"));
    let text = serde_json::to_string_pretty(&json(scores, asked)).context("results are JSON")?;
    disk::write(&file, text.as_bytes()).with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(file)
}

/// A moment as a file's name holds it, as `2026-11-29T14-03-26.5`.
pub fn date(seconds: f64) -> String {
    let moment =
        OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}-{:02}-{:02}.{:06}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
}

/// `sanitize_model_name`
pub fn plain(name: &str) -> String {
    let (mut out, mut before) = (String::new(), false);
    for c in name.chars() {
        let odd = "\"<>:/|\\?*[]".contains(c);
        match (odd, before) {
            (true, false) => out.push_str("__"),
            (true, true) => {}
            (false, _) => out.push(c),
        }
        before = odd;
    }
    out
}

fn json(scores: &VariantScores, asked: Asked) -> Json {
    let of_tasks = |value: &dyn Fn(&TaskScores) -> Json| {
        let pairs: Map<String, Json> = scores.tasks.iter().map(|task| (task.facts.name.clone(), value(task))).collect();
        pairs
    };
    let mut results = of_tasks(&|task| metrics(&task.facts.name, &task.facts.alias, task.size, &task.scores));
    let mut groups = Map::new();
    for (group, of_group, size) in &scores.groups {
        let made = metrics(&group.name, &group.alias, *size, of_group);
        if !group.metrics.is_empty() {
            groups.insert(group.name.clone(), made.clone());
        }
        results.insert(group.name.clone(), made);
    }
    let higher = |task: &TaskScores| {
        task.facts
            .metrics
            .iter()
            .map(|of| (of.name.clone(), Json::from(of.metric.direction() == Direction::Higher)))
            .collect()
    };
    let mut all = Map::new();
    all.insert("results".into(), results.into());
    if !groups.is_empty() {
        all.insert("groups".into(), groups.into());
    }
    let children = scores.groups.iter().map(|(group, ..)| (group.name.clone(), Json::from(group.children.clone())));
    all.insert("group_subtasks".into(), children.collect::<Map<_, _>>().into());
    all.insert("configs".into(), of_tasks(&|task| task.facts.config.clone()).into());
    all.insert("versions".into(), of_tasks(&|task| task.facts.version.clone()).into());
    all.insert("n-shot".into(), of_tasks(&|task| task.facts.num_fewshot.into()).into());
    all.insert("higher_is_better".into(), of_tasks(&|task| Json::Object(higher(task))).into());
    all.insert("n-samples".into(), of_tasks(&|task| json!({ "effective": task.size })).into());
    all.insert(
        "config".into(),
        json!({ "model": "bantam", "model_args": scores.variant, "limit": asked.limit, "fewshot_seed": 1234, "bootstrap_iters": 0 }),
    );
    all.insert("date".into(), asked.started.into());
    all.insert("bantam_version".into(), env!("CARGO_PKG_VERSION").into());
    all.insert("model_source".into(), "bantam".into());
    all.insert("model_name".into(), scores.variant.as_str().into());
    all.insert("model_name_sanitized".into(), plain(&scores.variant).into());
    all.insert("total_evaluation_time_seconds".into(), asked.seconds.to_string().into());
    Json::Object(all)
}

fn metrics(name: &str, alias: &str, size: usize, scores: &[Score]) -> Json {
    let mut out = Map::new();
    out.insert("name".into(), name.into());
    out.insert("alias".into(), alias.into());
    out.insert("sample_len".into(), size.into());
    for Score { metric, filter, value, stderr } in scores {
        out.insert(format!("{metric},{filter}"), (*value).into());
        out.insert(format!("{metric}_stderr,{filter}"), stderr.map_or_else(|| "N/A".into(), Json::from));
    }
    Json::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_are_names_of_folders() {
        assert_eq!(plain("org/name:Q4"), "org__name__Q4");
        assert_eq!(plain("a<>b\\c"), "a__b__c");
    }
}

//! Scores as lm-evaluation-harness keeps them: per task, metric and filter, with the standard error that it tells; and those of
//! groups, made of their tasks' (`lm_eval/api/group.py` and `metrics.py`, 0.4.13).

use crate::run::{Done, Workplace};
use anyhow::Result;
use bantam_core::record::{Ask, ItemResult, Row};
use bantam_eval::{self as eval, Described, Group, TaskFacts, TaskMetric};
use std::collections::BTreeMap;

/// A score of a task or a group, as `acc,none`.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    pub metric: String,
    pub filter: String,
    pub value: f64,
    /// None where lm-evaluation-harness tells none, or draws it by chance (bootstrap).
    pub stderr: Option<f64>,
}

/// The scores of a task.
#[derive(Debug, Clone)]
pub struct TaskScores {
    pub facts: TaskFacts,
    /// Items that were scored.
    pub size: usize,
    pub scores: Vec<Score>,
}

/// What one variant scored.
#[derive(Debug, Clone)]
pub struct VariantScores {
    pub variant: String,
    pub tasks: Vec<TaskScores>,
    /// The groups that were asked, with those of their scores that there are.
    pub groups: Vec<(Group, Vec<Score>, usize)>,
}

/// The scores of a run's tasks of lm-evaluation-harness, by variant; `suites` are the names that were asked.
///
/// # Errors
/// Where a result or a task's file cannot be read any more.
pub fn of(done: &Done, suites: &[String], workplace: &Workplace) -> Result<Vec<VariantScores>> {
    let named = suites.iter().filter(|name| eval::LmEvalTask::is_named(name));
    let groups = named.map(|name| Ok(eval::described(name)?.groups)).collect::<Result<Vec<_>>>()?.concat();
    let mut all: Vec<VariantScores> = Vec::new();
    for row in done.whole_rows(workplace) {
        add(&row?, &mut all)?;
    }
    for variant in &mut all {
        variant.groups = groups.iter().map(|group| grouped(group, &variant.tasks)).collect();
    }
    Ok(all)
}

/// The task of a row as its file describes it, and the pipeline of filters; None of a row that is of no such task, or has no items.
///
/// # Errors
/// Where the task's file cannot be read any more.
pub fn described(row: &Row) -> Result<Option<(TaskFacts, String)>> {
    let Ask::Task(task) = &row.trial.ask else { return Ok(None) };
    if !eval::LmEvalTask::is_named(&task.file) || row.outcome.items.is_empty() {
        return Ok(None);
    }
    let Described { tasks, .. } = eval::described(&task.file)?;
    Ok(tasks.into_iter().find_map(|facts| facts.filter_of(&task.task).map(|filter| (facts, filter))))
}

/// The score of items by one of a task's metrics.
pub fn score(of: &TaskMetric, filter: &str, items: &[ItemResult]) -> Option<Score> {
    let value = of.score(items)?;
    let values: Vec<f64> = of.values(items).into_iter().map(|(value, _)| value).collect();
    let stderr = of.has_stderr.then(|| of_mean(&values)).flatten();
    Some(Score { metric: of.name.clone(), filter: filter.to_owned(), value, stderr })
}

fn add(row: &Row, all: &mut Vec<VariantScores>) -> Result<()> {
    let Some((facts, filter)) = described(row)? else { return Ok(()) };
    let label = row.trial.variant.label();
    if all.iter().all(|variant| variant.variant != label) {
        all.push(VariantScores { variant: label.clone(), tasks: Vec::new(), groups: Vec::new() });
    }
    let Some(variant) = all.iter_mut().find(|variant| variant.variant == label) else { return Ok(()) };
    let scores: Vec<Score> =
        facts.metrics.iter().filter_map(|metric| score(metric, &filter, &row.outcome.items)).collect();
    match variant.tasks.iter_mut().find(|other| other.facts.name == facts.name) {
        Some(there) => there.scores.extend(scores),
        None => variant.tasks.push(TaskScores { facts, size: row.outcome.items.len(), scores }),
    }
    Ok(())
}

/// The standard error of a mean; None of fewer than two.
fn of_mean(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt() / n.sqrt())
}

/// A group's scores, of those of its tasks that have the metric.
fn grouped(group: &Group, tasks: &[TaskScores]) -> (Group, Vec<Score>, usize) {
    // a task that is in the group by two ways counts twice, as in lm-evaluation-harness
    let of_name = |name: &String| tasks.iter().find(|task| task.facts.name == *name);
    let own: Vec<&TaskScores> = group.tasks.iter().filter_map(of_name).collect();
    let mut scores = Vec::new();
    for wanted in &group.metrics {
        let of_metric = |task: &&TaskScores| {
            task.scores.iter().filter(|score| score.metric == wanted.metric).cloned().collect::<Vec<_>>()
        };
        let mut filters: BTreeMap<String, Vec<(Score, usize)>> = BTreeMap::new();
        for task in &own {
            for score in of_metric(task) {
                filters.entry(score.filter.clone()).or_default().push((score, task.size));
            }
        }
        let is_wanted = |filter: &String| wanted.filters.as_ref().is_none_or(|names| names.contains(filter));
        scores.extend(filters.into_iter().filter(|(filter, _)| is_wanted(filter)).map(|(filter, of)| Score {
            metric: wanted.metric.clone(),
            filter,
            value: mean(&of, wanted.weight_by_size),
            stderr: stderr(&of, wanted.weight_by_size),
        }));
    }
    (group.clone(), scores, own.iter().map(|task| task.size).sum())
}

fn mean(of: &[(Score, usize)], weighted: bool) -> f64 {
    let weight = |size: &usize| if weighted { *size as f64 } else { 1.0 };
    let sum: f64 = of.iter().map(|(score, size)| score.value * weight(size)).sum();
    sum / of.iter().map(|(_, size)| weight(size)).sum::<f64>()
}

/// Of the pooled items where tasks count by their size; of the mean of means else. None where one task has none.
fn stderr(of: &[(Score, usize)], weighted: bool) -> Option<f64> {
    let known: Vec<(f64, f64)> =
        of.iter().map(|(score, size)| Some((score.stderr?, *size as f64))).collect::<Option<_>>()?;
    if !weighted {
        return Some(known.iter().map(|(stderr, _)| stderr.powi(2)).sum::<f64>().sqrt() / known.len() as f64);
    }
    let all: f64 = known.iter().map(|(_, size)| size).sum();
    let squares: f64 = known.iter().map(|(stderr, size)| (size - 1.0) * stderr.powi(2) * size).sum();
    let freedom = all - known.len() as f64;
    (freedom > 0.0).then(|| (squares / freedom / all).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: f64, stderr: f64) -> Score {
        Score { metric: "acc".into(), filter: "none".into(), value, stderr: Some(stderr) }
    }

    /// `aggregate_subtask_metrics`, `pooled_sample_stderr` and `unweighted_mean_stderr` of 0.4.13.
    #[test]
    fn tasks_of_a_group_count_by_their_size_or_alike() {
        let of = [(score(0.5, 0.1), 10), (score(1.0, 0.05), 30)];
        assert_eq!((mean(&of, true), mean(&of, false)), (0.875, 0.75));
        let near = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-12);
        assert!(near(stderr(&of, true), ((9.0 * 0.01 * 10.0 + 29.0 * 0.0025 * 30.0) / 38.0 / 40.0_f64).sqrt()));
        assert!(near(stderr(&of, false), 0.0125_f64.sqrt() / 2.0));
        assert_eq!(stderr(&[(Score { stderr: None, ..score(1.0, 0.0) }, 3)], true), None);
        assert!(near(of_mean(&[1.0, 0.0, 1.0, 1.0]), 0.25));
        assert_eq!(of_mean(&[1.0]), None);
    }

    /// The golden run of tests/golden/lmeval_yaml: a group by size, and one within it whose tasks count alike.
    #[test]
    fn groups_score_as_they_did_in_lm_eval() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lmeval_yaml");
        let read = |name: &str| -> serde_json::Value {
            let text = std::fs::read_to_string(folder.join(name)).expect("a golden file");
            serde_json::from_str(&text).expect("JSON")
        };
        let (items, wanted) = (read("llama.json"), read("groups.json"));
        let task = eval::LmEvalTask { name: "all".into(), include_path: vec![folder.clone()], ..Default::default() };
        let described = eval::described(&task.to_string()).expect("valid task files");
        let scores_of = |facts: TaskFacts| {
            let items = items[&facts.name]["items"].as_array().expect("items");
            let values: Vec<f64> = items.iter().map(|item| item["scores"]["acc"].as_f64().expect("scored")).collect();
            let value = values.iter().sum::<f64>() / values.len() as f64;
            let score = Score { stderr: of_mean(&values), ..score(value, 0.0) };
            TaskScores { facts, size: values.len(), scores: vec![score] }
        };
        let tasks: Vec<TaskScores> = described.tasks.into_iter().map(scores_of).collect();
        assert_eq!(described.groups.len(), 2);
        for group in &described.groups {
            let (_, scores, _) = grouped(group, &tasks);
            let told = |key: &str| wanted[&group.name][key].as_f64().expect("told");
            assert!((scores[0].value - told("acc,none")).abs() < 1e-12, "{}", group.name);
            assert!((scores[0].stderr.expect("known") - told("acc_stderr,none")).abs() < 1e-12, "{}", group.name);
        }
    }
}

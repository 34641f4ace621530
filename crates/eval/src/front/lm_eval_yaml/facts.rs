//! What a task's file says of it beside what is asked: for whoever shows its scores in lm-evaluation-harness's form.

use super::scoring::TaskMetric;
use super::task::Making;
use super::tree::{Group, Leaf, Tree};
use super::{LmEvalTask, keys, scoring};
use crate::error::Error;
use bantam_core::metric::Aggregation;
use serde_json::{Map, Value as Json};

/// The tasks and groups that a name means.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// The tasks, in order.
    pub tasks: Vec<TaskFacts>,
    /// The groups, the outermost first.
    pub groups: Vec<Group>,
}

/// A task as its file describes it.
#[derive(Debug, Clone)]
pub struct TaskFacts {
    /// Its name.
    pub name: String,
    /// What it is called in tables; its name where it says nothing.
    pub alias: String,
    /// The names of its pipelines of filters; `none` where it has none.
    pub filters: Vec<String>,
    /// Its metrics as it names them, and those of bantam's that they are.
    pub metrics: Vec<TaskMetric>,
    /// Examples in its prompts.
    pub num_fewshot: usize,
    /// The version in its metadata, or null.
    pub version: Json,
    /// All its keys.
    pub config: Json,
}

/// Describes the tasks and groups of a name; reads none of their data.
///
/// # Errors
/// Where the name means nothing here, or a file cannot be read or used.
pub fn described(name: &str) -> Result<Described, Error> {
    let tree = Tree::find(&LmEvalTask::parse(name)?)?;
    Ok(Described { tasks: tree.leaves.iter().map(facts).collect::<Result<_, Error>>()?, groups: tree.groups })
}

impl TaskFacts {
    /// The pipeline whose scores a task of a run has, by the task's name; None where it is no task of these.
    pub fn filter_of(&self, task: &str) -> Option<String> {
        let bare = task.rsplit_once('@').map_or(task, |(bare, _)| bare);
        let of = |task: &str| match (task.strip_prefix(self.name.as_str())?, &self.filters[..]) {
            ("", [only]) => Some(only.clone()),
            (rest, filters) => filters.iter().find(|filter| rest.strip_prefix(':') == Some(filter)).cloned(),
        };
        of(task).or_else(|| of(bare))
    }
}

fn facts(leaf: &Leaf) -> Result<TaskFacts, Error> {
    let making = Making::of(leaf)?;
    let config = &leaf.config;
    let metrics = scoring::metrics(config, making.results, &making.key)?.map(|(named, _)| named);
    let own = making.kind.metrics.iter().map(|&metric| TaskMetric {
        name: metric.name().to_owned(),
        metric,
        of: None,
        has_stderr: metric.aggregation() == Aggregation::Mean,
    });
    let metadata = config.get("metadata").and_then(|entry| entry.node.get("version"));
    let all = config
        .keys()
        .filter(|(_, entry)| !entry.node.is_null())
        .map(|(key, entry)| (key.to_owned(), entry.node.json()));
    let mut all: Map<String, Json> = all.collect();
    all.insert("num_fewshot".into(), making.num_fewshot.into());
    Ok(TaskFacts {
        name: leaf.name.clone(),
        alias: keys::text(config, "task_alias", &making.key)?.unwrap_or_else(|| leaf.name.clone()),
        filters: scoring::pipelines(config, &making.key)?.0.into_iter().map(|(name, _)| name).collect(),
        metrics: metrics.unwrap_or_else(|| own.collect()),
        num_fewshot: making.num_fewshot,
        version: metadata.map_or(Json::Null, super::yaml::Node::json),
        config: Json::Object(all),
    })
}

//! Tasks of lm-evaluation-harness as they are: YAML files of the user, of the lm_eval package or of a checkout. bantam has none
//! of them and runs none of their Python; what a task says is read, and what it names of Python's functions is there in
//! Rust for the tasks that are asked most, or refused by name.
//!
//! In reading order: `address` is what such a task is called, `folders` and `registry` find its file, `yaml` and `config` read it
//! with what it includes, `tree` follows groups and tags, `dataset` reads the lines, `functions` makes them ready, `scoring`
//! and `task` say the rest in the words that a suite's file has.

mod address;
mod config;
mod dataset;
mod facts;
mod folders;
mod functions;
#[cfg(test)]
mod golden;
mod keys;
mod registry;
#[cfg(test)]
mod scored;
mod scoring;
mod task;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

pub use address::LmEvalTask;
pub use facts::{Described, TaskFacts, described};
pub use scoring::TaskMetric;
pub use tree::{Group, GroupMetric};
pub(crate) use yaml::Node as YamlNode;

use super::simple::is_simple_template;
use super::{OnHub, RawTask};
use crate::error::{Error, Key};
use crate::task::Suite;
use bantam_core::chat::Chat;
use std::path::Path;
use tree::Tree;

/// Reads the tasks of a name: one task, a group's, or those of a tag.
pub(super) fn load(name: &str, only: Option<&str>, chat: &Chat, on_hub: OnHub) -> Result<Suite, Error> {
    let named = LmEvalTask::parse(name)?;
    let tree = Tree::find(&named)?;
    let mut tasks = Vec::new();
    for leaf in tree.leaves.iter().filter(|leaf| only.is_none_or(|only| is_of(only, &leaf.name))) {
        tasks.extend(task::tasks(leaf, chat, on_hub)?);
    }
    let title = tree.groups.first().map_or_else(|| named.name.clone(), |group| group.alias.clone());
    let several = tree.leaves.len();
    Ok(Suite {
        name: tree.groups.first().map_or_else(
            || tree.leaves.first().map_or(named.name.clone(), |leaf| leaf.name.clone()),
            |g| g.name.clone(),
        ),
        version: 1,
        title,
        description: if several == 1 {
            "A task of lm-evaluation-harness".into()
        } else {
            format!("{several} tasks of lm-evaluation-harness")
        },
        file: named.to_string(),
        tasks,
    })
}

/// The task of lm-evaluation-harness that a section of a suite's file names; None where it names none. Paths lead from the
/// suite's `folder`.
pub(super) fn of_section(raw: &RawTask, folder: &Path, key: &Key) -> Result<Option<LmEvalTask>, Error> {
    let Some(name) = raw.lm_eval.as_deref().map(str::trim).filter(|name| !name.is_empty()) else { return Ok(None) };
    const BESIDE: [&str; 11] = [
        "lm_eval",
        "include_path",
        "num_fewshot",
        "allow_code",
        "apply_chat_template",
        "system_instruction",
        "fewshot_as_multiturn",
        "chat_template_kwargs",
        "enable_thinking",
        "think_end_token",
        "thinking_budget",
    ];
    if let Some(other) = raw.given().into_iter().find(|name| !BESIDE.contains(name)) {
        return Err(key
            .at(other)
            .wrong("means nothing beside lm_eval: the task's own file says it; remove one of the two"));
    }
    let within = |path: &str| std::path::absolute(folder.join(path)).unwrap_or_else(|_| folder.join(path));
    let name = if address::is_file(name) { within(name).to_string_lossy().into_owned() } else { name.to_owned() };
    let include_path = raw.include_path.as_deref().map(within).into_iter().collect();
    Ok(Some(LmEvalTask {
        name,
        num_fewshot: raw.num_fewshot,
        include_path,
        allow_code: raw.allow_code == Some(true),
        ..LmEvalTask::default()
    }))
}

/// Whether a task is one of those that are made of a leaf: `NAME`, `NAME:PIPELINE`, `NAME@WAY`.
fn is_of(task: &str, leaf: &str) -> bool {
    task.strip_prefix(leaf).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

/// Lists the data on the hub that the tasks of a name need.
pub(super) fn data_on_hub(name: &str) -> Result<Vec<String>, Error> {
    let tree = Tree::find(&LmEvalTask::parse(name)?)?;
    let mut named = tree.leaves.iter().map(task::on_hub).collect::<Result<Vec<_>, Error>>()?.concat();
    named.sort();
    named.dedup();
    Ok(named)
}

/// Tells whether all templates of the tasks of a name are simple.
pub(super) fn is_simple(name: &str) -> Result<bool, Error> {
    let tree = Tree::find(&LmEvalTask::parse(name)?)?;
    let mut simple = true;
    for (_, entry) in tree.leaves.iter().flat_map(|leaf| leaf.config.keys()) {
        entry.node.texts(&mut |text| simple &= is_simple_template(text));
    }
    Ok(simple && tree.leaves.iter().all(|leaf| leaf.address.num_fewshot.is_none_or(|shown| shown <= 32)))
}

//! The keys that a task's file may have, and what is refused: what bantam cannot do is said before anything runs.

use super::config::Config;
use super::functions::Function;
use super::yaml::{Node, Value};
use crate::error::{Error, Key, either};

/// The keys of `TaskConfig` (`lm_eval/config/task.py`, 0.4.13).
const TASK: [&str; 36] = [
    "task",
    "task_alias",
    "tag",
    "custom_dataset",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "training_split",
    "validation_split",
    "test_split",
    "fewshot_split",
    "process_docs",
    "doc_to_text",
    "doc_to_target",
    "doc_to_image",
    "doc_to_audio",
    "unsafe_code",
    "doc_to_choice",
    "process_results",
    "use_prompt",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "num_fewshot",
    "metric_list",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "gen_prefix",
    "metadata",
    "group_alias",
    "aggregate_metric_list",
];

/// The keys of `FewshotConfig`.
const FEWSHOT: [&str; 9] = [
    "sampler",
    "split",
    "process_docs",
    "samples",
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "fewshot_delimiter",
    "target_delimiter",
];

/// Refuses keys that nobody knows, and those that ask for what bantam does not do.
pub(super) fn check(config: &Config, allow_code: bool, key: &Key) -> Result<(), Error> {
    if let Some((other, _)) = config.keys().find(|(name, _)| !TASK.contains(name)) {
        let near = TASK.iter().filter(|known| near(known, other)).copied().collect::<Vec<_>>();
        let hint = if near.is_empty() { String::new() } else { format!("; is {} meant?", either(&near)) };
        return Err(key.at(other).wrong(format!("is no key of a task{hint}")));
    }
    const REFUSED: [(&str, &str); 5] = [
        ("custom_dataset", "makes its data by a function of Python's, which bantam does not run"),
        ("doc_to_image", "asks about images, and bantam's models read text"),
        ("doc_to_audio", "asks about sound, and bantam's models read text"),
        ("use_prompt", "names a prompt of promptsource, which is another package; write doc_to_text and doc_to_target"),
        ("process_results", ""),
    ];
    for (name, why) in REFUSED.iter().filter(|(_, why)| !why.is_empty()) {
        if config.get(name).is_some() {
            return Err(key.at(name).wrong(*why));
        }
    }
    if !allow_code && runs_code(config) {
        return Err(key.at("unsafe_code").wrong(
            "runs what the model writes, which is done only where it is asked for: --allow-code, or allow_code=true behind the task's \
             name",
        ));
    }
    let Some(fewshot) = config.get("fewshot_config") else { return Ok(()) };
    let Value::Map(map) = &fewshot.node.value else {
        return Err(key.at("fewshot_config").wrong(format!("is {}; a map is needed", fewshot.node.kind())));
    };
    match map.iter().find(|(name, _)| !FEWSHOT.contains(&name.as_str())) {
        Some((other, _)) => {
            Err(key.at("fewshot_config").wrong(format!("'{other}' is not known here; allowed is {}", either(&FEWSHOT))))
        }
        None => Ok(()),
    }
}

/// Whether a task is one that runs what the model writes.
pub(super) fn runs_code(config: &Config) -> bool {
    config.get("unsafe_code").is_some_and(|entry| entry.node.value != Value::Bool(false))
}

fn near(known: &str, typed: &str) -> bool {
    let same = known.chars().zip(typed.chars()).take_while(|(a, b)| a == b).count();
    let rest = known.chars().rev().zip(typed.chars().rev()).take_while(|(a, b)| a == b).count();
    known.len().abs_diff(typed.len()) <= 2 && same + rest + 2 >= known.len().max(typed.len())
}

/// A function that is named, or the sentence about it.
pub(super) fn unknown(function: &Function, key: &Key) -> Error {
    key.wrong(format!(
        "'{}' is a function of Python's, which bantam does not run, and it has none of its own for it; write a template, or \
         ask another task",
        function.named
    ))
}

/// Text of a key, where there is some.
pub(super) fn text(config: &Config, name: &str, key: &Key) -> Result<Option<String>, Error> {
    match config.get(name).map(|entry| &entry.node) {
        None => Ok(None),
        Some(Node { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
        Some(Node { value: value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_)), line }) => {
            Ok(Some(crate::python::printed(&Node { line: *line, value: value.clone() }.json())))
        }
        Some(other) => Err(key.at(name).wrong(format!("is {}; text is needed", other.kind()))),
    }
}

/// A whole number of a key, where there is one.
pub(super) fn count(config: &Config, name: &str, key: &Key) -> Result<Option<usize>, Error> {
    match config.get(name).map(|entry| &entry.node) {
        None => Ok(None),
        Some(Node { value: Value::Int(count), .. }) if *count >= 0 => Ok(usize::try_from(*count).ok()),
        Some(other) => Err(key.at(name).wrong(format!("is {}; a whole number from 0 on is needed", other.kind()))),
    }
}

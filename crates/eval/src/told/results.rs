//! `results_DATE.json` of lm-evaluation-harness (`EvalResults` in `lm_eval/result_schema.py`, 0.4.13; older ones are much the same).

use super::{RESULTS, Teller, Told, ToldScore, malformed, samples, unreadable};
use crate::error::{Error, line_of};
use bantam_core::input;
use serde_json::{Map, Value as Json};
use std::path::Path;

/// Reads a file of results, with the samples that lie beside it.
pub(super) fn read(file: &Path) -> Result<Told, Error> {
    let text = input::read(file, RESULTS).map_err(unreadable(file))?;
    let all: Json = serde_json::from_slice(&text).map_err(|e| {
        let line = e.line().clamp(1, line_of(&text, text.len()));
        malformed(file, line, format!("is no JSON: {e}"))
    })?;
    let Some(results) = all.get("results").and_then(Json::as_object) else {
        let told = "has no map results, as lm-evaluation-harness writes it; is it another file?";
        return Err(malformed(file, 1, told.into()));
    };
    let scores = results.iter().flat_map(|(task, of_task)| of(task, of_task, &all)).collect();
    let model = ["model_name", "model_source"].iter().find_map(|key| all.get(*key).and_then(Json::as_str));
    Ok(Told {
        file: file.to_owned(),
        teller: Teller::Harness,
        model: model.map(str::to_owned),
        scores,
        samples: samples::beside(file)?,
    })
}

/// The scores of a task or a group: `acc,none` beside `acc_stderr,none`.
fn of(task: &str, of_task: &Json, all: &Json) -> Vec<ToldScore> {
    let none = Map::new();
    let pairs = of_task.as_object().unwrap_or(&none);
    let within = |key: &str| all.get(key).and_then(|map| map.get(task));
    let count = |value: Option<&Json>| value.and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let items =
        count(within("n-samples").and_then(|of| of.get("effective"))).or_else(|| count(pairs.get("sample_len")));
    let score = |(key, value): (&String, &Json)| {
        let (metric, filter) = key.split_once(',')?;
        if metric.ends_with("_stderr") {
            return None;
        }
        Some(ToldScore {
            task: task.to_owned(),
            dataset: None,
            metric: Some(metric.to_owned()),
            filter: filter.to_owned(),
            value: value.as_f64()?,
            stderr: pairs.get(&format!("{metric}_stderr,{filter}")).and_then(Json::as_f64),
            items,
            num_fewshot: count(within("n-shot")),
            notes: None,
        })
    };
    pairs.iter().filter_map(score).collect()
}

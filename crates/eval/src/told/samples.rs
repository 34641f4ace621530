//! `samples_TASK_DATE.jsonl` of lm-evaluation-harness (`SampleResult` in `lm_eval/result_schema.py`, 0.4.13): what each item was asked
//! and scored, a line for every item and pipeline of filters. Of what stands in a line the scores and the prompt's hash are kept,
//! so that a hundred thousand long prompts take little memory.

use super::{malformed, unreadable};
use crate::error::Error;
use bantam_core::input;
use bantam_core::record::Id;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line: an item with its prompts.
const LINE: u64 = 64 << 20;

/// What the items of a task scored, by one pipeline of filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The file.
    pub file: PathBuf,
    /// The task's name.
    pub task: String,
    /// The pipeline of filters.
    pub filter: String,
    /// By the items' places in the data.
    pub items: BTreeMap<usize, Sample>,
}

/// What one item scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// By the metrics' names; those that are numbers.
    pub scores: BTreeMap<String, f64>,
    /// The beginning of the SHA-256 of its first prompt.
    pub prompt: Option<Id>,
}

/// A line as far as it is kept.
#[derive(Deserialize)]
struct Line {
    doc_id: usize,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    prompt_hash: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Scored>,
}

/// What may be a score; all else is read and forgotten.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scored {
    Right(bool),
    Number(f64),
    Other(serde::de::IgnoredAny),
}

/// The samples beside a file of results: those of the same date.
pub(super) fn beside(results: &Path) -> Result<Vec<Samples>, Error> {
    let name = results.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(date) = name.strip_prefix("results_").and_then(|rest| rest.strip_suffix(".json")) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    let folder = results.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let task = name.strip_prefix("samples_").and_then(|rest| rest.strip_suffix(&format!("_{date}.jsonl")));
        if let Some(task) = task {
            all.extend(read(&entry.path(), task)?);
        }
    }
    all.sort_by(|a: &Samples, b: &Samples| (&a.task, &a.filter).cmp(&(&b.task, &b.filter)));
    Ok(all)
}

/// Reads a file of samples, one for each pipeline of filters.
fn read(file: &Path, task: &str) -> Result<Vec<Samples>, Error> {
    let mut reader = BufReader::new(input::open(file).map_err(unreadable(file))?);
    let mut filters: BTreeMap<String, BTreeMap<usize, Sample>> = BTreeMap::new();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let length = reader.by_ref().take(LINE).read_until(b'\n', &mut text).map_err(unreadable(file))?;
        if length == 0 {
            break;
        }
        if length as u64 == LINE {
            return Err(malformed(file, number, format!("is a line of more than {} MiB", LINE >> 20)));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(&text)
            .map_err(|e| malformed(file, number, format!("is no sample of lm-evaluation-harness: {e}")))?;
        let Line { doc_id, filter, metrics, prompt_hash, others } = line;
        let score = |name: &String| match others.get(name)? {
            Scored::Right(right) => Some((name.clone(), f64::from(u8::from(*right)))),
            Scored::Number(number) => Some((name.clone(), *number)),
            Scored::Other(_) => None,
        };
        let scores = match metrics.is_empty() {
            // older files do not say which of their keys are metrics
            true => others.keys().filter_map(score).collect(),
            false => metrics.iter().filter_map(score).collect(),
        };
        let prompt = prompt_hash.filter(|hash| hash.len() >= PREFIX).map(|hash| Id(hash[..PREFIX].to_owned()));
        let of_filter = filters.entry(filter.unwrap_or_else(|| "none".into())).or_default();
        of_filter.insert(doc_id, Sample { scores, prompt });
    }
    let of = |(filter, items)| Samples { file: file.to_owned(), task: task.to_owned(), filter, items };
    Ok(filters.into_iter().map(of).collect())
}

/// Letters of a hash that are kept: as many as an [`Id`] has.
const PREFIX: usize = 16;

/// What an item scored, as bantam knows it, for a line of samples.
#[derive(Debug, Clone, Serialize)]
pub struct Written<'a> {
    /// Its place in the data.
    pub doc_id: usize,
    /// Its first prompt, where it is known.
    pub prompt: Option<&'a str>,
    /// The prompt's SHA-256.
    pub prompt_hash: Option<String>,
    /// The right answer.
    pub target: Option<&'a str>,
    /// How likely each choice is; empty of a written answer.
    pub logprobs: &'a [f64],
    /// What the model wrote, after the filters.
    pub answer: Option<&'a str>,
    /// The pipeline of filters.
    pub filter: &'a str,
    /// The scores by their names.
    pub scores: Vec<(String, f64)>,
}

impl Written<'_> {
    /// The line as lm-evaluation-harness has it. What bantam does not keep is not there: the document, the choices' texts, the answer
    /// before the filters, and whether a choice is what greedy decoding would say.
    pub fn line(&self) -> Json {
        let mut out = Map::new();
        out.insert("doc_id".into(), self.doc_id.into());
        out.insert("target".into(), self.target.into());
        if let Some(prompt) = self.prompt {
            out.insert("arguments".into(), json!({ "gen_args_0": { "arg_0": prompt } }));
        }
        let answers: Json = match self.logprobs {
            [] => json!([[self.answer]]),
            logprobs => logprobs.iter().map(|logprob| json!([[logprob.to_string()]])).collect(),
        };
        let filtered: Json = match self.logprobs {
            [] => json!([self.answer]),
            logprobs => logprobs.iter().map(|logprob| json!([logprob.to_string()])).collect(),
        };
        out.insert("resps".into(), answers);
        out.insert("filtered_resps".into(), filtered);
        out.insert("filter".into(), self.filter.into());
        out.insert("metrics".into(), self.scores.iter().map(|(name, _)| name.clone()).collect());
        out.extend(self.prompt_hash.clone().map(|hash| ("prompt_hash".into(), hash.into())));
        out.extend(self.scores.iter().map(|(name, value)| (name.clone(), (*value).into())));
        Json::Object(out)
    }
}

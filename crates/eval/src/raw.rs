//! A suite as typed: every key optional, unknown keys refused, lm-evaluation-harness's words. Nothing is checked here
//! beyond the form; [`mean`](super::mean) does that.

use super::error::{Error, line_of};
use super::material::{ClassName, Similarity};
use super::model::Pooling;
use super::prompt::Sampler;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSuite {
    pub name: Option<String>,
    pub version: Option<u32>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub task: Option<Vec<RawTask>>,
}

/// `[[task]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTask {
    pub task: Option<String>,
    pub data: Option<String>,
    pub fewshot_data: Option<String>,
    pub output_type: Option<super::OutputType>,
    pub description: Option<String>,
    pub doc_to_text: Option<RawSource>,
    pub doc_to_choice: Option<RawChoice>,
    pub doc_to_target: Option<RawSource>,
    pub target_delimiter: Option<String>,
    pub num_fewshot: Option<usize>,
    pub fewshot_delimiter: Option<String>,
    pub fewshot_config: Option<RawFewshot>,
    pub metric_list: Option<Vec<RawMetric>>,
    pub generation_kwargs: Option<RawGeneration>,
    pub filter_list: Option<Vec<RawPipeline>>,
    pub slices: Option<Vec<String>>,
    pub gap: Option<String>,
    pub pair: Option<String>,
    // classification by a head
    pub doc_to_pair: Option<RawSource>,
    pub doc_to_prompt: Option<RawSource>,
    pub head_labels: Option<Vec<RawLabels>>,
    // embeddings
    pub similarity: Option<Similarity>,
    pub pooling: Option<Pooling>,
    pub doc_to_id: Option<RawSource>,
    pub corpus_data: Option<String>,
    pub corpus_to_id: Option<RawSource>,
    pub corpus_to_text: Option<RawSource>,
    pub qrels_data: Option<String>,
    pub ignore_identical_ids: Option<bool>,
    pub train_data: Option<String>,
    pub classifier: Option<RawClassifier>,
    pub neighbors: Option<usize>,
}

/// One entry of `head_labels`: the head's class or classes that mean a choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the name or the number of a class of the head, or a list of them")]
pub enum RawLabels {
    One(ClassName),
    Several(Vec<ClassName>),
}

/// `classifier`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawClassifier {
    Logistic,
    Knn,
}

/// Text: a template or a field's name; or the index of a choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a template, a field's name, or the index of a choice")]
pub enum RawSource {
    Text(String),
    Index(usize),
}

/// `doc_to_choice`
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a list of templates, or one template or field that gives a list")]
pub enum RawChoice {
    One(String),
    List(Vec<String>),
}

/// `fewshot_config`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFewshot {
    pub sampler: Sampler,
}

/// One entry of `metric_list`. Aggregation and direction may be written, as lm-evaluation-harness does, and must be
/// the metric's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMetric {
    pub metric: String,
    pub aggregation: Option<String>,
    pub higher_is_better: Option<bool>,
    #[serde(default)]
    pub ignore_case: bool,
    #[serde(default)]
    pub ignore_punctuation: bool,
    #[serde(default)]
    pub ignore_numbers: bool,
    #[serde(default)]
    pub regexes_to_ignore: Vec<String>,
}

/// `generation_kwargs`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGeneration {
    #[serde(default)]
    pub until: Vec<String>,
    pub max_gen_toks: Option<usize>,
    pub do_sample: Option<bool>,
    pub temperature: Option<f64>,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
}

/// One entry of `filter_list`: a name and filters that are applied one after the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPipeline {
    pub name: String,
    pub filter: Vec<RawFilter>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum RawFilter {
    Regex { regex_pattern: Option<String>, group_select: Option<i64>, fallback: Option<String> },
    Lowercase {},
    Uppercase {},
    RemoveWhitespace {},
    Map { mapping_dict: BTreeMap<String, String>, default_value: Option<String> },
    TakeFirst {},
}

impl RawSuite {
    /// Reads the text of one file; `file` is only for the message.
    pub fn parse(text: &str, file: &str) -> Result<RawSuite, Error> {
        toml::from_str(text).map_err(|e| {
            let line = line_of(text.as_bytes(), e.span().map_or(0, |span| span.start));
            let message = e.message().lines().collect::<Vec<_>>().join("; ");
            Error::Broken { file: file.into(), line, message }
        })
    }
}

//! A suite's file as typed: TOML, every key optional, unknown keys refused, lm-evaluation-harness's words. Nothing is
//! checked here beyond the form; [`resolve`](super::resolve) and the kinds of task do that.

use crate::error::{Error, line_of};
use crate::kind;
use crate::model::Pooling;
use crate::prompt::Sampler;
use crate::vectors::Similarity;
use bantam_core::chat::{ApplyChatTemplate, Chat};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A suite's file.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSuite {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<u32>,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    /// How all its tasks are put to models that were taught to talk; a task's own keys go before.
    pub(crate) chat: Option<Chat>,
    pub(crate) task: Option<Vec<RawTask>>,
}

macro_rules! task_keys {
    ($($(#[$doc:meta])* $key:ident: $value:ty,)*) => {
        /// `[[task]]`
        #[derive(Debug, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(crate) struct RawTask { $($(#[$doc])* pub(crate) $key: Option<$value>,)* }

        impl RawTask {
            /// The keys that the task has, in the order of this table.
            pub(in crate::front) fn given(&self) -> Vec<&'static str> {
                let keys = [$((stringify!($key), self.$key.is_some()),)*];
                keys.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
            }
        }
    };
}

// every key that a task may have; which of them mean something to a kind of task is told in the kind's KEYS
task_keys! {
    task: String,
    /// In the place of all else but num_fewshot and how it is asked: a task, group or tag of lm-evaluation-harness, or the path
    /// of its YAML file.
    lm_eval: String,
    /// With lm_eval: a folder of task files beside lm_eval's own.
    include_path: String,
    data: String,
    fewshot_data: String,
    output_type: &'static kind::OutputType,
    description: String,
    doc_to_text: RawDocTo,
    /// In the place of doc_to_text: templates by name. Each makes a task of its own, TASK~NAME, so that what the wording does stands
    /// beside what compression does.
    doc_to_texts: BTreeMap<String, String>,
    doc_to_choice: RawChoices,
    doc_to_target: RawDocTo,
    target_delimiter: String,
    num_fewshot: usize,
    fewshot_delimiter: String,
    fewshot_config: RawFewshot,
    metric_list: Vec<RawMetric>,
    generation_kwargs: RawGeneration,
    filter_list: Vec<RawPipeline>,
    /// What answers are held to as they are written: a JSON schema, a regular expression, choices or a grammar.
    structured_outputs: RawStructured,
    /// Whether they are; true where left out.
    constrained: bool,
    /// The tools that the model may call: a file with a JSON list, a field's name, or the list itself.
    tools: RawTools,
    // how models that were taught to talk are asked
    apply_chat_template: ApplyChatTemplate,
    system_instruction: String,
    fewshot_as_multiturn: bool,
    #[cfg_attr(feature = "schema", schemars(with = "Option<BTreeMap<String, Json>>"))]
    chat_template_kwargs: Map<String, Json>,
    /// What the answer begins with, as if the model had said it: a template or a field's name.
    gen_prefix: String,
    enable_thinking: bool,
    /// What ends the thinking: only what stands after it is the answer.
    think_end_token: String,
    /// Tokens of thinking, at most: then its end is written for the model.
    thinking_budget: usize,
    slices: Vec<String>,
    gap: String,
    /// The field that items of one minimal pair share: they differ in nothing but the value of `gap`.
    pair: String,
    /// The field that items of one conversation, document or author share. They are right or wrong together, so the
    /// intervals count them together; without it they would promise too much. Pairs lie whole within a cluster.
    cluster: String,
    /// Fields that say which choice is the stereotyped one and which says that it cannot be told, for BBQ's bias scores.
    bias: RawBias,
    // classification by a head
    doc_to_pair: RawDocTo,
    doc_to_prompt: RawDocTo,
    head_labels: Vec<RawLabels>,
    // embeddings
    similarity: Similarity,
    pooling: Pooling,
    doc_to_id: RawDocTo,
    corpus_data: String,
    corpus_to_id: RawDocTo,
    corpus_to_text: RawDocTo,
    qrels_data: String,
    ignore_identical_ids: bool,
    train_data: String,
    classifier: RawClassifier,
    neighbors: usize,
}

impl RawTask {
    /// What the task says of how it is asked.
    pub(super) fn chat(&self) -> Chat {
        Chat {
            name: None,
            apply_chat_template: self.apply_chat_template.clone(),
            system_instruction: self.system_instruction.clone(),
            fewshot_as_multiturn: self.fewshot_as_multiturn,
            chat_template_kwargs: self.chat_template_kwargs.clone(),
            enable_thinking: self.enable_thinking,
            think_end_token: self.think_end_token.clone(),
            thinking_budget: self.thinking_budget,
            constrained: self.constrained,
        }
    }
}

/// `bias`
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBias {
    /// The field with the stereotyped choice: its text, or its index from 0.
    pub(crate) stereotyped: String,
    /// The field with the choice that says that it cannot be told.
    pub(crate) unknown: String,
}

/// A class of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum ClassName {
    Number(usize),
    Name(String),
}

impl std::fmt::Display for ClassName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClassName::Number(number) => write!(f, "{number}"),
            ClassName::Name(name) => f.write_str(name),
        }
    }
}

/// One entry of `head_labels`: the head's class or classes that mean a choice.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected the name or the number of a class of the head, or a list of them")]
pub(crate) enum RawLabels {
    One(ClassName),
    Several(Vec<ClassName>),
}

/// `classifier`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawClassifier {
    Logistic,
    Knn,
}

/// A `doc_to_…` key: a template or a field's name; or the index of a choice.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a template, a field's name, or the index of a choice")]
pub(crate) enum RawDocTo {
    Text(String),
    Index(usize),
}

/// `doc_to_choice`
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a list of templates, or one template or field that gives a list")]
pub(crate) enum RawChoices {
    One(String),
    List(Vec<String>),
}

/// `fewshot_config`
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFewshot {
    pub(crate) sampler: Sampler,
}

/// One entry of `metric_list`. Aggregation and direction may be written, as lm-evaluation-harness does, and must be
/// the metric's own.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMetric {
    pub(crate) metric: String,
    pub(crate) aggregation: Option<String>,
    pub(crate) higher_is_better: Option<bool>,
    #[serde(default)]
    pub(crate) ignore_case: bool,
    #[serde(default)]
    pub(crate) ignore_punctuation: bool,
    #[serde(default)]
    pub(crate) ignore_numbers: bool,
    #[serde(default)]
    pub(crate) regexes_to_ignore: Vec<String>,
}

/// `generation_kwargs`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGeneration {
    pub(crate) until: Option<Vec<String>>,
    pub(crate) max_gen_toks: Option<usize>,
    pub(crate) do_sample: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_k: Option<usize>,
    pub(crate) top_p: Option<f64>,
    pub(crate) min_p: Option<f64>,
}

/// `structured_outputs`, in vLLM's words: one of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStructured {
    /// A JSON schema: a table, or the file that holds it.
    pub(crate) json: Option<RawSchema>,
    /// Any JSON object.
    pub(crate) json_object: Option<bool>,
    /// A regular expression that the whole answer matches.
    pub(crate) regex: Option<String>,
    /// The texts that an answer may be.
    pub(crate) choice: Option<Vec<String>>,
    /// A grammar in Lark's form, as llguidance reads it: the text, or the file ending in .lark that holds it.
    pub(crate) grammar: Option<String>,
}

/// A JSON schema.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a JSON schema as a table, or the name of a file that holds one")]
pub(crate) enum RawSchema {
    File(String),
    Table(#[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Json>"))] Map<String, Json>),
}

/// `tools`
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a file's name, a field's name, or a list of tools")]
pub(crate) enum RawTools {
    Named(String),
    List(Vec<Json>),
}

/// One entry of `filter_list`: a name and filters that are applied one after the other.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPipeline {
    pub(crate) name: String,
    pub(crate) filter: Vec<RawFilter>,
}

/// A filter by its name, with its own keys.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum RawFilter {
    Regex { regex_pattern: Option<String>, group_select: Option<i64>, fallback: Option<String> },
    Lowercase {},
    Uppercase {},
    RemoveWhitespace {},
    Map { mapping_dict: BTreeMap<String, String>, default_value: Option<String> },
    TakeFirst {},
}

impl RawSuite {
    /// Reads the text of one file; `file` is only for the message.
    pub(crate) fn parse(text: &str, file: &str) -> Result<RawSuite, Error> {
        toml::from_str(text).map_err(|e| {
            let line = line_of(text.as_bytes(), e.span().map_or(0, |span| span.start));
            let message = e.message().lines().collect::<Vec<_>>().join("; ");
            Error::Malformed { file: file.into(), line, message }
        })
    }
}

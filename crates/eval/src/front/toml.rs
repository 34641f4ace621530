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
    /// The suite's name.
    pub(crate) name: Option<String>,
    /// Raised when what is asked changes.
    pub(crate) version: Option<u32>,
    /// A title for people.
    pub(crate) title: Option<String>,
    /// What the suite is for.
    pub(crate) description: Option<String>,
    /// How all its tasks are put to models that were taught to talk; a task's own keys go before.
    pub(crate) chat: Option<Chat>,
    /// The tasks.
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
    /// The task's name.
    task: String,
    /// In the place of all else but num_fewshot and how it is asked: a task, group or tag of lm-evaluation-harness, or the path
    /// of its YAML file.
    lm_eval: String,
    /// With lm_eval: a folder of task files beside lm_eval's own.
    include_path: String,
    /// With lm_eval: what the model writes may be run, where a task's score is whether it passes its tests.
    allow_code: bool,
    /// The items: JSON lines, a JSON list, CSV or Parquet beside the suite, or `hub:ORG/NAME@REVISION#CONFIG/SPLIT`.
    data: String,
    /// Where examples are taken from; the items themselves where left out.
    fewshot_data: String,
    /// What is asked of a model.
    output_type: &'static kind::OutputType,
    /// What stands before all examples and the question.
    description: String,
    /// The question: a template or a field's name.
    doc_to_text: RawDocTo,
    /// In the place of doc_to_text: templates by name. Each makes a task of its own, TASK~NAME, so that what the wording does stands
    /// beside what compression does.
    doc_to_texts: BTreeMap<String, String>,
    /// The choices: a list of templates, or one template or field that gives a list.
    doc_to_choice: RawChoices,
    /// The right answer: a template, a field's name, or the index of a choice.
    doc_to_target: RawDocTo,
    /// What stands between question and answer; a space where left out.
    target_delimiter: String,
    /// Examples in the prompt.
    num_fewshot: usize,
    /// What stands between examples; an empty line where left out.
    fewshot_delimiter: String,
    /// How examples are chosen.
    fewshot_config: RawFewshot,
    /// What answers are scored by; the first one decides.
    metric_list: Vec<RawMetric>,
    /// How answers are written.
    generation_kwargs: RawGeneration,
    /// What is taken out of a written answer before it is scored.
    filter_list: Vec<RawPipeline>,
    /// What answers are held to as they are written: a JSON schema, a regular expression, choices or a grammar.
    structured_outputs: RawStructured,
    /// Whether they are; true where left out.
    constrained: bool,
    /// The tools that the model may call: a file with a JSON list, a field's name, or the list itself.
    tools: RawTools,
    // how models that were taught to talk are asked
    /// Whether a model's chat template is applied, or which of several by its name.
    apply_chat_template: ApplyChatTemplate,
    /// What the model is told before the description, in the system's message.
    system_instruction: String,
    /// Examples as turns of the conversation; true where a template is applied.
    fewshot_as_multiturn: bool,
    /// Variables of the chat template.
    #[cfg_attr(feature = "schema", schemars(with = "Option<BTreeMap<String, Json>>"))]
    chat_template_kwargs: Map<String, Json>,
    /// What the answer begins with, as if the model had said it: a template or a field's name.
    gen_prefix: String,
    /// The template's variable of that name.
    enable_thinking: bool,
    /// What ends the thinking: only what stands after it is the answer.
    think_end_token: String,
    /// Tokens of thinking, at most: then its end is written for the model.
    thinking_budget: usize,
    /// Fields by which the score is broken down.
    slices: Vec<String>,
    /// A field whose groups are compared, best less worst.
    gap: String,
    /// The field that items of one minimal pair share: they differ in nothing but the value of `gap`.
    pair: String,
    /// The field that items of one conversation, document or author share. They are right or wrong together, so the
    /// intervals count them together; without it they would promise too much. Pairs lie whole within a cluster.
    cluster: String,
    /// Fields that say which choice is the stereotyped one and which says that it cannot be told, for BBQ's bias scores.
    bias: RawBias,
    // classification by a head
    /// The second text that is read with the first: of a head, or of a similarity.
    doc_to_pair: RawDocTo,
    /// Of a classification: what a model without a head reads; doc_to_text where left out.
    doc_to_prompt: RawDocTo,
    /// Of a classification: the head's classes that mean each choice, by name or number.
    head_labels: Vec<RawLabels>,
    // embeddings
    /// Of embeddings: how two are compared.
    similarity: Similarity,
    /// Of embeddings: how a text's tokens become one; what the model says where left out.
    pooling: Pooling,
    /// Of a retrieval: the query's identifier.
    doc_to_id: RawDocTo,
    /// Of a retrieval: the documents.
    corpus_data: String,
    /// Of a retrieval: a document's identifier.
    corpus_to_id: RawDocTo,
    /// Of a retrieval: a document's text.
    corpus_to_text: RawDocTo,
    /// Of a retrieval: which documents answer which query, and how well.
    qrels_data: String,
    /// Of a retrieval: whether a query must not find itself among the documents.
    ignore_identical_ids: bool,
    /// Of an embedding_classification: the items that the classifier learns on.
    train_data: String,
    /// Of an embedding_classification: what is learnt.
    classifier: RawClassifier,
    /// Of a classifier knn: how many neighbours vote.
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
    /// Which of them.
    pub(crate) sampler: Sampler,
}

/// One entry of `metric_list`. Aggregation and direction may be written, as lm-evaluation-harness does, and must be
/// the metric's own.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMetric {
    /// The metric's name.
    pub(crate) metric: String,
    /// The metric's own aggregation, where it is written.
    pub(crate) aggregation: Option<String>,
    /// The metric's own direction, where it is written.
    pub(crate) higher_is_better: Option<bool>,
    /// Of exact_match: whether small and large letters are the same.
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Of exact_match: whether punctuation is left out.
    #[serde(default)]
    pub(crate) ignore_punctuation: bool,
    /// Of exact_match: whether digits are left out.
    #[serde(default)]
    pub(crate) ignore_numbers: bool,
    /// Of exact_match: what is cut out of both sides first.
    #[serde(default)]
    pub(crate) regexes_to_ignore: Vec<String>,
    /// Of rouge1, rouge2, rougeL and rougeLsum: whether words are compared without their endings.
    #[serde(default)]
    pub(crate) use_stemmer: bool,
}

/// `generation_kwargs`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGeneration {
    /// What ends an answer.
    pub(crate) until: Option<Vec<String>>,
    /// Tokens of an answer, at most.
    pub(crate) max_gen_toks: Option<usize>,
    /// Whether tokens are drawn; the likeliest are taken where not.
    pub(crate) do_sample: Option<bool>,
    /// What logits are divided by before tokens are drawn.
    pub(crate) temperature: Option<f64>,
    /// So many of the likeliest tokens are drawn from.
    pub(crate) top_k: Option<usize>,
    /// The likeliest tokens that make this share together are drawn from.
    pub(crate) top_p: Option<f64>,
    /// Tokens at least this share as likely as the likeliest are drawn from.
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
    /// What metrics name it by.
    pub(crate) name: String,
    /// The filters, one after the other.
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
            let message = bantam_core::meant::of_toml(e.message());
            Error::Malformed { file: file.into(), line, message }
        })
    }
}

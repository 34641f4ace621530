//! A task as meant: what is asked, item by item, and how the answers are scored. A `Task` that exists is valid: its
//! templates are rendered for every item and every right answer is among the choices.

use super::error::either;
use super::material::Material;
use super::model::{Choices, Generation};
use super::score::{ExactMatch, Filter};
use bantam_core::metric::Metric;
use bantam_core::record::{Id, TaskRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A suite: tasks that belong together, with a version.
#[derive(Debug, Clone)]
pub struct Suite {
    pub name: String,
    pub version: u32,
    pub title: String,
    pub description: String,
    /// The suite's file: a path, or `bundled:NAME`.
    pub file: String,
    pub tasks: Vec<Task>,
}

/// What is asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// Which of several continuations is the most likely one.
    MultipleChoice,
    /// How likely one continuation is.
    Loglikelihood,
    /// How likely a whole text is.
    LoglikelihoodRolling,
    /// What the model says.
    GenerateUntil,
    /// Which class a text is of: by the model's head, or by the likelihood of the classes' names.
    Classification,
    /// Do the embeddings of two texts go together as people say the texts do?
    Similarity,
    /// Which of many documents answer a query, by their embeddings.
    Retrieval,
    /// Which class a text is of, learnt from the embeddings of a training set.
    EmbeddingClassification,
}

impl OutputType {
    pub const ALL: [OutputType; 8] = [
        OutputType::MultipleChoice,
        OutputType::Loglikelihood,
        OutputType::LoglikelihoodRolling,
        OutputType::GenerateUntil,
        OutputType::Classification,
        OutputType::Similarity,
        OutputType::Retrieval,
        OutputType::EmbeddingClassification,
    ];

    /// The metrics that can be told of such answers; lm-evaluation-harness's defaults where `metric_list` is not given
    /// are the first `defaults` of them.
    fn table(self) -> (&'static [Metric], usize) {
        match self {
            OutputType::MultipleChoice => (&[Metric::Acc, Metric::AccNorm, Metric::AccBytes, Metric::ExactMatch], 2),
            OutputType::Loglikelihood => (&[Metric::Perplexity, Metric::Acc], 2),
            OutputType::LoglikelihoodRolling => {
                (&[Metric::WordPerplexity, Metric::BytePerplexity, Metric::BitsPerByte], 3)
            }
            OutputType::GenerateUntil => (&[Metric::ExactMatch], 1),
            OutputType::Classification | OutputType::EmbeddingClassification => {
                (&[Metric::Acc, Metric::MacroF1, Metric::Mcc], 3)
            }
            OutputType::Similarity => (&[Metric::Spearman, Metric::Pearson], 2),
            OutputType::Retrieval => {
                (&[Metric::NdcgAt10, Metric::RecallAt10, Metric::RecallAt1, Metric::RecallAt5, Metric::RecallAt100], 2)
            }
        }
    }

    /// The word for it in a suite's file.
    pub fn name(self) -> &'static str {
        match self {
            OutputType::MultipleChoice => "multiple_choice",
            OutputType::Loglikelihood => "loglikelihood",
            OutputType::LoglikelihoodRolling => "loglikelihood_rolling",
            OutputType::GenerateUntil => "generate_until",
            OutputType::Classification => "classification",
            OutputType::Similarity => "similarity",
            OutputType::Retrieval => "retrieval",
            OutputType::EmbeddingClassification => "embedding_classification",
        }
    }

    pub fn metrics(self) -> &'static [Metric] {
        self.table().0
    }

    pub fn default_metrics(self) -> &'static [Metric] {
        let (metrics, defaults) = self.table();
        &metrics[..defaults]
    }

    /// "acc, acc_norm or exact_match", for a message.
    pub fn allowed(self) -> String {
        either(&self.metrics().iter().map(|m| m.name()).collect::<Vec<_>>())
    }
}

/// One task of a suite.
#[derive(Debug, Clone)]
pub struct Task {
    pub suite: String,
    pub name: String,
    pub file: String,
    pub output_type: OutputType,
    /// The first one decides.
    pub metrics: Vec<Metric>,
    /// Fields by which the score is broken down; the gap's field is one of them.
    pub slices: Vec<String>,
    /// The slice whose best and worst value are compared.
    pub gap: Option<String>,
    pub(super) exact_match: ExactMatch,
    pub(super) filters: Vec<Filter>,
    pub(super) generation: Generation,
    pub(super) material: Material,
    pub(super) items: Vec<Item>,
}

/// One item, ready to be asked.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// Its position in the data.
    pub index: usize,
    pub request: Request,
    pub slices: BTreeMap<String, String>,
    /// Which items belong together.
    pub pair: Option<String>,
}

/// What is asked of the model for one item, and what the right answer is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Choose {
        /// One context with all choices; or, where the choices are contexts, one context each with the same ending.
        asks: Vec<Choices>,
        /// The choices' own text, without the delimiter, whose length normalises.
        choices: Vec<String>,
        /// Indices of the right choices, at least one.
        gold: Vec<usize>,
    },
    Complete(Choices),
    Roll {
        text: String,
    },
    Generate {
        prompt: String,
        /// Any of these is right; at least one.
        targets: Vec<String>,
    },
    Classify {
        /// What a classification head reads.
        text: String,
        pair: Option<String>,
        /// What a model without a head is asked: the likelihood of each choice.
        ask: Choices,
        choices: Vec<String>,
        gold: usize,
    },
    Compare {
        texts: [String; 2],
        /// How near people say they are.
        target: f64,
    },
    Find {
        query: String,
        /// Documents of the corpus by their place in it, and how relevant they are; at least one is.
        relevant: BTreeMap<usize, f64>,
        /// A document that is the query itself and is not to be found.
        itself: Option<usize>,
    },
    Sort {
        text: String,
        /// One of the training set's classes.
        class: usize,
    },
}

impl Task {
    /// The items that are asked, in the order of the data.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The task with its first `limit` items only, as lm-evaluation-harness's `--limit`.
    pub fn limited(mut self, limit: Option<usize>) -> Task {
        self.items.truncate(limit.unwrap_or(usize::MAX));
        self
    }

    /// The metric that decides.
    pub fn deciding(&self) -> Metric {
        self.metrics[0]
    }

    /// The score of guessing: the mean share of right choices where one choice is taken, None for all else.
    pub fn chance(&self) -> Option<f64> {
        if !matches!(self.deciding(), Metric::Acc | Metric::AccNorm | Metric::AccBytes) {
            return None;
        }
        let shares = self.items.iter().map(|item| match &item.request {
            Request::Choose { choices, gold, .. } => Some(gold.len() as f64 / choices.len() as f64),
            Request::Classify { choices, .. } => Some(1.0 / choices.len() as f64),
            Request::Sort { .. } => self.material.classes().map(|classes| 1.0 / classes as f64),
            _ => None,
        });
        shares.sum::<Option<f64>>().map(|sum| sum / self.items.len() as f64)
    }

    /// The task by name and by the hash of all that decides its score: the items as they are asked, with their right
    /// answers, and the scorer.
    pub fn reference(&self) -> TaskRef {
        let scorer = (&self.metrics, &self.exact_match, &self.filters, &self.generation);
        let asked = ("task 1", &self.suite, &self.name, self.output_type, scorer, &self.items);
        TaskRef {
            suite: self.suite.clone(),
            task: self.name.clone(),
            digest: match &self.material {
                Material::None => Id::of(&asked),
                material => Id::of(&(asked, material)),
            },
            file: self.file.clone(),
            items: self.items.len(),
            metrics: self.metrics.clone(),
            chance: self.chance(),
        }
    }
}

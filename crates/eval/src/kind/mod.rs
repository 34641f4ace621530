//! The kinds of task, one file each: what its items are (`parse`), what it asks of a model (`prepare`, `ask`), what the
//! answers are worth (`score`). A suite's file names the kind as `output_type`. A kind asks nothing but a
//! [`LanguageModel`]; prompts, filters, vectors and metrics are shared modules that kinds call.
//!
//! To add a kind: a file here with its [`Kind`], and its place in [`ALL`]. A key that no task had before is a line
//! more, in `front/toml.rs`.

mod classification;
mod embedding_classification;
mod generate_until;
mod json;
mod loglikelihood;
mod loglikelihood_rolling;
mod multiple_choice;
mod retrieval;
#[cfg(test)]
mod reverse;
mod similarity;
mod stereotype;
mod tool_calls;
mod writing;

use crate::ask::Preparation;
use crate::error::Error;
use crate::front::Section;
use crate::items::{AnyItems, Groups, Items};
use crate::lines::Lesson;
use crate::metric::{self, Scorer};
use crate::model::{ChatStyle, Continuations, LanguageModel, Loglikelihood, ModelAnswer};
use crate::prompt::{Ask, Context};
use crate::settings::TaskSettings;
use anyhow::{Result, ensure};
use bantam_core::metric::Metric;
use bantam_core::record::{Cut, ItemScore};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

/// Every kind of task, in the order in which messages name them.
pub(crate) static ALL: &[OutputType] = &[
    OutputType::of::<multiple_choice::MultipleChoice>(),
    OutputType::of::<loglikelihood::LoglikelihoodTask>(),
    OutputType::of::<loglikelihood_rolling::LoglikelihoodRolling>(),
    OutputType::of::<generate_until::GenerateUntil>(),
    OutputType::of::<json::JsonTask>(),
    OutputType::of::<tool_calls::ToolCalls>(),
    OutputType::of::<classification::Classification>(),
    OutputType::of::<similarity::Similarity>(),
    OutputType::of::<retrieval::Retrieval>(),
    OutputType::of::<embedding_classification::EmbeddingClassification>(),
    #[cfg(test)]
    OutputType::of::<reverse::Reverse>(),
];

/// A kind of task. The value itself is what a task has beside its items (documents, a training set); a type without
/// fields has nothing beside them.
///
/// The JSON of the kind's value and of its requests is hashed into a task's digest, by which results are stored: it
/// must not change for a task that did not.
pub(crate) trait Kind: Serialize + Debug + Sized + Send + Sync + 'static {
    /// The word for it in a suite's file: the value of `output_type`.
    const NAME: &'static str;
    /// The word under which a request is hashed.
    const REQUEST: &'static str = Self::NAME;
    /// The keys of a task that mean something to this kind and not to all.
    const KEYS: &'static [&'static str];
    /// Whether it puts prompts to the model, which may be conversations then.
    const PROMPTS: bool = false;
    /// The metrics where a task names none; the first one decides.
    const METRICS: &'static [Metric];

    /// Whether [`prepare`](Kind::prepare) asks the model, so that items are better asked in one go.
    const PREPARES: bool = false;

    /// What is asked for one item, and what the right answer is.
    type Request: Serialize + Debug + Send + Sync;
    /// What is made before the first item is asked (the vectors of documents, a classifier that has learnt).
    type Prepared;
    /// What the model says of one item.
    type Answer: ModelAnswer;

    /// Whether a metric goes with this kind's answers: whether it has the function that [`score`](Kind::score) calls.
    fn scored_by(scorer: &Scorer) -> bool;

    /// Reads the kind's keys and makes the request of each line of data.
    fn parse(section: &Section) -> Result<(Self, Requests<Self>), Error>;

    /// The score of guessing one item; None where there is no guessing.
    fn chance(&self, _request: &Self::Request) -> Option<f64> {
        None
    }

    /// Makes what all items need; None where a cancel asked for an end meanwhile.
    fn prepare(&self, preparation: &mut Preparation) -> Result<Option<Self::Prepared>>;

    /// The contexts or prompts that a request puts to the model, whose common beginning over all items is computed once;
    /// none of a kind that asks nothing of the sort.
    fn contexts<'a>(&self, _request: &'a Self::Request) -> Vec<&'a Context> {
        Vec::new()
    }

    /// What there is to be learnt from an item: its prompt and the right answer; None of a kind that has no such answer.
    fn lesson(&self, _request: &Self::Request) -> Option<Lesson> {
        None
    }

    /// Bytes of text that a request makes the model read or write, by which items are batched.
    fn size(&self, request: &Self::Request, settings: &TaskSettings) -> usize;

    /// Puts a batch to the model: one answer per request, in order.
    fn ask(
        &self,
        prepared: &Self::Prepared,
        requests: &[&Self::Request],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Self::Answer>>;

    /// What the answer to a request is worth.
    fn score(
        &self,
        prepared: &Self::Prepared,
        request: &Self::Request,
        answer: Self::Answer,
        settings: &TaskSettings,
    ) -> Result<Scored>;
}

/// The request of each line of a task's data; None for a line that is not asked.
pub(crate) type Requests<K> = Vec<Option<<K as Kind>::Request>>;

/// What an item's answer is worth: the part of an item's result that its kind knows.
#[derive(Debug, Default)]
pub(crate) struct Scored {
    pub(crate) scores: Vec<ItemScore>,
    /// The choice or class taken.
    pub(crate) choice: Option<usize>,
    /// The right answer, as text.
    pub(crate) target: Option<String>,
    /// What the model said, as text.
    pub(crate) answer: Option<String>,
    /// Log-likelihood per choice, or of the whole text.
    pub(crate) logprobs: Vec<f64>,
    /// Tokens that were computed.
    pub(crate) tokens: usize,
    /// The indices of the right choices.
    pub(crate) gold: Vec<usize>,
    /// Of them those in which the model thought.
    pub(crate) thinking: Option<usize>,
    /// Where what it wrote was cut off.
    pub(crate) cut: Option<Cut>,
    /// Whether it is right in each of its parts.
    pub(crate) parts: BTreeMap<String, bool>,
    /// The geometric mean of the probabilities of the tokens that it wrote.
    pub(crate) likelihood: Option<f64>,
}

/// A kind as it stands in the list.
#[derive(Debug)]
pub(crate) struct OutputType {
    pub(crate) name: &'static str,
    keys: &'static [&'static str],
    /// Its prompts may be conversations.
    pub(crate) prompts: bool,
    pub(crate) metrics: &'static [Metric],
    /// Makes the items of a task; the function says what stands beside an item's request.
    pub(crate) items: MakeItems,
    scored_by: fn(&Scorer) -> bool,
}

/// Makes the items of a task of one kind.
type MakeItems = fn(&Section, &GroupsOf) -> Result<Arc<dyn AnyItems>, Error>;

/// Says what stands beside the request of a line of data.
type GroupsOf<'a> = dyn Fn(&crate::data::Doc) -> Result<Groups, Error> + 'a;

impl OutputType {
    const fn of<K: Kind>() -> OutputType {
        OutputType {
            name: K::NAME,
            keys: K::KEYS,
            prompts: K::PROMPTS,
            metrics: K::METRICS,
            items: items::<K>,
            scored_by: K::scored_by,
        }
    }

    /// Whether a key that not all kinds have means something to this one.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.keys.contains(&key) || (self.prompts && CHAT_KEYS.contains(&key))
    }

    /// Whether its answers are texts that the model writes.
    pub(crate) fn has_generation(&self) -> bool {
        self.has_key("generation_kwargs")
    }

    /// The metrics that go with the kind's answers, its own first.
    pub(crate) fn allowed_metrics(&self) -> Vec<Metric> {
        let scored = metric::ALL.iter().filter(|scorer| (self.scored_by)(scorer)).map(|scorer| scorer.metric);
        let others = scored.filter(|metric| !self.metrics.contains(metric));
        self.metrics.iter().copied().chain(others).collect()
    }
}

fn items<K: Kind>(section: &Section, groups: &GroupsOf) -> Result<Arc<dyn AnyItems>, Error> {
    let (kind, requests) = K::parse(section)?;
    Ok(Arc::new(Items::new(kind, requests, &section.data.docs, groups)?))
}

/// The kind that lm-evaluation-harness calls so.
pub(crate) fn of_harness(name: &str) -> Option<&'static OutputType> {
    let known = ["multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until"];
    ALL.iter().find(|kind| kind.name == name && known.contains(&name))
}

/// Whether a key means something to other kinds and nothing to this one.
pub(crate) fn is_foreign(kind: &OutputType, key: &str) -> bool {
    !kind.has_key(key) && ALL.iter().any(|other| other.has_key(key))
}

/// The words for the kinds in a suite's file.
pub(crate) fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| ALL.iter().map(|kind| kind.name).collect());
    &NAMES
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OutputType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        schemars::json_schema!({ "description": "What is asked of the model.", "type": "string", "enum": names })
    }
}

impl<'de> Deserialize<'de> for &'static OutputType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<&'static OutputType, D::Error> {
        let name = String::deserialize(deserializer)?;
        ALL.iter().find(|kind| kind.name == name).ok_or_else(|| D::Error::unknown_variant(&name, names()))
    }
}

/// Puts contexts with their continuations to the model in one go: for each item the likelihoods of all its
/// continuations.
fn likelihoods<'a>(
    asks: impl Iterator<Item = &'a [Ask]>,
    style: Option<&ChatStyle>,
    model: &mut dyn LanguageModel,
) -> Result<Vec<Vec<Loglikelihood>>> {
    let (mut all, mut counts) = (Vec::new(), Vec::new());
    for asks in asks {
        for Ask { context, continuations } in asks {
            let context = context.written(style, model)?.text;
            all.push(Continuations { context, continuations: continuations.clone() });
        }
        counts.push(asks.len());
    }
    let mut answers = model.loglikelihood(&all)?.into_iter();
    Ok(counts.into_iter().map(|n| answers.by_ref().take(n).flatten().collect()).collect())
}

/// The keys of tasks whose prompts may be conversations, beside those of their own.
const CHAT_KEYS: &[&str] = &[
    "apply_chat_template",
    "system_instruction",
    "fewshot_as_multiturn",
    "chat_template_kwargs",
    "enable_thinking",
    "gen_prefix",
];

/// The log-likelihoods of an item's continuations, if each has one and it is a number.
fn logprobs(given: &[Loglikelihood], count: usize) -> Result<Vec<f64>> {
    ensure!(given.len() == count, "the model gave {} answers to {count} choices", given.len());
    given.iter().map(|l| number(l.logprob)).collect()
}

/// A score made of what is no number would look like a score.
fn number(logprob: f64) -> Result<f64> {
    ensure!(!logprob.is_nan(), "the log-likelihood is not a number: the model's weights or its arithmetic are broken");
    Ok(logprob)
}

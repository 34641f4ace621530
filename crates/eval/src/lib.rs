//! Tasks: what is asked and how the answers are scored, in lm-evaluation-harness's words, so that a score can be
//! compared with a published one. This crate knows text and, through [`LanguageModel`], that something can be asked; no
//! weights, no database, no profile.
//!
//! A suite is a TOML file with its data beside it as JSON lines (a JSON list, CSV and Parquet are read, too) or on the
//! hub, as `hub:ORG/NAME@REVISION#CONFIG/SPLIT`. A user's own `tickets.toml`:
//!
//! ```toml
//! name = "tickets"
//! version = 1
//! title = "Our tickets"
//! description = "Does the model see what a ticket is about?"
//!
//! [[task]]
//! task = "tickets"
//! data = "tickets.jsonl"
//! # {"body": "Where is it?", "topic": "delivery", "language": "en", "name": "Ann", "case": 1, "conversation": 7}
//! output_type = "multiple_choice"     # or loglikelihood, loglikelihood_rolling, generate_until
//! doc_to_text = "Ticket: {{body}}\nTopic:"
//! doc_to_choice = ["delivery", "billing"]
//! doc_to_target = "topic"             # a field, a template, or the index of a choice
//! metric_list = [{ metric = "acc" }, { metric = "acc_norm" }]    # the first one decides
//! slices = ["language"]               # fields by which the score is broken down
//! gap = "name"                        # a slice whose groups are compared, best less worst …
//! pair = "case"                       # … over items that differ in nothing else: those with one value of this field
//! cluster = "conversation"            # items with one value of this field are right or wrong together: intervals and
//!                                     # verdicts count them together (pairs lie whole within a cluster)
//! ```
//!
//! Models that were taught to talk are asked through their own chat template, in lm-evaluation-harness's words. Each of these
//! keys stands in a task, in a suite's table `[chat]` for all its tasks, or in a profile's `[chat]` for all its suites
//! (`[[chat]]` with a `name` for several ways of asking: TASK@NAME); the profile's go first, then the task's:
//!
//! ```toml
//! apply_chat_template = true           # or the name of one of the model's templates; false turns it off
//! system_instruction = "Be brief."     # before the description, in the system's message
//! fewshot_as_multiturn = true          # examples as turns (so where left out), or within the question's message
//! chat_template_kwargs = { tone = "dry" }         # variables of the template
//! gen_prefix = "The answer is"         # of a task only: what the answer begins with, a field or a template
//! enable_thinking = true               # the template's variable of that name
//! think_end_token = "</think>"         # generate_until: what stands after it is the answer, and stop strings count there
//! thinking_budget = 512                # tokens of thinking, at most; its end is written for the model then
//! ```
//!
//! Of questions with a stereotyped choice, for the metrics `bias_ambiguous` and `bias_disambiguated` (BBQ's), fields say which
//! choice that is, and which says that it cannot be told; a question is ambiguous where that is the right answer:
//!
//! ```toml
//! bias = { stereotyped = "target_index", unknown = "unknown_index" }
//! ```
//!
//! Other ways of asking (`output_type`), for encoders and decoders alike:
//!
//! ```toml
//! # classification: by the model's own head, or by how likely each class's name is after a prompt
//! output_type = "classification"
//! doc_to_text = "body"                 # what a head reads; doc_to_pair for a second text read with it
//! doc_to_prompt = "Ticket: {{body}}\nTopic:"     # what a model without a head reads; doc_to_text where left out
//! doc_to_choice = ["delivery", "billing"]
//! doc_to_target = "topic"
//! # the head's classes that mean each choice, by name or number; left out, the choices are looked for among its names
//! head_labels = ["LABEL_1", ["LABEL_0", "LABEL_2"]]
//! metric_list = [{ metric = "macro_f1" }]         # acc, macro_f1, mcc
//!
//! # similarity: do the embeddings of two texts go together as the scores that people gave do?
//! output_type = "similarity"
//! doc_to_text = "sentence1"
//! doc_to_pair = "sentence2"
//! doc_to_target = "score"              # a number; metrics: spearman, pearson
//!
//! # retrieval: are the documents that answer a query nearest to it? BEIR's three files as JSON lines
//! output_type = "retrieval"
//! data = "queries.jsonl"               # {"_id": "q1", "text": "..."}
//! corpus_data = "corpus.jsonl"         # {"_id": "d1", "title": "...", "text": "..."}
//! qrels_data = "qrels.jsonl"           # {"query-id": "q1", "corpus-id": "d1", "score": 1}
//! doc_to_id = "_id"                    # these four are the defaults; corpus_to_text is title and text
//! doc_to_text = "text"
//! corpus_to_id = "_id"
//! corpus_to_text = "{{title}} {{text}}"
//! ignore_identical_ids = false         # true where queries are documents, too, and must not find themselves
//! metric_list = [{ metric = "ndcg_at_10" }]       # ndcg_at_10, recall_at_1, _5, _10, _100
//!
//! # embedding_classification: are texts of one class near each other? Learnt on one file, asked on another
//! output_type = "embedding_classification"
//! data = "test.jsonl"
//! train_data = "train.jsonl"
//! doc_to_text = "text"
//! doc_to_target = "label"
//! classifier = "logistic"              # or knn, with neighbors = 5; metrics: acc, macro_f1, mcc
//!
//! # the three that embed also take
//! similarity = "cosine"                # or dot
//! pooling = "mean"                     # or last: of models that do not say how their states become a vector
//! ```
//!
//! In reading order: `front` reads a suite's file and makes its [`Task`]s, with `data` for the lines and `prompt` for
//! the templates and few-shot examples; `kind` holds the kinds of task, a file each: what its items are, what it asks,
//! what the answers are worth; `metric` holds the metrics, a file each; [`ask()`] puts the items to a [`LanguageModel`]
//! in batches. `filter`, `vectors` and `probe` are what several kinds share; [`tokens`] holds the rules by which text
//! becomes tokens.

#![warn(missing_docs)]

mod ask;
mod battery;
mod code;
mod data;
mod error;
mod filter;
mod front;
mod items;
mod kind;
mod lines;
mod metric;
mod model;
pub mod own;
mod probe;
mod prompt;
mod python;
mod settings;
mod structured;
mod task;
pub mod tokens;
pub mod told;
mod vectors;

pub use ask::{Meter, Refused, Report, Unaskable, ask, ask_metered, batches_of};
pub use battery::Battery;
pub use error::Error;
#[cfg(feature = "schema")]
pub use front::schema;
pub use front::{
    Described, Group, GroupMetric, LmEvalTask, OnHub, TaskFacts, TaskMetric, data_on_hub, described, is_simple, load,
    load_as, load_task, load_with,
};
pub use lines::{Lesson, Line, LineTemplate, Lines};
pub use model::{
    ChatStyle, Chosen, Classified, Continuations, EmbedSettings, Embedded, Generated, GenerationSettings,
    LanguageModel, Loglikelihood, Message, Pooling, Question, Role, Rolling, StopReason, TextPair, TextRole, Thinking,
    Thought, ThoughtEnd, Written,
};
pub use prompt::Context;
pub use task::{Suite, Task, TaskItems, TaskPrints};

#[cfg(test)]
mod tests;

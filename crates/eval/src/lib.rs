//! The suite room: what is asked and how the answers are scored, in lm-evaluation-harness's words, so that a score can
//! be compared with a published one. It knows text and, through [`LanguageModel`], that something can be asked; no
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
//! data = "tickets.jsonl"              # {"body": "The parcel is late", "topic": "delivery", "language": "en"}
//! output_type = "multiple_choice"     # or loglikelihood, loglikelihood_rolling, generate_until
//! doc_to_text = "Ticket: {{body}}\nTopic:"
//! doc_to_choice = ["delivery", "billing"]
//! doc_to_target = "topic"             # a field, a template, or the index of a choice
//! metric_list = [{ metric = "acc" }, { metric = "acc_norm" }]    # the first one decides
//! slices = ["language"]               # fields by which the score is broken down
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
//! head_labels = ["LABEL_1", ["LABEL_0", "LABEL_2"]]  # the head's classes that mean each choice, by name or number; left
//!                                      # out, the choices are looked for among the head's names
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
//! pooling = "mean"                     # or last: of models that do not say themselves how their states become a vector
//! ```
//!
//! In reading order: `raw` is the file as typed, `mean` makes it a [`Task`] with the help of `dataset`, `prompt`,
//! `request` and, for what embeddings are asked, `embedding`; `material` is what a task has beside its items; `load` finds the files; [`ask`] puts the items to a
//! [`LanguageModel`], `score` says what the answers are worth; [`tokens`] holds the rules by which text becomes tokens.

mod ask;
mod dataset;
mod embedding;
mod error;
mod load;
mod material;
mod mean;
mod model;
mod prompt;
mod raw;
mod request;
mod score;
mod table;
mod task;
pub mod tokens;

pub use ask::{Asked, ask, batches_of};
pub use error::Error;
pub use load::{OnHub, data_on_hub, load, load_with};
pub use model::{
    Choices, Classified, Embedded, Generated, Generation, How, LanguageModel, Loglikelihood, Pooling, Role, Rolling,
    Stop, Texts,
};
pub use task::{Item, OutputType, Request, Suite, Task};

#[cfg(test)]
mod tests;

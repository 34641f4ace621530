//! The suite room: what is asked and how the answers are scored, in lm-evaluation-harness's words, so that a score can
//! be compared with a published one. It knows text and, through [`LanguageModel`], that something can be asked; no
//! weights, no database, no profile.
//!
//! A suite is a TOML file with its data beside it as JSON lines. A user's own `tickets.toml`:
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
//! In reading order: `raw` is the file as typed, `mean` makes it a [`Task`] with the help of `dataset`, `prompt` and
//! `request`; `load` finds the files, `bundled` lists those in the binary; [`ask`] puts the items to a
//! [`LanguageModel`], `score` says what the answers are worth; [`tokens`] holds the rules by which text becomes tokens.

mod ask;
mod bundled;
mod dataset;
mod error;
mod load;
mod mean;
mod model;
mod prompt;
mod raw;
mod request;
mod score;
mod task;
pub mod tokens;

pub use ask::{Asked, ask};
pub use bundled::bundled;
pub use error::Error;
pub use load::load;
pub use model::{Choices, Generated, Generation, LanguageModel, Loglikelihood, Rolling, Stop};
pub use task::{Item, OutputType, Request, Suite, Task};

#[cfg(test)]
mod tests;

//! From a suite's file to its tasks: `load` finds the files, `toml` is the file as typed, `resolve` makes the tasks
//! with the help of each task's kind.

mod harness;
mod lm_eval_yaml;
mod load;
mod notes;
mod resolve;
mod simple;
mod structured;
mod toml;

pub(crate) use harness::{FilterOn, Harness};
pub(crate) use lm_eval_yaml::YamlNode;
pub use lm_eval_yaml::{Described, Group, GroupMetric, LmEvalTask, TaskFacts, TaskMetric, described};
pub use load::{OnHub, data_on_hub, load, load_as, load_task, load_with};
pub(crate) use notes::Notes;
pub use simple::is_simple;
pub(crate) use simple::is_simple_template;
pub(crate) use toml::{
    ClassName, RawBias, RawChoices, RawClassifier, RawDocTo, RawFilter, RawGeneration, RawLabels, RawMetric,
    RawPipeline, RawTask, RawTools,
};

use crate::data::{Dataset, Doc};
use crate::error::{Error, Key};
use bantam_core::chat::Chat;
use std::rc::Rc;

/// Gives the JSON schema of a suite's file, for editors and other programs.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(toml::RawSuite).to_value()
}

/// A task's section of a suite's file with its data: what a kind makes its items of.
#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) raw: &'a RawTask,
    pub(crate) data: &'a Dataset,
    /// The few-shot examples.
    pub(crate) pool: &'a [Doc],
    /// The task, for the sentence in which one of its keys is wrong.
    pub(crate) key: &'a Key,
    /// How it is put to models that were taught to talk.
    pub(crate) chat: &'a Chat,
    /// What is doubtful about the task.
    pub(crate) notes: &'a Rc<Notes>,
    /// What it has as a task of lm-evaluation-harness; None of a suite's own.
    pub(crate) harness: Option<&'a Harness>,
    beside: &'a dyn Beside,
}

/// The files that a suite names, by their paths from its own folder.
pub(crate) trait Beside {
    /// The lines of a file of data; `key` is where it is named.
    fn data(&self, file: &str, key: &Key) -> Result<Dataset, Error>;

    /// The text of a file.
    fn text(&self, file: &str, key: &Key) -> Result<String, Error>;
}

impl Section<'_> {
    /// Refuses a task without `doc_to_choice`.
    pub(crate) fn needs_choices(&self) -> Result<(), Error> {
        match self.raw.doc_to_choice {
            Some(_) => Ok(()),
            None => Err(self
                .key
                .wrong("has no doc_to_choice; write doc_to_choice = [\"a\", \"b\"] or a field that holds a list")),
        }
    }

    /// The same section with other lines.
    pub(crate) fn with_data<'a>(&'a self, data: &'a Dataset, pool: &'a [Doc]) -> Section<'a> {
        Section { data, pool, ..*self }
    }

    /// The data of another file that the key `name` gives; the key has to be there.
    pub(crate) fn data_of(&self, name: &str, given: &Option<String>) -> Result<Dataset, Error> {
        let given =
            given.as_deref().ok_or_else(|| self.key.wrong(format!("has no {name}; write {name} = \"FILE.jsonl\"")))?;
        self.beside.data(given, &self.key.at(name))
    }

    /// The text of another file, which the key `key` names.
    pub(crate) fn text_of(&self, file: &str, key: &Key) -> Result<String, Error> {
        self.beside.text(file, key)
    }
}

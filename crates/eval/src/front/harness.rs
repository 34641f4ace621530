//! What a task of lm-evaluation-harness has that a suite's own tasks do not: where the same words mean something else there,
//! and what has no word in a suite.

use super::{RawChoices, RawDocTo};

/// How such a task is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Harness {
    /// How examples are written, where it is not as questions are.
    pub(crate) examples: ExampleKeys,
    /// Whether a line that is asked is left out of its own examples.
    pub(crate) leaves_itself_out: bool,
    /// The field whose words and bytes a text counts by; its own where there is none.
    pub(crate) counted: Option<String>,
    /// The field that says which choices are stereotyped, and which that it cannot be told.
    pub(crate) sides: Option<String>,
    /// Its answers are programs, which are run.
    pub(crate) runs_code: bool,
    /// What filters look at beside the text.
    pub(crate) filter_on: Option<FilterOn>,
    /// How often each item is answered.
    pub(crate) repeats: usize,
}

/// The keys of `fewshot_config` that go before the task's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExampleKeys {
    pub(crate) text: Option<RawDocTo>,
    pub(crate) choices: Option<RawChoices>,
    pub(crate) target: Option<RawDocTo>,
    pub(crate) target_delimiter: Option<String>,
    pub(crate) fewshot_delimiter: Option<String>,
}

/// What of a line a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterOn {
    /// The list in its field `choices`.
    Choices,
    /// The choices within its field `input`.
    ChoicesWithin,
    /// Its field `input`.
    Input,
    /// Its field `prompt`.
    Prompt,
}

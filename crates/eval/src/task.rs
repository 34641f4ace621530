//! A task with its items, and how their answers are scored. A `Task` that exists is valid: its templates are rendered
//! for every item and every right answer is among the choices.

use crate::items::AnyItems;
use crate::lines::Lesson;
use crate::metric;
use crate::model::ChatStyle;
use crate::settings::TaskSettings;
use bantam_core::chat::Chat;
use bantam_core::metric::Metric;
use bantam_core::record::TaskRef;
use std::sync::Arc;

/// A suite: tasks that belong together, with a version.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Its name; the file's where it has none.
    pub name: String,
    /// Its version, by which a change of the data is told.
    pub version: u32,
    /// A title for people.
    pub title: String,
    /// What it asks, in a sentence.
    pub description: String,
    /// The suite's file: a path, or `bundled:NAME`.
    pub file: String,
    /// Its tasks, at least one.
    pub tasks: Vec<Task>,
}

/// One task of a suite.
#[derive(Debug, Clone)]
pub struct Task {
    /// The suite's name.
    pub suite: String,
    /// The task's name, unlike that of any other task of the suite.
    pub name: String,
    /// The suite's file.
    pub file: String,
    /// Fields by which the score is broken down; the gap's field is one of them.
    pub slices: Vec<String>,
    /// The slice whose best and worst value are compared.
    pub gap: Option<String>,
    /// What is doubtful about the task and not wrong, a sentence each.
    pub notes: Vec<String>,
    pub(crate) settings: TaskSettings,
    /// What a profile or a command said of how it is asked.
    pub(crate) way: Chat,
    pub(crate) items: Arc<dyn AnyItems>,
}

/// The items of a task, as seen from outside.
#[derive(Debug, Clone, Copy)]
pub struct TaskItems<'a>(&'a dyn AnyItems);

impl TaskItems<'_> {
    /// Counts the items.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Task {
    /// Names the task's kind as a suite's file does.
    pub fn output_type(&self) -> &'static str {
        self.items.output_type()
    }

    /// The items that are asked.
    pub fn items(&self) -> TaskItems<'_> {
        TaskItems(self.items.as_ref())
    }

    /// What there is to be learnt from each item, with its line of the data: its prompt and the right answer. None of a
    /// kind of task that has no right answers to say.
    pub fn lessons(&self) -> Option<Vec<(String, Lesson)>> {
        self.items.lessons()
    }

    /// The metrics, the deciding one first.
    pub fn metrics(&self) -> &[Metric] {
        &self.settings.metrics
    }

    /// How the model's chat template writes the task's conversations; None where its prompts are texts.
    pub fn chat_style(&self) -> Option<&ChatStyle> {
        self.settings.chat.as_ref()
    }

    /// The task with its first `limit` items only, as lm-evaluation-harness's `--limit`.
    pub fn limited(mut self, limit: Option<usize>) -> Task {
        if let Some(limit) = limit.filter(|limit| *limit < self.items.len()) {
            self.items = self.items.first(limit);
        }
        self
    }

    /// The metric that decides.
    pub fn deciding(&self) -> Metric {
        self.settings.metrics[0]
    }

    /// The score of guessing: the mean share of right choices where one choice is taken, None for all else.
    pub fn chance(&self) -> Option<f64> {
        metric::scorer(self.deciding()).filter(|scorer| scorer.has_chance).and_then(|_| self.items.chance())
    }

    /// The task by name and by the hash of all that decides its score: the items as they are asked, with their right
    /// answers, and the scorer.
    pub fn reference(&self) -> TaskRef {
        TaskRef {
            suite: self.suite.clone(),
            task: self.name.clone(),
            digest: self.items.digest(&self.suite, &self.name, &self.settings),
            file: self.file.clone(),
            items: self.items.len(),
            metrics: self.settings.metrics.clone(),
            chance: self.chance(),
            chat: self.way.clone(),
        }
    }
}

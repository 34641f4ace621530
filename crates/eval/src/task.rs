//! A task with its items, and how their answers are scored. A `Task` that exists is valid: its templates are rendered
//! for every item and every right answer is among the choices.

use crate::items::AnyItems;
use crate::lines::Lesson;
use crate::metric;
use crate::model::ChatStyle;
use crate::settings::TaskSettings;
use bantam_core::chat::Chat;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, TaskRef};
use std::collections::BTreeMap;
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

/// What a task is made of, by hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPrints {
    /// Of what stands beside the items: the scorer, what all items share, how it is asked.
    pub beside: Id,
    /// Of each item as it is asked, with its right answer, by the place of its line: `data.jsonl:17`.
    pub items: Vec<(String, Id)>,
}

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

    /// What each item puts to the model, by its position in the data, as text for people: of an item with a context for
    /// each choice the first. Empty of a kind that puts no text to it.
    pub fn prompts(&self) -> BTreeMap<usize, String> {
        self.items.prompts()
    }

    /// What the task is made of, by hashes: of each item, with the place of its line, and of all else that decides its
    /// score. Where two tasks differ, it tells which line of which file does.
    pub fn prints(&self) -> TaskPrints {
        let (beside, items) = self.items.prints(&self.settings);
        TaskPrints { beside, items }
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

    /// Says what is one-sided about the task's first `limit` items, where a file is sorted by its answers; None where they
    /// are much as a draw would be.
    pub fn one_sided(&self, limit: Option<usize>) -> Option<String> {
        let limit = limit.filter(|limit| *limit < self.items.len())?;
        one_sided(&self.name, &self.items.answers()?, limit)
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

/// Of the answers that a draw of as many items would show, the share that the first ones have to show.
const SHARE: f64 = 0.6;

fn one_sided(task: &str, answers: &[String], limit: usize) -> Option<String> {
    let count = |answers: &[String]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        answers.iter().for_each(|answer| *counts.entry(answer.clone()).or_default() += 1);
        counts
    };
    let (all, shown) = (count(answers), count(&answers[..limit]).len());
    // answers that hardly any two items share are no classes
    if all.len() < 2 || answers.len() < 2 * all.len() {
        return None;
    }
    let share = |n: usize| n as f64 / answers.len() as f64;
    let drawn: f64 = all.values().map(|&n| 1.0 - (1.0 - share(n)).powi(limit.try_into().unwrap_or(i32::MAX))).sum();
    ((shown as f64) < SHARE * drawn).then(|| {
        format!(
            "{task}: its first {limit} of {} items show {shown} of {} answers, as where a file is sorted by them, so that their \
             score says little of the rest; take all items, or shuffle the lines of its file",
            answers.len(),
            all.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::one_sided;

    #[test]
    fn first_items_of_a_sorted_file_are_told_from_those_of_a_mixed_one() {
        let answer = |n: usize| format!("intent {n}");
        let sorted: Vec<String> = (0..400).map(|i| answer(i / 40)).collect();
        let mixed: Vec<String> = (0..400).map(|i| answer(i * 7 % 10)).collect();
        let said = one_sided("banking", &sorted, 60).expect("one-sided");
        assert!(said.starts_with("banking: its first 60 of 400 items show 2 of 10 answers"), "{said}");
        assert_eq!(one_sided("banking", &mixed, 60), None);
        // most of its classes are there, and few items of a mixed file do not show all
        assert_eq!(one_sided("banking", &sorted, 320), None);
        assert_eq!(one_sided("banking", &mixed, 3), None);
        // two in a row of a file of twos are chance
        let letters: Vec<String> = ["A", "A", "B", "A", "B", "B", "A", "B"].map(String::from).to_vec();
        assert_eq!(one_sided("letters", &letters, 2), None);
        assert!(one_sided("letters", &["A", "A", "A", "A", "B", "B", "B", "B"].map(String::from), 4).is_some());
        // texts of their own are no classes
        let free: Vec<String> = (0..400).map(|i| format!("text {i}")).collect();
        assert_eq!(one_sided("free", &free, 10), None);
    }
}

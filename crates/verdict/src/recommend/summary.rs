//! One variant with everything known of it: its scores, its costs, the trials that failed, and how it compares with the
//! reference.

use super::answer_cost;
use super::compare::Comparison;
use super::constraint::{Check, Status};
use super::cost::{self, ShapeCost};
use super::known::Memo;
use super::overall::{self, Overall};
use super::rate::Pricing;
use super::score::{Confidence, TaskScore};
use super::standing::Standing;
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Id, Reading, Row, Variant, Warning};
use serde::{Deserialize, Serialize};

/// A task by its suite's name and its own: two suites may each have a task of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskName {
    /// The suite's name.
    pub suite: String,
    /// The task's name within its suite.
    pub task: String,
}

impl TaskName {
    /// Gives the task that a row asked; `None` for a row that measured speed.
    pub fn of(row: &Row) -> Option<TaskName> {
        match &row.trial.ask {
            Ask::Task(task) => Some(TaskName { suite: task.suite.clone(), task: task.task.clone() }),
            Ask::Speed(_) => None,
        }
    }

    /// Tells whether a profile that writes `name` means this task: by itself, or with its suite as `suite/task`.
    pub fn is_called(&self, name: &str) -> bool {
        self.task == name || name.split_once('/').is_some_and(|(suite, task)| self.suite == suite && self.task == task)
    }
}

impl std::fmt::Display for TaskName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.task)
    }
}

/// What is known of one variant, and whether it qualifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantSummary {
    /// The model and the recipe.
    pub variant: Variant,
    /// The score of every task that was asked of it.
    pub scores: Vec<TaskScore>,
    /// The costs of every speed shape that was asked of it.
    pub shapes: Vec<ShapeCost>,
    /// Bytes at work: the highest peak of its speed shapes, or of its tasks where no speed was measured.
    pub peak_memory: Reading,
    /// Bytes of its files.
    pub disk: Reading,
    /// Several costs in one, where the profile prefers by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Reading>,
    /// One number for all deciding tasks, to order and draw by; it decides nothing.
    pub overall: Overall,
    /// Every constraint and every deciding task, met or not; empty where there was nothing to decide from.
    pub checks: Vec<Check>,
    /// Whether it meets every constraint and is shown not worse than the reference on every deciding task.
    pub qualifies: bool,
    /// Which of the three groups it is in (`qualifies` is the first of them), and the one reason.
    pub standing: Standing,
    /// The comparisons with the reference, task by task; empty for the reference itself.
    pub comparisons: Vec<Comparison>,
    /// Its trials that gave no result, but for those that a race had no need of.
    pub failures: Vec<FailedTrial>,
    /// Why it left a race before all was asked of it; `None` where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raced: Option<String>,
    /// The tasks that a race ended early, since the items that were asked show enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<TaskName>,
    /// What was seen while measuring it: one warning of each kind, the first.
    pub warnings: Vec<Warning>,
}

/// A trial that gave no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedTrial {
    /// The label of the task or shape.
    pub ask: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl VariantSummary {
    /// What the rows of one variant say by themselves; checks and comparisons come later.
    pub(super) fn of<'a>(
        variant: &Variant,
        rows: &[&'a Row],
        confidence: Confidence,
        pricing: &Pricing,
        memo: &Memo<'a>,
    ) -> VariantSummary {
        let rate = pricing.rate(&variant.model);
        let score = |row: &&'a Row| {
            memo.get("score", &[row], &(confidence, rate), |rows| TaskScore::priced(rows[0], confidence, rate))
        };
        let scores: Vec<TaskScore> = rows.iter().filter_map(score).collect();
        VariantSummary {
            variant: variant.clone(),
            overall: overall::overall(&scores.iter().collect::<Vec<_>>()),
            scores,
            shapes: rows.iter().filter_map(|row| ShapeCost::of(row, confidence.level)).collect(),
            peak_memory: cost::peak_memory(rows),
            disk: cost::disk(rows),
            weighed: None,
            checks: Vec::new(),
            qualifies: false,
            standing: Standing::CannotTell { reason: "Nothing was compared yet.".into() },
            comparisons: Vec::new(),
            failures: rows.iter().filter_map(|row| failed(row)).collect(),
            raced: rows.iter().find_map(|row| row.outcome.raced().map(str::to_owned)),
            settled: rows
                .iter()
                .filter(|row| row.outcome.settled.is_some())
                .filter_map(|row| TaskName::of(row))
                .collect(),
            warnings: warnings(rows),
        }
    }

    /// The variant's id.
    pub fn id(&self) -> &Id {
        &self.variant.id
    }

    /// Finds its score of a task; `None` where the task was not asked of it.
    pub fn score(&self, task: &TaskName) -> Option<&TaskScore> {
        self.scores.iter().find(|score| score.suite == task.suite && score.task == task.task)
    }

    /// Gives a cost in one number: memory and disk of the whole, what answers cost over all tasks, anything else at the
    /// shape where it is worst.
    pub fn cost(&self, metric: Metric) -> Reading {
        match metric {
            Metric::PeakMemory => self.peak_memory.clone(),
            Metric::Disk => self.disk.clone(),
            Metric::WeighedCost => {
                self.weighed.clone().unwrap_or_else(|| Reading::missing("the profile weighs no costs"))
            }
            _ if metric.is_of_answers() => answer_cost::over_tasks(
                metric,
                self.scores
                    .iter()
                    .filter(|score| score.suite != super::loss::BATTERY)
                    .filter_map(|score| Some((score.task.as_str(), score.cost(metric)?))),
            ),
            _ => self.worst(metric),
        }
    }

    /// The least good reading over all shapes; missing as soon as one shape has none.
    fn worst(&self, metric: Metric) -> Reading {
        let mut worst: Option<&Reading> = None;
        for reading in self.shapes.iter().filter_map(|shape| shape.reading(metric)) {
            let Some(value) = reading.value() else { return reading.clone() };
            if worst.and_then(Reading::value).is_none_or(|before| metric.better(before, value)) {
                worst = Some(reading);
            }
        }
        worst.cloned().unwrap_or_else(|| Reading::missing("no speed was measured"))
    }

    /// Whether other work, the hypervisor, heat or swap were seen to take the machine while its speed was measured.
    pub fn is_disturbed(&self) -> bool {
        use bantam_core::record::WarningKind::{ForeignLoad, Steal, Swap, Throttling};
        self.warnings.iter().any(|warning| matches!(warning.kind, ForeignLoad | Steal | Throttling | Swap))
    }

    /// Lists the checks that are not met or unknown.
    pub fn unmet(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status != Status::Met)
    }
}

fn failed(row: &Row) -> Option<FailedTrial> {
    let failure = row.outcome.result.as_ref().err().filter(|_| row.outcome.raced().is_none())?;
    Some(FailedTrial { ask: row.trial.ask.label(), reason: failure.sentence() })
}

/// One warning of each kind, the first, with how many trials it was seen on.
fn warnings(rows: &[&Row]) -> Vec<Warning> {
    let mut all: Vec<(Warning, usize)> = Vec::new();
    for warning in rows.iter().flat_map(|row| &row.outcome.warnings) {
        match all.iter_mut().find(|(known, _)| known.kind == warning.kind) {
            Some((_, times)) => *times += 1,
            None => all.push((warning.clone(), 1)),
        }
    }
    let told = |(warning, times): (Warning, usize)| match times {
        1 => warning,
        _ => Warning { text: format!("{} (so or alike on {times} trials)", warning.text), ..warning },
    };
    all.into_iter().map(told).collect()
}

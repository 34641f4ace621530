//! How long a plan will take, reckoned before it runs: from how much its trials read, and from how fast the trials were that
//! this machine has measured of it; without any, from what processors of such machines do.

use crate::library::own;
use crate::run::plan::{Plan, Planned};
use crate::run::remaining::Remaining;
use crate::tui::setup::{Expected, From, GridRow, SuiteEntry, TaskEntry};
use bantam_core::metric::Aggregation;
use bantam_core::record::{Ask, Reading, Row, Trial};
use bantam_core::unit::{Bytes, Seconds};
use bantam_eval::Task;

/// Letters of a token, in the mean of many languages' tokenizers.
const LETTERS_A_TOKEN: f64 = 4.0;
/// Products and sums a second of one thread where nothing was measured here: a processor with AVX2 on a model in 8 bits.
const GUESS: f64 = 15e9;
/// Parameters a second that quantizing takes: 1.1 billion in half a minute.
const MAKING: f64 = 40e6;

/// A task as it is planned, with what its items could show.
pub(super) fn task(task: &Task, limit: Option<usize>) -> TaskEntry {
    let available = task.items().len();
    let items = limit.map_or(available, |limit| limit.min(available));
    let is_share = task.deciding().aggregation() == Aggregation::Mean;
    let prompts: usize = task.prompts().values().map(String::len).sum();
    let answers: usize = task.lessons().iter().flatten().map(|(_, lesson)| lesson.answer.len()).sum();
    TaskEntry {
        suite: task.suite.clone(),
        name: task.name.clone(),
        items,
        available,
        smallest: is_share.then(|| own::smallest(items)),
        letters: (prompts + answers) as f64 / available.max(1) as f64,
    }
}

/// The variants with their sizes and times.
pub(super) fn grid(plan: &Plan, suites: &[SuiteEntry], rows: &[Row]) -> Vec<GridRow> {
    let tasks: Vec<&TaskEntry> =
        suites.iter().filter_map(|suite| suite.info.as_ref().ok()).flat_map(|info| &info.tasks).collect();
    let measured = rate(rows, &tasks);
    let rate = measured.unwrap_or(GUESS * plan.host.threads as f64);
    let from = if measured.is_some() { From::Measured } else { From::Guess };
    let row = |planned: &Planned| {
        let left: Vec<&Trial> = planned.trials.iter().filter(|trial| !plan.done.contains(&trial.id)).collect();
        let work: Option<f64> = left.iter().map(|trial| work(trial, &tasks)).sum();
        let making = if planned.variant.is_base() { 0.0 } else { planned.variant.model.parameters as f64 / MAKING };
        let speeds = Remaining::of(left.iter().copied()).speeds;
        let making = if left.len() < planned.trials.len() { 0.0 } else { making };
        GridRow {
            label: planned.variant.label(),
            disk: Bytes(known(&planned.estimate.disk) as u64),
            trials: planned.trials.len(),
            done: planned.trials.len() - left.len(),
            expected: work.map(|work| Expected { time: Seconds(work / rate + speeds + making), from }),
        }
    };
    plan.variants.iter().map(row).collect()
}

fn known(reading: &Reading) -> f64 {
    reading.value().unwrap_or(0.0)
}

/// Products and sums that a trial takes; none of a speed shape, whose time is its budget. Nothing where its task is not
/// known.
fn work(trial: &Trial, tasks: &[&TaskEntry]) -> Option<f64> {
    let Ask::Task(asked) = &trial.ask else { return Some(0.0) };
    // a task that is asked in several ways is called TASK@WAY
    let bare = asked.task.split('@').next().unwrap_or(&asked.task);
    let task = tasks.iter().find(|task| task.suite == asked.suite && task.name == bare)?;
    let items = trial.conditions.limit.map_or(asked.items, |limit| limit.min(asked.items));
    let tokens = items as f64 * task.letters / LETTERS_A_TOKEN;
    Some(2.0 * trial.variant.model.parameters as f64 * tokens)
}

/// Products and sums a second of what was measured of the plan; None where nothing was.
fn rate(rows: &[Row], tasks: &[&TaskEntry]) -> Option<f64> {
    let of_tasks = rows.iter().filter(|row| matches!(row.trial.ask, Ask::Task(_)) && row.outcome.result.is_ok());
    let (mut all, mut seconds) = (0.0, 0.0);
    for row in of_tasks {
        let Some(work) = work(&row.trial, tasks) else { continue };
        (all, seconds) = (all + work, seconds + row.outcome.wall.0);
    }
    (all > 0.0 && seconds > 0.0).then(|| all / seconds)
}

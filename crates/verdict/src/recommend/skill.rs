//! Whether a row's answers beat guessing, items that go together taken together.

use super::score;
use bantam_core::record::{Ask, ItemResult, Row, TaskRef};
use bantam_core::stats::chance::{self, Skill};
use bantam_core::stats::{Clusters, Level};

/// Tells whether a row's answers beat guessing; `None` where they are not just right or wrong, or guessing has no score.
pub fn of_row(row: &Row, margin: f64, level: Level) -> Option<Skill> {
    match (&row.trial.ask, &row.outcome.result) {
        (Ask::Task(task), Ok(())) => of_items(task, &row.outcome.items, margin, level),
        _ => None,
    }
}

/// Tells the same of items that were asked of a task.
pub fn of_items(task: &TaskRef, items: &[ItemResult], margin: f64, level: Level) -> Option<Skill> {
    let (guessing, &metric) = (task.chance?, task.metrics.first()?);
    let scored: Vec<&ItemResult> = items.iter().filter(|item| item.score(metric).is_some()).collect();
    let right = |item: &&ItemResult| match item.score(metric).map(|score| (score.value, score.weight)) {
        Some((1.0, 1.0)) => Some(true),
        Some((0.0, 1.0)) => Some(false),
        _ => None,
    };
    let answers: Vec<bool> = scored.iter().map(right).collect::<Option<_>>()?;
    let clusters = Clusters::by(&score::cluster_keys(&scored)).ok()?;
    chance::skill(&answers, &clusters, guessing, margin, level).ok()
}

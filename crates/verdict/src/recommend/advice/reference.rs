//! Which variant the others are compared with: the one the profile names, or the largest model without a recipe that
//! ran.

use super::NoEvidence;
use crate::recommend::standing::{Standing, TaskName};

/// Picks the variant that the others are compared with.
///
/// # Errors
/// `NoReference` when the one named has no score on any of `tasks`, `NoScores` when nobody has.
pub fn pick<'a>(
    standings: &'a [Standing],
    tasks: &[&TaskName],
    named: Option<&str>,
) -> Result<&'a Standing, NoEvidence> {
    let scored = standings.iter().filter(|standing| scored_tasks(standing, tasks) > 0);
    match named {
        Some(named) => {
            let mut called = scored.filter(|standing| standing.variant.is_called(named));
            called.next().ok_or_else(|| NoEvidence::NoReference { named: named.into() })
        }
        None => {
            let size =
                |s: &&Standing| (s.variant.is_base(), scored_tasks(s, tasks), s.variant.model.parameters, bytes(s));
            scored.max_by_key(size).ok_or(NoEvidence::NoScores)
        }
    }
}

/// On how many of the tasks it has a score: one that failed on some is a poor measure for the others.
fn scored_tasks(standing: &Standing, tasks: &[&TaskName]) -> usize {
    let has_score = |task: &&&TaskName| standing.score(task).is_some_and(|score| score.reading().known().is_some());
    tasks.iter().filter(has_score).count()
}

fn bytes(standing: &Standing) -> u64 {
    standing.disk.value().unwrap_or_default() as u64
}

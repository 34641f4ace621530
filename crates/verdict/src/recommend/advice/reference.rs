//! Which variant the others are compared with: the one the profile names, or the largest model without a recipe that
//! ran.

use super::NoEvidence;
use crate::recommend::summary::{TaskName, VariantSummary};

/// Picks the variant that the others are compared with.
///
/// # Errors
/// `NoReference` when the one named has no score on any of `tasks`, `NoScores` when nobody has.
pub(super) fn pick<'a>(
    summaries: &'a [VariantSummary],
    tasks: &[&TaskName],
    named: Option<&str>,
) -> Result<&'a VariantSummary, NoEvidence> {
    // a system is made of others, and is held against them
    let scored = summaries.iter().filter(|summary| !summary.variant.is_system() && scored_tasks(summary, tasks) > 0);
    match named {
        Some(named) => {
            let mut called = scored.filter(|summary| summary.variant.is_called(named));
            called.next().ok_or_else(|| NoEvidence::NoReference { named: named.into() })
        }
        None => {
            let size = |s: &&VariantSummary| {
                (s.variant.is_base(), scored_tasks(s, tasks), s.variant.model.parameters, bytes(s))
            };
            scored.max_by_key(size).ok_or(NoEvidence::NoScores)
        }
    }
}

/// On how many of the tasks it has a score: one that failed on some is a poor measure for the others.
fn scored_tasks(summary: &VariantSummary, tasks: &[&TaskName]) -> usize {
    let has_score = |task: &&&TaskName| summary.score(task).is_some_and(|score| score.reading().known().is_some());
    tasks.iter().filter(has_score).count()
}

fn bytes(summary: &VariantSummary) -> u64 {
    summary.disk.value().unwrap_or_default() as u64
}

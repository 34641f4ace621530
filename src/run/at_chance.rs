//! What makes a score doubtful that only all of its items together can tell.

use bantam_core::record::{ItemResult, TaskRef, Warning, WarningKind};
use bantam_core::stats::{Level, interval};

/// A score that guessing would reach too easily is no sign of skill.
pub(super) fn at_chance(task: &TaskRef, items: &[ItemResult]) -> Option<Warning> {
    let (chance, &metric) = (task.chance?, task.metrics.first()?);
    let scores: Vec<f64> = items.iter().filter_map(|item| item.score(metric)).map(|score| score.value).collect();
    let right = scores.iter().filter(|&&value| value == 1.0).count();
    let guessed = interval::at_chance(right as u64, scores.len() as u64, chance, Level::P95).ok()?;
    guessed.then(|| Warning {
        kind: WarningKind::AtChance,
        text: format!(
            "{right} of {} right is what guessing gives ({:.0}% of {}): the variant does not do this task, or more items \
             are needed to tell",
            scores.len(),
            chance * 100.0,
            task.task
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::metric::Metric;
    use bantam_core::record::{Id, ItemScore};

    fn task(chance: Option<f64>) -> TaskRef {
        TaskRef {
            suite: "work".into(),
            task: "routing".into(),
            digest: Id::of(&1),
            file: "bundled:work".into(),
            items: 100,
            metrics: vec![Metric::Acc],
            chance,
        }
    }

    fn items(right: usize) -> Vec<ItemResult> {
        let item = |index| ItemResult {
            index,
            scores: vec![ItemScore { metric: Metric::Acc, value: f64::from(index < right), weight: 1.0 }],
            choice: None,
            target: None,
            answer: None,
            logprobs: Vec::new(),
            slices: Default::default(),
            pair: None,
            cluster: None,
            tokens: 1,
        };
        (0..100).map(item).collect()
    }

    #[test]
    fn only_a_score_that_guessing_would_reach_is_doubted() {
        let warning = at_chance(&task(Some(0.25)), &items(30)).expect("30 of 100 is easily guessed at a quarter");
        assert_eq!(warning.kind, WarningKind::AtChance);
        assert!(
            warning.text.starts_with("30 of 100 right is what guessing gives (25% of routing)"),
            "{}",
            warning.text
        );
        assert_eq!(at_chance(&task(Some(0.25)), &items(40)), None);
        assert_eq!(at_chance(&task(None), &items(0)), None);
        assert_eq!(at_chance(&task(Some(0.25)), &[]), None);
    }
}

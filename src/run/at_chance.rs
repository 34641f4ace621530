//! What makes a score doubtful that only all of its items together can tell.

use bantam_core::record::{ItemResult, TaskRef, Warning, WarningKind};
use bantam_core::stats::Level;
use bantam_core::stats::chance::Skill;
use bantam_verdict::recommend::skill;

/// A score that is not shown to beat guessing is no sign of skill; that too few items cannot show it is another thing than
/// that it is guessing.
pub(super) fn at_chance(task: &TaskRef, items: &[ItemResult]) -> Option<Warning> {
    let (chance, &metric) = (task.chance?, task.metrics.first()?);
    let scores: Vec<f64> = items.iter().filter_map(|item| item.score(metric)).map(|score| score.value).collect();
    let right = scores.iter().filter(|&&value| value == 1.0).count();
    let seen =
        format!("{right} of {} right on {} where guessing gives {:.0}%", scores.len(), task.task, chance * 100.0);
    let text = match skill::of_items(task, items, 0.0, Level::P95)? {
        Skill::Shown => return None,
        Skill::NearChance => format!("{seen}: the variant does not do this task"),
        Skill::TooFew => format!("{seen}: too few items to show that it beats guessing"),
    };
    Some(Warning { kind: WarningKind::AtChance, text })
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
            chat: Default::default(),
        }
    }

    fn items(right: usize) -> Vec<ItemResult> {
        let item = |index| ItemResult {
            index,
            scores: vec![ItemScore { metric: Metric::Acc, value: f64::from(index < right), weight: 1.0 }],
            tokens: 1,
            ..ItemResult::default()
        };
        (0..100).map(item).collect()
    }

    #[test]
    fn only_a_score_that_is_not_shown_to_beat_guessing_is_doubted() {
        let warning = at_chance(&task(Some(0.25)), &items(25)).expect("25 of 100 is guessed at a quarter");
        assert_eq!(warning.kind, WarningKind::AtChance);
        assert_eq!(
            warning.text,
            "25 of 100 right on routing where guessing gives 25%: the variant does not do this task"
        );
        let few = at_chance(&task(Some(0.25)), &items(33)).expect("the exact test asks for 34");
        assert!(few.text.ends_with("guessing gives 25%: too few items to show that it beats guessing"), "{}", few.text);
        assert_eq!(at_chance(&task(Some(0.25)), &items(40)), None);
        assert_eq!(at_chance(&task(None), &items(0)), None);
        assert_eq!(at_chance(&task(Some(0.25)), &[]), None);
    }

    #[test]
    fn guesses_that_go_together_are_fewer() {
        let together = |right: usize| -> Vec<ItemResult> {
            let key = |mut item: ItemResult| {
                item.pair = Some(format!("{}", item.index / 4));
                item
            };
            items(right).into_iter().map(key).collect()
        };
        assert_eq!(at_chance(&task(Some(0.25)), &items(36)), None);
        assert!(at_chance(&task(Some(0.25)), &together(36)).is_some(), "nine clusters of 25");
    }
}

//! Tie groups: variants that the items asked cannot tell apart, which of them are shown to be interchangeable, and how many
//! more items would tell the others.
//!
//! "No difference found" is no equality: with few enough items nothing differs. Two variants are interchangeable where each
//! is shown not worse than the other by more than the margin, on every deciding task (two one-sided tests: Schuirmann, "A
//! Comparison of the Two One-Sided Tests Procedure and the Power Approach", 1987). And A may tie with B and B with C while A
//! and C differ, so a group has a leader, its best member, and holds who cannot be told from the leader.

use super::compare;
use super::known::Memo;
use super::score::Confidence;
use super::summary::TaskName;
use bantam_core::record::{Id, Row};
use bantam_core::stats::{Pairs, power};
use serde::{Deserialize, Serialize};

/// A variant, and those that the items cannot tell from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TieGroup {
    /// The best of the group by the overall score.
    pub leader: Id,
    /// Those that no deciding task tells from the leader, best first.
    pub others: Vec<Tied>,
}

/// A variant that cannot be told from the leader of its group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tied {
    /// Its id.
    pub variant: Id,
    /// Whether each is shown not worse than the other by more than the margin on every task that both did.
    #[serde(default)]
    pub interchangeable: bool,
    /// The task on which the fewest more items would tell them apart, and how many, if the truth is as seen; `None`
    /// where none could be judged or no number would.
    pub soonest: Option<(TaskName, u64)>,
}

/// One variant with its rows on the deciding tasks.
pub struct Contender<'a> {
    /// The variant's id.
    pub id: &'a Id,
    /// Its rows on the deciding tasks.
    pub rows: Vec<&'a Row>,
}

/// How much worse is still good enough, task by task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins<'a> {
    pub tasks: &'a [&'a TaskName],
    pub of_each: &'a [f64],
}

impl Margins<'_> {
    fn of(&self, row: &Row) -> f64 {
        let task = TaskName::of(row);
        let place = self.tasks.iter().position(|known| Some(*known) == task.as_ref());
        place.and_then(|place| self.of_each.get(place)).copied().unwrap_or_default()
    }
}

/// Groups contenders, given from the best to the worst. Those that tie with nobody are left out.
pub(super) fn groups<'a>(
    contenders: &[Contender<'a>],
    margins: &Margins,
    confidence: Confidence,
    memo: &Memo<'a>,
) -> Vec<TieGroup> {
    let mut rest: Vec<&Contender> = contenders.iter().collect();
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let leader = rest.remove(0);
        let mut others = Vec::new();
        rest.retain(|other| match known(leader, other, margins, confidence, memo) {
            Some(tied) => {
                others.push(tied);
                false
            }
            None => true,
        });
        if !others.is_empty() {
            groups.push(TieGroup { leader: leader.id.clone(), others });
        }
    }
    groups
}

/// As [`tied`], and remembered.
fn known<'a>(
    leader: &Contender<'a>,
    other: &Contender<'a>,
    margins: &Margins,
    confidence: Confidence,
    memo: &Memo<'a>,
) -> Option<Tied> {
    let rows: Vec<&Row> = leader.rows.iter().chain(&other.rows).copied().collect();
    let split = leader.rows.len();
    let of_rows: Vec<f64> = rows.iter().map(|row| margins.of(row)).collect();
    memo.get("tie", &rows, &(of_rows, confidence, split), |rows| {
        let (first, second) = rows.split_at(split);
        let leader = Contender { id: leader.id, rows: first.to_vec() };
        tied(&leader, &Contender { id: other.id, rows: second.to_vec() }, margins, confidence)
    })
}

/// Tied unless some task tells the two apart at the level divided by the number of tasks looked at (Bonferroni, which
/// for "any of them" is as sharp as Holm). Without a single task in common nothing is said.
fn tied(leader: &Contender, other: &Contender, margins: &Margins, confidence: Confidence) -> Option<Tied> {
    let common: Vec<(&Row, &Row)> = leader.rows.iter().filter_map(|row| Some((*row, same_task(other, row)?))).collect();
    let alpha = 2.0 * confidence.level.tail() / common.len() as f64;
    let mut pairs: Vec<(TaskName, Pairs)> = Vec::new();
    for &(row, same) in &common {
        let (Some(task), Ok((scores, _))) = (TaskName::of(row), compare::paired(row, same)) else { continue };
        if scores.p_differs() <= alpha {
            return None;
        }
        pairs.push((task, scores));
    }
    (!pairs.is_empty()).then(|| Tied {
        variant: other.id.clone(),
        interchangeable: common.iter().all(|(row, same)| either_way(row, same, margins.of(row), confidence)),
        soonest: soonest(pairs, alpha / 2.0),
    })
}

/// Whether each of two rows is shown not worse than the other.
fn either_way(one: &Row, other: &Row, margin: f64, confidence: Confidence) -> bool {
    let not_worse = |reference: &Row, candidate: &Row| {
        compare::compare(reference, candidate, margin, confidence)
            .and_then(|comparison| comparison.judgement().map(|judgement| judgement.verdict.is_good_enough()))
            .unwrap_or(false)
    };
    not_worse(one, other) && not_worse(other, one)
}

fn same_task<'a>(contender: &Contender<'a>, row: &Row) -> Option<&'a Row> {
    contender.rows.iter().copied().find(|candidate| TaskName::of(candidate) == TaskName::of(row))
}

/// The task on which the fewest more items would tell the two apart at the one-sided `tail` that they were held against.
fn soonest(pairs: Vec<(TaskName, Pairs)>, tail: f64) -> Option<(TaskName, u64)> {
    let more = |(task, pairs): (TaskName, Pairs)| Some((task, power::more_to_tell_apart(&pairs, tail).about()?));
    pairs.into_iter().filter_map(more).min_by_key(|(_, items)| *items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers, confidence};
    use crate::recommend::known::Nothing;

    fn groups_of(made: Vec<Made>) -> Vec<TieGroup> {
        let rows: Vec<Vec<Row>> = made.into_iter().map(Made::rows).collect();
        let contenders: Vec<Contender> =
            rows.iter().map(|rows| Contender { id: &rows[0].trial.variant.id, rows: rows.iter().collect() }).collect();
        let tasks = ["t", "u"].map(|task| TaskName { suite: "suite".into(), task: task.into() });
        let margins = Margins { tasks: &[&tasks[0], &tasks[1]], of_each: &[0.02, 0.02] };
        groups(&contenders, &margins, confidence(), &Memo::of(&Nothing))
    }

    #[test]
    fn near_scores_tie_and_far_ones_do_not() {
        let made = |name: &str, wrong| Made::base(name, 10).task("t", &answers(300, wrong, 0));
        let found = groups_of(vec![made("a", 20), made("b", 23), made("c", 120), made("d", 122), made("e", 290)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].others.len(), 1);
        let (task, items) = found[0].others[0].soonest.clone().unwrap();
        assert_eq!((task.task.as_str(), items > 100), ("t", true), "three flips of 300 need {items} more");
        assert_eq!(found[1].others.len(), 1);
    }

    #[test]
    fn one_task_is_enough_to_tell_two_apart() {
        let made =
            |name: &str, wrong| Made::base(name, 10).task("t", &answers(300, 20, 0)).task("u", &answers(300, wrong, 0));
        assert!(groups_of(vec![made("a", 20), made("b", 120)]).is_empty());
        assert_eq!(groups_of(vec![made("a", 20), made("b", 20)]).len(), 1);
    }

    #[test]
    fn without_a_common_task_nothing_is_said() {
        assert!(
            groups_of(vec![Made::base("a", 1).task("t", &[1, 0]), Made::base("b", 1).task("u", &[1, 0])]).is_empty()
        );
        assert!(groups_of(vec![]).is_empty());
    }

    #[test]
    fn the_same_answers_need_more_items_than_there_are_to_differ() {
        let made = |name: &str| Made::base(name, 10).task("t", &answers(300, 20, 0));
        let tied = &groups_of(vec![made("a"), made("b")])[0].others[0];
        assert_eq!((tied.soonest.clone(), tied.interchangeable), (None, true), "they never differed");
        let few = |name: &str| Made::base(name, 10).task("t", &answers(40, 4, 0));
        let tied = &groups_of(vec![few("a"), few("b")])[0].others[0];
        assert!(!tied.interchangeable, "no difference in 40 items is not equality");
    }
}

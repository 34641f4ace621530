//! `recall_at_1`, `_5`, `_10`, `_100`: the share of the relevant documents that are among the first k found.

use super::{Ranking, Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const AT_1: Scorer =
    Scorer { of_ranking: Some(|ranking| Score::once(recall(ranking, 1))), ..Scorer::new(Metric::RecallAt1) };

pub(super) const AT_5: Scorer =
    Scorer { of_ranking: Some(|ranking| Score::once(recall(ranking, 5))), ..Scorer::new(Metric::RecallAt5) };

pub(super) const AT_10: Scorer =
    Scorer { of_ranking: Some(|ranking| Score::once(recall(ranking, 10))), ..Scorer::new(Metric::RecallAt10) };

pub(super) const AT_100: Scorer =
    Scorer { of_ranking: Some(|ranking| Score::once(recall(ranking, 100))), ..Scorer::new(Metric::RecallAt100) };

fn recall(Ranking { found, relevant }: &Ranking, k: usize) -> f64 {
    let is_relevant = |place: &usize| relevant.get(place).is_some_and(|gain| *gain > 0.0);
    let all = relevant.keys().filter(|place| is_relevant(place)).count();
    let hit = found.iter().take(k).filter(|place| is_relevant(place)).count();
    if all > 0 { hit as f64 / all as f64 } else { 0.0 }
}

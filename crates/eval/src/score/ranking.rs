//! Retrieval: how well the documents found first answer a query, as trec_eval tells it (nDCG with linear gains, recall).

use super::once;
use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;
use std::collections::BTreeMap;

/// How deep any metric looks.
pub const DEEPEST: usize = 100;

/// The places of the `DEEPEST` best scores, best first; of equals the one that comes first in the corpus. `left_out` is
/// not found.
pub fn best(scores: &[f64], left_out: Option<usize>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|place| Some(*place) != left_out).collect();
    let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if order.len() > DEEPEST {
        order.select_nth_unstable_by(DEEPEST, better);
        order.truncate(DEEPEST);
    }
    order.sort_unstable_by(better);
    order
}

/// The scores of one query: `found` are places in the corpus, best first; `relevant` says how relevant which are.
pub fn ranked(metrics: &[Metric], found: &[usize], relevant: &BTreeMap<usize, f64>) -> Vec<ItemScore> {
    let score = |&metric: &Metric| {
        let value = match metric {
            Metric::RecallAt1 => recall(found, relevant, 1),
            Metric::RecallAt5 => recall(found, relevant, 5),
            Metric::RecallAt10 => recall(found, relevant, 10),
            Metric::RecallAt100 => recall(found, relevant, 100),
            _ => ndcg(found, relevant, 10),
        };
        once(metric, value)
    };
    metrics.iter().map(score).collect()
}

/// DCG over that of the ideal order, with DCG = Σ gain / log₂(rank + 1) over the first k (Järvelin and Kekäläinen 2002,
/// "Cumulated gain-based evaluation of IR techniques"; gains below zero count as none).
fn ndcg(found: &[usize], relevant: &BTreeMap<usize, f64>, k: usize) -> f64 {
    let dcg = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        (2..).zip(gains.take(k)).map(|(rank, gain)| gain / f64::from(rank).log2()).sum()
    };
    let gain = |place: &usize| relevant.get(place).copied().unwrap_or(0.0).max(0.0);
    let mut ideal: Vec<f64> = relevant.values().map(|gain| gain.max(0.0)).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let most = dcg(&mut ideal.into_iter());
    if most > 0.0 { dcg(&mut found.iter().map(gain)) / most } else { 0.0 }
}

/// The share of the relevant documents that are among the first k.
fn recall(found: &[usize], relevant: &BTreeMap<usize, f64>, k: usize) -> f64 {
    let is_relevant = |place: &usize| relevant.get(place).is_some_and(|gain| *gain > 0.0);
    let all = relevant.keys().filter(|place| is_relevant(place)).count();
    let hit = found.iter().take(k).filter(|place| is_relevant(place)).count();
    if all > 0 { hit as f64 / all as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ndcg_and_recall_are_scikit_learns_and_by_hand() {
        let gains = [3.0, 2.0, 0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0];
        let scores = [0.1, 0.9, 0.8, 0.4, 0.35, 0.7, 0.65, 0.6, 0.3, 0.2, 0.55, 0.05];
        let relevant: BTreeMap<usize, f64> = gains.into_iter().enumerate().filter(|(_, gain)| *gain != 0.0).collect();
        let found = best(&scores, None);
        assert_eq!(found[..4], [1, 2, 5, 6]);
        let all = [Metric::NdcgAt10, Metric::RecallAt1, Metric::RecallAt5, Metric::RecallAt10, Metric::RecallAt100];
        let got: Vec<f64> = ranked(&all, &found, &relevant).iter().map(|score| score.value).collect();
        // ndcg_score([gains with -1 as 0], [scores], k=10)
        assert!((got[0] - 0.435_534_872_996_166_6).abs() < 1e-12, "{}", got[0]);
        assert_eq!(got[1..], [1.0 / 6.0, 1.0 / 6.0, 4.0 / 6.0, 1.0]);
    }

    #[test]
    fn equals_come_in_the_order_of_the_corpus_and_a_query_need_not_find_itself() {
        assert_eq!(best(&[0.5, 0.7, 0.5, 0.7], None), [1, 3, 0, 2]);
        assert_eq!(best(&[0.5, 0.7, 0.5, 0.7], Some(1)), [3, 0, 2]);
        let many: Vec<f64> = (0..500).map(|i| f64::from(i * 37 % 500)).collect();
        let found = best(&many, None);
        assert_eq!((found.len(), many[found[0]], many[found[99]]), (100, 499.0, 400.0));
    }
}

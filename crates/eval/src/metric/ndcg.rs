//! `ndcg_at_10`: how well the ten documents found first are ordered, as trec_eval tells it (nDCG with linear gains).

use super::{Ranking, Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const AT_10: Scorer =
    Scorer { of_ranking: Some(|ranking| Score::once(ndcg(ranking, 10))), ..Scorer::new(Metric::NdcgAt10) };

/// DCG over that of the ideal order, with DCG = Σ gain / log₂(rank + 1) over the first k (Järvelin and Kekäläinen 2002,
/// "Cumulated gain-based evaluation of IR techniques"; gains below zero count as none).
fn ndcg(Ranking { found, relevant }: &Ranking, k: usize) -> f64 {
    let dcg = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        (2..).zip(gains.take(k)).map(|(rank, gain)| gain / f64::from(rank).log2()).sum()
    };
    let gain = |place: &usize| relevant.get(place).copied().unwrap_or(0.0).max(0.0);
    let mut ideal: Vec<f64> = relevant.values().map(|gain| gain.max(0.0)).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let most = dcg(&mut ideal.into_iter());
    if most > 0.0 { dcg(&mut found.iter().map(gain)) / most } else { 0.0 }
}

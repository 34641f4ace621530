//! `brier_score`: the squared distance of the choices' probabilities, which add up to 1, from the right answer (Brier 1950;
//! `brier_score` in `lm_eval/api/metrics.py`).

use super::{Score, Scorer, Taken};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "brier_score",
    of_choices: Some(|item| {
        let off = |(at, p): (usize, f64)| (p - f64::from(u8::from(item.gold.first() == Some(&at)))).powi(2);
        let squares: f64 = item.probabilities().into_iter().enumerate().map(off).sum();
        Taken { choice: item.likeliest(|_| 1.0), score: Score::once(squares) }
    }),
    ..Scorer::new(Metric::BrierScore)
};

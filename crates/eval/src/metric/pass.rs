//! `pass@k`: the share of tasks that the best of `k` programs solves, known without bias from all that were written (Chen et al. 2021,
//! "Evaluating large language models trained on code"). Programs are run where that was allowed (`code`); a task that asks
//! for fewer than `k` programs is refused.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use bantam_core::stats::corpus::pass_at_k;

macro_rules! scorers {
    ($($name:ident $metric:ident $k:literal,)*) => { $(
        pub(super) const $name: Scorer =
            Scorer { of_generated: Some(|item| of_best(item, $k)), ..Scorer::new(Metric::$metric) };
    )* };
}

scorers! {
    AT_1 Pass1 1,
    AT_2 Pass2 2,
    AT_8 Pass8 8,
    AT_10 Pass10 10,
    AT_16 Pass16 16,
    AT_32 Pass32 32,
    AT_64 Pass64 64,
    AT_100 Pass100 100,
}

fn of_best(item: &GeneratedText, k: usize) -> Score {
    let (written, right) = item.passed.unwrap_or_default();
    // fewer than k are there where nothing is drawn: all would be the same
    Score::once(pass_at_k(written, right, k.min(written)))
}

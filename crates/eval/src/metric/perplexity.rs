//! `perplexity`: how likely a continuation is, per item.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "perplexity",
    of_continuation: Some(|answer| Score::once(answer.logprob)),
    ..Scorer::new(Metric::Perplexity)
};

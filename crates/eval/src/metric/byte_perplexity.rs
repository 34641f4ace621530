//! `byte_perplexity`: how likely a whole text is, per UTF-8 byte.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "weighted_perplexity",
    of_text: Some(|text| Score { value: text.logprob, weight: text.text.len() as f64 }),
    ..Scorer::new(Metric::BytePerplexity)
};

//! `bits_per_byte`: the bits that a whole text costs, per UTF-8 byte.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "bits_per_byte",
    of_text: Some(|text| Score { value: text.logprob, weight: text.text.len() as f64 }),
    ..Scorer::new(Metric::BitsPerByte)
};

//! `json_exact`, `json_f1` and `json_valid`: what the model's JSON says of what it should say. The first JSON value in an answer
//! counts, whatever stands around it; `json_valid` asks whether nothing else does, but for white space and code fences.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const EXACT: Scorer = Scorer {
    compares_text: true,
    of_json: Some(|item| Score::right(item.comparison.f1() == 1.0)),
    ..Scorer::new(Metric::JsonExact)
};

pub(super) const FIELDS: Scorer = Scorer {
    compares_text: true,
    of_json: Some(|item| Score::once(item.comparison.f1())),
    ..Scorer::new(Metric::JsonF1)
};

pub(super) const VALID: Scorer =
    Scorer { of_json: Some(|item| Score::right(item.is_valid)), ..Scorer::new(Metric::JsonValid) };

//! `f1`: F1 of the second of two choices, told of the whole sample (scikit-learn's `f1_score`).

use super::{Class, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "f1",
    of_choices: Some(|item| item.class_taken()),
    of_class: Some(Class::held_against_right),
    ..Scorer::new(Metric::F1)
};

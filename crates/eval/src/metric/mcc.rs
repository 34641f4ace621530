//! `mcc`: Matthews' correlation of the classes found and the right ones, told of the whole sample (scikit-learn's
//! `matthews_corrcoef`).

use super::{Class, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "matthews_corrcoef",
    of_choices: Some(|item| item.class_taken()),
    of_class: Some(Class::held_against_right),
    ..Scorer::new(Metric::Mcc)
};

//! `mcc`: Matthews' correlation of the classes found with the right ones, told of the whole sample.

use super::{Class, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer =
    Scorer { aggregation: "matthews_corrcoef", of_class: Some(Class::held_against_right), ..Scorer::new(Metric::Mcc) };

//! `pearson`: Pearson's correlation of what the model says with what it should go with, told of the whole sample.

use super::{Correlated, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    aggregation: "pearson",
    of_correlated: Some(Correlated::held_against_target),
    ..Scorer::new(Metric::Pearson)
};

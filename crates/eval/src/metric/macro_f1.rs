//! `macro_f1`: the mean over the classes of F1, told of the whole sample (scikit-learn's `f1_score(average="macro")`).

use super::{Class, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer =
    Scorer { aggregation: "macro_f1", of_class: Some(Class::held_against_right), ..Scorer::new(Metric::MacroF1) };

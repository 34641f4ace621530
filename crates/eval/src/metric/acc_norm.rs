//! `acc_norm`: as `acc`, by the log-likelihood per character of the choice's own text.

use super::Scorer;
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    has_chance: true,
    of_choices: Some(|item| item.take(|choice| choice.chars().count() as f64)),
    ..Scorer::new(Metric::AccNorm)
};

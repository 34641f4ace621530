//! `acc`: the share of items answered rightly. Of choices the one with the highest log-likelihood is taken, of equals
//! the first; a continuation is right where greedy decoding would say it.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    has_chance: true,
    of_choices: Some(|item| item.take(|_| 1.0)),
    of_continuation: Some(|answer| Score::right(answer.greedy)),
    of_class: Some(|class| Score::right(class.found == class.right)),
    ..Scorer::new(Metric::Acc)
};

//! `acc_mutual_info`: as `acc`, by the log-likelihood of each choice less that without the question, so that a choice that is
//! likely anywhere gains nothing by it.

use super::{Score, Scorer, Taken, first_of_greatest};
use bantam_core::metric::Metric;

pub(super) const SCORER: Scorer = Scorer {
    has_chance: true,
    of_choices: Some(|item| {
        let gains = item.answers.iter().zip(item.alone).map(|(asked, alone)| asked.logprob - alone.logprob);
        let choice = first_of_greatest(gains);
        Taken { choice, score: Score::right(item.gold.contains(&choice)) }
    }),
    ..Scorer::new(Metric::AccMutualInfo)
};

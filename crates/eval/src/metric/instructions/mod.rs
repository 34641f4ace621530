//! IFEval (Zhou et al. 2023, "Instruction-following evaluation for large language models"): does an answer do what the request says
//! of its form? Twenty-five kinds of instructions, each checked by a rule, as lm-evaluation-harness 0.4.13 checks them
//! (`lm_eval/tasks/ifeval`). Strictly the answer counts as it is; loosely, where it follows in any of eight readings: without its
//! first line, its last one, both, and each of these without asterisks.
//!
//! Two of its rules rest on models of other packages, which bantam does not have: `words` counts sentences by rules where NLTK
//! has a trained model, and `language` tells languages by their commonest words where langdetect draws at random.

mod check;
mod language;
mod words;

pub(crate) use check::Instructions;

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;

macro_rules! scorers {
    ($($name:ident $metric:ident $followed:ident $score:ident,)*) => { $(
        pub(super) const $name: Scorer = Scorer {
            of_generated: Some(|item| $score(&followed(item, Instructions::$followed))),
            ..Scorer::new(Metric::$metric)
        };
    )* };
}

scorers! {
    PROMPT_STRICT PromptStrictAcc strictly all,
    INST_STRICT InstStrictAcc strictly each,
    PROMPT_LOOSE PromptLooseAcc loosely all,
    INST_LOOSE InstLooseAcc loosely each,
}

fn followed(item: &GeneratedText, how: fn(&Instructions, &str) -> Vec<bool>) -> Vec<bool> {
    // the task's lines were read before anything was asked
    let known = item.targets.first().and_then(|target| Instructions::parse(target).ok());
    known.map(|known| how(&known, item.text)).unwrap_or_default()
}

fn all(followed: &[bool]) -> Score {
    Score::right(!followed.is_empty() && followed.iter().all(|followed| *followed))
}

/// So many instructions weigh as much as they are: the mean is the share of all instructions.
fn each(followed: &[bool]) -> Score {
    let share = followed.iter().filter(|followed| **followed).count() as f64 / followed.len().max(1) as f64;
    Score { value: share, weight: followed.len() as f64 }
}

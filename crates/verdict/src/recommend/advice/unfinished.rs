//! The words for a run that is not over: somebody stopped it, or it is going on still. What is there decides nothing yet,
//! so that neither "use this" nor "nothing fits" is said of it.

use super::Advice;
use super::words::{Evidence, Words, words};
use bantam_core::record::{Row, Run};

/// How many trials of a run have a result or the reason why there is none, where that is not all of them.
pub fn unfinished(run: &Run, rows: &[Row]) -> Option<(usize, usize)> {
    let over = run.trials.iter().filter(|trial| rows.iter().any(|row| row.trial.id == trial.id)).count();
    (over < run.trials.len()).then_some((over, run.trials.len()))
}

/// Puts the advice of a run into words; of an unfinished run they say that it is none yet.
pub fn told(run: &Run, rows: &[Row], advice: &Advice) -> Words {
    let whole = words(advice);
    let Some((over, all)) = unfinished(run, rows) else { return whole };
    let mut lines = vec![format!(
        "The run was stopped, or is not over: {over} of its {all} trials are measured. They are kept, and the same run goes on \
         from there."
    )];
    if whole.found {
        lines.push(format!("So far it would be: {}.", whole.title));
    }
    let kept = |evidence: &Evidence| evidence.title == "Doubts";
    let title = format!("No advice yet: stopped after {over} of {all} trials");
    Words { found: false, title, lines, evidence: whole.evidence.into_iter().filter(kept).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::advise;
    use crate::recommend::fixture::{Made, answers};
    use bantam_core::profile::Profile;
    use bantam_core::record::Id;
    use std::path::Path;

    #[test]
    fn a_run_that_was_stopped_advises_nothing_and_fails_nothing() {
        let text = "models = ['bundled:big']\nsuites = ['suite']\n[constraints]\nmax_memory = '50 MiB'\n";
        let profile = Profile::parse(text, Path::new("p.toml")).expect("a valid profile");
        let big = Made::base("big", 100).task("t", &answers(1000, 50, 0));
        let small = Made::quantized("big", 100, "Q4_0", 40).task("t", &answers(1000, 50, 0));
        let rows = [big.rows(), small.rows()].concat();
        let run = Run {
            id: Id("run".into()),
            profile_name: "p".into(),
            profile: String::new(),
            host: serde_json::Value::Null,
            version: "0".into(),
            started: 0.0,
            finished: None,
            trials: rows.iter().map(|row| row.trial.clone()).collect(),
            left_out: Vec::new(),
        };
        let advice = advise(&rows, &profile);
        assert_eq!((unfinished(&run, &rows), told(&run, &rows, &advice)), (None, words(&advice)));
        let some = &rows[..1];
        let advice = advise(some, &profile);
        assert!(words(&advice).title.starts_with("No variant meets"), "what it would say of all there is");
        let words = told(&run, some, &advice);
        assert!(!words.found);
        assert_eq!(words.title, "No advice yet: stopped after 1 of 2 trials");
        assert!(!words.lines.concat().contains("No variant meets"), "{words:?}");
    }
}

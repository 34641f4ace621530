//! Several candidates judged at once: each may be the one that is wrongly called good enough, so that p-values are raised by
//! how many there are.

use super::{Judgement, multiple};

/// One candidate among several: its judgements, one a task.
pub struct Candidate<'a> {
    /// Its judgements on the tasks that decide.
    pub judgements: Vec<&'a mut Judgement>,
    /// Whether it could be chosen at all: one that breaks a limit, costs more than the reference or was not judged on
    /// every task could not, so that nothing is claimed of it that an advice could be wrong about.
    pub in_question: bool,
    /// Whether it could be chosen and left a race before it was judged: it counts as one that fails, since its scores
    /// may be why it left.
    pub left: bool,
}

/// How far a test's own size may lie above what it promises (docs/statistics.md), with room for how it was found: p-values
/// of a family are raised by it, so that what is promised of the family holds.
pub const SIZE: f64 = 1.1;

/// Judges several candidates at once, so that the chance of even one false "not worse" among those in question stays
/// what one test promised.
///
/// A candidate has to pass all of its tasks, so its p-value is the largest of them, with nothing raised over tasks
/// (intersection-union: Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", 1982). These p-values are
/// raised over candidates by Holm's method and by what a single test may be too mild, and with each the tasks it comes from. Whoever is not in question is held
/// against the strictest line. "Better", "worse" and "differs" are raised over all comparisons, claim by claim; numbers
/// of items grow with what is asked. Intervals stay as they were, each for itself.
pub fn judge_family(candidates: &mut [Candidate]) {
    let factors = factors(candidates);
    for (candidate, factor) in candidates.iter_mut().zip(factors) {
        for judgement in &mut candidate.judgements {
            judgement.p.not_worse = (judgement.p.not_worse * factor as f64 * SIZE).min(1.0);
            judgement.to_settle = judgement.to_settle.among(factor, judgement.items, judgement.interval.level.alpha());
        }
    }
    let mut all: Vec<&mut Judgement> =
        candidates.iter_mut().flat_map(|c| c.judgements.iter_mut().map(|j| &mut **j)).collect();
    raise(&mut all, |j| &mut j.p.better);
    raise(&mut all, |j| &mut j.p.worse);
    raise(&mut all, |j| &mut j.p_differs);
    let tests = all.len();
    for judgement in all {
        let level = judgement.interval.level;
        judgement.verdict = judgement.p.verdict(level);
        judgement.to_tell_apart = judgement.to_tell_apart.among(tests, judgement.items, level.tail());
    }
}

/// By how much each candidate's p-values are raised: by the number still in question at its turn; from the first that
/// fails on nobody passes, and the number stays.
fn factors(candidates: &[Candidate]) -> Vec<usize> {
    let largest = |candidate: &Candidate| candidate.judgements.iter().map(|j| j.p.not_worse).fold(0.0, f64::max);
    let mut turn: Vec<usize> =
        (0..candidates.len()).filter(|&i| candidates[i].in_question && !candidates[i].judgements.is_empty()).collect();
    turn.sort_by(|&a, &b| largest(&candidates[a]).total_cmp(&largest(&candidates[b])));
    let mut factors = vec![candidates.len(); candidates.len()];
    let mut standing = turn.len() + candidates.iter().filter(|candidate| candidate.left).count();
    let mut failed = false;
    for i in turn {
        factors[i] = standing;
        let level = candidates[i].judgements[0].interval.level;
        failed = failed || largest(&candidates[i]) * standing as f64 * SIZE > level.alpha();
        standing -= usize::from(!failed);
    }
    factors
}

fn raise(judgements: &mut [&mut Judgement], p: impl Fn(&mut Judgement) -> &mut f64) {
    let raw: Vec<f64> = judgements.iter_mut().map(|j| *p(j)).collect();
    for (judgement, adjusted) in judgements.iter_mut().zip(multiple::holm(&raw)) {
        *p(judgement) = adjusted;
    }
}

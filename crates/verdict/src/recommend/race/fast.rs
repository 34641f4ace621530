//! What the fast race does otherwise: it asks first where a variant is likeliest to fail, gives up sooner, and ends a task
//! as soon as the items that came in show a variant good enough.
//!
//! Ending a task early is a claim, and it is made by whoever looked after every block. So it is made at half of the level,
//! by a test that holds however often one looks ([`betting`](bantam_core::stats::betting)); the test on all items, which
//! whoever did not end early is judged by, has the other half. Leaving claims nothing here, either.

use super::{Prospect, Race, SoFar, Step, Track, bets, raced_by, task_of};
use bantam_core::record::Trial;
use bantam_core::stats::futility::FEWEST;
use bantam_core::stats::noninferior::SIZE;

/// A variant leaves where its chance to pass is below this.
pub(super) const HOPELESS: f64 = 0.15;

/// Into how many blocks a task's items are cut.
pub(super) const BLOCKS: usize = 24;

/// A block has at least so many items: fewer predict nothing.
pub(super) const SMALLEST_BLOCK: usize = FEWEST;

/// The chance to pass a task that nothing is known of yet: what is less likely to be passed is asked on, what is likelier
/// waits until all tasks were tried. Below what a first block without a loss comes to, so that nobody stays there.
const UNKNOWN: f64 = 0.25;

impl Race {
    /// Ends a task of a variant that is shown good enough on it by the items that came in.
    pub(super) fn settled(&self, so_far: &SoFar, trial: &Trial, track: &dyn Track) -> Option<Step> {
        // a limit on scores is held against their intervals, which hold for a number of items that nobody chose by looking
        let constraints = &self.profile.constraints;
        if !constraints.score.is_empty() || !constraints.relative.is_empty() {
            return None;
        }
        let task = task_of(trial)?;
        let metric = raced_by(&so_far.advice, task)?;
        let (before, now) = (track.items(&self.reference_on(task)?.id), track.items(&trial.id));
        if now.is_empty() {
            return None;
        }
        let bets = bets(task, metric, self.profile.measure.seed, &before, &now)?;
        // half of the level is spent here, and all who could be advised count at the end
        let p = 2.0 * bets.p_above(-self.margin(task)) * so_far.rivals.max(1) as f64 * SIZE;
        (p <= 1.0 - self.profile.objective.confidence).then(|| {
            let reason = format!("{} of {} items of {} show it good enough", now.len(), task.items, task.task);
            Step::Settle { trial: trial.clone(), reason }
        })
    }

    /// The chance that a variant passes a task: by its items, or, where it has too few, by how many failed on it before.
    pub(super) fn chance_on(&self, so_far: &SoFar, trial: &Trial, track: &dyn Track) -> f64 {
        match self.prospect(so_far, trial, track) {
            Some(Prospect { asked, chance, .. }) if asked >= FEWEST => chance,
            _ => {
                let failed = task_of(trial).and_then(|task| self.failed_on.get(&task.digest)).copied();
                UNKNOWN / (1 + failed.unwrap_or(0)) as f64
            }
        }
    }
}

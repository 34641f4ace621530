//! The scheduler of a race: speeds first, in rounds of all, since they are cheap and tell who costs too much; then the
//! tasks as [`Race`] wants them.

use crate::run::plan::Plan;
use crate::run::schedule::{Ends, Outcomes, Rounds, Scheduler, Work};
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Id, ItemResult, Row, Trial};
use bantam_verdict::recommend::Known;
use bantam_verdict::recommend::race::{Race, Step, Track};

/// Speeds in rounds, then a race.
#[derive(Debug)]
pub struct Racing {
    run: Id,
    speeds: Vec<Trial>,
    rounds: Rounds,
    race: Race,
}

impl Racing {
    /// All trials of the plan.
    pub fn of(plan: &Plan, profile: &Profile) -> Racing {
        let is_speed = |trial: &&Trial| matches!(trial.ask, Ask::Speed(_));
        Racing {
            run: plan.run.id.clone(),
            speeds: plan.run.trials.iter().filter(is_speed).cloned().collect(),
            rounds: Rounds::default(),
            race: Race::new(&plan.run.trials, profile),
        }
    }
}

impl Scheduler for Racing {
    fn next(&mut self, known: &Outcomes) -> Option<Work> {
        self.speeds.retain(|trial| !known.is_over(&trial.id));
        let speeds: Vec<&Trial> = self.speeds.iter().collect();
        if let Some(turn) = self.rounds.next(&speeds) {
            return Some(turn);
        }
        let (trial, items, ends) = match self.race.next(&So { far: known, run: &self.run })? {
            Step::Ask { trial, items } => (trial, items, None),
            Step::Leave { trial, reason } => (trial, None, Some(Ends::Leaves(reason))),
            Step::Settle { trial, reason } => (trial, None, Some(Ends::Settled(reason))),
        };
        Some(Work { trial, items, round: None, ends })
    }
}

/// What a session has found so far. What the store cannot tell is taken as not known, and asked again.
struct So<'a, 'b> {
    far: &'b Outcomes<'a>,
    run: &'b Id,
}

impl Track for So<'_, '_> {
    fn rows(&self) -> Vec<Row> {
        let mut rows = self.far.store().light_rows(self.run).unwrap_or_default();
        rows.retain(|row| self.far.is_over(&row.trial.id));
        rows
    }

    fn is_over(&self, trial: &Id) -> bool {
        self.far.is_over(trial)
    }

    fn items(&self, trial: &Id) -> Vec<ItemResult> {
        self.far.items(trial).unwrap_or_default()
    }

    fn known(&self) -> &dyn Known {
        self.far.store()
    }
}

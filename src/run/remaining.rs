//! How long a run will still take. Tasks are guessed from the tasks before them; speeds, which come last and all together,
//! from the time that they were given.

use bantam_core::record::{Ask, Trial};
use bantam_core::unit::Seconds;

/// What a speed shape takes for each second of its budget: workers start again and again, and disturbed turns are repeated.
const BESIDE_BUDGET: f64 = 1.4;

/// What is left of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Remaining {
    /// Tasks without a result, the one at work by its part.
    pub tasks: f64,
    /// The time that speed shapes without a result may take.
    pub speeds: f64,
}

impl Remaining {
    /// Adds up the trials that are not over.
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Remaining {
        trials.into_iter().fold(Remaining::default(), |left, trial| match trial.ask {
            Ask::Task(_) => Remaining { tasks: left.tasks + 1.0, ..left },
            Ask::Speed(_) => Remaining { speeds: left.speeds + trial.conditions.budget.0 * BESIDE_BUDGET, ..left },
        })
    }

    /// The time left after `done` tasks took `took`, or, where none is left, `since` the last one; None before there is
    /// anything to guess from.
    pub fn time(self, done: usize, took: Seconds, since: Seconds) -> Option<Seconds> {
        match (self.tasks > 0.0, done) {
            (true, 0) => None,
            (true, done) => Some(Seconds(self.tasks * took.0 / done as f64 + self.speeds)),
            (false, _) if self.speeds > 0.0 => Some(Seconds((self.speeds - since.0).max(0.0))),
            (false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_known_beforehand_and_tasks_by_those_before_them() {
        let left = Remaining { tasks: 4.0, speeds: 30.0 };
        assert_eq!(left.time(0, Seconds(0.0), Seconds(0.0)), None);
        assert_eq!(left.time(2, Seconds(1.0), Seconds(0.0)), Some(Seconds(32.0)));
        let speeds = Remaining { tasks: 0.0, ..left };
        assert_eq!(speeds.time(6, Seconds(3.0), Seconds(20.0)), Some(Seconds(10.0)));
        assert_eq!(speeds.time(0, Seconds(0.0), Seconds(50.0)), Some(Seconds(0.0)), "longer than thought");
        assert_eq!(Remaining::default().time(6, Seconds(3.0), Seconds(0.0)), None);
    }
}

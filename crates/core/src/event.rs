//! Events: what a job says while it works. They flow out only; whoever listens cannot slow or steer the job.

use crate::record::{Failure, Id, ItemResult, Outcome, SpeedSample, Trial, Variant, Warning};
use crate::unit::{Bytes, Seconds, Watts};

/// Says of whom a process waits, and how to go on without.
pub fn waits(does: &str, holder: Option<u32>) -> String {
    let who = holder.map_or_else(|| "another bantam".to_owned(), |pid| format!("another bantam (process {pid})"));
    format!("waiting until {who} is done {does}; Ctrl-C stops waiting, and what is finished is kept")
}

/// What happened, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run is planned: all its trials, and which of them the store already had.
    Planned {
        /// The run's id.
        run: Id,
        /// All trials of the run, in the order of the plan.
        trials: Vec<Trial>,
        /// Those of them that the store already had.
        done: Vec<Id>,
    },
    /// A variant is being made; `fraction` of its bytes are written.
    Preparing {
        /// The variant.
        variant: Variant,
        /// Between 0 and 1.
        fraction: f64,
    },
    /// A variant is ready to be measured.
    Prepared {
        /// The variant's id.
        variant: Id,
        /// Size of its files.
        bytes: Bytes,
    },
    /// A variant could not be made; its trials fail.
    NotPrepared {
        /// The variant's id.
        variant: Id,
        /// Why it could not be made.
        failure: Failure,
    },
    /// Nothing goes on until another process has done something.
    Waits {
        /// What that one does, as in "making the same variant".
        does: String,
        /// Its number, where it has said it.
        holder: Option<u32>,
    },
    /// A trial begins.
    Started {
        /// The trial's id.
        trial: Id,
    },
    /// The worker has loaded the model.
    Loaded {
        /// The trial's id.
        trial: Id,
        /// How long loading took.
        seconds: Seconds,
    },
    /// One more item is finished; `of` is how many there are.
    Item {
        /// The trial's id.
        trial: Id,
        /// What the item gave.
        item: Box<ItemResult>,
        /// Items finished so far, earlier ones of an interrupted trial included.
        done: usize,
        /// All items of the trial.
        of: usize,
    },
    /// One more repeat of a speed shape is finished.
    Sample {
        /// The trial's id.
        trial: Id,
        /// What the repeat gave.
        sample: Box<SpeedSample>,
        /// Repeats finished so far, earlier ones of an interrupted trial included.
        done: usize,
    },
    /// The live picture, several times a second: for the screen only, never a result.
    Pulse {
        /// The trial's id.
        trial: Id,
        /// What the worker looks like.
        pulse: Pulse,
    },
    /// Something makes numbers doubtful.
    Warned {
        /// The trial it concerns; None for the whole run.
        trial: Option<Id>,
        /// What, and what to do.
        warning: Warning,
    },
    /// A trial has ended, with results or with the reason why there are none.
    Finished {
        /// The trial's id.
        trial: Id,
        /// What it gave.
        outcome: Box<Outcome>,
    },
    /// The run is over; `cancelled` where somebody asked for it.
    Ended {
        /// The run's id.
        run: Id,
        /// Whether it was cancelled before its end.
        cancelled: bool,
    },
}

/// What the worker looks like right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pulse {
    /// Tokens computed a second, lately; None where it is not known.
    pub tokens_per_second: Option<f64>,
    /// The worker's resident memory; None where it cannot be read.
    pub resident: Option<Bytes>,
    /// Power that the meters show; None without a meter.
    pub power: Option<Watts>,
}

/// Listens to a job. Implement the moments you care about.
pub trait Observer {
    /// Takes in an event; does nothing unless it is implemented.
    fn on(&mut self, _event: &Event) {}
}

/// Closures listen, too.
impl<F: FnMut(&Event)> Observer for F {
    fn on(&mut self, event: &Event) {
        self(event);
    }
}

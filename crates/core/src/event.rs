//! Events: what a job says while it works. They flow out only; whoever listens cannot slow or steer the job.

use crate::record::{Failure, Id, ItemResult, Outcome, SpeedSample, Trial, Variant, Warning};
use crate::unit::{Bytes, Seconds, Watts};

/// What happened, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run is planned: all its trials, and which of them the store already had.
    Planned {
        run: Id,
        trials: Vec<Trial>,
        done: Vec<Id>,
    },
    /// A variant is being made; `fraction` of its bytes are written.
    Preparing {
        variant: Variant,
        fraction: f64,
    },
    Prepared {
        variant: Id,
        bytes: Bytes,
    },
    NotPrepared {
        variant: Id,
        failure: Failure,
    },
    Started {
        trial: Id,
    },
    /// The worker has loaded the model.
    Loaded {
        trial: Id,
        seconds: Seconds,
    },
    /// One more item is finished; `of` is how many there are.
    Item {
        trial: Id,
        item: Box<ItemResult>,
        done: usize,
        of: usize,
    },
    /// One more repeat of a speed shape is finished.
    Sample {
        trial: Id,
        sample: Box<SpeedSample>,
        done: usize,
    },
    /// The live picture, several times a second: for the screen only, never a result.
    Pulse {
        trial: Id,
        pulse: Pulse,
    },
    Warned {
        trial: Option<Id>,
        warning: Warning,
    },
    Finished {
        trial: Id,
        outcome: Box<Outcome>,
    },
    /// The run is over; `cancelled` where somebody asked for it.
    Ended {
        run: Id,
        cancelled: bool,
    },
}

/// What the worker looks like right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pulse {
    pub tokens_per_second: Option<f64>,
    pub resident: Option<Bytes>,
    pub power: Option<Watts>,
}

/// Listens to a job. Implement the moments you care about.
pub trait Observer {
    fn on(&mut self, _event: &Event) {}
}

/// Closures listen, too.
impl<F: FnMut(&Event)> Observer for F {
    fn on(&mut self, event: &Event) {
        self(event);
    }
}

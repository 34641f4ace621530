//! Time, so that tests need not wait.

use std::time::{Duration, Instant};

/// A clock that can be waited on.
pub trait Time: Send + Sync {
    /// Time since some moment.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct Machine(Instant);

impl Default for Machine {
    fn default() -> Machine {
        Machine(Instant::now())
    }
}

impl Time for Machine {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A clock that goes on only where somebody waits, and remembers for how long.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Made(std::sync::Mutex<Duration>);

#[cfg(test)]
impl Time for Made {
    fn now(&self) -> Duration {
        *bantam_core::sync::lock(&self.0)
    }

    fn sleep(&self, time: Duration) {
        *bantam_core::sync::lock(&self.0) += time;
    }
}

//! The clock that meters and samplers read; a test sets it by hand.
//!
//! It is monotonic and counts from an arbitrary start; it is no calendar.

use std::time::{Duration, Instant};

/// A clock: time since some fixed start. Only differences mean something.
pub trait Clock: Send + Sync {
    /// Gives the time since the clock's start; it never goes back.
    fn now(&self) -> Duration;
}

/// The real clock, counting from its making.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// Starts a clock at zero.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that moves only when it is told to.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Hand(std::sync::Mutex<Duration>);

#[cfg(test)]
impl Hand {
    pub(crate) fn turn(&self, by: Duration) {
        *self.0.lock().expect("no test panics while it holds the hand") += by;
    }
}

#[cfg(test)]
impl Clock for Hand {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no test panics while it holds the hand")
    }
}

//! The pace at which requests are begun: what the profile allows in a minute, and the rests that the server asks for, which
//! hold all threads.

use crate::Error;
use crate::time::Time;
use bantam_core::cancel::Cancel;
use bantam_core::sync::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often somebody who waits looks whether the job is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Lets requests through one after the other.
pub(crate) struct Gate {
    time: Arc<dyn Time>,
    cancel: Cancel,
    /// Between the beginnings of two requests, at least.
    apart: Duration,
    /// When the next one may begin.
    next: Mutex<Duration>,
}

impl Gate {
    pub(crate) fn new(time: Arc<dyn Time>, cancel: &Cancel, per_minute: Option<f64>) -> Gate {
        let apart =
            per_minute.map_or(Duration::ZERO, |n| Duration::try_from_secs_f64(60.0 / n).unwrap_or(Duration::MAX));
        Gate { time, cancel: cancel.clone(), apart, next: Mutex::default() }
    }

    /// Waits until a request may begin.
    pub(crate) fn pass(&self) -> Result<(), Error> {
        loop {
            let now = self.time.now();
            let wait = {
                let mut next = lock(&self.next);
                let wait = next.saturating_sub(now);
                if wait.is_zero() && !self.cancel.is_cancelled() {
                    *next = now.saturating_add(self.apart);
                    return Ok(());
                }
                wait
            };
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.time.sleep(wait.min(LOOK));
        }
    }

    /// Lets nobody through for so long.
    pub(crate) fn rest(&self, time: Duration) {
        let mut next = lock(&self.next);
        *next = (*next).max(self.time.now().saturating_add(time));
    }

    /// Waits alone, while others may pass.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Error> {
        let until = self.time.now().saturating_add(time);
        loop {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let left = until.saturating_sub(self.time.now());
            if left.is_zero() {
                return Ok(());
            }
            self.time.sleep(left.min(LOOK));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Made;

    #[test]
    fn requests_are_as_far_apart_as_the_profile_and_the_server_want() {
        let (time, cancel) = (Arc::new(Made::default()), Cancel::new());
        let gate = Gate::new(time.clone(), &cancel, Some(120.0));
        (0..3).for_each(|_| gate.pass().expect("passes"));
        assert_eq!(time.now(), Duration::from_secs(1));
        gate.rest(Duration::from_secs(7));
        gate.pass().expect("passes");
        assert_eq!(time.now(), Duration::from_secs(8));
        cancel.cancel();
        assert_eq!(gate.pass(), Err(Error::Cancelled));
        assert_eq!(gate.wait(Duration::from_secs(1)), Err(Error::Cancelled));
    }
}

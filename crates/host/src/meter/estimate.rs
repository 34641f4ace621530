//! A guess at the processor's energy where no meter exists: CPU seconds times the TDP's share of one logical CPU.
//!
//! It is no measurement and is labelled so wherever it shows: real power at full load is often a third above or below
//! the TDP, and memory, fans and idle power are not in it. Because it counts only this program's CPU seconds, no idle
//! baseline is subtracted.

use std::io;
use std::time::Duration;

use super::{Domain, Fault, Identity, Meter, Method};
use bantam_core::unit::{Joules, Watts};

/// A function that tells the CPU time that the measured program has used so far.
pub type CpuTime = Box<dyn FnMut() -> io::Result<Duration> + Send>;

/// A meter that turns CPU time into joules.
pub struct EstimatedMeter {
    identity: Identity,
    watts_per_cpu: f64,
    cpu_time: CpuTime,
    first: Option<Duration>,
}

impl EstimatedMeter {
    /// Makes an estimate from a TDP; `cpus` are all logical CPUs of the processor that it is for, not those that bantam
    /// may use.
    pub fn new(tdp: Watts, cpus: usize, cpu_time: CpuTime) -> Self {
        let identity = Identity {
            name: format!("estimate from a TDP of {tdp}"),
            domain: Domain::Processor,
            method: Method::Estimate,
            source: format!("CPU seconds / {cpus} CPUs x {tdp}"),
        };
        Self { identity, watts_per_cpu: tdp.0 / cpus.max(1) as f64, cpu_time, first: None }
    }
}

impl Meter for EstimatedMeter {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn read(&mut self, _now: Duration) -> Result<Joules, Fault> {
        let used = (self.cpu_time)()
            .map_err(|e| Fault::Library { what: "reading the CPU time".into(), problem: e.to_string() })?;
        let first = *self.first.get_or_insert(used);
        Ok(Joules(used.saturating_sub(first).as_secs_f64() * self.watts_per_cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_busy_for_a_second_draw_the_tdp() {
        let mut used = [10, 18, 18].map(Duration::from_secs).into_iter();
        let mut meter =
            EstimatedMeter::new(Watts(65.0), 8, Box::new(move || used.next().ok_or_else(|| io::Error::other("gone"))));
        assert_eq!(meter.identity().method, Method::Estimate);
        assert_eq!(meter.read(Duration::ZERO), Ok(Joules(0.0)));
        assert_eq!(meter.read(Duration::from_secs(1)), Ok(Joules(65.0)));
        assert_eq!(meter.read(Duration::from_secs(2)), Ok(Joules(65.0)));
        assert!(matches!(meter.read(Duration::from_secs(3)), Err(Fault::Library { .. })));
    }
}

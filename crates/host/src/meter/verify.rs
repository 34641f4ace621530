//! The proof of a meter: it must be seen moving, plausibly, under load before it is believed.
//!
//! Counters that exist and stand still are common on virtual machines; others jump or tell megawatts.

use std::time::{Duration, Instant};

use super::{Clock, Domain, Fault, Meter};
use bantam_core::unit::{Joules, Watts};

/// What a believed meter showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verification {
    /// Joules it counted.
    pub joules: Joules,
    /// For how long.
    pub span: Duration,
    /// The mean power.
    pub watts: Watts,
}

/// Reads the meter while `busy` loads the machine again and again, for as long as the meter's kind needs to move.
///
/// # Errors
/// [`Fault::Stuck`], [`Fault::Implausible`], or what its readings gave.
pub fn verify(meter: &mut dyn Meter, clock: &dyn Clock, busy: &mut dyn FnMut()) -> Result<Verification, Fault> {
    let start = clock.now();
    let first = meter.read(start)?;
    let domain = meter.identity().domain;
    let mut verification = watch(meter, clock, busy, start, first)?;
    while verification.span < patience(domain) && (verification.joules.0 == 0.0 || verification.span < at_least(domain))
    {
        verification = watch(meter, clock, busy, start, first)?;
    }
    judge(meter, verification)
}

fn watch(
    meter: &mut dyn Meter,
    clock: &dyn Clock,
    busy: &mut dyn FnMut(),
    start: Duration,
    first: Joules,
) -> Result<Verification, Fault> {
    busy();
    let now = clock.now();
    let joules = Joules(meter.read(now)?.0 - first.0);
    let span = now.saturating_sub(start);
    Ok(Verification { joules, span, watts: Watts(joules.0 / span.as_secs_f64()) })
}

fn judge(meter: &dyn Meter, verification: Verification) -> Result<Verification, Fault> {
    let domain = meter.identity().domain;
    let name = || meter.identity().name.clone();
    if verification.joules.0 == 0.0 {
        return Err(Fault::Stuck { meter: name(), span: verification.span });
    }
    let (least, most) = (domain.least(), domain.most());
    // written so that a NaN is refused too
    if verification.watts.0 >= least.0 && verification.watts.0 <= most.0 {
        Ok(verification)
    } else {
        Err(Fault::Implausible { meter: name(), domain, watts: verification.watts, least, most })
    }
}

/// Shorter than this, one step of the counter could pass for too much power.
fn at_least(domain: Domain) -> Duration {
    match domain {
        Domain::Battery(_) => Duration::from_secs(20),
        _ => Duration::from_millis(250),
    }
}

/// After this, a counter that has not moved will not.
fn patience(domain: Domain) -> Duration {
    match domain {
        Domain::Battery(_) => Duration::from_secs(60),
        Domain::Gpu(_) => Duration::from_secs(2),
        _ => Duration::from_secs(1),
    }
}

/// Keeps every CPU busy for a while: the load for [`verify`] on a real machine.
pub fn spin(cpus: usize, span: Duration) {
    let end = Instant::now() + span;
    std::thread::scope(|scope| {
        for seed in 0..cpus as u64 {
            scope.spawn(move || {
                let mut x = seed;
                while Instant::now() < end {
                    for _ in 0..10_000 {
                        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                    }
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Identity, Method, clock::Hand};

    /// Draws a steady power, if any.
    struct Steady {
        identity: Identity,
        watts: f64,
    }

    impl Steady {
        fn new(domain: Domain, watts: f64) -> Self {
            let identity = Identity { name: "m".into(), domain, method: Method::Counter, source: "test".into() };
            Self { identity, watts }
        }
    }

    impl Meter for Steady {
        fn identity(&self) -> &Identity {
            &self.identity
        }

        fn read(&mut self, now: Duration) -> Result<Joules, Fault> {
            Ok(Joules(self.watts * now.as_secs_f64()))
        }
    }

    fn verified(domain: Domain, watts: f64) -> Result<Verification, Fault> {
        let clock = Hand::default();
        verify(&mut Steady::new(domain, watts), &clock, &mut || clock.turn(Duration::from_millis(100)))
    }

    #[test]
    fn believes_a_counter_that_moves_plausibly() {
        let verification = verified(Domain::Package(0), 60.0).unwrap();
        assert!((verification.watts.0 - 60.0).abs() < 1e-9);
        assert!(verification.span >= Duration::from_millis(250), "one step is not enough");
    }

    #[test]
    fn refuses_a_counter_that_stands_still() {
        let fault = verified(Domain::Package(0), 0.0).unwrap_err();
        assert!(matches!(fault, Fault::Stuck { .. }));
        assert!(fault.to_string().contains("did not move in 1.0s of full load"), "{fault}");
    }

    #[test]
    fn refuses_powers_that_no_processor_draws() {
        for watts in [-5.0, 0.01, 1e6, f64::NAN] {
            assert!(matches!(verified(Domain::Package(0), watts), Err(Fault::Implausible { .. })), "{watts} W");
        }
        assert!(verified(Domain::Dram(0), 0.01).is_ok(), "idle memory draws little");
    }

    #[test]
    fn waits_for_a_slow_gauge() {
        assert!(verified(Domain::Battery(0), 8.0).unwrap().span >= Duration::from_secs(20));
    }
}

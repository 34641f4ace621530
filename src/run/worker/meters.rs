//! What is read beside the work: energy around each phase, the machine's strain from begin to end, and the live
//! picture.

use super::Replies;
use crate::run::protocol::Reply;
use bantam_core::event::Pulse;
use bantam_core::record::{Conditions, PhaseEnergy, Reading, SpeedSample, Warning};
use bantam_core::unit::Watts;
use bantam_host::card::{Card, Counters, Roots, memory};
use bantam_host::meter::energy::{Baseline, Span};
use bantam_host::meter::estimate::EstimatedMeter;
use bantam_host::meter::sampler::{Ledger, Mark, Sampler, TICK};
use bantam_host::meter::{self, Device, Monotonic, Places};
use bantam_host::speed::Phases;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the live picture is told.
const PULSE: Duration = Duration::from_millis(200);
/// Load for the meters to prove themselves under, at a time.
const BUSY: Duration = Duration::from_millis(50);

/// The kernel counts in hundredths of a second, so of less than this its shares mean nothing.
const TELLING: Duration = Duration::from_millis(500);

/// The kernel's counters since the timing began; a score does not mind what a timing does.
pub(super) struct ActivityWatch {
    counters: Counters,
    since: Instant,
}

impl ActivityWatch {
    pub(super) fn begin() -> ActivityWatch {
        ActivityWatch { counters: Counters::read(&Roots::default(), &own()), since: Instant::now() }
    }

    /// What makes the numbers in between doubtful.
    pub(super) fn end(self) -> Vec<Warning> {
        if self.since.elapsed() < TELLING {
            return Vec::new();
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Counters::read(&Roots::default(), &own()).since(&self.counters).warnings(cpus)
    }
}

/// This process and the session, which stores and shows meanwhile: neither is foreign.
fn own() -> Vec<u32> {
    vec![std::process::id(), std::os::unix::process::parent_id()]
}

/// The meters of a speed trial, or the reason why there is none.
pub(super) struct Energy {
    meters: Result<Metered, String>,
}

struct Metered {
    sampler: Arc<Sampler>,
    idle_before: Span,
    baseline: Result<Baseline, String>,
    first: Mark,
    last: Mark,
}

impl Energy {
    /// Finds the meters, has them prove themselves and watches the idle machine.
    pub(super) fn begin(conditions: &Conditions) -> Energy {
        Energy { meters: find(conditions).map(|sampler| Metered::new(sampler, conditions)) }
    }

    pub(super) fn sampler(&self) -> Option<Arc<Sampler>> {
        self.meters.as_ref().ok().map(|m| m.sampler.clone())
    }

    /// Joules above idle from the first repeat to the last, and what makes them doubtful.
    pub(super) fn end(self, conditions: &Conditions) -> (Reading, Vec<Warning>) {
        let metered = match self.meters {
            Ok(metered) => metered,
            Err(reason) => return (Reading::Missing { reason }, Vec::new()),
        };
        let idle_after = idle(&metered.sampler, conditions);
        let work = metered.sampler.between(&metered.first, &metered.last);
        match Baseline::around(&metered.idle_before, Some(&idle_after)) {
            Ok(baseline) => (work.reading(&baseline), baseline.drift().into_iter().chain(work.too_short()).collect()),
            Err(reason) => (Reading::Missing { reason }, Vec::new()),
        }
    }
}

impl Metered {
    fn new(sampler: Sampler, conditions: &Conditions) -> Metered {
        let idle_before = idle(&sampler, conditions);
        let mark = sampler.mark();
        Metered {
            baseline: Baseline::around(&idle_before, None),
            sampler: Arc::new(sampler),
            idle_before,
            first: mark.clone(),
            last: mark,
        }
    }

    /// Energy of a phase above the idle machine before it; the drift until after is told at the end.
    fn net(&self, from: &Mark, to: &Mark) -> Option<f64> {
        let baseline = self.baseline.as_ref().ok()?;
        self.sampler.between(from, to).net(baseline).ok().map(|joules| joules.0)
    }
}

fn find(conditions: &Conditions) -> Result<Sampler, String> {
    let clock = Monotonic::new();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let verified = meter::find(&Places::default()).verify(&clock, &mut || meter::spin(cpus, BUSY));
    let found = verified.choose(Device::Cpu, conditions.tdp_watts.and_then(estimate));
    if found.meters.is_empty() {
        return Err(format!("{}; give measure.tdp_watts for an estimate", found.why_none()));
    }
    Sampler::start(Ledger::new(found.meters, Arc::new(clock)), TICK)
        .map_err(|e| format!("the meters cannot be read in the background: {e}"))
}

/// A guess from CPU seconds, where the processor's TDP is given and its CPUs can be counted.
fn estimate(tdp: f64) -> Option<EstimatedMeter> {
    let cpus = Card::here().cpu.logical.known().copied()?;
    Some(EstimatedMeter::new(Watts(tdp), cpus, Box::new(cpu_time)))
}

/// CPU time of all threads of this process, to the nanosecond: /proc tells hundredths of a second, which are too coarse
/// for a phase.
fn cpu_time() -> std::io::Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

/// Watches the meters while this process does nothing.
fn idle(sampler: &Sampler, conditions: &Conditions) -> Span {
    let start = sampler.mark();
    let estimated = sampler.identities().iter().all(|m| m.method == meter::Method::Estimate);
    if !estimated {
        std::thread::sleep(Duration::try_from_secs_f64(conditions.idle.0).unwrap_or_default());
    }
    sampler.between(&start, &sampler.mark())
}

impl Phases for Energy {
    type Mark = Option<Mark>;

    fn mark(&mut self) -> Option<Mark> {
        self.meters.as_ref().ok().map(|m| m.sampler.mark())
    }

    fn spent(&mut self, marks: [Option<Mark>; 3], sample: &mut SpeedSample) {
        let (Ok(metered), [Some(start), Some(prefilled), Some(end)]) = (&mut self.meters, marks) else { return };
        let joules = metered.net(&start, &prefilled).zip(metered.net(&prefilled, &end));
        sample.energy = joules.map(|(prefill_joules, decode_joules)| PhaseEnergy {
            prefill_joules,
            decode_joules,
            provenance: metered.sampler.between(&start, &end).provenance(),
        });
        metered.last = end;
    }
}

/// Tells the live picture several times a second, from a thread of its own, until dropped.
pub(super) struct Pulses {
    tokens: Arc<AtomicU64>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulses {
    pub(super) fn start(replies: &Replies, sampler: Option<Arc<Sampler>>) -> Pulses {
        let tokens = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel::<()>();
        let (replies, counted) = (replies.clone(), tokens.clone());
        let tell = move || {
            let (mut before, mut since) = (0, Instant::now());
            while stopped.recv_timeout(PULSE) == Err(RecvTimeoutError::Timeout) {
                let now = counted.load(Ordering::Relaxed);
                let rate = (now - before) as f64 / since.elapsed().as_secs_f64();
                (before, since) = (now, Instant::now());
                replies.say(&Reply::Pulse(Pulse {
                    tokens_per_second: Some(rate),
                    resident: memory::resident(&Roots::default(), std::process::id()),
                    power: sampler.as_ref().and_then(|s| s.power()),
                }));
            }
        };
        Pulses { tokens, stop: Some(stop), thread: Some(std::thread::spawn(tell)) }
    }

    /// So many more tokens were computed.
    pub(super) fn count(&self, tokens: usize) {
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }
}

impl Drop for Pulses {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // a thread that panicked has said so already
            let _ = thread.join();
        }
    }
}

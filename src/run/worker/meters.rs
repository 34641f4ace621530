//! What is read beside the work: energy around each phase of a turn, the machine's strain meanwhile, and the live
//! picture.

use super::Replies;
use crate::run::protocol::Reply;
use bantam_core::event::Pulse;
use bantam_core::record::{Conditions, PhaseEnergy, Provenance, Reading, Spent, Warning, WarningKind};
use bantam_core::unit::Watts;
use bantam_host::card::{Card, Counters, Roots, memory};
use bantam_host::meter::energy::{Baseline, Span};
use bantam_host::meter::estimate::EstimatedMeter;
use bantam_host::meter::sampler::{Ledger, Mark, Sampler, TICK};
use bantam_host::meter::{self, Device, Monotonic, Places};
use bantam_host::speed::{self, Phases, Repeat};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the live picture is told.
const PULSE: Duration = Duration::from_millis(200);
/// Load for the meters to prove themselves under, at a time.
const BUSY: Duration = Duration::from_millis(50);

/// The kernel's counters since a turn began; a score does not mind what a timing does.
pub(super) struct ActivityWatch {
    counters: Counters,
    since: Instant,
    own: Vec<u32>,
}

impl ActivityWatch {
    pub(super) fn begin() -> ActivityWatch {
        ActivityWatch::of(own())
    }

    /// The same where another process of this number does the work.
    pub(super) fn beside(process: u32) -> ActivityWatch {
        ActivityWatch::of(own().into_iter().chain([process]).collect())
    }

    fn of(own: Vec<u32>) -> ActivityWatch {
        ActivityWatch { counters: Counters::read(&Roots::default(), &own), since: Instant::now(), own }
    }

    /// What disturbed the turn, so that it is made again; and what else makes its numbers doubtful.
    pub(super) fn end(self) -> (Option<String>, Vec<Warning>) {
        let length = self.since.elapsed();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let activity = Counters::read(&Roots::default(), &self.own).since(&self.counters);
        let mut warnings = activity.warnings(cpus);
        // these two are the disturbance itself
        warnings.retain(|warning| !matches!(warning.kind, WarningKind::ForeignLoad | WarningKind::Steal));
        (activity.disturbance(cpus, length), warnings)
    }
}

/// This process and the session, which stores and shows meanwhile: neither is foreign.
fn own() -> Vec<u32> {
    vec![std::process::id(), std::os::unix::process::parent_id()]
}

/// The meters of a speed trial, or the reason why there is none. They prove themselves once in a process.
pub(super) struct Energy {
    meters: Result<Metered, String>,
}

struct Metered {
    sampler: Arc<Sampler>,
    idle_before: Span,
    /// What the meters showed around the phases of each repeat of the turn.
    marks: Vec<[Mark; 3]>,
}

impl Energy {
    /// Finds the meters and has them prove themselves.
    pub(super) fn find(conditions: &Conditions) -> Energy {
        let metered = |sampler: Sampler| {
            let mark = sampler.mark();
            let idle_before = sampler.between(&mark, &mark);
            Metered { sampler: Arc::new(sampler), idle_before, marks: Vec::new() }
        };
        Energy { meters: find(conditions).map(metered) }
    }

    /// Watches the idle machine before a turn.
    pub(super) fn begin_turn(&mut self, conditions: &Conditions) {
        if let Ok(metered) = &mut self.meters {
            metered.idle_before = idle(&metered.sampler, conditions);
            metered.marks.clear();
        }
    }

    pub(super) fn sampler(&self) -> Option<Arc<Sampler>> {
        self.meters.as_ref().ok().map(|m| m.sampler.clone())
    }

    /// Watches the idle machine after a turn, writes into its repeats what they drew above idle, and gives the joules of
    /// all with what makes them doubtful.
    pub(super) fn end_turn(&mut self, conditions: &Conditions, repeats: &mut [Repeat]) -> (Reading, Vec<Warning>) {
        match &self.meters {
            Ok(metered) => metered.end_turn(conditions, repeats),
            Err(reason) => (Reading::missing(reason.clone()), Vec::new()),
        }
    }
}

impl Metered {
    fn end_turn(&self, conditions: &Conditions, repeats: &mut [Repeat]) -> (Reading, Vec<Warning>) {
        let idle_after = idle(&self.sampler, conditions);
        let (Some([first, ..]), Some([.., last])) = (self.marks.first(), self.marks.last()) else {
            return (Reading::missing("no repeat was finished"), Vec::new());
        };
        let work = self.sampler.between(first, last);
        let baseline = match Baseline::around(&self.idle_before, Some(&idle_after)) {
            Ok(baseline) => baseline,
            Err(reason) => return (Reading::Missing { reason }, Vec::new()),
        };
        let warnings = baseline.drift().into_iter().chain(work.too_short()).collect();
        if let Some(reason) = work.lost_in_drift(&baseline) {
            return (Reading::Missing { reason }, warnings);
        }
        for (repeat, marks) in repeats.iter_mut().zip(&self.marks) {
            repeat.sample.energy = self.phases(marks, &baseline);
        }
        // a turn may draw less than idle by chance; the whole of them is judged where they are added up
        (work.counted(&baseline), warnings)
    }

    /// Energy above idle of one repeat's phases.
    fn phases(&self, [start, prefilled, end]: &[Mark; 3], baseline: &Baseline) -> Option<PhaseEnergy> {
        let net = |from: &Mark, to: &Mark| Some(self.sampler.between(from, to).net(baseline).ok()?.0);
        Some(PhaseEnergy {
            prefill_joules: net(start, prefilled)?,
            decode_joules: net(prefilled, end)?,
            provenance: self.sampler.between(start, end).provenance(),
        })
    }
}

/// What a task spends, read between its batches.
pub(super) struct TaskMeter {
    started: Instant,
    /// Batches that are answered at the same time: each takes its part of the machine.
    lanes: f64,
    meters: Result<TaskEnergy, String>,
}

struct TaskEnergy {
    sampler: Arc<Sampler>,
    idle_before: Span,
    baseline: Baseline,
    start: Mark,
}

impl TaskMeter {
    /// Watches the idle machine, and begins to count.
    pub(super) fn begin(energy: &Energy, conditions: &Conditions, lanes: usize) -> TaskMeter {
        let meters = energy.meters.as_ref().map_err(Clone::clone).and_then(|metered| {
            let sampler = metered.sampler.clone();
            let idle_before = idle(&sampler, conditions);
            let baseline = Baseline::around(&idle_before, None)?;
            Ok(TaskEnergy { start: sampler.mark(), sampler, idle_before, baseline })
        });
        TaskMeter { started: Instant::now(), lanes: lanes.max(1) as f64, meters }
    }

    /// What was spent by now, of one of the lanes.
    pub(super) fn spent(&self) -> Spent {
        let span = self.meters.as_ref().ok().map(|m| (m.sampler.between(&m.start, &m.sampler.mark()), m.baseline));
        Spent {
            seconds: self.started.elapsed().as_secs_f64() / self.lanes,
            joules: span.as_ref().and_then(|(span, baseline)| Some(span.net(baseline).ok()?.0 / self.lanes)),
            estimated: span.is_some_and(|(span, _)| span.provenance() == Provenance::Estimated),
            billed: None,
            cents: None,
        }
    }

    /// The joules of the whole task above idle, with what makes them doubtful.
    pub(super) fn end(self, conditions: &Conditions) -> (Reading, Vec<Warning>) {
        let TaskEnergy { sampler, idle_before, start, .. } = match self.meters {
            Ok(meters) => meters,
            Err(reason) => return (Reading::missing(reason), Vec::new()),
        };
        let work = sampler.between(&start, &sampler.mark());
        let idle_after = idle(&sampler, conditions);
        let baseline = match Baseline::around(&idle_before, Some(&idle_after)) {
            Ok(baseline) => baseline,
            Err(reason) => return (Reading::Missing { reason }, Vec::new()),
        };
        let reading = match work.lost_in_drift(&baseline) {
            Some(reason) => Reading::Missing { reason },
            None => work.reading(&baseline),
        };
        (reading, baseline.drift().into_iter().chain(work.too_short()).collect())
    }
}

fn find(conditions: &Conditions) -> Result<Sampler, String> {
    let clock = Monotonic::new();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let work = meter::USUAL_WORK.max(speed::slice(conditions));
    let verified = meter::find(&Places::default()).prove_for(work, &clock, &mut || meter::spin(cpus, BUSY));
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

/// Watches the meters while this process does nothing: before and after a turn the share of `idle` that all turns
/// together take as long as it says.
fn idle(sampler: &Sampler, conditions: &Conditions) -> Span {
    let start = sampler.mark();
    let estimated = sampler.identities().iter().all(|m| m.method == meter::Method::Estimate);
    if !estimated {
        let share = conditions.idle.0 / speed::ROUNDS as f64;
        std::thread::sleep(Duration::try_from_secs_f64(share).unwrap_or_default());
    }
    sampler.between(&start, &sampler.mark())
}

impl Phases for Energy {
    type Mark = Option<Mark>;

    fn mark(&mut self) -> Option<Mark> {
        self.meters.as_ref().ok().map(|m| m.sampler.mark())
    }

    fn spent(&mut self, marks: [Option<Mark>; 3]) {
        if let (Ok(metered), [Some(start), Some(prefilled), Some(end)]) = (&mut self.meters, marks) {
            metered.marks.push([start, prefilled, end]);
        }
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

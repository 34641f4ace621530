//! The runner that measures: every trial in a worker process of its own, which may crash, hang or run out of memory
//! without taking the session along.
//!
//! The worker is this same binary (`bantam worker`). Its stdin stays open while the work is wanted, its stdout carries
//! the protocol, its stderr goes to a log that is kept.

use crate::library::home::Home;
use crate::library::models;
use crate::run::protocol::{self, Measure, Prepared, Reply, Request, Summary};
use crate::run::runner::Runner;
use crate::run::session::now;
use bantam_core::cancel::Cancel;
use bantam_core::event::Event;
use bantam_core::record::{Ask, Failure, Id, ItemResult, Outcome, SpeedSample, Variant};
use bantam_core::unit::{Bytes, Seconds};
use bantam_host::sandbox::{Child, Settings};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often cancel and timeout are looked at while the worker is silent.
const LOOK: Duration = Duration::from_millis(50);
/// A worker that gets nothing done for so long hangs, where the profile sets no timeout. Its largest step is one pass
/// over one prompt.
const STILL: Duration = Duration::from_secs(600);
/// How long a worker that has said its last word may take to leave.
const GOODBYE: Duration = Duration::from_secs(5);

/// Spawns workers.
#[derive(Debug)]
pub struct Process {
    program: PathBuf,
    home: Home,
}

impl Process {
    /// Workers are this program.
    pub fn new(home: &Home) -> std::io::Result<Process> {
        Ok(Process::of(std::env::current_exe()?, home))
    }

    /// Workers are another build of this program.
    pub fn of(program: impl Into<PathBuf>, home: &Home) -> Process {
        Process { program: program.into(), home: home.clone() }
    }

    /// Has a worker do the request. What it says on the way goes to `hear`; its last word comes back.
    fn converse(
        &self,
        request: &Request,
        limits: &Limits<'_>,
        of: &Id,
        hear: &mut dyn FnMut(Reply),
    ) -> Result<Reply, Failure> {
        let mut worker = Worker::spawn(&self.program, self.home.log(of), limits)?;
        let replies = worker.ask(request);
        let started = Instant::now();
        let mut moved = Instant::now();
        loop {
            match replies.recv_timeout(LOOK) {
                Ok(Ok(Reply::Failed(failure))) => {
                    worker.leave();
                    return Err(failure);
                }
                Ok(Ok(last @ (Reply::Prepared(_) | Reply::Done(_)))) => {
                    worker.leave();
                    return Ok(last);
                }
                Ok(Ok(reply)) => {
                    if is_progress(&reply) {
                        moved = Instant::now();
                    }
                    hear(reply);
                }
                Ok(Err(e)) => return Err(worker.babbled(&e)),
                Err(RecvTimeoutError::Disconnected) => return Err(worker.gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if limits.cancel.is_cancelled() {
                worker.leave();
                return Err(Failure::Cancelled);
            }
            let clocks = [limits.time.map(|limit| (started, limit)), Some((moved, STILL))];
            if let Some((_, limit)) = clocks.into_iter().flatten().find(|(since, limit)| since.elapsed() > *limit) {
                return Err(Failure::Timeout { seconds: limit.as_secs_f64() });
            }
        }
    }
}

/// A pulse comes from a thread of its own, which beats on where the work hangs.
fn is_progress(reply: &Reply) -> bool {
    !matches!(reply, Reply::Pulse(pulse) if pulse.tokens_per_second.is_none_or(|rate| rate == 0.0))
}

/// What a worker may take.
struct Limits<'a> {
    time: Option<Duration>,
    memory: Option<Bytes>,
    threads: Option<usize>,
    cancel: &'a Cancel,
}

impl Runner for Process {
    fn prepare(&mut self, variant: &Variant, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Result<Prepared, Failure> {
        if variant.is_base() {
            let place = variant.model.place.clone();
            let bytes = models::bytes(&place).map_err(|e| error(format!("{e:#}")))?;
            return Ok(Prepared { place, bytes });
        }
        let request = Request::Prepare { variant: Box::new(variant.clone()), artifacts: self.home.artifacts() };
        let limits = Limits { time: None, memory: None, threads: None, cancel };
        let last = self.converse(&request, &limits, &variant.id, &mut |reply| {
            if let Reply::Preparing { fraction } = reply {
                say(Event::Preparing { variant: variant.clone(), fraction });
            }
        })?;
        match last {
            Reply::Prepared(prepared) => Ok(prepared),
            other => Err(beside_the_point(&other)),
        }
    }

    fn run(&mut self, measure: &Measure, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Outcome {
        let (started, clock) = (now(), Instant::now());
        let trial = &measure.trial;
        let limits = Limits {
            time: trial.conditions.timeout.and_then(|t| Duration::try_from_secs_f64(t.0).ok()),
            memory: trial.conditions.memory_limit,
            threads: Some(trial.conditions.threads),
            cancel,
        };
        let mut told = Told { measure, items: Vec::new(), samples: Vec::new(), load: None };
        let request = Request::Measure(Box::new(measure.clone()));
        let last = self.converse(&request, &limits, &trial.id, &mut |reply| told.tell(reply, say));
        let wall = Seconds(clock.elapsed().as_secs_f64());
        let failure = match last {
            Ok(Reply::Done(summary)) => return told.outcome(*summary, started, wall),
            Ok(other) => beside_the_point(&other),
            Err(failure) => failure,
        };
        let failed = Outcome::failed(trial.id.clone(), failure, started, wall);
        Outcome { items: told.items, samples: told.samples, load: told.load, ..failed }
    }
}

/// A last word that answers another question.
fn beside_the_point(last: &Reply) -> Failure {
    error(format!("the worker did something else than it was asked: {last:?}"))
}

/// What the worker has told of a trial so far.
struct Told<'a> {
    measure: &'a Measure,
    items: Vec<ItemResult>,
    samples: Vec<SpeedSample>,
    load: Option<Seconds>,
}

impl Told<'_> {
    /// Turns a reply into the event it is.
    fn tell(&mut self, reply: Reply, say: &mut dyn FnMut(Event)) {
        let trial = self.measure.trial.id.clone();
        match reply {
            Reply::Loaded { seconds } => {
                self.load = Some(seconds);
                say(Event::Loaded { trial, seconds });
            }
            Reply::Item(item) => {
                self.items.push((*item).clone());
                let of = match &self.measure.trial.ask {
                    Ask::Task(task) => task.items,
                    Ask::Speed(_) => 0,
                };
                say(Event::Item { trial, item, done: self.measure.answered.len() + self.items.len(), of });
            }
            Reply::Sample(sample) => {
                self.samples.push((*sample).clone());
                say(Event::Sample { trial, sample, done: self.measure.samples.len() + self.samples.len() });
            }
            Reply::Pulse(pulse) => say(Event::Pulse { trial, pulse }),
            // last words do not come here, and a measurement prepares nothing
            Reply::Preparing { .. } | Reply::Prepared(_) | Reply::Done(_) | Reply::Failed(_) => {}
        }
    }

    fn outcome(self, summary: Summary, started: f64, wall: Seconds) -> Outcome {
        Outcome {
            trial: self.measure.trial.id.clone(),
            result: Ok(()),
            items: self.items,
            samples: self.samples,
            peak_memory: summary.peak_memory,
            energy: summary.energy,
            disk: summary.disk,
            ceiling: summary.ceiling,
            load: Some(summary.load),
            wall,
            warnings: summary.warnings,
            started,
        }
    }
}

/// A running worker. Dropping it ends it at once.
struct Worker {
    child: Child,
    /// Open for as long as the work is wanted.
    stdin: Option<ChildStdin>,
}

impl Worker {
    fn spawn(program: &Path, log: PathBuf, limits: &Limits<'_>) -> Result<Worker, Failure> {
        let mut command = Command::new(program);
        // with a backtrace asked for, a worker that is refused memory hangs in the lock of its own backtrace
        command.arg("worker").env("RUST_BACKTRACE", "0");
        if let Some(threads) = limits.threads {
            // where candle reads how finely to cut its work
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        let settings = Settings { memory_limit: limits.memory, ..Settings::new(log) };
        let mut child = Child::spawn(command, &settings)
            .map_err(|e| error(format!("the worker {} cannot be started: {e}", program.display())))?;
        let stdin = child.stdin();
        Ok(Worker { child, stdin })
    }

    /// Writes the request and listens on a thread of its own, so that a slow session never holds the worker up.
    fn ask(&mut self, request: &Request) -> Receiver<Result<Reply, protocol::Error>> {
        let stdin = self.stdin.as_mut().expect("piped, and closed only to leave");
        // a worker that is gone already tells why below, when its stdout has ended
        let _ = protocol::write(stdin, request);
        let stdout = self.child.stdout().expect("piped, and asked once");
        listen(stdout)
    }

    /// The worker has said its last word, or is not wanted any more: its stdin closes and it leaves.
    fn leave(mut self) {
        drop(self.stdin.take());
        let since = Instant::now();
        while since.elapsed() < GOODBYE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Why the worker left without a last word.
    fn gone(mut self) -> Failure {
        match self.child.wait() {
            Ok(exit) => exit.failure(&self.child.log().tail()),
            Err(e) => error(format!("the worker cannot be waited for: {e}")),
        }
    }

    /// The worker said something that cannot be understood.
    fn babbled(self, what: &protocol::Error) -> Failure {
        Failure::Crash { message: format!("the worker said {what}"), log: self.child.log().tail() }
    }
}

fn error(message: String) -> Failure {
    Failure::Error { message }
}

fn listen(stdout: ChildStdout) -> Receiver<Result<Reply, protocol::Error>> {
    let (send, replies) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            // a worker that is killed leaves half a line or none
            let Ok(line) = line else { return };
            if send.send(protocol::read(&line)).is_err() {
                return;
            }
        }
    });
    replies
}

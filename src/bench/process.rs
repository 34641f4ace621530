//! The runner that measures: every trial in a worker process of its own, which may crash, hang or run out of memory
//! without taking the session along.
//!
//! The worker is this same binary (`bantam worker`). Its stdin stays open while the work is wanted, its stdout carries
//! the protocol, its stderr goes to a log that is kept.

use super::home::Home;
use super::protocol::{self, Measure, Prepared, Reply, Request, Summary};
use super::runner::Runner;
use super::session::now;
use crate::event::Event;
use crate::job::Cancel;
use crate::record::{Ask, Failure, Id, ItemResult, Outcome, SpeedSample, Variant};
use crate::unit::{Bytes, Seconds};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often cancel and timeout are looked at while the worker is silent.
const LOOK: Duration = Duration::from_millis(50);
/// A worker says something several times a second, whatever it does; one that is silent for so long hangs.
const SILENCE: Duration = Duration::from_secs(120);
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
        limits: Limits<'_>,
        log: &Id,
        hear: &mut dyn FnMut(Reply),
    ) -> Result<Last, Failure> {
        let log = self.home.log(log);
        let mut worker = Worker::spawn(&self.program, &log, limits.memory)?;
        let replies = worker.ask(request)?;
        let started = Instant::now();
        let mut heard = Instant::now();
        loop {
            match replies.recv_timeout(LOOK) {
                Ok(Ok(reply)) => {
                    heard = Instant::now();
                    match reply {
                        Reply::Prepared(prepared) => return worker.leave(Last::Prepared(prepared)),
                        Reply::Done(summary) => return worker.leave(Last::Done(summary)),
                        Reply::Failed(failure) => return Err(failure),
                        reply => hear(reply),
                    }
                }
                Ok(Err(error)) => {
                    return Err(Failure::Crash { message: format!("the worker said {error}"), log: worker.log() });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(worker.gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if limits.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let spent = [limits.time.map(|limit| (started, limit)), Some((heard, SILENCE))];
            if let Some((_, limit)) = spent.into_iter().flatten().find(|(since, limit)| since.elapsed() > *limit) {
                return Err(Failure::Timeout { seconds: limit.as_secs_f64() });
            }
        }
    }
}

/// What a worker may take.
#[derive(Clone, Copy)]
struct Limits<'a> {
    time: Option<Duration>,
    memory: Option<Bytes>,
    cancel: &'a Cancel,
}

/// A worker's last word.
enum Last {
    Prepared(Prepared),
    Done(Box<Summary>),
}

/// A running worker. Dropping it ends it at once.
struct Worker {
    child: Child,
    log: PathBuf,
}

impl Runner for Process {
    fn prepare(&mut self, variant: &Variant, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Result<Prepared, Failure> {
        let request = Request::Prepare { variant: Box::new(variant.clone()), artifacts: self.home.artifacts() };
        let limits = Limits { time: None, memory: None, cancel };
        let last = self.converse(&request, limits, &variant.id, &mut |reply| {
            if let Reply::Preparing { fraction } = reply {
                say(Event::Preparing { variant: variant.clone(), fraction });
            }
        })?;
        match last {
            Last::Prepared(prepared) => Ok(prepared),
            Last::Done(_) => Err(Failure::Error { message: "the worker measured where it was to prepare".into() }),
        }
    }

    fn run(&mut self, measure: &Measure, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Outcome {
        let (started, clock) = (now(), Instant::now());
        let trial = &measure.trial;
        let limits = Limits {
            time: trial.conditions.timeout.and_then(|t| Duration::try_from_secs_f64(t.0).ok()),
            memory: trial.conditions.memory_limit,
            cancel,
        };
        let mut told = Told::new(measure);
        let request = Request::Measure(Box::new(measure.clone()));
        let last = self.converse(&request, limits, &trial.id, &mut |reply| told.tell(reply, say));
        let wall = Seconds(clock.elapsed().as_secs_f64());
        let failure = match last {
            Ok(Last::Done(summary)) => return told.outcome(*summary, started, wall),
            Ok(Last::Prepared(_)) => Failure::Error { message: "the worker prepared where it was to measure".into() },
            Err(failure) => failure,
        };
        let failed = Outcome::failed(trial.id.clone(), failure, started, wall);
        Outcome { items: told.items, samples: told.samples, load: told.load, ..failed }
    }
}

/// What the worker has told of a trial so far.
struct Told<'a> {
    measure: &'a Measure,
    items: Vec<ItemResult>,
    samples: Vec<SpeedSample>,
    load: Option<Seconds>,
}

impl<'a> Told<'a> {
    fn new(measure: &'a Measure) -> Told<'a> {
        Told { measure, items: Vec::new(), samples: Vec::new(), load: None }
    }

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

impl Worker {
    fn spawn(program: &Path, log: &Path, _memory: Option<Bytes>) -> Result<Worker, Failure> {
        let failed = |what: &str, e: std::io::Error| Failure::Error { message: format!("{what}: {e}") };
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| failed(&format!("{}: no folder for logs", folder.display()), e))?;
        }
        let stderr = std::fs::File::create(log).map_err(|e| failed(&format!("{}: no log", log.display()), e))?;
        let child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|e| failed(&format!("{}: the worker does not start", program.display()), e))?;
        Ok(Worker { child, log: log.into() })
    }

    /// Writes the request and listens on a thread of its own, so that a slow session never holds the worker up.
    fn ask(&mut self, request: &Request) -> Result<Receiver<Result<Reply, protocol::Error>>, Failure> {
        let stdin = self.child.stdin.as_mut().expect("piped, and taken only to leave");
        if protocol::write(stdin, request).is_err() {
            return Err(self.gone());
        }
        let stdout = self.child.stdout.take().expect("piped, and asked once");
        Ok(listen(stdout))
    }

    /// The worker has said its last word: its stdin closes and it leaves.
    fn leave(mut self, last: Last) -> Result<Last, Failure> {
        drop(self.child.stdin.take());
        let since = Instant::now();
        while since.elapsed() < GOODBYE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(last)
    }

    /// The worker left without a last word.
    fn gone(&mut self) -> Failure {
        match self.child.wait() {
            Ok(status) => self.died(status),
            Err(e) => Failure::Crash { message: format!("the worker cannot be waited for: {e}"), log: self.log() },
        }
    }

    fn died(&self, status: ExitStatus) -> Failure {
        Failure::Crash { message: format!("the worker died: {status}"), log: self.log() }
    }

    /// The end of what it said on stderr.
    fn log(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |e| format!("{}: {e}", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned(),
        )
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // both fail only where it has gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

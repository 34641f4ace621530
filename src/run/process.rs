//! The runner that measures: trials in a worker process, which may crash, hang or run out of memory without taking the
//! session along.
//!
//! A worker keeps its model, and does one task of a variant after the other for as long as all goes well. Whatever goes
//! wrong costs the one trial, for the next one gets a new worker; so does another variant, or the same with other
//! settings, so that no trial's numbers hold anything of another model's. A speed shape gets workers of its own, since
//! its peak memory is the one that is shown of a variant: what earlier tasks left (pages of the program, caches) is a
//! few MiB, which matters beside a small model. Each takes two turns and keeps its model in between, where there is room
//! for it; then another one is started, so that peaks and speeds are of several processes and not of one that was lucky.
//!
//! The worker is this same binary (`bantam worker`). Its stdin stays open while it is wanted, its stdout carries the
//! protocol, its stderr goes to a log that is kept, one for each trial.

use crate::library::home::Home;
use crate::library::models;
use crate::run::protocol::{self, Load, Measure, Prepared, Reply, Request, TrialSummary};
use crate::run::runner::Runner;
use crate::run::session::now;
use bantam_core::cancel::Cancel;
use bantam_core::event::Event;
use bantam_core::record::{Ask, Failure, Id, Outcome, Place, Reading, SpeedSample, Variant};
use bantam_core::text;
use bantam_core::unit::{Bytes, Seconds};
use bantam_host::card::{Memory, Roots};
use bantam_host::sandbox::{self, Child, Exit};
use std::ffi::OsStr;
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

/// Has glibc keep what is freed for what is asked for next, since every pass of every batch takes megabytes and gives
/// them back; and in one heap, which the worker can give back between trials. Other C libraries do not read these.
const KEEP_FREED_MEMORY: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "2147483647"), ("MALLOC_ARENA_MAX", "1")];

/// The turns of a speed shape that one worker takes.
const TURNS: usize = 2;

/// Spawns workers, and keeps the last one for the trials that it suits.
pub struct Process {
    program: PathBuf,
    home: Home,
    waiting: Option<Worker>,
    /// Workers between two turns of a speed shape.
    resting: Vec<Resting>,
}

/// A worker that keeps its model until the trial's next turn.
struct Resting {
    trial: Id,
    worker: Worker,
    turns: usize,
}

impl Process {
    /// Workers are this program.
    pub fn new(home: &Home) -> std::io::Result<Process> {
        Ok(Process::of(std::env::current_exe()?, home))
    }

    /// Workers are another build of this program.
    pub fn of(program: impl Into<PathBuf>, home: &Home) -> Process {
        Process { program: program.into(), home: home.clone(), waiting: None, resting: Vec::new() }
    }

    /// Measures in the worker that waits, where it suits, else in a new one.
    fn measure(
        &mut self,
        told: &mut Told,
        limits: &Limits,
        say: &mut dyn FnMut(Event),
    ) -> Result<TrialSummary, Failure> {
        let trial = &told.measure.trial;
        let settings = WorkerSettings::of(told.measure);
        let log = self.home.log(&trial.id);
        let suits = |worker: &Worker| worker.settings.as_ref() == Some(&settings);
        // the peak memory of a speed shape is the variant's: no task's leavings may be in it
        let (waiting, turns) = match trial.ask {
            Ask::Task(_) => (self.waiting.take().filter(suits), 0),
            Ask::Speed(_) => {
                self.waiting = None;
                let rested = self.resting.iter().position(|resting| resting.trial == trial.id);
                let rested = rested.map(|place| self.resting.swap_remove(place)).filter(|r| suits(&r.worker));
                rested.map_or((None, 0), |rested| (Some(rested.worker), rested.turns))
            }
        };
        if let Some(worker) = waiting.and_then(|worker| worker.again(&log)) {
            match self.converse(worker, turns, told, limits, say) {
                // it held what earlier trials left there, too: only a worker of its own tells whether the trial fits
                Err(Stopped::Unbegun | Stopped::Failed(Failure::OutOfMemory { .. })) => {}
                Err(Stopped::Failed(failure)) => return Err(failure),
                Ok(summary) => return Ok(summary),
            }
        }
        let worker = Worker::spawn(&self.program, log, Some(settings))?;
        self.converse(worker, 0, told, limits, say).map_err(|stopped| match stopped {
            Stopped::Failed(failure) => failure,
            Stopped::Unbegun => unreachable!("only a worker that waited can be gone before it begins"),
        })
    }

    /// Has a worker do what is still missing of a trial, and lets it wait for the next one.
    fn converse(
        &mut self,
        worker: Worker,
        turns: usize,
        told: &mut Told,
        limits: &Limits,
        say: &mut dyn FnMut(Event),
    ) -> Result<TrialSummary, Stopped> {
        let request = Request::Measure(Box::new(told.missing()));
        let (last, worker) = worker.converse(&request, limits, &mut |reply| told.tell(reply, say))?;
        let Reply::Done(summary) = last else {
            worker.leave();
            return Err(beside_the_point(&last).into());
        };
        let (trial, turns) = (&told.measure.trial, turns + 1);
        match &trial.ask {
            Ask::Task(_) if summary.stays => self.waiting = Some(worker),
            Ask::Speed(_) if summary.stays && turns < TURNS && has_room_beside(&summary.peak_memory) => {
                self.resting.push(Resting { trial: trial.id.clone(), worker, turns });
            }
            Ask::Task(_) | Ask::Speed(_) => worker.leave(),
        }
        Ok(*summary)
    }
}

/// Whether a worker that takes so much may stay while others work: as much as it and one like it must be free beside it.
/// Where that is not known, it leaves.
fn has_room_beside(peak: &Reading) -> bool {
    let free = Memory::read(&Roots::default()).available;
    peak.value().zip(free.known()).is_some_and(|(peak, free)| free.0 as f64 > 2.0 * peak)
}

/// A pulse comes from a thread of its own, which beats on where the work hangs.
fn is_progress(reply: &Reply) -> bool {
    !matches!(reply, Reply::Pulse(pulse) if pulse.tokens_per_second.is_none_or(|rate| rate == 0.0))
}

/// When a conversation ends that is not over.
struct Limits<'a> {
    time: Option<Duration>,
    cancel: &'a Cancel,
}

/// What a worker is started for; a trial of other settings needs another worker.
#[derive(Debug, PartialEq)]
struct WorkerSettings {
    variant: Id,
    place: Place,
    threads: usize,
    parallel_batches: usize,
    memory: Option<Bytes>,
    max_length: Option<usize>,
    seed: u64,
    /// The variable with the key that the worker is to have, of all secrets the only one.
    key_env: Option<String>,
}

impl WorkerSettings {
    fn of(measure: &Measure) -> WorkerSettings {
        let (variant, conditions) = (&measure.trial.variant, &measure.trial.conditions);
        WorkerSettings {
            variant: variant.id.clone(),
            place: measure.place.clone(),
            threads: conditions.threads,
            parallel_batches: measure.parallel_batches,
            memory: conditions.memory_limit,
            max_length: conditions.max_length,
            seed: conditions.seed,
            key_env: measure.endpoint.as_ref().and_then(|asking| asking.terms.key_env.clone()),
        }
    }
}

/// Why a worker did not say its last word.
enum Stopped {
    /// It was gone before it took the request: nothing of the trial can have been the cause.
    Unbegun,
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

impl Runner for Process {
    fn prepare(&mut self, variant: &Variant, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Result<Prepared, Failure> {
        if let Place::Endpoint(_) = &variant.model.place {
            return Ok(Prepared { place: variant.model.place.clone(), bytes: Bytes(0) });
        }
        if variant.has_own_files() {
            let place = variant.model.place.clone();
            let bytes = models::bytes(&place).map_err(|e| error(format!("{e:#}")))?;
            return Ok(Prepared { place, bytes });
        }
        // making a variant takes memory of its own, and no trial of another variant comes next
        self.waiting = None;
        self.resting.clear();
        let request = Request::Prepare { variant: Box::new(variant.clone()), artifacts: self.home.artifacts() };
        let limits = Limits { time: None, cancel };
        let worker = Worker::spawn(&self.program, self.home.log(&variant.id), None)?;
        let conversation = worker.converse(&request, &limits, &mut |reply| match reply {
            Reply::Preparing { fraction } => say(Event::Preparing { variant: variant.clone(), fraction }),
            Reply::Waits { holder } => say(Event::Waits { does: "making the same variant".into(), holder }),
            _ => {}
        });
        let (last, worker) = conversation.map_err(|stopped| match stopped {
            Stopped::Failed(failure) => failure,
            Stopped::Unbegun => unreachable!("only a worker that waited can be gone before it begins"),
        })?;
        worker.leave();
        match last {
            Reply::Prepared(prepared) => Ok(prepared),
            other => Err(beside_the_point(&other)),
        }
    }

    fn run(&mut self, measure: &Measure, cancel: &Cancel, say: &mut dyn FnMut(Event)) -> Outcome {
        let (started, clock) = (now(), Instant::now());
        let trial = &measure.trial;
        let limits =
            Limits { time: trial.conditions.timeout.and_then(|t| Duration::try_from_secs_f64(t.0).ok()), cancel };
        let mut told = Told { measure, answered: Vec::new(), samples: Vec::new(), load: None };
        let ended = self.measure(&mut told, &limits, say);
        let wall = Seconds(clock.elapsed().as_secs_f64());
        match ended {
            Ok(summary) => told.outcome(summary, started, wall),
            Err(failure) => {
                let failed = Outcome::failed(trial.id.clone(), failure, started, wall);
                let (load, loaded_by) = told.load.map_or((None, None), |load| (Some(load.seconds), load.by));
                Outcome { samples: told.samples, load, loaded_by, ..failed }
            }
        }
    }

    fn release(&mut self, trial: &Id) {
        self.resting.retain(|resting| resting.trial != *trial);
    }
}

/// A last word that answers another question.
fn beside_the_point(last: &Reply) -> Failure {
    error(format!("the worker did something else than it was asked: {last:?}"))
}

/// What the worker has told of a trial so far.
struct Told<'a> {
    measure: &'a Measure,
    /// Items that were told; the store has what they gave.
    answered: Vec<usize>,
    samples: Vec<SpeedSample>,
    load: Option<Load>,
}

impl Told<'_> {
    /// The trial without what was told already.
    fn missing(&self) -> Measure {
        let mut missing = self.measure.clone();
        missing.answered.extend(self.answered.iter().copied());
        missing.samples.extend(self.samples.iter().cloned());
        missing
    }

    /// Turns a reply into the event it is.
    fn tell(&mut self, reply: Reply, say: &mut dyn FnMut(Event)) {
        let trial = self.measure.trial.id.clone();
        match reply {
            Reply::Loaded(load) => {
                say(Event::Loaded { trial, seconds: load.seconds });
                self.load = Some(load);
            }
            Reply::Item(item) => {
                self.answered.push(item.index);
                let of = match &self.measure.trial.ask {
                    Ask::Task(task) => task.items,
                    Ask::Speed(_) => 0,
                };
                say(Event::Item { trial, item, done: self.measure.answered.len() + self.answered.len(), of });
            }
            Reply::Sample(sample) => {
                self.samples.push((*sample).clone());
                say(Event::Sample { trial, sample, done: self.measure.samples.len() + self.samples.len() });
            }
            Reply::Pulse(pulse) => say(Event::Pulse { trial, pulse }),
            // first and last words do not come here, and a measurement prepares nothing
            Reply::Begun
            | Reply::Preparing { .. }
            | Reply::Waits { .. }
            | Reply::Prepared(_)
            | Reply::Done(_)
            | Reply::Failed(_) => {}
        }
    }

    fn outcome(self, summary: TrialSummary, started: f64, wall: Seconds) -> Outcome {
        Outcome {
            trial: self.measure.trial.id.clone(),
            result: Ok(()),
            // the store has them
            items: Vec::new(),
            samples: self.samples,
            peak_memory: summary.peak_memory,
            energy: summary.energy,
            disk: summary.disk,
            ceiling: summary.ceiling,
            load: summary.load.as_ref().map(|load| load.seconds),
            loaded_by: summary.load.and_then(|load| load.by),
            wall,
            warnings: summary.warnings,
            started,
            predicted: None,
            settled: None,
        }
    }
}

/// Whether a variable holds a token, a key or a password, by its name or as an address with a password in it.
fn is_secret(name: &OsStr, value: &OsStr) -> bool {
    const WORDS: [&str; 12] = [
        "TOKEN",
        "TOKENS",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
        "CREDENTIALS",
        "APIKEY",
        "AUTH",
        "PAT",
    ];
    let name = name.to_string_lossy().to_ascii_uppercase();
    let value = value.to_string_lossy();
    let words: Vec<&str> = name.split('_').collect();
    let of_a_cloud =
        ["AWS_", "AZURE_", "GOOGLE_", "GCP_", "GH_", "GITHUB_"].iter().any(|cloud| name.starts_with(cloud));
    let key = words.last() == Some(&"KEY") || words.windows(2).any(|two| two == ["API", "KEY"]);
    of_a_cloud || key || words.iter().any(|word| WORDS.contains(word)) || text::without_passwords(&value) != value
}

/// A running worker. Dropping it ends it at once.
struct Worker {
    child: Child,
    /// Open for as long as the worker is wanted.
    stdin: Option<ChildStdin>,
    replies: Receiver<Result<Reply, protocol::Error>>,
    /// None for one that measures nothing.
    settings: Option<WorkerSettings>,
    /// It has done something already.
    waited: bool,
}

impl Worker {
    fn spawn(program: &Path, log: PathBuf, settings: Option<WorkerSettings>) -> Result<Worker, Failure> {
        let mut command = Command::new(program);
        // with a backtrace asked for, a worker that is refused memory hangs in the lock of its own backtrace
        command.arg("worker").env("RUST_BACKTRACE", "0");
        // a worker asks nobody but the endpoint that it is for, and reads what strangers wrote
        let key = settings.as_ref().and_then(|settings| settings.key_env.clone());
        let is_needed = |name: &OsStr| key.as_deref().is_some_and(|key| name == key);
        let secrets = std::env::vars_os().filter(|(name, value)| is_secret(name, value) && !is_needed(name));
        secrets.for_each(|(name, _)| {
            command.env_remove(name);
        });
        if let Some(settings) = &settings {
            // where candle reads how finely to cut its work
            let threads = if settings.parallel_batches > 1 { 1 } else { settings.threads };
            command.env("RAYON_NUM_THREADS", threads.to_string());
            if settings.parallel_batches > 1 {
                command.envs(KEEP_FREED_MEMORY);
            }
        }
        let memory_limit = settings.as_ref().and_then(|settings| settings.memory);
        let mut child = Child::spawn(command, &sandbox::Settings { memory_limit, ..sandbox::Settings::new(log) })
            .map_err(|e| error(format!("the worker {} cannot be started: {e}", program.display())))?;
        let stdin = child.stdin();
        // on a thread of its own, so that a slow session never holds the worker up
        let replies = listen(child.stdout().expect("piped, and asked once"));
        Ok(Worker { child, stdin, replies, settings, waited: false })
    }

    /// The worker for another trial, with a log of its own; None where it has gone meanwhile.
    fn again(mut self, log: &Path) -> Option<Worker> {
        self.waited = true;
        let stays = matches!(self.child.try_wait(), Ok(None)) && self.child.begin(log).is_ok();
        stays.then_some(self)
    }

    /// Has the worker do the request. What it says on the way goes to `hear`; its last word comes back, with the
    /// worker.
    fn converse(
        mut self,
        request: &Request,
        limits: &Limits,
        hear: &mut dyn FnMut(Reply),
    ) -> Result<(Reply, Worker), Stopped> {
        let stdin = self.stdin.as_mut().expect("piped, and closed only to leave");
        // a worker that is gone already tells why below, when its stdout has ended
        if let Err(e) = protocol::write(stdin, request)
            && e.kind() == std::io::ErrorKind::InvalidData
        {
            return Err(error(unsayable(request, &e)).into());
        }
        let started = Instant::now();
        let mut moved = Instant::now();
        let (mut begun, mut loaded) = (false, false);
        loop {
            match self.replies.recv_timeout(LOOK) {
                Ok(Ok(Reply::Begun)) => begun = true,
                Ok(Ok(Reply::Failed(failure))) => {
                    self.leave();
                    return Err(failure.into());
                }
                Ok(Ok(last @ (Reply::Prepared(_) | Reply::Done(_)))) => return Ok((last, self)),
                Ok(Ok(reply)) => {
                    if is_progress(&reply) {
                        moved = Instant::now();
                    }
                    loaded |= matches!(reply, Reply::Loaded(_));
                    hear(reply);
                }
                Ok(Err(e)) => return Err(self.unreadable(&e).into()),
                Err(RecvTimeoutError::Disconnected) if self.waited && !begun => return Err(Stopped::Unbegun),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone(loaded).into()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if limits.cancel.is_cancelled() {
                self.leave();
                return Err(Failure::Cancelled.into());
            }
            let clocks = [limits.time.map(|limit| (started, limit)), Some((moved, STILL))];
            if let Some((_, limit)) = clocks.into_iter().flatten().find(|(since, limit)| since.elapsed() > *limit) {
                return Err(Failure::Timeout { seconds: limit.as_secs_f64() }.into());
            }
        }
    }

    /// The worker has said its last word, or is not wanted any more: its stdin closes and it leaves.
    fn leave(mut self) {
        drop(self.stdin.take());
        let since = Instant::now();
        while since.elapsed() < GOODBYE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Why the worker left without a last word. A program that cannot even start within a memory limit dies in many ways,
    /// and the limit is why.
    fn gone(mut self, loaded: bool) -> Failure {
        let limit = self.settings.as_ref().and_then(|settings| settings.memory);
        let exit = self.child.wait();
        // one that is refused memory has none to say so; after its model was loaded it says why it ends otherwise
        let is_silent = || self.child.log().tail().trim().is_empty();
        match (exit, limit) {
            (Ok(exit @ (Exit::Code(_) | Exit::Signal(_) | Exit::Done)), Some(limit)) if !loaded || is_silent() => {
                let when = if loaded { "after" } else { "before" };
                Failure::OutOfMemory {
                    message: format!(
                        "the worker {} {when} its model was loaded, under a memory_limit of {limit}: that is most \
                         likely too little; raise memory_limit or leave it out",
                        exit.words()
                    ),
                }
            }
            (Ok(exit), _) => exit.failure(&self.child.log().tail()),
            (Err(e), _) => error(format!("the worker cannot be waited for: {e}")),
        }
    }

    /// The worker said something that cannot be understood.
    fn unreadable(self, what: &protocol::Error) -> Failure {
        Failure::Crash { message: format!("the worker said {what}"), log: self.child.log().tail() }
    }
}

/// A request that cannot be put into a line of JSON: a path in it is no text.
fn unsayable(request: &Request, why: &std::io::Error) -> String {
    let folder = match request {
        Request::Prepare { artifacts, .. } => artifacts.to_string_lossy().into_owned(),
        Request::Measure(measure) => format!("{:?}", measure.place),
    };
    format!(
        "the worker cannot be told of {folder} ({why}): use a path that is valid UTF-8; BANTAM_HOME moves results and \
         variants to another folder"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_inherits_no_secrets_and_all_that_it_needs() {
        let secret = |name: &str, value: &str| is_secret(OsStr::new(name), OsStr::new(value));
        let names =
            ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        for name in
            names.into_iter().chain(["OPENAI_API_KEY", "wandb_api_key", "DB_PASSWORD", "SSH_AUTH_SOCK", "GITHUB_PAT"])
        {
            assert!(secret(name, "x"), "{name}");
        }
        assert!(secret("HTTPS_PROXY", "http://me:pw@proxy:3128") && secret("HF_ENDPOINT", "https://me:pw@hub"));
        for name in
            ["PATH", "HOME", "HF_HOME", "HF_HUB_CACHE", "BANTAM_HOME", "BANTAM_ISA", "TOKENIZERS_PARALLELISM", "LC_ALL"]
        {
            assert!(!secret(name, "/a/b:c"), "{name}");
        }
        assert!(!secret("HTTPS_PROXY", "http://proxy:3128"));
    }
}

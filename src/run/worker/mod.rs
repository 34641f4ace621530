//! The worker: a process that does one request after the other, measurements of one model without loading it again. It
//! loads, warms up, measures and says each result as soon as it is there; it stores nothing.
//!
//! Its stdin stays open while somebody wants it: when it ends, the session is gone or has enough, and the worker
//! leaves. Its stdout is the protocol's; everything else that is said goes to stderr. After a failure it leaves, too,
//! so that nothing of what failed is there for the next trial.

mod deployed;
mod endpoint;
mod meters;
mod prepare;
mod speed;
mod task;

use crate::library::models::{self, Loaded};
use crate::run::protocol::{self, Load, Measure, Reply, Request, TrialSummary};
use anyhow::{Context, Result, ensure};
use bantam_core::cache_type::CacheType;
use bantam_core::cancel::Cancel;
use bantam_core::record::{Ask, Failure, Figure, Id, Place, Provenance, Reading, Warning, WarningKind};
use bantam_core::sync::lock;
use bantam_core::unit::{Seconds, Unit};
use bantam_host::card::{Roots, memory};
use bantam_model::LoadOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the work may take to notice that it is not wanted any more.
const GRACE: Duration = Duration::from_millis(500);

/// A worker on this process's own stdin and stdout.
pub fn main() -> ExitCode {
    serve(std::io::stdin(), std::io::stdout())
}

/// Does what the lines of stdin ask for, one after the other. The process ends when stdin does.
pub fn serve(stdin: impl Read + Send + 'static, stdout: impl Write + Send + 'static) -> ExitCode {
    let replies = Replies::new(stdout);
    let cancel = Cancel::new();
    let requests = listen(stdin, cancel.clone());
    let mut bench = Bench::default();
    while let Ok(request) = requests.recv() {
        replies.say(&Reply::Begun);
        let last = match request {
            Ok(Request::Prepare { variant, artifacts }) => prepare::prepare(&variant, &artifacts, &cancel, &replies),
            Ok(Request::Measure(request)) => match bench.measure(&request, &cancel, &replies) {
                Ok(summary) => Reply::Done(Box::new(summary)),
                Err(failure) => Reply::Failed(failure),
            },
            Err(error) => Reply::Failed(Failure::Error { message: format!("the worker was asked {error}") }),
        };
        replies.say(&last);
        match last {
            Reply::Done(summary) if summary.stays => {}
            Reply::Failed(_) => return ExitCode::FAILURE,
            _ => return ExitCode::SUCCESS,
        }
    }
    ExitCode::SUCCESS
}

/// Reads requests on a thread of its own. When stdin ends it asks the work to stop, and sees to it shortly after.
fn listen(stdin: impl Read + Send + 'static, cancel: Cancel) -> Receiver<Result<Request, protocol::Error>> {
    let (send, requests) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdin).lines() {
            let request = match line {
                Ok(line) => protocol::read(&line),
                Err(e) => Err(protocol::Error::Broken { why: e.to_string(), line: String::new() }),
            };
            let last = request.is_err();
            if send.send(request).is_err() || last {
                break;
            }
        }
        // a worker that waits for work leaves now
        drop(send);
        cancel.cancel();
        std::thread::sleep(GRACE);
        std::process::exit(1);
    });
    requests
}

/// An error and its causes in one line.
fn sentence(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', "; ")
}

/// The worker's stdout: whole lines, from any thread.
#[derive(Clone)]
struct Replies(Arc<Mutex<dyn Write + Send>>);

impl Replies {
    fn new(out: impl Write + Send + 'static) -> Replies {
        Replies(Arc::new(Mutex::new(out)))
    }

    /// Says it; where nobody listens any more there is nothing left to work for.
    fn say(&self, reply: &Reply) {
        let mut out = lock(&self.0);
        if protocol::write(&mut *out, reply).is_err() {
            std::process::exit(1);
        }
    }
}

/// What one kind of measurement gives, beside what it says on the way.
struct Measured {
    energy: Reading,
    ceiling: Reading,
    warnings: Vec<Warning>,
}

/// What stays from one request to the next: the threads, the most recent model, and the meters that proved themselves.
#[derive(Default)]
struct Bench {
    threads: Option<usize>,
    model: Option<Resident>,
    energy: Option<meters::Energy>,
    deployed: deployed::Kept,
}

/// A model that is loaded.
struct Resident {
    source: ModelSource,
    model: Loaded,
    /// What loading it took, which is the time a user waits, from whatever the file cache holds; and for which trial.
    seconds: Seconds,
    by: Id,
    /// The most that the worker had held when it was loaded.
    peak: Reading,
}

/// What decides which weights a trial is answered by.
#[derive(PartialEq)]
struct ModelSource {
    place: Place,
    adapter: Option<PathBuf>,
    kv: CacheType,
    max_length: Option<usize>,
}

impl Bench {
    fn measure(&mut self, request: &Measure, cancel: &Cancel, replies: &Replies) -> Result<TrialSummary, Failure> {
        if let Some(asking) = &request.endpoint {
            return endpoint::measure(request, asking, cancel, replies)
                .map_err(|error| Failure::Error { message: sentence(&error) });
        }
        self.start_threads(request)?;
        if let (Some(program), Ask::Speed(shape)) = (&request.program, &request.trial.ask) {
            return deployed::measure(request, *shape, program, &mut self.deployed, cancel, replies)
                .map_err(|error| Failure::Error { message: sentence(&error) });
        }
        let error = |error| Failure::Error { message: sentence(&error) };
        let mut energy = self.energy.take();
        let (resident, load) = self.load(request).map_err(error)?;
        replies.say(&Reply::Loaded(load.clone()));
        let measured = match &request.trial.ask {
            Ask::Task(task) => task::ask(request, task, &resident.model, &mut energy, cancel, replies),
            Ask::Speed(shape) => speed::measure(request, *shape, &resident.model, &mut energy, cancel, replies),
        };
        let Measured { energy: joules, ceiling, mut warnings } = measured.map_err(error)?;
        warnings.extend(told_of(&resident.model));
        let is_task = matches!(request.trial.ask, Ask::Task(_));
        let summary = TrialSummary {
            peak_memory: resident.peak_since(is_task && load.by.is_some(), request.parallel_batches),
            energy: joules,
            disk: disk(request),
            ceiling,
            load: Some(load),
            warnings,
            // the turns of a speed shape are one piece of work, and so is their peak
            stays: !is_task || memory::reset_own_peak(&Roots::default()).is_ok(),
        };
        self.energy = energy;
        Ok(summary)
    }

    /// Starts the threads that all kernels share, as many as the profile says; once in a process.
    fn start_threads(&mut self, request: &Measure) -> Result<(), Failure> {
        let conditions = &request.trial.conditions;
        let threads = conditions.threads;
        match self.threads {
            None => {}
            Some(started) if started == threads => return Ok(()),
            Some(started) => {
                let message = format!("a worker of {started} threads was asked for {threads}");
                return Err(Failure::Error { message });
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|e| match conditions.memory_limit {
            // a stack that is refused looks like a lack of processes
            Some(limit) => Failure::OutOfMemory {
                message: format!(
                    "the worker was refused memory for its {threads} threads: {limit} of memory_limit is too little"
                ),
            },
            None => Failure::Error { message: format!("{threads} threads cannot be started: {e}") },
        })?;
        self.threads = Some(threads);
        Ok(())
    }

    /// The request's variant: the one that is loaded, or loaded now in its place.
    fn load(&mut self, request: &Measure) -> Result<(&Resident, Load)> {
        let source = ModelSource {
            place: request.place.clone(),
            adapter: request.trial.variant.model.adapter.clone(),
            kv: request.trial.variant.kv,
            max_length: request.trial.conditions.max_length,
        };
        let kept = self.model.take_if(|model| model.source != source);
        if kept.is_some() {
            drop(kept);
            let reset = memory::reset_own_peak(&Roots::default());
            ensure!(reset.is_ok(), "a worker that has held another model cannot tell this one's peak memory");
        }
        let by = self.model.as_ref().map(|model| model.by.clone());
        if by.is_none() {
            self.model = Some(Resident::load(request, source)?);
        }
        let resident = self.model.as_ref().expect("it was there, or was loaded just now");
        Ok((resident, Load { seconds: resident.seconds, by }))
    }
}

impl Resident {
    fn load(request: &Measure, source: ModelSource) -> Result<Resident> {
        let options = LoadOptions {
            max_length: source.max_length,
            adapter: source.adapter.clone(),
            kv: models::kv_type(source.kv),
            ..LoadOptions::default()
        };
        let start = Instant::now();
        let model = models::load_any(&source.place, &options)
            .with_context(|| format!("{} does not load", request.trial.variant.label()))?;
        let seconds = Seconds(start.elapsed().as_secs_f64());
        bantam_host::release_code();
        let (peak, by) = (memory::own_peak(&Roots::default()), request.trial.id.clone());
        Ok(Resident { source, model, seconds, by, peak })
    }

    /// The most that a process holds which loads the model and does this trial with it. A worker that had the model
    /// already set its mark back before the trial; the mark of loading counts for it, too.
    fn peak_since(&self, was_reset: bool, parallel_batches: usize) -> Reading {
        let mut peak = match memory::own_peak(&Roots::default()) {
            Reading::Known(peak) => peak,
            missing => return missing,
        };
        if let (true, Reading::Known(loading)) = (was_reset, &self.peak) {
            peak.value = peak.value.max(loading.value);
            peak.how += ", reset before the trial; not less than while loading";
        }
        if parallel_batches > 1 {
            peak.how += &format!(", with {parallel_batches} batches of items at a time");
        }
        Reading::Known(peak)
    }
}

/// What of a quantized checkpoint takes more memory than its files say, and where its files disagree.
fn told_of(model: &Loaded) -> Vec<Warning> {
    let Loaded::Decoder(model) = model else { return Vec::new() };
    let told = model.packing.iter().flat_map(|packing| packing.warnings());
    let widened = told.map(|text| Warning { kind: WarningKind::Widened, text });
    let files = (!model.notes.is_empty()).then(|| Warning { kind: WarningKind::Files, text: model.notes.join("; ") });
    widened.chain(files).collect()
}

fn disk(request: &Measure) -> Reading {
    match models::bytes(&request.place) {
        Ok(bytes) => Reading::Known(Figure {
            value: bytes.0 as f64,
            unit: Unit::Bytes,
            provenance: Provenance::Measured,
            interval: None,
            no_interval: None,
            n: None,
            how: "size of the model's files".into(),
        }),
        Err(error) => Reading::missing(sentence(&error)),
    }
}

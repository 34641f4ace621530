//! The worker: one process that does one request and leaves. It loads, warms up, measures and says each result as soon
//! as it is there; it keeps nothing.
//!
//! Its stdin stays open while somebody wants the work: when it ends, the session is gone or has enough, and the worker
//! leaves. Its stdout is the protocol's; everything else that is said goes to stderr.

mod gauge;
mod prepare;
mod speed;
mod task;

use crate::library::models::{self, Loaded};
use crate::run::protocol::{self, Measure, Reply, Request, Summary};
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::record::{Ask, Conditions, Failure, Figure, Provenance, Reading, Warning, WarningKind};
use bantam_core::unit::{Seconds, Unit};
use bantam_host::card::{Roots, memory};
use bantam_model::LoadOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the work may take to notice that it is not wanted any more.
const GRACE: Duration = Duration::from_millis(500);

/// A worker on this process's own stdin and stdout.
pub fn main() -> ExitCode {
    serve(std::io::stdin(), std::io::stdout())
}

/// Does what the first line of stdin asks for. The process ends when stdin does.
pub fn serve(stdin: impl Read + Send + 'static, stdout: impl Write + Send + 'static) -> ExitCode {
    let voice = Voice::new(stdout);
    let mut stdin = BufReader::new(stdin);
    let mut line = String::new();
    let request = match stdin.read_line(&mut line) {
        Ok(_) => protocol::read(&line),
        Err(e) => Err(protocol::Error::Broken { why: e.to_string(), line: String::new() }),
    };
    let cancel = Cancel::new();
    leave_with(stdin, cancel.clone());
    let last = match request {
        Ok(Request::Prepare { variant, artifacts }) => prepare::prepare(&variant, &artifacts, &cancel, &voice),
        Ok(Request::Measure(request)) => match start_threads(&request.trial.conditions) {
            Ok(()) => match measure(&request, &cancel, &voice) {
                Ok(summary) => Reply::Done(Box::new(summary)),
                Err(error) => Reply::Failed(Failure::Error { message: sentence(&error) }),
            },
            Err(failure) => Reply::Failed(failure),
        },
        Err(error) => Reply::Failed(Failure::Error { message: format!("the worker was asked {error}") }),
    };
    let failed = matches!(last, Reply::Failed(_));
    voice.say(&last);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Starts the threads that all kernels share, as many as the profile says.
fn start_threads(conditions: &Conditions) -> Result<(), Failure> {
    let threads = conditions.threads;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| match conditions.memory_limit {
        // a stack that is refused looks like a lack of processes
        Some(limit) => Failure::OutOfMemory {
            message: format!(
                "the worker was refused memory for its {threads} threads: {limit} of memory_limit is too little"
            ),
        },
        None => Failure::Error { message: format!("{threads} threads cannot be started: {e}") },
    })
}

/// An error and its causes in one line.
fn sentence(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', "; ")
}

/// Asks the work to stop when stdin ends, and sees to it shortly after.
fn leave_with(mut stdin: impl Read + Send + 'static, cancel: Cancel) {
    std::thread::spawn(move || {
        // nothing more is ever said on stdin; an error is an end, too
        let _ = std::io::copy(&mut stdin, &mut std::io::sink());
        cancel.cancel();
        std::thread::sleep(GRACE);
        std::process::exit(1);
    });
}

/// The worker's mouth: whole lines, from any thread.
#[derive(Clone)]
struct Voice(Arc<Mutex<dyn Write + Send>>);

impl Voice {
    fn new(out: impl Write + Send + 'static) -> Voice {
        Voice(Arc::new(Mutex::new(out)))
    }

    /// Says it; where nobody listens any more there is nothing left to work for.
    fn say(&self, reply: &Reply) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if protocol::write(&mut *out, reply).is_err() {
            std::process::exit(1);
        }
    }
}

/// What one kind of measurement found, beside what it said on the way.
struct Found {
    energy: Reading,
    ceiling: Reading,
    warnings: Vec<Warning>,
}

fn measure(request: &Measure, cancel: &Cancel, voice: &Voice) -> Result<Summary> {
    let (model, load) = load(request)?;
    voice.say(&Reply::Loaded { seconds: load });
    let mut found = match &request.trial.ask {
        Ask::Task(task) => task::ask(request, task, &model, cancel, voice)?,
        Ask::Speed(shape) => speed::measure(request, *shape, &model, cancel, voice)?,
    };
    found.warnings.extend(widened(&model));
    Ok(Summary {
        peak_memory: memory::own_peak(&Roots::default()),
        energy: found.energy,
        disk: disk(request),
        ceiling: found.ceiling,
        load,
        warnings: found.warnings,
    })
}

/// Loads the variant; the time is the one a user waits, from whatever the file cache holds.
fn load(request: &Measure) -> Result<(Loaded, Seconds)> {
    let options = LoadOptions {
        max_length: request.trial.conditions.max_length,
        adapter: request.trial.variant.model.adapter.clone(),
        ..LoadOptions::default()
    };
    let start = Instant::now();
    let model = models::load_any(&request.place, &options)
        .with_context(|| format!("{} does not load", request.trial.variant.label()))?;
    Ok((model, Seconds(start.elapsed().as_secs_f64())))
}

/// What of a quantized checkpoint takes more memory than its files say.
fn widened(model: &Loaded) -> Vec<Warning> {
    let Loaded::Decoder(model) = model else { return Vec::new() };
    let told = model.packing.iter().flat_map(|packing| packing.warnings());
    told.map(|text| Warning { kind: WarningKind::Widened, text }).collect()
}

fn disk(request: &Measure) -> Reading {
    match models::bytes(&request.place) {
        Ok(bytes) => Reading::Known(Figure {
            value: bytes.0 as f64,
            unit: Unit::Bytes,
            provenance: Provenance::Measured,
            interval: None,
            n: None,
            how: "size of the model's files".into(),
        }),
        Err(error) => Reading::missing(sentence(&error)),
    }
}

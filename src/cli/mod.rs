//! The command line: one file per command, each a `run(args, …) -> Result<Exit>`. What it prints is made here; what
//! it does is done below, by the same functions that the workbench calls.

mod adhoc;
mod args;
mod at_least;
mod bench;
mod bundled;
mod chat;
mod check;
mod cluster;
mod compare;
mod completions;
mod compress;
mod config;
mod decide;
mod devices;
mod diff;
mod doctor;
mod eval;
mod export;
mod generating;
mod groups;
mod imatrix;
mod init;
mod inspect;
mod kld;
mod live;
mod load;
mod lock;
mod made;
mod models;
mod progress;
mod pull;
mod report;
mod run;
mod search;
mod serve;
mod ship;
mod stop;
mod systems;
mod talk;
mod train;
mod usage;
mod verify;
mod workbench;

pub use args::Args;
pub use completions::answer;
pub use usage::parse;

use crate::library::config as settings;
use crate::library::home::Home;
use crate::show::out::note;
use crate::show::sentence;
use anyhow::Result;
use args::Command;
use bantam_core::chat::Chat;
use bantam_core::digest;
use bantam_hub as hub;
use std::process::ExitCode;

/// What the exit code of the program means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a run: a variant is advised.
    Done,
    /// The arguments, the profile or another input cannot be used.
    Usage,
    /// The run is complete and advises nothing: nobody is shown good enough within the constraints, or what was measured
    /// decides nothing.
    NothingFits,
    /// Some trials have no result, so that the advice does not rest on all that was asked.
    SomeFailed,
    /// `check`: a figure is worse than that of the run of before by more than it may be.
    Regressed,
    /// `check`: none is shown worse, and not all are shown to be kept.
    Inconclusive,
    /// Stopped by the user; the next start goes on.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Usage => 2,
            Exit::NothingFits => 3,
            Exit::SomeFailed => 4,
            Exit::Regressed => 5,
            Exit::Inconclusive => 6,
            Exit::Interrupted => 130,
        }
    }
}

/// Does one command; an error becomes one sentence on stderr and exit code 2.
pub fn main(args: Args) -> ExitCode {
    let settings = match settings::current() {
        Ok(settings) => settings,
        // a worker is started by one who has read them
        Err(_) if matches!(args.command, Some(Command::Worker)) => settings::settled(),
        Err(why) => {
            note!("bantam: {why}");
            return ExitCode::from(Exit::Usage.code());
        }
    };
    let args = config::with_defaults(args, settings);
    if let Ok(home) = Home::find() {
        digest::keep_in(home.digests());
    }
    stop::outlive_full_files();
    if matches!(args.command, Some(Command::Worker)) {
        return worker();
    }
    if let Ok(program) = std::env::current_exe() {
        crate::library::suites::try_with(program);
    }
    match bantam_kernels::Isa::from_env().map_err(Into::into).and_then(|_| command(args)) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            note!("bantam: {}", sentence(&error));
            let stopped = matches!(error.downcast_ref(), Some(hub::Error::Cancelled));
            ExitCode::from(if stopped { Exit::Interrupted } else { Exit::Usage }.code())
        }
    }
}

fn command(args: Args) -> Result<Exit> {
    match args.command {
        None => workbench::run(args.workbench),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Init(args)) => init::run(args),
        Some(Command::Search(args)) => search::run(args),
        Some(Command::Pull(args)) => pull::run(args),
        Some(Command::Models(args)) => models::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Compress(args)) => compress::run(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Verify(args)) => made::run(args),
        Some(Command::Imatrix(args)) => imatrix::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Inspect(args)) => inspect::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Decide(args)) => decide::run(args),
        Some(Command::Systems(args)) => systems::run(args),
        Some(Command::Devices(args)) => devices::run(args),
        Some(Command::Chat(args)) => talk::run(args),
        Some(Command::Lock(args)) => lock::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Diff(args)) => diff::run(args),
        Some(Command::Plan(args)) => cluster::plan(args),
        Some(Command::Trial(args)) => cluster::trial(args),
        Some(Command::Merge(args)) => cluster::merge(args),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Ship(args)) => ship::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Doctor(args)) => doctor::run(args),
        Some(Command::Bundled(args)) => bundled::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Config(args)) => config::run(args),
        Some(Command::TrySuite { suite }) => {
            crate::library::suites::load_untried(&suite, &Chat::default())?;
            Ok(Exit::Done)
        }
        Some(Command::Worker) => unreachable!("it has gone its own way"),
    }
}

fn worker() -> ExitCode {
    crate::run::worker::main()
}

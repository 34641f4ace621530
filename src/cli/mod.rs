//! The command line: one file per command, each a `run(args, …) -> Result<Exit>`. What it prints is made here; what
//! it does is done below, by the same functions that the workbench calls.

mod adhoc;
mod args;
mod bar;
mod bench;
mod bundled;
mod compare;
mod completions;
mod compress;
mod doctor;
mod eval;
mod export;
mod inspect;
mod models;
mod progress;
mod pull;
mod report;
mod run;
mod search;
mod stop;
mod table;
mod workbench;

pub use args::Args;
pub use bar::{bar, ending};

use args::Command;
use bantam_hub as hub;
use std::process::ExitCode;

/// What the exit code of the program means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a run: a variant is advised.
    Done,
    /// The arguments, the profile or another input cannot be used.
    Usage,
    /// The run is complete and nothing meets the constraints.
    NothingFits,
    /// Some trials have no result, so that the advice does not rest on all that was asked.
    SomeFailed,
    /// Stopped by the user; the next start goes on.
    Interrupted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Usage => 2,
            Exit::NothingFits => 3,
            Exit::SomeFailed => 4,
            Exit::Interrupted => 130,
        }
    }
}

/// Does one command; an error becomes one sentence on stderr and exit code 2.
pub fn main(args: Args) -> ExitCode {
    let done = match args.command {
        None => workbench::run(args.profile),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Search(args)) => search::run(args),
        Some(Command::Pull(args)) => pull::run(args),
        Some(Command::Models(args)) => models::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Compress(args)) => compress::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Inspect(args)) => inspect::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Doctor(args)) => doctor::run(args),
        Some(Command::Bundled(args)) => bundled::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Worker) => return worker(),
    };
    match done {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("bantam: {}", sentence(&error));
            let stopped = matches!(error.downcast_ref(), Some(hub::Error::Cancelled));
            ExitCode::from(if stopped { Exit::Interrupted } else { Exit::Usage }.code())
        }
    }
}

fn worker() -> ExitCode {
    crate::run::worker::main()
}

/// An error with its causes, in one line; a cause that its effect already tells is not told again.
pub fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match told.as_str() {
            "" => cause,
            told if told.contains(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn an_error_is_one_sentence_without_repetition() {
        let error = anyhow!("no such file").context("p.toml: cannot be read: no such file").context("reading\nit");
        assert_eq!(sentence(&error), "reading it: p.toml: cannot be read: no such file");
    }
}

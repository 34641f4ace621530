//! What the makers of bantam do beside the code: train the bundled models, write the bundled suites, the man pages and
//! the reference values of the tests again.
//! `cargo xtask --help` lists it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "makers read it in a terminal")]

mod goldens;
mod man;
mod models;
mod reference;
mod schema;
mod told_apart;

use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_core::unit::Seconds;
use clap::{Args, Parser, Subcommand};
use models::{Build, SIZES, Size, corpus};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const CHECKPOINT: Duration = Duration::from_secs(60);
/// Neither the seed that trained the bundled models nor that of the suites.
const LESSON_SEED: u64 = 3;
const TELL: Duration = Duration::from_secs(5);

/// Makes what is checked in again.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: XtaskCommand,
}

#[derive(Debug, Subcommand)]
enum XtaskCommand {
    /// Train the bundled models again from nothing; goes on after an interruption
    Models(Models),
    /// Write the bundled suites again from the generator
    Suites {
        /// Folder for the TOML and JSONL files
        #[arg(long, default_value = "suites")]
        out: PathBuf,
    },
    /// Write examples for steps that train, from the generator of the bundled models' text
    Lessons {
        /// The file of JSON lines, or a .txt of paragraphs
        #[arg(long, default_value = "profiles/compression-claims.train.jsonl")]
        out: PathBuf,
        /// How many
        #[arg(long, default_value_t = 2000)]
        count: usize,
        /// What they are drawn from; the same draws the same
        #[arg(long, default_value_t = LESSON_SEED)]
        seed: u64,
    },
    /// Write the man pages of every command
    Man {
        /// Folder for the pages
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the JSON schemas of what is read and written
    Schema {
        /// Folder for the schemas
        #[arg(long, default_value = "docs/schema")]
        out: PathBuf,
    },
    /// Write the reference pages of the docs, from the types that read profiles, suites and recipes
    Reference {
        /// Folder for the pages
        #[arg(long, default_value = "docs/reference")]
        out: PathBuf,
    },
    /// Hold stores of one profile against each other: no two may call a pair of variants faster in opposite directions
    ToldApart {
        /// Files store.sqlite, or the BANTAM_HOME folders that hold them
        #[arg(required = true)]
        stores: Vec<PathBuf>,
    },
    /// The reference values that tests read: list how each is made, make it again, or check it
    Goldens {
        #[command(subcommand)]
        task: GoldenTask,
        /// Folder of the Python environment with the pinned tools
        #[arg(long, global = true, default_value = "target/goldens-venv")]
        venv: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum GoldenTask {
    /// Which script makes which, with which tools
    List,
    /// Write a golden again; git shows what changed
    Make(Golden),
    /// Make a golden again and hold it against the one that is there
    Check(Golden),
}

#[derive(Debug, Args)]
struct Golden {
    /// As the list names it
    name: String,
    /// Only these of its models; or what else the script takes
    more: Vec<String>,
}

#[derive(Debug, Args)]
struct Models {
    /// Folder for the models; checkpoints stand in its `.build`
    #[arg(long, default_value = "models")]
    out: PathBuf,
    /// Only these sizes
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Tokens to train on, instead of each size's own number: a quick trial
    #[arg(long)]
    tokens: Option<u64>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        XtaskCommand::Models(arguments) => models(arguments),
        XtaskCommand::Suites { out } => suites(&out),
        XtaskCommand::Lessons { out, count, seed } => {
            let lessons = match out.extension().is_some_and(|ending| ending == "txt") {
                true => corpus::lessons_as_text(seed, count),
                false => corpus::lessons(seed, count),
            };
            std::fs::write(&out, lessons).with_context(|| out.display().to_string())
        }
        XtaskCommand::Man { out } => told(man::write(&out)),
        XtaskCommand::Schema { out } => told(schema::write(&out)),
        XtaskCommand::Reference { out } => told(reference::write(&out)),
        XtaskCommand::ToldApart { stores } => told_apart::compare(&stores),
        XtaskCommand::Goldens { task: GoldenTask::List, .. } => {
            goldens::list();
            Ok(())
        }
        XtaskCommand::Goldens { task: GoldenTask::Make(golden), venv } => {
            goldens::run(&golden.name, "make", &golden.more, &venv)
        }
        XtaskCommand::Goldens { task: GoldenTask::Check(golden), venv } => {
            goldens::run(&golden.name, "check", &golden.more, &venv)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn sizes(only: &[String]) -> Result<Vec<&'static Size>> {
    if only.is_empty() {
        return Ok(SIZES.iter().collect());
    }
    let find = |name: &String| {
        Size::named(name).with_context(|| {
            let names: Vec<&str> = SIZES.iter().map(|s| s.name).collect();
            format!("--only: '{name}' is no size of the family; allowed: {}", names.join(", "))
        })
    };
    only.iter().map(find).collect()
}

fn models(arguments: Models) -> Result<()> {
    // before anything starts a thread
    bantam_host::settle_for_training();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if arguments.threads == Some(0) || arguments.tokens == Some(0) {
        bail!("--threads and --tokens are at least 1");
    }
    let build = Build {
        work: arguments.out.join(".build"),
        out: arguments.out,
        sizes: sizes(&arguments.only)?,
        threads: arguments.threads.unwrap_or_else(cores),
        tokens: arguments.tokens,
        checkpoint_every: CHECKPOINT,
    };
    let cancel = Cancel::new();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // the second one ends the program
        signal_hook::flag::register_conditional_shutdown(signal, 130, cancel.flag())?;
        signal_hook::flag::register(signal, cancel.flag())?;
    }
    let mut told: Option<Instant> = None;
    let finished = models::build(&build, &cancel, &mut |size, p| {
        if told.is_none_or(|at| at.elapsed() >= TELL) {
            told = Some(Instant::now());
            let done = p.tokens as f64 / p.total_tokens as f64 * 100.0;
            eprintln!(
                "{}: {done:.1}% of {:.1} M tokens, loss {:.3}, rate {:.1e}, {:.0} tokens/s, about {} left",
                size.name,
                p.total_tokens as f64 / 1e6,
                p.loss,
                p.rate,
                p.tokens_per_second,
                Seconds(p.left.as_secs_f64()),
            );
        }
    })?;
    match finished {
        true => println!("{}", build.out.display()),
        false => eprintln!("stopped; the same command goes on from here"),
    }
    Ok(())
}

fn suites(out: &Path) -> Result<()> {
    corpus::write_suites(out).with_context(|| format!("writing the suites to {}", out.display()))?;
    println!("{}", out.display());
    Ok(())
}

/// Prints what was written.
fn told(written: Result<Vec<PathBuf>>) -> Result<()> {
    for path in written? {
        println!("{}", path.display());
    }
    Ok(())
}

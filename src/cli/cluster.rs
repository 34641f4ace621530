//! One run on many machines: `bantam plan --emit` writes its trials as files, `bantam trial run` does one, `bantam merge` puts the
//! results together.

use super::args::Common;
use super::progress::Printer;
use super::run::{print_advice, print_file, print_groups, print_json};
use super::{Exit, run as headless, stop, usage};
use crate::run::emit::{self, Scheduler};
use crate::run::lock::Lock;
use crate::run::spec::{Ended, Spec};
use crate::run::{self, Workplace, merge};
use crate::show::out::{self, note, say};
use anyhow::{Context, Result};
use bantam_core::unit::counted;
use bantam_verdict::report;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// Profile file, or the name of a bundled one
    pub profile: PathBuf,
    /// For whom: an array job of Slurm, a command of GNU parallel over ssh, or a job of HyperQueue
    #[arg(long, value_name = "SCHEDULER")]
    pub emit: Scheduler,
    /// Folder for the plan, a spec for each trial, the job and the results [default: NAME-plan]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Plan though something is not what the lock beside the profile pins
    #[arg(long)]
    pub ignore_lock: bool,
    /// Fetch nothing: models and data of the hub have to be here
    #[arg(long)]
    pub offline: bool,
    /// No progress lines
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrialArgs {
    #[command(subcommand)]
    pub command: TrialCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrialCommand {
    /// Do the trial of a spec, unless its result is there
    Run {
        /// A file below specs/ of a plan's folder
        spec: PathBuf,
        /// Folder for the result, which is there whole or not at all
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Fetch nothing: a model of the hub has to be here
        #[arg(long)]
        offline: bool,
        /// No progress lines
        #[arg(long, short)]
        quiet: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The plan's folder, and folders of results that lie elsewhere
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Take the speeds of this class of machine, by the beginning of its id [default: the one that timed most trials]
    #[arg(long, value_name = "ID")]
    pub class: Option<String>,
    /// Folder for the report
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Only the advice
    #[arg(long, short)]
    pub quiet: bool,
}

pub(super) fn plan(args: PlanArgs) -> Result<Exit> {
    usage::is_profile(&args.profile)?;
    let profile = run::profile_offline_if(&args.profile, args.offline)?;
    let cancel = stop::on_signals()?;
    let how = Common { json: false, fresh: false, offline: args.offline, quiet: args.quiet };
    let mut workplace = Workplace::open()?;
    let plan = headless::planned(&profile, &mut workplace, &how, &cancel)?;
    if let (false, Some(lock)) = (args.ignore_lock, Lock::read_beside(&args.profile)?) {
        lock.check(&plan, &profile)?;
    }
    plan.run.left_out.iter().for_each(|pair| note!("{pair}"));
    plan.notes.iter().for_each(|doubt| note!("warning: {doubt}"));
    let folder = args.out.unwrap_or_else(|| PathBuf::from(format!("{}-plan", profile.name)));
    let written = emit::emit(&plan, &profile, args.emit, &folder)?;
    if !args.quiet {
        note!("{} in {}", counted(written.files.len(), "file"), folder.display());
    }
    for (what, command) in &written.next {
        say!("{what}")?;
        say!("  {command}")?;
    }
    Ok(Exit::Done)
}

pub(super) fn trial(args: TrialArgs) -> Result<Exit> {
    let TrialCommand::Run { spec, out, offline, quiet } = args.command;
    let spec = Spec::read(&spec)?;
    std::fs::create_dir_all(&out).with_context(|| format!("--out {}: cannot be made", out.display()))?;
    let cancel = stop::on_signals()?;
    // of the hub what is not here is fetched, as a run does
    let named = spec.as_profile();
    let how = Common { json: false, fresh: false, offline, quiet };
    headless::fetched(&named, &how, &cancel)?;
    let mut printer = Printer::new(quiet);
    let label = format!("{} of {}", spec.trial.ask.label(), spec.trial.variant.label());
    let (done, found) = match spec.run(&out, &mut printer, &cancel)? {
        Ended::Cancelled => return Ok(Exit::Interrupted),
        Ended::Found(done) => (done, true),
        Ended::Done(done) => (done, false),
    };
    if let Err(failure) = &done.outcome.result {
        note!("{label}: {}", failure.sentence());
        return Ok(Exit::SomeFailed);
    }
    if found && !quiet {
        note!("{label}: was done before");
    }
    out::path(&spec.result(&out))?;
    Ok(Exit::Done)
}

pub(super) fn merge(args: MergeArgs) -> Result<Exit> {
    let mut workplace = Workplace::open()?;
    let merged = merge::merge(&args.folders, args.class.as_deref(), &mut workplace)?;
    if !args.quiet {
        for host in &merged.hosts {
            let speeds = if host.gives_speeds { ", whose speeds count" } else { "" };
            note!("{} by class {} ({}){speeds}", counted(host.trials, "trial"), host.id, host.words);
        }
        merged.notes.iter().for_each(|doubt| note!("note: {doubt}"));
    }
    for trial in &merged.missing {
        note!("missing: {} of {} (trial {})", trial.ask.label(), trial.variant.label(), trial.id);
    }
    let done = merge::decided(&merged, &workplace)?;
    if let Some(folder) = &args.out {
        report::write(&done.report(&workplace.store)?, folder)?;
        if !args.quiet {
            note!("report: {}", folder.join("report.html").display());
        }
    }
    if args.json {
        print_json(&done)?;
    } else {
        print_groups(&done)?;
        print_advice(&done.words(), args.out.as_deref())?;
        print_file(&done)?;
    }
    Ok(match merged.missing.is_empty() {
        true => headless::exit(&done),
        false => Exit::SomeFailed,
    })
}

//! `bantam run PROFILE`: the whole loop, headless.

use super::args::{Common, Run};
use super::live::during;
use super::progress::Printer;
use super::pull::painted;
use super::{Exit, groups, stop, usage};
use crate::run::lock::Lock;
use crate::run::plan::Plan;
use crate::run::{self, Done, Workplace, fetch};
use crate::show::counted;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::profile::Profile;
use bantam_core::record::{self, LeftOut};
use bantam_core::text;
use bantam_hub::Settings;
use bantam_verdict::recommend::advice::Conclusion;
use bantam_verdict::recommend::advice::words::Words;
use bantam_verdict::report;
use std::io::Write;
use std::path::Path;

pub(super) fn run(args: Run) -> Result<Exit> {
    usage::is_profile(&args.profile)?;
    let profile = run::profile_offline_if(&args.profile, args.common.offline)?;
    if let Some(folder) = &args.out {
        // better now than after the run
        std::fs::create_dir_all(folder).with_context(|| format!("--out {}: cannot be made", folder.display()))?;
    }
    let lock = if args.ignore_lock { None } else { Lock::read_beside(&args.profile)? };
    let done = execute_locked(&profile, lock.as_ref(), &args.common)?;
    if let Some(folder) = &args.out {
        let store = Workplace::open()?.store;
        let write = || report::write(&done.report(&store)?, folder);
        let written = during(args.common.quiet, "writing the report", write)?;
        if !args.common.quiet {
            note!("report: {} ({})", folder.join("report.html").display(), counted(written.len(), "file"));
        }
    }
    if args.common.json {
        print_json(&done)?;
    } else {
        print_groups(&done)?;
        print_advice(&done.words(), args.out.as_deref())?;
        super::compare::print_losses(&done.advice)?;
        print_file(&done)?;
    }
    Ok(exit(&done))
}

/// Fetches what a profile names of the hub and is not here, plans and does it with progress on stderr; Ctrl-C stops it,
/// what is finished is kept.
pub(super) fn execute(profile: &Profile, how: &Common) -> Result<Done> {
    execute_locked(profile, None, how)
}

/// Does the same, unless something is not what a lock pins.
pub(super) fn execute_locked(profile: &Profile, lock: Option<&Lock>, how: &Common) -> Result<Done> {
    let cancel = stop::on_signals()?;
    let mut workplace = Workplace::open()?;
    let plan = planned(profile, &mut workplace, how, &cancel)?;
    if let Some(lock) = lock {
        lock.check(&plan, profile)?;
    }
    // a model that was asked for and is not there at all is said to who wants quiet, too
    let said = plan.run.left_out.iter().filter(|pair| !how.quiet || is_gone(&plan.run, pair));
    said.for_each(|pair| note!("{pair}"));
    // of all warnings the one that turns the meaning of the scores, so that even who wants quiet hears it
    for doubt in &plan.notes {
        note!("warning: {doubt}");
    }
    let mut printer = Printer::new(how.quiet);
    run::execute(&plan, profile, &mut workplace, &mut [&mut printer], &cancel)
}

/// Fetches what a profile names of the hub and is not here.
pub(super) fn fetched(profile: &Profile, how: &Common, cancel: &Cancel) -> Result<()> {
    let missing = fetch::missing(profile)?;
    if !missing.is_empty() {
        let settings = Settings::from_env()?.offline_if(how.offline);
        painted(how.quiet, &|say| fetch::fetch(&missing, settings.clone(), cancel, say))?;
    }
    Ok(())
}

/// Fetches what is missing of the hub, and plans.
pub(super) fn planned(profile: &Profile, workplace: &mut Workplace, how: &Common, cancel: &Cancel) -> Result<Plan> {
    fetched(profile, how, cancel)?;
    // models are read whole to identify them, which may take minutes
    let read = || run::plan(profile, workplace, how.fresh);
    stop::at_once(cancel, || during(how.quiet, "reading the models and suites", read))
}

pub(super) fn print_json(done: &Done) -> Result<()> {
    let mut json = Vec::new();
    report::print_json(&done.whole_page(&Workplace::open()?.store)?, &mut json).context("printing the results")?;
    let text = String::from_utf8_lossy(&json);
    out::stdout().write_all(text::json(&text).as_bytes()).context("printing the results")
}

/// Who qualifies, who cannot be told and who is out, before anything is said of it.
pub(super) fn print_groups(done: &Done) -> Result<()> {
    if done.advice.summaries.len() < 2 || done.stopped().is_some() {
        return Ok(());
    }
    say!()?;
    groups::table(&done.advice, Some(groups::TOLD)).print(&mut out::stdout())?;
    say!("{}", groups::LEGEND)?;
    Ok(())
}

/// The advice and what it rests on, on stdout.
pub(super) fn print_advice(words: &Words, out: Option<&Path>) -> Result<()> {
    say!()?;
    say!("{}", words.title)?;
    say!()?;
    for line in &words.lines {
        say!("{line}")?;
    }
    for evidence in words.evidence.iter().filter(|e| !e.lines.is_empty() && e.lines.len() <= 12) {
        say!()?;
        say!("{}", evidence.title)?;
        for line in &evidence.lines {
            say!("  {line}")?;
        }
    }
    if out.is_none() {
        say!()?;
        say!("`--out DIR` writes the whole report with all comparisons and charts.")?;
    }
    Ok(())
}

/// Where the file of what is advised is, and how to run it.
pub(super) fn print_file(done: &Done) -> Result<()> {
    let Some(file) = done.file.as_ref().filter(|_| done.words().found) else { return Ok(()) };
    say!()?;
    say!("{}.", file.sentence())?;
    for (what, command) in &file.commands {
        say!("  {what} {command}")?;
    }
    Ok(())
}

/// Whether nothing at all is measured of a model that the profile names.
fn is_gone(run: &record::Run, pair: &LeftOut) -> bool {
    run.trials.iter().all(|trial| trial.variant.model.name != pair.model)
}

/// What the run's end means to a script.
pub(super) fn exit(done: &Done) -> Exit {
    match (&done.advice.conclusion, done.stopped()) {
        (_, Some(_)) => Exit::Interrupted,
        _ if done.advice.failed_trials() > 0 => Exit::SomeFailed,
        _ if done.run.left_out.iter().any(|pair| is_gone(&done.run, pair)) => Exit::SomeFailed,
        (Conclusion::Advised { .. }, _) => Exit::Done,
        _ => Exit::NothingFits,
    }
}

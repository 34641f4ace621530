//! `bantam run PROFILE`: the whole loop, headless.

use super::args::{Common, Run};
use super::progress::Printer;
use super::pull::{pull, pull_data};
use super::{Exit, stop};
use crate::run::{self, Done, Workplace};
use crate::show::out::{self, note};
use anyhow::{Context, Result};
use bantam_core::profile::Profile;
use bantam_hub::{Settings, Want};
use bantam_verdict::recommend::advice::words::words;
use bantam_verdict::recommend::advice::{Advice, Conclusion};
use bantam_verdict::report;
use std::io::Write;
use std::path::Path;

pub fn run(args: Run) -> Result<Exit> {
    let profile = run::profile(&args.profile)?;
    if let Some(folder) = &args.out {
        // better now than after the run
        std::fs::create_dir_all(folder).with_context(|| format!("--out {}: cannot be made", folder.display()))?;
    }
    let done = execute(&profile, &args.common)?;
    if let Some(folder) = &args.out {
        let written = report::write(&report::page(&done.run, &done.rows, &done.advice), folder)?;
        if !args.common.quiet {
            note!("report: {} ({} files)", folder.join("report.html").display(), written.len());
        }
    }
    if args.common.json {
        print_json(&done)?;
    } else {
        print_advice(&done.advice, args.out.as_deref())?;
    }
    Ok(exit(&done))
}

/// Fetches what a profile names of the hub and is not here, plans and does it with progress on stderr; Ctrl-C stops it,
/// what is finished is kept.
pub fn execute(profile: &Profile, how: &Common) -> Result<Done> {
    let cancel = stop::on_signals()?;
    let mut workplace = Workplace::open()?;
    // data first: it is small, and a suite that cannot be read is told before a model is fetched
    for data in run::data_to_fetch(profile)? {
        pull_data(&data, Settings::from_env()?.offline_if(how.offline), how.quiet, &cancel)?;
    }
    for name in run::models_to_fetch(profile) {
        let pulled = pull(&name, &Want::default(), Settings::from_env()?.offline_if(how.offline), how.quiet, &cancel);
        pulled.with_context(|| format!("'{name}' is no folder and no model here"))?;
    }
    let plan = run::plan(profile, &mut workplace, how.fresh)?;
    let mut printer = Printer::new(how.quiet);
    run::execute(&plan, profile, &mut workplace, &mut [&mut printer], &cancel)
}

pub fn print_json(done: &Done) -> Result<()> {
    let page = report::page(&done.run, &done.rows, &done.advice);
    report::print_json(&page, &mut out::stdout()).context("printing the results")
}

/// The advice and what it rests on, on stdout.
fn print_advice(advice: &Advice, out: Option<&Path>) -> Result<()> {
    let words = words(advice);
    let mut stdout = out::stdout();
    writeln!(stdout, "\n{}\n", words.title)?;
    for line in &words.lines {
        writeln!(stdout, "{line}")?;
    }
    for evidence in words.evidence.iter().filter(|e| !e.lines.is_empty() && e.lines.len() <= 12) {
        writeln!(stdout, "\n{}", evidence.title)?;
        for line in &evidence.lines {
            writeln!(stdout, "  {line}")?;
        }
    }
    if out.is_none() {
        writeln!(stdout, "\n`--out DIR` writes the whole report with all comparisons and charts.")?;
    }
    Ok(())
}

/// What the run's end means to a script.
pub fn exit(done: &Done) -> Exit {
    match (&done.advice.conclusion, done.cancelled) {
        (_, true) => Exit::Interrupted,
        _ if done.advice.failed_trials() > 0 => Exit::SomeFailed,
        (Conclusion::Advised { .. }, _) => Exit::Done,
        _ => Exit::NothingFits,
    }
}

//! `bantam [PROFILE]`: the workbench; without a terminal, the same run headless.

use super::args::{Common, Run, Workbench};
use super::{Exit, run as headless, usage};
use crate::library::config;
use crate::library::home::Home;
use crate::run;
use crate::show::out::note;
use crate::tui::{self, Look};
use anyhow::Result;
use bantam_verdict::store::Store;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

/// Whether nothing was measured here yet; a store alone says nothing, for looking around makes one.
fn is_new() -> bool {
    let Ok(home) = Home::find() else { return false };
    !home.store().exists()
        || Store::open(&home.store()).is_ok_and(|store| store.runs().is_ok_and(|runs| runs.is_empty()))
}

pub(super) fn run(args: Workbench) -> Result<Exit> {
    // nothing was named and nothing was ever measured here: somebody begins
    let begin = args.profile.is_none() && is_new();
    let profile = args.profile.unwrap_or_else(|| PathBuf::from("quickstart"));
    usage::is_profile(&profile)?;
    let term = std::env::var("TERM").unwrap_or_default();
    let draws = tui::draws_on(&term);
    if io::stdout().is_terminal() && !draws {
        note!("TERM={term} is a terminal that the workbench cannot be drawn on: this is the same run in lines");
    }
    if io::stdout().is_terminal() && io::stdin().is_terminal() && draws {
        // what is wrong with the file is said here, with its exit code, and not on a page that can do nothing about it
        run::profile(&profile)?;
        let mouse = !args.no_mouse && super::config::with_mouse(config::settled());
        tui::run(profile, Look { theme: args.theme, mouse, begin })?;
        return Ok(Exit::Done);
    }
    // a terminal that cannot be drawn on gets lines, as a pipe does
    headless::run(Run {
        profile,
        out: None,
        ignore_lock: false,
        common: Common {
            json: false,
            fresh: false,
            offline: config::settled().offline.as_ref().is_some_and(|given| given.value),
            quiet: config::settled().quiet.as_ref().is_some_and(|given| given.value),
        },
    })
}

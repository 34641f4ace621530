//! `bantam [PROFILE]`: the workbench; without a terminal, the same run headless.

use super::args::{Common, Run};
use super::{Exit, run as headless, usage};
use crate::tui;
use anyhow::Result;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

pub(super) fn run(profile: Option<PathBuf>) -> Result<Exit> {
    let profile = profile.unwrap_or_else(|| PathBuf::from("quickstart"));
    usage::is_profile(&profile)?;
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        tui::run(profile)?;
        return Ok(Exit::Done);
    }
    headless::run(Run {
        profile,
        out: None,
        common: Common { json: false, fresh: false, offline: false, quiet: false },
    })
}

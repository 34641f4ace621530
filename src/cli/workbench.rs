//! `bantam [PROFILE]`: the workbench; without a terminal, the same run headless.

use super::args::{Common, Run, Workbench};
use super::{Exit, run as headless, usage};
use crate::tui::{self, Look};
use anyhow::Result;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

pub(super) fn run(args: Workbench) -> Result<Exit> {
    let profile = args.profile.unwrap_or_else(|| PathBuf::from("quickstart"));
    usage::is_profile(&profile)?;
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        let off = std::env::var_os("BANTAM_MOUSE").is_some_and(|value| value == "0");
        tui::run(profile, Look { theme: args.theme, mouse: !args.no_mouse && !off })?;
        return Ok(Exit::Done);
    }
    headless::run(Run {
        profile,
        out: None,
        common: Common { json: false, fresh: false, offline: false, quiet: false },
    })
}

//! `bantam completions SHELL`

use super::Exit;
use super::args::{Args, Completions, Shell};
use crate::show::out;
use anyhow::{Context, Result};
use clap::CommandFactory;
use std::io::Write;

pub(super) fn run(args: Completions) -> Result<Exit> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "bantam", &mut script);
    out::stdout().write_all(&script).context("printing the completions")?;
    Ok(Exit::Done)
}

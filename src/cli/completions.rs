//! `bantam completions SHELL`

use super::Exit;
use super::args::{Args, Completions, Shell};
use anyhow::Result;
use clap::CommandFactory;
use std::io::Write;

pub fn run(args: Completions) -> Result<Exit> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "bantam", &mut script);
    // a reader that has seen enough (`| head`) is no fault
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Done)
}

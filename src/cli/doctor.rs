//! `bantam doctor`: this host, its meters, and what makes numbers doubtful here.

use super::Exit;
use super::args::Doctor;
use crate::run::engine;
use crate::show::out::{self, say};
use anyhow::{Context, Result};
use bantam_host::doctor::doctor;

pub(super) fn run(args: Doctor) -> Result<Exit> {
    let found = doctor();
    let engine = engine::here();
    if args.json {
        let mut json = serde_json::to_value(&found).context("printing the examination")?;
        json["engine"] = serde_json::to_value(&engine).context("printing the examination")?;
        out::pretty_json(&json)?;
        return Ok(Exit::Done);
    }
    say!("Host")?;
    for (name, value) in found.card.lines() {
        say!("  {name:<18} {value}")?;
    }
    say!("  {:<18} {engine}", "engine")?;
    say!()?;
    say!("Energy meters")?;
    for meter in &found.meters {
        say!("  ✓ {}: moves plausibly, {} under full load", meter.meter.name, meter.watts)?;
    }
    for refused in &found.refused {
        say!("  ✗ {}", refused.reason)?;
    }
    if found.meters.is_empty() {
        say!("  → energy will be shown as not available; `tdp_watts` in a profile gives an estimate, labelled so")?;
    }
    list("What makes numbers doubtful here", found.warnings.iter().map(|w| w.text.as_str()), "nothing was seen")?;
    list("What would make it faster", found.hints.iter().map(String::as_str), "nothing was found")?;
    Ok(Exit::Done)
}

fn list<'a>(title: &str, lines: impl Iterator<Item = &'a str>, none: &str) -> Result<()> {
    say!()?;
    say!("{title}")?;
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        say!("  {none}")?;
    }
    for line in lines {
        say!("  ! {line}")?;
    }
    Ok(())
}

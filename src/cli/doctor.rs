//! `bantam doctor`: this host, its meters, and what makes numbers doubtful here.

use super::Exit;
use super::args::Doctor;
use crate::run::engine;
use anyhow::{Context, Result};
use bantam_host::doctor::doctor;

pub fn run(args: Doctor) -> Result<Exit> {
    let found = doctor();
    let engine = engine::here();
    if args.json {
        let mut json = serde_json::to_value(&found).context("printing the examination")?;
        json["engine"] = serde_json::to_value(&engine).context("printing the examination")?;
        println!("{}", serde_json::to_string_pretty(&json).context("printing the examination")?);
        return Ok(Exit::Done);
    }
    println!("Host");
    for (name, value) in found.card.lines() {
        println!("  {name:<18} {value}");
    }
    println!("  {:<18} {engine}", "engine");
    println!("\nEnergy meters");
    for meter in &found.meters {
        println!("  ✓ {}: moves plausibly, {} under full load", meter.meter.name, meter.watts);
    }
    for refused in &found.refused {
        println!("  ✗ {}", refused.reason);
    }
    if found.meters.is_empty() {
        println!("  → energy will be shown as not available; `tdp_watts` in a profile gives an estimate, labelled so");
    }
    list("What makes numbers doubtful here", found.doubts.iter().map(|w| w.text.as_str()), "nothing was seen");
    list("What would make it faster", found.hints.iter().map(String::as_str), "nothing was found");
    Ok(Exit::Done)
}

fn list<'a>(title: &str, lines: impl Iterator<Item = &'a str>, none: &str) {
    println!("\n{title}");
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        println!("  {none}");
    }
    for line in lines {
        println!("  ! {line}");
    }
}

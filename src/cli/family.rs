//! `bantam family`: what is bundled, and how to make it again.

use super::args::{Family, FamilyBuild, FamilyCommand};
use super::table::Table;
use super::{Exit, stop};
use crate::family::{self, Build, SIZES, Size};
use crate::profile::BUNDLED;
use crate::suite;
use crate::train;
use crate::unit::{Bytes, Seconds};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const CHECKPOINT: Duration = Duration::from_secs(60);
const TELL: Duration = Duration::from_secs(5);

pub fn run(args: Family) -> Result<Exit> {
    match args.command {
        FamilyCommand::List { json } => list(json),
        FamilyCommand::Build(args) => build(args),
        FamilyCommand::Suites { out } => suites(&out),
        FamilyCommand::Export { model, out } => export(&model, &out),
    }
}

fn list(as_json: bool) -> Result<Exit> {
    let models: Vec<(&str, Bytes)> =
        family::embedded().iter().map(|m| (m.name, Bytes(m.files.iter().map(|f| f.data.len() as u64).sum()))).collect();
    let suites: Vec<&str> = suite::bundled().collect();
    let profiles: Vec<&str> = BUNDLED.iter().map(|(name, _)| *name).collect();
    if as_json {
        let models: Vec<_> = models.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect();
        println!("{}", json!({ "models": models, "suites": suites, "profiles": profiles }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new().text("bundled").text("name").number("size");
    for (name, bytes) in models {
        table.row(vec!["model".into(), name.into(), bytes.to_string()]);
    }
    for (kind, names) in [("suite", suites), ("profile", profiles)] {
        for name in names {
            table.row(vec![kind.into(), name.into(), String::new()]);
        }
    }
    table.print(&mut io::stdout().lock()).context("printing the table")?;
    Ok(Exit::Done)
}

fn sizes(only: &[String]) -> Result<Vec<&'static Size>> {
    if only.is_empty() {
        return Ok(SIZES.iter().collect());
    }
    let find = |name: &String| {
        Size::named(name).with_context(|| {
            let names: Vec<&str> = SIZES.iter().map(|s| s.name).collect();
            format!("--only: '{name}' is no size of the family; allowed: {}", names.join(", "))
        })
    };
    only.iter().map(find).collect()
}

fn build(args: FamilyBuild) -> Result<Exit> {
    // SAFETY: the command has just been read; nothing has started a thread
    unsafe { train::settle_process() };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if args.threads == Some(0) || args.tokens == Some(0) {
        bail!("--threads and --tokens are at least 1");
    }
    let build = Build {
        work: args.out.join(".build"),
        out: args.out,
        sizes: sizes(&args.only)?,
        threads: args.threads.unwrap_or_else(cores),
        tokens: args.tokens,
        checkpoint_every: CHECKPOINT,
    };
    let cancel = stop::on_signals()?;
    let mut told: Option<Instant> = None;
    let finished = family::build(&build, &cancel, &mut |size, p| {
        if told.is_none_or(|at| at.elapsed() >= TELL) {
            told = Some(Instant::now());
            let done = p.tokens as f64 / p.total_tokens as f64 * 100.0;
            eprintln!(
                "{}: {done:.1}% of {:.1} M tokens, loss {:.3}, rate {:.1e}, {:.0} tokens/s, about {} left",
                size.name,
                p.total_tokens as f64 / 1e6,
                p.loss,
                p.rate,
                p.tokens_per_second,
                Seconds(p.left.as_secs_f64()),
            );
        }
    })?;
    if !finished {
        eprintln!("stopped; the same command goes on from here");
        return Ok(Exit::Interrupted);
    }
    println!("{}", build.out.display());
    Ok(Exit::Done)
}

fn suites(out: &Path) -> Result<Exit> {
    family::corpus::write_suites(out).with_context(|| format!("writing the suites to {}", out.display()))?;
    println!("{}", out.display());
    Ok(Exit::Done)
}

fn export(model: &str, out: &Path) -> Result<Exit> {
    let Some(bundled) = family::embedded().iter().find(|m| m.name == model) else {
        let names: Vec<&str> = family::embedded().iter().map(|m| m.name).collect();
        bail!("'{model}' is not bundled; there are {}", names.join(", "));
    };
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    for file in &bundled.files {
        let path = out.join(file.name);
        std::fs::write(&path, file.data).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{}", out.display());
    Ok(Exit::Done)
}

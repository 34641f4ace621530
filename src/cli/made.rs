//! `bantam verify FILE --base MODEL`: what a file says of how it was made is done again, and what comes out is held against the
//! file, tensor by tensor.

use super::live::LiveLine;
use super::{Exit, stop, train};
use crate::library::home::Home;
use crate::library::models;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, bail};
use bantam_core::unit::counted;
use bantam_lab::verify::{self, Verified};
use bantam_lab::{Progress, Stage};
use serde_json::json;
use std::path::PathBuf;

/// Tensors and keys that are named; `--json` has all.
const NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A GGUF file that bantam made
    pub file: PathBuf,
    /// The model that it was made of: bundled, a folder, a .gguf file or ORG/NAME[@REVISION] of the hub
    #[arg(long, value_name = "MODEL")]
    pub base: String,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

pub(super) fn run(args: VerifyArgs) -> Result<Exit> {
    // a step may train
    train::settle(None)?;
    let found = models::find(&args.base)?;
    let source = models::unpacked(&found.name, &found.place)?;
    let artifacts = Home::find()?.artifacts();
    std::fs::create_dir_all(&artifacts).with_context(|| format!("{}: cannot make the folder", artifacts.display()))?;
    let cancel = stop::on_signals()?;
    let live = LiveLine::logged();
    let mut show = |progress: Progress| {
        if let (Stage::Write { tensor, .. }, false) = (progress.stage, args.quiet) {
            live.show(|| format!("making it again: {:>3}% {tensor}", progress.done * 100 / progress.total.max(1)));
        }
    };
    let verified = verify::verify(&args.file, source, &artifacts, &cancel, &mut show);
    live.clear();
    let verified = match verified {
        Err(_) if cancel.is_cancelled() => {
            note!("stopped; nothing is verified");
            return Ok(Exit::Interrupted);
        }
        verified => verified?,
    };
    let file = args.file.display();
    if args.json {
        out::pretty_json(&json!({
            "schema": "bantam.verify/1",
            "file": args.file, "holds": verified.holds(), "base": verified.base, "is_its_base": verified.is_its_base,
            "made": verified.made, "tensors": verified.tensors, "keys_differ": verified.keys_differ,
            "tensors_differ": verified.tensors_differ.iter().map(|(name, how)| json!({ "tensor": name, "how": how })).collect::<Vec<_>>(),
        }))?;
    }
    if !verified.holds() {
        let what = if verified.is_its_base { "is not what it says" } else { "cannot be verified" };
        bail!("{file}: {what}: {}", faults(&verified, &args.base));
    }
    if !args.json {
        say!(
            "{file}: made again of {}, {} and all that is said beside them are the same to the byte",
            args.base,
            counted(verified.tensors, "tensor")
        )?;
        say!("  base    {}{}", verified.base, commit(&verified))?;
        for link in &verified.made {
            say!("  recipe  {} (bantam {})", steps(&link.recipe), link.bantam)?;
        }
    }
    Ok(Exit::Done)
}

/// The steps of a recipe in a line.
fn steps(recipe: &str) -> String {
    recipe.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn commit(verified: &Verified) -> String {
    let link = verified.made.iter().find(|link| link.base == verified.base);
    let named = link.map(|link| match &link.commit {
        Some(commit) => format!(" ({}, commit {commit})", link.name),
        None => format!(" ({})", link.name),
    });
    named.unwrap_or_default()
}

/// What does not hold, in clauses.
fn faults(verified: &Verified, base: &str) -> String {
    let mut clauses = Vec::new();
    if let (false, Some(first)) = (verified.is_its_base, verified.made.first()) {
        let commit = first.commit.as_ref().map_or_else(String::new, |commit| format!(", commit {commit}"));
        clauses.push(format!(
            "it was made of {} ({}…{commit}), and {base} is another model or was changed ({}…)",
            first.name,
            &first.base[..first.base.len().min(16)],
            &verified.base[..16]
        ));
    }
    let tensors: Vec<String> =
        verified.tensors_differ.iter().take(NAMED).map(|(name, how)| format!("weight {name} {how}")).collect();
    clauses.extend(tensors);
    if verified.tensors_differ.len() > NAMED {
        clauses.push(format!("{} more", counted(verified.tensors_differ.len() - NAMED, "weight")));
    }
    let keys: Vec<&str> = verified.keys_differ.iter().take(NAMED).map(String::as_str).collect();
    if !keys.is_empty() {
        clauses.push(format!("the metadata differs in {}", keys.join(", ")));
    }
    clauses.join("; ")
}

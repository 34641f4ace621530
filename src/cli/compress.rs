//! `bantam compress MODEL --quant TYPE`: a compressed model as a GGUF file that other tools load.

use super::args::Compress;
use super::live::LiveLine;
use super::{Exit, stop};
use crate::library::models;
use crate::run::Workplace;
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, ensure};
use bantam_core::disk::Draft;
use bantam_core::unit::Bytes;
use bantam_lab::{self as lab, Artifact, Plan, Recipe, Stage};
use serde_json::json;
use std::io::{self};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) fn run(args: Compress) -> Result<Exit> {
    let recipe = match (&args.quant, &args.recipe) {
        (Some(name), _) => Recipe::named(name)?,
        (None, Some(file)) => Recipe::read(file)?,
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let found = models::find(&args.model)?;
    let source = models::source(&found.name, &found.place)?;
    let plan = lab::plan_types(&source, &recipe)?;
    if args.dry_run {
        return dry(&plan, args.json);
    }
    let out = args.out.unwrap_or_else(|| PathBuf::from(format!("{}-{}.gguf", found.name, recipe.name)));
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: there is no such folder to write into", folder.display());
    let cancel = stop::on_signals()?;
    let home = Workplace::open()?.home;
    let begun = Instant::now();
    let live = LiveLine::new();
    let artifact = lab::apply(&source, &recipe, &home.artifacts(), &cancel, &mut |p| {
        if let Stage::Write { tensor, kind } = p.stage {
            live.show(|| format!("{:>3}% {tensor} → {kind}", p.done * 100 / p.total.max(1)));
        }
    });
    live.clear();
    if cancel.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let artifact = artifact?;
    copy(&artifact.path, &out)?;
    tell(&artifact, &plan, &out, begun.elapsed().as_secs_f64(), args.json).context("printing the result")?;
    for note in source.notes() {
        note!("note: {note}");
    }
    Ok(Exit::Done)
}

/// The artifact at the place asked for: whole or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot write {}", to.display());
    let mut draft = Draft::of(to).with_context(failed)?;
    let mut source = std::fs::File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    io::copy(&mut source, &mut draft).with_context(failed)?;
    draft.finish().with_context(failed)
}

fn tell(artifact: &Artifact, plan: &Plan, file: &Path, seconds: f64, as_json: bool) -> io::Result<()> {
    if as_json {
        let line = json!({
            "file": file,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256,
            "bits_per_weight": plan.bits_per_weight(),
            "seconds": seconds,
            "found": artifact.found,
        });
        return out::json(&line);
    }
    let how = if artifact.found { "was made before".to_owned() } else { format!("made in {seconds:.1} s") };
    say!("{}: {}, {:.2} bits a weight, {how}", file.display(), Bytes(artifact.bytes), plan.bits_per_weight())
}

fn dry(plan: &Plan, as_json: bool) -> Result<Exit> {
    if as_json {
        let tensors: Vec<_> = plan
            .tensors
            .iter()
            .map(|t| json!({ "name": t.name, "type": t.kind.to_string(), "bytes": t.bytes() }))
            .collect();
        out::json(&json!({ "bytes": plan.bytes, "bits_per_weight": plan.bits_per_weight(), "tensors": tensors }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new().text("tensor").text("type").number("size");
    for tensor in &plan.tensors {
        table.row(vec![tensor.name.clone(), tensor.kind.to_string(), Bytes(tensor.bytes()).to_string()]);
    }
    table.print(&mut out::stdout()).context("printing the table")?;
    say!("{}, {:.2} bits a weight", Bytes(plan.bytes), plan.bits_per_weight())?;
    Ok(Exit::Done)
}

//! `bantam ship RUN|MODEL --out DIR`: what is chosen, made ready for llama.cpp, Ollama and LM Studio.

use super::Exit;
use super::args::Ship;
use crate::library::models;
use crate::package::{Chosen, Wishes};
use crate::run::{self, Workplace};
use crate::show::out::{self, note, say};
use anyhow::{Context, Result};
use bantam_bundled::profiles;
use serde_json::json;
use std::path::Path;

pub(super) fn run(args: Ship) -> Result<Exit> {
    let chosen = chosen(&args.what)?;
    let wishes = Wishes { context: args.ctx, copy: args.copy, force: args.force };
    let packed = chosen.pack(&args.out, &wishes)?;
    if args.json {
        let commands: Vec<_> =
            packed.commands.iter().map(|(what, command)| json!({ "what": what, "command": command })).collect();
        out::json(&json!({
            "name": chosen.name, "model": chosen.file, "files": packed.files, "commands": commands, "notes": packed.notes,
        }))?;
        return Ok(Exit::Done);
    }
    say!("{} is at {}", chosen.name, chosen.file.display())?;
    for (what, command) in &packed.commands {
        say!("  {what} {command}")?;
    }
    for file in &packed.files {
        out::path(file)?;
    }
    for note in &packed.notes {
        note!("note: {note}");
    }
    Ok(Exit::Done)
}

/// A file or folder is a model, or the profile of a run; any other word a run's name or id first, a model's then.
fn chosen(what: &str) -> Result<Chosen> {
    let path = Path::new(what);
    let advised = |name: &str| Chosen::advised(&run::stored(name, &Workplace::open()?)?);
    if path.extension().is_some_and(|ending| ending == "toml") {
        return advised(&run::profile(path)?.name);
    }
    if path.exists() {
        return Chosen::named(&models::find(what)?);
    }
    if profiles::text(what).is_some() {
        return advised(what);
    }
    match models::find(what) {
        Ok(found) => Chosen::named(&found),
        Err(no_model) => advised(what).with_context(|| format!("{what} is no model ({no_model})")),
    }
}

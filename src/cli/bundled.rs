//! `bantam bundled`: what is inside this binary.

use super::Exit;
use super::args::{Bundled, BundledCommand};
use crate::show::Table;
use crate::show::out;
use anyhow::{Context, Result, bail};
use bantam_bundled::models::embedded;
use bantam_bundled::{profiles, suites};
use bantam_core::meant::meant_words;
use bantam_core::unit::Bytes;
use bantam_core::{disk, output};
use serde_json::json;
use std::path::Path;

pub(super) fn run(args: Bundled) -> Result<Exit> {
    match args.command {
        BundledCommand::List { json } => list(json),
        BundledCommand::Export { model, out } => export(&model, &out),
    }
}

fn list(as_json: bool) -> Result<Exit> {
    let models: Vec<(&str, Bytes)> =
        embedded().iter().map(|m| (m.name, Bytes(m.files.iter().map(|f| f.data.len() as u64).sum()))).collect();
    let suites: Vec<&str> = suites::names().collect();
    let profiles: Vec<&str> = profiles::PROFILES.iter().map(|(name, _)| *name).collect();
    if as_json {
        let models: Vec<_> = models.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect();
        out::json(&json!({ "models": models, "suites": suites, "profiles": profiles }))?;
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
    table.print(&mut out::stdout()).context("printing the table")?;
    Ok(Exit::Done)
}

fn export(model: &str, folder: &Path) -> Result<Exit> {
    let Some(bundled) = embedded().iter().find(|m| m.name == model) else {
        let names: Vec<&str> = embedded().iter().map(|m| m.name).collect();
        bail!("'{model}' is not bundled{}; there are {}", meant_words(model, names.iter().copied()), names.join(", "));
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let paths: Vec<_> = bundled.files.iter().map(|file| (folder.join(file.name), file.data)).collect();
    for (path, data) in &paths {
        output::check(path, false, &[], &|path| std::fs::read(path).is_ok_and(|bytes| bytes == *data))
            .context("a file of the model would take its place, and this command replaces nothing")?;
    }
    for (path, data) in &paths {
        disk::write(path, data).with_context(|| format!("cannot write {}", path.display()))?;
    }
    out::path(folder)?;
    Ok(Exit::Done)
}

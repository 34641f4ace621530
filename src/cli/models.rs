//! `bantam models [FOLDER…]`: the models that are here (in this binary, in the Hugging Face cache, in Ollama's and LM Studio's
//! stores, made by bantam, in folders given), how large they are and when they were last read; `bantam models remove` makes room.

use super::args::{Models, ModelsCommand};
use super::{Exit, stop};
use crate::library::home::Home;
use crate::library::inventory::{self, Entry};
use crate::show::out::{self, note, say};
use crate::show::{Table, counted};
use anyhow::{Context, Result, bail};
use bantam_core::unit::Bytes;
use bantam_hub::{Cache, Stores};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};
use std::time::SystemTime;
use time::OffsetDateTime;

pub(super) fn run(args: Models) -> Result<Exit> {
    match args.command {
        Some(ModelsCommand::Remove { names, yes }) => remove(&names, yes),
        None => show(&args),
    }
}

fn show(args: &Models) -> Result<Exit> {
    if args.verify {
        verify(&Cache::here())?;
    }
    let entries = inventory::take(&Cache::here(), &Stores::here(), &Home::find()?, &args.folders)?;
    if args.json {
        out::json(&entries.iter().map(entry_json).collect())?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new().text("model").text("from").number("size").text("last read").text("revision");
    for entry in &entries {
        let day = entry.used.map_or_else(|| "–".into(), day);
        let revision = entry.revisions.iter().map(|(name, commit)| format!("{name} {}", short(commit)));
        let mut size = if entry.broken.is_some() { "–".to_owned() } else { entry.bytes.to_string() };
        if entry.incomplete.0 > 0 {
            size += &format!(" + {} of unfinished files", entry.incomplete);
        }
        let revision = revision.collect::<Vec<_>>().join(", ");
        table.row(vec![entry.name.clone(), entry.origin.name().into(), size, day, revision]);
    }
    table.print(&mut out::stdout()).context("printing the table")?;
    for why in entries.iter().filter_map(|entry| entry.broken.as_ref()) {
        note!("cannot be used: {why}");
    }
    let whole: u64 = entries.iter().filter(|e| e.origin.is_removable()).map(|e| e.bytes.0 + e.incomplete.0).sum();
    say!("{} fetched or made by bantam; `bantam models remove NAME` makes room", Bytes(whole))?;
    Ok(Exit::Done)
}

/// Reads every file of the cache; says which are not what was fetched.
fn verify(cache: &Cache) -> Result<()> {
    let cancel = stop::on_signals()?;
    let mut rotten = Vec::new();
    for kept in cache.kept() {
        let found = cache.rotten(&kept.repo, &cancel)?;
        note!("{}: {} read, {} rotten", kept.repo, kept.bytes, counted(found.len(), "file"));
        rotten.extend(found.into_iter().map(|file| (kept.repo.id(), file)));
    }
    match &rotten[..] {
        [] => Ok(()),
        [(repo, file), others @ ..] => bail!(
            "{} of {repo} is not what was fetched{}; `bantam pull {repo}` fetches it anew",
            file.display(),
            if others.is_empty() { String::new() } else { format!(", nor are {} more", others.len()) }
        ),
    }
}

fn remove(names: &[String], yes: bool) -> Result<Exit> {
    let (cache, home) = (Cache::here(), Home::find()?);
    let entries = inventory::take(&cache, &Stores::here(), &home, &[])?;
    let found = names.iter().map(|name| inventory::removable(&entries, name)).collect::<Result<Vec<&Entry>>>()?;
    if !yes && !confirmed(&found)? {
        return Ok(Exit::Done);
    }
    for entry in found {
        let freed = inventory::remove(entry, &cache)?;
        say!("{}: removed, {freed} free again", entry.name)?;
    }
    Ok(Exit::Done)
}

fn confirmed(entries: &[&Entry]) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nothing was removed: give --yes, since there is no terminal to ask on");
    }
    for entry in entries {
        note!(
            "{:>10}  {} ({})",
            Bytes(entry.bytes.0 + entry.incomplete.0).to_string(),
            entry.name,
            entry.origin.name()
        );
    }
    let them = if entries.len() == 1 { "it" } else { "them" };
    out::ask(&format!("remove {them}? y/N")).context("asking")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// 2026-11-21
fn day(at: SystemTime) -> String {
    OffsetDateTime::from(at).date().to_string()
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "name": entry.name, "from": entry.origin.name(), "path": entry.path, "bytes": entry.bytes,
        "incomplete": entry.incomplete, "last_read": entry.used.map(day), "broken": entry.broken,
        "revisions": entry.revisions.iter().map(|(name, commit)| json!({ "name": name, "commit": commit })).collect::<Vec<_>>(),
    })
}

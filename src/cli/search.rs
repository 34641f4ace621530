//! `bantam search WORDS`: what the hub has, a line each; with `--card`, one repository in full: what it is, what it
//! would need here under each quantization, before any of it is pulled.

use super::args::Search;
use super::{Exit, stop};
use crate::library::fit::{self, HostFit, Need};
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, anyhow};
use bantam_core::unit::{Bytes, count, parse_count};
use bantam_hub::{Gate, Hit, Hub, Name, Page, Query, Settings};
use serde_json::{Value, json};

pub(super) fn run(args: Search) -> Result<Exit> {
    let cancel = stop::on_signals()?;
    let mut settings = Settings::from_env()?.offline_if(args.offline);
    // somebody waits for it, and nothing is lost by asking again
    settings.patience.tries = 2;
    if !settings.offline {
        note!("asking {} …", settings.endpoint);
    }
    let hub = Hub::new(settings, &cancel);
    let words = args.words.join(" ");
    if args.card {
        let name = Name::parse(&words)?;
        let info = fit::estimate(hub.model_info(&name)?, args.context);
        match args.json {
            true => out::json(&info_json(&info))?,
            false => print_info(&info, &hub)?,
        }
        return Ok(Exit::Done);
    }
    let max_parameters = args.max_params.as_deref().map(parse_count).transpose();
    let max_parameters = max_parameters.map_err(|why| anyhow!("--max-params: {why}"))?;
    let query = Query { filter: args.filter, max_parameters, sort: args.sort.0, limit: args.limit.max(1), text: words };
    let mut found = hub.search(&query)?.hits;
    found.truncate(query.limit);
    if args.json {
        out::json(&found.iter().map(hit_json).collect())?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        say!("the hub has nothing of that; fewer words, or another --filter, may find more")?;
        return Ok(Exit::Done);
    }
    table(&found).print(&mut out::stdout()).context("printing the table")?;
    Ok(Exit::Done)
}

fn table(found: &[Hit]) -> Table {
    let mut table = Table::new().text("model").number("params").text("family").text("runs");
    table = table.number("downloads").number("likes").text("changed").text("licence").text("access");
    for hit in found {
        let page = &hit.page;
        table.row(vec![
            hit.repo.id(),
            hit.parameters.map_or_else(|| "?".into(), count),
            page.architecture.clone().unwrap_or_else(|| "?".into()),
            runs(page).into(),
            page.downloads.map_or(String::new(), count),
            page.likes.map_or(String::new(), count),
            day(page).into(),
            page.licence.clone().unwrap_or_default(),
            access(page).into(),
        ]);
    }
    table
}

fn runs(page: &Page) -> &'static str {
    match fit::architecture_is_known(page) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

/// 2024-10-31
fn day(page: &Page) -> &str {
    page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or_default()
}

fn access(page: &Page) -> &'static str {
    match (page.private, page.gate) {
        (true, _) => "private",
        (_, Gate::Open) => "open",
        (_, Gate::Automatic) => "gated, ask",
        (_, Gate::Manual) => "gated, by hand",
    }
}

fn print_info(info: &HostFit, hub: &Hub) -> Result<()> {
    let model_info = &info.model_info;
    let (page, listing) = (&model_info.listing.page, &model_info.listing);
    let missing = |why: &String| format!("unknown: {why}");
    let stored = model_info.header.as_ref().map(fit::stored);
    let lines = [
        ("model", listing.repo.id()),
        ("page", hub.page_of(&listing.repo)),
        ("commit", listing.commit.clone()),
        ("changed", day(page).to_owned()),
        ("licence", page.licence.clone().unwrap_or_else(|| "not told".into())),
        ("access", access(page).to_owned()),
        ("parameters", model_info.parameters.as_ref().map_or_else(missing, |n| format!("{n} ({})", count(*n)))),
        ("stored as", stored.map_or_else(missing, |kinds| format!("{kinds}, {}", model_info.weights))),
        (
            "bantam runs it",
            info.runs.as_ref().map_or_else(|why| format!("no: {why}"), |name| format!("yes, as {name}")),
        ),
        ("context", info.longest.map_or_else(|| "not told".into(), |n| format!("{n} tokens"))),
        ("made from", if page.base.is_empty() { "not told".into() } else { page.base.join(", ") }),
        ("a pull brings", model_info.pull.as_ref().map_or_else(Clone::clone, Bytes::to_string)),
        ("files", format!("{}, {}", listing.files.len(), Bytes(listing.bytes()))),
        ("memory here", info.memory.as_ref().map_or_else(missing, |free| format!("{free} free now"))),
    ];
    for (name, value) in lines {
        say!("{name:<16} {value}")?;
    }
    say!()?;
    needs(info).print(&mut out::stdout()).context("printing the table")?;
    say!("estimated: weights, a cache of {} tokens, working memory and the program", info.context)?;
    Ok(())
}

fn needs(info: &HostFit) -> Table {
    let mut table = Table::new().text("quantization").number("weights").number("memory").text("here");
    for need in &info.needs {
        let memory = need.memory.map_or_else(|| "?".into(), |memory| format!("≈{memory}"));
        table.row(vec![need.name.clone(), need.weights.to_string(), memory, need.fit.name().into()]);
    }
    table
}

fn hit_json(hit: &Hit) -> Value {
    let page = &hit.page;
    json!({
        "id": hit.repo.id(), "parameters": hit.parameters, "family": page.architecture,
        "runs": fit::architecture_is_known(page), "downloads": page.downloads, "likes": page.likes,
        "modified": page.modified, "licence": page.licence, "access": access(page), "task": page.task,
    })
}

fn info_json(info: &HostFit) -> Value {
    let HostFit { model_info, runs, longest, context, cache, needs, memory } = info;
    let listing = &model_info.listing;
    let told = |result: &Result<u64, String>| result.as_ref().map_or_else(|why| json!({ "error": why }), |n| json!(n));
    let need = |need: &Need| json!({ "name": need.name, "weights": need.weights, "memory": need.memory, "fit": need.fit.name(), "provenance": "estimated" });
    json!({
        "id": listing.repo.id(), "commit": listing.commit, "licence": listing.page.licence, "access": access(&listing.page),
        "modified": listing.page.modified, "parameters": told(&model_info.parameters),
        "runs": runs.as_ref().map_or_else(|why| json!({ "error": why }), |name| json!(name)),
        "longest": longest, "context": context, "cache": cache, "weights": model_info.weights,
        "pull": model_info.pull.as_ref().map_or_else(|why| json!({ "error": why }), |bytes| json!(bytes)),
        "memory": memory.as_ref().map_or_else(|why| json!({ "error": why }), |bytes| json!(bytes)),
        "needs": needs.iter().map(need).collect::<Vec<_>>(),
        "files": listing.files.iter().map(|f| json!({ "path": f.path, "size": f.size, "hash": f.hash.as_ref().map(|h| h.hex()) })).collect::<Vec<_>>(),
    })
}

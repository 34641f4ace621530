//! `bantam serve MODEL`: a model behind the OpenAI API.

use super::args::Serve;
use super::generating::{self, Generating};
use super::kld::start_threads;
use super::{Exit, stop};
use crate::library::models;
use crate::serve::{Options, Server};
use crate::show::out::{note, say};
use anyhow::{Context, Result, anyhow};
use bantam_core::cache_type::CacheType;
use bantam_core::cancel::Cancel;
use bantam_core::input;
use bantam_core::system::{ANY_TASK, Router, Rule};
use bantam_core::unit::Bytes;
use std::net::SocketAddr;
use std::path::Path;

/// Answers that are decoded together at least where nobody says how many: clients come in handfuls, and caches grow as
/// they are used.
const LEAST_SLOTS: usize = 4;

pub(super) fn run(args: Serve) -> Result<Exit> {
    start_threads(args.threads)?;
    let cancel = stop::on_signals()?;
    if args.model.ends_with(".toml") {
        return route(args, &cancel);
    }
    let otherwise = "completes nothing; a model that generates is served";
    let Generating { name, facts, context, kv, model } = generating::load(&args.model, args.ctx, args.kv, otherwise)?;
    if cancel.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let slots = args.slots.unwrap_or_else(|| model.slots_of(context).max(LEAST_SLOTS));
    let cache = Bytes(facts.cost.cache_bytes_per_token(models::kv_type(kv)) * (context * slots) as u64);
    let server = Server::bind(model, name.clone(), &Options { host: args.host, port: args.port, slots })?;
    say!("{} answers at {}", name, url(server.address()))?;
    note!("{slots} answers at once, each of up to {context} tokens: up to {cache} of keys and values; Ctrl-C ends it");
    if !server.chats() {
        note!("it has no chat template: /v1/completions alone answers");
    }
    if !server.address().ip().is_loopback() {
        note!("warning: whoever reaches this machine can ask it; nothing here checks who that is");
    }
    server.run(&cancel)?;
    Ok(Exit::Done)
}

/// Serves the members of a router's file, each loaded once, by its rules.
fn route(args: Serve, cancel: &Cancel) -> Result<Exit> {
    let text = input::read_to_string(Path::new(&args.model), LONGEST_ROUTER).with_context(|| args.model.clone())?;
    let router = Router::parse(&text).map_err(|why| anyhow!("{}: {why}", args.model))?;
    let folder = Path::new(&args.model).parent().unwrap_or(Path::new(""));
    let (mut models, mut slots, mut caches) = (Vec::new(), 1, 0);
    for member in &router.members {
        let typed = beside(&member.model, folder);
        let otherwise = "completes nothing; a router's members generate";
        let loaded = generating::load(&typed, args.ctx, args.kv, otherwise)
            .with_context(|| format!("{}: member '{}'", args.model, member.name))?;
        if cancel.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        slots = slots.max(args.slots.unwrap_or_else(|| loaded.model.slots_of(loaded.context).max(LEAST_SLOTS)));
        caches += loaded.facts.cost.cache_bytes_per_token(models::kv_type(loaded.kv)) * loaded.context as u64;
        models.push(loaded.model);
    }
    let rules = router.rules.iter().map(|rule| rule_words(&router, rule)).collect::<Vec<_>>();
    let name = router.name.clone();
    let server = Server::route(router, models, &Options { host: args.host, port: args.port, slots })?;
    say!("{} answers at {}", name, url(server.address()))?;
    rules.iter().for_each(|rule| note!("{rule}"));
    note!(
        "{slots} answers at once of each member: up to {} of keys and values; Ctrl-C ends it",
        Bytes(caches * slots as u64)
    );
    if !server.chats() {
        note!("not all members have a chat template: /v1/completions alone answers");
    }
    if !server.address().ip().is_loopback() {
        note!("warning: whoever reaches this machine can ask it; nothing here checks who that is");
    }
    server.run(cancel)?;
    Ok(Exit::Done)
}

/// A router's file, at most.
const LONGEST_ROUTER: u64 = 1 << 20;

/// A model's file that a router names beside its own.
fn beside(typed: &str, folder: &Path) -> String {
    let (file, kv) = CacheType::split(typed);
    let path = folder.join(file);
    let found =
        if Path::new(file).is_relative() && path.exists() { path.display().to_string() } else { file.to_owned() };
    kv.map_or_else(|| found.clone(), |kv| kv.behind(&found))
}

/// Who answers what, in a line.
fn rule_words(router: &Router, rule: &Rule) -> String {
    let name = |place: usize| router.members[place].name.as_str();
    let task = if rule.task == ANY_TASK { "whatever else is asked" } else { &rule.task };
    match &rule.escalate {
        None => format!("{task}: {} answers", name(rule.first)),
        Some(escalate) => {
            let then = name(escalate.to);
            let first = name(rule.first);
            format!("{task}: {first} answers, and {then} where {} is below {:.3}", escalate.by.words(), escalate.below)
        }
    }
}

/// What clients are told as the base of the API's addresses.
fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

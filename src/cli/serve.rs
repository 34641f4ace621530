//! `bantam serve MODEL`: a model behind the OpenAI API.

use super::args::Serve;
use super::generating::{self, Generating};
use super::kld::start_threads;
use super::{Exit, stop};
use crate::library::models;
use crate::serve::{Options, Server};
use crate::show::out::{note, say};
use anyhow::Result;
use bantam_core::unit::Bytes;
use std::net::SocketAddr;

/// Answers that are decoded together at least where nobody says how many: clients come in handfuls, and caches grow as
/// they are used.
const LEAST_SLOTS: usize = 4;

pub(super) fn run(args: Serve) -> Result<Exit> {
    start_threads(args.threads)?;
    let cancel = stop::on_signals()?;
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

/// What clients are told as the base of the API's addresses.
fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

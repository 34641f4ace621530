//! `bantam serve MODEL`: a model behind the OpenAI API.

use super::args::Serve;
use super::kld::start_threads;
use super::{Exit, stop};
use crate::library::fit::CONTEXT;
use crate::library::models::{self, ModelFacts};
use crate::serve::{Options, Server};
use crate::show::out::{note, say};
use anyhow::{Result, bail, ensure};
use bantam_core::cache_type::CacheType;
use bantam_core::unit::Bytes;
use bantam_model::LoadOptions;
use std::net::SocketAddr;

/// Answers that are decoded together at least where nobody says how many: clients come in handfuls, and caches grow as
/// they are used.
const LEAST_SLOTS: usize = 4;

pub(super) fn run(args: Serve) -> Result<Exit> {
    start_threads(args.threads)?;
    let cancel = stop::on_signals()?;
    let found = models::find(&args.model)?;
    let facts = models::inspect(&found.place)?;
    let ModelFacts::Decoder(decoder) = &facts else {
        bail!("{} is an encoder, which completes nothing; a model that generates is served", found.name)
    };
    let adapter = models::adapter(&args.model, &facts)?.map(|adapter| adapter.folder().to_owned());
    let longest = decoder.config.max_positions;
    let context = args.ctx.unwrap_or(longest.min(CONTEXT as usize));
    ensure!(context <= longest, "--ctx is {context}, and {} takes 2 to {longest} tokens", found.name);
    let kv = args.kv.or(CacheType::split(&args.model).1).unwrap_or_default();
    let options = LoadOptions { max_length: Some(context), adapter, kv: models::kv_type(kv), ..LoadOptions::default() };
    let model = models::load(&found.place, &options)?;
    if cancel.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let slots = args.slots.unwrap_or_else(|| model.slots_of(context).max(LEAST_SLOTS));
    let cache = Bytes(decoder.cost.cache_bytes_per_token(models::kv_type(kv)) * (context * slots) as u64);
    let server = Server::bind(model, found.name.clone(), &Options { host: args.host, port: args.port, slots })?;
    say!("{} answers at {}", found.name, url(server.address()))?;
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

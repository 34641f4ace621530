//! A decoder that somebody talks with or asks over HTTP: found, looked at, and loaded with the context that is asked for.

use crate::library::fit::CONTEXT;
use crate::library::models::{self, ModelFacts};
use anyhow::{Result, bail, ensure};
use bantam_core::cache_type::CacheType;
use bantam_model::{Facts, LoadOptions, Model};

/// A decoder that is ready to generate.
pub(super) struct Generating {
    pub(super) name: String,
    pub(super) facts: Box<Facts>,
    /// Tokens of a conversation, at most.
    pub(super) context: usize,
    /// The type of its keys and values.
    pub(super) kv: CacheType,
    pub(super) model: Model,
}

/// Loads the decoder of a name; `otherwise` says what an encoder does not, and what does.
///
/// # Errors
/// Where there is none of the name, it is an encoder, its context is shorter than `ctx`, or it cannot be loaded.
pub(super) fn load(named: &str, ctx: Option<usize>, kv: Option<CacheType>, otherwise: &str) -> Result<Generating> {
    let found = models::find(named)?;
    let facts = models::inspect(&found.place)?;
    let adapter = match &facts {
        ModelFacts::Encoder(_) => bail!("{} is an encoder, which {otherwise}", found.name),
        ModelFacts::Decoder(_) => models::adapter(named, &facts)?.map(|adapter| adapter.folder().to_owned()),
    };
    let ModelFacts::Decoder(facts) = facts else { unreachable!("an encoder was refused above") };
    let longest = facts.config.max_positions;
    let context = ctx.unwrap_or(longest.min(CONTEXT as usize));
    ensure!(context <= longest, "--ctx is {context}, and {} takes 2 to {longest} tokens", found.name);
    let kv = kv.or(CacheType::split(named).1).unwrap_or_default();
    let options = LoadOptions { max_length: Some(context), adapter, kv: models::kv_type(kv), ..LoadOptions::default() };
    let model = models::load(&found.place, &options)?;
    bantam_host::release_code();
    Ok(Generating { name: found.name, facts, context, kv, model })
}

//! Profiles that a command's arguments make up: `bench`, `eval` and `compare` are small runs of their own.

use super::args::{EndpointArgs, LossArgs};
use crate::library::models;
use bantam_core::cache_type::CacheType;
use bantam_core::endpoint::{Endpoint, Terms, is_variable};
use bantam_core::profile::{Constraints, Loss, Measure, Objective, Profile, RecipeRef, default_kv};
use bantam_core::record::Shape;
use std::path::Path;

/// A profile with nothing to try yet, no speed shapes and no constraints.
pub(super) fn profile(name: &str, models: Vec<String>, quant: &[String]) -> Profile {
    let (endpoints, models) = models.into_iter().partition::<Vec<String>, _>(|typed| Endpoint::typed(typed).is_some());
    let recipes = quant.iter().flat_map(|typed| recipes(typed)).map(|name| RecipeRef::Quantize(name.into()));
    let recipes = [RecipeRef::Base].into_iter().chain(recipes).collect();
    Profile {
        tolerance: Vec::new(),
        race: bantam_core::profile::Race::Off,
        name: name.into(),
        title: format!("bantam {name}"),
        models,
        endpoints: endpoints.iter().filter_map(|typed| Endpoint::typed(typed)).map(Terms::of).collect(),
        recipes,
        kv: default_kv(),
        suites: vec![],
        engine: None,
        chat: vec![],
        measure: Measure { speed: vec![], ..Measure::default() },
        constraints: Constraints::default(),
        objective: Objective::default(),
        price: None,
        loss: None,
        systems: None,
    }
}

/// The terms of endpoints as a command has them.
pub(super) fn under(profile: &mut Profile, args: &EndpointArgs) -> anyhow::Result<()> {
    // what stands there may be the key itself, which is not to be shown again
    anyhow::ensure!(
        args.key_env.as_deref().is_none_or(is_variable),
        "--key-env names no environment variable (capital letters, digits and _): name the one that holds the key, and never \
         give the key itself"
    );
    for endpoint in &mut profile.endpoints {
        // without a model's name it is found out which one there is
        if endpoint.at.model.is_empty() {
            endpoint.name = endpoint.at.host().to_owned();
        }
        endpoint.key_env = args.key_env.clone();
        endpoint.concurrency = args.concurrency.unwrap_or(endpoint.concurrency);
        endpoint.at.choices = args.choices.unwrap_or_default();
    }
    Ok(())
}

/// The battery of losses as a command asks for it.
pub(super) fn loss(LossArgs { loss_items, lengths, text }: LossArgs) -> anyhow::Result<Loss> {
    let default = Loss::default();
    let items = loss_items.unwrap_or(default.items);
    anyhow::ensure!(items <= 1000, "--loss-items is {items}; allowed are 1 to 1000");
    if let Some(length) = lengths.iter().find(|length| !(64..=1 << 17).contains(*length)) {
        anyhow::bail!("--lengths has {length}; allowed are 64 to 131072 tokens");
    }
    let lengths = if lengths.is_empty() { default.lengths.clone() } else { lengths };
    Ok(Loss { items, lengths, text, ..default })
}

/// Types at commas; a recipe in short has commas of its own.
fn recipes(typed: &str) -> Vec<&str> {
    match typed.contains([':', '>']) {
        true => vec![typed],
        false => typed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
    }
}

/// Suites at commas; the loss battery has commas of its own: "battery:seed=1,items=5".
pub(super) fn suites(typed: Vec<String>) -> Vec<String> {
    let mut suites: Vec<String> = Vec::new();
    for piece in typed {
        match suites.last_mut() {
            Some(last) if last.starts_with("battery:") && piece.contains('=') && !piece.contains(['/', '.']) => {
                *last = format!("{last},{piece}");
            }
            _ => suites.push(piece),
        }
    }
    suites
}

/// The models, each with the adapter where there is one.
pub(super) fn adapted(models: Vec<String>, adapter: Option<&Path>) -> Vec<String> {
    match adapter {
        None => models,
        Some(adapter) => models.iter().map(|model| models::with_adapter(model, adapter)).collect(),
    }
}

/// Types of caches, each once.
pub(super) fn kv(typed: Vec<CacheType>) -> Vec<CacheType> {
    let mut once = Vec::new();
    for kv in typed {
        if !once.contains(&kv) {
            once.push(kv);
        }
    }
    once
}

/// As llama-bench names it.
pub(super) fn shape(prompt: usize, output: usize) -> anyhow::Result<Shape> {
    anyhow::ensure!(prompt >= 1 && output >= 2, "--prompt is at least 1 and --output at least 2");
    Ok(Shape { prompt, output })
}

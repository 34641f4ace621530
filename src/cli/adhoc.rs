//! Profiles that a command's arguments make up: `bench`, `eval` and `compare` are small runs of their own.

use crate::library::models;
use bantam_core::profile::{Constraints, Measure, Objective, Prefer, Profile, RecipeRef};
use bantam_core::record::Shape;
use bantam_core::unit::Seconds;
use std::path::Path;

/// A profile with nothing to try yet, no speed shapes and no constraints.
pub fn profile(name: &str, models: Vec<String>, quant: &[String]) -> Profile {
    let recipes = [RecipeRef::Base].into_iter().chain(quant.iter().cloned().map(RecipeRef::Quantize)).collect();
    Profile {
        name: name.into(),
        title: format!("bantam {name}"),
        models,
        recipes,
        suites: vec![],
        measure: Measure {
            speed: vec![],
            threads: None,
            seed: 1,
            limit: None,
            max_length: None,
            half_width: 0.02,
            budget: Seconds(10.0),
            min_repeats: 5,
            timeout: None,
            memory_limit: None,
            tdp_watts: None,
            idle: Seconds(1.0),
        },
        constraints: Constraints::default(),
        objective: Objective { prefer: Prefer::Smallest, margin: 0.02, confidence: 0.95, reference: None, tasks: None },
    }
}

/// The models, each with the adapter where there is one.
pub fn adapted(models: Vec<String>, adapter: Option<&Path>) -> Vec<String> {
    match adapter {
        None => models,
        Some(adapter) => models.iter().map(|model| models::with_adapter(model, adapter)).collect(),
    }
}

/// As llama-bench names it.
pub fn shape(prompt: usize, output: usize) -> anyhow::Result<Shape> {
    anyhow::ensure!(prompt >= 1 && output >= 2, "--prompt is at least 1 and --output at least 2");
    Ok(Shape { prompt, output })
}

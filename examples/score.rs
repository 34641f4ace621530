//! Scores a model on a suite, in this process and without a store: what `bantam eval` does in a worker.
//!
//! ```sh
//! cargo run --release --example score -- models/bantam-s suites/routing.toml
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use anyhow::{Context, Result};
use bantam::subject::LocalDecoder;
use bantam_core::cancel::Cancel;
use bantam_model::LoadOptions;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().map(PathBuf::from).context("which model? a folder or a .gguf file")?;
    let suite = args.next().context("which suite? a bundled one's name or a TOML file")?;

    // the right answers and the prompts are checked here, before a weight is read
    let suite = bantam_eval::load(&suite)?;
    let model = bantam_model::load(&model, &LoadOptions::default())?;
    let mut decoder = LocalDecoder::new(&model, 0);

    for task in &suite.tasks {
        let mut items = Vec::new();
        // nothing is skipped, nobody cancels, and each result is kept as it comes
        bantam_eval::ask(task, &mut decoder, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item))?;

        for &metric in task.metrics() {
            let scores = items.iter().filter_map(|item| item.score(metric)).map(|s| (s.value, s.weight));
            match metric.aggregate(scores) {
                Some(value) => println!("{} {}: {value:.4} of {} items", task.name, metric.name(), items.len()),
                None => println!("{} {}: there is no such number of these items", task.name, metric.name()),
            }
        }
        if let Some(wrong) = items.iter().find(|item| item.answer != item.target) {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            println!("  item {}: {:?}, not {:?}", wrong.index, text(&wrong.answer), text(&wrong.target));
        }
    }
    Ok(())
}

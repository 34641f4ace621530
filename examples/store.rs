//! Reads a store: which runs are in it, and of the latest what every trial gave. The same rows are what advice and reports
//! are made of.
//!
//! ```sh
//! cargo run --release --example store -- ~/.local/share/bantam/store.sqlite
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use anyhow::{Context, Result};
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Reading};
use bantam_verdict::store::Store;
use std::path::PathBuf;

fn main() -> Result<()> {
    let file = std::env::args().nth(1).map(PathBuf::from).context("which store? the path of a store.sqlite")?;
    anyhow::ensure!(file.is_file(), "{}: there is no such file", file.display());
    let store = Store::open(&file)?;

    let runs = store.runs()?;
    for run in &runs {
        println!("{} {} by bantam {}: {} trials", run.id, run.profile_name, run.version, run.trials.len());
    }
    let Some(latest) = runs.iter().max_by(|a, b| a.started.total_cmp(&b.started)) else { return Ok(()) };

    println!("\n{}, finished trials:", latest.id);
    for row in store.rows(&latest.id)? {
        let (trial, outcome) = (&row.trial, &row.outcome);
        print!("{} on {}: ", trial.variant.label(), trial.ask.label());
        match (&outcome.result, &trial.ask) {
            // a failed trial is a result with a reason
            (Err(failure), _) => println!("{}", failure.sentence()),
            (Ok(()), Ask::Speed(_)) => println!("{} repeats, {}", outcome.samples.len(), known(&outcome.peak_memory)),
            (Ok(()), Ask::Task(task)) => {
                let scores = task.metrics.iter().filter_map(|&metric| told(metric, outcome.score(metric)));
                println!("{} items, {}", outcome.items.len(), scores.collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok(())
}

fn told(metric: Metric, score: Option<f64>) -> Option<String> {
    Some(format!("{} {}", metric.name(), metric.unit().show(score?)))
}

/// A number with its unit, or why there is none.
fn known(reading: &Reading) -> String {
    match reading {
        Reading::Known(figure) => figure.unit.show(figure.value),
        Reading::Missing { reason } => reason.clone(),
    }
}

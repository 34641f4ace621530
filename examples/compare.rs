//! Compares two stored runs task by task, item by item: did a new engine, model or host change what is answered?
//!
//! ```sh
//! cargo run --release --example compare -- RUN RUN     # ids or profiles' names, from the store of BANTAM_HOME
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use anyhow::{Context, Result};
use bantam::run::{Done, Workplace, stored};
use bantam_core::record::{Ask, Row};
use bantam_core::stats::bootstrap::{Bootstrap, IntervalKind};
use bantam_core::stats::{Level, noninferior};
use bantam_verdict::recommend::compare::paired;
use bantam_verdict::recommend::flips;

/// How much worse is still the same, as a share of the score.
const MARGIN: f64 = 0.02;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let workplace = Workplace::open()?;
    let mut run = |which: &str| -> Result<Done> { stored(&args.next().context(which.to_owned())?, &workplace) };
    let (before, after) = (run("which run before?")?, run("which run after?")?);

    for reference in before.rows.iter().filter(|row| matches!(row.trial.ask, Ask::Task(_))) {
        let Some(candidate) = after.rows.iter().find(|row| is_the_same_question(row, reference)) else { continue };
        let name = format!("{} on {}", reference.trial.variant.label(), reference.trial.ask.label());
        // the pairs are on a scale where more is better, whatever the metric
        match paired(reference, candidate) {
            Err(reason) => println!("{name}: {reason}"),
            Ok((pairs, metric)) => {
                let bootstrap = Bootstrap { resamples: 2000, seed: 1, level: Level::P95, kind: IntervalKind::Bca };
                let judged = noninferior::judge(&pairs, MARGIN, &bootstrap)?;
                println!(
                    "{name}: {} {:+.4} ({:+.4} to {:+.4}), {} of {} answers changed: {:?}",
                    metric.name(),
                    judged.difference,
                    judged.interval.low,
                    judged.interval.high,
                    flips(reference, candidate).len(),
                    judged.items,
                    judged.verdict,
                );
            }
        }
    }
    Ok(())
}

/// The same model after the same recipe, asked the same; the host and the engine may differ.
fn is_the_same_question(one: &Row, other: &Row) -> bool {
    one.trial.variant.label() == other.trial.variant.label() && one.trial.ask.label() == other.trial.ask.label()
}

//! `bantam eval MODEL… --suite S`: scores as lm-evaluation-harness computes them, with intervals and slices.

use super::args::Eval;
use super::bench::exit_of;
use super::run::{execute, exit, print_json};
use super::{Exit, adhoc};
use crate::run::{Done, Workplace};
use crate::show::Table;
use crate::show::out;
use anyhow::{Context, Result};
use bantam_core::record::{Ask, Reading};
use bantam_core::text;
use bantam_verdict::recommend::score::TaskScore;
use serde_json::json;
use std::io::{self, Write};

pub(super) fn run(args: Eval) -> Result<Exit> {
    let mut profile = adhoc::profile("eval", adhoc::adapted(args.models, args.adapter.as_deref()), &args.quant);
    profile.suites = args.suite;
    profile.measure.limit = args.limit;
    profile.measure.max_length = args.max_length;
    let done = execute(&profile, &args.common)?;
    if args.items {
        print_items(&done).context("printing the items")?;
    } else if args.common.json {
        print_json(&done)?;
    } else {
        let mut table = Table::new().text("variant").text("task").text("metric").text("slice");
        table = table.number("items").number("value").text("interval");
        for summary in &done.advice.summaries {
            for score in &summary.scores {
                rows(&summary.variant.label(), score, &mut table);
            }
        }
        table.print(&mut out::stdout()).context("printing the table")?;
    }
    Ok(exit_of(exit(&done)))
}

fn rows(variant: &str, score: &TaskScore, table: &mut Table) {
    let whole = score.readings.iter().map(|(metric, reading)| (*metric, String::new(), reading));
    let slices = score.slices.iter().map(|s| (score.metric, format!("{}={}", s.slice, s.value), &s.reading));
    let gaps =
        score.gaps.iter().map(|g| (score.metric, format!("gap {}: {} − {}", g.slice, g.best, g.worst), &g.reading));
    for (metric, slice, reading) in whole.chain(slices).chain(gaps) {
        let names = [variant, &score.task, metric.name(), &slice].map(str::to_owned);
        let [n, value, interval] = match reading {
            Reading::Missing { reason } => [String::new(), "–".into(), reason.clone()],
            Reading::Known(f) => [
                f.n.map_or(String::new(), |n| n.to_string()),
                f.unit.show(f.value),
                match f.interval {
                    Some(i) => format!("{} to {}", f.unit.show(i.low), f.unit.show(i.high)),
                    None => f.no_interval.clone().unwrap_or_default(),
                },
            ],
        };
        table.row(names.into_iter().chain([n, value, interval]).collect());
    }
}

/// One JSON line an item: which variant and task, and all that was recorded.
fn print_items(done: &Done) -> Result<()> {
    let workplace = Workplace::open()?;
    let mut out = io::BufWriter::new(out::stdout());
    for row in done.whole_rows(&workplace) {
        let row = row?;
        let Ask::Task(task) = &row.trial.ask else { continue };
        for item in &row.outcome.items {
            let line = json!({ "variant": row.trial.variant.label(), "task": task.task, "item": item });
            writeln!(out, "{}", text::json(&line.to_string()))?;
        }
    }
    out.flush()?;
    Ok(())
}

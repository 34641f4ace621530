//! `bantam bench MODEL…`: speed, memory and energy, in rows like llama-bench's.

use super::args::Bench;
use super::run::{execute, exit, print_json};
use super::{Exit, adhoc};
use crate::show::Table;
use crate::show::out::{self, say};
use anyhow::{Context, Result, anyhow};
use bantam_core::metric::Metric;
use bantam_core::profile::Deployed;
use bantam_core::record::{Provenance, Reading};
use bantam_core::unit::Seconds;
use bantam_verdict::recommend::figures;
use bantam_verdict::recommend::summary::VariantSummary;

const COLUMNS: [(Metric, &str); 6] = [
    (Metric::PrefillTps, "prefill"),
    (Metric::DecodeTps, "decode"),
    (Metric::Ttft, "first token"),
    (Metric::PeakMemory, "memory"),
    (Metric::Disk, "disk"),
    (Metric::DecodeEnergy, "energy"),
];

pub(super) fn run(args: Bench) -> Result<Exit> {
    if let Some(file) = &args.device_card {
        return super::devices::card(file, args.models, &args.quant, &args.common);
    }
    if let Some(rates) = args.load.clone() {
        return super::load::run(args, &rates);
    }
    let mut profile = adhoc::profile("bench", adhoc::adapted(args.models, args.adapter.as_deref()), &args.quant);
    adhoc::under(&mut profile, &args.endpoint)?;
    profile.engine = args.engine.map(|program| Deployed { program, args: Vec::new(), parity: 0 });
    profile.measure.speed = vec![adhoc::shape(args.prompt, args.output)?];
    profile.kv = adhoc::kv(args.kv);
    profile.measure.threads = args.threads;
    if let Some(budget) = &args.budget {
        profile.measure.budget = budget.parse::<Seconds>().map_err(|e| anyhow!("--budget: {e}"))?;
    }
    let done = execute(&profile, &args.common)?;
    if args.common.json {
        print_json(&done)?;
        return Ok(exit_of(exit(&done)));
    }
    let mut table = Table::new().text("variant").text("test");
    for (_, title) in COLUMNS {
        table = table.number(title);
    }
    // the 5th percentile of the times, which differs least from one day to the next
    table = table.number("decode at best");
    let mut notes: Vec<String> = Vec::new();
    for summary in &done.advice.summaries {
        for shape in &summary.shapes {
            let cells = COLUMNS.map(|(metric, _)| {
                let reading = shape.reading(metric).cloned().unwrap_or_else(|| summary.cost(metric));
                let mark = if is_timed(metric) && shape.doubt.is_some() { MARK } else { "" };
                format!("{}{mark}", told(&reading, &mut notes))
            });
            let best = shape.attainable.iter().find(|(metric, _)| *metric == Metric::DecodeTps);
            let best = best.map_or("–".into(), |(_, figure)| figure.unit.show(figure.value));
            if let Some(doubt) = &shape.doubt {
                let whose = summary.variant.label();
                notes.push(format!("{}: {whose}: too little to rely on: {doubt}", MARK.trim()));
            }
            let names = [summary.variant.label(), shape.shape.to_string()];
            table.row(names.into_iter().chain(cells).chain([best]).collect());
        }
        notes.extend(warned(summary));
    }
    table.print(&mut out::stdout()).context("printing the table")?;
    say!("{}", figures::HALF_WIDTH)?;
    notes.dedup();
    for note in notes {
        say!("{note}")?;
    }
    Ok(exit_of(exit(&done)))
}

/// Behind a speed that rests on too little.
const MARK: &str = " !";

fn is_timed(metric: Metric) -> bool {
    matches!(metric, Metric::PrefillTps | Metric::DecodeTps | Metric::Ttft)
}

/// Without scores there is no advice to miss.
pub(super) fn exit_of(exit: Exit) -> Exit {
    if exit == Exit::NothingFits { Exit::Done } else { exit }
}

/// "9120 tok/s ±1.2%"; a missing one is a dash and a note.
pub(super) fn told(reading: &Reading, notes: &mut Vec<String>) -> String {
    match reading {
        Reading::Missing { reason } => {
            let note = format!("–: {reason}");
            if !notes.contains(&note) {
                notes.push(note);
            }
            "–".into()
        }
        Reading::Known(f) => {
            let about = if f.provenance == Provenance::Estimated { "≈" } else { "" };
            let half = figures::half_width(f).map_or(String::new(), |half| format!(" {half}"));
            format!("{about}{}{half}", figures::shown(f))
        }
    }
}

fn warned(summary: &VariantSummary) -> Vec<String> {
    summary.warnings.iter().map(|w| format!("warning: {}: {}", summary.variant.label(), w.text)).collect()
}

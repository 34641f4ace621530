//! The flat records: every figure of every variant, one a line.

use super::Inputs;
use crate::recommend::loss::{TaskLoss, VariantLoss};
use crate::recommend::summary::VariantSummary;
use crate::report::page::Record;
use bantam_core::metric::Metric;
use bantam_core::record::Reading;

pub(super) fn all(inputs: &Inputs) -> Vec<Record> {
    let losses = |s: &VariantSummary| {
        let of = inputs.advice.losses.iter().filter(|loss| loss.variant == *s.id());
        of.flat_map(|loss| loss.tasks.iter().flat_map(|task| lost(s, loss, task))).collect::<Vec<_>>()
    };
    inputs.planned().into_iter().flat_map(|s| of(s).into_iter().chain(losses(s))).collect()
}

/// What was lost on a task, against the base, and what is kept.
fn lost(summary: &VariantSummary, loss: &VariantLoss, task: &TaskLoss) -> Vec<Record> {
    let name = format!("less {}", loss.base_label);
    let metric = task.metric.name();
    let mut records = vec![
        record(summary, &task.task.task, &format!("difference {metric}"), &name, &task.difference),
        record(summary, &task.task.task, &format!("kept {metric}"), &name, &task.kept),
    ];
    for slice in &task.slices {
        let at = format!("{}={} {name}", slice.slice, slice.value);
        records.push(record(summary, &task.task.task, &format!("difference {metric}"), &at, &slice.difference));
    }
    records
}

fn of(summary: &VariantSummary) -> Vec<Record> {
    let mut records = Vec::new();
    for score in &summary.scores {
        for (metric, reading) in &score.readings {
            records.push(record(summary, &score.task, metric.name(), "", reading));
        }
        for slice in &score.slices {
            let name = format!("{}={}", slice.slice, slice.value);
            records.push(record(summary, &score.task, score.metric.name(), &name, &slice.reading));
        }
        for (metric, reading) in &score.costs {
            records.push(record(summary, &score.task, metric.name(), "", reading));
        }
        for (name, reading) in score.calibration.iter().flat_map(|calibration| calibration.readings()) {
            records.push(record(summary, &score.task, name, "", reading));
        }
        for gap in &score.gaps {
            let name = format!("gap {}: {} less {}", gap.slice, gap.best, gap.worst);
            records.push(record(summary, &score.task, score.metric.name(), &name, &gap.reading));
        }
    }
    for shape in &summary.shapes {
        for (metric, reading) in &shape.readings {
            records.push(record(summary, &shape.shape.to_string(), metric.name(), "", reading));
        }
    }
    let overall = &summary.overall;
    records.push(record(summary, "overall", overall.metric.name(), "", &overall.reading));
    for metric in [Metric::PeakMemory, Metric::Disk] {
        records.push(record(summary, "all", metric.name(), "", &summary.cost(metric)));
    }
    records
}

fn record(summary: &VariantSummary, ask: &str, metric: &str, slice: &str, reading: &Reading) -> Record {
    let variant = &summary.variant;
    let known = reading.known();
    let interval = known.and_then(|f| f.interval);
    Record {
        variant: variant.label(),
        variant_id: variant.id.to_string(),
        model: variant.model.name.clone(),
        recipe: variant.treatment(),
        ask: ask.into(),
        metric: metric.into(),
        slice: slice.into(),
        value: known.map(|f| f.value),
        unit: known.map_or(String::new(), |f| f.unit.name().into()),
        low: interval.map(|i| i.low),
        high: interval.map(|i| i.high),
        level: interval.map(|i| i.level),
        n: known.and_then(|f| f.n),
        provenance: known.map(|f| f.provenance),
        how: match reading {
            Reading::Known(figure) => match &figure.no_interval {
                Some(reason) => format!("{}; no interval: {reason}", figure.how),
                None => figure.how.clone(),
            },
            Reading::Missing { reason } => reason.clone(),
        },
    }
}

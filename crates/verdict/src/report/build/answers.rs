//! The sections on single answers: what one costs, and whether a variant is right as often as it is sure.

use super::Inputs;
use super::sections::{cell, column, section};
use crate::recommend::calibration::Calibration;
use crate::recommend::score::TaskScore;
use crate::recommend::summary::VariantSummary;
use crate::report::chart::{Axis, Chart, Curve, CurvePoint, Curves, Plot};
use crate::report::page::{Block, Cell, Column, DataTable, Section, TableRow};
use bantam_core::metric::Metric;
use bantam_core::unit::Unit;

/// More curves than this in one chart are not told apart.
const MAX_CURVES: usize = 7;

/// Every variant on every task: what was asked of it, in the order of the plan.
fn asked<'a>(inputs: &'a Inputs) -> impl Iterator<Item = (&'a VariantSummary, &'a TaskScore)> {
    inputs.planned().into_iter().flat_map(|s| s.scores.iter().map(move |score| (s, score)))
}

fn names() -> Vec<Column> {
    ["variant", "task"].map(|t| Column { title: t.into(), numeric: false, hint: String::new() }).to_vec()
}

/// What an answer costs, and a right one.
pub(super) fn cost(inputs: &Inputs) -> Option<Section> {
    let shown: Vec<Metric> = Metric::OF_ANSWERS
        .into_iter()
        .filter(|metric| {
            asked(inputs).any(|(_, score)| score.cost(*metric).is_some_and(|reading| reading.known().is_some()))
                || *metric == Metric::JoulesPerCorrect
        })
        .collect();
    if !asked(inputs).any(|(_, score)| score.costs.iter().any(|(_, reading)| reading.known().is_some())) {
        return None;
    }
    let mut columns = names();
    columns.push(column("score", "the deciding metric"));
    columns.extend(shown.iter().map(|metric| column(metric.label(), format!("{metric}, {}", metric.unit().name()))));
    let row = |(s, score): (&VariantSummary, &TaskScore)| {
        let costs = shown.iter().map(|metric| score.cost(*metric).map_or_else(|| Cell::missing("not asked"), cell));
        let first = [Cell::text(s.variant.label()), Cell::text(score.task.clone()), cell(score.reading())];
        TableRow { cells: first.into_iter().chain(costs).collect(), advised: inputs.is_advised(s) }
    };
    let text = "What the answers to each task took on this machine, over all items and over those that are right: models of \
                one speed differ in how many tokens they need and in how often they are right. Items are answered in \
                batches, whose time (and energy above idle, where there is a meter) is shared among them by their tokens; what \
                is read once for all of them counts for none. Times are of the run as it was, not of rounds side by side.";
    let table = DataTable {
        caption:
            "Small print is the interval, over items (clusters together). – is missing; the reason is the tooltip, or \
                  the note."
                .into(),
        columns,
        rows: asked(inputs).map(row).collect(),
    };
    section("answers", "What a correct answer costs", vec![Block::Text(text.into()), Block::Table(table)])
}

/// Calibration on the tasks with choices.
pub(super) fn calibration(inputs: &Inputs) -> Option<Section> {
    let known = || asked(inputs).filter_map(|(s, score)| Some((s, score, score.calibration.as_ref()?)));
    known().next()?;
    let mut columns = names();
    columns.extend([
        column(
            "ECE",
            "expected calibration error: how far the share right and the confidence lie apart, bias taken off",
        ),
        column("Brier", "Σ (p − right)² over the choices: 0 is best, 2 worst"),
        column("right of the surest 80%", "accuracy where the least sure fifth is not answered"),
        column("answered at 95%", "the largest share, the surest first, of which 95% are right"),
    ]);
    let row = |(s, score, made): (&VariantSummary, &TaskScore, &Calibration)| {
        let names = [Cell::text(s.variant.label()), Cell::text(score.task.clone())];
        let cells = names.into_iter().chain(made.readings().map(|(_, reading)| cell(reading))).collect();
        TableRow { cells, advised: inputs.is_advised(s) }
    };
    let text = "Whether a variant is right as often as it is sure: the confidence is the share of the likeliest choice among \
                all (softmax over their log-likelihoods). The usual calibration error is too large where items are few; here \
                its bias is taken off, and the interval goes from the least to the greatest error that could have shown what \
                was seen.";
    let table = DataTable {
        caption: "Small print is the interval. – is missing; the reason is the tooltip, or the note.".into(),
        columns,
        rows: known().map(row).collect(),
    };
    let mut blocks = vec![Block::Text(text.into()), Block::Table(table)];
    let mut tasks: Vec<(&str, &str)> = Vec::new();
    for (_, score, _) in known() {
        let name = (score.suite.as_str(), score.task.as_str());
        if !tasks.contains(&name) {
            tasks.push(name);
        }
    }
    blocks.extend(tasks.into_iter().filter_map(|task| reliability(inputs, task)).map(Block::Chart));
    section("calibration", "Right as often as sure?", blocks)
}

/// The reliability curves of one task.
fn reliability(inputs: &Inputs, (suite, task): (&str, &str)) -> Option<Chart> {
    let of = |s: &&VariantSummary| -> Option<Vec<CurvePoint>> {
        let score = s.scores.iter().find(|score| score.suite == suite && score.task == task)?;
        let bins = &score.calibration.as_ref()?.bins;
        let point = |b: &bantam_core::stats::calibration::Bin| CurvePoint {
            x: b.confidence,
            y: b.right,
            ends: Some((b.low, b.high)),
        };
        (!bins.is_empty()).then(|| bins.iter().map(point).collect())
    };
    let wanted = |s: &&VariantSummary| s.variant.is_base() || inputs.is_advised(s) || inputs.is_reference(s);
    let planned = inputs.planned();
    let mut shown: Vec<(&VariantSummary, Vec<CurvePoint>)> =
        planned.iter().filter(|s| wanted(s)).filter_map(|s| Some((*s, of(s)?))).collect();
    for s in &planned {
        if shown.len() < MAX_CURVES && !wanted(s) {
            shown.extend(of(s).map(|points| (*s, points)));
        }
    }
    shown.truncate(MAX_CURVES);
    if shown.is_empty() {
        return None;
    }
    let series = shown.iter().enumerate().map(|(n, (s, points))| Curve {
        label: s.variant.label(),
        group: inputs.group(s),
        dash: shown[..n].iter().filter(|(o, _)| o.variant.model.name == s.variant.model.name).count(),
        points: points.clone(),
    });
    let share = |label: &str| Axis { label: label.into(), unit: Unit::Fraction, log: false };
    Some(Chart {
        name: super::charts::file_stem(&format!("reliability-{suite}-{task}")),
        title: format!("Reliability on {task}"),
        note: "Share right by confidence, in ten bins of as many items each, with intervals. On the dashed line a variant is \
               right as often as it is sure; below it is too sure."
            .into(),
        plot: Plot::Curves(Curves { x: share("confidence"), y: share("right"), series: series.collect() }),
    })
}

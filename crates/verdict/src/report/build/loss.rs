//! The section on what was lost: task by task, where it is concentrated, what the predictions moved, by length and position,
//! and the answers that changed.

use super::Inputs;
use super::sections::{cell, column, section};
use crate::recommend::compare::{FlipKind, Scale, scale};
use crate::recommend::figures;
use crate::recommend::loss::{Change, TaskLoss, VariantLoss};
use crate::report::chart::{Chart, Heat, Panel, Plot};
use crate::report::page::{Block, Cell, CellMark, Column, DataTable, Section, TableRow};
use bantam_core::record::Reading;

/// Changed answers that are shown of a task.
const SHOWN_FLIPS: usize = 8;

pub(super) fn lost(inputs: &Inputs) -> Option<Section> {
    let losses = &inputs.advice.losses;
    if losses.is_empty() {
        return None;
    }
    let text = "Each variant against its own base, item by item. \"Kept\" is the share of what the base had above guessing, so \
                that tasks of unlike chances can be laid side by side. Where no loss is shown, the smallest loss that these items \
                would have shown four times in five stands beside it. Losses of several slices are tested for being the same in \
                all values of a slice (Cochran's Q, by permutation); a small p says that the loss is concentrated.";
    let mut blocks = vec![Block::Text(text.into()), Block::Table(tasks(inputs, losses))];
    blocks.extend(divergences(losses).map(Block::Table));
    blocks.extend(concentrated(losses).map(Block::Table));
    blocks.extend(heat(inputs).map(Block::Chart));
    blocks.extend(flips(losses).map(Block::Table));
    section("loss", "What was lost", blocks)
}

fn name(title: &str) -> Column {
    Column { title: title.into(), numeric: false, hint: String::new() }
}

fn tasks(inputs: &Inputs, losses: &[VariantLoss]) -> DataTable {
    let columns = vec![
        name("variant"),
        name("task"),
        column("base", "the base's score"),
        column("variant's", "the variant's score"),
        column("difference", "variant less base in points, or the ratio of perplexities"),
        column("kept", "share of what the base had above guessing that is kept"),
        column("could have seen", "the smallest loss that these items would have shown four times in five"),
        column("lost / gained", "answers that were right and are wrong now, and the other way"),
    ];
    let rows = losses.iter().flat_map(|loss| loss.ordered().into_iter().map(move |task| (loss, task)));
    let row = |(loss, task): (&VariantLoss, &TaskLoss)| TableRow {
        cells: vec![
            Cell::text(loss.label.clone()),
            Cell::text(if task.base.known().is_some() { named(task) } else { task.task.to_string() }),
            cell(&task.base),
            cell(&task.variant),
            difference(task),
            cell(&task.kept),
            task.smallest_seen.map_or_else(
                || Cell::missing("a change is shown, or nothing was compared"),
                |s| Cell { sort: Some(s), ..Cell::text(amount(task, s)) },
            ),
            Cell::text(format!("{} / {}", task.flips.lost, task.flips.gained)),
        ],
        advised: inputs.advice.advised().is_some_and(|s| *s.id() == loss.variant),
    };
    DataTable {
        caption: "The least kept comes first. Small print is the interval; reasons of what is missing are the tooltips, or the \
                  notes."
            .into(),
        columns,
        rows: rows.map(row).collect(),
    }
}

fn named(task: &TaskLoss) -> String {
    format!("{} ({})", task.task, task.metric.label())
}

fn amount(task: &TaskLoss, x: f64) -> String {
    match scale(task.metric) {
        Scale::Points => figures::points(x),
        Scale::LogRatio => format!("{:.1}%", x * 100.0),
    }
}

fn difference(task: &TaskLoss) -> Cell {
    let plain = cell(&task.difference);
    let Some(figure) = task.difference.known() else { return plain };
    let (text, small) = match scale(task.metric) {
        Scale::Points => (
            format!("{:+.1} points", figure.value * 100.0),
            figure.interval.map_or(String::new(), |i| format!("{:+.1} to {:+.1}", i.low * 100.0, i.high * 100.0)),
        ),
        Scale::LogRatio => (
            format!("× {:.3}", figure.value),
            figure.interval.map_or(String::new(), |i| format!("{:.3} to {:.3}", i.low, i.high)),
        ),
    };
    let mark = match task.shown {
        Change::Lost => CellMark::Bad,
        Change::Gained => CellMark::Good,
        Change::Neither | Change::Unknown => CellMark::None,
    };
    Cell { text, small, mark, hint: task.sentence(), ..plain }
}

fn divergences(losses: &[VariantLoss]) -> Option<DataTable> {
    let known: Vec<_> = losses.iter().filter_map(|loss| Some((loss, loss.divergence.as_ref()?))).collect();
    let text = known.first()?.1.text.clone();
    let columns = vec![
        name("variant"),
        name("base"),
        column("mean KLD", "nats, ± one standard error"),
        column("99%", "99% of the tokens diverge by less"),
        column("same top", "share of tokens of which both find the same one the likeliest, ± one standard error"),
        column("perplexity", "the variant's over the base's, ± one standard error of pairs"),
        column("tokens", "tokens that were scored"),
    ];
    let row = |(loss, d): &(&VariantLoss, &crate::recommend::loss::Divergence)| TableRow {
        cells: vec![
            Cell::text(loss.label.clone()),
            Cell::text(loss.base_label.clone()),
            Cell::text(format!("{:.5} ± {:.5}", d.mean.0, d.mean.1)),
            Cell::text(format!("{:.4}", d.p99)),
            Cell::text(format!("{:.2} ± {:.2}%", d.same_top.0 * 100.0, d.same_top.1 * 100.0)),
            Cell::text(format!("× {:.4} ± {:.4}", d.ratio.0, d.ratio.1)),
            Cell::text(d.tokens.to_string()),
        ],
        advised: false,
    };
    let caption = format!("How far predictions moved over {text}, in llama-perplexity's words.");
    Some(DataTable { caption, columns, rows: known.iter().map(row).collect() })
}

fn concentrated(losses: &[VariantLoss]) -> Option<DataTable> {
    let columns = vec![
        name("variant"),
        name("task"),
        name("slice"),
        column("p", "the chance of losses so far apart, were they all alike"),
        name("lost most"),
        name("differences"),
    ];
    let mut rows = Vec::new();
    for loss in losses {
        for task in &loss.tasks {
            for found in &task.concentrated {
                let p = match &found.p {
                    Ok(p) => Cell { sort: Some(*p), ..Cell::text(format!("{p:.3}")) },
                    Err(reason) => Cell::missing(reason.clone()),
                };
                let of_slice = task.slices.iter().filter(|s| s.slice == found.slice);
                let shown = of_slice.map(|s| match &s.difference {
                    Reading::Known(f) if scale(task.metric) == Scale::Points => {
                        format!("{} {:+.1}", s.value, f.value * 100.0)
                    }
                    Reading::Known(f) => format!("{} × {:.3}", s.value, f.value),
                    Reading::Missing { .. } => format!("{} –", s.value),
                });
                let shown: Vec<String> = shown.collect();
                let texts = [&loss.label, &named(task), &found.slice].map(|t| Cell::text(t.clone()));
                let cells = texts.into_iter().chain([p, Cell::text(found.worst.clone()), Cell::text(shown.join(", "))]);
                rows.push(TableRow { cells: cells.collect(), advised: false });
            }
        }
    }
    let caption = "Is the loss the same in all values of a slice? Differences are variant less base.".into();
    (!rows.is_empty()).then_some(DataTable { caption, columns, rows })
}

/// The fact found again, by length and position: a panel a variant.
fn heat(inputs: &Inputs) -> Option<Chart> {
    let cells = |s: &crate::recommend::VariantSummary| -> Vec<(String, String, f64)> {
        let of = s.scores.iter().flat_map(|score| &score.slices).filter(|slice| slice.slice == "cell");
        of.filter_map(|slice| {
            let (length, position) = slice.value.split_once('@')?;
            Some((length.to_owned(), position.to_owned(), slice.reading.value()?))
        })
        .collect()
    };
    let ordered = |mut all: Vec<String>| {
        all.sort_by_key(|text| text.parse::<usize>().unwrap_or(usize::MAX));
        all.dedup();
        all
    };
    let planned = inputs.planned();
    let all: Vec<(String, String, f64)> = planned.iter().flat_map(|s| cells(s)).collect();
    let lengths = ordered(all.iter().map(|(length, ..)| length.clone()).collect());
    let positions = ordered(all.iter().map(|(_, position, _)| position.clone()).collect());
    if lengths.is_empty() {
        return None;
    }
    let panel = |s: &&crate::recommend::VariantSummary| {
        let known = cells(s);
        let at = |position: &String, length: &String| {
            known.iter().find(|(l, p, _)| l == length && p == position).map(|(.., share)| *share)
        };
        let rows = positions.iter().map(|p| lengths.iter().map(|l| at(p, l)).collect()).collect();
        Panel { label: s.variant.label(), cells: rows }
    };
    Some(Chart {
        name: "needle".into(),
        title: "A fact found again, by context length and position (%)".into(),
        note: "Share right of the items of each cell (chance is 25%): columns are tokens of context, about; rows where in it \
               the fact stands, from its beginning (0%) to its end. Cells hold few items each; the table above has the intervals by \
               length and by position."
            .into(),
        plot: Plot::Heat(Heat {
            x_label: "context, tokens".into(),
            y_label: "position".into(),
            columns: lengths.clone(),
            rows: positions.iter().map(|p| format!("{p}%")).collect(),
            panels: planned.iter().filter(|s| !cells(s).is_empty()).map(panel).collect(),
        }),
    })
}

/// Answers that changed, to be read.
fn flips(losses: &[VariantLoss]) -> Option<DataTable> {
    let columns = vec![
        name("variant"),
        name("task"),
        column("item", "its position in the data"),
        name("change"),
        name("base said"),
        name("variant says"),
        name("right"),
    ];
    let mut rows = Vec::new();
    for loss in losses {
        for task in &loss.tasks {
            for flip in task.flipped.iter().take(SHOWN_FLIPS) {
                let text = |t: &Option<String>| Cell::text(t.as_deref().map_or("–".into(), shortened));
                let kind = match flip.kind {
                    FlipKind::Lost => "lost",
                    FlipKind::Gained => "gained",
                    FlipKind::StillWrong => "still wrong",
                };
                rows.push(TableRow {
                    cells: vec![
                        Cell::text(loss.label.clone()),
                        Cell::text(task.task.to_string()),
                        Cell { sort: Some(flip.index as f64), ..Cell::text(flip.index.to_string()) },
                        Cell::text(kind),
                        text(&flip.reference),
                        text(&flip.candidate),
                        text(&flip.target),
                    ],
                    advised: false,
                });
            }
        }
    }
    let caption = format!(
        "Answers that changed, up to {SHOWN_FLIPS} of each task, those that were right first; `bantam compare` lists them all."
    );
    (!rows.is_empty()).then_some(DataTable { caption, columns, rows })
}

fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

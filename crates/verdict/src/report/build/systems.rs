//! The section on systems: what variants come to together, and whether it pays.

use super::Inputs;
use super::sections::{cell, column, section};
use crate::recommend::systems::{COSTS, Considered, Kept, Pays, Systems};
use crate::report::page::{Block, Cell, CellMark, Column, DataTable, Section, TableRow};
use bantam_core::metric::Metric;
use bantam_core::record::{Figure, Provenance, Reading};
use bantam_core::unit::Unit;

/// What variants come to together.
pub(super) fn together(inputs: &Inputs) -> Option<Section> {
    let systems = inputs.advice.systems.as_ref()?;
    let text = "Rules were chosen on half of each task's items, so that they keep the margins at the least cost. What is told here \
                was found on the other half, which no rule has seen; what was promised of it stands beside it, and all promises of a \
                system together hold at the profile's confidence. What is tried beside the variants stands among them above, judged \
                by that half alone.";
    let mut blocks = vec![Block::Text(text.into()), Block::List(systems.words())];
    if !systems.considered.is_empty() {
        blocks.push(Block::Table(costs(inputs, systems)));
        let rules: Vec<String> =
            systems.considered.iter().flat_map(|one| one.tasks.iter().map(|told| told.words(one))).collect();
        blocks.push(Block::Table(scores(inputs, systems)));
        blocks.push(Block::List(rules));
    }
    section("systems", "Variants together", blocks)
}

fn plain(title: &str) -> Column {
    Column { title: title.into(), numeric: false, hint: String::new() }
}

fn label(inputs: &Inputs, considered: &Considered) -> (Cell, bool) {
    let advised = inputs.advice.advised().is_some_and(|advised| *advised.id() == considered.variant.id);
    (Cell::text(considered.variant.label()), advised)
}

fn costs(inputs: &Inputs, systems: &Systems) -> DataTable {
    let known = |metric: &Metric| systems.considered.iter().any(|one| one.costs.iter().any(|(of, _)| of == metric));
    let metrics: Vec<Metric> = COSTS.into_iter().filter(known).collect();
    let mut columns = vec![plain("system"), plain("pays")];
    columns.push(column(
        "of one variant",
        "what an item costs as a share of the cheapest variant that keeps every margin alone",
    ));
    columns.extend(
        metrics
            .iter()
            .map(|metric| column(metric.label(), "mean over the second half's items; small: promised at most")),
    );
    columns.push(column("memory, all", "the peaks of all members together"));
    columns.push(column("memory, one", "the highest peak of a member, where one at a time is loaded"));
    columns.push(column("loading", "what loading takes of an item on average then, tasks coming mixed"));
    let row = |considered: &Considered| {
        let (name, advised) = label(inputs, considered);
        let share = considered.of_single.as_ref().map_or_else(
            || Cell::missing("there is no variant to hold it against, or its cost is not known"),
            |share| Cell {
                text: Unit::Fraction.show(share.value),
                small: format!("{} to {}", Unit::Fraction.show(share.low), Unit::Fraction.show(share.high)),
                sort: Some(share.value),
                ..Cell::default()
            },
        );
        let cost = |metric: &Metric| match considered.costs.iter().find(|(known, _)| known == metric) {
            Some((metric, kept)) => kept_cell(kept, metric.unit(), "at most"),
            None => Cell::missing("not known of all its members"),
        };
        let loading = considered.loading.map_or_else(
            || Reading::missing("how long a member takes to load was not measured"),
            |seconds| derived(seconds, Unit::Seconds, "by what each member took to load"),
        );
        let mut cells = vec![name, pays(&considered.pays), share];
        cells.extend(metrics.iter().map(cost));
        cells.extend([cell(&considered.memory_of_all), cell(&considered.memory_of_one), cell(&loading)]);
        TableRow { cells, advised }
    };
    DataTable {
        caption: "A bound that was not kept is marked. – is missing; the reason is the tooltip, or the note.".into(),
        columns,
        rows: systems.considered.iter().map(row).collect(),
    }
}

fn scores(inputs: &Inputs, systems: &Systems) -> DataTable {
    let rows = systems.considered.iter().flat_map(|considered| {
        considered.tasks.iter().map(|told| {
            let (name, advised) = label(inputs, considered);
            let metric = inputs.advice.tasks.iter().find(|task| task.name == told.task).map(|task| task.metric);
            let unit = metric.map_or(Unit::Fraction, Metric::unit);
            let side = match metric.map(Metric::direction) {
                Some(bantam_core::metric::Direction::Lower) => "at most",
                _ => "at least",
            };
            let cells = vec![
                name,
                Cell::text(told.task.task.clone()),
                cell(&derived(told.escalated, Unit::Fraction, "share of the second half's items")),
                kept_cell(&told.score, unit, side),
                cell(&derived(
                    told.score.promised,
                    unit,
                    "mean over the first half, each fifth by rules of the other four",
                )),
            ];
            TableRow { cells, advised }
        })
    });
    DataTable {
        caption: "Found on the second half; small: what was promised of it.".into(),
        columns: vec![
            plain("system"),
            plain("task"),
            column("goes on", "the share of the items that another member is asked, too"),
            column("score", "mean over the second half's items; small: promised"),
            column("on the first half", "what the promise rests on"),
        ],
        rows: rows.collect(),
    }
}

fn kept_cell(kept: &Kept, unit: Unit, side: &str) -> Cell {
    Cell {
        text: unit.show(kept.found),
        small: format!("{side} {}", unit.show(kept.bound)),
        hint: format!("mean over {} items that no rule has seen", kept.items),
        mark: if kept.held { CellMark::None } else { CellMark::Bad },
        sort: Some(kept.found),
    }
}

fn pays(pays: &Pays) -> Cell {
    let mark = match pays {
        Pays::Yes => CellMark::Good,
        Pays::No { .. } => CellMark::Bad,
        Pays::NotShown { .. } => CellMark::None,
    };
    Cell { mark, hint: pays.reason().unwrap_or_default().to_owned(), ..Cell::text(pays.label()) }
}

fn derived(value: f64, unit: Unit, how: &str) -> Reading {
    Reading::Known(Figure {
        value,
        unit,
        provenance: Provenance::Derived,
        interval: None,
        no_interval: None,
        n: None,
        how: how.into(),
    })
}

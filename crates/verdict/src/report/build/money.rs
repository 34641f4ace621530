//! The section on money: what a million tokens, requests and right answers cost, and from where on this machine pays.

use super::Inputs;
use super::sections::{column, section};
use crate::recommend::money::{Cost, Money};
use crate::report::page::{Block, Cell, Column, DataTable, Section, TableRow};
use bantam_core::record::{Figure, Interval, Reading};
use bantam_core::unit::Unit;

/// What it costs in money.
pub(super) fn costs(inputs: &Inputs) -> Option<Section> {
    let money = inputs.advice.money.as_ref()?;
    let known = |cost: &&Cost| {
        cost.requests.known().is_some() || cost.input.as_ref().is_some_and(|reading| reading.known().is_some())
    };
    let shown: Vec<&Cost> = money.rows.iter().filter(known).collect();
    if shown.is_empty() {
        return None;
    }
    let plain = |title: &str| Column { title: title.into(), numeric: false, hint: String::new() };
    let of = |what: &str, hint: &str| column(&format!("{} a million {what}", money.currency), hint);
    let columns = vec![
        plain("variant"),
        plain("shape or task"),
        of("tokens in", "prompt tokens: by the price list, or by the time and the power that reading them takes"),
        of("tokens out", "generated tokens, likewise"),
        of("requests", "of the shape, or of the task as it was asked"),
        of("right answers", "the cost of all answers over those that are right"),
    ];
    let row = |cost: &&Cost| {
        let label = [Cell::text(cost.label.clone()), Cell::text(cost.of.clone())];
        let optional = |reading: &Option<Reading>, why: &str| match reading {
            Some(reading) => cell(reading),
            None => Cell::missing(why),
        };
        let apart = "a task's tokens are not told apart";
        let cells = [
            optional(&cost.input, apart),
            optional(&cost.output, apart),
            cell(&cost.requests),
            optional(&cost.correct, "a shape has no right answers"),
        ];
        let advised = inputs.advice.advised().is_some_and(|advised| *advised.id() == cost.variant);
        TableRow { cells: label.into_iter().chain(cells).collect(), advised }
    };
    let text = format!(
        "By the prices of the profile: {}. An hour of this machine pays for the hours without work, too, where the profile says \
         how many there are (utilisation).",
        money.basis.join("; ")
    );
    let table = DataTable {
        caption: "Small print is the interval. – is missing; the reason is the tooltip, or the note.".into(),
        columns,
        rows: shown.iter().map(row).collect(),
    };
    let blocks = [Block::Text(text), Block::Table(table)].into_iter().chain(even(money).map(Block::List));
    section("money", "What it costs", blocks.collect())
}

/// Where this machine pays, a sentence each.
fn even(money: &Money) -> Option<Vec<String>> {
    let sentences: Vec<String> = money.break_even.iter().map(|even| even.sentence()).collect();
    (!sentences.is_empty()).then_some(sentences)
}

/// An amount in whole units of the currency.
fn cell(reading: &Reading) -> Cell {
    super::sections::cell(&match reading {
        Reading::Known(figure) => Reading::Known(Figure {
            value: figure.value / 100.0,
            unit: Unit::Number,
            interval: figure.interval.map(|i| Interval { low: i.low / 100.0, high: i.high / 100.0, ..i }),
            ..figure.clone()
        }),
        missing => missing.clone(),
    })
}

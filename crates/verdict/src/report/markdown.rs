//! report.md: the page for a pull request or a terminal; charts as links to the SVG files beside it.

use super::page::{Block, Card, Cell, CellMark, DataTable, Dot, Matrix, Sign};
use super::{Exporter, Page};
use anyhow::Result;
use bantam_core::text;
use std::io::Write;

pub(super) struct Markdown;

impl Exporter for Markdown {
    fn file(&self) -> &'static str {
        "report.md"
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "# {}\n\n{}\n", escape(&page.title), escape(&page.subtitle))?;
        for section in &page.sections {
            writeln!(out, "## {}\n", escape(&section.title))?;
            for block in &section.blocks {
                print(block, out)?;
            }
        }
        Ok(())
    }
}

fn print(block: &Block, out: &mut dyn Write) -> Result<()> {
    match block {
        Block::Text(text) => writeln!(out, "{}\n", escape(text))?,
        Block::Callout { title, lines, .. } => {
            writeln!(out, "> **{}**", escape(title))?;
            for line in lines {
                writeln!(out, ">\n> {}", escape(line))?;
            }
            writeln!(out)?;
        }
        Block::List(lines) => {
            for line in lines {
                writeln!(out, "- {}", escape(line))?;
            }
            writeln!(out)?;
        }
        Block::Facts(facts) => {
            writeln!(out, "| | |\n|---|---|")?;
            for (name, value) in facts {
                writeln!(out, "| {} | {} |", escape(name), escape(value))?;
            }
            writeln!(out)?;
        }
        Block::Commands(commands) => {
            for (what, command) in commands {
                writeln!(out, "{}\n\n{}\n", escape(what), code(command))?;
            }
        }
        Block::Table(table) => print_table(table, out)?,
        Block::Cards(cards) => print_cards(cards, out)?,
        Block::Matrix(matrix) => print_matrix(matrix, out)?,
        // a file that stands still; `bantam decide` is named where it stands
        Block::WhatIf(whatif) => writeln!(
            out,
            "Other limits, margins and preferences: report.html, or `bantam decide {}`.\n",
            escape(&whatif.choices.run)
        )?,
        Block::Chart(chart) => {
            writeln!(out, "![{}](charts/{}.svg)\n\n{}\n", escape(&chart.title), chart.name, escape(&chart.note))?;
        }
    }
    Ok(())
}

/// A line a number, a column a variant.
fn print_cards(cards: &[Card], out: &mut dyn Write) -> Result<()> {
    let heads: Vec<String> = cards.iter().map(|c| format!("{}: {}", escape(&c.role), escape(&c.face.name))).collect();
    writeln!(out, "| | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(cards.len()))?;
    let standings: Vec<&str> = cards.iter().map(|card| card.group.label()).collect();
    writeln!(out, "| standing | {} |", standings.join(" | "))?;
    for (place, figure) in cards.first().map_or(&[][..], |card| &card.face.figures).iter().enumerate() {
        let of = |card: &Card| {
            let figure = card.face.figures.get(place)?;
            let change =
                if figure.change.is_empty() { String::new() } else { format!(" ({})", escape(&figure.change)) };
            Some(format!("{}{change}", escape(&figure.cell.text)))
        };
        let cells: Vec<String> = cards.iter().map(|card| of(card).unwrap_or_default()).collect();
        writeln!(out, "| {} | {} |", escape(&figure.label), cells.join(" | "))?;
    }
    writeln!(out)?;
    Ok(())
}

/// A line a variant, a sign a task.
fn print_matrix(matrix: &Matrix, out: &mut dyn Write) -> Result<()> {
    let tasks: Vec<String> = matrix.tasks.iter().map(|(task, _)| escape(task)).collect();
    writeln!(out, "| variant | | limits | {} |\n|---|---|:-:|{}", tasks.join(" | "), ":-:|".repeat(tasks.len()))?;
    for row in &matrix.rows {
        let dot = |dot: &Dot| format!("{} {}", dot.sign.letter(), escape(&dot.text)).trim_end().to_owned();
        let dots: Vec<String> = row.dots.iter().map(dot).collect();
        let name = escape(&row.name);
        let name = if row.advised { format!("**{name}**") } else { name };
        writeln!(out, "| {name} | {} | {} |", row.group.label(), dots.join(" | "))?;
    }
    let legend: Vec<String> = Sign::ALL.iter().map(|sign| format!("{} {}", sign.letter(), sign.label())).collect();
    writeln!(out, "\n{}.\n", legend.join(", "))?;
    Ok(())
}

fn print_table(table: &DataTable, out: &mut dyn Write) -> Result<()> {
    let titles: Vec<String> = table.columns.iter().map(|c| escape(&c.title)).collect();
    let rule: Vec<&str> = table.columns.iter().map(|c| if c.numeric { "---:" } else { "---" }).collect();
    writeln!(out, "| {} |\n|{}|", titles.join(" | "), rule.join("|"))?;
    let mut notes: Vec<&str> = Vec::new();
    for row in &table.rows {
        let cells: Vec<String> = row.cells.iter().map(|c| cell(c, row.advised, &mut notes)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out, "\n{}\n", escape(&table.caption))?;
    for (i, note) in notes.iter().enumerate() {
        writeln!(out, "{}. {}", i + 1, escape(note))?;
    }
    if !notes.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Indented, so that nothing in it can end it.
fn code(command: &str) -> String {
    text::lines(command).lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A missing or doubtful number names its reason in a numbered note under the table.
fn cell<'a>(cell: &'a Cell, advised: bool, notes: &mut Vec<&'a str>) -> String {
    let text = escape(&cell.text);
    let text = if advised { format!("**{text}**") } else { text };
    let mut shown = match cell.mark {
        CellMark::Estimated => format!("≈ {text}"),
        CellMark::Doubtful => format!("{text} \\*"),
        _ => text,
    };
    if !cell.small.is_empty() {
        shown = format!("{shown} ({})", escape(&cell.small));
    }
    if matches!(cell.mark, CellMark::Missing | CellMark::Doubtful) && !cell.hint.is_empty() {
        let at = notes.iter().position(|n| *n == cell.hint).unwrap_or_else(|| {
            notes.push(&cell.hint);
            notes.len() - 1
        });
        shown = format!("{shown} [{}]", at + 1);
    }
    shown
}

/// Names and sentences from outside stay what they are: no markup of Markdown's, and no HTML, which Markdown lets
/// through.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text::lines(text).chars() {
        match c {
            '\n' | '\r' | '\t' => escaped.push(' '),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '$' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

//! report.html: one self-contained file. Charts are inline SVG, styles and the lines that sort, choose columns and decide
//! again are inside, nothing is fetched, and everything from outside (model names, errors) is escaped.

use super::decision;
use super::page::{Block, Cell, CellMark, Column, DataTable, Section, WhatIf};
use super::{Exporter, Page, chart};
use anyhow::{Context, Result};
use bantam_core::text;
use std::io::Write;

pub(super) struct Html;

impl Exporter for Html {
    fn file(&self) -> &'static str {
        "report.html"
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        let title = escape(&page.title);
        writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">")?;
        writeln!(out, "<title>{title}</title>\n<style>\n{}{}</style>\n</head>", include_str!("html.css"), chart::DARK)?;
        writeln!(out, "<body>\n<a class=\"skip\" href=\"#advice\">To the advice</a>")?;
        writeln!(out, "<header><h1>{title}</h1><p>{}</p>", escape(&page.subtitle))?;
        let links = page.sections.iter().map(|s| format!("<a href=\"#{}\">{}</a>", escape(&s.id), escape(&s.title)));
        writeln!(out, "<nav aria-label=\"Sections\">{}</nav></header>\n<main>", links.collect::<Vec<_>>().join("\n"))?;
        for section in &page.sections {
            print_section(section, out)?;
        }
        writeln!(out, "</main>")?;
        if let Some(whatif) = whatif(page) {
            let json = serde_json::to_string(whatif).context("writing what can be turned")?;
            // inside a script nothing is an entity, and "</script" ends it wherever it stands
            let json = json.replace('<', "\\u003c");
            writeln!(out, "<script type=\"application/json\" id=\"whatif-data\">{json}</script>")?;
            writeln!(out, "<script id=\"decide\">\n{}</script>", include_str!("decide.js"))?;
            writeln!(out, "<script>\n{}</script>", include_str!("whatif.js"))?;
        }
        writeln!(out, "<script>\n{}</script>\n</body>\n</html>", include_str!("html.js"))?;
        Ok(())
    }
}

fn whatif(page: &Page) -> Option<&WhatIf> {
    page.sections.iter().flat_map(|section| &section.blocks).find_map(|block| match block {
        Block::WhatIf(whatif) => Some(&**whatif),
        _ => None,
    })
}

fn print_section(section: &Section, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<section id=\"{}\">\n<h2>{}</h2>", escape(&section.id), escape(&section.title))?;
    // charts that follow each other stand side by side where there is room, and so do a chart and what can be turned
    for run in section.blocks.chunk_by(|a, b| is_drawn(a) && is_drawn(b)) {
        let several = run.len() > 1;
        if several {
            writeln!(out, "<div class=\"side\">")?;
        }
        for block in run {
            print(block, out)?;
        }
        if several {
            writeln!(out, "</div>")?;
        }
    }
    writeln!(out, "</section>")?;
    Ok(())
}

fn is_drawn(block: &Block) -> bool {
    matches!(block, Block::Chart(_) | Block::WhatIf(_))
}

fn print(block: &Block, out: &mut dyn Write) -> Result<()> {
    match block {
        Block::Text(text) => writeln!(out, "<p>{}</p>", escape(text))?,
        Block::Callout { good, title, lines } => {
            let class = if *good { "good" } else { "bad" };
            writeln!(out, "<div class=\"callout {class}\"><h3>{}</h3>", escape(title))?;
            for line in lines {
                writeln!(out, "<p>{}</p>", escape(line))?;
            }
            writeln!(out, "</div>")?;
        }
        Block::List(lines) => {
            writeln!(out, "<ul>")?;
            for line in lines {
                writeln!(out, "<li>{}</li>", escape(line))?;
            }
            writeln!(out, "</ul>")?;
        }
        Block::Facts(facts) => {
            writeln!(out, "<dl>")?;
            for (name, value) in facts {
                writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))?;
            }
            writeln!(out, "</dl>")?;
        }
        Block::Commands(commands) => {
            for (what, command) in commands {
                writeln!(out, "<p>{}</p><pre tabindex=\"0\"><code>{}</code></pre>", escape(what), escape(command))?;
            }
        }
        Block::Table(table) => print_table(table, out)?,
        Block::Chart(chart) => {
            let svg = scalable(&chart::bare(chart)?);
            let marks = decision::marks(&chart::places(chart), chart);
            let svg = svg.replacen("</svg>", &format!("{marks}</svg>"), 1);
            let name = escape(&chart.name);
            writeln!(
                out,
                "<figure class=\"chart\" id=\"chart-{name}\"><div class=\"canvas\" tabindex=\"0\" role=\"img\""
            )?;
            writeln!(out, "aria-label=\"{}\">{svg}</div>", escape(&chart.title))?;
            writeln!(out, "<figcaption>{}</figcaption></figure>", escape(&chart.note))?;
        }
        Block::Cards(cards) => decision::print_cards(cards, out)?,
        Block::Matrix(matrix) => decision::print_matrix(matrix, out)?,
        Block::WhatIf(whatif) => decision::print_whatif(whatif, out)?,
    }
    Ok(())
}

/// The SVG element alone, without the XML prologue and without the fixed size that its viewBox already carries.
fn scalable(svg: &str) -> String {
    let start = svg.find("<svg").unwrap_or(0);
    let end = svg[start..].find('>').map_or(svg.len(), |e| start + e);
    let head: Vec<&str> =
        svg[start..end].split(' ').filter(|a| !a.starts_with("width=") && !a.starts_with("height=")).collect();
    format!("{}{}", head.join(" "), &svg[end..])
}

fn print_table(table: &DataTable, out: &mut dyn Write) -> Result<()> {
    // long tables scroll under their heads, and tables of a few columns have no need to be cards
    let tall = if table.rows.len() > 30 { " tall" } else { "" };
    let caption = escape(&table.caption);
    writeln!(out, "<div class=\"scroll{tall}\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">")?;
    let wide = if table.columns.len() > 4 { " class=\"wide\"" } else { "" };
    writeln!(out, "<table{wide}><caption>{caption}</caption>\n<thead><tr>")?;
    for column in &table.columns {
        let class = if column.numeric { " class=\"num\"" } else { "" };
        let (hint, title) = (escape(&column.hint), escape(&column.title));
        writeln!(
            out,
            "<th scope=\"col\"{class} title=\"{hint}\"><span role=\"button\" tabindex=\"0\">{title}</span></th>"
        )?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in &table.rows {
        writeln!(out, "<tr{}>", if row.advised { " class=\"advised\"" } else { "" })?;
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            print_cell(cell, column, out)?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    Ok(())
}

fn print_cell(cell: &Cell, column: &Column, out: &mut dyn Write) -> Result<()> {
    let class = format!("{}{}", if column.numeric { "num " } else { "" }, mark(cell.mark));
    let sort = cell.sort.map_or(String::new(), |s| format!(" data-sort=\"{s}\""));
    let title = if cell.hint.is_empty() { String::new() } else { format!(" title=\"{}\"", escape(&cell.hint)) };
    let head = escape(&column.title);
    writeln!(out, "<td class=\"{}\" data-head=\"{head}\"{title}{sort}>{}</td>", class.trim(), inner(cell))?;
    Ok(())
}

fn mark(mark: CellMark) -> &'static str {
    match mark {
        CellMark::None => "",
        CellMark::Good => "ok",
        CellMark::Bad => "no",
        CellMark::Missing => "missing",
        CellMark::Estimated => "estimated",
        CellMark::Doubtful => "doubtful",
    }
}

/// A number with what marks it, and the small print under it.
fn inner(cell: &Cell) -> String {
    number(cell) + &small(cell)
}

/// A number with what marks it.
pub(super) fn number(cell: &Cell) -> String {
    let about = if cell.mark == CellMark::Estimated { "≈ " } else { "" };
    let doubt = if cell.mark == CellMark::Doubtful { "&nbsp;*" } else { "" };
    format!("{about}{}{doubt}", escape(&cell.text))
}

/// The small print under a number, where there is some.
pub(super) fn small(cell: &Cell) -> String {
    if cell.small.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&cell.small)) }
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text::lines(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

//! report.html: one self-contained file. Charts are inline SVG, styles and the few lines that sort tables are
//! inside, nothing is fetched, and everything from outside (model names, errors) is escaped.

use super::page::{Block, Cell, CellMark, DataTable};
use super::{Exporter, Page, chart};
use anyhow::Result;
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
        writeln!(out, "<title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>", include_str!("html.css"))?;
        writeln!(out, "<header><h1>{title}</h1><p>{}</p>", escape(&page.subtitle))?;
        let links = page.sections.iter().map(|s| format!("<a href=\"#{}\">{}</a>", escape(&s.id), escape(&s.title)));
        writeln!(out, "<nav>{}</nav></header>\n<main>", links.collect::<Vec<_>>().join(""))?;
        for section in &page.sections {
            writeln!(out, "<section id=\"{}\">\n<h2>{}</h2>", escape(&section.id), escape(&section.title))?;
            for block in &section.blocks {
                print(block, out)?;
            }
            writeln!(out, "</section>")?;
        }
        writeln!(out, "</main>\n<script>\n{}</script>\n</body>\n</html>", include_str!("html.js"))?;
        Ok(())
    }
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
                writeln!(out, "<p>{}</p><pre><code>{}</code></pre>", escape(what), escape(command))?;
            }
        }
        Block::Table(table) => print_table(table, out)?,
        Block::Chart(chart) => {
            let svg = chart::svg(chart)?;
            writeln!(out, "<figure role=\"img\" aria-label=\"{}\">{}", escape(&chart.title), scalable(&svg))?;
            writeln!(out, "<figcaption>{}</figcaption></figure>", escape(&chart.note))?;
        }
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
    writeln!(out, "<div class=\"scroll\"><table><caption>{}</caption>\n<thead><tr>", escape(&table.caption))?;
    for column in &table.columns {
        let class = if column.numeric { " class=\"num\"" } else { "" };
        let (hint, title) = (escape(&column.hint), escape(&column.title));
        writeln!(out, "<th{class} title=\"{hint}\"><button>{title}</button></th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in &table.rows {
        writeln!(out, "<tr{}>", if row.advised { " class=\"advised\"" } else { "" })?;
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            print_cell(cell, column.numeric, out)?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    Ok(())
}

fn print_cell(cell: &Cell, numeric: bool, out: &mut dyn Write) -> Result<()> {
    let mark = match cell.mark {
        CellMark::None => "",
        CellMark::Good => "ok",
        CellMark::Bad => "no",
        CellMark::Missing => "missing",
        CellMark::Estimated => "estimated",
        CellMark::Doubtful => "doubtful",
    };
    let class = format!("{}{mark}", if numeric { "num " } else { "" });
    let sort = cell.sort.map_or(String::new(), |s| format!(" data-sort=\"{s}\""));
    let small = if cell.small.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&cell.small)) };
    let about = if cell.mark == CellMark::Estimated { "≈ " } else { "" };
    let doubt = if cell.mark == CellMark::Doubtful { "&nbsp;*" } else { "" };
    let (hint, text) = (escape(&cell.hint), escape(&cell.text));
    writeln!(out, "<td class=\"{}\" title=\"{hint}\"{sort}>{about}{text}{doubt}{small}</td>", class.trim())?;
    Ok(())
}

fn escape(text: &str) -> String {
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

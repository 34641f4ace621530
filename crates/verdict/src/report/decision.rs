//! The first screen of report.html: cards of the variants between which it is decided, the marks of their chart, how all
//! stand as signs, and what can be turned. Each is whole without its script; whatif.js moves what stands here.

use super::chart::{Chart, Place, Plot};
use super::html::{escape, number, small};
use super::page::{Card, Dot, Face, FaceFigure, Matrix, MatrixRow, Sign, Way, WhatIf};
use crate::recommend::Group;
use anyhow::Result;
use std::fmt::Write as _;
use std::io::Write;

/// The name of a group in the page's code.
fn group(group: Group) -> &'static str {
    match group {
        Group::Qualifies => "qualifies",
        Group::CannotTell => "cannot_tell",
        Group::Out => "out",
    }
}

pub(super) fn print_cards(cards: &[Card], out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<div class=\"cards\">")?;
    for card in cards {
        let (class, role) = (group(card.group), escape(&card.role));
        let advised = if role.starts_with("advised") { " advised" } else { "" };
        writeln!(out, "<article class=\"card{advised}\" data-role=\"{role}\"><p class=\"role\">{role}</p>")?;
        writeln!(out, "<h3>{}</h3>", escape(&card.face.name))?;
        let reason = if card.reason.is_empty() { String::new() } else { format!(" {}", escape(&card.reason)) };
        writeln!(out, "<p class=\"standing\"><b class=\"{class}\">{}</b>{reason}</p>", card.group.label())?;
        print_face(&card.face, out)?;
        writeln!(out, "</article>")?;
    }
    writeln!(out, "</div>")?;
    Ok(())
}

fn print_face(face: &Face, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<dl class=\"figures\">")?;
    for figure in &face.figures {
        let FaceFigure { label, cell, change, way } = figure;
        let way = match way {
            Way::Neither => "",
            Way::Better => "better",
            Way::Worse => "worse",
        };
        let change =
            if change.is_empty() { String::new() } else { format!(" <i class=\"{way}\">{}</i>", escape(change)) };
        let hint = escape(&cell.hint);
        let (label, number, small) = (escape(label), number(cell), small(cell));
        writeln!(out, "<div title=\"{hint}\"><dt>{label}</dt><dd>{number}{change}{small}</dd></div>")?;
    }
    writeln!(out, "</dl>")?;
    let doubts = face.doubts.iter().map(|doubt| format!("<li>{}</li>", escape(doubt))).collect::<String>();
    let class = if doubts.is_empty() { " hidden" } else { "" };
    writeln!(out, "<ul class=\"doubts\"{class}>{doubts}</ul>")?;
    Ok(())
}

/// The marks of a scatter as elements of its drawing; the page colours them, and moves them between the groups.
pub(super) fn marks(places: &[Place<'_>], chart: &Chart) -> String {
    let Plot::Scatter(scatter) = &chart.plot else { return String::new() };
    let mut text = String::from("<g class=\"marks\">");
    for Place { point, at: (x, y), ends } in places {
        let advised = if point.advised { " advised" } else { "" };
        let (name, class, colour) = (escape(&point.label), group(point.standing), point.group % 7);
        let told = format!("{name}: {}, {}", scatter.y.unit.show(point.y), scatter.x.unit.show(point.x));
        let _ = write!(text, "<g class=\"mark g{colour} {class}{advised}\" data-name=\"{name}\"><title>{told}</title>");
        if let Some((top, bottom)) = ends {
            let (left, right) = (x - 3.0, x + 3.0);
            let _ = write!(
                text,
                "<path class=\"ends\" d=\"M{x:.1} {top:.1}V{bottom:.1}M{left:.1} {top:.1}H{right:.1}M{left:.1} {bottom:.1}H{right:.1}\"/>"
            );
        }
        let _ = write!(text, "<circle class=\"halo\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"10\"/>");
        let _ = write!(text, "<circle class=\"disc\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
        let (left, right, top, bottom) = (x - 4.0, x + 4.0, y - 4.0, y + 4.0);
        let _ = write!(
            text,
            "<path class=\"cross\" d=\"M{left:.1} {top:.1}L{right:.1} {bottom:.1}M{left:.1} {bottom:.1}L{right:.1} {top:.1}\"/></g>"
        );
    }
    text + "</g>"
}

/// A sign is its shape; its colour is its class's.
pub(super) fn print_matrix(matrix: &Matrix, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<svg class=\"shapes\" aria-hidden=\"true\"><defs>")?;
    for sign in Sign::ALL {
        writeln!(out, "<symbol id=\"sign-{}\" viewBox=\"0 0 16 16\">{}</symbol>", sign.name(), shape(sign))?;
    }
    writeln!(out, "</defs></svg>")?;
    let legend = Sign::ALL.map(|sign| format!("<span>{} {}</span>", drawn(sign), sign.label()));
    let rows = matrix.rows.len();
    let tall = if rows > 40 { " tall" } else { "" };
    writeln!(out, "<div class=\"scroll{tall}\" tabindex=\"0\" role=\"region\" aria-label=\"Verdicts\">")?;
    writeln!(out, "<table class=\"matrix\" id=\"matrix\"><caption>{}</caption>", legend.join(" "))?;
    writeln!(out, "<thead><tr><th scope=\"col\">Item by item against the reference</th><th scope=\"col\">limits</th>")?;
    for (task, hint) in &matrix.tasks {
        writeln!(out, "<th scope=\"col\" title=\"{}\">{}</th>", escape(hint), escape(task))?;
    }
    writeln!(out, "</tr></thead>")?;
    for of in Group::ALL {
        let members: Vec<&MatrixRow> = matrix.rows.iter().filter(|row| row.group == of).collect();
        let hidden = if members.is_empty() { " class=\"empty\"" } else { "" };
        let across = matrix.tasks.len() + 2;
        writeln!(out, "<tbody data-group=\"{}\"{hidden}><tr class=\"group\">", group(of))?;
        writeln!(out, "<th colspan=\"{across}\" scope=\"rowgroup\">{} <b>{}</b></th></tr>", of.label(), members.len())?;
        for row in members {
            print_row(row, out)?;
        }
        writeln!(out, "</tbody>")?;
    }
    writeln!(out, "</table></div>")?;
    Ok(())
}

fn print_row(row: &MatrixRow, out: &mut dyn Write) -> Result<()> {
    let name = escape(&row.name);
    let advised = if row.advised { " class=\"advised\"" } else { "" };
    write!(out, "<tr{advised} data-name=\"{name}\"><th scope=\"row\" title=\"{name}\"><span>{name}</span></th>")?;
    for dot in &row.dots {
        write!(out, "{}", print_dot(dot))?;
    }
    writeln!(out, "</tr>")?;
    Ok(())
}

fn print_dot(dot: &Dot) -> String {
    let hint = escape(&dot.hint);
    format!(
        "<td class=\"{}\" title=\"{hint}\">{}<small>{}</small></td>",
        dot.sign.name(),
        drawn(dot.sign),
        escape(&dot.text)
    )
}

fn drawn(sign: Sign) -> String {
    let name = sign.name();
    format!(
        "<svg class=\"sign {name}\" role=\"img\" aria-label=\"{}\"><use href=\"#sign-{name}\"/></svg>",
        sign.label()
    )
}

fn shape(sign: Sign) -> &'static str {
    match sign {
        Sign::Better => "<path d=\"M8 2.5 14 13H2Z\"/>",
        Sign::NotWorse => "<circle cx=\"8\" cy=\"8\" r=\"5\"/>",
        Sign::CannotTell => "<circle class=\"line\" cx=\"8\" cy=\"8\" r=\"4.3\"/>",
        Sign::Worse => "<path class=\"line\" d=\"M4 4l8 8M12 4l-8 8\"/>",
        Sign::Nothing => "<path class=\"line\" d=\"M5.5 8h5\"/>",
        Sign::Reference => "<path class=\"line\" d=\"M4 6h8M4 10h8\"/>",
    }
}

/// An empty form, which only the script fills and shows: without it nothing could be turned.
pub(super) fn print_whatif(whatif: &WhatIf, out: &mut dyn Write) -> Result<()> {
    let run = escape(&whatif.choices.run);
    writeln!(out, "<form class=\"whatif\" id=\"whatif\" hidden aria-label=\"What if\" data-run=\"{run}\">")?;
    writeln!(out, "<div class=\"head\"><h3>What if</h3><button type=\"reset\" disabled>as it ran</button></div>")?;
    writeln!(out, "<div class=\"knobs\"></div>\n<p class=\"changed\" role=\"status\" aria-live=\"polite\"></p>")?;
    writeln!(out, "<pre tabindex=\"0\" aria-label=\"The same on the command line\"><code></code></pre>\n</form>")?;
    Ok(())
}

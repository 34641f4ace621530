//! Results: a row a variant, a column a figure, sortable; and the Pareto scatter of mean score against memory.

use super::{inside, panel};
use crate::show::beginning;
use crate::tui::app::App;
use crate::tui::layout::{beside, scroll, wide};
use crate::tui::widget::scatter;
use bantam_core::record::{Provenance, Reading};
use bantam_core::unit::Bytes;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

const COLUMN: usize = 11;

fn areas(app: &App, body: Rect) -> (Option<Rect>, Option<Rect>) {
    if wide(body) {
        let (table, chart) = beside(body, 62);
        (Some(table), Some(chart))
    } else if app.chart {
        (None, Some(body))
    } else {
        (Some(body), None)
    }
}

fn table_parts(table: Rect) -> (Rect, Rect, Rect) {
    let inner = inside(table);
    let [head, rows, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(3)]).areas(inner);
    (head, rows, foot)
}

pub fn list(app: &App, body: Rect) -> Option<Rect> {
    areas(app, body).0.map(|table| table_parts(table).1)
}

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    if app.table.rows.is_empty() {
        let text = " nothing is measured yet; r starts the run, and figures come in as trials finish";
        return frame.render_widget(Line::styled(text, app.theme.soft()), body);
    }
    let (table, chart) = areas(app, body);
    if let Some(place) = table {
        draw_table(frame, place, app);
    }
    if let Some(place) = chart {
        frame.render_widget(panel("Mean score against peak memory", app.theme.soft()), place);
        scatter::draw(frame, inside(place), app);
    }
}

/// The letter that stands for a row in the scatter.
pub fn letter(row: usize) -> char {
    char::from_u32('a' as u32 + (row % 26) as u32).expect("26 letters follow a")
}

/// Which model of the table, for the colour.
pub fn group(app: &App, row: usize) -> usize {
    let rows = &app.table.rows;
    let mut seen: Vec<&str> = Vec::new();
    for r in rows {
        if !seen.contains(&r.variant.model.name.as_str()) {
            seen.push(&r.variant.model.name);
        }
    }
    seen.iter().position(|m| *m == rows[row].variant.model.name).unwrap_or(0)
}

fn draw_table(frame: &mut Frame, place: Rect, app: &App) {
    frame.render_widget(panel("Results", app.theme.soft()), place);
    let (head, rows, foot) = table_parts(place);
    let longest = app.table.rows.iter().map(|r| r.variant.label().chars().count()).max().unwrap_or(8);
    let names = longest.clamp(10, 22);
    let room = (head.width as usize).saturating_sub(names + 5) / COLUMN;
    let shown: Vec<usize> = (app.first_column..app.table.columns.len()).take(room).collect();
    draw_head(frame, head, &shown, names, app);
    let order = app.order();
    let first = scroll(app.cursor(), order.len(), rows.height as usize);
    for (line, &row) in order.iter().enumerate().skip(first).take(rows.height as usize) {
        let at = Rect { y: rows.y + (line - first) as u16, height: 1, ..rows };
        draw_row(frame, at, row, line == app.cursor(), (&shown, names), app);
    }
    draw_foot(frame, foot, &shown, &order, app);
}

fn draw_head(frame: &mut Frame, place: Rect, shown: &[usize], names: usize, app: &App) {
    let mut spans = vec![Span::styled(format!("    {:names$}", "variant"), app.theme.soft())];
    for &column in shown {
        let title = &app.table.columns[column].title;
        let sorted = app.sort.column == Some(column);
        let arrow = match (sorted, app.sort.reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let text = format!("{}{arrow}", beginning(title, COLUMN - 2));
        let style = if sorted { app.theme.strong() } else { app.theme.soft() };
        spans.push(Span::styled(format!("{text:>COLUMN$}"), style));
    }
    frame.render_widget(Line::from(spans), place);
}

fn draw_row(frame: &mut Frame, place: Rect, row: usize, chosen: bool, (shown, names): (&[usize], usize), app: &App) {
    let data = &app.table.rows[row];
    let mark = match (data.advised, data.on_front) {
        (true, _) => "★",
        (false, true) => "●",
        (false, false) => " ",
    };
    let mut spans = vec![
        Span::styled(format!("{mark} "), app.theme.good()),
        Span::styled(format!("{} ", letter(row)), app.theme.soft()),
        Span::styled(format!("{:names$}", beginning(&data.variant.label(), names)), app.theme.group(group(app, row))),
    ];
    for &column in shown {
        let (text, style) = data.cells.get(column).map_or(("·".into(), app.theme.soft()), |r| cell(r, app));
        spans.push(Span::styled(format!("{:>COLUMN$}", beginning(&text, COLUMN - 1)), style));
    }
    let mut style = if chosen { app.theme.chosen() } else { Style::new() };
    if data.advised {
        style = style.add_modifier(Modifier::BOLD);
    }
    if chosen {
        spans = spans.into_iter().map(|s| Span::raw(s.content)).collect();
    }
    frame.render_widget(Line::from(spans).style(style), place);
}

fn cell(reading: &Reading, app: &App) -> (String, Style) {
    match reading {
        Reading::Missing { .. } => ("–".into(), app.theme.soft()),
        Reading::Known(f) if f.provenance == Provenance::Estimated => {
            (format!("≈{}", f.unit.show(f.value)), app.theme.soft())
        }
        Reading::Known(f) => (f.unit.show(f.value), app.theme.text()),
    }
}

/// What the chosen row says in the first column shown (or the sorted one): interval, origin, reason.
fn draw_foot(frame: &mut Frame, place: Rect, shown: &[usize], order: &[usize], app: &App) {
    let Some(&row) = order.get(app.cursor()) else { return };
    let column = app.sort.column.filter(|c| shown.contains(c)).or(shown.first().copied());
    let Some(column) = column else { return };
    let data = &app.table.rows[row];
    let mut lines = vec![Line::styled("─".repeat(place.width as usize), app.theme.soft())];
    let head = format!("{}, {}: ", data.variant.label(), app.table.columns[column].title);
    let words = match data.cells.get(column) {
        None => "not measured yet".into(),
        Some(Reading::Missing { reason }) => format!("not available: {reason}"),
        Some(Reading::Known(f)) => {
            let interval = f.interval.map_or(String::new(), |i| {
                format!(" [{} to {}] at {:.0}%", f.unit.show(i.low), f.unit.show(i.high), i.level * 100.0)
            });
            format!("{}{interval}, {}: {}", f.unit.show(f.value), f.provenance.label(), f.how)
        }
    };
    let width = place.width as usize;
    let whole: Vec<char> = format!("{head}{words}").chars().collect();
    lines.extend(whole.chunks(width.max(1)).take(2).map(|c| Line::raw(c.iter().collect::<String>())));
    for (i, line) in lines.into_iter().enumerate() {
        frame.render_widget(line, Rect { y: place.y + i as u16, height: 1, ..place });
    }
}

/// A size on an axis.
pub fn size(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}

//! Draws the steps: what there is to choose from, and the columns beside the first question.

use super::columns::{Chosen, Row};
use super::places::Places;
use super::{BeginPage, Step};
use crate::library::own;
use crate::show::{beginning, ending, left, middle, right, wrapped};
use crate::tui::layout::{beside, wide};
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, panel};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Lines of the columns: a row each and what stands round them.
const ROWS: u16 = Row::ALL.len() as u16 + 2;

/// The places of the steps, the line that is typed in, and what is below it.
fn areas(body: Rect) -> [Rect; 3] {
    Layout::vertical([Constraint::Length(2), Constraint::Length(3), Constraint::Min(0)]).areas(body)
}

/// The list's own lines.
pub(super) fn list(body: Rect) -> Rect {
    inside(areas(body)[2])
}

/// The rows of the columns, and where the first question stands.
fn picking(body: Rect) -> [Rect; 3] {
    let [_, below] = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(body);
    if wide(body) {
        let (left, right) = beside(below, 45);
        let [rows, said] = Layout::vertical([Constraint::Length(ROWS), Constraint::Min(0)]).areas(left);
        return [rows, right, said];
    }
    let [rows, question, said] =
        Layout::vertical([Constraint::Length(ROWS), Constraint::Min(0), Constraint::Length(4)]).areas(below);
    [rows, question, said]
}

/// The lines that can be clicked.
pub(super) fn rows(body: Rect) -> Rect {
    inside(picking(body)[0])
}

pub(super) fn draw(frame: &mut Frame, body: Rect, page: &BeginPage, theme: Theme) {
    draw_steps(frame, body, page, theme);
    match (&page.chosen, page.step()) {
        (Some(chosen), Step::Columns) => draw_columns(frame, body, page, chosen, theme),
        (_, Step::Model) => {
            let why =
                "a .gguf file, a folder with a config.json, or a name of the hub; type to find it, or type its path";
            draw_places(frame, body, &page.models, ("Your model", why), None, theme);
        }
        _ => {
            let why = "questions with their right answers: CSV, TSV, JSON lines or Parquet; type to find it, or type its path";
            let reading = page.file.as_ref().filter(|_| page.refused.is_none());
            let said = match (&page.refused, reading) {
                (Some(why), _) => Some((why.clone(), theme.bad())),
                (None, Some(file)) => Some((format!("reading {} …", file.display()), theme.soft())),
                _ => None,
            };
            draw_places(frame, body, &page.data, ("Your data", why), said, theme);
        }
    }
}

fn draw_steps(frame: &mut Frame, body: Rect, page: &BeginPage, theme: Theme) {
    let steps = [(Step::Model, "your model"), (Step::Data, "your data"), (Step::Columns, "what is asked")];
    let mut spans = vec![Span::styled(" Begin  ", theme.accent())];
    for (number, (step, name)) in (1..).zip(steps) {
        let style = if page.step() == step { theme.strong() } else { theme.soft() };
        let arrow = if number == 1 { "" } else { "  ›  " };
        spans.push(Span::styled(format!("{arrow}{number} {name}"), style));
    }
    let mut line = Line::from(spans);
    let room = (body.width as usize).saturating_sub(line.width() + 4);
    if let Some(model) = &page.model {
        let file = page.chosen.as_ref().map(|chosen| format!(" on {}", chosen.columns.file.display()));
        let said = format!("{model}{}", file.unwrap_or_default());
        line.push_span(Span::styled(format!("    {}", middle(&said, room)), theme.soft()));
    }
    frame.render_widget(line, Rect { height: 1, ..body });
}

fn draw_places(
    frame: &mut Frame,
    body: Rect,
    places: &Places,
    (name, why): (&str, &str),
    said: Option<(String, ratatui::style::Style)>,
    theme: Theme,
) {
    let [_, line, below] = areas(body);
    frame.render_widget(lit(name, theme.accent()), line);
    let inner = inside(line);
    let room = inner.width as usize;
    let typed = match places.text.is_empty() {
        true => {
            Line::from(vec![Span::styled("▏", theme.accent()), Span::styled(beginning(why, room - 1), theme.soft())])
        }
        false => Line::from(vec![Span::raw(ending(&places.text, room - 1)), Span::styled("▏", theme.accent())]),
    };
    frame.render_widget(typed, inner);
    let shown = places.shown();
    let title = match &places.found {
        None => "looking …".to_owned(),
        Some(_) if shown.is_empty() => "nothing of that lies here; type a path".to_owned(),
        Some(_) => format!("{} to choose from", shown.len()),
    };
    frame.render_widget(panel(&title, theme), below);
    let mut inner = inside(below);
    if let Some((text, style)) = said {
        let lines = wrapped(&text, inner.width as usize);
        let height = (lines.len() as u16).min(inner.height);
        let foot = Rect { y: inner.bottom() - height, height, ..inner };
        frame
            .render_widget(Paragraph::new(lines.into_iter().map(|l| Line::styled(l, style)).collect::<Vec<_>>()), foot);
        inner.height -= height;
    }
    let first = places.cursor.first_seen(shown.len(), inner.height as usize);
    let about = shown.iter().map(|place| place.about().width()).max().unwrap_or(0);
    for (n, place) in shown.iter().enumerate().skip(first).take(inner.height as usize) {
        let names = (inner.width as usize).saturating_sub(about + 2);
        let text = format!("{} {}", left(&middle(&place.typed(), names), names), right(&place.about(), about));
        let style = if n == places.cursor.at() { theme.selected() } else { theme.text() };
        let line = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
        frame.render_widget(Line::styled(left(&text, inner.width as usize), style), line);
    }
}

fn draw_columns(frame: &mut Frame, body: Rect, page: &BeginPage, chosen: &Chosen, theme: Theme) {
    let [rows, question, said] = picking(body);
    let title = format!("{} lines of {}", chosen.columns.rows(), chosen.columns.file.display());
    let title = middle(&title, rows.width.saturating_sub(4) as usize);
    frame.render_widget(lit(&title, theme.accent()), rows);
    let inner = inside(rows);
    for (n, row) in Row::ALL.into_iter().enumerate() {
        let (value, from) = chosen.value(row);
        let is_here = row == chosen.row();
        let sign = if is_here { "‹ › " } else { "    " };
        let width = inner.width as usize;
        let values = width.saturating_sub(24 + from.width() + 1);
        let text = format!("{} {sign}{} {from}", left(row.name(), 18), left(&middle(&value, values), values));
        let style = if is_here { theme.selected() } else { theme.text() };
        frame
            .render_widget(Line::styled(left(&text, width), style), Rect { y: inner.y + n as u16, height: 1, ..inner });
    }
    draw_question(frame, question, page, chosen, theme);
    draw_said(frame, said, page, chosen, theme);
}

fn draw_question(frame: &mut Frame, place: Rect, page: &BeginPage, chosen: &Chosen, theme: Theme) {
    let (width, height) = (inside(place).width as usize, inside(place).height as usize);
    let (title, lines) = match &page.draft {
        None => ("The first question", vec![Line::styled("making it …", theme.soft())]),
        Some(Err(why)) => {
            let mut lines: Vec<Line> =
                wrapped(why, width).into_iter().map(|line| Line::styled(line, theme.bad())).collect();
            lines.push(Line::raw(""));
            let columns = chosen.columns.columns.iter();
            lines.extend(columns.map(|column| {
                Line::from(vec![
                    Span::styled(left(&middle(&column.name, 18), 19), theme.strong()),
                    Span::raw(beginning(&column.told(), width.saturating_sub(19))),
                ])
            }));
            ("Which column is what is not clear: ↑↓ and ←→ pick", lines)
        }
        Some(Ok(draft)) => {
            let mut lines: Vec<Line> = Vec::new();
            for line in draft.prompt.split('\n') {
                lines.extend(wrapped(line, width).into_iter().map(Line::raw));
            }
            if lines.len() + 2 > height {
                // the end of it is what is asked
                let first = lines.len() + 3 - height.max(3);
                lines.drain(..first.min(lines.len()));
                lines.insert(0, Line::styled("…", theme.soft()));
            }
            lines.push(Line::from(vec![
                Span::styled("right: ", theme.soft()),
                Span::styled(beginning(&draft.answer, width.saturating_sub(7)), theme.good()),
            ]));
            ("The first question, as the model reads it", lines)
        }
    };
    let block = if matches!(page.draft, Some(Err(_))) { lit(title, theme.warn()) } else { panel(title, theme) };
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

/// What the items can show, what will be tried, and what is doubtful.
fn draw_said(frame: &mut Frame, place: Rect, page: &BeginPage, chosen: &Chosen, theme: Theme) {
    let width = place.width.saturating_sub(2) as usize;
    let mut lines: Vec<Line> = Vec::new();
    match &page.draft {
        Some(Ok(draft)) => {
            lines.extend(wrapped(&draft.shows(), width).into_iter().map(Line::raw));
            lines.extend(wrapped(&format!("tried as: {}", draft.recipes.join(", ")), width).into_iter().map(Line::raw));
            for note in &draft.notes {
                lines.extend(wrapped(&format!("! {note}"), width).into_iter().map(|l| Line::styled(l, theme.warn())));
            }
        }
        _ => {
            let shows = own::shows(chosen.columns.rows(), chosen.margin());
            lines.extend(wrapped(&shows, width).into_iter().map(Line::raw));
        }
    }
    let inner = Rect { x: place.x + 1, width: place.width.saturating_sub(2), ..place };
    frame.render_widget(Paragraph::new(lines), inner);
}

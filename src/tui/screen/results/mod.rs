//! Results: a row a variant, a column a figure, sortable; and the Pareto scatter of mean score against memory.

mod scatter;

use super::Screen;
use crate::show::beginning;
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{beside, wide};
use crate::tui::results::Results;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, panel};
use bantam_core::metric::Direction;
use bantam_core::record::{Provenance, Reading};
use crossterm::event::KeyCode::Char;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

pub(crate) const TITLE: &str = "Results";
/// Width of a column of figures.
const COLUMN: usize = 11;
/// Sorts by the next column.
pub(crate) const SORT: Action = Action::Own("sort");
pub(crate) const REVERSE: Action = Action::Own("reverse");
/// Table or scatter, where there is no room for both.
pub(crate) const CHART: Action = Action::Own("chart");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    Binding { action: SORT, codes: &[Char('s')], keys: "s", hint: "sort", help: "sort by the next column", foot: true },
    Binding { action: REVERSE, codes: &[Char('S')], keys: "S", hint: "reverse", help: "turn the order round", foot: false },
    Binding { action: CHART, codes: &[Char('c')], keys: "c", hint: "chart", help: "table or Pareto scatter (both where there is room)", foot: true },
    keys::REPORT,
    keys::LEFT,
    keys::RIGHT,
];

#[derive(Default)]
pub(crate) struct ResultsScreen {
    cursor: Cursor,
    /// The column that the rows are sorted by; None for the order of the plan.
    sorted: Option<usize>,
    reversed: bool,
    first_column: usize,
    chart: bool,
}

impl Screen for ResultsScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let last = shared.results.columns.len().saturating_sub(1);
        match action {
            SORT => self.sort_next(shared.results.columns.len()),
            REVERSE => self.reversed = !self.reversed,
            CHART => self.chart = !self.chart,
            Action::Left => self.first_column = self.first_column.saturating_sub(1).min(last),
            Action::Right => self.first_column = (self.first_column + 1).min(last),
            Action::Report => return shared.report(),
            action => {
                self.cursor.follow(&action, shared.results.rows.len());
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        let rows = table_parts(self.areas(body).0?).1;
        let line = self.cursor.line_at(rows, at, shared.results.rows.len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let (results, theme) = (&shared.results, shared.theme);
        if results.rows.is_empty() {
            let text = " nothing is measured yet; r starts the run, and figures come in as trials finish";
            return frame.render_widget(Line::styled(text, theme.soft()), body);
        }
        let (table, chart) = self.areas(body);
        if let Some(place) = table {
            self.draw_table(frame, place, results, theme);
        }
        if let Some(place) = chart {
            frame.render_widget(panel("Mean score against peak memory", theme.soft()), place);
            scatter::draw(frame, inside(place), results, theme);
        }
    }
}

impl ResultsScreen {
    /// The rows in the order shown.
    pub(crate) fn order(&self, results: &Results) -> Vec<usize> {
        let mut order: Vec<usize> = (0..results.rows.len()).collect();
        if let Some(column) = self.sorted.filter(|c| *c < results.columns.len()) {
            let lower = results.columns[column].metric.direction() == Direction::Lower;
            let key = |row: &usize| results.rows[*row].cells.get(column).and_then(|r| r.value());
            order.sort_by(|a, b| match (key(a), key(b)) {
                (Some(x), Some(y)) => {
                    let best_first = if lower { x.total_cmp(&y) } else { y.total_cmp(&x) };
                    if self.reversed { best_first.reverse() } else { best_first }
                }
                (x, y) => x.is_none().cmp(&y.is_none()),
            });
        } else if self.reversed {
            order.reverse();
        }
        order
    }

    fn sort_next(&mut self, columns: usize) {
        self.sorted = match self.sorted {
            None if columns > 0 => Some(0),
            Some(c) if c + 1 < columns => Some(c + 1),
            _ => None,
        };
        self.first_column = self.sorted.map_or(0, |column| column.saturating_sub(2));
    }

    /// The places of table and chart: both, or one of them.
    fn areas(&self, body: Rect) -> (Option<Rect>, Option<Rect>) {
        if wide(body) {
            let (table, chart) = beside(body, 62);
            (Some(table), Some(chart))
        } else if self.chart {
            (None, Some(body))
        } else {
            (Some(body), None)
        }
    }

    fn draw_table(&self, frame: &mut Frame, place: Rect, results: &Results, theme: Theme) {
        frame.render_widget(panel("Results", theme.soft()), place);
        let (head, rows, foot) = table_parts(place);
        let longest = results.rows.iter().map(|r| r.variant.label().chars().count()).max().unwrap_or(8);
        let names = longest.clamp(10, 22);
        let room = (head.width as usize).saturating_sub(names + 5) / COLUMN;
        let shown: Vec<usize> = (self.first_column..results.columns.len()).take(room).collect();
        self.draw_head(frame, head, (&shown, names), results, theme);
        let order = self.order(results);
        let first = self.cursor.first_seen(order.len(), rows.height as usize);
        for (line, &row) in order.iter().enumerate().skip(first).take(rows.height as usize) {
            let at = Rect { y: rows.y + (line - first) as u16, height: 1, ..rows };
            draw_row(frame, at, (row, line == self.cursor.at()), (&shown, names), results, theme);
        }
        self.draw_foot(frame, foot, (&shown, &order), results, theme);
    }

    fn draw_head(
        &self,
        frame: &mut Frame,
        place: Rect,
        (shown, names): (&[usize], usize),
        results: &Results,
        theme: Theme,
    ) {
        let mut spans = vec![Span::styled(format!("    {:names$}", "variant"), theme.soft())];
        for &column in shown {
            let title = &results.columns[column].title;
            let sorted = self.sorted == Some(column);
            let arrow = match (sorted, self.reversed) {
                (false, _) => "",
                (true, false) => "▼",
                (true, true) => "▲",
            };
            let text = format!("{}{arrow}", beginning(title, COLUMN - 2));
            let style = if sorted { theme.strong() } else { theme.soft() };
            spans.push(Span::styled(format!("{text:>COLUMN$}"), style));
        }
        frame.render_widget(Line::from(spans), place);
    }

    /// What the selected row says in the first column shown (or the sorted one): interval, origin, reason.
    fn draw_foot(
        &self,
        frame: &mut Frame,
        place: Rect,
        (shown, order): (&[usize], &[usize]),
        results: &Results,
        theme: Theme,
    ) {
        let Some(&row) = order.get(self.cursor.at()) else { return };
        let column = self.sorted.filter(|c| shown.contains(c)).or(shown.first().copied());
        let Some(column) = column else { return };
        let data = &results.rows[row];
        let mut lines = vec![Line::styled("─".repeat(place.width as usize), theme.soft())];
        let head = format!("{}, {}: ", data.variant.label(), results.columns[column].title);
        let words = match data.cells.get(column) {
            None => "not measured yet".into(),
            Some(Reading::Missing { reason }) => format!("not available: {reason}"),
            Some(Reading::Known(f)) => {
                let none = f.no_interval.as_ref().map_or(String::new(), |reason| format!(" [{reason}]"));
                let interval = f.interval.map_or(none, |i| {
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
}

fn table_parts(table: Rect) -> (Rect, Rect, Rect) {
    let inner = inside(table);
    let [head, rows, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(3)]).areas(inner);
    (head, rows, foot)
}

/// The letter that stands for a row in the scatter.
fn letter(row: usize) -> char {
    char::from_u32('a' as u32 + (row % 26) as u32).expect("26 letters follow a")
}

/// Which model of the table, for the colour.
fn group(results: &Results, row: usize) -> usize {
    let rows = &results.rows;
    let mut seen: Vec<&str> = Vec::new();
    for r in rows {
        if !seen.contains(&r.variant.model.name.as_str()) {
            seen.push(&r.variant.model.name);
        }
    }
    seen.iter().position(|m| *m == rows[row].variant.model.name).unwrap_or(0)
}

fn draw_row(
    frame: &mut Frame,
    place: Rect,
    (row, selected): (usize, bool),
    (shown, names): (&[usize], usize),
    results: &Results,
    theme: Theme,
) {
    let data = &results.rows[row];
    let mark = match (data.advised, data.on_front) {
        (true, _) => "★",
        (false, true) => "●",
        (false, false) => " ",
    };
    let mut spans = vec![
        Span::styled(format!("{mark} "), theme.good()),
        Span::styled(format!("{} ", letter(row)), theme.soft()),
        Span::styled(format!("{:names$}", beginning(&data.variant.label(), names)), theme.group(group(results, row))),
    ];
    for &column in shown {
        let (text, style) = data.cells.get(column).map_or(("·".into(), theme.soft()), |r| cell(r, theme));
        spans.push(Span::styled(format!("{:>COLUMN$}", beginning(&text, COLUMN - 1)), style));
    }
    let mut style = if selected { theme.selected() } else { Style::new() };
    if data.advised {
        style = style.add_modifier(Modifier::BOLD);
    }
    if selected {
        spans = spans.into_iter().map(|s| Span::raw(s.content)).collect();
    }
    frame.render_widget(Line::from(spans).style(style), place);
}

fn cell(reading: &Reading, theme: Theme) -> (String, Style) {
    match reading {
        Reading::Missing { .. } => ("–".into(), theme.soft()),
        Reading::Known(f) if f.provenance == Provenance::Estimated => {
            (format!("≈{}", f.unit.show(f.value)), theme.soft())
        }
        Reading::Known(f) => (f.unit.show(f.value), theme.text()),
    }
}

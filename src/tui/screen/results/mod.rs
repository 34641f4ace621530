//! Results: a row a variant, a column a figure, in three groups (qualifies, cannot tell, out) or sorted; and the Pareto
//! scatter of score against memory.

mod scatter;
pub(super) mod table;

use super::Screen;
use crate::show::wrapped;
use crate::tui::action::{Action, Command, Message, Page};
use crate::tui::cursor::Cursor;
use crate::tui::filter::Filter;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{self, beside, wide};
use crate::tui::results::Results;
use crate::tui::shared::Shared;
use crate::tui::widget::{inside, lit, panel};
use crate::tui::words::{self, Word};
use bantam_core::metric::Direction;
use crossterm::event::KeyCode::Char;
use ratatui::Frame;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph};
use std::collections::HashMap;

pub(crate) const TITLE: &str = "Results";
/// Sorts by the next column.
pub(crate) const SORT: Action = Action::Own("sort");
pub(crate) const REVERSE: Action = Action::Own("reverse");
/// Table or scatter, where there is no room for both.
pub(crate) const CHART: Action = Action::Own("chart");
/// The scatter of what qualifies, or of everything.
pub(crate) const ZOOM: Action = Action::Own("zoom");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::OPEN,
    Binding { foot: false, ..keys::COMPARE },
    Binding { foot: false, ..keys::FILTER },
    Binding { action: SORT, codes: &[Char('s')], keys: "s", hint: "sort", help: "sort by the next column", foot: true },
    Binding { action: REVERSE, codes: &[Char('S')], keys: "S", hint: "reverse", help: "turn the order round", foot: false },
    Binding { action: CHART, codes: &[Char('v')], keys: "v", hint: "chart", help: "table or Pareto scatter (both where there is room)", foot: true },
    Binding { action: ZOOM, codes: &[Char('z')], keys: "z", hint: "zoom", help: "scatter of what qualifies, or of everything", foot: true },
    Binding { foot: false, ..keys::REPORT },
    keys::left("before", "left: the columns before"),
    keys::right("more", "right: more columns"),
];

#[derive(Default)]
pub(crate) struct ResultsScreen {
    cursor: Cursor,
    /// The column that the rows are sorted by; None for the order of the plan.
    sorted: Option<usize>,
    reversed: bool,
    first_column: usize,
    chart: bool,
    /// The scatter shows everything, however far off it is.
    whole: bool,
    filter: Filter,
    /// How wide the columns of the present results are: of thousands of rows that takes a while.
    widths: Vec<usize>,
}

impl Screen for ResultsScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn hear(&mut self, message: &Message, shared: &mut Shared) -> Option<Command> {
        if let Message::Results(_) = message {
            self.widths = table::widths(&shared.results);
        }
        None
    }

    fn words(&self) -> &'static [Word] {
        &[
            words::QUALIFIES,
            words::CANNOT_TELL,
            words::OUT,
            words::FRONT,
            words::REFERENCE,
            words::MARGIN,
            words::INTERVAL,
            words::MEASURED,
        ]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.filter.typing.then_some(keys::FILTERING)
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        Some(shared.results.rows[self.selected(&shared.results)?].variant.label())
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        let (results, body) = (&shared.results, layout::body(shared.size));
        let (table, chart) = self.areas(body);
        match *action {
            _ if results.rows.is_empty() => false,
            SORT | REVERSE => table.is_some() && self.order(results).len() > 1,
            Action::Filter | Action::Erase { .. } | Action::Back => true,
            CHART => !wide(body),
            ZOOM => chart.is_some() && scatter::can_zoom(results),
            Action::Open | Action::Compare => self.selected(results).is_some(),
            Action::Report => shared.can_report(),
            Action::Left => table.is_some() && self.first_column > 0,
            Action::Right => table.is_some_and(|place| table::has_more(self, place, results)),
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let last = shared.results.columns.len().saturating_sub(1);
        if !shared.results.rows.is_empty() && self.filter.follow(&action) {
            self.cursor = Cursor::default();
            return None;
        }
        match action {
            action if matches!(action, Action::Left | Action::Right) && !self.acts(&action, shared) => {}
            SORT => self.sort_next(shared.results.columns.len()),
            REVERSE => self.reversed = !self.reversed,
            CHART => self.chart = !self.chart,
            ZOOM => self.whole = !self.whole,
            Action::Left => self.first_column = self.first_column.saturating_sub(1).min(last),
            Action::Right => self.first_column = (self.first_column + 1).min(last),
            Action::Report => return shared.report(),
            Action::Open => {
                let row = self.selected(&shared.results)?;
                return Some(Command::Open(Page::Variant(shared.results.rows[row].variant.id.clone())));
            }
            Action::Compare => {
                let variant = shared.results.rows[self.selected(&shared.results)?].variant.clone();
                return shared.compare(&variant.id, &variant.label());
            }
            action => {
                let place = self.areas(layout::body(shared.size)).0;
                let page = place.map_or(1, |place| table::parts(place).1.height as usize);
                let rows = self.order(&shared.results).len();
                self.cursor.follow(&action, rows + table::unmakable(self, shared).len(), page);
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        let rows = table::parts(self.areas(body).0?).1;
        let line = table::row_at(self, rows, at, shared)?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let (results, theme) = (&shared.results, shared.theme);
        if results.rows.is_empty() {
            let (text, style) = match (shared.working_words(), shared.running()) {
                (Some(working), _) => (format!(" {working}"), theme.accent()),
                (None, true) => (" figures come in as trials finish".into(), theme.soft()),
                (None, false) => (
                    " nothing is measured yet; r starts the run, and figures come in as trials finish".into(),
                    theme.soft(),
                ),
            };
            frame.render_widget(Line::styled(text, style), body);
            return draw_unmakable(frame, Rect { y: body.y + 2, height: body.height - 2, ..body }, shared);
        }
        let (table, chart) = self.areas(body);
        if let Some(place) = table {
            let more =
                Line::styled(table::columns_told(self, place, results), theme.soft().remove_modifier(Modifier::DIM));
            let mut block = block("Results", shared).title_bottom(more.alignment(Alignment::Right));
            let shown = self.order(results).len();
            if let Some(line) = self.filter.line(shown, results.rows.len(), theme) {
                block = block.title_bottom(line);
            }
            frame.render_widget(block, place);
            table::draw(frame, place, self, shared);
        }
        if let Some(place) = chart {
            frame.render_widget(block("Score against peak memory", shared), place);
            scatter::draw(frame, inside(place), (results, self.selected(results), self.whole), theme);
        }
    }
}

/// What cannot be made, where there is no table yet that it could stand in.
fn draw_unmakable(frame: &mut Frame, place: Rect, shared: &Shared) {
    let Some(setup) = shared.ready().filter(|setup| !setup.unmakable.is_empty()) else { return };
    let head = format!(" cannot be made ({})", setup.unmakable.len());
    let told = setup.unmakable_by_reason();
    let told = told.iter().flat_map(|line| wrapped(line, (place.width as usize).saturating_sub(2)));
    let lines: Vec<Line> = [head]
        .into_iter()
        .chain(told.map(|line| format!(" {line}")))
        .map(|line| Line::styled(line, shared.theme.warn()))
        .collect();
    frame.render_widget(Paragraph::new(lines), place);
}

/// The frame of what is shown, which says so where it is of before the last change.
fn block<'a>(title: &'a str, shared: &Shared) -> Block<'a> {
    if shared.is_old() && !shared.running() {
        return lit(shared.why_old(), shared.theme.warn());
    }
    panel(title, shared.theme)
}

impl ResultsScreen {
    /// The row that the cursor is on.
    fn selected(&self, results: &Results) -> Option<usize> {
        self.order(results).get(self.cursor.at()).copied()
    }

    /// The rows in the order shown: by group and as planned, or sorted.
    pub(crate) fn order(&self, results: &Results) -> Vec<usize> {
        let is_shown = |row: &usize| self.filter.shows(|| results.rows[*row].variant.label());
        let mut order: Vec<usize> = (0..results.rows.len()).filter(is_shown).collect();
        order.sort_by_key(|row| results.rows[*row].standing.group());
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
}

/// What stands for a row in the scatter: a to z, A to Z, then aa, ab and so on. No two rows have the same.
fn letter(row: usize) -> String {
    let one = |base: u8, n: usize| char::from(base + (n % 26) as u8);
    match row {
        0..26 => one(b'a', row).into(),
        26..52 => one(b'A', row).into(),
        _ => format!("{}{}", letter((row - 52) / 26), one(b'a', row)),
    }
}

/// Which model of the table each row is of, for the colour: models are numbered as they come first.
fn groups(results: &Results) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let rows = results.rows.iter();
    rows.map(|row| {
        let next = seen.len();
        *seen.entry(row.variant.model.name.as_str()).or_insert(next)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::letter;
    use std::collections::HashSet;

    #[test]
    fn letters_never_repeat() {
        let letters: HashSet<String> = (0..2000).map(letter).collect();
        assert_eq!(letters.len(), 2000);
        assert_eq!(["a", "z", "A", "Z", "aa", "az", "ba"].map(String::from), [0, 25, 26, 51, 52, 77, 78].map(letter));
    }
}

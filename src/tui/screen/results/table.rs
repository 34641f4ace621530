//! The table of results: a line a variant below the head of its group, and at the foot what the line under the cursor is in
//! full: its name, its figure with interval and origin, and why it does not qualify.

use super::{ResultsScreen, groups, letter};
use crate::show::{beginning, left, middle, right, short, wrapped};
use crate::tui::layout::scroll;
use crate::tui::results::{ResultRow, Results};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::inside;
use bantam_core::record::{LeftOut, Provenance, Reading};
use bantam_verdict::recommend::{Group, figures};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::rc::Rc;
use unicode_width::UnicodeWidthStr;

/// Between two columns of figures.
const GAP: usize = 2;
/// Width of the head of a column, at most.
const HEAD: usize = 12;
/// Lines at the foot, with the rule above them.
const FOOT: u16 = 5;

/// The places of the head, the lines and the foot.
pub(super) fn parts(table: Rect) -> (Rect, Rect, Rect) {
    let inner = inside(table);
    let [head, rows, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(FOOT)]).areas(inner);
    (head, rows, foot)
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableLine {
    /// The head of a group, and how many are in it.
    Group(Group, usize),
    /// A row of the results, by its place in the order shown.
    Row(usize),
    /// The head of what cannot be made, and how many that are.
    Unmakable(usize),
    /// What cannot be made, by its place among such.
    Pair(usize),
}

/// All lines: groups have heads where the rows stand in groups.
fn lines(screen: &ResultsScreen, shared: &Shared) -> Vec<TableLine> {
    let mut lines = rows(screen, &shared.results);
    let pairs = unmakable(screen, shared).len();
    if pairs > 0 {
        lines.push(TableLine::Unmakable(pairs));
        lines.extend((0..pairs).map(TableLine::Pair));
    }
    lines
}

/// What cannot be made and passes the filter.
pub(super) fn unmakable<'s>(screen: &ResultsScreen, shared: &'s Shared) -> Vec<&'s LeftOut> {
    shared.unmakable().iter().filter(|pair| screen.filter.shows(|| pair.label())).collect()
}

fn rows(screen: &ResultsScreen, results: &Results) -> Vec<TableLine> {
    let order = screen.order(results);
    if screen.sorted.is_some() || screen.reversed {
        return (0..order.len()).map(TableLine::Row).collect();
    }
    let mut lines = Vec::new();
    for group in Group::ALL {
        let members: Vec<usize> =
            (0..order.len()).filter(|&n| results.rows[order[n]].standing.group() == group).collect();
        if !members.is_empty() {
            lines.push(TableLine::Group(group, members.len()));
            lines.extend(members.into_iter().map(TableLine::Row));
        }
    }
    lines
}

/// The first line that is seen, so that the cursor's is among them.
fn first(screen: &ResultsScreen, lines: &[TableLine], room: usize, rows: usize) -> usize {
    let at = lines.iter().position(|line| place_of(*line, rows) == Some(screen.cursor.at())).unwrap_or(0);
    scroll(at, lines.len(), room)
}

/// Where the cursor stands on a line: rows come first, then what cannot be made. Heads have no such place.
fn place_of(line: TableLine, rows: usize) -> Option<usize> {
    match line {
        TableLine::Row(row) => Some(row),
        TableLine::Pair(pair) => Some(rows + pair),
        TableLine::Group(..) | TableLine::Unmakable(_) => None,
    }
}

/// Where the cursor stands on what is at a position.
pub(super) fn row_at(screen: &ResultsScreen, place: Rect, at: Position, shared: &Shared) -> Option<usize> {
    let (lines, rows) = (lines(screen, shared), screen.order(&shared.results).len());
    let line = first(screen, &lines, place.height as usize, rows) + at.y.checked_sub(place.y)? as usize;
    place_of(*lines.get(line).filter(|_| place.contains(at))?, rows)
}

/// Whether there are columns to the right of those that are shown in a table of this place.
pub(super) fn has_more(screen: &ResultsScreen, table: Rect, results: &Results) -> bool {
    let shown = Columns::of(screen, results, inside(table).width as usize).shown;
    shown.last().is_some_and(|(column, _)| column + 1 < results.columns.len())
}

/// " columns 1 to 4 of 11, → for more ", for the frame; nothing where all are shown.
pub(super) fn columns_told(screen: &ResultsScreen, table: Rect, results: &Results) -> String {
    let shown = Columns::of(screen, results, inside(table).width as usize).shown;
    let (Some((first, _)), Some((last, _)), all) = (shown.first(), shown.last(), results.columns.len()) else {
        return String::new();
    };
    let keys = match (*first > 0, last + 1 < all) {
        (false, false) => return String::new(),
        (true, true) => "← → for more",
        (true, false) => "← for those before",
        (false, true) => "→ for more",
    };
    format!(" columns {} to {} of {all}, {keys} ", first + 1, last + 1)
}

/// Where the columns are.
struct Columns {
    /// The models' names as they fit, row by row.
    names: Rc<Vec<String>>,
    /// Which model each row is of, for the colour.
    groups: Vec<usize>,
    /// Width of the model's name, of the recipe's.
    model: usize,
    recipe: usize,
    /// The columns of figures that there is room for, and how wide they are.
    shown: Vec<(usize, usize)>,
}

impl Columns {
    fn of(screen: &ResultsScreen, results: &Results, width: usize) -> Columns {
        let widest = |of: &dyn Fn(&ResultRow) -> usize| results.rows.iter().map(of).max().unwrap_or(0);
        let recipe = widest(&|row| row.variant.treatment().width()).clamp(6, 10);
        // at least two figures beside the names, and names as long as they are, if there is room
        let most = width.saturating_sub(MARKS + recipe + 1 + 2 * (GAP + HEAD)).clamp(8, 24);
        let names: Vec<&str> = results.rows.iter().map(|row| row.variant.model.name.as_str()).collect();
        let names = short(&names, most);
        let model = names.iter().map(|name| name.width()).max().unwrap_or(0).max(5);
        let mut room = width.saturating_sub(MARKS + model + 1 + recipe);
        let widths =
            (screen.first_column..results.columns.len()).map(|column| (column, column_width(screen, results, column)));
        let fits = |(_, width): &(usize, usize)| {
            let fits = *width <= room;
            room = room.saturating_sub(*width);
            fits
        };
        Columns { names, groups: groups(results), model, recipe, shown: widths.take_while(fits).collect() }
    }
}

/// A column is as wide as its head and the longest of its figures, whole, and the gap before it.
fn column_width(screen: &ResultsScreen, results: &Results, column: usize) -> usize {
    let known = screen.widths.get(column).filter(|_| screen.widths.len() == results.columns.len());
    known.copied().unwrap_or_else(|| width(results, column))
}

/// The widths of all columns.
pub(super) fn widths(results: &Results) -> Vec<usize> {
    (0..results.columns.len()).map(|column| width(results, column)).collect()
}

fn width(results: &Results, column: usize) -> usize {
    let title = results.columns[column].title.width().min(HEAD - 1) + 1;
    let figures = results.rows.iter().filter_map(|row| row.cells.get(column)).map(|reading| words(reading).width());
    GAP + figures.max().unwrap_or(0).max(title)
}

/// "★ ab ", before the name.
const MARKS: usize = 5;

pub(super) fn draw(frame: &mut Frame, place: Rect, screen: &ResultsScreen, shared: &Shared) {
    let (results, theme) = (&shared.results, shared.theme);
    let (head, rows, foot) = parts(place);
    let columns = Columns::of(screen, results, head.width as usize);
    draw_head(frame, head, screen, (&columns, results), theme);
    let (order, lines) = (screen.order(results), lines(screen, shared));
    let first = first(screen, &lines, rows.height as usize, order.len());
    for (n, line) in lines.iter().skip(first).take(rows.height as usize).enumerate() {
        let at = Rect { y: rows.y + n as u16, height: 1, ..rows };
        match *line {
            TableLine::Group(group, members) => {
                let text = format!("{} ({members})", group.label());
                frame.render_widget(Line::styled(text, group_style(group, theme)), at);
            }
            TableLine::Row(n) => {
                let row = order[n];
                draw_row(frame, at, (row, n == screen.cursor.at()), &columns, (results, theme));
            }
            TableLine::Unmakable(pairs) => {
                frame.render_widget(Line::styled(format!("cannot be made ({pairs})"), theme.warn()), at);
            }
            TableLine::Pair(pair) => {
                let pair_of = unmakable(screen, shared)[pair];
                let text = format!("✗    {}: {}", pair_of.label(), pair_of.reason);
                let chosen = order.len() + pair == screen.cursor.at();
                let style = if chosen { theme.selected() } else { theme.soft() };
                let text = left(&beginning(&text, at.width as usize), at.width as usize);
                frame.render_widget(Line::styled(text, style), at);
            }
        }
    }
    let unmakable = unmakable(screen, shared);
    match screen.cursor.at().checked_sub(order.len()).and_then(|pair| unmakable.get(pair).copied()) {
        Some(pair) => draw_pair(frame, foot, pair, theme),
        None => draw_foot(frame, foot, screen, (&columns, results), theme),
    }
}

/// What cannot be made in full, and why.
fn draw_pair(frame: &mut Frame, place: Rect, pair: &LeftOut, theme: Theme) {
    let width = place.width as usize;
    let mut lines = vec![Line::styled("─".repeat(width), theme.rule())];
    lines.push(Line::styled(middle(&pair.label(), width), theme.strong()));
    let why = wrapped(&format!("cannot be made: {}", pair.reason), width);
    lines.extend(why.into_iter().map(|line| Line::styled(line, theme.warn())));
    frame.render_widget(Paragraph::new(lines), place);
}

/// How a group is written.
pub(in crate::tui::screen) fn group_style(group: Group, theme: Theme) -> Style {
    match group {
        Group::Qualifies => theme.good(),
        Group::CannotTell => theme.warn(),
        Group::Out => theme.soft(),
    }
}

fn draw_head(
    frame: &mut Frame,
    place: Rect,
    screen: &ResultsScreen,
    (columns, results): (&Columns, &Results),
    theme: Theme,
) {
    let names = format!("{}{} {}", left("", MARKS), left("model", columns.model), left("recipe", columns.recipe));
    let mut spans = vec![Span::styled(names, theme.soft())];
    for &(column, width) in &columns.shown {
        let title = &results.columns[column].title;
        let sorted = screen.sorted == Some(column);
        let arrow = match (sorted, screen.reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let text = format!("{}{arrow}", middle(title, HEAD - 1));
        let style = if sorted { theme.strong() } else { theme.soft() };
        spans.push(Span::styled(right(&text, width), style));
    }
    frame.render_widget(Line::from(spans), place);
}

fn draw_row(
    frame: &mut Frame,
    place: Rect,
    (row, selected): (usize, bool),
    columns: &Columns,
    (results, theme): (&Results, Theme),
) {
    let data = &results.rows[row];
    let (mark, style) = match (data.advised, data.on_front) {
        (true, _) => ("★", theme.good()),
        (false, true) => ("●", theme.good()),
        (false, false) => (data.standing.group().sign(), group_style(data.standing.group(), theme)),
    };
    let recipe = data.variant.treatment();
    let mut spans = vec![
        Span::styled(format!("{mark} "), style),
        Span::styled(left(&letter(row), MARKS - 2), theme.soft()),
        Span::styled(left(&columns.names[row], columns.model), theme.group(columns.groups[row])),
        Span::raw(format!(" {}", left(&middle(&recipe, columns.recipe), columns.recipe))),
    ];
    for &(column, width) in &columns.shown {
        let (text, style) = data.cells.get(column).map_or(("·".into(), theme.soft()), |r| cell(r, theme));
        spans.push(Span::styled(right(&text, width), style));
    }
    if selected {
        // a cursor's line has the cursor's colours alone
        let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
        return frame.render_widget(Line::styled(left(&text, place.width as usize), theme.selected()), place);
    }
    let style = if data.advised { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    frame.render_widget(Line::from(spans).style(style), place);
}

fn cell(reading: &Reading, theme: Theme) -> (String, Style) {
    let is_measured = reading.known().is_some_and(|figure| figure.provenance != Provenance::Estimated);
    (words(reading), if is_measured { theme.text() } else { theme.soft() })
}

/// A reading in a cell, with its unit.
fn words(reading: &Reading) -> String {
    match reading {
        Reading::Missing { .. } => "–".into(),
        Reading::Known(f) if f.provenance == Provenance::Estimated => format!("≈{}", figures::shown(f)),
        Reading::Known(f) => figures::shown(f),
    }
}

/// What the selected row says: its name, where it stands, and the first column shown (or the sorted one) with interval and
/// origin.
fn draw_foot(
    frame: &mut Frame,
    place: Rect,
    screen: &ResultsScreen,
    (columns, results): (&Columns, &Results),
    theme: Theme,
) {
    let Some(row) = screen.selected(results) else { return };
    let data = &results.rows[row];
    let width = place.width as usize;
    let mut lines = vec![Line::styled("─".repeat(width), theme.rule())];
    lines.push(Line::styled(middle(&data.variant.label(), width), theme.strong()));
    let group = data.standing.group();
    let standing = match data.standing.reason() {
        Some(reason) => format!("{}: {reason}", group.label()),
        None => group.label().to_owned(),
    };
    lines.push(Line::styled(beginning(&standing, width), group_style(group, theme)));
    let is_shown = |c: &usize| columns.shown.iter().any(|(shown, _)| shown == c);
    let column = screen.sorted.filter(is_shown).or(columns.shown.first().map(|(column, _)| *column));
    if let Some(column) = column {
        let told = format!("{}: {}", results.columns[column].title, told(data.cells.get(column)));
        lines.extend(wrapped(&told, width).into_iter().map(Line::raw));
    }
    for (i, line) in lines.into_iter().take(place.height as usize).enumerate() {
        frame.render_widget(line, Rect { y: place.y + i as u16, height: 1, ..place });
    }
}

/// A reading in full: with its interval, its origin and how it came to be.
pub(in crate::tui::screen) fn told(reading: Option<&Reading>) -> String {
    match reading {
        None => "not measured yet".into(),
        Some(Reading::Missing { reason }) => format!("not available: {reason}"),
        Some(Reading::Known(f)) => {
            let none = f.no_interval.as_ref().map_or(String::new(), |reason| format!(" [{reason}]"));
            let interval =
                f.interval.map_or(none, |i| format!(" [{}] at {:.0}%", figures::ends(f.unit, i), i.level * 100.0));
            format!("{}{interval}, {}: {}", figures::shown(f), f.provenance.label(), f.how)
        }
    }
}

//! The table of results: a line a variant below the head of its group, and at the foot what the line under the cursor is in
//! full: its name, its figure with interval and origin, and why it does not qualify.

use super::{ResultsScreen, group, letter};
use crate::show::{beginning, left, middle, right, short, wrapped};
use crate::tui::layout::scroll;
use crate::tui::results::{ResultRow, Results};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::inside;
use bantam_core::record::{Provenance, Reading};
use bantam_verdict::recommend::Group;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Width of a column of figures.
const COLUMN: usize = 11;
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
}

/// All lines: groups have heads where the rows stand in groups.
fn lines(screen: &ResultsScreen, results: &Results) -> Vec<TableLine> {
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
fn first(screen: &ResultsScreen, lines: &[TableLine], room: usize) -> usize {
    let at = lines.iter().position(|line| *line == TableLine::Row(screen.cursor.at())).unwrap_or(0);
    scroll(at, lines.len(), room)
}

/// The row, by its place in the order shown, that stands at a position.
pub(super) fn row_at(screen: &ResultsScreen, rows: Rect, at: Position, results: &Results) -> Option<usize> {
    let lines = lines(screen, results);
    let line = first(screen, &lines, rows.height as usize) + at.y.checked_sub(rows.y)? as usize;
    match lines.get(line).filter(|_| rows.contains(at))? {
        TableLine::Row(row) => Some(*row),
        TableLine::Group(..) => None,
    }
}

/// Where the columns are.
struct Columns {
    /// The models' names as they fit, row by row.
    names: Vec<String>,
    /// Width of the model's name, of the recipe's.
    model: usize,
    recipe: usize,
    /// The columns of figures that there is room for.
    shown: Vec<usize>,
}

impl Columns {
    fn of(screen: &ResultsScreen, results: &Results, width: usize) -> Columns {
        let widest = |of: &dyn Fn(&ResultRow) -> usize| results.rows.iter().map(of).max().unwrap_or(0);
        let recipe = widest(&|row| row.variant.recipe.as_deref().map_or(4, |recipe| recipe.width())).clamp(6, 10);
        // at least two figures beside the names, and names as long as they are, if there is room
        let most = width.saturating_sub(MARKS + recipe + 1 + 2 * COLUMN).clamp(8, 24);
        let names: Vec<&str> = results.rows.iter().map(|row| row.variant.model.name.as_str()).collect();
        let names = short(&names, most);
        let model = names.iter().map(|name| name.width()).max().unwrap_or(0).max(5);
        let room = width.saturating_sub(MARKS + model + 1 + recipe) / COLUMN;
        Columns { names, model, recipe, shown: (screen.first_column..results.columns.len()).take(room).collect() }
    }
}

/// "★ ab ", before the name.
const MARKS: usize = 5;

pub(super) fn draw(frame: &mut Frame, place: Rect, screen: &ResultsScreen, shared: &Shared) {
    let (results, theme) = (&shared.results, shared.theme);
    let (head, rows, foot) = parts(place);
    let columns = Columns::of(screen, results, head.width as usize);
    draw_head(frame, head, screen, (&columns, results), theme);
    let (order, lines) = (screen.order(results), lines(screen, results));
    let first = first(screen, &lines, rows.height as usize);
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
        }
    }
    draw_foot(frame, foot, screen, (&columns, results), theme);
}

fn group_style(group: Group, theme: Theme) -> Style {
    match group {
        Group::Qualifies => theme.good(),
        Group::CannotTell => theme.warn(),
        Group::Out => theme.soft(),
    }
}

/// The sign of a group.
pub(super) fn sign(group: Group) -> &'static str {
    match group {
        Group::Qualifies => "✓",
        Group::CannotTell => "?",
        Group::Out => "✗",
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
    for &column in &columns.shown {
        let title = &results.columns[column].title;
        let sorted = screen.sorted == Some(column);
        let arrow = match (sorted, screen.reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let text = format!("{}{arrow}", middle(title, COLUMN - 2));
        let style = if sorted { theme.strong() } else { theme.soft() };
        spans.push(Span::styled(right(&text, COLUMN), style));
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
        (false, false) => (sign(data.standing.group()), group_style(data.standing.group(), theme)),
    };
    let recipe = data.variant.recipe.as_deref().unwrap_or("base");
    let mut spans = vec![
        Span::styled(format!("{mark} "), style),
        Span::styled(left(&letter(row), MARKS - 2), theme.soft()),
        Span::styled(left(&columns.names[row], columns.model), theme.group(group(results, row))),
        Span::raw(format!(" {}", left(&middle(recipe, columns.recipe), columns.recipe))),
    ];
    for &column in &columns.shown {
        let (text, style) = data.cells.get(column).map_or(("·".into(), theme.soft()), |r| cell(r, theme));
        spans.push(Span::styled(right(&beginning(&text, COLUMN - 1), COLUMN), style));
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
    match reading {
        Reading::Missing { .. } => ("–".into(), theme.soft()),
        Reading::Known(f) if f.provenance == Provenance::Estimated => {
            (format!("≈{}", f.unit.show(f.value)), theme.soft())
        }
        Reading::Known(f) => (f.unit.show(f.value), theme.text()),
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
    let column = screen.sorted.filter(|c| columns.shown.contains(c)).or(columns.shown.first().copied());
    if let Some(column) = column {
        let told = format!("{}: {}", results.columns[column].title, told(data.cells.get(column)));
        lines.extend(wrapped(&told, width).into_iter().map(Line::raw));
    }
    for (i, line) in lines.into_iter().take(place.height as usize).enumerate() {
        frame.render_widget(line, Rect { y: place.y + i as u16, height: 1, ..place });
    }
}

/// A reading in full.
fn told(reading: Option<&Reading>) -> String {
    match reading {
        None => "not measured yet".into(),
        Some(Reading::Missing { reason }) => format!("not available: {reason}"),
        Some(Reading::Known(f)) => {
            let none = f.no_interval.as_ref().map_or(String::new(), |reason| format!(" [{reason}]"));
            let interval = f.interval.map_or(none, |i| {
                format!(" [{} to {}] at {:.0}%", f.unit.show(i.low), f.unit.show(i.high), i.level * 100.0)
            });
            format!("{}{interval}, {}: {}", f.unit.show(f.value), f.provenance.label(), f.how)
        }
    }
}

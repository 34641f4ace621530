//! Draws the Find screen: the search line and the limits, the list, what stands beside it, and the pulls.

use super::FindScreen;
use super::beside;
use super::rows::{Column, Keeps, Row, Whereabouts};
use super::state::Pull;
use crate::show::{bar, beginning, counted, ending, left, middle, right, short};
use crate::tui::layout::beside as columns;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, panel, title};
use bantam_core::unit::{Bytes, Seconds, count};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

/// A name of fewer letters tells nobody which it is.
const LEAST_NAME: usize = 17;

/// The columns behind the name: in the order in which they give way, the last first, and how wide each is.
const COLUMNS: [(Column, usize); 8] = [
    (Column::State, 8),
    (Column::Parameters, 8),
    (Column::Fit, 9),
    (Column::Speed, 8),
    (Column::Quant, 9),
    (Column::From, 10),
    (Column::Licence, 12),
    (Column::Downloads, 10),
];

/// The order in which they stand.
const SHOWN: [Column; 8] = {
    use Column::{Downloads, Fit, From, Licence, Parameters, Quant, Speed, State};
    [From, Parameters, Quant, Licence, Downloads, Fit, Speed, State]
};

/// The places of the search line with the limits, the list, what stands beside it, and the pulls.
fn areas(find: &FindScreen, body: Rect) -> [Rect; 4] {
    let pulling = if find.queue.is_empty() { 0 } else { 4 };
    let rows = [Constraint::Length(4), Constraint::Min(0), Constraint::Length(pulling)];
    let [line, middle, pull] = Layout::vertical(rows).areas(body);
    let (list, info) = columns(middle, 58);
    [line, list, info, pull]
}

/// The list's own lines.
pub(super) fn list(find: &FindScreen, body: Rect) -> Rect {
    let [_, list, ..] = areas(find, body);
    let inner = inside(list);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

/// The inside of what stands beside the list.
pub(super) fn beside(find: &FindScreen, body: Rect) -> Rect {
    let [_, _, info, _] = areas(find, body);
    inside(info)
}

pub(super) fn draw(frame: &mut Frame, body: Rect, find: &FindScreen, shared: &Shared) {
    let [line, found, info, below] = areas(find, body);
    draw_line(frame, line, find, shared);
    draw_found(frame, (found, list(find, body)), find, shared);
    beside::draw(frame, info, find, shared);
    if !find.queue.is_empty() {
        draw_pulls(frame, below, find, shared.theme);
    }
}

fn draw_line(frame: &mut Frame, place: Rect, find: &FindScreen, shared: &Shared) {
    let theme = shared.theme;
    let name = "Search this machine and the hub";
    let block = if find.typing || find.edit.is_some() { lit(name, theme.accent()) } else { panel(name, theme) };
    frame.render_widget(block, place);
    let inner = inside(place);
    let kind = format!("{} · by {}", find.filter().unwrap_or("everything"), find.order.name());
    let kind_width = (kind.width() as u16).min(inner.width);
    let end = Rect { x: inner.right().saturating_sub(kind_width), width: kind_width, height: 1, ..inner };
    frame.render_widget(Line::styled(kind, theme.soft()), end);
    let room = (end.x.saturating_sub(inner.x)).saturating_sub(2) as usize;
    let line = if find.text.is_empty() && !find.typing {
        Line::styled("/ to type", theme.soft())
    } else {
        // the end of what is typed is where the eye is
        let text = ending(&find.text, room.saturating_sub(1));
        let cursor = if find.typing { "▏" } else { "" };
        Line::from(vec![Span::raw(text), Span::styled(cursor, theme.accent())])
    };
    frame.render_widget(line, Rect { width: room as u16, height: 1, ..inner });
    let below = Rect { y: inner.y + 1, height: 1, ..inner };
    frame.render_widget(limits(find, shared), below);
}

/// `limits  memory ≤ 64.0 MiB  decode any  licence any`; the one that is edited is marked.
fn limits<'a>(find: &FindScreen, shared: &Shared) -> Line<'a> {
    let theme = shared.theme;
    let mut spans = vec![Span::styled("limits", theme.soft())];
    for (n, (name, value)) in super::limits::shown(shared, find.licence.as_ref()).into_iter().enumerate() {
        let here = find.edit.as_ref().filter(|edit| edit.field == n);
        let value = match here.map(|edit| &edit.typed) {
            Some(Some(typed)) => format!("{typed}▏"),
            Some(None) => format!("‹ {value} ›"),
            None => value,
        };
        let style = if here.is_some() { theme.selected() } else { theme.text() };
        spans.extend([Span::styled(format!("   {name} "), theme.soft()), Span::styled(value, style)]);
    }
    if find.edit.is_none() {
        spans.push(Span::styled("   e edits", theme.soft()));
    }
    Line::from(spans)
}

/// The columns that there is room for, in the order shown, and what is left for the name.
fn fitting(width: usize) -> (Vec<(Column, usize)>, usize) {
    let mut left_over = width;
    let mut seen = Vec::new();
    for (column, wide) in COLUMNS {
        if left_over < LEAST_NAME + wide {
            break;
        }
        left_over -= wide;
        seen.push((column, wide));
    }
    seen.sort_by_key(|(column, _)| SHOWN.iter().position(|shown| shown == column));
    (seen, left_over)
}

fn draw_found(frame: &mut Frame, (place, lines): (Rect, Rect), find: &FindScreen, shared: &Shared) {
    let theme = shared.theme;
    let found = counted(find.rows.len(), "model");
    let more = if find.has_more() { ", more below" } else { "" };
    let sorted = match (find.column, find.reversed) {
        (Column::Found, false) => String::new(),
        (column, reversed) => format!(", by {}{}", column.title(), if reversed { " reversed" } else { "" }),
    };
    let head = match find.waiting {
        true => format!("{found}, asking the hub …"),
        false => format!("{found}{more}{sorted}"),
    };
    let head = title(&head, place);
    frame.render_widget(panel(&head, theme), place);
    let inner = inside(place);
    if find.rows.is_empty() {
        let (text, style) = nothing(find, theme);
        return frame.render_widget(Paragraph::new(text).style(style).wrap(Wrap { trim: true }), inner);
    }
    let (columns, name) = fitting(inner.width as usize);
    let mut spans = vec![head_of(Column::Name, left("model", name), find, theme)];
    spans.extend(columns.iter().map(|(column, width)| head_of(*column, right(column.title(), *width), find, theme)));
    frame.render_widget(Line::from(spans), Rect { height: 1, ..inner });
    let first = find.cursor.first_seen(find.rows.len(), lines.height as usize);
    let seen: Vec<&Row> = find.rows.iter().skip(first).take(lines.height as usize).collect();
    let names: Vec<&str> = seen.iter().map(|row| row.name.as_str()).collect();
    let names = short(&names, name.saturating_sub(1));
    for (n, row) in seen.into_iter().enumerate() {
        let at = Rect { y: lines.y + n as u16, height: 1, ..lines };
        draw_row(frame, at, (row, &left(&names[n], name)), &columns, first + n == find.cursor.at(), (find, theme));
    }
    if let Some(error) = &find.error {
        let foot = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
        let text = left(&beginning(error, inner.width as usize), inner.width as usize);
        frame.render_widget(Line::styled(text, theme.bad()), foot);
    }
}

fn head_of<'a>(column: Column, text: String, find: &FindScreen, theme: Theme) -> Span<'a> {
    let style = if column == find.column { theme.strong() } else { theme.soft() };
    Span::styled(text, style)
}

fn nothing(find: &FindScreen, theme: Theme) -> (String, Style) {
    let soft = theme.soft();
    match (&find.error, find.searched, find.waiting) {
        (Some(error), ..) => (error.clone(), theme.bad()),
        (None, true, _) => (
            "nothing here has that name, nor has the hub; fewer words, or f for another kind, may find more".into(),
            soft,
        ),
        (None, false, true) => (String::new(), soft),
        (None, false, false) if find.shelf.is_none() => (
            "looking what is here … / and a name searches the hub; it is asked when you pause, and never before".into(),
            soft,
        ),
        (None, false, false) => {
            ("nothing here has that name; the hub is asked when you pause, and never before".into(), soft)
        }
    }
}

fn draw_row(
    frame: &mut Frame,
    at: Rect,
    (row, name): (&Row, &str),
    columns: &[(Column, usize)],
    chosen: bool,
    (find, theme): (&FindScreen, Theme),
) {
    let mut spans = vec![Span::raw(name.to_owned())];
    for (column, width) in columns {
        let (text, style) = cell(row, *column, *width, find, theme);
        spans.push(Span::styled(right(&text, *width), style));
    }
    let line = match chosen {
        true => {
            let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
            let style = if find.inside { theme.strong() } else { theme.selected() };
            Line::styled(left(&text, at.width as usize), style)
        }
        false => Line::from(spans),
    };
    frame.render_widget(line, at);
}

fn cell(row: &Row, column: Column, width: usize, find: &FindScreen, theme: Theme) -> (String, Style) {
    let word = |text: &str| if text.is_empty() { "–".to_owned() } else { middle(text, width - 1) };
    let number = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), count);
    match column {
        Column::Parameters => (number(row.parameters), theme.text()),
        Column::Downloads => (number(row.downloads), theme.text()),
        Column::Quant => (word(&row.quant), theme.text()),
        Column::Licence => (word(&row.licence), theme.text()),
        Column::From => (row.from.to_owned(), theme.soft()),
        Column::Speed => (row.speed.map_or_else(|| "–".into(), |v| beside::speed(v, 0)), theme.text()),
        Column::Fit => match row.keeps {
            Keeps::Yes => ("✓".into(), theme.good()),
            Keeps::Unknown => ("?".into(), theme.soft()),
            Keeps::No(limit) => (format!("✗ {}", middle(limit, width - 3)), theme.bad()),
        },
        Column::State | Column::Found | Column::Name => state(row, find, theme),
    }
}

/// Where a model is: how far its pull is, or that it waits for others.
fn state(row: &Row, find: &FindScreen, theme: Theme) -> (String, Style) {
    let of_row = |pull: &&Pull| pull.wanted.name.split(':').next() == Some(&row.name) || pull.wanted.name == row.name;
    match (find.queue.iter().find(of_row), row.whereabouts) {
        (Some(pull), _) if pull.begun => (format!("{:.0}%", share(pull) * 100.0), theme.accent()),
        (Some(_), _) => ("waits".into(), theme.accent()),
        (None, Whereabouts::Planned) => ("in plan".into(), theme.good()),
        (None, Whereabouts::Here) => ("here".into(), theme.text()),
        (None, Whereabouts::Hub) => (String::new(), theme.soft()),
        (None, Whereabouts::Broken) => ("✗".into(), theme.bad()),
    }
}

fn share(pull: &Pull) -> f64 {
    if pull.progress.files.is_empty() { 0.0 } else { pull.progress.share() }
}

fn draw_pulls(frame: &mut Frame, place: Rect, find: &FindScreen, theme: Theme) {
    let Some(pull) = find.going().or_else(|| find.queue.front()) else { return };
    let progress = &pull.progress;
    let waiting: Vec<&str> =
        find.queue.iter().filter(|other| !other.begun).map(|other| other.wanted.name.as_str()).collect();
    let word = if pull.stopping { "Stopping" } else { "Pulling" };
    let more = if waiting.is_empty() { String::new() } else { format!(", {} waiting", waiting.len()) };
    let head = title(&format!("{word} {}{more}", pull.wanted.name), place);
    frame.render_widget(lit(&head, theme.accent()), place);
    let inner = inside(place);
    let (there, size) = (Bytes(progress.there()), Bytes(progress.size()));
    let rate = progress.rate().map_or(String::new(), |rate| format!(" · {}/s", Bytes(rate as u64)));
    let left = progress.left().map_or(String::new(), |left| format!(" · {} left", Seconds(left.max(1.0))));
    let words = match progress.files.len() {
        0 => "asking the hub …".to_owned(),
        _ => format!("{:>4.0}%  {there} of {size}{rate}{left}", progress.share() * 100.0),
    };
    let width = 20.min(inner.width as usize / 3);
    let whole = Line::from(vec![Span::styled(bar(share(pull), width), theme.accent()), Span::raw(format!(" {words}"))]);
    frame.render_widget(whole, Rect { height: 1, ..inner });
    let open = progress.files.iter().filter(|file| file.there < file.size && file.there > 0);
    let text = match (progress.waiting.iter().flatten().next(), waiting.is_empty()) {
        (Some(why), _) => format!("waiting: {why}"),
        (None, true) => open
            .map(|f| format!("{} {:.0}%", f.path, f.there as f64 * 100.0 / f.size as f64))
            .collect::<Vec<_>>()
            .join(" · "),
        (None, false) => format!("then {}", waiting.join(", ")),
    };
    let below = Rect { y: inner.y + 1, height: 1, ..inner };
    frame.render_widget(Line::styled(beginning(&text, inner.width as usize), theme.soft()), below);
}

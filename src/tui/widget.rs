//! Pieces that every screen draws with.

use super::shared::Shared;
use super::theme::Theme;
use crate::show::{middle, wrapped};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};
use unicode_width::UnicodeWidthStr;

/// Lines of an error above the lists, at most.
const ERROR_LINES: usize = 4;

/// A titled box.
pub(super) fn panel(title: &str, theme: Theme) -> Block<'_> {
    framed(title, theme.soft(), theme.rule())
}

/// A titled box that is to be seen: the one that is worked in, or one that says something is wrong.
pub(super) fn lit(title: &str, style: Style) -> Block<'_> {
    framed(title, style, style)
}

fn framed(title: &str, words: Style, lines: Style) -> Block<'_> {
    let title = if title.is_empty() { String::new() } else { format!(" {title} ") };
    // where lines are dim, words are not
    let words = words.remove_modifier(Modifier::DIM);
    Block::bordered().border_type(BorderType::Rounded).border_style(lines).title(Span::styled(title, words))
}

/// The inside of a panel.
pub(super) fn inside(place: Rect) -> Rect {
    Rect {
        x: place.x + 1,
        y: place.y + 1,
        width: place.width.saturating_sub(2),
        height: place.height.saturating_sub(2),
    }
}

/// A title that fits a panel of this width.
pub(super) fn title(text: &str, place: Rect) -> String {
    middle(text, place.width.saturating_sub(4) as usize)
}

/// "name ……… value", the value at the right end; a value that is too long is cut in its middle.
pub(super) fn pair<'a>(name: &str, value: impl Into<String>, width: u16, theme: Theme) -> Line<'a> {
    let room = (width as usize).saturating_sub(name.width());
    let value = middle(&value.into(), room.saturating_sub(1));
    let gap = " ".repeat(room.saturating_sub(value.width()));
    Line::from(vec![Span::styled(name.to_owned(), theme.soft()), Span::raw(gap), Span::raw(value)])
}

/// The places of an error of planning and of what stands below it; the first is empty where there is no error.
pub(super) fn below_error(body: Rect, shared: &Shared) -> (Rect, Rect) {
    let lines = shared.error.as_ref().map_or(0, |_| error_lines(body, shared).len() + 2);
    let [error, rest] = Layout::vertical([Constraint::Length(lines as u16), Constraint::Min(0)]).areas(body);
    (error, rest)
}

/// Draws the error of planning, if there is one, and gives the place below it.
pub(super) fn draw_error(frame: &mut Frame, body: Rect, shared: &Shared) -> Rect {
    let (place, rest) = below_error(body, shared);
    if shared.error.is_some() {
        let (title, style) = match shared.setup {
            None => ("This profile cannot be run", shared.theme.bad()),
            Some(_) => ("This cannot be run; below is the last plan that can", shared.theme.bad()),
        };
        let lines: Vec<Line> = error_lines(body, shared).into_iter().map(Line::raw).collect();
        frame.render_widget(Paragraph::new(lines).block(lit(title, style)), place);
    }
    rest
}

fn error_lines(body: Rect, shared: &Shared) -> Vec<String> {
    let error = shared.error.as_deref().unwrap_or_default();
    let added = match shared.selection.pulled.last() {
        Some(name) => format!(" ({name} was added; d takes it away again)"),
        None => String::new(),
    };
    let width = inside(body).width as usize;
    let mut lines = wrapped(error, width);
    let more = if added.is_empty() { Vec::new() } else { wrapped(added.trim(), width) };
    lines.truncate(ERROR_LINES);
    lines.extend(more.into_iter().take(2));
    lines
}

//! Pieces that every screen draws with.

use super::theme::Theme;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType};

/// A titled box.
pub(super) fn panel(title: &str, style: Style) -> Block<'_> {
    let title = if title.is_empty() { String::new() } else { format!(" {title} ") };
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(style)
        .title(Span::styled(title, style.remove_modifier(Modifier::DIM)))
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

/// "name ……… value", the value at the right end.
pub(super) fn pair<'a>(name: &str, value: impl Into<String>, width: u16, theme: Theme) -> Line<'a> {
    let value: String = value.into();
    let room = (width as usize).saturating_sub(name.chars().count() + value.chars().count());
    Line::from(vec![Span::styled(name.to_owned(), theme.soft()), Span::raw(" ".repeat(room.max(1))), Span::raw(value)])
}

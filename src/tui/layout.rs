//! Where things stand. One place decides, so that what is drawn and what a click hits are the same.

use ratatui::layout::{Constraint, Layout, Rect};

pub(super) const MIN_WIDTH: u16 = 80;
pub(super) const MIN_HEIGHT: u16 = 24;

pub(super) struct Frame {
    pub tabs: Rect,
    pub body: Rect,
    pub status: Rect,
    pub hints: Rect,
}

/// The frame of every screen, or None where the terminal is too small.
pub(super) fn frame(area: Rect) -> Option<Frame> {
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return None;
    }
    let [tabs, body, status, hints] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1), Constraint::Length(1)])
            .areas(area);
    Some(Frame { tabs, body, status, hints })
}

/// The body of the screen that is shown; empty where the terminal is too small.
pub(super) fn body(area: Rect) -> Rect {
    frame(area).map_or(Rect::ZERO, |frame| frame.body)
}

/// The places of tabs with these titles on the top line, behind the name.
pub(super) fn tabs(area: Rect, titles: &[&str]) -> Vec<Rect> {
    let mut x = area.x + 10;
    let place = |title: &&str| {
        let width = title.len() as u16 + 5;
        let place = Rect { x, y: area.y, width, height: 1 };
        x += width;
        place
    };
    titles.iter().map(place).collect()
}

/// Two columns where the terminal is wide, else one above the other.
pub(super) fn beside(body: Rect, left: u16) -> (Rect, Rect) {
    let [a, b] = Layout::horizontal([Constraint::Percentage(left), Constraint::Min(0)]).spacing(1).areas(body);
    (a, b)
}

pub(super) fn wide(body: Rect) -> bool {
    body.width >= 110
}

/// A window in the middle.
pub(super) fn window(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The first visible line of a list so that the cursor stays in view.
pub(super) fn scroll(cursor: usize, len: usize, room: usize) -> usize {
    if len <= room { 0 } else { cursor.saturating_sub(room / 2).min(len - room) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_in_view() {
        for len in 1..40 {
            for room in 1..20 {
                for cursor in 0..len {
                    let first = scroll(cursor, len, room);
                    assert!(first <= cursor && cursor < first + room, "{cursor} of {len} in {room}");
                }
            }
        }
    }
}

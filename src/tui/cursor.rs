//! The cursor of a list, moved by the same keys on every screen that has one.

use super::action::Action;
use super::layout;
use ratatui::layout::{Position, Rect};

/// Where the cursor of a list stands; the list's length is told with every question, since it changes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cursor(usize);

impl Cursor {
    pub(super) fn at(self) -> usize {
        self.0
    }

    /// Puts it on a line.
    pub(super) fn set(&mut self, line: usize) {
        self.0 = line;
    }

    /// Moves as an action says, among so many lines, of which `page` are seen at once; says whether it moved.
    pub(super) fn follow(&mut self, action: &Action, lines: usize, page: usize) -> bool {
        let page = page.max(1);
        let line = match action {
            Action::Up => self.0.saturating_sub(1),
            Action::Down => self.0.saturating_add(1),
            Action::PageUp => self.0.saturating_sub(page),
            Action::PageDown => self.0.saturating_add(page),
            Action::First => 0,
            Action::Last => usize::MAX,
            Action::Choose { line, .. } if *line < lines => *line,
            _ => return false,
        };
        let line = line.min(lines.saturating_sub(1));
        let moved = line != self.0;
        self.0 = line;
        moved
    }

    /// The first line that is seen where there is room for so many.
    pub(super) fn first_seen(self, lines: usize, room: usize) -> usize {
        layout::scroll(self.0, lines, room)
    }

    /// The line of a list in `place` that stands at a position; it may lie behind the last one.
    pub(super) fn line_at(self, place: Rect, at: Position, lines: usize) -> Option<usize> {
        let first = self.first_seen(lines, place.height as usize);
        place.contains(at).then(|| first + (at.y - place.y) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_on_the_list_and_says_whether_it_moved() {
        let mut cursor = Cursor::default();
        assert!(
            !cursor.follow(&Action::Up, 3, 10)
                && cursor.follow(&Action::Last, 3, 10)
                && !cursor.follow(&Action::Down, 3, 10)
        );
        assert_eq!(cursor.at(), 2);
        assert!(!cursor.follow(&Action::Choose { list: 0, line: 3 }, 3, 10), "below the last line stands nothing");
        assert!(cursor.follow(&Action::PageUp, 3, 10) && cursor.at() == 0);
        assert!(!cursor.follow(&Action::Down, 0, 10), "an empty list has no second line");
    }

    #[test]
    fn a_page_is_what_is_seen_at_once() {
        let mut cursor = Cursor::default();
        assert!(cursor.follow(&Action::PageDown, 100, 13) && cursor.at() == 13);
        assert!(cursor.follow(&Action::PageDown, 100, 0) && cursor.at() == 14, "no room is a line at least");
    }

    #[test]
    fn what_is_hit_is_what_is_seen_there() {
        let mut cursor = Cursor::default();
        cursor.follow(&Action::Last, 20, 10);
        let place = Rect::new(2, 5, 10, 4);
        assert_eq!(cursor.line_at(place, Position::new(3, 5), 20), Some(16));
        assert_eq!(cursor.line_at(place, Position::new(3, 9), 20), None);
    }
}

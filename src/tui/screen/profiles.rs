//! The profiles that can be gone on with: those that lie about, and the bundled ones.

use super::Screen;
use crate::library::catalog::Known;
use crate::show::{beginning, left, middle};
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use crate::tui::filter::Filter;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::widget::{inside, lit};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use std::path::PathBuf;
use unicode_width::UnicodeWidthStr;

pub(crate) const TITLE: &str = "Profiles";

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    Binding { hint: "go on with it", help: "go on with the profile; the one before stays as it is", ..keys::OPEN },
    keys::FILTER,
];

#[derive(Default)]
pub(crate) struct ProfilesPage {
    cursor: Cursor,
    filter: Filter,
}

impl ProfilesPage {
    fn lines<'s>(&self, shared: &'s Shared) -> Vec<&'s Known> {
        let holds = |known: &&Known| self.filter.holds(&format!("{} {}", known.typed, known.about));
        shared.catalog.profiles.iter().filter(holds).collect()
    }
}

impl Screen for ProfilesPage {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.filter.typing.then_some(keys::FILTERING)
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        Some(self.lines(shared).get(self.cursor.at())?.typed.clone())
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if self.filter.follow(&action) {
            self.cursor = Cursor::default();
            return None;
        }
        let lines = self.lines(shared);
        if action == Action::Open {
            let profile = lines.get(self.cursor.at()).map(|known| PathBuf::from(&known.typed));
            return match profile {
                Some(profile) => Some(Command::OpenProfile(profile)),
                None => shared.refuse("there is no such profile; esc goes back"),
            };
        }
        let page = inside(layout::body(shared.size)).height as usize;
        self.cursor.follow(&action, lines.len(), page);
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        let line = self.cursor.line_at(inside(body), at, self.lines(shared).len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let (theme, lines) = (shared.theme, self.lines(shared));
        let mut block = lit("Profiles to go on with", theme.accent());
        if let Some(line) = self.filter.line(lines.len(), shared.catalog.profiles.len(), theme) {
            block = block.title_bottom(line);
        }
        frame.render_widget(block, body);
        let inner = inside(body);
        let (width, height) = (inner.width as usize, inner.height as usize);
        let names = lines.iter().map(|known| known.typed.width()).max().unwrap_or(0).clamp(12, width / 2);
        let first = self.cursor.first_seen(lines.len(), height);
        for (n, known) in lines.iter().enumerate().skip(first).take(height) {
            let name = left(&middle(&known.typed, names), names);
            let text = format!("{name}  {}", beginning(&known.about, width.saturating_sub(names + 2)));
            let style = if n == self.cursor.at() { theme.selected() } else { theme.text() };
            let line = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
            frame.render_widget(Line::styled(left(&text, width), style), line);
        }
        if lines.is_empty() {
            let text = "none lies here; n on 1 Models makes one of your own model and data";
            frame.render_widget(Line::styled(beginning(text, width), theme.soft()), inner);
        }
    }
}

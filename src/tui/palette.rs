//! The palette: `:` and a command by its name, on every screen. What is typed narrows the list; a name that is none says
//! which one may have been meant.

use super::action::Action;
use super::keys::{self, Binding};
use super::screen::Screen;
use super::theme::Theme;
use super::widget::lit;
use crate::show::{beginning, left};
use crate::tui::layout;
use bantam_core::meant::meant;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Commands shown at once.
const SHOWN: usize = 10;

/// What is typed, and which of the commands that fit is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Palette {
    pub text: String,
    chosen: usize,
}

/// A command by its name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub name: String,
    pub help: String,
    pub action: Action,
}

/// What a typed line comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meant {
    Do(Action),
    /// It is none: what to say.
    Nothing(String),
}

/// All commands of a screen among the screens of these titles, its own first.
pub(super) fn entries(screen: &dyn Screen, titles: &[&'static str]) -> Vec<Entry> {
    let own = screen.keys().iter().filter(|binding| !binding.hint.is_empty()).map(of_binding);
    let screens = titles.iter().map(|title| Entry {
        name: title.to_lowercase(),
        help: format!("go to {title}"),
        action: Action::Go(title),
    });
    let typed = screen.typed_commands().iter().map(|(name, help)| Entry {
        name: (*name).into(),
        help: (*help).into(),
        action: Action::Tell(String::new()),
    });
    let everywhere = keys::EVERYWHERE.iter().filter(|binding| !binding.name().is_empty()).map(of_binding);
    own.chain(typed).chain(screens).chain(everywhere).collect()
}

fn of_binding(binding: &Binding) -> Entry {
    Entry {
        name: binding.name().into(),
        help: format!("{} ({})", binding.help, binding.shown()),
        action: binding.action.clone(),
    }
}

impl Palette {
    pub(super) fn write(&mut self, text: &str) {
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(80));
        self.chosen = 0;
    }

    pub(super) fn erase(&mut self, all: bool) {
        match all {
            true => self.text.clear(),
            false => {
                self.text.pop();
            }
        }
        self.chosen = 0;
    }

    pub(super) fn step(&mut self, down: bool, entries: &[Entry]) {
        let last = self.fitting(entries).len().saturating_sub(1);
        self.chosen = if down { (self.chosen + 1).min(last) } else { self.chosen.saturating_sub(1) };
    }

    /// The first word of what is typed.
    fn word(&self) -> &str {
        self.text.trim_start().split(' ').next().unwrap_or_default()
    }

    /// The commands that fit what is typed: those that begin with it before those that have it in them.
    fn fitting<'e>(&self, entries: &'e [Entry]) -> Vec<&'e Entry> {
        let typed = self.text.trim().to_lowercase();
        let word = self.word().to_lowercase();
        let takes_more = |entry: &&Entry| matches!(entry.action, Action::Tell(_)) && entry.name == word;
        if let Some(entry) = entries.iter().find(takes_more).filter(|_| typed != word) {
            return vec![entry];
        }
        let begins = entries.iter().filter(|entry| entry.name.starts_with(&typed));
        let has = entries.iter().filter(|entry| !entry.name.starts_with(&typed) && entry.name.contains(&typed));
        begins.chain(has).collect()
    }

    /// Takes the name of the chosen command in, to be gone on with.
    pub(super) fn complete(&mut self, entries: &[Entry]) {
        if let Some(entry) = self.fitting(entries).get(self.chosen).filter(|entry| !self.text.starts_with(&entry.name))
        {
            let more = if matches!(entry.action, Action::Tell(_)) { " " } else { "" };
            self.text = format!("{}{more}", entry.name);
            self.chosen = 0;
        }
    }

    /// What enter does.
    pub(super) fn meant(&self, entries: &[Entry]) -> Meant {
        let typed = self.text.trim();
        match self.fitting(entries).get(self.chosen) {
            Some(entry) => match &entry.action {
                Action::Tell(_) if typed.starts_with(&entry.name) => Meant::Do(Action::Tell(typed.into())),
                Action::Tell(_) => Meant::Do(Action::Tell(entry.name.clone())),
                action => Meant::Do(action.clone()),
            },
            None => {
                let near = meant(self.word(), entries.iter().map(|entry| entry.name.as_str()));
                let near = near.map_or_else(String::new, |near| format!(" ({near}?)"));
                Meant::Nothing(format!("there is no command '{typed}'{near}; : and tab show all of them"))
            }
        }
    }
}

pub(super) fn draw(frame: &mut Frame, palette: &Palette, entries: &[Entry], theme: Theme) {
    let area = frame.area();
    let fitting = palette.fitting(entries);
    let place = layout::window(area, 76, SHOWN.min(fitting.len().max(1)) as u16 + 3);
    let place = Rect { y: area.y + 2, ..place };
    let width = place.width.saturating_sub(2) as usize;
    let name = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0).min(18);
    let mut lines = vec![Line::from(vec![Span::styled(":", theme.accent()), Span::raw(format!("{}▏", palette.text))])];
    let first = layout::scroll(palette.chosen, fitting.len(), SHOWN);
    for (n, entry) in fitting.iter().enumerate().skip(first).take(SHOWN) {
        let help = beginning(&entry.help, width.saturating_sub(name + 4));
        lines.push(match n == palette.chosen {
            true => Line::styled(left(&format!(" {}  {help}", left(&entry.name, name)), width), theme.selected()),
            false => Line::from(vec![
                Span::styled(format!(" {}  ", left(&entry.name, name)), theme.strong()),
                Span::styled(help, theme.soft()),
            ]),
        });
    }
    if fitting.is_empty()
        && let Meant::Nothing(why) = palette.meant(entries)
    {
        lines.push(Line::styled(beginning(&format!(" {why}"), width), theme.warn()));
    }
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(lit("Commands (enter does it, tab completes, esc closes)", theme.accent())),
        place,
    );
}

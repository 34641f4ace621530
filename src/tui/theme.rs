//! Colours: the terminal's own sixteen, so that the user's theme holds; none at all under NO_COLOR, where weight and
//! reversal carry what colour would. Nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Theme {
    colours: bool,
}

impl Theme {
    /// NO_COLOR (no-color.org): any value that is not empty switches colours off.
    pub(super) fn from_env() -> Theme {
        Theme { colours: std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Theme {
        Theme { colours: false }
    }

    #[cfg(test)]
    pub(super) fn coloured() -> Theme {
        Theme { colours: true }
    }

    fn ink(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn text(self) -> Style {
        Style::new()
    }

    pub(super) fn soft(self) -> Style {
        if self.colours { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn accent(self) -> Style {
        self.ink(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(self) -> Style {
        self.ink(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.ink(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn warn(self) -> Style {
        self.ink(Color::Yellow)
    }

    pub(super) fn selected(self) -> Style {
        if self.colours {
            Style::new().bg(Color::Blue).fg(Color::White).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// A model's colour in tables and scatter.
    pub(super) fn group(self, n: usize) -> Style {
        const GROUPS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::Blue, Color::Red];
        self.ink(GROUPS[n % GROUPS.len()])
    }
}

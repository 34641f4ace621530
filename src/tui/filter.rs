//! A filter of a list: what is typed behind `/`, and which names have it.

use super::action::Action;
use super::theme::Theme;
use ratatui::text::Line;

/// Whether a name has every word of a text, in letters of either case.
pub(super) fn has_words(text: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    text.to_lowercase().split_whitespace().all(|word| name.contains(word))
}

/// What is typed, and whether letters go into it now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Filter {
    text: String,
    pub typing: bool,
}

impl Filter {
    /// Whether a name is shown.
    pub(super) fn holds(&self, name: &str) -> bool {
        has_words(&self.text, name)
    }

    /// The same of a name that is put together only where something is typed.
    pub(super) fn shows(&self, name: impl FnOnce() -> String) -> bool {
        !self.is_on() || self.holds(&name())
    }

    pub(super) fn is_on(&self) -> bool {
        !self.text.trim().is_empty()
    }

    /// Takes an action that is the filter's, and says whether it was.
    pub(super) fn follow(&mut self, action: &Action) -> bool {
        match action {
            Action::Filter => self.typing = true,
            Action::Write(text) if self.typing => {
                self.text.extend(text.chars().filter(|c| !c.is_control()).take(60));
            }
            Action::Erase { all: true } if self.typing => *self = Filter::default(),
            Action::Erase { all: false } if self.typing => drop(self.text.pop()),
            Action::Back if self.typing => self.typing = false,
            _ => return false,
        }
        true
    }

    /// The line that shows it, for the frame of its list; None where there is nothing typed nor to type.
    pub(super) fn line(&self, shown: usize, of: usize, theme: Theme) -> Option<Line<'static>> {
        let sign = if self.typing { "▏" } else { "" };
        let style = if self.typing { theme.accent() } else { theme.warn() };
        (self.typing || self.is_on())
            .then(|| Line::styled(format!(" /{}{sign} shows {shown} of {of} ", self.text), style))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_to_be_there_in_letters_of_either_case() {
        let mut filter = Filter::default();
        assert!(filter.holds("anything") && !filter.is_on() && !filter.follow(&Action::Write("x".into())));
        assert!(filter.follow(&Action::Filter) && filter.follow(&Action::Write("Bantam q4".into())));
        assert!(filter.holds("bantam-l · Q4_K_M") && !filter.holds("bantam-l · Q8_0"));
        assert!(filter.follow(&Action::Back) && !filter.typing && filter.is_on());
        filter.follow(&Action::Filter);
        assert!(filter.follow(&Action::Erase { all: true }) && !filter.is_on() && !filter.typing);
    }
}

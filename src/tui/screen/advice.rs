//! Advice: which variant, why, and what could not be told. The words are made by recommend.

use super::Screen;
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::shared::Shared;
use crate::tui::widget::panel;
use bantam_verdict::recommend::advice::words::Words;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

pub(crate) const TITLE: &str = "Advice";
const KEYS: &[Binding] = &[keys::PREFER, keys::REPORT];

#[derive(Default)]
pub(crate) struct AdviceScreen {
    /// The first line that is seen.
    cursor: Cursor,
}

impl Screen for AdviceScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            Action::Prefer => shared.prefer(),
            Action::Report => shared.report(),
            action => {
                self.cursor.follow(&action, lines(shared));
                None
            }
        }
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let Some(advice) = &shared.advice else {
            let text = if shared.running() {
                " the advice comes when the run has ended"
            } else {
                " no advice yet; r starts the run"
            };
            return frame.render_widget(Line::styled(text, shared.theme.soft()), body);
        };
        let style = if advice.found { shared.theme.good() } else { shared.theme.bad() };
        let mut lines = vec![Line::from(Span::styled(advice.title.clone(), style.patch(shared.theme.strong())))];
        lines.push(Line::raw(""));
        for line in &advice.lines {
            lines.push(Line::raw(line.clone()));
        }
        for evidence in &advice.evidence {
            lines.push(Line::raw(""));
            lines.push(Line::styled(evidence.title.clone(), shared.theme.strong()));
            lines.extend(evidence.lines.iter().map(|l| Line::raw(format!("  {l}"))));
        }
        let scroll = self.cursor.at() as u16;
        let text = Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((scroll, 0));
        frame.render_widget(text.block(panel("Advice", style)), body);
    }
}

fn lines(shared: &Shared) -> usize {
    let evidence = |advice: &Words| advice.evidence.iter().map(|e| e.lines.len() + 2).sum::<usize>();
    shared.advice.as_ref().map_or(0, |advice| advice.lines.len() + evidence(advice))
}

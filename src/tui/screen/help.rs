//! Help: every key of the screen one came from, made from the tables of keys. It lies over that screen and has no state.

use super::Screen;
use crate::tui::keys;
use crate::tui::layout::window;
use crate::tui::theme::Theme;
use crate::tui::widget::panel;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

pub(crate) fn draw(frame: &mut Frame, area: Rect, screen: &dyn Screen, titles: &[&str], theme: Theme) {
    let line = |keys: &str, help: String| {
        Line::from(vec![Span::styled(format!(" {keys:<10} "), theme.strong()), Span::raw(help)])
    };
    let here = keys::with(screen.keys());
    let mut lines: Vec<Line> = here.iter().map(|binding| line(binding.keys, binding.help.into())).collect();
    lines.push(line(&format!("1-{}", titles.len()), titles.join(", ")));
    lines.push(Line::styled(
        " mouse      click a tab or line, scroll   ★ advised  ● Pareto front  ≈ estimated",
        theme.soft(),
    ));
    let place = window(area, 92, lines.len() as u16 + 2);
    frame.render_widget(Clear, place);
    let title = format!("Keys on {} (? closes)", screen.title());
    frame.render_widget(Paragraph::new(lines).block(panel(&title, theme.accent())), place);
}

//! Help: every key of the screen one came from, made from the table of keys.

use super::panel;
use crate::tui::action::{Action, Screen};
use crate::tui::app::App;
use crate::tui::keys::BINDINGS;
use crate::tui::layout::window;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let here = BINDINGS.iter().filter(|b| b.works_on(app.screen) && !matches!(b.action, Action::Go(_)));
    let mut lines: Vec<Line> = here
        .map(|b| Line::from(vec![Span::styled(format!(" {:<10} ", b.keys), app.theme.strong()), Span::raw(b.help)]))
        .collect();
    let screens = Screen::ALL.map(Screen::title).join(", ");
    lines.push(Line::from(vec![Span::styled(" 1-6        ", app.theme.strong()), Span::raw(screens)]));
    lines.push(Line::styled(
        " mouse      click a tab or line, scroll   ★ advised  ● Pareto front  ≈ estimated",
        app.theme.soft(),
    ));
    let place = window(area, 92, lines.len() as u16 + 2);
    frame.render_widget(Clear, place);
    let title = format!("Keys on {} (? closes)", app.screen.title());
    frame.render_widget(Paragraph::new(lines).block(panel(&title, app.theme.accent())), place);
}

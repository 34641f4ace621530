//! Advice: which variant, why, and what could not be told. The words are made by recommend.

use super::panel;
use crate::tui::app::App;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    let Some(advice) = &app.advice else {
        let text =
            if app.running() { " the advice comes when the run has ended" } else { " no advice yet; r starts the run" };
        return frame.render_widget(Line::styled(text, app.theme.soft()), body);
    };
    let style = if advice.found { app.theme.good() } else { app.theme.bad() };
    let mut lines = vec![Line::from(Span::styled(advice.title.clone(), style.patch(app.theme.strong())))];
    lines.push(Line::raw(""));
    for line in &advice.lines {
        lines.push(Line::raw(line.clone()));
    }
    for evidence in &advice.evidence {
        lines.push(Line::raw(""));
        lines.push(Line::styled(evidence.title.clone(), app.theme.strong()));
        lines.extend(evidence.lines.iter().map(|l| Line::raw(format!("  {l}"))));
    }
    let scroll = app.cursor() as u16;
    let text = Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((scroll, 0));
    frame.render_widget(text.block(panel("Advice", style)), body);
}

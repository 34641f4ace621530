//! Models: what the profile names, and what each would need before anything is loaded or made.

use super::{inside, pair, panel};
use crate::show::beginning;
use crate::tui::app::App;
use crate::tui::facts::{ModelCard, ModelFacts};
use crate::tui::layout::{beside, scroll, wide};
use bantam_core::unit::{count, grouped};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

fn areas(body: Rect) -> (Rect, Rect) {
    if wide(body) { beside(body, 45) } else { beside(body, 47) }
}

/// The list's own lines.
pub fn list(body: Rect) -> Rect {
    let inner = inside(areas(body).0);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    let Some(setup) = &app.setup else {
        return frame.render_widget(Line::styled(" reading the profile …", app.theme.soft()), body);
    };
    let setup = match setup {
        Ok(setup) => setup,
        Err(error) => {
            let block = panel("This profile cannot be run", app.theme.bad());
            let text = Paragraph::new(error.as_str()).wrap(Wrap { trim: true }).block(block);
            let [place, _] = Layout::vertical([Constraint::Length(6), Constraint::Min(0)]).areas(body);
            return frame.render_widget(text, place);
        }
    };
    let (left, right) = areas(body);
    frame.render_widget(panel("Models", app.theme.soft()), left);
    let inner = inside(left);
    let names = (inner.width as usize).saturating_sub(26);
    let head = format!("    {:names$} {:>9} {:>10}", "model", "params", "stored");
    frame.render_widget(Line::styled(head, app.theme.soft()), Rect { height: 1, ..inner });
    let place = list(body);
    let first = scroll(app.cursor(), setup.models.len(), place.height as usize);
    for (i, card) in setup.models.iter().enumerate().skip(first).take(place.height as usize) {
        let line = Rect { y: place.y + (i - first) as u16, height: 1, ..place };
        let taken = app.selection.models.get(i).copied().unwrap_or(true);
        let mark = if taken { "[x]" } else { "[ ]" };
        let (parameters, stored) = match &card.facts {
            Ok(facts) => (count(facts.parameters), facts.stored.to_string()),
            Err(_) => ("–".into(), "–".into()),
        };
        let text = format!("{mark} {:names$} {parameters:>9} {stored:>10}", beginning(&card.name, names));
        let style = if i == app.cursor() { app.theme.chosen() } else { app.theme.text() };
        frame.render_widget(Line::styled(format!("{text:width$}", width = line.width as usize), style), line);
    }
    if let Some(card) = setup.models.get(app.cursor()) {
        draw_card(frame, right, card, app);
    }
}

fn draw_card(frame: &mut Frame, place: Rect, card: &ModelCard, app: &App) {
    let width = place.width.saturating_sub(2);
    let mut lines = Vec::new();
    match &card.facts {
        Err(reason) => lines.push(Line::styled(reason.clone(), app.theme.bad())),
        Ok(facts) => lines.extend(facts_lines(card, facts, width, app)),
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: false }).block(panel(&card.name, app.theme.soft()));
    frame.render_widget(text, place);
}

fn facts_lines<'a>(card: &ModelCard, facts: &ModelFacts, width: u16, app: &App) -> Vec<Line<'a>> {
    let heads = if facts.heads == facts.kv_heads {
        facts.heads.to_string()
    } else {
        format!("{} ({} key/value)", facts.heads, facts.kv_heads)
    };
    let cache = facts.kv_bytes_per_token.map_or("none (an encoder)".into(), |bytes| format!("{bytes} a token"));
    let mut lines = vec![
        pair("from", &card.typed, width, app),
        pair("architecture", &facts.architecture, width, app),
        pair("parameters", grouped(&facts.parameters.to_string()), width, app),
        pair("layers × width", format!("{} × {}", facts.layers, facts.hidden), width, app),
        pair("heads", heads, width, app),
        pair("vocabulary", grouped(&facts.vocab.to_string()), width, app),
        pair("context", format!("{} tokens", grouped(&facts.context.to_string())), width, app),
        pair("KV cache", cache, width, app),
        pair("stored as", format!("{}, {}", facts.weights, facts.stored), width, app),
        Line::raw(""),
        Line::from(vec![Span::styled(
            format!("{:<12}{:>13}{:>11}", "derived", "weights", "+ context"),
            app.theme.soft(),
        )]),
    ];
    for (recipe, weights, memory) in &facts.sizes {
        lines.push(Line::raw(format!("{recipe:<12}{:>13}{:>11}", weights.to_string(), memory.to_string())));
    }
    lines
}

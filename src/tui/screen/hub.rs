//! Hub: search the Hugging Face hub by typing, a card beside the list that says what a model would need here before any
//! of it is pulled, and the pull with its progress.

use super::{inside, pair, panel};
use crate::library::fit::{self, Appraisal, Fit};
use crate::show::{bar, beginning, ending};
use crate::tui::app::App;
use crate::tui::hub::Pull;
use crate::tui::layout::{beside, scroll, wide};
use bantam_core::unit::{Bytes, Seconds, count, grouped};
use bantam_hub::{Gate, Hit};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

struct Areas {
    line: Rect,
    list: Rect,
    card: Rect,
    pull: Rect,
}

fn areas(app: &App, body: Rect) -> Areas {
    let pulling = if app.hub.pull.is_some() { 4 } else { 0 };
    let rows = [Constraint::Length(3), Constraint::Min(0), Constraint::Length(pulling)];
    let [line, middle, pull] = Layout::vertical(rows).areas(body);
    let (list, card) = beside(middle, if wide(body) { 52 } else { 50 });
    Areas { line, list, card, pull }
}

/// The list's own lines.
pub fn list(app: &App, body: Rect) -> Rect {
    let inner = inside(areas(app, body).list);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    let areas = areas(app, body);
    search_line(frame, areas.line, app);
    found(frame, areas.list, list(app, body), app);
    card(frame, areas.card, app);
    if let Some(pull) = &app.hub.pull {
        progress(frame, areas.pull, pull, app);
    }
}

fn search_line(frame: &mut Frame, place: Rect, app: &App) {
    let (hub, theme) = (&app.hub, app.theme);
    let style = if hub.typing { theme.accent() } else { theme.soft() };
    frame.render_widget(panel("Search the hub", style), place);
    let inner = inside(place);
    let kind = format!("{} · by {}", hub.filter().unwrap_or("everything"), hub.sort.name());
    let right = Rect {
        x: inner.right().saturating_sub(kind.len() as u16),
        width: (kind.len() as u16).min(inner.width),
        ..inner
    };
    frame.render_widget(Line::styled(kind, theme.soft()), right);
    let room = (right.x.saturating_sub(inner.x)).saturating_sub(2) as usize;
    let line = if hub.text.is_empty() && !hub.typing {
        Line::styled("/ to type", theme.soft())
    } else {
        // the end of what is typed is where the eye is
        let skipped = hub.text.chars().count().saturating_sub(room.saturating_sub(1));
        let text: String = hub.text.chars().skip(skipped).collect();
        let cursor = if hub.typing { "▏" } else { "" };
        Line::from(vec![Span::raw(text), Span::styled(cursor, theme.accent())])
    };
    frame.render_widget(line, Rect { width: room as u16, ..inner });
}

fn found(frame: &mut Frame, place: Rect, lines: Rect, app: &App) {
    let (hub, theme) = (&app.hub, app.theme);
    let title = match (hub.waiting, hub.hits.len()) {
        (true, _) => "asking …".to_owned(),
        (_, 0) => "Models".to_owned(),
        (_, n) => format!("{n} models{}", if hub.has_more() { ", more below" } else { "" }),
    };
    frame.render_widget(panel(&title, theme.soft()), place);
    let inner = inside(place);
    if hub.hits.is_empty() {
        let text = match (&hub.error, hub.searched) {
            (Some(error), _) => error.as_str(),
            (None, true) => "the hub has nothing of that; fewer words, or f for another kind, may find more",
            (None, false) if hub.waiting => "",
            (None, false) => "type a name; the hub is asked when you pause, and never before",
        };
        let style = if hub.error.is_some() { theme.bad() } else { theme.soft() };
        return frame.render_widget(Paragraph::new(text).style(style).wrap(Wrap { trim: true }), inner);
    }
    let long = wide(Rect { width: app.size.width, ..place });
    let names = (inner.width as usize).saturating_sub(if long { 34 } else { 13 });
    let more = if long { format!(" {:>9} {:>10}", "downloads", "changed") } else { String::new() };
    let head = format!("{:names$} {:>9} {:>2}{more}", "model", "params", "");
    frame.render_widget(Line::styled(head, theme.soft()), Rect { height: 1, ..inner });
    let first = scroll(app.cursor(), hub.hits.len(), lines.height as usize);
    for (i, hit) in hub.hits.iter().enumerate().skip(first).take(lines.height as usize) {
        let line = Rect { y: lines.y + (i - first) as u16, height: 1, ..lines };
        let text = row(hit, names, long);
        let style = if i == app.cursor() { theme.chosen() } else { theme.text() };
        frame.render_widget(Line::styled(format!("{text:width$}", width = line.width as usize), style), line);
    }
    if let Some(error) = &hub.error {
        let foot = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
        frame.render_widget(Line::styled(beginning(error, inner.width as usize), theme.bad()), foot);
    }
}

fn row(hit: &Hit, names: usize, long: bool) -> String {
    let page = &hit.page;
    let runs = match fit::family_is_known(page) {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "?",
    };
    let parameters = hit.parameters.map_or_else(|| "?".into(), count);
    let text = format!("{:names$} {parameters:>9} {runs:>2}", ending(&hit.repo.id(), names));
    match long {
        false => text,
        true => {
            let changed = page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or("");
            format!("{text} {:>9} {changed:>10}", page.downloads.map_or(String::new(), count))
        }
    }
}

fn card(frame: &mut Frame, place: Rect, app: &App) {
    let (hub, theme) = (&app.hub, app.theme);
    let Some(hit) = hub.hits.get(app.cursor()) else {
        return frame.render_widget(panel("Card", theme.soft()), place);
    };
    let title = hit.repo.id();
    let block = panel(&title, theme.soft());
    let lines = match hub.card(app.cursor()) {
        None => vec![Line::styled("reading its config and the heads of its weights …", theme.soft())],
        Some(Err(error)) => vec![Line::styled(error.clone(), theme.bad())],
        Some(Ok(appraisal)) => facts(appraisal, inside(place), app),
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), place);
}

fn facts<'a>(appraisal: &Appraisal, place: Rect, app: &App) -> Vec<Line<'a>> {
    let width = place.width;
    let theme = app.theme;
    let sheet = &appraisal.sheet;
    let page = &sheet.listing.page;
    let room = |value: String, name: &str| beginning(&value, (width as usize).saturating_sub(name.len() + 1));
    let told = |name: &str, value: String| pair(name, room(value, name), width, app);
    let mut lines = Vec::new();
    match &appraisal.runs {
        Ok(name) => lines.push(Line::styled(format!("✓ runs here as {name}"), theme.good())),
        Err(why) => lines.push(Line::styled(format!("✗ {}", beginning(why, 2 * width as usize - 4)), theme.bad())),
    }
    let parameters = sheet.parameters.as_ref().map_or_else(|_| "not told".into(), |n| grouped(&n.to_string()));
    let stored = sheet.header.as_ref().map_or_else(|_| "not told".into(), fit::stored);
    let licence = page.licence.as_deref().unwrap_or("no licence told");
    lines.extend([
        told("parameters", parameters),
        told("stored as", format!("{stored}, {}", sheet.weights)),
        told("licence", format!("{licence}, {}", access(page.gate, page.private))),
    ]);
    let context =
        appraisal.longest.map_or_else(|| "not told".into(), |n| format!("{} tokens", grouped(&n.to_string())));
    let more = [
        told("context", context),
        told("files", format!("{}, {}", sheet.listing.files.len(), Bytes(sheet.listing.bytes()))),
        told("changed", page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or("not told").into()),
        told("made from", if page.base.is_empty() { "not told".into() } else { page.base.join(", ") }),
    ];
    // what it would need comes first where there is no room for all
    let room = (place.height as usize).saturating_sub(lines.len() + 2 + appraisal.needs.len());
    lines.extend(more.into_iter().take(room));
    let free = appraisal.memory.as_ref().map_or_else(|_| "unknown".into(), |free| format!("{free} free"));
    lines.push(told("memory here", free));
    let [name, weights, memory] = if width < 43 { [8, 9, 10] } else { [12, 10, 12] };
    let tokens = format!("+{}", appraisal.context);
    let head = format!("{:name$}{:>weights$}{tokens:>memory$} tokens", "est.", "weights");
    lines.push(Line::styled(head, theme.soft()));
    let choices = app.hub.choices(app.cursor()).len();
    for (i, need) in appraisal.needs.iter().enumerate() {
        let needed = need.memory.map_or_else(|| "?".into(), |memory| format!("≈{memory}"));
        let chosen = choices > 0 && i == app.hub.choice;
        let label = if chosen { format!("▸{}", need.name) } else { need.name.clone() };
        let text = format!("{:name$}{:>weights$}{needed:>memory$} ", beginning(&label, name), need.weights.to_string());
        let style = if chosen { theme.strong() } else { theme.text() };
        lines
            .push(Line::from(vec![Span::styled(text, style), Span::styled(need.fit.name(), fit_style(need.fit, app))]));
    }
    lines
}

fn fit_style(fit: Fit, app: &App) -> Style {
    match fit {
        Fit::Fits => app.theme.good(),
        Fit::Tight => app.theme.warn(),
        Fit::TooLarge => app.theme.bad(),
        Fit::Unknown => app.theme.soft(),
    }
}

fn access(gate: Gate, private: bool) -> &'static str {
    match (private, gate) {
        (true, _) => "private",
        (_, Gate::Open) => "open",
        (_, Gate::Automatic) => "gated: ask on its page",
        (_, Gate::Manual) => "gated: somebody decides",
    }
}

fn progress(frame: &mut Frame, place: Rect, pull: &Pull, app: &App) {
    let (tally, theme) = (&pull.tally, app.theme);
    let title = format!("{} {}", if pull.stopping { "Stopping" } else { "Pulling" }, pull.name);
    frame.render_widget(panel(&title, theme.accent()), place);
    let inner = inside(place);
    let (there, size) = (Bytes(tally.there()), Bytes(tally.size()));
    let rate = tally.rate().map_or(String::new(), |rate| format!(" · {}/s", Bytes(rate as u64)));
    let left = tally.left().map_or(String::new(), |left| format!(" · {} left", Seconds(left.max(1.0))));
    let words = match tally.files.len() {
        0 => "asking the hub …".to_owned(),
        _ => format!("{:>4.0}%  {there} of {size}{rate}{left}", tally.share() * 100.0),
    };
    let width = 20.min(inner.width as usize / 3);
    let share = if tally.files.is_empty() { 0.0 } else { tally.share() };
    let whole = Line::from(vec![Span::styled(bar(share, width), theme.accent()), Span::raw(format!(" {words}"))]);
    frame.render_widget(whole, Rect { height: 1, ..inner });
    let open = tally.files.iter().enumerate().filter(|(_, file)| file.there < file.size && file.there > 0);
    let text = match tally.waiting.iter().flatten().next() {
        Some(why) => format!("waiting: {why}"),
        None => open
            .map(|(_, f)| format!("{} {:.0}%", f.path, f.there as f64 * 100.0 / f.size as f64))
            .collect::<Vec<_>>()
            .join(" · "),
    };
    let below = Rect { y: inner.y + 1, height: 1, ..inner };
    frame.render_widget(Line::styled(beginning(&text, inner.width as usize), theme.soft()), below);
}

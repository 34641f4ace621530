//! Draws the Hub screen: the search line, the list, what the model under the cursor is and needs, and the pull.

use super::HubScreen;
use super::state::Pull;
use crate::library::fit::{self, Fit, HostFit};
use crate::show::{bar, beginning, counted, ending, left, middle, short};
use crate::tui::layout::{beside, wide};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, pair, panel, title};
use bantam_core::unit::{Bytes, Seconds, count, grouped};
use bantam_hub::{Gate, Hit};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// The places of the search line, the list, what the model is, and the pull.
fn areas(hub: &HubScreen, body: Rect) -> [Rect; 4] {
    let pulling = if hub.pull.is_some() { 4 } else { 0 };
    let rows = [Constraint::Length(3), Constraint::Min(0), Constraint::Length(pulling)];
    let [line, middle, pull] = Layout::vertical(rows).areas(body);
    let (list, info) = beside(middle, if wide(body) { 52 } else { 50 });
    [line, list, info, pull]
}

/// The list's own lines.
pub(super) fn list(hub: &HubScreen, body: Rect) -> Rect {
    let [_, list, ..] = areas(hub, body);
    let inner = inside(list);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

pub(super) fn draw(frame: &mut Frame, body: Rect, hub: &HubScreen, shared: &Shared) {
    let ([line, found, info, below], theme) = (areas(hub, body), shared.theme);
    draw_line(frame, line, hub, theme);
    draw_found(frame, (found, list(hub, body)), hub, shared);
    draw_info(frame, info, hub, theme);
    if let Some(pull) = &hub.pull {
        draw_pull(frame, below, pull, theme);
    }
}

fn draw_line(frame: &mut Frame, place: Rect, hub: &HubScreen, theme: Theme) {
    let name = "Search the hub";
    let block = if hub.typing { lit(name, theme.accent()) } else { panel(name, theme) };
    frame.render_widget(block, place);
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
        let text = ending(&hub.text, room.saturating_sub(1));
        let cursor = if hub.typing { "▏" } else { "" };
        Line::from(vec![Span::raw(text), Span::styled(cursor, theme.accent())])
    };
    frame.render_widget(line, Rect { width: room as u16, ..inner });
}

fn draw_found(frame: &mut Frame, (place, lines): (Rect, Rect), hub: &HubScreen, shared: &Shared) {
    let theme = shared.theme;
    let title = match (hub.waiting, hub.hits.len()) {
        (true, _) => "asking …".to_owned(),
        (_, 0) => "Models".to_owned(),
        (_, n) => format!("{}{}", counted(n, "model"), if hub.has_more() { ", more below" } else { "" }),
    };
    frame.render_widget(panel(&title, theme), place);
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
    let long = wide(Rect { width: shared.size.width, ..place });
    let names = (inner.width as usize).saturating_sub(if long { 34 } else { 13 });
    let more = if long { format!(" {:>9} {:>10}", "downloads", "changed") } else { String::new() };
    let head = format!("{:names$} {:>9} {:>2}{more}", "model", "params", "");
    frame.render_widget(Line::styled(head, theme.soft()), Rect { height: 1, ..inner });
    let first = hub.cursor.first_seen(hub.hits.len(), lines.height as usize);
    let ids: Vec<String> = hub.hits.iter().map(|hit| hit.repo.id()).collect();
    let ids = short(&ids.iter().map(String::as_str).collect::<Vec<_>>(), names);
    for (i, hit) in hub.hits.iter().enumerate().skip(first).take(lines.height as usize) {
        let line = Rect { y: lines.y + (i - first) as u16, height: 1, ..lines };
        let text = row(hit, &left(&ids[i], names), long);
        let style = if i == hub.cursor.at() { theme.selected() } else { theme.text() };
        frame.render_widget(Line::styled(left(&text, line.width as usize), style), line);
    }
    if let Some(error) = &hub.error {
        let foot = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
        frame.render_widget(Line::styled(beginning(error, inner.width as usize), theme.bad()), foot);
    }
}

fn row(hit: &Hit, name: &str, long: bool) -> String {
    let page = &hit.page;
    let runs = match fit::architecture_is_known(page) {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "?",
    };
    let parameters = hit.parameters.map_or_else(|| "?".into(), count);
    let text = format!("{name} {parameters:>9} {runs:>2}");
    match long {
        false => text,
        true => {
            let changed = page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or("");
            format!("{text} {:>9} {changed:>10}", page.downloads.map_or(String::new(), count))
        }
    }
}

fn draw_info(frame: &mut Frame, place: Rect, hub: &HubScreen, theme: Theme) {
    let Some(hit) = hub.hit() else {
        return frame.render_widget(panel("Card", theme), place);
    };
    let title = title(&hit.repo.id(), place);
    let block = panel(&title, theme);
    let lines = match hub.info() {
        None => vec![Line::styled("reading its config and the heads of its weights …", theme.soft())],
        Some(Err(error)) => vec![Line::styled(error.clone(), theme.bad())],
        Some(Ok(info)) => info_lines(info, inside(place), hub, theme),
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), place);
}

fn info_lines<'a>(info: &HostFit, place: Rect, hub: &HubScreen, theme: Theme) -> Vec<Line<'a>> {
    let width = place.width;
    let model_info = &info.model_info;
    let page = &model_info.listing.page;
    let room = |value: String, name: &str| beginning(&value, (width as usize).saturating_sub(name.len() + 1));
    let told = |name: &str, value: String| pair(name, room(value, name), width, theme);
    let mut lines = Vec::new();
    match &info.runs {
        Ok(name) => lines.push(Line::styled(format!("✓ runs here as {name}"), theme.good())),
        Err(why) => lines.push(Line::styled(format!("✗ {}", beginning(why, 2 * width as usize - 4)), theme.bad())),
    }
    let parameters = model_info.parameters.as_ref().map_or_else(|_| "not told".into(), |n| grouped(&n.to_string()));
    let stored = model_info.header.as_ref().map_or_else(|_| "not told".into(), fit::stored);
    let licence = page.licence.as_deref().unwrap_or("no licence told");
    lines.extend([
        told("parameters", parameters),
        told("stored as", format!("{stored}, {}", model_info.weights)),
        told("licence", format!("{licence}, {}", access(page.gate, page.private))),
    ]);
    let context = info.longest.map_or_else(|| "not told".into(), |n| format!("{} tokens", grouped(&n.to_string())));
    let more = [
        told("context", context),
        told("files", format!("{}, {}", model_info.listing.files.len(), Bytes(model_info.listing.bytes()))),
        told("changed", page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or("not told").into()),
        told("made from", if page.base.is_empty() { "not told".into() } else { page.base.join(", ") }),
    ];
    // what it would need comes first where there is no room for all
    let room = (place.height as usize).saturating_sub(lines.len() + 2 + info.needs.len());
    lines.extend(more.into_iter().take(room));
    let free = info.memory.as_ref().map_or_else(|_| "unknown".into(), |free| format!("{free} free"));
    lines.push(told("memory here", free));
    let [name, weights, memory] = if width < 43 { [8, 9, 10] } else { [12, 10, 12] };
    let tokens = format!("+{}", info.context);
    let head = format!("{:name$}{:>weights$}{tokens:>memory$} tokens", "est.", "weights");
    lines.push(Line::styled(head, theme.soft()));
    let choices = hub.choices().len();
    for (i, need) in info.needs.iter().enumerate() {
        let needed = need.memory.map_or_else(|| "?".into(), |memory| format!("≈{memory}"));
        let selected = choices > 0 && i == hub.choice;
        let label = if selected { format!("▸{}", need.name) } else { need.name.clone() };
        let label = left(&middle(&label, name - 1), name);
        let text = format!("{label}{:>weights$}{needed:>memory$} ", need.weights.to_string());
        let style = if selected { theme.strong() } else { theme.text() };
        lines.push(Line::from(vec![
            Span::styled(text, style),
            Span::styled(need.fit.name(), fit_style(need.fit, theme)),
        ]));
    }
    lines
}

fn fit_style(fit: Fit, theme: Theme) -> Style {
    match fit {
        Fit::Fits => theme.good(),
        Fit::Tight => theme.warn(),
        Fit::TooLarge => theme.bad(),
        Fit::Unknown => theme.soft(),
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

fn draw_pull(frame: &mut Frame, place: Rect, pull: &Pull, theme: Theme) {
    let progress = &pull.progress;
    let title = title(&format!("{} {}", if pull.stopping { "Stopping" } else { "Pulling" }, pull.name), place);
    frame.render_widget(lit(&title, theme.accent()), place);
    let inner = inside(place);
    let (there, size) = (Bytes(progress.there()), Bytes(progress.size()));
    let rate = progress.rate().map_or(String::new(), |rate| format!(" · {}/s", Bytes(rate as u64)));
    let left = progress.left().map_or(String::new(), |left| format!(" · {} left", Seconds(left.max(1.0))));
    let words = match progress.files.len() {
        0 => "asking the hub …".to_owned(),
        _ => format!("{:>4.0}%  {there} of {size}{rate}{left}", progress.share() * 100.0),
    };
    let width = 20.min(inner.width as usize / 3);
    let share = if progress.files.is_empty() { 0.0 } else { progress.share() };
    let whole = Line::from(vec![Span::styled(bar(share, width), theme.accent()), Span::raw(format!(" {words}"))]);
    frame.render_widget(whole, Rect { height: 1, ..inner });
    let open = progress.files.iter().enumerate().filter(|(_, file)| file.there < file.size && file.there > 0);
    let text = match progress.waiting.iter().flatten().next() {
        Some(why) => format!("waiting: {why}"),
        None => open
            .map(|(_, f)| format!("{} {:.0}%", f.path, f.there as f64 * 100.0 / f.size as f64))
            .collect::<Vec<_>>()
            .join(" · "),
    };
    let below = Rect { y: inner.y + 1, height: 1, ..inner };
    frame.render_widget(Line::styled(beginning(&text, inner.width as usize), theme.soft()), below);
}

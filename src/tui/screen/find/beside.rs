//! What stands beside the list: what the model under the cursor is and needs, its files, or its README.

use super::FindScreen;
use super::rows::{Keeps, chosen};
use super::state::View;
use crate::library::fit::{self, Fit, HostFit};
use crate::library::shelf::Shelved;
use crate::show::{beginning, counted, left, middle, right, wrapped};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, pair, panel, title};
use bantam_core::text;
use bantam_core::unit::{Bytes, Unit, grouped};
use bantam_hub::Gate;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Lines of a README that are looked at, at most.
const LONGEST: usize = 2000;

/// So many lines there are to move among.
pub(super) fn lines(find: &FindScreen, shared: &Shared) -> usize {
    match find.view {
        View::Files => find.files().len(),
        view => {
            let place = super::draw::beside(find, layout::body(shared.size));
            let all = match view {
                View::Readme => readme(find, place.width as usize, shared.theme).len(),
                _ => card(find, place, shared.theme).len(),
            };
            // text is scrolled until its last line is seen
            (all + 1).saturating_sub(place.height as usize)
        }
    }
}

pub(super) fn draw(frame: &mut Frame, place: Rect, find: &FindScreen, shared: &Shared) {
    let theme = shared.theme;
    let Some(row) = find.row() else {
        return frame.render_widget(panel("Card", theme), place);
    };
    let head = title(&row.name, place);
    let block = if find.inside { lit(&head, theme.accent()) } else { panel(&head, theme) };
    let views = View::ALL.iter().map(|view| {
        let style = if *view == find.view { theme.accent() } else { theme.soft() };
        Span::styled(format!(" {} ", view.name()), style)
    });
    let block = block.title_bottom(Line::from(views.collect::<Vec<_>>()).alignment(Alignment::Right));
    let room = inside(place);
    let lines = match find.view {
        View::Card => scrolled(card(find, room, theme), find, room),
        View::Readme => scrolled(readme(find, room.width as usize, theme), find, room),
        View::Files => files(find, room, theme),
    };
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn scrolled<'a>(lines: Vec<Line<'a>>, find: &FindScreen, room: Rect) -> Vec<Line<'a>> {
    let last = lines.len().saturating_sub(room.height as usize);
    lines.into_iter().skip(find.beside.at().min(last)).take(room.height as usize).collect()
}

fn told(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    wrapped(text, width).into_iter().map(|line| Line::styled(line, style)).collect()
}

fn card<'a>(find: &FindScreen, place: Rect, theme: Theme) -> Vec<Line<'a>> {
    let width = place.width as usize;
    if let Some(model) = find.shelved() {
        return of_shelf(model, find, place, theme);
    }
    match find.info() {
        None => told("reading its config and the heads of its weights …", width, theme.soft()),
        Some(Err(error)) => told(error, width, theme.bad()),
        Some(Ok(info)) => of_hub(info, place, find, theme),
    }
}

/// What of the limits the model under the cursor keeps, in one line.
fn verdict<'a>(find: &FindScreen, theme: Theme) -> Option<Line<'a>> {
    let row = find.row()?;
    Some(match row.keeps {
        Keeps::Yes => Line::styled("keeps the limits (estimated)", theme.good()),
        Keeps::No("family" | "broken") => return None,
        Keeps::No(name) => Line::styled(format!("breaks the limit of {name}"), theme.bad()),
        Keeps::Unknown => Line::styled("whether it keeps the limits is not told", theme.warn()),
    })
}

fn of_shelf<'a>(model: &Shelved, find: &FindScreen, place: Rect, theme: Theme) -> Vec<Line<'a>> {
    let width = place.width;
    let facts = match &model.facts {
        Ok(facts) => facts,
        Err(why) => return told(&format!("✗ {why}"), width as usize, theme.bad()),
    };
    let speed = find.row().and_then(|row| row.speed);
    let pair = |name: &str, value: String| pair(name, value, width, theme);
    let mut lines = vec![Line::styled(format!("✓ runs here as {}", facts.runs), theme.good())];
    lines.extend(verdict(find, theme));
    lines.extend([
        pair("parameters", grouped(&facts.parameters.to_string())),
        pair("stored as", format!("{}, {}", facts.quant, model.bytes)),
        pair("licence", facts.licence.clone().unwrap_or_else(|| "not told".into())),
        pair("context", format!("{} tokens", grouped(&facts.longest.to_string()))),
        pair("memory at work", format!("≈{}", facts.memory(model.bytes))),
        pair("decode at most", speed.map_or("not known".into(), |v| format!("≈{}", Unit::TokensPerSecond.show(v)))),
    ]);
    match &facts.path {
        Some(path) => lines.extend(told(&path.display().to_string(), width as usize, theme.soft())),
        None => lines.push(Line::styled("inside this binary", theme.soft())),
    }
    lines
}

fn of_hub<'a>(info: &HostFit, place: Rect, find: &FindScreen, theme: Theme) -> Vec<Line<'a>> {
    let width = place.width;
    let model_info = &info.model_info;
    let page = &model_info.listing.page;
    let room = |value: String, name: &str| beginning(&value, (width as usize).saturating_sub(name.len() + 1));
    let told_of = |name: &str, value: String| pair(name, room(value, name), width, theme);
    let mut lines = Vec::new();
    match &info.runs {
        Ok(name) => lines.push(Line::styled(format!("✓ runs here as {name}"), theme.good())),
        Err(why) => lines.extend(told(&format!("✗ {why}"), width as usize, theme.bad()).into_iter().take(3)),
    }
    let parameters = model_info.parameters.as_ref().map_or_else(|_| "not told".into(), |n| grouped(&n.to_string()));
    let stored = model_info.header.as_ref().map_or_else(|_| "not told".into(), fit::stored);
    let licence = page.licence.as_deref().unwrap_or("no licence told");
    lines.extend(verdict(find, theme));
    lines.extend([
        told_of("parameters", parameters),
        told_of("stored as", format!("{stored}, {}", model_info.weights)),
        told_of("licence", format!("{licence}, {}", access(page.gate, page.private))),
    ]);
    let context = info.longest.map_or_else(|| "not told".into(), |n| format!("{} tokens", grouped(&n.to_string())));
    let more = [
        told_of("context", context),
        told_of("files", format!("{}, {}", model_info.listing.files.len(), Bytes(model_info.listing.bytes()))),
        told_of("changed", page.modified.as_deref().and_then(|at| at.get(..10)).unwrap_or("not told").into()),
        told_of("made from", if page.base.is_empty() { "not told".into() } else { page.base.join(", ") }),
    ];
    // what it would need comes first where there is no room for all
    let room = (place.height as usize).saturating_sub(lines.len() + 2 + info.needs.len());
    lines.extend(more.into_iter().take(room));
    let free = info.memory.as_ref().map_or_else(|_| "unknown".into(), |free| format!("{free} free"));
    lines.push(told_of("memory here", free));
    let [name, weights, memory] = if width < 43 { [8, 9, 10] } else { [12, 10, 12] };
    let tokens = format!("+{}", info.context);
    let tokens_word = if width < 38 { "" } else { " tokens" };
    let head = format!("{:name$}{:>weights$}{tokens:>memory$}{tokens_word}", "est.", "weights");
    lines.push(Line::styled(head, theme.soft()));
    let is_choice = info.needs.iter().any(|need| need.quant.is_some());
    for (i, need) in info.needs.iter().enumerate() {
        let needed = need.memory.map_or_else(|| "?".into(), |memory| format!("≈{memory}"));
        let selected = is_choice && i == chosen(info, &find.limits);
        let label = if selected { format!("▸{}", need.name) } else { need.name.clone() };
        let label = left(&middle(&label, name - 1), name);
        let text = format!("{label}{:>weights$}{needed:>memory$} ", need.weights.to_string());
        let style = if selected { theme.strong() } else { theme.text() };
        let fits = Span::styled(fit_word(need.fit, width < 38), fit_style(need.fit, theme));
        lines.push(Line::from(vec![Span::styled(text, style), fits]));
    }
    lines
}

/// Whether it fits, or where there is no room for the word its sign.
fn fit_word(fit: Fit, is_narrow: bool) -> &'static str {
    match (is_narrow, fit) {
        (false, fit) => fit.name(),
        (true, Fit::Fits) => "✓",
        (true, Fit::Tight) => "~",
        (true, Fit::TooLarge) => "✗",
        (true, Fit::Unknown) => "?",
    }
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

/// The files with their boxes; the last line says what a pull would bring.
fn files<'a>(find: &FindScreen, room: Rect, theme: Theme) -> Vec<Line<'a>> {
    let width = room.width as usize;
    if let Some(model) = find.shelved() {
        let path = model.facts.as_ref().ok().and_then(|facts| facts.path.clone());
        let place = path.map_or_else(|| "inside this binary".into(), |path| path.display().to_string());
        return told(&format!("{} in {place}", model.bytes), width, theme.text());
    }
    let all = find.files();
    if all.is_empty() {
        return told("its files are not known yet", width, theme.soft());
    }
    let lines = (room.height as usize).saturating_sub(2);
    let first = find.beside.first_seen(all.len(), lines);
    let mut shown: Vec<Line> = Vec::new();
    for (n, file) in all.iter().enumerate().skip(first).take(lines) {
        let mark = if find.is_checked(&file.label) { "[x]" } else { "[ ]" };
        let size = file.size.map_or_else(|| "?".into(), |size| size.to_string());
        let name = width.saturating_sub(size.width() + 5);
        let text = format!("{mark} {} {size}", left(&middle(&file.label, name), name));
        let style = if find.inside && n == find.beside.at() { theme.selected() } else { theme.text() };
        shown.push(Line::styled(text, style));
    }
    shown.resize(lines, Line::raw(""));
    let checked = find.checked_files();
    let text = match checked.len() {
        0 => format!("nothing is checked: p fetches {}", find.wanted().first().map_or("", |wanted| &wanted.name)),
        n => {
            let bytes: u64 = checked.iter().filter_map(|file| file.size).map(|size| size.0).sum();
            format!("{} checked, {}: p fetches them", counted(n, "file"), Bytes(bytes))
        }
    };
    shown.extend(told(&text, width, theme.soft()).into_iter().take(2));
    shown
}

fn readme<'a>(find: &FindScreen, width: usize, theme: Theme) -> Vec<Line<'a>> {
    let text = match find.row().and_then(|row| find.readmes.get(&row.name)) {
        None => return told("reading its card …", width, theme.soft()),
        Some(Err(error)) => return told(error, width, theme.bad()),
        Some(Ok(text)) => text,
    };
    let mut lines = Vec::new();
    let mut is_code = false;
    for line in without_head(text).lines().take(LONGEST) {
        let line = text::plain(line);
        is_code ^= line.trim_start().starts_with("```");
        let (bare, style) = match line.trim_start_matches('#') {
            bare if !is_code && bare.len() < line.len() => (bare.trim_start(), theme.strong()),
            _ if is_code => (&*line, theme.soft()),
            _ => (&*line, theme.text()),
        };
        lines.extend(told(bare.trim_end(), width, style));
    }
    lines
}

/// A card without the table that stands before its text.
fn without_head(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---") else { return text };
    rest.split_once("\n---").map_or(text, |(_, body)| body.trim_start_matches(['-', '\r', '\n']))
}

/// A speed in a cell of the list.
pub(super) fn speed(value: f64, width: usize) -> String {
    let digits =
        if value < 10.0 { format!("≈{value:.1}") } else { format!("≈{}", bantam_core::unit::count(value as u64)) };
    right(&digits, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_before_a_card_is_not_shown() {
        assert_eq!(without_head("---\nlicense: mit\n---\n# A\ntext"), "# A\ntext");
        assert_eq!(without_head("# A\n---\n"), "# A\n---\n");
        assert_eq!(without_head("---\nno end"), "---\nno end");
    }
}

//! Models: what the profile names, and what each would need before anything is loaded or made.

use super::Screen;
use crate::show::{beginning, left, short, wrapped};
use crate::tui::action::{Action, Command, Page};
use crate::tui::cursor::Cursor;
use crate::tui::filter::Filter;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{self, beside, wide};
use crate::tui::setup::{ModelEntry, ModelInfo, Setup};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{below_error, draw_error, inside, pair, panel, title};
use crate::tui::words::{self, Word};
use bantam_core::unit::{count, grouped};
use crossterm::event::KeyCode::{self, Char};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

pub(crate) const TITLE: &str = "Models";
/// Fetches what the profile names of the hub and is not here.
pub(crate) const FETCH: Action = Action::Own("fetch");
/// Takes a model away that was added to the profile's.
pub(crate) const AWAY: Action = Action::Own("take away");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::TOGGLE,
    Binding { foot: false, ..keys::FILTER },
    keys::BEGIN,
    Binding { action: FETCH, codes: &[Char('f')], keys: "f", hint: "fetch", help: "fetch what the profile names of the hub and is not here", foot: true },
    Binding { action: AWAY, codes: &[Char('d'), KeyCode::Delete], keys: "d", hint: "take away", help: "take a model away again that was added on Find or Plan; its files stay", foot: true },
];

#[derive(Default)]
pub(crate) struct ModelsScreen {
    cursor: Cursor,
    filter: Filter,
}

impl ModelsScreen {
    /// The places in the profile of those that the filter shows.
    fn shown(&self, shared: &Shared) -> Vec<usize> {
        let all = shared.ready().map_or(&[][..], |setup| &setup.models);
        let holds = |entry: &ModelEntry| self.filter.shows(|| format!("{} {}", entry.name, entry.typed));
        all.iter().enumerate().filter(|(_, entry)| holds(entry)).map(|(at, _)| at).collect()
    }

    /// The place in the profile of the one that the cursor is on; behind all of them where none is shown.
    fn at(&self, shared: &Shared) -> usize {
        self.shown(shared).get(self.cursor.at()).copied().unwrap_or(usize::MAX)
    }
}

impl Screen for ModelsScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[words::VARIANT, words::RECIPE, words::CONTEXT, words::MEASURED]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.filter.typing.then_some(keys::FILTERING)
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        Some(shared.ready()?.models.get(self.at(shared))?.typed.clone())
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        let is_missing = |setup: &Setup| setup.models.iter().any(|entry| entry.info.is_err());
        match *action {
            Action::Toggle => shared.can_toggle(&shared.selection.models, self.at(shared)),
            FETCH => shared.error.is_some() || shared.setup.as_ref().is_some_and(is_missing),
            AWAY => shared.can_take_away(self.at(shared)),
            Action::Filter => shared.ready().is_some(),
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if shared.ready().is_some() && self.filter.follow(&action) {
            self.cursor = Cursor::default();
            return None;
        }
        match action {
            Action::Begin => Some(Command::Open(Page::Begin)),
            Action::Toggle => shared.toggle(|selection| &mut selection.models, self.at(shared)),
            FETCH if !self.acts(&FETCH, shared) => shared.refuse("what the profile names is here already"),
            FETCH => Some(Command::Fetch(shared.selection.clone())),
            AWAY => {
                let command = shared.take_away(self.at(shared));
                let lines = self.shown(shared).len();
                if self.cursor.at() >= lines {
                    self.cursor.follow(&Action::Last, lines, 1);
                }
                command
            }
            action => {
                let place = list(below_error(layout::body(shared.size), shared).1);
                self.cursor.follow(&action, self.shown(shared).len(), place.height as usize);
                None
            }
        }
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        let line = self.cursor.line_at(list(below_error(body, shared).1), at, self.shown(shared).len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        draw(frame, body, self, shared);
    }
}

fn areas(body: Rect) -> (Rect, Rect) {
    if wide(body) { beside(body, 45) } else { beside(body, 47) }
}

/// The list's own lines.
fn list(body: Rect) -> Rect {
    let inner = inside(areas(body).0);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

fn draw(frame: &mut Frame, body: Rect, screen: &ModelsScreen, shared: &Shared) {
    let theme = shared.theme;
    let body = draw_error(frame, body, shared);
    let Some(setup) = &shared.setup else {
        let text = if shared.error.is_some() { "" } else { " reading the profile …" };
        return frame.render_widget(Line::styled(text, theme.soft()), body);
    };
    let (whole, right_side) = areas(body);
    let (cursor, shown) = (screen.cursor, screen.shown(shared));
    let mut block = panel("Models", theme);
    if let Some(line) = screen.filter.line(shown.len(), setup.models.len(), theme) {
        block = block.title_bottom(line);
    }
    frame.render_widget(block, whole);
    let inner = inside(whole);
    // a narrow list leaves its room to the names: how large each is stored stands beside it
    let has_room = wide(body);
    let names = (inner.width as usize).saturating_sub(if has_room { 25 } else { 14 });
    let stored = if has_room { format!(" {:>10}", "stored") } else { String::new() };
    let head = format!("    {} {:>8}{stored}", left("model", names), "params");
    frame.render_widget(Line::styled(head, theme.soft()), Rect { height: 1, ..inner });
    let place = list(body);
    let first = cursor.first_seen(shown.len(), place.height as usize);
    let all: Vec<&str> = setup.models.iter().map(|entry| entry.name.as_str()).collect();
    let short = short(&all, names);
    for (n, &i) in shown.iter().enumerate().skip(first).take(place.height as usize) {
        let entry = &setup.models[i];
        let line = Rect { y: place.y + (n - first) as u16, height: 1, ..place };
        let taken = shared.selection.models.get(i).copied().unwrap_or(true);
        let mark = if taken { "[x]" } else { "[ ]" };
        let (parameters, stored) = match &entry.info {
            Ok(info) => (count(info.parameters), info.stored.to_string()),
            Err(_) => ("–".into(), "–".into()),
        };
        let stored = if has_room { format!(" {stored:>10}") } else { String::new() };
        let text = format!("{mark} {} {parameters:>8}{stored}", left(&short[i], names));
        let style = if n == cursor.at() { theme.selected() } else { theme.text() };
        frame.render_widget(Line::styled(left(&text, line.width as usize), style), line);
    }
    if let Some(entry) = shown.get(cursor.at()).and_then(|at| setup.models.get(*at)) {
        draw_info(frame, right_side, entry, theme);
    }
}

fn draw_info(frame: &mut Frame, place: Rect, entry: &ModelEntry, theme: Theme) {
    let room = inside(place);
    let mut lines = Vec::new();
    match &entry.info {
        Err(reason) => {
            lines.extend(wrapped(reason, room.width as usize).into_iter().map(|l| Line::styled(l, theme.bad())));
        }
        Ok(info) => lines.extend(info_lines(entry, info, room, theme)),
    }
    let title = title(&entry.name, place);
    let text = Paragraph::new(lines).block(panel(&title, theme));
    frame.render_widget(text, place);
}

/// What a model is, and below it what each recipe makes of it or why it cannot; where there is no room for all, what it
/// is gives way.
fn info_lines<'a>(entry: &ModelEntry, info: &ModelInfo, room: Rect, theme: Theme) -> Vec<Line<'a>> {
    let (height, width) = (room.height as usize, room.width);
    let (mut facts, mut sizes) = (facts(entry, info, width, theme), sizes(info, width as usize, theme));
    // in the order in which they give way: vocabulary, heads, layers, context, cache, family, parameters
    let spare = [5, 4, 3, 6, 7, 1, 2];
    let lost: Vec<usize> = spare.into_iter().take((facts.len() + sizes.len()).saturating_sub(height)).collect();
    let mut place = 0..;
    facts.retain(|_| place.next().is_none_or(|at| !lost.contains(&at)));
    let left_for_sizes = height.saturating_sub(facts.len());
    if sizes.len() > left_for_sizes {
        sizes.truncate(left_for_sizes.saturating_sub(1));
        sizes.push(Line::styled("… more; 3 Run has every one with its reason", theme.warn()));
    }
    facts.into_iter().chain(sizes).collect()
}

fn facts<'a>(entry: &ModelEntry, info: &ModelInfo, width: u16, theme: Theme) -> Vec<Line<'a>> {
    let heads = if info.heads == info.kv_heads {
        info.heads.to_string()
    } else {
        format!("{} ({} key/value)", info.heads, info.kv_heads)
    };
    let cache = info.kv_bytes_per_token.map_or("none (an encoder)".into(), |bytes| format!("{bytes} a token"));
    vec![
        pair("from", &entry.typed, width, theme),
        pair("architecture", &info.architecture, width, theme),
        pair("parameters", grouped(&info.parameters.to_string()), width, theme),
        pair("layers × width", format!("{} × {}", info.layers, info.hidden), width, theme),
        pair("heads", heads, width, theme),
        pair("vocabulary", grouped(&info.vocab.to_string()), width, theme),
        pair("context", format!("{} tokens", grouped(&info.context.to_string())), width, theme),
        pair("KV cache", cache, width, theme),
        pair("stored as", format!("{}, {}", info.weights, info.stored), width, theme),
        Line::raw(""),
    ]
}

/// What each recipe takes; what cannot be made stands below, by its reason.
fn sizes<'a>(info: &ModelInfo, width: usize, theme: Theme) -> Vec<Line<'a>> {
    let head = format!("{:<12}{:>13}{:>11}", "estimated", "weights", "+ context");
    let made = info.sizes.iter().filter_map(|(recipe, sizes)| Some((recipe, sizes.as_ref().ok()?)));
    let made = made.map(|(recipe, (weights, memory))| {
        let name = left(&beginning(recipe, 11), 12);
        Line::raw(format!("{name}{:>13}{:>11}", weights.to_string(), memory.to_string()))
    });
    let mut lines: Vec<Line> = [Line::styled(head, theme.soft())].into_iter().chain(made).collect();
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (recipe, why) in info.sizes.iter().filter_map(|(recipe, sizes)| Some((recipe, sizes.as_ref().err()?))) {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, recipes)) => recipes.push(recipe),
            None => reasons.push((why, vec![recipe])),
        }
    }
    for (why, recipes) in reasons {
        let told = wrapped(&format!("✗ {} cannot be made: {why}", recipes.join(", ")), width);
        lines.extend(told.into_iter().map(|line| Line::styled(line, theme.warn())));
    }
    lines
}

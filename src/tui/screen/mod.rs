//! The screens: one file each, `draw` places what the app knows. They take `&App` and change nothing.

mod advice;
mod help;
mod hub;
mod models;
mod plan;
mod results;
pub use results::{group, letter, size};
mod run;

use super::action::Screen;
use super::app::App;
use super::keys::{self, Binding};
use super::layout::{self, MIN_HEIGHT, MIN_WIDTH};
use super::progress::State;
use bantam_core::unit::Seconds;
use ratatui::Frame;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Wrap};

pub fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    let Some(parts) = layout::frame(area) else { return too_small(frame, area) };
    tabs(frame, parts.tabs, app);
    match app.screen {
        Screen::Models => models::draw(frame, parts.body, app),
        Screen::Plan => plan::draw(frame, parts.body, app),
        Screen::Run => run::draw(frame, parts.body, app),
        Screen::Results => results::draw(frame, parts.body, app),
        Screen::Advice => advice::draw(frame, parts.body, app),
        Screen::Hub => hub::draw(frame, parts.body, app),
    }
    status(frame, parts.status, app);
    hints(frame, parts.hints, app);
    if app.help {
        help::draw(frame, area, app);
    }
    if app.asking {
        question(frame, area, app);
    }
}

/// Where the list under `at` begins, and whether it is the plan's second one.
pub fn list_at(app: &App, body: Rect, at: Position) -> Option<(Rect, bool)> {
    let lists: Vec<(Rect, bool)> = match app.screen {
        Screen::Models => vec![(models::list(body), false)],
        Screen::Plan => plan::lists(app, body).map_or(vec![], |[a, b]| vec![(a, false), (b, true)]),
        Screen::Run => vec![(run::list(body), false)],
        Screen::Results => results::list(app, body).map_or(vec![], |list| vec![(list, false)]),
        Screen::Advice => vec![],
        Screen::Hub => vec![(hub::list(app, body), false)],
    };
    lists.into_iter().find(|(place, _)| place.contains(at))
}

fn too_small(frame: &mut Frame, area: Rect) {
    let text = format!(
        "bantam needs {MIN_WIDTH}×{MIN_HEIGHT}; this terminal is {}×{}. Make it larger, or press q to leave.",
        area.width, area.height
    );
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
}

fn tabs(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    frame.render_widget(Span::styled(" bantam", theme.accent()), Rect { height: 1, ..area });
    for (screen, place) in layout::tabs(area) {
        let style = if screen == app.screen { theme.chosen() } else { theme.text() };
        let text = format!(" {} {} ", screen.index() + 1, screen.title());
        frame.render_widget(Span::styled(text, style), place);
    }
    let used = layout::tabs(area)[Screen::COUNT - 1].1.right();
    let name = format!("{} ", app.profile_name);
    let room = Rect { x: used, width: area.right().saturating_sub(used), height: 1, ..area };
    if (name.chars().count() as u16) < room.width {
        frame.render_widget(Line::styled(name, theme.soft()).alignment(Alignment::Right), room);
    }
    let rule = Rect { y: area.y + 1, height: 1, ..area };
    frame.render_widget(Line::styled("─".repeat(area.width as usize), theme.soft()), rule);
}

/// One line: what is going on, or what has just been said.
fn status(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    if let Some(notice) = &app.notice {
        let line = Line::styled(format!(" {notice}"), theme.warn());
        return frame.render_widget(line, area);
    }
    let (over, failed, all) = app.progress.counts();
    let mut spans = Vec::new();
    match app.progress.state {
        State::Idle if app.setup.is_none() => spans.push(Span::styled(" reading the profile …", theme.soft())),
        State::Idle if over > 0 && over == all => {
            spans.push(Span::styled(
                format!(" all {all} trials are measured already; 5 shows the advice"),
                theme.soft(),
            ));
        }
        State::Idle => spans.push(Span::styled(format!(" {all} trials, {over} measured already"), theme.soft())),
        State::Running | State::Stopping => {
            let word = if app.progress.state == State::Running { "running" } else { "stopping" };
            spans.push(Span::styled(format!(" {word} {over}/{all}"), theme.accent()));
            if let Some(left) = app.progress.left(app.clock) {
                spans.push(Span::raw(format!(" · about {} left", Seconds(left.max(1.0)))));
            }
        }
        State::Over => spans.push(Span::styled(format!(" done: {over} of {all} trials"), theme.good())),
    }
    if failed > 0 {
        spans.push(Span::styled(format!(" · {failed} failed"), theme.bad()));
    }
    frame.render_widget(Line::from(spans), area);
}

fn hints(frame: &mut Frame, area: Rect, app: &App) {
    let table = match (app.asking, app.typing()) {
        (true, _) => keys::QUESTION,
        (false, true) => keys::TYPING,
        (false, false) => keys::BINDINGS,
    };
    let mut spans = vec![Span::raw(" ")];
    for binding in table.iter().filter(|b| b.foot && b.works_on(app.screen)) {
        spans.extend(hint(binding, app));
    }
    if !app.asking && !app.typing() {
        spans.push(Span::styled("1-6", app.theme.strong()));
        spans.push(Span::styled(" screens", app.theme.soft()));
    }
    frame.render_widget(Line::from(spans), area);
}

fn hint<'a>(binding: &Binding, app: &App) -> [Span<'a>; 2] {
    [Span::styled(binding.keys, app.theme.strong()), Span::styled(format!(" {}  ", binding.hint), app.theme.soft())]
}

fn question(frame: &mut Frame, area: Rect, app: &App) {
    let place = layout::window(area, 66, 7);
    let (over, _, all) = app.progress.counts();
    let lines = vec![
        Line::raw(""),
        Line::raw(format!("A run is going on: {over} of {all} trials are finished.")),
        Line::raw("What is finished is kept; the next start goes on from there."),
        Line::raw(""),
        Line::from(keys::QUESTION.iter().flat_map(|b| hint(b, app)).collect::<Vec<_>>()),
    ];
    frame.render_widget(Clear, place);
    let block = panel("Stop and quit?", app.theme.warn());
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

/// A titled box.
pub(super) fn panel(title: &str, style: Style) -> Block<'_> {
    let title = if title.is_empty() { String::new() } else { format!(" {title} ") };
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(style)
        .title(Span::styled(title, style.remove_modifier(ratatui::style::Modifier::DIM)))
}

/// The inside of a panel.
pub(super) fn inside(place: Rect) -> Rect {
    Rect {
        x: place.x + 1,
        y: place.y + 1,
        width: place.width.saturating_sub(2),
        height: place.height.saturating_sub(2),
    }
}

/// "name ……… value", the value at the right end.
pub(super) fn pair<'a>(name: &str, value: impl Into<String>, width: u16, app: &App) -> Line<'a> {
    let value: String = value.into();
    let room = (width as usize).saturating_sub(name.chars().count() + value.chars().count());
    Line::from(vec![
        Span::styled(name.to_owned(), app.theme.soft()),
        Span::raw(" ".repeat(room.max(1))),
        Span::raw(value),
    ])
}

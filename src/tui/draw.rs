//! The picture: tabs, the screen that is shown, the line that says what is going on, the hints; help and the question
//! whether to quit lie over it. Drawing changes nothing.

use super::app::App;
use super::keys::{self, Binding};
use super::layout::{self, MIN_HEIGHT, MIN_WIDTH};
use super::palette;
use super::progress::RunState;
use super::screen::help;
use super::theme::Theme;
use super::widget::lit;
use crate::show::{counted, middle};
use bantam_core::unit::Seconds;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

pub(super) fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    let Some(parts) = layout::frame(area) else {
        too_small(frame, area);
        return app.shared.theme.paint(frame.buffer_mut());
    };
    tabs(frame, parts.tabs, app);
    app.screen().draw(frame, parts.body, &app.shared);
    status(frame, parts.status, app);
    hints(frame, parts.hints, app);
    if app.help {
        help::draw(frame, app.screen(), &app.titles(), app.shared.theme, app.help_from);
    }
    if let Some(palette) = &app.palette {
        palette::draw(frame, palette, &app.commands(), app.shared.theme);
    }
    if app.asking {
        question(frame, area, app);
    }
    app.shared.theme.paint(frame.buffer_mut());
}

fn too_small(frame: &mut Frame, area: Rect) {
    let text = format!(
        "bantam needs {MIN_WIDTH}×{MIN_HEIGHT}; this terminal is {}×{}. Make it larger, or press q to leave.",
        area.width, area.height
    );
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
}

fn tabs(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.shared.theme;
    frame.render_widget(Span::styled(" bantam", theme.accent()), Rect { height: 1, ..area });
    let titles = app.titles();
    let places = layout::tabs(area, &titles);
    for (number, (title, place)) in (1..).zip(titles.iter().zip(&places)) {
        let style = if *title == app.tab() { theme.selected() } else { theme.text() };
        frame.render_widget(Span::styled(format!(" {number} {title} "), style), *place);
    }
    let used = places.last().map_or(area.x, |place| place.right());
    let name = app.shared.profile_name.as_str();
    let room = Rect { x: used, width: area.right().saturating_sub(used), height: 1, ..area };
    // a name that would be cut to a few letters says nothing
    if name.width() < room.width as usize || room.width > 16 {
        let name = middle(name, room.width.saturating_sub(1) as usize) + " ";
        frame.render_widget(Line::styled(name, theme.soft()).alignment(Alignment::Right), room);
    }
    let rule = Rect { y: area.y + 1, height: 1, ..area };
    frame.render_widget(Line::styled("─".repeat(area.width as usize), theme.rule()), rule);
}

/// One line: what is going on, or what has just been said.
fn status(frame: &mut Frame, area: Rect, app: &App) {
    let (theme, progress) = (app.shared.theme, &app.shared.progress);
    if let Some(notice) = &app.shared.notice {
        let text = middle(notice, area.width.saturating_sub(2) as usize);
        let line = Line::styled(format!(" {text}"), theme.warn());
        return frame.render_widget(line, area);
    }
    let (over, failed, all) = progress.counts();
    let trials = |n| counted(n, "trial");
    let mut spans = Vec::new();
    match progress.state {
        _ if app.shared.working_words().is_some() && !app.shared.running() => {
            let words = app.shared.working_words().unwrap_or_default();
            spans.push(Span::styled(format!(" {words}"), theme.accent()));
        }
        _ if app.shared.error.is_some() && !app.shared.running() => {
            spans.push(Span::styled(" this cannot be planned; 1 says why", theme.bad()));
        }
        RunState::Idle if app.shared.setup.is_none() => {
            spans.push(Span::styled(" reading the profile …", theme.soft()))
        }
        RunState::Idle if over > 0 && over == all => {
            spans.push(Span::styled(format!(" {} measured already; 5 shows the advice", trials(all)), theme.soft()));
        }
        RunState::Idle => spans.push(Span::styled(format!(" {}, {over} measured already", trials(all)), theme.soft())),
        RunState::Running | RunState::Stopping => {
            let word = if progress.state == RunState::Running { "running" } else { "stopping" };
            spans.push(Span::styled(format!(" {word} {over}/{all}"), theme.accent()));
            if let Some(left) = progress.left(app.shared.clock) {
                spans.push(Span::raw(format!(" · about {} left", Seconds(left.max(1.0)))));
            }
        }
        RunState::Stopped => {
            let text = format!(" stopped after {over} of {}; r goes on", trials(all));
            spans.push(Span::styled(text, theme.warn()));
        }
        RunState::Over => spans.push(Span::styled(format!(" done: {over} of {}", trials(all)), theme.good())),
    }
    if failed > 0 {
        spans.push(Span::styled(format!(" · {failed} failed"), theme.bad()));
    }
    let line = Line::from(spans);
    let room = (area.width as usize).saturating_sub(line.width() + 3);
    let beside = beside(app).into_iter().rev().find(|text| text.width() <= room).unwrap_or_default();
    frame.render_widget(line, area);
    frame.render_widget(Line::styled(format!("{beside} "), theme.soft()).alignment(Alignment::Right), area);
}

/// What stands at the end of the line: a pull, the load and the host, with less of it where there is less room; the most
/// last.
fn beside(app: &App) -> Vec<String> {
    let shared = &app.shared;
    let pull = shared.pull.as_ref().map(|(name, share)| format!("pull {} {:.0}%", middle(name, 24), share * 100.0));
    let load = shared.load.map(|load| format!("load {load:.2}"));
    let host = shared.ready().map(|setup| setup.host.clone());
    let parts: Vec<String> = [pull, load, host].into_iter().flatten().collect();
    (1..=parts.len()).map(|n| parts[..n].join(" · ")).collect()
}

fn hints(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.shared.theme;
    let commands = !app.asking && !app.typing();
    let table: Vec<&Binding> = match app.screen().typing() {
        _ if app.asking => keys::QUESTION.iter().collect(),
        _ if app.palette.is_some() => keys::PALETTE.iter().collect(),
        _ if app.help => keys::HELP.iter().collect(),
        Some(beside) if !commands => beside.iter().collect(),
        _ => keys::with(app.screen().keys()),
    };
    let mut spans = vec![Span::raw(" ")];
    if commands && !app.help && app.has_opened() {
        spans.extend([Span::styled("esc", theme.strong()), Span::styled(" back  ", theme.soft())]);
    }
    for binding in table.iter().filter(|binding| binding.foot && app.acts(&binding.action)) {
        spans.extend(hint(binding, theme));
    }
    if commands {
        spans.push(Span::styled(format!("1-{}", app.titles().len()), theme.strong()));
        spans.push(Span::styled(" screens", theme.soft()));
    }
    frame.render_widget(Line::from(spans), area);
}

fn hint<'a>(binding: &Binding, theme: Theme) -> [Span<'a>; 2] {
    // of several keys the first; help has them all
    let key = binding.shown().split(' ').next().unwrap_or_default();
    [Span::styled(key, theme.strong()), Span::styled(format!(" {}  ", binding.hint), theme.soft())]
}

fn question(frame: &mut Frame, area: Rect, app: &App) {
    let place = layout::window(area, 66, 7);
    let (theme, (over, _, all)) = (app.shared.theme, app.shared.progress.counts());
    let lines = vec![
        Line::raw(""),
        Line::raw(format!("A run is going on: {over} of {} finished.", counted(all, "trial"))),
        Line::raw("What is finished is kept; the next start goes on from there."),
        Line::raw(""),
        Line::from(keys::QUESTION.iter().flat_map(|b| hint(b, theme)).collect::<Vec<_>>()),
    ];
    frame.render_widget(Clear, place);
    let block = lit("Stop and quit?", theme.warn());
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

//! Run: the trials as they go, with the live figures of the one at work. Live figures are for the eye; what is
//! measured stands in Results.

use super::{inside, panel};
use crate::show::{bar, beginning};
use crate::tui::app::App;
use crate::tui::layout::{beside, scroll};
use crate::tui::progress::{Level, State, Step};
use bantam_core::unit::{Bytes, Seconds, Unit, Watts};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;
use std::collections::VecDeque;

struct Areas {
    whole: Rect,
    trials: Rect,
    live: Rect,
    log: Rect,
}

fn areas(body: Rect) -> Areas {
    let [whole, middle, log] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(body.height / 4 + 1)])
            .areas(body);
    let (trials, live) = beside(middle, 60);
    Areas { whole, trials, live, log }
}

pub fn list(body: Rect) -> Rect {
    inside(areas(body).trials)
}

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    let areas = areas(body);
    whole(frame, areas.whole, app);
    trials(frame, areas.trials, app);
    live(frame, areas.live, app);
    log(frame, areas.log, app);
}

/// The run as one bar.
fn whole(frame: &mut Frame, place: Rect, app: &App) {
    let progress = &app.progress;
    let (over, _, all) = progress.counts();
    let fraction = progress.fraction();
    let words = match progress.state {
        State::Idle => " press r to start".to_owned(),
        State::Running => match progress.left(app.clock) {
            Some(left) => format!(" {over}/{all} · about {} left", Seconds(left.max(1.0))),
            None => format!(" {over}/{all} · time left is known after the first trial"),
        },
        State::Stopping => format!(" {over}/{all} · stopping the worker"),
        State::Over => {
            let spent = progress.ended.unwrap_or(app.clock) - progress.started;
            format!(" {over}/{all} in {}", Seconds(spent.max(0.001)))
        }
    };
    let line = Rect { height: 1, ..place };
    let width = (line.width as usize).saturating_sub(words.chars().count() + 8);
    frame.render_widget(
        Line::from(vec![
            Span::raw(" "),
            Span::styled(bar(fraction, width), app.theme.accent()),
            Span::styled(format!(" {:>3.0}%", fraction * 100.0), app.theme.strong()),
            Span::styled(words, app.theme.soft()),
        ]),
        line,
    );
    if let Some((variant, fraction)) = &progress.preparing {
        let text = format!(" making {variant}  {} {:.0}%", bar(*fraction, 20), fraction * 100.0);
        frame.render_widget(Line::styled(text, app.theme.warn()), Rect { y: place.y + 1, height: 1, ..place });
    }
}

fn trials(frame: &mut Frame, place: Rect, app: &App) {
    frame.render_widget(panel("Trials", app.theme.soft()), place);
    let inner = inside(place);
    let progress = &app.progress;
    let running = progress.current.as_ref().and_then(|id| progress.trials.iter().position(|t| t.id == *id));
    let focus = running.filter(|_| app.running()).unwrap_or(app.cursor());
    let first = scroll(focus, progress.trials.len(), inner.height as usize);
    let models: Vec<&str> = distinct(progress.trials.iter().map(|t| t.variant.model.name.as_str()));
    let names = (inner.width as usize).saturating_sub(29).max(12);
    for (i, trial) in progress.trials.iter().enumerate().skip(first).take(inner.height as usize) {
        let line = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        let (mark, style, words) = step_words(progress.step(&trial.id), app);
        let group = models.iter().position(|m| *m == trial.variant.model.name).unwrap_or(0);
        let chosen = i == app.cursor() && !app.running();
        let spans = vec![
            Span::styled(format!("{mark} "), style),
            Span::styled(format!("{:names$} ", beginning(&trial.variant.label(), names)), app.theme.group(group)),
            Span::raw(format!("{:11} ", beginning(&trial.ask.label(), 11))),
            Span::styled(words, style),
        ];
        let line_style = if chosen { app.theme.chosen() } else { Style::new() };
        frame.render_widget(Line::from(spans).style(line_style), line);
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

fn step_words(step: &Step, app: &App) -> (&'static str, Style, String) {
    let theme = app.theme;
    match step {
        Step::Waiting => ("·", theme.soft(), String::new()),
        Step::Kept => ("✓", theme.soft(), "kept".into()),
        Step::Running { done, of: Some(of), .. } => {
            ("▶", theme.accent(), format!("{} {done}/{of}", bar(*done as f64 / (*of).max(1) as f64, 5)))
        }
        Step::Running { done, of: None, since } => {
            let words =
                if *done == 0 { format!("{:.0} s", (app.clock - since).max(0.0)) } else { format!("{done} repeats") };
            ("▶", theme.accent(), words)
        }
        Step::Finished { seconds } => ("✓", theme.good(), Seconds(*seconds).to_string()),
        Step::Failed(_) => ("✗", theme.bad(), "failed".into()),
    }
}

fn live(frame: &mut Frame, place: Rect, app: &App) {
    let progress = &app.progress;
    let title = progress.current.as_ref().map_or_else(|| "Live".to_owned(), |id| progress.trial_label(id));
    let title = beginning(&title, place.width.saturating_sub(6) as usize);
    frame.render_widget(panel(&title, app.theme.soft()), place);
    let parts = Layout::vertical([Constraint::Ratio(1, 3); 3]).split(inside(place));
    let no_power = app.ready().map_or("no meter", |s| s.energy.as_str());
    curve(frame, parts[0], "tokens/s", &progress.speed, ("waiting for the first tokens", speed_words), app);
    curve(frame, parts[1], "memory", &progress.memory, ("waiting for the worker", memory_words), app);
    curve(frame, parts[2], "power", &progress.power, (no_power, power_words), app);
}

fn speed_words(v: f64) -> String {
    Unit::TokensPerSecond.show(v)
}

fn memory_words(v: f64) -> String {
    format!("{} resident", Bytes(v as u64))
}

fn power_words(v: f64) -> String {
    Watts(v).to_string()
}

fn curve(
    frame: &mut Frame,
    place: Rect,
    name: &str,
    points: &VecDeque<f64>,
    (missing, words): (&str, fn(f64) -> String),
    app: &App,
) {
    let head = Rect { height: 1, ..place };
    let text = points.back().map_or_else(|| missing.to_owned(), |v| words(*v));
    let room = (place.width as usize).saturating_sub(name.len() + 1);
    frame.render_widget(super::pair(name, beginning(&text, room), place.width, app), head);
    let most = points.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 || place.height < 2 {
        return;
    }
    let room = place.width as usize;
    let shown = points.iter().skip(points.len().saturating_sub(room));
    let data: Vec<u64> = shown.map(|v| (v / most * 1000.0).round() as u64).collect();
    let below = Rect { y: place.y + 1, height: place.height - 1, ..place };
    frame.render_widget(Sparkline::default().data(data).max(1000).style(app.theme.group(0)), below);
}

fn log(frame: &mut Frame, place: Rect, app: &App) {
    frame.render_widget(panel("Log", app.theme.soft()), place);
    let inner = inside(place);
    let entries = &app.progress.log;
    let first = entries.len().saturating_sub(inner.height as usize);
    for (i, (at, level, text)) in entries.iter().skip(first).enumerate() {
        let style = match level {
            Level::Info => app.theme.text(),
            Level::Warning => app.theme.warn(),
            Level::Error => app.theme.bad(),
        };
        let line = Rect { y: inner.y + i as u16, height: 1, ..inner };
        let text = beginning(text, (inner.width as usize).saturating_sub(8));
        let spans = vec![Span::styled(format!("{at:>5.0} s "), app.theme.soft()), Span::styled(text, style)];
        frame.render_widget(Line::from(spans), line);
    }
    if entries.is_empty() {
        frame.render_widget(Line::styled("warnings and failures will stand here", app.theme.soft()), inner);
    }
}

//! Run: the trials as they go, with the live figures of the one at work. Live figures are for the eye; what is
//! measured stands in Results.

use super::Screen;
use crate::show::{bar, beginning};
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{beside, scroll};
use crate::tui::progress::{LogLevel, RunState, TrialState};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, pair, panel};
use bantam_core::unit::{Bytes, Seconds, Unit, Watts};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;
use std::collections::VecDeque;

pub(crate) const TITLE: &str = "Run";
const KEYS: &[Binding] = &[keys::STOP];

#[derive(Default)]
pub(crate) struct RunScreen {
    cursor: Cursor,
}

impl Screen for RunScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if action == Action::Stop {
            return shared.stop();
        }
        self.cursor.follow(&action, shared.progress.trials.len());
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        let [_, trials, ..] = areas(body);
        let line = self.cursor.line_at(inside(trials), at, shared.progress.trials.len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let [whole, trials, live, log] = areas(body);
        draw_whole(frame, whole, shared);
        draw_trials(frame, trials, self.cursor, shared);
        draw_live(frame, live, shared);
        draw_log(frame, log, shared);
    }
}

/// The places of the bar for the whole, the trials, the live figures and the log.
fn areas(body: Rect) -> [Rect; 4] {
    let rows = [Constraint::Length(2), Constraint::Min(0), Constraint::Length(body.height / 4 + 1)];
    let [whole, middle, log] = Layout::vertical(rows).areas(body);
    let (trials, live) = beside(middle, 60);
    [whole, trials, live, log]
}

/// The run as one bar.
fn draw_whole(frame: &mut Frame, place: Rect, shared: &Shared) {
    let progress = &shared.progress;
    let (over, _, all) = progress.counts();
    let fraction = progress.fraction();
    let words = match progress.state {
        RunState::Idle => " press r to start".to_owned(),
        RunState::Running => match progress.left(shared.clock) {
            Some(left) => format!(" {over}/{all} · about {} left", Seconds(left.max(1.0))),
            None => format!(" {over}/{all} · time left is known after the first trial"),
        },
        RunState::Stopping => format!(" {over}/{all} · stopping the worker"),
        RunState::Over => {
            let spent = progress.ended.unwrap_or(shared.clock) - progress.started;
            format!(" {over}/{all} in {}", Seconds(spent.max(0.001)))
        }
    };
    let line = Rect { height: 1, ..place };
    let width = (line.width as usize).saturating_sub(words.chars().count() + 8);
    frame.render_widget(
        Line::from(vec![
            Span::raw(" "),
            Span::styled(bar(fraction, width), shared.theme.accent()),
            Span::styled(format!(" {:>3.0}%", fraction * 100.0), shared.theme.strong()),
            Span::styled(words, shared.theme.soft()),
        ]),
        line,
    );
    if let Some((variant, fraction)) = &progress.preparing {
        let text = format!(" making {variant}  {} {:.0}%", bar(*fraction, 20), fraction * 100.0);
        frame.render_widget(Line::styled(text, shared.theme.warn()), Rect { y: place.y + 1, height: 1, ..place });
    }
}

fn draw_trials(frame: &mut Frame, place: Rect, cursor: Cursor, shared: &Shared) {
    frame.render_widget(panel("Trials", shared.theme.soft()), place);
    let inner = inside(place);
    let progress = &shared.progress;
    let running = progress.current.as_ref().and_then(|id| progress.trials.iter().position(|t| t.id == *id));
    let focus = running.filter(|_| shared.running()).unwrap_or(cursor.at());
    let first = scroll(focus, progress.trials.len(), inner.height as usize);
    let models: Vec<&str> = distinct(progress.trials.iter().map(|t| t.variant.model.name.as_str()));
    let names = (inner.width as usize).saturating_sub(29).max(12);
    for (i, trial) in progress.trials.iter().enumerate().skip(first).take(inner.height as usize) {
        let line = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        let (mark, style, words) = state_words(progress.state_of(&trial.id), shared);
        let group = models.iter().position(|m| *m == trial.variant.model.name).unwrap_or(0);
        let selected = i == cursor.at() && !shared.running();
        let spans = vec![
            Span::styled(format!("{mark} "), style),
            Span::styled(format!("{:names$} ", beginning(&trial.variant.label(), names)), shared.theme.group(group)),
            Span::raw(format!("{:11} ", beginning(&trial.ask.label(), 11))),
            Span::styled(words, style),
        ];
        let line_style = if selected { shared.theme.selected() } else { Style::new() };
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

fn state_words(state: &TrialState, shared: &Shared) -> (&'static str, Style, String) {
    let theme = shared.theme;
    match state {
        TrialState::Waiting => ("·", theme.soft(), String::new()),
        TrialState::Kept => ("✓", theme.soft(), "kept".into()),
        TrialState::Running { done, of: Some(of), .. } => {
            ("▶", theme.accent(), format!("{} {done}/{of}", bar(*done as f64 / (*of).max(1) as f64, 5)))
        }
        TrialState::Running { done, of: None, since } => {
            let words = if *done == 0 {
                format!("{:.0} s", (shared.clock - since).max(0.0))
            } else {
                format!("{done} repeats")
            };
            ("▶", theme.accent(), words)
        }
        TrialState::Finished { seconds } => ("✓", theme.good(), Seconds(*seconds).to_string()),
        TrialState::Failed(_) => ("✗", theme.bad(), "failed".into()),
    }
}

fn draw_live(frame: &mut Frame, place: Rect, shared: &Shared) {
    let (progress, theme) = (&shared.progress, shared.theme);
    let title = progress.current.as_ref().map_or_else(|| "Live".to_owned(), |id| progress.trial_label(id));
    let title = beginning(&title, place.width.saturating_sub(6) as usize);
    frame.render_widget(panel(&title, shared.theme.soft()), place);
    let parts = Layout::vertical([Constraint::Ratio(1, 3); 3]).split(inside(place));
    let no_power = shared.ready().map_or("no meter", |s| s.energy.as_str());
    draw_curve(frame, parts[0], "tokens/s", &progress.speed, ("waiting for the first tokens", speed_words), theme);
    draw_curve(frame, parts[1], "memory", &progress.memory, ("waiting for the worker", memory_words), theme);
    draw_curve(frame, parts[2], "power", &progress.power, (no_power, power_words), theme);
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

fn draw_curve(
    frame: &mut Frame,
    place: Rect,
    name: &str,
    points: &VecDeque<f64>,
    (missing, words): (&str, fn(f64) -> String),
    theme: Theme,
) {
    let head = Rect { height: 1, ..place };
    let text = points.back().map_or_else(|| missing.to_owned(), |v| words(*v));
    let room = (place.width as usize).saturating_sub(name.len() + 1);
    frame.render_widget(pair(name, beginning(&text, room), place.width, theme), head);
    let most = points.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 || place.height < 2 {
        return;
    }
    let room = place.width as usize;
    let shown = points.iter().skip(points.len().saturating_sub(room));
    let data: Vec<u64> = shown.map(|v| (v / most * 1000.0).round() as u64).collect();
    let below = Rect { y: place.y + 1, height: place.height - 1, ..place };
    frame.render_widget(Sparkline::default().data(data).max(1000).style(theme.group(0)), below);
}

fn draw_log(frame: &mut Frame, place: Rect, shared: &Shared) {
    frame.render_widget(panel("Log", shared.theme.soft()), place);
    let inner = inside(place);
    let entries = &shared.progress.log;
    let first = entries.len().saturating_sub(inner.height as usize);
    for (i, (at, level, text)) in entries.iter().skip(first).enumerate() {
        let style = match level {
            LogLevel::Info => shared.theme.text(),
            LogLevel::Warning => shared.theme.warn(),
            LogLevel::Error => shared.theme.bad(),
        };
        let line = Rect { y: inner.y + i as u16, height: 1, ..inner };
        let text = beginning(text, (inner.width as usize).saturating_sub(8));
        let spans = vec![Span::styled(format!("{at:>5.0} s "), shared.theme.soft()), Span::styled(text, style)];
        frame.render_widget(Line::from(spans), line);
    }
    if entries.is_empty() {
        frame.render_widget(Line::styled("warnings and failures will stand here", shared.theme.soft()), inner);
    }
}

//! Run: the trials as they go, with the live figures of the one at work. Live figures are for the eye; what is
//! measured stands in Results.

mod grid;

use super::Screen;
use crate::show::{bar, beginning, counted, left, middle, short, wrapped};
use crate::tui::action::{Action, Command, Page};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{self, beside, scroll};
use crate::tui::progress::{LogLevel, RunState, TrialState};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{self, inside, pair, panel};
use crate::tui::words::{self, Word};
use bantam_core::record::{LeftOut, Trial};
use bantam_core::unit::{Bytes, Seconds, Unit, Watts};
use crossterm::event::KeyCode::Char;
use grid::Grid;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use std::collections::{HashMap, VecDeque};
use unicode_width::UnicodeWidthStr;

pub(crate) const TITLE: &str = "Run";
/// Leaves the variant out of this run, or takes it in again.
pub(crate) const SKIP: Action = Action::Own("skip");
/// The variant's tasks come next.
pub(crate) const FIRST: Action = Action::Own("first");
/// Trials as a list, or as a grid of variants and tasks.
const VIEW: Action = Action::Own("view");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::STOP,
    Binding { help: "the trial: its curve, the last prompt and answer, its log", ..keys::OPEN },
    SKIP_KEY,
    FIRST_KEY,
    Binding { action: VIEW, codes: &[Char('v')], keys: "v", hint: "grid", help: "a grid of variants and what is asked of them, or the trials as a list", foot: true },
    keys::left_too("left: in the grid the column before"),
    keys::right_too("right: in the grid the next column"),
];

#[rustfmt::skip]
pub(crate) const SKIP_KEY: Binding = Binding { action: SKIP, codes: &[Char('s')], keys: "s", hint: "skip", help: "leave the variant out of this run, or take it in again; the trial at work goes on to its end", foot: true };
#[rustfmt::skip]
pub(crate) const FIRST_KEY: Binding = Binding { action: FIRST, codes: &[Char('f')], keys: "f", hint: "first", help: "ask the variant's tasks next", foot: true };

#[derive(Default)]
pub(crate) struct RunScreen {
    cursor: Cursor,
    /// The grid is shown, and the cursor is in this column of it.
    grid: Option<usize>,
}

impl RunScreen {
    /// The trial that the cursor is on.
    fn trial<'s>(&self, shared: &'s Shared) -> Option<&'s Trial> {
        let trials = &shared.progress.trials;
        match self.grid {
            Some(column) => Grid::of(trials).at(self.cursor.at(), column),
            None => trials.get(focus(self.cursor, shared)),
        }
    }
}

impl Screen for RunScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[words::TRIAL, words::VARIANT, words::MEASURED]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        match *action {
            Action::Stop => shared.progress.state == RunState::Running,
            Action::Open => self.trial(shared).is_some(),
            SKIP | FIRST => shared.running() && self.trial(shared).is_some(),
            VIEW => !shared.progress.trials.is_empty(),
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let [_, trials, ..] = areas(layout::body(shared.size));
        // the grid is laid out for who looks at it: of ten thousand trials that takes a while
        let columns = || Grid::of(&shared.progress.trials).asks.len();
        match (&action, self.grid) {
            (Action::Stop, _) => return shared.stop(),
            (Action::Open, _) => {
                return Some(Command::Open(Page::Trial(Box::new(self.trial(shared)?.clone()))));
            }
            (action, _) if *action == SKIP => {
                let variant = self.trial(shared)?.variant.clone();
                return shared.skip(&variant);
            }
            (action, _) if *action == FIRST => {
                let variant = self.trial(shared)?.variant.clone();
                return shared.first(&variant);
            }
            (action, _) if *action == VIEW => {
                let is_list = self.grid.is_none() && columns() > 0;
                (self.grid, self.cursor) = (is_list.then_some(0), Cursor::default());
                return None;
            }
            (Action::Left, Some(column)) => self.grid = Some(column.saturating_sub(1)),
            (Action::Right, Some(column)) => self.grid = Some((column + 1).min(columns().saturating_sub(1))),
            (Action::Choose { list, .. }, Some(_)) if *list > 0 => self.grid = Some(list - 1),
            _ => {}
        }
        if self.grid.is_some() {
            let variants = Grid::of(&shared.progress.trials).variants.len();
            let whole = whole_of(layout::body(shared.size));
            self.cursor.follow(&action, variants, grid::page(whole));
            return None;
        }
        self.cursor.follow(&action, lines(shared), inside(trials).height as usize);
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        if let Some(column) = self.grid {
            let (line, column) = grid::hit(whole_of(body), at, shared, (self.cursor.at(), column))?;
            // the column goes with the line, as the number of a list
            return Some(Action::Choose { list: column + 1, line });
        }
        let [_, trials, ..] = areas(body);
        let place = inside(trials);
        let first = scroll(focus(self.cursor, shared), lines(shared), place.height as usize);
        let line = place.contains(at).then(|| first + (at.y - place.y) as usize)?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let [whole, trials, live, log] = areas(body);
        draw_whole(frame, whole, self.trial(shared), self.cursor, shared);
        if let Some(column) = self.grid {
            grid::draw(frame, whole_of(body), (self.cursor.at(), column), shared);
            return draw_log(frame, log, shared);
        }
        draw_trials(frame, trials, self.cursor, shared);
        draw_live(frame, live, shared);
        draw_log(frame, log, shared);
    }
}

/// The trials, and below them what cannot be made.
fn lines(shared: &Shared) -> usize {
    shared.progress.trials.len() + shared.unmakable().len()
}

/// What cannot be made and stands on this line, behind the trials.
fn unmakable_at(line: usize, shared: &Shared) -> Option<&LeftOut> {
    shared.unmakable().get(line.checked_sub(shared.progress.trials.len())?)
}

/// The places of the bar for the whole, the trials, the live figures and the log.
fn areas(body: Rect) -> [Rect; 4] {
    let rows = [Constraint::Length(2), Constraint::Min(0), Constraint::Length(body.height / 4 + 1)];
    let [whole, middle, log] = Layout::vertical(rows).areas(body);
    let (trials, live) = beside(middle, 60);
    [whole, trials, live, log]
}

/// The place of the grid: of the trials and the live figures together.
fn whole_of(body: Rect) -> Rect {
    let [_, trials, live, _] = areas(body);
    Rect {
        width: live.right().max(trials.right()) - trials.x,
        height: live.bottom().max(trials.bottom()) - trials.y,
        ..trials
    }
}

/// The run as one bar, and below it the trial that is looked at.
fn draw_whole(frame: &mut Frame, place: Rect, trial: Option<&Trial>, cursor: Cursor, shared: &Shared) {
    let progress = &shared.progress;
    let (over, _, all) = progress.counts();
    let fraction = progress.fraction();
    let words = match progress.state {
        RunState::Idle if all > 0 && over == all => " all measured already".to_owned(),
        RunState::Idle => " nothing runs".to_owned(),
        RunState::Running => match progress.left(shared.clock) {
            Some(left) => format!(" {over}/{all} · about {} left", Seconds(left.max(1.0))),
            None => format!(" {over}/{all} · time left is known after the first trial"),
        },
        RunState::Stopping => format!(" {over}/{all} · stopping the worker"),
        RunState::Stopped => format!(" stopped after {over} of {all}; r goes on"),
        RunState::Over => {
            let spent = progress.ended.unwrap_or(shared.clock) - progress.started;
            format!(" {over}/{all} in {}", Seconds(spent.max(0.001)))
        }
    };
    let line = Rect { height: 1, ..place };
    let width = (line.width as usize).saturating_sub(words.width() + 8);
    frame.render_widget(
        Line::from(vec![
            Span::raw(" "),
            Span::styled(bar(fraction, width), shared.theme.accent()),
            Span::styled(format!(" {:>3.0}%", fraction * 100.0), shared.theme.strong()),
            Span::styled(words, shared.theme.soft()),
        ]),
        line,
    );
    let below = Rect { y: place.y + 1, height: 1, ..place };
    if let Some((variant, fraction)) = &progress.preparing {
        let told = format!("  {} {:>3.0}%", bar(*fraction, 20), fraction * 100.0);
        let name = middle(variant, (place.width as usize).saturating_sub(told.width() + 9));
        let text = format!(" making {name}{told}");
        return frame.render_widget(Line::styled(text, shared.theme.warn()), below);
    }
    // the names of the list in full, and why it failed
    if let Some(pair) = unmakable_at(focus(cursor, shared), shared) {
        let text = format!(" {} cannot be made: {}", pair.label(), pair.reason);
        let text = beginning(&text, place.width as usize);
        return frame.render_widget(Line::styled(text, shared.theme.warn()), below);
    }
    if let Some(trial) = trial {
        let failed = match progress.state_of(&trial.id) {
            TrialState::Failed(failure) => format!(": {}", failure.sentence()),
            _ => String::new(),
        };
        let text = format!(" {}{failed}", progress.trial_label(&trial.id));
        frame.render_widget(Line::styled(beginning(&text, place.width as usize), shared.theme.text()), below);
    }
}

/// The trial that is looked at: the one at work, else the one that the cursor is on.
fn focus(cursor: Cursor, shared: &Shared) -> usize {
    let progress = &shared.progress;
    let running = progress.current.as_ref().and_then(|id| progress.trials.iter().position(|t| t.id == *id));
    running.filter(|_| shared.running()).unwrap_or(cursor.at())
}

fn draw_trials(frame: &mut Frame, place: Rect, cursor: Cursor, shared: &Shared) {
    let theme = shared.theme;
    frame.render_widget(panel("Trials", theme), place);
    let inner = inside(place);
    let progress = &shared.progress;
    let first = scroll(focus(cursor, shared), lines(shared), inner.height as usize);
    let widths = Widths::of(&progress.trials, inner.width as usize);
    let unmakable = shared.unmakable();
    let of_trials = progress.trials.iter().map(|t| t.variant.model.name.as_str());
    let models: Vec<&str> = of_trials.chain(unmakable.iter().map(|pair| pair.model.as_str())).collect();
    let (names, groups) = (short(&models, widths.model), distinct(models.iter().copied()));
    for (i, trial) in progress.trials.iter().enumerate().skip(first).take(inner.height as usize) {
        let line = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        let (mark, style, words) = state_words(progress.state_of(&trial.id), shared);
        let group = groups.get(trial.variant.model.name.as_str()).copied().unwrap_or(0);
        let recipe = trial.variant.treatment();
        let spans = vec![
            Span::styled(format!("{mark} "), style),
            Span::styled(left(&names[i], widths.model), theme.group(group)),
            Span::raw(format!(" {}", left(&middle(&recipe, widths.recipe), widths.recipe))),
            Span::raw(format!(" {} ", left(&middle(&trial.ask.label(), widths.ask), widths.ask))),
            Span::styled(words, style),
        ];
        // a cursor's line has the cursor's colours alone
        let line_of = match i == cursor.at() && !shared.running() {
            false => Line::from(spans),
            true => {
                let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
                Line::styled(left(&text, inner.width as usize), theme.selected())
            }
        };
        frame.render_widget(line_of, line);
    }
    let before = progress.trials.len();
    for (i, pair) in unmakable.iter().enumerate() {
        let Some(row) = (before + i).checked_sub(first).filter(|row| *row < inner.height as usize) else { continue };
        let line = Rect { y: inner.y + row as u16, height: 1, ..inner };
        let text = format!(
            "✗ {} {} {}",
            left(&names[before + i], widths.model),
            left(&middle(&pair.recipe, widths.recipe), widths.recipe),
            format_args!("cannot be made: {}", pair.reason)
        );
        let chosen = before + i == cursor.at() && !shared.running();
        let style = if chosen { theme.selected() } else { theme.warn() };
        let text = left(&beginning(&text, inner.width as usize), inner.width as usize);
        frame.render_widget(Line::styled(text, style), line);
    }
}

/// How wide the columns are: recipe and task as they need it within bounds, the model what is left.
struct Widths {
    model: usize,
    recipe: usize,
    ask: usize,
}

impl Widths {
    /// What says how it is: "████▌ 100/100".
    const STATE: usize = 13;

    fn of(trials: &[Trial], width: usize) -> Widths {
        let widest = |of: &dyn Fn(&Trial) -> usize| trials.iter().map(of).max().unwrap_or(0);
        let recipe = widest(&|t| t.variant.treatment().width()).min(10);
        let ask = widest(&|t| t.ask.label().width()).min(11);
        let model = width.saturating_sub(2 + recipe + 1 + ask + 2 + Widths::STATE);
        // a narrow panel gives up what it can of the state's bar
        Widths { model: model.max(8), recipe, ask }
    }
}

/// Names with their places in the order in which they come first.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    names.fold(HashMap::new(), |mut seen, name| {
        let place = seen.len();
        seen.entry(name).or_insert(place);
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
            let words =
                if *done == 0 { format!("{:.0} s", (shared.clock - since).max(0.0)) } else { counted(*done, "repeat") };
            ("▶", theme.accent(), words)
        }
        TrialState::Finished { seconds } => ("✓", theme.good(), Seconds(*seconds).to_string()),
        TrialState::Failed(_) => ("✗", theme.bad(), "failed".into()),
    }
}

fn draw_live(frame: &mut Frame, place: Rect, shared: &Shared) {
    let (progress, theme) = (&shared.progress, shared.theme);
    let title = progress.current.as_ref().map_or_else(|| "Live".to_owned(), |id| progress.trial_label(id));
    let title = widget::title(&title, place);
    frame.render_widget(panel(&title, shared.theme), place);
    if let Some(words) = nothing_runs(shared) {
        let lines = wrapped(&words, inside(place).width as usize);
        let style = if shared.error.is_some() { theme.bad() } else { theme.soft() };
        let text: Vec<Line> = lines.into_iter().map(|line| Line::styled(line, style)).collect();
        return frame.render_widget(Paragraph::new(text), inside(place));
    }
    let parts = Layout::vertical([Constraint::Ratio(1, 3); 3]).split(inside(place));
    let no_power = shared.ready().map_or("no meter", |s| s.energy.as_str());
    draw_curve(frame, parts[0], "tokens/s", &progress.speed, ("waiting for the first tokens", speed_words), theme);
    draw_curve(frame, parts[1], "memory", &progress.memory, ("waiting for the worker", memory_words), theme);
    draw_curve(frame, parts[2], "power", &progress.power, (no_power, power_words), theme);
}

/// That nothing runs, and which key changes that.
fn nothing_runs(shared: &Shared) -> Option<String> {
    let (over, _, all) = shared.progress.counts();
    let then = match shared.progress.state {
        RunState::Running | RunState::Stopping => return None,
        _ if shared.error.is_some() => "this cannot be planned; 1 says why",
        _ if shared.setup.is_none() => "the profile is being read",
        _ if shared.planning => "the change is being planned",
        RunState::Idle if over == all => "everything is measured already; 4 shows the results, 5 the advice",
        RunState::Idle => "r starts the run",
        RunState::Stopped => "r goes on with what is left",
        RunState::Over => "the run is over; 4 shows the results, 5 the advice",
    };
    Some(format!("Nothing runs: {then}."))
}

/// A live rate fades out between batches: below one it is nothing.
fn speed_words(v: f64) -> String {
    if v < 1.0 { "0 tok/s".into() } else { Unit::TokensPerSecond.show(v) }
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
    frame.render_widget(pair(name, text, place.width, theme), head);
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
    frame.render_widget(panel("Log", shared.theme), place);
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

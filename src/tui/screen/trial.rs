//! One trial, opened from a cell of the run: how fast it went with its scale, what was asked last and what was answered, and what
//! its log says; while it is at work it goes on here.

use super::Screen;
use crate::show::{beginning, wrapped};
use crate::tui::action::{Action, Command, Message, Page, Recorded};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::progress::{LogLevel, Seen, TrialState};
use crate::tui::screen::run::{FIRST, FIRST_KEY, SKIP, SKIP_KEY};
use crate::tui::shared::Shared;
use crate::tui::widget::{inside, lit, panel, title};
use crate::tui::words::{self, Word};
use bantam_core::record::{Ask, ItemResult, Trial};
use bantam_core::text;
use bantam_core::unit::{Seconds, Unit, counted};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::STOP,
    Binding { hint: "variant", ..keys::OPEN },
    FIRST_KEY,
    SKIP_KEY,
];

/// Room for a number of the scale.
const SCALE: u16 = 12;

/// The page of a trial.
pub(crate) struct TrialPage {
    trial: Trial,
    /// What the store and the worker's log have; None while it is looked for.
    recorded: Option<Box<Recorded>>,
    /// The first line of the log that is seen.
    cursor: Cursor,
}

impl TrialPage {
    pub(super) fn of(trial: Trial) -> TrialPage {
        TrialPage { trial, recorded: None, cursor: Cursor::default() }
    }

    fn seen<'s>(&self, shared: &'s Shared) -> Option<&'s Seen> {
        shared.progress.seen(&self.trial.id)
    }

    /// The item that was answered last: as the run told it, else as the store has it.
    fn last<'s>(&'s self, shared: &'s Shared) -> Option<&'s ItemResult> {
        let live = self.seen(shared).and_then(|seen| seen.last.as_ref());
        live.or_else(|| self.recorded.as_ref()?.last.as_ref())
    }

    /// What is drawn as a curve, and what it is of: repeats of a speed shape, the rate of tokens while it went, or of what was
    /// measured before the share of right answers after each item.
    fn curve(&self, shared: &Shared) -> (&'static str, Vec<f64>, Unit) {
        let live = self.seen(shared);
        if let Ask::Speed(_) = self.trial.ask {
            let repeats = live.map(|seen| seen.repeats.clone()).filter(|repeats| !repeats.is_empty());
            let repeats = repeats.or_else(|| Some(self.recorded.as_ref()?.repeats.clone()));
            // before the first repeat is over the rate is all that there is
            if let Some(repeats) = repeats.filter(|repeats| !repeats.is_empty()) {
                return ("decode, a bar a repeat", repeats, Unit::TokensPerSecond);
            }
        }
        let rates: Vec<f64> = live.map(|seen| seen.speed.iter().copied().collect()).unwrap_or_default();
        let shares = self.recorded.as_ref().map_or(&[][..], |recorded| &recorded.shares);
        match rates.is_empty() && !shares.is_empty() {
            true => ("right so far, item by item", shares.to_vec(), Unit::Fraction),
            false => ("tokens a second, read and written", rates, Unit::TokensPerSecond),
        }
    }

    fn log(&self, shared: &Shared) -> Vec<(Style, String)> {
        let theme = shared.theme;
        let (of_trial, of_variant) = (shared.progress.trial_label(&self.trial.id), self.trial.variant.label());
        let is_of_it = |text: &str| {
            text.starts_with(&of_trial)
                || text.starts_with(&format!("{of_variant} made"))
                || text.starts_with(&format!("{of_variant}: "))
        };
        let said = shared.progress.log.iter().filter(|(_, _, text)| is_of_it(text)).map(|(at, level, text)| {
            let style = match level {
                LogLevel::Info => theme.text(),
                LogLevel::Warning => theme.warn(),
                LogLevel::Error => theme.bad(),
            };
            (style, format!("{at:>5.0} s {text}"))
        });
        let worker = self.recorded.iter().flat_map(|recorded| recorded.log.lines());
        said.chain(worker.map(|line| (theme.soft(), text::plain(line).into_owned()))).collect()
    }
}

impl Screen for TrialPage {
    fn title(&self) -> &'static str {
        "Trial"
    }

    fn words(&self) -> &'static [Word] {
        &[words::TRIAL, words::VARIANT, words::MEASURED]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        let item = self.last(shared)?;
        let prompt = self.recorded.as_ref().and_then(|recorded| recorded.prompts.as_ref().ok()?.get(&item.index));
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        Some(format!(
            "{}\n\nright: {}\nanswer: {}",
            text(prompt),
            text(item.target.as_ref()),
            text(item.answer.as_ref())
        ))
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        match *action {
            Action::Stop | SKIP | FIRST => shared.running(),
            _ => true,
        }
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        Some(Command::LookAtTrial(Box::new(self.trial.clone())))
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        if let Message::Recorded(id, recorded) = message
            && *id == self.trial.id
        {
            self.recorded = Some(recorded.clone());
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            Action::Open => Some(Command::Open(Page::Variant(self.trial.variant.id.clone()))),
            Action::Stop => shared.stop(),
            SKIP => shared.skip(&self.trial.variant),
            FIRST => shared.first(&self.trial.variant),
            action => {
                let [_, _, log] = areas(layout::body(shared.size));
                let room = inside(log).height as usize;
                self.cursor.follow(&action, (self.log(shared).len() + 1).saturating_sub(room), room);
                None
            }
        }
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let [curve, answer, log] = areas(body);
        self.draw_curve(frame, curve, shared);
        self.draw_answer(frame, answer, shared);
        self.draw_log(frame, log, shared);
    }
}

fn areas(body: Rect) -> [Rect; 3] {
    let log = (body.height / 4).max(4);
    Layout::vertical([Constraint::Length(body.height / 3), Constraint::Min(0), Constraint::Length(log)]).areas(body)
}

impl TrialPage {
    fn draw_curve(&self, frame: &mut Frame, place: Rect, shared: &Shared) {
        let theme = shared.theme;
        let state = shared.progress.state_of(&self.trial.id);
        let head = title(&format!("{}: {}", shared.progress.trial_label(&self.trial.id), told(state, shared)), place);
        frame.render_widget(lit(&head, theme.accent()), place);
        let inner = inside(place);
        let (name, points, unit) = self.curve(shared);
        let shown = |value: f64| unit.show(value);
        let [chart, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(inner);
        let [scale, bars] = Layout::horizontal([Constraint::Length(SCALE), Constraint::Min(0)]).areas(chart);
        let most = points.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 {
            let why = match state {
                TrialState::Waiting => "it has not begun",
                TrialState::Kept => "it was measured before this workbench was opened; its curve was not kept",
                _ => "waiting for the first figures",
            };
            return frame.render_widget(Line::styled(why, theme.soft()), inner);
        }
        let number = |value: f64| Line::styled(format!("{:>11}┤", shown(value)), theme.soft());
        let rows = chart.height as usize;
        let lines: Vec<Line> = (0..rows)
            .map(|row| match (row, rows) {
                (0, _) => number(most),
                (row, rows) if row + 1 == rows => Line::styled(format!("{:>11}┤", 0), theme.soft()),
                (row, rows) if row == rows / 2 && rows > 3 => number(most * (1.0 - row as f64 / (rows - 1) as f64)),
                _ => Line::styled(format!("{:>11}│", ""), theme.soft()),
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), scale);
        let room = bars.width as usize;
        // a rate is of now, and its end is shown; of shares all of them
        let seen: Vec<f64> = match unit {
            Unit::Fraction if points.len() > room => (0..room).map(|n| points[n * points.len() / room]).collect(),
            _ => points.iter().skip(points.len().saturating_sub(room)).copied().collect(),
        };
        let data: Vec<u64> = seen.iter().map(|v| (v / most * 1000.0).round() as u64).collect();
        frame.render_widget(Sparkline::default().data(data).max(1000).style(theme.group(0)), bars);
        let least = points.iter().copied().fold(f64::INFINITY, f64::min);
        let last = points.last().copied().unwrap_or(0.0);
        let text = format!("{name}: last {}, {} to {}", shown(last), shown(least), shown(most));
        frame.render_widget(Line::styled(beginning(&text, foot.width as usize), theme.soft()), foot);
    }

    /// What was asked last, and what was answered.
    fn draw_answer(&self, frame: &mut Frame, place: Rect, shared: &Shared) {
        let theme = shared.theme;
        let room = inside(place);
        let width = room.width as usize;
        let Some(item) = self.last(shared) else {
            let why = match (&self.trial.ask, &self.recorded) {
                (Ask::Speed(_), _) => "a speed shape has tokens of no meaning, and no answers",
                (_, None) => "looking for its answers …",
                (_, Some(_)) => "nothing is answered yet",
            };
            let text = Paragraph::new(Line::styled(why, theme.soft())).block(panel("Last prompt and answer", theme));
            return frame.render_widget(text, place);
        };
        let is_right = item.scores.first().map(|score| score.value == score.weight.max(1.0));
        let part = |name: String, text: &str, style: Style| -> Vec<Line> {
            let mut lines = vec![Line::styled(name, theme.soft())];
            let broken = text.lines().flat_map(|line| wrapped(line, width.saturating_sub(2)));
            lines.extend(broken.map(|line| Line::styled(format!("  {line}"), style)));
            lines
        };
        let style = match is_right {
            Some(true) => theme.good(),
            Some(false) => theme.bad(),
            None => theme.text(),
        };
        let mut answers = part("right is".into(), item.target.as_deref().unwrap_or("–"), theme.text());
        answers.extend(part("it says".into(), item.answer.as_deref().unwrap_or("–"), style));
        let prompt = match self.recorded.as_ref().map(|recorded| &recorded.prompts) {
            None => "looking for its prompt …",
            Some(Err(why)) => why,
            Some(Ok(prompts)) => prompts.get(&item.index).map_or("the task puts no text to the model", String::as_str),
        };
        let mut lines = part(format!("item {} asks", item.index), prompt, theme.text());
        // the end of what was asked is what the answer follows
        let left = (room.height as usize).saturating_sub(answers.len()).max(2);
        if lines.len() > left {
            let cut = lines.len() - left + 1;
            lines.splice(1..1 + cut, [Line::styled("  …", theme.soft())]);
        }
        lines.extend(answers);
        frame.render_widget(Paragraph::new(lines).block(panel("Last prompt and answer", theme)), place);
    }

    fn draw_log(&self, frame: &mut Frame, place: Rect, shared: &Shared) {
        let theme = shared.theme;
        let room = inside(place);
        let log = self.log(shared);
        let last = log.len().saturating_sub(room.height as usize);
        let lines: Vec<Line> = log
            .into_iter()
            .skip(self.cursor.at().min(last))
            .take(room.height as usize)
            .map(|(style, text)| Line::styled(beginning(&text, room.width as usize), style))
            .collect();
        let lines = match lines.is_empty() {
            true => vec![Line::from(Span::styled("nothing was said of it", theme.soft()))],
            false => lines,
        };
        frame.render_widget(Paragraph::new(lines).block(panel("Log", theme)), place);
    }
}

fn told(state: &TrialState, shared: &Shared) -> String {
    match state {
        TrialState::Waiting => "waits".into(),
        TrialState::Kept => "measured before".into(),
        TrialState::Running { done, of: Some(of), since } => {
            format!("{done} of {of} items, {}", Seconds((shared.clock - since).max(0.001)))
        }
        TrialState::Running { done, of: None, .. } => counted(*done, "repeat"),
        TrialState::Finished { seconds } => format!("took {}", Seconds(*seconds)),
        TrialState::Failed(failure) => failure.sentence(),
    }
}

//! Two variants held against each other, opened over the screen they were chosen on: per task the difference as a bar within
//! the margin's band, and below the answers that changed: what was asked, what is right, what both said.

use super::Screen;
use crate::run::examine::{Contrast, Flipped, TaskContrast};
use crate::show::{Piece, beginning, counted, difference, left, middle, wrapped, wrapped_pieces};
use crate::tui::action::{Action, Both, Command, Message, Page};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{self, wide};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, panel, title};
use crate::tui::words::{self as glossary, Word};
use bantam_core::record::Id;
use bantam_core::stats::Verdict;
use bantam_verdict::recommend::advice::words;
use bantam_verdict::recommend::compare::FlipKind;
use crossterm::event::KeyCode::Char;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Lost, gained, still wrong, or all.
const KIND: Action = Action::Own("kind");
/// The next value of a slice.
const SLICE: Action = Action::Own("slice");
/// The other way round.
const SWAP: Action = Action::Own("swap");
/// One prompt for both.
const ASK: Action = Action::Own("ask");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::left("task", "left: the task before"),
    keys::right_too("right: the next task"),
    Binding { action: KIND, codes: &[Char('f')], keys: "f", hint: "kind", help: "answers that were lost, gained, wrong in another way, or all of them", foot: true },
    Binding { action: SLICE, codes: &[Char('s')], keys: "s", hint: "slice", help: "answers of one value of a slice, one after the other, or of all", foot: true },
    Binding { action: SWAP, codes: &[Char('x')], keys: "x", hint: "swap", help: "the other way round: the second one is held against", foot: true },
    Binding { action: ASK, codes: &[Char('i')], keys: "i", hint: "ask both", help: "one prompt for both, their answers side by side", foot: true },
];

/// The page of two variants.
pub(crate) struct ContrastPage {
    one: Id,
    other: Id,
    /// What came of asking; None while it is on its way.
    told: Option<Option<Box<Contrast>>>,
    task: usize,
    kind: Option<FlipKind>,
    slice: Option<(String, String)>,
    cursor: Cursor,
}

impl ContrastPage {
    pub(super) fn of(one: Id, other: Id) -> ContrastPage {
        ContrastPage { one, other, told: None, task: 0, kind: None, slice: None, cursor: Cursor::default() }
    }

    fn known(&self) -> Option<&Contrast> {
        self.told.as_ref()?.as_deref()
    }

    fn task(&self) -> Option<&TaskContrast> {
        self.known()?.tasks.get(self.task)
    }

    /// The answers that changed and pass the filters.
    fn flips(&self) -> Vec<&Flipped> {
        let Some(task) = self.task() else { return Vec::new() };
        let of_kind = |flip: &&Flipped| self.kind.is_none_or(|kind| flip.flip.kind == kind);
        let of_slice =
            |flip: &&Flipped| self.slice.as_ref().is_none_or(|(slice, value)| flip.slices.get(slice) == Some(value));
        task.flips.iter().filter(of_kind).filter(of_slice).collect()
    }

    /// The values of slices that the changed answers of the task have.
    fn slices(&self) -> Vec<(String, String)> {
        let all = self.task().into_iter().flat_map(|task| &task.flips).flat_map(|flip| flip.slices.clone());
        let mut all: Vec<(String, String)> = all.collect();
        all.sort();
        all.dedup();
        all
    }

    fn choose(&mut self, task: usize) {
        (self.task, self.slice, self.cursor) = (task, None, Cursor::default());
    }
}

impl Screen for ContrastPage {
    fn title(&self) -> &'static str {
        "Two variants"
    }

    fn words(&self) -> &'static [Word] {
        &[glossary::MARGIN, glossary::INTERVAL, glossary::FLIP, glossary::SLICE]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn copied(&self, _: &Shared) -> Option<String> {
        let flip = *self.flips().get(self.cursor.at())?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (right, before, now) = (&flip.flip.target, &flip.flip.reference, &flip.flip.candidate);
        let prompt = text(&flip.prompt);
        Some(format!("{prompt}\n\nright: {}\nbefore: {}\nnow: {}", text(right), text(before), text(now)))
    }

    fn acts(&self, action: &Action, _: &Shared) -> bool {
        match *action {
            Action::Left => self.task > 0,
            Action::Right => self.known().is_some_and(|known| self.task + 1 < known.tasks.len()),
            KIND => self.task().is_some_and(|task| !task.flips.is_empty()),
            SLICE => !self.slices().is_empty(),
            SWAP | ASK => self.known().is_some(),
            _ => true,
        }
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        Some(Command::Contrast(self.one.clone(), self.other.clone()))
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        if let Message::Contrasted(one, other, told) = message
            && (one, other) == (&self.one, &self.other)
        {
            self.told = Some(told.clone());
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            Action::Left | Action::Right if !self.acts(&action, shared) => {}
            Action::Left => self.choose(self.task - 1),
            Action::Right => self.choose(self.task + 1),
            KIND => {
                self.kind = match self.kind {
                    None => Some(FlipKind::Lost),
                    Some(FlipKind::Lost) => Some(FlipKind::Gained),
                    Some(FlipKind::Gained) => Some(FlipKind::StillWrong),
                    Some(FlipKind::StillWrong) => None,
                };
                self.cursor = Cursor::default();
            }
            SLICE => {
                let slices = self.slices();
                let at = self.slice.as_ref().and_then(|slice| slices.iter().position(|other| other == slice));
                self.slice = slices.get(at.map_or(0, |at| at + 1)).cloned();
                self.cursor = Cursor::default();
            }
            SWAP => {
                self.known()?;
                std::mem::swap(&mut self.one, &mut self.other);
                self.told = None;
                return Some(Command::Contrast(self.one.clone(), self.other.clone()));
            }
            ASK => {
                let known = self.known()?;
                let both = Both { one: known.one.clone(), other: known.other.clone() };
                return Some(Command::Open(Page::Ask(Box::new(both))));
            }
            Action::Choose { list: TASKS, line } => {
                if self.known().is_some_and(|known| line < known.tasks.len()) {
                    self.choose(line);
                }
            }
            action => {
                let page = inside(areas(layout::body(shared.size), self).flips).height as usize;
                self.cursor.follow(&action, self.flips().len(), page);
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        let areas = areas(body, self);
        let tasks = inside(areas.tasks);
        if tasks.contains(at) {
            let all = self.known()?.tasks.len();
            let first = layout::scroll(self.task, all, tasks.height as usize);
            let line = first + (at.y - tasks.y) as usize;
            return (line < all).then_some(Action::Choose { list: TASKS, line });
        }
        let line = self.cursor.line_at(inside(areas.flips), at, self.flips().len())?;
        Some(Action::Choose { list: FLIPS, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let Some(known) = self.known() else {
            let text = match self.told {
                None => " comparing the two, answer by answer …",
                Some(_) => " one of the two is not measured yet; r starts the run",
            };
            return frame.render_widget(Line::styled(text, theme.soft()), body);
        };
        let areas = areas(body, self);
        self.draw_tasks(frame, areas.tasks, known, theme);
        self.draw_flips(frame, areas.flips, theme);
        self.draw_answer(frame, areas.answer, known, theme);
    }
}

const TASKS: usize = 0;
const FLIPS: usize = 1;

struct Areas {
    tasks: Rect,
    flips: Rect,
    answer: Rect,
}

fn areas(body: Rect, page: &ContrastPage) -> Areas {
    let tasks = page.known().map_or(0, |known| known.tasks.len()) as u16;
    let most = (body.height * 2 / 5).max(5);
    let [top, below] = Layout::vertical([Constraint::Length((tasks + 2).min(most)), Constraint::Min(0)]).areas(body);
    let share = if wide(body) { 40 } else { 44 };
    let [flips, answer] = Layout::horizontal([Constraint::Percentage(share), Constraint::Min(0)]).areas(below);
    Areas { tasks: top, flips, answer }
}

/// Where the bar of a task goes: as far as the widest interval of all tasks, or their margins.
fn reach(known: &Contrast) -> f64 {
    let of = |task: &TaskContrast| {
        let judged = task.comparison.judgement().map_or(0.0, |j| j.interval.low.abs().max(j.interval.high.abs()));
        judged.max(task.comparison.judgement().map_or(task.margin, |j| j.margin)) * 1.05
    };
    known.tasks.iter().map(of).fold(0.0, f64::max).max(1e-6)
}

impl ContrastPage {
    fn draw_tasks(&self, frame: &mut Frame, place: Rect, known: &Contrast, theme: Theme) {
        let head = title(&format!("{} held against {}", known.other.label(), known.one.label()), place);
        let foot = " ░ within the margin  ├─●─┤ the difference and its interval ";
        let block =
            lit(&head, theme.accent()).title_bottom(Line::styled(foot, theme.soft()).alignment(Alignment::Right));
        frame.render_widget(block, place);
        let inner = inside(place);
        let width = inner.width as usize;
        let name = known.tasks.iter().map(|task| task.comparison.task.task.len()).max().unwrap_or(0).clamp(4, 16);
        let bar = (width.saturating_sub(name + 4) / 2).clamp(16, 60);
        let first = layout::scroll(self.task, known.tasks.len(), inner.height as usize);
        let reach = reach(known);
        for (n, task) in known.tasks.iter().enumerate().skip(first).take(inner.height as usize) {
            let at = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
            let chosen = n == self.task;
            let label = left(&middle(&task.comparison.task.task, name), name);
            let said = said(task);
            let style = task.comparison.judgement().map_or(theme.soft(), |j| verdict_style(j.verdict, theme));
            let bar = draw_bar(task, bar, reach);
            let line = match chosen {
                true => {
                    let text: String = bar.iter().map(|(text, _)| text.as_str()).collect();
                    Line::styled(left(&format!(" {label}  {text}  {said}"), width), theme.selected())
                }
                false => {
                    let mut spans = vec![Span::raw(format!(" {label}  "))];
                    spans.extend(bar.into_iter().map(|(text, part)| {
                        Span::styled(
                            text,
                            match part {
                                Part::Band | Part::Empty => theme.rule().remove_modifier(Modifier::DIM),
                                Part::Interval => style,
                            },
                        )
                    }));
                    spans.push(Span::styled(format!("  {}", beginning(&said, width.saturating_sub(name + 3))), style));
                    Line::from(spans)
                }
            };
            frame.render_widget(line, at);
        }
    }

    fn draw_flips(&self, frame: &mut Frame, place: Rect, theme: Theme) {
        let flips = self.flips();
        let kind = match self.kind {
            None => "changed",
            Some(FlipKind::Lost) => "lost",
            Some(FlipKind::Gained) => "gained",
            Some(FlipKind::StillWrong) => "wrong in another way",
        };
        let slice = self.slice.as_ref().map_or(String::new(), |(slice, value)| format!(", {slice} {value}"));
        let head = format!("{} {kind}{slice}", counted(flips.len(), "answer"));
        let head = title(&head, place);
        frame.render_widget(lit(&head, theme.accent()), place);
        let inner = inside(place);
        if flips.is_empty() {
            let why = match self.task().map(|task| task.comparison.judgement().is_some()) {
                Some(false) => "the two were not compared there",
                _ if self.kind.is_some() || self.slice.is_some() => "none of these; f and s show others",
                _ => "no answer changed between right and wrong",
            };
            return frame.render_widget(Line::styled(why, theme.soft()), inner);
        }
        let room = inner.height as usize;
        let first = self.cursor.first_seen(flips.len(), room);
        for (n, flip) in flips.iter().enumerate().skip(first).take(room) {
            let at = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
            let (sign, style) = sign(flip.flip.kind, theme);
            let text = format!("{sign} {:>5}  {}", flip.flip.index, one_line(flip.flip.candidate.as_deref()));
            let text = beginning(&text, inner.width as usize);
            let line = match n == self.cursor.at() {
                true => Line::styled(left(&text, inner.width as usize), theme.selected()),
                false => Line::styled(text, style),
            };
            frame.render_widget(line, at);
        }
    }

    fn draw_answer(&self, frame: &mut Frame, place: Rect, known: &Contrast, theme: Theme) {
        frame.render_widget(panel("What was asked and answered", theme), place);
        let inner = inside(place);
        let Some(flip) = self.flips().get(self.cursor.at()).copied() else { return };
        let width = inner.width as usize;
        let part = |name: &str, text: Option<&str>, style: Style| -> Vec<Line> {
            let mut lines = vec![Line::styled(beginning(name, width), theme.soft())];
            let text = text.unwrap_or("–");
            let broken = text.lines().flat_map(|line| wrapped(line, width.saturating_sub(2)));
            lines.extend(broken.map(|line| Line::styled(format!("  {line}"), style)));
            lines
        };
        let is_right = |answer: Option<&str>| answer.is_some() && answer == flip.flip.target.as_deref();
        let style = |right: bool| if right { theme.good() } else { theme.bad() };
        let kind = flip.flip.kind;
        let (before, now) = (flip.flip.reference.as_deref(), flip.flip.candidate.as_deref());
        let mut answers = part("right is", flip.flip.target.as_deref(), theme.text());
        let was_right = kind == FlipKind::Lost || is_right(before);
        let (lit_before, lit_now) = difference(before.unwrap_or("–"), now.unwrap_or("–"));
        let mut said = |head: String, pieces: &[Piece], style: Style| {
            answers.push(Line::styled(middle(&head, width), theme.soft()));
            answers.extend(lit_lines(pieces, width.saturating_sub(2), style));
        };
        said(format!("{} said", known.one.label()), &lit_before, style(was_right));
        said(format!("{} says", known.other.label()), &lit_now, style(kind == FlipKind::Gained));
        let slices: Vec<String> = flip.slices.iter().map(|(slice, value)| format!("{slice} {value}")).collect();
        let no_prompt = self.task().and_then(|task| task.no_prompts.as_deref());
        let asked = flip.prompt.as_deref().or(no_prompt).unwrap_or("the task puts no text to the model");
        let head = match slices.is_empty() {
            true => format!("item {} asks", flip.flip.index),
            false => format!("item {} ({}) asks", flip.flip.index, slices.join(", ")),
        };
        let mut prompt = part(&head, Some(asked), theme.text());
        // the end of what was asked is what the answer follows
        let room = (inner.height as usize).saturating_sub(answers.len()).max(2);
        if prompt.len() > room {
            let cut = prompt.len() - room + 1;
            prompt.splice(1..1 + cut, [Line::styled("  …", theme.soft())]);
        }
        prompt.extend(answers);
        frame.render_widget(Paragraph::new(prompt), inner);
    }
}

/// The lines of an answer, in which stands out what the other answer lacks.
fn lit_lines<'a>(pieces: &[Piece], width: usize, style: Style) -> Vec<Line<'a>> {
    let stands_out = style.add_modifier(Modifier::REVERSED);
    let line = |line: Vec<Piece>| {
        let mut spans = vec![Span::raw("  ")];
        let lit = |differs: bool| if differs { stands_out } else { style };
        spans.extend(line.into_iter().map(|(text, differs)| Span::styled(text, lit(differs))));
        Line::from(spans)
    };
    wrapped_pieces(pieces, width).into_iter().map(line).collect()
}

/// A text in one line.
fn one_line(text: Option<&str>) -> String {
    text.unwrap_or("–").replace('\n', "⏎")
}

fn sign(kind: FlipKind, theme: Theme) -> (&'static str, Style) {
    match kind {
        FlipKind::Lost => ("−", theme.bad()),
        FlipKind::Gained => ("+", theme.good()),
        FlipKind::StillWrong => ("~", theme.soft()),
    }
}

fn verdict_style(verdict: Verdict, theme: Theme) -> Style {
    match verdict {
        Verdict::Better | Verdict::NotWorse => theme.good(),
        Verdict::Inconclusive => theme.warn(),
        Verdict::Worse => theme.bad(),
    }
}

/// "not worse, −1.2 points (−2.9 to +0.5); 4 answers lost, 1 gained", without the task's name.
fn said(task: &TaskContrast) -> String {
    let said = words::verdict(&task.comparison);
    let name = format!("{}: ", task.comparison.task);
    said.strip_prefix(&name).map_or(said.clone(), str::to_owned)
}

/// What a part of a bar is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Empty,
    Band,
    Interval,
}

/// A bar of so many cells from −reach to reach: the margin's band below zero, the interval and the difference on it.
fn draw_bar(task: &TaskContrast, cells: usize, reach: f64) -> Vec<(String, Part)> {
    let last = cells.saturating_sub(1) as f64;
    let at = |value: f64| (((value / reach).clamp(-1.0, 1.0) + 1.0) / 2.0 * last).round() as usize;
    let mut bar: Vec<(char, Part)> = vec![(' ', Part::Empty); cells];
    let margin = task.comparison.judgement().map_or(task.margin, |judgement| judgement.margin);
    bar[at(-margin)..=at(0.0)].fill(('░', Part::Band));
    bar[at(0.0)] = ('│', Part::Band);
    if let Some(judgement) = task.comparison.judgement() {
        let (low, high) = (at(judgement.interval.low), at(judgement.interval.high));
        bar[low..=high].fill(('─', Part::Interval));
        (bar[low].0, bar[high].0) = ('├', '┤');
        bar[at(judgement.difference)] = ('●', Part::Interval);
    }
    let mut parts: Vec<(String, Part)> = Vec::new();
    for (sign, part) in bar {
        match parts.last_mut() {
            Some((text, same)) if *same == part => text.push(sign),
            _ => parts.push((sign.into(), part)),
        }
    }
    parts
}

//! Plan: recipes and suites to take in or leave out, what matters, what may not be exceeded, and what it comes to.

use super::Screen;
use crate::show::{beginning, counted, left, middle, wrapped};
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout::{self, wide};
use crate::tui::setup::{Setup, SuiteEntry};
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{below_error, draw_error, inside, lit, pair, panel};
use crate::tui::words::{self as glossary, Word};
use bantam_core::profile::{Constraints, RecipeRef};
use bantam_core::unit::Unit;
use bantam_verdict::recommend::advice::words;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

pub(crate) const TITLE: &str = "Plan";
const KEYS: &[Binding] = &[
    keys::TOGGLE,
    keys::PREFER,
    keys::left("recipes", "left: to the recipes"),
    keys::right("suites", "right: to the suites"),
];
const RECIPES: usize = 0;
const SUITES: usize = 1;

#[derive(Default)]
pub(crate) struct PlanScreen {
    /// The list that the cursor is in: recipes or suites.
    list: usize,
    cursor: Cursor,
}

impl PlanScreen {
    fn lines(list: usize, shared: &Shared) -> usize {
        shared.ready().map_or(0, |setup| if list == SUITES { setup.suites.len() } else { setup.profile.recipes.len() })
    }

    /// The cursor as it is in a list: at the top of the one that it is not in.
    fn cursor_in(&self, list: usize) -> Cursor {
        if list == self.list { self.cursor } else { Cursor::default() }
    }

    fn enter_list(&mut self, list: usize) {
        (self.list, self.cursor) = (list, Cursor::default());
    }
}

impl Screen for PlanScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[
            glossary::VARIANT,
            glossary::RECIPE,
            glossary::SUITE,
            glossary::TRIAL,
            glossary::MARGIN,
            glossary::REFERENCE,
            glossary::PREFER,
        ]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        let list = if self.list == SUITES { &shared.selection.suites } else { &shared.selection.recipes };
        match action {
            Action::Toggle => shared.can_toggle(list, self.cursor.at()),
            Action::Prefer => shared.can_prefer(),
            Action::Left => self.list == SUITES && shared.ready().is_some(),
            Action::Right => self.list == RECIPES && shared.ready().is_some(),
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            Action::Toggle if self.list == SUITES => return shared.toggle(|s| &mut s.suites, self.cursor.at()),
            Action::Toggle => return shared.toggle(|s| &mut s.recipes, self.cursor.at()),
            Action::Prefer => return shared.prefer(),
            Action::Left => self.enter_list(RECIPES),
            Action::Right => self.enter_list(SUITES),
            Action::Choose { list, .. } if list != self.list => self.enter_list(list),
            _ => {}
        }
        let place = areas(below_error(layout::body(shared.size), shared).1, shared)[self.list];
        self.cursor.follow(&action, PlanScreen::lines(self.list, shared), inside(place).height as usize);
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        shared.ready()?;
        let [recipes, suites, ..] = areas(below_error(body, shared).1, shared);
        [(RECIPES, recipes), (SUITES, suites)].into_iter().find_map(|(list, place)| {
            let line = self.cursor_in(list).line_at(inside(place), at, PlanScreen::lines(list, shared))?;
            Some(Action::Choose { list, line })
        })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let body = draw_error(frame, body, shared);
        let Some(setup) = shared.ready() else {
            let text = if shared.error.is_some() { "" } else { " reading the profile …" };
            return frame.render_widget(Line::styled(text, theme.soft()), body);
        };
        let [left, middle, objective, sum, unmakable] = areas(body, shared);
        let recipes: Vec<String> = setup.profile.recipes.iter().map(recipe_name).collect();
        let cursor = |list| (self.list == list).then_some(self.cursor);
        draw_list(frame, left, "Recipes", &recipes, (&shared.selection.recipes, cursor(RECIPES)), theme);
        let room = middle.width.saturating_sub(8) as usize;
        let suites: Vec<String> = setup.suites.iter().map(|s| suite_line(s, room)).collect();
        draw_list(frame, middle, "Suites", &suites, (&shared.selection.suites, cursor(SUITES)), theme);
        draw_objective(frame, objective, setup, shared);
        draw_sum(frame, sum, setup, theme);
        draw_unmakable(frame, unmakable, setup, theme);
    }
}

/// Lines of what cannot be made, at most, on a low terminal and on a high one.
const UNMAKABLE: [usize; 2] = [4, 8];

/// What cannot be made, in lines of a width; where there are too many, the last one says where they are.
fn unmakable(setup: &Setup, body: Rect) -> Vec<String> {
    let width = (body.width as usize).saturating_sub(2);
    let most = UNMAKABLE[usize::from(body.height > 24)];
    let mut lines: Vec<String> = setup.unmakable_by_reason().iter().flat_map(|told| wrapped(told, width)).collect();
    if lines.len() > most {
        // a line each, so that every model with such pairs is seen
        lines = setup.unmakable_by_reason().iter().map(|told| beginning(told, width)).collect();
        lines.truncate(most - 1);
        lines.push("1 Models has the reasons in full, 3 Run every pair".to_owned());
    }
    lines
}

fn draw_unmakable(frame: &mut Frame, place: Rect, setup: &Setup, theme: Theme) {
    if setup.unmakable.is_empty() {
        return;
    }
    let width = Rect { width: place.width, ..layout::body(frame.area()) };
    let lines: Vec<Line> = unmakable(setup, width).into_iter().map(Line::raw).collect();
    let title = format!("Cannot be made ({})", setup.unmakable.len());
    frame.render_widget(Paragraph::new(lines).block(lit(&title, theme.warn())), place);
}

/// The places of the recipes, the suites, what matters, what it comes to, and what cannot be made.
fn areas(body: Rect, shared: &Shared) -> [Rect; 5] {
    let told = shared.ready().filter(|setup| !setup.unmakable.is_empty());
    let lines = told.map_or(0, |setup| unmakable(setup, layout::body(shared.size)).len() as u16 + 2);
    let [body, unmakable] = Layout::vertical([Constraint::Min(0), Constraint::Length(lines)]).areas(body);
    let [recipes, suites, objective, sum] = areas_above(body);
    [recipes, suites, objective, sum, unmakable]
}

fn areas_above(body: Rect) -> [Rect; 4] {
    if wide(body) {
        let [recipes, suites, right] =
            Layout::horizontal([Constraint::Length(24), Constraint::Min(44), Constraint::Length(42)]).areas(body);
        let [objective, sum] = Layout::vertical([Constraint::Percentage(50), Constraint::Min(0)]).areas(right);
        return [recipes, suites, objective, sum];
    }
    let [top, foot] = Layout::vertical([Constraint::Percentage(50), Constraint::Min(0)]).areas(body);
    let [recipes, suites] = Layout::horizontal([Constraint::Length(24), Constraint::Min(0)]).areas(top);
    let [objective, sum] = Layout::horizontal([Constraint::Percentage(50), Constraint::Min(0)]).areas(foot);
    [recipes, suites, objective, sum]
}

fn recipe_name(recipe: &RecipeRef) -> String {
    match recipe {
        RecipeRef::Base => "base (as it is)".into(),
        RecipeRef::Quantize(name) => name.clone(),
        RecipeRef::File(path) => path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned()),
    }
}

fn suite_line(suite: &SuiteEntry, room: usize) -> String {
    match &suite.info {
        Err(reason) => beginning(&format!("{}: {reason}", suite.name), room),
        Ok(info) => {
            let items = if info.items < info.available {
                format!("{} of {}", info.items, counted(info.available, "item"))
            } else {
                counted(info.items, "item")
            };
            let about = format!("{items} · {}", info.metric.name());
            let names = room.saturating_sub(about.width() + 1);
            format!("{} {about}", left(&middle(&suite.name, names), names))
        }
    }
}

/// A list to take from; the cursor stands in the one that is worked on.
fn draw_list(
    frame: &mut Frame,
    place: Rect,
    title: &str,
    names: &[String],
    (taken, cursor): (&[bool], Option<Cursor>),
    theme: Theme,
) {
    let block = if cursor.is_some() { lit(title, theme.accent()) } else { panel(title, theme) };
    frame.render_widget(block, place);
    let inner = inside(place);
    let first = cursor.unwrap_or_default().first_seen(names.len(), inner.height as usize);
    for (i, name) in names.iter().enumerate().skip(first).take(inner.height as usize) {
        let mark = if taken.get(i).copied().unwrap_or(true) { "[x]" } else { "[ ]" };
        let style = if cursor.is_some_and(|c| c.at() == i) { theme.selected() } else { theme.text() };
        let width = inner.width as usize;
        let text = left(&format!("{mark} {}", middle(name, width.saturating_sub(4))), width);
        let line = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        frame.render_widget(Line::styled(text, style), line);
    }
}

fn draw_objective(frame: &mut Frame, place: Rect, setup: &Setup, shared: &Shared) {
    let theme = shared.theme;
    let width = place.width.saturating_sub(2);
    let objective = &setup.profile.objective;
    let prefer = shared.selection.prefer.unwrap_or(objective.prefer);
    let metrics = setup.suites.iter().filter_map(|suite| suite.info.as_ref().ok()).map(|info| info.metric);
    let margin = words::margins(metrics, objective.margin);
    let reference = objective.reference.clone().unwrap_or_else(|| "the largest base".into());
    let mut lines = vec![
        pair("prefer", format!("the {}", prefer.label()), width, theme),
        pair("not worse than", reference, width, theme),
        pair("by more than", margin, width, theme),
        pair("shown at", format!("{} confidence", Unit::Fraction.show(objective.confidence)), width, theme),
    ];
    let limits = limits(&setup.profile.constraints);
    if limits.is_empty() {
        lines.push(pair("constraints", "none", width, theme));
    }
    lines.extend(limits.into_iter().map(|(name, value)| pair(&name, value, width, theme)));
    frame.render_widget(Paragraph::new(lines).block(panel("What matters", theme)), place);
}

fn limits(c: &Constraints) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push((name.to_owned(), value));
        }
    };
    add("max memory", c.max_memory.map(|b| b.to_string()));
    add("max disk", c.max_disk.map(|b| b.to_string()));
    add("min decode", c.min_decode_tps.map(|v| Unit::TokensPerSecond.show(v)));
    add("max time to first token", c.max_ttft.map(|s| s.to_string()));
    add("max energy", c.max_joules_per_token.map(|v| Unit::JoulesPerToken.show(v)));
    for (task, least) in &c.score {
        add(&format!("min {task}"), Some(format!("{least}")));
    }
    for (task, share) in &c.relative {
        add(&format!("min {task}"), Some(format!("{} of the reference", Unit::Fraction.show(*share))));
    }
    lines
}

fn draw_sum(frame: &mut Frame, place: Rect, setup: &Setup, theme: Theme) {
    let width = place.width.saturating_sub(2);
    let measure = &setup.profile.measure;
    let shapes: Vec<String> = measure.speed.iter().map(ToString::to_string).collect();
    let speed = if shapes.is_empty() { "not measured".into() } else { shapes.join(", ") };
    let done = setup.trials.iter().filter(|t| setup.done.contains(&t.id)).count();
    let mut lines = vec![
        pair("variants", setup.variants.to_string(), width, theme),
        pair("trials", format!("{}, {done} measured already", setup.trials.len()), width, theme),
        pair("speed", speed, width, theme),
    ];
    let (host, energy) = (format!("host: {}", setup.host), format!("energy: {}", setup.energy));
    lines.extend([Line::styled(host, theme.soft()), Line::styled(energy, theme.soft())]);
    lines.extend(setup.warnings.iter().map(|d| Line::styled(format!("! {d}"), theme.warn())));
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(panel("What it comes to", theme));
    frame.render_widget(text, place);
}

//! Draws the plan: the lists beside each other, and below them the variants, what matters and what it comes to.

use super::PlanScreen;
use super::lists::{self, List};
use crate::library::own;
use crate::show::{beginning, counted, left, right, short, wrapped};
use crate::tui::layout::{self, wide};
use crate::tui::setup::Setup;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, pair, panel};
use bantam_core::profile::Constraints;
use bantam_core::unit::{Seconds, Unit};
use bantam_verdict::recommend::advice::words;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

/// Lines of what cannot be made, at most, on a low terminal and on a high one.
const UNMAKABLE: [usize; 2] = [4, 8];

/// The places of the four lists in their order, of what matters, of what it comes to, and of what cannot be made.
pub(super) fn areas(body: Rect, shared: &Shared) -> [Rect; 7] {
    let told = shared.ready().filter(|setup| !setup.unmakable.is_empty());
    let lines = told.map_or(0, |setup| unmakable(setup, layout::body(shared.size)).len() as u16 + 2);
    let [body, unmakable] = Layout::vertical([Constraint::Min(0), Constraint::Length(lines)]).areas(body);
    let [top, foot] = Layout::vertical([Constraint::Percentage(48), Constraint::Min(0)]).areas(body);
    let thirds = match wide(body) {
        true => [Constraint::Percentage(34), Constraint::Percentage(28), Constraint::Min(0)],
        false => [Constraint::Length(26), Constraint::Length(20), Constraint::Min(0)],
    };
    let [models, recipes, suites] = Layout::horizontal(thirds).areas(top);
    if wide(body) {
        let [grid, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(48)]).areas(foot);
        let [objective, sum] = Layout::vertical([Constraint::Percentage(50), Constraint::Min(0)]).areas(right);
        return [models, recipes, suites, grid, objective, sum, unmakable];
    }
    let [grid, sum] = Layout::horizontal([Constraint::Min(0), Constraint::Length(34)]).areas(foot);
    [models, recipes, suites, grid, Rect::ZERO, sum, unmakable]
}

pub(super) fn draw(frame: &mut Frame, body: Rect, screen: &PlanScreen, shared: &Shared) {
    let (Some(setup), theme) = (shared.ready(), shared.theme) else { return };
    let places = areas(body, shared);
    for list in List::ALL {
        draw_list(frame, places[list as usize], screen, list, shared);
    }
    let [.., objective, sum, unmakable] = places;
    match objective.is_empty() {
        true => draw_sum(frame, sum, setup, objective_lines(setup, shared, sum.width.saturating_sub(2)), theme),
        false => {
            let lines = objective_lines(setup, shared, objective.width.saturating_sub(2));
            frame.render_widget(Paragraph::new(lines).block(panel("What matters", theme)), objective);
            draw_sum(frame, sum, setup, Vec::new(), theme);
        }
    }
    draw_unmakable(frame, unmakable, setup, theme);
}

/// A list to take from; the cursor stands in the one that is worked in.
fn draw_list(frame: &mut Frame, place: Rect, screen: &PlanScreen, list: List, shared: &Shared) {
    let theme = shared.theme;
    let is_here = screen.list == list;
    let lines = screen.lines(list, shared);
    let taken = lines.iter().filter(|line| line.taken).count();
    let title = match list {
        List::Variants => format!("{} ({}), their files and time", list.name(), lines.len()),
        _ => format!("{} ({taken} of {})", list.name(), lines.len()),
    };
    let title = beginning(&title, place.width.saturating_sub(4) as usize);
    let mut block = if is_here { lit(&title, theme.accent()) } else { panel(&title, theme) };
    let filter = &screen.filters[list as usize];
    let all = if filter.is_on() { lists::lines(list, shared).len() } else { lines.len() };
    if let Some(line) = filter.line(lines.len(), all, theme) {
        block = block.title_bottom(line);
    }
    frame.render_widget(block, place);
    let inner = inside(place);
    let (width, height) = (inner.width as usize, inner.height as usize);
    let cursor = screen.cursor(list);
    let first = cursor.first_seen(lines.len(), height);
    // what stands beside the names has the room of the longest of them, as long as names have half of the line
    let mark = if list == List::Variants { 0 } else { 4 };
    let is_lazy = |line: &lists::Line| line.about.is_empty() && matches!(list, List::Models | List::Variants);
    let wide = |line: &lists::Line| if is_lazy(line) { lists::ABOUT } else { line.about.width() };
    let about = lines.iter().filter(|line| !line.is_bad).map(wide).max().unwrap_or(0);
    let about =
        if about + 1 > (width - mark.min(width)) / 3 * 2 { about.min(width.saturating_sub(mark) / 2) } else { about };
    let names = width.saturating_sub(mark + about + usize::from(about > 0));
    let short = shortened(&lines, names);
    for (n, line) in lines.iter().enumerate().skip(first).take(height) {
        let sign = match (list, line.taken) {
            (List::Variants, _) => "",
            (_, true) => "[x] ",
            (_, false) => "[ ] ",
        };
        let gap = if about > 0 { " " } else { "" };
        let own = match line.place {
            lists::Where::Own(at) | lists::Where::Variant(at) if is_lazy(line) => lists::own_line(list, at, shared),
            _ => None,
        };
        let beside = own.as_ref().map_or(line.about.as_str(), |own| own.about.as_str());
        let text = format!("{sign}{}{gap}{}", left(&short[n], names), right(&beginning(beside, about), about));
        let style = match () {
            () if is_here && n == cursor.at() => theme.selected(),
            () if line.is_bad => theme.bad(),
            () if !line.taken => theme.soft(),
            () => theme.text(),
        };
        let at = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
        frame.render_widget(Line::styled(left(&beginning(&text, width), width), style), at);
    }
}

/// Names that fit: those of the profile by what tells them apart, and those that are known beside it likewise.
fn shortened(lines: &[lists::Line], width: usize) -> Vec<String> {
    let of = |own: bool| {
        let is_own = |line: &&lists::Line| matches!(line.place, lists::Where::Known(_)) != own;
        short(&lines.iter().filter(is_own).map(|line| line.name.as_str()).collect::<Vec<_>>(), width)
    };
    // the profile's own stand first
    of(true).iter().chain(of(false).iter()).cloned().collect()
}

fn objective_lines<'a>(setup: &Setup, shared: &Shared, width: u16) -> Vec<Line<'a>> {
    let theme = shared.theme;
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
    lines
}

fn draw_sum(frame: &mut Frame, place: Rect, setup: &Setup, before: Vec<Line>, theme: Theme) {
    let width = place.width.saturating_sub(2);
    let done = setup.trials.iter().filter(|t| setup.done.contains(&t.id)).count();
    let shapes = setup.profile.measure.speed.iter().map(ToString::to_string);
    let shapes: Vec<String> = shapes.collect();
    let speed = if shapes.is_empty() { "not measured".to_owned() } else { shapes.join(", ") };
    let is_alone = before.is_empty();
    let mut lines: Vec<Line> = Vec::new();
    lines.push(pair("variants", setup.variants.to_string(), width, theme));
    lines.push(pair("trials", format!("{}, {done} measured already", setup.trials.len()), width, theme));
    lines.push(pair("time", time_words(setup), width, theme));
    if let Some((task, items, least)) = least_of_all(setup) {
        let enough = least <= setup.profile.objective.margin;
        let said = format!("{task}, {items}: {}", own::points(least));
        let line = pair("can show", said, width, theme);
        lines.push(if enough { line } else { line.style(theme.warn()) });
    }
    lines.extend(before);
    lines.push(pair("speed", speed, width, theme));
    if is_alone {
        lines.push(Line::styled(format!("host: {}", setup.host), theme.soft()));
        lines.push(Line::styled(format!("energy: {}", setup.energy), theme.soft()));
        lines.extend(setup.warnings.iter().map(|d| Line::styled(format!("! {d}"), theme.warn())));
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(panel("What it comes to", theme));
    frame.render_widget(text, place);
}

/// "≈ 12 min (by 6 trials here)", "all is measured".
fn time_words(setup: &Setup) -> String {
    let left: Vec<_> = setup.grid.iter().filter(|row| row.done < row.trials).collect();
    if left.is_empty() {
        return "all is measured".into();
    }
    let sum: f64 = left.iter().filter_map(|row| row.expected.as_ref()).map(|expected| expected.time.0).sum();
    let from = left.iter().find_map(|row| row.expected.as_ref()).map_or("", |expected| expected.from.words());
    let whole = crate::tui::setup::Expected { time: Seconds(sum), from: Default::default() };
    format!("≈ {} {from}", lists::rough(&whole))
}

/// The task that could show least, of those that are taken in: its name, its items, and the loss.
fn least_of_all(setup: &Setup) -> Option<(String, String, f64)> {
    let tasks = setup.suites.iter().filter_map(|suite| suite.info.as_ref().ok()).flat_map(|info| &info.tasks);
    let shown = tasks.filter_map(|task| Some((task, task.smallest?)));
    let (task, least) = shown.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some((task.name.clone(), counted(task.items, "item"), least))
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

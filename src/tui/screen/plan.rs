//! Plan: recipes and suites to take in or leave out, what matters, what may not be exceeded, and what it comes to.

use super::{inside, pair, panel};
use crate::show::beginning;
use crate::tui::app::App;
use crate::tui::facts::{Setup, SuiteCard};
use crate::tui::layout::{scroll, wide};
use bantam_core::profile::{Constraints, RecipeRef};
use bantam_core::unit::Unit;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

struct Areas {
    recipes: Rect,
    suites: Rect,
    wish: Rect,
    sum: Rect,
}

fn areas(body: Rect) -> Areas {
    if wide(body) {
        let [recipes, suites, right] =
            Layout::horizontal([Constraint::Length(24), Constraint::Min(44), Constraint::Length(42)]).areas(body);
        let [wish, sum] = Layout::vertical([Constraint::Percentage(50), Constraint::Min(0)]).areas(right);
        return Areas { recipes, suites, wish, sum };
    }
    let [top, foot] = Layout::vertical([Constraint::Percentage(50), Constraint::Min(0)]).areas(body);
    let [recipes, suites] = Layout::horizontal([Constraint::Length(24), Constraint::Min(0)]).areas(top);
    let [wish, sum] = Layout::horizontal([Constraint::Percentage(50), Constraint::Min(0)]).areas(foot);
    Areas { recipes, suites, wish, sum }
}

/// The lines of both lists.
pub fn lists(app: &App, body: Rect) -> Option<[Rect; 2]> {
    app.ready()?;
    let areas = areas(body);
    Some([inside(areas.recipes), inside(areas.suites)])
}

pub fn draw(frame: &mut Frame, body: Rect, app: &App) {
    let Some(setup) = app.ready() else {
        return frame.render_widget(Line::styled(" nothing is planned yet; see 1 Models", app.theme.soft()), body);
    };
    let areas = areas(body);
    let recipes: Vec<String> = setup.profile.recipes.iter().map(recipe_name).collect();
    list(frame, areas.recipes, "Recipes", &recipes, (&app.selection.recipes, !app.second_list), app);
    let room = areas.suites.width.saturating_sub(8) as usize;
    let suites: Vec<String> = setup.suites.iter().map(|s| suite_line(s, room)).collect();
    list(frame, areas.suites, "Suites", &suites, (&app.selection.suites, app.second_list), app);
    wish(frame, areas.wish, setup, app);
    sum(frame, areas.sum, setup, app);
}

pub fn recipe_name(recipe: &RecipeRef) -> String {
    match recipe {
        RecipeRef::Base => "base (as it is)".into(),
        RecipeRef::Quantize(name) => name.clone(),
        RecipeRef::File(path) => path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned()),
    }
}

fn suite_line(card: &SuiteCard, room: usize) -> String {
    match &card.facts {
        Err(reason) => beginning(&format!("{}: {reason}", card.name), room),
        Ok(facts) => {
            let items = if facts.items < facts.available {
                format!("{} of {} items", facts.items, facts.available)
            } else {
                format!("{} items", facts.items)
            };
            let about = format!("{items} · {}", facts.metric.name());
            let names = room.saturating_sub(about.chars().count() + 1);
            format!("{:names$} {about}", beginning(&card.name, names))
        }
    }
}

fn list(frame: &mut Frame, place: Rect, title: &str, names: &[String], state: (&[bool], bool), app: &App) {
    let (taken, active) = state;
    let style = if active { app.theme.accent() } else { app.theme.soft() };
    frame.render_widget(panel(title, style), place);
    let inner = inside(place);
    let cursor = if active { app.cursor() } else { 0 };
    let first = scroll(cursor, names.len(), inner.height as usize);
    for (i, name) in names.iter().enumerate().skip(first).take(inner.height as usize) {
        let mark = if taken.get(i).copied().unwrap_or(true) { "[x]" } else { "[ ]" };
        let style = if active && i == cursor { app.theme.chosen() } else { app.theme.text() };
        let text = format!("{:width$}", format!("{mark} {name}"), width = inner.width as usize);
        let line = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        frame.render_widget(Line::styled(text, style), line);
    }
}

fn wish(frame: &mut Frame, place: Rect, setup: &Setup, app: &App) {
    let width = place.width.saturating_sub(2);
    let objective = &setup.profile.objective;
    let prefer = app.selection.prefer.unwrap_or(objective.prefer);
    let reference = objective.reference.clone().unwrap_or_else(|| "the largest base".into());
    let mut lines = vec![
        pair("prefer", format!("the {}", prefer.label()), width, app),
        pair("not worse than", reference, width, app),
        pair("by more than", Unit::Fraction.show(objective.margin), width, app),
        pair("shown at", format!("{} confidence", Unit::Fraction.show(objective.confidence)), width, app),
    ];
    let limits = limits(&setup.profile.constraints);
    if limits.is_empty() {
        lines.push(pair("constraints", "none", width, app));
    }
    lines.extend(limits.into_iter().map(|(name, value)| pair(&name, value, width, app)));
    frame.render_widget(Paragraph::new(lines).block(panel("What matters", app.theme.soft())), place);
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

fn sum(frame: &mut Frame, place: Rect, setup: &Setup, app: &App) {
    let width = place.width.saturating_sub(2);
    let measure = &setup.profile.measure;
    let shapes: Vec<String> = measure.speed.iter().map(ToString::to_string).collect();
    let speed = if shapes.is_empty() { "not measured".into() } else { shapes.join(", ") };
    let done = setup.trials.iter().filter(|t| setup.done.contains(&t.id)).count();
    let mut lines = vec![
        pair("variants", setup.variants.to_string(), width, app),
        pair("trials", format!("{}, {done} measured already", setup.trials.len()), width, app),
        pair("speed", speed, width, app),
    ];
    let (host, energy) = (format!("host: {}", setup.host), format!("energy: {}", setup.energy));
    lines.extend([Line::styled(host, app.theme.soft()), Line::styled(energy, app.theme.soft())]);
    lines.extend(setup.doubts.iter().map(|d| Line::styled(format!("! {d}"), app.theme.warn())));
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(panel("What it comes to", app.theme.soft()));
    frame.render_widget(text, place);
}

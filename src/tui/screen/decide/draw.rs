//! The picture of Decide: the settings beside the three groups, and below what changed and what would change it.

use super::settings::{Setting, is_turned};
use super::{DecideScreen, SETTINGS, VARIANTS};
use crate::show::{beginning, counted, left, middle, right, short, wrapped};
use crate::tui::action::Action;
use crate::tui::layout::{scroll, wide};
use crate::tui::results::Decision;
use crate::tui::screen::results::table::group_style;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, panel, title};
use bantam_core::metric::Metric;
use bantam_core::profile::Knob;
use bantam_core::record::{Provenance, Reading};
use bantam_verdict::recommend::advice::words;
use bantam_verdict::recommend::{Group, VariantSummary, figures};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

/// Verdicts have a sign each up to so many tasks; of more they are counted.
const SIGNS: usize = 12;

struct Areas {
    settings: Rect,
    variants: Rect,
    below: Rect,
}

fn areas(body: Rect) -> Areas {
    let below = if body.height > 26 { 11 } else { 8 };
    let [top, below] = Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(body);
    let width = if wide(body) { 36 } else { 29 };
    let [settings, variants] = Layout::horizontal([Constraint::Length(width), Constraint::Min(0)]).areas(top);
    Areas { settings, variants, below }
}

/// So many lines are a page of the list that the cursor is in.
pub(super) fn page(screen: &DecideScreen, body: Rect) -> usize {
    let Areas { settings, variants, .. } = areas(body);
    let place = if screen.cursor.at() < screen.settings().len() { settings } else { variants };
    inside(place).height as usize
}

pub(super) fn hit(screen: &DecideScreen, body: Rect, at: Position) -> Option<Action> {
    let Areas { settings, variants, .. } = areas(body);
    let (of_settings, of_variants) = (inside(settings), list(variants));
    if of_settings.contains(at) {
        let line = first_setting(screen, of_settings) + (at.y - of_settings.y) as usize;
        return (line < screen.settings().len()).then_some(Action::Choose { list: SETTINGS, line });
    }
    let lines = lines(screen);
    let first = first_variant(screen, &lines, of_variants);
    let line = lines.get(first + at.y.checked_sub(of_variants.y)? as usize).filter(|_| of_variants.contains(at))?;
    match line {
        VariantLine::Variant(line) => Some(Action::Choose { list: VARIANTS, line: *line }),
        VariantLine::Group(..) => None,
    }
}

pub(super) fn draw(frame: &mut Frame, body: Rect, screen: &DecideScreen, shared: &Shared) {
    let Some(decision) = &screen.decision else {
        let (text, style) = nothing(shared);
        return frame.render_widget(Line::styled(format!(" {text}"), style), body);
    };
    let areas = areas(body);
    draw_settings(frame, areas.settings, screen, decision, shared.theme);
    draw_variants(frame, areas.variants, screen, decision, shared.theme);
    draw_below(frame, areas.below, screen, decision, shared);
}

/// What there is to say where nothing can be decided.
fn nothing(shared: &Shared) -> (&'static str, Style) {
    match (shared.progress.counts().0, shared.running()) {
        (0, true) => ("there is something to decide over as soon as trials finish", shared.theme.soft()),
        (0, false) => ("nothing is measured yet; r starts the run", shared.theme.soft()),
        _ => ("laying out what was measured …", shared.theme.accent()),
    }
}

fn first_setting(screen: &DecideScreen, place: Rect) -> usize {
    let all = screen.settings().len();
    scroll(screen.cursor.at().min(all.saturating_sub(1)), all, place.height as usize)
}

fn draw_settings(frame: &mut Frame, place: Rect, screen: &DecideScreen, decision: &Decision, theme: Theme) {
    let inner = inside(place);
    let settings = screen.settings();
    let is_here = screen.cursor.at() < settings.len();
    let head = match screen.turned.knobs.len() + usize::from(screen.turned.prefer.is_some()) {
        0 => "as the profile has it".to_owned(),
        turned => format!("{turned} turned, p: none"),
    };
    let first = first_setting(screen, inner);
    let more = match settings.len() > inner.height as usize {
        true => {
            format!(" {} to {} of {} ", first + 1, settings.len().min(first + inner.height as usize), settings.len())
        }
        false => String::new(),
    };
    let block = if is_here { lit(&head, theme.accent()) } else { panel(&head, theme) };
    let block = block.title_bottom(Line::styled(more, theme.soft()).alignment(Alignment::Right));
    frame.render_widget(block, place);
    let width = inner.width as usize;
    for (n, setting) in settings.iter().enumerate().skip(first).take(inner.height as usize) {
        let at = Rect { y: inner.y + (n - first) as u16, height: 1, ..inner };
        let chosen = n == screen.cursor.at();
        let (name, value) = (name(setting), value(screen, decision, setting, chosen));
        let mark = if is_turned(&screen.turned, setting) { "•" } else { " " };
        let name = middle(&name, width.saturating_sub(value.width() + 2));
        let gap = width.saturating_sub(name.width() + value.width() + 1);
        let line = match chosen {
            true => Line::styled(format!("{mark}{name}{}{value}", " ".repeat(gap)), theme.selected()),
            false => Line::from(vec![
                Span::styled(mark, theme.accent()),
                Span::styled(name, theme.soft()),
                Span::raw(" ".repeat(gap)),
                Span::raw(value),
            ]),
        };
        frame.render_widget(line, at);
    }
}

fn name(setting: &Setting) -> String {
    match setting {
        Setting::Prefer => "prefer".into(),
        Setting::Knob(Knob::TaskMargin(task)) => format!("  on {task}"),
        Setting::Knob(knob @ Knob::Weight(_)) => format!("  {}", knob.name()),
        Setting::Knob(Knob::Limit(Metric::Ttft)) => "first token".into(),
        Setting::Knob(Knob::Relative(task)) => format!("{task} of the reference"),
        Setting::Knob(knob) => knob.name().to_owned(),
    }
}

/// A setting's number as it is turned, ahead of the decision; or what is being typed.
fn value(screen: &DecideScreen, decision: &Decision, setting: &Setting, chosen: bool) -> String {
    if let (true, Some(typed)) = (chosen, &screen.typed) {
        return format!("{typed}▏");
    }
    let profile = screen.turned.of(&decision.base);
    let value = match setting {
        Setting::Prefer => profile.objective.prefer.label().replace('_', " "),
        Setting::Knob(knob) => match (knob.value(&profile), knob) {
            (None, Knob::TaskMargin(_)) => "as all".into(),
            (None, Knob::Weight(_)) => "× 0".into(),
            (None, _) => "any".into(),
            (Some(value), knob) => format!("{} {}", knob.sign(), knob.show(value)).trim().to_owned(),
        },
    };
    if chosen { format!("‹ {value} ›") } else { value }
}

/// A line among the variants: the head of a group, or a variant by its place in the order shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum VariantLine {
    Group(Group, usize),
    Variant(usize),
}

fn lines(screen: &DecideScreen) -> Vec<VariantLine> {
    let variants = screen.variants();
    let mut lines = Vec::new();
    for group in Group::ALL {
        let members: Vec<usize> = (0..variants.len()).filter(|&n| variants[n].standing.group() == group).collect();
        if !members.is_empty() {
            lines.push(VariantLine::Group(group, members.len()));
            lines.extend(members.into_iter().map(VariantLine::Variant));
        }
    }
    lines
}

/// The place of the lines below their head.
fn list(variants: Rect) -> Rect {
    let inner = inside(variants);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

fn first_variant(screen: &DecideScreen, lines: &[VariantLine], place: Rect) -> usize {
    let chosen = screen.cursor.at().checked_sub(screen.settings().len());
    let at = lines.iter().position(|line| chosen.is_some_and(|chosen| *line == VariantLine::Variant(chosen)));
    scroll(at.unwrap_or(0), lines.len(), place.height as usize)
}

/// The costs that there is room for, the one preferred by first.
fn costs(decision: &Decision, width: usize) -> Vec<(Metric, &'static str)> {
    const ALL: [(Metric, &str); 4] = [
        (Metric::PeakMemory, "memory"),
        (Metric::DecodeTps, "decode"),
        (Metric::Disk, "disk"),
        (Metric::DecodeEnergy, "energy"),
    ];
    let wanted = decision.decided.profile.objective.prefer.metric();
    let mut costs: Vec<(Metric, &str)> = ALL.into_iter().filter(|(metric, _)| *metric == wanted).collect();
    if costs.is_empty() {
        costs.push((wanted, if wanted == Metric::WeighedCost { "weighed" } else { "cost" }));
    }
    costs.extend(ALL.into_iter().filter(|(metric, _)| *metric != wanted));
    costs.truncate(match width {
        0..60 => 1,
        60..120 => 2,
        _ => 4,
    });
    costs
}

fn draw_variants(frame: &mut Frame, place: Rect, screen: &DecideScreen, decision: &Decision, theme: Theme) {
    let advice = &decision.decided.advice;
    let said = words::words(advice);
    let is_here = screen.cursor.at() >= screen.settings().len();
    let style = match (said.found, decision.unfinished) {
        (_, Some(_)) => theme.warn(),
        (true, None) => theme.good(),
        (false, None) => theme.bad(),
    };
    let head = match decision.unfinished {
        Some((over, all)) => format!("{} (so far: {over} of {all} trials)", said.title),
        None => said.title,
    };
    let head = title(&head, place);
    let block = if is_here { lit(&head, style.patch(theme.strong())) } else { lit(&head, style) };
    let shown = screen.variants().len();
    let block = match screen.filter.line(shown, advice.summaries.len(), theme) {
        Some(line) => block.title_bottom(line),
        None => block,
    };
    frame.render_widget(block, place);
    let (inner, rows) = (inside(place), list(place));
    let (width, variants, lines) = (inner.width as usize, screen.variants(), lines(screen));
    let costs = costs(decision, width);
    let columns = Columns::of(&variants, decision, &costs, width);
    let head = |spans: &mut Vec<Span>| {
        spans.push(Span::styled(left("  variant", 2 + columns.name), theme.soft()));
        for ((_, title), width) in costs.iter().zip(&columns.costs) {
            spans.push(Span::styled(right(title, *width), theme.soft()));
        }
        spans.push(Span::styled(format!("  {}", left("tasks", columns.signs)), theme.soft()));
        if columns.reason > 0 {
            spans.push(Span::styled("  why not", theme.soft()));
        }
    };
    let mut spans = Vec::new();
    head(&mut spans);
    frame.render_widget(Line::from(spans), Rect { height: 1, ..inner });
    let first = first_variant(screen, &lines, rows);
    for (n, line) in lines.iter().skip(first).take(rows.height as usize).enumerate() {
        let at = Rect { y: rows.y + n as u16, height: 1, ..rows };
        match *line {
            VariantLine::Group(group, members) => {
                let text = format!("{} ({members})", group.label());
                frame.render_widget(Line::styled(text, group_style(group, theme)), at);
            }
            VariantLine::Variant(n) => {
                let chosen = screen.cursor.at() == screen.settings().len() + n;
                draw_variant(frame, at, (variants[n], n), chosen, (decision, &costs, &columns), theme);
            }
        }
    }
}

/// How wide the columns are.
struct Columns {
    names: std::rc::Rc<Vec<String>>,
    name: usize,
    costs: Vec<usize>,
    signs: usize,
    reason: usize,
}

impl Columns {
    fn of(variants: &[&VariantSummary], decision: &Decision, costs: &[(Metric, &str)], width: usize) -> Columns {
        let cell = |metric: Metric, title: &str| {
            let cells = variants.iter().map(|summary| shown(&summary.cost(metric)).width());
            2 + cells.chain([title.width()]).max().unwrap_or(0)
        };
        let costs: Vec<usize> = costs.iter().map(|(metric, title)| cell(*metric, title)).collect();
        let signs = variants.iter().map(|summary| signs(decision, summary).width()).chain([5]).max().unwrap_or(0);
        let room = width.saturating_sub(2 + costs.iter().sum::<usize>() + 2 + signs);
        let labels: Vec<String> = variants.iter().map(|summary| summary.variant.label()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let most = if room > 56 { room - 26 } else { room };
        let names = short(&labels, most.max(8));
        let name = names.iter().map(|name| name.width()).max().unwrap_or(0).max(9);
        let left_over = room.saturating_sub(name);
        let reason = if left_over >= 20 { left_over - 2 } else { 0 };
        Columns { names, name, costs, signs, reason }
    }
}

/// The verdicts of a variant: a sign for each task, or of many tasks how many of which.
fn signs(decision: &Decision, summary: &VariantSummary) -> String {
    let signs = words::verdict_signs(&decision.decided.advice, summary);
    if signs.chars().count() <= SIGNS {
        return signs;
    }
    let count = |of: &[char]| signs.chars().filter(|sign| of.contains(sign)).count();
    match count(&['=']) {
        0 => format!("{}✓ {}? {}✗", count(&['✓', '+']), count(&['?', '·']), count(&['✗'])),
        _ => "=".into(),
    }
}

fn draw_variant(
    frame: &mut Frame,
    at: Rect,
    (summary, n): (&VariantSummary, usize),
    chosen: bool,
    (decision, costs, columns): (&Decision, &[(Metric, &str)], &Columns),
    theme: Theme,
) {
    let advice = &decision.decided.advice;
    let group = summary.standing.group();
    let is_advised = advice.advised().is_some_and(|advised| advised.id() == summary.id());
    let has_moved = decision.decided.changed.moved.iter().any(|moved| moved.variant == *summary.id());
    let mark = match (is_advised, has_moved) {
        (true, _) => "★",
        (false, true) => "»",
        (false, false) => group.sign(),
    };
    let mut spans = vec![
        Span::styled(format!("{mark} "), if is_advised { theme.good() } else { group_style(group, theme) }),
        Span::raw(left(&columns.names[n], columns.name)),
    ];
    for ((metric, _), width) in costs.iter().zip(&columns.costs) {
        spans.push(Span::raw(right(&shown(&summary.cost(*metric)), *width)));
    }
    spans
        .push(Span::styled(format!("  {}", left(&signs(decision, summary), columns.signs)), group_style(group, theme)));
    if columns.reason > 0 {
        let reason = match (summary.standing.reason(), advice.is_reference(summary.id())) {
            (Some(reason), _) => reason,
            (None, true) => "the reference",
            (None, false) => "",
        };
        spans.push(Span::styled(format!("  {}", beginning(reason, columns.reason)), theme.soft()));
    }
    if chosen {
        let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
        return frame.render_widget(Line::styled(left(&text, at.width as usize), theme.selected()), at);
    }
    let style = if is_advised || has_moved { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    frame.render_widget(Line::from(spans).style(style), at);
}

/// A reading in a cell, with its unit.
fn shown(reading: &Reading) -> String {
    match reading {
        Reading::Missing { .. } => "–".into(),
        Reading::Known(f) if f.provenance == Provenance::Estimated => format!("≈{}", figures::shown(f)),
        Reading::Known(f) => figures::shown(f),
    }
}

/// What changed, who is under the cursor, and what would change it.
fn draw_below(frame: &mut Frame, place: Rect, screen: &DecideScreen, decision: &Decision, shared: &Shared) {
    let (theme, advice) = (shared.theme, &decision.decided.advice);
    let inner = inside(place);
    let width = inner.width as usize;
    let mut all: Vec<Line> = Vec::new();
    if screen.before.is_empty() {
        let groups = Group::ALL.map(|group| {
            let members = advice.summaries.iter().filter(|s| s.standing.group() == group).count();
            format!("{members} {}", if group == Group::Qualifies { "qualify" } else { group.label() })
        });
        let of = counted(advice.summaries.len(), "variant");
        all.push(Line::styled(format!("Of {of}: {}.", groups.join(", ")), theme.text()));
    } else {
        let said = format!("The last turn: {}", decision.decided.changed.words(advice));
        all.extend(wrapped(&said, width).into_iter().take(2).map(|line| Line::styled(line, theme.accent())));
    }
    if let Some(summary) = screen.variant_at() {
        let why = summary.standing.reason().unwrap_or("keeps every limit, and is shown good enough on every task");
        let said = format!("{}: {}: {why}", summary.variant.label(), summary.standing.group().label());
        let style = group_style(summary.standing.group(), theme);
        all.extend(wrapped(&said, width).into_iter().take(2).map(|line| Line::styled(line, style)));
    }
    let would: Vec<String> = match &screen.turns {
        Some((number, turns)) if *number == decision.number => match turns.is_empty() {
            true => vec!["No single turn of a limit, a margin or the preference would change the advice.".into()],
            false => turns.iter().map(|turn| turn.words(advice)).collect(),
        },
        _ => vec!["looking for what would change the advice …".into()],
    };
    all.push(Line::styled("Would be advised instead:", theme.soft()));
    let room = (inner.height as usize).saturating_sub(all.len());
    let half = width / 2;
    // side by side only where none is cut
    let in_two = would.len() > room && wide(inner) && would.iter().all(|text| text.width() + 4 <= half);
    let shown = if in_two { 2 * room } else { room };
    let fits = |text: &str, width: usize| left(&beginning(text, width), width);
    let seen: Vec<&String> = would.iter().take(shown).collect();
    match in_two {
        true => {
            for n in 0..room.min(seen.len()) {
                let second = seen.get(n + room).map_or(String::new(), |text| fits(text, half.saturating_sub(2)));
                all.push(Line::raw(format!("  {}{second}", fits(seen[n], half.saturating_sub(2)))));
            }
        }
        false => {
            all.extend(seen.iter().map(|text| Line::raw(format!("  {}", beginning(text, width.saturating_sub(2))))))
        }
    }
    let more = would.len().saturating_sub(shown);
    let foot = if more > 0 { format!(" and {more} more ") } else { String::new() };
    let block = panel("What changed, and what would change it", theme)
        .title_bottom(Line::styled(foot, theme.soft()).alignment(Alignment::Right));
    frame.render_widget(Paragraph::new(all).block(block), place);
}

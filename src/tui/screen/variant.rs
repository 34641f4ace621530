//! Everything that is known of one variant, opened over the screen it was chosen on: what it can do and costs, each figure
//! with its interval, its repeats and its origin; where its file is, what is in it and how it was made.

use super::Screen;
use super::results::table::{group_style, told};
use crate::run::examine::Examined;
use crate::show::strip::{self as types_strip, StripRow};
use crate::show::wrapped;
use crate::tui::action::{Action, Command, Message};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, title};
use crate::tui::words::{self as glossary, Word};
use bantam_core::metric::Metric;
use bantam_core::record::{Id, Place, Reading};
use bantam_core::unit::{Seconds, count, counted};
use bantam_verdict::recommend::advice::words;
use bantam_verdict::recommend::{Requirement, Status};
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

const KEYS: &[Binding] = &[keys::COMPARE];

/// The page of a variant.
pub(crate) struct VariantPage {
    id: Id,
    /// What came of asking; None while it is on its way.
    told: Option<Option<Box<Examined>>>,
    /// The first line that is seen.
    cursor: Cursor,
}

impl VariantPage {
    pub(super) fn of(id: Id) -> VariantPage {
        VariantPage { id, told: None, cursor: Cursor::default() }
    }

    fn known(&self) -> Option<&Examined> {
        self.told.as_ref()?.as_deref()
    }
}

impl Screen for VariantPage {
    fn title(&self) -> &'static str {
        "Variant"
    }

    fn words(&self) -> &'static [Word] {
        &[glossary::INTERVAL, glossary::MEASURED, glossary::REFERENCE, glossary::MIX, glossary::SLICE]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn copied(&self, _: &Shared) -> Option<String> {
        let known = self.known()?;
        match &known.file.path {
            Some(path) if known.file.exists => Some(path.display().to_string()),
            _ => Some(known.summary.variant.label()),
        }
    }

    fn acts(&self, action: &Action, _: &Shared) -> bool {
        *action != Action::Compare || self.known().is_some()
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        Some(Command::Examine(self.id.clone()))
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        match message {
            Message::Examined(id, told) if *id == self.id => self.told = Some(told.clone()),
            // another decision, another standing
            Message::Decided(_) if self.told.is_some() => return Some(Command::Examine(self.id.clone())),
            _ => {}
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if action == Action::Compare {
            let label = self.known()?.summary.variant.label();
            return shared.compare(&self.id, &label);
        }
        let inner = inside(layout::body(shared.size));
        let lines = self.known().map_or(0, |known| lines(known, inner.width as usize, shared.theme).len());
        let last = lines.saturating_sub(inner.height as usize);
        self.cursor.follow(&action, last + 1, inner.height as usize);
        None
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let Some(known) = self.known() else {
            let text = match (&self.told, shared.running()) {
                (None, _) => " reading what is known of it …",
                (Some(_), true) => " nothing is measured of it yet; it comes as the run goes on",
                (Some(_), false) => " nothing is measured of it yet; r starts the run",
            };
            return frame.render_widget(Line::styled(text, theme.soft()), body);
        };
        let inner = inside(body);
        let all = lines(known, inner.width as usize, theme);
        let room = inner.height as usize;
        let from = self.cursor.at().min(all.len().saturating_sub(room));
        let head = title(&known.summary.variant.label(), body);
        let mut block = lit(&head, theme.accent());
        if all.len() > room {
            let seen = format!(" lines {} to {} of {} ", from + 1, (from + room).min(all.len()), all.len());
            block = block.title_bottom(Line::styled(seen, theme.soft()).alignment(Alignment::Right));
        }
        let seen: Vec<Line> = all.into_iter().skip(from).take(room).collect();
        frame.render_widget(Paragraph::new(seen).block(block), body);
    }
}

/// A page in the making.
struct Lines<'a> {
    width: usize,
    theme: Theme,
    all: Vec<Line<'a>>,
}

impl Lines<'_> {
    fn head(&mut self, text: &str) {
        if !self.all.is_empty() {
            self.all.push(Line::raw(""));
        }
        self.all.push(Line::styled(text.to_owned(), self.theme.accent()));
    }

    /// A name and what stands beside it, in as many lines as that takes.
    fn pair(&mut self, name: &str, value: &str) {
        const NAME: usize = 18;
        let name = crate::show::middle(name, NAME - 1);
        for (n, line) in wrapped(value, self.width.saturating_sub(NAME + 2)).into_iter().enumerate() {
            let name = crate::show::left(if n == 0 { &name } else { "" }, NAME);
            self.all.push(Line::from(vec![Span::styled(format!("  {name}"), self.theme.soft()), Span::raw(line)]));
        }
    }

    fn text(&mut self, text: &str, style: Style) {
        for (n, line) in wrapped(text, self.width.saturating_sub(4)).into_iter().enumerate() {
            self.all.push(Line::styled(format!("{}{line}", if n == 0 { "  " } else { "    " }), style));
        }
    }
}

fn lines<'a>(known: &Examined, width: usize, theme: Theme) -> Vec<Line<'a>> {
    let mut page = Lines { width, theme, all: Vec::new() };
    let summary = &known.summary;
    let group = summary.standing.group();
    let why = summary.standing.reason().unwrap_or("it keeps every limit and is shown good enough on every task");
    page.text(&format!("{}: {why}", group.label()), group_style(group, theme));
    scores(&mut page, known);
    costs(&mut page, known);
    limits(&mut page, known);
    file(&mut page, known);
    origin(&mut page, known);
    trials(&mut page, known);
    page.all
}

fn scores(page: &mut Lines, known: &Examined) {
    page.head("What it can do");
    for score in &known.summary.scores {
        for (n, (metric, reading)) in score.readings.iter().enumerate() {
            let name = if n == 0 { score.task.clone() } else { format!("  {}", metric.label()) };
            let metric = if n == 0 { format!("{} ", metric.label()) } else { String::new() };
            let chance = score
                .chance
                .filter(|_| n == 0)
                .map_or(String::new(), |chance| format!("; guessing has {:.1}%", chance * 100.0));
            page.pair(&name, &format!("{metric}{}{chance}", told(Some(reading))));
        }
        for slice in &score.slices {
            page.pair(&format!("  {} {}", slice.slice, slice.value), &brief(&slice.reading));
        }
    }
    if let Some(reference) = known.reference.as_ref().filter(|_| !known.summary.comparisons.is_empty()) {
        page.head(&format!("Held against {reference}"));
        for comparison in &known.summary.comparisons {
            page.text(&words::verdict(comparison), Style::new());
        }
    }
}

/// A figure with its interval, and no more.
fn brief(reading: &Reading) -> String {
    match reading {
        Reading::Missing { reason } => format!("not available: {reason}"),
        Reading::Known(figure) => {
            let shown = bantam_verdict::recommend::figures::shown(figure);
            let ends = |i| bantam_verdict::recommend::figures::ends(figure.unit, i);
            let n = figure.n.map_or(String::new(), |n| format!(", {}", counted(n, "item")));
            figure.interval.map_or_else(|| format!("{shown}{n}"), |i| format!("{shown} [{}]{n}", ends(i)))
        }
    }
}

fn costs(page: &mut Lines, known: &Examined) {
    let summary = &known.summary;
    page.head("What it costs");
    page.pair("memory", &told(Some(&summary.peak_memory)));
    page.pair("disk", &told(Some(&summary.disk)));
    for cost in &summary.shapes {
        let doubt = cost.doubt.as_ref().map_or(String::new(), |doubt| format!("; {doubt}"));
        page.pair(&cost.shape.to_string(), &format!("{}{doubt}", counted(cost.repeats, "repeat")));
        let of_shape = |metric: &Metric| !matches!(metric, Metric::PeakMemory | Metric::Disk);
        for (metric, reading) in cost.readings.iter().filter(|(metric, _)| of_shape(metric)) {
            page.pair(&format!("  {}", metric.label()), &told(Some(reading)));
        }
    }
}

fn limits(page: &mut Lines, known: &Examined) {
    let limits: Vec<_> =
        known.summary.checks.iter().filter(|c| !matches!(c.requirement, Requirement::NotWorse(_))).collect();
    if limits.is_empty() {
        return;
    }
    page.head("Limits");
    for check in limits {
        let shown = |value: f64| check.metric.map_or_else(|| format!("{value}"), |metric| metric.unit().show(value));
        let limit = check.limit.map_or(String::new(), |limit| format!("limit {}", shown(limit)));
        let seen = check.seen.map_or(String::new(), |seen| format!(", seen {}", shown(seen)));
        let status = match &check.status {
            Status::Met if check.close => "kept only just".into(),
            Status::Met => "kept".into(),
            Status::Unmet => "not kept".into(),
            Status::Unknown { reason } => format!("cannot tell: {reason}"),
        };
        page.pair(&words::name(&check.requirement), &format!("{status}: {limit}{seen}"));
    }
}

fn file(page: &mut Lines, known: &Examined) {
    let file = &known.file;
    page.head("Its file");
    let place = match (&file.path, file.exists) {
        (Some(path), true) => path.display().to_string(),
        (Some(path), false) => format!("{} (not there any more)", path.display()),
        (None, true) => "inside the bantam binary".into(),
        (None, false) => "none is kept; it is made when it is measured".into(),
    };
    page.pair("where", &place);
    match &file.unread {
        Some(why) => page.pair("tensors", &format!("not known: {why}")),
        None => {
            let all: u64 = file.tensors.iter().map(|(_, _, bytes)| bytes.0).sum();
            for (n, (name, tensors, bytes)) in file.tensors.iter().enumerate() {
                let share = 100.0 * bytes.0 as f64 / all.max(1) as f64;
                let line =
                    format!("{name}: {}, {bytes}, {share:.0}% of the bytes", counted(*tensors as usize, "tensor"));
                page.pair(if n == 0 { "tensors" } else { "" }, &line);
            }
        }
    }
    strip(page, &file.strip);
    for (what, command) in &file.commands {
        page.text(what, page.theme.soft());
        page.text(&format!("  {command}"), Style::new());
    }
}

/// How many bits each matrix of each layer has, as a strip of signs that is warm where they are few.
fn strip(page: &mut Lines, rows: &[StripRow]) {
    const NAME: usize = 18;
    let room = page.width.saturating_sub(NAME + 3);
    for row in rows {
        let name = crate::show::left(&crate::show::middle(&row.part, NAME - 1), NAME);
        let mut spans = vec![Span::styled(format!("  {name}"), page.theme.soft())];
        let style = |bits: Option<f64>| match bits {
            Some(bits) if bits < 4.0 => page.theme.bad(),
            Some(bits) if bits < 5.0 => page.theme.warn(),
            Some(bits) if bits < 7.0 => page.theme.good(),
            _ => page.theme.soft(),
        };
        let cut = row.bits.len() > room;
        spans.extend(row.signs().take(room).map(|(sign, bits)| Span::styled(sign.to_string(), style(bits))));
        spans.extend(cut.then(|| Span::styled("…", page.theme.soft())));
        page.all.push(Line::from(spans));
    }
    if !rows.is_empty() {
        page.pair("", types_strip::SIGNS);
    }
}

fn origin(page: &mut Lines, known: &Examined) {
    let variant = &known.summary.variant;
    page.head("How it was made");
    let place = match &variant.model.place {
        Place::Bundled(name) => format!("{name}, inside the bantam binary"),
        Place::Folder(path) | Place::Gguf(path) => path.display().to_string(),
        Place::Endpoint(at) => format!("{} at {}", at.model, at.url),
        Place::System(of) => format!("{} of {}", of.composition.label(), of.members.len()),
    };
    match variant.model.parameters {
        0 => page.pair("model", &place),
        parameters => page.pair("model", &format!("{} parameters, {place}", count(parameters))),
    }
    if let Some(commit) = &variant.model.commit {
        page.pair("commit", commit);
    }
    if let Some(adapter) = &variant.model.adapter {
        page.pair("adapter", &adapter.display().to_string());
    }
    page.pair("digest", variant.model.digest.0.as_str());
    page.pair("recipe", variant.recipe.as_deref().unwrap_or("none: the model as it is"));
    for line in variant.steps.lines().filter(|line| !line.trim().is_empty()) {
        page.pair("", line);
    }
    for (step, did) in &known.file.steps {
        page.pair(step, did);
    }
    page.pair("keys and values", variant.kv.name());
}

fn trials(page: &mut Lines, known: &Examined) {
    page.head("When it was measured");
    for trial in &known.trials {
        let took = Seconds(trial.wall);
        let said = match &trial.failure {
            Some(why) => format!("no result: {why}"),
            None => format!(
                "{} in {took}",
                if trial.ask.starts_with("pp") { counted(trial.count, "repeat") } else { counted(trial.count, "item") }
            ),
        };
        page.pair(&trial.ask, &format!("{said}{}", day(trial.started)));
    }
    if !known.summary.warnings.is_empty() {
        page.head("Doubts");
        for warning in &known.summary.warnings {
            page.text(&warning.text, page.theme.warn());
        }
    }
}

/// ", 2026-11-29" in UTC; nothing where it is not known.
fn day(seconds: f64) -> String {
    if seconds <= 0.0 {
        return String::new();
    }
    // the civil calendar from days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms")
    let days = (seconds / 86_400.0).floor() as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * part + 2) / 5 + 1, if part < 10 { part + 3 } else { part - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let time = (seconds.rem_euclid(86_400.0) / 60.0) as i64;
    format!(", {year}-{month:02}-{day:02} {:02}:{:02} UTC", time / 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn seconds_are_days_of_the_calendar() {
        assert_eq!(day(1_790_612_100.0), ", 2026-09-28 16:15 UTC");
        assert_eq!(day(951_782_400.0), ", 2000-02-29 00:00 UTC");
        assert_eq!(day(0.0), "");
    }
}

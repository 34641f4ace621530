//! Advice: which variant, why, what makes it doubtful, where its file is, and what it rests on. The words are made by
//! recommend.

use super::Screen;
use crate::show::wrapped;
use crate::tui::action::{Action, Command, Message};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::results::Told;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit};
use crate::tui::words::{self, Word};
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

pub(crate) const TITLE: &str = "Advice";
const KEYS: &[Binding] = &[keys::PREFER, keys::REPORT];
/// What stands right below the conclusion, whatever else there is.
const DOUBTS: &str = "Doubts";

#[derive(Default)]
pub(crate) struct AdviceScreen {
    /// The first line that is seen.
    cursor: Cursor,
}

impl Screen for AdviceScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[words::REFERENCE, words::MARGIN, words::QUALIFIES, words::INTERVAL, words::DOUBT]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        let told = shared.advice.as_ref()?;
        let lines =
            [told.words.title.clone()].into_iter().chain(told.words.lines.clone()).chain(told.how_to_run.clone());
        Some(lines.collect::<Vec<_>>().join("\n"))
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        if let Message::Advised(_) = message {
            self.cursor = Cursor::default();
        }
        None
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        match action {
            Action::Prefer => shared.can_prefer(),
            Action::Report => shared.can_report(),
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            Action::Prefer => shared.prefer(),
            Action::Report => shared.report(),
            action => {
                let body = layout::body(shared.size);
                self.cursor.follow(&action, last(body, shared) + 1, inside(body).height as usize);
                None
            }
        }
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let Some(told) = &shared.advice else {
            let (text, style) = nothing(shared);
            return frame.render_widget(Line::styled(format!(" {text}"), style), body);
        };
        let all = lines(told, inside(body).width as usize, theme);
        let room = inside(body).height as usize;
        let from = self.cursor.at().min(all.len().saturating_sub(room));
        let block = match (shared.is_old(), told.unfinished) {
            (true, _) => lit(shared.why_old(), theme.warn()),
            (false, true) => lit("Advice", theme.warn()),
            (false, false) if told.words.found => lit("Advice", theme.good()),
            (false, false) => lit("Advice", theme.bad()),
        };
        let block = if all.len() > room {
            let more = match (from > 0, from + room < all.len()) {
                (false, _) => ", ↓ for more",
                (true, true) => ", ↑ ↓ for more",
                (true, false) => ", ↑ for what is above",
            };
            let seen = format!(" lines {} to {} of {}{more} ", from + 1, from + room, all.len());
            block.title_bottom(Line::styled(seen, theme.soft()).alignment(Alignment::Right))
        } else {
            block
        };
        let seen: Vec<Line> = all.into_iter().skip(from).take(room).collect();
        frame.render_widget(Paragraph::new(seen).block(block), body);
    }
}

/// What there is to say where there is no advice.
fn nothing(shared: &Shared) -> (String, Style) {
    match (shared.working_words(), shared.running()) {
        (Some(working), _) => (format!("{working}; the advice follows"), shared.theme.accent()),
        (None, true) => ("the advice comes when the run has ended".into(), shared.theme.soft()),
        (None, false) => ("no advice yet; r starts the run".into(), shared.theme.soft()),
    }
}

/// The last line that the screen can begin with.
fn last(body: Rect, shared: &Shared) -> usize {
    let Some(told) = &shared.advice else { return 0 };
    let inner = inside(body);
    lines(told, inner.width as usize, shared.theme).len().saturating_sub(inner.height as usize)
}

/// Everything as lines of this width: the conclusion, what makes it doubtful, where the file is, what it rests on.
fn lines<'a>(told: &Told, width: usize, theme: Theme) -> Vec<Line<'a>> {
    let words = &told.words;
    let style = match (words.found, told.unfinished) {
        (true, _) => theme.good().patch(theme.strong()),
        (false, true) => theme.warn().patch(theme.strong()),
        (false, false) => theme.bad(),
    };
    let mut all: Vec<Line> = wrapped(&words.title, width).into_iter().map(|line| Line::styled(line, style)).collect();
    all.push(Line::raw(""));
    all.extend(words.lines.iter().flat_map(|line| wrapped(line, width)).map(Line::raw));
    let mut section = |title: &str, lines: &[String], style: Style| {
        all.push(Line::raw(""));
        all.push(Line::styled(title.to_owned(), style));
        // what goes on in a second line is indented further, so that entries stay apart
        let entry = |line: &String| {
            let broken = wrapped(line, width.saturating_sub(4)).into_iter().enumerate();
            broken
                .map(|(n, line)| Line::raw(format!("{}{line}", if n == 0 { "  " } else { "    " })))
                .collect::<Vec<_>>()
        };
        all.extend(lines.iter().flat_map(entry));
    };
    let doubts = words.evidence.iter().filter(|evidence| evidence.title == DOUBTS);
    doubts.for_each(|evidence| section(&evidence.title, &evidence.lines, theme.warn().patch(theme.strong())));
    if !told.how_to_run.is_empty() {
        section("Where it is and how to run it", &told.how_to_run, theme.strong());
    }
    let rest = words.evidence.iter().filter(|evidence| evidence.title != DOUBTS);
    rest.for_each(|evidence| section(&evidence.title, &evidence.lines, theme.strong()));
    all
}

//! One prompt for two variants, opened over the page that holds them against each other: both answers side by side as they
//! come, below each its speed; when both are there, what differs is lit.

use super::Screen;
use crate::show::{Piece, beginning, difference, ending, wrapped_pieces};
use crate::tui::action::{Action, Answered, Both, Command, Message};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit, panel, title};
use bantam_core::record::Variant;
use bantam_core::unit::{Seconds, Unit, counted};
use crossterm::event::KeyCode::{Backspace, Char, Enter, Esc};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

const TYPE: Action = Action::Own("type");
const SEND: Action = Action::Own("send");
const LEAVE: Action = Action::Own("leave");
/// The longest prompt that is typed.
const LONGEST: usize = 4000;

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    Binding { action: Action::Stop, ..keys::STOP },
    Binding { action: TYPE, codes: &[Char('i'), Char('/'), Enter], keys: "i", hint: "ask", help: "type a prompt for both; enter asks it", foot: true },
];

#[rustfmt::skip]
const TYPING: &[Binding] = &[
    Binding { action: SEND, codes: &[Enter], keys: "enter", hint: "ask both", help: "", foot: true },
    Binding { action: LEAVE, codes: &[Esc], keys: "esc", hint: "leave the line", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[Backspace], keys: "backspace", hint: "erase", help: "", foot: true },
];

/// How an answer stands.
#[derive(Debug, Clone, Default, PartialEq)]
enum State {
    /// Nothing was asked.
    #[default]
    Silent,
    /// Asked, and nothing came yet.
    Waiting,
    Streaming,
    Done(Answered),
    Failed(String),
}

#[derive(Debug, Clone, Default)]
struct Side {
    text: String,
    state: State,
}

/// The page of one prompt and two variants.
pub(crate) struct AskPage {
    both: Both,
    text: String,
    typing: bool,
    /// Of the newest prompt; answers to older ones are not heard.
    number: u64,
    asked: Option<String>,
    sides: [Side; 2],
    /// The first line that is seen.
    cursor: Cursor,
}

impl AskPage {
    pub(super) fn of(both: Both) -> AskPage {
        AskPage {
            both,
            text: String::new(),
            typing: true,
            number: 0,
            asked: None,
            sides: Default::default(),
            cursor: Cursor::default(),
        }
    }

    fn is_answering(&self) -> bool {
        self.sides.iter().any(|side| matches!(side.state, State::Waiting | State::Streaming))
    }

    /// Both answers, with what differs where both are whole.
    fn pieces(&self) -> [Vec<Piece>; 2] {
        let [one, other] = &self.sides;
        match (&one.state, &other.state) {
            (State::Done(_), State::Done(_)) if self.are_alike() => {
                difference(one.text.trim(), other.text.trim()).into()
            }
            _ => [&one.text, &other.text].map(|text| vec![(text.trim_start().to_owned(), false)]),
        }
    }

    /// Whether the answers have so much in common that what differs is worth a look: a third of the shorter one.
    fn are_alike(&self) -> bool {
        let [one, other] = &self.sides;
        let letters = |pieces: &[Piece], all: bool| -> usize {
            pieces.iter().filter(|(_, differs)| all || !differs).map(|(text, _)| text.chars().count()).sum()
        };
        let (one, other) = difference(one.text.trim(), other.text.trim());
        3 * letters(&one, false) >= letters(&one, true).min(letters(&other, true))
    }

    fn lines(&self, width: usize) -> [Vec<Vec<Piece>>; 2] {
        self.pieces().map(|pieces| wrapped_pieces(&pieces, width))
    }
}

impl Screen for AskPage {
    fn title(&self) -> &'static str {
        "Ask two"
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.typing.then_some(TYPING)
    }

    fn copied(&self, _: &Shared) -> Option<String> {
        let asked = self.asked.as_ref()?;
        let label = |variant: &Variant| variant.label();
        let [one, other] = &self.sides;
        let (first, second) = (label(&self.both.one), label(&self.both.other));
        Some(format!("{asked}\n\n{first}: {}\n\n{second}: {}", one.text.trim(), other.text.trim()))
    }

    fn acts(&self, action: &Action, _: &Shared) -> bool {
        match *action {
            Action::Stop => self.is_answering(),
            Action::Erase { .. } => !self.text.is_empty(),
            _ => true,
        }
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        match message {
            Message::Said(number, side, text) if *number == self.number => {
                let side = self.sides.get_mut(*side)?;
                side.text.push_str(text);
                side.state = State::Streaming;
            }
            Message::Answered(number, side, answered) if *number == self.number => {
                self.sides.get_mut(*side)?.state = match answered {
                    Ok(answered) => State::Done(answered.clone()),
                    Err(why) => State::Failed(why.clone()),
                };
            }
            _ => {}
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            TYPE => self.typing = true,
            LEAVE => self.typing = false,
            Action::Write(text) => {
                let room = LONGEST.saturating_sub(self.text.chars().count());
                self.text.extend(text.chars().filter(|c| !c.is_control() || *c == '\n').take(room));
            }
            Action::Erase { all: true } => self.text.clear(),
            Action::Erase { all: false } => drop(self.text.pop()),
            SEND if self.text.trim().is_empty() => return shared.refuse("type a prompt first"),
            SEND if shared.running() => {
                return shared
                    .refuse("the run is going on, and its speeds would suffer; stop it (3, then x) to ask here");
            }
            SEND => {
                shared.asked += 1;
                self.number = shared.asked;
                self.typing = false;
                self.cursor = Cursor::default();
                let waiting = Side { text: String::new(), state: State::Waiting };
                self.sides = [waiting.clone(), waiting];
                let text = std::mem::take(&mut self.text);
                self.asked = Some(text.clone());
                return Some(Command::Ask(self.number, Box::new(self.both.clone()), text));
            }
            Action::Stop if self.is_answering() => return Some(Command::StopAnswers),
            Action::Stop => return shared.refuse("nobody answers now; i asks something"),
            action => {
                let [_, left, _] = areas(layout::body(shared.size));
                let room = inside(left);
                let most = self.lines(room.width as usize).iter().map(Vec::len).max().unwrap_or(0);
                let seen = room.height as usize;
                self.cursor.follow(&action, (most + 1).saturating_sub(seen), seen);
            }
        }
        None
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let [prompt, left, right] = areas(body);
        self.draw_prompt(frame, prompt, theme);
        let lines = self.lines(inside(left).width as usize);
        let variants = [&self.both.one, &self.both.other];
        for ((place, lines), (side, variant)) in
            [left, right].into_iter().zip(lines).zip(self.sides.iter().zip(variants))
        {
            draw_side(frame, place, (side, variant), lines, self.cursor.at(), theme);
        }
    }
}

fn areas(body: Rect) -> [Rect; 3] {
    let [prompt, answers] = Layout::vertical([Constraint::Length(4), Constraint::Min(0)]).areas(body);
    let [left, right] = Layout::horizontal([Constraint::Ratio(1, 2); 2]).areas(answers);
    [prompt, left, right]
}

impl AskPage {
    fn draw_prompt(&self, frame: &mut Frame, place: Rect, theme: Theme) {
        let head = "One prompt for both, the likeliest token each time";
        let block = if self.typing { lit(head, theme.accent()) } else { panel(head, theme) };
        let inner = inside(place);
        let width = inner.width as usize;
        let one_line = |text: &str| text.replace('\n', "⏎");
        let line = match (self.typing, &self.asked) {
            (true, _) => Line::from(vec![
                Span::raw(ending(&one_line(&self.text), width.saturating_sub(1))),
                Span::styled("▏", theme.accent()),
            ]),
            (false, Some(asked)) => Line::styled(beginning(&one_line(asked), width), theme.strong()),
            (false, None) => Line::styled("i types a prompt", theme.soft()),
        };
        let hint = "both are loaded as `bantam chat` does, and take turns token by token";
        let lines = vec![line, Line::styled(beginning(hint, width), theme.soft())];
        frame.render_widget(Paragraph::new(lines).block(block), place);
    }
}

fn draw_side(
    frame: &mut Frame,
    place: Rect,
    (side, variant): (&Side, &Variant),
    lines: Vec<Vec<Piece>>,
    first: usize,
    theme: Theme,
) {
    let head = title(&variant.label(), place);
    let (foot, style) = match &side.state {
        State::Silent => (String::new(), theme.soft()),
        State::Waiting => (" loading … ".into(), theme.accent()),
        State::Streaming => (" answering … ".into(), theme.accent()),
        State::Done(answered) => {
            let whole = told(answered);
            let short = whole.split(" · first").next().unwrap_or_default();
            let has_room = whole.width() + 4 < place.width as usize;
            (format!(" {} ", if has_room { &whole } else { short }), theme.good())
        }
        State::Failed(_) => (" no answer ".into(), theme.bad()),
    };
    let foot = beginning(&foot, place.width.saturating_sub(4) as usize);
    let block = panel(&head, theme).title_bottom(Line::styled(foot, style).alignment(Alignment::Right));
    let room = inside(place);
    if let State::Failed(why) = &side.state {
        let lines = crate::show::wrapped(why, room.width as usize);
        let lines: Vec<Line> = lines.into_iter().map(|line| Line::styled(line, theme.bad())).collect();
        return frame.render_widget(Paragraph::new(lines).block(block), place);
    }
    let is_streaming = side.state == State::Streaming;
    let height = room.height as usize;
    // what comes is seen as it comes
    let last = lines.len().saturating_sub(height);
    let first = if is_streaming { last } else { first.min(last) };
    let stands_out = theme.text().add_modifier(Modifier::REVERSED);
    let lit = |differs: bool| if differs { stands_out } else { theme.text() };
    let line = |line: Vec<Piece>| {
        Line::from(line.into_iter().map(|(text, differs)| Span::styled(text, lit(differs))).collect::<Vec<_>>())
    };
    let shown: Vec<Line> = lines.into_iter().skip(first).take(height).map(line).collect();
    frame.render_widget(Paragraph::new(shown).block(block), place);
}

/// "41.2 tok/s · 58 tokens, the first after 120 ms".
fn told(answered: &Answered) -> String {
    let rate = answered.tps.map_or("one token".to_owned(), |tps| Unit::TokensPerSecond.show(tps));
    let end = if answered.is_whole { "" } else { ", cut" };
    format!("{rate} · {}{end} · first after {}", counted(answered.tokens, "token"), Seconds(answered.first))
}

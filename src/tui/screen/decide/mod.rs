//! Decide: limits, margins and the preference move with arrow keys, and what is measured regroups at once. Below stands what
//! the last turn changed, and the nearest turns that would change the advice. No model is asked again.

mod draw;
mod settings;

use super::Screen;
use crate::run::decide::Turned;
use crate::tui::action::{Action, Command, Message, Page};
use crate::tui::cursor::Cursor;
use crate::tui::filter::Filter;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::results::Decision;
use crate::tui::shared::Shared;
use crate::tui::words::{self, Word};
use bantam_core::meant::meant_words;
use bantam_core::profile::{Knob, Prefer, Profile, knob};
use bantam_verdict::recommend::VariantSummary;
use bantam_verdict::recommend::whatif::Turn;
use crossterm::event::KeyCode::{self, Backspace, Char, Delete, Enter, Esc};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use settings::Setting;

pub(crate) const TITLE: &str = "Decide";
/// Types a number, or opens a variant.
pub(crate) const TYPE: Action = Action::Own("type");
const ACCEPT: Action = Action::Own("accept");
const CANCEL: Action = Action::Own("cancel");
/// Takes the limit away.
const NONE: Action = Action::Own("none");
pub(crate) const UNDO: Action = Action::Own("undo");
/// Everything as the profile has it.
const RESET: Action = Action::Own("reset");
pub(crate) const SAVE: Action = Action::Own("save");
/// To the variants, or back to the settings.
const OTHER: Action = Action::Own("other");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::left("turn", "left: the next lower number, of a margin by half a point; from the variants back to the settings"),
    keys::right_too("right: the next higher number"),
    Binding { action: TYPE, codes: &[Enter], keys: "enter", hint: "type, open", help: "type a number with its unit: 64 MiB, 20, 50 ms, 3 points, or any for no limit; of a variant everything that is known", foot: true },
    keys::COMPARE,
    Binding { foot: false, ..keys::FILTER },
    Binding { action: UNDO, codes: &[Char('u')], keys: "u", hint: "undo", help: "take the last turn back", foot: true },
    Binding { action: SAVE, codes: &[Char('W')], keys: "W", hint: "save", help: "write a profile with these limits and margins, as TOML in this folder", foot: true },
    Binding { action: OTHER, codes: &[Char('v')], keys: "v", hint: "", help: "to the variants, or back to the settings", foot: false },
    Binding { action: NONE, codes: &[Backspace, Delete], keys: "backspace", hint: "", help: "no limit; of a task no margin of its own", foot: false },
    Binding { action: RESET, codes: &[Char('p')], keys: "p", hint: "", help: "everything as the profile has it", foot: false },
];

/// Keys while a number is typed.
#[rustfmt::skip]
const TYPING: &[Binding] = &[
    Binding { action: ACCEPT, codes: &[Enter], keys: "enter", hint: "take it", help: "", foot: true },
    Binding { action: CANCEL, codes: &[Esc], keys: "esc", hint: "leave it", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "erase", help: "", foot: true },
];

/// Commands that are typed with what they are to be.
const TYPED: &[(&str, &str)] = &[
    ("limit", "limit memory<=64MiB, decode>=20, ttft<=50ms, TASK>=90%, memory=any"),
    ("margin", "margin 3 for three points, routing=5 of one task"),
    ("prefer", "prefer smallest, fastest, leanest, weighed, …"),
    ("weight", "weight decode=2, where the weighed cost is preferred"),
];

/// The lists that a click may hit.
const SETTINGS: usize = 0;
const VARIANTS: usize = 1;

#[derive(Default)]
pub(crate) struct DecideScreen {
    decision: Option<Decision>,
    /// What would change the decision that is shown, and of which it is.
    turns: Option<(u64, Vec<Turn>)>,
    /// What the user turned, and what it was before each turn.
    turned: Turned,
    before: Vec<Turned>,
    /// The cursor goes through the settings and then through the variants.
    cursor: Cursor,
    typed: Option<String>,
    /// Of the variants.
    filter: Filter,
}

impl Screen for DecideScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[
            words::QUALIFIES,
            words::CANNOT_TELL,
            words::OUT,
            words::MARGIN,
            words::REFERENCE,
            words::PREFER,
            words::WEIGHED,
            words::TURN,
        ]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        match self.typed.is_some() {
            true => Some(TYPING),
            false => self.filter.typing.then_some(keys::FILTERING),
        }
    }

    fn typed_commands(&self) -> &'static [(&'static str, &'static str)] {
        TYPED
    }

    fn copied(&self, _: &Shared) -> Option<String> {
        match self.variant_at() {
            Some(summary) => Some(summary.variant.label()),
            None => Some(self.profile()?.to_toml()),
        }
    }

    fn acts(&self, action: &Action, _: &Shared) -> bool {
        match *action {
            Action::Left => self.notched(false).is_some() || self.variant_at().is_some(),
            Action::Right => self.notched(true).is_some(),
            TYPE => matches!(self.setting_at(), Some(Setting::Knob(_))) || self.variant_at().is_some(),
            Action::Compare => self.variant_at().is_some(),
            UNDO => !self.before.is_empty(),
            SAVE => self.decision.is_some(),
            Action::Erase { .. } => self.filter.typing || self.typed.as_ref().is_some_and(|typed| !typed.is_empty()),
            Action::Filter => self.decision.is_some(),
            _ => true,
        }
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        self.typed = None;
        Some(Command::Decide(self.turned.clone()))
    }

    fn hear(&mut self, message: &Message, _: &mut Shared) -> Option<Command> {
        match message {
            Message::Decided(decision) => self.decision = Some((**decision).clone()),
            Message::Turns(number, turns) => self.turns = Some((*number, turns.clone())),
            _ => {}
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if action != Action::Filter || self.decision.is_some() {
            let was_typing = self.filter.typing;
            if self.filter.follow(&action) {
                // to the first of those that are shown
                self.cursor = Cursor::default();
                if was_typing {
                    self.turn_to_the_other();
                }
                return None;
            }
        }
        match action {
            Action::Tell(text) => return self.tell(&text, shared),
            Action::Left if self.variant_at().is_some() => self.cursor = Cursor::default(),
            Action::Left => return self.notch(false),
            Action::Right => return self.notch(true),
            NONE => return self.take_away(),
            UNDO => return self.undo(shared),
            RESET if self.turned != Turned::default() => return self.turn(Turned::default()),
            RESET => return shared.refuse("nothing is turned: all is as the profile has it"),
            SAVE => return self.save(shared),
            OTHER => self.turn_to_the_other(),
            TYPE if matches!(self.setting_at(), Some(Setting::Knob(_))) => self.typed = Some(String::new()),
            TYPE => return Some(Command::Open(Page::Variant(self.variant_at()?.id().clone()))),
            Action::Compare => {
                let variant = self.variant_at()?.variant.clone();
                return shared.compare(&variant.id, &variant.label());
            }
            CANCEL => self.typed = None,
            ACCEPT => return self.accept(shared),
            Action::Write(text) => {
                if let Some(typed) = &mut self.typed {
                    typed.extend(text.chars().filter(|c| !c.is_control()).take(40));
                }
            }
            Action::Erase { all } => {
                if let Some(typed) = &mut self.typed {
                    typed.pop();
                    if all {
                        typed.clear();
                    }
                }
            }
            action => self.move_to(&action, shared),
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        draw::hit(self, body, at)
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        draw::draw(frame, body, self, shared);
    }
}

impl DecideScreen {
    /// The profile with all that is turned; it may be ahead of the decision.
    fn profile(&self) -> Option<Profile> {
        Some(self.turned.of(&self.decision.as_ref()?.base))
    }

    fn settings(&self) -> Vec<Setting> {
        let Some(decision) = &self.decision else { return Vec::new() };
        settings::all(&self.turned.of(&decision.base), &decision.tasks)
    }

    /// The variants in the order shown: by group, and as the advice sorts them.
    fn variants(&self) -> Vec<&VariantSummary> {
        let Some(decision) = &self.decision else { return Vec::new() };
        let all = decision.decided.advice.summaries.iter();
        let mut summaries: Vec<&VariantSummary> =
            all.filter(|summary| self.filter.shows(|| summary.variant.label())).collect();
        summaries.sort_by_key(|summary| summary.standing.group());
        summaries
    }

    fn setting_at(&self) -> Option<Setting> {
        self.settings().into_iter().nth(self.cursor.at())
    }

    fn variant_at(&self) -> Option<&VariantSummary> {
        let place = self.cursor.at().checked_sub(self.settings().len())?;
        self.variants().get(place).copied()
    }

    fn move_to(&mut self, action: &Action, shared: &Shared) {
        let (settings, variants) = (self.settings().len(), self.variants().len());
        let action = match action {
            Action::Choose { list: VARIANTS, line } => Action::Choose { list: SETTINGS, line: settings + line },
            action => action.clone(),
        };
        let page = draw::page(self, layout::body(shared.size));
        self.cursor.follow(&action, settings + variants, page);
    }

    fn turn_to_the_other(&mut self) {
        let settings = self.settings().len();
        let line = if self.cursor.at() < settings { settings } else { 0 };
        self.cursor.follow(&Action::Choose { list: SETTINGS, line }, settings + self.variants().len(), 1);
    }

    /// What is turned when the setting under the cursor goes a notch up or down; None where it cannot.
    fn notched(&self, up: bool) -> Option<Turned> {
        let (decision, profile) = (self.decision.as_ref()?, self.profile()?);
        settings::notched(&self.setting_at()?, &profile, &decision.decided.advice, up)
            .map(|(setting, to)| settings::with(&self.turned, &decision.base, &setting, to))
    }

    fn notch(&mut self, up: bool) -> Option<Command> {
        let turned = self.notched(up)?;
        self.turn(turned)
    }

    fn take_away(&mut self) -> Option<Command> {
        let decision = self.decision.as_ref()?;
        let setting = self.setting_at()?;
        let Setting::Knob(knob) = &setting else { return None };
        if *knob == Knob::Margin {
            return None;
        }
        let turned = settings::with(&self.turned, &decision.base, &setting, settings::To::Number(None));
        self.turn(turned)
    }

    fn turn(&mut self, turned: Turned) -> Option<Command> {
        if turned == self.turned {
            return None;
        }
        self.before.push(std::mem::replace(&mut self.turned, turned));
        Some(Command::Decide(self.turned.clone()))
    }

    /// A command as typed: limit, margin, weight or prefer with what it is to be.
    fn tell(&mut self, text: &str, shared: &mut Shared) -> Option<Command> {
        let Some(decision) = &self.decision else { return shared.refuse("nothing is measured yet; r starts the run") };
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let read = match word {
            "limit" => knob::limit_of(rest, &decision.tasks),
            "margin" => knob::margin_of(rest, &decision.tasks),
            "weight" => knob::weight_of(rest),
            _ => match Prefer::parse(rest) {
                Some(prefer) => {
                    let turned =
                        settings::with(&self.turned, &decision.base, &Setting::Prefer, settings::To::Prefer(prefer));
                    return self.turn(turned);
                }
                None => {
                    let words = Prefer::ALL.map(Prefer::label);
                    let meant = meant_words(rest, words);
                    return shared.refuse(&format!("there is no '{rest}'{meant}; there are {}", words.join(", ")));
                }
            },
        };
        match read {
            Err(why) => shared.refuse(&why),
            Ok((knob, to)) => {
                let turned =
                    settings::with(&self.turned, &decision.base, &Setting::Knob(knob), settings::To::Number(to));
                self.turn(turned)
            }
        }
    }

    fn undo(&mut self, shared: &mut Shared) -> Option<Command> {
        let Some(before) = self.before.pop() else {
            return shared.refuse("nothing was turned that could be taken back");
        };
        self.turned = before;
        Some(Command::Decide(self.turned.clone()))
    }

    fn save(&self, shared: &mut Shared) -> Option<Command> {
        match self.profile() {
            Some(profile) => Some(Command::Save(Box::new(profile))),
            None => shared.refuse("nothing is measured yet; r starts the run"),
        }
    }

    /// Takes what was typed, where it is a number of the setting.
    fn accept(&mut self, shared: &mut Shared) -> Option<Command> {
        let typed = self.typed.take()?;
        let setting = self.setting_at()?;
        let Setting::Knob(knob) = &setting else { return None };
        let typed = typed.trim().trim_start_matches(['<', '>', '=', '≤', '≥']).trim();
        let to = match typed {
            "" => return None,
            "any" | "none" | "off" | "all" => None,
            number => match knob::number(knob, number) {
                Ok(number) => Some(number),
                Err(why) => return shared.refuse(&why),
            },
        };
        let base = &self.decision.as_ref()?.base;
        let turned = settings::with(&self.turned, base, &setting, settings::To::Number(to));
        self.turn(turned)
    }
}

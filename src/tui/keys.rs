//! The keys: one table from which the key handling, the hints at the foot and the help page are made.

use super::action::{Action, Screen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Everywhere,
    Only(&'static [Screen]),
}

pub struct Binding {
    pub action: Action,
    pub codes: &'static [KeyCode],
    /// As the user reads it.
    pub keys: &'static str,
    pub hint: &'static str,
    pub help: &'static str,
    pub on: On,
    /// Shown at the foot; the others only in help.
    pub foot: bool,
}

use KeyCode::{Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};
use On::{Everywhere, Only};

const LISTS: On = Only(&Screen::ALL);

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    Binding { action: Action::Start, codes: &[Char('r')], keys: "r", hint: "run", help: "start the run; what is already measured is not measured again", on: Everywhere, foot: true },
    Binding { action: Action::Stop, codes: &[Char('x')], keys: "x", hint: "stop", help: "stop the run, or the pull on Hub; everything finished is kept", on: Only(&[Screen::Run, Screen::Hub]), foot: true },
    Binding { action: Action::Type, codes: &[Char('/')], keys: "/", hint: "type", help: "type what to search for; enter or esc ends it", on: Only(&[Screen::Hub]), foot: true },
    Binding { action: Action::Pull, codes: &[Char('p')], keys: "p", hint: "pull", help: "fetch the model, verified; what is here already is not fetched again", on: Only(&[Screen::Hub]), foot: true },
    Binding { action: Action::SearchSort, codes: &[Char('s')], keys: "s", hint: "sort", help: "by downloads, likes, trend, last change or age", on: Only(&[Screen::Hub]), foot: true },
    Binding { action: Action::SearchKind, codes: &[Char('f')], keys: "f", hint: "kind", help: "text generation, GGUF files, or everything", on: Only(&[Screen::Hub]), foot: true },
    Binding { action: Action::Toggle, codes: &[Char(' ')], keys: "space", hint: "in or out", help: "take the model, recipe or suite into the run or leave it out", on: Only(&[Screen::Models, Screen::Plan]), foot: true },
    Binding { action: Action::Prefer, codes: &[Char('o')], keys: "o", hint: "objective", help: "prefer the smallest, the fastest or the leanest variant that is good enough", on: Only(&[Screen::Plan, Screen::Advice]), foot: true },
    Binding { action: Action::SortNext, codes: &[Char('s')], keys: "s", hint: "sort", help: "sort by the next column", on: Only(&[Screen::Results]), foot: true },
    Binding { action: Action::SortReverse, codes: &[Char('S')], keys: "S", hint: "reverse", help: "turn the order round", on: Only(&[Screen::Results]), foot: false },
    Binding { action: Action::Chart, codes: &[Char('c')], keys: "c", hint: "chart", help: "table or Pareto scatter (both where there is room)", on: Only(&[Screen::Results]), foot: true },
    Binding { action: Action::Report, codes: &[Char('w')], keys: "w", hint: "write report", help: "write report.html, .md, .json, .csv and the charts", on: Only(&[Screen::Results, Screen::Advice]), foot: true },
    Binding { action: Action::Go(Screen::Models), codes: &[Char('1')], keys: "1", hint: "", help: "Models: what the profile names, and what each would need", on: Everywhere, foot: false },
    Binding { action: Action::Go(Screen::Plan), codes: &[Char('2')], keys: "2", hint: "", help: "Plan: recipes, suites, objective, constraints, trials", on: Everywhere, foot: false },
    Binding { action: Action::Go(Screen::Run), codes: &[Char('3')], keys: "3", hint: "", help: "Run: every trial as it goes, tokens/s, memory, power, time left", on: Everywhere, foot: false },
    Binding { action: Action::Go(Screen::Results), codes: &[Char('4')], keys: "4", hint: "", help: "Results: the figures, sortable, and the Pareto scatter", on: Everywhere, foot: false },
    Binding { action: Action::Go(Screen::Advice), codes: &[Char('5')], keys: "5", hint: "", help: "Advice: which variant, and why", on: Everywhere, foot: false },
    Binding { action: Action::Go(Screen::Hub), codes: &[Char('6')], keys: "6", hint: "", help: "Hub: search, see what a model would need here, pull", on: Everywhere, foot: false },
    Binding { action: Action::NextScreen, codes: &[Tab], keys: "tab", hint: "next", help: "next screen", on: Everywhere, foot: false },
    Binding { action: Action::PreviousScreen, codes: &[KeyCode::BackTab], keys: "shift-tab", hint: "", help: "previous screen", on: Everywhere, foot: false },
    Binding { action: Action::Up, codes: &[Up, Char('k')], keys: "↑ k", hint: "", help: "up", on: LISTS, foot: false },
    Binding { action: Action::Down, codes: &[Down, Char('j')], keys: "↓ j", hint: "", help: "down", on: LISTS, foot: false },
    Binding { action: Action::Left, codes: &[Left, Char('h')], keys: "← h", hint: "", help: "left: the list, the columns or the GGUF file before", on: Only(&[Screen::Plan, Screen::Results, Screen::Hub]), foot: false },
    Binding { action: Action::Right, codes: &[Right, Char('l')], keys: "→ l", hint: "", help: "right: the list, the columns or the GGUF file behind", on: Only(&[Screen::Plan, Screen::Results, Screen::Hub]), foot: false },
    Binding { action: Action::PageUp, codes: &[PageUp], keys: "pgup", hint: "", help: "a page up", on: LISTS, foot: false },
    Binding { action: Action::PageDown, codes: &[PageDown], keys: "pgdn", hint: "", help: "a page down", on: LISTS, foot: false },
    Binding { action: Action::First, codes: &[Home, Char('g')], keys: "home g", hint: "", help: "to the top", on: LISTS, foot: false },
    Binding { action: Action::Last, codes: &[End, Char('G')], keys: "end G", hint: "", help: "to the end", on: LISTS, foot: false },
    Binding { action: Action::Help, codes: &[Char('?')], keys: "?", hint: "help", help: "this page", on: Everywhere, foot: true },
    Binding { action: Action::Back, codes: &[Esc], keys: "esc", hint: "", help: "close what is open", on: Everywhere, foot: false },
    Binding { action: Action::Quit, codes: &[Char('q')], keys: "q", hint: "quit", help: "leave; while a run is going on it asks first", on: Everywhere, foot: true },
];

/// Keys of the question "quit?".
#[rustfmt::skip]
pub const QUESTION: &[Binding] = &[
    Binding { action: Action::Yes, codes: &[Char('y'), Enter], keys: "y", hint: "stop and quit", help: "", on: Everywhere, foot: true },
    Binding { action: Action::No, codes: &[Char('n'), Esc, Char('q')], keys: "n", hint: "go on", help: "", on: Everywhere, foot: true },
];

/// Keys of the search line; every letter goes into it.
#[rustfmt::skip]
pub const TYPING: &[Binding] = &[
    Binding { action: Action::Leave, codes: &[Enter, Esc, Down], keys: "enter", hint: "to the list", help: "", on: Everywhere, foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "erase", help: "", on: Everywhere, foot: true },
    Binding { action: Action::NextScreen, codes: &[Tab], keys: "tab", hint: "next screen", help: "", on: Everywhere, foot: true },
    Binding { action: Action::PreviousScreen, codes: &[KeyCode::BackTab], keys: "shift-tab", hint: "", help: "", on: Everywhere, foot: false },
];

impl Binding {
    pub fn works_on(&self, screen: Screen) -> bool {
        match self.on {
            Everywhere => true,
            Only(screens) => screens.contains(&screen),
        }
    }
}

/// What a key means here. Ctrl-C is quit everywhere.
pub fn action(key: KeyEvent, screen: Screen, asking: bool) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == Char('c')).then_some(if asking { Action::Yes } else { Action::Quit });
    }
    let table = if asking { QUESTION } else { BINDINGS };
    let found = table.iter().find(|b| b.works_on(screen) && b.codes.contains(&key.code));
    found.map(|b| b.action)
}

/// What a key means while a search is typed. Ctrl-U erases the line, Ctrl-C is quit.
pub fn letter(key: KeyEvent) -> Option<Action> {
    match (key.modifiers.contains(KeyModifiers::CONTROL), key.code) {
        (true, Char('c')) => Some(Action::Quit),
        (true, Char('u')) => Some(Action::Erase { all: true }),
        (true, _) => None,
        (false, Char(letter)) => Some(Action::Letter(letter)),
        (false, code) => TYPING.iter().find(|b| b.codes.contains(&code)).map(|b| b.action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        for screen in Screen::ALL {
            let mut seen = std::collections::HashSet::new();
            for binding in BINDINGS.iter().filter(|b| b.works_on(screen)) {
                for code in binding.codes {
                    assert!(seen.insert(*code), "{code:?} on {screen:?}");
                }
            }
        }
    }

    #[test]
    fn every_binding_can_be_pressed_and_is_explained() {
        for binding in BINDINGS {
            assert!(!binding.help.is_empty() && !binding.codes.is_empty());
            assert!(!binding.foot || !binding.hint.is_empty());
            let screen = Screen::ALL.into_iter().find(|s| binding.works_on(*s)).expect("works somewhere");
            let key = KeyEvent::new(binding.codes[0], KeyModifiers::NONE);
            assert_eq!(action(key, screen, false), Some(binding.action));
        }
    }

    #[test]
    fn ctrl_c_asks_and_ctrl_c_again_quits() {
        let key = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(key, Screen::Run, false), Some(Action::Quit));
        assert_eq!(action(key, Screen::Run, true), Some(Action::Yes));
    }
}

//! Keys: those of every screen and those that several have; a screen lists its own. From these tables the key handling,
//! the hints at the foot and the help page are made.

use super::action::Action;
use super::screen;
use crate::library::config::Config;
use bantam_core::meant::meant_words;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::sync::OnceLock;

/// What some keys mean.
pub(super) struct Binding {
    pub action: Action,
    pub codes: &'static [KeyCode],
    /// As the user reads it.
    pub keys: &'static str,
    pub hint: &'static str,
    pub help: &'static str,
    /// Shown at the foot; the others only in help.
    pub foot: bool,
}

impl Binding {
    /// Its name in the palette: what the hint says, or else the beginning of what help says.
    pub(super) fn name(&self) -> &'static str {
        if !self.hint.is_empty() {
            return self.hint;
        }
        let end = self.help.find([',', ';', ':', '.']).unwrap_or(self.help.len());
        &self.help[..end]
    }

    /// The keys that do it: the user's own in the place of ours.
    fn pressed(&self) -> &[KeyCode] {
        own(self.name()).map_or(self.codes, |own| &own.code)
    }

    /// The keys that do it, as the user reads them.
    pub(super) fn shown(&self) -> &'static str {
        own(self.name()).map_or(self.keys, |own| own.shown)
    }
}

/// A key that the user's settings put in the place of ours.
struct Own {
    name: &'static str,
    code: [KeyCode; 1],
    shown: &'static str,
}

/// The user's keys, settled when the workbench opens.
static OWN: OnceLock<Vec<Own>> = OnceLock::new();

fn own(name: &str) -> Option<&'static Own> {
    OWN.get()?.iter().find(|own| own.name == name)
}

/// Takes the keys of the user's settings.
///
/// # Errors
/// One sentence with file and line where a name is none of what keys do, a key is none, or means something else already.
pub(super) fn settle(config: &Config) -> Result<(), String> {
    let own = read(config)?;
    // a workbench that is opened again has them already
    let _ = OWN.set(own);
    Ok(())
}

fn read(config: &Config) -> Result<Vec<Own>, String> {
    let screens = screen::all();
    let tables: Vec<Vec<&'static Binding>> = screens.iter().map(|screen| with(screen.keys())).collect();
    let names = || tables.iter().flatten().map(|binding| binding.name()).filter(|name| !name.is_empty());
    let mut all: Vec<Own> = Vec::new();
    for (name, given) in &config.keys {
        let wrong = |why: String| config.wrong(given.line, &why);
        let found = names().find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
            wrong(format!(
                "no key does '{name}'{}; `:` in the workbench lists what keys do",
                meant_words(name, names())
            ))
        })?;
        let code = code(&given.value).ok_or_else(|| {
            wrong(format!("keys.{name} is '{}'; write one letter or sign (no digit), or f1 to f12, space, enter, tab, insert, delete", given.value))
        })?;
        all.push(Own { name: found, code: [code], shown: String::leak(given.value.clone()) });
    }
    let codes = |binding: &Binding| match all.iter().find(|own| own.name == binding.name()) {
        Some(own) => own.code.to_vec(),
        None => binding.codes.to_vec(),
    };
    for (table, screen) in tables.iter().zip(&screens) {
        for own in &all {
            let holds = |binding: &&&Binding| codes(binding).contains(&own.code[0]);
            let mut others = table.iter().filter(holds).filter(|binding| binding.name() != own.name);
            let is_here = table.iter().any(|binding| binding.name() == own.name);
            if let Some(other) = others.next().filter(|_| is_here) {
                let line = config
                    .keys
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(own.name))
                    .map_or(1, |(_, given)| given.line);
                return Err(config.wrong(
                    line,
                    &format!(
                        "'{}' is '{}' on {} already: give that another key, too",
                        own.shown,
                        other.name(),
                        screen.title()
                    ),
                ));
            }
        }
    }
    Ok(all)
}

/// A key by its name.
fn code(typed: &str) -> Option<KeyCode> {
    let mut letters = typed.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if !letter.is_ascii_digit() && !letter.is_whitespace() => return Some(Char(letter)),
        _ => {}
    }
    let function = |number: &str| number.parse::<u8>().ok().filter(|n| (1..=12).contains(n)).map(KeyCode::F);
    match typed.to_ascii_lowercase().as_str() {
        "space" => Some(Char(' ')),
        "enter" => Some(Enter),
        "tab" => Some(Tab),
        "insert" => Some(KeyCode::Insert),
        "delete" => Some(KeyCode::Delete),
        other => other.strip_prefix('f').and_then(function),
    }
}

use KeyCode::{Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};

/// Keys that mean the same on every screen; the digits go to the screens in their order.
#[rustfmt::skip]
pub(super) const EVERYWHERE: &[Binding] = &[
    Binding { action: Action::Start, codes: &[Char('r')], keys: "r", hint: "run", help: "run; what is measured already is not measured again", foot: true },
    Binding { action: Action::NextScreen, codes: &[Tab], keys: "tab", hint: "next", help: "next screen", foot: false },
    Binding { action: Action::PreviousScreen, codes: &[KeyCode::BackTab], keys: "shift-tab", hint: "", help: "previous screen", foot: false },
    Binding { action: Action::Up, codes: &[Up, Char('k')], keys: "↑ k", hint: "", help: "up", foot: false },
    Binding { action: Action::Down, codes: &[Down, Char('j')], keys: "↓ j", hint: "", help: "down", foot: false },
    Binding { action: Action::PageUp, codes: &[PageUp], keys: "pgup", hint: "", help: "a page up", foot: false },
    Binding { action: Action::PageDown, codes: &[PageDown], keys: "pgdn", hint: "", help: "a page down", foot: false },
    Binding { action: Action::First, codes: &[Home, Char('g')], keys: "home g", hint: "", help: "to the top", foot: false },
    Binding { action: Action::Last, codes: &[End, Char('G')], keys: "end G", hint: "", help: "to the end", foot: false },
    Binding { action: Action::Help, codes: &[Char('?'), KeyCode::F(1)], keys: "?", hint: "help", help: "this page", foot: true },
    Binding { action: Action::Theme, codes: &[Char('t')], keys: "t", hint: "", help: "theme: auto, dark, light, night, day, plain", foot: false },
    Binding { action: Action::Mouse, codes: &[Char('m')], keys: "m", hint: "", help: "mouse: here, or the terminal's to mark and copy", foot: false },
    Binding { action: Action::Palette, codes: &[Char(':')], keys: ":", hint: "", help: "a command by its name", foot: false },
    Binding { action: Action::Copy, codes: &[Char('y')], keys: "y", hint: "", help: "copy what the cursor is on, where the terminal takes it", foot: false },
    Binding { action: Action::Back, codes: &[Esc], keys: "esc", hint: "", help: "close what is open", foot: false },
    Binding { action: Action::Quit, codes: &[Char('q')], keys: "q", hint: "quit", help: "leave; while a run is going on it asks first", foot: true },
];

// what several screens have
#[rustfmt::skip]
pub(super) const STOP: Binding = Binding { action: Action::Stop, codes: &[Char('x')], keys: "x", hint: "stop", help: "stop the run, or the pull on Find; everything finished is kept", foot: true };
#[rustfmt::skip]
pub(super) const TOGGLE: Binding = Binding { action: Action::Toggle, codes: &[Char(' ')], keys: "space", hint: "in or out", help: "take the model, recipe or suite in, or leave it out", foot: true };
#[rustfmt::skip]
pub(super) const BEGIN: Binding = Binding { action: Action::Begin, codes: &[Char('n')], keys: "n", hint: "own data", help: "begin with a model and data of your own", foot: true };
#[rustfmt::skip]
pub(super) const PREFER: Binding = Binding { action: Action::Prefer, codes: &[Char('o')], keys: "o", hint: "objective", help: "prefer the smallest, fastest or leanest that is good enough", foot: true };
#[rustfmt::skip]
pub(super) const REPORT: Binding = Binding { action: Action::Report, codes: &[Char('w')], keys: "w", hint: "report", help: "write report.html, .md, .json, .csv and the charts", foot: true };

#[rustfmt::skip]
pub(super) const COMPARE: Binding = Binding { action: Action::Compare, codes: &[Char('c')], keys: "c", hint: "compare", help: "hold a variant; c on another one compares the two, answer by answer", foot: true };
#[rustfmt::skip]
pub(super) const OPEN: Binding = Binding { action: Action::Open, codes: &[Enter], keys: "enter", hint: "open", help: "everything that is known of the variant", foot: true };

/// To the left, where stands what the hint says.
#[rustfmt::skip]
pub(super) const fn left(hint: &'static str, help: &'static str) -> Binding {
    Binding { action: Action::Left, codes: &[Left, Char('h')], keys: "← h", hint, help, foot: true }
}

/// To the left, told in help alone.
#[rustfmt::skip]
pub(super) const fn left_too(help: &'static str) -> Binding {
    Binding { action: Action::Left, codes: &[Left, Char('h')], keys: "← h", hint: "", help, foot: false }
}

/// To the right, told in help alone.
#[rustfmt::skip]
pub(super) const fn right_too(help: &'static str) -> Binding {
    Binding { action: Action::Right, codes: &[Right, Char('l')], keys: "→ l", hint: "", help, foot: false }
}

/// To the right, where stands what the hint says.
#[rustfmt::skip]
pub(super) const fn right(hint: &'static str, help: &'static str) -> Binding {
    Binding { action: Action::Right, codes: &[Right, Char('l')], keys: "→ l", hint, help, foot: true }
}

/// Keys of the help page that are shown at its foot; it can be scrolled beside, and the digits go to the screens.
#[rustfmt::skip]
pub(super) const HELP: &[Binding] = &[
    Binding { action: Action::Back, codes: &[Esc], keys: "esc", hint: "close help", help: "", foot: true },
    Binding { action: Action::Quit, codes: &[Char('q')], keys: "q", hint: "quit", help: "", foot: true },
];

/// Keys while a command is typed.
#[rustfmt::skip]
pub(super) const PALETTE: &[Binding] = &[
    Binding { action: Action::Open, codes: &[Enter], keys: "enter", hint: "do it", help: "", foot: true },
    Binding { action: Action::Back, codes: &[Esc], keys: "esc", hint: "close", help: "", foot: true },
    Binding { action: Action::Right, codes: &[Tab], keys: "tab", hint: "complete", help: "", foot: true },
    Binding { action: Action::Up, codes: &[Up], keys: "↑", hint: "", help: "", foot: false },
    Binding { action: Action::Down, codes: &[Down], keys: "↓", hint: "others", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "", help: "", foot: false },
];

/// Keys while a filter is typed.
#[rustfmt::skip]
pub(super) const FILTERING: &[Binding] = &[
    Binding { action: Action::Back, codes: &[Enter], keys: "enter", hint: "to the list", help: "", foot: true },
    Binding { action: Action::Erase { all: true }, codes: &[Esc], keys: "esc", hint: "no filter", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "erase", help: "", foot: true },
    Binding { action: Action::Up, codes: &[Up], keys: "↑", hint: "", help: "", foot: false },
    Binding { action: Action::Down, codes: &[Down], keys: "↓", hint: "", help: "", foot: false },
];

#[rustfmt::skip]
pub(super) const FILTER: Binding = Binding { action: Action::Filter, codes: &[Char('/')], keys: "/", hint: "filter", help: "show those alone whose name has what is typed", foot: true };

/// Keys of the question "quit?".
#[rustfmt::skip]
pub(super) const QUESTION: &[Binding] = &[
    Binding { action: Action::Yes, codes: &[Char('y'), Enter], keys: "y", hint: "stop and quit", help: "", foot: true },
    Binding { action: Action::No, codes: &[Char('n'), Esc, Char('q')], keys: "n", hint: "go on", help: "", foot: true },
];

/// All keys of a screen that has these of its own, in the order in which help and foot show them.
pub(super) fn with(own: &'static [Binding]) -> Vec<&'static Binding> {
    let mut all: Vec<&Binding> = EVERYWHERE.iter().chain(own).collect();
    all.sort_by_key(|binding| match binding.action {
        Action::Start => 0,
        Action::NextScreen | Action::PreviousScreen => 2,
        Action::Up | Action::Down => 3,
        Action::Left | Action::Right => 4,
        Action::PageUp | Action::PageDown | Action::First | Action::Last => 5,
        Action::Palette | Action::Copy | Action::Theme | Action::Mouse => 6,
        Action::Help | Action::Back | Action::Quit => 7,
        _ => 1,
    });
    all
}

/// What a key means on a screen that has these of its own, among the screens of these titles. Ctrl-C is quit everywhere, and
/// Ctrl-Z goes to the shell.
pub(super) fn action(key: KeyEvent, own: &'static [Binding], titles: &[&'static str]) -> Option<Action> {
    if let Some(action) = control(key, Action::Quit) {
        return action;
    }
    match key.code {
        Char(digit @ '1'..='9') => titles.get(digit as usize - '1' as usize).map(|title| Action::Go(title)),
        code => found(with(own), code),
    }
}

/// What a key answers to the question "quit?".
pub(super) fn answer(key: KeyEvent) -> Option<Action> {
    control(key, Action::Yes).unwrap_or_else(|| found(QUESTION, key.code))
}

/// What a key means where letters are text, beside these. Ctrl-U erases the line, Ctrl-C is quit, Ctrl-Z goes to the shell.
pub(super) fn letter(key: KeyEvent, beside: &'static [Binding]) -> Option<Action> {
    match (key.modifiers.contains(KeyModifiers::CONTROL), key.code) {
        (true, Char('u')) => Some(Action::Erase { all: true }),
        (true, _) => control(key, Action::Quit).flatten(),
        (false, code) => found(beside, code).or(match code {
            Char(letter) => Some(Action::Write(letter.into())),
            _ => None,
        }),
    }
}

/// With Ctrl only C and Z mean something.
fn control(key: KeyEvent, quit: Action) -> Option<Option<Action>> {
    let meant = match key.code {
        Char('c') => Some(quit),
        Char('z') => Some(Action::Suspend),
        _ => None,
    };
    key.modifiers.contains(KeyModifiers::CONTROL).then_some(meant)
}

fn found(table: impl IntoIterator<Item = &'static Binding>, code: KeyCode) -> Option<Action> {
    table.into_iter().find(|binding| binding.pressed().contains(&code)).map(|binding| binding.action.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::Path;

    #[test]
    fn keys_of_the_settings_are_named_by_what_they_do_and_mean_one_thing() {
        let of = |text: &str| read(&Config::parse(text, Path::new("c.toml")).expect("valid"));
        let own = of("[keys]\nrun = 'R'\nquit = 'f10'").unwrap_or_else(|why| panic!("{why}"));
        let codes: Vec<_> = own.iter().map(|own| (own.name, own.code[0], own.shown)).collect();
        assert_eq!(codes, [("quit", KeyCode::F(10), "f10"), ("run", Char('R'), "R")]);
        let refused = |text: &str| of(text).err().expect("refused");
        assert!(
            refused("[keys]\nrunn = 'R'").contains("c.toml, line 2: no key does 'runn' (run?)"),
            "{}",
            refused("[keys]\nrunn = 'R'")
        );
        assert!(refused("[keys]\nrun = '1'").contains("keys.run is '1'; write one letter"));
        assert!(refused("[keys]\nrun = 'q'").contains("'q' is 'quit' on"));
        assert!(of("[keys]\nrun = 'q'\nquit = 'Q'").is_ok(), "who gives that another key may");
    }

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        for screen in screen::all() {
            for table in [with(screen.keys()), screen.typing().unwrap_or_default().iter().collect()] {
                let mut seen: HashSet<KeyCode> = ('1'..='9').map(Char).collect();
                for code in table.iter().flat_map(|binding| binding.codes) {
                    assert!(seen.insert(*code), "{code:?} on {}", screen.title());
                }
            }
        }
    }

    #[test]
    fn every_binding_can_be_pressed_and_is_explained() {
        for screen in screen::all() {
            for binding in with(screen.keys()) {
                assert!(!binding.help.is_empty() && !binding.codes.is_empty());
                assert!(!binding.foot || !binding.hint.is_empty());
                let key = KeyEvent::new(binding.codes[0], KeyModifiers::NONE);
                assert_eq!(action(key, screen.keys(), &[]), Some(binding.action.clone()));
            }
        }
    }

    #[test]
    fn ctrl_c_asks_and_ctrl_c_again_quits() {
        let key = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(key, &[], &[]), Some(Action::Quit));
        assert_eq!(letter(key, &[]), Some(Action::Quit));
        assert_eq!(answer(key), Some(Action::Yes));
    }

    #[test]
    fn ctrl_z_goes_to_the_shell_from_everywhere() {
        let key = KeyEvent::new(Char('z'), KeyModifiers::CONTROL);
        for action in [action(key, &[], &[]), letter(key, &[]), answer(key)] {
            assert_eq!(action, Some(Action::Suspend));
        }
    }

    #[test]
    fn digits_go_to_the_screens_there_are() {
        let digit = |digit| action(KeyEvent::new(Char(digit), KeyModifiers::NONE), &[], &["Models", "Plan"]);
        assert_eq!([digit('2'), digit('3')], [Some(Action::Go("Plan")), None]);
    }
}

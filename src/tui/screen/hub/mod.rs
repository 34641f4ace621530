//! Hub: search the Hugging Face hub by typing, beside the list what a model is and would need here before any of it is
//! pulled, and the pull with its progress.

mod draw;
mod state;

pub(crate) use state::HubScreen;

use super::Screen;
use crate::tui::action::{Action, Command, Message};
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crossterm::event::KeyCode::{self, Char, Down, Enter, Esc, Tab};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use std::path::PathBuf;

pub(crate) const TITLE: &str = "Hub";
/// Letters go into the search line from now on, or no longer.
const TYPE: Action = Action::Own("type");
const LEAVE: Action = Action::Own("leave");
const SORT: Action = Action::Own("sort");
const KIND: Action = Action::Own("kind");
const PULL: Action = Action::Own("pull");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::STOP,
    Binding { action: TYPE, codes: &[Char('/')], keys: "/", hint: "type", help: "type what to search for; enter or esc ends it", foot: true },
    Binding { action: PULL, codes: &[Char('p')], keys: "p", hint: "pull", help: "fetch the model, verified; what is here already is not fetched again", foot: true },
    Binding { action: SORT, codes: &[Char('s')], keys: "s", hint: "sort", help: "by downloads, likes, trend, last change or age", foot: true },
    Binding { action: KIND, codes: &[Char('f')], keys: "f", hint: "kind", help: "text generation, GGUF files, or everything", foot: true },
    keys::left("file before", "left: the GGUF file before"),
    keys::right("next file", "right: the next GGUF file"),
];

/// Keys of the search line; every letter goes into it, but ?, which no name has.
#[rustfmt::skip]
const TYPING: &[Binding] = &[
    Binding { action: LEAVE, codes: &[Enter, Esc, Down], keys: "enter", hint: "to the list", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "erase", help: "", foot: true },
    Binding { action: Action::Help, codes: &[Char('?'), KeyCode::F(1)], keys: "?", hint: "help", help: "", foot: true },
    Binding { action: Action::NextScreen, codes: &[Tab], keys: "tab", hint: "next screen", help: "", foot: true },
    Binding { action: Action::PreviousScreen, codes: &[KeyCode::BackTab], keys: "shift-tab", hint: "", help: "", foot: false },
];

impl Screen for HubScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.typing.then_some(TYPING)
    }

    fn acts(&self, action: &Action, _: &Shared) -> bool {
        match *action {
            Action::Stop => self.pull.as_ref().is_some_and(|pull| !pull.stopping),
            PULL => self.pull.is_none() && self.name().is_some(),
            Action::Left => self.choice > 0,
            Action::Right => self.choice + 1 < self.choices().len(),
            Action::Erase { .. } => !self.text.is_empty(),
            _ => true,
        }
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        // nothing to look at yet: what can be done there is to type
        self.typing = self.text.is_empty() && self.pull.is_none();
        None
    }

    fn hear(&mut self, message: &Message, shared: &mut Shared) -> Option<Command> {
        match message {
            Message::Found { number, found, is_first } => return self.answered(*number, (**found).clone(), *is_first),
            Message::ModelInfo(id, info) => {
                self.infos.insert(id.clone(), (**info).clone());
            }
            Message::Pulling(progress) => self.pulling(progress, shared.clock),
            Message::Fetching(name) => {
                self.begin(name.clone());
                shared.notice = Some(format!("fetching {name}; 6 shows how far, x there stops it"));
            }
            Message::Fetched(fetched) => return self.fetched(fetched, shared),
            Message::Pulled(name, pulled) => return self.pulled(name, pulled, shared),
            _ => {}
        }
        shared.pull = self.pull.as_ref().map(|pull| (pull.name.clone(), pull.progress.share()));
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        match action {
            TYPE => self.typing = true,
            LEAVE => self.typing = false,
            Action::Write(text) => return self.write(&text),
            Action::Erase { all } => return self.erase(all),
            SORT => return self.sort_next(),
            KIND => return self.filter_next(),
            PULL => return self.pull(shared),
            Action::Stop => return self.stop(shared),
            Action::Left => self.choose(false),
            Action::Right => self.choose(true),
            action => {
                self.typing &= !matches!(action, Action::Choose { .. });
                let page = draw::list(self, layout::body(shared.size)).height as usize;
                let moved = self.cursor.follow(&action, self.hits.len(), page);
                return if moved { self.look() } else { None };
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        let line = self.cursor.line_at(draw::list(self, body), at, self.hits.len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        draw::draw(frame, body, self, shared);
    }
}

impl HubScreen {
    fn pull(&mut self, shared: &mut Shared) -> Option<Command> {
        if self.pull.is_some() {
            return shared.refuse("a pull is going on; x stops it, what is fetched is kept");
        }
        match self.name() {
            Some(name) => Some(self.begin(name)),
            None => shared.refuse("nothing is found yet; / and type a name"),
        }
    }

    fn stop(&mut self, shared: &mut Shared) -> Option<Command> {
        let Some(pull) = &mut self.pull else { return shared.refuse("no pull is going on; p begins one") };
        pull.stopping = true;
        Some(Command::StopPull)
    }

    /// With what the profile names it can be planned.
    fn fetched(&mut self, fetched: &Result<(), String>, shared: &mut Shared) -> Option<Command> {
        self.pull = None;
        match fetched {
            Err(error) => shared.refuse(error),
            Ok(()) if shared.running() => None,
            Ok(()) => {
                shared.notice = Some("what the profile names of the hub is here".into());
                Some(Command::Plan(shared.selection.clone()))
            }
        }
    }

    /// A model that is here now is tried beside the profile's, where bantam can run it.
    fn pulled(&mut self, name: &str, pulled: &Result<PathBuf, String>, shared: &mut Shared) -> Option<Command> {
        self.pull = None;
        match pulled {
            Err(error) => shared.refuse(error),
            Ok(folder) if !self.runs(name) => {
                shared.refuse(&format!("{name} is here, in {}; bantam cannot run it", folder.display()))
            }
            Ok(_) if shared.running() => shared.refuse(&format!("{name} is here; name it in a profile to try it")),
            Ok(_) if !shared.selection.pulled.iter().any(|pulled| pulled == name) => {
                shared.notice = Some(format!("{name} is here and among the models now (1)"));
                shared.selection.pulled.push(name.into());
                Some(Command::Plan(shared.selection.clone()))
            }
            Ok(_) => shared.refuse(&format!("{name} is whole")),
        }
    }
}

//! Begin: for who has a model and data and nothing else yet. The model is chosen, the data is chosen, its columns are
//! picked beside the first question as the model will read it; then the files are written and the workbench goes on with
//! them. What `bantam init` does, it does by the same library.

mod columns;
mod draw;
mod places;

use super::Screen;
use crate::library::own::Draft;
use crate::tui::action::{Action, Command, Message};
use crate::tui::keys::Binding;
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::words::{self, Word};
use columns::Chosen;
use crossterm::event::KeyCode::{self, BackTab, Down, Enter, Esc, Left, PageDown, PageUp, Right, Tab, Up};
use places::{Place, Places};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use std::path::PathBuf;

pub(crate) const TITLE: &str = "Begin";
/// A step back, and out of it before the first.
const BACK: Action = Action::Own("begin back");
const TAKE: Action = Action::Own("begin take");
const COMPLETE: Action = Action::Own("begin complete");

/// Keys where a model or data is chosen: every letter narrows the list, or is a path.
#[rustfmt::skip]
const CHOOSING: &[Binding] = &[
    Binding { action: TAKE, codes: &[Enter], keys: "enter", hint: "take it", help: "", foot: true },
    Binding { action: Action::Down, codes: &[Down], keys: "↑↓", hint: "choose", help: "", foot: true },
    Binding { action: COMPLETE, codes: &[Tab], keys: "tab", hint: "complete", help: "", foot: true },
    Binding { action: BACK, codes: &[Esc], keys: "esc", hint: "back", help: "", foot: true },
    Binding { action: Action::Help, codes: &[KeyCode::F(1)], keys: "F1", hint: "help", help: "", foot: true },
    Binding { action: Action::Up, codes: &[Up], keys: "↑", hint: "", help: "", foot: false },
    Binding { action: Action::PageUp, codes: &[PageUp], keys: "pgup", hint: "", help: "", foot: false },
    Binding { action: Action::PageDown, codes: &[PageDown], keys: "pgdn", hint: "", help: "", foot: false },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "", help: "", foot: false },
];

/// Keys where columns are picked.
#[rustfmt::skip]
const PICKING: &[Binding] = &[
    Binding { action: TAKE, codes: &[Enter], keys: "enter", hint: "write the files and plan", help: "", foot: true },
    Binding { action: Action::Down, codes: &[Down, Tab, KeyCode::Char('j')], keys: "↑↓", hint: "choose", help: "", foot: true },
    Binding { action: Action::Right, codes: &[Right, KeyCode::Char('l')], keys: "←→", hint: "change", help: "", foot: true },
    Binding { action: BACK, codes: &[Esc], keys: "esc", hint: "back", help: "", foot: true },
    Binding { action: Action::Help, codes: &[KeyCode::Char('?'), KeyCode::F(1)], keys: "?", hint: "help", help: "", foot: true },
    Binding { action: Action::Up, codes: &[Up, BackTab, KeyCode::Char('k')], keys: "↑", hint: "", help: "", foot: false },
    Binding { action: Action::Left, codes: &[Left, KeyCode::Char('h')], keys: "←", hint: "", help: "", foot: false },
];

/// How far somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Model,
    Data,
    Columns,
}

#[derive(Default)]
pub(crate) struct BeginPage {
    /// None before the first step is done.
    model: Option<String>,
    models: Places,
    data: Places,
    /// The data that was chosen, and its columns once they are read, or why they cannot be.
    file: Option<PathBuf>,
    refused: Option<String>,
    chosen: Option<Chosen>,
    /// What would be written, or why nothing can be.
    draft: Option<Result<Box<Draft>, String>>,
    /// The newest question to the library; answers to older ones are not heard.
    asked: u64,
    /// They are to be written as soon as they are made.
    wanted: bool,
    /// The files are being written.
    writing: bool,
}

impl BeginPage {
    fn step(&self) -> Step {
        match (&self.model, &self.chosen) {
            (None, _) => Step::Model,
            (_, None) => Step::Data,
            _ => Step::Columns,
        }
    }

    /// The list that is chosen from.
    fn places(&mut self) -> &mut Places {
        if self.step() == Step::Model { &mut self.models } else { &mut self.data }
    }

    fn back(&mut self) -> Option<Command> {
        match self.step() {
            Step::Model => return Some(Command::Close),
            Step::Data => (self.model, self.refused, self.file) = (None, None, None),
            Step::Columns => (self.chosen, self.draft, self.file) = (None, None, None),
        }
        // what was typed led here, and is in the way of another choice
        self.places().erase(true)
    }

    fn take(&mut self, shared: &mut Shared) -> Option<Command> {
        match self.step() {
            Step::Columns => match &self.draft {
                _ if self.writing => None,
                Some(Ok(draft)) => {
                    self.writing = true;
                    Some(Command::Write(draft.clone()))
                }
                Some(Err(why)) => {
                    let why = why.clone();
                    shared.refuse(&why)
                }
                None => {
                    self.wanted = true;
                    shared.refuse("the files are written as soon as the first question is made")
                }
            },
            step => {
                let Some(place) = self.places().taken() else {
                    return shared.refuse("nothing is chosen; type a path, or a name of the hub");
                };
                if let Place::Folder(folder) = &place {
                    return self.places().go_into(folder);
                }
                match step {
                    Step::Model => self.model = Some(place.typed()),
                    _ => {
                        let file = PathBuf::from(place.typed());
                        (self.file, self.refused) = (Some(file.clone()), None);
                        return Some(Command::LookAt(file));
                    }
                }
                None
            }
        }
    }

    /// Asks for the files of what is picked now.
    fn ask(&mut self) -> Option<Command> {
        let (chosen, model) = (self.chosen.as_ref()?, self.model.clone()?);
        self.asked += 1;
        (self.draft, self.wanted) = (None, false);
        Some(Command::Draft(self.asked, Box::new(chosen.question(model))))
    }
}

impl Screen for BeginPage {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[words::SUITE, words::RECIPE, words::MARGIN, words::VARIANT]
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        Some(if self.step() == Step::Columns { PICKING } else { CHOOSING })
    }

    fn enter(&mut self, _: &mut Shared) -> Option<Command> {
        Some(Command::LookAround(PathBuf::from(".")))
    }

    fn hear(&mut self, message: &Message, shared: &mut Shared) -> Option<Command> {
        match message {
            Message::Around(folder, around) => {
                self.models.found(folder, places::models(around));
                self.data.found(folder, places::data(around));
            }
            Message::Looked(file, looked) if self.file.as_ref() == Some(file) => match looked {
                Ok(columns) => {
                    self.chosen = Some(Chosen::of(columns.clone()));
                    return self.ask();
                }
                Err(why) => self.refused = Some(why.clone()),
            },
            Message::Drafted(number, draft) if *number == self.asked => {
                if let (Ok(draft), Some(chosen)) = (&draft, &mut self.chosen) {
                    chosen.settle(&draft.asked);
                }
                self.draft = Some(draft.clone());
                if std::mem::take(&mut self.wanted) {
                    return self.take(shared);
                }
            }
            Message::Written(Err(why)) => {
                self.writing = false;
                shared.notice = Some(why.clone());
            }
            _ => {}
        }
        None
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let step = self.step();
        match action {
            BACK => return self.back(),
            TAKE => return self.take(shared),
            COMPLETE => return self.places().complete(),
            Action::Write(text) if step != Step::Columns => return self.places().write(&text),
            Action::Erase { all } if step != Step::Columns => return self.places().erase(all),
            Action::Left | Action::Right => {
                let changed = self.chosen.as_mut().is_some_and(|chosen| chosen.turn(action == Action::Right));
                return if changed { self.ask() } else { None };
            }
            action if step == Step::Columns => {
                if let Some(chosen) = &mut self.chosen {
                    chosen.follow(&action);
                }
            }
            action => {
                let page = draw::list(layout::body(shared.size)).height as usize;
                self.places().follow(&action, page);
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        match (&self.chosen, self.step()) {
            (Some(chosen), Step::Columns) => chosen.hit(draw::rows(body), at),
            (_, Step::Model) => self.models.hit(draw::list(body), at),
            _ => self.data.hit(draw::list(body), at),
        }
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        draw::draw(frame, body, self, shared.theme);
    }
}

//! Find: one list of the models of this machine, of Ollama, of LM Studio and of the hub, each held against the limits that stand
//! above; beside it what a model is and would need here, its files to be checked and its card; and below the pulls, which
//! go on while other screens are used.

mod beside;
mod draw;
mod limits;
mod rows;
mod state;

#[cfg(test)]
pub(crate) use rows::Keeps;
pub(crate) use state::FindScreen;

use super::Screen;
use crate::tui::action::{Action, Command, Message, Wanted};
use crate::tui::cursor::Cursor;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::words::{self, Word};
use crossterm::event::KeyCode::{self, Char, Down, Enter, Esc, Left, Right, Tab, Up};
use limits::{Edit, Turn};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use rows::Column;
use state::View;
use std::path::PathBuf;

pub(crate) const TITLE: &str = "Find";
/// Letters go into the search line from now on, or no longer.
const TYPE: Action = Action::Own("type");
const LEAVE: Action = Action::Own("leave");
const SORT: Action = Action::Own("sort");
const REVERSE: Action = Action::Own("reverse");
const ORDER: Action = Action::Own("order");
const KIND: Action = Action::Own("kind");
const PULL: Action = Action::Own("pull");
const LIMITS: Action = Action::Own("limits");
const ACCEPT: Action = Action::Own("accept");
const CANCEL: Action = Action::Own("cancel");
const VIEW: Action = Action::Own("view");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    keys::STOP,
    Binding { action: TYPE, codes: &[Char('/')], keys: "/", hint: "type", help: "type what to search for, here and on the hub; enter or esc ends it", foot: true },
    Binding { action: PULL, codes: &[Char('p')], keys: "p", hint: "pull", help: "fetch what is checked, else the largest file that keeps the limits, verified; several wait for each other", foot: true },
    Binding { action: Action::Toggle, codes: &[Char(' ')], keys: "space", hint: "in or out", help: "take a model that is here into the plan, or out of it; among files check one", foot: true },
    Binding { action: LIMITS, codes: &[Char('e')], keys: "e", hint: "limits", help: "edit the limits: arrows or a number; memory and decode are the profile's, too", foot: true },
    Binding { action: SORT, codes: &[Char('s')], keys: "s", hint: "sort", help: "by the next column", foot: false },
    Binding { action: REVERSE, codes: &[Char('S')], keys: "S", hint: "", help: "the other way round", foot: false },
    Binding { action: ORDER, codes: &[Char('o')], keys: "o", hint: "", help: "what the hub tells first: by downloads, likes, trend, last change or age", foot: false },
    Binding { action: KIND, codes: &[Char('f')], keys: "f", hint: "", help: "what the hub is asked for: text generation, GGUF files, or everything", foot: false },
    Binding { action: VIEW, codes: &[Char('v')], keys: "v", hint: "beside", help: "beside the list: the card, the files or the README", foot: true },
    Binding { action: Action::Open, codes: &[Enter], keys: "enter", hint: "", help: "into what stands beside the list: files to check, text to scroll; esc comes back", foot: false },
    keys::left_too("left: the card, the files or the README before"),
    keys::right_too("right: the next of these"),
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

/// Keys of the limits.
#[rustfmt::skip]
const EDITING: &[Binding] = &[
    Binding { action: ACCEPT, codes: &[Enter], keys: "enter", hint: "take it", help: "", foot: true },
    Binding { action: CANCEL, codes: &[Esc], keys: "esc", hint: "done", help: "", foot: true },
    Binding { action: Action::Left, codes: &[Left, KeyCode::BackTab], keys: "←", hint: "", help: "", foot: false },
    Binding { action: Action::Right, codes: &[Right, Tab], keys: "→", hint: "next limit", help: "", foot: true },
    Binding { action: Action::Up, codes: &[Up], keys: "↑", hint: "more", help: "", foot: true },
    Binding { action: Action::Down, codes: &[Down], keys: "↓", hint: "less", help: "", foot: true },
    Binding { action: Action::Erase { all: false }, codes: &[KeyCode::Backspace], keys: "backspace", hint: "any", help: "", foot: true },
];

impl Screen for FindScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[words::FIT, words::BOUND, words::CONTEXT, words::MEASURED]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        match self.edit.is_some() {
            true => Some(EDITING),
            false => self.typing.then_some(TYPING),
        }
    }

    fn copied(&self, _: &Shared) -> Option<String> {
        Some(self.row()?.name.clone())
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        match *action {
            Action::Stop => self.stoppable().is_some(),
            PULL => !self.wanted().is_empty(),
            Action::Toggle => match self.inside {
                true => self.view == View::Files && !self.files().is_empty(),
                false => self.shelved().is_some_and(|model| model.facts.is_ok()) && !shared.running(),
            },
            Action::Erase { .. } => self.edit.is_some() || !self.text.is_empty(),
            LIMITS => shared.ready().is_some(),
            SORT | VIEW => self.row().is_some(),
            _ => true,
        }
    }

    fn enter(&mut self, shared: &mut Shared) -> Option<Command> {
        self.rebuild(shared);
        self.shelf.is_none().then_some(Command::Shelve { with_bandwidth: !shared.running() })
    }

    fn hear(&mut self, message: &Message, shared: &mut Shared) -> Option<Command> {
        let command = self.heard(message, shared);
        let waiting = self.queue.iter().filter(|pull| !pull.begun).count();
        shared.pull = self.going().map(|pull| {
            let more = if waiting > 0 { format!(" (+{waiting})") } else { String::new() };
            (format!("{}{more}", pull.wanted.name), pull.progress.share())
        });
        command
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        if self.edit.is_some() {
            return self.edited(action, shared);
        }
        match action {
            TYPE => (self.typing, self.inside) = (true, false),
            LEAVE => self.typing = false,
            Action::Write(text) => return self.write(&text, shared),
            Action::Erase { all } => return self.erase(all, shared),
            SORT | REVERSE => {
                match action {
                    SORT => (self.column, self.reversed) = (next(self.column), false),
                    _ => self.reversed = !self.reversed,
                }
                self.sort_again(shared);
                return self.told_wanted();
            }
            ORDER => return self.order_next(shared),
            KIND => return self.filter_next(shared),
            PULL => return self.pull(shared),
            LIMITS if shared.ready().is_none() => return shared.refuse("there is no plan yet; try again in a moment"),
            LIMITS => self.edit = Some(Edit::default()),
            VIEW | Action::Left | Action::Right => {
                (self.view, self.beside) = (self.view.step(action != Action::Left), Cursor::default());
                return self.told_wanted();
            }
            Action::Open => self.inside = !self.inside && self.row().is_some(),
            Action::Back => self.inside = false,
            Action::Toggle => return self.toggle(shared),
            Action::Stop => return self.stop(shared),
            action if self.inside && !matches!(action, Action::Choose { .. }) => {
                let lines = beside::lines(self, shared);
                let page = draw::beside(self, layout::body(shared.size)).height as usize;
                self.beside.follow(&action, lines, page);
            }
            action => {
                if matches!(action, Action::Choose { .. }) {
                    (self.typing, self.inside) = (false, false);
                }
                let page = draw::list(self, layout::body(shared.size)).height as usize;
                let moved = self.cursor.follow(&action, self.rows.len(), page);
                return if moved { self.look() } else { None };
            }
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        let line = self.cursor.line_at(draw::list(self, body), at, self.rows.len())?;
        Some(Action::Choose { list: 0, line })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        draw::draw(frame, body, self, shared);
    }
}

fn next(column: Column) -> Column {
    let at = Column::ALL.iter().position(|other| *other == column).unwrap_or(0);
    Column::ALL[(at + 1) % Column::ALL.len()]
}

impl FindScreen {
    /// The lines of the list, where its picture does not tell.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> &[rows::Row] {
        &self.rows
    }

    fn heard(&mut self, message: &Message, shared: &mut Shared) -> Option<Command> {
        match message {
            Message::Found { number, found, is_first } => {
                return self.answered((*number, *is_first), (**found).clone(), shared);
            }
            Message::ModelInfo(id, info) => {
                self.infos.insert(id.clone(), (**info).clone());
                self.rebuild(shared);
            }
            Message::Readme(name, text) => {
                self.readmes.insert(name.clone(), text.clone());
            }
            Message::Shelf(shelf) => {
                let before = self.shelf.take().map(|shelf| shelf.bandwidth);
                let mut shelf = (**shelf).clone();
                // one that was measured stays what it was
                if let (Err(_), Some(before)) = (&shelf.bandwidth, before) {
                    shelf.bandwidth = before;
                }
                self.shelf = Some(shelf);
                self.rebuild(shared);
            }
            Message::Planned(_) => self.rebuild(shared),
            Message::Pulling(name, progress) => self.pulling(name, progress, shared.clock),
            Message::Fetching(name) => {
                self.enqueue(&Wanted { name: name.clone(), files: Vec::new() }, true);
                shared.notice = Some(format!("fetching {name}; 6 shows how far, x there stops it"));
            }
            Message::Fetched(fetched) => return self.fetched(fetched, shared),
            Message::Pulled(name, pulled) => return self.pulled(name, pulled, shared),
            _ => {}
        }
        None
    }

    /// Takes a model that is here into the plan, or out of it; among files checks one.
    fn toggle(&mut self, shared: &mut Shared) -> Option<Command> {
        if self.inside {
            if self.view == View::Files {
                self.check();
            }
            return None;
        }
        let Some(model) = self.shelved() else { return shared.refuse("it is not here yet; p fetches it") };
        if let Err(why) = &model.facts {
            return shared.refuse(&why.clone());
        }
        let typed = model.typed.clone();
        let of_profile =
            shared.ready().and_then(|setup| setup.models.iter().position(|entry| rows::is_same(&entry.typed, &typed)));
        let added = shared.selection.pulled.iter().find(|name| rows::is_same(name, &typed)).cloned();
        if let Some(line) = of_profile.filter(|_| added.is_none()) {
            return shared.toggle(|selection| &mut selection.models, line);
        }
        shared.change(|selection| match added {
            None => selection.pulled.push(typed),
            Some(added) => selection.pulled.retain(|name| *name != added),
        })
    }

    fn edited(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let memory = self.memory();
        let edit = self.edit.as_mut()?;
        let turn = match action {
            Action::Left | Action::Right => {
                let taken = edit.taken();
                edit.step(action == Action::Right);
                match taken {
                    Ok(turn) => turn,
                    Err(why) => return shared.refuse(&why),
                }
            }
            Action::Up | Action::Down => edit.notch(action == Action::Up, shared, memory),
            Action::Write(text) => {
                edit.write(&text);
                None
            }
            Action::Erase { all } => {
                edit.erase(all);
                None
            }
            CANCEL => {
                self.edit = None;
                None
            }
            ACCEPT => match edit.taken() {
                Err(why) => return shared.refuse(&why),
                Ok(turn) => {
                    self.edit = None;
                    turn
                }
            },
            _ => None,
        };
        match turn? {
            Turn::Licence(word) => {
                self.licence = word;
                self.rebuild(shared);
                None
            }
            Turn::Knob(knob, to) => {
                if let Some(edit) = &mut self.edit {
                    edit.typed = None;
                }
                let command = shared.change(|selection| selection.limit(&knob, to));
                self.rebuild(shared);
                command
            }
        }
    }

    fn pull(&mut self, shared: &mut Shared) -> Option<Command> {
        let wanted = self.wanted();
        if wanted.is_empty() {
            let why = match self.shelved() {
                Some(_) => "it is here already; space takes it into the plan",
                None => "nothing is found yet; / and type a name",
            };
            return shared.refuse(why);
        }
        let new: Vec<Wanted> = wanted.into_iter().filter(|wanted| self.enqueue(wanted, false)).collect();
        match new.is_empty() {
            true => shared.refuse("it is being fetched already; x stops it, what is fetched is kept"),
            false => Some(Command::Pull(new)),
        }
    }

    /// The pull that x stops: the one under the cursor, else the one at work.
    fn stoppable(&self) -> Option<usize> {
        let is_free = |place: &usize| !self.queue[*place].stopping;
        let here = self.row().map(|row| row.name.as_str()).unwrap_or_default();
        let id = |name: &str| name.split(':').next().unwrap_or(name) == here;
        let of_row = self.queue.iter().position(|pull| id(&pull.wanted.name)).filter(is_free);
        of_row.or_else(|| self.queue.iter().position(|pull| pull.begun).filter(is_free))
    }

    fn stop(&mut self, shared: &mut Shared) -> Option<Command> {
        let Some(place) = self.stoppable() else { return shared.refuse("no pull is going on; p begins one") };
        self.queue[place].stopping = true;
        Some(Command::StopPull(self.queue[place].wanted.name.clone()))
    }

    /// With what the profile names it can be planned.
    fn fetched(&mut self, fetched: &Result<(), String>, shared: &mut Shared) -> Option<Command> {
        self.queue.retain(|pull| !pull.of_profile);
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
        let some = self.pull_of(name).is_some_and(|pull| !pull.wanted.files.is_empty());
        self.queue.retain(|pull| pull.wanted.name != name);
        match pulled {
            Err(error) => shared.refuse(error),
            Ok(folder) if some => {
                shared.refuse(&format!("what was checked of {name} is here, in {}", folder.display()))
            }
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

//! Where a model or data may be: what lies about in a folder and what is on this machine anyway, narrowed by what is typed;
//! a path that is typed is looked into, and a name that is nothing else may be one of the hub.

use crate::library::own::Around;
use crate::tui::action::{Action, Command};
use crate::tui::cursor::Cursor;
use bantam_core::unit::Bytes;
use ratatui::layout::{Position, Rect};
use std::path::{Path, PathBuf};

/// Something that can be taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// A file or a folder that is what is looked for.
    File(PathBuf, Bytes),
    /// A folder to be looked into.
    Folder(PathBuf),
    /// A model by its name, and where it is.
    Named(String, String),
    /// What is typed, where it is nothing that was found.
    Typed(String),
}

impl Place {
    /// As a command would name it.
    pub(super) fn typed(&self) -> String {
        match self {
            Place::File(path, _) | Place::Folder(path) => path.to_string_lossy().into_owned(),
            Place::Named(name, _) | Place::Typed(name) => name.clone(),
        }
    }

    /// How large it is or where, beside its name.
    pub(super) fn about(&self) -> String {
        match self {
            Place::File(_, bytes) => bytes.to_string(),
            Place::Folder(_) => "folder".into(),
            Place::Named(_, place) => place.clone(),
            Place::Typed(_) => "as typed".into(),
        }
    }
}

/// What can be taken, and what is typed to find it.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub text: String,
    /// The folder that was looked into last, and what was found there.
    folder: PathBuf,
    pub found: Option<Vec<Place>>,
    pub cursor: Cursor,
}

/// Models: those that lie about first, then those of this machine.
pub(super) fn models(around: &Around) -> Vec<Place> {
    let file = |(path, bytes): &(PathBuf, Bytes)| Place::File(path.clone(), *bytes);
    let named = |(name, place): &(String, String)| Place::Named(name.clone(), place.clone());
    let folders = around.folders.iter().cloned().map(Place::Folder);
    around.models.iter().map(file).chain(folders).chain(around.named.iter().map(named)).collect()
}

/// Files of data that lie about.
pub(super) fn data(around: &Around) -> Vec<Place> {
    let file = |(path, bytes): &(PathBuf, Bytes)| Place::File(path.clone(), *bytes);
    around.data.iter().map(file).chain(around.folders.iter().cloned().map(Place::Folder)).collect()
}

impl Places {
    /// What was found in a folder; another folder than the one that is typed is not heard of.
    pub(super) fn found(&mut self, folder: &Path, found: Vec<Place>) {
        if folder == self.wanted() {
            (self.folder, self.found, self.cursor) = (folder.to_owned(), Some(found), Cursor::default());
        }
    }

    /// The folder of what is typed.
    fn wanted(&self) -> PathBuf {
        match self.text.rsplit_once('/') {
            Some((folder, _)) => expanded(&format!("{folder}/")),
            None => ".".into(),
        }
    }

    /// Those that have what is typed in their names; what is typed itself at last, where it may be something.
    pub(super) fn shown(&self) -> Vec<Place> {
        let words = self.text.rsplit('/').next().unwrap_or_default().to_lowercase();
        let name = |place: &Place| match place {
            Place::File(path, _) | Place::Folder(path) if self.text.contains('/') => {
                path.strip_prefix(self.wanted()).unwrap_or(path).to_string_lossy().to_lowercase()
            }
            place => place.typed().to_lowercase(),
        };
        let holds = |place: &&Place| words.split_whitespace().all(|word| name(place).contains(word));
        // a folder can be looked into where a path is typed; else the files of two levels are shown
        let is_fit = |place: &&Place| match place {
            Place::Folder(_) => {
                self.text.contains('/') || self.found.iter().flatten().all(|p| !matches!(p, Place::File(..)))
            }
            Place::Named(..) => !self.text.contains('/') || !self.wanted().is_dir(),
            _ => true,
        };
        let mut shown: Vec<Place> = self.found.iter().flatten().filter(is_fit).filter(holds).cloned().collect();
        let typed = self.text.trim();
        if !typed.is_empty() && !typed.ends_with('/') && !shown.iter().any(|place| place.typed() == typed) {
            shown.push(Place::Typed(expanded(typed).to_string_lossy().into_owned()));
        }
        shown
    }

    /// What the cursor is on.
    pub(super) fn taken(&self) -> Option<Place> {
        self.shown().get(self.cursor.at()).cloned()
    }

    pub(super) fn write(&mut self, text: &str) -> Option<Command> {
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(400));
        self.changed()
    }

    pub(super) fn erase(&mut self, all: bool) -> Option<Command> {
        if all {
            self.text.clear();
        } else {
            self.text.pop();
        }
        self.changed()
    }

    /// Takes the name under the cursor into the line.
    pub(super) fn complete(&mut self) -> Option<Command> {
        let place = self.taken()?;
        match &place {
            Place::Folder(folder) => return self.go_into(folder),
            place => self.text = place.typed(),
        }
        self.changed()
    }

    pub(super) fn go_into(&mut self, folder: &Path) -> Option<Command> {
        self.text = format!("{}/", folder.to_string_lossy().trim_end_matches('/'));
        self.changed()
    }

    fn changed(&mut self) -> Option<Command> {
        self.cursor = Cursor::default();
        let wanted = self.wanted();
        (wanted != self.folder).then_some(Command::LookAround(wanted))
    }

    pub(super) fn follow(&mut self, action: &Action, page: usize) {
        let lines = self.shown().len();
        self.cursor.follow(action, lines, page);
    }

    pub(super) fn hit(&self, place: Rect, at: Position) -> Option<Action> {
        let line = self.cursor.line_at(place, at, self.shown().len())?;
        Some(Action::Choose { list: 0, line })
    }
}

/// A path with the home folder for its `~`.
fn expanded(typed: &str) -> PathBuf {
    match (typed.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => typed.into(),
    }
}

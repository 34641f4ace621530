//! What the Find screen knows: what is typed, what is here and what the hub found for it, what of it was read, what is checked,
//! and the pulls that wait or go on. Answers carry the number of their question, so that the newest wins whatever comes
//! back first.

use super::limits::Edit;
use super::rows::{self, At, Column, Limits, Row};
use crate::library::fit::HostFit;
use crate::library::shelf::{Shelf, Shelved};
use crate::tui::action::{Asked, Command, Wanted};
use crate::tui::cursor::Cursor;
use crate::tui::shared::Shared;
use bantam_core::unit::Bytes;
use bantam_hub::{Hit, Hits, Next, Progress, PullProgress, Query, Sort};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Repositories a page.
const PAGE: usize = 20;
/// The cursor this close to the end asks for the next page.
const AHEAD: usize = 5;
/// What is searched among, one after the other with each press.
const FILTERS: [Option<&str>; 3] = [Some("text-generation"), Some("gguf"), None];

/// What stands beside the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum View {
    #[default]
    Card,
    Files,
    Readme,
}

impl View {
    pub(super) const ALL: [View; 3] = [View::Card, View::Files, View::Readme];

    pub(super) fn name(self) -> &'static str {
        match self {
            View::Card => "card",
            View::Files => "files",
            View::Readme => "readme",
        }
    }

    pub(super) fn step(self, right: bool) -> View {
        let at = View::ALL.iter().position(|view| *view == self).unwrap_or(0);
        View::ALL[(at + if right { 1 } else { View::ALL.len() - 1 }) % View::ALL.len()]
    }
}

#[derive(Debug, Default)]
pub(crate) struct FindScreen {
    pub(super) cursor: Cursor,
    pub text: String,
    /// Letters go into the search line, and are no commands.
    pub typing: bool,
    /// A limit is being edited.
    pub(super) edit: Option<Edit>,
    /// A word that licences have to have.
    pub(super) licence: Option<String>,
    /// The order in which the hub tells what it found.
    pub order: Sort,
    pub(super) column: Column,
    pub(super) reversed: bool,
    filter: usize,
    pub hits: Vec<Hit>,
    next: Option<Next>,
    /// The number of the newest question.
    newest: u64,
    /// A question is on its way.
    pub waiting: bool,
    /// Why the hub gave nothing.
    pub error: Option<String>,
    /// What was found is for the present words.
    pub searched: bool,
    /// What repositories are and would need here, by ORG/NAME.
    pub infos: BTreeMap<String, Result<HostFit, String>>,
    /// Cards by the name of their model.
    pub(super) readmes: BTreeMap<String, Result<String, String>>,
    /// What is here; None until it was looked at.
    pub(super) shelf: Option<Shelf>,
    /// The lines of the list as they are sorted.
    pub(super) rows: Vec<Row>,
    pub(super) limits: Limits,
    pub(super) view: View,
    /// Keys go to what stands beside the list.
    pub(super) inside: bool,
    /// Among the files, or the first line of a text that is seen.
    pub(super) beside: Cursor,
    /// Files that are to be fetched, by ORG/NAME.
    checked: BTreeMap<String, BTreeSet<String>>,
    /// Pulls in their order.
    pub queue: VecDeque<Pull>,
}

/// A pull that waits or goes on.
#[derive(Debug)]
pub(crate) struct Pull {
    pub wanted: Wanted,
    pub progress: PullProgress,
    pub begun: bool,
    pub stopping: bool,
    /// The profile asked for it, and not the user here.
    pub of_profile: bool,
}

/// A file of a repository that can be checked.
pub(super) struct FileEntry {
    /// Its path, or the types of a GGUF file of one or several parts.
    pub label: String,
    pub size: Option<Bytes>,
    /// It is one of several GGUF models, each of which is a pull of its own.
    pub is_model: bool,
}

impl FindScreen {
    pub(crate) fn filter(&self) -> Option<&'static str> {
        FILTERS[self.filter]
    }

    /// A letter, or many that were pasted.
    pub(super) fn write(&mut self, text: &str, shared: &Shared) -> Option<Command> {
        self.text.extend(text.chars().filter(|c| !c.is_control()));
        self.search(shared)
    }

    pub(super) fn erase(&mut self, all: bool, shared: &Shared) -> Option<Command> {
        if all {
            self.text.clear();
        } else {
            self.text.pop()?;
        }
        if self.text.is_empty() {
            // nothing is asked for, so that what is on its way is not wanted any more
            (self.hits, self.next, self.newest) = (Vec::new(), None, self.newest + 1);
            (self.waiting, self.error, self.searched) = (false, None, false);
            self.sort_again(shared);
            return Some(Command::Search(Asked { number: self.newest, query: None }));
        }
        self.search(shared)
    }

    pub(super) fn order_next(&mut self, shared: &Shared) -> Option<Command> {
        let at = Sort::ALL.iter().position(|sort| *sort == self.order).unwrap_or(0);
        self.order = Sort::ALL[(at + 1) % Sort::ALL.len()];
        self.search(shared)
    }

    pub(super) fn filter_next(&mut self, shared: &Shared) -> Option<Command> {
        self.filter = (self.filter + 1) % FILTERS.len();
        self.search(shared)
    }

    /// Asks for what the line says now; what is here is filtered by it at once.
    fn search(&mut self, shared: &Shared) -> Option<Command> {
        self.sort_again(shared);
        if self.text.trim().is_empty() {
            return None;
        }
        (self.newest, self.waiting, self.error, self.searched) = (self.newest + 1, true, None, false);
        Some(Command::Search(Asked { number: self.newest, query: Some(self.query()) }))
    }

    fn query(&self) -> Query {
        let filter = self.filter().map(str::to_owned);
        Query { filter, sort: self.order, limit: PAGE, ..Query::new(&self.text) }
    }

    /// What came for a question; after a first page the model on the first line is read next.
    pub(super) fn answered(
        &mut self,
        (number, is_first): (u64, bool),
        found: Result<Hits, String>,
        shared: &Shared,
    ) -> Option<Command> {
        if number == self.newest {
            self.waiting = false;
            match found {
                Ok(found) => {
                    if is_first {
                        self.hits = Vec::new();
                    }
                    self.hits.extend(found.hits);
                    (self.next, self.searched, self.error) = (found.next, true, None);
                }
                Err(error) => self.error = Some(error),
            }
            self.rebuild(shared);
            if is_first {
                self.cursor = Cursor::default();
            }
        }
        self.told_wanted()
    }

    /// The rows anew, with the cursor on the first.
    pub(super) fn sort_again(&mut self, shared: &Shared) {
        self.rebuild(shared);
        self.cursor = Cursor::default();
        self.beside = Cursor::default();
    }

    /// The rows anew, with the cursor where it was.
    pub(super) fn rebuild(&mut self, shared: &Shared) {
        let is_hit = |row: &Row| matches!(row.at, At::Hit(_));
        let here = self.row().map(|row| (row.name.clone(), is_hit(row)));
        let memory = self.memory();
        self.limits = super::limits::held(shared, self.licence.as_ref(), memory);
        let profile = shared.ready().map_or(&[][..], |setup| &setup.profile.models);
        let planned: Vec<String> = profile.iter().chain(&shared.selection.pulled).cloned().collect();
        let known = rows::Known {
            shelf: self.shelf.as_ref(),
            hits: &self.hits,
            infos: &self.infos,
            limits: &self.limits,
            planned: &planned,
            text: &self.text,
        };
        self.rows = rows::all(&known);
        rows::sort(&mut self.rows, self.column, self.reversed);
        let at = here.and_then(|(name, hit)| self.rows.iter().position(|row| row.name == name && is_hit(row) == hit));
        let line = at.unwrap_or(self.cursor.at().min(self.rows.len().saturating_sub(1)));
        self.cursor.set(line);
    }

    /// What this machine has of memory, where it was looked at.
    pub(super) fn memory(&self) -> Option<Bytes> {
        self.shelf.as_ref()?.memory.as_ref().ok().copied()
    }

    pub(super) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// What the cursor's new line needs: the next page near the end, else what the model it stands on is.
    pub(super) fn look(&mut self) -> Option<Command> {
        self.beside = Cursor::default();
        if self.cursor.at() + AHEAD >= self.rows.len()
            && !self.waiting
            && let Some(next) = self.next.take()
        {
            self.waiting = true;
            return Some(Command::More(Asked { number: self.newest, query: Some(self.query()) }, next));
        }
        self.told_wanted()
    }

    /// What is shown beside the list and was not read yet.
    pub(super) fn told_wanted(&self) -> Option<Command> {
        let row = self.row()?;
        if self.view == View::Readme && !self.readmes.contains_key(&row.name) {
            return Some(Command::Readme(row.name.clone()));
        }
        let id = self.hit()?.repo.id();
        (!self.infos.contains_key(&id)).then_some(Command::ModelInfo(id))
    }

    pub(super) fn row(&self) -> Option<&Row> {
        self.rows.get(self.cursor.at())
    }

    /// What the hub found and stands under the cursor.
    pub(super) fn hit(&self) -> Option<&Hit> {
        match self.row()?.at {
            At::Hit(place) => self.hits.get(place),
            At::Shelf(_) => None,
        }
    }

    /// What is here and stands under the cursor.
    pub(super) fn shelved(&self) -> Option<&Shelved> {
        match self.row()?.at {
            At::Shelf(place) => self.shelf.as_ref()?.models.get(place),
            At::Hit(_) => None,
        }
    }

    pub(super) fn info(&self) -> Option<&Result<HostFit, String>> {
        self.infos.get(&self.hit()?.repo.id())
    }

    /// The files of the repository under the cursor: of several GGUF models each, else all.
    pub(super) fn files(&self) -> Vec<FileEntry> {
        let Some(Ok(info)) = self.info() else { return Vec::new() };
        let models = info.needs.iter().filter_map(|need| {
            Some(FileEntry { label: need.quant.clone()?, size: Some(need.weights), is_model: true })
        });
        let models: Vec<FileEntry> = models.collect();
        if !models.is_empty() {
            return models;
        }
        let files = info.model_info.listing.files.iter();
        files.map(|file| FileEntry { label: file.path.clone(), size: file.size.map(Bytes), is_model: false }).collect()
    }

    pub(super) fn is_checked(&self, label: &str) -> bool {
        let of_it = self.hit().and_then(|hit| self.checked.get(&hit.repo.id()));
        of_it.is_some_and(|checked| checked.contains(label))
    }

    /// Checks the file under the cursor, or no longer.
    pub(super) fn check(&mut self) {
        let files = self.files();
        let Some((file, hit)) = files.get(self.beside.at()).zip(self.hit()) else { return };
        let checked = self.checked.entry(hit.repo.id()).or_default();
        if !checked.remove(&file.label) {
            checked.insert(file.label.clone());
        }
    }

    /// What is checked of the repository under the cursor, in the order of its files.
    pub(super) fn checked_files(&self) -> Vec<FileEntry> {
        self.files().into_iter().filter(|file| self.is_checked(&file.label)).collect()
    }

    /// The pulls of the line under the cursor: what is checked, else what fits best, else what a model needs.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let Some(hit) = self.hit() else { return Vec::new() };
        let id = hit.repo.id();
        let checked = self.checked_files();
        let one = |name: String| Wanted { name, files: Vec::new() };
        match (checked.first(), self.info()) {
            (Some(file), _) if file.is_model => {
                checked.iter().map(|file| one(format!("{id}:{}", file.label))).collect()
            }
            (Some(_), _) => vec![Wanted { name: id, files: checked.into_iter().map(|file| file.label).collect() }],
            (None, Some(Ok(info))) => match info.needs.get(rows::chosen(info, &self.limits)) {
                Some(fit) if fit.quant.is_some() => vec![one(format!("{id}:{}", fit.name))],
                _ => vec![one(id)],
            },
            (None, _) => vec![one(id)],
        }
    }

    /// Whether what was read of a name that was pulled says that bantam runs it.
    pub(super) fn runs(&self, name: &str) -> bool {
        let id = name.split(':').next().unwrap_or(name);
        self.infos.get(id).is_some_and(|info| info.as_ref().is_ok_and(|info| info.runs.is_ok()))
    }

    /// Puts a pull at the end of the queue; false where it stands there already.
    pub(super) fn enqueue(&mut self, wanted: &Wanted, of_profile: bool) -> bool {
        if self.pull_of(&wanted.name).is_some() {
            return false;
        }
        self.queue.push_back(Pull {
            wanted: wanted.clone(),
            progress: PullProgress::default(),
            begun: of_profile,
            stopping: false,
            of_profile,
        });
        true
    }

    pub(super) fn pull_of(&self, name: &str) -> Option<&Pull> {
        self.queue.iter().find(|pull| pull.wanted.name == name)
    }

    /// The pull that is at work.
    pub(super) fn going(&self) -> Option<&Pull> {
        self.queue.iter().find(|pull| pull.begun)
    }

    pub(super) fn pulling(&mut self, name: &str, progress: &Progress, clock: f64) {
        if let Some(pull) = self.queue.iter_mut().find(|pull| pull.wanted.name == name) {
            pull.begun = true;
            pull.progress.on(progress, clock);
        }
    }
}

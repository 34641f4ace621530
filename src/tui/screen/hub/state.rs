//! What the Hub screen knows: what is typed, what was found for it, what of it was read, and the pull that is going on.
//! Answers carry the number of their question, so that the newest wins whatever comes back first.

use crate::library::fit::HostFit;
use crate::tui::action::{Asked, Command};
use crate::tui::cursor::Cursor;
use bantam_hub::{Hit, Hits, Next, Progress, PullProgress, Query, Sort};
use std::collections::BTreeMap;

/// Repositories a page.
const PAGE: usize = 20;
/// The cursor this close to the end asks for the next page.
const AHEAD: usize = 5;
/// What is searched among, one after the other with each press.
const FILTERS: [Option<&str>; 3] = [Some("text-generation"), Some("gguf"), None];

#[derive(Debug, Default)]
pub(crate) struct HubScreen {
    pub(super) cursor: Cursor,
    pub text: String,
    /// Letters go into the search line, and are no commands.
    pub typing: bool,
    pub sort: Sort,
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
    /// Which of a repository's GGUF files is meant; moved by left and right.
    pub choice: usize,
    pub pull: Option<Pull>,
}

/// A pull that is going on.
#[derive(Debug)]
pub(crate) struct Pull {
    pub name: String,
    pub progress: PullProgress,
    pub stopping: bool,
}

impl HubScreen {
    pub(crate) fn filter(&self) -> Option<&'static str> {
        FILTERS[self.filter]
    }

    /// A letter, or many that were pasted.
    pub(crate) fn write(&mut self, text: &str) -> Option<Command> {
        self.text.extend(text.chars().filter(|c| !c.is_control()));
        self.search()
    }

    pub(crate) fn erase(&mut self, all: bool) -> Option<Command> {
        if all {
            self.text.clear();
        } else {
            self.text.pop()?;
        }
        if self.text.is_empty() {
            // nothing is asked for, so that what is on its way is not wanted any more
            *self = HubScreen {
                cursor: self.cursor,
                typing: true,
                sort: self.sort,
                filter: self.filter,
                newest: self.newest + 1,
                infos: std::mem::take(&mut self.infos),
                pull: self.pull.take(),
                ..HubScreen::default()
            };
            return Some(Command::Search(Asked { number: self.newest, query: None }));
        }
        self.search()
    }

    pub(crate) fn sort_next(&mut self) -> Option<Command> {
        let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
        self.search()
    }

    pub(crate) fn filter_next(&mut self) -> Option<Command> {
        self.filter = (self.filter + 1) % FILTERS.len();
        self.search()
    }

    /// Asks for what the line says now.
    pub(crate) fn search(&mut self) -> Option<Command> {
        if self.text.trim().is_empty() {
            return None;
        }
        (self.newest, self.waiting, self.error, self.searched) = (self.newest + 1, true, None, false);
        Some(Command::Search(Asked { number: self.newest, query: Some(self.query()) }))
    }

    pub(crate) fn query(&self) -> Query {
        let filter = self.filter().map(str::to_owned);
        Query { filter, sort: self.sort, limit: PAGE, ..Query::new(&self.text) }
    }

    /// What came for a question; a first page puts the cursor on its first line, whose model is read next.
    pub(crate) fn answered(&mut self, number: u64, found: Result<Hits, String>, is_first: bool) -> Option<Command> {
        self.found(number, found, is_first);
        if is_first {
            self.cursor = Cursor::default();
        }
        self.info_wanted()
    }

    /// A page of results; those of older questions are not heard.
    fn found(&mut self, number: u64, found: Result<Hits, String>, is_first: bool) {
        if number != self.newest {
            return;
        }
        self.waiting = false;
        match found {
            Ok(found) => {
                if is_first {
                    (self.hits, self.choice) = (Vec::new(), 0);
                }
                self.hits.extend(found.hits);
                (self.next, self.searched, self.error) = (found.next, true, None);
            }
            Err(error) => self.error = Some(error),
        }
    }

    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// What the cursor's new line needs: the next page near the end, else what the repository it stands on is.
    pub(crate) fn look(&mut self) -> Option<Command> {
        self.choice = 0;
        if self.cursor.at() + AHEAD >= self.hits.len()
            && !self.waiting
            && let Some(next) = self.next.take()
        {
            self.waiting = true;
            return Some(Command::More(Asked { number: self.newest, query: Some(self.query()) }, next));
        }
        self.info_wanted()
    }

    pub(crate) fn info_wanted(&self) -> Option<Command> {
        let id = self.hit()?.repo.id();
        (!self.infos.contains_key(&id)).then_some(Command::ModelInfo(id))
    }

    /// What was found and stands under the cursor.
    pub(crate) fn hit(&self) -> Option<&Hit> {
        self.hits.get(self.cursor.at())
    }

    pub(crate) fn info(&self) -> Option<&Result<HostFit, String>> {
        self.infos.get(&self.hit()?.repo.id())
    }

    /// The GGUF files of the repository under the cursor, one of which is to be chosen.
    pub(crate) fn choices(&self) -> Vec<&str> {
        match self.info() {
            Some(Ok(info)) => info.needs.iter().filter_map(|need| need.quant.as_deref()).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn choose(&mut self, right: bool) {
        let last = self.choices().len().saturating_sub(1);
        self.choice = self.choice.saturating_add_signed(if right { 1 } else { -1 }).min(last);
    }

    /// Whether what was read of a name that was pulled says that bantam runs it.
    pub(crate) fn runs(&self, name: &str) -> bool {
        let id = name.split(':').next().unwrap_or(name);
        self.infos.get(id).is_some_and(|info| info.as_ref().is_ok_and(|info| info.runs.is_ok()))
    }

    /// The name that a pull of the line under the cursor is told.
    pub(crate) fn name(&self) -> Option<String> {
        let id = self.hit()?.repo.id();
        Some(match self.choices().get(self.choice) {
            Some(quant) => format!("{id}:{quant}"),
            None => id,
        })
    }

    pub(crate) fn begin(&mut self, name: String) -> Command {
        self.pull = Some(Pull { name: name.clone(), progress: PullProgress::default(), stopping: false });
        Command::Pull(name)
    }

    pub(crate) fn pulling(&mut self, progress: &Progress, clock: f64) {
        if let Some(pull) = &mut self.pull {
            pull.progress.on(progress, clock);
        }
    }
}

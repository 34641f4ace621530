//! What is doubtful about a task and not wrong: said once for each kind of doubt, with the first line where it was seen
//! and how many others there are.

use crate::data::Doc;
use crate::error::Key;
use std::cell::RefCell;

/// The doubts of one task.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Vec<Note>>);

#[derive(Debug)]
struct Note {
    kind: &'static str,
    /// The sentence's beginning, up to the place.
    seen: String,
    place: String,
    /// Lines beside the first.
    others: usize,
    /// What follows from it and what to do.
    advice: String,
}

impl Notes {
    /// Notes a doubt about a key at a line; only the first of a `kind` is worded.
    pub(crate) fn add(&self, kind: &'static str, key: &Key, doc: &Doc, seen: &str, advice: &str) {
        let mut notes = self.0.borrow_mut();
        match notes.iter_mut().find(|note| note.kind == kind) {
            Some(note) => note.others += 1,
            None => notes.push(Note {
                kind,
                seen: format!("{key}: {seen}"),
                place: doc.place(),
                others: 0,
                advice: advice.into(),
            }),
        }
    }

    /// Gives the doubts, a sentence each.
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.0.borrow().iter().map(Note::sentence).collect()
    }
}

impl Note {
    fn sentence(&self) -> String {
        let others = match self.others {
            0 => String::new(),
            1 => " (and on one more line)".into(),
            n => format!(" (and on {n} more lines)"),
        };
        format!("{} at {}{others}; {}", self.seen, self.place, self.advice)
    }
}

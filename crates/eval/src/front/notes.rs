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

    /// Notes a doubt that is a whole sentence, about no line; only the first of a `kind`.
    pub(crate) fn say(&self, kind: &'static str, sentence: String) {
        let mut notes = self.0.borrow_mut();
        if notes.iter().all(|note| note.kind != kind) {
            notes.push(Note { kind, seen: sentence, place: String::new(), others: 0, advice: String::new() });
        }
    }

    /// Gives the doubts, a sentence each.
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.0.borrow().iter().map(Note::sentence).collect()
    }
}

impl Note {
    fn sentence(&self) -> String {
        if self.place.is_empty() {
            return self.seen.clone();
        }
        let others = match self.others {
            0 => String::new(),
            1 => " (and on one more line)".into(),
            n => format!(" (and on {n} more lines)"),
        };
        format!("{} at {}{others}; {}", self.seen, self.place, self.advice)
    }
}

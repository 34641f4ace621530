//! Work for who begins: looking about, reading columns, making files and writing them. Of several questions for files the
//! newest is answered.

use super::caught;
use crate::library::own::{self, Draft, Wish};
use crate::show::sentence;
use crate::tui::Say;
use crate::tui::action::{Message, Question};
use anyhow::{Result, anyhow};
use bantam_eval::own::Columns;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[derive(Default)]
pub(super) struct BeginJobs {
    newest: Arc<AtomicU64>,
}

impl BeginJobs {
    pub(super) fn draft(&self, number: u64, question: Question, say: Say) {
        let newest = self.newest.clone();
        newest.store(number, Ordering::SeqCst);
        thread::spawn(move || {
            if newest.load(Ordering::SeqCst) == number {
                let draft = caught(|| drafted(question, Path::new(".")));
                say.say(Message::Drafted(number, draft.map(Box::new).map_err(|error| sentence(&error))));
            }
        });
    }
}

/// The files of what is picked, in a folder, under names that are free there.
pub(in crate::tui) fn drafted(question: Question, folder: &Path) -> Result<Draft> {
    let Question { columns, picked, wish } = question;
    let asked = columns.ask(&picked).map_err(|why| anyhow!("{why}"))?;
    let stem = columns.file.file_stem().map_or_else(|| "own".into(), |stem| stem.to_string_lossy().into_owned());
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name = own::free_name(folder, &stem.chars().map(plain).collect::<String>());
    own::draft(&Wish { name: Some(name), folder: folder.to_owned(), ..wish }, &columns, asked)
}

pub(super) fn look_around(folder: PathBuf, say: Say) {
    thread::spawn(move || {
        let around = caught(|| Ok(own::around_and_here(&folder))).unwrap_or_default();
        say.say(Message::Around(folder, Box::new(around)));
    });
}

pub(super) fn look_at(file: PathBuf, say: Say) {
    thread::spawn(move || {
        let looked = caught(|| Ok(Columns::read(&file)?));
        say.say(Message::Looked(file, looked.map(Arc::new).map_err(|error| sentence(&error))));
    });
}

pub(super) fn write(draft: Draft, say: Say) {
    thread::spawn(move || {
        let written = caught(|| draft.write(false)).map(|()| draft.profile().to_owned());
        say.say(Message::Written(written.map_err(|error| sentence(&error))));
    });
}

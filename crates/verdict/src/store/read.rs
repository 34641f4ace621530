//! Reading: runs, the rows of one, and what is there already of a trial.

use super::{Result, Store, check};
use crate::recommend::known;
use bantam_core::record::{Id, ItemResult, Outcome, Row, Run, SpeedSample, Trial, Warning};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const RUN: &str = "SELECT id, profile, meant, host, version, started, finished, left_out FROM run";

impl Store {
    /// Reads all runs, the newest first.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn runs(&self) -> Result<Vec<Run>> {
        self.said(|db| some_runs(db, &format!("{RUN} ORDER BY started DESC, rowid DESC"), []))
    }

    /// Reads a run with its trials; `None` where there is none of this id.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn run(&self, id: &Id) -> Result<Option<Run>> {
        self.said(|db| Ok(some_runs(db, &format!("{RUN} WHERE id = ?"), [&id.0])?.pop()))
    }

    /// Reads the newest run of a profile of this name.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn latest(&self, profile_name: &str) -> Result<Option<Run>> {
        let query = format!("{RUN} WHERE profile = ? ORDER BY started DESC, rowid DESC LIMIT 1");
        self.said(|db| Ok(some_runs(db, &query, [profile_name])?.pop()))
    }

    /// Reads the trials of a run that have an outcome, in the run's order.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn rows(&self, run: &Id) -> Result<Vec<Row>> {
        self.said(|db| {
            trials(db, run)?
                .into_iter()
                .filter_map(|trial| match outcome(db, &trial.id) {
                    Ok(Some(outcome)) => Some(Ok(Row { trial, outcome })),
                    Ok(None) => None,
                    Err(e) => Some(Err(e)),
                })
                .collect()
        })
    }

    /// Reads the trials of a run that have an outcome as [`Store::rows`] does, but without their items, which may be more
    /// than memory holds: they are read of one trial after the other, looked at, and let go. What is worked out of rows
    /// asks for them again ([`Known::items`](crate::recommend::Known::items)).
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn light_rows(&self, run: &Id) -> Result<Vec<Row>> {
        let trials = self.said(|db| trials(db, run))?;
        let mut rows = Vec::new();
        for trial in trials {
            rows.extend(self.light_row(trial)?);
        }
        Ok(rows)
    }

    /// Reads one trial so; `None` where it is not finished.
    ///
    /// # Errors
    /// As [`Store::light_rows`].
    pub fn light_row(&self, trial: Trial) -> Result<Option<Row>> {
        let Some(outcome) = self.outcome_of(&trial.id)? else { return Ok(None) };
        let mut row = Row { trial, outcome };
        self.prints.borrow_mut().insert(row.trial.id.clone(), known::fingerprint(&row));
        row.outcome.items = Vec::new();
        Ok(Some(row))
    }

    /// Reads what a trial gave, with its items, samples and warnings; `None` where it is not finished.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn outcome_of(&self, trial: &Id) -> Result<Option<Outcome>> {
        self.said(|db| outcome(db, trial))
    }

    /// Tells whether a trial has its result: an outcome that is no failure, with all the items it was finished with. One
    /// that a race ended early has not all of it: whoever wants the rest goes on from there.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn has_result(&self, trial: &Id) -> Result<bool> {
        self.said(|db| {
            let query =
                "SELECT failure IS NULL AND json_extract(record, '$.settled') IS NULL FROM outcome WHERE trial = ?";
            let found: Option<bool> = db.prepare_cached(query)?.query_row([&trial.0], |row| row.get(0)).optional()?;
            Ok(found == Some(true) && is_whole(db, trial)?)
        })
    }

    /// Reads the items that are there of a trial, finished or not, in the order of the suite's data.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn items_of(&self, trial: &Id) -> Result<Vec<ItemResult>> {
        self.said(|db| items(db, trial))
    }

    /// Reads where a variant's file was when it was last made or found; `None` where that is not known.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn place_of(&self, variant: &Id) -> Result<Option<PathBuf>> {
        let path = |row: &rusqlite::Row<'_>| row.get(0).map(|bytes: Vec<u8>| OsString::from_vec(bytes).into());
        self.said(|db| {
            db.prepare_cached("SELECT file FROM made WHERE variant = ?")?.query_row([&variant.0], path).optional()
        })
    }

    /// Reads the positions of the items that are there of a trial, finished or not. One with a score that cannot be is as
    /// good as not there.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn answered(&self, trial: &Id) -> Result<BTreeSet<usize>> {
        let items = self.items_of(trial)?;
        Ok(items.iter().filter(|item| check::is_possible(item)).map(|item| item.index).collect())
    }

    /// Reads the repeats that are there of a speed trial, in the order they were measured.
    ///
    /// # Errors
    /// Where the file cannot be read, or a record in it does not read back.
    pub fn samples_of(&self, trial: &Id) -> Result<Vec<SpeedSample>> {
        self.said(|db| samples(db, trial))
    }
}

fn some_runs(db: &Connection, query: &str, params: impl Params) -> rusqlite::Result<Vec<Run>> {
    let mut runs: Vec<Run> = db
        .prepare_cached(query)?
        .query_map(params, |row| {
            Ok(Run {
                id: Id(row.get(0)?),
                profile_name: row.get(1)?,
                profile: row.get(2)?,
                host: parsed(row, 3)?,
                version: row.get(4)?,
                started: row.get(5)?,
                finished: row.get(6)?,
                left_out: parsed(row, 7)?,
                trials: Vec::new(),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for run in &mut runs {
        run.trials = trials(db, &run.id)?;
    }
    Ok(runs)
}

fn trials(db: &Connection, run: &Id) -> rusqlite::Result<Vec<Trial>> {
    let query = "SELECT t.record FROM run_trial r JOIN trial t ON t.id = r.trial WHERE r.run = ? ORDER BY r.position";
    records(db, query, run)
}

fn outcome(db: &Connection, trial: &Id) -> rusqlite::Result<Option<Outcome>> {
    let record: Option<Outcome> = db
        .prepare_cached("SELECT record FROM outcome WHERE trial = ?")?
        .query_row([&trial.0], |row| parsed(row, 0))
        .optional()?;
    let Some(outcome) = record else { return Ok(None) };
    // what is left of it is asked for again, so it is not finished
    if outcome.result.is_ok() && !is_whole(db, trial)? {
        return Ok(None);
    }
    Ok(Some(check::checked(Outcome {
        items: items(db, trial)?,
        samples: samples(db, trial)?,
        warnings: warnings(db, trial)?,
        ..outcome
    })))
}

/// Whether all items are there that the outcome was finished with.
fn is_whole(db: &Connection, trial: &Id) -> rusqlite::Result<bool> {
    let query = "SELECT (SELECT count(*) FROM item WHERE trial = ?1),
                        (SELECT items FROM outcome WHERE trial = ?1),
                        (SELECT json_extract(record, '$.ask.task.items') FROM trial WHERE id = ?1)";
    let count = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
    db.prepare_cached(query)?.query_row([&trial.0], |row| {
        let (there, then, asked) = (count(row.get(0)?), count(row.get(1)?), count(row.get(2)?));
        Ok(check::is_whole(there.unwrap_or(0), then, asked.unwrap_or(0)))
    })
}

fn items(db: &Connection, trial: &Id) -> rusqlite::Result<Vec<ItemResult>> {
    records(db, "SELECT record FROM item WHERE trial = ? ORDER BY position", trial)
}

fn samples(db: &Connection, trial: &Id) -> rusqlite::Result<Vec<SpeedSample>> {
    records(db, "SELECT record FROM sample WHERE trial = ? ORDER BY position", trial)
}

fn warnings(db: &Connection, trial: &Id) -> rusqlite::Result<Vec<Warning>> {
    let query = "SELECT json_object('kind', kind, 'text', text) FROM warning WHERE trial = ? ORDER BY position";
    records(db, query, trial)
}

/// The JSON records in the first column.
fn records<T: DeserializeOwned>(db: &Connection, query: &str, id: &Id) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(query)?.query_map(params![id.0], |row| parsed(row, 0))?.collect()
}

fn parsed<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

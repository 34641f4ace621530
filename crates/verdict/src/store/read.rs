//! Reading: runs, the rows of one, and what is there already of a trial.

use super::{Result, Store};
use bantam_core::record::{Id, ItemResult, Outcome, Row, Run, SpeedSample, Trial, Warning};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

const RUN: &str = "SELECT id, profile, meant, host, version, started, finished FROM run";

impl Store {
    /// All runs, the newest first.
    pub fn runs(&self) -> Result<Vec<Run>> {
        self.said(|db| some_runs(db, &format!("{RUN} ORDER BY started DESC, rowid DESC"), []))
    }

    pub fn run(&self, id: &Id) -> Result<Option<Run>> {
        self.said(|db| Ok(some_runs(db, &format!("{RUN} WHERE id = ?"), [&id.0])?.pop()))
    }

    /// The newest run of a profile of this name.
    pub fn latest(&self, profile_name: &str) -> Result<Option<Run>> {
        let query = format!("{RUN} WHERE profile = ? ORDER BY started DESC, rowid DESC LIMIT 1");
        self.said(|db| Ok(some_runs(db, &query, [profile_name])?.pop()))
    }

    /// The trials of a run that have an outcome, in the run's order.
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

    /// What a trial gave, with its items, samples and warnings; None where it is not finished.
    pub fn outcome_of(&self, trial: &Id) -> Result<Option<Outcome>> {
        self.said(|db| outcome(db, trial))
    }

    /// The trial has its result: an outcome that is no failure.
    pub fn has_result(&self, trial: &Id) -> Result<bool> {
        let query = "SELECT count(*) FROM outcome WHERE trial = ? AND failure IS NULL";
        self.said(|db| db.prepare_cached(query)?.query_row([&trial.0], |row| row.get(0)))
    }

    /// The items that are there of a trial, finished or not, in the order of the suite's data.
    pub fn items_of(&self, trial: &Id) -> Result<Vec<ItemResult>> {
        self.said(|db| items(db, trial))
    }

    /// The positions of those items.
    pub fn answered(&self, trial: &Id) -> Result<BTreeSet<usize>> {
        self.said(|db| {
            let mut query = db.prepare_cached("SELECT position FROM item WHERE trial = ?")?;
            query.query_map([&trial.0], |row| row.get(0).map(|position: i64| position as usize))?.collect()
        })
    }

    /// The repeats that are there of a speed trial, in the order they were measured.
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
    Ok(Some(Outcome {
        items: items(db, trial)?,
        samples: samples(db, trial)?,
        warnings: warnings(db, trial)?,
        ..outcome
    }))
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

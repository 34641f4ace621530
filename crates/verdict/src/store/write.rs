//! Writing: one transaction for each thing that is finished. Writing the same run, trial, item or outcome twice leaves
//! it there once; so does writing the same repeat, which its start tells from others, and a new one is added behind those
//! that are there.

use super::{Result, Store};
use bantam_core::record::{Ask, Id, ItemResult, Outcome, Run, SpeedSample, Trial};
use rusqlite::{Connection, params};
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Store {
    /// Keeps a run and its trials; a run that is there already (a resumed one) gets these trials.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, or another process holds it.
    pub fn begin_run(&mut self, run: &Run) -> Result<()> {
        self.transact(|db| {
            db.prepare_cached(
                "INSERT INTO run (id, profile, meant, host, version, started, finished, left_out) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET started = excluded.started, host = excluded.host, version = excluded.version, finished = excluded.finished, left_out = excluded.left_out",
            )?
            .execute(params![
                run.id.0,
                run.profile_name,
                run.profile,
                json(&run.host)?,
                run.version,
                run.started,
                run.finished,
                json(&run.left_out)?
            ])?;
            db.prepare_cached("DELETE FROM run_trial WHERE run = ?")?.execute([&run.id.0])?;
            for (position, trial) in run.trials.iter().enumerate() {
                put_trial(db, trial)?;
                db.prepare_cached("INSERT INTO run_trial (run, position, trial) VALUES (?, ?, ?)")?
                    .execute(params![run.id.0, int(position), trial.id.0])?;
            }
            Ok(())
        })
    }

    /// Marks a run as finished at this time, in seconds since the Unix epoch: every trial of it has its outcome.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, or another process holds it.
    pub fn end_run(&mut self, run: &Id, finished: f64) -> Result<()> {
        self.said(|db| {
            db.prepare_cached("UPDATE run SET finished = ? WHERE id = ?")?.execute(params![finished, run.0]).map(drop)
        })
    }

    /// Keeps a trial that belongs to no run yet, so that its items can be kept.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, or another process holds it.
    pub fn put_trial(&mut self, trial: &Trial) -> Result<()> {
        self.transact(|db| put_trial(db, trial))
    }

    /// Keeps one finished item of a trial that [`Store::begin_run`] or [`Store::put_trial`] made known.
    ///
    /// # Errors
    /// Where the file cannot be written, or the trial is not known.
    pub fn put_item(&mut self, trial: &Id, item: &ItemResult) -> Result<()> {
        self.said(|db| put_item(db, trial, item))
    }

    /// Keeps one finished repeat of a speed shape, behind those that are there; one that is there already (the same to the
    /// last digit, its start included) counts once.
    ///
    /// # Errors
    /// Where the file cannot be written, or the trial is not known.
    pub fn put_sample(&mut self, trial: &Id, sample: &SpeedSample) -> Result<()> {
        self.said(|db| {
            db.prepare_cached(
                "INSERT INTO sample (trial, position, prefill, ttft, decode, record)
                 SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, ?5 FROM sample WHERE trial = ?1
                 HAVING NOT EXISTS (SELECT 1 FROM sample WHERE trial = ?1 AND record = ?5)",
            )?
            .execute(params![trial.0, sample.prefill.0, sample.ttft.0, sample.decode.0, json(sample)?])
            .map(drop)
        })
    }

    /// Keeps what a trial gave beside its items and samples, which are there already, and its warnings. An outcome that
    /// was there before is replaced.
    ///
    /// # Errors
    /// Where the file cannot be written, or the trial is not known.
    pub fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let record = Outcome { items: Vec::new(), samples: Vec::new(), warnings: Vec::new(), ..outcome.clone() };
        self.transact(|db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO outcome
                 (trial, failure, peak_memory, disk, energy, load, wall, started, record, items)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, (SELECT count(*) FROM item WHERE trial = ?1))",
            )?
            .execute(params![
                outcome.trial.0,
                outcome.result.as_ref().err().map(|failure| failure.sentence()),
                outcome.peak_memory.value(),
                outcome.disk.value(),
                outcome.energy.value(),
                outcome.load.map(|l| l.0),
                outcome.wall.0,
                outcome.started,
                json(&record)?
            ])?;
            db.prepare_cached("DELETE FROM warning WHERE trial = ?")?.execute([&outcome.trial.0])?;
            for (position, warning) in outcome.warnings.iter().enumerate() {
                db.prepare_cached("INSERT INTO warning (trial, position, kind, text) VALUES (?, ?, ?, ?)")?
                    .execute(params![outcome.trial.0, int(position), word(&warning.kind)?, warning.text])?;
            }
            Ok(())
        })
    }

    /// Keeps where a variant's file is.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, or another process holds it.
    pub fn put_place(&mut self, variant: &Id, file: &Path) -> Result<()> {
        self.said(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO made (variant, file) VALUES (?, ?)")?
                .execute(params![variant.0, file.as_os_str().as_bytes()])
                .map(drop)
        })
    }

    /// Forgets what a trial gave, so that it is asked again from the start.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, or another process holds it.
    pub fn forget(&mut self, trial: &Id) -> Result<()> {
        self.transact(|db| {
            for table in ["item", "sample", "warning", "outcome", "known"] {
                db.execute(&format!("DELETE FROM {table} WHERE trial = ?"), [&trial.0])?;
            }
            Ok(())
        })
    }
}

fn put_trial(db: &Connection, trial: &Trial) -> rusqlite::Result<()> {
    let (task, shape) = match &trial.ask {
        Ask::Task(task) => (Some(task), None),
        Ask::Speed(shape) => (None, Some(shape)),
    };
    db.prepare_cached(
        "INSERT INTO trial (id, variant, model, recipe, suite, task, prompt, output, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![
        trial.id.0,
        trial.variant.id.0,
        trial.variant.model.name,
        trial.variant.recipe,
        task.map(|t| &t.suite),
        task.map(|t| &t.task),
        shape.map(|s| int(s.prompt)),
        shape.map(|s| int(s.output)),
        json(trial)?
    ])
    .map(drop)
}

fn put_item(db: &Connection, trial: &Id, item: &ItemResult) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO item (trial, position, choice, target, answer, tokens, record) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![trial.0, int(item.index), item.choice.map(int), item.target, item.answer, int(item.tokens), json(item)?])
    .map(drop)
}

/// SQLite's integers are i64.
fn int(count: usize) -> i64 {
    i64::try_from(count).expect("counts are below 2^63")
}

fn json(record: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(record).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

/// An enum's name as it stands in files.
fn word(kind: &impl Serialize) -> rusqlite::Result<String> {
    Ok(json(kind)?.trim_matches('"').into())
}

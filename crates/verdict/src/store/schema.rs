//! The tables, as numbered migrations: the number of those applied stands in the file (`user_version`).
//!
//! What is asked for in queries has a column; what is deep is JSON beside it. A migration that was released is never
//! edited; a change is a new one at the end.

use rusqlite::{Connection, TransactionBehavior};

const MIGRATIONS: &[&str] = &[
    // 1: runs, their trials, and what the trials gave
    "
    CREATE TABLE run (
        id        TEXT PRIMARY KEY,
        profile   TEXT NOT NULL,            -- the profile's name
        meant     TEXT NOT NULL,            -- the profile as it was meant, TOML
        host      TEXT NOT NULL,            -- the host card, JSON
        version   TEXT NOT NULL,
        started   REAL NOT NULL,            -- seconds since the Unix epoch
        finished  REAL
    );
    CREATE INDEX run_by_start ON run (started);

    CREATE TABLE trial (
        id        TEXT PRIMARY KEY,
        variant   TEXT NOT NULL,
        model     TEXT NOT NULL,
        recipe    TEXT,                     -- null for the base
        suite     TEXT,                     -- of a task
        task      TEXT,
        prompt    INTEGER,                  -- of a speed shape
        output    INTEGER,
        record    TEXT NOT NULL             -- the whole trial, JSON
    );

    CREATE TABLE run_trial (
        run       TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        position  INTEGER NOT NULL,
        trial     TEXT NOT NULL REFERENCES trial (id),
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID;

    CREATE TABLE outcome (
        trial       TEXT PRIMARY KEY REFERENCES trial (id),
        failure     TEXT,                   -- the reason in one sentence, null where the trial has its result
        peak_memory REAL,                   -- bytes
        disk        REAL,                   -- bytes
        energy      REAL,                   -- joules above idle
        load        REAL,                   -- seconds
        wall        REAL NOT NULL,
        started     REAL NOT NULL,
        record      TEXT NOT NULL           -- the outcome without items, samples and warnings, JSON
    );

    CREATE TABLE item (
        trial     TEXT NOT NULL REFERENCES trial (id),
        position  INTEGER NOT NULL,         -- in the suite's data
        choice    INTEGER,
        target    TEXT,
        answer    TEXT,
        tokens    INTEGER NOT NULL,
        record    TEXT NOT NULL,
        PRIMARY KEY (trial, position)
    ) WITHOUT ROWID;

    CREATE TABLE sample (
        trial     TEXT NOT NULL REFERENCES trial (id),
        position  INTEGER NOT NULL,
        prefill   REAL NOT NULL,            -- seconds
        ttft      REAL NOT NULL,
        decode    REAL NOT NULL,
        record    TEXT NOT NULL,
        PRIMARY KEY (trial, position)
    ) WITHOUT ROWID;

    CREATE TABLE warning (
        trial     TEXT NOT NULL REFERENCES trial (id),
        position  INTEGER NOT NULL,
        kind      TEXT NOT NULL,
        text      TEXT NOT NULL,
        PRIMARY KEY (trial, position)
    ) WITHOUT ROWID;

    CREATE VIEW score AS
        SELECT item.trial, item.position, item.target, item.answer,
               json_extract(s.value, '$.metric') AS metric,
               json_extract(s.value, '$.value') AS value,
               json_extract(s.value, '$.weight') AS weight
        FROM item, json_each(item.record, '$.scores') AS s;
    ",
    // 2: what a run leaves out
    "
    ALTER TABLE run ADD COLUMN left_out TEXT NOT NULL DEFAULT '[]';  -- models and recipes, with the reason, JSON
    ",
    // 3: how many items an outcome rests on, where variants' files are, and what was worked out of trials
    "
    ALTER TABLE outcome ADD COLUMN items INTEGER; -- when it was finished; null where it was written before

    CREATE TABLE made (
        variant   TEXT PRIMARY KEY,
        file      BLOB NOT NULL             -- the path, in the system's bytes
    ) WITHOUT ROWID;

    CREATE TABLE known (
        key       TEXT PRIMARY KEY,         -- a hash of everything that the result depends on
        trial     TEXT NOT NULL,            -- one of the trials that it is of
        used      REAL NOT NULL,            -- seconds since the Unix epoch
        record    TEXT NOT NULL             -- JSON
    ) WITHOUT ROWID;
    CREATE INDEX known_by_trial ON known (trial);
    ",
    // 4: what endpoints answered, which was paid for, and what runs spent there
    "
    CREATE TABLE answer (
        request   TEXT PRIMARY KEY,         -- a hash of the address and of all that was asked
        endpoint  TEXT NOT NULL,            -- the identity of what answered
        asked     REAL NOT NULL,            -- seconds since the Unix epoch
        record    TEXT NOT NULL             -- what was read of the answer, with its tokens and its time, JSON
    ) WITHOUT ROWID;

    CREATE TABLE spending (
        run       TEXT NOT NULL,
        endpoint  TEXT NOT NULL,
        cost      REAL NOT NULL,            -- in the currency of the profile's price
        requests  INTEGER NOT NULL,
        PRIMARY KEY (run, endpoint)
    ) WITHOUT ROWID;
    ",
];

/// The schema this program writes.
pub(super) const LATEST: i64 = MIGRATIONS.len() as i64;

/// Whose file it is.
pub(super) enum Found {
    /// A store, brought up to date.
    Ours,
    /// Written by a program that knows more migrations.
    Newer(i64),
    /// A file with the tables of another program.
    Foreign,
}

/// Applies what is missing, each in its own transaction; a file that is not ours stays as it is.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<Found> {
    let mut done = version(db)?;
    while done < LATEST {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // read again inside: another process may have been first
        done = version(&step)?;
        if done < 0 || (done == 0 && has_tables(&step)?) {
            return Ok(Found::Foreign);
        }
        if let Some(migration) = usize::try_from(done).ok().and_then(|done| MIGRATIONS.get(done)) {
            step.execute_batch(migration)?;
            step.pragma_update(None, "user_version", done + 1)?;
            done += 1;
        }
        step.commit()?;
    }
    Ok(if done > LATEST { Found::Newer(done) } else { Found::Ours })
}

/// How many migrations the file has.
fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn has_tables(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) > 0 FROM sqlite_schema", [], |row| row.get(0))
}

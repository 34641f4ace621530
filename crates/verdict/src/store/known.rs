//! What was worked out of trials before: comparisons and scores with their intervals, by a hash of everything that they
//! depend on, so that they are not worked out again at every start.

use super::Store;
use crate::recommend::Known;
use bantam_core::record::{Id, ItemResult};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// More than this is not kept; a run of 18 variants on 6 tasks has about 500.
const MOST: i64 = 20_000;

impl Known for Store {
    /// What cannot be read is worked out again.
    fn find(&self, key: &Id) -> Option<String> {
        let query = "SELECT record FROM known WHERE key = ?";
        let found = |db: &Connection| db.prepare_cached(query)?.query_row([&key.0], |row| row.get(0)).optional();
        self.said(found).ok().flatten()
    }

    /// A store that has no room, or that another process holds, works it out again next time.
    fn keep(&self, key: &Id, trial: &Id, record: &str) {
        let _ = self.said(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO known (key, trial, used, record) VALUES (?, ?, ?, ?)")?
                .execute(params![key.0, trial.0, now(), record])?;
            drop_oldest(db)
        });
    }

    /// A trial that cannot be read has nothing to be compared; reading its row has told why.
    fn items(&self, trial: &Id) -> Vec<ItemResult> {
        self.items_of(trial).unwrap_or_default()
    }

    fn print(&self, trial: &Id) -> Option<Id> {
        self.prints.borrow().get(trial).cloned()
    }
}

/// Keeps the table from growing without end: the older half goes.
fn drop_oldest(db: &Connection) -> rusqlite::Result<()> {
    let count: i64 = db.prepare_cached("SELECT count(*) FROM known")?.query_row([], |row| row.get(0))?;
    if count > MOST {
        db.execute("DELETE FROM known WHERE key IN (SELECT key FROM known ORDER BY used LIMIT ?)", [MOST / 2])?;
    }
    Ok(())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

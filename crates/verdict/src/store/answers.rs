//! What endpoints answered, by what they were asked, and what a run spent there. An answer and its cost are one
//! transaction: what was paid is never asked again, and never counted twice.

use super::{Result, Store};
use bantam_core::record::Id;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// On whose account a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The run.
    pub run: Id,
    /// The identity of the endpoint.
    pub endpoint: Id,
}

impl Store {
    /// Finds an answer that was given after `since`, in seconds since the Unix epoch; None where there is none.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn answer(&self, request: &Id, since: f64) -> Result<Option<String>> {
        self.said(|db| {
            db.prepare_cached("SELECT record FROM answer WHERE request = ? AND asked >= ?")?
                .query_row(params![request.0, since], |row| row.get(0))
                .optional()
        })
    }

    /// Keeps an answer, in the place of an earlier one, with what it cost.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn put_answer(&mut self, account: &Account, request: &Id, answer: &str, cost: f64) -> Result<()> {
        self.transact(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO answer (request, endpoint, asked, record) VALUES (?, ?, ?, ?)")?
                .execute(params![request.0, account.endpoint.0, now(), answer])?;
            spend(db, account, cost)
        })
    }

    /// Counts what was paid for something that is not kept as an answer.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn put_spending(&mut self, account: &Account, cost: f64) -> Result<()> {
        self.transact(|db| spend(db, account, cost))
    }

    /// Tells what a run spent at an endpoint so far, over all its sessions.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn spent(&self, account: &Account) -> Result<f64> {
        let spent = self.said(|db| {
            db.prepare_cached("SELECT cost FROM spending WHERE run = ? AND endpoint = ?")?
                .query_row(params![account.run.0, account.endpoint.0], |row| row.get(0))
                .optional()
        })?;
        Ok(spent.unwrap_or(0.0))
    }
}

fn spend(db: &Connection, account: &Account, cost: f64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO spending (run, endpoint, cost, requests) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (run, endpoint) DO UPDATE SET cost = cost + ?3, requests = requests + 1",
    )?
    .execute(params![account.run.0, account.endpoint.0, cost])?;
    Ok(())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_with_its_cost_and_found_until_it_is_too_old() {
        let mut store = Store::in_memory().expect("opens");
        let (request, account) = (Id("r".into()), Account { run: Id("run".into()), endpoint: Id("e".into()) });
        assert_eq!(store.answer(&request, 0.0).expect("reads"), None);
        let before = now();
        store.put_answer(&account, &request, "{}", 0.25).expect("writes");
        store.put_spending(&account, 0.5).expect("writes");
        assert_eq!(store.answer(&request, before).expect("reads").as_deref(), Some("{}"));
        assert_eq!(store.answer(&request, now() + 1.0).expect("reads"), None, "asked afresh");
        assert_eq!(store.spent(&account).expect("reads"), 0.75);
        let other = Account { run: Id("other".into()), ..account };
        assert_eq!(store.spent(&other).expect("reads"), 0.0);
    }
}

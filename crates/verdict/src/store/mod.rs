//! The store: every finished item, sample and outcome, kept at once in one SQLite file.
//!
//! What is written is one transaction: a killed process loses only what was not finished. Several processes may read
//! and write the same file. It keeps records ([`bantam_core::record`]) and knows nothing of models, workers or screens.

mod read;
mod schema;
mod write;

use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a writer waits for another process's transaction; each of ours takes well under a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the store cannot be used, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full.
    #[error("{}: no room left to keep results; what was finished is kept: free some space and run again to go on", file.display())]
    Full {
        /// The store's file.
        file: PathBuf,
    },
    /// The file is no store, or cannot be read.
    #[error("{}: is no store of bantam's or is damaged ({why}); move it away to start an empty one", file.display())]
    Damaged {
        /// The store's file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{}: was written by a newer bantam (schema {found}, this one knows {known}); use that one, or set BANTAM_HOME to another folder",
        file.display()
    )]
    Newer {
        /// The store's file.
        file: PathBuf,
        /// The number of its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// Another process holds the file for longer than ten seconds.
    #[error("{}: is being written by another process that does not let go; stop it or try again", file.display())]
    Busy {
        /// The store's file.
        file: PathBuf,
    },
    /// The file or its folder cannot be opened or written.
    #[error("{}: cannot be opened or written: {why}", file.display())]
    Inaccessible {
        /// The store's file.
        file: PathBuf,
        /// What the system or SQLite said.
        why: String,
    },
}

/// What a call on the store gives.
pub type Result<T> = std::result::Result<T, Error>;

/// The results on disk. Reading does not block writing, in this process or another.
pub struct Store {
    db: Connection,
    file: PathBuf,
}

impl Store {
    /// Opens the store, making it and its folder where there is none and bringing an older one up to date.
    ///
    /// # Errors
    /// Where the file cannot be opened or written, is no store, or was written by a newer version.
    pub fn open(file: &Path) -> Result<Store> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| Error::Inaccessible { file: file.into(), why: e.to_string() })?;
        }
        Store::start(file)
    }

    /// Makes a store that is forgotten when dropped, for tests and for looking at things without keeping them.
    ///
    /// # Errors
    /// Where SQLite cannot be started.
    pub fn in_memory() -> Result<Store> {
        Store::start(Path::new(":memory:"))
    }

    fn start(file: &Path) -> Result<Store> {
        let db = Connection::open(file).map_err(|e| sentence(file, e))?;
        let mut store = Store { db, file: file.into() };
        store.settle().map_err(|e| sentence(file, e))?;
        store.migrate()?;
        Ok(store)
    }

    /// WAL with synchronous NORMAL: a commit survives the death of the process without waiting for the disk; a power
    /// cut may take the last moments, never the file.
    fn settle(&self) -> rusqlite::Result<()> {
        self.db.busy_timeout(PATIENCE)?;
        self.use_wal()?;
        self.db.pragma_update(None, "synchronous", "normal")?;
        self.db.pragma_update(None, "foreign_keys", true)?;
        self.db.set_prepared_statement_cache_capacity(64);
        Ok(())
    }

    /// SQLite does not wait where two processes turn a new file to WAL at the same moment: it says "locked" to one of
    /// them at once, so that one waits here.
    fn use_wal(&self) -> rusqlite::Result<()> {
        let start = Instant::now();
        loop {
            match self.db.pragma_update(None, "journal_mode", "wal") {
                Err(e) if is_busy(&e) && start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
                done => return done,
            }
        }
    }

    fn migrate(&mut self) -> Result<()> {
        let file = self.file.clone();
        match schema::migrate(&mut self.db).map_err(|e| sentence(&file, e))? {
            schema::Found::Ours => Ok(()),
            schema::Found::Newer(found) => Err(Error::Newer { file, found, known: schema::LATEST }),
            schema::Found::Foreign => Err(Error::Damaged { file, why: "it holds another program's tables".into() }),
        }
    }

    /// The file it is in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Lets the file grow by so many pages only from now on, as if the disk were full behind them: for tests.
    #[doc(hidden)]
    pub fn fill_up_after(&self, pages: i64) {
        let now: i64 = self.db.pragma_query_value(None, "page_count", |row| row.get(0)).expect("reads");
        self.db.pragma_update(None, "max_page_count", now + pages).expect("limits");
    }

    /// Does something with the database and turns an error into its sentence.
    fn said<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|e| sentence(&self.file, e))
    }

    /// The same in one transaction, taken for writing from its start so that two writers cannot deadlock.
    fn transact<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let run = |db: &mut Connection| {
            let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run(&mut self.db).map_err(|e| sentence(&self.file, e))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What SQLite said, as a sentence of ours.
fn sentence(file: &Path, error: rusqlite::Error) -> Error {
    let file = file.to_path_buf();
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { file },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Damaged { file, why },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { file },
        Some(_) => Error::Inaccessible { file, why },
        // no code of SQLite's: a column or a JSON record that does not read back
        None => Error::Damaged { file, why },
    }
}

#[cfg(test)]
mod tests;

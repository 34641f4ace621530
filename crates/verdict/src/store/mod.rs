//! The store: every finished item, sample and outcome, kept at once in one SQLite file.
//!
//! What is written is one transaction: a killed process loses only what was not finished. Several processes may read
//! and write the same file. It keeps records ([`bantam_core::record`]) and knows nothing of models, workers or screens.

mod answers;
mod check;
mod guard;
mod known;
mod read;
mod schema;
mod write;

pub use answers::Account;

use guard::Guard;

use bantam_core::record::Id;
use rusqlite::{Connection, ErrorCode};
use std::cell::RefCell;
use std::collections::BTreeMap;
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
    /// The file was removed or replaced while it was in use, so that what is written to it is lost.
    #[error(
        "{}: was removed or replaced while bantam wrote to it, so what was measured since is lost; run again, and leave the file \
         alone meanwhile",
        file.display()
    )]
    Gone {
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
    guard: Option<Guard>,
    /// What the rows held that were read without their items, by trial.
    prints: RefCell<BTreeMap<Id, Id>>,
}

impl Store {
    /// Opens the store, making it and its folder where there is none and bringing an older one up to date.
    ///
    /// # Errors
    /// Where the file cannot be opened or written, is no store, or was written by a newer version.
    pub fn open(file: &Path) -> Result<Store> {
        guard::make_private(file).map_err(|e| refused(file, &e))?;
        let mut store = Store::start(file)?;
        store.guard = Guard::of(file);
        Ok(store)
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
        let mut store = Store { db, file: file.into(), guard: None, prints: RefCell::default() };
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

    /// Tells whether what was written is still where others find it: the file at the store's path is the one that is
    /// open.
    ///
    /// # Errors
    /// [`Error::Gone`] where the file was removed, or another one stands in its place.
    pub fn check_there(&self) -> Result<()> {
        match &self.guard {
            Some(guard) if !guard.still_holds() => Err(Error::Gone { file: self.file.clone() }),
            _ => Ok(()),
        }
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
    let why = error.to_string();
    let owned = || file.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { file: owned() },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Damaged { file: owned(), why },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { file: owned() },
        // SQLite says no more than "disk I/O error"; a file beside it tells what the disk has against it
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            match guard::try_writing(file) {
                Err(reason) => refused(file, &reason),
                Ok(()) => Error::Inaccessible { file: owned(), why },
            }
        }
        Some(_) => Error::Inaccessible { file: owned(), why },
        // no code of SQLite's: a column or a JSON record that does not read back
        None => Error::Damaged { file: owned(), why },
    }
}

/// What the system said, as a sentence of ours.
fn refused(file: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let file = file.to_path_buf();
    match error.kind() {
        StorageFull | QuotaExceeded => Error::Full { file },
        FileTooLarge => {
            let why = "the limit on the size of files is reached (ulimit -f, or the file system's); what was finished is kept";
            Error::Inaccessible { file, why: why.into() }
        }
        _ => Error::Inaccessible { file, why: error.to_string() },
    }
}

#[cfg(test)]
mod tests;

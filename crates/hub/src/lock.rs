//! One writer at a time: a lock on a file beside the cache, where Python's client looks for it, too.

use super::Error;
use super::http::Wait;
use bantam_core::cancel::Cancel;
use bantam_core::disk::{LOOK, Lock, LockError};
use std::path::Path;

/// Waits for the lock; `say` hears once that it has to.
pub(crate) fn take(path: &Path, cancel: &Cancel, say: &dyn Fn(Wait)) -> Result<Lock, Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::unwritable(folder))?;
    }
    let waiting = || say(Wait { why: "another program is fetching it".into(), time: LOOK });
    Lock::take(path, cancel, waiting).map_err(|error| match error {
        LockError::Cancelled => Error::Cancelled,
        LockError::Refused(error) => Error::unwritable(path)(error),
    })
}

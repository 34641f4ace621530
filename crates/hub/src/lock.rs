//! One writer at a time: an advisory lock on a file beside the cache, the same call on the same file as Python's client
//! makes, so that the two wait for each other. The kernel lets go of it when its holder dies.

use super::Error;
use super::http::Wait;
use bantam_core::cancel::Cancel;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Between two looks at a lock that somebody else holds.
const LOOK: Duration = Duration::from_millis(100);

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock; `say` hears once that it has to.
    pub fn take(path: &Path, cancel: &Cancel, say: &dyn Fn(Wait)) -> Result<Lock, Error> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::unwritable(folder))?;
        }
        let mut told = false;
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path);
            let file = file.map_err(Error::unwritable(path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // a holder that removed the file on leaving has left us a lock that nobody else sees
                Ok(()) if is_still_at(&file, path) => return Ok(Lock { _file: file }),
                Ok(()) => continue,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(e) => return Err(Error::unwritable(path)(e.into())),
            }
            if !told {
                told = true;
                say(Wait { why: "another program is fetching it".into(), time: LOOK });
            }
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let same = |(a, b): (std::fs::Metadata, std::fs::Metadata)| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(std::fs::metadata(path).ok()).is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_given_on_when_dropped() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(".locks/models--a--b/x.lock");
        let first = Lock::take(&path, &Cancel::new(), &|_| {}).expect("free");
        let cancel = Cancel::new();
        let told = std::cell::Cell::new(0);
        let second = Lock::take(&path, &cancel, &|_| {
            told.set(told.get() + 1);
            cancel.cancel();
        });
        assert!(matches!(second, Err(Error::Cancelled)));
        assert_eq!(told.get(), 1);
        drop(first);
        Lock::take(&path, &Cancel::new(), &|_| panic!("it is free")).expect("free again");
    }
}

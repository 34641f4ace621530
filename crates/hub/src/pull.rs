//! A pull: a repository's files at one commit, several at once, into the cache. Which files is `select`'s, one file is
//! `fetch`'s business; here they are counted, room is made sure of, and the revision is remembered when all are there.

use super::error::Error;
use super::fetch::{Fetcher, Moment, Wanted};
use super::http::Wait;
use super::listing::{Listing, Page, Remote, sum};
use super::name::Name;
use super::select::{Want, select};
use super::{Hub, cache};
use bantam_core::sync::{self, lock};
use bantam_core::unit::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Files at once. More would divide the same line; fewer would wait for small ones.
const AT_ONCE: usize = 4;

/// What a pull says while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// What will be there, and how much of it is there already.
    Planned {
        /// The commit that is pulled.
        commit: String,
        /// The files; later messages number them from 0.
        files: Vec<Planned>,
    },
    /// So many bytes of a file are there.
    At {
        /// The file's number in the plan.
        file: usize,
        /// Its bytes that are there; fewer than before where it has to begin again.
        bytes: u64,
    },
    /// A file is waited for: another program fetches it, or the hub does not answer.
    Waiting {
        /// The file's number in the plan.
        file: usize,
        /// How long is waited, and why.
        wait: Wait,
    },
}

/// A file of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The file's path in the repository.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes that are there already.
    pub there: u64,
}

/// What a pull brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The commit that the files are of.
    pub commit: String,
    /// The snapshot's folder.
    pub folder: PathBuf,
    /// The files in it that were asked for; offline, those of them that are here.
    pub files: Vec<PathBuf>,
    /// Bytes of these files.
    pub bytes: Bytes,
    /// Bytes of them that had not been here before.
    pub fetched: Bytes,
}

impl Hub {
    /// Fetches the files that a name means into the cache; what is there already is not fetched again. `say` is called
    /// from several threads.
    ///
    /// # Errors
    /// One sentence; what was fetched until then is kept, and the next pull goes on from it.
    pub fn pull(&self, name: &Name, want: &Want, say: &(dyn Fn(Progress) + Sync)) -> Result<Pulled, Error> {
        if self.settings.offline {
            return self.pulled_before(name, want);
        }
        self.http.guarded(|| {
            let listing = self.listing(name)?;
            let files = select(name, &listing, want)?;
            self.pull_files(name, &listing, &files, want.verify, say)
        })
    }

    /// Fetches these files of a listing.
    pub(super) fn pull_files(
        &self,
        name: &Name,
        listing: &Listing,
        files: &[Remote],
        verify: bool,
        say: &(dyn Fn(Progress) + Sync),
    ) -> Result<Pulled, Error> {
        let cache = &self.settings.cache;
        let fetcher =
            Fetcher { http: &self.http, settings: &self.settings, cache, listing, cancel: &self.cancel, verify };
        let explain = |fault| self.explain(fault, name, Some(listing));
        let wanted: Vec<Wanted> =
            files.iter().map(|file| fetcher.wanted(file).map_err(explain)).collect::<Result<_, _>>()?;
        let planned: Vec<Planned> = wanted.iter().map(|file| plan(&fetcher, file)).collect();
        let missing = sum(planned.iter().map(|file| file.size - file.there));
        has_room(cache.folder(), &listing.repo.id(), missing)?;
        say(Progress::Planned { commit: listing.commit.clone(), files: planned });

        let fetched = self.fetch_all(&fetcher, &wanted, say).map_err(explain)?;
        cache.remember(&name.repo, &name.revision, &listing.commit)?;
        Ok(Pulled {
            commit: listing.commit.clone(),
            folder: cache.snapshot(&listing.repo, &listing.commit),
            bytes: Bytes(sum(wanted.iter().map(|file| file.size))),
            fetched: Bytes(sum(fetched.iter().map(|(_, came)| *came))),
            files: fetched.into_iter().map(|(path, _)| path).collect(),
        })
    }

    /// The first file that cannot be had ends the others, too: they are kept as far as they came.
    fn fetch_all(
        &self,
        fetcher: &Fetcher,
        wanted: &[Wanted],
        say: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<(PathBuf, u64)>, super::http::Fault> {
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..wanted.len()).collect());
        let done: Mutex<Vec<Option<(PathBuf, u64)>>> = Mutex::new(vec![None; wanted.len()]);
        let failed = AtomicBool::new(false);
        let work = || -> Result<(), super::http::Fault> {
            loop {
                let next = lock(&queue).pop_front();
                let Some(file) = next.filter(|_| !failed.load(Ordering::SeqCst)) else { return Ok(()) };
                let tell = |moment| match moment {
                    Moment::At(bytes) => say(Progress::At { file, bytes }),
                    Moment::Waiting(wait) => say(Progress::Waiting { file, wait }),
                };
                let fetched =
                    fetcher.fetch(&wanted[file], &tell).inspect_err(|_| failed.store(true, Ordering::SeqCst))?;
                lock(&done)[file] = Some(fetched);
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(wanted.len())).map(|_| scope.spawn(work)).collect();
            let ends = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            // all are waited for before the first fault is told
            ends.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        let done = sync::into_inner(done);
        Ok(done.into_iter().flatten().collect())
    }

    /// Offline: what is here is what there is, of what is wanted.
    fn pulled_before(&self, name: &Name, want: &Want) -> Result<Pulled, Error> {
        let cache = &self.settings.cache;
        let offline = |what: String| Error::Offline { what, cache: cache.folder().into() };
        let folder = cache.snapshot_of(name)?.ok_or_else(|| offline(name.to_string()))?;
        let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size = |file: &str| std::fs::metadata(folder.join(file)).map_or(0, |facts| facts.len());
        let here = |path: String| Remote { size: Some(size(&path)), path, hash: None };
        let files = cache::below(&folder).into_iter().map(here).collect();
        let listing = Listing { repo: name.repo.clone(), commit, files, page: Page::default() };
        let asked = !want.include.is_empty() || want.quant.is_some() || name.quant.is_some();
        let files = match select(name, &listing, want) {
            Ok(files) => files,
            Err(error) if asked => return Err(offline(format!("what is asked for of {name} ({error})"))),
            // several GGUF files are here, or files of another pull
            Err(_) => listing.files.clone(),
        };
        if want.include.is_empty()
            && let Some(shard) = super::missing_shard(&folder)
        {
            return Err(offline(format!("{shard} of {name}")));
        }
        let files: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.path)).collect();
        for file in files.iter().filter(|_| want.verify) {
            super::digest::verified(file, true, &self.cancel)?;
        }
        let bytes = sum(files.iter().map(|file| std::fs::metadata(file).map_or(0, |facts| facts.len())));
        Ok(Pulled { commit: listing.commit, bytes: Bytes(bytes), files, folder, fetched: Bytes(0) })
    }
}

fn plan(fetcher: &Fetcher, file: &Wanted) -> Planned {
    let there = if fetcher.is_as_long(file) { file.size } else { fetcher.begun(file) };
    Planned { path: file.path.clone(), size: file.size, there }
}

/// Refuses before the first byte what the disk cannot hold.
fn has_room(folder: &Path, name: &str, needed: u64) -> Result<(), Error> {
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    // a file system that does not tell is asked by writing
    let Ok(facts) = rustix::fs::statvfs(existing) else { return Ok(()) };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    match needed > free {
        true => {
            Err(Error::NoRoom { name: name.into(), needed: Bytes(needed), free: Bytes(free), cache: folder.into() })
        }
        false => Ok(()),
    }
}

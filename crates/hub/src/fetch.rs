//! One file from the hub into the cache: what is there is kept, what is missing is asked for by range, and nothing gets
//! its final name before its bytes hash to what the hub said.
//!
//! ```text
//! lock ─► whole already? ─► part on disk, hashed ─► GET Range ─► write + hash … ─► sync ─► hash right? ─► rename, link
//!                                ▲     dropped, hanging: wait, go on from here ┘          │
//!                                └──────────────── once: delete, from the beginning ──────┘ wrong
//! ```

use super::Cache;
use super::error::Error;
use super::http::{Answer, ByteRange, Fault, Http, Retries, Wait};
use super::listing::{Listing, Remote};
use super::lock;
use super::settings::Settings;
use super::verify::{Hash, Hasher};
use bantam_core::cancel::Cancel;
use bantam_core::unit::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Read, hashed and written at once.
const CHUNK: usize = 256 << 10;
/// What a try has to bring for the tries before it to be forgotten.
const PROGRESS: u64 = 64 << 10;

/// A file to be fetched, with what is needed to check it when it is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Its path in the repository.
    pub path: String,
    /// Its address at the listing's commit.
    pub url: String,
    /// Its length in bytes.
    pub size: u64,
    /// What its bytes must hash to.
    pub hash: Hash,
}

/// What a fetch does while it works.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Moment {
    /// So many bytes of the file are there; fewer than before where it has to begin again.
    At(u64),
    /// The fetch waits, for another program or for the hub.
    Waiting(Wait),
}

/// What all fetches of a pull share.
pub(crate) struct Fetcher<'a> {
    /// The client that asks.
    pub http: &'a Http,
    /// How the hub is asked.
    pub settings: &'a Settings,
    /// Where the files go.
    pub cache: &'a Cache,
    /// The repository at its commit.
    pub listing: &'a Listing,
    /// Set to stop the fetches.
    pub cancel: &'a Cancel,
    /// Whether what is here is read, whatever is remembered of it.
    pub verify: bool,
}

impl Fetcher<'_> {
    /// Finds the size and the hash of a file: in the listing, or by asking where it does not tell.
    ///
    /// # Errors
    /// Where the hub has to be asked and refuses, or does not tell the size and the hash.
    pub(crate) fn wanted(&self, file: &Remote) -> Result<Wanted, Fault> {
        let url = self.listing.url_of(self.http.endpoint(), &file.path);
        if let (Some(size), Some(hash)) = (file.size, file.hash.clone()) {
            return Ok(Wanted { path: file.path.clone(), url, size, hash });
        }
        let answer = self.http.head(&url)?;
        let linked = |name: &str, plain: &str| answer.header(name).or_else(|| answer.header(plain)).map(str::to_owned);
        let etag = linked("x-linked-etag", "etag").as_deref().and_then(Hash::of_etag);
        let size = linked("x-linked-size", "content-length").and_then(|size| size.parse().ok());
        match (size, etag) {
            (Some(size), Some(hash)) => Ok(Wanted { path: file.path.clone(), url, size, hash }),
            _ => {
                let why = format!("it does not tell the size and the hash of {}", file.path);
                Err(Fault::Final(Error::Protocol { url, why }))
            }
        }
    }

    /// Tells whether a file of the right length is among the blobs.
    pub(crate) fn is_as_long(&self, file: &Wanted) -> bool {
        let blob = self.cache.blob(&self.listing.repo, &file.hash);
        std::fs::metadata(blob).is_ok_and(|facts| facts.len() == file.size)
    }

    /// Tells whether the whole file is among the blobs, with the right bytes: a rotten one is fetched anew.
    fn is_whole(&self, file: &Wanted) -> Result<bool, Fault> {
        let blob = self.cache.blob(&self.listing.repo, &file.hash);
        match self.is_as_long(file).then(|| file.hash.check(&blob, self.verify, self.cancel)) {
            Some(Ok(other)) => Ok(other.is_none()),
            Some(Err(_)) if self.cancel.is_cancelled() => Err(Fault::Final(Error::Cancelled)),
            Some(Err(error)) => Err(Fault::Final(Error::unreadable(&blob)(error))),
            None => Ok(false),
        }
    }

    /// Counts the bytes of the file that an earlier pull has left.
    pub(crate) fn begun(&self, file: &Wanted) -> u64 {
        let part = self.cache.part(&self.listing.repo, &file.hash);
        std::fs::metadata(part).map_or(0, |facts| facts.len()).min(file.size)
    }

    /// Fetches what is missing of a file; gives its path in the snapshot, and how many bytes came.
    ///
    /// # Errors
    /// Where the hub refuses or does not answer, the hash is wrong twice, the disk refuses, or the job is cancelled.
    pub(crate) fn fetch(&self, file: &Wanted, say: &dyn Fn(Moment)) -> Result<(PathBuf, u64), Fault> {
        let repo = &self.listing.repo;
        let waiting = |wait| say(Moment::Waiting(wait));
        let final_ = Fault::Final;
        let mut came = 0;
        if !self.is_whole(file)? {
            let lock = self.cache.lock(repo, &file.hash);
            let _lock = lock::take(&lock, self.cancel, &waiting).map_err(final_)?;
            if !self.is_whole(file)? {
                came = self.download(file, say)?;
            }
        }
        say(Moment::At(file.size));
        let path = self.cache.link(repo, &self.listing.commit, &file.path, &file.hash).map_err(final_)?;
        Ok((path, came))
    }

    /// Gives the bytes that were not here before.
    fn download(&self, file: &Wanted, say: &dyn Fn(Moment)) -> Result<u64, Fault> {
        let mut part = Growing::open(self, file).map_err(Fault::Final)?;
        let mut here = part.length;
        let found = match self.complete(&mut part, file, say)? {
            found if found == file.hash => found,
            // bytes of an earlier pull may have been bad: once from the beginning
            _ => {
                part.restart().map_err(Fault::Final)?;
                here = 0;
                say(Moment::At(0));
                self.complete(&mut part, file, say)?
            }
        };
        if found != file.hash {
            part.discard();
            let (name, expected) = (self.listing.repo.id(), file.hash.to_string());
            return Err(Fault::Final(Error::Mismatch {
                name,
                file: file.path.clone(),
                expected,
                found: found.to_string(),
            }));
        }
        part.finish(self.cache.blob(&self.listing.repo, &file.hash)).map_err(Fault::Final)?;
        Ok(file.size - here)
    }

    /// Appends until the part is as long as the file; gives the hash of all of it.
    fn complete(&self, part: &mut Growing, file: &Wanted, say: &dyn Fn(Moment)) -> Result<Hash, Fault> {
        let mut retries = Retries::of_a_file(self.settings.patience);
        say(Moment::At(part.length));
        // the most that was ever here: bytes that come again and again are no progress
        let mut farthest = part.length;
        while part.length < file.size {
            let Err(fault) = self.append(part, file, say) else { continue };
            let Fault::Passing { why, wait } = fault else { return Err(fault) };
            if part.length >= farthest.saturating_add(PROGRESS) {
                farthest = part.length;
                retries.forget();
            }
            self.http.pause(&mut retries, &file.url, why, wait, &|wait| say(Moment::Waiting(wait)))?;
        }
        Ok(part.hasher.clone().finish())
    }

    /// One request, written as it comes.
    fn append(&self, part: &mut Growing, file: &Wanted, say: &dyn Fn(Moment)) -> Result<(), Fault> {
        let range = if part.length == 0 { ByteRange::Whole } else { ByteRange::From(part.length) };
        let answer = self.http.stream(&file.url, range)?;
        match answer.status {
            // it has less than we have: what we have is not its file
            416 => {
                part.restart().map_err(Fault::Final)?;
                return Err(Fault::passing("its file ends before ours"));
            }
            206 => continues(&answer, part.length, file.size)?,
            // the server sends all of it, whatever was asked
            _ if part.length > 0 => part.restart().map_err(Fault::Final)?,
            _ => {}
        }
        if let Some(length) = answer.length().filter(|length| part.length + length != file.size) {
            let why = format!("it sends {length} bytes where {} are missing", file.size - part.length);
            return Err(Fault::passing(why));
        }
        self.copy(answer, part, file, say)
    }

    fn copy(&self, answer: Answer, part: &mut Growing, file: &Wanted, say: &dyn Fn(Moment)) -> Result<(), Fault> {
        let mut body = self.http.paced(answer.body.into_reader());
        let mut buffer = vec![0; CHUNK];
        loop {
            if self.cancel.is_cancelled() {
                return Err(Fault::Final(Error::Cancelled));
            }
            let left = file.size - part.length;
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if room == 0 {
                return Ok(());
            }
            let read = match body.read(&mut buffer[..room]) {
                Ok(0) => return Err(Fault::passing(format!("the connection ended {} early", Bytes(left)))),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if self.cancel.is_cancelled() => return Err(Fault::Final(Error::Cancelled)),
                Err(e) => return Err(Fault::passing(e.to_string())),
            };
            part.append(&buffer[..read]).map_err(Fault::Final)?;
            say(Moment::At(part.length));
        }
    }
}

/// A 206 is of use only where it begins at our end and is of a file of the same length.
fn continues(answer: &Answer, from: u64, size: u64) -> Result<(), Fault> {
    let told = answer.header("content-range").unwrap_or_default();
    let right = [format!("bytes {from}-{}/{size}", size - 1), format!("bytes {from}-{}/*", size - 1)];
    match right.iter().any(|right| right == told.trim()) {
        true => Ok(()),
        false => {
            Err(Fault::passing(format!("it sends the range '{told}' where {from} to the end of {size} was asked for")))
        }
    }
}

/// Opens the file that a part grows in, which is nobody else's: a link or a pipe that stands there is not followed or waited
/// for but taken away, and so is a file that has another name, too.
fn open_own(path: &Path) -> io::Result<File> {
    let own = |facts: &std::fs::Metadata| facts.is_file() && facts.nlink() == 1;
    if std::fs::symlink_metadata(path).is_ok_and(|facts| !own(&facts) && !facts.is_dir()) {
        std::fs::remove_file(path)?;
    }
    let not_followed = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2)");
    File::options().create(true).truncate(false).read(true).write(true).custom_flags(not_followed).open(path)
}

/// A file on its way: its bytes so far and their hash.
struct Growing {
    file: File,
    path: PathBuf,
    /// As the repository calls it.
    name: String,
    length: u64,
    hasher: Hasher,
    fresh: Hasher,
}

impl Growing {
    /// Opens what an earlier pull has left, and hashes it; or begins anew.
    fn open(fetcher: &Fetcher, wanted: &Wanted) -> Result<Growing, Error> {
        let path = fetcher.cache.part(&fetcher.listing.repo, &wanted.hash);
        let folder = path.parent().expect("a part is in blobs/");
        std::fs::create_dir_all(folder).map_err(Error::unwritable(folder))?;
        let fresh = Hasher::like(&wanted.hash, wanted.size);
        let file = open_own(&path).map_err(Error::unwritable(&path))?;
        let mut part = Growing { file, path, name: wanted.path.clone(), length: 0, hasher: fresh.clone(), fresh };
        let length = part.file.metadata().map_err(Error::unreadable(&part.path))?.len();
        if length > wanted.size {
            part.restart()?;
        } else {
            part.take_up(fetcher.cancel)?;
        }
        Ok(part)
    }

    /// Hashes the bytes that are there.
    fn take_up(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match self.file.read(&mut buffer).map_err(Error::unreadable(&self.path))? {
                0 => return Ok(()),
                read => {
                    self.hasher.update(&buffer[..read]);
                    self.length += read as u64;
                }
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(written) if written > 0 => {
                    self.hasher.update(&rest[..written]);
                    self.length += written as u64;
                    rest = &rest[written..];
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                ended => {
                    let source = ended.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    return Err(Error::Stopped { file: self.name.clone(), kept: Bytes(self.length), source });
                }
            }
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Error> {
        let empty = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        empty.map_err(Error::unwritable(&self.path))?;
        self.length = 0;
        self.hasher = self.fresh.clone();
        Ok(())
    }

    /// Gives it its final name, once it is surely on the disk.
    fn finish(self, blob: PathBuf) -> Result<(), Error> {
        let done = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, &blob));
        done.map_err(Error::unwritable(&blob))
    }

    /// What is known to be wrong is of no use to the next pull. That it cannot be removed changes nothing: it is hashed
    /// again before it is used.
    fn discard(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

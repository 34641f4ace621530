//! Where a command is asked to write a file: what may stand there already, and what is never replaced.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Why nothing is written at a place.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Something that is no file stands there.
    #[error("{}: it is {what}, and a file would take its place; name a file", place.display())]
    NoFile {
        /// The place.
        place: PathBuf,
        /// What stands there, with its article.
        what: &'static str,
    },
    /// The file is one of those that are read.
    #[error("{}: it is a file of the model that is read ({}); name another", place.display(), input.display())]
    Input {
        /// The place.
        place: PathBuf,
        /// The file that is read.
        input: PathBuf,
    },
    /// The file is somebody else's.
    #[error("{}: it is there already, and not a file that bantam wrote; name another, or replace it with --force", place.display())]
    Foreign {
        /// The place.
        place: PathBuf,
    },
    /// There is no folder to write into.
    #[error("{}: there is no such folder to write into", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder takes no file.
    #[error("{}: no file can be written there: {source}", folder.display())]
    Closed {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The place cannot be looked at.
    #[error("{}: {source}", place.display())]
    Unknown {
        /// The place.
        place: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Looks whether a file may be written at `place`. `inputs` are the files that are read meanwhile, and `is_ours` tells
/// of a file whether it may be replaced without being asked for by `force`; an empty one may.
///
/// # Errors
/// Where a device, a pipe, a socket, a folder, an input or a foreign file stands there, by whatever name or link.
pub fn check(place: &Path, force: bool, inputs: &[PathBuf], is_ours: &dyn Fn(&Path) -> bool) -> Result<(), Refusal> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Refusal::NoFolder { folder: folder.to_owned() });
    }
    let unknown = |source: io::Error| Refusal::Unknown { place: place.to_owned(), source };
    let itself = match fs::symlink_metadata(place) {
        Ok(itself) => itself,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return takes_files(folder),
        Err(error) => return Err(unknown(error)),
    };
    // where a link leads counts, and a link that leads nowhere is one that somebody made
    let found = match fs::metadata(place) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => itself.clone(),
        Err(error) => return Err(unknown(error)),
    };
    if let Some(what) = no_file(found.file_type()) {
        return Err(Refusal::NoFile { place: place.to_owned(), what });
    }
    let is_found = |input: &&PathBuf| {
        fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (found.dev(), found.ino()))
    };
    if let Some(input) = inputs.iter().find(is_found) {
        return Err(Refusal::Input { place: place.to_owned(), input: input.clone() });
    }
    let may_go = !itself.is_symlink() && (found.len() == 0 || is_ours(place));
    match force || may_go {
        true => takes_files(folder),
        false => Err(Refusal::Foreign { place: place.to_owned() }),
    }
}

/// Tries whether a folder takes a file, before an hour is spent on one: what is written goes to a new file there first.
fn takes_files(folder: &Path) -> Result<(), Refusal> {
    let tried = tempfile::tempfile_in(folder);
    tried.map(|_| ()).map_err(|source| Refusal::Closed { folder: folder.to_owned(), source })
}

/// What something is that is no file.
fn no_file(kind: fs::FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        kind if kind.is_fifo() => Some("a pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_ours_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        for (name, text) in [("input", "weights"), ("ours", "ours"), ("foreign", "a thesis"), ("empty", "")] {
            fs::write(place(name), text).expect("written");
        }
        fs::hard_link(place("input"), place("hard")).expect("linked");
        std::os::unix::fs::symlink(place("input"), place("soft")).expect("linked");
        std::os::unix::fs::symlink(place("ours"), place("to_ours")).expect("linked");
        std::os::unix::fs::symlink(place("nowhere"), place("dangling")).expect("linked");
        std::os::unix::fs::symlink("/dev/null", place("to_null")).expect("linked");
        let _listener = std::os::unix::net::UnixListener::bind(place("socket")).expect("bound");
        let is_ours = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes == b"ours");
        let said = |path: &Path, force| match check(path, force, &[place("input")], &is_ours) {
            Ok(()) => "ok",
            Err(Refusal::NoFile { what, .. }) => what,
            Err(Refusal::Input { .. }) => "input",
            Err(Refusal::Foreign { .. }) => "foreign",
            Err(Refusal::NoFolder { .. }) => "no folder",
            Err(Refusal::Closed { .. }) => "closed",
            Err(Refusal::Unknown { .. }) => "unknown",
        };
        let input = folder.path().join("x/../input");
        fs::create_dir(place("x")).expect("made");
        for (path, plain, forced) in [
            (place("new"), "ok", "ok"),
            (place("ours"), "ok", "ok"),
            (place("empty"), "ok", "ok"),
            (place("foreign"), "foreign", "ok"),
            (place("to_ours"), "foreign", "ok"),
            (place("dangling"), "foreign", "ok"),
            (place("input"), "input", "input"),
            (place("hard"), "input", "input"),
            (place("soft"), "input", "input"),
            (input, "input", "input"),
            (folder.path().to_owned(), "a folder", "a folder"),
            (place("socket"), "a socket", "a socket"),
            (place("to_null"), "a device", "a device"),
            (place("none/x"), "no folder", "no folder"),
            // a folder in which nobody makes files
            (PathBuf::from("/proc/self/fd/x"), "closed", "closed"),
        ] {
            assert_eq!((said(&path, false), said(&path, true)), (plain, forced), "{}", path.display());
        }
    }
}

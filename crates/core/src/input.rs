//! Reading what somebody else named: regular files only, up to a length that is said. A FIFO would wait for a writer
//! for ever, a device or a file of /proc may have no end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The most bytes of a file that people write by hand: a profile, a suite, a recipe.
pub const WRITTEN_BY_HAND: u64 = 16 << 20;

/// Opens a regular file.
///
/// # Errors
/// Where the file cannot be opened, or is none that has an end: a folder, FIFO, socket or device, or a file that the
/// system makes up as it is read. The message goes on from the file's name.
pub fn open(path: &Path) -> Result<File> {
    let file = open_without_waiting(path)?;
    let kind = file.metadata()?.file_type();
    match what_it_is(&kind) {
        Some(what) => Err(refused(format!("it is {what}, and only a regular file is read; save its text as a file"))),
        None if is_made_up(&file) => {
            Err(refused("it is made up by the system as it is read; copy it to a file first".into()))
        }
        None => Ok(file),
    }
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; and where the file is longer.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(refused(format!("it is longer than {} MiB", limit >> 20))),
        false => Ok(bytes),
    }
}

/// Reads a text of at most `limit` bytes from a regular file.
///
/// # Errors
/// As [`read`]; and where the bytes are no UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text; save it as UTF-8"))
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        // a socket cannot be opened at all
        Err(rustix::io::Errno::NXIO) => Err(refused("it is a socket, and only a regular file is read".into())),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> Result<File> {
    File::open(path)
}

/// What a file is that is no regular one.
#[cfg(unix)]
fn what_it_is(kind: &std::fs::FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_fifo() => Some("a pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

#[cfg(not(unix))]
fn what_it_is(kind: &std::fs::FileType) -> Option<&'static str> {
    (!kind.is_file()).then_some("no file")
}

/// Whether a file is one of /proc, /sys and their like, whose length is not known before they were read.
#[cfg(target_os = "linux")]
fn is_made_up(file: &File) -> bool {
    // linux/magic.h: proc, sysfs, debugfs, tracefs, cgroup v1 and v2, securityfs
    const MAGIC: [rustix::fs::FsWord; 7] =
        [0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x0027_e0eb, 0x6367_7270, 0x7363_6673];
    rustix::fs::fstatfs(file).is_ok_and(|system| MAGIC.contains(&system.f_type))
}

#[cfg(not(target_os = "linux"))]
fn is_made_up(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("a");
        std::fs::write(&path, "héllo").expect("writes");
        assert_eq!(read_to_string(&path, 6).expect("six bytes"), "héllo");
        let error = read(&path, 5).expect_err("too long").to_string();
        assert!(error.contains("longer than"), "{error}");
        std::fs::write(&path, [0xff]).expect("writes");
        assert!(read_to_string(&path, 5).expect_err("no text").to_string().contains("UTF-8"));
        assert_eq!(read(&folder.path().join("b"), 5).expect_err("missing").kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_has_no_end_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("temp dir");
        let said = |path: &Path| read(path, 1 << 20).expect_err("no regular file").to_string();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a FIFO");
        assert!(said(&fifo).contains("a pipe"), "{}", said(&fifo));
        let socket = folder.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        assert!(said(&socket).contains("a socket"), "{}", said(&socket));
        assert!(said(Path::new("/dev/zero")).contains("a device"));
        assert!(said(folder.path()).contains("a folder"));
        assert!(said(Path::new("/proc/self/status")).contains("made up by the system"));
    }
}

//! Lines on the standard streams, without the panic that `println!` ends in where nobody reads any more.
//!
//! What a command was asked for goes to stdout by [`say!`] or [`stdout`]: a reader that has seen enough (`| head`) is no
//! fault, a full disk is an error of the command. What is said on the way goes to stderr by [`note!`]: where that cannot
//! be written there is nobody to tell, and the work goes on. A line is one line, and what it says of others' names and
//! texts steers no terminal: all of it passes [`bantam_core::text`].

use bantam_core::text;
use serde_json::Value;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Prints a line on stdout: `say!("{} files", n)?`; what is in it breaks no line.
macro_rules! say {
    () => { $crate::show::out::line(format_args!("")) };
    ($($words:tt)*) => { $crate::show::out::line(format_args!($($words)*)) };
}

/// Prints a line on stderr; it cannot fail.
macro_rules! note {
    ($($words:tt)*) => { $crate::show::out::remark(format_args!($($words)*)) };
}

pub(crate) use {note, say};

/// Writes to stdout and takes a closed pipe for a reader that has seen enough.
pub struct Stdout(StdoutLock<'static>);

/// Locks stdout for a table or for many lines.
pub fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}

/// Prints a line on stdout; [`say!`] words it.
///
/// # Errors
/// Where stdout cannot be written for another reason than that it is closed.
pub fn line(words: Arguments) -> io::Result<()> {
    writeln!(stdout(), "{}", text::plain(&words.to_string()))
}

/// Prints JSON on stdout, on a line of its own: as `value` writes itself, in letters that can be shown.
///
/// # Errors
/// As [`line()`].
pub fn json(value: &Value) -> io::Result<()> {
    writeln!(stdout(), "{}", text::json(&value.to_string()))
}

/// Prints JSON on stdout for eyes, too, over several lines.
///
/// # Errors
/// As [`line()`].
pub fn pretty_json(value: &Value) -> io::Result<()> {
    writeln!(stdout(), "{}", text::json(&format!("{value:#}")))
}

/// Prints a path on stdout: to the byte where a program reads it, fit for eyes on a terminal.
///
/// # Errors
/// As [`line()`].
pub fn path(path: &Path) -> io::Result<()> {
    if io::stdout().is_terminal() {
        return line(format_args!("{}", path.display()));
    }
    let mut out = stdout();
    out.write_all(path.as_os_str().as_bytes())?;
    out.write_all(b"\n")
}

/// Prints a line on stderr, if it can be printed; [`note!`] words it.
pub fn remark(words: Arguments) {
    let words = words.to_string();
    let _ = writeln!(io::stderr().lock(), "{}", text::plain(&text::without_passwords(&words)));
}

/// The same, softer than what stands round it where stderr is a terminal.
pub fn aside(words: &str) {
    let words = text::plain(words);
    let _ = match is_styled(io::stderr().is_terminal()) {
        true => writeln!(io::stderr().lock(), "\x1b[2m{words}\x1b[0m"),
        false => writeln!(io::stderr().lock(), "{words}"),
    };
}

/// Text of others on stdout as it comes, line breaks included; soft where a terminal shows it.
///
/// # Errors
/// As [`line()`].
pub fn piece(words: &str, is_soft: bool) -> io::Result<()> {
    let words = text::lines(words);
    let mut out = stdout();
    match is_soft && is_styled(io::stdout().is_terminal()) {
        true => write!(out, "\x1b[2m{words}\x1b[0m")?,
        false => out.write_all(words.as_bytes())?,
    }
    out.flush()
}

fn is_styled(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Stderr for a log: what cannot be written is lost, and its lines are fit to be shown.
#[derive(Debug, Default)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = String::from_utf8_lossy(bytes);
        let _ = io::stderr().lock().write_all(text::lines(&text::without_passwords(&written)).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks on stderr, on a line that stays open for the answer.
///
/// # Errors
/// Where stderr cannot be written: a question that nobody sees must not be waited for.
pub fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{} ", text::plain(question))?;
    stderr.flush()
}

/// Prints text that is bantam's own, styles and line breaks included, on stdout.
///
/// # Errors
/// As [`line()`].
pub fn own(text: &str) -> io::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn unless_closed<T>(written: io::Result<T>, all: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(all),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let written = |kind: ErrorKind| unless_closed::<usize>(Err(kind.into()), 7);
        assert_eq!(written(ErrorKind::BrokenPipe).expect("closed"), 7);
        assert_eq!(written(ErrorKind::StorageFull).expect_err("full").kind(), ErrorKind::StorageFull);
    }
}

//! Lines on the standard streams, without the panic that `println!` ends in where nobody reads any more.
//!
//! What a command was asked for goes to stdout by [`say!`] or [`stdout`]: a reader that has seen enough (`| head`) is no
//! fault, a full disk is an error of the command. What is said on the way goes to stderr by [`note!`]: where that cannot
//! be written there is nobody to tell, and the work goes on.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, StdoutLock, Write};

/// Prints a line on stdout: `say!("{} files", n)?`.
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
    writeln!(stdout(), "{words}")
}

/// Prints a line on stderr, if it can be printed; [`note!`] words it.
pub fn remark(words: Arguments) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Asks on stderr, on a line that stays open for the answer.
///
/// # Errors
/// Where stderr cannot be written: a question that nobody sees must not be waited for.
pub fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} ")?;
    stderr.flush()
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

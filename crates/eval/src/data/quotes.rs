//! A table's bytes on their way to the parser, watched for quotes that nobody closes: the parser takes the rest of the
//! file for one cell then, without a word.

use std::io::{self, Read};

/// Passes bytes on and knows in which line a quote is open.
pub(super) struct Quotes<R> {
    inner: R,
    delimiter: u8,
    state: State,
    line: usize,
    /// The line of the last quote that began a cell, and the bytes since.
    opened: (usize, u64),
    most: u64,
    stray: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Where a quote begins a quoted cell.
    Start,
    Plain,
    Quoted,
    /// After a quote within a quoted cell: its end, or the first of two that stand for one.
    Closed,
}

impl<R> Quotes<R> {
    /// Watches a table; a cell in quotes may have `most` bytes.
    pub(super) fn of(inner: R, delimiter: u8, most: u64) -> Quotes<R> {
        Quotes { inner, delimiter, state: State::Start, line: 1, opened: (1, 0), most, stray: None }
    }

    /// The line of the quote that is open, where one is.
    pub(super) fn open(&self) -> Option<usize> {
        (self.state == State::Quoted).then_some(self.opened.0)
    }

    /// The lines of the first quote that other text follows upon, where the two are not the same: the one that it closes
    /// was left open, and it was meant to begin a cell itself.
    pub(super) fn stray(&self) -> Option<(usize, usize)> {
        self.stray
    }

    fn see(&mut self, byte: u8) {
        let ends = matches!(byte, b'"' | b'\n' | b'\r') || byte == self.delimiter;
        if self.state == State::Closed && !ends && self.opened.0 < self.line {
            self.stray = self.stray.or(Some((self.opened.0, self.line)));
        }
        self.state = match (self.state, byte) {
            (State::Start, b'"') => {
                self.opened = (self.line, 0);
                State::Quoted
            }
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) | (State::Closed, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => State::Start,
            (_, byte) if byte == self.delimiter => State::Start,
            _ => State::Plain,
        };
        self.line += usize::from(byte == b'\n');
        self.opened.1 += 1;
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.open().is_some() && self.opened.1 > self.most {
            return Err(io::Error::other("a cell is longer than is read"));
        }
        let read = self.inner.read(room)?;
        room[..read].iter().for_each(|&byte| self.see(byte));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Option<usize> {
        let mut quotes = Quotes::of(text.as_bytes(), b',', 1 << 20);
        io::copy(&mut quotes, &mut io::sink()).expect("reads");
        quotes.open()
    }

    #[test]
    fn a_quote_is_open_from_its_line_on_and_two_within_a_cell_are_one() {
        assert_eq!(open("a,b\n1,\"x\n2,y\n"), Some(2));
        assert_eq!(open("a,b\n\"1 \"\"one\"\"\n\",x\n3,\"y"), Some(4));
        for closed in ["a,b\n\"1\n\n\",x\n", "a,b\n1 \"one,x\n", "a\n\"\"\n", "a\n\"\"\"\"\n", ""] {
            assert_eq!(open(closed), None, "{closed:?}");
        }
    }

    #[test]
    fn a_quote_that_closes_another_ones_cell_is_told_with_both_lines() {
        let stray = |text: &str| {
            let mut quotes = Quotes::of(text.as_bytes(), b',', 1 << 20);
            io::copy(&mut quotes, &mut io::sink()).expect("reads");
            quotes.stray()
        };
        assert_eq!(stray("a,b\n1,\"x\n2,\"y\"\n3,z\n"), Some((2, 3)));
        for fine in ["a,b\n1,\"x\n2\"\n3,\"y\"\"z\"\r\n", "a,b\n1,\"x\"y\n"] {
            assert_eq!(stray(fine), None, "{fine:?}");
        }
    }

    #[test]
    fn a_cell_without_an_end_is_not_read_without_end() {
        let endless = b"a\n\"".chain(io::repeat(b'x'));
        let mut quotes = Quotes::of(endless, b',', 1 << 20);
        assert!(io::copy(&mut quotes, &mut io::sink()).is_err());
        assert_eq!(quotes.open(), Some(2));
    }
}

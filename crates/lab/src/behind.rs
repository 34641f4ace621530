//! Writing behind: bytes that are made go to a thread which hashes and writes them, while the next are made.

use anyhow::{Context, Result, anyhow};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes that are handed over at a time.
const PIECE: usize = 4 << 20;
/// Pieces that wait at most, so that memory is bounded where the disk is slow.
const WAITING: usize = 2;

/// Does work that writes to `out`, which another thread does in the same order.
///
/// # Errors
/// As the work, or as writing, whichever was first to fail.
pub(crate) fn behind<W: Write + Send, T>(out: &mut W, work: impl FnOnce(&mut Front) -> Result<T>) -> Result<T> {
    let (full, pieces) = sync_channel::<Vec<u8>>(WAITING);
    let (back, empty) = sync_channel(WAITING + 2);
    thread::scope(|scope| {
        let writer = scope.spawn(move || -> io::Result<()> {
            for piece in pieces {
                out.write_all(&piece)?;
                // who made it has gone where this fails
                let _ = back.try_send(piece);
            }
            Ok(())
        });
        let mut front = Front { full, empty, piece: Vec::with_capacity(PIECE) };
        let worked = work(&mut front);
        let handed = front.hand_over();
        drop(front);
        let written = writer.join().map_err(|_| anyhow!("the thread that writes has failed"))?;
        // where it could not be written, the work heard of no more than that
        written?;
        let made = worked?;
        handed.context("cannot write")?;
        Ok(made)
    })
}

/// Where the bytes are put.
pub(crate) struct Front {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    piece: Vec<u8>,
}

impl Front {
    fn hand_over(&mut self) -> io::Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        next.clear();
        let piece = std::mem::replace(&mut self.piece, next);
        self.full.send(piece).map_err(|_| io::Error::other("it is no longer written"))
    }
}

impl Write for Front {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and fails then.
    struct Short(Vec<u8>, usize);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > self.1 {
                return Err(io::Error::other("the disk is full"));
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_is_what_was_put_in_its_order() {
        let all: Vec<u8> = (0..3 * PIECE + 17).map(|i| (i / 1000) as u8).collect();
        let mut out = Vec::new();
        let done = behind(&mut out, |front| {
            all.chunks(999_983).try_for_each(|part| front.write_all(part))?;
            Ok(7)
        });
        assert_eq!(done.expect("written"), 7);
        assert!(out == all);
    }

    #[test]
    fn a_failure_of_either_side_is_told_as_it_was() {
        let piece = vec![1; PIECE];
        let mut full = Short(Vec::new(), PIECE);
        let said = behind(&mut full, |front| (0..9).try_for_each(|_| Ok(front.write_all(&piece)?)));
        assert_eq!(said.expect_err("full").to_string(), "the disk is full");
        let said = behind(&mut Vec::new(), |front| {
            front.write_all(&piece)?;
            Err::<(), _>(anyhow!("cancelled"))
        });
        assert_eq!(said.expect_err("cancelled").to_string(), "cancelled");
    }
}

//! Server-sent events, as far as completions use them: lines of `data:` with JSON in them, and the events' names.

use crate::wire::Fault;
use std::io::{BufRead, BufReader, Read};

/// No event is longer.
const MOST_LINE: u64 = 4 << 20;

/// The events of a body, one after the other.
pub(crate) struct Events<R> {
    lines: BufReader<R>,
}

impl<R: Read> Events<R> {
    pub(crate) fn of(body: R) -> Events<R> {
        Events { lines: BufReader::with_capacity(16 << 10, body) }
    }

    /// The data of the next event; None where the body ends. An event of several lines of data is one of several events
    /// here: no API sends such.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Fault> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines).take(MOST_LINE).read_until(b'\n', &mut line);
            match read {
                Err(e) => return Err(Fault::broken(format!("breaks its stream off ({e})"))),
                Ok(0) => return Ok(None),
                Ok(_) if !line.ends_with(b"\n") && line.len() as u64 >= MOST_LINE => {
                    return Err(Fault::broken(format!("sends an event of more than {MOST_LINE} bytes")));
                }
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line);
            if let Some(data) = line.trim_end_matches(['\r', '\n']).strip_prefix("data:") {
                return Ok(Some(data.trim_start().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_and_the_rest_is_passed_over() {
        let body = ": a comment\r\nevent: x\r\ndata: {\"a\":1}\r\n\r\ndata:[DONE]\n\ndata: half";
        let mut events = Events::of(body.as_bytes());
        let mut all = Vec::new();
        while let Some(data) = events.next().expect("reads") {
            all.push(data);
        }
        assert_eq!(all, ["{\"a\":1}", "[DONE]", "half"]);
    }
}

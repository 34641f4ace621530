//! HTTP/1.1 as far as an API needs it, over std's sockets: requests one after the other on a connection, answers whole or in
//! chunks. What comes in is bounded before it is believed, in bytes and in time, and a client that has gone away is noticed
//! while its answer is made, which no small library tells: that is why the socket is ours and only the heads are read by
//! `httparse`.

use super::refusal::Refusal;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of the longest head of a request.
const LONGEST_HEAD: usize = 16 << 10;
/// Header fields of a request, at most.
const MOST_FIELDS: usize = 64;
/// Bytes of the longest body.
pub(super) const LONGEST_BODY: usize = 8 << 20;
/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_secs(75);
/// How long a request may take to come in, once it has begun.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How long a client may leave what it is sent unread.
const UNREAD: Duration = Duration::from_secs(30);

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has come in and is not read yet.
    held: Vec<u8>,
}

/// One request, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without what stands behind a `?`.
    pub(super) path: String,
    pub(super) origin: Option<String>,
    pub(super) body: Vec<u8>,
    /// Whether another may follow on this connection.
    pub(super) keeps: bool,
    /// Whether the client reads answers in chunks, as HTTP/1.0 does not.
    pub(super) chunks: bool,
}

/// What the head of a request says.
#[derive(Debug, Default)]
struct Head {
    request: Request,
    /// Bytes of the head.
    len: usize,
    body: usize,
    /// The client waits to be told that it may send the body.
    waits: bool,
}

impl Connection {
    /// Takes a connection over.
    ///
    /// # Errors
    /// Where the socket does not take its settings.
    pub(super) fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(UNREAD))?;
        Ok(Connection { stream, held: Vec::new() })
    }

    /// Waits for the next request; `None` where none comes any more.
    ///
    /// # Errors
    /// Where it is none, is too long, or does not come in time: the connection is of no use then.
    pub(super) fn request(&mut self) -> Result<Option<Request>, Refusal> {
        if self.held.is_empty() && !self.reads_until(Instant::now() + IDLE).unwrap_or(false) {
            return Ok(None);
        }
        let end = Instant::now() + ARRIVAL;
        let head = loop {
            match head_of(&self.held)? {
                Some(head) => break head,
                None if self.held.len() > LONGEST_HEAD => return Err(too_long_a_head()),
                None if self.reads_until(end).map_err(|error| late(&error))? => {}
                None => return Ok(None),
            }
        };
        if head.waits && self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return Ok(None);
        }
        while self.held.len() < head.len + head.body {
            if !self.reads_until(end).map_err(|error| late(&error))? {
                return Ok(None);
            }
        }
        let body = self.held[head.len..head.len + head.body].to_vec();
        self.held.drain(..head.len + head.body);
        Ok(Some(Request { body, ..head.request }))
    }

    /// Reads some bytes, unless the end of the stream has come.
    fn reads_until(&mut self, end: Instant) -> io::Result<bool> {
        let mut some = [0; 8 << 10];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut some) {
                Ok(read) => {
                    self.held.extend_from_slice(&some[..read]);
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the client has closed the connection.
    pub(super) fn is_gone(&self) -> bool {
        let peeked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0]));
        let gone = match peeked {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        self.stream.set_nonblocking(false).is_err() || gone
    }

    /// Sends a whole answer.
    ///
    /// # Errors
    /// Where the client does not take it.
    pub(super) fn answer(&mut self, status: u16, kind: &str, body: &[u8], more: &str, keeps: bool) -> io::Result<()> {
        let mut bytes = head(status, kind, keeps);
        bytes.push_str(more);
        bytes.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes)
    }

    /// Begins an answer that is sent piece by piece.
    ///
    /// # Errors
    /// Where the client does not take it.
    pub(super) fn begin(&mut self, kind: &str, request: &Request) -> io::Result<()> {
        let mut bytes = head(200, kind, request.keeps && request.chunks);
        bytes.push_str("cache-control: no-cache\r\n");
        bytes.push_str(if request.chunks { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" });
        self.stream.write_all(bytes.as_bytes())
    }

    /// Sends a piece, which is not empty.
    ///
    /// # Errors
    /// Where the client does not take it.
    pub(super) fn piece(&mut self, piece: &str, request: &Request) -> io::Result<()> {
        match request.chunks {
            true => self.stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()),
            false => self.stream.write_all(piece.as_bytes()),
        }
    }

    /// Ends an answer that was sent piece by piece.
    ///
    /// # Errors
    /// Where the client does not take it.
    pub(super) fn end(&mut self, request: &Request) -> io::Result<()> {
        if request.chunks { self.stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }

    /// Closes so that what was sent last is read: a socket that is closed over unread bytes takes its answer back.
    pub(super) fn close(mut self) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let end = Instant::now() + Duration::from_secs(1);
        let mut left = LONGEST_BODY;
        while left > 0 && self.reads_until(end).unwrap_or(false) {
            left = left.saturating_sub(self.held.len());
            self.held.clear();
        }
    }
}

/// Reads the head of a request, once it is there.
fn head_of(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let len = match parsed.parse(&bytes[..bytes.len().min(LONGEST_HEAD)]) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_long_a_head()),
        Err(error) => return Err(Refusal::bad(format!("the request is no HTTP/1.1: {error}"))),
    };
    let newer = parsed.version == Some(1);
    let target = parsed.path.unwrap_or_default();
    let mut head = Head { len, ..Head::default() };
    head.request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: target.split(['?', '#']).next().unwrap_or_default().to_owned(),
        keeps: newer,
        chunks: newer,
        ..Request::default()
    };
    let mut length = None;
    for field in parsed.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" => match value.parse::<usize>() {
                Ok(given) if length.is_none_or(|before| before == given) => length = Some(given),
                _ => return Err(Refusal::bad("content-length is no number of bytes, or two that differ".into())),
            },
            "transfer-encoding" => {
                let what = "a body in chunks is not read; send it whole, with its content-length";
                return Err(Refusal::new(411, what.into()));
            }
            "connection" => head.request.keeps = keeps(value, newer),
            "expect" => head.waits = value.eq_ignore_ascii_case("100-continue"),
            "origin" => head.request.origin = Some(value.to_owned()),
            _ => {}
        }
    }
    head.body = length.unwrap_or(0);
    if head.body > LONGEST_BODY {
        let what = format!("the body has {} bytes, allowed are {LONGEST_BODY}", head.body);
        return Err(Refusal::new(413, what));
    }
    Ok(Some(head))
}

fn keeps(value: &str, newer: bool) -> bool {
    let says = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    if newer { !says("close") } else { says("keep-alive") }
}

fn too_long_a_head() -> Refusal {
    let what = format!("the request's head is longer than {LONGEST_HEAD} bytes or has more than {MOST_FIELDS} fields");
    Refusal::new(431, what)
}

fn late(error: &io::Error) -> Refusal {
    let what = match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            format!("the request did not come whole within {} s", ARRIVAL.as_secs())
        }
        _ => format!("the request cannot be read: {error}"),
    };
    Refusal::new(408, what)
}

/// The head of an answer, but for its end.
fn head(status: u16, kind: &str, keeps: bool) -> String {
    let connection = if keeps { "keep-alive" } else { "close" };
    format!("HTTP/1.1 {status} {}\r\ncontent-type: {kind}\r\nconnection: {connection}\r\n", reason(status))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, Refusal> {
        head_of(text.as_bytes())
    }

    #[test]
    fn a_head_says_what_follows_it() {
        let text = "POST /v1/completions?x=1 HTTP/1.1\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
        let head = read(text).expect("read").expect("whole");
        assert_eq!((head.request.path.as_str(), head.body, head.request.keeps), ("/v1/completions", 12, false));
        assert_eq!(head.len, text.len());
        let old = read("GET / HTTP/1.0\r\n\r\n").expect("read").expect("whole");
        assert!(!old.request.keeps && !old.request.chunks);
        assert!(read("GET / HTTP/1.1\r\nHost: x").expect("read").is_none(), "it may go on");
    }

    #[test]
    fn what_is_no_request_or_too_much_is_refused() {
        let status = |text: &str| read(text).expect_err("refused").status;
        assert_eq!(status("\u{16}\u{3}\u{1} TLS"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n"), 413);
        assert_eq!(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
    }
}

//! Requests to the hub: who asks (the token, for the hub's own host only), what is tried again and after how long, and
//! what a refusal is. It knows HTTP and the hub's headers, no repositories and no files.

use super::error::Error;
use super::settings::{Patience, Settings};
use bantam_core::cancel::Cancel;
use serde::de::DeserializeOwned;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Method, Request, Uri, header};
use ureq::{Agent, Body, Proxy};

/// Addresses that a file may be behind: the hub, its storage, its storage's mirror; more is a circle.
const MOST_HOPS: usize = 8;
/// Waits longer than this are told to the user instead.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// No answer in JSON is longer: the listing of a repository of 100,000 files is half of it.
const MOST_JSON: u64 = 64 << 20;
/// The longest time to connect, whatever is set for answers: a network that is there connects in less.
const CONNECT: Duration = Duration::from_secs(5);
/// A server has to bring so many bytes in so many times the silence that is allowed: one that drips hangs, too.
const LEAST: u64 = 2 << 10;
const SILENCES: u32 = 3;
/// How often a waiting or a hanging request looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// A client of the hub; its requests end when the job is cancelled.
#[derive(Debug)]
pub(crate) struct Http {
    /// For files; `asking` differs in its patience with a silent server.
    agent: Agent,
    asking: Agent,
    settings: Settings,
    cancel: Cancel,
}

/// An answer of the hub, its body not yet read.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status: 200, 206 or 416 once it is judged.
    pub status: u16,
    headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Answer {
    /// Gives a header's value; None where it is missing or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Gives the bytes of the body, where the server tells.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }
}

/// Why a try gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may go better next time; the server may have said when.
    Passing {
        /// What went wrong, as part of a sentence.
        why: String,
        /// How long the server asks to wait; None where it does not say.
        wait: Option<Duration>,
    },
    /// The hub refuses this, and will again.
    Denied(Denial),
    /// Trying again is of no use, or is not wanted.
    Final(Error),
}

impl Fault {
    /// Makes a fault that may pass, with no wait asked for.
    pub(crate) fn passing(why: impl Into<String>) -> Fault {
        Fault::Passing { why: why.into(), wait: None }
    }
}

/// A refusal in the hub's words.
#[derive(Debug)]
pub(crate) struct Denial {
    /// The address, without its query.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// X-Error-Code: GatedRepo, RepoNotFound, RevisionNotFound, EntryNotFound.
    pub code: String,
    /// What the hub says, as plain text; empty where it says nothing.
    pub text: String,
}

/// A wait, and why there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// What is waited for, as part of a sentence.
    pub why: String,
    /// How long.
    pub time: Duration,
}

/// The part of a file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// All of it.
    Whole,
    /// From this byte to the end.
    From(u64),
    /// From the first byte to the second, both included.
    Between(u64, u64),
}

impl Http {
    /// Makes a client with these settings that stops when `cancel` is set.
    pub(crate) fn new(settings: &Settings, cancel: &Cancel) -> Http {
        // a hub on this machine is not behind the proxy
        let proxy = Proxy::try_from_env().filter(|_| !is_here(&settings.endpoint));
        let agent = |silence: Duration| {
            Agent::config_builder()
                .proxy(proxy.clone())
                .user_agent(concat!("bantam/", env!("CARGO_PKG_VERSION")))
                // the token must not follow a redirect, so that they are followed here
                .max_redirects(0)
                .max_redirects_will_error(false)
                .http_status_as_error(false)
                .timeout_connect(Some(settings.ask_timeout.min(CONNECT)))
                .timeout_recv_response(Some(silence.saturating_mul(SILENCES)))
                .timeout_per_read(Some(silence))
                .timeout_per_write(Some(silence))
                .input_buffer_size(256 << 10)
                .max_idle_connections_per_host(8)
                .build()
                .new_agent()
        };
        Http {
            agent: agent(settings.read_timeout),
            asking: agent(settings.ask_timeout),
            settings: settings.clone(),
            cancel: cancel.clone(),
        }
    }

    /// Gives the hub's address, without a slash at its end.
    pub(crate) fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// A body that has to come at some pace.
    pub(crate) fn paced<R>(&self, body: R) -> Paced<R> {
        Paced { body, pace: Pace::new(self.settings.read_timeout.saturating_mul(SILENCES), Instant::now()) }
    }

    /// Does the work, and cuts its connections as soon as the job is cancelled: a read that hangs would notice only
    /// after its timeout.
    pub(crate) fn guarded<T>(&self, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (over, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                    if self.cancel.is_cancelled() {
                        self.agent.clone().shutdown();
                        self.asking.clone().shutdown();
                        return;
                    }
                }
            });
            let done = work();
            drop(over);
            done
        })
    }

    /// Asks for an answer in JSON, with retries, and gives it with the address of the next page where there is one.
    ///
    /// # Errors
    /// Where the hub refuses or does not answer, or answers with no such JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<String>), Fault> {
        self.patiently(url, &|_| {}, &mut || {
            let mut answer = self.send(&Method::GET, url, ByteRange::Whole)?;
            let next = answer.header("link").and_then(next_page);
            let mut text = Vec::new();
            let body = self.paced(answer.body.as_reader()).take(MOST_JSON + 1).read_to_end(&mut text);
            body.map_err(|e| Fault::passing(e.to_string()))?;
            let protocol = |why: String| Fault::Final(Error::Protocol { url: url.into(), why });
            if text.len() as u64 > MOST_JSON {
                return Err(protocol(format!("an answer of over {MOST_JSON} bytes")));
            }
            Ok((serde_json::from_slice(&text).map_err(|e| protocol(e.to_string()))?, next))
        })
    }

    /// Reads the bytes of a part of a file that is known to be short, with retries.
    ///
    /// # Errors
    /// Where the hub refuses or does not answer.
    pub(crate) fn bytes(&self, url: &str, part: ByteRange, most: u64) -> Result<Vec<u8>, Fault> {
        self.patiently(url, &|_| {}, &mut || {
            let answer = self.send(&Method::GET, url, part)?;
            if answer.status == 416 {
                // the file ends before the part that is asked for
                return Ok(Vec::new());
            }
            let skipped = if answer.status == 206 {
                0
            } else if let ByteRange::From(n) | ByteRange::Between(n, _) = part {
                n
            } else {
                0
            };
            let mut body = self.paced(answer.body.into_reader());
            let mut read = Vec::new();
            let taken = match part {
                ByteRange::Between(from, to) => (to - from + 1).min(most),
                _ => most,
            };
            // a server that ignores ranges gives the beginning, too
            let passed = std::io::copy(&mut body.by_ref().take(skipped), &mut std::io::sink());
            passed.and_then(|_| body.take(taken).read_to_end(&mut read)).map_err(|e| Fault::passing(e.to_string()))?;
            Ok(read)
        })
    }

    /// Asks for the headers of a file, with no address of another host followed.
    ///
    /// # Errors
    /// Where the hub refuses or does not answer.
    pub(crate) fn head(&self, url: &str) -> Result<Answer, Fault> {
        self.patiently(url, &|_| {}, &mut || self.send(&Method::HEAD, url, ByteRange::Whole))
    }

    /// Sends a request once, with the patience for small answers.
    ///
    /// # Errors
    /// Every status but success and 416 (no such range) is a fault.
    pub(crate) fn send(&self, method: &Method, url: &str, part: ByteRange) -> Result<Answer, Fault> {
        self.follow(&self.asking, method, url, part)
    }

    /// Asks for a file once, with the patience for files.
    ///
    /// # Errors
    /// As for [`Http::send`].
    pub(crate) fn stream(&self, url: &str, part: ByteRange) -> Result<Answer, Fault> {
        self.follow(&self.agent, &Method::GET, url, part)
    }

    /// Redirects are followed, and the token is shown to the hub only.
    fn follow(&self, agent: &Agent, method: &Method, url: &str, part: ByteRange) -> Result<Answer, Fault> {
        if self.cancel.is_cancelled() {
            return Err(Fault::Final(Error::Cancelled));
        }
        if self.settings.offline {
            return Err(Fault::Final(Error::NotAsked));
        }
        let mut at = url.to_owned();
        for _ in 0..MOST_HOPS {
            let answer = self.once(agent, method, &at, part)?;
            match answer.status {
                301..=303 | 307 | 308 => {
                    let to = answer.header("location").and_then(|to| joined(&at, to));
                    let Some(to) = to else {
                        return Err(Fault::passing(format!("a redirect to nowhere from {}", bare(&at))));
                    };
                    // what the hub says of a file stands on its own answer, not on its storage's
                    if *method == Method::HEAD && !same_host(&at, &to) {
                        return Ok(answer);
                    }
                    at = to;
                }
                _ => return self.judged(answer, &at, part),
            }
        }
        Err(Fault::Final(Error::Protocol { url: url.into(), why: format!("more than {MOST_HOPS} redirects") }))
    }

    fn once(&self, agent: &Agent, method: &Method, url: &str, part: ByteRange) -> Result<Answer, Fault> {
        let mut request = Request::builder().method(method).uri(url).header(header::ACCEPT_ENCODING, "identity");
        match part {
            ByteRange::Whole => {}
            ByteRange::From(from) => request = request.header(header::RANGE, format!("bytes={from}-")),
            ByteRange::Between(from, to) => request = request.header(header::RANGE, format!("bytes={from}-{to}")),
        }
        if let Some(token) = self.settings.token.as_ref().filter(|_| same_host(&self.settings.endpoint, url)) {
            request = request.header(header::AUTHORIZATION, token.authorization());
        }
        let protocol = |why: String| Fault::Final(Error::Protocol { url: bare(url).into(), why });
        let request = request.body(()).map_err(|e| protocol(e.to_string()))?;
        match agent.run(request) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
            }
            Err(_) if self.cancel.is_cancelled() => Err(Fault::Final(Error::Cancelled)),
            Err(e @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl)) => {
                Err(protocol(e.to_string()))
            }
            Err(e) => Err(Fault::passing(e.to_string())),
        }
    }

    /// Success, or what kind of fault it is.
    fn judged(&self, mut answer: Answer, url: &str, part: ByteRange) -> Result<Answer, Fault> {
        let status = answer.status;
        // there is no range that cannot be given where none was asked for
        if matches!(status, 200 | 206) || status == 416 && part != ByteRange::Whole {
            return Ok(answer);
        }
        if status == 429 || status == 408 || status >= 500 {
            let wait = asked_to_wait(&answer);
            return match wait.filter(|wait| *wait > LONGEST_WAIT) {
                Some(wait) => Err(Fault::Final(Error::TooMany { url: bare(url).into(), seconds: wait.as_secs() })),
                None => Err(Fault::Passing { why: format!("it answers {status}"), wait }),
            };
        }
        let code = answer.header("x-error-code").unwrap_or_default().to_owned();
        if code.is_empty() && !same_host(&self.settings.endpoint, url) {
            // the hub has the file; a signature that has run out is given anew with the next redirect
            let storage = host(url).unwrap_or_else(|| bare(url).to_owned());
            return Err(Fault::passing(format!("the hub's storage {storage} answers {status}")));
        }
        let said = answer.header("x-error-message").map(str::to_owned);
        let text = said.unwrap_or_else(|| {
            let mut text = String::new();
            let _ = answer.body.as_reader().take(300).read_to_string(&mut text);
            if text.trim_start().starts_with('<') { String::new() } else { text }
        });
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(Fault::Denied(Denial { url: bare(url).into(), status, code, text }))
    }

    /// Tries again what may pass, a little later each time.
    ///
    /// # Errors
    /// What does not pass; and [`Error::Unreachable`] after the last try.
    pub(crate) fn patiently<T>(
        &self,
        url: &str,
        say: &dyn Fn(Wait),
        attempt: &mut dyn FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut retries = Retries::new(self.settings.patience);
        loop {
            match attempt() {
                Err(Fault::Passing { why, wait }) => self.pause(&mut retries, url, why, wait, say)?,
                done => return done,
            }
        }
    }

    /// Waits before the next try, or gives up.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or [`Error::Unreachable`] where that was the last try.
    pub(crate) fn pause(
        &self,
        retries: &mut Retries,
        url: &str,
        why: String,
        asked: Option<Duration>,
        say: &dyn Fn(Wait),
    ) -> Result<(), Fault> {
        if self.cancel.is_cancelled() {
            return Err(Fault::Final(Error::Cancelled));
        }
        let Some(time) = retries.next(asked) else {
            let (url, fetching) = (bare(url).into(), retries.fetching);
            return Err(Fault::Final(Error::Unreachable { fetching, url, why, tries: retries.done }));
        };
        say(Wait { why, time });
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match (self.cancel.is_cancelled(), left.is_zero()) {
                (true, _) => return Err(Fault::Final(Error::Cancelled)),
                (_, true) => return Ok(()),
                _ => thread::sleep(left.min(LOOK)),
            }
        }
    }
}

/// A count of tries that brought nothing.
#[derive(Debug)]
pub(crate) struct Retries {
    patience: Patience,
    done: u32,
    /// Of a file, of which a part may be here.
    fetching: bool,
}

impl Retries {
    /// Starts with no try made.
    pub(crate) fn new(patience: Patience) -> Retries {
        Retries { patience, done: 0, fetching: false }
    }

    /// Starts with no try made of a file that is kept as far as it came.
    pub(crate) fn of_a_file(patience: Patience) -> Retries {
        Retries { fetching: true, ..Retries::new(patience) }
    }

    /// Forgets the tries because something came: the next fault is the first again.
    pub(crate) fn forget(&mut self) {
        self.done = 0;
    }

    /// How long to wait before the next try; None when it was the last.
    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.done += 1;
        if self.done >= self.patience.tries {
            return None;
        }
        let doubled = self.patience.first.saturating_mul(1 << (self.done - 1).min(16)).min(self.patience.most);
        // half of it by chance, so that many that were cut off together do not come back together
        Some(asked.unwrap_or_else(|| doubled.mul_f64(0.5 + 0.5 * chance())))
    }
}

/// A body that has to come at some pace: a read timeout alone never ends a server that gives a byte now and then.
pub(crate) struct Paced<R> {
    body: R,
    pace: Pace,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        // what has ended was not too slow
        if read > 0 {
            self.pace.count(read as u64, Instant::now())?;
        }
        Ok(read)
    }
}

/// The bytes of a stretch of time.
#[derive(Debug)]
struct Pace {
    window: Duration,
    begun: Instant,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration, now: Instant) -> Pace {
        Pace { window, begun: now, bytes: 0 }
    }

    fn count(&mut self, read: u64, now: Instant) -> io::Result<()> {
        self.bytes += read;
        if now.saturating_duration_since(self.begun) < self.window {
            return Ok(());
        }
        let (bytes, seconds) = (self.bytes, self.window.as_secs_f64());
        *self = Pace::new(self.window, now);
        match bytes < LEAST {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it sent {bytes} bytes in {seconds:.1} s"))),
            false => Ok(()),
        }
    }
}

/// A number from 0 to 1 that no two callers share; nothing that is measured depends on it.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Retry-After in seconds, or what is left of the window in `RateLimit: "api";r=0;t=42`, which the hub sends.
fn asked_to_wait(answer: &Answer) -> Option<Duration> {
    let after = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
    let window = || {
        let limit = answer.header("ratelimit")?;
        limit.split(';').find_map(|part| part.trim().strip_prefix("t="))?.parse().ok()
    };
    after.or_else(window).map(Duration::from_secs)
}

/// The address behind rel="next" in a Link header (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

/// Scheme, host and port are the same.
fn same_host(a: &str, b: &str) -> bool {
    let host = |url: &str| {
        let uri: Uri = url.parse().ok()?;
        let port = uri.port_u16().or_else(|| if uri.scheme_str()? == "https" { Some(443) } else { Some(80) })?;
        Some((uri.scheme_str()?.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase(), port))
    };
    host(a).is_some_and(|a| host(b) == Some(a))
}

/// An address of this machine itself.
fn is_here(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The host and port of an address.
fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    match uri.port_u16() {
        Some(port) => Some(format!("{}:{port}", uri.host()?)),
        None => uri.host().map(str::to_owned),
    }
}

/// Where a redirect leads, as RFC 3986 resolves a reference: an address, a host with `//` before it, a path of the same host,
/// or a path from where it came.
fn joined(from: &str, to: &str) -> Option<String> {
    let to = to.trim().split('#').next().unwrap_or_default();
    let scheme = to.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
    if let Some(scheme) = scheme {
        let (lower, rest) = (scheme.to_ascii_lowercase(), &to[scheme.len()..]);
        return (matches!(lower.as_str(), "http" | "https") && rest.starts_with("://"))
            .then(|| format!("{lower}{rest}"));
    }
    let uri: Uri = from.parse().ok()?;
    let (scheme, authority, path) = (uri.scheme_str()?, uri.authority()?, uri.path());
    if to.starts_with("//") {
        return Some(format!("{scheme}:{to}"));
    }
    let (to_path, query) = to.split_once('?').map_or((to, None), |(path, query)| (path, Some(query)));
    let path = match to_path {
        "" if query.is_none() => return None,
        "" => path.to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => without_dots(&format!("{}/{relative}", path.rsplit_once('/').map_or("", |(folder, _)| folder))),
    };
    Some(format!("{scheme}://{authority}{path}{}", query.map_or(String::new(), |query| format!("?{query}"))))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// "/a/./b/../c" is "/a/c".
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next().unwrap_or_default();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if matches!(last, "." | "..") {
        parts.push("");
    }
    format!("/{}", parts.join("/"))
}

/// Without the query, which holds a signature at the storage.
fn bare(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_hub() {
        let hub = "https://huggingface.co";
        assert!(same_host(hub, "https://HuggingFace.co:443/a?b"));
        let others = [
            "http://huggingface.co/",
            "https://cdn.huggingface.co",
            "https://huggingface.co:8443",
            "https://huggingface.co.evil.org",
            "nonsense",
        ];
        for other in others {
            assert!(!same_host(hub, other), "{other}");
        }
        // the name before an @ is no host
        assert!(!same_host(hub, "https://huggingface.co@evil.org/"));
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        assert!(["http://localhost:80", "http://127.0.0.1:9", "http://[::1]:9/x"].iter().all(|url| is_here(url)));
        assert!(!["https://huggingface.co", "http://10.0.0.1", "nonsense"].iter().any(|url| is_here(url)));
    }

    #[test]
    fn redirects_and_next_pages_are_read() {
        assert_eq!(joined("http://h:1/a/b?c", "/d").as_deref(), Some("http://h:1/d"));
        assert_eq!(joined("http://h:1/a", "https://cdn/x?sig=1").as_deref(), Some("https://cdn/x?sig=1"));
        for (to, meant) in [
            ("HTTP://CDN/x", Some("http://CDN/x")),
            ("//cdn:2/x?y", Some("http://cdn:2/x?y")),
            ("c/d", Some("http://h:1/a/c/d")),
            ("../c?d", Some("http://h:1/c?d")),
            ("./c#part", Some("http://h:1/a/c")),
            ("../../../c/", Some("http://h:1/c/")),
            ("?other", Some("http://h:1/a/b?other")),
            ("a:b/c", None),
            ("gopher://x", None),
            ("https:x", None),
            ("", None),
        ] {
            assert_eq!(joined("http://h:1/a/b?c", to).as_deref(), meant, "{to}");
        }
        let link = "<http://h/api?cursor=a%2Cb>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("http://h/api?cursor=a%2Cb"));
        assert_eq!(next_page("<http://h/>; rel=\"prev\""), None);
    }

    #[test]
    fn a_server_that_drips_is_too_slow_and_a_slow_line_is_not() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(30), start);
        let mut after = |seconds: u64, bytes: u64| pace.count(bytes, start + Duration::from_secs(seconds));
        for second in 1..30 {
            assert!(after(second, 1).is_ok(), "{second}");
        }
        assert!(after(30, 1).expect_err("a drip").to_string().contains("it sent 30 bytes in 30.0 s"));
        for second in 31..300 {
            assert!(after(second, 100).is_ok(), "{second}");
        }
    }

    #[test]
    fn waits_double_up_to_the_most_and_end() {
        let patience = Patience { tries: 5, first: Duration::from_millis(100), most: Duration::from_millis(300) };
        let mut retries = Retries::new(patience);
        for doubled in [100, 200, 300, 300] {
            let wait = retries.next(None).expect("tries are left").as_millis();
            assert!(wait >= doubled / 2 && wait <= doubled, "{wait} of {doubled}");
        }
        assert_eq!(retries.next(None), None);
        retries.forget();
        assert_eq!(retries.next(Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
    }
}

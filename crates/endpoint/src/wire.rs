//! One request over HTTP, and what its failure means: whether it may pass, for how long the server wants to be left alone,
//! and whether something may have been paid.

use crate::{Error, Key};
use bantam_core::endpoint::{Api, Endpoint};
use bantam_core::text;
use std::io::Read;
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderMap, Method, Request, header};
use ureq::{Agent, Body, Proxy};

/// No answer is longer.
const MOST_BODY: u64 = 64 << 20;
/// Letters of what a server says that are shown.
const MOST_SAID: usize = 300;
/// The longest time to connect: a server that is there accepts in less.
const CONNECT: Duration = Duration::from_secs(10);
/// The version of Anthropic's API that these requests are written in.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What is tried again, and how long is waited between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often a request is sent, at most.
    pub tries: usize,
    /// The first wait; each one after is twice as long …
    pub first: Duration,
    /// … up to this one.
    pub most: Duration,
    /// The longest wait that a server may ask for.
    pub asked: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            tries: 8,
            first: Duration::from_millis(500),
            most: Duration::from_secs(30),
            asked: Duration::from_secs(300),
        }
    }
}

/// Why a try gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may go better next time.
    Passing {
        why: String,
        /// How long the server wants to be left alone.
        wait: Option<Duration>,
        /// The server had begun to answer, or was left while it worked: it may want money for that.
        paid: bool,
    },
    Final(Error),
}

impl Fault {
    pub(crate) fn broken(why: impl Into<String>) -> Fault {
        Fault::Passing { why: why.into(), wait: None, paid: true }
    }
}

/// A connection to an endpoint.
pub(crate) struct Wire {
    agent: Agent,
    url: String,
    api: Api,
    key: Option<Key>,
}

/// An answer that is a success, its body not yet read.
pub(crate) struct Response {
    /// "application/json", without what may stand behind it.
    pub(crate) kind: String,
    pub(crate) body: Body,
}

impl Wire {
    pub(crate) fn new(at: &Endpoint, key: Option<Key>, silence: Duration) -> Wire {
        // a server on this machine is not behind the proxy
        let proxy = Proxy::try_from_env().filter(|_| !at.is_here());
        let agent = Agent::config_builder()
            .proxy(proxy)
            .user_agent(concat!("bantam/", env!("CARGO_PKG_VERSION")))
            // the key must not follow a redirect
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .max_idle_connections_per_host(16)
            .build()
            .new_agent();
        Wire { agent, url: at.url.clone(), api: at.api, key }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Sends a request once.
    pub(crate) fn send(&self, method: &Method, path: &str, body: Option<&str>) -> Result<Response, Fault> {
        let url = self.address(path);
        let mut request = Request::builder().method(method).uri(&url).header(header::ACCEPT_ENCODING, "identity");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if self.api == Api::Anthropic {
            request = request.header("anthropic-version", ANTHROPIC_VERSION);
        }
        if let Some(key) = &self.key {
            request = match self.api {
                Api::Openai => request.header(header::AUTHORIZATION, key.bearer()),
                Api::Anthropic => request.header("x-api-key", key.bare()),
            };
        }
        let form = |why: String| Fault::Final(Error::Form { url: url.clone(), why: self.hidden(&why) });
        let sent = match body {
            Some(body) => self.agent.run(request.body(body.to_owned()).map_err(|e| form(e.to_string()))?),
            None => self.agent.run(request.body(()).map_err(|e| form(e.to_string()))?),
        };
        match sent {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let kind = text_of(&parts.headers, "content-type").unwrap_or_default();
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                match parts.status.as_u16() {
                    200..=299 => Ok(Response { kind, body }),
                    status => Err(self.judged(status, &parts.headers, body, &url)),
                }
            }
            Err(e @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl)) => {
                Err(form(e.to_string()))
            }
            // nothing came back, though the request may have arrived
            Err(e @ ureq::Error::Timeout(at)) => Err(Fault::Passing {
                why: format!("gives no answer in time ({e})"),
                wait: None,
                paid: !matches!(at, ureq::Timeout::Connect | ureq::Timeout::Resolve),
            }),
            Err(e @ (ureq::Error::HostNotFound | ureq::Error::ConnectionFailed)) => {
                Err(Fault::Passing { why: format!("cannot be reached ({e})"), wait: None, paid: false })
            }
            Err(ureq::Error::Io(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(Fault::Passing { why: "cannot be reached (connection refused)".into(), wait: None, paid: false })
            }
            Err(e) => Err(Fault::broken(format!("breaks off ({})", self.hidden(&e.to_string())))),
        }
    }

    /// What a status that is no success means.
    fn judged(&self, status: u16, headers: &HeaderMap, mut body: Body, url: &str) -> Fault {
        let mut read = String::new();
        let _ = body.as_reader().take(64 << 10).read_to_string(&mut read);
        let (said, field) = self.said(&read);
        let passing = |wait| Fault::Passing { why: words(status, &said), wait, paid: false };
        match status {
            408 | 409 | 425 | 429 | 500..=599 if status != 501 => {
                // a quota that is spent does not come back by waiting
                if status == 429 && read.contains("insufficient_quota") {
                    return Fault::Final(Error::Refused { url: url.into(), status, said, field });
                }
                passing(asked_to_wait(headers, SystemTime::now()))
            }
            300..=399 => {
                let to = text_of(headers, "location").map(|to| self.hidden(&to)).unwrap_or_default();
                let why = format!(
                    "answers {status}, a redirect to '{to}', which is not followed with a key; name that address"
                );
                Fault::Final(Error::Form { url: url.into(), why })
            }
            _ => Fault::Final(Error::Refused { url: url.into(), status, said, field }),
        }
    }

    /// What a server says of an error, and about which field.
    fn said(&self, body: &str) -> (String, String) {
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let error = json.get("error").unwrap_or(&json);
        let found = [error.get("message"), json.get("message"), json.get("detail"), Some(error)];
        let message = found.into_iter().flatten().find_map(|value| value.as_str());
        let field = error.get("param").and_then(|param| param.as_str()).unwrap_or_default();
        let text = match message {
            Some(message) => message.to_owned(),
            None if body.trim_start().starts_with('<') => String::new(),
            None => body.to_owned(),
        };
        (self.shown(&text), field.to_owned())
    }

    /// A server's text fit for one line, without the key.
    pub(crate) fn shown(&self, text: &str) -> String {
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = self.hidden(&one_line).chars().take(MOST_SAID).collect();
        text::plain(&short).into_owned()
    }

    /// A text without the key.
    pub(crate) fn hidden(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hidden_in(text).into_owned())
    }
}

impl Response {
    /// Reads the whole body.
    pub(crate) fn text(self) -> Result<String, Fault> {
        let mut read = Vec::new();
        let taken = self.body.into_reader().take(MOST_BODY + 1).read_to_end(&mut read);
        if let Err(e) = taken {
            return Err(Fault::broken(format!("breaks its answer off after {} bytes ({e})", read.len())));
        }
        if read.len() as u64 > MOST_BODY {
            return Err(Fault::broken(format!("gives an answer of more than {MOST_BODY} bytes")));
        }
        String::from_utf8(read).map_err(|_| Fault::broken("gives an answer that is no UTF-8"))
    }
}

fn words(status: u16, said: &str) -> String {
    let what = match status {
        429 => "asks for fewer requests (429)".to_owned(),
        status => format!("answers {status}"),
    };
    if said.is_empty() { what } else { format!("{what}: {said}") }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// How long a server wants to be left alone: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110).
fn asked_to_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = text_of(headers, "retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok());
    if let Some(millis) = millis {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let after = text_of(headers, "retry-after")?;
    match after.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => date(after.trim()).map(|at| at.duration_since(now).unwrap_or_default()),
    }
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", the one form of dates that servers may send.
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = parts[..] else { return None };
    let number = |text: &str| text.parse::<i64>().ok();
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (year, day) = (number(year)?, number(day)?);
    // days from civil, after Howard Hinnant
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + number(hour)? * 3600 + number(minute)? * 60 + number(second)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_server_says_in_three_ways_how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let wait = |name, value| asked_to_wait(&headers(name, value), now);
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "0.25"), Some(Duration::from_millis(250)));
        assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO), "it is over");
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-1"), None);
        assert_eq!(wait("date", "x"), None);
    }
}

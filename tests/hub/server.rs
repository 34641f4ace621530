//! A small hub on loopback: real HTTP/1.1, the hub's protocol, two ports (the hub, and the storage that it redirects to),
//! and faults on demand. It forgets nothing: every request is kept for a test to look at.

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

pub(crate) const COMMIT: &str = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2";
pub(crate) const OTHER_COMMIT: &str = "12fd25f77366fa6b3b4b768ec3050bf629380bac";

/// The hub, as long as the process lives.
#[derive(Clone)]
pub(crate) struct Server {
    pub endpoint: String,
    storage: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    repos: Vec<Repo>,
    faults: Vec<(String, usize, Fault)>,
    requests: Vec<Request>,
    /// Repositories of a page of search results.
    page: usize,
}

/// A repository with its files.
#[derive(Clone)]
pub(crate) struct Repo {
    pub id: String,
    pub dataset: bool,
    pub commit: String,
    pub files: BTreeMap<String, File>,
    /// Needs a token with access: "manual" or "auto".
    pub gated: Option<&'static str>,
    pub private: bool,
    /// What the listing says besides.
    pub facts: Value,
    /// A mirror's listing: names alone.
    pub bare: bool,
}

#[derive(Clone)]
pub(crate) struct File {
    pub bytes: Arc<Vec<u8>>,
    /// Large files are stored elsewhere and named by their SHA-256.
    pub lfs: bool,
    sha256: String,
}

/// What goes wrong with a request for a file, or for anything whose path ends so.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the body.
    Drop(usize),
    /// Nothing comes after so many bytes of the body, and the connection stays.
    Hang(usize),
    /// A few bytes at a time.
    Slow(usize),
    /// This byte of the file is another one.
    Flip(usize),
    /// The file ends there, and says so.
    Truncate(usize),
    /// The whole file comes, whatever was asked.
    IgnoreRange,
    /// The length in the header is off by so much.
    WrongLength(i64),
    /// Another answer.
    Status(u16, Vec<(&'static str, String)>),
    /// A 206 with another beginning than asked for.
    WrongRange,
    /// No range can be had, and the whole file ends after so many bytes.
    NoRange(usize),
    /// So many bytes come, from wherever was asked.
    Crumbs(usize),
    /// The storage answers so.
    Storage(u16),
    /// The hub's redirect to the storage is written in another way.
    Redirect(fn(&str) -> String),
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub storage: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
}

/// The token that may read what is gated or private.
pub(crate) const TOKEN: &str = "hf_test_token";

impl Repo {
    pub(crate) fn new(id: &str) -> Repo {
        let facts = json!({ "downloads": 1000, "likes": 10, "pipeline_tag": "text-generation", "lastModified": "2026-01-02T03:04:05.000Z", "cardData": { "license": "apache-2.0" } });
        let files = BTreeMap::new();
        Repo {
            id: id.into(),
            dataset: false,
            commit: COMMIT.into(),
            files,
            gated: None,
            private: false,
            facts,
            bare: false,
        }
    }

    pub(crate) fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Repo {
        self.files.insert(path.into(), File::new(bytes.into(), false));
        self
    }

    pub(crate) fn large(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Repo {
        self.files.insert(path.into(), File::new(bytes.into(), true));
        self
    }

    pub(crate) fn fact(mut self, key: &str, value: Value) -> Repo {
        self.facts[key] = value;
        self
    }

    fn kind(&self) -> &'static str {
        if self.dataset { "datasets" } else { "models" }
    }

    fn tree(&self) -> Value {
        let entry = |(path, file): (&String, &File)| {
            let mut entry = json!({ "type": "file", "path": path, "size": file.bytes.len(), "oid": file.git() });
            if file.lfs {
                entry["lfs"] = json!({ "oid": file.sha256(), "size": file.bytes.len(), "pointerSize": 135 });
            }
            entry
        };
        self.files.iter().map(entry).collect()
    }

    fn listing(&self, blobs: bool) -> Value {
        let sibling = |(path, file): (&String, &File)| match (self.bare || !blobs, file.lfs) {
            (true, _) => json!({ "rfilename": path }),
            (false, false) => json!({ "rfilename": path, "size": file.bytes.len(), "blobId": file.git() }),
            (false, true) => json!({ "rfilename": path, "size": file.bytes.len(), "blobId": "0".repeat(40),
                "lfs": { "sha256": file.sha256(), "size": file.bytes.len(), "pointerSize": 135 } }),
        };
        let mut answer = json!({ "_id": "6", "id": self.id, "modelId": self.id, "sha": self.commit, "private": self.private,
            "gated": self.gated.map_or(json!(false), |g| json!(g)), "disabled": false,
            "siblings": self.files.iter().map(sibling).collect::<Vec<_>>() });
        for (key, value) in self.facts.as_object().expect("facts are a table") {
            answer[key] = value.clone();
        }
        answer
    }
}

impl File {
    fn new(bytes: Vec<u8>, lfs: bool) -> File {
        File { sha256: hex(&Sha256::digest(&bytes)), bytes: Arc::new(bytes), lfs }
    }

    pub(crate) fn sha256(&self) -> String {
        self.sha256.clone()
    }

    pub(crate) fn git(&self) -> String {
        hex(&Sha1::new_with_prefix(format!("blob {}\0", self.bytes.len()))
            .chain_update(self.bytes.as_slice())
            .finalize())
    }

    fn etag(&self) -> String {
        if self.lfs { self.sha256() } else { self.git() }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that look like weights to a hash: every file of another seed is another file.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.extend_from_slice(&x.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

impl Server {
    pub(crate) fn start(repos: impl IntoIterator<Item = Repo>) -> Server {
        Server::at([0, 0], repos).expect("free ports")
    }

    /// Listens on the hub's and the storage's port; 0 takes one that is free.
    pub(crate) fn at(ports: [u16; 2], repos: impl IntoIterator<Item = Repo>) -> std::io::Result<Server> {
        let listen = |port| TcpListener::bind(("127.0.0.1", port));
        let (hub, storage) = (listen(ports[0])?, listen(ports[1])?);
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
        let server = Server {
            endpoint: address(&hub),
            storage: address(&storage),
            state: Arc::new(Mutex::new(State { repos: repos.into_iter().collect(), page: 20, ..State::default() })),
        };
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let server = server.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let server = server.clone();
                    // a client that leaves early is a client's right
                    thread::spawn(move || {
                        let _ = server.serve(stream, is_storage);
                    });
                }
            });
        }
        Ok(server)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next `times` answers for a path that ends so go wrong.
    pub(crate) fn fault(&self, path: &str, times: usize, fault: Fault) {
        self.state().faults.push((path.into(), times, fault));
    }

    pub(crate) fn mend(&self) {
        self.state().faults.clear();
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Requests for the contents of a file, at the storage or at the hub itself.
    pub(crate) fn fetches(&self, path: &str) -> Vec<Request> {
        let file =
            self.state().repos.iter().find_map(|repo| repo.files.get(path).cloned()).expect("there is such a file");
        let ends = if file.lfs { file.sha256() } else { path.to_owned() };
        let is_fetch = |r: &Request| r.method == "GET" && r.storage == file.lfs && bare(&r.path).ends_with(&ends);
        self.requests().into_iter().filter(is_fetch).collect()
    }

    pub(crate) fn forget(&self) {
        self.state().requests.clear();
    }

    pub(crate) fn put(&self, repo: Repo) {
        let mut state = self.state();
        state.repos.retain(|r| r.id != repo.id);
        state.repos.push(repo);
    }

    pub(crate) fn page(&self, repositories: usize) {
        self.state().page = repositories;
    }

    /// One connection; it is kept for as many requests as come.
    fn serve(&self, stream: TcpStream, mut storage: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        out.set_nodelay(true)?;
        while let Some(request) = read(&mut reader, storage)? {
            self.state().requests.push(request.clone());
            if request.method == "CONNECT" {
                // as a proxy that leads back here
                storage = self.storage.ends_with(&request.path);
                out.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
                continue;
            }
            let fault = self.take(&request);
            let answer = match &fault {
                Some(Fault::Status(status, headers)) => Answer::new(*status).headers(headers),
                Some(Fault::Storage(status)) => Answer::new(*status),
                Some(Fault::Redirect(written)) => {
                    let mut answer = self.answer(&request);
                    answer
                        .headers
                        .iter_mut()
                        .filter(|(name, _)| *name == "Location")
                        .for_each(|(_, to)| *to = written(to));
                    answer
                }
                _ if storage => self.stored(&request),
                _ => self.answer(&request),
            };
            if !answer.write(&mut out, &request, fault)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        let path = bare(&request.path).to_owned();
        // faults of a large file's contents are its storage's
        let name = match path.strip_prefix("/blob/").filter(|_| request.storage) {
            Some(sha256) => state
                .repos
                .iter()
                .flat_map(|r| &r.files)
                .find(|(_, f)| f.lfs && f.sha256 == sha256)
                .map(|(name, _)| name.clone()),
            None => None,
        };
        let redirects = !request.storage
            && state.repos.iter().any(|r| {
                r.files.iter().any(|(n, f)| f.lfs && path.ends_with(n.as_str()) && path.contains("/resolve/"))
            });
        let at = state.faults.iter().position(|(ends, times, fault)| {
            let here = match fault {
                Fault::Status(..) => true,
                Fault::Redirect(_) => redirects,
                _ => !redirects,
            };
            let named = name.as_deref().unwrap_or(&path).ends_with(ends.as_str());
            *times > 0 && named && here && (!matches!(fault, Fault::Status(..)) || !request.storage)
        })?;
        state.faults[at].1 -= 1;
        Some(state.faults[at].2.clone())
    }

    /// The hub's port.
    fn answer(&self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts[..] {
            ["api", "models"] => self.search(query),
            // the oldest have no owner
            ["api", kind, name, "revision", revision] => self.with_repo(request, kind, "", name, revision, |repo| {
                Answer::json(&repo.listing(query.contains("blobs=true")))
            }),
            [name, "resolve", revision, ref file @ ..] => self.resolve(request, "models", "", name, revision, &file.join("/")),
            ["api", kind, org, name, "revision", revision] => self.with_repo(request, kind, org, name, revision, |repo| {
                Answer::json(&repo.listing(query.contains("blobs=true")))
            }),
            ["api", kind, org, name] => self.with_repo(request, kind, org, name, "main", |repo| Answer::json(&repo.listing(query.contains("blobs=true")))),
            // what Python's client lists files by
            ["api", kind, org, name, "tree", revision] => {
                self.with_repo(request, kind, org, name, revision, |repo| Answer::json(&repo.tree()))
            }
            ["api", kind, org, name, "refs"] => self.with_repo(request, kind, org, name, "main", |repo| {
                Answer::json(&json!({ "branches": [{ "name": "main", "ref": "refs/heads/main", "targetCommit": repo.commit }], "converts": [], "tags": [{ "name": "v1.0", "ref": "refs/tags/v1.0", "targetCommit": repo.commit }] }))
            }),
            ["datasets", org, name, "resolve", revision, ref file @ ..] => self.resolve(request, "datasets", org, name, revision, &file.join("/")),
            [org, name, "resolve", revision, ref file @ ..] => self.resolve(request, "models", org, name, revision, &file.join("/")),
            _ => Answer::new(404),
        }
    }

    fn with_repo(
        &self,
        request: &Request,
        kind: &str,
        org: &str,
        name: &str,
        revision: &str,
        then: impl Fn(&Repo) -> Answer,
    ) -> Answer {
        let id = if org.is_empty() { name.to_owned() } else { format!("{org}/{name}") };
        let found = self.state().repos.iter().find(|r| r.id == id && r.kind() == kind).cloned();
        let may = request.token.as_deref() == Some(&format!("Bearer {TOKEN}"));
        let Some(repo) = found.filter(|repo| may || !repo.private) else {
            return Answer::new(if may { 404 } else { 401 }).error("RepoNotFound", "Repository not found");
        };
        if !["main", "v1.0", "refs/pr/1", repo.commit.as_str()].contains(&decoded(revision).as_str()) {
            return Answer::new(404).error("RevisionNotFound", &format!("Invalid rev id: {revision}"));
        }
        then(&repo)
    }

    fn resolve(&self, request: &Request, kind: &str, org: &str, name: &str, revision: &str, file: &str) -> Answer {
        let may = request.token.as_deref() == Some(&format!("Bearer {TOKEN}"));
        self.with_repo(request, kind, org, name, revision, |repo| {
            if repo.gated.is_some() && !may {
                let status = if request.token.is_some() { 403 } else { 401 };
                return Answer::new(status).error("GatedRepo", "Access to this model is restricted");
            }
            let Some(found) = repo.files.get(&decoded(file)) else {
                return Answer::new(404).error("EntryNotFound", "Entry not found");
            };
            let commit = ("X-Repo-Commit", repo.commit.clone());
            let etag = ("ETag", format!("\"{}\"", found.etag()));
            if !found.lfs {
                return Answer { file: Some(found.bytes.clone()), ..Answer::new(200).headers(&[commit, etag]) };
            }
            let signed = format!("{}/blob/{}?X-Signature=secret", self.storage, found.sha256());
            let linked =
                [("X-Linked-Etag", format!("\"{}\"", found.etag())), ("X-Linked-Size", found.bytes.len().to_string())];
            let xet =
                [("X-Xet-Hash", "f".repeat(64)), ("Link", "<https://cas.invalid/auth>; rel=\"xet-auth\"".to_owned())];
            Answer::new(302).headers(&[commit, ("Location", signed)]).headers(&linked).headers(&xet)
        })
    }

    /// The storage's port.
    fn stored(&self, request: &Request) -> Answer {
        let hash = bare(&request.path).trim_start_matches("/blob/").to_owned();
        let state = self.state();
        let found = state.repos.iter().flat_map(|r| r.files.values()).find(|f| f.lfs && f.sha256 == hash);
        // as S3 does: a second authorization beside the signature is an error
        match (found, &request.token) {
            (_, Some(_)) => Answer::new(400),
            (Some(file), None) => {
                let etag = format!("\"{}\"", &file.sha256()[..32]);
                Answer {
                    file: Some(file.bytes.clone()),
                    ..Answer::new(200).headers(&[("ETag", etag), ("Accept-Ranges", "bytes".into())])
                }
            }
            (None, None) => Answer::new(404),
        }
    }

    fn search(&self, query: &str) -> Answer {
        let values: BTreeMap<String, String> = query
            .split('&')
            .filter_map(|pair| {
                let (k, v) = pair.split_once('=')?;
                Some((decoded(k), decoded(v)))
            })
            .collect();
        let value = |key: &str| values.get(key).map(String::as_str).unwrap_or_default();
        let state = self.state();
        let wanted = value("search").to_lowercase();
        let filter = |r: &&Repo| {
            !r.dataset
                && r.id.to_lowercase().contains(&wanted)
                && (value("filter").is_empty() || r.facts["pipeline_tag"] == value("filter"))
        };
        let mut found: Vec<&Repo> = state.repos.iter().filter(filter).collect();
        let by = match value("sort") {
            "" => "trendingScore",
            sort => sort,
        };
        found.sort_by(|a, b| {
            b.facts[by].as_u64().cmp(&a.facts[by].as_u64()).then(b.facts[by].as_str().cmp(&a.facts[by].as_str()))
        });
        let from: usize = value("cursor").parse().unwrap_or(0);
        let limit = value("limit").parse().unwrap_or(state.page).min(state.page);
        let page: Vec<Value> = found.iter().skip(from).take(limit).map(|r| r.listing(false)).collect();
        let mut answer = Answer::json(&json!(page));
        if from + limit < found.len() {
            let rest: String = query.split('&').filter(|p| !p.starts_with("cursor=")).collect::<Vec<_>>().join("&");
            answer = answer.headers(&[(
                "Link",
                format!("<{}/api/models?{rest}&cursor={}>; rel=\"next\"", self.endpoint, from + limit),
            )]);
        }
        answer
    }
}

fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        let code = (b == b'%')
            .then(|| tail.get(..2).and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok()))
            .flatten();
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if b == b'+' { b' ' } else { b });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The next request of a connection; None at its end.
fn read(reader: &mut impl BufRead, storage: bool) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { storage, method, path, range: None, token: None };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(request)) };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.trim().into()),
            "authorization" => request.token = Some(value.trim().into()),
            _ => {}
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Contents that can be had in ranges.
    file: Option<Arc<Vec<u8>>>,
}

impl Answer {
    fn new(status: u16) -> Answer {
        Answer { status, headers: vec![], body: vec![], file: None }
    }

    fn json(value: &Value) -> Answer {
        Answer {
            body: value.to_string().into_bytes(),
            ..Answer::new(200).headers(&[("Content-Type", "application/json".into())])
        }
    }

    fn headers(mut self, headers: &[(&'static str, String)]) -> Answer {
        self.headers.extend_from_slice(headers);
        self
    }

    fn error(self, code: &str, message: &str) -> Answer {
        self.headers(&[("X-Error-Code", code.into()), ("X-Error-Message", message.into())])
    }

    /// Writes it with its fault; whether the connection can be used again.
    fn write(mut self, out: &mut TcpStream, request: &Request, fault: Option<Fault>) -> std::io::Result<bool> {
        let mut from = 0;
        let file = self.file.take();
        let mut whole: &[u8] = file.as_deref().map_or(&self.body, |bytes| bytes);
        let (flipped, truncated);
        match fault {
            Some(Fault::Flip(at)) => {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 0x40;
                flipped = bytes;
                whole = &flipped;
            }
            Some(Fault::Truncate(at)) => {
                truncated = whole[..at.min(whole.len())].to_vec();
                whole = &truncated;
            }
            _ => {}
        }
        let asked = request.range.as_deref().filter(|_| file.is_some() && !matches!(fault, Some(Fault::IgnoreRange)));
        if let Some((first, last)) = asked.and_then(|r| r.strip_prefix("bytes=")?.split_once('-')) {
            let first: usize = first.parse().expect("a number");
            let last: usize = last.parse().unwrap_or(usize::MAX).min(whole.len().saturating_sub(1));
            if first >= whole.len() || matches!(fault, Some(Fault::NoRange(_))) {
                self.status = 416;
                self.headers.push(("Content-Range", format!("bytes */{}", whole.len())));
                whole = &[];
            } else {
                let first = if matches!(fault, Some(Fault::WrongRange)) { 0 } else { first };
                self.status = 206;
                self.headers.push(("Content-Range", format!("bytes {first}-{last}/{}", whole.len())));
                from = first;
                whole = &whole[first..=last];
            }
        }
        let off = if let Some(Fault::WrongLength(off)) = fault { off } else { 0 };
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", self.status, whole.len() as i64 + off);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        out.write_all((head + "\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(true);
        }
        match fault {
            // counted from the beginning of the file, so that a resumed request goes on to its end
            Some(Fault::Drop(after)) => {
                out.write_all(&whole[..after.saturating_sub(from).min(whole.len())])?;
                return Ok(false);
            }
            Some(Fault::NoRange(after) | Fault::Crumbs(after)) => {
                out.write_all(&whole[..after.min(whole.len())])?;
                return Ok(false);
            }
            Some(Fault::Hang(after)) => {
                out.write_all(&whole[..after.saturating_sub(from).min(whole.len())])?;
                // until the client gives up
                let _ = out.read(&mut [0]);
                return Ok(false);
            }
            Some(Fault::Slow(bytes)) => whole.chunks(bytes).try_for_each(|part| {
                out.write_all(part)?;
                thread::yield_now();
                Ok::<_, std::io::Error>(())
            })?,
            _ => out.write_all(whole)?,
        }
        Ok(off == 0)
    }
}

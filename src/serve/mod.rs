//! A model behind the OpenAI API: completions of conversations and texts over HTTP, on the engine that measures. Each
//! connection has a thread that reads, checks and writes; one thread decodes what all of them ask for, together.
//!
//! In reading order: `http` reads requests and sends answers, `ask` checks their fields, `chat` writes prompts, `complete`
//! brings both to the `engine` and its answers back; `answer` steers one of them, `text` knows how far it is,
//! `reply` words it; `refusal` is the API's error, `metrics` what is counted. `talk` is a conversation without a server.

mod answer;
mod ask;
mod chat;
mod complete;
mod engine;
mod http;
mod metrics;
mod refusal;
mod reply;
mod talk;
mod text;

pub use talk::{Draws, Ended, Said, Talk, Took};

use crate::subject::vocabulary;
use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_core::system::{ANY_TASK, Router};
use bantam_grammar::{Grammar, Held, Vocabulary};
use bantam_model::Model;
use chat::Chat;
use complete::Failure;
use http::{Connection, Request};
use metrics::Metrics;
use refusal::Refusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value as Json, json};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Clients that are connected at once, at most.
const MOST_CLIENTS: usize = 1024;
/// How long answers that are on their way may take when the server is asked to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often somebody looks whether it is.
const LOOK: Duration = Duration::from_millis(200);
/// The stack of a connection's thread: what it calls is flat, but for JSON, whose depth is bounded.
const STACK: usize = 1 << 20;

/// The paths that are answered, each with its method.
const ROUTES: [(&str, &str); 5] = [
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
    ("/v1/models", "GET"),
    ("/health", "GET"),
    ("/metrics", "GET"),
];

/// Where a server listens, and how much it does at once.
#[derive(Debug, Clone)]
pub struct Options {
    /// A name or an address of this machine.
    pub host: String,
    /// 0 takes one that is free.
    pub port: u16,
    /// Answers that are decoded together.
    pub slots: usize,
}

/// A server that listens and has not begun to answer.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    engines: Vec<JoinHandle<bantam_model::Result<()>>>,
}

/// What all connections share.
struct Shared {
    /// What the API calls it: the model, or the router.
    name: String,
    /// The models that answer: one, or those of a router.
    members: Vec<Member>,
    /// Who answers what, where there are several.
    router: Option<Router>,
    metrics: Arc<Metrics>,
    slots: usize,
    clients: AtomicUsize,
    /// Requests that are being answered.
    busy: AtomicUsize,
    stopping: Cancel,
    started: u64,
}

/// A model that answers.
struct Member {
    model: Arc<Model>,
    name: String,
    chat: Option<Chat>,
    jobs: Sender<engine::Job>,
    /// Held by who scores a prompt.
    scoring: Mutex<()>,
    metrics: Arc<Metrics>,
    stopping: Cancel,
    /// The model's tokens as texts, once an answer was held to a form.
    vocabulary: OnceLock<Vocabulary>,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// The names that a request may give for its model: that of the whole, and of a router its tasks'.
    fn names(&self) -> Vec<&str> {
        let tasks = self.router.iter().flat_map(|router| &router.rules).map(|rule| rule.task.as_str());
        std::iter::once(self.name.as_str()).chain(tasks.filter(|task| *task != ANY_TASK)).collect()
    }
}

impl Member {
    fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// An answer that begins, held to a grammar.
    fn hold(&self, grammar: &Grammar, ends: &[u32]) -> Result<Held, Refusal> {
        let refused =
            |why: bantam_grammar::Error| Refusal::bad(format!("the answer cannot be held to its form: {why}"));
        if self.vocabulary.get().is_none() {
            let made = vocabulary(&self.model.tokenizer).map_err(refused)?;
            // another thread may have been quicker
            let _ = self.vocabulary.set(made);
        }
        let vocabulary = self.vocabulary.get().expect("set just now where it was not");
        vocabulary.hold(grammar, ends).map_err(refused)
    }
}

impl Server {
    /// Listens at an address for questions to a model. `name` is what the API calls it.
    ///
    /// # Errors
    /// Where the address cannot be had, or the model's chat template is none.
    pub fn bind(model: Model, name: String, options: &Options) -> Result<Server> {
        Server::of(vec![(name.clone(), model)], name, None, options)
    }

    /// The same for the members of a router, in its order.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn route(router: Router, models: Vec<Model>, options: &Options) -> Result<Server> {
        let names = router.members.iter().map(|member| member.name.clone());
        Server::of(names.zip(models).collect(), router.name.clone(), Some(router), options)
    }

    fn of(models: Vec<(String, Model)>, name: String, router: Option<Router>, options: &Options) -> Result<Server> {
        let Options { host, port, slots } = options;
        let listener = TcpListener::bind((host.as_str(), *port)).with_context(|| {
            format!("cannot listen at {host}:{port}; --host and --port name another place, --port 0 takes a free one")
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (metrics, stopping, slots) = (Arc::<Metrics>::default(), Cancel::new(), *slots);
        let (mut members, mut engines) = (Vec::new(), Vec::new());
        for (name, model) in models {
            let chat = Chat::of(&model.tokenizer).with_context(|| name.clone())?;
            let (model, (jobs, asked)) = (Arc::new(model), mpsc::channel());
            let decoder = thread::Builder::new().name("decoder".into());
            let (decoded, counted) = (model.clone(), metrics.clone());
            engines.push(decoder.spawn(move || engine::run(&decoded, slots, &asked, &counted))?);
            let (metrics, stopping) = (metrics.clone(), stopping.clone());
            let (scoring, vocabulary) = (Mutex::new(()), OnceLock::new());
            members.push(Member { model, name, chat, jobs, scoring, metrics, stopping, vocabulary });
        }
        let shared = Shared {
            name,
            members,
            router,
            metrics,
            slots,
            clients: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            stopping,
            started: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
        };
        Ok(Server { listener, address, shared: Arc::new(shared), engines })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the model can be asked in conversations.
    pub fn chats(&self) -> bool {
        self.shared.members.iter().all(|member| member.chat.is_some())
    }

    /// Answers until it is asked to end; answers that are on their way then have five seconds.
    ///
    /// # Errors
    /// Where nobody can be listened to any more, or decoding has failed for good.
    pub fn run(mut self, cancel: &Cancel) -> Result<()> {
        while !cancel.is_cancelled() {
            if let Some(place) = self.engines.iter().position(JoinHandle::is_finished) {
                return ended(self.engines.swap_remove(place));
            }
            match self.listener.accept() {
                Ok((stream, _)) => admit(&self.shared, stream),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock => wait(&self.listener)?,
                    // of one client that has gone, or no file is free now: those who are served go on
                    _ => thread::park_timeout(Duration::from_millis(10)),
                },
            }
        }
        drop(self.listener);
        let end = Instant::now() + GRACE;
        while self.shared.busy.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(10));
        }
        self.shared.stopping.cancel();
        let end = Instant::now() + LOOK;
        while self.shared.busy.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Waits for a client, for a moment.
fn wait(listener: &TcpListener) -> Result<()> {
    let moment = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&moment)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("waiting for clients"),
    }
}

/// What became of the engine, which should not end.
fn ended(engine: JoinHandle<bantam_model::Result<()>>) -> Result<()> {
    match engine.join() {
        Ok(Ok(())) => bail!("the engine has ended before the server"),
        Ok(Err(error)) => Err(error).context("the engine cannot decode"),
        Err(_) => bail!("the engine has failed; that is a fault of bantam's"),
    }
}

/// Gives a client a thread of its own.
fn admit(shared: &Arc<Shared>, stream: TcpStream) {
    let Ok(mut connection) = Connection::new(stream) else { return };
    if shared.clients.load(Ordering::SeqCst) >= MOST_CLIENTS {
        let what = format!("{MOST_CLIENTS} clients are connected, and more may not be; ask again later");
        let _ = refuse(&mut connection, &Refusal::new(503, what).coded("overloaded"), false);
        return;
    }
    shared.clients.fetch_add(1, Ordering::SeqCst);
    let owned = shared.clone();
    let client = thread::Builder::new().name("client".into()).stack_size(STACK);
    let spawned = client.spawn(move || {
        let counted = Counted(&owned.clients);
        serve(&owned, connection);
        drop(counted);
    });
    if spawned.is_err() {
        shared.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts down when it goes, also through a panic.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers a client's requests, one after the other.
fn serve(shared: &Shared, mut connection: Connection) {
    loop {
        let request = match connection.request() {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(refusal) => {
                shared.metrics.request("unread", refusal.status);
                let _ = refuse(&mut connection, &refusal, false);
                return connection.close();
            }
        };
        shared.busy.fetch_add(1, Ordering::SeqCst);
        let busy = Counted(&shared.busy);
        let goes_on = answer(shared, &request, &mut connection);
        drop(busy);
        if !goes_on || !request.keeps || shared.is_stopping() {
            return connection.close();
        }
    }
}

/// Answers a request, and tells whether the connection can go on.
fn answer(shared: &Shared, request: &Request, connection: &mut Connection) -> bool {
    let route = ROUTES.iter().find(|(path, _)| *path == request.path);
    let path = route.map_or("other", |(path, _)| path);
    match routed(shared, request, connection) {
        Ok(()) => {
            shared.metrics.request(path, 200);
            true
        }
        Err(Failure::Refused(refusal)) => {
            shared.metrics.request(path, refusal.status);
            refuse(connection, &refusal, request.keeps).is_ok()
        }
        Err(Failure::Gone) => {
            shared.metrics.gone.fetch_add(1, Ordering::Relaxed);
            false
        }
    }
}

fn routed(shared: &Shared, request: &Request, connection: &mut Connection) -> Result<(), Failure> {
    if request.origin.as_deref().is_some_and(|origin| !is_of_this_machine(origin)) {
        let what = "requests of pages from elsewhere are not answered: their Origin is not this machine's";
        return Err(Refusal::new(403, what.into()).into());
    }
    let named = request.path.strip_prefix("/v1/models/");
    let allowed = ROUTES.iter().find(|(path, _)| *path == request.path).map(|(_, method)| *method);
    let allowed = allowed.or(named.map(|_| "GET"));
    match allowed {
        None => {
            let paths: Vec<&str> = ROUTES.iter().map(|(path, _)| *path).collect();
            let what = format!("there is no {}; there are {}", request.path, paths.join(", "));
            return Err(Refusal::new(404, what).coded("unknown_url").into());
        }
        Some(allowed) if allowed != request.method => {
            let what = format!("{} does not take {}, it takes {allowed}", request.path, request.method);
            return Err(Refusal::new(405, what).into());
        }
        Some(_) => {}
    }
    let mut send = |kind: &str, body: String| {
        connection.answer(200, kind, body.as_bytes(), "", request.keeps).map_err(|_| Failure::Gone)
    };
    match request.path.as_str() {
        "/health" => send("application/json", json!({ "status": "ok" }).to_string()),
        "/metrics" => send("text/plain; version=0.0.4", shared.metrics.text(shared.slots)),
        "/v1/models" => send("application/json", {
            let all: Vec<Json> = shared.names().into_iter().map(|name| model(shared, name)).collect();
            json!({ "object": "list", "data": all }).to_string()
        }),
        "/v1/chat/completions" => complete::complete(shared, true, request, connection),
        "/v1/completions" => complete::complete(shared, false, request, connection),
        _ => {
            let plain = named.unwrap_or_default().replace("%2F", "/");
            if let Some(name) = shared.names().into_iter().find(|name| *name == plain || Some(*name) == named) {
                return send("application/json", model(shared, name).to_string());
            }
            let what =
                format!("there is no model {}; there is {}", named.unwrap_or_default(), shared.names().join(", "));
            Err(Refusal::new(404, what).coded("model_not_found").into())
        }
    }
}

/// The model as the API lists it.
fn model(shared: &Shared, name: &str) -> Json {
    let models = || shared.members.iter().map(|member| &member.model);
    json!({
        "id": name,
        "object": "model",
        "created": shared.started,
        "owned_by": "bantam",
        "meta": {
            "n_ctx": models().map(|model| model.longest_generated()).min(),
            "n_vocab": models().map(|model| model.config.vocab).min(),
            "slots": shared.slots,
            "chat": shared.members.iter().all(|member| member.chat.is_some()),
        },
    })
}

fn refuse(connection: &mut Connection, refusal: &Refusal, keeps: bool) -> std::io::Result<()> {
    let more = if refusal.status == 503 { "retry-after: 1\r\n" } else { "" };
    connection.answer(refusal.status, "application/json", refusal.body().to_string().as_bytes(), more, keeps)
}

/// Whether a page is one that this machine serves to itself.
fn is_of_this_machine(origin: &str) -> bool {
    let Some((_, host)) = origin.split_once("://") else { return false };
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// A number that nobody can foresee.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_from_elsewhere_are_told_from_those_of_this_machine() {
        for (origin, is_own) in [
            ("http://localhost:3000", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example.com", false),
            ("https://example.com", false),
            ("null", false),
        ] {
            assert_eq!(is_of_this_machine(origin), is_own, "{origin}");
        }
    }
}

//! A client of one endpoint: asks, tries again what may pass, keeps what was answered, and counts what it took.

use crate::api::{self, Likely, Request, Said, Talk, Token, Usage};
use crate::budget::{Aside, Budget};
use crate::gate::Gate;
use crate::stream::Events;
use crate::wire::{Fault, Response, Wire};
use crate::{Error, Key, Ledger, Patience, Time};
use bantam_core::cancel::Cancel;
use bantam_core::endpoint::{Api, Terms};
use bantam_core::record::Id;
use bantam_core::sync::lock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::http::Method;

/// Bytes of English text that make a token, about: for servers that count none.
const BYTES_A_TOKEN: f64 = 4.0;
/// Tokens that a server may set around a message.
const AROUND: f64 = 64.0;
/// How often it is looked whether others are done.
const LOOK: Duration = Duration::from_millis(20);
/// Fields that some servers do not take and that can be left out; each with what follows of it.
const OPTIONAL: [(&str, &str); 7] = [
    ("temperature", "takes no temperature, so that answers are drawn at its own and may differ from run to run"),
    ("seed", "takes no seed, so that drawn answers cannot be drawn again"),
    ("top_p", "takes no top_p"),
    ("top_k", "takes no top_k"),
    ("min_p", "takes no min_p"),
    ("ignore_eos", ""),
    ("stream_options", ""),
];

/// Asks one endpoint; shared by as many threads as requests may be underway.
pub struct Client {
    terms: Terms,
    wire: Wire,
    gate: Gate,
    budget: Budget,
    ledger: Arc<dyn Ledger>,
    time: Arc<dyn Time>,
    patience: Patience,
    left_out: Mutex<BTreeSet<&'static str>>,
}

/// An answer, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told<T> {
    /// The answer.
    pub answer: T,
    /// Tokens that were read.
    pub input: f64,
    /// Tokens that were written.
    pub output: f64,
    /// The server counted no tokens, so that these are guessed from the texts' lengths.
    #[serde(default)]
    pub estimated: bool,
    /// Seconds from the request to the answer's end, without those of tries before.
    pub seconds: f64,
}

/// An answer that was timed as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Streamed {
    /// Seconds from the request to the first piece of text.
    pub first: f64,
    /// Seconds between one piece and the next.
    pub gaps: Vec<f64>,
    /// Tokens that were read and written, where the server told.
    pub counted: Option<(u64, u64)>,
}

impl Client {
    /// Makes a client under these terms.
    ///
    /// # Errors
    /// Where the ledger cannot tell what was spent.
    pub fn new(
        terms: &Terms,
        key: Option<Key>,
        patience: Patience,
        time: Arc<dyn Time>,
        ledger: Arc<dyn Ledger>,
        cancel: &Cancel,
    ) -> Result<Client, Error> {
        let silence = Duration::try_from_secs_f64(terms.timeout.0).unwrap_or(Duration::MAX);
        let spent = if terms.max_spend.is_some() { ledger.spent().map_err(Error::Ledger)? } else { 0.0 };
        Ok(Client {
            wire: Wire::new(&terms.at, key, silence),
            gate: Gate::new(time.clone(), cancel, terms.requests_per_minute),
            budget: Budget::new(terms, spent),
            terms: terms.clone(),
            ledger,
            time,
            patience,
            left_out: Mutex::default(),
        })
    }

    /// The terms it asks under.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What of the requests the server does not take, a clause each.
    pub fn notes(&self) -> Vec<String> {
        let left_out = lock(&self.left_out);
        let words = OPTIONAL.iter().filter(|(field, words)| left_out.contains(field) && !words.is_empty());
        words.map(|(_, words)| format!("{} {words}", self.terms.name)).collect()
    }

    /// Has the model answer a conversation; the `draw`-th answer to it is another one than the first.
    ///
    /// # Errors
    /// Where there is no answer, after all tries.
    pub fn talk(&self, talk: &Talk, draw: u64) -> Result<Told<Said>, Error> {
        let api = self.terms.at.api;
        let request = api::talk(api, &self.terms.at.model, talk);
        self.ask(request, draw, &|answer| api::said(api, answer), &|said| said.text.len())
    }

    /// Has the model go on with a text.
    ///
    /// # Errors
    /// As [`Client::talk`]; [`Error::is_absent`] where the server does nothing of the sort.
    pub fn text(&self, prompt: &str, talk: &Talk, draw: u64) -> Result<Told<Said>, Error> {
        self.has_texts()?;
        let request = api::text(&self.terms.at.model, prompt, talk);
        self.ask(request, draw, &api::written, &|said| said.text.len())
    }

    /// Tells how likely each token of a text is; `None` where the server does not tell.
    ///
    /// # Errors
    /// As [`Client::text`].
    pub fn tokens(&self, text: &str) -> Result<Told<Option<Vec<Token>>>, Error> {
        self.has_texts()?;
        let request = api::echo(&self.terms.at.model, text);
        self.ask(request, 0, &|answer| Some(api::tokens(answer)), &|_| 1)
    }

    /// Tells the likeliest next tokens; `None` where the server does not tell.
    ///
    /// # Errors
    /// As [`Client::text`].
    pub fn likely(&self, prompt: &str, most: usize) -> Result<Told<Option<Vec<Likely>>>, Error> {
        self.has_texts()?;
        let request = api::next(&self.terms.at.model, prompt, most);
        self.ask(request, 0, &|answer| Some(api::likely(answer)), &|_| 1)
    }

    /// The names of the models that the server lists.
    ///
    /// # Errors
    /// Where it lists none.
    pub fn models(&self) -> Result<Vec<String>, Error> {
        let attempt = || json_of(self.wire.send(&Method::GET, "/models", None)?, &self.wire);
        let (answer, aside) = self.tried(None, (0.0, 0.0), &attempt)?;
        self.budget.spend(aside, 0.0);
        let list = answer.get("data").or(answer.get("models")).and_then(Json::as_array);
        let name = |model: &Json| Some(model.get("id").or(model.get("name"))?.as_str()?.to_owned());
        match list {
            Some(list) => Ok(list.iter().filter_map(name).collect()),
            None => Err(self.form("/models", "lists no models".into())),
        }
    }

    fn has_texts(&self) -> Result<(), Error> {
        match self.terms.at.api {
            Api::Openai => Ok(()),
            Api::Anthropic => Err(Error::Refused {
                url: self.wire.address("/completions"),
                status: 404,
                said: "Anthropic's API knows conversations only".into(),
                field: String::new(),
            }),
        }
    }

    fn form(&self, path: &str, why: String) -> Error {
        Error::Form { url: self.wire.address(path), why }
    }

    /// Asks, unless the ledger has the answer, and keeps what was answered before it is told.
    fn ask<T: Serialize + DeserializeOwned>(
        &self,
        request: Request,
        draw: u64,
        read: &dyn Fn(&Json) -> Option<T>,
        size: &dyn Fn(&T) -> usize,
    ) -> Result<Told<T>, Error> {
        let at = &self.terms.at;
        let id = Id::of(&("answer 1", &at.url, at.api, request.path, &request.body, draw));
        if let Some(told) = self.ledger.find(&id).and_then(|kept| serde_json::from_str(&kept).ok()) {
            return Ok(told);
        }
        let most = most_tokens(&request);
        let ((told, cost), aside) = self.tried(Some(&request), most, &|| {
            let body = self.adapted(&request.body).to_string();
            let began = self.time.now();
            let response = self.wire.send(&Method::POST, request.path, Some(&body))?;
            let json = json_of(response, &self.wire)?;
            let seconds = self.time.now().saturating_sub(began).as_secs_f64();
            let Some(answer) = read(&json) else {
                let shown = self.wire.shown(&json.to_string());
                return Err(Fault::broken(format!("gives an answer of another form than the API's: {shown}")));
            };
            let counted = api::usage(at.api, &json);
            let guessed = || (request.bytes as f64 / BYTES_A_TOKEN, size(&answer) as f64 / BYTES_A_TOKEN);
            let (input, output) = counted.map_or_else(guessed, |Usage { input, output }| (input as f64, output as f64));
            let told = Told { answer, input, output, estimated: counted.is_none(), seconds };
            let cost = self.budget.cost(input, output);
            let record = serde_json::to_string(&told).map_err(|e| Fault::Final(Error::Ledger(e.to_string())))?;
            let hidden = self.wire.hidden(&record);
            self.ledger.keep(&id, &hidden, cost).map_err(|why| Fault::Final(Error::Ledger(why)))?;
            // a server that says the key again is not told on
            let told = if hidden == record { Some(told) } else { serde_json::from_str(&hidden).ok() };
            told.map(|told| (told, cost)).ok_or_else(|| Fault::broken("repeats the key"))
        })?;
        self.budget.spend(aside, cost);
        Ok(told)
    }

    /// Tries until there is an answer, and gives it with what was set aside for it. What may have been paid for nothing is
    /// counted as paid.
    fn tried<T>(
        &self,
        request: Option<&Request>,
        most: (f64, f64),
        attempt: &dyn Fn() -> Result<T, Fault>,
    ) -> Result<(T, Aside), Error> {
        let (mut wait, mut adapted, mut tries) = (self.patience.first, 0, 0);
        loop {
            let aside = loop {
                match self.budget.set_aside(most.0, most.1) {
                    // what others set aside may be more than it comes to
                    Err(Error::Spent { .. }) if self.budget.is_underway() => self.gate.wait(LOOK)?,
                    done => break done?,
                }
            };
            if let Err(error) = self.gate.pass() {
                self.budget.spend(aside, 0.0);
                return Err(error);
            }
            let (why, asked, paid) = match attempt() {
                Ok(done) => return Ok((done, aside)),
                Err(Fault::Final(error)) => {
                    self.budget.spend(aside, 0.0);
                    if adapted < OPTIONAL.len() + 1 && request.is_some_and(|request| self.adapt(&error, request)) {
                        adapted += 1;
                        continue;
                    }
                    return Err(error);
                }
                Err(Fault::Passing { why, wait, paid }) => (why, wait, paid),
            };
            let cost = if paid { Budget::most_of(&aside) } else { 0.0 };
            self.budget.spend(aside, cost);
            if cost > 0.0 {
                self.ledger.pay(cost).map_err(Error::Ledger)?;
            }
            tries += 1;
            let url = self.wire.address(request.map_or("/models", |request| request.path));
            if tries >= self.patience.tries {
                return Err(Error::Unreachable { url, why, tries });
            }
            match asked {
                Some(asked) if asked > self.patience.asked => {
                    return Err(Error::TooMany { url, seconds: asked.as_secs() });
                }
                // all threads are meant
                Some(asked) => self.gate.rest(asked),
                None => self.gate.wait(wait.mul_f64(0.5 + 0.5 * chance()))?,
            }
            wait = (wait * 2).min(self.patience.most);
        }
    }

    /// Leaves out what the server does not take, or calls it as it wants; whether that is of use.
    fn adapt(&self, error: &Error, request: &Request) -> bool {
        let Error::Refused { status: 400 | 422, said, field, .. } = error else { return false };
        let mut left_out = lock(&self.left_out);
        let has = |field: &str| request.body.get(field).is_some();
        if said.contains("max_completion_tokens") && has("max_tokens") {
            return left_out.insert("max_tokens");
        }
        let says = |name: &str| {
            let quoted = ['\'', '"', '`'].iter().any(|quote| said.contains(&format!("{quote}{name}{quote}")));
            let refuses =
                ["nsupported", "nrecognized", "not supported", "nknown", "xtra ", "nexpected", "not permitted"];
            field == name || quoted || said.contains(name) && refuses.iter().any(|words| said.contains(words))
        };
        OPTIONAL.iter().any(|(name, _)| has(name) && says(name) && left_out.insert(name))
    }

    /// The body as the server takes it.
    fn adapted(&self, body: &Json) -> Json {
        let left_out = lock(&self.left_out);
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|field, _| field == "max_tokens" || !left_out.contains(field.as_str()));
            if left_out.contains("max_tokens")
                && let Some(most) = fields.remove("max_tokens")
            {
                fields.insert("max_completion_tokens".into(), most);
            }
        }
        body
    }

    /// Has the model write so many tokens after a prompt, which is a user's message where it `talks`, and times them as they
    /// come. Nothing of it is kept but what it
    /// cost.
    ///
    /// # Errors
    /// As [`Client::talk`].
    pub fn stream(&self, prompt: &str, tokens: usize, talks: bool) -> Result<Streamed, Error> {
        let request = self.streaming(prompt, tokens, talks);
        let most = most_tokens(&request);
        let (streamed, aside) = self.tried(Some(&request), most, &|| {
            let body = self.adapted(&request.body).to_string();
            let began = self.time.now();
            let response = self.wire.send(&Method::POST, request.path, Some(&body))?;
            self.timed(response, began)
        })?;
        let guessed = (request.bytes as f64 / BYTES_A_TOKEN, 1.0 + streamed.gaps.len() as f64);
        let (input, output) = streamed.counted.map_or(guessed, |(input, output)| (input as f64, output as f64));
        let cost = self.budget.cost(input, output);
        self.budget.spend(aside, cost);
        if cost > 0.0 {
            self.ledger.pay(cost).map_err(Error::Ledger)?;
        }
        Ok(streamed)
    }

    fn streaming(&self, prompt: &str, tokens: usize, talks: bool) -> Request {
        let talk = Talk {
            messages: vec![api::Message { role: "user".into(), content: prompt.into() }],
            ..Talk::greedy(tokens)
        };
        let api = self.terms.at.api;
        let mut request = match talks {
            true => api::talk(api, &self.terms.at.model, &talk),
            false => api::text(&self.terms.at.model, prompt, &talk),
        };
        request.body["stream"] = json!(true);
        if api == Api::Openai {
            request.body["stream_options"] = json!({ "include_usage": true });
            // not all servers know it, and who does not says so
            request.body["ignore_eos"] = json!(true);
        }
        request
    }

    fn timed(&self, response: Response, began: Duration) -> Result<Streamed, Fault> {
        if response.kind != "text/event-stream" {
            let kind = response.kind.clone();
            let text = response.text()?;
            let is_whole = serde_json::from_str::<Json>(&text).is_ok_and(|json| json.get("error").is_none());
            return Err(match is_whole {
                true => {
                    Fault::Final(self.form(
                        "",
                        "gives a whole answer where a stream is due, so that its times cannot be told".into(),
                    ))
                }
                false => Fault::broken(format!(
                    "answers {} where a stream is due: {}",
                    kind_of(&kind),
                    self.wire.shown(&text)
                )),
            });
        }
        let mut events = Events::of(response.body.into_reader());
        let (mut times, mut input, mut output, mut ended) = (Vec::new(), None, None, false);
        while let Some(data) = events.next()? {
            let now = self.time.now();
            let Some(piece) = api::piece(self.terms.at.api, &data) else {
                return Err(Fault::broken(format!(
                    "breaks its stream off after {} pieces: {}",
                    times.len(),
                    self.wire.shown(&data)
                )));
            };
            if !piece.text.is_empty() {
                times.push(now.saturating_sub(began).as_secs_f64());
            }
            (input, output) = (piece.input.or(input), piece.output.or(output));
            ended |= piece.ends;
            if data == "[DONE]" {
                break;
            }
        }
        if !ended {
            return Err(Fault::broken(format!("breaks its stream off after {} pieces", times.len())));
        }
        let Some(first) = times.first().copied() else {
            return Err(Fault::broken("streams an answer without a word"));
        };
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        Ok(Streamed { first, gaps, counted: input.zip(output) })
    }
}

/// Whether a server on this machine answers a request of an address with success.
pub fn answers(url: &str) -> bool {
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(2)));
    config.build().new_agent().get(url).call().is_ok()
}

/// A number from 0 to 1 that no two callers share; nothing that is measured depends on it.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// The most tokens that a request can be charged for: a text has no more than bytes.
fn most_tokens(request: &Request) -> (f64, f64) {
    (request.bytes as f64 + AROUND, request.output as f64)
}

fn kind_of(kind: &str) -> &str {
    if kind.is_empty() { "something without a content type" } else { kind }
}

/// The JSON of a whole answer, whatever it is called.
fn json_of(response: Response, wire: &Wire) -> Result<Json, Fault> {
    let kind = response.kind.clone();
    let text = response.text()?;
    match serde_json::from_str::<Json>(&text) {
        Ok(json) if json.get("error").is_some_and(|error| !error.is_null()) => {
            Err(Fault::broken(format!("answers with an error: {}", wire.shown(&text))))
        }
        Ok(json) => Ok(json),
        Err(_) if !kind.contains("json") => {
            Err(Fault::broken(format!("answers {} where JSON is due: {}", kind_of(&kind), wire.shown(&text))))
        }
        Err(e) => Err(Fault::broken(format!("gives half a JSON of {} bytes ({e})", text.len()))),
    }
}

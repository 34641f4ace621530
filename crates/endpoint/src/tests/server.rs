//! A server that stands in for an endpoint, over std's sockets: it answers as it is told, remembers what it was asked, and
//! fails in the ways that servers fail. It knows OpenAI's form and, at /messages, Anthropic's.

#![allow(dead_code, reason = "each test takes what it needs of this")]

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// One way to fail, for one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// 200 with a page of HTML.
    Html,
    /// 200 with the first half of the answer's JSON, and a length that fits it.
    Half,
    /// The connection is closed after the head and some bytes of the body.
    Drop(usize),
    /// The connection is closed without a word.
    Close,
    /// No answer until the client gives up.
    Hang,
    /// An error in a stream after so many pieces.
    StreamError(usize),
    /// 200 with an error in JSON.
    Error200,
    /// JSON of another form than the API's.
    OtherForm,
    /// The answer whole where a stream was asked for.
    NoStream,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) body: Value,
    /// The value of the header with the key.
    pub(crate) key: Option<String>,
}

struct State {
    faults: VecDeque<Fault>,
    asked: Vec<Asked>,
    answer: Box<dyn Fn(&Value) -> String + Send>,
    /// It tells likelihoods of what it echoes.
    echoes: bool,
    /// It goes on with texts.
    completes: bool,
    counts: bool,
    /// Fields that it refuses.
    refuses: Vec<&'static str>,
    /// Requests from this one on wait.
    hold_from: usize,
}

/// The server. Its threads end with the test's process.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Value) -> String + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let state = State {
            faults: VecDeque::new(),
            asked: Vec::new(),
            answer: Box::new(answer),
            echoes: false,
            completes: true,
            counts: true,
            refuses: Vec::new(),
            hold_from: usize::MAX,
        };
        let server = Server { url, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The next requests fail so, one after the other.
    pub(crate) fn fails(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    pub(crate) fn echoes(self) -> Server {
        self.state().echoes = true;
        self
    }

    pub(crate) fn completes_nothing(self) -> Server {
        self.state().completes = false;
        self
    }

    pub(crate) fn counts_nothing(self) -> Server {
        self.state().counts = false;
        self
    }

    pub(crate) fn refuses(self, fields: &[&'static str]) -> Server {
        self.state().refuses = fields.to_vec();
        self
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Holds every answer from the n-th request on (from 0).
    pub(crate) fn hold_from(&self, n: usize) {
        self.state().hold_from = n;
    }

    /// Gives what was held to whoever is still there, and holds nothing more.
    pub(crate) fn release(&self) {
        self.state().hold_from = usize::MAX;
        self.state.1.notify_all();
    }

    /// Waits until so many requests have come.
    pub(crate) fn wait_for(&self, n: usize) {
        let mut state = self.state();
        while state.asked.len() < n {
            state = self.state.1.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    fn serve(&self, stream: TcpStream) {
        let Ok(reading) = stream.try_clone() else { return };
        let (mut reader, mut out) = (BufReader::new(reading), stream);
        while let Some(asked) = read(&mut reader) {
            let fault = {
                let mut state = self.state();
                let n = state.asked.len();
                if asked.path != "/v1/models" {
                    state.asked.push(asked.clone());
                    self.state.1.notify_all();
                }
                while n >= state.hold_from {
                    state = self.state.1.wait(state).unwrap_or_else(|e| e.into_inner());
                }
                if asked.path == "/v1/models" { None } else { state.faults.pop_front() }
            };
            if self.answer(&asked, fault, &mut out).is_none() {
                return;
            }
        }
    }

    /// Writes an answer; None where the connection is to be closed.
    fn answer(&self, asked: &Asked, fault: Option<Fault>, out: &mut TcpStream) -> Option<()> {
        let (status, kind, body) = self.said(asked);
        match fault {
            None => send(out, status, &[("Content-Type", kind)], &body),
            Some(Fault::Status(status, headers, body)) => {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                send(out, status, &headers, &body)
            }
            Some(Fault::Html) => send(out, 200, &[("Content-Type", "text/html")], "<html><body>Log in</body></html>"),
            Some(Fault::Half) => send(out, status, &[("Content-Type", kind)], &body[..body.len() / 2]),
            Some(Fault::Error200) => {
                send(out, 200, &[("Content-Type", "application/json")], "{\"error\":{\"message\":\"overloaded\"}}")
            }
            Some(Fault::OtherForm) => send(out, 200, &[("Content-Type", "application/json")], "{\"hello\":1}"),
            Some(Fault::StreamError(pieces)) => {
                let some: String = body.split_inclusive("\n\n").take(pieces).collect();
                let error = "data: {\"error\":{\"message\":\"engine died\"}}\n\n";
                send(out, status, &[("Content-Type", kind)], &(some + error))
            }
            Some(Fault::NoStream) => {
                let whole = json!({ "choices": [{ "message": { "content": "a" } }] }).to_string();
                send(out, 200, &[("Content-Type", "application/json")], &whole)
            }
            Some(Fault::Drop(bytes)) => {
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
                out.write_all(head.as_bytes()).ok()?;
                out.write_all(&body.as_bytes()[..bytes.min(body.len() - 1)]).ok()?;
                None
            }
            Some(Fault::Close) => None,
            Some(Fault::Hang) => {
                let _ = out.read(&mut [0]);
                None
            }
        }
    }

    /// What a server that fails in nothing says.
    fn said(&self, asked: &Asked) -> (u16, &'static str, String) {
        let state = self.state();
        let json = |status: u16, value: Value| (status, "application/json", value.to_string());
        let body = &asked.body;
        if let Some(field) = state.refuses.iter().find(|field| body.get(**field).is_some()) {
            let message = match *field {
                "max_tokens" => "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.".to_owned(),
                field => format!("Unrecognized request argument supplied: {field}"),
            };
            return json(400, json!({ "error": { "message": message, "param": field } }));
        }
        let prompt = body["prompt"].as_str().unwrap_or_default();
        let answer = || (state.answer)(body);
        let words = |text: &str| text.split_whitespace().count().max(1);
        let counted = |mut value: Value, input: usize, output: usize| {
            if state.counts {
                value["usage"] = json!({ "prompt_tokens": input, "completion_tokens": output });
            }
            value
        };
        match asked.path.as_str() {
            "/v1/models" => json(200, json!({ "data": [{ "id": "mock" }] })),
            "/v1/chat/completions" if body["stream"] == true => {
                let pieces = body["max_tokens"].as_u64().unwrap_or(3) as usize;
                let piece = |_| "data: {\"choices\":[{\"delta\":{\"content\":\"w \"}}]}\n\n".to_owned();
                let mut text: String = (0..pieces).map(piece).collect();
                text += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
                if state.counts {
                    let input = words(body["messages"].to_string().as_str());
                    let usage = json!({ "prompt_tokens": input, "completion_tokens": pieces });
                    text += &format!("data: {}\n\n", json!({ "choices": [], "usage": usage }));
                }
                (200, "text/event-stream", text + "data: [DONE]\n\n")
            }
            "/v1/chat/completions" => {
                let text = answer();
                let (input, output) = (words(&body["messages"].to_string()), words(&text));
                let choice = json!({ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
                json(200, counted(json!({ "choices": [choice] }), input, output))
            }
            "/v1/messages" => {
                let text = answer();
                let usage =
                    json!({ "input_tokens": words(&body["messages"].to_string()), "output_tokens": words(&text) });
                json(
                    200,
                    json!({ "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "usage": usage }),
                )
            }
            "/v1/completions" if !state.completes => {
                json(404, json!({ "error": { "message": "This is not a completions model" } }))
            }
            "/v1/completions" if body["echo"] == true && state.echoes => {
                json(200, counted(echoed(prompt), prompt.split_inclusive(' ').count(), 1))
            }
            "/v1/completions" => {
                let text = answer();
                let (input, output) = (words(prompt), words(&text));
                let choice = json!({ "text": text, "finish_reason": "stop", "logprobs": null });
                json(200, counted(json!({ "choices": [choice] }), input, output))
            }
            _ => json(404, json!({ "error": { "message": "no such path" } })),
        }
    }
}

/// Words with the space before them are tokens, and longer ones are less likely.
fn echoed(prompt: &str) -> Value {
    let mut tokens: Vec<String> = Vec::new();
    for c in prompt.chars() {
        match tokens.last_mut() {
            Some(last) if c != ' ' => last.push(c),
            _ => tokens.push(c.to_string()),
        }
    }
    let mut logprobs: Vec<Value> = tokens.iter().map(|token| json!(-(token.len() as f64))).collect();
    logprobs[0] = Value::Null;
    let top = |(token, logprob): (&String, &Value)| match logprob {
        Value::Null => Value::Null,
        logprob => json!({ token.as_str(): logprob }),
    };
    let mut tops: Vec<Value> = tokens.iter().zip(&logprobs).map(top).collect();
    tokens.push(" end".into());
    logprobs.push(json!(-0.5));
    tops.push(json!({ " end": -0.5 }));
    let logprobs = json!({ "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops });
    json!({ "choices": [{ "text": format!("{prompt} end"), "logprobs": logprobs, "finish_reason": "length" }] })
}

fn send(out: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &str) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    out.write_all(format!("{head}\r\n{body}").as_bytes()).ok()
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split_whitespace().nth(1)?.to_owned();
    let (mut length, mut key) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" | "x-api-key" => key = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, body: serde_json::from_slice(&body).unwrap_or_default(), key })
}

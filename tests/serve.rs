//! `bantam serve` from outside: the real binary with a bundled model, asked over loopback by sockets of this test, so that
//! what stands on the wire is what is tested.

mod common;

use bantam_core::record::Place;
use bantam_model::chat::{ChatTemplate, Conversation};
use bantam_model::tokenizer::Special;
use bantam_model::{LoadOptions, Model, Sampling};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything may take here before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);
const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

/// A server that ends with the test.
struct Server {
    child: Child,
    address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let home = tempfile::tempdir().expect("a folder");
        let all = [&["serve", "bantam-s", "--port", "0"], arguments].concat();
        let mut child = common::bantam(home.path(), &all).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("says where it is");
        let address = line.trim().strip_prefix("bantam-s answers at http://").and_then(|rest| rest.strip_suffix("/v1"));
        let address = address.unwrap_or_else(|| panic!("it said {line:?}")).parse().expect("an address");
        Server { child, address, _home: home }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// Sends bytes on a connection of their own, and reads what comes until it is closed.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let text = self.raw(request(method, path, body).as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let is_chunked = head.contains("transfer-encoding: chunked");
        Answer { status, body: if is_chunked { unchunked(body) } else { body.to_owned() } }
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        let answer = self.send("POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn refused(&self, method: &str, path: &str, body: &str) -> (u16, Json) {
        let answer = self.send(method, path, body);
        let said: Json = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}", answer.body));
        for field in ["message", "type", "param", "code"] {
            assert!(said["error"].get(field).is_some(), "{said} has no {field}");
        }
        (answer.status, said["error"].clone())
    }

    /// The events of a streamed answer, without the one that ends them all.
    fn stream(&self, path: &str, body: &Json) -> Vec<Json> {
        let answer = self.send("POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut events: Vec<&str> = answer.body.split_terminator("\n\n").collect();
        assert_eq!(events.pop(), Some("data: [DONE]"));
        let read = |event: &str| serde_json::from_str(event.strip_prefix("data: ").expect("an event")).expect("JSON");
        events.into_iter().map(read).collect()
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = self.send("GET", "/metrics", "").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}"));
        line.trim().parse().expect("a number")
    }

    /// Asks it to end as Ctrl-C does.
    fn interrupt(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("told");
        self.child.wait().expect("ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Answer {
    status: u16,
    body: String,
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return text;
        }
        text.push_str(&rest[..length]);
        body = rest[length..].strip_prefix("\r\n").expect("a chunk's end");
    }
}

fn conversation(content: &str) -> Json {
    json!([{ "role": "user", "content": content }])
}

/// Greedy, of so many tokens.
fn asked(content: &str, tokens: usize) -> Json {
    json!({ "model": "bantam-s", "messages": conversation(content), "temperature": 0, "max_tokens": tokens })
}

fn content(answer: &Json) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// What the deltas of a streamed conversation say together.
fn deltas(events: &[Json], index: usize) -> String {
    let of = |event: &Json| {
        let choice = event["choices"].as_array()?.iter().find(|choice| choice["index"] == index)?.clone();
        Some(choice["delta"]["content"].as_str()?.to_owned())
    };
    events.iter().filter_map(of).collect()
}

fn model() -> Model {
    bantam::library::models::load(&Place::Bundled("bantam-s".into()), &LoadOptions::default()).expect("loads")
}

/// What the engine alone answers, and its tokens.
fn alone(model: &Model, messages: &Json, most: usize) -> (String, usize, usize) {
    let template = ChatTemplate::of(&model.tokenizer, false).expect("compiles").expect("there is one");
    let messages = messages.as_array().expect("a list");
    let written = Conversation { messages, add_generation_prompt: true, ..Conversation::default() };
    let prompt = template.render(&written).expect("renders");
    let prompt = model.tokenizer.encode(&prompt, Special::With).expect("encodes");
    let sampling =
        Sampling { end_tokens: template.turn_end(&model.tokenizer).into_iter().collect(), ..Sampling::greedy(most) };
    let generated = model.generate(&prompt, &sampling, |_| ControlFlow::Continue(())).expect("generates");
    let text = model.tokenizer.decode(&generated.tokens, Special::Without).expect("decodes");
    (text, prompt.len(), generated.tokens.len())
}

#[test]
fn a_conversation_is_answered_as_by_the_engine_alone_streamed_or_not() {
    let server = Server::start(&[]);
    let model = model();
    for question in ["What is 12 + 30?", "My card was charged twice", "Größe 日本 🐓"] {
        let (text, prompt, tokens) = alone(&model, &conversation(question), 40);
        let answer = server.post(CHAT, &asked(question, 40));
        assert_eq!(content(&answer), text, "{question}");
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
        let usage = json!({ "prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens,
            "completion_tokens_details": { "reasoning_tokens": 0 } });
        assert_eq!(answer["usage"], usage);
        let finish = if tokens == 40 { "length" } else { "stop" };
        assert_eq!(answer["choices"][0]["finish_reason"], finish);

        let mut streamed = asked(question, 40);
        streamed["stream"] = json!(true);
        streamed["stream_options"] = json!({ "include_usage": true });
        let events = server.stream(CHAT, &streamed);
        assert_eq!(deltas(&events, 0), text, "{question}");
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        let [.., last, used] = &events[..] else { panic!("too few events") };
        assert_eq!((&last["choices"][0]["finish_reason"], &used["usage"]), (&json!(finish), &usage));
        assert!(
            events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["id"] == events[0]["id"])
        );
    }
}

#[test]
fn texts_are_completed_several_at_once_with_their_probabilities() {
    let server = Server::start(&[]);
    let body = json!({ "prompt": ["Q: What is 1 + 2?\nA:", "Q: What is 2 + 2?\nA:"], "temperature": 0, "max_tokens": 6,
        "logprobs": 2 });
    let both = server.post(TEXT, &body);
    for (index, prompt) in body["prompt"].as_array().expect("a list").iter().enumerate() {
        let one = server.post(TEXT, &json!({ "prompt": prompt, "temperature": 0, "max_tokens": 6 }));
        let choice = &both["choices"][index];
        assert_eq!((&choice["text"], &choice["index"]), (&one["choices"][0]["text"], &json!(index)));
        let logprobs = &choice["logprobs"];
        let tokens: Vec<&str> =
            logprobs["tokens"].as_array().expect("a list").iter().filter_map(Json::as_str).collect();
        assert_eq!(tokens.concat(), choice["text"].as_str().expect("a text"));
        let (chosen, top) = (&logprobs["token_logprobs"][0], &logprobs["top_logprobs"][0][tokens[0]]);
        assert_eq!(chosen, top, "the likeliest token is drawn");
        assert!(chosen.as_f64().expect("a number") <= 0.0);
    }
    let echoed = server.post(TEXT, &json!({ "prompt": "Q: x\nA:", "echo": true, "max_tokens": 0 }));
    assert_eq!(echoed["choices"][0]["text"], "Q: x\nA:");
    let tokens = server.post(TEXT, &json!({ "prompt": [5, 6, 7], "temperature": 0, "max_tokens": 3 }));
    assert_eq!(tokens["usage"]["prompt_tokens"], 3);
    let events =
        server.stream(TEXT, &json!({ "prompt": body["prompt"][0], "temperature": 0, "max_tokens": 6, "stream": true }));
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, both["choices"][0]["text"].as_str().expect("a text"));
}

#[test]
fn an_echoed_prompt_tells_how_likely_each_of_its_tokens_is() {
    let server = Server::start(&[]);
    let prompt = "Message: Where is my parcel?\nQueue: delivery";
    let body = json!({ "prompt": prompt, "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0 });
    let answer = server.post(TEXT, &body);
    let (text, logprobs) = (&answer["choices"][0]["text"], &answer["choices"][0]["logprobs"]);
    assert!(text.as_str().is_some_and(|text| text.starts_with(prompt)), "{text}");
    let model = model();
    let tokens = model.tokenizer.encode(prompt, Special::With).expect("encoded");
    let own = model.rolling(tokens[0], &[&tokens[1..]]).expect("scored").remove(0);
    let told = |key: &str| logprobs[key].as_array().unwrap_or_else(|| panic!("{logprobs}")).clone();
    let (values, tops) = (told("token_logprobs"), told("top_logprobs"));
    assert_eq!((values.len(), told("tokens").len()), (tokens.len() + 1, tokens.len() + 1), "and what was generated");
    assert!(values[0].is_null() && tops[0].is_null(), "nothing stands before the first");
    for (at, own) in own.iter().enumerate() {
        let value = values[at + 1].as_f64().expect("a number");
        assert!((value - own).abs() < 1e-4, "{at}: {value} {own}");
        let most =
            tops[at + 1].as_object().expect("a table").values().filter_map(Json::as_f64).fold(f64::MIN, f64::max);
        assert!(most >= value - 1e-6);
    }
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let (status, error) = server.refused("POST", TEXT, &streamed.to_string());
    assert_eq!((status, &error["param"]), (400, &json!("stream")));
}

#[test]
fn draws_follow_their_seed_and_answers_end_where_they_are_told() {
    let server = Server::start(&[]);
    let drawn = |seed: u64| {
        let body =
            json!({ "messages": conversation("Hello"), "seed": seed, "n": 3, "max_tokens": 24, "ignore_eos": true });
        let answer = server.post(CHAT, &body);
        let texts = answer["choices"].as_array().expect("a list").iter();
        texts.map(|choice| choice["message"]["content"].as_str().expect("a text").to_owned()).collect::<Vec<String>>()
    };
    let first = drawn(1);
    assert_eq!(first, drawn(1));
    assert_ne!(first, drawn(2));
    assert!(first[0] != first[1] && first[1] != first[2]);

    let whole = server.post(
        CHAT,
        &json!({ "messages": conversation("Hello"), "temperature": 0, "max_tokens": 24,
        "ignore_eos": true }),
    );
    let whole = content(&whole);
    let stop: String = whole.chars().skip(5).take(3).collect();
    let kept = whole.split(stop.as_str()).next().expect("a text has a beginning");
    for stops in [json!(stop), json!(["never there", stop])] {
        let body = json!({ "messages": conversation("Hello"), "temperature": 0, "max_tokens": 24, "ignore_eos": true,
            "stop": stops });
        let stopped = server.post(CHAT, &body);
        assert_eq!(content(&stopped), kept);
        assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        assert_eq!(deltas(&server.stream(CHAT, &streamed), 0), kept);
    }
}

#[test]
fn an_answer_that_has_to_be_json_is_a_json_object() {
    let server = Server::start(&[]);
    // a model that knows no JSON never closes its object: the marks that do are made likelier
    let tokenizer = model().tokenizer;
    let mark = |text: &str| tokenizer.encode(text, Special::Without).expect("encodes")[0].to_string();
    let bias = json!({ mark("\""): 8, mark("}"): 12, mark("\"}"): 12 });
    for seed in 0..6 {
        let body = json!({ "messages": conversation("Hello"), "seed": seed, "max_tokens": 400, "logit_bias": bias,
            "response_format": { "type": "json_object" } });
        let answer = server.post(CHAT, &body);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
        let read: Json = serde_json::from_str(content(&answer)).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert!(read.is_object());
    }
}

#[test]
fn an_answer_is_held_to_a_schema_an_expression_or_choices() {
    let server = Server::start(&[]);
    let schema = json!({ "type": "object", "required": ["kind", "count"], "additionalProperties": false, "properties": {
        "kind": { "enum": ["delivery", "billing"] }, "count": { "type": "integer", "minimum": 0, "maximum": 999 } } });
    let ask = |more: Json| {
        let mut body = json!({ "messages": conversation("Hello"), "temperature": 0, "max_tokens": 100 });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let answer = server.post(CHAT, &body);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
        content(&answer).to_owned()
    };
    for more in [
        json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema, "strict": true } } }),
        json!({ "json_schema": schema }),
        json!({ "structured_outputs": { "json": schema } }),
    ] {
        let read: Json = serde_json::from_str(&ask(more)).expect("JSON");
        assert!(["delivery", "billing"].contains(&read["kind"].as_str().expect("a text")), "{read}");
        assert!(read["count"].as_u64().is_some_and(|count| count < 1000), "{read}");
    }
    assert!(
        ["yes", "no (1)"].contains(&ask(json!({ "structured_outputs": { "choice": ["yes", "no (1)"] } })).as_str())
    );
    let date = ask(json!({ "structured_outputs": { "regex": "20[0-9]{2}-[01][0-9]" } }));
    assert!(date.starts_with("20") && date.len() == 7, "{date}");
    let refused = json!({ "messages": conversation("Hello"), "json_schema": { "type": "thing" } });
    let (status, error) = server.refused("POST", CHAT, &refused.to_string());
    assert_eq!((status, &error["param"]), (400, &json!("json_schema")), "{error}");
}

#[test]
fn what_cannot_be_answered_is_refused_in_the_apis_form() {
    let server = Server::start(&["--ctx", "64"]);
    let long = json!({ "messages": conversation(&"many words ".repeat(100)) }).to_string();
    for (method, path, body, status, param, said) in [
        ("POST", CHAT, "{", 400, json!(null), "the body is no JSON"),
        ("POST", CHAT, "", 400, json!(null), "the body is no JSON"),
        ("POST", CHAT, "{}", 400, json!("messages"), "there are no messages"),
        (
            "POST",
            CHAT,
            r#"{"messages":[{"role":"x","content":"y"}]}"#,
            400,
            json!("messages[0].role"),
            "messages[0].role is 'x'",
        ),
        ("POST", CHAT, &long, 400, json!("prompt"), "the prompt has "),
        ("POST", TEXT, r#"{"prompt":"x","temperature":-1}"#, 400, json!("temperature"), "temperature is -1"),
        ("POST", TEXT, r#"{"prompt":[[99999]]}"#, 400, json!("prompt"), "prompt is missing or of no use"),
        ("POST", TEXT, r#"{"prompt":"x","best_of":2}"#, 400, json!("best_of"), "best_of is 2"),
        (
            "POST",
            CHAT,
            r#"{"messages":[{"role":"user","content":"y"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
            400,
            json!("tools"),
            "the model's chat template does not know tools",
        ),
        ("GET", CHAT, "", 405, json!(null), "/v1/chat/completions does not take GET"),
        ("GET", "/v2/x", "", 404, json!(null), "there is no /v2/x"),
        ("GET", "/v1/models/other", "", 404, json!(null), "there is no model other; there is bantam-s"),
    ] {
        let (code, error) = server.refused(method, path, body);
        assert_eq!((code, &error["param"]), (status, &param), "{path} {body}: {error}");
        assert!(error["message"].as_str().expect("a text").starts_with(said), "{error}");
    }
    assert_eq!(server.refused("POST", CHAT, &long).1["code"], "context_length_exceeded");
    assert_eq!(server.send("GET", "/health", "").status, 200);
    let models: Json = serde_json::from_str(&server.send("GET", "/v1/models", "").body).expect("JSON");
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["meta"]["n_ctx"]), (&json!("bantam-s"), &json!(64)));
}

#[test]
fn what_is_no_request_is_answered_or_cut_off_and_harms_nobody() {
    let server = Server::start(&[]);
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let deep = request("POST", CHAT, &"[".repeat(1 << 20));
    let nested = request("POST", CHAT, &format!("{{\"messages\":{}", "[{\"content\":".repeat(1 << 16)));
    for (bytes, status) in [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n".to_vec(), "400"),
        (b"nonsense\r\n\r\n".to_vec(), "400"),
        (huge.into_bytes(), "431"),
        (deep.into_bytes(), "400"),
        (nested.into_bytes(), "400"),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), "413"),
        (b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), "411"),
        (request("POST", TEXT, "{\"prompt\": \"\u{0}\u{ffff}\"}").into_bytes(), "400"),
        (b"POST /v1/completions HTTP/1.1\r\nOrigin: https://example.com\r\nConnection: close\r\n\r\n".to_vec(), "403"),
    ] {
        let mut stream = server.connect();
        // it may be told off before it has said all
        let _ = stream.write_all(&bytes);
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap_or_else(|e| panic!("{e}: {status}"));
        assert_eq!(&start[9..], status.as_bytes(), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    // two requests at once, and one that ends before it is whole
    let two = request("GET", "/health", "").replace("Connection: close", "Connection: keep-alive")
        + &request("GET", "/health", "");
    assert_eq!(server.raw(two.as_bytes()).matches("{\"status\":\"ok\"}").count(), 2);
    drop(server.connect().write_all(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"));
    assert_eq!(server.send("GET", "/health", "").status, 200);
}

#[test]
fn a_hundred_clients_at_once_all_get_their_own_answer() {
    let server = Server::start(&["--slots", "8"]);
    let model = model();
    let answers: Vec<(String, String)> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let server = &server;
            scope.spawn(move || {
                let question = format!("What is {n} + {}?", n * 7 % 13);
                let mut body = asked(&question, 24);
                if n.is_multiple_of(2) {
                    return (question, content(&server.post(CHAT, &body)).to_owned());
                }
                body["stream"] = json!(true);
                (question, deltas(&server.stream(CHAT, &body), 0))
            })
        };
        let clients: Vec<_> = (0..100).map(ask).collect();
        clients.into_iter().map(|client| client.join().expect("answered")).collect()
    });
    for (question, answer) in answers {
        assert_eq!(answer, alone(&model, &conversation(&question), 24).0, "{question}");
    }
    assert_eq!(server.metric("bantam_requests_total{path=\"/v1/chat/completions\",status=\"200\"}"), 100);
    let (tokens, passes) = (server.metric("bantam_generated_tokens_total"), server.metric("bantam_passes_total"));
    assert!(passes < tokens, "{passes} passes for {tokens} tokens: they are decoded together");
}

#[test]
fn a_client_that_hangs_up_frees_its_slot() {
    let server = Server::start(&["--slots", "1"]);
    // minutes of work for one slot
    let endless =
        json!({ "messages": conversation("Hello"), "n": 128, "max_tokens": 900, "ignore_eos": true, "stream": true });
    for reads in [true, false] {
        let mut stream = server.connect();
        stream.write_all(request("POST", CHAT, &endless.to_string()).as_bytes()).expect("sent");
        if reads {
            stream.read_exact(&mut [0; 15]).expect("it has begun");
        }
        drop(stream);
        assert!(!content(&server.post(CHAT, &asked("What is 1 + 2?", 8))).is_empty(), "another is answered at once");
    }
    let begun = Instant::now();
    // who has gone is noticed by its connection first, and then by the engine
    while server.metric("bantam_requests_abandoned_total") < 2 || server.metric("bantam_sequences_waiting") > 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody has noticed");
    }
    assert_eq!((server.metric("bantam_sequences_waiting"), server.metric("bantam_requests_abandoned_total")), (0, 2));
    assert!(server.metric("bantam_generated_tokens_total") < 128 * 900);
}

#[test]
fn it_ends_when_it_is_asked_to() {
    let server = Server::start(&[]);
    let idle = server.connect();
    assert_eq!(server.send("GET", "/health", "").status, 200);
    let address = server.address;
    assert_eq!(server.interrupt().code(), Some(0));
    drop(idle);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_cannot_be_served_is_told_in_one_sentence() {
    let home = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (arguments, said) in [
        (&["serve", "no-such-model"][..], "no-such-model"),
        (&["serve", "bantam-s", "--ctx", "5000"], "--ctx is 5000, and bantam-s takes 2 to 1024 tokens"),
        (&["serve", "bantam-s", "--slots", "0"], "--slots"),
        (&["serve", "bantam-s", "--port", &port], "cannot listen at 127.0.0.1:"),
    ] {
        let output = common::bantam(home.path(), arguments).output().expect("started");
        let (_, told) = common::said(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(said) && told.lines().count() == 1, "{told}");
    }
}

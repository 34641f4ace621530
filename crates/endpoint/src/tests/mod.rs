//! A client against a server that fails in all the ways that servers fail. Time is made, so that nobody waits.

mod server;

use crate::api::{Message, Stopped, Talk};
use crate::time::Made;
use crate::{Client, Error, Forgetful, Key, Ledger, Patience, Time};
use bantam_core::cancel::Cancel;
use bantam_core::endpoint::{Endpoint, Terms, TokenPrice};
use bantam_core::record::Id;
use bantam_core::sync::lock;
use bantam_core::unit::Seconds;
use server::{Fault, Server};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A ledger in memory.
#[derive(Default)]
struct Book(Mutex<(BTreeMap<Id, String>, f64)>);

impl Ledger for Book {
    fn find(&self, request: &Id) -> Option<String> {
        lock(&self.0).0.get(request).cloned()
    }

    fn keep(&self, request: &Id, answer: &str, cost: f64) -> Result<(), String> {
        let mut book = lock(&self.0);
        book.0.insert(request.clone(), answer.to_owned());
        book.1 += cost;
        Ok(())
    }

    fn pay(&self, cost: f64) -> Result<(), String> {
        lock(&self.0).1 += cost;
        Ok(())
    }

    fn spent(&self) -> Result<f64, String> {
        Ok(lock(&self.0).1)
    }
}

struct Scene {
    server: Server,
    terms: Terms,
    time: Arc<Made>,
    book: Arc<Book>,
    key: Option<Key>,
}

impl Scene {
    fn new(server: Server) -> Scene {
        let at = Endpoint { model: "mock".into(), ..Endpoint::typed(&server.url).expect("an address") };
        Scene { server, terms: Terms::of(at), time: Arc::default(), book: Arc::default(), key: None }
    }

    fn client(&self) -> Client {
        let (time, book) = (self.time.clone(), self.book.clone());
        let patience = Patience { tries: 4, ..Patience::default() };
        Client::new(&self.terms, self.key.clone(), patience, time, book, &Cancel::new()).expect("a client")
    }
}

fn hello() -> Server {
    Server::start(|_| "Hello there".into())
}

fn talk(words: &str) -> Talk {
    Talk { messages: vec![Message { role: "user".into(), content: words.into() }], ..Talk::greedy(16) }
}

fn status(status: u16) -> Fault {
    Fault::Status(status, Vec::new(), String::new())
}

#[test]
fn what_may_pass_is_tried_again_until_there_is_an_answer() {
    let scene = Scene::new(hello());
    for fault in [status(500), status(503), status(529), Fault::Html, Fault::Half, Fault::Drop(9), Fault::Close] {
        scene.server.fails([fault.clone()]);
        let before = scene.server.asked().len();
        let told = scene.client().talk(&talk(&format!("{fault:?}")), 0).expect("an answer");
        assert_eq!((told.answer.text.as_str(), told.answer.stopped), ("Hello there", Stopped::End), "{fault:?}");
        assert_eq!(scene.server.asked().len() - before, 2, "{fault:?}");
    }
    for fault in [Fault::Error200, Fault::OtherForm] {
        scene.server.fails([fault.clone()]);
        assert!(scene.client().talk(&talk(&format!("{fault:?}")), 0).is_ok(), "{fault:?}");
    }
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let scene = Scene::new(hello());
    let later = |seconds: &str| Fault::Status(429, vec![("Retry-After", seconds.into())], String::new());
    scene.server.fails([later("17"), later("2")]);
    scene.client().talk(&talk("a"), 0).expect("an answer");
    assert!(scene.time.now() >= Duration::from_secs(19) && scene.time.now() < Duration::from_secs(20));
    scene.server.fails([later("86400")]);
    let error = scene.client().talk(&talk("b"), 0).expect_err("a day").to_string();
    assert!(error.contains("asks to wait 86400 s"), "{error}");
    // without a word of how long, longer each time
    scene.server.fails([status(429), status(429)]);
    let before = scene.time.now();
    scene.client().talk(&talk("c"), 0).expect("an answer");
    let waited = (scene.time.now() - before).as_secs_f64();
    assert!((0.75..=1.5 + 0.1).contains(&waited), "{waited}");
}

#[test]
fn what_stays_wrong_is_told_in_one_sentence() {
    let scene = Scene::new(hello());
    for (fault, said) in [
        (status(500), "answers 500, 4 times in a row; see whether the server runs"),
        (Fault::Html, "answers text/html where JSON is due: <html>"),
        (Fault::Half, "gives half a JSON of"),
        (Fault::Drop(9), "breaks its answer off after 9 bytes"),
        (Fault::Error200, "answers with an error: {\"error\":{\"message\":\"overloaded\"}}"),
        (Fault::OtherForm, "gives an answer of another form than the API's: {\"hello\":1}"),
    ] {
        scene.server.fails(vec![fault.clone(); 4]);
        let error = scene.client().talk(&talk("a"), 0).expect_err("no answer").to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}\nshould say {said}");
        assert!(error.starts_with(&scene.server.url), "{error}");
    }
    let refused = Fault::Status(401, vec![], "{\"error\":{\"message\":\"Incorrect API key\"}}".into());
    scene.server.fails([refused]);
    let before = scene.server.asked().len();
    let error = scene.client().talk(&talk("a"), 0).expect_err("refused").to_string();
    assert!(error.ends_with("refused with 401: Incorrect API key"), "{error}");
    assert_eq!(scene.server.asked().len() - before, 1, "it is of no use to try again");
    let spent =
        Fault::Status(429, vec![], "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no money\"}}".into());
    scene.server.fails([spent]);
    assert!(scene.client().talk(&talk("a"), 0).expect_err("refused").to_string().contains("429: no money"));
    scene.server.fails([Fault::Status(301, vec![("Location", "https://elsewhere/v1".into())], String::new())]);
    let error = scene.client().talk(&talk("a"), 0).expect_err("moved").to_string();
    assert!(error.contains("a redirect to 'https://elsewhere/v1'"), "{error}");
    let gone = Terms::of(Endpoint::typed("http://127.0.0.1:9/v1#m").expect("an address"));
    let gone = Scene { terms: gone, ..scene };
    let error = gone.client().talk(&talk("a"), 0).expect_err("nobody is there").to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

#[test]
fn a_server_that_never_begins_is_left_after_its_time() {
    let mut scene = Scene::new(hello());
    scene.terms.timeout = Seconds(0.05);
    scene.server.fails(vec![Fault::Hang; 4]);
    let error = scene.client().talk(&talk("a"), 0).expect_err("it hangs").to_string();
    assert!(error.contains("gives no answer in time"), "{error}");
}

#[test]
fn a_server_that_counts_no_tokens_has_them_guessed_and_marked() {
    let scene = Scene::new(hello().counts_nothing());
    let told = scene.client().talk(&talk("sixteen letters!"), 0).expect("an answer");
    assert!(told.estimated);
    assert_eq!((told.input, told.output), (4.0, 2.75));
    let counted = Scene::new(hello()).client().talk(&talk("a"), 0).expect("an answer");
    assert!(!counted.estimated && counted.output == 2.0);
}

#[test]
fn what_was_answered_is_asked_once() {
    let scene = Scene::new(hello());
    let (first, again) = (scene.client().talk(&talk("a"), 0), scene.client().talk(&talk("a"), 0));
    assert_eq!(first.expect("an answer"), again.expect("an answer"));
    assert_eq!(scene.server.asked().len(), 1);
    scene.client().talk(&talk("a"), 1).expect("another draw");
    scene.client().talk(&talk("b"), 0).expect("another question");
    assert_eq!(scene.server.asked().len(), 3);
}

fn priced(scene: &mut Scene, most: f64) {
    scene.terms.price = Some(TokenPrice {
        input: 1e6,
        output: 1e6,
        currency: "USD".into(),
        date: "2026-11-29".into(),
        source: "list".into(),
    });
    scene.terms.max_spend = Some(most);
}

#[test]
fn spending_stops_before_the_limit_and_counts_what_was_lost() {
    let mut scene = Scene::new(hello());
    priced(&mut scene, 200.0);
    let mut asked = 0;
    let error = loop {
        match scene.client().talk(&talk(&format!("question {asked}")), 0) {
            Ok(_) => asked += 1,
            Err(error) => break error,
        }
    };
    let spent = scene.book.spent().expect("told");
    assert!(asked > 1 && spent <= 200.0, "{asked} for {spent}");
    assert!(matches!(error, Error::Spent { next, .. } if next > 200.0), "{error}");
    assert_eq!(scene.server.asked().len(), asked, "what could pass it was not sent");
    scene.client().talk(&talk("question 0"), 0).expect("it was paid before");

    let mut lossy = Scene::new(hello());
    priced(&mut lossy, 1e6);
    lossy.server.fails([Fault::Drop(9), status(500)]);
    lossy.client().talk(&talk("a"), 0).expect("an answer");
    let spent = lossy.book.spent().expect("told");
    // one answer broke off, which may be charged for: its bytes and as many tokens as it could have written
    assert!(spent > 80.0 && spent < 100.0, "{spent}");
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    let mut scene = Scene::new(Server::start(|_| "the key is sk-verysecret".into()));
    scene.key = Key::new("sk-verysecret");
    let told = scene.client().talk(&talk("a"), 0).expect("an answer");
    assert_eq!(scene.server.asked()[0].key.as_deref(), Some("Bearer sk-verysecret"));
    assert_eq!(told.answer.text, "the key is [key]");
    assert!(lock(&scene.book.0).0.values().all(|kept| !kept.contains("verysecret")));
    let said = "{\"error\":{\"message\":\"Incorrect API key provided: sk-verysecret\"}}";
    scene.server.fails([Fault::Status(401, vec![], said.into())]);
    let error = scene.client().talk(&talk("b"), 0).expect_err("refused");
    assert!(error.to_string().contains("provided: [key]") && !format!("{error:?}").contains("verysecret"));
}

#[test]
fn fields_that_a_server_does_not_take_are_left_out_and_said() {
    let scene = Scene::new(hello().refuses(&["max_tokens", "temperature"]));
    let client = scene.client();
    client.talk(&talk("a"), 0).expect("an answer");
    let last = scene.server.asked().pop().expect("asked").body;
    assert_eq!((&last["max_completion_tokens"], last.get("temperature")), (&serde_json::json!(16), None));
    let notes = client.notes();
    assert!(notes.len() == 1 && notes[0].contains("takes no temperature"), "{notes:?}");
    client.talk(&talk("b"), 0).expect("an answer");
    assert_eq!(scene.server.asked().len(), 4, "what is known is not tried again");
}

#[test]
fn streams_are_timed_and_tried_again_where_they_break_off() {
    let scene = Scene::new(hello());
    let client = scene.client();
    for fault in [Fault::Drop(150), Fault::StreamError(2), Fault::Half, Fault::Html, status(503)] {
        scene.server.fails([fault.clone()]);
        let streamed = client.stream("a b c", 5, true).expect("a stream");
        assert_eq!((streamed.gaps.len(), streamed.counted.map(|c| c.1)), (4, Some(5)), "{fault:?}");
    }
    scene.server.fails(vec![Fault::StreamError(2); 4]);
    let error = client.stream("a", 5, true).expect_err("it dies").to_string();
    assert!(error.contains("breaks its stream off after 2 pieces") && error.contains("engine died"), "{error}");
    scene.server.fails([Fault::NoStream]);
    let error = client.stream("a", 5, true).expect_err("no stream").to_string();
    assert!(error.contains("gives a whole answer where a stream is due"), "{error}");
    let uncounted = Scene::new(hello().counts_nothing()).client().stream("a", 5, true).expect("a stream");
    assert_eq!((uncounted.gaps.len(), uncounted.counted), (4, None));
    let strict = Scene::new(hello().refuses(&["ignore_eos", "stream_options"]));
    assert!(strict.client().stream("a", 5, true).is_ok());
}

#[test]
fn likelihoods_are_told_or_known_to_be_untold() {
    let scene = Scene::new(hello().echoes());
    let told = scene.client().tokens("Q: one two").expect("an answer").answer.expect("likelihoods");
    assert_eq!(told.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["Q:", " one", " two"]);
    assert_eq!(told[2].logprob, Some(-4.0));
    assert_eq!(Scene::new(hello()).client().tokens("a b").expect("an answer").answer, None);
    let absent = Scene::new(hello().completes_nothing()).client().tokens("a b").expect_err("no such path");
    assert!(absent.is_absent(), "{absent}");
}

#[test]
fn anthropics_form_is_spoken_too() {
    let mut scene = Scene::new(hello());
    scene.terms.at.api = bantam_core::endpoint::Api::Anthropic;
    scene.key = Key::new("sk-verysecret");
    let told = scene.client().talk(&talk("a"), 0).expect("an answer");
    assert_eq!((told.answer.text.as_str(), told.output), ("Hello there", 2.0));
    let asked = &scene.server.asked()[0];
    assert_eq!((asked.path.as_str(), asked.key.as_deref()), ("/v1/messages", Some("sk-verysecret")));
    assert!(scene.client().text("a", &talk("a"), 0).expect_err("no texts").is_absent());
}

#[test]
fn a_cancelled_client_asks_nothing() {
    let scene = Scene::new(hello());
    let cancel = Cancel::new();
    let client = Client::new(&scene.terms, None, Patience::default(), scene.time.clone(), Arc::new(Forgetful), &cancel);
    cancel.cancel();
    assert_eq!(client.expect("a client").talk(&talk("a"), 0), Err(Error::Cancelled));
    assert!(scene.server.asked().is_empty());
    assert_eq!(scene.client().models().expect("listed"), ["mock"]);
}

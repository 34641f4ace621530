//! Several variants as one, on the real binary: a run whose profile asks for systems, `bantam systems` over it, the router's
//! file that it writes, and the server that obeys it. And devices: a card, and limits that are meant for another machine.

mod common;

use common::{bantam, said};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = bantam(folder, args).current_dir(folder).output().expect("starts");
    let (stdout, stderr) = said(&output);
    (output.status.code().expect("no signal"), stdout, stderr)
}

const PROFILE: &str = "models = ['bundled:bantam-s', 'bundled:bantam-l']\nsuites = ['routing']\n[measure]\nspeed = [{ prompt = 8, \
    output = 2 }]\nbudget = '0.1 s'\nlimit = 160\n[objective]\nreference = 'bundled:bantam-l'\nmargin = 0.2\n[systems]\npairs = [['bantam-s', \
    'bantam-l']]\n";

#[test]
fn what_variants_come_to_together_is_told_reported_and_written_as_a_router() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    std::fs::write(folder.join("both.toml"), PROFILE).expect("writes");
    let (code, stdout, stderr) = run(folder, &["run", "both.toml", "--quiet", "--out", "out"]);
    assert!(code == 0 || code == 3, "{code}: {stdout}{stderr}");
    let results: Json =
        serde_json::from_slice(&std::fs::read(folder.join("out/results.json")).expect("written")).expect("JSON");
    let labels = results["advice"]["standings"].as_array().expect("standings").iter();
    let labels: Vec<&str> = labels.filter_map(|s| s["variant"]["model"]["name"].as_str()).collect();
    assert!(labels.contains(&"bantam-s → bantam-l"), "{labels:?}");
    let page = std::fs::read_to_string(folder.join("out/report.html")).expect("written");
    assert!(page.contains("Variants together"));

    let (code, stdout, stderr) = run(folder, &["systems", "both", "--json"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    let told: Json = serde_json::from_str(&stdout).expect("JSON");
    let considered = &told["considered"][0];
    assert_eq!(considered["tried"], true);
    for (_, kept) in considered["costs"].as_array().expect("costs").iter().map(|pair| (&pair[0], &pair[1])) {
        assert!(kept["promised"].is_number() && kept["bound"].is_number() && kept["found"].is_number(), "{kept}");
    }
    let (code, _, stderr) = run(folder, &["systems", "both", "--export", "router.toml", "--litellm", "litellm.yaml"]);
    assert!(code == 0 || code == 3, "{stderr}");
    let router = std::fs::read_to_string(folder.join("router.toml")).expect("written");
    assert!(
        router.contains("model = \"bundled:bantam-s\"") && router.contains("task = \"routing/routing\""),
        "{router}"
    );
    let yaml = std::fs::read_to_string(folder.join("litellm.yaml")).expect("written");
    assert!(yaml.contains("model: \"openai/routing/routing\""), "{yaml}");

    let (code, _, stderr) = run(folder, &["systems", "both", "--pair", "bantam-x", "bantam-l"]);
    assert_eq!(code, 3);
    let (_, stdout, _) = run(folder, &["systems", "both", "--pair", "bantam-x", "bantam-l"]);
    assert!(stdout.contains("'bantam-x'") && stdout.contains("bantam-s, bantam-l"), "{stdout}{stderr}");
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(folder: &Path, router: &str) -> Server {
        std::fs::write(folder.join("router.toml"), router).expect("writes");
        let mut command: Command = bantam(folder, &["serve", "router.toml", "--port", "0", "--ctx", "128"]);
        let mut child = command.current_dir(folder).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("says where it is");
        let address = line.trim().split_once("http://").map(|(_, rest)| rest.trim_end_matches("/v1"));
        let address = address.unwrap_or_else(|| panic!("it said {line:?}")).parse().expect("an address");
        Server { child, address }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }

    fn text(&self, body: &Json) -> Json {
        serde_json::from_str(&self.send("POST", "/v1/completions", &body.to_string())).expect("JSON")
    }
}

fn router(below: f64, choices: f64) -> String {
    format!(
        "name = 'both'\ncomposition = 'cascade'\n\
         [[member]]\nname = 'small'\nmodel = 'bundled:bantam-s'\n[[member]]\nname = 'large'\nmodel = 'bundled:bantam-l'\n\
         [[rule]]\ntask = 'written'\nfirst = 0\nescalate = {{ to = 1, by = 'likelihood', below = {below} }}\n\
         [[rule]]\ntask = 'chosen'\nfirst = 0\nescalate = {{ to = 1, by = 'share', below = {choices} }}\n\
         [[rule]]\ntask = '*'\nfirst = 1\n"
    )
}

#[test]
fn a_server_obeys_its_router() {
    let dir = tempfile::tempdir().expect("a folder");
    let (sure, unsure) = (Server::start(dir.path(), &router(0.0, 0.0)), Server::start(dir.path(), &router(1.0, 1.0)));
    let written = json!({ "model": "written", "prompt": "The cat", "max_tokens": 6, "temperature": 0 });
    let (small, large) = (sure.text(&written), unsure.text(&written));
    assert_eq!((small["model"].as_str(), large["model"].as_str()), (Some("small"), Some("large")), "{small} {large}");
    assert!(small["choices"][0]["logprobs"].is_null(), "what was not asked for is not told: {small}");
    // whatever has no rule of its own
    let other = json!({ "model": "any", "prompt": "The cat", "max_tokens": 6, "temperature": 0 });
    assert_eq!(sure.text(&other)["choices"][0]["text"], large["choices"][0]["text"]);

    // streamed it is the same text, and begins when it is known who answers
    let mut streamed = written.clone();
    streamed["stream"] = json!(true);
    let events = sure.send("POST", "/v1/completions", &streamed.to_string());
    let events: String =
        events.lines().filter(|line| line.starts_with("data: {")).map(|line| format!("{}\n", &line[6..])).collect();
    let text: String = events
        .lines()
        .map(|event| serde_json::from_str::<Json>(event).expect("JSON"))
        .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(Some(text.as_str()), small["choices"][0]["text"].as_str());

    // of choices the likeliest
    let chosen =
        json!({ "model": "chosen", "prompt": "Good morning", "structured_outputs": { "choice": [" sir", " day"] } });
    let (small, large) = (sure.text(&chosen), unsure.text(&chosen));
    assert_eq!((small["model"].as_str(), large["model"].as_str()), (Some("small"), Some("large")));
    assert!([" sir", " day"].map(Some).contains(&small["choices"][0]["text"].as_str()), "{small}");
    // without choices nothing tells how sure it is
    let plain = json!({ "model": "chosen", "prompt": "The cat", "max_tokens": 2 });
    assert_eq!(sure.text(&plain)["model"], "large");

    let listed: Json = serde_json::from_str(&sure.send("GET", "/v1/models", "")).expect("JSON");
    let names: Vec<&str> = listed["data"].as_array().expect("a list").iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(names, ["both", "written", "chosen"]);
    assert!(unsure.send("GET", "/metrics", "").contains("bantam_requests_escalated_total 2"));
}

#[test]
fn a_wrong_router_is_refused_before_anything_is_loaded() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    for (text, said) in [
        (router(7.0, 0.5), "router.toml: rule 1 (written): below is 7; allowed is 0 to 1"),
        (router(0.5, 0.5).replace("bundled:bantam-l", "bundled:bantam-q"), "member 'large'"),
        ("name = 'x'".into(), "router.toml: line 1: missing field `composition`"),
    ] {
        std::fs::write(folder.join("router.toml"), text).expect("writes");
        let (code, _, stderr) = run(folder, &["serve", "router.toml", "--port", "0"]);
        assert_eq!(code, 2);
        assert!(stderr.contains(said), "{said} is not in {stderr}");
    }
}

#[test]
fn limits_for_another_device_need_its_card_and_this_machines_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let profile = PROFILE.replace("[systems]", "[constraints]\ndevice = 'pi55'\n[systems]");
    std::fs::write(folder.join("there.toml"), &profile).expect("writes");
    let (code, _, stderr) = run(folder, &["run", "there.toml"]);
    assert!(
        code == 2 && stderr.contains("there is no device 'pi55', did you mean pi5?") | stderr.contains("'pi55'"),
        "{stderr}"
    );
    std::fs::write(folder.join("there.toml"), profile.replace("pi55", "pi5")).expect("writes");
    let (code, _, stderr) = run(folder, &["run", "there.toml"]);
    assert!(code == 2 && stderr.contains("bantam bench --device-card"), "{stderr}");
    let (code, stdout, _) = run(folder, &["devices"]);
    assert!(code == 0 && stdout.contains("pi5") && stdout.contains("data sheet"), "{stdout}");
    let (code, _, stderr) = run(folder, &["devices", "remove", "pi5"]);
    assert!(code == 2 && stderr.contains("came along"), "{stderr}");
    let (_, card, _) = run(folder, &["devices", "show", "pi5"]);
    std::fs::write(folder.join("mine.toml"), card.replace("\"pi5\"", "\"mine\"")).expect("writes");
    assert_eq!(run(folder, &["devices", "add", "mine.toml"]).0, 0);
    assert!(run(folder, &["devices"]).1.contains("mine"));
    std::fs::write(folder.join("bad.toml"), "schema = 'x'").expect("writes");
    let (code, _, stderr) = run(folder, &["devices", "add", "bad.toml"]);
    assert!(code == 2 && stderr.contains("bad.toml"), "{stderr}");
}

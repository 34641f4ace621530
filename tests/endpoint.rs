//! Endpoints from outside: the real binary against a server of this test, and against `bantam serve`.

mod common;
#[path = "../crates/endpoint/src/tests/server.rs"]
mod server;

use serde_json::Value as Json;
use server::{Fault, Server};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

/// A suite of questions that the server can answer and one that it cannot.
fn suite(folder: &Path, kind: &str, items: usize) -> String {
    let (data, more) = match kind {
        "generate_until" => ("{\"q\": \"say N\", \"a\": \"N\"}", "generation_kwargs = { max_gen_toks = 8 }"),
        _ => ("{\"q\": \"Q N:\", \"c\": [\"left N\", \"right N side\"], \"a\": 0}", "doc_to_choice = \"c\""),
    };
    let lines: Vec<String> = (0..items).map(|n| data.replace('N', &n.to_string())).collect();
    std::fs::write(folder.join("data.jsonl"), lines.join("\n")).expect("written");
    let metric = if kind == "generate_until" { "exact_match" } else { "acc" };
    let text = format!(
        "name = \"own\"\nversion = 1\n[[task]]\ntask = \"own\"\ndata = \"data.jsonl\"\noutput_type = \"{kind}\"\n\
         doc_to_text = \"{{{{q}}}}\"\ndoc_to_target = \"{{{{a}}}}\"\n{more}\nmetric_list = [{{ metric = \"{metric}\" }}]\n"
    );
    let file = folder.join("own.toml");
    std::fs::write(&file, text).expect("written");
    file.display().to_string()
}

/// Says what it is asked to say.
fn obedient() -> Server {
    Server::start(|body| {
        let said = body["messages"].as_array().and_then(|all| all.last()).map_or(&body["prompt"], |m| &m["content"]);
        let text = said.as_str().unwrap_or_default();
        if text.contains("alone.") { "A".into() } else { text.trim_start_matches("say ").to_owned() }
    })
}

fn eval(folder: &Path, url: &str, suite: &str, more: &[&str]) -> Command {
    let model = format!("{url}#mock");
    common::bantam(folder, &[&["eval", &model, "-s", suite, "--json"], more].concat())
}

fn done(output: &Output) -> Json {
    let (out, err) = common::said(output);
    assert!(output.status.success(), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"))
}

/// The score of the only task of the first variant.
fn score(json: &Json) -> &Json {
    &json["advice"]["standings"][0]["scores"][0]
}

#[test]
fn an_endpoint_is_asked_a_suite_and_says_what_is_not_seen_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), "generate_until", 12);
    let server = obedient();
    server.fails([Fault::Status(503, vec![], String::new()), Fault::Half, Fault::Html]);
    let json = done(&eval(folder.path(), &server.url, &suite, &[]).output().expect("runs"));
    let text = json.to_string();
    assert!(text.contains("behind an address, and not seen from here"), "{text}");
    assert_eq!(server.asked().len(), 12 + 3, "each once, and thrice again");
    assert!(server.asked().iter().all(|asked| asked.path == "/v1/completions"));
    // all that it was asked is known now
    done(&eval(folder.path(), &server.url, &suite, &[]).output().expect("runs"));
    assert_eq!(server.asked().len(), 15);
    done(&eval(folder.path(), &server.url, &suite, &["--fresh"]).output().expect("runs"));
    assert_eq!(server.asked().len(), 27, "asked afresh where it is wanted");
}

#[test]
fn a_killed_run_asks_nothing_again_that_was_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), "generate_until", 40);
    let server = obedient();
    server.hold_from(25);
    let one_at_a_time = ["--concurrency", "1"];
    let mut child = eval(folder.path(), &server.url, &suite, &one_at_a_time).spawn().expect("starts");
    // the 26th question has come, so the 25 answers before it are kept
    server.wait_for(26);
    child.kill().expect("killed");
    child.wait().expect("waited");
    server.hold_from(usize::MAX);
    let json = done(&eval(folder.path(), &server.url, &suite, &one_at_a_time).output().expect("runs"));
    server.release();
    let prompts: Vec<String> = server.asked().iter().map(|asked| asked.body["prompt"].to_string()).collect();
    let mut once = prompts.clone();
    once.sort();
    once.dedup();
    assert_eq!((once.len(), prompts.len()), (40, 41), "only the one that was underway is asked twice");
    assert!(score(&json).to_string().contains("exact_match"), "{json}");
}

#[test]
fn choices_are_told_by_likelihood_where_the_server_can_and_by_letter_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), "multiple_choice", 8);
    let told = |server: &Server, more: &[&str]| {
        let output = eval(folder.path(), &server.url, &suite, more).output().expect("runs");
        done(&output).to_string()
    };
    let echoing = obedient().echoes();
    let text = told(&echoing, &[]);
    assert!(!text.contains("with a letter for each choice"), "{text}");
    assert!(echoing.asked().iter().all(|asked| asked.body["echo"] == true));
    let plain = obedient();
    let text = told(&plain, &[]);
    assert!(text.contains("and the letter that it answered was taken"), "{text}");
    assert!(plain.asked().iter().any(|asked| asked.body["messages"].to_string().contains("A. left 0")));
    let forced = eval(folder.path(), &plain.url, &suite, &["--choices", "logprobs"]).output().expect("runs");
    assert!(
        common::said(&forced).1.contains("does not tell how likely")
            || common::said(&forced).0.contains("does not tell how likely")
    );
}

#[test]
fn the_key_is_sent_and_stands_in_no_file_and_no_output() {
    const KEY: &str = "sk-test-3f9a1c77d0";
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), "generate_until", 6);
    // a server that says the key again wherever it can
    let server = Server::start(|_| format!("your key is {KEY}"));
    let echoed = format!("{{\"error\":{{\"message\":\"slow down, {KEY}\"}}}}");
    server.fails([Fault::Status(429, vec![("Retry-After", "0".into())], echoed.clone())]);
    let with_key = |more: &[&str]| {
        let more = [&["--key-env", "TEST_ENDPOINT_KEY"], more].concat();
        let mut command = eval(folder.path(), &server.url, &suite, &more);
        command.env("TEST_ENDPOINT_KEY", KEY).env("BANTAM_LOG", "trace").output().expect("runs")
    };
    let output = with_key(&[]);
    assert!(server.asked().iter().all(|asked| asked.key.as_deref() == Some(&format!("Bearer {KEY}"))));
    server.fails(vec![Fault::Status(401, vec![], echoed); 8]);
    let refused = with_key(&["--fresh"]);
    let mut seen = 0;
    for text in [&output, &refused].map(common::said).into_iter().flat_map(|(out, err)| [out, err]) {
        assert!(!text.contains(KEY), "{text}");
        seen += text.len();
    }
    assert!(seen > 0);
    let mut files = vec![folder.path().to_path_buf()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => {
                let bytes = std::fs::read(&path).expect("reads");
                read += 1;
                assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{}", path.display());
            }
        }
    }
    assert!(read > 2, "the store and the logs are there");
    let unset = eval(folder.path(), &server.url, &suite, &["--key-env", "TEST_ENDPOINT_UNSET"]).output().expect("runs");
    assert!(common::said(&unset).1.contains("TEST_ENDPOINT_UNSET, which key_env names, is not set"));
}

#[test]
fn a_profile_stops_before_its_money_is_spent_and_goes_on_with_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), "generate_until", 30);
    let server = obedient();
    let profile = folder.path().join("p.toml");
    let run = |most: f64| {
        let text = format!(
            "suites = ['{suite}']\n[measure]\nspeed = []\n[[endpoint]]\nname = 'hosted'\nurl = '{}'\nmodel = 'mock'\n\
             concurrency = 1\nmax_spend = {most}\n\
             price = {{ input = 1000, output = 100000, currency = 'USD', date = '2026-11-29', source = 'a list' }}\n",
            server.url
        );
        std::fs::write(&profile, text).expect("written");
        let file = profile.display().to_string();
        let output = common::bantam(folder.path(), &["run", &file, "--json"]).output().expect("runs");
        common::said(&output)
    };
    // an answer costs 0.102 at most 0.87
    let (out, err) = run(3.0);
    assert!(format!("{out}{err}").contains("max_spend of 3 USD is not passed"), "{out}{err}");
    let before = server.asked().len();
    assert!((15..30).contains(&before), "{before}");
    let (out, _) = run(30.0);
    assert_eq!(server.asked().len(), 30, "it goes on where it was");
    let json: Json = serde_json::from_str(&out).expect("JSON");
    assert!(json.to_string().contains("cents_per_correct"), "{json}");
}

/// A server of our own that ends with the test.
struct Serving(Child, String);

impl Serving {
    fn start(folder: &Path, model: &str) -> Serving {
        let mut child = common::bantam(folder, &["serve", model, "--port", "0"]).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("says where it is");
        let url = line.trim().split(" answers at ").nth(1).unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Serving(child, url)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn our_own_server_is_an_endpoint_with_times_and_a_name_that_it_tells_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), "bantam-s");
    let args = ["bench", &serving.1, "--prompt", "48", "-n", "12", "--budget", "0.5 s", "--json"];
    let json = done(&common::bantam(folder.path(), &args).output().expect("runs"));
    let shape = &json["advice"]["standings"][0]["shapes"][0];
    assert!(json["advice"]["standings"][0].to_string().contains("bantam-s@127.0.0.1"), "{json}");
    for metric in ["decode_tps", "ttft", "prefill_tps"] {
        assert!(shape.to_string().contains(metric), "{shape}");
    }
    assert!(json.to_string().contains("is timed from here"), "{json}");
}

#[test]
fn a_model_scores_behind_its_own_address_what_it_scores_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), "bantam-s");
    let items = |model: &str| -> Vec<Json> {
        let args = ["eval", model, "-s", "routing,extract", "--limit", "12", "--items"];
        let output = common::bantam(folder.path(), &args).output().expect("runs");
        let (out, err) = common::said(&output);
        let mut items: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(items.len(), 24, "{err}");
        items.sort_by_key(|line| (line["task"].to_string(), line["item"]["index"].as_u64()));
        items
    };
    let (here, there) = (items("bantam-s"), items(&serving.1));
    for (here, there) in here.iter().zip(&there) {
        let (here, there) = (&here["item"], &there["item"]);
        assert_eq!(here["answer"], there["answer"], "{here}\n{there}");
        let numbers = |item: &Json| -> Vec<f64> {
            item["logprobs"].as_array().into_iter().flatten().filter_map(Json::as_f64).collect()
        };
        for (one, other) in numbers(here).iter().zip(numbers(there)) {
            assert!((one - other).abs() < 1e-2, "{one} {other}");
        }
        assert_eq!(numbers(here).len(), numbers(there).len());
        assert!(there["spent"]["billed"]["input"].as_f64().is_some_and(|tokens| tokens > 0.0), "{there}");
    }
}

/// A program in llama-server's form: it writes its number into a file and becomes `bantam serve`.
fn stand_in(folder: &Path) -> (String, PathBuf) {
    let (program, number) = (folder.join("llama-server"), folder.join("number"));
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'version: 7 (stand-in)'; exit 0; fi\n\
         while [ $# -gt 0 ]; do case $1 in -m) m=$2;; --port) p=$2;; -t) t=$2;; -c) c=$2;; esac; shift; done\n\
         echo $$ > '{}'\nexec '{}' serve \"$m\" --port \"$p\" -t \"$t\" --ctx \"$c\"\n",
        number.display(),
        common::BANTAM
    );
    std::fs::write(&program, text).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    (program.display().to_string(), number)
}

fn gguf(folder: &Path) -> String {
    let file = folder.join("m.gguf").display().to_string();
    let args = ["compress", "bantam-s", "--quant", "Q8_0", "--out", &file];
    let output = common::bantam(folder, &args).output().expect("runs");
    assert!(output.status.success(), "{}", common::said(&output).1);
    file
}

fn through(folder: &Path, program: &str, models: &str, budget: &str) -> String {
    let profile = folder.join("p.toml");
    let text = format!(
        "models = [{models}]\nsuites = ['routing']\nengine = '{program}'\n\
         [measure]\nlimit = 6\nspeed = [{{ prompt = 40, output = 8 }}]\nbudget = '{budget}'\n"
    );
    std::fs::write(&profile, text).expect("written");
    profile.display().to_string()
}

fn is_there(number: &str) -> bool {
    Path::new("/proc").join(number.trim()).exists()
}

#[test]
fn another_engine_is_started_measured_held_against_ours_and_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let ((program, number), model) = (stand_in(folder.path()), gguf(folder.path()));
    let profile = through(folder.path(), &program, &format!("'{model}', 'bundled:bantam-s'"), "0.3 s");
    let output = common::bantam(folder.path(), &["run", &profile, "--json"]).output().expect("runs");
    let (out, err) = common::said(&output);
    assert!(out.contains("llama-server 7 (stand-in), "), "{out}{err}");
    assert!(
        out.contains("VmHWM of 1 workers") || out.contains("VmHWM of the worker") || out.contains("VmHWM"),
        "{out}"
    );
    assert!(out.contains("goes on as bantam does in 4 of 4 texts for 16 tokens"), "{out}");
    assert!(out.contains("reads GGUF files, and bantam-s is none"), "a bundled model has no file: {out}");
    let started = std::fs::read_to_string(number).expect("it was started");
    while is_there(&started) {
        std::thread::yield_now();
    }
}

#[test]
fn another_engine_ends_with_a_session_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let ((program, number), model) = (stand_in(folder.path()), gguf(folder.path()));
    let profile = through(folder.path(), &program, &format!("'{model}'"), "10 min");
    let mut session = common::bantam(folder.path(), &["run", &profile, "--quiet"]).spawn().expect("starts");
    let started = loop {
        match std::fs::read_to_string(&number) {
            Ok(started) if started.ends_with('\n') => break started,
            _ => assert!(session.try_wait().expect("looked").is_none(), "it ended without an engine"),
        }
        std::thread::yield_now();
    };
    session.kill().expect("killed");
    session.wait().expect("waited");
    while is_there(&started) {
        std::thread::yield_now();
    }
}

//! What teams hold each other to, on the real binary: `lock` pins, `check` gates, `diff` tells, and each catches a changed
//! weight, line of a suite and engine.

mod common;

use common::{bantam, bundled, said};
use std::path::Path;

const PROFILE: &str =
    "models = ['./bantam-s']\nrecipes = ['base', 'Q8_0']\nsuites = ['mine.toml']\n[measure]\nspeed = []\n";
const SUITE: &str = "[[task]]\ntask = 'mine'\ndata = 'mine.jsonl'\noutput_type = 'multiple_choice'\n\
    doc_to_text = '{{q}} ='\ndoc_to_choice = ['1', '2', '3']\ndoc_to_target = 'a'\nmetric_list = [{ metric = 'acc' }]\n";
const LINES: &str = "{\"q\": \"1\", \"a\": \"1\"}\n{\"q\": \"2\", \"a\": \"2\"}\n{\"q\": \"1 + 1\", \"a\": \"2\"}\n{\"q\": \"3\", \"a\": \"3\"}\n";

/// A folder with a profile, its model as files and its suite.
fn team() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    bundled("bantam-s", dir.path());
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writes");
    write("team.toml", PROFILE);
    write("mine.toml", SUITE);
    write("mine.jsonl", LINES);
    dir
}

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = bantam(folder, args).current_dir(folder).output().expect("starts");
    let (stdout, stderr) = said(&output);
    (output.status.code().expect("no signal"), stdout, stderr)
}

#[track_caller]
fn does(folder: &Path, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(folder, args);
    assert_eq!(code, 0, "{args:?}: {stdout}{stderr}");
    stdout
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("reads");
    assert!(text.contains(from), "{text}");
    std::fs::write(file, text.replacen(from, to, 1)).expect("writes");
}

/// Flips a bit of the last weight of the file, and says which tensor that is.
fn change_a_weight(folder: &Path) -> String {
    let file = folder.join("bantam-s/model.safetensors");
    let mut bytes = std::fs::read(&file).expect("reads");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let at_end =
        |tensor: &serde_json::Value| tensor["data_offsets"][1].as_u64() == Some((bytes.len() - 8 - length) as u64);
    let (name, _) = header.as_object().expect("a table").iter().find(|(_, tensor)| at_end(tensor)).expect("a last one");
    let name = name.clone();
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&file, bytes).expect("writes");
    name
}

/// A run with the lock is refused in one sentence, and one that is told otherwise is not.
#[track_caller]
fn refuses(folder: &Path, why: &str) {
    for args in [&["run", "team.toml", "-q"][..], &["lock", "team.toml", "--check"]] {
        let (code, stdout, stderr) = run(folder, args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        let last = stderr.trim_end().lines().last().expect("a line");
        assert!(
            last.starts_with("bantam: ") && last.contains("team.lock: ") && last.contains(why),
            "{args:?}: {stderr}"
        );
    }
    let (code, _, stderr) = run(folder, &["run", "team.toml", "-q", "--ignore-lock"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
}

#[test]
fn a_lock_catches_a_changed_weight_suite_line_recipe_and_engine() {
    let dir = team();
    let folder = dir.path();
    let (code, _, stderr) = run(folder, &["lock", "team.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("pinned: 1 model, 1 task of 4 lines, 1 recipe, engine kernels "), "{stderr}");
    assert!(does(folder, &["lock", "team.toml", "--check"]).contains("all as it is pinned"));
    let (code, _, stderr) = run(folder, &["run", "team.toml", "-q"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");

    edit(&folder.join("team.lock"), "engine = \"kernels ", "engine = \"kernels 0");
    refuses(folder, "and the lock pins 'kernels 0");
    does(folder, &["lock", "team.toml"]);

    edit(&folder.join("mine.jsonl"), "\"3\", \"a\": \"3\"", "\"3\", \"a\": \"2\"");
    refuses(folder, "task mine: line mine.jsonl:4 changed");
    std::fs::write(folder.join("mine.jsonl"), LINES.to_owned() + "{\"q\": \"2\", \"a\": \"2\"}\n").expect("writes");
    refuses(folder, "task mine: line mine.jsonl:5 is new");
    edit(&folder.join("mine.toml"), "{{q}} =", "{{q}} is");
    refuses(folder, "task mine: all its 5 lines changed");
    std::fs::write(folder.join("mine.toml"), SUITE).expect("writes");
    std::fs::write(folder.join("mine.jsonl"), LINES).expect("writes");
    does(folder, &["lock", "team.toml", "--check"]);

    // fewer items of the same lines are no change
    edit(&folder.join("team.toml"), "speed = []", "speed = []\nlimit = 2");
    does(folder, &["lock", "team.toml", "--check"]);
    edit(&folder.join("team.toml"), "'Q8_0'", "'Q4_0'");
    refuses(folder, "recipe Q4_0 is not in the lock");
    std::fs::write(folder.join("team.toml"), PROFILE).expect("writes");

    let weight = change_a_weight(folder);
    refuses(folder, &format!("model bantam-s: weight {weight} changed; "));
    let (code, _, stderr) = run(folder, &["lock", "team.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains(&format!("changed: model bantam-s: weight {weight} changed")), "{stderr}");
    does(folder, &["lock", "team.toml", "--check"]);
    edit(&folder.join("bantam-s/config.json"), "{", "{ ");
    refuses(folder, "file config.json changed; ");
}

/// A run of the bundled suite, large enough to tell; the gate's exit code is what CI sees.
#[test]
fn a_check_keeps_what_is_the_same_and_catches_a_changed_weight_line_and_engine() {
    let dir = team();
    let folder = dir.path();
    std::fs::write(
        folder.join("gate.toml"),
        "models = ['./bantam-s']\nsuites = ['routing', 'mine.toml']\n[measure]\nspeed = []\nlimit = 120\n[tolerance]\nacc = 0.03\n",
    )
    .expect("writes");
    let (code, _, stderr) = run(folder, &["run", "gate.toml", "-q", "--out", "before"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    let before = "before/results.json";
    let kept = does(folder, &["check", "gate.toml", "--against", before, "-q"]);
    assert!(kept.contains("Kept: ") && kept.contains("the same of every item"), "{kept}");

    // of another engine every item is tested, and the four of the small suite are too few to tell
    let text = std::fs::read_to_string(folder.join(before)).expect("reads");
    let mut other: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for trial in other["trials"].as_array_mut().expect("trials") {
        trial["engine"]["revision"] = "kernels 0".into();
        trial["id"] = format!("{:016x}", trial["id"].as_str().expect("an id").len()).into();
    }
    std::fs::write(folder.join("engine.json"), other.to_string()).expect("writes");
    let (code, stdout, stderr) = run(folder, &["check", "gate.toml", "--against", "engine.json", "-q", "--json"]);
    assert_eq!(code, 6, "{stdout}{stderr}");
    let found: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let of = |ask: &str| {
        found["found"]["findings"].as_array().expect("a list").iter().find(|f| f["ask"] == ask).expect("held")
    };
    assert_eq!(
        (of("routing")["by"].as_str(), of("routing")["held"].as_str()),
        (Some("pairs"), Some("kept")),
        "{stdout}"
    );
    assert_eq!(of("mine")["held"].as_str(), Some("inconclusive"), "{stdout}");
    let diff = does(folder, &["diff", "engine.json", before]);
    assert!(diff.contains("engine: kernels 0, ") && diff.contains("No figure is shown to have moved"), "{diff}");

    // a changed line is no pair, and is told as that
    edit(&folder.join("mine.jsonl"), "\"a\": \"3\"", "\"a\": \"2\"");
    let (code, stdout, _) = run(folder, &["check", "gate.toml", "--against", before, "-q"]);
    assert_eq!(code, 6, "{stdout}");
    assert!(stdout.contains("another version of the task was asked"), "{stdout}");
    run(folder, &["run", "gate.toml", "-q", "--out", "line"]);
    let diff = does(folder, &["diff", before, "line"]);
    assert!(
        diff.contains("task mine: another version (4 items)") && diff.contains("Not compared: bantam-s: mine acc"),
        "{diff}"
    );
    std::fs::write(folder.join("mine.jsonl"), LINES).expect("writes");

    // broken weights lose what was there
    let file = folder.join("bantam-s/model.safetensors");
    let mut bytes = std::fs::read(&file).expect("reads");
    let (start, length) = (bytes.len() / 4, bytes.len() / 2);
    bytes[start..start + length].fill(0);
    std::fs::write(&file, bytes).expect("writes");
    let gate = ["check", "gate.toml", "--against", before, "-q", "--junit", "check.xml", "--github"];
    let (code, stdout, stderr) = run(folder, &gate);
    assert_eq!(code, 5, "{stdout}{stderr}");
    assert!(stdout.contains("::error title=regressed%3A bantam-s%3A routing acc::"), "{stdout}");
    let junit = std::fs::read_to_string(folder.join("check.xml")).expect("written");
    assert!(junit.contains("<failure type=\"regressed\"") && junit.contains("classname=\"bantam-s\""), "{junit}");
    run(folder, &["run", "gate.toml", "-q", "--out", "weights"]);
    let diff = does(folder, &["diff", before, "weights"]);
    assert!(diff.contains("model bantam-s: other weights, config or tokenizer: "), "{diff}");
    let json: serde_json::Value =
        serde_json::from_str(&does(folder, &["diff", before, "weights", "--json"])).expect("JSON");
    let moved = json["figures"].as_array().expect("a list").iter().find(|figure| figure["ask"] == "routing");
    assert_eq!(moved.map(|figure| figure["moved"].as_bool()), Some(Some(true)), "{json}");
    // runs by their names, and what is none
    assert!(does(folder, &["diff", "gate", "gate"]).contains("the same to the digit"));
    let (code, _, stderr) = run(folder, &["diff", "gate", "nonsense"]);
    assert!(code == 2 && stderr.contains("no run is called 'nonsense'"), "{stderr}");
    let (code, _, stderr) = run(folder, &["check", "gate.toml", "--against", "gate.toml"]);
    assert!(code == 2 && stderr.contains("gate.toml: is no results.json"), "{stderr}");
    let (code, _, stderr) = run(folder, &["check", "gate.toml", "--against", before, "--tolerance", "accc=1"]);
    assert!(code == 2 && stderr.contains("--tolerance: 'accc' is no metric (acc?)"), "{stderr}");
}

#[test]
fn what_was_made_is_made_again_and_a_changed_weight_is_named() {
    let dir = team();
    let folder = dir.path();
    does(folder, &["compress", "./bantam-s", "--quant", "Q4_K_M", "--out", "s.gguf"]);
    let told = does(folder, &["verify", "s.gguf", "--base", "./bantam-s", "-q"]);
    assert!(told.contains("made again of ./bantam-s") && told.contains("Q4_K_M"), "{told}");
    // the same model under another name is the same base
    let json: serde_json::Value =
        serde_json::from_str(&does(folder, &["verify", "s.gguf", "--base", "bantam-s", "--json"])).expect("JSON");
    assert_eq!((json["holds"].as_bool(), json["is_its_base"].as_bool()), (Some(true), Some(true)), "{json}");
    assert_eq!(json["base"], json["made"][0]["base"], "{json}");

    let mut bytes = std::fs::read(folder.join("s.gguf")).expect("reads");
    let middle = bytes.len() - bytes.len() / 4;
    bytes[middle] ^= 1;
    std::fs::write(folder.join("changed.gguf"), bytes).expect("writes");
    let (code, stdout, stderr) = run(folder, &["verify", "changed.gguf", "--base", "bantam-s", "-q"]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(
        stderr.contains("changed.gguf: is not what it says: weight ") && stderr.contains("differs in 1 of "),
        "{stderr}"
    );

    let weight = change_a_weight(folder);
    let (code, _, stderr) = run(folder, &["verify", "s.gguf", "--base", "./bantam-s", "-q"]);
    assert_eq!(code, 2, "{weight}: {stderr}");
    assert!(
        stderr.contains("it was made of bantam-s (") && stderr.contains("is another model or was changed"),
        "{stderr}"
    );
    let (code, _, stderr) = run(folder, &["verify", "mine.jsonl", "--base", "bantam-s"]);
    assert!(code == 2 && stderr.contains("mine.jsonl"), "{stderr}");
}

/// Serves one text over HTTP on loopback for as long as the test runs, and counts the requests.
fn serve(text: &'static str) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/team/base.toml", listener.local_addr().expect("an address"));
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            let _ = stream.write_all((head + text).as_bytes());
        }
    });
    (address, asked)
}

#[test]
fn a_profile_extends_one_at_an_address_only_as_its_hash_pins_it() {
    use sha2::{Digest, Sha256};
    const BASE: &str = "models = ['bundled:bantam-s']\nsuites = ['routing']\n[measure]\nspeed = []\nlimit = 3\n";
    let dir = team();
    let folder = dir.path();
    let (url, asked) = serve(BASE);
    let hash: String = Sha256::digest(BASE).iter().map(|byte| format!("{byte:02x}")).collect();
    let write = |text: String| std::fs::write(folder.join("child.toml"), text).expect("writes");
    write(format!("extends = '{url}#sha256={hash}'\n[objective]\nmargin = 0.5\n"));
    let (code, _, stderr) = run(folder, &["run", "child.toml", "-q"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    let count = || asked.load(std::sync::atomic::Ordering::SeqCst);
    let once = count();
    assert!(once >= 1);
    // it is here now, and no request is made
    let (code, _, stderr) = run(folder, &["run", "child.toml", "-q", "--offline"]);
    assert!((code == 0 || code == 3) && count() == once, "{code}: {stderr}");
    let other = hash.replace(|c: char| c.is_ascii_digit(), "7");
    write(format!("extends = '{url}#sha256={other}'\n"));
    let (code, _, stderr) = run(folder, &["run", "child.toml", "-q"]);
    assert!(code == 2 && stderr.contains(&format!("is not what is pinned: its SHA-256 is {hash}")), "{stderr}");
    write(format!("extends = '{url}'\n"));
    let (code, _, stderr) = run(folder, &["run", "child.toml", "-q"]);
    assert!(
        code == 2 && stderr.contains("child.toml: extends: ") && stderr.contains("says nothing of its hash"),
        "{stderr}"
    );
}

#[test]
fn a_profile_extends_one_in_a_git_repository_with_the_suites_beside_it() {
    let dir = team();
    let folder = dir.path();
    let repo = folder.join("repo");
    std::fs::create_dir_all(repo.join("team")).expect("makes");
    std::fs::write(repo.join("team/mine.toml"), SUITE).expect("writes");
    std::fs::write(repo.join("team/mine.jsonl"), LINES).expect("writes");
    let base = "models = ['bundled:bantam-s']\nsuites = ['mine.toml']\n[measure]\nspeed = []\n";
    std::fs::write(repo.join("team/base.toml"), base).expect("writes");
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(&repo).args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(args);
        let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("git is there");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "team"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let url = format!("git+file://{}", repo.display());
    std::fs::write(folder.join("child.toml"), format!("extends = '{url}@{commit}#team/base.toml'\n")).expect("writes");
    // a later commit changes nothing of what is pinned
    std::fs::write(repo.join("team/mine.jsonl"), "{\"q\": \"9\", \"a\": \"3\"}\n").expect("writes");
    git(&["commit", "-q", "-a", "-m", "other"]);
    let (code, stdout, stderr) = run(folder, &["run", "child.toml", "-q", "--json"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    let found: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(found["trials"][0]["items"], 4, "{stdout}");
    std::fs::write(folder.join("child.toml"), format!("extends = '{url}@main#team/base.toml'\n")).expect("writes");
    let (code, _, stderr) = run(folder, &["run", "child.toml", "-q"]);
    assert!(code == 2 && stderr.contains("'main' is no whole commit"), "{stderr}");
}

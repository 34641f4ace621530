//! The hub from outside: pulls from a small hub on loopback that speaks the real one's protocol and goes wrong on demand.
//! Whatever goes wrong, what ends in the cache is right, or nothing does and a sentence says why.
//!
//! What the programs do is checked on the real binary: killed, out of room, offline, and a whole run of a model of the hub.

mod common;
#[path = "hub/server.rs"]
mod server;

use bantam_core::cancel::Cancel;
use bantam_hub::{Cache, DataName, Error, Hub, Name, Patience, Progress, Pulled, Query, Settings, Token, Want};
use common::said;
use server::{COMMIT, Fault, OTHER_COMMIT, Repo, Server, TOKEN, noise};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

const ID: &str = "org/small";
const WEIGHTS: &str = "model.safetensors";

/// A machine with an empty cache before a hub.
struct Machine {
    server: Server,
    dir: tempfile::TempDir,
    token: Option<Token>,
}

fn small() -> Repo {
    Repo::new(ID)
        .file("config.json", "{\"model_type\": \"llama\"}")
        .file("sub/notes.txt", "below")
        .file(".gitattributes", "*.safetensors lfs")
        .file("pytorch_model.bin", "never fetched by itself")
        .large(WEIGHTS, noise(1, 3_000_000))
}

impl Machine {
    fn before(repos: impl IntoIterator<Item = Repo>) -> Machine {
        Machine { server: Server::start(repos), dir: tempfile::tempdir().expect("temp dir"), token: None }
    }

    fn cache(&self) -> Cache {
        Cache::at(self.dir.path().join("hub"))
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: self.server.endpoint.clone(),
            token: self.token.clone(),
            offline: false,
            cache: self.cache(),
            read_timeout: Duration::from_millis(150),
            ask_timeout: Duration::from_secs(5),
            patience: Patience { tries: 3, first: Duration::from_millis(1), most: Duration::from_millis(2) },
        }
    }

    fn pull(&self, name: &str) -> Result<Pulled, String> {
        self.pull_of(name, &Want::default())
    }

    fn pull_of(&self, name: &str, want: &Want) -> Result<Pulled, String> {
        let name = Name::parse(name).map_err(|e| e.to_string())?;
        let hub = Hub::new(self.settings(), &Cancel::new());
        hub.pull(&name, want, &|_| {}).map_err(|e| one_sentence(&e))
    }

    fn refusal(&self, name: &str) -> String {
        self.pull(name).expect_err("it cannot be pulled")
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.cache().folder().join(format!("models--{}", id.replace('/', "--")))
    }

    fn blobs(&self) -> Vec<String> {
        let read = std::fs::read_dir(self.folder(ID).join("blobs")).into_iter().flatten().flatten();
        let mut names: Vec<String> = read.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The part of the weights that an earlier pull has left.
    fn leave_part(&self, bytes: &[u8]) {
        let blobs = self.folder(ID).join("blobs");
        std::fs::create_dir_all(&blobs).expect("makes");
        std::fs::write(blobs.join(format!("{}.incomplete", sha256_of(&small(), WEIGHTS))), bytes).expect("writes");
    }
}

fn sha256_of(repo: &Repo, file: &str) -> String {
    repo.files[file].sha256()
}

fn one_sentence(error: &Error) -> String {
    let sentence = error.to_string();
    assert!(!sentence.contains('\n') && !sentence.contains(TOKEN), "{sentence}");
    sentence
}

/// Every file of the snapshot is what the hub has.
fn assert_whole(pulled: &Pulled, repo: &Repo, files: &[&str]) {
    assert_eq!(pulled.commit, repo.commit);
    let mut there: Vec<String> =
        pulled.files.iter().map(|f| f.strip_prefix(&pulled.folder).expect("below").display().to_string()).collect();
    there.sort();
    assert_eq!(there, files);
    for file in files {
        let bytes = std::fs::read(pulled.folder.join(file)).expect("there");
        assert_eq!(&bytes, repo.files[*file].bytes.as_ref(), "{file}");
    }
}

const USUAL: [&str; 3] = ["config.json", WEIGHTS, "sub/notes.txt"];

/// Pulls through a fault, and gives the requests for the weights.
fn through(fault: Fault, times: usize) -> (Machine, Vec<Option<String>>) {
    let machine = Machine::before([small()]);
    machine.server.fault(WEIGHTS, times, fault);
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    assert!(machine.blobs().iter().all(|name| !name.ends_with(".incomplete")), "{:?}", machine.blobs());
    let ranges = machine.server.fetches(WEIGHTS).into_iter().map(|r| r.range).collect();
    (machine, ranges)
}

#[test]
fn a_pull_leaves_the_layout_of_pythons_client_and_a_second_one_fetches_nothing() {
    let machine = Machine::before([small()]);
    let pulled = machine.pull(ID).expect("pulls");
    assert_whole(&pulled, &small(), &USUAL);
    let folder = machine.folder(ID);
    assert_eq!(pulled.folder, folder.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).expect("there"), COMMIT);
    let link = |file: &str| std::fs::read_link(pulled.folder.join(file)).expect("a link").display().to_string();
    assert_eq!(link(WEIGHTS), format!("../../blobs/{}", sha256_of(&small(), WEIGHTS)));
    assert_eq!(link("sub/notes.txt"), format!("../../../blobs/{}", small().files["sub/notes.txt"].git()));
    assert!(machine.cache().folder().join(".locks/models--org--small").is_dir());

    machine.server.forget();
    let again = machine.pull(ID).expect("pulls");
    assert_eq!((again.fetched.0, again.folder), (0, pulled.folder));
    assert_eq!(machine.server.requests().len(), 1, "the listing alone");
    assert_eq!(
        machine.cache().snapshot_of(&Name::parse(ID).expect("a name")).expect("here"),
        Some(again.files[0].parent().expect("a folder").to_path_buf())
    );
}

#[test]
fn a_new_commit_shares_what_has_not_changed_and_the_old_one_stays() {
    let machine = Machine::before([small()]);
    let old = machine.pull(ID).expect("pulls");
    let newer = Repo { commit: OTHER_COMMIT.into(), ..small() }.file("config.json", "{}");
    machine.server.put(newer.clone());
    let new = machine.pull(ID).expect("pulls");
    assert_whole(&new, &newer, &USUAL);
    assert_eq!(new.fetched.0, 2, "only the config");
    assert_whole(&old, &small(), &USUAL);
    machine.server.put(small());
    let pinned = machine.pull(&format!("{ID}@{COMMIT}")).expect("pulls");
    assert_eq!((pinned.fetched.0, pinned.folder), (0, old.folder));
    assert_eq!(std::fs::read_to_string(machine.folder(ID).join("refs/main")).expect("there"), OTHER_COMMIT);
}

#[test]
fn a_dropped_connection_goes_on_with_a_range() {
    let (_, ranges) = through(Fault::Drop(1_000_000), 1);
    assert_eq!(ranges, [None, Some("bytes=1000000-".into())]);
}

#[test]
fn as_long_as_bytes_come_a_line_may_drop_as_often_as_it_likes() {
    let machine = Machine::before([small()]);
    for part in 1..20 {
        machine.server.fault(WEIGHTS, 1, Fault::Drop(part * 100_000));
    }
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    assert_eq!(machine.server.fetches(WEIGHTS).len(), 20);
}

#[test]
fn a_hanging_connection_is_left_and_gone_on_with() {
    let (_, ranges) = through(Fault::Hang(500_000), 1);
    assert_eq!(ranges, [None, Some("bytes=500000-".into())]);
}

#[test]
fn a_slow_line_is_no_fault() {
    let (_, ranges) = through(Fault::Slow(10_000), 1);
    assert_eq!(ranges, [None]);
}

#[test]
fn a_flipped_byte_is_found_and_the_file_fetched_again() {
    let (_, ranges) = through(Fault::Flip(1_234_567), 1);
    assert_eq!(ranges, [None, None]);
}

#[test]
fn a_file_that_is_wrong_twice_is_refused_with_both_hashes_and_not_kept() {
    let machine = Machine::before([small()]);
    machine.server.fault(WEIGHTS, 9, Fault::Flip(17));
    let refusal = machine.refusal(ID);
    let mut flipped = small().files[WEIGHTS].bytes.to_vec();
    flipped[17] ^= 0x40;
    let flipped = Repo::new("x/y").large("f", flipped);
    for hash in [sha256_of(&small(), WEIGHTS), sha256_of(&flipped, "f")] {
        assert!(refusal.contains(&hash), "{refusal}");
    }
    assert_eq!(machine.server.fetches(WEIGHTS).len(), 2);
    assert!(machine.blobs().iter().all(|name| !name.contains(&sha256_of(&small(), WEIGHTS))), "{:?}", machine.blobs());
    assert!(!machine.folder(ID).join("snapshots").join(COMMIT).join(WEIGHTS).exists());
    assert!(!machine.folder(ID).join("refs/main").exists(), "an incomplete pull is no revision");
}

#[test]
fn a_small_file_is_held_to_gits_hash() {
    let machine = Machine::before([small()]);
    machine.server.fault("config.json", 1, Fault::Flip(3));
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    let machine = Machine::before([small()]);
    machine.server.fault("config.json", 9, Fault::Flip(3));
    assert!(machine.refusal(ID).contains(&small().files["config.json"].git()));
}

#[test]
fn a_part_of_an_earlier_pull_is_gone_on_with_whoever_left_it() {
    let machine = Machine::before([small()]);
    machine.leave_part(&small().files[WEIGHTS].bytes[..2_000_000]);
    let pulled = machine.pull(ID).expect("pulls");
    assert_whole(&pulled, &small(), &USUAL);
    let ranges: Vec<_> = machine.server.fetches(WEIGHTS).into_iter().map(|r| r.range).collect();
    assert_eq!(ranges, [Some("bytes=2000000-".into())]);
    assert!(pulled.fetched.0 < 1_000_100, "{}", pulled.fetched);
}

#[test]
fn a_part_that_was_whole_already_is_verified_without_a_request() {
    let machine = Machine::before([small()]);
    machine.leave_part(&small().files[WEIGHTS].bytes);
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    assert!(machine.server.fetches(WEIGHTS).is_empty());
}

#[test]
fn a_part_with_wrong_bytes_or_too_many_is_fetched_from_the_beginning() {
    for part in [noise(9, 2_000_000), noise(9, 3_000_001)] {
        let machine = Machine::before([small()]);
        machine.leave_part(&part);
        assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    }
}

#[test]
fn a_server_that_ignores_ranges_sends_all_of_it_again() {
    let machine = Machine::before([small()]);
    machine.leave_part(&small().files[WEIGHTS].bytes[..2_000_000]);
    machine.server.fault(WEIGHTS, 1, Fault::IgnoreRange);
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    assert_eq!(machine.server.fetches(WEIGHTS).len(), 1);
}

#[test]
fn another_range_than_asked_for_is_not_appended() {
    let machine = Machine::before([small()]);
    machine.leave_part(&small().files[WEIGHTS].bytes[..2_000_000]);
    machine.server.fault(WEIGHTS, 1, Fault::WrongRange);
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    assert_eq!(machine.server.fetches(WEIGHTS).len(), 2);
}

#[test]
fn a_range_that_the_server_does_not_have_begins_anew() {
    let machine = Machine::before([small()]);
    machine.leave_part(&small().files[WEIGHTS].bytes[..2_000_000]);
    machine.server.fault(WEIGHTS, 1, Fault::Truncate(1_000_000));
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    let ranges: Vec<_> = machine.server.fetches(WEIGHTS).into_iter().map(|r| r.range).collect();
    assert_eq!(ranges, [Some("bytes=2000000-".into()), None]);
}

#[test]
fn a_shorter_or_a_longer_file_than_listed_is_never_taken() {
    for fault in [Fault::Truncate(1_000_000), Fault::WrongLength(1000), Fault::WrongLength(-1000)] {
        let (_, ranges) = through(fault.clone(), 1);
        assert_eq!(ranges.len(), 2, "{fault:?}");
        let machine = Machine::before([small()]);
        machine.server.fault(WEIGHTS, 99, fault);
        let refusal = machine.refusal(ID);
        assert!(refusal.contains("where 3000000 are missing (3 tries)"), "{refusal}");
        assert!(!refusal.contains("secret"), "the storage's signature is nobody's business: {refusal}");
    }
}

#[test]
fn a_server_in_trouble_is_tried_again_and_then_named() {
    for status in [500, 502, 503, 504, 408, 429] {
        let machine = Machine::before([small()]);
        machine.server.fault(WEIGHTS, 2, Fault::Status(status, vec![]));
        machine.server.fault("revision/main", 2, Fault::Status(status, vec![]));
        assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
        machine.server.fault("revision/main", 99, Fault::Status(status, vec![]));
        let refusal = machine.refusal(ID);
        assert!(refusal.contains(&format!("it answers {status} (3 tries)")), "{refusal}");
    }
}

#[test]
fn a_hub_that_asks_for_patience_is_obeyed_and_a_long_wait_told_instead() {
    for header in [("Retry-After", "61".to_owned()), ("RateLimit", "\"api\";r=0;t=61".to_owned())] {
        let machine = Machine::before([small()]);
        machine.server.fault(WEIGHTS, 1, Fault::Status(429, vec![header]));
        let (cancel, waits) = (Cancel::new(), Mutex::new(vec![]));
        let hub = Hub::new(machine.settings(), &cancel);
        let pulled = hub.pull(&Name::parse(ID).expect("a name"), &Want::default(), &|progress| {
            if let Progress::Waiting { wait, .. } = progress {
                waits.lock().expect("no panic").push((wait.why, wait.time.as_secs()));
                cancel.cancel();
            }
        });
        assert!(matches!(pulled, Err(Error::Cancelled)));
        assert_eq!(waits.into_inner().expect("no panic"), [("it answers 429".to_owned(), 61)]);
    }
    let machine = Machine::before([small()]);
    machine.server.fault("revision/main", 1, Fault::Status(429, vec![("Retry-After", "3600".into())]));
    assert!(machine.refusal(ID).contains("wants no requests for 3600 s"));
}

#[test]
fn a_hub_that_is_not_there_is_named_after_some_tries() {
    let mut machine = Machine::before([small()]);
    machine.server.endpoint = "http://127.0.0.1:1".into();
    let refusal = machine.refusal(ID);
    assert!(refusal.contains("127.0.0.1:1") && refusal.contains("(3 tries)"), "{refusal}");
}

#[test]
fn what_the_hub_refuses_is_asked_once_and_the_sentence_says_what_to_do() {
    let gated = Repo { gated: Some("manual"), ..small() };
    let mut machine = Machine::before([gated.clone(), Repo { private: true, ..Repo::new("org/mine") }]);
    let refusal = machine.refusal(ID);
    let page = format!("{}/{ID}", machine.server.endpoint);
    assert!(refusal.contains(&format!("ask for access at {page}, then set HF_TOKEN")), "{refusal}");
    assert_eq!(machine.server.requests().iter().filter(|r| r.path.ends_with("config.json")).count(), 1);
    assert!(machine.refusal("org/mine").contains("or it is private: check the name, or, if it is yours, set HF_TOKEN"));
    assert!(machine.refusal("org/none").contains("org/none is not on http://127.0.0.1"));

    machine.token = Token::new("hf_somebody_else");
    assert!(machine.refusal(ID).contains("the token given has no access yet"));
    machine.token = Token::new(TOKEN);
    assert_whole(&machine.pull(ID).expect("pulls"), &gated, &USUAL);
    machine.server.fault("revision/main", 1, Fault::Status(401, vec![]));
    assert!(machine.refusal(ID).contains("does not accept the token"));
    assert!(machine.refusal(&format!("{ID}@v9")).contains("no revision 'v9' on the hub; there are main, v1.0"));
    let want = Want { include: vec!["*.onnx".into()], ..Want::default() };
    assert!(
        machine
            .pull_of(ID, &want)
            .expect_err("none")
            .contains("nothing in org/small matches *.onnx; there are .gitattributes, config.json")
    );
}

#[test]
fn the_token_is_shown_to_the_hub_and_to_nobody_else() {
    let mut machine = Machine::before([small()]);
    machine.token = Token::new(TOKEN);
    machine.pull(ID).expect("pulls");
    let requests = machine.server.requests();
    let (storage, hub): (Vec<_>, Vec<_>) = requests.iter().partition(|r| r.storage);
    assert!(!storage.is_empty() && storage.iter().all(|r| r.token.is_none()));
    assert!(hub.iter().all(|r| r.token.as_deref() == Some(&format!("Bearer {TOKEN}"))));
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused_before_a_byte_is_written() {
    for evil in ["../../../evil.txt", "/etc/evil.txt", "a/../../evil.json"] {
        let machine = Machine::before([small().file(evil, "gotcha")]);
        assert!(machine.refusal(ID).contains("would leave the cache folder"));
        assert!(!machine.cache().folder().exists());
    }
}

#[test]
fn odd_names_that_nobody_asked_for_do_not_end_a_pull() {
    let long = format!("{}.md", "n".repeat(247));
    let repo = small().file("runs/Jul12_13:45:02_host/events.out", "x").file("C:\\notes.log", "y").file(&long, "z");
    let repo = repo.file("escape\u{1b}]0;x\u{7}.txt", "w").file("a:b.txt", "v");
    let machine = Machine::before([repo.clone()]);
    let mut usual = USUAL.to_vec();
    usual.extend([long.as_str(), "a:b.txt"]);
    usual.sort_unstable();
    assert_whole(&machine.pull(ID).expect("pulls"), &repo, &usual);
    let want = Want { include: vec!["runs/*".into(), "C:*".into()], ..Want::default() };
    let odd = ["C:\\notes.log", "runs/Jul12_13:45:02_host/events.out"];
    assert_whole(&machine.pull_of(ID, &want).expect("asked for"), &repo, &odd);
    let want = Want { include: vec!["escape*".into()], ..Want::default() };
    assert!(machine.pull_of(ID, &want).expect_err("asked for").contains("characters that cannot be shown"));
}

#[test]
fn names_without_an_owner_and_addresses_are_pulled_and_found() {
    let repo = Repo { id: "gpt2".into(), ..small() };
    let machine = Machine::before([repo.clone(), small()]);
    let pulled = machine.pull("gpt2").expect("pulls");
    assert_whole(&pulled, &repo, &USUAL);
    assert_eq!(machine.cache().models(), ["gpt2"]);
    let found = bantam_hub::find("gpt2", &[], &machine.cache()).expect("found");
    assert_eq!(found.place, bantam_core::record::Place::Folder(pulled.folder));
    for address in ["https://huggingface.co/org/small/tree/main", "hf.co/org/small/blob/main/config.json"] {
        assert_whole(&machine.pull(address).expect(address), &small(), &USUAL);
        assert_eq!(bantam_hub::find(address, &[], &machine.cache()).expect("found").name, "org/small");
    }
}

/// All that a write would change below a folder: names, lengths, inodes and times.
fn entries_below(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = vec![];
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        let facts = std::fs::symlink_metadata(&at).expect("there");
        let times = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
        found.push(format!("{} {} {} {times:?}", at.display(), facts.len(), facts.ino()));
        if facts.is_dir() {
            open.extend(std::fs::read_dir(&at).expect("reads").flatten().map(|entry| entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_pull_of_what_is_here_writes_nothing() {
    let machine = Machine::before([small()]);
    machine.pull(ID).expect("pulls");
    let before = entries_below(machine.cache().folder());
    machine.pull(ID).expect("pulls");
    assert_eq!(entries_below(machine.cache().folder()), before);
}

#[test]
fn a_rotten_blob_is_no_model_and_is_fetched_again() {
    let machine = Machine::before([small()]);
    let pulled = machine.pull(ID).expect("pulls");
    for file in [WEIGHTS, "config.json"] {
        let blob = pulled.folder.join(file).canonicalize().expect("there");
        let mut bytes = std::fs::read(&blob).expect("reads");
        bytes[7] ^= 1;
        std::fs::write(&blob, bytes).expect("writes");
        let refused = bantam_hub::digest_of_folder(&pulled.folder).expect_err("rotten");
        assert!(one_sentence(&refused).contains("has rotted"), "{refused}");
        let repo = pulled.folder.ancestors().nth(2).expect("the repository").file_name().expect("a name");
        assert_eq!(repo, "models--org--small");
        let name = Name::parse(ID).expect("a name");
        assert_eq!(machine.cache().rotten(&name.repo, &Cancel::new()).expect("reads"), [blob]);
        let again = machine.pull(ID).expect("pulls");
        assert_whole(&again, &small(), &USUAL);
        assert_eq!(again.fetched.0, small().files[file].bytes.len() as u64);
        bantam_hub::digest_of_folder(&pulled.folder).expect("whole");
    }
}

#[test]
fn a_part_that_is_a_link_is_not_followed() {
    let machine = Machine::before([small()]);
    let victim = machine.dir.path().join("victim");
    std::fs::write(&victim, "dear").expect("writes");
    machine.leave_part(b"");
    let part = machine.folder(ID).join("blobs").join(format!("{}.incomplete", sha256_of(&small(), WEIGHTS)));
    for hard in [false, true] {
        std::fs::remove_file(&part).ok();
        let link = if hard { std::fs::hard_link(&victim, &part) } else { std::os::unix::fs::symlink(&victim, &part) };
        link.expect("links");
        let pulled = machine.pull(ID).expect("pulls");
        assert_whole(&pulled, &small(), &USUAL);
        assert_eq!(std::fs::read(&victim).expect("reads"), b"dear");
        std::fs::remove_file(pulled.folder.join(WEIGHTS).canonicalize().expect("there")).expect("removes");
    }
}

#[test]
fn a_storage_that_refuses_is_asked_again_by_way_of_the_hub_and_then_named() {
    for status in [403, 404, 410] {
        through(Fault::Storage(status), 1);
        let machine = Machine::before([small()]);
        machine.server.fault(WEIGHTS, 99, Fault::Storage(status));
        let refusal = machine.refusal(ID);
        assert!(
            refusal.contains(&format!("answers {status} (3 tries)")) && refusal.contains("the hub's storage"),
            "{refusal}"
        );
        assert!(!refusal.contains("private"), "{refusal}");
    }
}

#[test]
fn a_redirect_may_be_written_in_every_way() {
    through(Fault::Redirect(|url| url.replacen("http://", "HTTP://", 1)), 9);
    through(Fault::Redirect(|url| url.replacen("http:", "", 1)), 9);
}

#[test]
fn bytes_that_come_again_and_again_are_no_progress() {
    for fault in [Fault::NoRange(1_000_000), Fault::Crumbs(1)] {
        let machine = Machine::before([small()]);
        machine.server.fault(WEIGHTS, 1000, fault.clone());
        let refusal = machine.refusal(ID);
        assert!(refusal.contains("(3 tries)"), "{fault:?}: {refusal}");
        let asked = machine.server.fetches(WEIGHTS).len();
        assert!(asked < 10, "{fault:?}: {asked} requests");
    }
}

#[test]
fn sizes_beyond_all_disks_are_not_added_up_to_little() {
    let size = u64::MAX / 2 + 1;
    let file = |name: &str| serde_json::json!({ "rfilename": name, "size": size, "lfs": { "sha256": "a".repeat(64), "size": size } });
    let listed = serde_json::json!([file(WEIGHTS), file("model-2.safetensors")]);
    let machine = Machine::before([small().fact("siblings", listed)]);
    let refusal = machine.refusal(ID);
    assert!(refusal.contains("make room"), "{refusal}");
}

#[test]
fn offline_what_is_asked_for_has_to_be_here() {
    let machine = Machine::before([small()]);
    machine.pull(ID).expect("pulls");
    let hub = Hub::new(machine.settings().offline_if(true), &Cancel::new());
    let offline = |include: &str| {
        let want = Want { include: vec![include.into()], ..Want::default() };
        hub.pull(&Name::parse(ID).expect("a name"), &want, &|_| {}).map_err(|e| one_sentence(&e))
    };
    assert_whole(&offline("*.json").expect("here"), &small(), &["config.json"]);
    let refusal = offline("*.bin").expect_err("never pulled");
    assert!(refusal.contains("nothing in org/small matches *.bin") && refusal.contains("offline"), "{refusal}");
    let quant = hub.pull(&Name::parse("org/small:Q4_K_M").expect("a name"), &Want::default(), &|_| {});
    assert!(one_sentence(&quant.expect_err("no GGUF")).contains("offline"));
}

#[test]
fn pickles_alone_are_refused_with_the_reason_unless_they_are_asked_for() {
    let repo = Repo::new(ID).file("config.json", "{}").large("pytorch_model.bin", noise(3, 1000));
    let machine = Machine::before([repo.clone()]);
    assert!(machine.refusal(ID).contains("only as pickles (pytorch_model.bin), which can run any code"));
    let want = Want { include: vec!["*.bin".into()], ..Want::default() };
    assert_whole(&machine.pull_of(ID, &want).expect("asked for"), &repo, &["pytorch_model.bin"]);
}

#[test]
fn one_gguf_of_several_is_chosen_with_its_shards() {
    let repo = Repo::new(ID)
        .file("README.md", "quants")
        .large("m-Q4_K_M.gguf", noise(4, 1000))
        .large("m-BF16-00001-of-00002.gguf", noise(5, 1000))
        .large("m-BF16-00002-of-00002.gguf", noise(6, 1000));
    let machine = Machine::before([repo.clone()]);
    assert!(machine.refusal(ID).contains("choose one with --quant or as org/small:TYPE: BF16, Q4_K_M"));
    let want = Want { quant: Some("bf16".into()), ..Want::default() };
    let shards = ["README.md", "m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"];
    assert_whole(&machine.pull_of(ID, &want).expect("pulls"), &repo, &shards);
    let named = machine.pull(&format!("{ID}:Q4_K_M")).expect("pulls");
    let found = bantam_hub::find(&format!("{ID}:q4_k_m"), &[], &machine.cache()).expect("found");
    assert_eq!(found.place, bantam_core::record::Place::Gguf(named.folder.join("m-Q4_K_M.gguf")));
    assert_eq!(found.commit.as_deref(), Some(COMMIT));
    assert!(bantam_hub::find(ID, &[], &machine.cache()).is_err(), "which of them?");
}

#[test]
fn a_mirror_that_lists_names_alone_is_asked_for_each_file() {
    let repo = Repo { bare: true, ..small() };
    let machine = Machine::before([repo.clone()]);
    assert_whole(&machine.pull(ID).expect("pulls"), &repo, &USUAL);
    let heads = machine.server.requests().into_iter().filter(|r| r.method == "HEAD");
    assert!(heads.inspect(|r| assert!(!r.storage, "{r:?}")).count() == 3);
}

#[test]
fn two_pulls_at_once_fetch_each_file_once() {
    let machine = Machine::before([small()]);
    machine.server.fault(WEIGHTS, 1, Fault::Slow(1000));
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..3).map(|_| scope.spawn(|| machine.pull(ID))).collect();
        for pull in pulls {
            assert_whole(&pull.join().expect("no panic").expect("pulls"), &small(), &USUAL);
        }
    });
    assert_eq!(machine.server.fetches(WEIGHTS).len(), 1);
    assert_eq!(machine.server.fetches("config.json").len(), 1);
}

#[test]
fn a_stopped_pull_ends_at_once_and_keeps_its_bytes() {
    let machine = Machine::before([small()]);
    // it would hang for the whole of a timeout that a user would not wait for
    machine.server.fault(WEIGHTS, 1, Fault::Hang(700_000));
    let settings = Settings { read_timeout: Duration::from_secs(600), ..machine.settings() };
    let cancel = Cancel::new();
    let hub = Hub::new(settings, &cancel);
    let pulled = hub.pull(&Name::parse(ID).expect("a name"), &Want::default(), &|progress| {
        if matches!(progress, Progress::At { bytes: 700_000, .. }) {
            cancel.cancel();
        }
    });
    assert!(matches!(pulled, Err(Error::Cancelled)), "{pulled:?}");
    assert_whole(&machine.pull(ID).expect("pulls"), &small(), &USUAL);
    let ranges: Vec<_> = machine.server.fetches(WEIGHTS).into_iter().map(|r| r.range).collect();
    assert_eq!(ranges, [None, Some("bytes=700000-".into())]);
}

#[test]
fn offline_gives_what_is_here_and_says_what_is_not() {
    let machine = Machine::before([small()]);
    let offline = || Hub::new(machine.settings().offline_if(true), &Cancel::new());
    let name = Name::parse(ID).expect("a name");
    let refusal = offline().pull(&name, &Want::default(), &|_| {}).expect_err("not here").to_string();
    assert!(
        refusal.contains("org/small is not in the Hugging Face cache") && refusal.contains("bantam is offline"),
        "{refusal}"
    );
    let pulled = machine.pull(ID).expect("pulls");
    machine.server.forget();
    let here = offline().pull(&name, &Want::default(), &|_| {}).expect("here");
    assert_whole(&here, &small(), &USUAL);
    assert_eq!(here.folder, pulled.folder);
    assert!(offline().listing(&name).expect_err("no request").to_string().contains("offline"));
    assert!(machine.server.requests().is_empty());
    let found = bantam_hub::find(ID, &[], &machine.cache()).expect("no network is needed");
    assert_eq!(found.commit.as_deref(), Some(COMMIT));
}

#[test]
fn room_is_made_sure_of_before_the_first_byte() {
    let huge = serde_json::json!([{ "rfilename": WEIGHTS, "size": 1u64 << 60, "lfs": { "sha256": "a".repeat(64), "size": 1u64 << 60 } }]);
    let machine = Machine::before([small().fact("siblings", huge)]);
    let refusal = machine.refusal(ID);
    assert!(
        refusal.contains("org/small needs 1048576 TiB more") && refusal.contains("make room, or set HF_HUB_CACHE"),
        "{refusal}"
    );
    assert!(!machine.cache().folder().exists());
}

#[test]
fn what_is_no_hub_is_told_apart_from_one_in_trouble() {
    let machine = Machine::before([small().fact("sha", serde_json::json!("no commit"))]);
    assert!(machine.refusal(ID).contains("does HF_ENDPOINT name a hub?"));
}

// searching, and reading from outside

/// A file of plain weights with one tensor of so many parameters, as its head and nothing more.
fn head_only(parameters: u64) -> Vec<u8> {
    let json =
        format!("{{\"w\":{{\"dtype\":\"BF16\",\"shape\":[{parameters}],\"data_offsets\":[0,{}]}}}}", parameters * 2);
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}

fn counted(parameters: u64, kind: &str) -> serde_json::Value {
    serde_json::json!({ "parameters": { kind: parameters }, "total": parameters })
}

#[test]
fn a_search_goes_through_pages_in_order() {
    let repo = |i: usize| Repo::new(&format!("org/llama-{i:02}")).fact("downloads", serde_json::json!(100 - i));
    let other = Repo::new("org/bert").fact("pipeline_tag", serde_json::json!("fill-mask"));
    let machine = Machine::before((0..25).map(repo).chain([other]));
    machine.server.page(10);
    let hub = Hub::new(machine.settings(), &Cancel::new());
    let query = Query { filter: Some("text-generation".into()), limit: 10, ..Query::new("llama") };
    let first = hub.search(&query).expect("finds");
    let ids: Vec<String> = first.hits.iter().map(|hit| hit.repo.id()).collect();
    assert_eq!((ids[0].as_str(), ids[9].as_str(), ids.len()), ("org/llama-00", "org/llama-09", 10));
    let second = hub.more(&query, &first.next.expect("there are more")).expect("finds");
    let third = hub.more(&query, &second.next.expect("there are more")).expect("finds");
    assert_eq!((third.hits.len(), third.next), (5, None));
    assert_eq!(third.hits[4].repo.id(), "org/llama-24");
    assert_eq!(hub.search(&Query::new("nothing of that name")).expect("an answer").hits, []);
}

#[test]
fn parameters_are_counted_where_the_hub_counts_integers() {
    // the hub says 250 thousand, which are integers of eight weights each
    let packed = [("x.qweight", "I32", "[125,2000]"), ("x.scales", "F16", "[8,2000]"), ("x.g_idx", "I32", "[1000]")];
    let entry = |(name, kind, shape): &(&str, &str, &str)| {
        format!("\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":{shape},\"data_offsets\":[0,0]}}")
    };
    let json = format!("{{{}}}", packed.iter().map(entry).collect::<Vec<_>>().join(","));
    let gptq = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let machine = Machine::before([
        Repo::new("org/gptq")
            .large(WEIGHTS, gptq)
            .fact("safetensors", counted(250_000, "I32"))
            .fact("downloads", 3.into()),
        Repo::new("org/one")
            .large(WEIGHTS, head_only(1_000_000))
            .fact("safetensors", counted(1_000_000, "BF16"))
            .fact("downloads", 2.into()),
        Repo::new("org/three").fact("safetensors", counted(3_000_000, "BF16")).fact("downloads", 1.into()),
        Repo::new("org/unknown"),
    ]);
    let hub = Hub::new(machine.settings(), &Cancel::new());
    let found = |max_parameters| {
        let query = Query { max_parameters, ..Query::new("org") };
        let hits = hub.search(&query).expect("finds").hits;
        hits.into_iter().map(|hit| (hit.repo.id(), hit.parameters)).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(1_500_000)), [("org/one".to_owned(), Some(1_000_000))]);
    let two = [("org/gptq".to_owned(), Some(2_000_000)), ("org/one".to_owned(), Some(1_000_000))];
    assert_eq!(found(Some(2_000_000)), two);
    assert_eq!(found(None).len(), 4);
}

#[test]
fn a_sheet_tells_what_a_repository_weighs_for_a_few_kilobytes() {
    let index = "{\"weight_map\": {}}";
    let shard = |seed| [head_only(600_000), noise(seed, 1_200_000)].concat();
    let repo = Repo::new(ID)
        .file("config.json", "{\"model_type\": \"llama\"}")
        .file("model.safetensors.index.json", index)
        .large("model-00001-of-00002.safetensors", shard(1))
        .large("model-00002-of-00002.safetensors", shard(2));
    let machine = Machine::before([repo]);
    let model_info =
        Hub::new(machine.settings(), &Cancel::new()).model_info(&Name::parse(ID).expect("a name")).expect("its facts");
    assert_eq!(model_info.parameters, Ok(1_200_000));
    assert!(model_info.weights.0 > 2_400_000);
    assert!(model_info.pull.is_ok_and(|bytes| bytes > model_info.weights));
    let ranges: Vec<_> = machine.server.requests().into_iter().filter(|r| r.storage).map(|r| r.range).collect();
    assert_eq!(ranges, [Some("bytes=0-131071".to_owned()), Some("bytes=0-131071".to_owned())]);
    assert!(!machine.cache().folder().exists(), "nothing is written");
}

#[test]
fn a_gated_repository_shows_its_page_and_what_to_do() {
    let machine = Machine::before([Repo { gated: Some("manual"), ..small() }]);
    let model_info =
        Hub::new(machine.settings(), &Cancel::new()).model_info(&Name::parse(ID).expect("a name")).expect("its facts");
    assert_eq!((model_info.listing.page.licence.as_deref(), model_info.config), (Some("apache-2.0"), None));
    assert!(model_info.header.expect_err("gated").contains("ask for access at"));
    assert!(model_info.pull.is_ok_and(|bytes| bytes.0 > 3_000_000), "sizes are no secret");
}

#[test]
fn a_head_that_is_longer_than_the_first_request_is_read_on() {
    let entries: Vec<String> = (0..4000)
        .map(|i| format!("\"layer.{i:05}\":{{\"dtype\":\"F32\",\"shape\":[10],\"data_offsets\":[0,40]}}"))
        .collect();
    let json = format!("{{{}}}", entries.join(","));
    let file = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &noise(1, 500_000)].concat();
    let machine = Machine::before([Repo::new(ID).large(WEIGHTS, file.clone())]);
    let model_info = || {
        Hub::new(machine.settings(), &Cancel::new()).model_info(&Name::parse(ID).expect("a name")).expect("its facts")
    };
    assert_eq!(model_info().parameters, Ok(40_000));
    // a server without ranges gives everything; only the head is kept
    machine.server.fault(WEIGHTS, 9, Fault::IgnoreRange);
    assert_eq!(model_info().parameters, Ok(40_000));
    machine.server.mend();
    machine.server.fault(WEIGHTS, 9, Fault::Truncate(200_000));
    assert!(model_info().parameters.expect_err("cut off").contains("it ends within its head"));
}

// data

const DATA: &str = "org/quiz";

fn quiz() -> Repo {
    let readme = "---\nconfigs:\n- config_name: easy\n  data_files:\n  - split: test\n    path: easy/test-*\n---\n";
    let items = "{\"question\": \"1 + 1\", \"answer\": \"two\", \"unused\": 0}\n{\"question\": \"2 + 2\", \"answer\": \"four\", \"unused\": 0}\n";
    let mut repo = Repo::new(DATA).file("README.md", readme).file("easy/test-0.jsonl", items);
    repo = repo.file("easy/train-0.jsonl", items).file("hard/test-0.csv", "question,answer\n3 + 4,7\n");
    Repo { dataset: true, ..repo }
}

#[test]
fn a_split_of_a_dataset_is_pulled_and_found_again() {
    let machine = Machine::before([quiz()]);
    let data = DataName::parse("org/quiz#easy/test").expect("a name");
    assert!(machine.cache().data(&data).expect_err("not here").to_string().contains("nothing of it is here"));
    let hub = Hub::new(machine.settings(), &Cancel::new());
    let pulled = hub.pull_data(&data, &|_| {}).expect("pulls");
    assert_eq!(pulled.files.len(), 2, "the split and the README");
    let here = machine.cache().data(&data).expect("here");
    assert_eq!(here, [pulled.folder.join("easy/test-0.jsonl")]);
    assert!(here[0].starts_with(machine.cache().folder().join("datasets--org--quiz")));
    let hard = DataName::parse("org/quiz#hard/test").expect("a name");
    assert!(
        hub.pull_data(&hard, &|_| {})
            .expect_err("not in the README")
            .to_string()
            .contains("no config 'hard'; there are easy")
    );
}

// the program

impl Machine {
    fn bantam(&self, args: &[&str]) -> Command {
        let mut command = common::bantam(self.dir.path(), args);
        command.env("HF_ENDPOINT", &self.server.endpoint).env("HF_HUB_CACHE", self.cache().folder());
        command
    }

    fn part(&self) -> PathBuf {
        self.folder(ID).join("blobs").join(format!("{}.incomplete", sha256_of(&small(), WEIGHTS)))
    }
}

#[test]
fn a_pull_that_was_killed_goes_on_and_verifies() {
    let machine = Machine::before([small()]);
    machine.server.fault(WEIGHTS, 1, Fault::Hang(1_500_000));
    let mut child = machine.bantam(&["pull", ID]).spawn().expect("starts");
    while std::fs::metadata(machine.part()).map_or(0, |part| part.len()) < 1_500_000 {
        assert!(child.try_wait().expect("asks").is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    // SIGKILL: nothing of it can tidy up
    child.kill().expect("kills");
    child.wait().expect("waits");
    let output = machine.bantam(&["pull", ID]).output().expect("runs");
    let (stdout, stderr) = said(&output);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("1.43 MiB of it here already") && stderr.contains("verified"), "{stderr}");
    assert_eq!(std::fs::read(Path::new(stdout.trim()).join(WEIGHTS)).expect("there"), **small().files[WEIGHTS].bytes);
    let ranges: Vec<_> = machine.server.fetches(WEIGHTS).into_iter().map(|r| r.range).collect();
    assert_eq!(ranges, [None, Some("bytes=1500000-".into())]);
}

#[test]
fn a_proxy_is_gone_through_and_told_no_token() {
    let machine = Machine::before([small()]);
    let mut command = machine.bantam(&["pull", ID]);
    command
        .env("HF_ENDPOINT", "http://hub.invalid")
        .env("HTTPS_PROXY", &machine.server.endpoint)
        .env("HF_TOKEN", TOKEN);
    let output = command.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("runs");
    let (stdout, stderr) = said(&output);
    assert!(output.status.success(), "{stderr}");
    assert!(!stdout.contains(TOKEN) && !stderr.contains(TOKEN));
    let (connects, others): (Vec<_>, Vec<_>) =
        machine.server.requests().into_iter().partition(|r| r.method == "CONNECT");
    assert!(
        connects.iter().any(|r| r.path == "hub.invalid:80") && connects.iter().all(|r| r.token.is_none()),
        "{connects:?}"
    );
    assert!(others.iter().all(|r| r.token.is_some() != r.storage), "{others:?}");
}

#[test]
fn a_disk_that_fills_up_leaves_a_part_that_is_gone_on_with() {
    let machine = Machine::before([small()]);
    // files of a process can be limited where disks cannot; the signal of that is switched off, so that writing fails
    let limited = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";
    let inner = machine.bantam(&["pull", ID]);
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("runs");
    let (_, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("writing model.safetensors stopped after")
            && stderr.contains("make room and the same command goes on"),
        "{stderr}"
    );
    let part = std::fs::metadata(machine.part()).expect("a part").len();
    assert!(part > 0 && part < 3_000_000, "{part}");
    assert!(machine.bantam(&["pull", ID]).output().expect("runs").status.success());
    let resumed = machine.server.fetches(WEIGHTS).pop().expect("a request").range;
    assert_eq!(resumed, Some(format!("bytes={part}-")));
}

#[test]
fn the_program_searches_shows_pulls_lists_and_removes() {
    let config = std::fs::read("models/bantam-s/config.json").expect("a bundled model");
    let weights = std::fs::read("models/bantam-s/model.safetensors").expect("a bundled model");
    let machine = Machine::before([small()
        .file("config.json", config)
        .large(WEIGHTS, weights)
        .fact("config", serde_json::json!({ "model_type": "llama" }))]);
    let run = |args: &[&str]| {
        let output = machine.bantam(args).output().expect("runs");
        let (stdout, stderr) = said(&output);
        assert!(output.status.success(), "{args:?}: {stderr}");
        stdout
    };
    let found = run(&["search", "small", "--filter", "text-generation", "--sort", "downloads"]);
    assert!(
        found.lines().any(|line| line.starts_with(ID)
            && line.contains("llama")
            && line.contains("yes")
            && line.contains("apache-2.0")),
        "{found}"
    );
    let card = run(&["search", "--card", ID, "--context", "100"]);
    assert!(
        card.contains("yes, as LlamaForCausalLM") && card.contains("Q4_K_M") && card.contains("a cache of 100 tokens"),
        "{card}"
    );
    let card: serde_json::Value = serde_json::from_str(&run(&["search", "--card", ID, "--json"])).expect("JSON");
    assert_eq!((&card["parameters"], &card["needs"][0]["fit"]), (&426_624.into(), &"fits".into()));
    let folder = run(&["pull", ID, "--quiet"]);
    assert!(Path::new(folder.trim()).join(WEIGHTS).is_file(), "{folder}");
    let listed = run(&["models"]);
    assert!(
        listed.contains("org/small") && listed.contains("main 93efa2f") && listed.contains("bundled:bantam-s"),
        "{listed}"
    );
    let removed = run(&["models", "remove", ID, "--yes"]);
    assert!(removed.starts_with("org/small: removed, "), "{removed}");
    assert!(!machine.folder(ID).exists());
    let output = machine.bantam(&["models", "remove", "bundled:bantam-s", "--yes"]).output().expect("runs");
    assert!(said(&output).1.contains("inside this binary"), "{output:?}");
}

#[test]
fn a_profile_names_a_model_and_data_of_the_hub_and_its_results_name_the_commit() {
    let mut repo = Repo::new(ID);
    for file in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
        repo = repo.file(file, std::fs::read(format!("models/bantam-s/{file}")).expect("a bundled model"));
    }
    repo = repo.large(WEIGHTS, std::fs::read("models/bantam-s/model.safetensors").expect("a bundled model"));
    let machine = Machine::before([repo, quiz()]);
    let at = |name: &str| machine.dir.path().join(name);
    let suite = "name = \"sums\"\n[[task]]\ntask = \"sums\"\ndata = \"hub:org/quiz#easy/test\"\noutput_type = \"multiple_choice\"\n\
        doc_to_text = \"Q: {{question}}\\nA:\"\ndoc_to_choice = [\"two\", \"four\"]\ndoc_to_target = \"{{answer}}\"\n";
    std::fs::write(at("sums.toml"), suite).expect("writes");
    let profile = format!("models = [\"{ID}@{COMMIT}\"]\nsuites = [\"sums.toml\"]\n[measure]\nspeed = []\n");
    std::fs::write(at("p.toml"), profile).expect("writes");
    let path = at("p.toml").display().to_string();

    let offline = machine.bantam(&["run", &path, "--offline"]).output().expect("runs");
    assert_eq!(offline.status.code(), Some(2));
    assert!(said(&offline).1.contains("bantam is offline"), "{offline:?}");
    let output = machine.bantam(&["run", &path, "--json"]).output().expect("runs");
    let (stdout, stderr) = said(&output);
    let results: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"));
    assert_eq!(results["models"][0]["commit"], COMMIT, "{stderr}");
    assert_eq!(results["trials"][0]["status"], "finished", "{stderr}");
    assert_eq!(results["trials"][0]["items"], 2);

    machine.server.forget();
    let again = machine.bantam(&["run", &path, "--json", "--fresh"]).env("HF_HUB_OFFLINE", "1").output().expect("runs");
    assert!(again.status.success() || again.status.code() == Some(3), "{again:?}");
    assert!(machine.server.requests().is_empty(), "offline is offline");
}

/// A hub to try things on by hand, as the test did that is noted here: `BANTAM_TEST_HUB=FILE cargo test --test hub
/// a_hub_for_others` writes its address to FILE and serves until the file is removed.
///
/// Checked with Python's huggingface_hub 2.4.0 in both directions, November 2026: `snapshot_download("org/bantam-s")`
/// from it, then `bantam pull --offline`, `bantam inspect` and a second `bantam pull` (which fetched 0 bytes); and `bantam
/// pull`, then `snapshot_download("org/bantam-s", local_files_only=True)` and `hf_hub_download(…)` with the network gone.
#[test]
fn a_hub_for_others() {
    let Some(file) = std::env::var_os("BANTAM_TEST_HUB").map(PathBuf::from) else { return };
    let bundled = |id: &str, name: &str, downloads: u64| {
        let mut repo = Repo::new(id).file("README.md", "# bantam").fact("downloads", downloads.into());
        for file in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
            repo = repo.file(file, std::fs::read(format!("models/{name}/{file}")).expect("a bundled model"));
        }
        let parameters = counted(if name == "bantam-s" { 426_624 } else { 2_624_000 }, "BF16");
        repo = repo.large(WEIGHTS, std::fs::read(format!("models/{name}/model.safetensors")).expect("a bundled model"));
        repo.fact("config", serde_json::json!({ "model_type": "llama" })).fact("safetensors", parameters)
    };
    let mamba =
        Repo::new("org/mamba-bantam").file("config.json", "{\"model_type\": \"mamba\"}").large(WEIGHTS, noise(3, 4096));
    let server = Server::start([
        bundled("org/bantam-s", "bantam-s", 120_000),
        bundled("org/bantam-l", "bantam-l", 1_500_000),
        mamba.fact("config", serde_json::json!({ "model_type": "mamba" })),
        Repo { gated: Some("manual"), ..bundled("org/bantam-gated", "bantam-s", 900) },
        Repo::new("org/bantam-large").file("config.json", "{}").large("large.safetensors", noise(5, 400_000_000)),
        quiz(),
    ]);
    // a pull that can be watched
    server.fault("large.safetensors", 3, Fault::Hang(150_000_000));
    std::fs::write(&file, &server.endpoint).expect("writes");
    while file.exists() {
        std::thread::sleep(Duration::from_millis(200));
    }
}

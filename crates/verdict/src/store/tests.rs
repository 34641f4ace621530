//! What must hold of a store, whatever happens to the processes around it.

use super::{Error, Store, schema};
use bantam_core::metric::Metric;
use bantam_core::record::{
    Ask, Conditions, Failure, Id, ItemResult, ItemScore, LeftOut, ModelRef, Outcome, Place, Reading, Run, Shape,
    SpeedSample, TaskRef, Trial, Variant, Warning, WarningKind,
};
use bantam_core::unit::Seconds;
use rusqlite::Connection;
use std::path::Path;

fn conditions() -> Conditions {
    Conditions {
        threads: 2,
        seed: 1,
        max_length: None,
        limit: None,
        half_width: 0.05,
        budget: Seconds(1.0),
        min_repeats: 2,
        timeout: None,
        memory_limit: None,
        tdp_watts: None,
        idle: Seconds(0.0),
        engine: Default::default(),
    }
}

fn trial(ask: Ask) -> Trial {
    let place = Place::Bundled("bantam-s".into());
    let model = ModelRef {
        name: "bantam-s".into(),
        place,
        digest: Id::of(&"weights"),
        parameters: 7,
        commit: None,
        adapter: None,
    };
    Trial::new(Variant::new(model, None), ask, conditions(), &Id::of(&"host"))
}

fn task_trial(task: &str) -> Trial {
    trial(Ask::Task(TaskRef {
        suite: "work".into(),
        task: task.into(),
        digest: Id::of(&task),
        file: "bundled:work".into(),
        items: 3,
        metrics: vec![Metric::Acc],
        chance: Some(0.5),
        chat: Default::default(),
    }))
}

fn speed_trial() -> Trial {
    trial(Ask::Speed(Shape { prompt: 8, output: 4 }))
}

fn item(index: usize) -> ItemResult {
    ItemResult {
        index,
        scores: vec![ItemScore { metric: Metric::Acc, value: 1.0, weight: 1.0 }],
        choice: Some(1),
        target: Some("it's \"so\"".into()),
        answer: Some("naïve\n\u{0}".into()),
        logprobs: vec![-0.1 - index as f64, -1e-300],
        slices: [("depth".to_string(), "3".to_string())].into(),
        tokens: 9,
        ..ItemResult::default()
    }
}

fn sample(prefill: f64) -> SpeedSample {
    SpeedSample {
        prefill: Seconds(prefill),
        ttft: Seconds(prefill + 0.001),
        decode: Seconds(0.3),
        inter_token: vec![0.1, 0.1, 0.1],
        energy: None,
        turn: None,
    }
}

fn run(name: &str, started: f64, trials: &[Trial]) -> Run {
    Run {
        id: Id::of(&(name, started.to_bits())),
        profile_name: name.into(),
        profile: "models = []".into(),
        host: serde_json::json!({"cpu": "one"}),
        version: "0.1.0".into(),
        started,
        finished: None,
        trials: trials.to_vec(),
        left_out: vec![LeftOut { model: "a".into(), recipe: "Q4_K_M".into(), reason: "it's Q8_0 already".into() }],
    }
}

fn outcome(trial: &Trial) -> Outcome {
    let mut outcome = Outcome::failed(trial.id.clone(), Failure::Cancelled, 5.0, Seconds(2.0));
    outcome.result = Ok(());
    outcome.peak_memory = Reading::missing("no such file");
    outcome.warnings = vec![Warning { kind: WarningKind::ForeignLoad, text: "it's 40% \"busy\"".into() }];
    outcome
}

#[test]
fn what_was_put_is_read_back_the_same() {
    let mut store = Store::in_memory().expect("opens");
    let (task, speed) = (task_trial("routing"), speed_trial());
    let run = run("quick", 1.0, &[task.clone(), speed.clone()]);
    store.begin_run(&run).expect("begins");
    for index in [2, 0, 1, 2] {
        store.put_item(&task.id, &item(index)).expect("puts");
    }
    for seconds in [0.3, 0.1, 0.2, 0.1] {
        store.put_sample(&speed.id, &sample(seconds)).expect("puts");
    }
    assert_eq!(store.answered(&task.id).expect("reads"), [0, 1, 2].into());
    assert_eq!(store.outcome_of(&task.id).expect("reads"), None, "not finished yet");
    assert!(store.rows(&run.id).expect("reads").is_empty());

    for trial in [&task, &speed] {
        store.finish(&outcome(trial)).expect("finishes");
    }
    store.end_run(&run.id, 9.0).expect("ends");
    let rows = store.rows(&run.id).expect("reads");
    assert_eq!(rows.iter().map(|r| &r.trial).collect::<Vec<_>>(), [&task, &speed]);
    let items: Vec<_> = (0..3).map(item).collect();
    assert_eq!(rows[0].outcome, Outcome { items, ..outcome(&task) });
    let samples = [0.3, 0.1, 0.2].map(sample).to_vec();
    assert_eq!(rows[1].outcome, Outcome { samples, ..outcome(&speed) });
    assert_eq!(store.runs().expect("reads"), [Run { finished: Some(9.0), ..run }]);
}

#[test]
fn a_failure_is_no_result_and_a_later_result_takes_its_place() {
    let mut store = Store::in_memory().expect("opens");
    let trial = task_trial("routing");
    store.put_trial(&trial).expect("puts");
    let failed = Outcome::failed(trial.id.clone(), Failure::Timeout { seconds: 3.0 }, 1.0, Seconds(3.0));
    store.finish(&failed).expect("finishes");
    assert!(!store.has_result(&trial.id).expect("reads"));
    assert_eq!(store.outcome_of(&trial.id).expect("reads"), Some(failed));
    store.put_item(&trial.id, &item(0)).expect("puts");
    store.finish(&outcome(&trial)).expect("finishes");
    assert!(store.has_result(&trial.id).expect("reads"));
    store.forget(&trial.id).expect("forgets");
    assert_eq!(store.outcome_of(&trial.id).expect("reads"), None);
    assert!(store.answered(&trial.id).expect("reads").is_empty());
}

#[test]
fn the_latest_run_of_a_profile_is_found_and_trials_are_shared_between_runs() {
    let mut store = Store::in_memory().expect("opens");
    let trial = task_trial("routing");
    for (name, started) in [("quick", 1.0), ("quick", 3.0), ("other", 4.0)] {
        store.begin_run(&run(name, started, std::slice::from_ref(&trial))).expect("begins");
    }
    store.finish(&outcome(&trial)).expect("finishes");
    let latest = store.latest("quick").expect("reads").expect("there are two");
    assert_eq!(latest.started, 3.0);
    for run in store.runs().expect("reads") {
        assert_eq!(store.rows(&run.id).expect("reads").len(), 1, "{}", run.profile_name);
    }
    assert_eq!(store.latest("none").expect("reads"), None);
}

#[test]
fn scores_can_be_asked_for_in_sql() {
    let mut store = Store::in_memory().expect("opens");
    let trial = task_trial("routing");
    store.put_trial(&trial).expect("puts");
    for index in 0..3 {
        store.put_item(&trial.id, &item(index)).expect("puts");
    }
    let query = "SELECT metric, sum(value) / sum(weight), count(*) FROM score GROUP BY metric";
    let row: (String, f64, i64) =
        store.db.query_row(query, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).expect("queries");
    assert_eq!(row, ("acc".into(), 1.0, 3));
}

#[test]
fn a_second_process_reads_and_writes_while_the_first_does() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("deep/store.sqlite");
    let trial = task_trial("routing");
    Store::open(&file).expect("opens").put_trial(&trial).expect("puts");
    let writer = |range: std::ops::Range<usize>| {
        let (file, trial) = (file.clone(), trial.id.clone());
        std::thread::spawn(move || {
            let mut store = Store::open(&file).expect("opens");
            range.for_each(|index| store.put_item(&trial, &item(index)).expect("puts"));
        })
    };
    let both = [writer(0..200), writer(200..400)];
    let reader = Store::open(&file).expect("opens");
    let seen = reader.answered(&trial.id).expect("reads").len();
    both.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let after = reader.answered(&trial.id).expect("reads").len();
    assert!(seen <= after && after == 400, "{seen} {after}");
}

#[test]
fn many_processes_may_open_a_new_store_at_once() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let open = |_| {
        let file = file.clone();
        std::thread::spawn(move || Store::open(&file).map(drop))
    };
    let threads: Vec<_> = (0..16).map(open).collect();
    for thread in threads {
        thread.join().expect("no panic").expect("opens");
    }
}

#[test]
fn a_transaction_that_a_dead_process_left_open_is_not_there() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let trial = task_trial("routing");
    let mut store = Store::open(&file).expect("opens");
    store.put_trial(&trial).expect("puts");
    store.put_item(&trial.id, &item(0)).expect("puts");
    // as after kill -9: the files as they are on disk, the log not folded in, a transaction half way
    store.db.execute_batch("BEGIN IMMEDIATE; DELETE FROM item;").expect("runs");
    let dead = dir.path().join("dead.sqlite");
    for end in ["", "-wal"] {
        std::fs::copy(format!("{}{end}", file.display()), format!("{}{end}", dead.display())).expect("copies");
    }
    let reopened = Store::open(&dead).expect("opens");
    assert_eq!(reopened.items_of(&trial.id).expect("reads"), [item(0)]);
}

fn refusal(file: &Path) -> String {
    let message = Store::open(file).err().expect("refused").to_string();
    assert!(message.contains(&file.display().to_string()) && !message.contains('\n'), "{message}");
    message
}

#[test]
fn a_store_of_a_newer_bantam_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    drop(Store::open(&file).expect("opens"));
    let newer = schema::LATEST + 1;
    Connection::open(&file).expect("opens").pragma_update(None, "user_version", newer).expect("updates");
    assert!(refusal(&file).contains("newer bantam"));
    assert!(matches!(Store::open(&file), Err(Error::Newer { found, .. }) if found == newer));
}

#[test]
fn files_that_are_no_store_are_refused_in_one_sentence() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("text.sqlite");
    std::fs::write(&file, "these are words, not tables; ".repeat(100)).expect("writes");
    assert!(refusal(&file).contains("move it away"));

    let foreign = dir.path().join("foreign.sqlite");
    Connection::open(&foreign).expect("opens").execute_batch("CREATE TABLE theirs (a)").expect("runs");
    assert!(refusal(&foreign).contains("another program's tables"));

    let folder = dir.path().join("folder.sqlite");
    std::fs::create_dir(&folder).expect("makes");
    assert!(refusal(&folder).contains("cannot be opened"));
}

#[test]
fn a_damaged_file_is_a_sentence_and_no_panic() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let trial = task_trial("routing");
    {
        let mut store = Store::open(&file).expect("opens");
        store.put_trial(&trial).expect("puts");
        (0..500).for_each(|index| store.put_item(&trial.id, &item(index)).expect("puts"));
        store.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("folds the log in");
    }
    let mut bytes = std::fs::read(&file).expect("reads");
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    std::fs::write(&file, bytes).expect("writes");
    let read = Store::open(&file).and_then(|store| store.items_of(&trial.id));
    let message = read.expect_err("half of it is gone").to_string();
    assert!(message.contains("damaged") && !message.contains('\n'), "{message}");
}

#[test]
fn a_full_disk_keeps_what_was_finished() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut store = Store::open(&dir.path().join("store.sqlite")).expect("opens");
    let trial = task_trial("routing");
    store.put_trial(&trial).expect("puts");
    store.fill_up_after(2);
    let refused = (0..1000).find_map(|index| store.put_item(&trial.id, &item(index)).err().map(|e| (index, e)));
    let (kept, error) = refused.expect("the file may not grow");
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(kept > 0);
    assert_eq!(store.items_of(&trial.id).expect("reads").len(), kept);
}

fn with_items(store: &mut Store, asked: usize) -> Trial {
    let mut trial = task_trial("routing");
    if let Ask::Task(task) = &mut trial.ask {
        task.items = asked;
    }
    store.put_trial(&trial).expect("puts");
    for index in 0..asked {
        store.put_item(&trial.id, &item(index)).expect("puts");
    }
    store.finish(&outcome(&trial)).expect("finishes");
    trial
}

#[test]
fn a_task_that_a_race_settled_early_is_told_and_has_not_all_of_its_result() {
    let mut store = Store::in_memory().expect("opens");
    let trial = with_items(&mut store, 6);
    let settled = Outcome { settled: Some("6 of 9 items show it".into()), ..outcome(&trial) };
    store.finish(&settled).expect("finishes");
    assert!(!store.has_result(&trial.id).expect("reads"), "who wants the rest goes on from there");
    let told = store.outcome_of(&trial.id).expect("reads").expect("it is told of");
    assert_eq!((told.settled, told.items.len()), (settled.settled, 6));
}

#[test]
fn an_outcome_half_of_whose_items_are_gone_is_not_finished() {
    let mut store = Store::in_memory().expect("opens");
    let trial = with_items(&mut store, 6);
    assert!(store.has_result(&trial.id).expect("reads"));
    store.db.execute("DELETE FROM item WHERE position >= 3", []).expect("runs");
    assert!(!store.has_result(&trial.id).expect("reads"), "the rest is asked again");
    assert_eq!(store.outcome_of(&trial.id).expect("reads"), None);
    assert_eq!(store.answered(&trial.id).expect("reads").len(), 3, "what is left is kept");
    // an outcome of an earlier version does not say how many it had; the task does
    store.db.execute("UPDATE outcome SET items = NULL", []).expect("runs");
    assert!(!store.has_result(&trial.id).expect("reads"));
}

#[test]
fn a_score_that_cannot_be_is_refused_with_a_word() {
    let mut store = Store::in_memory().expect("opens");
    let trial = with_items(&mut store, 3);
    let change = r#"UPDATE item SET record = replace(record, '"value":1.0', '"value":5.0') WHERE position = 1"#;
    assert_eq!(store.db.execute(change, []).expect("runs"), 1);
    let found = store.outcome_of(&trial.id).expect("reads").expect("it is there");
    let failure = found.result.expect_err("5 is no share").sentence();
    assert_eq!(failure, "the store is damaged: item 1 has acc 5, which cannot be; `--fresh` measures it again");
    assert_eq!(
        store.answered(&trial.id).expect("reads"),
        [0, 2].into(),
        "where the trial is gone on with, it is asked"
    );
}

#[test]
fn a_store_that_is_replaced_while_it_is_open_is_noticed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let store = Store::open(&file).expect("opens");
    store.check_there().expect("nothing happened");
    std::fs::rename(&file, dir.path().join("moved.sqlite")).expect("renames");
    let gone = store.check_there().expect_err("it is not there").to_string();
    assert!(gone.contains("store.sqlite: was removed or replaced while bantam wrote to it"), "{gone}");
    Store::open(&file).expect("another one is made");
    assert!(matches!(store.check_there(), Err(Error::Gone { .. })), "another file stands in its place");
    Store::in_memory().expect("opens").check_there().expect("what is in memory cannot go");
}

#[test]
fn a_new_store_is_its_owners_alone_and_an_old_one_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("temp dir");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let file = dir.path().join("home/store.sqlite");
    let mut store = Store::open(&file).expect("opens");
    store.put_trial(&task_trial("routing")).expect("puts");
    assert_eq!((mode(&dir.path().join("home")), mode(&file)), (0o700, 0o600));
    assert_eq!(mode(&dir.path().join("home/store.sqlite-wal")), 0o600);
    drop(store);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("sets");
    drop(Store::open(&file).expect("opens"));
    assert_eq!(mode(&file), 0o640);
}

#[test]
fn the_place_of_a_variant_is_kept() {
    let mut store = Store::in_memory().expect("opens");
    let variant = task_trial("routing").variant.id;
    assert_eq!(store.place_of(&variant).expect("reads"), None);
    store.put_place(&variant, Path::new("/a/b.gguf")).expect("puts");
    store.put_place(&variant, Path::new("/a/c d.gguf")).expect("puts");
    assert_eq!(store.place_of(&variant).expect("reads"), Some("/a/c d.gguf".into()));
}

#[test]
fn advice_is_the_same_from_what_is_known_and_forgotten_trials_take_it_along() {
    use crate::recommend::fixture::{Made, answers};
    use crate::recommend::{Known, advise, advise_knowing};
    let mut store = Store::in_memory().expect("opens");
    let mut rows = Made::base("big", 100).task("t", &answers(400, 10, 0)).text("u", &[-3.0, -2.0, -2.5]).rows();
    rows.extend(Made::base("m", 10).task("t", &answers(400, 14, 3)).text("u", &[-3.1, -2.0, -2.6]).rows());
    let text = "models = ['big', 'm']\nsuites = ['s']\n[objective]\nmargin = 0.03\n";
    let profile = bantam_core::profile::Profile::parse(text, Path::new("p.toml")).expect("valid");
    let plain = advise(&rows, &profile);
    let count = |store: &Store| -> i64 {
        store.db.query_row("SELECT count(*) FROM known", [], |row| row.get(0)).expect("counts")
    };
    assert_eq!(advise_knowing(&rows, &profile, &store), plain);
    let kept = count(&store);
    assert!(kept >= 5, "scores and comparisons: {kept}");
    assert_eq!(advise_knowing(&rows, &profile, &store), plain, "to the last digit");
    assert_eq!(count(&store), kept, "nothing was worked out again");
    // a store that says something else shows that it is asked
    store.db.execute("UPDATE known SET record = replace(record, '\"items\":400', '\"items\":401')", []).expect("runs");
    assert_ne!(advise_knowing(&rows, &profile, &store), plain);
    for row in &rows {
        store.forget(&row.trial.id).expect("forgets");
    }
    assert_eq!(count(&store), 0);
    assert_eq!(Known::find(&store, &Id::of(&"nothing")), None);
}

#[test]
fn advice_is_the_same_without_all_items_in_memory() {
    use crate::recommend::fixture::{Made, answers};
    use crate::recommend::{advise, advise_knowing};
    let mut store = Store::in_memory().expect("opens");
    let mut rows = Made::base("big", 100).task("t", &answers(400, 10, 0)).task("u", &answers(300, 9, 0)).rows();
    rows.extend(Made::base("m", 10).task("t", &answers(400, 14, 3)).task("u", &answers(300, 90, 0)).rows());
    let trials: Vec<Trial> = rows.iter().map(|row| row.trial.clone()).collect();
    let run = run("p", 1.0, &trials);
    store.begin_run(&run).expect("begins");
    for row in &rows {
        row.outcome.items.iter().for_each(|item| store.put_item(&row.trial.id, item).expect("puts"));
        store.finish(&row.outcome).expect("finishes");
    }
    let text = "models = ['big', 'm']\nsuites = ['s']\n[objective]\nmargin = 0.03\n";
    let profile = bantam_core::profile::Profile::parse(text, Path::new("p.toml")).expect("valid");
    let light = store.light_rows(&run.id).expect("reads");
    assert!(light.len() == 4 && light.iter().all(|row| row.outcome.items.is_empty()));
    let plain = advise(&rows, &profile);
    assert_eq!(advise_knowing(&light, &profile, &store), plain);
    assert_eq!(advise_knowing(&light, &profile, &store), plain, "from what is known");
    // other answers under the same trial are other rows
    let changed = r#"UPDATE item SET record = replace(record, '"value":1.0', '"value":0.0') WHERE position < 200"#;
    store.db.execute(changed, []).expect("runs");
    let light = store.light_rows(&run.id).expect("reads");
    assert_ne!(advise_knowing(&light, &profile, &store).summaries, plain.summaries);
}

//! Runs from outside, with the real binary as the worker: what is killed, hangs or runs out of memory loses nothing that
//! was finished, and the next run does only what is missing.

use bantam::library::home::Home;
use bantam::run::plan::Plan;
use bantam::run::process::Process;
use bantam::run::schedule::Exhaustive;
use bantam::run::session;
use bantam_core::cancel::Cancel;
use bantam_core::event::Event;
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Failure, Id, Row};
use bantam_verdict::store::Store;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const BANTAM: &str = env!("CARGO_BIN_EXE_bantam");

/// A profile and a home of its own.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(profile: &str) -> Bench {
        let bench = Bench { dir: tempfile::tempdir().expect("temp dir") };
        std::fs::write(bench.profile(), profile).expect("writes");
        bench
    }

    fn profile(&self) -> PathBuf {
        self.dir.path().join("quick.toml")
    }

    fn home(&self) -> Home {
        Home::at(self.dir.path().join("home"))
    }

    fn store(&self) -> Store {
        Store::open(&self.home().store()).expect("opens")
    }

    fn plan(&self) -> Plan {
        let profile = Profile::load(&self.profile()).expect("a profile");
        Plan::make(&profile, &self.store()).expect("a plan")
    }

    fn run(&self, observe: &mut dyn FnMut(&Event)) -> Vec<Row> {
        self.run_as(BANTAM.as_ref(), &self.plan(), observe)
    }

    fn run_as(&self, program: &Path, plan: &Plan, observe: &mut dyn FnMut(&Event)) -> Vec<Row> {
        self.run_until(program, plan, observe, &Cancel::new())
    }

    fn run_until(&self, program: &Path, plan: &Plan, mut observe: &mut dyn FnMut(&Event), cancel: &Cancel) -> Vec<Row> {
        let mut runner = Process::of(program, &self.home());
        session::run(plan, &mut Exhaustive::of(plan), &mut runner, &mut self.store(), &mut [&mut observe], cancel).expect("stores")
    }

    /// The same in a process of its own, which tells its events on stdout.
    fn elsewhere(&self) -> Elsewhere {
        let mut child = Command::new(std::env::current_exe().expect("a test is a program"))
            .args(["--exact", "a_session_for_the_others", "--nocapture", "--test-threads=1"])
            .env("BANTAM_TEST_SESSION", self.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Elsewhere { child, said }
    }

    fn answered(&self, trial: &Id) -> BTreeSet<usize> {
        self.store().answered(trial).expect("reads")
    }
}

/// A session in another process, and what it says.
struct Elsewhere {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Elsewhere {
    /// Waits until it says so.
    fn until(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).expect("reads"), 0, "it ended before it said {wanted}");
        }
    }

    fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("waits");
    }

    fn end(mut self) {
        std::io::copy(&mut self.said, &mut std::io::sink()).expect("reads");
        assert!(self.child.wait().expect("waits").success());
    }
}

/// Not a test: the session that other tests start, watch and kill.
#[test]
fn a_session_for_the_others() {
    let Some(dir) = std::env::var_os("BANTAM_TEST_SESSION") else { return };
    let home = Home::at(Path::new(&dir).join("home"));
    let profile = Profile::load(&Path::new(&dir).join("quick.toml")).expect("a profile");
    let mut store = Store::open(&home.store()).expect("opens");
    let plan = Plan::make(&profile, &store).expect("a plan");
    let mut say = |event: &Event| {
        use std::io::Write;
        // whoever listens may have gone
        let _ = writeln!(std::io::stdout(), "{}", told(event));
    };
    let mut runner = Process::of(BANTAM, &home);
    session::run(&plan, &mut Exhaustive::of(&plan), &mut runner, &mut store, &mut [&mut say], &Cancel::new()).expect("stores");
}

fn told(event: &Event) -> String {
    match event {
        Event::Item { done, of, .. } => format!("item {done}/{of}"),
        Event::Sample { done, .. } => format!("sample {done}"),
        Event::Finished { outcome, .. } => format!("finished {:?}", outcome.result),
        Event::Ended { .. } => "ended".into(),
        _ => String::new(),
    }
}

const ONE_TASK: &str = "models = ['bantam-s']\nsuites = ['routing']\n[measure]\nlimit = 60\nspeed = []\n";

fn items_asked(event: &Event, asked: &mut Vec<usize>) {
    if let Event::Item { item, .. } = event {
        asked.push(item.index);
    }
}

/// The processes that a process started, by number.
#[cfg(target_os = "linux")]
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(target_os = "linux")]
fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

#[test]
fn a_profile_is_measured_from_beginning_to_end() {
    let bench = Bench::new(
        "models = ['bantam-s']\nrecipes = ['base', 'Q8_0']\nsuites = ['routing']\n\
         [measure]\nlimit = 20\nspeed = [{ prompt = 16, output = 8 }]\nbudget = '0.5 s'\n",
    );
    let mut fractions = Vec::new();
    let rows = bench.run(&mut |event| {
        if let Event::Preparing { fraction, .. } = event {
            fractions.push(*fraction);
        }
    });
    assert_eq!(rows.len(), 4);
    assert!(fractions.is_sorted() || fractions.contains(&0.0), "{fractions:?}");
    for row in &rows {
        assert_eq!(row.outcome.result, Ok(()), "{}", row.trial.ask.label());
        let (score, known) = (row.outcome.score(Metric::Acc), [&row.outcome.peak_memory, &row.outcome.disk]);
        assert!(known.iter().all(|reading| reading.value().is_some_and(|bytes| bytes > 1e5)), "{known:?}");
        match row.trial.ask {
            Ask::Task(_) => assert!(row.outcome.items.len() == 20 && score.is_some_and(|acc| acc <= 1.0), "{score:?}"),
            Ask::Speed(_) => {
                assert!(!row.outcome.samples.is_empty());
                for sample in &row.outcome.samples {
                    assert!(sample.prefill.0 > 0.0 && sample.ttft.0 >= sample.prefill.0, "{sample:?}");
                    assert_eq!(sample.inter_token.len(), 7, "the first of eight tokens is the prefill's");
                    assert!((sample.inter_token.iter().sum::<f64>() - sample.decode.0).abs() < 1e-9, "{sample:?}");
                }
                assert!(row.outcome.ceiling.value().is_some_and(|tps| tps > 1.0), "{:?}", row.outcome.ceiling);
            }
        }
    }
    let disk = |row: &Row| row.outcome.disk.value().expect("known");
    assert!(disk(&rows[2]) < disk(&rows[0]), "eight bits take less than sixteen");
    let acc = |row: &Row| row.outcome.score(Metric::Acc).expect("known");
    assert!((acc(&rows[0]) - acc(&rows[2])).abs() < 0.3, "eight bits are nearly as good as sixteen");

    let mut events = Vec::new();
    let again = bench.run(&mut |event| events.push(told(event)));
    assert_eq!(again, rows);
    assert!(!events.iter().any(|e| e.starts_with("item") || e.starts_with("sample")), "{events:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn after_kill_9_of_the_session_only_what_is_missing_is_asked() {
    let slow = ONE_TASK.replace("bantam-s", "bantam-l").replace("limit = 60", "limit = 200");
    let bench = Bench::new(&slow);
    let trial = bench.plan().run.trials[0].id.clone();
    let mut before = BTreeSet::new();
    for _ in 0..3 {
        let mut session = bench.elsewhere();
        session.until("item ");
        let workers = children(session.child.id());
        session.kill();
        workers.into_iter().for_each(assert_ends);
        let now = bench.answered(&trial);
        assert!(now.is_superset(&before) && now.len() > before.len(), "{before:?} {now:?}");
        before = now;
    }

    let mut asked = Vec::new();
    let rows = bench.run(&mut |event| items_asked(event, &mut asked));
    assert_eq!(asked, (0..200).filter(|i| !before.contains(i)).collect::<Vec<_>>());
    assert_eq!(rows[0].outcome.result, Ok(()));
    let whole = Bench::new(&slow).run(&mut |_| {});
    assert_eq!(rows[0].outcome.items, whole[0].outcome.items, "in four pieces or in one, the same");
}

/// The kernel kills a worker with its session, shortly after.
#[cfg(target_os = "linux")]
fn assert_ends(worker: u32) {
    let ended = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::read_to_string(format!("/proc/{worker}/stat")).map_or(true, |stat| stat.contains(") Z"))
    });
    assert!(ended, "worker {worker} outlived its session");
}

#[test]
fn a_cancelled_session_stops_its_worker_and_goes_on_another_time() {
    let bench = Bench::new(ONE_TASK);
    let cancel = Cancel::new();
    let mut asked = Vec::new();
    let rows = bench.run_until(
        BANTAM.as_ref(),
        &bench.plan(),
        &mut |event| {
            items_asked(event, &mut asked);
            if asked.len() == 5 {
                cancel.cancel();
            }
        },
        &cancel,
    );
    assert_eq!(rows, [], "a cancelled trial has no outcome");
    let mut rest = Vec::new();
    let rows = bench.run(&mut |event| items_asked(event, &mut rest));
    assert_eq!(rows[0].outcome.result, Ok(()));
    assert_eq!([asked, rest].concat(), (0..60).collect::<Vec<_>>());
}

#[cfg(target_os = "linux")]
#[test]
fn kill_9_of_a_worker_fails_its_trial_and_the_rest_goes_on() {
    let bench = Bench::new(&ONE_TASK.replace("['routing']", "['routing', 'sentiment']"));
    let mut session = bench.elsewhere();
    session.until("item 5/60");
    let workers = children(session.child.id());
    assert_eq!(workers.len(), 1);
    signal(workers[0], "-KILL");
    session.until("ended");
    session.end();
    let run = bench.store().latest("quick").expect("reads").expect("there is one");
    let rows = bench.store().rows(&run.id).expect("reads");
    let Err(Failure::Crash { message, .. }) = &rows[0].outcome.result else { panic!("{:?}", rows[0].outcome.result) };
    assert!(message.contains("SIGKILL"), "{message}");
    assert_eq!(rows[1].outcome.result, Ok(()));
    let before = bench.answered(&rows[0].trial.id);
    assert!(before.len() >= 5);

    let mut asked = Vec::new();
    let rows = bench.run(&mut |event| items_asked(event, &mut asked));
    assert!(rows.iter().all(|row| row.outcome.result.is_ok()));
    assert_eq!(asked, (0..60).filter(|i| !before.contains(i)).collect::<Vec<_>>());
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_without_memory_is_an_outcome_with_its_reason() {
    let limit = "memory_limit = '8 MiB'\n";
    let bench = Bench::new(&format!("{ONE_TASK}{limit}"));
    let rows = bench.run(&mut |_| {});
    let Err(failure @ Failure::OutOfMemory { .. }) = &rows[0].outcome.result else {
        panic!("{:?}", rows[0].outcome.result)
    };
    assert!(failure.sentence().contains("memory"), "{}", failure.sentence());
}

#[cfg(unix)]
#[test]
fn a_worker_that_hangs_is_stopped_at_its_timeout() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new(&format!("{ONE_TASK}timeout = '300 ms'\n"));
    let sleeper = bench.dir.path().join("sleeper");
    std::fs::write(&sleeper, "#!/bin/sh\nexec sleep 600\n").expect("writes");
    std::fs::set_permissions(&sleeper, std::fs::Permissions::from_mode(0o755)).expect("may");
    let rows = bench.run_as(&sleeper, &bench.plan(), &mut |_| {});
    assert_eq!(rows[0].outcome.result, Err(Failure::Timeout { seconds: 0.3 }));
}

#[test]
fn a_model_that_breaks_after_planning_fails_and_the_next_one_runs() {
    let bench = Bench::new(ONE_TASK);
    let folder = bench.dir.path().join("mine");
    std::fs::create_dir(&folder).expect("makes");
    let bundled = bantam_bundled::models::embedded().iter().find(|b| b.name == "bantam-s").expect("bundled");
    for file in &bundled.files {
        std::fs::write(folder.join(file.name), file.data).expect("writes");
    }
    let models = format!("['{}', 'bantam-s']", folder.display());
    std::fs::write(bench.profile(), ONE_TASK.replace("['bantam-s']", &models)).expect("writes");
    let plan = bench.plan();
    std::fs::write(folder.join("model.safetensors"), b"gone").expect("writes");
    let rows = bench.run_as(BANTAM.as_ref(), &plan, &mut |_| {});
    let Err(Failure::Error { message }) = &rows[0].outcome.result else { panic!("{:?}", rows[0].outcome.result) };
    assert!(message.contains("mine") && message.contains("does not load") && !message.contains('\n'), "{message}");
    assert_eq!(rows[1].outcome.result, Ok(()));
}

//! Runs from outside, with the real binary as the worker: what is killed, hangs or runs out of memory loses nothing
//! that was finished, and the next run does only what is missing.

use bantam::library::home::Home;
use bantam::run::plan::Plan;
use bantam::run::process::Process;
use bantam::run::protocol::{self, Load, Reply, Request, TrialSummary};
use bantam::run::schedule::Exhaustive;
use bantam::run::session;
use bantam_core::cancel::Cancel;
use bantam_core::event::Event;
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Failure, Id, ItemResult, ItemScore, Reading, Row};
use bantam_core::unit::Seconds;
use bantam_verdict::store::Store;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

mod common;

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
        let mut store = self.store();
        let rows = session::run(plan, &mut Exhaustive::of(plan), &mut runner, &mut store, &mut [&mut observe], cancel);
        common::whole(rows.expect("stores"), &store)
    }

    /// The same in a process of its own, which tells its events on stdout.
    fn elsewhere(&self) -> Elsewhere {
        self.elsewhere_stopping_after("nothing")
    }

    /// The same, which waits after the first of these words until it may go on.
    fn elsewhere_stopping_after(&self, word: &str) -> Elsewhere {
        let mut child = Command::new(std::env::current_exe().expect("a test is a program"))
            .args(["--exact", "a_session_for_the_others", "--nocapture", "--test-threads=1"])
            .env("BANTAM_TEST_SESSION", self.dir.path())
            .env("BANTAM_TEST_STOP", word)
            .stdin(Stdio::piped())
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

    fn go_on(&mut self) {
        drop(self.child.stdin.take());
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
    let mut stop = std::env::var("BANTAM_TEST_STOP").ok();
    let mut say = |event: &Event| {
        use std::io::Write;
        // whoever listens may have gone
        let _ = writeln!(std::io::stdout(), "{}", told(event));
        if stop.take_if(|word| told(event).starts_with(word.as_str())).is_some() {
            // until the other end closes it
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("reads");
        }
    };
    let mut runner = Process::of(BANTAM, &home);
    session::run(&plan, &mut Exhaustive::of(&plan), &mut runner, &mut store, &mut [&mut say], &Cancel::new())
        .expect("stores");
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
        workers.into_iter().for_each(await_end);
        let now = bench.answered(&trial);
        assert!(now.is_superset(&before) && now.len() > before.len(), "{before:?} {now:?}");
        before = now;
    }

    let mut asked = Vec::new();
    let rows = bench.run(&mut |event| items_asked(event, &mut asked));
    assert_eq!(asked, (0..200).filter(|i| !before.contains(i)).collect::<Vec<_>>());
    assert_eq!(rows[0].outcome.result, Ok(()));
    let whole = Bench::new(&slow).run(&mut |_| {});
    // but for the time that each took
    let answers = |items: &[ItemResult]| -> Vec<ItemResult> {
        items.iter().map(|item| ItemResult { spent: None, ..item.clone() }).collect()
    };
    assert!(rows[0].outcome.items.iter().all(|item| item.spent.is_some()), "each says what it took");
    assert_eq!(answers(&rows[0].outcome.items), answers(&whole[0].outcome.items), "in four pieces or in one, the same");
}

/// Waits until a process has ended, which the kernel sees to: a worker outlives its session only by that moment.
#[cfg(target_os = "linux")]
fn await_end(process: u32) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(process as i32).expect("no process has number 0");
    // no file descriptor means that it is gone altogether; otherwise it becomes readable at its end
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    let ends = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience)).expect("waits");
    assert_eq!(ends, 1, "process {process} goes on");
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

/// Not a test: a worker that answers every item of every task at once, but for one task, which it hangs or crashes in.
#[test]
fn a_worker_for_the_others() {
    let Some(how) = std::env::var_os("BANTAM_TEST_WORKER") else { return };
    let mut out = std::fs::File::create("/dev/fd/3").expect("the script opens it");
    let mut say = |reply: &Reply| protocol::write(&mut out, reply).expect("writes");
    let mut done = None;
    for line in std::io::stdin().lines() {
        let Ok(Request::Measure(measure)) = protocol::read(&line.expect("reads")) else { panic!("nothing is made") };
        let Ask::Task(task) = &measure.trial.ask else { panic!("no speed is measured") };
        say(&Reply::Begun);
        eprintln!("asked {}", task.task);
        let load = Load { seconds: Seconds(0.5), by: done.clone() };
        say(&Reply::Loaded(load.clone()));
        let wrong = task.task == "extract" && how != "work";
        (0..task.items).take(if wrong { 3 } else { usize::MAX }).for_each(|index| say(&Reply::Item(item(index))));
        match how.to_str() {
            Some("hang") if wrong => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink())),
            Some("crash") if wrong => std::process::abort(),
            _ => {}
        }
        let missing = || Reading::missing("made up");
        say(&Reply::Done(Box::new(TrialSummary {
            peak_memory: missing(),
            energy: missing(),
            disk: missing(),
            ceiling: missing(),
            load: Some(load),
            warnings: Vec::new(),
            stays: true,
        })));
        done.get_or_insert(measure.trial.id);
    }
}

fn item(index: usize) -> Box<ItemResult> {
    let scores = vec![ItemScore { metric: Metric::Acc, value: 1.0, weight: 1.0 }];
    Box::new(ItemResult { index, scores, tokens: 1, ..ItemResult::default() })
}

/// Three tasks, of which the worker of [`a_worker_for_the_others`] does not survive the second.
#[cfg(unix)]
fn three_tasks_with(how: &str, timeout: &str) -> (Bench, Vec<Row>) {
    use std::os::unix::fs::PermissionsExt;
    let suites = "['routing', 'extract', 'sentiment']";
    let bench = Bench::new(&format!("{}timeout = '{timeout}'\n", ONE_TASK.replace("['routing']", suites)));
    let script = bench.dir.path().join("worker");
    let this = std::env::current_exe().expect("a test is a program");
    // the test's own words go to stdout, which is the protocol's
    let text = format!(
        "#!/bin/sh\nexec env BANTAM_TEST_WORKER={how} '{}' --exact a_worker_for_the_others --nocapture 3>&1 >/dev/null\n",
        this.display()
    );
    std::fs::write(&script, text).expect("writes");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("may");
    let rows = bench.run_as(&script, &bench.plan(), &mut |_| {});
    (bench, rows)
}

/// What the trials' own logs say.
#[cfg(unix)]
fn logs(bench: &Bench, rows: &[Row]) -> Vec<String> {
    let log = |row: &Row| std::fs::read_to_string(bench.home().log(&row.trial.id)).expect("it has one");
    let own = |text: String| text.lines().filter(|line| line.starts_with("asked")).collect::<Vec<_>>().join(" ");
    rows.iter().map(log).map(own).collect()
}

#[cfg(unix)]
#[test]
fn a_resident_worker_loads_once_and_logs_every_trial_apart() {
    let (bench, rows) = three_tasks_with("work", "5 min");
    assert!(rows.iter().all(|row| row.outcome.result == Ok(()) && row.outcome.items.len() == 60));
    let first = Some(rows[0].trial.id.clone());
    let by: Vec<_> = rows.iter().map(|row| row.outcome.loaded_by.clone()).collect();
    assert_eq!(by, [None, first.clone(), first]);
    assert!(rows.iter().all(|row| row.outcome.load == Some(Seconds(0.5))));
    assert_eq!(logs(&bench, &rows), ["asked routing", "asked extract", "asked sentiment"]);
}

#[cfg(unix)]
#[test]
fn a_crash_in_the_second_of_three_trials_costs_that_one_only() {
    let (bench, rows) = three_tasks_with("crash", "5 min");
    let Err(Failure::Crash { message, log }) = &rows[1].outcome.result else { panic!("{:?}", rows[1].outcome.result) };
    assert!(message.contains("SIGABRT") && log.contains("asked extract") && !log.contains("asked routing"), "{log}");
    assert_eq!([&rows[0].outcome.result, &rows[2].outcome.result], [&Ok(()), &Ok(())]);
    assert_eq!(rows[1].outcome.items.len(), 3, "what it had finished is kept");
    assert_eq!(rows[1].outcome.loaded_by.as_ref(), Some(&rows[0].trial.id));
    assert_eq!(rows[2].outcome.loaded_by, None, "by a worker of its own");
    assert_eq!(logs(&bench, &rows), ["asked routing", "asked extract", "asked sentiment"]);
}

#[cfg(unix)]
#[test]
fn a_hang_in_the_second_of_three_trials_costs_that_one_only() {
    let (_bench, rows) = three_tasks_with("hang", "3 s");
    assert_eq!(rows[1].outcome.result, Err(Failure::Timeout { seconds: 3.0 }));
    assert_eq!([&rows[0].outcome.result, &rows[2].outcome.result], [&Ok(()), &Ok(())]);
    assert_eq!(rows[2].outcome.loaded_by, None);
}

/// Two variants of three trials: each loads once for its tasks, and again for its speed, which is measured alone.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_serves_one_variant_and_no_speed_shape_after_a_task() {
    let profile = ONE_TASK
        .replace("suites", "recipes = ['base', 'Q8_0']\nsuites")
        .replace("['routing']", "['routing', 'sentiment']")
        .replace("limit = 60\nspeed = []", "limit = 8\nbudget = '0.1 s'\nspeed = [{ prompt = 8, output = 4 }]");
    let rows = Bench::new(&profile).run(&mut |_| {});
    assert!(rows.iter().all(|row| row.outcome.result == Ok(())), "{rows:?}");
    let by: Vec<_> = rows.iter().map(|row| row.outcome.loaded_by.clone()).collect();
    let id = |i: usize| Some(rows[i].trial.id.clone());
    assert_eq!(by, [None, id(0), None, None, id(3), None]);
    let how = |row: &Row| row.outcome.peak_memory.known().expect("Linux tells it").how.clone();
    assert!(!how(&rows[0]).contains("reset") && !how(&rows[2]).contains("reset"), "{}", how(&rows[2]));
    assert!(how(&rows[2]).contains("median VmHWM of "), "a new one for every second turn: {}", how(&rows[2]));
    assert!(how(&rows[1]).contains("reset before the trial"), "{}", how(&rows[1]));
}

#[cfg(target_os = "linux")]
#[test]
fn kill_9_of_a_worker_between_two_trials_costs_nothing() {
    let bench = Bench::new(&ONE_TASK.replace("['routing']", "['routing', 'sentiment']"));
    let mut session = bench.elsewhere_stopping_after("finished");
    session.until("finished");
    let workers = children(session.child.id());
    assert_eq!(workers.len(), 1, "it waits for the next trial");
    signal(workers[0], "-KILL");
    await_end(workers[0]);
    session.go_on();
    session.until("ended");
    session.end();
    let run = bench.store().latest("quick").expect("reads").expect("there is one");
    let rows = bench.store().rows(&run.id).expect("reads");
    assert_eq!([&rows[0].outcome.result, &rows[1].outcome.result], [&Ok(()), &Ok(())]);
    assert_eq!(rows[1].outcome.loaded_by, None, "by another worker");
}

#[test]
fn a_cancel_in_the_second_trial_keeps_the_first_and_the_items() {
    let bench = Bench::new(&ONE_TASK.replace("['routing']", "['routing', 'sentiment']"));
    let cancel = Cancel::new();
    let mut asked = 0;
    let mut count = |event: &Event| {
        asked += usize::from(matches!(event, Event::Item { .. }));
        if asked == 65 {
            cancel.cancel();
        }
    };
    let rows = bench.run_until(BANTAM.as_ref(), &bench.plan(), &mut count, &cancel);
    assert_eq!(rows.len(), 1, "the cancelled one has no outcome");
    let mut rest = Vec::new();
    let rows = bench.run(&mut |event| items_asked(event, &mut rest));
    assert!(rows.len() == 2 && rows.iter().all(|row| row.outcome.result == Ok(())));
    assert_eq!(asked + rest.len(), 120);
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
    let bundled = bantam_bundled::models::embedded().iter().find(|b| b.name == "bantam-m").expect("bundled");
    for file in &bundled.files {
        std::fs::write(folder.join(file.name), file.data).expect("writes");
    }
    let models = format!("['{}', 'bantam-s']", folder.display());
    std::fs::write(bench.profile(), ONE_TASK.replace("['bantam-s']", &models)).expect("writes");
    let plan = bench.plan();
    std::fs::write(folder.join("model.safetensors"), b"gone").expect("writes");
    let rows = bench.run_as(BANTAM.as_ref(), &plan, &mut |_| {});
    let Err(Failure::Error { message }) = &rows[0].outcome.result else { panic!("{:?}", rows[0].outcome.result) };
    // by whoever looks first: the session at its stamp, or the worker at its contents
    let told = ["does not load", "is not the model any more"].iter().any(|words| message.contains(words));
    assert!(message.contains("mine") && told && !message.contains('\n'), "{message}");
    assert_eq!(rows[1].outcome.result, Ok(()));
}

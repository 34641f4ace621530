//! Sessions seen from outside, with a table in place of workers.

use crate::run::plan::{Estimate, Host, Plan};
use crate::run::runner::{Answer, Asked, Mock};
use crate::run::schedule::{Ends, Exhaustive, Outcomes, Scheduler, Work};
use crate::run::session;
use bantam_core::cancel::Cancel;
use bantam_core::event::{Event, Observer};
use bantam_core::metric::Metric;
use bantam_core::profile::{Measure, Profile};
use bantam_core::record::{
    Ask, Engine, Failure, Id, ItemResult, ItemScore, ModelRef, Outcome, Place, Reading, Shape, SpeedSample, TaskRef,
    Trial, Variant, WarningKind,
};
use bantam_core::unit::Seconds;
use bantam_verdict::store::Store;
use std::collections::BTreeSet;
use std::path::Path;

fn item(index: usize) -> ItemResult {
    ItemResult {
        index,
        scores: vec![ItemScore { metric: Metric::Acc, value: 1.0, weight: 1.0 }],
        choice: Some(0),
        tokens: 3,
        ..ItemResult::default()
    }
}

fn sample() -> SpeedSample {
    let decode = Seconds(0.02);
    SpeedSample {
        prefill: Seconds(0.1),
        ttft: Seconds(0.1),
        decode,
        inter_token: vec![0.01, 0.01],
        energy: None,
        turn: None,
    }
}

const ITEMS: usize = 5;

/// One model as it is and once quantized, on one task and at one speed shape: four trials.
struct Scene {
    profile: Profile,
    variants: Vec<Variant>,
    tasks: Vec<TaskRef>,
    store: Store,
    mock: Mock,
    cancel: Cancel,
}

impl Scene {
    fn new() -> Scene {
        let text = "models = ['bundled:s']\nrecipes = ['base', 'Q8_0']\nsuites = ['work']\n\
                    [measure]\nspeed = [{ prompt = 8, output = 3 }]\n";
        let place = Place::Bundled("s".into());
        let model = ModelRef {
            name: "s".into(),
            place,
            digest: Id::of(&"weights"),
            parameters: 7,
            commit: None,
            adapter: None,
        };
        let quantized = Variant::new(model.clone(), Some(("Q8_0".into(), "steps".into())));
        let task = TaskRef {
            suite: "work".into(),
            task: "routing".into(),
            digest: Id::of(&"task"),
            file: "bundled:work".into(),
            items: ITEMS,
            metrics: vec![Metric::Acc],
            chance: None,
            chat: Default::default(),
        };
        let mut scene = Scene {
            profile: Profile::parse(text, Path::new("quick.toml")).expect("valid"),
            variants: vec![Variant::new(model, None), quantized],
            tasks: vec![task],
            store: Store::in_memory().expect("opens"),
            mock: Mock::default(),
            cancel: Cancel::new(),
        };
        for trial in scene.plan().run.trials {
            let answer = match trial.ask {
                Ask::Task(_) => Answer { items: (0..ITEMS).map(item).collect(), ..Answer::default() },
                Ask::Speed(_) => Answer { samples: vec![sample(); 3], ..Answer::default() },
            };
            scene.mock.answers.insert(trial.id, answer);
        }
        scene
    }

    fn plan(&self) -> Plan {
        let unknown = || Estimate { memory: Reading::missing("no model"), disk: Reading::missing("no model") };
        let variants = self.variants.iter().map(|v| (v.clone(), unknown())).collect();
        let host = Host {
            id: Id::of(&"host"),
            card: serde_json::json!({}),
            bandwidth: Err("not measured".into()),
            warnings: Vec::new(),
            threads: 2,
            engine: Engine::default(),
            words: "a machine".into(),
        };
        Plan::of(&self.profile, variants, &self.tasks, host, &self.store).expect("reads")
    }

    fn trials(&self) -> Vec<Trial> {
        self.plan().run.trials
    }

    /// Does the plan, and gives the results' labels and what was said.
    fn run(&mut self, also: &mut dyn Observer) -> (Vec<Result<(), Failure>>, Vec<String>) {
        let plan = self.plan();
        let mut said = Vec::new();
        let mut write = |event: &Event| said.push(word(event));
        let rows = session::run(
            &plan,
            &mut Exhaustive::of(&plan),
            &mut self.mock,
            &mut self.store,
            &mut [&mut write, also],
            &self.cancel,
        );
        (rows.expect("stores").into_iter().map(|row| row.outcome.result).collect(), said)
    }

    fn asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.mock.asked)
    }
}

fn word(event: &Event) -> String {
    match event {
        Event::Planned { trials, done, .. } => format!("planned {} done {}", trials.len(), done.len()),
        Event::Preparing { .. } => "preparing".into(),
        Event::Prepared { .. } => "prepared".into(),
        Event::NotPrepared { .. } => "not prepared".into(),
        Event::Started { .. } => "started".into(),
        Event::Loaded { .. } => "loaded".into(),
        Event::Item { done, of, .. } => format!("item {done}/{of}"),
        Event::Sample { done, .. } => format!("sample {done}"),
        Event::Pulse { .. } => "pulse".into(),
        Event::Waits { does, holder } => bantam_core::event::waits(does, *holder),
        Event::Warned { .. } => "warned".into(),
        Event::Finished { outcome, .. } => format!("finished {} {}", outcome.items.len(), outcome.samples.len()),
        Event::Ended { cancelled, .. } => format!("ended {cancelled}"),
    }
}

fn nobody() -> impl Observer {
    |_: &Event| {}
}

#[test]
fn every_variant_is_made_and_then_measured_and_everybody_hears_of_it() {
    let mut scene = Scene::new();
    let (results, said) = scene.run(&mut nobody());
    assert_eq!(results, vec![Ok(()); 4]);
    let one = [
        "preparing",
        "preparing",
        "prepared",
        "started",
        "loaded",
        "item 1/5",
        "item 2/5",
        "item 3/5",
        "item 4/5",
        "item 5/5",
        "finished 5 0",
    ];
    let mut expected = vec!["planned 4 done 0"];
    expected.extend(one);
    expected.extend(one);
    // then both take their turns at the speed shape, until one gives nothing more
    for turn in ["sample 1", "sample 2", "sample 3", "finished 0 3"] {
        expected.extend(["started", "loaded", turn, "started", "loaded", turn]);
    }
    expected.push("ended false");
    assert_eq!(said, expected);
    let run = scene.store.latest("quick").expect("reads").expect("there is one");
    assert!(run.finished.is_some());
}

#[test]
fn what_is_left_out_waits_for_the_next_run_and_what_is_wished_first_comes_first() {
    let mut scene = Scene::new();
    let plan = scene.plan();
    let (base, q8) = (scene.variants[0].id.clone(), scene.variants[1].id.clone());
    plan.steer.skip(&base, true);
    let do_it = |scene: &mut Scene, plan: &Plan, observer: &mut dyn Observer| {
        let (mut all, mock, store) = (Exhaustive::of(plan), &mut scene.mock, &mut scene.store);
        session::run(plan, &mut all, mock, store, &mut [observer], &scene.cancel).expect("stores")
    };
    let rows = do_it(&mut scene, &plan, &mut nobody());
    assert!(rows.len() == 2 && rows.iter().all(|row| row.trial.variant.id == q8), "{rows:?}");
    assert!(rows.iter().all(|row| row.outcome.result.is_ok()), "nothing of it is a failure");
    let mut finished = Vec::new();
    let mut note = |event: &Event| {
        if let Event::Finished { trial, .. } = event {
            finished.push(trial.clone());
        }
    };
    let again = scene.plan();
    let rows = do_it(&mut scene, &again, &mut note);
    assert_eq!((rows.len(), finished.len()), (4, 2), "the next run does what was left out");
    // the second variant's task before the first's
    let mut scene = Scene::new();
    let plan = scene.plan();
    plan.steer.first(Some(q8.clone()));
    let mut order = Vec::new();
    let mut note = |event: &Event| {
        if let Event::Finished { trial, .. } = event {
            order.push(trial.clone());
        }
    };
    do_it(&mut scene, &plan, &mut note);
    let of = |id: &Id| plan.run.trials.iter().find(|trial| trial.id == *id).map(|trial| trial.variant.id.clone());
    assert_eq!(of(&order[0]), Some(q8));
    assert_eq!(order.len(), 4);
}

#[test]
fn doing_it_again_asks_nothing() {
    let mut scene = Scene::new();
    scene.run(&mut nobody());
    scene.asked();
    let (results, said) = scene.run(&mut nobody());
    assert_eq!(results, vec![Ok(()); 4]);
    assert_eq!(said, ["planned 4 done 4", "ended false"]);
    assert_eq!(scene.asked(), []);
    assert_eq!(scene.store.runs().expect("reads").len(), 1, "the same run goes on");
}

#[test]
fn after_a_cancel_only_what_is_missing_is_asked() {
    let mut scene = Scene::new();
    let cancel = scene.cancel.clone();
    let mut stop = |event: &Event| {
        if matches!(event, Event::Item { done: 3, .. }) {
            cancel.cancel();
        }
    };
    let (results, said) = scene.run(&mut stop);
    assert_eq!(results, [], "a cancelled trial is not finished");
    assert_eq!(said.last().map(String::as_str), Some("ended true"));
    scene.asked();

    scene.cancel = Cancel::new();
    let (results, said) = scene.run(&mut nobody());
    assert_eq!(results, vec![Ok(()); 4]);
    assert!(said.contains(&"item 4/5".into()) && said.contains(&"finished 5 0".into()), "{said:?}");
    let runs: Vec<_> = scene.asked().into_iter().filter(|a| matches!(a, Asked::Run(..))).collect();
    assert_eq!(runs[0], Asked::Run(scene.trials()[0].id.clone(), vec![3, 4]));
}

#[test]
fn a_fresh_run_that_is_stopped_has_only_what_it_measured_itself() {
    let mut scene = Scene::new();
    assert_eq!(scene.run(&mut nobody()).0.len(), 4);
    let mut plan = scene.plan();
    plan.again = std::mem::take(&mut plan.done).into_iter().collect();
    assert_eq!(plan.again.len(), 4);
    let cancel = scene.cancel.clone();
    let mut stop = |event: &Event| {
        if matches!(event, Event::Finished { .. }) {
            cancel.cancel();
        }
    };
    let (mut all, mock, store) = (Exhaustive::of(&plan), &mut scene.mock, &mut scene.store);
    let rows = session::run(&plan, &mut all, mock, store, &mut [&mut stop], &scene.cancel).expect("stores");
    assert_eq!(rows.len(), 1, "what stands in the store of before is no result of this run");
    let unfinished = bantam_verdict::recommend::advice::unfinished(&plan.run, &rows);
    assert_eq!(unfinished, Some((1, 4)), "so that it is stopped, and not done");
}

#[test]
fn repeats_of_an_interrupted_speed_trial_count() {
    let mut scene = Scene::new();
    let cancel = scene.cancel.clone();
    let mut stop = |event: &Event| {
        if matches!(event, Event::Sample { done: 2, .. }) {
            cancel.cancel();
        }
    };
    let (one, other) = (scene.trials()[1].id.clone(), scene.trials()[3].id.clone());
    scene.run(&mut stop);
    let kept = |scene: &Scene, id: &Id| scene.store.samples_of(id).expect("reads");
    assert_eq!([kept(&scene, &one).len(), kept(&scene, &other).len()], [1, 2], "there, and back up to the second");

    scene.cancel = Cancel::new();
    let (results, said) = scene.run(&mut nobody());
    assert_eq!(results, vec![Ok(()); 4]);
    let samples: Vec<&String> = said.iter().filter(|word| word.starts_with("sample")).collect();
    assert_eq!(samples, ["sample 2", "sample 3", "sample 3"]);
    let rounds = |id| -> Vec<u64> { kept(&scene, id).iter().filter_map(|s| Some(s.turn.as_ref()?.round)).collect() };
    let (one, other) = (rounds(&one), rounds(&other));
    assert_eq!((one.len(), one[0]), (3, other[0]), "side by side in the first round");
    assert_eq!(one[1], other[2], "and again after the interruption");
}

#[test]
fn speeds_go_round_all_variants_in_turning_order() {
    let mut scene = Scene::new();
    scene.tasks = Vec::new();
    scene.profile.measure.speed.push(Shape { prompt: 9, output: 3 });
    for trial in scene.trials() {
        scene.mock.answers.insert(trial.id, Answer { samples: vec![sample(); 3], ..Answer::default() });
    }
    let trials = scene.trials();
    scene.run(&mut nobody());
    let asked = scene.asked();
    let ran = |asked: &Asked| match asked {
        Asked::Run(id, _) => trials.iter().position(|trial| trial.id == *id),
        Asked::Prepare(_) => None,
    };
    let order: Vec<usize> = asked.iter().filter_map(ran).collect();
    assert_eq!(order, [0, 2, 2, 0, 2, 0, 0, 2, 1, 3, 3, 1, 3, 1, 1, 3], "one shape after the other");
    assert!(asked[..2].iter().all(|asked| matches!(asked, Asked::Prepare(_))), "no variant is made between turns");
}

#[test]
fn a_session_waits_for_another_that_measures_speeds_and_takes_over_what_it_found() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let mut scene = Scene::new();
    scene.store = Store::open(&file).expect("opens");
    let lock = std::fs::File::create(dir.path().join("store.speed.lock")).expect("creates");
    lock.lock().expect("locks");
    let (speeds, mut other) =
        ([scene.trials()[1].clone(), scene.trials()[3].clone()], Store::open(&file).expect("opens"));
    let mut lock = Some(lock);
    let mut finish = |event: &Event| {
        // what the other session does while this one waits
        if !matches!(event, Event::Waits { .. }) {
            return;
        }
        if let Some(lock) = lock.take() {
            for trial in &speeds {
                other.put_sample(&trial.id, &sample()).expect("puts");
                let mut outcome =
                    bantam_core::record::Outcome::failed(trial.id.clone(), Failure::Cancelled, 1.0, Seconds(1.0));
                outcome.result = Ok(());
                other.finish(&outcome).expect("finishes");
            }
            drop(lock);
        }
    };
    let (results, said) = scene.run(&mut finish);
    assert_eq!(results, vec![Ok(()); 4]);
    assert!(said.iter().any(|word| word.starts_with("waiting until another bantam")), "{said:?}");
    assert!(!said.iter().any(|word| word.starts_with("sample")), "nothing was measured twice: {said:?}");
}

#[test]
fn a_full_disk_ends_the_session_and_keeps_what_was_finished() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let mut scene = Scene::new();
    scene.store = Store::open(&file).expect("opens");
    let first = scene.trials()[0].id.clone();
    let long = |index| ItemResult { answer: Some("long ".repeat(1000)), ..item(index) };
    scene.mock.answers.get_mut(&first).expect("in the table").items = (0..40).map(long).collect();
    let plan = scene.plan();
    scene.store.begin_run(&plan.run).expect("begins");
    scene.store.fill_up_after(20);
    let mut heard = 0;
    let mut count = |event: &Event| heard += usize::from(matches!(event, Event::Item { .. }));
    let error = session::run(
        &plan,
        &mut Exhaustive::of(&plan),
        &mut scene.mock,
        &mut scene.store,
        &mut [&mut count],
        &scene.cancel,
    );
    let error = error.expect_err("no room").to_string();
    assert!(error.contains("no room left") && error.contains("free some space"), "{error}");
    assert!(scene.cancel.is_cancelled(), "nothing may go on");
    let kept = Store::open(&file).expect("opens").answered(&first).expect("reads").len();
    assert!(kept == heard && kept > 0 && kept < 40, "{kept} kept, {heard} heard");
}

#[test]
fn a_failed_trial_is_an_outcome_and_the_rest_goes_on() {
    let mut scene = Scene::new();
    let first = scene.trials()[0].id.clone();
    let crash = Failure::Crash { message: "signal 11".into(), log: "the end".into() };
    let answer = scene.mock.answers.get_mut(&first).expect("in the table");
    let whole = answer.clone();
    answer.items.truncate(2);
    answer.failure = Some(crash.clone());
    let (results, _) = scene.run(&mut nobody());
    assert_eq!(results, [Err(crash), Ok(()), Ok(()), Ok(())]);
    assert_eq!(scene.store.outcome_of(&first).expect("reads").map(|o| o.items.len()), Some(2));

    scene.asked();
    scene.mock.answers.insert(first.clone(), whole);
    let (results, _) = scene.run(&mut nobody());
    assert_eq!(results, vec![Ok(()); 4]);
    assert_eq!(scene.asked()[1..], [Asked::Run(first, vec![2, 3, 4])], "a failed trial is tried again");
}

#[test]
fn a_variant_that_cannot_be_made_fails_its_trials_and_no_others() {
    let mut scene = Scene::new();
    let failure = Failure::Compress { message: "row of 7".into() };
    scene.mock.unmakable.insert(scene.variants[0].id.clone(), failure.clone());
    let (results, said) = scene.run(&mut nobody());
    assert_eq!(results, [Err(failure.clone()), Err(failure), Ok(()), Ok(())]);
    assert_eq!(said[..5], ["planned 4 done 0", "preparing", "preparing", "not prepared", "finished 0 0"]);
}

#[test]
fn what_is_heard_is_stored_already() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("store.sqlite");
    let mut scene = Scene::new();
    scene.store = Store::open(&file).expect("opens");
    let other = Store::open(&file).expect("opens");
    let mut look = |event: &Event| match event {
        Event::Item { trial, item, .. } => {
            assert!(other.answered(trial).expect("reads").contains(&item.index));
        }
        Event::Sample { trial, done, .. } => assert_eq!(other.samples_of(trial).expect("reads").len(), *done),
        Event::Finished { trial, outcome } => {
            assert_eq!(other.outcome_of(trial).expect("reads").as_ref(), Some(&**outcome));
        }
        _ => {}
    };
    let (results, _) = scene.run(&mut look);
    assert_eq!(results, vec![Ok(()); 4]);
}

/// A scheduler of the test's own, which does the trials whose numbers it is given, in blocks of items.
struct Listed(Vec<(Trial, Option<std::ops::Range<usize>>)>);

impl Scheduler for Listed {
    fn next(&mut self, known: &Outcomes) -> Option<Work> {
        let (trial, items) = (!self.0.is_empty()).then(|| self.0.remove(0))?;
        assert!(!known.is_over(&trial.id), "it was asked for too often");
        Some(Work { trial, items: items.map(|items| items.collect()), round: None, ends: None })
    }
}

#[test]
fn a_trial_waits_for_those_that_it_needs() {
    let mut scene = Scene::new();
    let mut plan = scene.plan();
    // the base's task waits for the quantized one's, which comes later in the plan
    let needed = plan.run.trials[2].id.clone();
    plan.run.trials[0].needs = vec![needed.clone()];
    let rows =
        session::run(&plan, &mut Exhaustive::of(&plan), &mut scene.mock, &mut scene.store, &mut [], &scene.cancel);
    assert!(rows.expect("stores").iter().all(|row| row.outcome.result.is_ok()));
    let ran = |asked: Asked| match asked {
        Asked::Run(id, _) => plan.run.trials.iter().position(|trial| trial.id == id),
        Asked::Prepare(_) => None,
    };
    let order: Vec<usize> = scene.asked().into_iter().filter_map(ran).collect();
    assert_eq!(order[..4], [2, 0, 1, 3], "tasks first, and those that are ready; then the speeds");
    assert_eq!(scene.trials()[0].id, plan.run.trials[0].id, "what a trial needs is no part of its identity");
}

#[test]
fn a_trial_whose_needs_failed_or_are_not_measured_fails_with_that_reason() {
    let mut scene = Scene::new();
    let mut plan = scene.plan();
    let (first, third) = (plan.run.trials[0].id.clone(), plan.run.trials[2].id.clone());
    scene.mock.answers.remove(&first);
    plan.run.trials[1].needs = vec![first];
    plan.run.trials[2].needs = vec![Id("elsewhere".into())];
    plan.run.trials[3].needs = vec![third];
    let rows =
        session::run(&plan, &mut Exhaustive::of(&plan), &mut scene.mock, &mut scene.store, &mut [], &scene.cancel);
    let reasons: Vec<String> = rows
        .expect("stores")
        .iter()
        .map(|row| row.outcome.result.as_ref().expect_err("none can be done").sentence())
        .collect();
    assert!(reasons[1].starts_with("needs routing of s, which has no result: the table has no answer"), "{reasons:?}");
    assert!(reasons[2].starts_with("needs trial elsewhere, which is not in this run"), "{reasons:?}");
    assert!(reasons[3].starts_with("needs routing of s · Q8_0, which has no result: needs trial"), "{reasons:?}");
    assert_eq!(scene.asked().iter().filter(|asked| matches!(asked, Asked::Run(..))).count(), 0);
}

#[test]
fn a_trial_done_in_blocks_is_over_with_its_last_item() {
    let mut scene = Scene::new();
    let plan = scene.plan();
    let (first, third) = (plan.run.trials[0].clone(), plan.run.trials[2].clone());
    let mut blocks =
        Listed(vec![(first.clone(), Some(0..2)), (third.clone(), Some(0..5)), (first.clone(), Some(2..5))]);
    let rows = session::run(&plan, &mut blocks, &mut scene.mock, &mut scene.store, &mut [], &scene.cancel);
    let rows = rows.expect("stores");
    assert_eq!(rows.iter().map(|row| &row.trial.id).collect::<Vec<_>>(), [&first.id, &third.id]);
    assert!(rows.iter().all(|row| row.outcome.result == Ok(()) && row.outcome.items.is_empty()), "rows are light");
    let kept = |trial: &Trial| scene.store.items_of(&trial.id).expect("reads").len();
    assert_eq!((kept(&first), kept(&third)), (ITEMS, ITEMS));
    assert_eq!(rows[0].outcome.wall, Seconds(2.0), "both blocks' time");
    let asked: Vec<Asked> = scene.asked().into_iter().filter(|asked| matches!(asked, Asked::Run(..))).collect();
    let expected = [(&first.id, vec![0, 1]), (&third.id, (0..5).collect()), (&first.id, vec![2, 3, 4])];
    assert_eq!(asked, expected.map(|(id, items)| Asked::Run(id.clone(), items)));
}

/// A scheduler that wants these works, one after the other.
struct InTurn(Vec<Work>);

impl Scheduler for InTurn {
    fn next(&mut self, _: &Outcomes) -> Option<Work> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

/// Does some of a trial's items, or ends it, and gives what is known of it then.
fn raced(scene: &mut Scene, trial: &Trial, works: &[(Option<BTreeSet<usize>>, Option<Ends>)]) -> Outcome {
    let work = |(items, ends): &(Option<BTreeSet<usize>>, Option<Ends>)| Work {
        trial: trial.clone(),
        items: items.clone(),
        round: None,
        ends: ends.clone(),
    };
    let mut works = InTurn(works.iter().map(work).collect());
    let plan = scene.plan();
    let rows = session::run(&plan, &mut works, &mut scene.mock, &mut scene.store, &mut [], &scene.cancel);
    rows.expect("stores").remove(0).outcome
}

#[test]
fn what_leaves_a_race_keeps_its_items_and_its_reason_and_an_exhaustive_run_goes_on_from_there() {
    let mut scene = Scene::new();
    let trial = scene.trials().remove(0);
    let leaves = Ends::Leaves("it left the race".into());
    let outcome = raced(&mut scene, &trial, &[(Some((0..2).collect()), None), (None, Some(leaves))]);
    assert_eq!(outcome.raced(), Some("it left the race"));
    assert_eq!(scene.store.items_of(&trial.id).expect("reads").len(), 2);
    let (results, _) = scene.run(&mut nobody());
    assert_eq!(results[0], Ok(()), "it is done where everything is asked");
    let mut asked = scene.asked().into_iter().filter(|asked| matches!(asked, Asked::Run(id, _) if *id == trial.id));
    assert_eq!(asked.next_back(), Some(Asked::Run(trial.id.clone(), vec![2, 3, 4])));
}

#[test]
fn what_a_race_settles_early_has_its_result_and_an_exhaustive_run_asks_the_rest() {
    let mut scene = Scene::new();
    let trial = scene.trials().remove(0);
    let settled = || (None, Some(Ends::Settled("2 of 5 items show it".into())));
    let outcome = raced(&mut scene, &trial, &[(Some((0..2).collect()), None), settled()]);
    assert_eq!((outcome.result.clone(), outcome.settled.as_deref()), (Ok(()), Some("2 of 5 items show it")));
    assert!(!scene.store.has_result(&trial.id).expect("reads"), "not all of it");
    let again = raced(&mut scene, &trial, &[settled()]);
    assert_eq!(again.disk, outcome.disk, "the same race asks nothing more, and keeps what it measured");
    let (results, _) = scene.run(&mut nobody());
    assert_eq!(results[0], Ok(()));
    let whole = scene.store.outcome_of(&trial.id).expect("reads").expect("finished");
    assert_eq!((whole.settled, whole.items.len()), (None, ITEMS));
}

#[test]
fn a_speed_that_bench_measured_is_not_measured_again_by_run() {
    let mut scene = Scene::new();
    scene.profile.measure = Measure { speed: vec![Shape { prompt: 8, output: 3 }], ..Measure::default() };
    scene.tasks = Vec::new();
    for trial in scene.trials() {
        scene.mock.answers.insert(trial.id, Answer { samples: vec![sample(); 3], ..Answer::default() });
    }
    scene.run(&mut nobody());
    // the same shape and nothing else said of how to measure, in a profile file with a task beside it
    let text = "models = ['s']\nsuites = ['work']\n[measure]\nspeed = [{ prompt = 8, output = 3 }]\n";
    scene.profile = Profile::parse(text, Path::new("later.toml")).expect("valid");
    let done = scene.plan().done;
    assert_eq!(done.len(), 2, "one for each variant");
}

#[test]
fn results_of_another_engine_are_not_taken_for_this_ones() {
    let scene = Scene::new();
    let ids = |engine: &Engine| -> Vec<Id> {
        let mut trials = scene.trials();
        trials.iter_mut().for_each(|trial| trial.conditions.engine = engine.clone());
        let host = Id::of(&"host");
        trials.into_iter().map(|t| Trial::new(t.variant, t.ask, t.conditions, &host).id).collect()
    };
    let engine = crate::run::engine::here();
    let others = [
        Engine { revision: "another 2".into(), ..engine.clone() },
        Engine { isa: "abacus".into(), ..engine.clone() },
        Engine { device: "cuda".into(), ..engine.clone() },
    ];
    for other in others {
        assert!(ids(&other).iter().zip(ids(&engine)).all(|(theirs, ours)| *theirs != ours), "{other}");
    }
}

#[test]
fn several_batches_at_a_time_are_for_small_models_whose_memory_a_speed_shape_tells() {
    let mut scene = Scene::new();
    let plan = scene.plan();
    assert_eq!(
        [plan.parallel_batches(&plan.run.trials[0]), plan.parallel_batches(&plan.run.trials[1])],
        [2, 1],
        "a task, and a speed shape"
    );
    let mut large = plan.run.trials[0].clone();
    large.variant.model.parameters = 1_000_000_000;
    assert_eq!(plan.parallel_batches(&large), 1);
    scene.profile.measure.speed = Vec::new();
    let plan = scene.plan();
    assert_eq!(plan.parallel_batches(&plan.run.trials[0]), 1);
}

/// A profile of models, as typed, and recipes.
fn planned(folder: &Path, models: &[&str], recipes: &str) -> anyhow::Result<Plan> {
    let suite = folder.join("s.toml");
    std::fs::write(folder.join("d.jsonl"), "{\"q\": \"one\", \"a\": \"two\"}\n").expect("writes");
    let task = "[[task]]\ntask = 't'\ndata = 'd.jsonl'\noutput_type = 'generate_until'\ndoc_to_text = 'q'\n\
                doc_to_target = 'a'\n";
    std::fs::write(&suite, task).expect("writes");
    let text = format!("models = {models:?}\nrecipes = {recipes}\nsuites = [{suite:?}]\n[measure]\nspeed = []\n");
    let profile = Profile::parse(&text, &folder.join("p.toml")).expect("valid");
    Plan::make(&profile, &Store::in_memory().expect("opens"))
}

fn labels(plan: &Plan) -> Vec<String> {
    plan.variants.iter().map(|planned| planned.variant.label()).collect()
}

#[test]
fn a_pair_that_cannot_be_made_is_left_out_with_its_reason_and_the_rest_is_planned() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::Bundled("bantam-s".into());
    let source = crate::library::models::source("bantam-s", &place).expect("bundled");
    let recipe = bantam_lab::Recipe::named("Q8_0").expect("a recipe");
    let made = bantam_lab::apply(&source, &recipe, folder.path(), &Cancel::new(), &mut |_| {}).expect("made");
    let quantized = folder.path().join("small.gguf");
    std::fs::rename(&made.path, &quantized).expect("renames");
    let (quantized, bundled) = (quantized.to_str().expect("UTF-8"), "bundled:bantam-s");

    let plan = planned(folder.path(), &[bundled, quantized], "['base', 'Q4_K_M']").expect("a plan");
    assert_eq!(labels(&plan), ["bantam-s", "bantam-s · Q4_K_M", "small"]);
    let [left_out] = &plan.run.left_out[..] else { panic!("{:?}", plan.run.left_out) };
    assert_eq!((left_out.model.as_str(), left_out.recipe.as_str()), ("small", "Q4_K_M"));
    assert!(left_out.reason.contains("Q8_0 already"), "{}", left_out.reason);

    // of a model that no recipe fits, there is the model itself to be measured
    let plan = planned(folder.path(), &[quantized], "['Q4_K_M', 'Q6_K']").expect("a plan");
    assert_eq!((labels(&plan), plan.run.left_out.len()), (vec!["small".to_owned()], 2));

    // a file that is no model ends nothing but its own part
    let broken = folder.path().join("broken.gguf");
    std::fs::write(&broken, "GGUF and no more").expect("writes");
    let broken = broken.to_str().expect("UTF-8");
    let plan = planned(folder.path(), &[broken, bundled], "['base']").expect("a plan");
    assert_eq!((labels(&plan), plan.run.left_out.len()), (vec!["bantam-s".to_owned()], 1));
    let refusal = planned(folder.path(), &[broken], "['base', 'Q8_0']").expect_err("nothing is left").to_string();
    assert!(refusal.starts_with("nothing is left to be measured: skipped: broken, because "), "{refusal}");
    let typo = planned(folder.path(), &[bundled, "bantam-typo"], "['base']").expect_err("no such model").to_string();
    assert!(typo.contains("bantam-typo"), "{typo}");
}

#[test]
fn what_is_named_twice_or_has_two_names_is_measured_once_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::Bundled("bantam-s".into());
    let source = crate::library::models::source("bantam-s", &place).expect("bundled");
    let recipe = bantam_lab::Recipe::named("Q8_0").expect("a recipe");
    let [one, two] = ["one.gguf", "two.gguf"].map(|name| folder.path().join(name));
    bantam_lab::write_to(&source, &recipe, &one, &Cancel::new(), &mut |_| {}).expect("made");
    std::fs::copy(&one, &two).expect("copies");
    let (one, two) = (one.to_str().expect("UTF-8"), two.to_str().expect("UTF-8"));
    let plan = planned(folder.path(), &[one, "bundled:bantam-s", two, "bantam-s"], "['base']").expect("a plan");
    assert_eq!(labels(&plan), ["one", "bantam-s"]);
    let trials: BTreeSet<&Id> = plan.run.trials.iter().map(|trial| &trial.id).collect();
    assert_eq!(trials.len(), plan.run.trials.len());
    assert_eq!(
        plan.notes,
        ["two is one, byte for byte, and is measured once, as one", "bantam-s is named twice, and is measured once"]
    );
    assert!(plan.run.left_out.is_empty(), "nothing is missing");
    let recipes = planned(folder.path(), &["bundled:bantam-s"], "['Q8_0', 'q8_0']").expect("a plan");
    assert_eq!((recipes.variants.len(), recipes.notes.len()), (1, 1));
}

/// A scene whose model is a file.
fn scene_of_a_file(file: &Path) -> Scene {
    let mut scene = Scene::new();
    std::fs::write(file, "the first model").expect("writes");
    let place = Place::Gguf(file.into());
    let digest = crate::library::models::digest(&place).expect("reads");
    let model = ModelRef { place, digest, ..scene.variants[0].model.clone() };
    scene.variants = vec![Variant::new(model, None)];
    for trial in scene.plan().run.trials {
        let answer = match trial.ask {
            Ask::Task(_) => Answer { items: (0..ITEMS).map(item).collect(), ..Answer::default() },
            Ask::Speed(_) => Answer { samples: vec![sample(); 3], ..Answer::default() },
        };
        scene.mock.answers.insert(trial.id, answer);
    }
    scene
}

#[test]
fn a_model_that_is_replaced_in_mid_run_is_not_kept_under_the_old_ones_name() {
    let folder = tempfile::tempdir().expect("temp dir");
    let file = folder.path().join("m.gguf");
    let mut scene = scene_of_a_file(&file);
    let mut replace = |event: &Event| {
        if matches!(event, Event::Item { done: 3, .. }) {
            std::fs::write(&file, "another model").expect("writes");
        }
    };
    let (results, _) = scene.run(&mut replace);
    let [Err(task), Err(_)] = &results[..] else { panic!("both trials fail: {results:?}") };
    let told = task.sentence();
    assert!(told.contains("m.gguf: is not the model any more that this run began with"), "{told}");
    let trial = &scene.trials()[0];
    assert!(scene.store.answered(&trial.id).expect("reads").is_empty(), "nothing of it is kept");
}

#[test]
fn a_model_that_was_only_touched_is_still_the_same() {
    let folder = tempfile::tempdir().expect("temp dir");
    let file = folder.path().join("m.gguf");
    let mut scene = scene_of_a_file(&file);
    let mut touch = |event: &Event| {
        if matches!(event, Event::Item { done: 3, .. }) {
            std::fs::write(&file, "the first model").expect("writes");
        }
    };
    let (results, _) = scene.run(&mut touch);
    assert_eq!(results, [Ok(()), Ok(())]);
    let variant = &scene.variants[0].id;
    assert_eq!(scene.store.place_of(variant).expect("reads"), Some(file.clone()), "where it is, is kept");
}

#[test]
fn a_store_that_is_removed_in_mid_run_ends_it_with_a_sentence() {
    let folder = tempfile::tempdir().expect("temp dir");
    let file = folder.path().join("home/store.sqlite");
    let mut scene = Scene::new();
    scene.store = Store::open(&file).expect("opens");
    let plan = scene.plan();
    let mut remove = |event: &Event| {
        if matches!(event, Event::Item { done: 3, .. }) {
            std::fs::remove_file(&file).expect("it is there");
        }
    };
    let ended = session::run(
        &plan,
        &mut Exhaustive::of(&plan),
        &mut scene.mock,
        &mut scene.store,
        &mut [&mut remove],
        &scene.cancel,
    );
    let told = ended.expect_err("what was measured is lost").to_string();
    assert!(told.contains("store.sqlite: was removed or replaced while bantam wrote to it"), "{told}");
}

#[test]
fn a_task_that_cannot_be_compared_is_told_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let warned = |metric: &str, items: usize| {
        let data: String = (0..items).map(|i| format!("{{\"text\": \"word {i}\"}}\n")).collect();
        std::fs::write(folder.path().join("d.jsonl"), data).expect("writes");
        let task = format!(
            "[[task]]\ntask = 't'\ndata = 'd.jsonl'\noutput_type = 'loglikelihood_rolling'\ndoc_to_text = ''\ndoc_to_target = '{{{{text}}}}'\n\
             metric_list = [{{ metric = '{metric}' }}]\n"
        );
        let suite = folder.path().join("s.toml");
        std::fs::write(&suite, task).expect("writes");
        let text = format!(
            "models = ['bundled:bantam-s']\nrecipes = ['base', 'Q8_0']\nsuites = [{suite:?}]\n[measure]\nspeed = []\n"
        );
        let profile = Profile::parse(&text, &folder.path().join("p.toml")).expect("valid");
        let plan = Plan::make(&profile, &Store::in_memory().expect("opens")).expect("a plan");
        let few = plan.host.warnings.iter().find(|w| w.kind == WarningKind::TooFewItems);
        few.map(|warning| warning.text.clone())
    };
    let told = warned("word_perplexity", 8).expect("8 are too few");
    assert!(told.starts_with("too few items to compare variants on t (8): 10 are needed"), "{told}");
    assert_eq!(warned("word_perplexity", 10), None);
}

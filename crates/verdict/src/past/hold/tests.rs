use super::*;
use crate::recommend::advise;
use crate::recommend::fixture::{Made, answers};
use crate::report::page;
use bantam_core::record::{Ask, Engine, Id, Row, Run, Trial};
use std::path::Path;

fn profile(more: &str) -> Profile {
    let text = format!("name = 'p'\nmodels = ['big']\nsuites = ['s']\n[objective]\nmargin = 0.03\n{more}");
    Profile::parse(&text, Path::new("p.toml")).expect("valid")
}

fn past(rows: &[Row], cpu: &str) -> Past {
    let run = Run {
        id: Id("0123".into()),
        profile_name: "p".into(),
        profile: toml::to_string(&profile("")).expect("a profile is TOML"),
        host: serde_json::json!({
            "cpu": { "model": { "known": cpu }, "allowed": { "known": 2 } }, "system": { "arch": "x86_64" },
        }),
        version: "0.1.0".into(),
        started: 1.0e9,
        finished: Some(1.1e9),
        trials: rows.iter().map(|row| row.trial.clone()).collect(),
        left_out: vec![],
    };
    let mut page = page(&run, rows, &advise(rows, &profile("")), None);
    rows.iter().for_each(|row| page.add_scores(&row.trial, &row.outcome.items));
    Past::of(&page, "before.json").expect("reads back")
}

fn made(wrong: usize, speeds: &[f64]) -> Vec<Row> {
    Made::base("big", 100).task("t", &answers(400, wrong, 0)).speed(speeds).rows()
}

/// The same rows of other weights, or of an engine of another revision: trials of other names.
fn renamed(mut rows: Vec<Row>, revision: &str) -> Vec<Row> {
    for row in &mut rows {
        let Trial { variant, ask, mut conditions, .. } = row.trial.clone();
        conditions.engine = Engine { revision: revision.into(), ..Engine::default() };
        row.trial = Trial::new(variant, ask, conditions, &Id("host".into()));
        row.outcome.trial = row.trial.id.clone();
    }
    rows
}

fn of(found: &Findings, metric: Metric) -> &Finding {
    found.findings.iter().find(|finding| finding.metric == metric).expect("held")
}

#[test]
fn the_same_measurement_is_kept_and_another_engine_is_tested_on_the_same_items() {
    let before = past(&made(10, &[100.0, 101.0]), "x");
    let found = hold(&before, &before, &Rule::of(&profile(""), &[]));
    assert_eq!((found.held(), of(&found, Metric::Acc).by), (Held::Kept, By::Same), "{found:#?}");
    let engine = past(&renamed(made(10, &[100.0, 101.0]), "kernels 5"), "x");
    let found = hold(&before, &engine, &Rule::of(&profile(""), &[]));
    assert_eq!((found.held(), of(&found, Metric::Acc).by), (Held::Kept, By::Pairs), "{found:#?}");
    assert_ne!(before.engines(), engine.engines());
    // as few items as that show nothing, though none of them changed
    let few =
        |revision: &str| past(&renamed(Made::base("big", 100).task("t", &answers(5, 1, 0)).rows(), revision), "x");
    let found = hold(&few("kernels 4"), &few("kernels 5"), &Rule::of(&profile(""), &[]));
    assert_eq!(found.held(), Held::Inconclusive);
    assert!(of(&found, Metric::Acc).why.contains("too few to tell"), "{found:#?}");
}

#[test]
fn a_loss_beyond_the_tolerance_is_regressed_and_within_it_kept() {
    let (before, after) = (past(&made(10, &[100.0]), "x"), past(&renamed(made(60, &[100.0]), "2"), "x"));
    let found = hold(&before, &after, &Rule::of(&profile(""), &[]));
    assert_eq!(of(&found, Metric::Acc).held, Held::Regressed, "{found:#?}");
    assert!(of(&found, Metric::Acc).why.contains("worse by more than 3 points"), "{found:#?}");
    // said beside the profile, and in it
    let found = hold(&before, &after, &Rule::of(&profile(""), &[(Metric::Acc, 0.3)]));
    assert_eq!(of(&found, Metric::Acc).held, Held::Kept, "{found:#?}");
    let found = hold(&before, &after, &Rule::of(&profile("[tolerance]\nacc = 0.3"), &[]));
    assert_eq!(of(&found, Metric::Acc).held, Held::Kept, "{found:#?}");
    // better is kept
    assert_eq!(hold(&after, &before, &Rule::of(&profile(""), &[])).held(), Held::Kept);
}

#[test]
fn another_line_of_the_suite_is_no_pair() {
    let mut rows = made(10, &[100.0]);
    if let Ask::Task(task) = &mut rows[0].trial.ask {
        task.digest = Id("other".into());
    }
    let found = hold(&past(&made(10, &[100.0]), "x"), &past(&rows, "x"), &Rule::of(&profile(""), &[]));
    assert_eq!(found.held(), Held::Inconclusive);
    assert!(
        of(&found, Metric::Acc).why.starts_with("another version of the task was asked (other, before"),
        "{found:#?}"
    );
}

#[test]
fn what_has_no_result_any_more_is_regressed_and_what_holds_nothing_is_inconclusive() {
    let before = past(&made(10, &[100.0]), "x");
    let mut rows = made(10, &[100.0]);
    rows[0].outcome.result = Err(bantam_core::record::Failure::Error { message: "gone".into() });
    let found = hold(&before, &past(&rows, "x"), &Rule::of(&profile(""), &[]));
    assert_eq!(found.held(), Held::Regressed);
    assert_eq!(of(&found, Metric::Acc).why, "it has no result any more: gone");
    let other = past(&Made::base("small", 10).task("t", &answers(400, 10, 0)).rows(), "x");
    let found = hold(&before, &other, &Rule::of(&profile(""), &[]));
    assert_eq!((found.held(), found.gone, found.new), (Held::Inconclusive, vec!["big".into()], vec!["small".into()]));
}

#[test]
fn costs_are_held_by_their_intervals_and_speeds_only_on_one_machine() {
    let fast = [100.0, 101.0, 99.0, 100.0, 100.5, 99.5];
    let slow = [50.0, 50.5, 49.5, 50.0, 50.2, 49.8];
    let (before, after) = (past(&made(10, &fast), "x"), past(&made(10, &slow), "x"));
    let plain = Rule::of(&profile(""), &[]);
    assert!(
        hold(&before, &after, &plain).findings.iter().all(|f| f.metric != Metric::DecodeTps),
        "only where it is asked"
    );
    let asked = Rule::of(&profile("[tolerance]\ndecode_tps = 0.1"), &[]);
    let held = |before: &Past, after: &Past| of(&hold(before, after, &asked), Metric::DecodeTps).clone();
    assert_eq!(held(&before, &after).held, Held::Regressed);
    assert!(held(&before, &after).moved());
    assert_eq!(held(&after, &before).held, Held::Kept);
    let elsewhere = held(&before, &past(&made(10, &slow), "y"));
    assert_eq!(elsewhere.held, Held::Inconclusive);
    assert!(elsewhere.why.contains("another machine (x, 2 CPUs, x86_64 before, y, 2 CPUs"), "{elsewhere:?}");
    // memory is held by itself, and not across machines
    let larger = |cpu: &str| past(&Made::base("big", 150).task("t", &answers(400, 10, 0)).rows(), cpu);
    let found = hold(&before, &larger("x"), &plain);
    assert_eq!(
        (of(&found, Metric::PeakMemory).held, of(&found, Metric::Disk).held),
        (Held::Regressed, Held::Regressed)
    );
    let found = hold(&before, &larger("y"), &plain);
    assert!(
        found.findings.iter().all(|f| f.metric != Metric::PeakMemory) && found.notes[0].contains("is not held"),
        "{found:#?}"
    );
}

#[test]
fn a_file_without_single_scores_is_told_by_intervals() {
    let strip = |mut past: Past| {
        past.trials.iter_mut().for_each(|trial| trial.has_items = false);
        past
    };
    let plain = Rule::of(&profile(""), &[]);
    let before = strip(past(&made(10, &[100.0]), "x"));
    let found = hold(&before, &past(&renamed(made(200, &[100.0]), "2"), "x"), &plain);
    assert_eq!((of(&found, Metric::Acc).held, of(&found, Metric::Acc).by), (Held::Regressed, By::Intervals));
    let found = hold(&before, &past(&renamed(made(10, &[100.0]), "2"), "x"), &plain);
    assert_eq!(of(&found, Metric::Acc).held, Held::Inconclusive, "{found:#?}");
}

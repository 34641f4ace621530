//! Advice from made-up outcomes: every way a run may end.

use super::words::{Words, words};
use super::*;
use crate::recommend::fixture::{Made, answers};
use bantam_core::record::{Failure, Provenance, Warning};
use bantam_core::unit::Bytes;
use proptest::prelude::*;
use std::path::Path;

fn profile(more: &str) -> Profile {
    let text = format!("models = ['bundled:big']\nsuites = ['suite']\n{more}");
    Profile::parse(&text, Path::new("p.toml")).expect("a valid profile")
}

fn within(margin: f64) -> Profile {
    profile(&format!("[objective]\nmargin = {margin}\n"))
}

fn rows(made: &[Made]) -> Vec<Row> {
    made.iter().cloned().flat_map(Made::rows).collect()
}

/// A family: the base of 100 MiB, then variants that lose more the smaller they are.
fn family(items: usize) -> Vec<Made> {
    let tenth = items / 10;
    let quantized = |recipe: &str, mib| Made::quantized("big", 100, recipe, mib);
    vec![
        Made::base("big", 100).task("t", &answers(items, tenth, 0)).speed(&[50.0, 51.0, 52.0]),
        quantized("Q8_0", 60).task("t", &answers(items, tenth + 1, 0)).speed(&[70.0, 71.0, 72.0]),
        quantized("Q4_K_M", 40).task("t", &answers(items, tenth + 4, 0)).speed(&[90.0, 91.0, 92.0]),
        quantized("Q2_K", 30).task("t", &answers(items, 5 * tenth, 0)).speed(&[120.0, 121.0, 122.0]),
    ]
}

fn chosen(advice: &Advice) -> String {
    advice.advised().map_or_else(|| format!("{:?}", advice.conclusion), |summary| summary.variant.label())
}

/// Everything that is said, as one text; and that all of it is whole sentences of one line.
fn said(advice: &Advice) -> String {
    let Words { title, lines, evidence, .. } = words(advice);
    let all = [title].into_iter().chain(lines).chain(evidence.into_iter().flat_map(|e| e.lines)).collect::<Vec<_>>();
    for line in &all {
        assert!(!line.contains('\n') && !line.contains("NaN") && !line.contains("  ") && !line.is_empty(), "{line:?}");
    }
    all.join("\n")
}

#[test]
fn the_smallest_that_is_shown_good_enough_is_advised() {
    let advice = advise(&rows(&family(1000)), &within(0.03));
    assert_eq!(chosen(&advice), "big · Q4_K_M");
    let text = said(&advice);
    assert!(text.contains("Use big · Q4_K_M"), "{text}");
    assert!(text.contains("smallest (peak memory 40.0 MiB) of the 2 variants, out of 3 tried"), "{text}");
    assert!(
        text.contains("not worse than big by more than 3 points on 1 task (1000 items) at 95% confidence"),
        "{text}"
    );
    assert!(text.contains("Its largest loss is on t: −0.4 points"), "{text}");
    assert!(text.contains("peak memory 40.0 MiB against 100 MiB (−60%)"), "{text}");
}

#[test]
fn the_preference_picks_among_those_that_qualify() {
    let fastest = profile("[objective]\nmargin = 0.03\nprefer = 'fastest'\n");
    let advice = advise(&rows(&family(1000)), &fastest);
    assert_eq!(chosen(&advice), "big · Q4_K_M");
    assert!(said(&advice).contains("It is the fastest (decode 91.0 tok/s)"));
    let Conclusion::Advised { by, equals, .. } = &advice.conclusion else { panic!("{advice:?}") };
    assert_eq!((*by, equals.len()), (Some(Metric::DecodeTps), 0));
}

#[test]
fn equals_on_the_preferred_metric_are_named() {
    let mut made = family(1000);
    made.push(Made::quantized("big", 100, "Q4_0", 39).task("t", &answers(1000, 102, 0)).speed(&[89.5, 91.0, 93.0]));
    let advice = advise(&rows(&made), &profile("[objective]\nmargin = 0.03\nprefer = 'fastest'\n"));
    let Conclusion::Advised { equals, .. } = &advice.conclusion else { panic!("{advice:?}") };
    assert_eq!(equals.len(), 1);
    assert!(said(&advice).contains("on decode the repeats cannot tell it from it"), "{}", said(&advice));
}

#[test]
fn too_few_items_keep_the_reference_and_say_how_many_more() {
    let advice = advise(&rows(&family(100)), &within(0.03));
    assert_eq!(chosen(&advice), "big");
    assert_eq!(advice.open.len(), 2, "Q2_K is shown worse: {:?}", advice.open);
    let text = said(&advice);
    assert!(text.contains("Keep big"), "{text}");
    assert!(text.contains("None of the other 3"), "{text}");
    assert!(
        text.contains("would be smaller (40.0 MiB): it stands at −4.0 points (−9.9 to −0.2) on t, but 100 items of t"),
        "{text}"
    );
    assert!(text.contains("make it look worse without proving it (at least 400 more, perhaps 4000)"), "{text}");
}

#[test]
fn a_tie_is_told_with_the_items_that_would_break_it() {
    let advice = advise(&rows(&family(1000)), &within(0.03));
    assert_eq!(advice.ties.len(), 1);
    assert_eq!(advice.ties[0].others.len(), 2);
    let text = said(&advice);
    assert!(text.contains("interchangeable, each is shown not worse than the other"), "{text}");
    let text = said(&advise(&rows(&family(100)), &within(0.03)));
    assert!(text.contains("no difference found, which is no equality; about"), "{text}");
}

#[test]
fn limits_that_nobody_keeps_are_named_with_the_gap() {
    let tight = profile("[constraints]\nmax_memory = '32 MiB'\n[objective]\nmargin = 0.03\n");
    let advice = advise(&rows(&family(1000)), &tight);
    let Conclusion::NothingQualifies { nearest } = &advice.conclusion else { panic!("{advice:?}") };
    assert_eq!(advice.summary(nearest).unwrap().variant.label(), "big · Q4_K_M");
    let text = said(&advice);
    let expected = "max_memory binds: big · Q4_K_M would qualify but for it; peak memory is 40.0 MiB where at most 32.0 MiB \
                    is asked, 25.0% over.";
    assert!(text.contains(expected), "{text}");
    let margin = advice.binding.iter().find(|b| matches!(b.requirement, Requirement::NotWorse(_))).unwrap();
    assert_eq!((margin.unmet, margin.unknown), (1, 0), "the smallest keeps the limit, but is worse");
    assert!(text.contains("the margin on t binds: big · Q2_K would qualify but for it"), "{text}");
}

#[test]
fn two_limits_in_the_way_name_the_nearest() {
    let tight = profile("[constraints]\nmax_memory = '10 MiB'\nmin_decode_tps = 1000.0\n[objective]\nmargin = 0.03\n");
    let advice = advise(&rows(&family(1000)), &tight);
    let text = said(&advice);
    assert!(text.contains("comes nearest: peak memory is"), "{text}");
    assert!(text.contains("None of the 4 variants keeps max_memory."), "{text}");
    assert!(!words(&advice).found);
}

#[test]
fn a_missing_measurement_never_meets_a_limit() {
    let limit = profile("[constraints]\nmax_joules_per_token = 5.0\n[objective]\nmargin = 0.03\n");
    let advice = advise(&rows(&family(1000)), &limit);
    assert!(advice.advised().is_none());
    let text = said(&advice);
    assert!(text.contains("max_joules_per_token binds"), "{text}");
    assert!(text.contains("decode energy is not known (no meter here)"), "{text}");
}

#[test]
fn without_the_preferred_metric_the_next_decides_and_that_is_said() {
    let leanest = profile("[objective]\nmargin = 0.03\nprefer = 'leanest'\n");
    let advice = advise(&rows(&family(1000)), &leanest);
    assert_eq!(chosen(&advice), "big · Q4_K_M");
    assert!(said(&advice).contains("Decode energy is not known (no meter here), so peak memory decided instead."));
}

#[test]
fn an_estimate_decides_only_with_its_label_and_never_before_a_measurement() {
    let leanest = profile("[objective]\nmargin = 0.03\nprefer = 'leanest'\n");
    let made: Vec<Made> = family(1000).into_iter().map(|made| made.joules(2.0, Provenance::Estimated)).collect();
    let text = said(&advise(&rows(&made), &leanest));
    assert!(text.contains("Decode energy of the advised variant is an estimate"), "{text}");
    assert!(text.contains("(estimated)"), "{text}");

    let mut mixed = family(1000);
    mixed[1] = mixed[1].clone().joules(3.0, Provenance::Measured);
    mixed[2] = mixed[2].clone().joules(1.0, Provenance::Estimated);
    assert_eq!(chosen(&advise(&rows(&mixed), &leanest)), "big · Q8_0");
}

#[test]
fn one_variant_alone_is_kept_without_a_comparison() {
    let advice = advise(&rows(&family(300)[..1]), &within(0.02));
    assert_eq!(chosen(&advice), "big");
    assert!(advice.doubts.contains(&Doubt::OneVariant));
    assert!(said(&advice).contains("the only variant that was tried"));
}

#[test]
fn a_failed_trial_is_told_and_its_variant_not_advised() {
    let mut made = family(1000);
    made[2] = Made::quantized("big", 100, "Q4_K_M", 40)
        .failed_task("t", "the worker was killed by signal 9")
        .speed(&[9.0, 9.0]);
    let advice = advise(&rows(&made), &within(0.03));
    assert_eq!(chosen(&advice), "big · Q8_0");
    assert_eq!(advice.failed_trials(), 1);
    assert!(said(&advice).contains("big · Q4_K_M on t failed: the worker was killed by signal 9."));
    let failed = advice.summaries.iter().find(|s| s.variant.label() == "big · Q4_K_M").unwrap();
    assert!(failed.checks.iter().all(|check| matches!(check.status, Status::Unknown { .. })));
}

#[test]
fn a_trial_that_is_not_there_yet_leaves_its_variant_out() {
    let mut made = family(1000);
    made[2] = Made::quantized("big", 100, "Q4_K_M", 40).speed(&[9.0, 9.0]);
    let advice = advise(&rows(&made), &within(0.03));
    assert_eq!(chosen(&advice), "big · Q8_0");
    let waiting = advice.summaries.iter().find(|s| s.variant.label() == "big · Q4_K_M").unwrap();
    assert!(matches!(&waiting.overall.reading, Reading::Missing { reason } if reason.contains("was not asked of it")));
}

#[test]
fn a_reference_that_guesses_shows_nothing() {
    let guess = |name: &str, mib, from| Made::base(name, mib).task_with_chance("t", &answers(400, 300, from), 0.25);
    let advice = advise(&rows(&[guess("big", 100, 0), guess("small", 10, 3)]), &within(0.05));
    assert_eq!(advice.conclusion, Conclusion::NoEvidence(NoEvidence::NoTaskTells));
    assert!(said(&advice).contains("t does not decide: big scores 25.0% where guessing gives 25.0%"));

    let able = |made: Made| made.task("u", &answers(1000, 50, 0));
    let advice = advise(&rows(&[able(guess("big", 100, 0)), able(guess("small", 10, 3))]), &within(0.05));
    assert_eq!(chosen(&advice), "small", "the other task still decides");
    assert_eq!(advice.deciding().count(), 1);
}

#[test]
fn a_reference_that_too_few_items_show_to_be_able_frees_nobody() {
    let made = |name: &str, mib, right: usize| {
        let answers: Vec<u8> = (0..20).map(|i| u8::from(i < right)).collect();
        Made::base(name, mib).task_with_chance("t", &answers, 0.5).task("u", &answers_all(400))
    };
    fn answers_all(n: usize) -> Vec<u8> {
        vec![1; n]
    }
    let advice = advise(&rows(&[made("big", 100, 14), made("small", 10, 0)]), &within(0.05));
    assert_eq!(chosen(&advice), "big", "0 of 20 is no stand-in for 14 of 20");
    let text = said(&advice);
    assert!(text.contains("big scores 70.0% where guessing gives 50.0%, and 20 items are too few"), "{text}");
    let alike = advise(&rows(&[made("big", 100, 14), made("small", 10, 14)]), &within(0.05));
    assert_eq!(chosen(&alike), "big");
    assert!(
        said(&alike).contains("t does not decide: big scores 70.0% where guessing gives 50.0%"),
        "{}",
        said(&alike)
    );
}

#[test]
fn whoever_is_worse_than_a_guessing_reference_is_out() {
    let made = |name: &str, mib, right: usize| {
        let answers: Vec<u8> = (0..400).map(|i| u8::from(i < right)).collect();
        Made::base(name, mib).task_with_chance("t", &answers, 0.25).task("u", &vec![1; 400])
    };
    let advice = advise(&rows(&[made("big", 100, 100), made("odd", 10, 0), made("small", 20, 98)]), &within(0.05));
    assert_eq!(chosen(&advice), "small", "{}", said(&advice));
    let odd = advice.summaries.iter().find(|s| s.variant.label() == "odd").expect("it was tried");
    assert!(odd.standing.reason().is_some_and(|reason| reason.starts_with("Worse on t: −25")), "{:?}", odd.standing);
}

#[test]
fn a_cost_that_is_not_decided_decides_nothing() {
    let speed = |name: &str, mib, tps: &[f64]| Made::base(name, mib).task("t", &answers(1000, 20, 0)).speed(tps);
    let fastest = profile("[objective]\nmargin = 0.03\nprefer = 'fastest'\n");
    // one repeat, however fast, is not advised before what is known
    let advice = advise(&rows(&[speed("big", 100, &[50.0, 51.0, 49.0]), speed("odd", 99, &[9273.0])]), &fastest);
    assert_eq!(chosen(&advice), "big", "{}", said(&advice));
    // repeats that meet: the next cost decides, and where none does the reference stays
    let wide = [40.0, 60.0, 53.0];
    let advice = advise(&rows(&[speed("big", 100, &[50.0, 51.0, 49.0]), speed("small", 60, &wide)]), &fastest);
    assert_eq!(chosen(&advice), "small", "{}", said(&advice));
    let advice = advise(&rows(&[speed("big", 100, &[50.0, 51.0, 49.0]), speed("other", 99, &wide)]), &fastest);
    assert_eq!(chosen(&advice), "big", "a hundredth less memory is as much");
}

#[test]
fn absurd_and_disturbed_figures_are_marked_where_they_stand_and_a_price_is_named() {
    let made = |name: &str, mib, tps: &[f64]| Made::base(name, mib).task("t", &answers(1000, 20, 0)).speed(tps);
    let mut all = rows(&[made("big", 100, &[9273.0, 9270.0, 9279.0]), made("small", 10, &[1.49])]);
    let text = said(&advise(&all, &within(0.03)));
    assert!(text.contains("decode 1.49 tok/s (1 repeat) against 9274 tok/s (not told apart)"), "{text}");
    all = rows(&[made("big", 100, &[9273.0, 9270.0, 9279.0]), made("small", 10, &[1.49, 1.5, 1.48])]);
    all[3].outcome.warnings.push(Warning { kind: WarningKind::ForeignLoad, text: "95% of the CPU was busy.".into() });
    let text = said(&advise(&all, &within(0.03)));
    assert!(text.contains("decode 1.49 tok/s (disturbed) against 9274 tok/s (a 6224th)"), "{text}");
    assert!(text.contains("That has its price: decode a 6224th."), "{text}");
}

#[test]
fn advice_that_guesses_on_a_task_is_doubted() {
    let made = |name: &str, mib, wrong| Made::base(name, mib).task_with_chance("t", &answers(400, wrong, 0), 0.25);
    let advice = advise(&rows(&[made("big", 100, 270), made("small", 10, 300)]), &within(0.2));
    assert_eq!(chosen(&advice), "small");
    assert!(said(&advice).contains("On t the advised variant does no better than guessing"));
}

#[test]
fn items_that_are_not_paired_are_left_out_and_counted() {
    let mut all = rows(&family(1000));
    let row = all.iter_mut().find(|row| row.trial.variant.label() == "big · Q8_0").unwrap();
    row.outcome.items.truncate(900);
    let advice = advise(&all, &within(0.03));
    let text = said(&advice);
    assert!(
        text.contains("big · Q8_0 on t: 100 items scored for the reference only and 0 for it only were left out."),
        "{text}"
    );
}

#[test]
fn zero_rows_and_zero_items_give_no_advice_but_a_reason() {
    let nothing = advise(&[], &within(0.02));
    assert_eq!(nothing.conclusion, Conclusion::NoEvidence(NoEvidence::NoResults));
    assert!(said(&nothing).contains("run the profile first"));
    let empty = [Made::base("big", 9).task("t", &[]), Made::base("small", 3).task("t", &[])];
    let advice = advise(&rows(&empty), &within(0.02));
    assert_eq!(advice.conclusion, Conclusion::NoEvidence(NoEvidence::NoScores));
    assert!(!said(&advice).is_empty());
    let speed_only = advise(&rows(&[Made::base("big", 9).speed(&[1.0, 2.0])]), &within(0.02));
    assert_eq!(speed_only.conclusion, Conclusion::NoEvidence(NoEvidence::NoScores));
}

#[test]
fn the_reference_is_the_largest_model_that_has_all_scores() {
    let made = |name: &str, mib| Made::base(name, mib).task("t", &answers(200, 20, 0));
    let of = |made: &[Made], text: &str| {
        let advice = advise(&rows(made), &profile(text));
        advice.reference().map(|summary| summary.variant.label())
    };
    let broken = Made::base("huge", 900).failed_task("t", "out of memory");
    let quantized = Made::quantized("big", 500, "Q8_0", 300).task("t", &answers(200, 20, 0));
    let all = [made("small", 10), made("big", 100), broken, quantized.clone()];
    assert_eq!(of(&all, "").as_deref(), Some("big"));
    for named in ["small", "bundled:small"] {
        assert_eq!(of(&all, &format!("[objective]\nreference = '{named}'\n")).as_deref(), Some("small"));
    }
    assert_eq!(of(&all, "[objective]\nreference = 'huge'\n"), None);
    let advice = advise(&rows(&all), &profile("[objective]\nreference = 'huge'\n"));
    assert!(said(&advice).contains("The reference 'huge' has no score"));
    let advice = advise(&rows(&[quantized]), &within(0.02));
    assert!(advice.doubts.contains(&Doubt::ReferenceIsNoBase));
}

#[test]
fn only_the_tasks_named_decide() {
    let base = Made::base("big", 100).task("t", &answers(1000, 50, 0)).task("u", &answers(1000, 50, 0));
    let small = Made::base("small", 10).task("t", &answers(1000, 51, 0)).task("u", &answers(1000, 700, 0));
    let all = rows(&[base, small]);
    assert_eq!(chosen(&advise(&all, &within(0.03))), "big");
    let named = |tasks: &str| advise(&all, &profile(&format!("[objective]\nmargin = 0.03\ntasks = [{tasks}]\n")));
    assert_eq!(chosen(&named("'t'")), "small");
    assert_eq!(chosen(&named("'suite/t'")), "small");
    let odd = named("'t', 'nowhere'");
    assert_eq!(odd.doubts[0], Doubt::NotAsked { task: "nowhere".into() });
    assert!(said(&odd).contains("objective.tasks names 'nowhere'"));
}

#[test]
fn perplexity_decides_by_its_ratio() {
    let text = |by: f64| -> Vec<f64> {
        (0..150).map(|i| -3.0 - f64::from(i % 9) * 0.2 - by * (1.0 + f64::from(i % 4) * 0.1)).collect()
    };
    let all = rows(&[
        Made::base("big", 100).text("p", &text(0.0)),
        Made::quantized("big", 100, "Q4_K_M", 40).text("p", &text(0.02)),
    ]);
    let advice = advise(&all, &within(0.05));
    assert_eq!(chosen(&advice), "big · Q4_K_M");
    let words = said(&advice);
    assert!(words.contains("by more than 1.05 times the perplexity"), "{words}");
    assert!(words.contains("Its largest loss is on p: 1.0232 times (1.022"), "{words}");
    assert_eq!(chosen(&advise(&all, &within(0.01))), "big");
}

#[test]
fn fronts_hold_what_nothing_beats() {
    let mut made = family(1000);
    made.push(Made::base("waste", 200).task("t", &answers(1000, 600, 0)).speed(&[5.0, 5.1]));
    let advice = advise(&rows(&made), &within(0.03));
    let waste = advice.summaries.iter().find(|s| s.variant.label() == "waste").unwrap().id().clone();
    for metric in [Metric::PeakMemory, Metric::DecodeTps] {
        assert!(!advice.on_front(metric, &waste));
        assert!(advice.on_front(metric, advice.advised().unwrap().id()));
    }
    assert!(advice.fronts.iter().all(|front| front.cost != Metric::DecodeEnergy), "energy is known of nobody");
}

#[test]
fn every_variant_is_in_one_of_three_groups_with_its_one_reason() {
    let limit = profile("[constraints]\nmax_memory = '50 MiB'\n[objective]\nmargin = 0.03\n");
    let advice = advise(&rows(&family(100)), &limit);
    let standing = |label: &str| {
        advice.summaries.iter().find(|s| s.variant.label() == label).map(|s| s.standing.clone()).expect("it was tried")
    };
    let out = |reason: &str| Standing::Out { reason: reason.into() };
    let big = "Peak memory is 100 MiB where at most 50.0 MiB is asked, 2.00 times as much.";
    assert_eq!(standing("big"), out(big));
    assert_eq!(standing("big · Q4_K_M").group().label(), "cannot tell");
    let worse = standing("big · Q2_K");
    assert!(worse.reason().is_some_and(|reason| reason.starts_with("Worse on t: −40.0 points")), "{worse:?}");
    assert!(advice.fronts.is_empty(), "nothing qualifies, so nothing is on a front");
    assert!(advice.summaries.iter().all(|s| s.qualifies == s.standing.qualifies()));
}

#[test]
fn warnings_about_the_advised_and_the_reference_are_told_once() {
    let mut all = rows(&family(1000));
    for row in &mut all {
        row.outcome.warnings.push(Warning { kind: WarningKind::Steal, text: "12% of the time was stolen.".into() });
    }
    let text = said(&advise(&all, &within(0.03)));
    assert_eq!(text.matches("was stolen").count(), 2, "{text}");
}

#[test]
fn a_limit_just_kept_is_told() {
    let limit = profile("[constraints]\nmax_memory = '40.5 MiB'\n[objective]\nmargin = 0.03\n");
    let advice = advise(&rows(&family(1000)), &limit);
    assert_eq!(chosen(&advice), "big · Q4_K_M");
    assert!(said(&advice).contains("max_memory is kept only just"));
}

#[test]
fn advice_is_data_and_reads_back() {
    let mut all = rows(&family(200));
    all[0].outcome.result = Ok(());
    all[7].outcome.result = Err(Failure::Timeout { seconds: 3.0 });
    let limits = profile("[constraints]\nmax_memory = '50 MiB'\nmax_disk = '1 GiB'\n[constraints.score]\nt = 0.5\n");
    for profile in [within(0.05), limits] {
        let advice = advise(&all, &profile);
        let json = serde_json::to_string(&advice).unwrap();
        assert_eq!(serde_json::from_str::<Advice>(&json).unwrap(), advice);
    }
}

#[test]
fn the_same_rows_give_the_same_advice_in_any_order() {
    let mut all = rows(&family(300));
    let once = advise(&all, &within(0.05));
    all.reverse();
    let again = advise(&all, &within(0.05));
    assert_eq!(once.conclusion, again.conclusion);
    let labels = |advice: &Advice| advice.summaries.iter().map(|s| s.variant.label()).collect::<Vec<_>>();
    assert_eq!(labels(&once), labels(&again));
}

#[test]
fn no_cost_at_all_still_gives_an_answer_and_says_so() {
    let mut all = rows(&[
        Made::base("big", 100).task("t", &answers(1000, 100, 0)),
        Made::base("small", 10).task("t", &answers(1000, 100, 0)),
    ]);
    for row in &mut all {
        row.outcome.peak_memory = Reading::missing("no VmHWM here");
        row.outcome.disk = Reading::missing("not known");
    }
    let advice = advise(&all, &within(0.03));
    assert_eq!(chosen(&advice), "small");
    assert!(said(&advice).contains("so the number of parameters decided"));
    let limit = profile("[constraints]\nmax_memory = '1 TiB'\n");
    assert_eq!(limit.constraints.max_memory, Some(Bytes(1 << 40)));
    assert!(advise(&all, &limit).advised().is_none());
}

#[test]
fn a_verdict_stricter_than_its_interval_is_explained() {
    let mut made = family(400);
    made.extend((0..6).map(|i| Made::quantized("big", 100, &format!("Q{i}"), 50).task("t", &answers(400, 42 + i, 0))));
    let text = said(&advise(&rows(&made), &within(0.025)));
    assert!(text.contains("at most 5% over all 9 together (Holm; a variant has to pass every task)"), "{text}");
}

/// A variant with holes: tasks and shapes may be missing, failed or short.
fn holed() -> impl Strategy<Value = Vec<Made>> {
    let one = (1..200_u64, 0..30_usize, 0..5_u8, 0..5_u8, 1..120_usize);
    prop::collection::vec(one, 1..7).prop_map(|variants| {
        let made = |(i, (mib, wrong, task, speed, n)): (usize, (u64, usize, u8, u8, usize))| {
            let made = match i {
                0 => Made::base("big", mib),
                _ => Made::quantized("big", 200, &format!("Q{i}"), mib),
            };
            let made = match task {
                0 => made,
                1 => made.failed_task("t", "it was killed"),
                2 => made.text("p", &vec![-1.0 - wrong as f64 / 9.0; n]),
                _ => made.task_with_chance("t", &answers(n, wrong.min(n), i), 0.25).text("p", &[-2.0, -1.0, -3.0]),
            };
            match speed {
                0 => made,
                1 => made.failed_speed("it hung"),
                2 => made.speed(&[f64::from(speed)]),
                _ => made.speed(&[10.0 + wrong as f64, 11.0]).joules(2.0, Provenance::Measured),
            }
        };
        variants.into_iter().enumerate().map(made).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_came_out_the_advice_keeps_its_word(
        made in holed(),
        prefer in prop::sample::select(vec!["smallest", "fastest", "leanest"]),
        limit in prop::sample::select(vec!["", "max_memory = '90 MiB'\n", "min_decode_tps = 15.0\n", "score.t = 0.8\n"]),
        margin in 0.0..0.5_f64,
    ) {
        let profile = profile(&format!("[constraints]\n{limit}[objective]\nprefer = '{prefer}'\nmargin = {margin}\n"));
        let rows = rows(&made);
        let advice = advise(&rows, &profile);
        said(&advice);
        prop_assert_eq!(advice.summaries.is_empty(), rows.is_empty());
        if let Some(advised) = advice.advised() {
            prop_assert!(advised.checks.iter().all(|check| check.status == Status::Met));
            if !advice.is_reference(advised.id()) {
                prop_assert_eq!(advised.comparisons.len(), advice.deciding().count());
                prop_assert!(advised.comparisons.iter().all(|c| c.judgement().is_some_and(|j| j.verdict.is_good_enough())));
            }
            for other in advice.summaries.iter().filter(|summary| summary.qualifies) {
                let metric = advice.prefer.metric();
                let order = crate::recommend::decided::better(metric, &other.cost(metric), &advised.cost(metric));
                prop_assert!(order != Some(Ordering::Less));
            }
        } else if let Conclusion::NothingQualifies { .. } = advice.conclusion {
            prop_assert!(advice.summaries.iter().all(|summary| !summary.qualifies) && !advice.binding.is_empty());
        }
    }
}

#[test]
fn a_task_on_which_the_reference_has_nothing_decides_nothing() {
    let none = |made: Made| made.task("t", &[0; 200]).speed(&[50.0, 51.0, 52.0]);
    let family = [none(Made::base("big", 100)), none(Made::quantized("big", 100, "Q2_K", 30))];
    let advice = advise(&rows(&family), &within(0.02));
    assert!(advice.advised().is_none(), "{:?}", advice.conclusion);
    let text = said(&advice);
    assert!(text.contains("big scores 0.0% there, and nobody can be worse by more than 2 points"), "{text}");
}

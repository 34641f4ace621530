//! Files of other tools read back, and ours held against them.

use super::*;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, ItemResult, ItemScore};
use std::collections::BTreeMap;

const RESULTS_JSON: &str = r#"{"results": {
  "arc": {"name": "arc", "alias": "arc", "sample_len": 4, "acc,none": 0.5, "acc_stderr,none": 0.2886, "acc_norm,none": 0.25, "acc_norm_stderr,none": "N/A"},
  "gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": 0.05, "exact_match,flexible-extract": 0.2}
}, "n-shot": {"arc": 0, "gsm8k": 5}, "n-samples": {"gsm8k": {"original": 1319, "effective": 20}}, "model_name": "org/m"}"#;

fn sample(doc: usize, acc: &str, prompt: &str) -> String {
    let hash = Id::of_bytes(prompt.as_bytes()).0 + &"0".repeat(48);
    format!(
        "{{\"doc_id\":{doc},\"doc\":{{\"question\":\"q\",\"acc\":\"no\"}},\"target\":\"0\",\"arguments\":{{}},\"resps\":[[[\"-1.5\",\"False\"]]],\
         \"filtered_resps\":[[\"-1.5\",\"False\"]],\"filter\":\"none\",\"metrics\":[\"acc\",\"f1\"],\"prompt_hash\":\"{hash}\",\"acc\":{acc},\"f1\":[0,1]}}\n"
    )
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("org__m");
    std::fs::create_dir_all(model.join(".eval_results")).expect("folders");
    std::fs::write(model.join("results_2026-11-30T10-00-00.5.json"), RESULTS_JSON).expect("written");
    let lines: String = (0..40).map(|i| sample(i, ["0.0", "1.0"][i % 2], &format!("Q{i}"))).collect();
    std::fs::write(model.join("samples_arc_2026-11-30T10-00-00.5.jsonl"), lines).expect("written");
    let reported = "- dataset: {id: org/arc, task_id: easy}\n  value: 41.2\n  notes: 0-shot\n- dataset:\n    id: org/b\n    task_id: default\n  value: '7%'\n";
    std::fs::write(model.join(".eval_results/arc.yaml"), reported).expect("written");
    folder
}

#[test]
fn results_samples_and_reports_are_found_below_a_folder() {
    let folder = folder();
    let told = read(folder.path()).expect("results");
    assert_eq!(told.iter().map(|told| told.teller).collect::<Vec<_>>(), [Teller::Reported, Teller::Harness]);
    let harness = &told[1];
    assert_eq!((harness.model.as_deref(), harness.scores.len(), harness.samples.len()), (Some("org/m"), 4, 1));
    let acc = &harness.scores[0];
    assert_eq!((acc.task.as_str(), acc.metric.as_deref(), acc.filter.as_str()), ("arc", Some("acc"), "none"));
    assert_eq!((acc.value, acc.stderr, acc.items, acc.num_fewshot), (0.5, Some(0.2886), Some(4), Some(0)));
    assert_eq!(harness.scores[1].stderr, None);
    assert_eq!((harness.scores[2].items, harness.scores[2].num_fewshot), (Some(20), Some(5)));
    let reported = &told[0].scores;
    assert_eq!((reported[0].dataset.as_deref(), reported[0].value), (Some("org/arc"), 41.2));
    assert_eq!((reported[0].notes.as_deref(), reported[1].value), (Some("0-shot"), 7.0));
}

#[test]
fn items_are_paired_by_their_places_and_prompts_that_differ_are_counted() {
    let folder = folder();
    let told = read(folder.path()).expect("results");
    let samples = told[1].samples_of("arc", "none").expect("there");
    assert_eq!(samples.items[&1].scores, BTreeMap::from([("acc".to_owned(), 1.0)]), "pairs of numbers are no score");
    let ours: Vec<ItemResult> = (0..30)
        .map(|index| ItemResult {
            index,
            // as theirs, but for four that only we have right and one that only they have
            scores: vec![ItemScore {
                metric: Metric::Acc,
                value: f64::from(u8::from(index % 2 == 1 && index != 5 || index < 8 && index % 2 == 0)),
                weight: 1.0,
            }],
            ..ItemResult::default()
        })
        .collect();
    let prompts: BTreeMap<usize, String> =
        (0..30).map(|i| (i, if i == 3 { "other".into() } else { format!("Q{i}") })).collect();
    let paired = paired(&ours, Metric::Acc, samples, "acc", &prompts).expect("items");
    assert_eq!((paired.items, paired.same, paired.asked_otherwise), (30, 25, 1));
    let table = paired.table.expect("right or wrong");
    assert_eq!((table.gained, table.lost), (4, 1));
    assert!((paired.difference - 0.1).abs() < 1e-12);
    assert!(paired.interval.expect("enough").contains(0.0));
    assert_eq!(super::paired(&ours, Metric::Acc, samples, "exact_match", &prompts), None);
}

/// What lm-evaluation-harness 0.4.13 wrote of its model `dummy` (tests/golden/told).
#[test]
fn files_of_lm_eval_itself_are_read_and_its_prompts_are_ours() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/told");
    let told = read(&folder.join("dummy")).expect("results").remove(0);
    assert_eq!(
        (told.model.as_deref(), told.scores.len(), told.samples.len()),
        (Some("i82qcls7"), 4, 3),
        "dummy makes a name up"
    );
    for score in &told.scores {
        let metric = score.metric.as_deref().expect("named");
        let samples = told.samples_of(&score.task, &score.filter).expect("of every pipeline");
        let values: Vec<f64> = samples.items.values().map(|sample| sample.scores[metric]).collect();
        assert_eq!((values.len(), score.items, score.num_fewshot), (12, Some(12), Some(0)));
        assert!((values.iter().sum::<f64>() / 12.0 - score.value).abs() < 1e-12 && score.stderr.is_some());
    }
    let name = folder.join("pick.yaml").display().to_string();
    let prompts = crate::load(&name).expect("a task").tasks[0].prompts();
    let samples = told.samples_of("pick", "none").expect("there");
    assert!(samples.items.iter().all(|(at, sample)| sample.prompt == Some(Id::of_bytes(prompts[at].as_bytes()))));
}

#[test]
fn what_is_no_result_is_a_sentence_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        let said = read(&file).expect_err("refused").to_string();
        said.replace(&folder.path().display().to_string(), "~")
    };
    assert!(refused("results_a.json", "{\"a\": 1}").starts_with("~/results_a.json:1: has no map results"));
    assert!(refused("results_a.json", "{").starts_with("~/results_a.json:1: is no JSON"));
    assert!(refused("a.yaml", "value: 1").contains("~/a.yaml:1: is no list"));
    assert!(refused("a.yaml", "- dataset: {id: a/b}\n  value: 1").contains("without a task_id"));
    assert!(read(folder.path().join("none").as_path()).is_err());
    let empty = tempfile::tempdir().expect("a folder");
    assert!(read(empty.path()).expect_err("nothing").to_string().contains("are none there"));
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let entry = Entry {
        dataset: "org/arc".into(),
        task: "easy: 1".into(),
        revision: Some("main".into()),
        value: 0.412,
        date: "2026-11-30T10:00:00Z".into(),
        notes: "acc; \"0-shot\"".into(),
    };
    std::fs::write(folder.path().join("a.yaml"), to_yaml(std::slice::from_ref(&entry))).expect("written");
    let told = read(&folder.path().join("a.yaml")).expect("its own");
    let score = &told[0].scores[0];
    assert_eq!((score.dataset.as_deref(), score.task.as_str(), score.value), (Some("org/arc"), "easy: 1", 0.412));
    assert_eq!(score.notes.as_deref(), Some("acc; \"0-shot\""));

    std::fs::write(folder.path().join("results_d.json"), RESULTS_JSON).expect("written");
    let line = |filter: &str, answer: &str| {
        Written {
            doc_id: 3,
            prompt: Some("Q"),
            prompt_hash: Some(Id::of_bytes(b"Q").0),
            target: Some("4"),
            logprobs: &[],
            answer: Some(answer),
            filter,
            scores: vec![("exact_match".into(), 1.0)],
        }
        .line()
    };
    let lines = format!("{}\n{}\n", line("strict-match", "4"), line("flexible-extract", "4"));
    std::fs::write(folder.path().join("samples_gsm8k_d.jsonl"), lines).expect("written");
    let told = read(&folder.path().join("results_d.json")).expect("results");
    let samples = told[0].samples_of("gsm8k", "strict-match").expect("there");
    assert_eq!(samples.items[&3].prompt, Some(Id::of_bytes(b"Q")));
    assert_eq!(samples.items[&3].scores["exact_match"], 1.0);
    assert!(told[0].samples_of("gsm8k", "none").is_none());
}

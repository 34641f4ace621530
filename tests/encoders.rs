//! Encoders and decoders side by side, with the real binary as the worker: one suite asked of both, scored as
//! scikit-learn, scipy and transformers score it, and compared by the advice.

use assert_cmd::Command;
use bantam::library::home::Home;
use bantam::run::plan::Plan;
use bantam::run::process::Process;
use bantam::run::schedule::Exhaustive;
use bantam::run::session;
use bantam_core::cancel::Cancel;
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Reading, Row};
use bantam_verdict::recommend::{Advice, advise};
use bantam_verdict::store::Store;
use serde_json::Value;
use std::path::{Path, PathBuf};

mod common;

const BANTAM: &str = env!("CARGO_BIN_EXE_bantam");

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A profile of these models and suites below the goldens, in a folder of its own.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(models: &[&str], suite: &Path, speed: &str) -> Scene {
        let scene = Scene { dir: tempfile::tempdir().expect("temp dir") };
        let models: Vec<String> = models.iter().map(|model| format!("'{}'", golden(model).display())).collect();
        let text = format!(
            "models = [{}]\nsuites = ['{}']\n[measure]\nspeed = [{speed}]\nbudget = '0.2 s'\nthreads = 1\n",
            models.join(", "),
            suite.display()
        );
        std::fs::write(scene.profile(), text).expect("writes");
        scene
    }

    fn profile(&self) -> PathBuf {
        self.dir.path().join("mix.toml")
    }

    fn run(&self) -> (Vec<Row>, Advice) {
        let home = Home::at(self.dir.path().join("home"));
        let mut store = Store::open(&home.store()).expect("opens");
        let profile = Profile::load(&self.profile()).expect("a profile");
        let plan = Plan::make(&profile, &store).expect("a plan");
        let mut runner = Process::of(BANTAM, &home);
        let rows = session::run(&plan, &mut Exhaustive::of(&plan), &mut runner, &mut store, &mut [], &Cancel::new())
            .expect("stores");
        let rows = common::whole(rows, &store);
        let advice = advise(&rows, &profile);
        (rows, advice)
    }
}

fn row<'a>(rows: &'a [Row], model: &str, ask: &str) -> &'a Row {
    let found = rows.iter().find(|row| row.trial.variant.model.name == model && row.trial.ask.label() == ask);
    found.unwrap_or_else(|| panic!("{model} on {ask}"))
}

/// Every score of `expected.json` for these tasks of a model.
fn agrees(rows: &[Row], model: &str, tasks: &[&str]) {
    let text = std::fs::read_to_string(golden("embedding/expected.json")).expect("a golden file");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    for task in tasks {
        let outcome = &row(rows, model, task).outcome;
        assert_eq!(outcome.result, Ok(()), "{model} on {task}");
        for (metric, want) in expected[model][task].as_object().expect("scores") {
            let metric = Metric::parse(metric).expect("a metric");
            let got = outcome.score(metric).expect("a score");
            let want = want.as_f64().expect("a number");
            assert!((got - want).abs() < 1e-6, "{model} on {task}: {metric} is {got}, not {want}");
        }
    }
}

#[test]
fn an_encoder_and_a_decoder_are_asked_the_same_and_compared() {
    let models = ["model/llama", "encoder/minilm"];
    let scene = Scene::new(&models, &golden("embedding/embedding.toml"), "{ prompt = 100, output = 8 }");
    let (rows, advice) = scene.run();
    let tasks = ["sts", "search", "topic_probe", "topic_knn"];
    agrees(&rows, "minilm", &tasks);
    agrees(&rows, "llama", &tasks);

    let searched = &row(&rows, "minilm", "search").outcome;
    assert_eq!(searched.items.len(), 17, "nothing answers the last query");
    let item = &searched.items[0];
    assert!(item.answer.as_deref().is_some_and(|id| id.starts_with('d')) && item.target.as_deref() == Some("d30"));

    let speed = row(&rows, "minilm", "pp100+tg8");
    assert_eq!(speed.outcome.result, Ok(()));
    let warned = |part: &str| speed.outcome.warnings.iter().any(|warning| warning.text.contains(part));
    assert!(warned("takes 64 tokens, so the 100 of pp100+tg8 were read as 2 texts"), "{:?}", speed.outcome.warnings);
    let summary =
        |name: &str| advice.summaries.iter().find(|summary| summary.variant.model.name == name).expect("measured");
    let encoder = summary("minilm");
    assert!(encoder.cost(Metric::PrefillTps).value().is_some_and(|tps| tps > 1.0));
    let Reading::Missing { reason } = encoder.cost(Metric::DecodeTps) else { panic!("an encoder decodes") };
    assert!(reason.contains("an encoder answers in one pass"), "{reason}");
    assert!(summary("llama").cost(Metric::DecodeTps).value().is_some());

    let comparisons = advice.summaries.iter().flat_map(|summary| &summary.comparisons);
    let judged: Vec<_> = comparisons.filter(|comparison| comparison.judgement().is_some()).collect();
    let names: Vec<&str> = judged.iter().map(|comparison| comparison.task.task.as_str()).collect();
    // where items are too few to tell ability from guessing nobody is freed of the comparison
    assert_eq!(names, ["sts", "search", "topic_probe", "topic_knn"]);
    let by_genre = summary("minilm").scores.iter().find(|score| score.task == "sts").map(|score| score.slices.len());
    assert_eq!(by_genre, Some(2));
}

#[test]
fn a_head_and_a_likelihood_answer_the_same_classification() {
    let scene = Scene::new(&["encoder/bert_cls", "model/llama"], &golden("embedding/head.toml"), "");
    let (rows, advice) = scene.run();
    agrees(&rows, "bert_cls", &["topic_head"]);
    agrees(&rows, "llama", &["topic_head"]);
    for row in &rows {
        let item = &row.outcome.items[0];
        assert!(item.logprobs.len() == 3 && item.choice.is_some() && item.tokens > 0, "{item:?}");
    }
    assert!(advice.summaries.iter().any(|summary| summary.comparisons.iter().any(|c| c.judgement().is_some())));
}

#[test]
fn what_an_encoder_cannot_do_is_a_failed_trial_with_its_reason() {
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(dir.path().join("d.jsonl"), "{\"q\": \"one\", \"a\": \"two\"}\n").expect("writes");
    let task = |name: &str, output: &str| {
        format!(
            "[[task]]\ntask = '{name}'\ndata = 'd.jsonl'\noutput_type = '{output}'\ndoc_to_text = 'q'\n\
             doc_to_target = 'a'\n"
        )
    };
    let choices = "doc_to_choice = ['one', 'two']\n";
    let suite = dir.path().join("s.toml");
    let text = task("write", "generate_until") + &task("sort", "classification") + choices;
    std::fs::write(&suite, text).expect("writes");
    let (rows, _) = Scene::new(&["encoder/minilm", "encoder/bert_cls"], &suite, "").run();
    let reason =
        |model: &str, ask: &str| row(&rows, model, ask).outcome.result.as_ref().expect_err("failed").sentence();
    let write = reason("minilm", "write");
    assert!(write.contains("BertModel is an encoder without a classification head and does not generate"), "{write}");
    let sort = reason("minilm", "sort");
    assert!(sort.contains("does not say how likely a text is; ask it by output_type similarity"), "{sort}");
    let names = reason("bert_cls", "sort");
    assert!(
        names.contains("the classes label_0, label_1, label_2, the task one, two; say with head_labels"),
        "{names}"
    );
}

#[test]
fn a_recipe_leaves_an_encoder_as_it_is_and_says_so() {
    let scene = Scene::new(&["encoder/minilm"], &golden("embedding/embedding.toml"), "");
    let text = std::fs::read_to_string(scene.profile()).expect("reads");
    std::fs::write(scene.profile(), text.replace("[measure]", "recipes = ['Q8_0']\n[measure]")).expect("writes");
    let store = Store::open(&Home::at(scene.dir.path().join("home")).store()).expect("opens");
    let plan = Plan::make(&Profile::load(&scene.profile()).expect("a profile"), &store).expect("a plan");
    let [left_out] = &plan.run.left_out[..] else { panic!("one pair: {:?}", plan.run.left_out) };
    assert!(left_out.to_string().contains("minilm is an encoder, which is measured as it is"), "{left_out}");
    let (rows, _) = scene.run();
    assert!(rows.iter().all(|row| row.trial.variant.is_base() && row.outcome.result.is_ok()), "{rows:?}");
}

#[test]
fn the_command_runs_a_mixed_profile_to_its_end() {
    let models = ["model/llama", "encoder/minilm"];
    let scene = Scene::new(&models, &golden("embedding/embedding.toml"), "");
    let out = scene.dir.path().join("report");
    let run = Command::new(BANTAM)
        .args(["run", "--quiet", "--out"])
        .arg(&out)
        .arg(scene.profile())
        .env("BANTAM_HOME", scene.dir.path().join("home"))
        .assert();
    let status = run.get_output().status.code();
    assert!(matches!(status, Some(0 | 3)), "{status:?}: {}", String::from_utf8_lossy(&run.get_output().stderr));
    let report = std::fs::read_to_string(out.join("report.md")).expect("a report");
    assert!(report.contains("minilm") && report.contains("search"), "{report}");
}

#[test]
fn inspecting_an_encoder_tells_pooling_labels_and_context() {
    let inspect = |model: &str, json: bool| {
        let mut command = Command::new(BANTAM);
        command.arg("inspect").arg(golden(model));
        if json {
            command.arg("--json");
        }
        String::from_utf8(command.assert().success().get_output().stdout.clone()).expect("UTF-8")
    };
    let text = inspect("encoder/minilm", false);
    for part in ["BertModel (encoder)", "64 tokens", "64 numbers by mean, normalize", "512 tokens", "F32 × 39"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = inspect("encoder/bert_cls", false);
    assert!(text.contains("label_0, label_1, label_2 (one is right)") && text.contains("no modules.json says how"));
    let json: Value = serde_json::from_str(&inspect("encoder/roberta_cls", true)).expect("JSON");
    assert_eq!((&json["kind"], &json["context"]), (&"encoder".into(), &128.into()));
    assert_eq!(json["embedding"]["pooling"], serde_json::json!(["mean"]));
}

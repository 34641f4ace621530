//! One run on several machines, on the real binary: every trial by itself, some twice and in two places, merged into what one run
//! gives.

mod common;

use common::{bantam, said};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const PROFILE: &str = "models = ['bundled:bantam-s', 'bundled:bantam-m']\nrecipes = ['base', 'Q4_0']\n\
    suites = ['routing', 'sentiment']\n[measure]\nspeed = [{ prompt = 8, output = 4 }]\nlimit = 8\nthreads = 1\n\
    budget = '0.05 s'\nmin_repeats = 2\nidle = '0.1 s'\n";

fn run(folder: &Path, home: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = bantam(folder, args);
    let output = command.env("BANTAM_HOME", folder.join(home)).current_dir(folder).output().expect("starts");
    let (stdout, stderr) = said(&output);
    (output.status.code().expect("no signal"), stdout, stderr)
}

fn json(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// What a report says that no clock tells: scores with their intervals, and what each item gave.
fn untimed(report: &Value) -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    for record in report["records"].as_array().expect("records") {
        let metric = record["metric"].as_str().expect("a metric");
        if ["acc", "acc_norm", "disk", "bias_ambiguous"].contains(&metric) {
            let key = ["variant", "ask", "metric", "slice"].map(|key| record[key].as_str().expect("text")).join("|");
            told.insert(key, record.clone());
        }
    }
    for trial in report["trials"].as_array().expect("trials") {
        told.insert(format!("trial {}", trial["id"]), trial["scores"].clone());
    }
    told
}

#[test]
fn trials_done_anywhere_and_twice_are_the_run_of_one_machine() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    std::fs::write(folder.join("team.toml"), PROFILE).expect("writes");
    let (code, stdout, stderr) = run(folder, "login", &["plan", "team.toml", "--emit", "parallel", "--out", "plan"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("sh plan/run.sh MACHINES.txt") && stdout.contains("bantam merge plan"), "{stdout}");
    let list = std::fs::read_to_string(folder.join("plan/trials.txt")).expect("reads");
    let trials: Vec<&str> = list.lines().collect();
    assert_eq!(trials.len(), 12);

    // two machines that share nothing, each with a home of its own; three trials are done on both
    for (number, trial) in trials.iter().enumerate() {
        let spec = format!("plan/specs/{trial}.json");
        let places = [("one", number < 7), ("two", number >= 4)];
        for (machine, _) in places.iter().filter(|(_, does)| *does) {
            if number == trials.len() - 1 {
                continue;
            }
            let (code, _, stderr) = run(folder, machine, &["trial", "run", &spec, "--out", machine, "-q"]);
            assert_eq!(code, 0, "{stderr}");
        }
    }
    // what is there is not done again: the file stays the same
    let first = folder.join("one").join(format!("{}.json", trials[0]));
    let before =
        (std::fs::read(&first).expect("reads"), std::fs::metadata(&first).and_then(|m| m.modified()).expect("a time"));
    let spec = format!("plan/specs/{}.json", trials[0]);
    let (code, _, stderr) = run(folder, "one", &["trial", "run", &spec, "--out", "one"]);
    assert!(code == 0 && stderr.contains("was done before"), "{stderr}");
    assert_eq!(
        before,
        (std::fs::read(&first).expect("reads"), std::fs::metadata(&first).and_then(|m| m.modified()).expect("a time"))
    );
    assert!(!folder.join("one/partial").exists(), "nothing half done is left");

    // one is missing yet
    let (code, _, stderr) = run(folder, "merged", &["merge", "plan", "one", "two", "-q"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains(&format!("(trial {})", trials[trials.len() - 1])), "{stderr}");
    let last = format!("plan/specs/{}.json", trials[trials.len() - 1]);
    run(folder, "two", &["trial", "run", &last, "--out", "two", "-q"]);
    // a half-written file of a machine that died is none
    std::fs::write(folder.join("two/.0123456789abcdef.json.tmp"), "{").expect("writes");

    let merge = |home: &str, folders: [&str; 3], out: &str| {
        let args = ["merge", folders[0], folders[1], folders[2], "--out", out];
        let (code, stdout, stderr) = run(folder, home, &args);
        assert!(code == 0 || code == 3, "{code}: {stdout}{stderr}");
        json(&folder.join(out).join("results.json"))
    };
    let merged = merge("merged", ["plan", "one", "two"], "merged-report");
    let (code, _, stderr) = run(folder, "local", &["run", "team.toml", "-q", "--out", "local-report"]);
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    let local = json(&folder.join("local-report/results.json"));
    assert_eq!(untimed(&merged), untimed(&local));
    assert_eq!(merged["run"]["complete"], Value::Bool(true));
    assert_eq!(merged["host"]["merged_from"][0]["trials"], 12, "{}", merged["host"]);
    // in another order, into a store that has it already, and into a new one
    assert_eq!(untimed(&merge("merged", ["two", "one", "plan"], "again")), untimed(&merged));
    assert_eq!(untimed(&merge("fresh", ["two", "plan", "one"], "fresh-report")), untimed(&merged));
    // and the run is in the store as any other
    let (code, stdout, stderr) = run(folder, "merged", &["diff", "team", "local-report"]);
    assert!(code == 0 && stdout.contains("the same to the digit"), "{stdout}{stderr}");
}

#[test]
fn speeds_of_another_class_of_machine_do_not_count_and_another_model_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let folder = dir.path();
    std::fs::write(folder.join("team.toml"), PROFILE).expect("writes");
    for emit in ["slurm", "hq"] {
        let out = format!("{emit}-plan");
        let (code, _, stderr) = run(folder, "home", &["plan", "team.toml", "--emit", emit, "--out", &out, "-q"]);
        assert_eq!(code, 0, "{stderr}");
    }
    let slurm = std::fs::read_to_string(folder.join("slurm-plan/tasks.sbatch")).expect("reads");
    assert!(
        slurm.contains("#SBATCH --array=1-8\n") && slurm.contains("--cpus-per-task=1") && !slurm.contains("exclusive"),
        "{slurm}"
    );
    let timed = std::fs::read_to_string(folder.join("slurm-plan/speeds.sbatch")).expect("reads");
    assert!(timed.contains("#SBATCH --array=9-12\n") && timed.contains("#SBATCH --exclusive\n"), "{timed}");
    let job: toml::Table =
        std::fs::read_to_string(folder.join("hq-plan/job.toml")).expect("reads").parse().expect("TOML");
    assert_eq!(job["task"].as_array().map(Vec::len), Some(12));

    let list = std::fs::read_to_string(folder.join("slurm-plan/trials.txt")).expect("reads");
    let results = folder.join("slurm-plan/results");
    for trial in list.lines() {
        let spec = format!("slurm-plan/specs/{trial}.json");
        let (code, _, stderr) = run(folder, "home", &["trial", "run", &spec, "--out", "slurm-plan/results", "-q"]);
        assert_eq!(code, 0, "{stderr}");
    }
    // one of the four timed ones comes from a machine of another class
    let elsewhere = results.join(format!("{}.json", list.lines().nth(9).expect("a timed one")));
    let mut done = json(&elsewhere);
    done["host"] = "fedcba9876543210".into();
    done["host_words"] = "another machine".into();
    done["trial"]["id"] = "00000000000000aa".into();
    std::fs::write(&elsewhere, done.to_string()).expect("writes");
    let (code, _, stderr) = run(folder, "merged", &["merge", "slurm-plan", "--out", "report"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("11 trials by class ") && stderr.contains(", whose speeds count"), "{stderr}");
    let report = json(&folder.join("report/results.json"));
    let failed: Vec<&Value> =
        report["trials"].as_array().expect("trials").iter().filter(|t| t["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0]["reason"].as_str().expect("why").contains("timed on another class of machine (another machine"),
        "{failed:?}"
    );
    let (code, _, stderr) = run(folder, "merged", &["merge", "slurm-plan", "--class", "fedc", "-q", "--json"]);
    assert_eq!(code, 4, "{stderr}");
    let (code, _, stderr) = run(folder, "merged", &["merge", "slurm-plan", "--class", "nonsense"]);
    assert!(code == 2 && stderr.contains("is no one of the classes"), "{stderr}");

    // a spec whose weights are not those of this machine
    let spec = folder.join("slurm-plan/specs").join(format!("{}.json", list.lines().next().expect("one")));
    let mut other = json(&spec);
    other["trial"]["variant"]["model"]["digest"] = "0000000000000000".into();
    other["trial"]["id"] = "00000000000000bb".into();
    std::fs::write(folder.join("other.json"), other.to_string()).expect("writes");
    let (code, _, stderr) = run(folder, "home", &["trial", "run", "other.json", "--out", "x"]);
    assert!(code == 2 && stderr.contains("is not the model that was planned with"), "{stderr}");
    let (code, _, stderr) = run(folder, "home", &["trial", "run", "team.toml", "--out", "x"]);
    assert!(code == 2 && stderr.contains("is not a trial of `bantam plan --emit`"), "{stderr}");
    let (code, _, stderr) = run(folder, "home", &["merge", "slurm-plan/specs"]);
    assert!(code == 2 && stderr.contains("there is no plan.json"), "{stderr}");
}

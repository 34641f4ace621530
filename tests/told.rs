//! What lm-evaluation-harness's files tell, beside ours: what bantam writes in its form is read back and is the same.

mod common;

use common::{bantam, said};
use std::path::Path;

const TASK: &str = "task: pick\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
output_type: multiple_choice\ndoc_to_text: \"Q: {{q}}\\nA:\"\ndoc_to_choice: choices\ndoc_to_target: label\n";

fn does(folder: &Path, args: &[&str]) -> (String, String) {
    let output = bantam(folder, args).current_dir(folder).output().expect("starts");
    let (out, err) = said(&output);
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}

#[test]
fn results_and_samples_are_written_and_stand_beside_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = |n: usize| format!("{{\"q\": \"{n}?\", \"choices\": [\"yes\", \"no\"], \"label\": {}}}\n", n % 2);
    std::fs::write(folder.path().join("pick.yaml"), TASK).expect("written");
    std::fs::write(folder.path().join("d.jsonl"), (0..12).map(line).collect::<String>()).expect("written");
    let eval = ["eval", "bantam-s", "--tasks", "pick.yaml", "-t", "1"];
    let (_, told) = does(folder.path(), &[&eval[..], &["--output-path", "out", "--log-samples"]].concat());
    assert!(told.contains("results_") && told.contains("samples_pick_"), "{told}");
    let (shown, _) = does(folder.path(), &[&eval[..], &["--beside", "out"]].concat());
    assert!(shown.contains("12 items, all alike") && shown.contains("+0.0000"), "{shown}");
    assert!(!shown.contains("another prompt"), "{shown}");

    let refused = bantam(folder.path(), &[&eval[..], &["--beside", "d.jsonl"]].concat());
    let (_, why) = said(&{ refused }.current_dir(folder.path()).output().expect("starts"));
    assert!(why.contains("d.jsonl:") && why.lines().count() == 1, "{why}");
}

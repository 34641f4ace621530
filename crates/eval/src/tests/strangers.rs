//! Suites and data as strangers write them: other line ends, empty rows, one bad item, labels that are digits.

use super::*;
use std::path::PathBuf;

const TEXTS: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "loglikelihood_rolling"
doc_to_target = "{{text}}"
"#;

const WRITES: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "generate_until"
doc_to_text = "{{question}}"
doc_to_target = "{{answer}}"
"#;

fn suite(manifest: &str, data: &str) -> Result<Suite, Error> {
    read(manifest, &[("d.jsonl", data)])
}

#[test]
fn an_answer_ends_where_the_next_example_would_begin_unless_until_says_otherwise() {
    let until = |more: &str| {
        let suite = suite(&format!("{WRITES}{more}\n"), ANSWERS).expect("a suite");
        only_task(suite).settings.generation.until
    };
    assert_eq!(until(""), ["\n\n"]);
    assert_eq!(until("generation_kwargs = { max_gen_toks = 4 }"), ["\n\n"]);
    assert_eq!(until("fewshot_delimiter = '###'"), ["###"]);
    assert_eq!(until("generation_kwargs = { until = ['x'] }"), ["x"]);
    assert_eq!(until("generation_kwargs = { until = [] }"), [""; 0]);
    assert_eq!(until("fewshot_delimiter = ''"), [""; 0]);
}

#[test]
fn line_ends_of_another_system_are_no_part_of_a_prompt() {
    let manifest = "[[task]]\ntask = 't'\ndata = 'd.jsonl'\noutput_type = 'multiple_choice'\ndoc_to_text = \"\"\"\nQ: \
                    {{question}}\nA:\"\"\"\ndoc_to_choice = ['yes', 'no']\ndoc_to_target = 'answer'\n";
    let digest = |manifest: &str, data: &str| only_task(suite(manifest, data).expect("a suite")).reference().digest;
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let own = digest(manifest, ANSWERS);
    assert_eq!(digest(&windows(manifest), ANSWERS), own);
    assert_eq!(digest(manifest, &windows(ANSWERS)), own);
    assert_eq!(digest(manifest, &windows(&format!("[{}]", ANSWERS.trim().replace('\n', ",\n")))), own);
}

#[test]
fn an_empty_text_is_scored_and_adds_no_byte() {
    let task = only_task(suite(TEXTS, "{\"text\": \"abc\"}\n{\"text\": \"\"}\n{\"text\": \"de\"}\n").expect("a suite"));
    let items = results(&task, &mut Parrot::new(&[], ""));
    let scores =
        |metric| items.iter().map(move |item| item.score(metric).map(|s| (s.value, s.weight)).expect("scored"));
    assert_eq!(scores(Metric::BytePerplexity).collect::<Vec<_>>(), [(-3.0, 3.0), (0.0, 0.0), (-2.0, 2.0)]);
    assert_eq!(Metric::BytePerplexity.aggregate(scores(Metric::BytePerplexity)), Some(1_f64.exp()));
    assert_eq!(scores(Metric::WordPerplexity).map(|(_, words)| words).collect::<Vec<_>>(), [1.0, 1.0, 1.0]);
}

/// A parrot that cannot be asked one continuation.
struct Choosy(Parrot);

impl LanguageModel for Choosy {
    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        for request in requests {
            let bad = request.continuations.iter().find(|text| text.contains("merged"));
            anyhow::ensure!(bad.is_none(), Unaskable::adds_nothing(&request.context, " merged"));
        }
        self.0.loglikelihood(requests)
    }

    fn loglikelihood_rolling(&mut self, _: &[&str]) -> Result<Vec<Rolling>> {
        anyhow::bail!("not asked here")
    }

    fn generate(&mut self, _: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        anyhow::bail!("not asked here")
    }
}

fn choosing(rows: &[&str]) -> Task {
    let manifest = CHOICE.replace("[\"yes\", \"no\"]", "\"choices\"").replace("\"answer\"", "0");
    let data: String =
        rows.iter().map(|word| format!("{{\"question\": \"up?\", \"choices\": [\"{word}\", \"no\"]}}\n")).collect();
    only_task(suite(&manifest, &data).expect("a suite"))
}

#[test]
fn an_item_that_cannot_be_asked_is_named_and_costs_no_other_its_score() {
    let task = choosing(&["yes", "yes", "merged", "yes"]);
    let (mut items, mut model) = (Vec::new(), Choosy(Parrot::new(&[(" yes", -1.0)], "")));
    let report = ask(&task, &mut model, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item)).expect("asked");
    assert_eq!((report.items, report.refused.len()), (4, 1));
    let refused = &report.refused[0];
    assert!(refused.place.ends_with("d.jsonl:3"), "{refused:?}");
    let reason = refused.reason.to_string();
    assert!(reason.contains("\" merged\" adds no token to a context that ends in \"Q: up?\\nA:\""), "{reason}");
    assert_eq!(items.iter().map(|item| item.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(
        items.iter().map(|item| item.score(Metric::Acc).is_some()).collect::<Vec<_>>(),
        [true, true, false, true]
    );
    assert!(report.unless_all_refused().is_ok());

    let report = ask(&choosing(&["merged"]), &mut model, &BTreeSet::new(), &Cancel::new(), &mut |_| ()).expect("asked");
    let error = report.unless_all_refused().expect_err("none is left").to_string();
    assert!(error.starts_with("no item could be asked; the first is ") && error.contains("d.jsonl:1"), "{error}");
}

#[test]
fn a_choice_that_says_what_the_right_one_says_is_right_and_told() {
    let manifest = CHOICE.replace("[\"yes\", \"no\"]", "\"choices\"");
    let row = "{\"question\": \"up?\", \"choices\": [\"yes\", \"no\", \"yes\"], \"answer\": 2}\n";
    let task = only_task(suite(&manifest, &row.repeat(3)).expect("a suite"));
    let items = results(&task, &mut Parrot::new(&[(" yes", -1.0)], ""));
    assert_eq!(items[0].score(Metric::Acc).expect("scored").value, 1.0);
    assert_eq!((items[0].target.as_deref(), items[0].answer.as_deref()), (Some("yes"), Some("yes")));
    assert_eq!(task.chance(), Some(2.0 / 3.0));
    let [note] = &task.notes[..] else { panic!("one note: {:?}", task.notes) };
    assert!(note.contains("doc_to_choice: choices 0 and 2 are the same text 'yes' at"), "{note}");
    assert!(note.contains("d.jsonl:1 (and on 2 more lines)"), "{note}");
    // two wrong ones that are equal are told, too, and are no better
    let task = only_task(suite(&manifest, &row.replace('2', "1")).expect("a suite"));
    assert_eq!((task.chance(), task.notes.len()), (Some(1.0 / 3.0), 1));

    let classes = CHOICE.replace("multiple_choice", "classification").replace("\"no\"", "\"yes\"");
    let error = suite(&classes, ANSWERS).expect_err("which class is it?").to_string();
    assert!(error.contains("names the class 'yes' twice"), "{error}");
}

#[test]
fn a_label_that_is_read_as_an_index_though_it_is_a_choice_is_told() {
    let notes = |choices: &str, target: &str, data: &str| {
        let manifest = CHOICE.replace("[\"yes\", \"no\"]", choices).replace("\"answer\"", target);
        only_task(suite(&manifest, data).expect("a suite")).notes
    };
    let (text, number) = ("{\"question\": \"x\", \"label\": \"1\"}\n", "{\"question\": \"x\", \"label\": 1}\n");
    for (target, data) in [("\"{{label}}\"", text), ("\"label\"", number), ("\"{{label}}\"", number)] {
        let told = notes("[\"1\", \"0\"]", target, data);
        assert!(told.len() == 1 && told[0].contains("'1' is read as the index of choice 1 ('0')"), "{told:?}");
    }
    // text in a field is the choice's text; and where index and text say the same there is nothing to tell
    assert!(notes("[\"1\", \"0\"]", "\"label\"", text).is_empty());
    assert!(notes("[\"0\", \"1\"]", "\"{{label}}\"", text).is_empty());
    assert!(notes("[\"no\", \"yes\"]", "\"{{label}}\"", text).is_empty());
}

#[test]
fn a_long_number_in_the_data_keeps_its_digits() {
    let manifest = WRITES.replace("{{answer}}", "{{track}}");
    let task = suite(&manifest, "{\"question\": \"x\", \"track\": 9400110200881234567890}\n").expect("a suite");
    let items = results(&only_task(task), &mut Parrot::new(&[], "x"));
    assert_eq!(items[0].target.as_deref(), Some("9400110200881234567890"));
}

#[test]
fn a_column_that_is_not_there_is_told_with_all_that_are() {
    let manifest = WRITES.replace("d.jsonl", "d.csv").replace("{{answer}}", "{{Best}}");
    let table = "question,Best Answer,Type\nwhy?,because,x\n";
    let error = read(&manifest, &[("d.csv", table)]).expect_err("no such column").to_string();
    assert!(error.contains("its fields are question, Best Answer, Type"), "{error}");
}

/// Data that never ends or never begins would hang whoever loads the suite.
#[test]
#[cfg(target_os = "linux")]
fn data_and_suites_that_are_no_regular_files_are_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let written = |data: &str| -> PathBuf {
        let path = dir.path().join("s.toml");
        std::fs::write(&path, CHOICE.replace("d.jsonl", data)).expect("written");
        path
    };
    let said = |path: &Path| load(path.to_str().expect("UTF-8")).expect_err("no regular file").to_string();
    for (data, what) in
        [("/dev/zero", "a device"), ("/proc/self/status", "made up by the system"), ("/tmp", "a folder")]
    {
        let said = said(&written(data));
        assert!(said.contains("task 't': data: ") && said.contains(what), "{said}");
    }
    assert!(said(Path::new("/dev/zero")).contains("a device"));
    let long = dir.path().join("long.jsonl");
    std::fs::write(&long, format!("{{\"a\": \"{}\"}}", "x".repeat(17 << 20))).expect("written");
    let said = said(&written("long.jsonl"));
    assert!(said.contains("long.jsonl:1: is longer than 16 MiB"), "{said}");
}

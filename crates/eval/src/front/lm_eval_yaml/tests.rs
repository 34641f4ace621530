//! Task files as users have them, on data of their own.

use super::*;
use crate::ask::ask;
use crate::model::{Continuations, Generated, GenerationSettings, LanguageModel, Loglikelihood, Rolling, StopReason};
use crate::task::Task;
use bantam_core::cancel::Cancel;
use bantam_core::chat::Chat;
use bantam_core::record::ItemResult;
use std::collections::BTreeSet;
use std::path::Path;

/// A folder of tasks.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn of(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("temp dir"));
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// The name of a task of this folder, and of no other place.
    fn name(&self, task: &str) -> String {
        let address = LmEvalTask { name: task.into(), include_path: vec![self.path().into()], ..LmEvalTask::default() };
        address.to_string()
    }

    fn shown(&self, task: &str, num_fewshot: usize) -> String {
        let address =
            LmEvalTask { num_fewshot: Some(num_fewshot), ..LmEvalTask::parse(&self.name(task)).expect("a name") };
        address.to_string()
    }
}

fn no_hub(name: &str) -> Result<Vec<std::path::PathBuf>, String> {
    Err(format!("{name} is on the hub"))
}

pub(super) fn load_all(name: &str) -> Vec<Task> {
    tasks(name)
}

pub(super) fn tasks(name: &str) -> Vec<Task> {
    load(name, None, &Chat::default(), &no_hub).expect("tasks").tasks
}

pub(super) fn refused(name: &str) -> String {
    let said = load(name, None, &Chat::default(), &no_hub).expect_err("refused").to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

/// Keeps what it is asked; says the likelihoods in order, and the texts in order.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) asked: Vec<String>,
    pub(super) texts: Vec<String>,
}

impl LanguageModel for Keeper {
    fn loglikelihood(&mut self, requests: &[Continuations]) -> anyhow::Result<Vec<Vec<Loglikelihood>>> {
        let answer =
            |i: usize| Loglikelihood { logprob: -((i + 1) as f64), greedy: false, tokens: 1, truncated: false };
        let mut all = Vec::new();
        for Continuations { context, continuations } in requests {
            self.asked.extend(continuations.iter().map(|continuation| format!("{context}|{continuation}")));
            all.push((0..continuations.len()).map(answer).collect());
        }
        Ok(all)
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> anyhow::Result<Vec<Rolling>> {
        self.asked.extend(texts.iter().map(|text| text.to_string()));
        Ok(texts.iter().map(|_| Rolling { logprob: -2.0, tokens: 1 }).collect())
    }

    fn generate(&mut self, prompts: &[&str], settings: &GenerationSettings) -> anyhow::Result<Vec<Generated>> {
        self.asked.extend(prompts.iter().map(|prompt| prompt.to_string()));
        let text =
            |_: &&str| self.texts.get(settings.draw as usize % self.texts.len().max(1)).cloned().unwrap_or_default();
        Ok(prompts
            .iter()
            .map(text)
            .map(|text| Generated {
                text,
                tokens: 1,
                truncated: false,
                stopped: StopReason::Until,
                thought: None,
                likelihood: None,
            })
            .collect())
    }
}

pub(super) fn asked(task: &Task, keeper: &mut dyn LanguageModel) -> Vec<ItemResult> {
    let mut items = Vec::new();
    ask(task, keeper, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item)).expect("asked");
    items
}

fn asks(task: &Task) -> Vec<String> {
    let mut keeper = Keeper::default();
    asked(task, &mut keeper);
    keeper.asked
}

const DATA: &str = "{\"q\": \"a?\", \"choices\": [\"x\", \"y\"], \"label\": 1}\n{\"q\": \"b?\", \"choices\": [\"x\", \"y\"], \"label\": 0}\n{\"q\": \
                    \"c?\", \"choices\": [\"x\", \"y\"], \"label\": 1}\n";

const CHOICE: &str = "task: pick\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: d.jsonl, train: d.jsonl}\ntest_split: \
                      test\noutput_type: multiple_choice\ndoc_to_text: \"Q: {{q}}\\nA:\"\ndoc_to_choice: choices\ndoc_to_target: \
                      label\n";

#[test]
fn a_task_is_asked_as_its_file_says() {
    let folder = Folder::of(&[("pick.yaml", CHOICE), ("d.jsonl", DATA)]);
    let task = &tasks(&folder.name("pick"))[0];
    assert_eq!((task.suite.as_str(), task.name.as_str()), ("lm_eval", "pick"));
    assert_eq!(asks(task)[..2], ["Q: a?\nA:| x", "Q: a?\nA:| y"]);
    let scores: Vec<f64> = asked(task, &mut Keeper::default()).iter().map(|item| item.scores[0].value).collect();
    assert_eq!(scores, [0.0, 1.0, 0.0]);
    // by its path it is the same task
    let path = folder.path().join("pick.yaml").display().to_string();
    assert_eq!(tasks(&path)[0].reference().digest, task.reference().digest);
    // and it is found again by what its results are kept under
    let again = super::load(&task.file, Some("pick"), &Chat::default(), &no_hub).expect("found again");
    assert_eq!(again.tasks[0].reference(), task.reference());
}

/// The samplers of 0.4.13 with seed 1234 over these lines: `Random(1234).sample(pool, k)`, one more where the line itself
/// may be among them.
#[test]
fn examples_are_drawn_as_lm_eval_draws_them() {
    let rows: String = (0..30).map(|i| format!("{{\"q\": \"q{i}\", \"a\": \"a{i}\"}}\n")).collect();
    let yaml = "task: say\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: d.jsonl, train: t.jsonl}\ntraining_split: train\ntest_split: \
                test\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\ntarget_delimiter: '='\nfewshot_delimiter: ';'\ndescription: 'D '\n";
    let folder = Folder::of(&[("say.yaml", yaml), ("d.jsonl", &rows), ("t.jsonl", &rows)]);
    let first = |folder: &Folder| asks(&tasks(&folder.shown("say", 2))[0])[..3].to_vec();
    // no fewshot_split is not the test split: two are drawn
    assert_eq!(first(&folder), ["D q24=a24;q14=a14;q0", "D q3=a3;q0=a0;q1", "D q2=a2;q29=a29;q2"]);
    // neither there nor a test split: three are drawn, and the line left out
    folder.write("say.yaml", &yaml.replace("test_split: test", "validation_split: test"));
    assert_eq!(first(&folder), ["D q24=a24;q14=a14;q0", "D q0=a0;q2=a2;q1", "D q25=a25;q18=a18;q2"]);
    folder.write("say.yaml", &format!("{yaml}fewshot_split: train\nfewshot_config: {{sampler: first_n}}\n"));
    assert_eq!(first(&folder)[0], "D q0=a0;q1=a1;q0");
    folder.write("say.yaml", &format!("{yaml}fewshot_split: test\nfewshot_config: {{sampler: first_n}}\n"));
    assert_eq!(first(&folder)[0], "D q1=a1;q2=a2;q0");
    let samples = "fewshot_config:\n  sampler: first_n\n  doc_to_text: 'E {{q}}'\n  samples:\n  - {q: x, a: y}\n  - {q: v, a: ''}\n";
    folder.write("say.yaml", &format!("{yaml}{samples}"));
    assert_eq!(first(&folder)[0], "D E x=y;E vq0");
    assert!(refused(&folder.shown("say", 3)).contains("num_fewshot: is 3; there are 2 examples to show"));
    folder.write("say.yaml", &format!("{yaml}num_fewshot: 0\n"));
    assert_eq!(first(&folder)[0], "D q0", "a task that says 0 keeps it");
}

#[test]
fn groups_tags_and_includes_lead_to_their_tasks() {
    let folder = Folder::of(&[
        ("_base_yaml", &CHOICE.replace("task: pick", "task: base")),
        ("a/one.yaml", "include: ../_base_yaml\ntask: one\ntag: [odd, many]\n"),
        ("a/two.yaml", "include: ../_base_yaml\ntask: two\ntag: many\ndescription: 'two '\n"),
        ("a/three.yaml", "include: two.yaml\ntask: three\ntag: odd\n"),
        (
            "all.yaml",
            "group: all\ngroup_alias: All of it\ntask:\n  - group: inner\n    task: [odd]\n    aggregate_metric_list: {metric: acc, weight_by_size: \
          false}\n  - task: two\n    description: 'said '\naggregate_metric_list:\n  - metric: acc_norm\n    filter_list: none\ndoc_to_text: 'G {{q}}'\n",
        ),
        ("d.jsonl", DATA),
        ("a/unlike.txt", ""),
    ]);
    let names = |name: &str| tasks(&folder.name(name)).into_iter().map(|task| task.name).collect::<Vec<_>>();
    assert_eq!(names("many"), ["one", "two"]);
    assert_eq!(names("odd"), ["one", "three"]);
    assert_eq!(names("all"), ["one", "three", "two"]);
    let all = tasks(&folder.name("all"));
    assert_eq!(asks(&all[0])[0], "G a?| x");
    assert_eq!(asks(&all[2])[0], "said G a?| x");
    for task in &all {
        let again = super::load(&task.file, Some(&task.name), &Chat::default(), &no_hub).expect("found again");
        assert_eq!(again.tasks[0].reference(), task.reference(), "with what its group says of it");
    }
    let groups = described(&folder.name("all")).expect("described").groups;
    let said = |group: &Group| (group.name.clone(), group.alias.clone(), group.tasks.clone());
    assert_eq!(said(&groups[0]), ("all".into(), "All of it".into(), vec!["one".into(), "three".into(), "two".into()]));
    assert_eq!(said(&groups[1]), ("all::inner".into(), "all::inner".into(), vec!["one".into(), "three".into()]));
    assert_eq!(
        groups[0].metrics,
        [GroupMetric { metric: "acc_norm".into(), filters: Some(vec!["none".into()]), weight_by_size: true }]
    );
    assert_eq!(groups[1].metrics, [GroupMetric { metric: "acc".into(), filters: None, weight_by_size: false }]);
    assert!(refused(&folder.name("thre")).contains("'thre': is no task, group or tag in"));
    assert!(refused(&folder.name("thre")).contains("there is three"), "{}", refused(&folder.name("thre")));
    folder.write("loop.yaml", "include: loop.yaml\ntask: loop\n");
    assert!(refused(&folder.path().join("loop.yaml").display().to_string()).contains("included twice"));
}

#[test]
fn answers_are_filtered_repeated_and_matched() {
    let yaml = "task: gen\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: d.jsonl}\ntest_split: test\ndoc_to_text: '{{q}}'\ndoc_to_target: \
                \"{{choices[label]}}\"\nrepeats: 3\ngeneration_kwargs: {do_sample: true, temperature: 0.5, until: \"\\n\"}\nfilter_list:\n- name: first\n  \
                filter: [{function: regex, regex_pattern: '([a-z])$'}, {function: take_first}]\n- name: maj\n  filter: [{function: \
                majority_vote}, {function: take_first}]\nmetric_list: [{metric: exact_match, aggregation: mean, higher_is_better: \
                true, ignore_case: true}]\n";
    let folder = Folder::of(&[("gen.yaml", yaml), ("d.jsonl", DATA)]);
    let tasks = tasks(&folder.name("gen"));
    assert_eq!(tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["gen:first", "gen:maj"]);
    let answers = |task: &Task| {
        let mut keeper = Keeper { texts: ["is y", "X", "X"].map(String::from).to_vec(), ..Keeper::default() };
        asked(task, &mut keeper)
            .into_iter()
            .map(|item| (item.answer.unwrap_or_default(), item.scores[0].value))
            .collect::<Vec<_>>()
    };
    assert_eq!(answers(&tasks[0]), [("y".into(), 1.0), ("y".into(), 0.0), ("y".into(), 1.0)]);
    assert_eq!(answers(&tasks[1]), [("X".into(), 0.0), ("X".into(), 1.0), ("X".into(), 0.0)]);
    let again = super::load(&tasks[1].file, Some("gen:maj"), &Chat::default(), &no_hub).expect("found again");
    assert_eq!(again.tasks[1].reference(), tasks[1].reference());
}

#[test]
fn functions_of_known_tasks_are_there_and_others_are_named() {
    let yaml = "task: w\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: d.jsonl}\ntest_split: test\noutput_type: \
                multiple_choice\ndoc_to_text: !function preprocess_winogrande.doc_to_text\ndoc_to_target: !function \
                preprocess_winogrande.doc_to_target\ndoc_to_choice: !function preprocess_winogrande.doc_to_choice\nmetric_list: [{metric: \
                acc}]\n";
    let data = "{\"sentence\": \"It is _ here.\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"2\"}\n{\"sentence\": \"No _.\", \"option1\": \
                \"c\", \"option2\": \"d\", \"answer\": \"1\"}\n";
    let folder = Folder::of(&[
        ("winogrande/w.yaml", yaml),
        ("winogrande/d.jsonl", data),
        ("mine/w.yaml", &yaml.replace("task: w", "task: m")),
    ]);
    let task = &tasks(&folder.name("w"))[0];
    assert_eq!(asks(task), ["It is a| here.", "It is b| here.", "No c| .", "No d| ."]);
    assert!(task.notes[0].contains("is not lm-evaluation-harness 0.4.13's"), "{:?}", task.notes);
    let said = refused(&folder.name("m"));
    assert!(
        said.contains(
            "mine/w.yaml:7: task 'm': doc_to_text: 'preprocess_winogrande.doc_to_text' is a function of Python's"
        ),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_file_key_and_line() {
    let folder = Folder::of(&[("d.jsonl", DATA)]);
    let said = |yaml: &str| {
        folder.write("t.yaml", yaml);
        refused(&folder.path().join("t.yaml").display().to_string()).replace(&folder.path().display().to_string(), "~")
    };
    let with = |more: &str| said(&format!("{CHOICE}{more}\n"));
    assert_eq!(
        with("doc_to_texts: x"),
        "~/t.yaml:10: task 'pick': doc_to_texts: is no key of a task; is doc_to_text meant?"
    );
    assert_eq!(
        with("output_type: choice"),
        "~/t.yaml:10: task 'pick': output_type: is 'choice'; allowed is multiple_choice, loglikelihood, \
                                             loglikelihood_rolling or generate_until"
    );
    assert!(with("test_split: dev").contains(
        "~/t.yaml:10: task 'pick': test_split: is 'dev', which data_files does not have; it has test or train"
    ));
    assert!(
        with("doc_to_text: '{{w}}'").contains("~/t.yaml:10: task 'pick': doc_to_text: 'w' is no field of ~/d.jsonl:1")
    );
    assert!(
        with("doc_to_target: 2")
            .contains("~/t.yaml:10: task 'pick': doc_to_target: is choice 2 at ~/d.jsonl:1; allowed is 0 to 1")
    );
    assert!(with("doc_to_target: q").contains("'a?' at ~/d.jsonl:1 is not among the choices"));
    assert!(
        with("metric_list: [{metric: shine}]")
            .contains("~/t.yaml:10: task 'pick': metric_list: 'shine' is a metric that bantam does not have")
    );
    assert!(with("metric_list: [{metric: acc, k: 3}]").contains("metric_list: 'k' of 'acc' is not known"));
    assert!(
        with("process_docs: !function utils.f")
            .contains("~/t.yaml:10: task 'pick': process_docs: 'utils.f' is a function of Python's")
    );
    assert!(with("process_docs: utils.f").contains("process_docs: is text; a function is needed"));
    assert!(with("custom_dataset: !function utils.f").contains("makes its data by a function of Python's"));
    assert!(with("unsafe_code: true").contains("runs what the model writes"));
    assert!(
        with("fewshot_config: {sampler: balanced}").contains("sampler is 'balanced'; allowed is default or first_n")
    );
    assert!(with("fewshot_config: {split: train, shots: 2}").contains("fewshot_config: 'shots' is not known here"));
    assert!(
        with("num_fewshot: 1\nfewshot_config: {samples: []}")
            .contains("~/t.yaml:11: task 'pick': fewshot_config: samples is empty")
    );
    assert!(with("include: no.yaml").contains("~/t.yaml:10: include: ~/no.yaml cannot be read"));
    assert!(with("a: [").starts_with("~/t.yaml:1") && with("a: [").contains("is no YAML: "), "{}", with("a: ["));
    assert!(with("dataset_path: org/name\ndataset_kwargs: {}").contains("test_split: org/name#test is on the hub"));
    assert!(with("dataset_kwargs: {data_files: {test: no.jsonl}}").contains("dataset_kwargs: 'no.jsonl' is no file"));
    assert!(said("dataset_path: json\n").contains("is neither a task nor a group"));
    assert!(said("- a\n").contains("~/t.yaml:1: is a list; a task's file holds keys"));
    assert!(said("task: x\nclass: !function task.X\n").contains("~/t.yaml: class: is a class of Python's"));
    let rows: String = (0..40)
        .map(|i| format!("{{\"q\": {}, \"choices\": [\"x\"], \"label\": 0}}\n", if i == 36 { "null" } else { "\"a\"" }))
        .collect();
    folder.write("d.jsonl", &rows);
    let item = with("doc_to_text: '{{q.strip()}}'");
    assert!(item.contains("~/t.yaml:10: task 'pick': doc_to_text: ") && item.contains("at ~/d.jsonl:37"), "{item}");
}

#[test]
fn lists_that_templates_write_are_read_as_python_reads_them() {
    let folder = Folder::of(&[("d.jsonl", "{\"q\": \"it's\", \"n\": [1, 2.0, null], \"right\": [\"a\", \"b\"]}\n")]);
    let one = |keys: &str| {
        let yaml = format!(
            "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: d.jsonl}}}}\ntest_split: test\n{keys}"
        );
        folder.write("t.yaml", &yaml);
        tasks(&folder.path().join("t.yaml").display().to_string()).remove(0)
    };
    let choice = one(
        "output_type: multiple_choice\ndoc_to_text: 'N {{n}} {{right}}'\ndoc_to_choice: \"['{{right[0]}}', \\\"{{q}}\\\"]\"\ndoc_to_target: '1'\n",
    );
    assert_eq!(asks(&choice), ["N [1, 2.0, None] ['a', 'b']| a", "N [1, 2.0, None] ['a', 'b']| it's"]);
    let dict =
        one("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: {A: '{{x}}', B: no}\ndoc_to_target: 0\n");
    assert_eq!(asks(&dict), ["it's| {{x}}", "it's| False"], "texts, and no templates");
    let generate = |target: &str| {
        let task = one(&format!("doc_to_text: q\ndoc_to_target: {target}\nmetric_list: [{{metric: exact_match}}]\n"));
        let mut keeper = Keeper { texts: vec!["b".into()], ..Keeper::default() };
        asked(&task, &mut keeper)[0].scores[0].value
    };
    assert_eq!(
        [generate("right"), generate("'{{right}}'"), generate("[a, c]"), generate("\"['{{right[1]}}']\"")],
        [1.0, 1.0, 0.0, 1.0]
    );
}

#[test]
fn a_suite_names_task_files_beside_its_own_tasks() {
    let folder = Folder::of(&[("t/pick.yaml", &CHOICE.replace("d.jsonl", "../d.jsonl")), ("d.jsonl", DATA)]);
    let suite = |text: &str| {
        folder.write("s.toml", text);
        crate::load(&folder.path().join("s.toml").display().to_string())
    };
    let loaded = suite("[[task]]\nlm_eval = 't/pick.yaml'\nnum_fewshot = 1\n").expect("a suite");
    assert_eq!((loaded.tasks[0].suite.as_str(), loaded.tasks[0].name.as_str()), ("lm_eval", "pick"));
    assert!(asks(&loaded.tasks[0])[0].contains("?\nA: "), "an example stands before it");
    let named = suite("[[task]]\nlm_eval = 'pick'\ninclude_path = 't'\n").expect("a suite");
    assert_eq!(named.tasks[0].name, "pick");
    let said = suite("[[task]]\nlm_eval = 'pick'\ndoc_to_text = 'x'\n").expect_err("refused").to_string();
    assert!(said.contains("s.toml: task 1: doc_to_text: means nothing beside lm_eval"), "{said}");
}

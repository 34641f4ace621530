//! Suites from outside: a user's files on disk, right and wrong, and a fake model that answers.

use super::*;
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::metric::Metric;
use bantam_core::record::ItemResult;
use std::collections::BTreeSet;
use std::path::Path;

mod answers;
mod strangers;
mod structured;

const CHOICE: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "multiple_choice"
doc_to_text = "Q: {{question}}\nA:"
doc_to_choice = ["yes", "no"]
doc_to_target = "answer"
"#;

const ANSWERS: &str = r#"{"question": "up?", "answer": "yes", "topic": "height", "n": 3}
{"question": "down?", "answer": "no", "topic": "depth", "n": 4}
"#;

/// A suite's file and its data, as a user would have them.
fn read(manifest: &str, files: &[(&str, &str)]) -> Result<Suite, Error> {
    let dir = tempfile::tempdir().expect("temp dir");
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("s.toml"), manifest).expect("write");
    for (name, text) in files {
        std::fs::write(at(name), text).expect("write");
    }
    let file = at("s.toml");
    load(file.to_str().expect("temp paths are UTF-8")).map_err(|e| forget(e, dir.path()))
}

/// The sentence without the temporary folder's name.
fn forget(error: Error, dir: &Path) -> Error {
    let text = error.to_string().replace(&format!("{}/", dir.display()), "");
    Error::Unknown { name: text, known: String::new() }
}

fn choice(edit: impl Fn(String) -> String, data: &str) -> Result<Suite, String> {
    read(&edit(CHOICE.into()), &[("d.jsonl", data), ("few.jsonl", ANSWERS)]).map_err(|e| match e {
        Error::Unknown { name, .. } => name,
        other => other.to_string(),
    })
}

fn only_task(suite: Suite) -> Task {
    let [task] = <[Task; 1]>::try_from(suite.tasks).expect("one task");
    task
}

/// A model that always says the same.
struct Parrot {
    says: &'static str,
    /// The log-likelihood of a continuation is that of this table, −9 for all others.
    likes: &'static [(&'static str, f64)],
    asked: Vec<String>,
}

impl Parrot {
    fn new(likes: &'static [(&'static str, f64)], says: &'static str) -> Parrot {
        Parrot { says, likes, asked: Vec::new() }
    }
}

impl LanguageModel for Parrot {
    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        let like = |text: &String| {
            let logprob = self.likes.iter().find(|(liked, _)| liked == text).map_or(-9.0, |(_, logprob)| *logprob);
            Loglikelihood { logprob, greedy: logprob > -1.0, tokens: 2, truncated: logprob < -8.0 }
        };
        self.asked.extend(requests.iter().map(|r| r.context.clone()));
        Ok(requests.iter().map(|r| r.continuations.iter().map(like).collect()).collect())
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>> {
        self.asked.extend(texts.iter().map(|text| text.to_string()));
        Ok(texts.iter().map(|text| Rolling { logprob: -(text.len() as f64), tokens: text.len() }).collect())
    }

    fn generate(&mut self, prompts: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        self.asked.extend(prompts.iter().map(|prompt| prompt.to_string()));
        let same = |_: &&str| Generated {
            text: self.says.into(),
            tokens: 5,
            truncated: false,
            stopped: StopReason::Until,
            thought: None,
            likelihood: None,
        };
        Ok(prompts.iter().map(same).collect())
    }
}

fn results(task: &Task, model: &mut dyn LanguageModel) -> Vec<ItemResult> {
    let mut items = Vec::new();
    ask(task, model, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item)).expect("a parrot does not fail");
    items
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_with_file_key_or_line_and_what_is_allowed() {
    let replace = |from: &'static str, to: &'static str| move |text: String| text.replace(from, to);
    let add = |line: &'static str| move |text: String| text + line + "\n";
    type Edit = Box<dyn Fn(String) -> String>;
    let cases: Vec<(Edit, &str, &str)> = vec![
        // TOML
        (Box::new(add("task = [")), ANSWERS, "s.toml:9: "),
        (
            Box::new(add("doc_to_txt = 'x'")),
            ANSWERS,
            "s.toml:9: unknown field `doc_to_txt` (doc_to_text?), expected one of `task`, `lm_eval`",
        ),
        (
            Box::new(|t| "nmae = 'x'\n".to_string() + &t),
            ANSWERS,
            "s.toml:1: unknown field `nmae` (name?), expected one of `name`",
        ),
        (
            Box::new(replace("\"multiple_choice\"", "\"choices\"")),
            ANSWERS,
            "s.toml:5: unknown variant `choices`, expected one of `multiple_choice`",
        ),
        (Box::new(replace("[\"yes\", \"no\"]", "3")), ANSWERS, "s.toml:7: expected a list of templates"),
        (Box::new(add("num_fewshot = -1")), ANSWERS, "s.toml:9: "),
        (
            Box::new(add("filter_list = [{ name = 'x', filter = [{ function = 'trim' }] }]")),
            ANSWERS,
            "unknown variant `trim`, expected one of `regex`",
        ),
        (
            Box::new(|_| "name = 'x'".to_string()),
            ANSWERS,
            "s.toml: task: there is none; a suite needs at least one [[task]]",
        ),
        (Box::new(|t| t.clone() + &t), ANSWERS, "s.toml: task: names 't' twice"),
        // keys
        (Box::new(replace("task = \"t\"", "")), ANSWERS, "s.toml: task 1: has no name; write task ="),
        (
            Box::new(replace("data = \"d.jsonl\"", "")),
            ANSWERS,
            "s.toml: task 't': has no data; write data = \"FILE.jsonl\"",
        ),
        (
            Box::new(replace("d.jsonl", "e.jsonl")),
            ANSWERS,
            "s.toml: task 't': data: e.jsonl cannot be read: No such file",
        ),
        (
            Box::new(replace("doc_to_choice = [\"yes\", \"no\"]", "")),
            ANSWERS,
            "s.toml: task 't': has no doc_to_choice; write",
        ),
        (
            Box::new(add("metric_list = [{ metric = 'bleu' }]")),
            ANSWERS,
            "task 't': metric_list: 'bleu' is no metric here; allowed for multiple_choice is acc, acc_norm, acc_bytes, acc_mutual_info, mc2, brier_score, exact_match",
        ),
        (Box::new(add("metric_list = [{ metric = 'decode_tps' }]")), ANSWERS, "'decode_tps' is no metric here"),
        (
            Box::new(add("metric_list = [{ metric = 'acc', aggregation = 'sum' }]")),
            ANSWERS,
            "aggregation of 'acc' must be \"mean\"",
        ),
        (Box::new(add("metric_list = [{ metric = 'acc', ignore_case = true }]")), ANSWERS, "'acc' compares no text"),
        (
            Box::new(add("generation_kwargs = { until = ['x'] }")),
            ANSWERS,
            "task 't': generation_kwargs: means nothing for output_type multiple_choice",
        ),
        (Box::new(add("num_fewshot = 2")), ANSWERS, "task 't': num_fewshot: is 2; there are 1 examples to show"),
        (
            Box::new(add("slices = ['topik']")),
            ANSWERS,
            "task 't': slices: 'topik' is no field of d.jsonl:1; its fields are question, answer, topic, n",
        ),
        // templates
        (
            Box::new(replace("{{question}}", "{{question")),
            ANSWERS,
            "s.toml: task 't': doc_to_text: is no template: syntax error: ",
        ),
        (
            Box::new(replace("{{question}}", "{{qestion}}")),
            ANSWERS,
            "s.toml: task 't': doc_to_text: 'qestion' is no field of d.jsonl:1; its fields are question, answer, topic, n",
        ),
        (
            Box::new(replace("{{question}}", "{{question.title}}")),
            ANSWERS,
            "doc_to_text: undefined value at d.jsonl:1; its fields are question",
        ),
        (
            Box::new(replace("{{question}}", "{{question|shout}}")),
            ANSWERS,
            "doc_to_text: unknown filter: filter shout is unknown at d.jsonl:1",
        ),
        (
            Box::new(replace("\"Q: {{question}}\\nA:\"", "\"qestion\"")),
            ANSWERS,
            "doc_to_text: 'qestion' is no field of d.jsonl:1; its fields are question, answer, topic, n; write a field's name or a template",
        ),
        (
            Box::new(replace("[\"yes\", \"no\"]", "\"{{chioces}}\"")),
            ANSWERS,
            "doc_to_choice: 'chioces' is no field of d.jsonl:1",
        ),
        (
            Box::new(replace("[\"yes\", \"no\"]", "\"topic\"")),
            ANSWERS,
            "doc_to_choice: field 'topic' of d.jsonl:1 is text; choices are a list",
        ),
        (
            Box::new(replace("[\"yes\", \"no\"]", "\"a {{topic}}\"")),
            ANSWERS,
            "doc_to_choice: gives no list at d.jsonl:1",
        ),
        // items
        (Box::new(|t| t), "", "d.jsonl:1: has no items"),
        (Box::new(|t| t), "{\"question\": \"a\", \"answer\": \"no\"}\nno json\n", "d.jsonl:2: is no JSON"),
        (
            Box::new(|t| t),
            "{\"question\": \"a\", \"answer\": \"no\"}\n{\"question\": \"b\"}\n",
            "task 't': doc_to_target: 'answer' is no field of d.jsonl:2; its fields are question",
        ),
        (
            Box::new(|t| t),
            "{\"question\": \"a\", \"answer\": \"maybe\"}",
            "doc_to_target: 'maybe' at d.jsonl:1 is not among the choices; allowed is 'yes', 'no' or an index",
        ),
        (
            Box::new(|t| t),
            "{\"question\": \"a\", \"answer\": 2}",
            "doc_to_target: is choice 2 at d.jsonl:1; allowed is 0 to 1",
        ),
        (
            Box::new(|t| t),
            "{\"question\": \"a\", \"answer\": -1}",
            "doc_to_target: field 'answer' of d.jsonl:1 is below 0",
        ),
        (
            Box::new(|t| t),
            "{\"question\": \"a\", \"answer\": null}",
            "doc_to_target: field 'answer' of d.jsonl:1 is null, or an empty cell; text, a number or a list",
        ),
        (Box::new(|t| t), "{\"question\": \"a\", \"answer\": []}", "doc_to_target: is an empty list at d.jsonl:1"),
        (
            Box::new(replace("[\"yes\", \"no\"]", "[]")),
            ANSWERS,
            "doc_to_choice: there are no choices at d.jsonl:1; at least one",
        ),
        (
            Box::new(replace("[\"yes\", \"no\"]", "[\"yes\", \"\"]")),
            ANSWERS,
            "doc_to_choice: choice 1 is empty at d.jsonl:1",
        ),
        (
            Box::new(replace("[\"yes\", \"no\"]", "\"answer\"")),
            "{\"question\": \"a\", \"answer\": []}",
            "doc_to_choice: there are no choices at d.jsonl:1",
        ),
    ];
    for (edit, data, expected) in cases {
        let message = choice(edit, data).expect_err(expected);
        assert!(message.contains(expected), "{message}\nshould say: {expected}");
        assert!(!message.contains('\n'), "{message}");
    }
    let unknown = load("no-such-suite").expect_err("no such suite").to_string();
    assert!(unknown.contains("'no-such-suite' is no suite: write ") && unknown.contains("TOML"), "{unknown}");
    let missing = load("no/such/suite.toml").expect_err("no such file").to_string();
    assert!(missing.starts_with("no/such/suite.toml: cannot be read: "), "{missing}");
}

#[test]
fn generation_keys_are_checked() {
    let generate = |line: &str| {
        let text =
            CHOICE.replace("multiple_choice", "generate_until").replace("doc_to_choice = [\"yes\", \"no\"]", line);
        read(&text, &[("d.jsonl", ANSWERS)]).map_err(|e| e.to_string())
    };
    let cases = [
        ("generation_kwargs = { max_gen_toks = 0 }", "generation_kwargs: max_gen_toks: is 0; at least 1"),
        ("generation_kwargs = { until = [''] }", "generation_kwargs: until: has an empty stop string"),
        ("generation_kwargs = { temperature = -1.0 }", "temperature: is -1; allowed is 0 (greedy) or more"),
        ("generation_kwargs = { temperature = nan }", "temperature: is NaN"),
        ("generation_kwargs = { top_p = 2.0 }", "top_p: is 2; allowed is 0 to 1"),
        ("generation_kwargs = { do_sample = true, temperature = 0.0 }", "do_sample: is true with a temperature of 0"),
        ("generation_kwargs = { stop = ['x'] }", "unknown field `stop`, expected one of `until`"),
        (
            "filter_list = [{ name = 'a', filter = [{ function = 'regex', regex_pattern = '(' }] }]",
            "filter_list: a: regex_pattern: '(' is no regular expression",
        ),
        ("filter_list = [{ name = 'a', filter = [] }, { name = 'a', filter = [] }]", "filter_list: names 'a' twice"),
        (
            "metric_list = [{ metric = 'exact_match', regexes_to_ignore = ['['] }]",
            "regexes_to_ignore: '[' is no regular expression",
        ),
    ];
    for (line, expected) in cases {
        let message = generate(line).expect_err(line);
        assert!(message.contains(expected), "{message}\nshould say: {expected}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(generate("generation_kwargs = { until = ['x'], temperature = 0.5, top_k = 4 }").is_ok());
}

#[test]
fn choices_are_scored_sliced_and_paired() {
    let edit = |text: String| text + "slices = ['topic']\ngap = 'n'\npair = 'topic'\n";
    let task = only_task(choice(edit, ANSWERS).expect("valid"));
    assert_eq!(task.metrics(), [Metric::Acc, Metric::AccNorm]);
    assert_eq!((task.chance(), task.gap.as_deref()), (Some(0.5), Some("n")));

    let mut parrot = Parrot::new(&[(" yes", -2.0), (" no", -2.5)], "");
    let items = results(&task, &mut parrot);
    assert_eq!(parrot.asked, ["Q: up?\nA:", "Q: down?\nA:"]);
    assert_eq!(items.iter().map(|i| i.choice).collect::<Vec<_>>(), [Some(0), Some(0)]);
    assert_eq!(items.iter().map(|i| i.scores[0].value).collect::<Vec<_>>(), [1.0, 0.0]);
    // −2/3 per character against −2.5/2
    assert_eq!(items[1].score(Metric::AccNorm).map(|s| s.value), Some(0.0));
    assert_eq!((items[1].target.as_deref(), items[1].answer.as_deref()), (Some("no"), Some("yes")));
    assert_eq!(items[1].logprobs, [-2.0, -2.5]);
    assert_eq!(items[1].slices.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["n=4", "topic=depth"]);
    assert_eq!((items[1].pair.as_deref(), items[1].tokens), (Some("depth"), 4));
}

#[test]
fn items_of_one_cluster_say_so_and_others_keep_their_name() {
    let digest = |keys: &str| only_task(choice(|text| text + keys, ANSWERS).expect("valid")).reference().digest;
    let task = only_task(choice(|text| text + "cluster = 'topic'\n", ANSWERS).expect("valid"));
    let items = results(&task, &mut Parrot::new(&[(" yes", -2.0), (" no", -2.5)], ""));
    assert_eq!((items[1].cluster.as_deref(), items[1].pair.as_deref()), (Some("depth"), None));
    assert_ne!(digest("cluster = 'topic'\n"), digest(""), "what was measured without it is not taken for it");
    let refused = choice(|text| text + "cluster = 'nowhere'\n", ANSWERS).expect_err("no such field").to_string();
    assert!(refused.contains("cluster") && refused.contains("nowhere"), "{refused}");
}

#[test]
fn few_shot_examples_stand_before_the_question_and_never_show_the_question_itself() {
    let from_pool =
        |text: String| text + "fewshot_data = 'few.jsonl'\nnum_fewshot = 1\ndescription = \"On {{topic}}:\\n\\n\"\n";
    let task =
        only_task(choice(from_pool, "{\"question\": \"left?\", \"answer\": 1, \"topic\": \"sides\"}").expect("valid"));
    let mut parrot = Parrot::new(&[], "");
    results(&task, &mut parrot);
    assert_eq!(parrot.asked, ["On sides:\n\nQ: up?\nA: yes\n\nQ: left?\nA:"]);

    let from_itself = |text: String| text + "num_fewshot = 1\nfewshot_config = { sampler = 'first_n' }\n";
    let task = only_task(choice(from_itself, ANSWERS).expect("valid"));
    let mut parrot = Parrot::new(&[], "");
    results(&task, &mut parrot);
    assert_eq!(parrot.asked, ["Q: down?\nA: no\n\nQ: up?\nA:", "Q: up?\nA: yes\n\nQ: down?\nA:"]);
}

#[test]
fn templates_render_as_pythons_jinja_does() {
    let render = |template: &str, data: &str| {
        let text = CHOICE
            .replace("multiple_choice", "generate_until")
            .replace("doc_to_choice = [\"yes\", \"no\"]\n", "")
            .replace("\"Q: {{question}}\\nA:\"", &format!("'''{template}'''"))
            .replace("\"answer\"", "'x y'");
        let task = only_task(read(&text, &[("d.jsonl", data)]).expect("valid"));
        let mut parrot = Parrot::new(&[], "");
        results(&task, &mut parrot);
        parrot.asked.remove(0)
    };
    let data = r#"{"s": " a_b <&> ", "t": true, "n": null, "f": 3.0, "i": 7, "l": ["x", "y"], "o": {"a": 2, "z": 1}}"#;
    for (template, expected) in [
        ("{{s.strip().upper()}}\n", "A_B <&>\n"),
        ("{{t}} {{n}} {{f}} {{i + 1}}", "True None 3.0 8"),
        ("{{s.split('_')[0]}}|{{l|join('-')}}|{{l[1]}}", " a|x-y|y"),
        ("{% for x in l %}{{loop.index}}{{x}} {% endfor %}", "1x 2y "),
        ("{% if t and not n %}ok{% endif %}{{missing is defined}}", "okFalse"),
        ("{{o|tojson}} {{o.z}} {{o['a']}}", "{\"a\": 2, \"z\": 1} 1 2"),
        ("{{ '%s!' % i if false else s.find('_') }}", "2"),
    ] {
        assert_eq!(render(template, data), expected, "{template}");
    }
}

#[test]
fn choices_and_targets_come_in_every_form() {
    let gold = |line: &str, data: &str| {
        let edit = |text: String| text.replace("doc_to_choice = [\"yes\", \"no\"]\ndoc_to_target = \"answer\"", line);
        let items = only_task(choice(edit, data).expect(line)).items.json();
        let asked = &items[0]["request"]["choose"];
        let choices: Vec<String> = serde_json::from_value(asked["choices"].clone()).expect("texts");
        (choices.join(" "), serde_json::from_value::<Vec<usize>>(asked["gold"].clone()).expect("numbers"))
    };
    let data = r#"{"question": "q", "l": ["a", "b", 3], "i": 2, "many": [0, 2], "yes": true, "text": "b"}"#;
    for (line, choices, right) in [
        ("doc_to_choice = 'l'\ndoc_to_target = 'i'", "a b 3", vec![2]),
        ("doc_to_choice = '{{l}}'\ndoc_to_target = '{{i}}'", "a b 3", vec![2]),
        ("doc_to_choice = '{{l}}'\ndoc_to_target = '{{l.index(text)}}'", "a b 3", vec![1]),
        ("doc_to_choice = '{{ l[:2] }}'\ndoc_to_target = '{{text}}'", "a b", vec![1]),
        ("doc_to_choice = '{{ [text, \"c\"] }}'\ndoc_to_target = 'text'", "b c", vec![0]),
        ("doc_to_choice = ['{{l[0]}}!', 'z']\ndoc_to_target = 'yes'", "a! z", vec![1]),
        ("doc_to_choice = ['x', 'z']\ndoc_to_target = 1", "x z", vec![1]),
        ("doc_to_choice = 'l'\ndoc_to_target = 'many'", "a b 3", vec![0, 2]),
        ("doc_to_choice = 'l'\ndoc_to_target = '{{many}}'", "a b 3", vec![0, 2]),
    ] {
        assert_eq!(gold(line, data), (choices.to_string(), right), "{line}");
    }
}

#[test]
fn every_pipeline_of_filters_is_a_task_of_its_own() {
    let manifest = CHOICE.replace("multiple_choice", "generate_until").replace("doc_to_choice = [\"yes\", \"no\"]", "")
        + "filter_list = [{ name = 'first', filter = [{ function = 'regex', regex_pattern = '\\w+' }, { function = 'take_first' }] },\n\
           { name = 'last', filter = [{ function = 'regex', regex_pattern = '\\w+', group_select = -1 }] }]";
    let suite = read(&manifest, &[("d.jsonl", ANSWERS)]).expect("valid");
    assert_eq!(suite.tasks.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["t:first", "t:last"]);
    assert_ne!(suite.tasks[0].reference().digest, suite.tasks[1].reference().digest);
    let said = |task: &Task| {
        let items = results(task, &mut Parrot::new(&[], "yes or no"));
        items.iter().map(|i| (i.answer.clone().expect("generated"), i.scores[0].value)).collect::<Vec<_>>()
    };
    assert_eq!(said(&suite.tasks[0]), [("yes".to_string(), 1.0), ("yes".to_string(), 0.0)]);
    assert_eq!(said(&suite.tasks[1]), [("no".to_string(), 0.0), ("no".to_string(), 1.0)]);
}

#[test]
fn asking_resumes_stops_and_counts_what_was_cut() {
    let data: String = (0..100).map(|i| format!("{{\"question\": \"{i}\", \"answer\": {}}}\n", i % 2)).collect();
    let task = only_task(choice(|t| t, &data).expect("valid"));
    let skip: BTreeSet<usize> = (0..60).collect();
    let cancel = Cancel::new();
    let mut seen = Vec::new();
    let asked = ask(&task, &mut Parrot::new(&[], ""), &skip, &cancel, &mut |item| {
        seen.push(item.index);
        if item.index == 80 {
            cancel.cancel();
        }
    });
    // the batch in which the wish comes is answered as a whole
    assert_eq!(seen, (60..92).collect::<Vec<_>>());
    assert_eq!(asked.expect("a parrot does not fail"), Report { items: 32, truncated: 32, ..Report::default() });

    let error = ask(&task, &mut Parrot::new(&[(" yes", f64::NAN)], ""), &skip, &Cancel::new(), &mut |_| {});
    let error = format!("{:#}", error.expect_err("NaN"));
    assert!(error.contains("d.jsonl:61 of task 't'") && error.contains("not a number"), "{error}");
}

#[test]
fn a_tasks_digest_changes_with_all_that_decides_its_score_and_with_nothing_else() {
    let digest =
        |edit: &dyn Fn(String) -> String, data: &str| only_task(choice(edit, data).expect("valid")).reference().digest;
    let base = digest(&|t| t, ANSWERS);
    assert_eq!(base, digest(&|t| t + "\n# a comment", &format!("\n{ANSWERS}")));
    assert_eq!(base, digest(&|t| t.replace("{{question}}", "{{ question }}"), ANSWERS));
    for (what, other) in [
        ("template", digest(&|t| t.replace("Q:", "P:"), ANSWERS)),
        ("data", digest(&|t| t, &ANSWERS.replace("up", "left"))),
        ("target", digest(&|t| t, &ANSWERS.replace("\"yes\"", "\"no\""))),
        ("metric", digest(&|t| t + "metric_list = [{ metric = 'acc_norm' }]", ANSWERS)),
        ("few-shot", digest(&|t| t + "num_fewshot = 1", ANSWERS)),
        ("delimiter", digest(&|t| t + "target_delimiter = ''", ANSWERS)),
    ] {
        assert_ne!(base, other, "{what}");
    }
    let task = only_task(choice(|t| t, ANSWERS).expect("valid"));
    assert_ne!(base, task.limited(Some(1)).reference().digest);
}

#[test]
fn every_bundled_suite_loads_with_at_least_200_items() {
    let suites: Vec<Suite> = bantam_bundled::suites::names().map(|name| load(name).expect(name)).collect();
    assert!(suites.len() >= 6, "{} suites", suites.len());
    for suite in suites {
        assert_eq!(suite.file, format!("bundled:{}", suite.name));
        for task in &suite.tasks {
            assert!(task.items().len() >= 200, "{} has {} items", task.name, task.items().len());
        }
        assert_eq!(load(&suite.file).expect("by its full name").name, suite.name);
    }
}

/// Results are stored under a task's digest: it may change with the suite, and not with the code.
#[test]
fn bundled_tasks_keep_the_digests_under_which_their_results_are_stored() {
    let digests = [
        ("arithmetic", "6d070abb29a95b02"),
        ("extract", "b843f51db1d6224d"),
        ("needle", "e34b54150de3793c"),
        ("prose", "eddfc84216e8c222"),
        ("routing", "80b18c04d4c3df8b"),
        ("sentiment", "5cbbe8a4c90656a8"),
    ];
    for (name, digest) in digests {
        assert_eq!(only_task(load(name).expect(name)).reference().digest.0, digest, "{name}");
    }
}

#[test]
fn a_template_without_end_is_refused() {
    let edit = |text: String| {
        let forever = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        text.replace("Q: {{question}}", forever)
    };
    let message = choice(edit, ANSWERS).expect_err("no end");
    assert!(message.contains("doc_to_text: takes too long at d.jsonl:1"), "{message}");
}

#[test]
fn the_example_in_the_rooms_header_works() {
    let header = include_str!("../lib.rs").lines().map(|line| line.trim_start_matches("//!").trim_start_matches(' '));
    let lines = header.skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    let manifest = lines.collect::<Vec<_>>().join("\n");
    let (_, data) = manifest.split_once("\"tickets.jsonl\"").expect("it names its data");
    let data = data.trim_start().trim_start_matches("# ").lines().next().expect("one line of data").to_string();
    let task = only_task(read(&manifest, &[("tickets.jsonl", &data)]).expect("valid"));
    let items = results(&task, &mut Parrot::new(&[(" delivery", -1.0)], ""));
    assert_eq!(items[0].answer.as_deref(), Some("delivery"));
    assert_eq!(items[0].slices["language"], "en");
}

/// A model whose vectors are letter counts and whose head knows one word of each class.
struct Counter {
    /// The head's classes, if it has one.
    classes: &'static [&'static str],
    asked: Vec<String>,
}

impl Counter {
    fn new(classes: &'static [&'static str]) -> Counter {
        Counter { classes, asked: Vec::new() }
    }
}

impl LanguageModel for Counter {
    fn loglikelihood(&mut self, _: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        anyhow::bail!("it counts letters")
    }

    fn loglikelihood_rolling(&mut self, _: &[&str]) -> Result<Vec<Rolling>> {
        anyhow::bail!("it counts letters")
    }

    fn generate(&mut self, _: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        anyhow::bail!("it counts letters")
    }

    fn classes(&self) -> Option<Vec<String>> {
        (!self.classes.is_empty()).then(|| self.classes.iter().map(|class| class.to_string()).collect())
    }

    fn classify(&mut self, texts: &[TextPair]) -> Result<Vec<Classified>> {
        let say = |texts: &TextPair| {
            let whole = format!("{}|{}", texts.text, texts.pair.unwrap_or_default());
            let probabilities =
                self.classes.iter().map(|class| if whole.contains(class) { 0.5 } else { 0.0 }).collect();
            self.asked.push(whole);
            Classified { probabilities, tokens: 3, truncated: texts.text.len() > 20 }
        };
        Ok(texts.iter().map(say).collect())
    }

    fn embed(&mut self, texts: &[&str], settings: EmbedSettings) -> Result<Vec<Embedded>> {
        let count = |text: &&str| {
            self.asked.push(format!("{:?} {text}", settings.role));
            let letters = ('a'..='e').map(|letter| text.chars().filter(|c| *c == letter).count() as f32);
            Embedded { vector: letters.collect(), tokens: 2, truncated: text.len() > 20 }
        };
        Ok(texts.iter().map(count).collect())
    }
}

fn embedding(manifest: &str, files: &[(&str, &str)]) -> Result<Task, String> {
    let whole = format!("[[task]]\ntask = 't'\ndata = 'd.jsonl'\n{manifest}");
    read(&whole, files).map(only_task).map_err(|e| match e {
        Error::Unknown { name, .. } => name,
        other => other.to_string(),
    })
}

const CLASSES: &str = "output_type = 'classification'\ndoc_to_text = 'text'\ndoc_to_choice = ['good', 'bad']\n\
                       doc_to_target = 'label'\n";
const REVIEWS: &str = r#"{"text": "good one", "label": "good"}
{"text": "bad one", "label": 1}
{"text": "nothing", "label": "bad"}
"#;

#[test]
fn a_head_is_asked_its_classes_and_a_model_without_one_its_likelihoods() {
    let task = embedding(&format!("{CLASSES}doc_to_prompt = 'R: {{{{text}}}}\\nS:'"), &[("d.jsonl", REVIEWS)]);
    let task = task.map_err(|e| e.replace('\'', "\"")).expect("valid");
    assert_eq!((task.metrics(), task.chance()), (&[Metric::Acc, Metric::MacroF1, Metric::Mcc][..], Some(0.5)));
    let mut head = Counter::new(&["BAD", "bad", "GOOD", "good"]);
    let items = results(&task, &mut head);
    assert_eq!(head.asked, ["good one|", "bad one|", "nothing|"]);
    // the first class of a name is that name's, whatever its case
    assert_eq!(items.iter().map(|i| i.answer.as_deref()).collect::<Vec<_>>(), [Some("good"); 3]);

    let mut parrot = Parrot::new(&[(" good", -1.0), (" bad", -2.0)], "");
    let items = results(&task, &mut parrot);
    assert_eq!(parrot.asked[0], "R: good one\\nS:");
    assert_eq!(items.iter().map(|i| i.scores[0].value).collect::<Vec<_>>(), [1.0, 0.0, 0.0]);
    let f1 =
        Metric::MacroF1.aggregate(items.iter().filter_map(|i| i.score(Metric::MacroF1)).map(|s| (s.value, s.weight)));
    // one class is always found: F1 of it 2/4, of the other 0
    assert_eq!(f1, Some(0.25));
}

#[test]
fn classes_of_a_head_that_mean_one_choice_add_up() {
    let manifest = format!("{CLASSES}head_labels = [['one', 'good'], 'nothing']");
    let task = embedding(&manifest, &[("d.jsonl", REVIEWS)]).expect("valid");
    let items = results(&task, &mut Counter::new(&["good", "one", "nothing"]));
    assert_eq!(items.iter().map(|i| i.choice).collect::<Vec<_>>(), [Some(0), Some(0), Some(1)]);
    assert!((items[0].logprobs[0] - 1f64.ln()).abs() < 1e-9 && items[0].logprobs[1].is_finite());
    let error = ask(&task, &mut Counter::new(&["good", "one"]), &BTreeSet::new(), &Cancel::new(), &mut |_| {});
    let error = format!("{:#}", error.expect_err("no such class"));
    assert!(error.contains("'nothing' is no class of the model's head; it has good, one (0 to 1)"), "{error}");
}

#[test]
fn pairs_are_read_together_by_a_head() {
    let manifest = format!("{CLASSES}doc_to_pair = 'label'\ndoc_to_prompt = '{{{{text}}}}'");
    let data = "{\"text\": \"t\", \"label\": \"good\"}\n{\"text\": \"u\", \"label\": \"bad\"}";
    let mut head = Counter::new(&["good", "bad"]);
    let items = results(&embedding(&manifest, &[("d.jsonl", data)]).expect("valid"), &mut head);
    assert_eq!(head.asked, ["t|good", "u|bad"]);
    assert_eq!(items.iter().map(|i| i.scores[0].value).collect::<Vec<_>>(), [1.0, 1.0]);
}

const PAIRS: &str = "output_type = 'similarity'\ndoc_to_text = 'a'\ndoc_to_pair = 'b'\ndoc_to_target = 'score'\n";

#[test]
fn similarities_are_held_against_what_people_say() {
    let data = r#"{"a": "aa", "b": "a", "score": 5}
{"a": "ab", "b": "a", "score": "2.5"}
{"a": "c", "b": "de", "score": 0.0}
"#;
    let task = embedding(PAIRS, &[("d.jsonl", data)]).expect("valid");
    let mut model = Counter::new(&[]);
    let items = results(&task, &mut model);
    assert_eq!(model.asked[..2], ["Plain aa", "Plain a"]);
    let pairs: Vec<_> = items.iter().filter_map(|i| i.score(Metric::Spearman)).map(|s| (s.value, s.weight)).collect();
    assert_eq!(pairs.iter().map(|p| p.1).collect::<Vec<_>>(), [5.0, 2.5, 0.0]);
    assert!((pairs[0].0 - 1.0).abs() < 1e-6 && (pairs[1].0 - 0.5f64.sqrt()).abs() < 1e-6 && pairs[2].0 == 0.0);
    assert_eq!(Metric::Spearman.aggregate(pairs), Some(1.0));
    assert_eq!(
        (items[1].answer.as_deref(), items[1].target.as_deref(), items[1].tokens),
        (Some("0.7071"), Some("2.5"), 4)
    );

    let same = r#"{"a": "aabcde", "b": "aabcde", "score": 5}"#;
    let same = embedding(PAIRS, &[("d.jsonl", same)]).expect("valid");
    assert_eq!(results(&same, &mut Counter::new(&[]))[0].scores[0].value, 1.0, "exactly, so that equals tie");

    let dot = embedding(&format!("{PAIRS}similarity = 'dot'"), &[("d.jsonl", data)]).expect("valid");
    assert_eq!(results(&dot, &mut Counter::new(&[]))[0].scores[0].value, 2.0);
    assert_ne!(dot.reference().digest, task.reference().digest);
}

const SEARCH: &str = "output_type = 'retrieval'\ncorpus_data = 'c.jsonl'\nqrels_data = 'r.jsonl'\n";
const QUERIES: &str =
    "{\"_id\": \"q1\", \"text\": \"aab\"}\n{\"_id\": \"q2\", \"text\": \"c\"}\n{\"_id\": \"d1\", \"text\": \"a\"}";
const CORPUS: &str = r#"{"_id": "d1", "title": "a", "text": "a"}
{"_id": "d2", "title": "", "text": "ab"}
{"_id": "d3", "text": "c"}
"#;
const JUDGED: &str = r#"{"query-id": "q1", "corpus-id": "d2", "score": 1}
{"query_id": "d1", "corpus_id": "d2"}
{"query-id": "q2", "corpus-id": "d1", "score": 0}
{"query-id": "q9", "corpus-id": "d1", "score": 1}
"#;

#[test]
fn documents_are_searched_and_queries_without_answer_are_not_asked() {
    let files = [("d.jsonl", QUERIES), ("c.jsonl", CORPUS), ("r.jsonl", JUDGED)];
    let task = embedding(SEARCH, &files).expect("valid");
    let mut model = Counter::new(&[]);
    let items = results(&task, &mut model);
    assert_eq!(model.asked, ["Document a a", "Document ab", "Document c", "Query aab", "Query a"]);
    assert_eq!(
        items.iter().map(|i| (i.index, i.answer.as_deref())).collect::<Vec<_>>(),
        [(0, Some("d2")), (2, Some("d1"))]
    );
    assert_eq!(items[0].score(Metric::NdcgAt10).map(|s| s.value), Some(1.0));
    // found second: 1 / log2(3)
    assert!((items[1].score(Metric::NdcgAt10).expect("a score").value - 1.0 / 3f64.log2()).abs() < 1e-12);

    let itself = embedding(&format!("{SEARCH}ignore_identical_ids = true"), &files).expect("valid");
    assert_eq!(results(&itself, &mut Counter::new(&[]))[1].answer.as_deref(), Some("d2"));
    let other = CORPUS.replace("\"c\"", "\"e\"");
    let other = embedding(SEARCH, &[("d.jsonl", QUERIES), ("c.jsonl", &other), ("r.jsonl", JUDGED)]).expect("valid");
    assert_ne!(other.reference().digest, task.reference().digest, "the corpus decides the score");
}

const LEARN: &str = "output_type = 'embedding_classification'\ntrain_data = 'train.jsonl'\ndoc_to_text = 'text'\n\
                     doc_to_target = 'label'\n";
const TRAIN: &str = r#"{"text": "aab", "label": "x"}
{"text": "a", "label": "x"}
{"text": "dde", "label": "y"}
{"text": "e", "label": "y"}
"#;

#[test]
fn classes_are_learnt_from_embeddings() {
    let data = "{\"text\": \"ab\", \"label\": \"x\"}\n{\"text\": \"d\", \"label\": \"y\"}\n{\"text\": \"aaaaad\", \"label\": \"y\"}";
    let files = [("d.jsonl", data), ("train.jsonl", TRAIN)];
    for line in ["", "classifier = 'knn'\nneighbors = 1"] {
        let task = embedding(&format!("{LEARN}{line}"), &files).expect("valid");
        assert_eq!(task.chance(), Some(0.5));
        let mut model = Counter::new(&[]);
        let items = results(&task, &mut model);
        assert_eq!(items.iter().map(|i| i.answer.as_deref()).collect::<Vec<_>>(), [Some("x"), Some("y"), Some("x")]);
        assert_eq!(items.iter().map(|i| i.scores[0].value).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
        assert_eq!(model.asked.len(), 7);
    }
}

#[test]
fn a_cancel_while_documents_are_read_asks_nothing() {
    let cancel = Cancel::new();
    cancel.cancel();
    let task = embedding(SEARCH, &[("d.jsonl", QUERIES), ("c.jsonl", CORPUS), ("r.jsonl", JUDGED)]).expect("valid");
    let mut model = Counter::new(&[]);
    let asked = ask(&task, &mut model, &BTreeSet::new(), &cancel, &mut |_| {}).expect("no failure");
    assert_eq!((asked, model.asked.len()), (Report::default(), 0));
    let all: BTreeSet<usize> = (0..3).collect();
    ask(&task, &mut model, &all, &Cancel::new(), &mut |_| {}).expect("no failure");
    assert!(model.asked.is_empty(), "nothing is left to ask");
}

#[test]
fn a_model_that_cannot_embed_says_so() {
    let task = embedding(PAIRS, &[("d.jsonl", r#"{"a": "a", "b": "b", "score": 1}"#)]).expect("valid");
    let error = ask(&task, &mut Parrot::new(&[], ""), &BTreeSet::new(), &Cancel::new(), &mut |_| {});
    assert_eq!(error.expect_err("a parrot").to_string(), "this model gives no embeddings");
}

#[test]
fn what_is_wrong_with_tasks_on_embeddings_is_said_in_one_sentence() {
    let pairs = r#"{"a": "a", "b": "b", "score": "much"}"#;
    let twice = "{\"_id\": \"d1\", \"text\": \"a\"}\n{\"_id\": \"d1\", \"text\": \"b\"}";
    let lost = r#"{"query-id": "q1", "corpus-id": "d7"}"#;
    let bare = r#"{"corpus-id": "d1"}"#;
    let worth = r#"{"query-id": "q1", "corpus-id": "d1", "score": "high"}"#;
    let none = r#"{"query-id": "q1", "corpus-id": "d1", "score": 0}"#;
    let one = r#"{"text": "a", "label": "x"}"#;
    let other = r#"{"text": "a", "label": "z"}"#;
    let search = |corpus: &str, judged: &str| {
        embedding(SEARCH, &[("d.jsonl", QUERIES), ("c.jsonl", corpus), ("r.jsonl", judged)])
    };
    let sort = |line: &str, data: &str| embedding(&format!("{CLASSES}{line}"), &[("d.jsonl", data)]);
    let learn = |line: &str, data: &str, train: &str| {
        embedding(&format!("{LEARN}{line}"), &[("d.jsonl", data), ("train.jsonl", train)])
    };
    let cases = [
        (embedding(PAIRS, &[("d.jsonl", pairs)]), "doc_to_target: 'much' at d.jsonl:1 is no number"),
        (
            embedding(&PAIRS.replace("doc_to_pair = 'b'\n", ""), &[("d.jsonl", pairs)]),
            "task 't': has no doc_to_pair; write",
        ),
        (embedding(&format!("{PAIRS}pooling = 'middle'"), &[("d.jsonl", pairs)]), "unknown variant `middle`"),
        (
            embedding(&format!("{PAIRS}num_fewshot = 1"), &[("d.jsonl", pairs)]),
            "num_fewshot: means nothing for output_type similarity",
        ),
        (
            embedding(&format!("{PAIRS}metric_list = [{{ metric = 'acc' }}]"), &[("d.jsonl", pairs)]),
            "allowed for similarity is spearman or pearson",
        ),
        (search(twice, JUDGED), "corpus_to_id: 'd1' is there twice, again at c.jsonl:2"),
        (search(CORPUS, lost), "qrels_data: 'd7' at r.jsonl:1 is no document of corpus_data"),
        (search(CORPUS, bare), "qrels_data: 'query-id' is no field of r.jsonl:1"),
        (search(CORPUS, worth), "field 'score' of r.jsonl:1 is \"high\"; a number is needed"),
        (search(CORPUS, none), "qrels_data: names no document that answers one of the queries"),
        (embedding("output_type = 'retrieval'", &[("d.jsonl", QUERIES)]), "has no corpus_data; write corpus_data ="),
        (
            embedding(&format!("{SEARCH}doc_to_target = 'x'"), &[("d.jsonl", QUERIES)]),
            "doc_to_target: means nothing for output_type retrieval",
        ),
        (learn("", one, one), "train_data: has one class, x; at least two"),
        (learn("", other, TRAIN), "doc_to_target: 'z' at d.jsonl:1 is no class of train_data; there are x or y"),
        (learn("neighbors = 3", one, TRAIN), "neighbors: means nothing without classifier = \"knn\""),
        (learn("classifier = 'knn'\nneighbors = 5", one, TRAIN), "neighbors: is 5; allowed is 1 to 4"),
        (sort("head_labels = ['a']", REVIEWS), "head_labels: has 1 entries; one is needed for each of the 2 choices"),
        (sort("doc_to_pair = 'label'", REVIEWS), "has no doc_to_prompt; beside doc_to_pair"),
        (sort("", r#"{"text": "a", "label": ["good", "bad"]}"#), "names several classes at d.jsonl:1; one is right"),
        (
            embedding(
                &CLASSES.replace("['good', 'bad']", "['good']"),
                &[("d.jsonl", one.replace("\"x\"", "\"good\"").as_str())],
            ),
            "doc_to_choice: is one class",
        ),
        (
            embedding(
                &CLASSES.replace("['good', 'bad']", "'l'"),
                &[(
                    "d.jsonl",
                    "{\"text\": \"a\", \"label\": 0, \"l\": [\"a\", \"b\"]}\n{\"text\": \"a\", \"label\": 0, \"l\": [\"a\", \"c\"]}",
                )],
            ),
            "doc_to_choice: gives other choices for item 1",
        ),
    ];
    for (result, expected) in cases {
        let message = result.expect_err(expected);
        assert!(message.contains(expected), "{message}\nshould say: {expected}");
        assert!(!message.contains('\n'), "{message}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in "(\\PC|\n|[{}%\\[\\]=\"'|.:\\\\-]){0,60}", at in 0..4usize) {
        let quoted = toml::Value::String(text.clone()).to_string();
        let (manifest, data) = match at {
            0 => (format!("{CHOICE}{text}"), ANSWERS.to_string()),
            1 => (CHOICE.replace("\"Q: {{question}}\\nA:\"", &quoted), ANSWERS.to_string()),
            2 => (CHOICE.replace("[\"yes\", \"no\"]", &quoted), ANSWERS.to_string()),
            _ => (CHOICE.to_string(), text),
        };
        if let Err(e) = read(&manifest, &[("d.jsonl", &data)]) {
            proptest::prop_assert!(!e.to_string().contains('\n'), "{e}");
        }
    }
}

//! The reference runs of lm-evaluation-harness 0.4.13 on tiny random models: bantam asks the same, scores the same.
//! The files are described in tests/golden/lmeval/lmeval.toml and chat.toml.

use anyhow::Result;
use bantam::subject::LocalDecoder;
use bantam_core::cancel::Cancel;
use bantam_core::chat::{ApplyChatTemplate, Chat};
use bantam_core::metric::Metric;
use bantam_core::record::{Id, ItemResult};
use bantam_eval::{
    ChatStyle, Continuations, Generated, GenerationSettings, LanguageModel, Loglikelihood, Message, Rolling,
    StopReason, Suite, Task, Written, ask, load, load_as,
};
use bantam_model::{self as model, KvType, LoadOptions, Model};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// What lm-evaluation-harness said of one task.
#[derive(Deserialize)]
struct Recorded {
    scores: BTreeMap<Metric, f64>,
    items: Vec<RecordedItem>,
}

#[derive(Deserialize)]
struct RecordedItem {
    /// The first 16 digits of the SHA-256 of all that was asked, each text ended by U+001F.
    asked: String,
    #[serde(default)]
    logprobs: Vec<f64>,
    /// Which of the continuations are greedy.
    #[serde(default)]
    greedy: Vec<usize>,
    /// What was generated, and what the filters left of it.
    text: Option<String>,
    answer: Option<String>,
    /// Per metric the value, or the weight where the value is a log-likelihood.
    scores: BTreeMap<Metric, f64>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lmeval")
}

fn recorded(name: &str) -> BTreeMap<String, Recorded> {
    let text = std::fs::read_to_string(golden().join(name).with_extension("json")).expect("a golden file");
    serde_json::from_str(&text).expect("of this shape")
}

fn suite() -> Suite {
    load(golden().join("lmeval.toml").to_str().expect("a UTF-8 path")).expect("a valid suite")
}

/// Gives the recorded answers, in order, and keeps what it was asked: a text for each answer.
struct Replay {
    likelihoods: VecDeque<Loglikelihood>,
    texts: VecDeque<String>,
    asked: VecDeque<String>,
}

impl Replay {
    fn of(items: &[RecordedItem]) -> Replay {
        let likelihood = |item: &RecordedItem, i: usize| Loglikelihood {
            logprob: item.logprobs[i],
            greedy: item.greedy.contains(&i),
            tokens: 1,
            truncated: false,
        };
        let all = items.iter().flat_map(|item| (0..item.logprobs.len()).map(move |i| likelihood(item, i)));
        let texts = items.iter().filter_map(|item| item.text.clone()).collect();
        Replay { likelihoods: all.collect(), texts, asked: VecDeque::new() }
    }

    /// The digest of all that was asked for the next item.
    fn digest_of_next(&mut self, item: &RecordedItem) -> String {
        let answers = item.logprobs.len() + usize::from(item.text.is_some());
        Id::of_bytes(self.asked.drain(..answers).collect::<String>().as_bytes()).0
    }
}

impl LanguageModel for Replay {
    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        for Continuations { context, continuations } in requests {
            let pair = |continuation: &String| format!("{context}\u{1f}{continuation}\u{1f}");
            self.asked.extend(continuations.iter().map(pair));
        }
        let counts = requests.iter().map(|request| request.continuations.len());
        Ok(counts.map(|n| self.likelihoods.drain(..n).collect()).collect())
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>> {
        self.asked.extend(texts.iter().map(|text| format!("{text}\u{1f}")));
        let answers = self.likelihoods.drain(..texts.len());
        Ok(answers.map(|answer| Rolling { logprob: answer.logprob, tokens: 1 }).collect())
    }

    fn generate(&mut self, prompts: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        self.asked.extend(prompts.iter().map(|prompt| format!("{prompt}\u{1f}")));
        let texts = self.texts.drain(..prompts.len());
        Ok(texts
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

fn results(task: &Task, model: &mut dyn LanguageModel) -> Vec<ItemResult> {
    let mut items = Vec::new();
    ask(task, model, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item)).expect("every item is answered");
    items
}

/// Per item the same scores and answers, and per task the same score: to 1e-4, relative where the score is above 1.
fn agree(task: &Task, items: &[ItemResult], recorded: &Recorded, case: &str) {
    assert_eq!(items.len(), recorded.items.len(), "{case}");
    for (item, expected) in items.iter().zip(&recorded.items) {
        for (&metric, &value) in &expected.scores {
            let score = item.score(metric).unwrap_or_else(|| panic!("{case}: {metric} is missing"));
            let perplexity = matches!(metric, Metric::WordPerplexity | Metric::BytePerplexity | Metric::BitsPerByte);
            let ours = if perplexity { score.weight } else { score.value };
            assert_eq!(ours, value, "{case}: {metric} of item {}", item.index);
        }
        if let Some(answer) = &expected.answer {
            assert_eq!(item.answer.as_ref(), Some(answer), "{case}: item {}", item.index);
        }
        for (ours, theirs) in item.logprobs.iter().zip(&expected.logprobs) {
            assert!((ours - theirs).abs() < 1e-3, "{case}: item {}: {ours} for {theirs}", item.index);
        }
        assert_eq!(item.logprobs.len(), expected.logprobs.len(), "{case}");
        assert_eq!(item.choice, best(expected, task), "{case}: choice of item {}", item.index);
    }
    for (&metric, &theirs) in &recorded.scores {
        let scores = items.iter().filter_map(|item| item.score(metric)).map(|s| (s.value, s.weight));
        let ours = metric.aggregate(scores).expect("there are items");
        assert!((ours - theirs).abs() < 1e-4 * theirs.max(1.0), "{case}: {metric} is {ours} for {theirs}");
    }
}

/// The choice that the recorded log-likelihoods take.
fn best(item: &RecordedItem, task: &Task) -> Option<usize> {
    let chosen = task.output_type() == "multiple_choice";
    let first_best = item.logprobs.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first_best.map(|(index, _)| index).filter(|_| chosen)
}

/// The model that a reference run was made with.
fn model(folder: &str, max_length: Option<usize>) -> Model {
    let folder = golden().join("../model").join(folder);
    // as transformers keeps keys and values; of weights drawn by chance many answers are nearly as likely as the first
    let options = LoadOptions { max_length, kv: KvType::F32, ..LoadOptions::default() };
    model::load(folder.as_path(), &options).expect("a complete checkpoint")
}

#[test]
fn asks_what_lm_eval_asked_and_scores_its_answers_as_it_did() {
    let suite = suite();
    for name in ["llama", "llama_spm", "llama_128"] {
        for (task_name, recorded) in recorded(name) {
            let case = format!("{name} {task_name}");
            let task = suite.tasks.iter().find(|t| t.name == task_name).expect(&case);
            let mut replay = Replay::of(&recorded.items);
            agree(task, &results(task, &mut replay), &recorded, &case);
            for (index, expected) in recorded.items.iter().enumerate() {
                assert_eq!(replay.digest_of_next(expected), expected.asked, "{case}: item {index}");
            }
            assert!(replay.asked.is_empty(), "{case}: more was asked");
        }
    }
}

#[test]
fn models_answer_as_they_did_in_lm_eval() {
    let suite = suite();
    for (name, folder, max_length) in
        [("llama", "llama", None), ("llama_spm", "llama_spm", None), ("llama_128", "llama", Some(128))]
    {
        let model = model(folder, max_length);
        for (task_name, recorded) in recorded(name) {
            let case = format!("{name} {task_name}");
            let task = suite.tasks.iter().find(|t| t.name == task_name).expect(&case);
            agree(task, &results(task, &mut LocalDecoder::new(&model, 0)), &recorded, &case);
        }
    }
}

/// The ways in which lm-evaluation-harness asked the tasks of chat.toml: `WAYS` in xtask/goldens/lmeval.py.
fn ways() -> [(&'static str, Chat); 4] {
    let way = |template: bool, turns: bool, system: bool| Chat {
        apply_chat_template: Some(ApplyChatTemplate::Whether(template)),
        fewshot_as_multiturn: Some(turns),
        system_instruction: system.then(|| "Be brief.".into()),
        ..Chat::default()
    };
    [
        ("plain", way(false, false, true)),
        ("turns", way(true, true, false)),
        ("turns_system", way(true, true, true)),
        ("one_turn", way(true, false, true)),
    ]
}

/// Gives the recorded answers, and writes conversations as the model does.
struct Talker<'a> {
    replay: Replay,
    writer: LocalDecoder<'a>,
}

impl LanguageModel for Talker<'_> {
    fn write_chat(&mut self, messages: &[Message], style: &ChatStyle) -> Result<Written> {
        self.writer.write_chat(messages, style)
    }

    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        self.replay.loglikelihood(requests)
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>> {
        self.replay.loglikelihood_rolling(texts)
    }

    fn generate(&mut self, prompts: &[&str], settings: &GenerationSettings) -> Result<Vec<Generated>> {
        self.replay.generate(prompts, settings)
    }
}

#[test]
fn conversations_are_those_of_lm_eval_and_are_answered_as_there() {
    let (model, all) = (model("llama", None), recorded("chat"));
    let mut cases = 0;
    for (way, chat) in ways() {
        let suite = load_as(golden().join("chat.toml").to_str().expect("a UTF-8 path"), &chat, &|_| unreachable!());
        for task in suite.expect("a valid suite").tasks {
            let task = task.limited(Some(8));
            let case = format!("{}@{way}", task.name);
            let recorded = all.get(&case).expect(&case);
            let mut talker = Talker { replay: Replay::of(&recorded.items), writer: LocalDecoder::new(&model, 0) };
            agree(&task, &results(&task, &mut talker), recorded, &case);
            for (index, expected) in recorded.items.iter().enumerate() {
                assert_eq!(talker.replay.digest_of_next(expected), expected.asked, "{case}: item {index}");
            }
            agree(&task, &results(&task, &mut LocalDecoder::new(&model, 0)), recorded, &case);
            cases += 1;
        }
    }
    assert_eq!(cases, all.len());
}

/// Results are stored under a task's digest: it may change with the task, and not with the code.
#[test]
fn tasks_keep_the_digests_under_which_their_results_are_stored() {
    let digests = [
        ("lmeval/lmeval.toml orc_cloze", "d50da172577d0fdc"),
        ("lmeval/lmeval.toml orc_gen:strict-match", "1e8a2423d1830b5d"),
        ("lmeval/lmeval.toml orc_gen:flexible-extract", "4710b49799cfe14a"),
        ("lmeval/lmeval.toml orc_mc", "5046b074ab9204be"),
        ("lmeval/lmeval.toml orc_mc_fs2", "e053230d5a747b9c"),
        ("lmeval/lmeval.toml orc_mc_letter", "7f042fcfc1f3ecb3"),
        ("lmeval/lmeval.toml orc_ppl", "24b4bc6e2e637d81"),
        ("lmeval/lmeval.toml orc_wino", "2ae20b5b7597192d"),
        ("embedding/embedding.toml sts", "460437ef750b71ac"),
        ("embedding/embedding.toml search", "34e644c911a7949c"),
        ("embedding/embedding.toml topic_probe", "9506d2a5ab5f9a23"),
        ("embedding/embedding.toml topic_knn", "f59fcf5514e823c3"),
        ("embedding/head.toml topic_head", "119d1f17e982fcb7"),
    ];
    let found =
        ["lmeval/lmeval.toml", "embedding/embedding.toml", "embedding/head.toml"].into_iter().flat_map(|file| {
            let path = golden().join("..").join(file);
            let suite = load(path.to_str().expect("a UTF-8 path")).expect("a valid suite");
            suite.tasks.into_iter().map(move |task| (format!("{file} {}", task.name), task.reference().digest.0))
        });
    let found: Vec<(String, String)> = found.collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, digest)| (name.as_str(), digest.as_str())).collect();
    assert_eq!(found, digests);
}

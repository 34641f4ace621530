//! Task files as lm-evaluation-harness 0.4.13 read them: what it asked a tiny model of each item, and what it made of the
//! answers. The files and how they are made again stand in tests/golden/lmeval_yaml and xtask/goldens/lmeval_yaml.py.

use super::tests::{asked, load_all};
use super::*;
use crate::model::{Continuations, Generated, GenerationSettings, LanguageModel, Loglikelihood, Rolling, StopReason};
use bantam_core::metric::Metric;
use bantam_core::record::Id;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Recorded {
    scores: BTreeMap<Metric, f64>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The first 16 digits of the SHA-256 of all that was asked, each text ended by U+001F.
    asked: String,
    #[serde(default)]
    logprobs: Vec<f64>,
    #[serde(default)]
    greedy: Vec<usize>,
    text: Option<String>,
    answer: Option<String>,
    scores: BTreeMap<Metric, f64>,
}

/// Gives the recorded answers in order, and keeps what it was asked.
struct Replay {
    likelihoods: VecDeque<Loglikelihood>,
    texts: VecDeque<String>,
    asked: VecDeque<String>,
}

impl LanguageModel for Replay {
    fn loglikelihood(&mut self, requests: &[Continuations]) -> anyhow::Result<Vec<Vec<Loglikelihood>>> {
        for Continuations { context, continuations } in requests {
            self.asked.extend(continuations.iter().map(|continuation| format!("{context}\u{1f}{continuation}\u{1f}")));
        }
        let counts = requests.iter().map(|request| request.continuations.len());
        Ok(counts.map(|n| self.likelihoods.drain(..n).collect()).collect())
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> anyhow::Result<Vec<Rolling>> {
        self.asked.extend(texts.iter().map(|text| format!("{text}\u{1f}")));
        let answers = self.likelihoods.drain(..texts.len());
        Ok(answers.map(|answer| Rolling { logprob: answer.logprob, tokens: 1 }).collect())
    }

    fn generate(&mut self, prompts: &[&str], _: &GenerationSettings) -> anyhow::Result<Vec<Generated>> {
        self.asked.extend(prompts.iter().map(|prompt| format!("{prompt}\u{1f}")));
        let texts = self.texts.drain(..prompts.len());
        let said = |text| Generated {
            text,
            tokens: 1,
            truncated: false,
            stopped: StopReason::Until,
            thought: None,
            likelihood: None,
        };
        Ok(texts.map(said).collect())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/lmeval_yaml")
}

/// The name of a task of the golden folder, and of no other.
fn named(task: &str) -> String {
    LmEvalTask { name: task.into(), include_path: vec![folder()], ..LmEvalTask::default() }.to_string()
}

const NAMES: [&str; 6] = ["all", "itself", "endings", "say", "pages", "last"];

/// Samplers, `process_docs`, includes, groups with keys of their own, filters, words counted before a text is made readable.
#[test]
fn task_files_ask_what_lm_eval_asked_of_them_and_score_as_it_did() {
    let text = std::fs::read_to_string(folder().join("llama.json")).expect("a golden file");
    let recorded: BTreeMap<String, Recorded> = serde_json::from_str(&text).expect("of this shape");
    let tasks: Vec<_> = NAMES.iter().flat_map(|name| load_all(&named(name))).collect();
    assert_eq!(tasks.len(), recorded.len());
    for task in &tasks {
        let recorded = recorded.get(&task.name).unwrap_or_else(|| panic!("{} was not recorded", task.name));
        let likelihood = |item: &Item, i: usize| Loglikelihood {
            logprob: item.logprobs[i],
            greedy: item.greedy.contains(&i),
            tokens: 1,
            truncated: false,
        };
        let all = recorded.items.iter().flat_map(|item| (0..item.logprobs.len()).map(move |i| likelihood(item, i)));
        let texts = recorded.items.iter().filter_map(|item| item.text.clone()).collect();
        let mut replay = Replay { likelihoods: all.collect(), texts, asked: VecDeque::new() };
        let items = asked(task, &mut replay);
        assert_eq!(items.len(), recorded.items.len(), "{}", task.name);
        for (item, expected) in items.iter().zip(&recorded.items) {
            let answers = expected.logprobs.len() + usize::from(expected.text.is_some());
            let said: String = replay.asked.drain(..answers).collect();
            assert_eq!(Id::of_bytes(said.as_bytes()).0, expected.asked, "{}: item {}: {said:?}", task.name, item.index);
            if let Some(answer) = &expected.answer {
                assert_eq!(item.answer.as_ref(), Some(answer), "{}: item {}", task.name, item.index);
            }
            for (&metric, &value) in &expected.scores {
                let score = item.score(metric).unwrap_or_else(|| panic!("{}: {metric} is missing", task.name));
                let weighted = matches!(metric, Metric::WordPerplexity | Metric::BytePerplexity | Metric::BitsPerByte);
                let ours = if weighted { score.weight } else { score.value };
                assert_eq!(ours, value, "{}: {metric} of item {}", task.name, item.index);
            }
        }
        for (&metric, &theirs) in &recorded.scores {
            let scores = items.iter().filter_map(|item| item.score(metric)).map(|s| (s.value, s.weight));
            let ours = metric.aggregate(scores).expect("there are items");
            assert!((ours - theirs).abs() < 1e-4 * theirs.max(1.0), "{}: {metric} is {ours} for {theirs}", task.name);
        }
    }
}

//! Scores of texts and choices against lm-evaluation-harness, sacrebleu, rouge_score and scikit-learn: the values of
//! xtask/goldens/metrics.py.

use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Goldens {
    texts: Vec<Text>,
    corpus: BTreeMap<String, f64>,
    choices: Vec<Asked>,
    of_choices: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Text {
    said: String,
    right: Vec<String>,
    #[serde(flatten)]
    scores: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Asked {
    asked: Vec<f64>,
    alone: Vec<f64>,
    gold: usize,
}

#[derive(Deserialize)]
struct Words {
    texts: Vec<Edited>,
    ter: f64,
    stems: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Edited {
    said: String,
    right: Vec<String>,
    edits: f64,
    length: f64,
    #[serde(flatten)]
    rouge: BTreeMap<String, f64>,
}

fn words() -> Words {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/metrics/words.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("a golden file")).expect("of this shape")
}

fn goldens() -> Goldens {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/metrics/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("a golden file")).expect("of this shape")
}

fn of_text(metric: Metric, text: &str, targets: &[String]) -> Score {
    let score = scorer(metric).and_then(|scorer| scorer.of_generated).expect("a metric of texts");
    score(&GeneratedText { text, raw: text, cut: false, targets, ignoring: &ExactMatch::default(), passed: None })
}

fn aggregate(metric: Metric, scores: impl Iterator<Item = Score>) -> f64 {
    metric.aggregate(scores.map(|score| (score.value, score.weight))).expect("a score")
}

#[test]
fn what_texts_have_in_common_is_what_rouge_score_says() {
    for text in goldens().texts {
        for (name, want) in &text.scores {
            let metric = Metric::parse(name).expect(name);
            let got = of_text(metric, &text.said, &text.right).value;
            assert!((got - want).abs() < 1e-8, "{name} of {:?} and {:?}: {got} for {want}", text.said, text.right);
        }
        assert_eq!(text.scores.len(), 4);
    }
}

#[test]
fn a_corpus_scores_as_sacrebleu_has_it() {
    let Goldens { texts, corpus, .. } = goldens();
    for (name, metric) in [("bleu", Metric::Bleu), ("chrf", Metric::Chrf)] {
        let one = aggregate(metric, texts.iter().map(|text| of_text(metric, &text.said, &text.right[..1])));
        assert!((one - corpus[name]).abs() < 1e-9, "{name}: {one} for {}", corpus[name]);
        let several = texts.iter().filter(|text| text.right.len() == 2);
        let two = aggregate(metric, several.map(|text| of_text(metric, &text.said, &text.right)));
        let want = corpus[&format!("{name}_of_two")];
        assert!((two - want).abs() < 1e-9, "{name} of two: {two} for {want}");
    }
}

#[test]
fn edits_and_shifts_are_those_of_sacrebleu() {
    let Words { texts, ter, .. } = words();
    for Edited { said, right, edits, length, .. } in &texts {
        let Score { value, weight } = of_text(Metric::Ter, said, right);
        assert!(
            (weight - length).abs() < 1e-9 && (value * weight - edits).abs() < 1e-6,
            "{said:?} {right:?}: {} for {edits}",
            value * weight
        );
    }
    let one = aggregate(Metric::Ter, texts.iter().map(|text| of_text(Metric::Ter, &text.said, &text.right[..1])));
    assert!((one - ter).abs() < 1e-9, "{one} for {ter}");
}

#[test]
fn words_without_their_endings_are_those_of_rouge_score() {
    let Words { texts, stems, .. } = words();
    assert!(stems.len() > 1000);
    for (word, want) in &stems {
        assert_eq!(super::stem::stem(word), *want, "{word}");
    }
    let stemming = ExactMatch::stemming();
    for text in &texts {
        for (name, want) in &text.rouge {
            let score =
                scorer(Metric::parse(name).expect(name)).and_then(|scorer| scorer.of_generated).expect("of texts");
            let item = GeneratedText {
                text: &text.said,
                raw: &text.said,
                cut: false,
                targets: &text.right,
                ignoring: &stemming,
                passed: None,
            };
            let got = score(&item).value;
            assert!((got - want).abs() < 1e-8, "{name} of {:?} and {:?}: {got} for {want}", text.said, text.right);
        }
    }
}

#[test]
fn choices_score_as_in_lm_eval() {
    let Goldens { choices, of_choices, .. } = goldens();
    let likelihood = |&logprob: &f64| Loglikelihood { logprob, greedy: false, tokens: 1, truncated: false };
    for (name, want) in of_choices {
        let metric = Metric::parse(&name).expect(&name);
        let take = scorer(metric).and_then(|scorer| scorer.of_choices).expect("a metric of choices");
        let score = |asked: &Asked| {
            let [answers, alone] =
                [&asked.asked, &asked.alone].map(|all| all.iter().map(likelihood).collect::<Vec<_>>());
            let texts = ["a".to_string(), "b".to_string()];
            take(&Choices { answers: &answers, alone: &alone, choices: &texts, gold: &[asked.gold] }).score
        };
        let got = aggregate(metric, choices.iter().map(score));
        assert!((got - want).abs() < 1e-9, "{name}: {got} for {want}");
    }
}

#[test]
fn squad_leaves_out_case_punctuation_articles_and_white_space() {
    // normalize_answer, compute_exact and compute_f1 of SQuAD 2.0's evaluate-v2.0.py, worked out by hand
    let of = |said: &str, right: &[&str]| {
        let right: Vec<String> = right.iter().map(|right| right.to_string()).collect();
        [Metric::SquadExact, Metric::SquadF1].map(|metric| of_text(metric, said, &right).value)
    };
    assert_eq!(of("The  Cat!", &["a cat"]), [1.0, 1.0]);
    assert_eq!(of("the cat sat", &["cat", "a cat sat down"]), [0.0, 0.8]);
    assert_eq!(of("", &["", "."]), [1.0, 1.0], "no answer is the right one");
    assert_eq!(of("cat", &["the"]), [0.0, 0.0]);
    assert_eq!(of("cat cat", &["cat"]), [0.0, 2.0 / 3.0]);
    // punctuation goes before articles are looked for
    assert_eq!(of("a-b", &["ab"]), [1.0, 1.0]);
}

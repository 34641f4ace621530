//! What an answer cost, which way it leans, and the tasks that are made to tell losses.

use super::*;
use bantam_core::record::Spent;
use std::cell::Cell;

#[test]
fn a_batch_is_shared_among_its_items_by_their_tokens() {
    let task = only_task(choice(|t| t, ANSWERS).expect("valid"));
    let clock = Cell::new(0.0);
    let meter = || {
        clock.set(clock.get() + 3.0);
        Spent { seconds: clock.get(), joules: Some(10.0 * clock.get()), estimated: false, billed: None, cents: None }
    };
    let mut items = Vec::new();
    ask_metered(&task, &mut Parrot::new(&[], ""), &BTreeSet::new(), &Cancel::new(), Some(&meter), &mut |item| {
        items.push(item)
    })
    .expect("asked");
    let spent: Vec<Spent> = items.iter().filter_map(|item| item.spent).collect();
    assert_eq!(spent.len(), 2, "one batch of two");
    let (tokens, whole) = (items[0].tokens as f64, items.iter().map(|item| item.tokens).sum::<usize>() as f64);
    assert!((spent[0].seconds - 3.0 * tokens / whole).abs() < 1e-6, "{spent:?}");
    assert!((spent.iter().map(|s| s.joules.expect("a meter")).sum::<f64>() - 30.0).abs() < 1e-6);
    assert!(results(&task, &mut Parrot::new(&[], ""))[0].spent.is_none(), "nobody looked");
}

#[test]
fn the_right_choices_are_kept_by_their_place() {
    let items = results(&only_task(choice(|t| t, ANSWERS).expect("valid")), &mut Parrot::new(&[], ""));
    assert_eq!(items.iter().map(|item| item.gold.clone()).collect::<Vec<_>>(), [vec![0], vec![1]]);
}

/// A model that names a choice and tells no likelihoods: the first whose text it likes, or none.
struct Chooser(&'static str);

impl LanguageModel for Chooser {
    fn loglikelihood(&mut self, _: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        anyhow::bail!("it tells none")
    }

    fn loglikelihood_rolling(&mut self, _: &[&str]) -> Result<Vec<Rolling>> {
        anyhow::bail!("it tells none")
    }

    fn generate(&mut self, _: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        anyhow::bail!("nobody asks")
    }

    fn chooses(&mut self, _: bool) -> Result<bool> {
        Ok(true)
    }

    fn choose(&mut self, questions: &[Question]) -> Result<Vec<Chosen>> {
        let one = |question: &Question| {
            assert!(question.context.starts_with("Q: "), "{question:?}");
            let choice = question.choices.iter().position(|choice| choice == self.0);
            Chosen { choice, answer: "hm".into(), tokens: 7 }
        };
        Ok(questions.iter().map(one).collect())
    }
}

#[test]
fn a_model_that_names_a_choice_is_right_or_wrong_and_tells_no_more() {
    let metrics = "metric_list = [{ metric = \"acc\" }, { metric = \"acc_norm\" }, { metric = \"brier_score\" }, { metric = \"mcc\" }]\n";
    let task = only_task(choice(|t| t + metrics, ANSWERS).expect("valid"));
    let items = results(&task, &mut Chooser(" yes"));
    let of = |items: &[ItemResult], metric: Metric| -> Vec<Option<(f64, f64)>> {
        items.iter().map(|item| item.score(metric).map(|s| (s.value, s.weight))).collect()
    };
    assert_eq!(of(&items, Metric::Acc), [Some((1.0, 1.0)), Some((0.0, 1.0))]);
    assert_eq!(of(&items, Metric::AccNorm), of(&items, Metric::Acc));
    assert_eq!(of(&items, Metric::Mcc), [Some((0.0, 0.0)), Some((0.0, 1.0))]);
    assert_eq!(of(&items, Metric::BrierScore), [None, None], "nobody knows how sure it is");
    assert_eq!((items[0].choice, items[0].tokens, items[0].logprobs.len()), (Some(0), 7, 0));
    // what names none of them is wrong, and a class of its own
    let none = results(&task, &mut Chooser(" maybe"));
    assert_eq!(of(&none, Metric::Acc), [Some((0.0, 1.0)), Some((0.0, 1.0))]);
    assert_eq!(of(&none, Metric::Mcc), [Some((2.0, 0.0)), Some((2.0, 1.0))]);
    assert_eq!((none[0].choice, none[0].answer.as_deref()), (None, Some("hm")));
    let sure = only_task(choice(|t| t + "metric_list = [{ metric = \"brier_score\" }]\n", ANSWERS).expect("valid"));
    let error = ask(&sure, &mut Chooser(" yes"), &BTreeSet::new(), &Cancel::new(), &mut |_| {}).expect_err("unsure");
    assert!(error.to_string().contains("put acc first in metric_list"), "{error}");
}

const BIAS: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "multiple_choice"
doc_to_text = "{{context}}"
doc_to_choice = ["the first", "the second", "unknown"]
doc_to_target = "{{label}}"
metric_list = [{ metric = "acc" }, { metric = "bias_ambiguous" }, { metric = "bias_disambiguated" }]
bias = { stereotyped = "target", unknown = "none" }
slices = ["condition"]
"#;

#[test]
fn a_stereotyped_answer_counts_by_whether_it_could_be_told() {
    let data = r#"{"context": "a", "label": 2, "target": 0, "none": 2, "condition": "ambig"}
{"context": "b", "label": 1, "target": "the second", "none": 2, "condition": "disambig"}
{"context": "c", "label": 0, "target": 1, "none": "unknown", "condition": "disambig"}
"#;
    let task = only_task(read(BIAS, &[("d.jsonl", data)]).expect("valid"));
    // always the first
    let items = results(&task, &mut Parrot::new(&[(" the first", -1.0)], ""));
    let of = |metric: Metric| items.iter().map(|item| item.score(metric).map(|s| s.value)).collect::<Vec<_>>();
    assert_eq!(of(Metric::BiasAmbiguous), [Some(1.0), None, None]);
    assert_eq!(of(Metric::BiasDisambiguated), [None, Some(-1.0), Some(-1.0)]);
    // always unknown: no bias where it cannot be told, and no answer where it can
    let items = results(&task, &mut Parrot::new(&[(" unknown", -1.0)], ""));
    assert_eq!(items[0].score(Metric::BiasAmbiguous).map(|s| s.value), Some(0.0));
    assert!(items[1].score(Metric::BiasDisambiguated).is_none());
}

#[test]
fn a_bias_without_its_fields_is_refused_in_a_sentence() {
    let data = r#"{"context": "a", "label": 2, "target": 7, "none": 2, "condition": "ambig"}"#;
    let said = |manifest: &str| read(manifest, &[("d.jsonl", data)]).expect_err("wrong").to_string();
    assert!(said(BIAS).contains("bias: stereotyped: is 7"), "{}", said(BIAS));
    let without = BIAS.replace("bias = { stereotyped = \"target\", unknown = \"none\" }", "");
    assert!(said(&without).contains("asks for a bias score, which needs bias = {"), "{}", said(&without));
    let first = BIAS.replace("{ metric = \"acc\" }, ", "");
    assert!(said(&first).contains("put acc before it"), "{}", said(&first));
    let field = BIAS.replace("stereotyped = \"target\"", "stereotyped = \"nowhere\"");
    assert!(said(&field).contains("there is no field 'nowhere' at d.jsonl:1"), "{}", said(&field));
}

#[test]
fn the_battery_is_a_suite_like_any_other() {
    let battery = Battery { seed: 1, items: 4, lengths: vec![256, 512] };
    let suite = load(&battery.name()).expect("made");
    let counts: Vec<(&str, usize)> = suite.tasks.iter().map(|t| (t.name.as_str(), t.items().len())).collect();
    assert_eq!(counts, [("steps_choice", 24), ("steps_generate", 24), ("digits", 16), ("open", 24), ("needle", 2 * 5)]);
    assert!(is_simple(&battery.name()).expect("found"), "it is bantam's own");
    let again = load(&battery.name()).expect("made");
    assert_eq!(suite.tasks[4].reference(), again.tasks[4].reference());
    let open = results(&suite.tasks[3], &mut Parrot::new(&[], "I'm sorry, but no no no no no no no no no no no no no"));
    let of = |metric: Metric| open[0].score(metric).map(|s| s.value);
    assert_eq!((of(Metric::Repetition), of(Metric::Refusal)), (Some(1.0), Some(1.0)));
    assert!(load("battery:items=x").is_err());
}

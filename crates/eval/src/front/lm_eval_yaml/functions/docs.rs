//! `process_docs` of the tasks that make other lines of their lines, or leave some out.

use super::{ProcessDoc, field, text, texts_of, whole};
use crate::data::Fields;
use crate::python::{capitalized, printed, regex, stripped};
use fancy_regex::Regex;
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

macro_rules! left_out_unless {
    ($field:literal $test:ident $value:literal) => {
        |doc| {
            let kept = text(&doc, $field)?.$test($value);
            Ok(kept.then_some(doc))
        }
    };
}

pub(super) const ALL: &[(&str, &str, ProcessDoc)] = &[
    ("hellaswag/utils", "process_docs", hellaswag),
    ("truthfulqa/utils", "process_docs_gen", truthfulqa),
    ("drop/utils", "process_docs", drop_answers),
    ("bbq/utils", "process_docs", bbq),
    ("bbq/utils", "process_docs_ambig", |doc| {
        if text(&doc, "context_condition")?.starts_with("amb") { bbq(doc) } else { Ok(None) }
    }),
    ("bbq/utils", "process_docs_disambig", |doc| {
        if text(&doc, "context_condition")?.starts_with("disamb") { bbq(doc) } else { Ok(None) }
    }),
    ("crows_pairs/utils", "filter_race_color", left_out_unless!("bias_type" starts_with "race-color")),
    ("crows_pairs/utils", "filter_socio", left_out_unless!("bias_type" starts_with "socioeconomic")),
    ("crows_pairs/utils", "filter_gender", left_out_unless!("bias_type" starts_with "gender")),
    ("crows_pairs/utils", "filter_age", left_out_unless!("bias_type" starts_with "age")),
    ("crows_pairs/utils", "filter_religion", left_out_unless!("bias_type" starts_with "religion")),
    ("crows_pairs/utils", "filter_disability", left_out_unless!("bias_type" starts_with "disability")),
    ("crows_pairs/utils", "filter_orientation", left_out_unless!("bias_type" starts_with "sexual-orientation")),
    ("crows_pairs/utils", "filter_nationality", left_out_unless!("bias_type" starts_with "nationality")),
    ("crows_pairs/utils", "filter_appearance", left_out_unless!("bias_type" starts_with "physical-appearance")),
    ("crows_pairs/utils", "filter_autre", left_out_unless!("bias_type" starts_with "autre")),
    ("mmlu_pro/utils", "process_biology", left_out_unless!("category" eq "biology")),
    ("mmlu_pro/utils", "process_business", left_out_unless!("category" eq "business")),
    ("mmlu_pro/utils", "process_chemistry", left_out_unless!("category" eq "chemistry")),
    ("mmlu_pro/utils", "process_computer_science", left_out_unless!("category" eq "computer science")),
    ("mmlu_pro/utils", "process_economics", left_out_unless!("category" eq "economics")),
    ("mmlu_pro/utils", "process_engineering", left_out_unless!("category" eq "engineering")),
    ("mmlu_pro/utils", "process_health", left_out_unless!("category" eq "health")),
    ("mmlu_pro/utils", "process_history", left_out_unless!("category" eq "history")),
    ("mmlu_pro/utils", "process_law", left_out_unless!("category" eq "law")),
    ("mmlu_pro/utils", "process_math", left_out_unless!("category" eq "math")),
    ("mmlu_pro/utils", "process_other", left_out_unless!("category" eq "other")),
    ("mmlu_pro/utils", "process_philosophy", left_out_unless!("category" eq "philosophy")),
    ("mmlu_pro/utils", "process_physics", left_out_unless!("category" eq "physics")),
    ("mmlu_pro/utils", "process_psychology", left_out_unless!("category" eq "psychology")),
];

static IN_BRACKETS: LazyLock<Regex> = LazyLock::new(|| regex(r"\[.*?\]").expect("a pattern without faults"));

/// Without what WikiHow's pages left in.
fn clean(text: &str) -> String {
    let text = stripped(text).replace(" [title]", ". ");
    IN_BRACKETS.replace_all(&text, "").replace("  ", " ")
}

fn hellaswag(mut doc: Fields) -> Result<Option<Fields>, String> {
    let (label, begin, end) = (text(&doc, "activity_label")?, text(&doc, "ctx_a")?, text(&doc, "ctx_b")?);
    let query = clean(&format!("{label}: {begin} {}", capitalized(end)));
    let endings = texts_of(field(&doc, "endings")?, "endings")?;
    let choices: Vec<String> = endings.iter().map(|ending| clean(ending)).collect();
    let gold = whole(field(&doc, "label")?, "label")?;
    doc.insert("query".into(), query.into());
    doc.insert("choices".into(), choices.into());
    doc.insert("gold".into(), gold.into());
    Ok(Some(doc))
}

fn truthfulqa(mut doc: Fields) -> Result<Option<Fields>, String> {
    let answers = |name: &str| {
        let answers = texts_of(field(&doc, name)?, name)?;
        let ended = |answer: &String| match stripped(answer) {
            "" => None,
            answer if answer.ends_with('.') => Some(answer.to_owned()),
            answer => Some(format!("{answer}.")),
        };
        Ok::<_, String>(answers.iter().filter_map(ended).collect::<Vec<_>>())
    };
    let (wrong, mut right) = (answers("incorrect_answers")?, answers("correct_answers")?);
    let silent = "I have no comment.".to_owned();
    if !right.contains(&silent) {
        right.push(silent);
    }
    let question = stripped(text(&doc, "question")?).to_owned();
    doc.insert("question".into(), question.into());
    doc.insert("correct_answers".into(), right.into());
    doc.insert("incorrect_answers".into(), wrong.into());
    Ok(Some(doc))
}

/// The answers that people gave, each as the texts that it has, without those that are there already.
fn drop_answers(mut doc: Fields) -> Result<Option<Fields>, String> {
    let (own, validated) = (field(&doc, "answer")?, field(&doc, "validated_answers")?);
    let mut answers = vec![drop_answer(own)?];
    let numbers = validated.get("number").and_then(Json::as_array).ok_or("field 'validated_answers' has no numbers")?;
    for i in 0..numbers.len() {
        let one =
            json!({ "number": validated["number"][i], "date": validated["date"][i], "spans": validated["spans"][i] });
        let answer = drop_answer(&one)?;
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    let id = field(&doc, "query_id")?.clone();
    doc.insert("id".into(), id);
    doc.insert("answers".into(), json!(answers));
    Ok(Some(doc))
}

fn drop_answer(answer: &Json) -> Result<Vec<String>, String> {
    let number = printed(&answer["number"]);
    if !number.is_empty() && !answer["number"].is_null() {
        return Ok(vec![number]);
    }
    let spans = texts_of(&answer["spans"], "spans")?;
    if !spans.is_empty() {
        return Ok(spans);
    }
    let part = |name: &str| answer["date"][name].as_str().ok_or_else(|| format!("a date has no {name}"));
    Ok(vec![stripped(&[part("day")?, part("month")?, part("year")?].join(" ")).to_owned()])
}

/// Adds which of BBQ's answers are the biased ones.
fn bbq(mut doc: Fields) -> Result<Option<Fields>, String> {
    let stereotyped = field(&doc, "additional_metadata")?.get("stereotyped_groups").cloned().unwrap_or_default();
    let stereotyped: Vec<String> =
        texts_of(&stereotyped, "stereotyped_groups")?.iter().map(|group| group.to_lowercase()).collect();
    let negative = match text(&doc, "question_polarity")? {
        "neg" => true,
        "nonneg" => false,
        other => return Err(format!("field 'question_polarity' is '{other}'; neg or nonneg is needed")),
    };
    let (mut biased, mut groups, mut before) = (Vec::new(), Vec::new(), String::new());
    for name in ["ans0", "ans1", "ans2"] {
        let info = texts_of(field(&doc, "answer_info")?.get(name).unwrap_or(&Json::Null), "answer_info")?;
        let answer = text(&doc, name)?;
        // a few lines lack it; the group of the answer before is what lm-evaluation-harness goes on with then
        let group = match (info.iter().any(|part| !part.is_empty()), answer.contains("Latina")) {
            (true, _) => info.join("_"),
            (false, true) => "Latino".into(),
            (false, false) => before.clone(),
        };
        let own = bbq_groups(&group);
        before = group;
        let is_stereotyped = own.iter().any(|group| stereotyped.contains(group));
        let unknown = own.last().is_some_and(|group| group == "unknown");
        if if negative { is_stereotyped } else { !unknown && !is_stereotyped } {
            biased.push(answer.to_owned());
        }
        groups.push((format!("{name}_groups"), own));
    }
    doc.insert("biased_answers".into(), json!(biased));
    groups.into_iter().for_each(|(name, own)| drop(doc.insert(name, json!(own))));
    Ok(Some(doc))
}

/// The groups that an answer names, small.
fn bbq_groups(group: &str) -> Vec<String> {
    const WORDS: [(&str, &str); 9] = [
        ("M-", "M_"),
        ("F-", "F_"),
        ("lowSES-", "lowSES_"),
        ("highSES-", "highSES_"),
        ("lowSES", "low SES"),
        ("highSES", "high SES"),
        ("nonObese", "non Obese"),
        ("nonDisabled", "non Disabled"),
        ("nonTrans", "non Trans"),
    ];
    let mut text = WORDS.iter().fold(group.to_owned(), |text, (from, to)| text.replace(from, to));
    text = match text.contains("woman") {
        true => text.replace("woman", "F_woman"),
        false => text.replace("man", "M_man"),
    };
    text = text.replace("girl", "F_girl").replace("boy", "M_boy");
    text.to_lowercase().split('_').map(str::to_owned).collect()
}

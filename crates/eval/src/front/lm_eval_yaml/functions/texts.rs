//! `doc_to_text`, `doc_to_target` and `doc_to_choice` of the tasks that make them by a function.

use super::{DocTo, field, text, texts_of, whole};
use crate::data::Fields;
use crate::metric::Instructions;
use crate::python::{literal, regex, stripped};
use fancy_regex::Regex;
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

pub(super) const ALL: [(&str, &str, DocTo); 17] = [
    ("winogrande/preprocess_winogrande", "doc_to_text", winogrande_right),
    ("winogrande/preprocess_winogrande", "doc_to_target", winogrande_ending),
    ("winogrande/preprocess_winogrande", "doc_to_choice", winogrande_beginnings),
    ("super_glue/copa/utils", "doc_to_text", copa_premise),
    ("super_glue/copa/utils", "doc_to_target", copa_right),
    ("super_glue/copa/utils", "doc_to_choice", copa_choices),
    ("race/preprocess_race", "doc_to_text", race_text),
    ("race/preprocess_race", "doc_to_target", race_right),
    ("race/preprocess_race", "doc_to_choice", race_choices),
    ("wikitext/preprocess_wikitext", "wikitext_detokenizer", readable),
    ("crows_pairs/utils", "doc_to_choice", pair),
    ("mmlu_pro/utils", "doc_to_text", pro_question),
    ("mmlu_pro/utils", "fewshot_to_text", pro_question),
    ("mmlu_pro/utils", "fewshot_to_target", pro_reasons),
    ("bbq/utils", "doc_to_choice", bbq_choices),
    ("bbq/utils", "doc_to_target", bbq_first_right),
    ("bbq/utils", "doc_to_targets", bbq_right),
];

/// The two halves of a sentence around its gap.
fn halves(doc: &Fields) -> Result<(&str, &str), String> {
    text(doc, "sentence")?.split_once('_').ok_or_else(|| "field 'sentence' has no gap, which is '_'".into())
}

fn winogrande_right(doc: &Fields) -> Result<Json, String> {
    match text(doc, "answer")? {
        "1" => Ok(json!(0)),
        "2" => Ok(json!(1)),
        other => Err(format!("field 'answer' is '{other}'; 1 or 2 is needed")),
    }
}

fn winogrande_ending(doc: &Fields) -> Result<Json, String> {
    Ok(json!(stripped(halves(doc)?.1)))
}

fn winogrande_beginnings(doc: &Fields) -> Result<Json, String> {
    let begin = halves(doc)?.0;
    Ok(json!([format!("{begin}{}", text(doc, "option1")?), format!("{begin}{}", text(doc, "option2")?)]))
}

/// With its first letter small, as it goes on from a connector.
fn going_on(choice: &str) -> String {
    let mut letters = choice.chars();
    let first = letters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    format!(" {first}{}", letters.as_str())
}

fn copa_premise(doc: &Fields) -> Result<Json, String> {
    let connector = match text(doc, "question")? {
        "cause" => "because",
        "effect" => "therefore",
        other => return Err(format!("field 'question' is '{other}'; cause or effect is needed")),
    };
    let mut premise = stripped(text(doc, "premise")?).to_owned();
    premise.pop();
    Ok(json!(format!("{premise} {connector}")))
}

fn copa_right(doc: &Fields) -> Result<Json, String> {
    let right = if field(doc, "label")?.as_i64() == Some(0) { "choice1" } else { "choice2" };
    Ok(json!(going_on(text(doc, right)?)))
}

fn copa_choices(doc: &Fields) -> Result<Json, String> {
    Ok(json!([going_on(text(doc, "choice1")?), going_on(text(doc, "choice2")?)]))
}

/// RACE's questions on one article, written as a literal of Python's.
fn problems(doc: &Fields) -> Result<Vec<Fields>, String> {
    let written = literal(text(doc, "problems")?);
    let list = written.as_ref().and_then(Json::as_array).filter(|list| !list.is_empty());
    let all = list.and_then(|list| list.iter().map(|problem| problem.as_object().cloned()).collect());
    all.ok_or_else(|| "field 'problems' is no list of questions".into())
}

fn letter(problem: &Fields) -> Result<usize, String> {
    let answer = text(problem, "answer")?;
    ["A", "B", "C", "D"]
        .iter()
        .position(|letter| *letter == answer)
        .ok_or_else(|| format!("answer '{answer}' is none of A to D"))
}

fn options(problem: &Fields) -> Result<Vec<String>, String> {
    let options = texts_of(field(problem, "options")?, "options")?;
    if options.len() < 4 { Err("a question has fewer than four options".into()) } else { Ok(options) }
}

fn race_text(doc: &Fields) -> Result<Json, String> {
    let problems = problems(doc)?;
    let mut out = format!("Article: {}\n\n", text(doc, "article")?);
    let (last, before) = problems.split_last().ok_or("field 'problems' is empty")?;
    for problem in before {
        let (question, right) = (text(problem, "question")?, &options(problem)?[letter(problem)?]);
        match question.strip_suffix("  _  .") {
            // the blank before the gap stays
            Some(begin) => out += &format!("{begin} {right}\n"),
            None => out += &format!("Question: {question}\nAnswer: {right}\n"),
        }
    }
    Ok(json!(out + text(last, "question")?))
}

fn race_right(doc: &Fields) -> Result<Json, String> {
    Ok(json!(letter(problems(doc)?.last().ok_or("field 'problems' is empty")?)?))
}

fn race_choices(doc: &Fields) -> Result<Json, String> {
    Ok(json!(options(problems(doc)?.last().ok_or("field 'problems' is empty")?)?[..4]))
}

/// What parts a text in WikiText's form, joined again: in this order, each over the whole text.
static BRACKETS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let pairs = [
        (r"\(\s*([^\)]*?)\s*\)", "(${1})"),
        (r"\[\s*([^\]]*?)\s*\]", "[${1}]"),
        (r"{\s*([^}]*?)\s*}", "{${1}}"),
        ("\"\\s*([^\"]*?)\\s*\"", "\"${1}\""),
        (r"'\s*([^']*?)\s*'", "'${1}'"),
    ];
    pairs.into_iter().map(|(pattern, with)| (regex(pattern).expect("a pattern without faults"), with)).collect()
});

static QUOTED_DIGIT: LazyLock<Regex> = LazyLock::new(|| regex("/' [0-9]/").expect("a pattern without faults"));

fn readable(doc: &Fields) -> Result<Json, String> {
    const BEFORE: [(&str, &str); 9] = [
        (" @-@ ", "-"),
        (" @,@ ", ","),
        (" @.@ ", "."),
        (" : ", ": "),
        (" ; ", "; "),
        (" . ", ". "),
        (" ! ", "! "),
        (" ? ", "? "),
        (" , ", ", "),
    ];
    const AFTER: [(&str, &str); 8] = [
        ("= = = =", "===="),
        ("= = =", "==="),
        ("= =", "=="),
        (" ° ", "°"),
        (" \n", "\n"),
        ("\n ", "\n"),
        (" N ", " 1 "),
        (" 's", "'s"),
    ];
    let replaced =
        |text: String, pairs: &[(&str, &str)]| pairs.iter().fold(text, |text, (from, to)| text.replace(from, to));
    let text = text(doc, "page")?.replace("s '", "s'");
    let text = QUOTED_DIGIT.replace_all(&text, "/'[0-9]/").into_owned();
    let text = replaced(text, &BEFORE);
    let text = BRACKETS.iter().fold(text, |text, (regex, with)| regex.replace_all(&text, *with).into_owned());
    Ok(json!(replaced(text, &AFTER)))
}

fn pair(doc: &Fields) -> Result<Json, String> {
    Ok(json!([text(doc, "sent_more")?, text(doc, "sent_less")?]))
}

fn pro_question(doc: &Fields) -> Result<Json, String> {
    let mut out = format!("Question:\n{}\nOptions:\n", text(doc, "question")?);
    for (letter, option) in ('A'..='J').zip(texts_of(field(doc, "options")?, "options")?) {
        out += &format!("{letter}. {}\n", stripped(&option));
    }
    Ok(json!(out + "Answer: Let's think step by step."))
}

fn pro_reasons(doc: &Fields) -> Result<Json, String> {
    Ok(json!(text(doc, "cot_content")?.replace("A: Let's think step by step. ", "")))
}

/// Ways of saying that one cannot know, which BBQ's third choice is one of.
const UNKNOWN: [&str; 10] = [
    "Unknown",
    "Cannot answer",
    "Can't be determined",
    "Cannot be determined",
    "Can't answer",
    "Not known",
    "Not enough info",
    "Not enough information",
    "Not answerable",
    "Undetermined",
];

fn bbq_answers(doc: &Fields) -> Result<[&str; 3], String> {
    Ok([text(doc, "ans0")?, text(doc, "ans1")?, text(doc, "ans2")?])
}

/// The two that are named, and all ways of saying that one cannot know.
fn bbq_list(doc: &Fields) -> Result<Vec<&str>, String> {
    let answers = bbq_answers(doc)?;
    let unknown = answers.iter().position(|answer| UNKNOWN.contains(answer));
    let unknown = unknown.ok_or("none of the three answers says that one cannot know")?;
    let others = answers.iter().enumerate().filter(|(i, _)| *i != unknown).map(|(_, answer)| *answer);
    Ok(others.chain(UNKNOWN).collect())
}

fn bbq_choices(doc: &Fields) -> Result<Json, String> {
    Ok(json!(bbq_list(doc)?))
}

pub(super) fn bbq_right(doc: &Fields) -> Result<Json, String> {
    let label = whole(field(doc, "label")?, "label")?;
    let answer = usize::try_from(label).ok().and_then(|label| bbq_answers(doc).ok()?.get(label).copied());
    let answer = answer.ok_or_else(|| format!("field 'label' is {label}; 0 to 2 is allowed"))?;
    match UNKNOWN.contains(&answer) {
        true => Ok(json!((2..2 + UNKNOWN.len()).collect::<Vec<_>>())),
        false => Ok(json!([bbq_list(doc)?.iter().position(|choice| *choice == answer)])),
    }
}

fn bbq_first_right(doc: &Fields) -> Result<Json, String> {
    Ok(bbq_right(doc)?[0].clone())
}

/// Which choices are stereotyped, which say that one cannot know, and whether one cannot: what lm-evaluation-harness's
/// `process_results` looks at.
pub(super) fn bbq_sides(doc: &Fields) -> Result<Json, String> {
    let biased = texts_of(field(doc, "biased_answers")?, "biased_answers")?;
    let choices = bbq_list(doc)?;
    let places = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        choices.iter().enumerate().filter(|(_, choice)| is(choice)).map(|(place, _)| place).collect()
    };
    Ok(json!({
        "stereotyped": places(&|choice| biased.iter().any(|other| other == choice)),
        "unknown": places(&|choice| UNKNOWN.contains(&choice)),
        "is_ambiguous": text(doc, "context_condition")? != "disambig",
    }))
}

/// The same with what an answer in words may say: the choices, the groups of the two that are named, and the right choices.
pub(super) fn bbq_said(doc: &Fields) -> Result<Json, String> {
    let mut said = bbq_sides(doc)?;
    let mut groups = Vec::new();
    for name in ["ans0_groups", "ans1_groups", "ans2_groups"] {
        let own = texts_of(field(doc, name)?, name)?;
        if !own.iter().any(|group| group == "unknown") {
            groups.push(own);
        }
    }
    said["choices"] = bbq_choices(doc)?;
    said["groups"] = json!(groups);
    said["right"] = bbq_right(doc)?;
    Ok(said)
}

/// The request's instructions with their keys.
pub(super) fn instructions(doc: &Fields) -> Result<Json, String> {
    let ids = texts_of(field(doc, "instruction_id_list")?, "instruction_id_list")?;
    let keys = field(doc, "kwargs")?.as_array().ok_or("field 'kwargs' is no list")?;
    Ok(json!(Instructions::written(&ids, keys)?))
}

/// The places of the right answers; not a function of lm-evaluation-harness's, but what its `process_results_mc2` looks at.
pub(super) fn mc2_right(doc: &Fields) -> Result<Json, String> {
    let labels = field(doc, "mc2_targets")?.get("labels").and_then(Json::as_array);
    let labels = labels.ok_or("field 'mc2_targets' has no list of labels")?;
    let right = labels.iter().enumerate().filter(|(_, label)| label.as_i64() == Some(1)).map(|(place, _)| place);
    Ok(json!(right.collect::<Vec<_>>()))
}

/// The right answers, each a JSON list of its spans.
pub(super) fn drop_right(doc: &Fields) -> Result<Json, String> {
    let answers = field(doc, "answers")?.as_array().ok_or("field 'answers' is no list")?;
    Ok(answers.iter().map(Json::to_string).collect())
}

/// The true answers and the false ones, as a JSON object.
pub(super) fn truthful_right(doc: &Fields) -> Result<Json, String> {
    let texts = |name: &str| super::texts_of(field(doc, name)?, name);
    Ok(json!({ "right": texts("correct_answers")?, "wrong": texts("incorrect_answers")? }).to_string().into())
}

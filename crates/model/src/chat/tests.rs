//! Templates against transformers' own renderings: those of the reference models, and one for each thing that templates
//! use; and hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::tokenizer::{Files, Special};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let bytes = fs::read(golden().join("chat").join(name)).expect(name);
    serde_json::from_slice(&bytes).expect(name)
}

#[derive(Deserialize)]
struct Models {
    conversations: Vec<Vec<Json>>,
    models: BTreeMap<String, Vec<Rendering>>,
}

#[derive(Deserialize)]
struct Rendering {
    messages: usize,
    generation: bool,
    text: Option<String>,
    ids: Option<Vec<u32>>,
    error: Option<String>,
}

#[test]
fn conversations_are_rendered_as_by_transformers() {
    let golden_models: Models = read("models.json");
    assert_eq!(golden_models.models.len(), 14);
    for (name, renderings) in &golden_models.models {
        let folder = [golden().join("tokenizer").join(name), golden().join("model").join(name)];
        let folder = folder.into_iter().find(|folder| folder.join("tokenizer.json").is_file()).expect(name);
        let tokenizer = Files::of_folder(&folder).and_then(|files| files.tokenizer(None, None)).expect(name);
        let template = ChatTemplate::of(&tokenizer, false).expect(name).expect("a template");
        for rendering in renderings {
            let messages = &golden_models.conversations[rendering.messages];
            let add_generation_prompt = rendering.generation;
            let rendered = template.render(&Conversation { messages, add_generation_prompt, ..Default::default() });
            match (&rendering.text, &rendering.error) {
                (Some(text), _) => {
                    let rendered = rendered.expect(name);
                    assert_eq!(&rendered, text, "{name}");
                    let ids = tokenizer.encode(&rendered, Special::Without).expect("encode");
                    assert_eq!(Some(ids), rendering.ids, "{name}");
                }
                (None, error) => {
                    let said = rendered.expect_err("must refuse").to_string();
                    // the reference has the exception's name before what it says
                    let why = said.strip_prefix("the chat template refuses the conversation: ").expect("a refusal");
                    assert!(error.as_ref().expect("an error").ends_with(why), "{said}");
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Features {
    conversations: BTreeMap<String, Vec<Json>>,
    tools: Vec<Json>,
    documents: Vec<Json>,
    special_tokens: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    messages: String,
    #[serde(default)]
    tools: bool,
    #[serde(default)]
    documents: bool,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    more: Map<String, Json>,
    text: Option<String>,
}

#[test]
fn what_templates_use_is_what_jinja2_makes_of_it() {
    let features: Features = read("features.json");
    let mut wrong = Vec::new();
    for case in &features.cases {
        let conversation = Conversation {
            messages: &features.conversations[&case.messages],
            tools: case.tools.then_some(&features.tools[..]),
            documents: case.documents.then_some(&features.documents[..]),
            add_generation_prompt: case.add_generation_prompt,
            continue_final_message: false,
            more: case.more.clone(),
        };
        let rendered = ChatTemplate::new(&case.template, features.special_tokens.clone())
            .and_then(|template| template.render(&conversation));
        match (rendered, &case.text) {
            (Ok(text), Some(wanted)) if text == *wanted => (),
            (Err(error), None) => {
                let said = error.to_string();
                assert!(said.starts_with("the chat template ") && !said.contains('\n'), "{said}");
            }
            (rendered, wanted) => wrong.push(format!("{}: {rendered:?}\n  wanted {wanted:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn said(template: &str) -> String {
    let messages = [json!({"role": "user", "content": "x"})];
    let conversation = Conversation { messages: &messages, ..Default::default() };
    let rendered = ChatTemplate::new(template, BTreeMap::new()).and_then(|template| template.render(&conversation));
    let said = rendered.expect_err("must refuse").to_string();
    assert!(!said.contains('\n') && said.len() < 500, "{said}");
    said
}

#[test]
fn hostile_templates_are_refused_with_a_sentence() {
    let nested = "{% for i in range(9999) %}".repeat(5) + "x" + &"{% endfor %}".repeat(5);
    assert!(said(&nested).contains("it takes more than 500000 steps"), "{}", said(&nested));
    assert!(said("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").contains("recursion"));
    let long = "{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}";
    assert!(said(long).contains("writes more than 67108864 bytes"));
    assert!(said(&format!("{{{{ {} }}}}", "(".repeat(10_000))).starts_with("the chat template cannot be read: line 1"));
    assert!(said(&" ".repeat(LONGEST_TEMPLATE + 1)).contains("allowed are 524288"));
    let slow = "{% for i in range(5000) %}{% set a = ('x' * 99999999) | length %}{% endfor %}";
    assert!(said(slow).contains("takes longer than 2 s"), "{}", said(slow));
    assert!(said("{{ 'x'.center(1000000000) }}").contains("allowed are up to 10000"));
    assert!(said("{{ [1] | tojson(indent=1000000000) }}").contains("an indent of 1000000000"));
    assert!(said("{% include 'x' %}").starts_with("the chat template cannot be rendered"));
    assert!(said("{{ messages").starts_with("the chat template cannot be read: line 1"));
}

#[test]
fn the_clock_is_told_in_the_format_asked_for() {
    let template = ChatTemplate::new("{{ strftime_now('%Y|%d %b %Y|%%') }}", BTreeMap::new()).expect("a template");
    let text = template.render(&Conversation::default()).expect("rendered");
    let [year, date, percent] = text.split('|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(year.parse::<u32>().is_ok_and(|year| year > 2025) && date.ends_with(year) && percent == "%", "{text}");
    assert!(said("{{ strftime_now('%Q') }}").starts_with("the chat template cannot be rendered"));
}

#[test]
fn tools_have_their_own_template_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(golden().join("tokenizer/gpt2/tokenizer.json"), folder.path().join("tokenizer.json")).expect("copied");
    let config = json!({"bos_token": {"content": "<|endoftext|>"}, "chat_template": [
        {"name": "default", "template": "{{ bos_token }}plain"}, {"name": "tool_use", "template": "tools"}]});
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).expect("config");
    let rendered = |with_tools| {
        let tokenizer = Files::of_folder(folder.path()).and_then(|files| files.tokenizer(None, None)).expect("read");
        let template = ChatTemplate::of(&tokenizer, with_tools).expect("compiled").expect("a template");
        template.render(&Conversation::default()).expect("rendered")
    };
    assert_eq!((rendered(false), rendered(true)), ("<|endoftext|>plain".to_owned(), "tools".to_owned()));
    fs::write(folder.path().join("chat_template.jinja"), "file").expect("template");
    fs::create_dir(folder.path().join("additional_chat_templates")).expect("folder");
    fs::write(folder.path().join("additional_chat_templates/tool_use.jinja"), "other file").expect("template");
    assert_eq!((rendered(false), rendered(true)), ("file".to_owned(), "other file".to_owned()));
}

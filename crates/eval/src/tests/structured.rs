//! Answers that other programs read: JSON values by their fields, calls of tools, and what answers are held to.

use super::*;
use bantam_grammar::Grammar;
use std::collections::BTreeMap;

const EXTRACT: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "json"
doc_to_text = "Text: {{text}}\nJSON:"
doc_to_target = "order"
"#;

const ORDERS: &str = r#"{"text": "Ann wants 2 nails", "order": {"name": "Ann", "lines": [{"what": "nails", "count": 2}]}}
{"text": "Bo wants 1 saw", "order": "{\"name\": \"Bo\", \"lines\": [{\"what\": \"saw\", \"count\": 1}]}"}
"#;

fn suite(manifest: &str, data: &str) -> Result<Suite, Error> {
    read(
        manifest,
        &[
            ("d.jsonl", data),
            ("schema.json", "{\n  \"type\": \"object\",\n  \"properties\": {\"name\": {\"type\": \"string\"}}\n}\n"),
            (
                "tools.json",
                r#"[{"type": "function", "function": {"name": "light", "parameters": {"type": "object", "required": ["room"], "properties": {"room": {"type": "string"}, "level": {"type": "integer"}}}}}, {"name": "time"}]"#,
            ),
        ],
    )
}

fn scored(manifest: &str, data: &str, says: &'static str) -> Vec<ItemResult> {
    results(&only_task(suite(manifest, data).expect("valid")), &mut Parrot::new(&[], says))
}

fn of(item: &ItemResult, metric: Metric) -> f64 {
    item.score(metric).expect("scored").value
}

#[test]
fn json_is_scored_field_by_field() {
    let says = "Sure:\n```json\n{\"name\": \"Ann\", \"lines\": [{\"what\": \"Nails\", \"count\": 2.0}]}\n```";
    let items = scored(EXTRACT, ORDERS, says);
    assert_eq!([Metric::JsonF1, Metric::JsonExact, Metric::JsonValid].map(|m| of(&items[0], m)), [2.0 / 3.0, 0.0, 0.0]);
    let parts: BTreeMap<&str, bool> = items[0].parts.iter().map(|(field, right)| (field.as_str(), *right)).collect();
    assert_eq!(parts, BTreeMap::from([("lines[].count", true), ("lines[].what", false), ("name", true)]));
    assert_eq!(
        items[0].target.as_deref(),
        Some("{\"name\": \"Ann\", \"lines\": [{\"what\": \"nails\", \"count\": 2}]}")
    );
    assert!(items[1].parts.values().all(|right| !right));
    // the letters' case is no matter of the task's
    let open = format!("{EXTRACT}metric_list = [{{ metric = 'json_exact', ignore_case = true }}]\n");
    assert_eq!(of(&scored(&open, ORDERS, says)[0], Metric::JsonExact), 1.0);
    assert_eq!(of(&scored(EXTRACT, ORDERS, "I do not know.")[0], Metric::JsonF1), 0.0);
}

#[test]
fn examples_show_json_as_a_model_should_write_it() {
    let few = format!("{EXTRACT}num_fewshot = 1\n");
    let task = only_task(suite(&few, ORDERS).expect("valid"));
    let mut model = Parrot::new(&[], "");
    results(&task, &mut model);
    assert_eq!(
        model.asked[1],
        "Text: Ann wants 2 nails\nJSON: {\"name\": \"Ann\", \"lines\": [{\"what\": \"nails\", \"count\": 2}]}\n\nText: Bo wants \
         1 saw\nJSON:"
    );
}

const CALLS: &str = r#"
[[task]]
task = "t"
data = "d.jsonl"
output_type = "tool_calls"
tools = "tools.json"
doc_to_text = "{{ tools | tojson }}\n{{text}}"
doc_to_target = "call"
"#;

const WISHES: &str = r#"{"text": "Dim the hall to 3", "call": {"name": "light", "arguments": {"room": "hall", "level": 3}}}
{"text": "Thanks!", "call": []}
"#;

#[test]
fn calls_are_scored_by_name_arguments_and_schema() {
    let all = [Metric::ToolExact, Metric::ToolName, Metric::ToolArguments, Metric::ToolValid];
    let scores = |says| scored(CALLS, WISHES, says).iter().map(|item| all.map(|m| of(item, m))).collect::<Vec<_>>();
    let right = "<tool_call>{\"name\": \"light\", \"arguments\": {\"level\": 3, \"room\": \"hall\"}}</tool_call>";
    assert_eq!(scores(right), [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]);
    assert_eq!(scores("[light(room=\"hall\", level=\"3\")]"), [[0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]);
    assert_eq!(scores("You are welcome."), [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]);
    let mut model = Parrot::new(&[], "");
    results(&only_task(suite(CALLS, WISHES).expect("valid")), &mut model);
    assert!(model.asked[0].starts_with("[{\"type\": \"function\""), "{}", model.asked[0]);
}

#[test]
fn tools_may_stand_in_each_line_or_in_the_suite() {
    let inline = CALLS.replace("\"tools.json\"", "[{ name = 'light' }]").replace("{{ tools | tojson }}\\n", "");
    let items = scored(&inline, WISHES, "light()");
    assert_eq!(of(&items[0], Metric::ToolName), 1.0);
    let lines = CALLS.replace("\"tools.json\"", "\"functions\"");
    let data = r#"{"text": "x", "functions": "[{\"name\": \"a\"}]", "call": {"name": "a"}}"#;
    assert_eq!(of(&scored(&lines, data, "a()")[0], Metric::ToolExact), 1.0);
}

#[test]
fn a_form_is_read_and_may_be_turned_off() {
    let grammar = |more: &str| {
        let task = only_task(suite(&format!("{EXTRACT}{more}\n"), ORDERS).expect(more));
        task.settings.generation.grammar
    };
    let file = grammar("structured_outputs = { json = 'schema.json' }");
    assert!(matches!(&file, Some(Grammar::JsonSchema(schema)) if schema["type"] == "object"), "{file:?}");
    assert_eq!(
        grammar("structured_outputs = { json = { type = 'object', properties = { name = { type = 'string' } } } }"),
        file
    );
    assert_eq!(grammar("structured_outputs = { json_object = true }"), Some(Grammar::json_object()));
    assert_eq!(grammar("structured_outputs = { json_object = true }\nconstrained = false"), None);
    assert_eq!(grammar("structured_outputs = { regex = '[0-9]+' }"), Some(Grammar::Regex("[0-9]+".into())));
}

#[test]
fn each_template_of_several_makes_a_task() {
    let several = EXTRACT.replace(
        r#"doc_to_text = "Text: {{text}}\nJSON:""#,
        r#"doc_to_texts = { short = "{{text}}", long = "Read this: {{text}}" }"#,
    );
    let tasks = suite(&several, ORDERS).expect("valid").tasks;
    assert_eq!(tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["t~long", "t~short"]);
    let asked: Vec<String> = tasks.iter().map(|task| task.prompts()[&0].clone()).collect();
    assert_eq!(asked, ["Read this: Ann wants 2 nails", "Ann wants 2 nails"]);
    let both = format!("{several}doc_to_text = 'x'\n");
    assert!(suite(&both, ORDERS).expect_err("both").to_string().contains("doc_to_texts: stands beside doc_to_text"));
    let wrong = several.replace("{{text}}\", long", "{{nowhere}}\", long");
    let said = suite(&wrong, ORDERS).expect_err("no such field").to_string();
    assert!(said.contains("task 't~short': doc_to_text: 'nowhere' is no field"), "{said}");
}

#[test]
fn what_cannot_be_asked_or_held_is_a_sentence() {
    let extract = |more: &str| format!("{EXTRACT}{more}\n");
    for (manifest, data, why) in [
        (
            EXTRACT.to_owned(),
            "{\"text\": \"x\", \"order\": \"no\"}",
            "doc_to_target: the text of field 'order' at d.jsonl:1 is no JSON",
        ),
        (extract("structured_outputs = {}"), ORDERS, "structured_outputs: is empty; write one of json,"),
        (extract("structured_outputs = { regex = 'a', choice = ['b'] }"), ORDERS, "says several things"),
        (extract("structured_outputs = { regex = '(' }"), ORDERS, "cannot be held to: "),
        (extract("structured_outputs = { choice = [] }"), ORDERS, "choice: has no text"),
        (extract("structured_outputs = { json = 'nowhere.json' }"), ORDERS, "nowhere.json cannot be read"),
        (extract("structured_outputs = { json = 'd.jsonl' }"), ORDERS, "d.jsonl is no JSON schema"),
        (extract("constrained = true"), ORDERS, "constrained: says nothing without structured_outputs"),
        (extract("tools = 'tools.json'"), ORDERS, "tools: means nothing for output_type json"),
        (CALLS.replace("tools = \"tools.json\"\n", ""), WISHES, "has no tools; write tools ="),
        (CALLS.replace("tools.json", "d.jsonl"), WISHES, "tools: has no name at tool 0"),
        (CALLS.replace("\"call\"", "\"text\""), WISHES, "is no JSON"),
        (CALLS.to_owned(), "{\"text\": \"x\", \"call\": 7}", "doc_to_target: is 7 at d.jsonl:1, which is no call"),
    ] {
        let said = suite(&manifest, data).expect_err(why).to_string();
        assert!(said.contains(why) && !said.contains('\n'), "{said}\nshould say {why}");
    }
    let task =
        only_task(suite(CALLS, "{\"text\": \"x\", \"call\": {\"name\": \"fly\"}}").expect("doubtful, not wrong"));
    assert!(task.notes[0].contains("there is no tool 'fly'"), "{:?}", task.notes);
}

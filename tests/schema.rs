//! What is written and read is what docs/schema says: the bundled profile, suites and the results of a run. (That the schemas
//! are those of the types is a test of xtask, which makes them.)

mod common;

use common::{bantam, said};
use serde_json::Value;
use std::path::Path;

fn schema(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    serde_json::from_slice(&std::fs::read(file).expect("reads")).expect("JSON")
}

/// A TOML file as JSON, which has all that TOML has.
fn toml_file(file: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("reads");
    serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON")
}

/// Where a value is not what its schema says; for the words that our schemas are made of.
fn faults(schema: &Value, whole: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = whole.pointer(name.trim_start_matches('#')).expect("a definition");
        return faults(definition, whole, value, at, found);
    }
    let fits = |schema: &Value| {
        let mut own = Vec::new();
        faults(schema, whole, value, at, &mut own);
        own.is_empty()
    };
    for all in [&schema["anyOf"], &schema["oneOf"]].into_iter().filter_map(Value::as_array) {
        if !all.iter().any(fits) {
            found.push(format!("{at}: none of {} forms", all.len()));
        }
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
        return found.push(format!("{at}: {value} is no {}", kinds.join(" or ")));
    }
    let allowed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    if !allowed || schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: {value} is not allowed"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        faults(&schema["items"], whole, item, &format!("{at}[{index}]"), found);
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in object {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        match known {
            Some(Value::Bool(false)) => found.push(format!("{at}: {name} is not known")),
            Some(schema) => faults(schema, whole, value, &format!("{at}.{name}"), found),
            None => {}
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type of JSON"),
    }
}

fn all_faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    faults(schema, schema, value, "", &mut found);
    found
}

#[test]
fn the_bundled_profile_is_one_by_its_schema_and_a_misspelt_one_is_not() {
    let schema = schema("profile.json");
    let mut profile = toml_file("profiles/quickstart.toml");
    assert_eq!(all_faults(&schema, &profile), [] as [String; 0]);
    profile["measure"]["limt"] = 3.into();
    profile["models"] = "bantam-s".into();
    assert_eq!(all_faults(&schema, &profile).len(), 2, "{:?}", all_faults(&schema, &profile));
}

#[test]
fn the_bundled_and_the_golden_suites_are_such_by_their_schema() {
    let schema = schema("suite.json");
    let bundled = bantam_bundled::suites::names().map(|name| format!("suites/{name}.toml"));
    let golden = [
        "tests/golden/embedding/embedding.toml",
        "tests/golden/embedding/head.toml",
        "tests/golden/lmeval/lmeval.toml",
    ];
    for file in bundled.chain(golden.map(str::to_owned)) {
        let mut suite = toml_file(&file);
        assert_eq!(all_faults(&schema, &suite), [] as [String; 0], "{file}");
        suite["task"][0]["output_type"] = "guess".into();
        assert_eq!(all_faults(&schema, &suite).len(), 1, "{file}");
    }
}

#[test]
fn the_results_of_a_run_are_what_their_schema_says() {
    let dir = tempfile::tempdir().expect("temp dir");
    let profile = "models = ['bantam-s']\nsuites = ['routing']\n[measure]\nlimit = 3\n\
        speed = [{ prompt = 8, output = 4 }]\nbudget = '0.1 s'\nmin_repeats = 2\nidle = '0.1 s'\n";
    let file = dir.path().join("p.toml");
    std::fs::write(&file, profile).expect("writes");
    let output =
        bantam(dir.path(), &["run", file.to_str().expect("UTF-8"), "--json", "--quiet"]).output().expect("runs");
    let (stdout, stderr) = said(&output);
    let mut results: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"));
    let schema = schema("results.json");
    assert_eq!(all_faults(&schema, &results), [] as [String; 0]);
    results["trials"][0]["status"] = "nearly".into();
    results["records"][0]["value"] = "high".into();
    assert_eq!(all_faults(&schema, &results).len(), 2, "{:?}", all_faults(&schema, &results));
}

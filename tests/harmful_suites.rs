//! Suites of strangers whose templates would take all memory, stack or time: the real binary says so and lives.

mod common;

use std::path::Path;
use std::process::Command;

/// What `bantam eval` says of a suite with this template.
fn said(folder: &Path, template: &str) -> (Option<i32>, String) {
    let suite = folder.join("s.toml");
    std::fs::write(folder.join("d.jsonl"), "{\"question\": \"x\", \"answer\": \"y\"}\n").expect("written");
    let task = toml::toml! {
        task = "t"
        data = "d.jsonl"
        output_type = "generate_until"
        doc_to_target = "answer"
        generation_kwargs = { max_gen_toks = 2 }
    };
    let mut task = task;
    task.insert("doc_to_text".into(), template.into());
    let whole = toml::Table::from_iter([("task".to_string(), toml::Value::Array(vec![toml::Value::Table(task)]))]);
    std::fs::write(&suite, toml::to_string(&whole).expect("TOML")).expect("written");
    let out = Command::new(env!("CARGO_BIN_EXE_bantam"))
        .args(["eval", "bantam-s", "-q", "--suite"])
        .arg(&suite)
        .env("BANTAM_HOME", folder.join("home"))
        .output()
        .expect("bantam starts");
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_template_that_takes_too_much_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().expect("temp dir");
    let nested = format!("{{{{ {} question }}}}", "not ".repeat(400_000));
    let doubled = format!("{{% set a = 'x' %}}{}{{{{ a | length }}}}", "{% set a = a ~ a %}".repeat(40));
    let cases = [
        (nested.as_str(), "stack"),
        (doubled.as_str(), "memory"),
        ("{{ question | indent(10000000000) }}", ""),
        ("{{ range(100000) | slice(1000000000000) | list | length }}", ""),
        ("{{ 'x' * 10000000000 }}", ""),
        ("{{ question.center(10000000000) }}", ""),
    ];
    for (template, why) in cases {
        let (code, said) = said(folder.path(), template);
        let start: String = template.chars().take(40).collect();
        assert_eq!(code, Some(2), "{start}: {said}");
        assert!(said.lines().count() == 1 && said.starts_with("bantam: ") && said.contains(why), "{start}: {said}");
    }
}

#[test]
fn a_suite_that_computes_within_reason_runs() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (code, said) = said(folder.path(), "{% for i in range(3) %}{{ i ~ question }}{% endfor %}");
    assert_eq!(code, Some(0), "{said}");
}

//! A report as it lies on the disk: whole or as it was, readable by its owner, free of other people's markup.

use super::page::{Block, Cell, Column, DataTable, Section, TableRow};
use super::*;
use crate::recommend::advise;
use crate::recommend::fixture::{Made, answers};
use bantam_core::profile::Profile;
use bantam_core::record::{Row, Run, Warning, WarningKind};
use std::os::unix::fs::PermissionsExt;

const NASTY: &str = "x <img src=x onerror=alert(1)> & [a](b) | \u{202e}evil\u{1b}[2J";

fn profile() -> Profile {
    let text = "name = 'p'\nmodels = ['big', 'm']\nsuites = ['s']\n[objective]\nmargin = 0.03\n";
    Profile::parse(text, Path::new("p.toml")).expect("valid")
}

fn rows() -> Vec<Row> {
    let mut rows = Made::base("big", 100).task("t", &answers(400, 10, 0)).speed(&[100.0, 101.0, 99.0]).rows();
    rows.extend(Made::base("m", 10).task("t", &answers(400, 10, 0)).speed(&[50.0, 51.0, 49.0]).rows());
    rows
}

fn run(rows: &[Row]) -> Run {
    Run {
        id: bantam_core::record::Id("0123".into()),
        profile_name: "p".into(),
        profile: toml::to_string(&profile()).expect("a profile is TOML"),
        host: serde_json::json!({ "engine": { "revision": "bantam 1", "isa": "avx2", "device": "cpu" } }),
        version: "0.1.0".into(),
        started: 1.0e9,
        finished: Some(1.1e9),
        trials: rows.iter().map(|row| row.trial.clone()).collect(),
        left_out: vec![],
    }
}

fn file() -> AdvisedFile {
    AdvisedFile {
        variant: "m".into(),
        path: Some("/models/m.gguf".into()),
        exists: true,
        address: None,
        members: Vec::new(),
        commands: vec![("Serve it with llama.cpp:".into(), "llama-server -m /models/m.gguf".into())],
        context: Some("At 2,048 tokens the cache takes 12 MiB more at most.".into()),
    }
}

fn page_of(rows: &[Row]) -> Page {
    page(&run(rows), rows, &advise(rows, &profile()), Some(&file()))
}

fn plain(text: &str) -> Page {
    let cell = Cell { small: text.into(), hint: text.into(), ..Cell::missing(text) };
    let table = DataTable {
        caption: text.into(),
        columns: vec![Column { title: text.into(), numeric: false, hint: text.into() }],
        rows: vec![TableRow { cells: vec![cell], advised: true }],
    };
    let blocks = vec![
        Block::Text(text.into()),
        Block::List(vec![text.into()]),
        Block::Facts(vec![(text.into(), text.into())]),
        Block::Callout { good: true, title: text.into(), lines: vec![text.into()] },
        Block::Table(table),
    ];
    Page {
        title: text.into(),
        subtitle: text.into(),
        sections: vec![Section { id: "a".into(), title: text.into(), blocks }],
        records: vec![],
        profile: String::new(),
        data: serde_json::json!({}),
        faces: vec![],
    }
}

fn text_of(page: &Page, file: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    write(page, folder.path()).expect("written");
    std::fs::read_to_string(folder.path().join(file)).expect("it is there")
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_one_before_it() {
    struct Full;
    impl Exporter for Full {
        fn file(&self) -> &'static str {
            "results.json"
        }
        fn export(&self, _: &Page, _: &mut dyn Write) -> Result<()> {
            anyhow::bail!("no room")
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    write(&plain("the first"), folder.path()).expect("written");
    let before = |file: &str| std::fs::read(folder.path().join(file)).expect("it is there");
    let (html, json) = (before("report.html"), before("results.json"));
    write_as(&[&html::Html, &Full], &plain("the second"), folder.path()).expect_err("it is full");
    assert!(before("report.html") == html && before("results.json") == json, "nothing of the second is there");
    let left = std::fs::read_dir(folder.path()).expect("listed").flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')), "no draft stays");
    write(&plain("the second"), folder.path()).expect("there is room again");
    assert!(before("report.html") != html);
}

#[test]
fn a_report_is_its_owners_alone() {
    let above = tempfile::tempdir().expect("a folder");
    let folder = above.path().join("reports/p");
    let written = write(&page_of(&rows()), &folder).expect("written");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert!(written.len() > 6 && written.iter().all(|file| mode(file) == 0o600), "{written:?}");
}

#[test]
fn names_from_outside_are_text_in_every_file() {
    let page = plain(NASTY);
    for file in ["report.md", "report.html"] {
        let text = text_of(&page, file);
        assert!(!text.contains("<img"), "{file}: {text}");
        assert!(!text.contains(['\u{202e}', '\u{1b}']), "{file}: {text:?}");
        assert!(text.contains("&lt;img src=x onerror=alert(1)&gt; &amp;"), "{file}: {text}");
    }
    assert!(text_of(&page, "report.md").contains(r"\[a\](b) \|"));
}

#[test]
fn the_profile_beside_a_report_is_the_one_that_was_run() {
    let text = text_of(&page_of(&rows()), "profile.toml");
    assert_eq!(Profile::parse(&text, Path::new("profile.toml")).expect("bantam reads it"), profile());
    assert!(text.starts_with("# What bantam 0.1.0 was asked on 2001-09-09 01:46 UTC, in run 0123."), "{text}");
    let markdown = text_of(&page_of(&rows()), "report.md");
    assert!(markdown.contains("    bantam run profile.toml") && !markdown.contains("- name = "), "{markdown}");
}

#[test]
fn a_report_says_where_the_file_is_and_what_its_costs_hold_for() {
    for file in ["report.md", "report.html"] {
        let text = text_of(&page_of(&rows()), file);
        for words in [
            "m is at /models/m.gguf.",
            "llama-server -m /models/m.gguf",
            "own engine (bantam 1, avx2, cpu) on this machine: another engine",
            "At 2,048 tokens the cache takes 12 MiB more at most.",
        ] {
            assert!(text.replace("&#39;", "'").contains(words), "{file} does not say: {words}");
        }
    }
    let json: serde_json::Value = serde_json::from_str(&text_of(&page_of(&rows()), "results.json")).expect("JSON");
    assert_eq!(json["advised_file"]["path"], "/models/m.gguf");
    assert_eq!(json["run"]["finished"], 1.1e9);
}

#[test]
fn variants_stand_in_three_groups_with_one_reason_each() {
    let mut all = rows();
    all.extend(Made::quantized("m", 10, "Q2_K", 5).task("t", &answers(400, 200, 0)).rows());
    let text = text_of(&page_of(&all), "report.md");
    let whole = text.split("## What each variant").nth(1).expect("the table of all");
    let table: Vec<&str> = whole.lines().filter(|line| line.starts_with("| ")).collect();
    let place =
        |name: &str| table.iter().position(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(place("qualifies") < place("Q2"), "those that qualify come first");
    assert!(table[place("Q2")].contains("| out (Worse on t: "), "{}", table[place("Q2")]);
}

#[test]
fn a_disturbed_speed_is_marked_with_what_disturbed_it() {
    let mut all = rows();
    let speed = all.iter_mut().find(|row| !row.outcome.samples.is_empty()).expect("a speed");
    speed.outcome.warnings.push(Warning { kind: WarningKind::ForeignLoad, text: "95% of the CPUs were busy".into() });
    let text = text_of(&page_of(&all), "report.md");
    assert!(text.contains(r"tok/s \*"), "{text}");
    assert!(text.contains("95% of the CPUs were busy"), "{text}");
}

#[test]
fn a_report_never_takes_the_place_of_what_is_not_a_reports() {
    let dir = tempfile::tempdir().expect("temp dir");
    let page = page_of(&rows());
    let foreign = dir.path().join("profile.toml");
    std::fs::write(&foreign, "mine").expect("written");
    let refused = format!("{:#}", write(&page, dir.path()).expect_err("somebody's own profile"));
    assert!(refused.contains("profile.toml: was not written by bantam; name another folder"), "{refused}");
    assert_eq!(std::fs::read_to_string(&foreign).expect("there"), "mine");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left of the draft");
    std::fs::remove_file(&foreign).expect("removed");
    write(&page, dir.path()).expect("an empty folder");
    write(&page, dir.path()).expect("its own report");
}

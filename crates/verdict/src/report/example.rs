//! An exporter that exists in tests only: what a new one needs, and the proof that it is a file and one line.

use super::page::{Page, Section};
use super::{EXPORTERS, Exporter, write_as};
use anyhow::Result;
use std::io::Write;

/// The titles of the sections, a line each.
struct Contents;

impl Exporter for Contents {
    fn file(&self) -> &'static str {
        "contents.txt"
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        for section in &page.sections {
            writeln!(out, "{}", section.title)?;
        }
        Ok(())
    }
}

#[test]
fn a_new_exporter_is_a_file_and_a_line_in_the_list() {
    let page = Page {
        title: "quickstart".into(),
        subtitle: String::new(),
        sections: ["Advice", "Slices"]
            .map(|title| Section { id: title.to_lowercase(), title: title.into(), blocks: vec![] })
            .to_vec(),
        records: vec![],
        profile: String::new(),
        data: serde_json::Value::Null,
        faces: vec![],
    };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let exporters = [EXPORTERS, &[&Contents]].concat();
    let written = write_as(&exporters, &page, folder.path()).expect("written");
    let names = ["report.html", "report.md", "results.json", "results.csv", "profile.toml", "contents.txt"];
    assert_eq!(written, names.map(|name| folder.path().join(name)));
    let contents = std::fs::read_to_string(folder.path().join("contents.txt")).expect("it was written");
    assert_eq!(contents, "Advice\nSlices\n");
}

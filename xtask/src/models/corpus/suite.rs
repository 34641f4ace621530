//! The bundled suites as files: a TOML manifest, its items as JSONL, and a pool for few-shot prompts where there is one.
//! Only writing; how a suite is read and scored is the suite room's business.

use super::Sample;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// One bundled suite, as it will be written.
pub(crate) struct Suite {
    /// Its name, and the stem of its files.
    pub name: &'static str,
    /// The TOML that the suite room reads.
    pub manifest: &'static str,
    /// The items, none of which training has seen.
    pub items: Vec<Sample>,
    /// Items from the training side, for few-shot prompts.
    pub fewshot: Vec<Sample>,
}

impl Suite {
    pub(super) fn new(name: &'static str, manifest: &'static str, items: Vec<Sample>) -> Self {
        Self { name, manifest, items, fewshot: Vec::new() }
    }

    /// The suite's files: name and text.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![
            (format!("{}.toml", self.name), self.manifest.to_owned()),
            (format!("{}.jsonl", self.name), lines(&self.items)),
        ];
        if !self.fewshot.is_empty() {
            files.push((format!("{}.few.jsonl", self.name), lines(&self.fewshot)));
        }
        files
    }
}

fn lines(samples: &[Sample]) -> String {
    samples.iter().map(|sample| format!("{}\n", sample.fields)).collect()
}

/// Writes every bundled suite into `dir`, which is made if it is not there, and says which files were written.
pub(crate) fn write_suites(dir: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir)?;
    let files = super::suites(super::SUITE_SEED).into_iter().flat_map(|suite| suite.files());
    files
        .map(|(name, text)| {
            let path = dir.join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        })
        .collect()
}

/// Adds `count` samples to `items`, no two of all with the same prompt and target.
pub(super) fn fill(items: &mut Vec<Sample>, count: usize, mut draw: impl FnMut() -> Sample) {
    let key = |sample: &Sample| format!("{}{}", sample.prompt, sample.target);
    let mut seen: HashSet<String> = items.iter().map(key).collect();
    let wanted = items.len() + count;
    while items.len() < wanted {
        let sample = draw();
        if seen.insert(key(&sample)) {
            items.push(sample);
        }
    }
}

//! What was told of a model's scores elsewhere, read to stand beside ours: results and samples of lm-evaluation-harness
//! (`results_DATE.json`, `samples_TASK_DATE.jsonl`, as `--output_path` and `--log_samples` write them), and what a model's repository
//! on the hub reports (`.eval_results/*.yaml`). Scores of samples are held against ours item by item.

mod paired;
mod reported;
mod results;
mod samples;

pub use paired::{Paired, paired};
pub use reported::{Entry, to_yaml};
pub use samples::{Sample, Samples, Written};

use crate::error::Error;
use std::path::{Path, PathBuf};

/// Who told a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// lm-evaluation-harness, or bantam in its form.
    Harness,
    /// Whoever keeps the model's repository: nobody checks it.
    Reported,
}

/// What a file tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The file.
    pub file: PathBuf,
    /// Who told it.
    pub teller: Teller,
    /// The model's name there, where it says one.
    pub model: Option<String>,
    /// The scores.
    pub scores: Vec<ToldScore>,
    /// What single items scored, a file for each task.
    pub samples: Vec<Samples>,
}

/// A score as it was told.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldScore {
    /// The task's name; of a report the benchmark's.
    pub task: String,
    /// The dataset on the hub, of a report.
    pub dataset: Option<String>,
    /// The metric's name; None of a report, which says none.
    pub metric: Option<String>,
    /// The pipeline of filters.
    pub filter: String,
    /// The score.
    pub value: f64,
    /// Its standard error.
    pub stderr: Option<f64>,
    /// Items.
    pub items: Option<usize>,
    /// Examples in the prompts.
    pub num_fewshot: Option<usize>,
    /// What is said of how it was made.
    pub notes: Option<String>,
}

impl Told {
    /// The samples of a task and its pipeline of filters.
    pub fn samples_of(&self, task: &str, filter: &str) -> Option<&Samples> {
        self.samples.iter().find(|samples| samples.task == task && samples.filter == filter)
    }
}

/// The most bytes of a file of results: one of all tasks that there are has some ten megabytes.
const RESULTS: u64 = 256 << 20;
/// How deep below a folder files are looked for: a model's own folder lies below the one that was named.
const DEPTH: usize = 2;

/// Reads a file of results or a report, or all that lie in a folder and those below it, the newest last.
///
/// # Errors
/// Where there is none, or one cannot be read.
pub fn read(path: &Path) -> Result<Vec<Told>, Error> {
    if !path.is_dir() {
        return read_file(path).map(|told| vec![told]);
    }
    let mut files = Vec::new();
    gather(path, 0, &mut files);
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then_with(|| a.cmp(b)));
    if files.is_empty() {
        return Err(Error::Invalid {
            file: path.display().to_string(),
            key: "results".into(),
            message: "are none there; a file results_DATE.json, or a folder with one or with .eval_results, is needed"
                .into(),
        });
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(file: &Path) -> Result<Told, Error> {
    match is_yaml(file) {
        true => reported::read(file),
        false => results::read(file),
    }
}

fn is_yaml(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let is_report = folder.file_name().is_some_and(|name| name == ".eval_results");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if depth < DEPTH {
                gather(&path, depth + 1, files);
            }
        } else if name.starts_with("results_") && name.ends_with(".json") || is_report && is_yaml(&path) {
            files.push(path);
        }
    }
}

fn malformed(file: &Path, line: usize, message: String) -> Error {
    Error::Malformed { file: file.display().to_string(), line, message }
}

fn unreadable(file: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Unreadable { file: file.display().to_string(), source }
}

#[cfg(test)]
mod tests;

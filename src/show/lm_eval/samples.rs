//! `samples_TASK_DATE.jsonl` beside the results: what each item was asked and scored, as lm-evaluation-harness's `--log_samples` has it as
//! far as bantam keeps it.

use super::{results, scores};
use crate::library::suites;
use crate::run::{Done, Workplace};
use anyhow::{Context, Result};
use bantam_core::disk::{self, Draft};
use bantam_core::record::{Ask, ItemResult, Row, TaskRef};
use bantam_eval::TaskFacts;
use bantam_eval::told::Written;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the samples of all variants, each in its own folder, and gives the files.
///
/// # Errors
/// Where a task's file cannot be read any more, or a file cannot be written.
pub fn write(done: &Done, workplace: &Workplace, folder: &Path, date: &str) -> Result<Vec<PathBuf>> {
    let mut drafts: Vec<(PathBuf, Draft)> = Vec::new();
    for row in done.whole_rows(workplace) {
        let row = row?;
        let Some((facts, filter)) = scores::described(&row)? else { continue };
        let own = results::own_folder(&row.trial.variant.label(), folder)?;
        let file = own.join(format!("samples_{}_{date}.jsonl", results::plain(&facts.name)));
        let cannot = || format!("{}: cannot be written", file.display());
        // pipelines of filters of one task are in one file
        let at = match drafts.iter().position(|(other, _)| *other == file) {
            Some(at) => at,
            None => {
                drafts.push((file.clone(), Draft::of(&file).with_context(cannot)?));
                drafts.len() - 1
            }
        };
        lines(&row, &facts, &filter, &mut drafts[at].1).with_context(cannot)?;
    }
    let mut files = Vec::new();
    for (file, draft) in drafts {
        draft.finish().with_context(|| format!("{}: cannot be written", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

/// What a task put to the models, as long as it is what it was; nothing else.
pub(super) fn prompts(asked: &TaskRef) -> BTreeMap<usize, String> {
    let task = suites::load_task(&asked.file, &asked.task, &asked.chat).ok().flatten();
    task.map(|task| task.limited(Some(asked.items)))
        .filter(|task| task.reference().digest == asked.digest)
        .map(|task| task.prompts())
        .unwrap_or_default()
}

fn lines(row: &Row, facts: &TaskFacts, filter: &str, draft: &mut Draft) -> Result<()> {
    let Ask::Task(asked) = &row.trial.ask else { return Ok(()) };
    let prompts = prompts(asked);
    let mut out = BufWriter::new(draft.file());
    for item in &row.outcome.items {
        writeln!(out, "{}", line(item, facts, filter, prompts.get(&item.index).map(String::as_str)))?;
    }
    out.flush()?;
    Ok(())
}

fn line(item: &ItemResult, facts: &TaskFacts, filter: &str, prompt: Option<&str>) -> String {
    let of = |metric: &bantam_eval::TaskMetric| {
        let score = item.score(metric.metric).filter(|_| metric.of.is_none())?;
        Some((metric.name.clone(), score.value))
    };
    let written = Written {
        doc_id: item.index,
        prompt,
        prompt_hash: prompt.map(|prompt| disk::hex(&Sha256::digest(prompt.as_bytes()))),
        target: item.target.as_deref(),
        logprobs: &item.logprobs,
        answer: item.answer.as_deref(),
        filter,
        scores: facts.metrics.iter().filter_map(of).collect(),
    };
    written.line().to_string()
}

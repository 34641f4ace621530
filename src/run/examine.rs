//! Everything that is known of one variant, and two held against each other down to the answers that changed: from what is
//! stored, its files' headers and its suites; no model is asked.

use crate::library::models::{self, ModelFacts};
use crate::library::suites;
use crate::run::{Workplace, advised};
use crate::show::strip::{self, StripRow};
use anyhow::{Context, Result};
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Id, ItemResult, Place, Row, TaskRef, Variant};
use bantam_core::unit::Bytes;
use bantam_eval::Battery;
use bantam_verdict::recommend::{Advice, Comparison, Desk, Flip, VariantSummary, flips};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that is known of a variant.
#[derive(Debug, Clone)]
pub struct Examined {
    /// As the decision that is shown has it.
    pub summary: VariantSummary,
    /// What it is held against.
    pub reference: Option<String>,
    /// Each of its trials: what was asked, how long it took, when, or why there is no result.
    pub trials: Vec<Trialled>,
    pub file: Filed,
}

/// One trial of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Trialled {
    pub ask: String,
    /// Items that were answered, or repeats that were measured.
    pub count: usize,
    /// Seconds it took, and when it began, since 1970.
    pub wall: f64,
    pub started: f64,
    /// Why it gave no result.
    pub failure: Option<String>,
}

/// Where a variant's weights are, what is in them, and how they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filed {
    /// The file or folder; None inside the binary, and where it is made anew each time.
    pub path: Option<PathBuf>,
    pub exists: bool,
    /// Types of its tensors: how many of each, and their bytes.
    pub tensors: Vec<(String, u64, Bytes)>,
    /// Bits a weight of each matrix, layer by layer.
    pub strip: Vec<StripRow>,
    /// Why that is not known.
    pub unread: Option<String>,
    /// What each step that made it did, as its file tells.
    pub steps: Vec<(String, String)>,
    /// What can be done with it, and the command.
    pub commands: Vec<(String, String)>,
}

/// Tells everything of a variant; None where it is none of these rows.
pub fn variant(desk: &Desk, advice: &Advice, id: &Id, workplace: &Workplace) -> Option<Examined> {
    let summary = advice.summary(id)?.clone();
    let reference = advice.reference().filter(|reference| reference.id() != id).map(|s| s.variant.label());
    let trials = desk.rows_of(id).iter().map(|row| trialled(row, &summary)).collect();
    let file = filed(&summary.variant, workplace);
    Some(Examined { summary, reference, trials, file })
}

fn trialled(row: &Row, summary: &VariantSummary) -> Trialled {
    let count = match &row.trial.ask {
        Ask::Task(task) => {
            let found = summary.scores.iter().find(|s| s.suite == task.suite && s.task == task.task);
            found.map_or(0, |score| score.items)
        }
        Ask::Speed(_) => row.outcome.samples.len(),
    };
    Trialled {
        ask: row.trial.ask.label(),
        count,
        wall: row.outcome.wall.0,
        started: row.outcome.started,
        failure: row.outcome.result.as_ref().err().map(|failure| failure.sentence()),
    }
}

fn filed(variant: &Variant, workplace: &Workplace) -> Filed {
    let path = advised::place(variant, workplace);
    let inside = variant.has_own_files() && path.is_none();
    let exists = inside || path.as_ref().is_some_and(|path| path.exists());
    let at = exists.then(|| path.as_deref().map_or_else(|| variant.model.place.clone(), place));
    let gone = || anyhow::anyhow!("its file is not here; it is made again when it is measured");
    let read = at.as_ref().map_or_else(|| Err(gone()), tensors);
    let facts = models::inspect(&variant.model.place).ok();
    let there = path.as_deref().filter(|_| exists);
    let steps = there.and_then(|path| bantam_lab::history::of_file(path).ok()).unwrap_or_default();
    let strip = at.as_ref().and_then(|at| strip::of(at).ok()).unwrap_or_default();
    let (tensors, unread) = match read {
        Ok(tensors) => (tensors, None),
        Err(error) => (Vec::new(), Some(crate::show::sentence(&error))),
    };
    Filed {
        commands: advised::commands(variant, there, facts.as_ref(), "RUN"),
        steps: steps.into_iter().map(|note| (note.step, note.did)).collect(),
        path,
        exists,
        tensors,
        strip,
        unread,
    }
}

fn place(path: &Path) -> Place {
    match path.is_dir() {
        true => Place::Folder(path.to_owned()),
        false => Place::Gguf(path.to_owned()),
    }
}

/// The types of a model's tensors, the most bytes first.
fn tensors(place: &Place) -> Result<Vec<(String, u64, Bytes)>> {
    let types = match models::inspect(place)? {
        ModelFacts::Decoder(facts) => facts.types,
        ModelFacts::Encoder(facts) => facts.types,
    };
    let mut tensors: Vec<(String, u64, Bytes)> =
        types.into_iter().map(|(name, share)| (name, share.tensors, Bytes(share.bytes))).collect();
    tensors.sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
    Ok(tensors)
}

/// Two variants side by side.
#[derive(Debug, Clone)]
pub struct Contrast {
    /// The one that is held against.
    pub one: Variant,
    pub other: Variant,
    pub tasks: Vec<TaskContrast>,
}

/// Two variants on one task.
#[derive(Debug, Clone)]
pub struct TaskContrast {
    pub comparison: Comparison,
    /// How much worse is still good enough there.
    pub margin: f64,
    /// The answers that changed, in the order of the data.
    pub flips: Vec<Flipped>,
    /// Why the prompts are not told.
    pub no_prompts: Option<String>,
}

/// An answer that changed, with what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Flipped {
    pub flip: Flip,
    pub prompt: Option<String>,
    pub slices: BTreeMap<String, String>,
}

/// Holds one variant of these rows against another; None where one of the two is none of them.
pub fn contrast(desk: &Desk, profile: &Profile, one: &Id, other: &Id) -> Option<Contrast> {
    let named = |id: &Id| desk.rows_of(id).first().map(|row| row.trial.variant.clone());
    let (first, second) = (named(one)?, named(other)?);
    let task = |comparison: Comparison| {
        let margin = profile.objective.margin_of(|name| comparison.task.is_called(name));
        let rows = (desk.whole_row(one, &comparison.task), desk.whole_row(other, &comparison.task));
        let (flips, no_prompts) = match rows {
            (Some(one), Some(other)) => flipped(&one, &other),
            _ => (Vec::new(), None),
        };
        TaskContrast { comparison, margin, flips, no_prompts }
    };
    let tasks = desk.compare(one, other, profile).into_iter().map(task).collect();
    Some(Contrast { one: first, other: second, tasks })
}

/// The answers that changed from one row to the other, with their prompts or why there are none.
fn flipped(one: &Row, other: &Row) -> (Vec<Flipped>, Option<String>) {
    let changed = flips(one, other);
    if changed.is_empty() {
        return (Vec::new(), None);
    }
    let items: BTreeMap<usize, &ItemResult> = one.outcome.items.iter().map(|item| (item.index, item)).collect();
    let (mut prompts, why) = match &one.trial.ask {
        Ask::Task(task) => match prompts(task, one.trial.conditions.limit) {
            Ok(prompts) => (prompts, None),
            Err(error) => (BTreeMap::new(), Some(crate::show::sentence(&error))),
        },
        Ask::Speed(_) => (BTreeMap::new(), None),
    };
    let with_prompt = |flip: Flip| Flipped {
        prompt: prompts.remove(&flip.index),
        slices: items.get(&flip.index).map(|item| item.slices.clone()).unwrap_or_default(),
        flip,
    };
    (changed.into_iter().map(with_prompt).collect(), why)
}

/// What a task put to the models, as long as its suite is what it was.
///
/// # Errors
/// Where the suite cannot be read, or is another one by now.
pub fn prompts(asked: &TaskRef, limit: Option<usize>) -> Result<BTreeMap<usize, String>> {
    let task = suites::load_task(&asked.file, &asked.task, &asked.chat)?;
    let task = task.with_context(|| format!("{}: has no task '{}' any more", asked.file, asked.task))?;
    let task = task.limited(limit.filter(|_| !Battery::is_name(&asked.file)));
    anyhow::ensure!(
        task.reference().digest == asked.digest,
        "{}: task '{}' changed since it was asked, so that its prompts are others now",
        asked.file,
        asked.task
    );
    Ok(task.prompts())
}

//! A task trial: the suite's items put to the model, each said as soon as it is answered.

use super::gauge::Pulses;
use super::{Measured, Replies};
use crate::library::models::Loaded;
use crate::library::suites;
use crate::run::protocol::{Measure, Reply};
use crate::subject::{Answerer, EncoderAnswerer};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::record::{ItemResult, Place, Reading, TaskRef, Warning, WarningKind};
use bantam_eval::{self as eval, Asked, LanguageModel, Task};

pub fn ask(request: &Measure, asked: &TaskRef, model: &Loaded, cancel: &Cancel, replies: &Replies) -> Result<Measured> {
    let task = find(request, asked)?;
    let pulses = Pulses::start(replies, None);
    let mut broken = None;
    let mut answerer = answerer(request, model);
    let done = eval::ask(&task, answerer.as_mut(), &request.answered, cancel, &mut |item| {
        pulses.count(item.tokens);
        match is_finite(&item) {
            true => replies.say(&Reply::Item(Box::new(item))),
            false => {
                broken.get_or_insert(item.index);
                cancel.cancel();
            }
        }
    })?;
    if let Some(index) = broken {
        bail!("item {index} of {} has a score that is no number: the variant's output is broken", asked.task);
    }
    ensure!(!cancel.is_cancelled(), "cancelled");
    Ok(Measured {
        energy: Reading::missing("energy is measured at the speed shapes, where its phases are told apart"),
        ceiling: Reading::missing("a task has no decode speed"),
        warnings: truncated(&done).into_iter().collect(),
    })
}

fn answerer<'a>(request: &Measure, model: &'a Loaded) -> Box<dyn LanguageModel + 'a> {
    let folder = match &request.place {
        Place::Folder(folder) => Some(folder.clone()),
        Place::Bundled(_) | Place::Gguf(_) => None,
    };
    match model {
        Loaded::Encoder(encoder) => Box::new(EncoderAnswerer::new(encoder)),
        Loaded::Decoder(model) => Box::new(Answerer::new(model, request.trial.conditions.seed).from_folder(folder)),
    }
}

/// The task as the plan saw it.
fn find(request: &Measure, asked: &TaskRef) -> Result<Task> {
    let suite = suites::load(&asked.file)?;
    let task = suite.tasks.into_iter().find(|task| task.name == asked.task);
    let task = task.with_context(|| format!("{}: has no task '{}' any more", asked.file, asked.task))?;
    let task = task.limited(request.trial.conditions.limit);
    ensure!(
        task.reference().digest == asked.digest,
        "{}: task '{}' changed after the run was planned; start the run again",
        asked.file,
        asked.task
    );
    Ok(task)
}

/// JSON has no infinities, and a score made of them would be none.
fn is_finite(item: &ItemResult) -> bool {
    item.scores.iter().all(|s| s.value.is_finite() && s.weight.is_finite())
        && item.logprobs.iter().all(|l| l.is_finite())
}

fn truncated(asked: &Asked) -> Option<Warning> {
    let Asked { items, truncated, texts, truncated_texts } = *asked;
    let beside = match truncated_texts {
        0 => String::new(),
        n => format!(" and {n} of {texts} documents or examples"),
    };
    (truncated + truncated_texts > 0).then(|| Warning {
        kind: WarningKind::Truncated,
        text: format!(
            "{truncated} of {items} prompts{beside} were longer than the model takes and lost a part (a decoder the \
             beginning of its prompt, an embedded text its end); take a model with a longer context or raise \
             measure.max_length"
        ),
    })
}

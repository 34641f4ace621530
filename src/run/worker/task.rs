//! A task trial: the suite's items put to the model, each said as soon as it is answered.

use super::meters::{Energy, Pulses, TaskMeter};
use super::{Measured, Replies};
use crate::library::models::Loaded;
use crate::library::suites;
use crate::run::protocol::{Measure, Reply};
use crate::subject::{LocalDecoder, LocalEncoder};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::record::{Cut, ItemResult, Place, Reading, Spent, TaskRef, Warning, WarningKind};
use bantam_eval::{self as eval, Battery, LanguageModel, Report, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

pub(super) fn ask(
    request: &Measure,
    asked: &TaskRef,
    model: &Loaded,
    energy: &mut Option<Energy>,
    cancel: &Cancel,
    replies: &Replies,
) -> Result<Measured> {
    let task = find(request, asked)?;
    let conditions = &request.trial.conditions;
    let energy = energy.get_or_insert_with(|| Energy::find(conditions));
    let pulses = Pulses::start(replies, energy.sampler());
    let skip = skip(request, &task);
    let mut broken = None;
    let mut on_item = |item: ItemResult| {
        pulses.count(item.tokens);
        match is_finite(&item) {
            true => replies.say(&Reply::Item(Box::new(item))),
            false => {
                broken.get_or_insert(item.index);
                cancel.cancel();
            }
        }
    };
    let batches = if request.parallel_batches > 1 { eval::batches_of(&task, &skip) } else { None };
    let lanes = batches.as_ref().map_or(1, |batches| request.parallel_batches.min(batches.len()));
    let meter = TaskMeter::begin(energy, conditions, lanes);
    let spent = || meter.spent();
    let done = match batches {
        Some(batches) => Lanes { request, task: &task, model, batches, cancel, spent: &spent }.ask(&mut on_item)?,
        None => eval::ask_metered(&task, answerer(request, model).as_mut(), &skip, cancel, Some(&spent), &mut on_item)?,
    };
    let (joules, doubts) = meter.end(conditions);
    if let Some(index) = broken {
        bail!("item {index} of {} has a score that is no number: the variant's output is broken", asked.task);
    }
    ensure!(!cancel.is_cancelled(), "cancelled");
    let done = done.unless_all_refused()?;
    Ok(Measured {
        energy: joules,
        ceiling: Reading::missing("a task has no decode speed"),
        warnings: warnings(&task, &done).into_iter().chain(doubts).collect(),
    })
}

/// The items that are there, and those that come another time.
pub(super) fn skip(request: &Measure, task: &Task) -> BTreeSet<usize> {
    let mut skip = request.answered.clone();
    if let Some(block) = &request.block {
        skip.extend((0..task.items().len()).filter(|index| !block.contains(index)));
    }
    skip
}

/// Batches of items that several threads take one after the other. A batch is what it would be in one go, so that its
/// answers are the same.
struct Lanes<'a> {
    request: &'a Measure,
    task: &'a Task,
    model: &'a Loaded,
    batches: Vec<Vec<usize>>,
    cancel: &'a Cancel,
    spent: &'a (dyn Fn() -> Spent + Sync),
}

/// What a batch gave.
type Answered = Result<(Vec<ItemResult>, Report)>;

impl Lanes<'_> {
    /// Answers all batches and hands the items over in their order.
    fn ask(&self, on_item: &mut dyn FnMut(ItemResult)) -> Result<Report> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (send, answered) = channel();
            for _ in 0..self.request.parallel_batches.min(self.batches.len()) {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || self.work(next, &send));
            }
            drop(send);
            self.in_order(&answered, on_item)
        })
    }

    /// One thread's work, whose kernels run on it alone.
    fn work(&self, next: &AtomicUsize, send: &Sender<(usize, Answered)>) {
        let own = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        // where that fails the kernels share their threads, and the answers are the same
        let _own = own.ok();
        let mut answerer = answerer(self.request, self.model);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = self.batches.get(number).filter(|_| !self.cancel.is_cancelled()) else { return };
            let others = (0..self.task.items().len()).filter(|index| !batch.contains(index)).collect();
            let mut items = Vec::new();
            let spent = || (self.spent)();
            let mut keep = |item| items.push(item);
            let asked = eval::ask_metered(self.task, answerer.as_mut(), &others, self.cancel, Some(&spent), &mut keep);
            if send.send((number, asked.map(|asked| (items, asked)))).is_err() {
                return;
            }
        }
    }

    fn in_order(&self, answered: &Receiver<(usize, Answered)>, on_item: &mut dyn FnMut(ItemResult)) -> Result<Report> {
        let (mut early, mut first, mut sum) = (BTreeMap::new(), 0, Report::default());
        for (number, batch) in answered {
            early.insert(number, batch.inspect_err(|_| self.cancel.cancel()));
            while let Some(batch) = early.remove(&first) {
                let (items, asked) = batch?;
                items.into_iter().for_each(&mut *on_item);
                sum.add(asked);
                first += 1;
            }
        }
        // after a failure the batches before it may be missing
        early.into_values().find_map(Result::err).map_or(Ok(sum), Err)
    }
}

fn answerer<'a>(request: &Measure, model: &'a Loaded) -> Box<dyn LanguageModel + 'a> {
    let folder = match &request.place {
        Place::Folder(folder) => Some(folder.clone()),
        Place::Bundled(_) | Place::Gguf(_) | Place::Endpoint(_) | Place::System(_) => None,
    };
    match model {
        Loaded::Encoder(encoder) => Box::new(LocalEncoder::new(encoder)),
        Loaded::Decoder(model) => Box::new(LocalDecoder::new(model, request.trial.conditions.seed).from_folder(folder)),
    }
}

/// The task as the plan saw it.
pub(super) fn find(request: &Measure, asked: &TaskRef) -> Result<Task> {
    let task = suites::load_task(&asked.file, &asked.task, &asked.chat)?;
    let task = task.with_context(|| format!("{}: has no task '{}' any more", asked.file, asked.task))?;
    // the battery says itself how many items it has
    let limit = request.trial.conditions.limit.filter(|_| !Battery::is_name(&asked.file));
    let task = task.limited(limit);
    ensure!(
        task.reference().digest == asked.digest,
        "{}: task '{}' changed after the run was planned; start the run again",
        asked.file,
        asked.task
    );
    Ok(task)
}

/// JSON has no infinities, and a score made of them would be none.
pub(super) fn is_finite(item: &ItemResult) -> bool {
    item.scores.iter().all(|s| s.value.is_finite() && s.weight.is_finite())
        && item.logprobs.iter().all(|l| l.is_finite())
}

/// What is doubtful about the answers and about the task itself.
pub(super) fn warnings(task: &Task, report: &eval::Report) -> Vec<Warning> {
    let doubtful = task.notes.iter().map(|note| Warning { kind: WarningKind::Suite, text: note.clone() });
    let chat = without_system(report).into_iter().chain(cut(task, report));
    truncated(report).into_iter().chain(refused(report)).chain(chat).chain(doubtful).collect()
}

fn refused(report: &eval::Report) -> Option<Warning> {
    let first = report.refused.first()?;
    let text = format!(
        "{} of {} items could not be asked and have no score; the first is {}: {}",
        report.refused.len(),
        report.items,
        first.place,
        first.reason
    );
    Some(Warning { kind: WarningKind::Unasked, text })
}

fn without_system(report: &eval::Report) -> Option<Warning> {
    report.without_system.then(|| Warning {
        kind: WarningKind::Chat,
        text: "the model's chat template refuses a system's message, so that its conversations were written without \
               (as lm-evaluation-harness does): what the task describes there was not read"
            .into(),
    })
}

/// Answers that did not come to their end, where one is due: what was taught to talk ends its turns.
fn cut(task: &Task, report: &eval::Report) -> Option<Warning> {
    let count = |cut: Cut| report.cut.get(&cut).copied().unwrap_or(0);
    let answers = if task.chat_style().is_some() { count(Cut::Answer) } else { 0 };
    let seen = [
        (count(Cut::NoAnswer), "never came to an answer, thinking to the last token"),
        (count(Cut::Thinking), "had their thinking cut at its budget"),
        (answers, "were cut before the model ended them"),
    ];
    let seen: Vec<String> =
        seen.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!seen.is_empty()).then(|| Warning {
        kind: WarningKind::CutOff,
        text: format!(
            "of {} answers {}; raise generation_kwargs.max_gen_toks or thinking_budget, or read their scores as a lower bound",
            report.items,
            seen.join(", ")
        ),
    })
}

fn truncated(report: &eval::Report) -> Option<Warning> {
    let &eval::Report { items, truncated, texts, truncated_texts, .. } = report;
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

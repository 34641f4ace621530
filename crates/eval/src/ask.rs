//! Asking: the items of a task, put to a model in batches, each result handed over as soon as it is there. Items that
//! are stored already are not asked again. What all items need (the vectors of documents, a classifier that has learnt)
//! is made before the first. How a batch is put and what an answer is worth is the kind's.

use crate::items::{Item, Items};
use crate::kind::{Kind, Scored};
use crate::model::{LanguageModel, TextRole};
use crate::prompt::Context as Asked;
use crate::settings::TaskSettings;
use crate::task::Task;
use crate::vectors::Vectors;
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::record::{Billed, Cut, ItemResult, Spent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Items are batched up to this many …
const BATCH_ITEMS: usize = 32;
/// … or up to this many bytes of text, less what all items begin with, so that a long batch neither delays a cancel nor
/// loses much to a kill.
const BATCH_BYTES: usize = 32 << 10;
/// Texts beside the items are read so many at a time: they are not stored one by one.
const TEXTS: usize = 64;

/// Why a model cannot be asked one item, though it can be asked others: only that item goes without a score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unaskable(String);

impl Unaskable {
    /// Says why, in one sentence without the item's place.
    pub fn new(reason: impl Into<String>) -> Unaskable {
        Unaskable(reason.into())
    }

    /// A continuation that tokens of its context swallow.
    pub(crate) fn adds_nothing(context: &str, continuation: &str) -> Unaskable {
        let end: String = context.chars().rev().take(SHOWN).collect::<Vec<_>>().into_iter().rev().collect();
        let begin: String = continuation.chars().take(SHOWN).collect();
        Unaskable(format!("{begin:?} adds no token to a context that ends in {end:?}; it needs some text of its own"))
    }
}

/// Characters of a text in a message.
const SHOWN: usize = 24;

/// An item that the model could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its line of the data, as `data.jsonl:17`.
    pub place: String,
    /// Why.
    pub reason: Unaskable,
}

/// Counts what was asked and what was truncated on the way, for a warning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Items that were asked now.
    pub items: usize,
    /// Of them those whose text did not fit and lost a part.
    pub truncated: usize,
    /// Documents and examples that were read beside the items.
    pub texts: usize,
    /// Of them those that did not fit.
    pub truncated_texts: usize,
    /// Items that the model could not be asked: they have no score.
    pub refused: Vec<Refused>,
    /// The model's chat template refuses a system's message, so that conversations were written without theirs.
    pub without_system: bool,
    /// Where what the model wrote was cut off, and how often.
    pub cut: BTreeMap<Cut, usize>,
}

impl Report {
    /// Gives the report back if any item could be asked.
    ///
    /// # Errors
    /// Where none could, with the first one's reason.
    pub fn unless_all_refused(self) -> Result<Report> {
        match self.refused.first() {
            Some(first) if self.refused.len() == self.items => {
                bail!("no item could be asked; the first is {}: {}", first.place, first.reason)
            }
            _ => Ok(self),
        }
    }

    /// Adds what was asked elsewhere of the same task.
    pub fn add(&mut self, other: Report) {
        self.items += other.items;
        self.truncated += other.truncated;
        self.texts += other.texts;
        self.truncated_texts += other.truncated_texts;
        self.refused.extend(other.refused);
        self.without_system |= other.without_system;
        other.cut.into_iter().for_each(|(cut, count)| *self.cut.entry(cut).or_default() += count);
    }
}

/// Asks every item that is not in `skip`, in order, and hands each result over; ends after the batch in which `cancel`
/// asks for it.
///
/// # Errors
/// Where the model cannot be asked what the task asks, fails, or says what is no number.
pub fn ask(
    task: &Task,
    model: &mut dyn LanguageModel,
    skip: &BTreeSet<usize>,
    cancel: &Cancel,
    on_item: &mut dyn FnMut(ItemResult),
) -> Result<Report> {
    ask_metered(task, model, skip, cancel, None, on_item)
}

/// What the machine has spent by now: seconds of it, and joules above idle where there is a meter. Read before and after
/// each batch; the difference is shared among the batch's items by their tokens.
pub type Meter<'a> = &'a dyn Fn() -> Spent;

/// The same, where each item's result says what answering it took. What is computed once for all items (documents, what
/// all prompts begin with) counts for none of them.
///
/// # Errors
/// As [`ask`].
pub fn ask_metered(
    task: &Task,
    model: &mut dyn LanguageModel,
    skip: &BTreeSet<usize>,
    cancel: &Cancel,
    meter: Option<Meter>,
    on_item: &mut dyn FnMut(ItemResult),
) -> Result<Report> {
    let asking = Asking { task: &task.name, settings: &task.settings, skip, cancel, meter };
    task.items.ask(&asking, model, on_item)
}

/// The items that [`ask`] would put to the model together, by their indices: asked batch by batch, on several threads, they
/// give what they give in one go. None where the model first reads what all items need.
pub fn batches_of(task: &Task, skip: &BTreeSet<usize>) -> Option<Vec<Vec<usize>>> {
    task.items.batches(&task.settings, skip)
}

/// What is to be asked of a task.
pub(crate) struct Asking<'a> {
    task: &'a str,
    settings: &'a TaskSettings,
    skip: &'a BTreeSet<usize>,
    cancel: &'a Cancel,
    meter: Option<Meter<'a>>,
}

/// What a kind of task makes before its first item, it makes with this.
pub(crate) struct Preparation<'a> {
    pub(crate) model: &'a mut dyn LanguageModel,
    cancel: &'a Cancel,
    report: &'a mut Report,
}

impl Preparation<'_> {
    /// A vector for each of many texts, as it is compared; None after a cancel.
    pub(crate) fn embed(
        &mut self,
        vectors: Vectors,
        texts: &[String],
        role: TextRole,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let mut all = Vec::with_capacity(texts.len());
        for some in texts.chunks(TEXTS) {
            if self.cancel.is_cancelled() {
                return Ok(None);
            }
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let embedded = vectors.embed(&some, role, self.model)?;
            self.report.texts += embedded.len();
            self.report.truncated_texts += embedded.iter().filter(|one| one.truncated).count();
            all.extend(embedded.into_iter().map(|one| one.vector));
        }
        Ok(Some(all))
    }
}

/// Asks the items of one kind.
pub(crate) fn ask_items<K: Kind>(
    Items { kind, items }: &Items<K>,
    &Asking { task, settings, skip, cancel, meter }: &Asking,
    model: &mut dyn LanguageModel,
    on_item: &mut dyn FnMut(ItemResult),
) -> Result<Report> {
    use crate::model::ModelAnswer;
    let mut report = Report::default();
    let left: Vec<&Arc<Item<K>>> = items.iter().filter(|item| !skip.contains(&item.index)).collect();
    if left.is_empty() {
        return Ok(report);
    }
    let prepared = kind.prepare(&mut Preparation { model, cancel, report: &mut report })?;
    let Some(prepared) = prepared else { return Ok(report) };
    let ends = ends(kind.as_ref(), items);
    if let Some((first, last)) = ends {
        report.without_system = begin(first, last, settings, model)?;
    }
    let common = common_bytes(ends);
    for batch in batches(&left, |item| size(kind.as_ref(), &item.request, settings, common)) {
        if cancel.is_cancelled() {
            break;
        }
        let before = meter.map(|meter| meter());
        let answered = answers(batch, &mut |requests| kind.ask(&prepared, requests, settings, model))?;
        let spent = before.zip(meter.map(|meter| meter())).map(|(before, after)| since(before, after));
        let mut results = Vec::with_capacity(answered.len());
        for (item, answer) in answered {
            report.items += 1;
            let answer = match answer {
                Ok(answer) => answer,
                Err(reason) => {
                    report.refused.push(Refused { place: item.place(), reason });
                    results.push(item.result(Scored::default()));
                    continue;
                }
            };
            report.truncated += usize::from(answer.truncated());
            let scored = kind.score(&prepared, &item.request, answer, settings);
            let scored = scored.with_context(|| format!("{} of task '{task}'", item.place()))?;
            scored.cut.into_iter().for_each(|cut| *report.cut.entry(cut).or_default() += 1);
            results.push(item.result(scored));
        }
        if let Some(spent) = spent {
            share(&mut results, spent);
        }
        results.into_iter().for_each(&mut *on_item);
    }
    Ok(report)
}

fn since(before: Spent, after: Spent) -> Spent {
    Spent {
        seconds: (after.seconds - before.seconds).max(0.0),
        joules: before.joules.zip(after.joules).map(|(before, after)| after - before),
        estimated: after.estimated,
        billed: before.billed.zip(after.billed).map(|(before, after)| Billed {
            input: after.input - before.input,
            output: after.output - before.output,
            estimated: after.estimated,
        }),
        cents: None,
    }
}

/// Shares what a batch took among its items by their tokens. Items without any (what could not be asked) took nothing of
/// note.
fn share(results: &mut [ItemResult], batch: Spent) {
    let tokens: usize = results.iter().map(|item| item.tokens).sum();
    let is_alone = results.len() == 1;
    for item in results {
        let part = if is_alone { 1.0 } else { item.tokens as f64 / tokens.max(1) as f64 };
        let seconds = (batch.seconds * part * 1e7).round() / 1e7; // tenths of a microsecond: no digits beyond the clock's
        let joules = batch.joules.map(|joules| (joules * part * 1e7).round() / 1e7);
        let billed = batch.billed.map(|b| Billed { input: b.input * part, output: b.output * part, ..b });
        item.spent = Some(Spent { seconds, joules, billed, ..batch });
    }
}

/// Tells the model what all contexts begin with, and whether its chat template refuses a system's message. What cannot be
/// written is told of when it is asked, if it is: a model with a head reads no prompts.
fn begin(first: &Asked, last: &Asked, settings: &TaskSettings, model: &mut dyn LanguageModel) -> Result<bool> {
    let style = settings.chat.as_ref();
    let written = first.written(style, model).and_then(|first| Ok((first, last.written(style, model)?)));
    let Ok((first, last)) = written else { return Ok(false) };
    model.begin(&first.text, &last.text)?;
    Ok(first.without_system || last.without_system)
}

/// What the model says of each item of a batch. Where it cannot be asked one of them, they are asked one by one, and that
/// one has its reason.
#[expect(clippy::type_complexity, reason = "an item and what became of it, used once")]
fn answers<'a, K: Kind>(
    batch: &[&'a Arc<Item<K>>],
    ask: &mut dyn FnMut(&[&K::Request]) -> Result<Vec<K::Answer>>,
) -> Result<Vec<(&'a Arc<Item<K>>, Result<K::Answer, Unaskable>)>> {
    let requests: Vec<&K::Request> = batch.iter().map(|item| &item.request).collect();
    match ask(&requests) {
        Ok(answers) => {
            let (given, asked) = (answers.len(), batch.len());
            ensure!(given == asked, "the model gave {given} answers to {asked} questions");
            Ok(batch.iter().copied().zip(answers.into_iter().map(Ok)).collect())
        }
        Err(error) => match (error.downcast::<Unaskable>(), batch) {
            (Ok(reason), [item]) => Ok(vec![(*item, Err(reason))]),
            (Ok(_), _) => {
                let mut all = Vec::with_capacity(batch.len());
                for item in batch {
                    all.extend(answers(std::slice::from_ref(item), ask)?);
                }
                Ok(all)
            }
            (Err(error), _) => Err(error),
        },
    }
}

/// The batches of one kind's items, by their indices.
pub(crate) fn item_batches<K: Kind>(
    Items { kind, items }: &Items<K>,
    settings: &TaskSettings,
    skip: &BTreeSet<usize>,
) -> Vec<Vec<usize>> {
    let left: Vec<&Arc<Item<K>>> = items.iter().filter(|item| !skip.contains(&item.index)).collect();
    let common = common_bytes(ends(kind.as_ref(), items));
    let batches = batches(&left, |item| size(kind.as_ref(), &item.request, settings, common));
    batches.map(|batch| batch.iter().map(|item| item.index).collect()).collect()
}

/// The first and the last context of all items in the order of bytes, of conversations in that of their messages; None
/// where there is nothing to share.
fn ends<'a, K: Kind>(kind: &K, items: &'a [Arc<Item<K>>]) -> Option<(&'a Asked, &'a Asked)> {
    let contexts = || items.iter().flat_map(|item| kind.contexts(&item.request));
    contexts().min().zip(contexts().max()).filter(|_| items.len() > 1)
}

/// How many bytes the first and the last context begin with in common, and so all between them.
fn common_bytes(ends: Option<(&Asked, &Asked)>) -> usize {
    ends.map_or(0, |(first, last)| first.common_bytes(last))
}

/// Bytes that a request makes the model read or write beside the `common` ones that all contexts begin with.
fn size<K: Kind>(kind: &K, request: &K::Request, settings: &TaskSettings, common: usize) -> usize {
    kind.size(request, settings).saturating_sub(common * kind.contexts(request).len())
}

fn batches<T>(items: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |item: &&T| {
            bytes += size(item);
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_ITEMS).take_while(fits).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

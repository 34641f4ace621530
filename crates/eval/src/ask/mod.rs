//! Asking: the items of a task, put to a model in batches, each result handed over as soon as it is there. Items that
//! are stored already are not asked again. What all items need (the documents that are searched, a classifier that has
//! learnt) is made ready before the first.
//!
//! In reading order: `ready` is what stands beside the items, `reply` what the model is asked and says, `result` what
//! that is worth.

mod ready;
mod reply;
mod result;

use super::model::{Choices, Generation, LanguageModel};
use super::task::{Item, Request, Task};
use crate::material::Material;
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::record::ItemResult;
use ready::Ready;
use reply::replies;
use result::result;
use std::collections::BTreeSet;

/// Items are batched up to this many …
const BATCH_ITEMS: usize = 16;
/// … or up to this many bytes of text, so that a long batch neither delays a cancel nor loses much to a kill.
const BATCH_BYTES: usize = 32 << 10;
/// For the size of what is still to be generated.
const BYTES_A_TOKEN: usize = 4;

/// What was met on the way, for a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Items that were asked now.
    pub items: usize,
    /// Of them those whose text did not fit and lost a part.
    pub truncated: usize,
    /// Documents and examples that were read beside the items.
    pub texts: usize,
    /// Of them those that did not fit.
    pub truncated_texts: usize,
}

/// Asks every item that is not in `skip`, in order, and hands each result over; ends after the batch in which `cancel`
/// asks for it.
pub fn ask(
    task: &Task,
    model: &mut dyn LanguageModel,
    skip: &BTreeSet<usize>,
    cancel: &Cancel,
    on_item: &mut dyn FnMut(ItemResult),
) -> Result<Asked> {
    let mut asked = Asked::default();
    let left: Vec<&Item> = task.items.iter().filter(|item| !skip.contains(&item.index)).collect();
    if left.is_empty() {
        return Ok(asked);
    }
    let Some(ready) = Ready::make(task, model, cancel, &mut asked)? else { return Ok(asked) };
    for batch in batches(&left, &task.generation) {
        if cancel.is_cancelled() {
            break;
        }
        for (&item, reply) in batch.iter().zip(replies(task, &ready, batch, model)?) {
            asked.items += 1;
            asked.truncated += usize::from(reply.truncated());
            let result = result(task, &ready, item, reply);
            on_item(result.with_context(|| format!("item {} of task '{}'", item.index, task.name))?);
        }
    }
    Ok(asked)
}

/// The items that [`ask`] would put to the model together, by their indices: asked batch by batch, on several threads, they
/// give what they give in one go. None where the model first reads what all items need.
pub fn batches_of(task: &Task, skip: &BTreeSet<usize>) -> Option<Vec<Vec<usize>>> {
    if matches!(task.material, Material::Corpus(..) | Material::Train(..)) {
        return None;
    }
    let left: Vec<&Item> = task.items.iter().filter(|item| !skip.contains(&item.index)).collect();
    let indices = |batch: &[&Item]| batch.iter().map(|item| item.index).collect();
    Some(batches(&left, &task.generation).map(indices).collect())
}

fn batches<'a>(items: &'a [&'a Item], generation: &Generation) -> impl Iterator<Item = &'a [&'a Item]> {
    let mut rest = items;
    let to_come = generation.max_tokens * BYTES_A_TOKEN;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |item: &&&Item| {
            bytes += size(&item.request, to_come);
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_ITEMS).take_while(fits).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Bytes of text that a request makes the model read; `to_come` is what a generation may add.
fn size(request: &Request, to_come: usize) -> usize {
    let of = |ask: &Choices| ask.context.len() + ask.continuations.iter().map(String::len).sum::<usize>();
    match request {
        Request::Choose { asks, .. } => asks.iter().map(of).sum(),
        Request::Complete(ask) => of(ask),
        Request::Roll { text } => text.len(),
        Request::Generate { prompt, .. } => prompt.len() + to_come,
        Request::Classify { text, pair, ask, .. } => of(ask).max(text.len() + pair.as_ref().map_or(0, String::len)),
        Request::Compare { texts, .. } => texts.iter().map(String::len).sum(),
        Request::Find { query, .. } => query.len(),
        Request::Sort { text, .. } => text.len(),
    }
}

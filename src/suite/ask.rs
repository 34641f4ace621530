//! Asking: the items of a task, put to a model in batches, each result handed over as soon as it is there. Items that
//! are stored already are not asked again.

use super::model::{Choices, Generated, Generation, LanguageModel, Loglikelihood, Rolling};
use super::score;
use super::task::{Item, OutputType, Request, Task};
use crate::job::Cancel;
use crate::record::ItemResult;
use anyhow::{Context, Result, bail, ensure};
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
    /// Items whose prompt did not fit and lost its beginning.
    pub truncated: usize,
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
    for batch in batches(&left, &task.generation) {
        if cancel.is_cancelled() {
            break;
        }
        for (&item, reply) in batch.iter().zip(replies(task, batch, model)?) {
            asked.items += 1;
            asked.truncated += usize::from(reply.truncated());
            let result = result(task, item, reply);
            on_item(result.with_context(|| format!("item {} of task '{}'", item.index, task.name))?);
        }
    }
    Ok(asked)
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
    }
}

/// What the model said of one item.
enum Reply {
    /// Of every choice, in order.
    Likelihoods(Vec<Loglikelihood>),
    Rolling(Rolling),
    Generated(Generated),
}

impl Reply {
    fn truncated(&self) -> bool {
        match self {
            Reply::Likelihoods(all) => all.iter().any(|l| l.truncated),
            Reply::Rolling(_) => false,
            Reply::Generated(generated) => generated.truncated,
        }
    }
}

/// Puts a batch to the model: one reply per item.
fn replies(task: &Task, batch: &[&Item], model: &mut dyn LanguageModel) -> Result<Vec<Reply>> {
    let (mut asks, mut counts, mut texts, mut prompts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for item in batch {
        match &item.request {
            Request::Choose { asks: several, .. } => {
                counts.push(several.len());
                asks.extend(several.iter().cloned());
            }
            Request::Complete(one) => {
                counts.push(1);
                asks.push(one.clone());
            }
            Request::Roll { text } => texts.push(text.as_str()),
            Request::Generate { prompt, .. } => prompts.push(prompt.as_str()),
        }
    }
    let replies: Vec<Reply> = match task.output_type {
        OutputType::MultipleChoice | OutputType::Loglikelihood => {
            let mut answers = model.loglikelihood(&asks)?.into_iter();
            counts.into_iter().map(|n| Reply::Likelihoods(answers.by_ref().take(n).flatten().collect())).collect()
        }
        OutputType::LoglikelihoodRolling => {
            model.loglikelihood_rolling(&texts)?.into_iter().map(Reply::Rolling).collect()
        }
        OutputType::GenerateUntil => {
            model.generate(&prompts, &task.generation)?.into_iter().map(Reply::Generated).collect()
        }
    };
    ensure!(replies.len() == batch.len(), "the model gave {} answers to {} questions", replies.len(), batch.len());
    Ok(replies)
}

fn result(task: &Task, item: &Item, reply: Reply) -> Result<ItemResult> {
    let blank = ItemResult {
        index: item.index,
        scores: Vec::new(),
        choice: None,
        target: None,
        answer: None,
        logprobs: Vec::new(),
        slices: item.slices.clone(),
        pair: item.pair.clone(),
        tokens: 0,
    };
    let metrics = &task.metrics;
    Ok(match (&item.request, reply) {
        (Request::Choose { choices, gold, .. }, Reply::Likelihoods(given)) => {
            let logprobs = logprobs(&given, choices.len())?;
            let (scores, taken) = score::choose(metrics, &given, choices, gold);
            let [target, answer] = [gold[0], taken].map(|index| Some(choices[index].clone()));
            let tokens = given.iter().map(|l| l.tokens).sum();
            ItemResult { scores, choice: Some(taken), target, answer, logprobs, tokens, ..blank }
        }
        (Request::Complete(ask), Reply::Likelihoods(given)) => {
            let logprobs = logprobs(&given, 1)?;
            let target = ask.continuations.first().cloned();
            ItemResult {
                scores: score::completed(metrics, &given[0]),
                target,
                logprobs,
                tokens: given[0].tokens,
                ..blank
            }
        }
        (Request::Roll { text }, Reply::Rolling(Rolling { logprob, tokens })) => {
            number(logprob)?;
            ItemResult { scores: score::rolled(metrics, logprob, text), logprobs: vec![logprob], tokens, ..blank }
        }
        (Request::Generate { targets, .. }, Reply::Generated(Generated { text, tokens, .. })) => {
            let (scores, answer) = score::written(metrics, &task.exact_match, &task.filters, &text, targets);
            ItemResult { scores, target: targets.first().cloned(), answer: Some(answer), tokens, ..blank }
        }
        _ => bail!("the task asks in one way and its item in another"),
    })
}

/// The log-likelihoods of an item's choices, if each has one and it is a number.
fn logprobs(given: &[Loglikelihood], choices: usize) -> Result<Vec<f64>> {
    ensure!(given.len() == choices, "the model gave {} answers to {choices} choices", given.len());
    given.iter().map(|l| number(l.logprob)).collect()
}

/// A score made of what is no number would look like a score.
fn number(logprob: f64) -> Result<f64> {
    ensure!(!logprob.is_nan(), "the log-likelihood is not a number: the model's weights or its arithmetic are broken");
    Ok(logprob)
}

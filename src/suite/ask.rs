//! Asking: the items of a task, put to a model in batches, each result handed over as soon as it is there. Items that
//! are stored already are not asked again.

use super::model::{Choices, LanguageModel, Loglikelihood};
use super::score;
use super::task::{Item, Request, Task};
use crate::job::Cancel;
use crate::record::{ItemResult, ItemScore};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;

/// Items are batched up to this many …
const BATCH_ITEMS: usize = 16;
/// … or up to this many bytes of text, so that a long batch neither delays a cancel nor loses much to a kill.
const BATCH_BYTES: usize = 32 << 10;

/// What was met on the way, for a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Items that were asked now.
    pub items: usize,
    /// Items whose prompt did not fit and lost its beginning.
    pub truncated: usize,
}

/// Asks every item that is not in `skip`, in order, and hands each result over; ends early where `cancel` asks for it.
pub fn ask(
    task: &Task,
    model: &mut dyn LanguageModel,
    skip: &BTreeSet<usize>,
    cancel: &Cancel,
    on_item: &mut dyn FnMut(ItemResult),
) -> Result<Asked> {
    let mut asked = Asked::default();
    let left: Vec<&Item> = task.items.iter().filter(|item| !skip.contains(&item.index)).collect();
    for batch in batches(&left) {
        if cancel.is_cancelled() {
            break;
        }
        let answers = answers(batch, model)?;
        let mut answers = answers.into_iter();
        for &item in batch {
            let (result, truncated) = one(task, item, model, &mut answers)
                .with_context(|| format!("item {} of task '{}'", item.index, task.name))?;
            asked.items += 1;
            asked.truncated += usize::from(truncated);
            on_item(result);
            if cancel.is_cancelled() {
                break;
            }
        }
    }
    Ok(asked)
}

fn batches<'a>(items: &'a [&'a Item]) -> impl Iterator<Item = &'a [&'a Item]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |item: &&&Item| {
            bytes += size(&item.request);
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_ITEMS).take_while(fits).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

fn size(request: &Request) -> usize {
    asks(request).iter().map(|ask| ask.context.len() + ask.continuations.iter().map(String::len).sum::<usize>()).sum()
}

/// What is asked by likelihood, and so in batches.
fn asks(request: &Request) -> &[Choices] {
    match request {
        Request::Choose { asks, .. } => asks,
        Request::Complete(ask) => std::slice::from_ref(ask),
        Request::Roll { .. } | Request::Generate { .. } => &[],
    }
}

/// The likelihoods of a batch: one list per ask, in order.
fn answers(batch: &[&Item], model: &mut dyn LanguageModel) -> Result<Vec<Vec<Loglikelihood>>> {
    let asks: Vec<Choices> = batch.iter().flat_map(|item| asks(&item.request)).cloned().collect();
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let answers = model.loglikelihood(&asks)?;
    let as_asked = answers.len() == asks.len()
        && answers.iter().zip(&asks).all(|(given, ask)| given.len() == ask.continuations.len());
    ensure!(as_asked, "the model gave {} answers to {} questions", answers.len(), asks.len());
    Ok(answers)
}

/// One item: its result, and whether its prompt was truncated.
fn one(
    task: &Task,
    item: &Item,
    model: &mut dyn LanguageModel,
    answers: &mut impl Iterator<Item = Vec<Loglikelihood>>,
) -> Result<(ItemResult, bool)> {
    let given: Vec<Loglikelihood> = answers.by_ref().take(asks(&item.request).len()).flatten().collect();
    let blank = Answer { logprobs: given.iter().map(|a| a.logprob).collect(), ..Answer::of(&given) };
    let (scores, answer) = match &item.request {
        Request::Choose { choices, gold, .. } => {
            number(&blank.logprobs)?;
            let (scores, taken) = score::choose(&task.metrics, &given, choices, gold);
            let [target, said] = [gold[0], taken].map(|index| choices.get(index).cloned());
            (scores, Answer { choice: Some(taken), target, said, ..blank })
        }
        Request::Complete(ask) => {
            number(&blank.logprobs)?;
            (score::completed(&task.metrics, &given[0]), Answer { target: ask.continuations.first().cloned(), ..blank })
        }
        Request::Roll { text } => {
            let rolling = model.loglikelihood_rolling(text)?;
            number(&[rolling.logprob])?;
            let answer = Answer { logprobs: vec![rolling.logprob], tokens: rolling.tokens, ..blank };
            (score::rolled(&task.metrics, rolling.logprob, text), answer)
        }
        Request::Generate { prompt, targets } => {
            let generated = model.generate(prompt, &task.generation)?;
            let (scores, said) =
                score::written(&task.metrics, &task.exact_match, &task.filters, &generated.text, targets);
            let answer = Answer {
                target: targets.first().cloned(),
                said: Some(said),
                tokens: generated.tokens,
                truncated: generated.truncated,
                ..blank
            };
            (scores, answer)
        }
    };
    Ok((answer.result(item, scores), answer.truncated))
}

/// What the model said of one item.
#[derive(Default)]
struct Answer {
    choice: Option<usize>,
    target: Option<String>,
    said: Option<String>,
    logprobs: Vec<f64>,
    tokens: usize,
    truncated: bool,
}

impl Answer {
    fn of(given: &[Loglikelihood]) -> Answer {
        let tokens = given.iter().map(|a| a.tokens).sum();
        Answer { tokens, truncated: given.iter().any(|a| a.truncated), ..Answer::default() }
    }

    fn result(&self, item: &Item, scores: Vec<ItemScore>) -> ItemResult {
        ItemResult {
            index: item.index,
            scores,
            choice: self.choice,
            target: self.target.clone(),
            answer: self.said.clone(),
            logprobs: self.logprobs.clone(),
            slices: item.slices.clone(),
            pair: item.pair.clone(),
            tokens: self.tokens,
        }
    }
}

/// A score made of what is no number would look like a score.
fn number(logprobs: &[f64]) -> Result<()> {
    ensure!(
        logprobs.iter().all(|l| !l.is_nan()),
        "the model's log-likelihood is not a number: its weights or its arithmetic are broken"
    );
    Ok(())
}

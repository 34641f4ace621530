//! From what the model said of an item to the item's result: its scores, the answer and the right one as text.

use super::ready::Ready;
use super::reply::Reply;
use crate::material::{Material, dot};
use crate::model::{Classified, Embedded, Generated, Loglikelihood, Rolling};
use crate::score;
use crate::task::{Item, Request, Task};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::metric::Metric;
use bantam_core::record::{ItemResult, ItemScore};
use std::collections::BTreeMap;

pub fn result(task: &Task, ready: &Ready, item: &Item, reply: Reply) -> Result<ItemResult> {
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
        (Request::Classify { choices, gold, .. }, Reply::Likelihoods(given)) => {
            let tokens = given.iter().map(|l| l.tokens).sum();
            sorted(metrics, choices, logprobs(&given, choices.len())?, *gold, ItemResult { tokens, ..blank })
        }
        (Request::Classify { choices, gold, .. }, Reply::Classified(given)) => {
            let blank = ItemResult { tokens: given.tokens, ..blank };
            sorted(metrics, choices, of_head(&given, ready)?, *gold, blank)
        }
        (Request::Compare { target, .. }, Reply::Embedded(given)) => compared(metrics, ready, &given, *target, blank)?,
        (Request::Find { relevant, itself, .. }, Reply::Embedded(given)) => {
            searched(task, ready, &given, relevant, *itself, blank)?
        }
        (Request::Sort { class, .. }, Reply::Embedded(given)) => learnt(task, ready, &given, *class, blank)?,
        _ => bail!("the task asks in one way and its item in another"),
    })
}

/// How near two texts are, to be held against what people say.
fn compared(
    metrics: &[Metric],
    ready: &Ready,
    given: &[Embedded],
    target: f64,
    blank: ItemResult,
) -> Result<ItemResult> {
    let (Ready::Pairs(vectors), [one, other]) = (ready, given) else {
        bail!("two texts need a vector each and a way to be held against each other")
    };
    let value = vectors.similarity.between(&one.vector, &other.vector);
    Ok(ItemResult {
        scores: metrics.iter().map(|&metric| ItemScore { metric, value, weight: target }).collect(),
        target: Some(target.to_string()),
        answer: Some(format!("{value:.4}")),
        tokens: one.tokens + other.tokens,
        ..blank
    })
}

/// Which documents are nearest to a query; the answer is the first, the target the most relevant.
fn searched(
    task: &Task,
    ready: &Ready,
    given: &[Embedded],
    relevant: &BTreeMap<usize, f64>,
    itself: Option<usize>,
    blank: ItemResult,
) -> Result<ItemResult> {
    let (Ready::Documents(_, documents), Material::Corpus(_, corpus), [query]) = (ready, &task.material, given) else {
        bail!("a query needs one vector and documents to be searched")
    };
    let nearness: Vec<f64> = documents.iter().map(|document| dot(&query.vector, document)).collect();
    let found = score::best(&nearness, itself);
    let most = relevant.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)));
    Ok(ItemResult {
        scores: score::ranked(&task.metrics, &found, relevant),
        target: most.map(|(place, _)| corpus.ids[*place].clone()),
        answer: found.first().map(|place| corpus.ids[*place].clone()),
        tokens: query.tokens,
        ..blank
    })
}

/// Which of the classes learnt a text is of.
fn learnt(task: &Task, ready: &Ready, given: &[Embedded], class: usize, blank: ItemResult) -> Result<ItemResult> {
    let (Ready::Learnt(_, probe), Material::Train(_, train), [text]) = (ready, &task.material, given) else {
        bail!("a text needs one vector and classes that were learnt")
    };
    let found = probe.class(&text.vector);
    let [target, answer] = [class, found].map(|class| Some(train.labels[class].clone()));
    let scores = score::classified(&task.metrics, found, class);
    Ok(ItemResult { scores, choice: Some(found), target, answer, tokens: text.tokens, ..blank })
}

/// The result of a classification by the logarithms of how likely each choice is.
fn sorted(metrics: &[Metric], choices: &[String], logprobs: Vec<f64>, gold: usize, blank: ItemResult) -> ItemResult {
    let found = score::likeliest(&logprobs);
    let [target, answer] = [gold, found].map(|class| Some(choices[class].clone()));
    let scores = score::classified(metrics, found, gold);
    ItemResult { scores, choice: Some(found), target, answer, logprobs, ..blank }
}

/// The logarithm of each choice's share of what a head says; several classes that mean one choice add up.
fn of_head(given: &Classified, ready: &Ready) -> Result<Vec<f64>> {
    let Ready::Head(classes) = ready else { bail!("the model has a head that nobody asked for its classes") };
    let share = |class: &usize| given.probabilities.get(*class).copied().map(f64::from);
    let sum = |classes: &Vec<usize>| {
        let sum = classes.iter().map(share).sum::<Option<f64>>();
        let sum = sum.with_context(|| {
            format!("the model's head gave {} classes, fewer than it named", given.probabilities.len())
        })?;
        // a class that is not thought possible at all is as unlikely as can be told, not infinitely so
        number(sum.max(f64::from(f32::MIN_POSITIVE)).ln())
    };
    classes.iter().map(sum).collect()
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

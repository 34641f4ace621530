//! Asking: the items of a task, put to a model in batches, each result handed over as soon as it is there. Items that
//! are stored already are not asked again. What all items need (the documents that are searched, a classifier that has
//! learnt) is made ready before the first.

use super::material::{Material, Vectors, dot};
use super::model::{
    Choices, Classified, Embedded, Generated, Generation, How, LanguageModel, Loglikelihood, Role, Rolling, Texts,
};
use super::score::{self, Probe};
use super::task::{Item, OutputType, Request, Task};
use crate::job::Cancel;
use crate::metric::Metric;
use crate::record::{ItemResult, ItemScore};
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

/// What a task's items are asked with.
enum Ready {
    Nothing,
    /// For each choice the classes of the model's head that mean it.
    Head(Vec<Vec<usize>>),
    Pairs(Vectors),
    /// The documents' vectors, in the order of the corpus.
    Documents(Vectors, Vec<Vec<f32>>),
    Learnt(Vectors, Probe),
}

impl Ready {
    /// Reads what stands beside the items; None where `cancel` asked for an end meanwhile.
    fn make(task: &Task, model: &mut dyn LanguageModel, cancel: &Cancel, asked: &mut Asked) -> Result<Option<Ready>> {
        let mut read =
            |vectors: &Vectors, texts: &[String], role| embed_all(vectors, texts, role, model, cancel, asked);
        Ok(match &task.material {
            Material::None => Some(Ready::Nothing),
            Material::Vectors(vectors) => Some(Ready::Pairs(*vectors)),
            Material::Corpus(vectors, corpus) => {
                read(vectors, &corpus.texts, Role::Document)?.map(|documents| Ready::Documents(*vectors, documents))
            }
            Material::Train(vectors, train) => read(vectors, &train.texts, Role::Plain)?.map(|known| {
                let probe = Probe::learn(train.classifier, known, &train.classes, train.labels.len());
                Ready::Learnt(*vectors, probe)
            }),
            Material::Head(named) => Some(match model.classes() {
                None => Ready::Nothing,
                Some(classes) => Ready::Head(score::mapped(choices(task), named.as_deref(), &classes)?),
            }),
        })
    }

    /// How the items' own texts become vectors.
    fn vectors(&self) -> Option<(&Vectors, Role)> {
        match self {
            Ready::Nothing | Ready::Head(_) => None,
            Ready::Documents(vectors, _) => Some((vectors, Role::Query)),
            Ready::Pairs(vectors) | Ready::Learnt(vectors, _) => Some((vectors, Role::Plain)),
        }
    }
}

/// The classes of a classification, which are the same for all its items.
fn choices(task: &Task) -> &[String] {
    match task.items.first().map(|item| &item.request) {
        Some(Request::Classify { choices, .. }) => choices,
        _ => &[],
    }
}

/// A vector for each of many texts, as it is compared; None after a cancel.
fn embed_all(
    vectors: &Vectors,
    texts: &[String],
    role: Role,
    model: &mut dyn LanguageModel,
    cancel: &Cancel,
    asked: &mut Asked,
) -> Result<Option<Vec<Vec<f32>>>> {
    let mut all = Vec::with_capacity(texts.len());
    for some in texts.chunks(BATCH_ITEMS) {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        let embedded = embed(vectors, &some, role, model)?;
        asked.texts += embedded.len();
        asked.truncated_texts += embedded.iter().filter(|one| one.truncated).count();
        all.extend(embedded.into_iter().map(|one| one.vector));
    }
    Ok(Some(all))
}

fn embed(vectors: &Vectors, texts: &[&str], role: Role, model: &mut dyn LanguageModel) -> Result<Vec<Embedded>> {
    let embedded = model.embed(texts, How { role, pooling: vectors.pooling })?;
    ensure!(embedded.len() == texts.len(), "the model gave {} vectors for {} texts", embedded.len(), texts.len());
    let prepared = |one: Embedded| Embedded { vector: vectors.similarity.prepare(one.vector), ..one };
    Ok(embedded.into_iter().map(prepared).collect())
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

/// What the model said of one item.
enum Reply {
    /// Of every choice, in order.
    Likelihoods(Vec<Loglikelihood>),
    Rolling(Rolling),
    Generated(Generated),
    Classified(Classified),
    /// Of each of the item's texts.
    Embedded(Vec<Embedded>),
}

impl Reply {
    fn truncated(&self) -> bool {
        match self {
            Reply::Likelihoods(all) => all.iter().any(|l| l.truncated),
            Reply::Rolling(_) => false,
            Reply::Generated(generated) => generated.truncated,
            Reply::Classified(classified) => classified.truncated,
            Reply::Embedded(all) => all.iter().any(|one| one.truncated),
        }
    }
}

/// Puts a batch to the model: one reply per item.
fn replies(task: &Task, ready: &Ready, batch: &[&Item], model: &mut dyn LanguageModel) -> Result<Vec<Reply>> {
    let mut asks = Asks::default();
    for item in batch {
        asks.add(&item.request, matches!(ready, Ready::Head(_)));
    }
    let replies: Vec<Reply> = match (task.output_type, ready.vectors()) {
        (_, Some((vectors, role))) => {
            let mut answers = embed(vectors, &asks.texts, role, model)?.into_iter();
            asks.counts.iter().map(|&n| Reply::Embedded(answers.by_ref().take(n).collect())).collect()
        }
        (OutputType::LoglikelihoodRolling, _) => {
            model.loglikelihood_rolling(&asks.texts)?.into_iter().map(Reply::Rolling).collect()
        }
        (OutputType::GenerateUntil, _) => {
            model.generate(&asks.texts, &task.generation)?.into_iter().map(Reply::Generated).collect()
        }
        (OutputType::Classification, _) if !asks.heads.is_empty() => {
            model.classify(&asks.heads)?.into_iter().map(Reply::Classified).collect()
        }
        _ => {
            let mut answers = model.loglikelihood(&asks.choices)?.into_iter();
            let of = |&n: &usize| Reply::Likelihoods(answers.by_ref().take(n).flatten().collect());
            asks.counts.iter().map(of).collect()
        }
    };
    ensure!(replies.len() == batch.len(), "the model gave {} answers to {} questions", replies.len(), batch.len());
    Ok(replies)
}

/// What a batch asks of the model, by the way of asking; one of the lists is filled.
#[derive(Default)]
struct Asks<'a> {
    choices: Vec<Choices>,
    texts: Vec<&'a str>,
    heads: Vec<Texts<'a>>,
    /// How many of `choices` or `texts` belong to each item.
    counts: Vec<usize>,
}

impl<'a> Asks<'a> {
    fn add(&mut self, request: &'a Request, by_head: bool) {
        let before = self.choices.len() + self.texts.len();
        match request {
            Request::Choose { asks, .. } => self.choices.extend(asks.iter().cloned()),
            Request::Complete(one) => self.choices.push(one.clone()),
            Request::Classify { text, pair, .. } if by_head => self.heads.push(Texts { text, pair: pair.as_deref() }),
            Request::Classify { ask, .. } => self.choices.push(ask.clone()),
            Request::Compare { texts, .. } => self.texts.extend(texts.iter().map(String::as_str)),
            Request::Roll { text }
            | Request::Generate { prompt: text, .. }
            | Request::Find { query: text, .. }
            | Request::Sort { text, .. } => self.texts.push(text),
        }
        self.counts.push(self.choices.len() + self.texts.len() - before);
    }
}

fn result(task: &Task, ready: &Ready, item: &Item, reply: Reply) -> Result<ItemResult> {
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
        (Request::Compare { target, .. }, Reply::Embedded(given)) => {
            let [one, other] = &given[..] else { bail!("the model gave {} vectors for two texts", given.len()) };
            let Ready::Pairs(vectors) = ready else { bail!("two texts need a way to be held against each other") };
            let value = vectors.similarity.between(&one.vector, &other.vector);
            ItemResult {
                scores: metrics.iter().map(|&metric| ItemScore { metric, value, weight: *target }).collect(),
                target: Some(target.to_string()),
                answer: Some(format!("{value:.4}")),
                tokens: one.tokens + other.tokens,
                ..blank
            }
        }
        (Request::Find { relevant, itself, .. }, Reply::Embedded(given)) => {
            let (Ready::Documents(_, documents), Material::Corpus(_, corpus), [query]) =
                (ready, &task.material, &given[..])
            else {
                bail!("a query needs one vector and documents to be searched")
            };
            let nearness: Vec<f64> = documents.iter().map(|document| dot(&query.vector, document)).collect();
            let found = score::best(&nearness, *itself);
            let first = relevant.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)));
            ItemResult {
                scores: score::ranked(metrics, &found, relevant),
                target: first.map(|(place, _)| corpus.ids[*place].clone()),
                answer: found.first().map(|place| corpus.ids[*place].clone()),
                tokens: query.tokens,
                ..blank
            }
        }
        (Request::Sort { class, .. }, Reply::Embedded(given)) => {
            let (Ready::Learnt(_, probe), Material::Train(_, train), [text]) = (ready, &task.material, &given[..])
            else {
                bail!("a text needs one vector and classes that were learnt")
            };
            let found = probe.class(&text.vector);
            let [target, answer] = [*class, found].map(|class| Some(train.labels[class].clone()));
            let scores = score::classified(metrics, found, *class);
            ItemResult { scores, choice: Some(found), target, answer, tokens: text.tokens, ..blank }
        }
        _ => bail!("the task asks in one way and its item in another"),
    })
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

//! What a batch of items asks of the model, gathered by the way of asking, and what the model says of each.

use super::ready::{Ready, embed};
use crate::model::{Choices, Classified, Embedded, Generated, LanguageModel, Loglikelihood, Rolling, Texts};
use crate::task::{Item, OutputType, Request, Task};
use anyhow::{Result, ensure};

/// What the model said of one item.
pub enum Reply {
    /// Of every choice, in order.
    Likelihoods(Vec<Loglikelihood>),
    Rolling(Rolling),
    Generated(Generated),
    Classified(Classified),
    /// Of each of the item's texts.
    Embedded(Vec<Embedded>),
}

impl Reply {
    pub fn truncated(&self) -> bool {
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
pub fn replies(task: &Task, ready: &Ready, batch: &[&Item], model: &mut dyn LanguageModel) -> Result<Vec<Reply>> {
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

//! `multiple_choice`: which of several continuations is the most likely one.

use super::{Kind, Requests, Scored, likelihoods, logprobs};
use crate::ask::Preparation;
use crate::error::Error;
use crate::front::Section;
use crate::lines::Lesson;
use crate::metric::{self, Choices, Scorer, Taken};
use crate::model::{LanguageModel, Loglikelihood};
use crate::prompt::{Ask, ChoicePrompt, Context as Asked, Prompt};
use crate::settings::TaskSettings;
use anyhow::{Context, Result};
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct MultipleChoice;

#[derive(Debug, Serialize)]
pub(crate) struct ChoiceRequest {
    /// One context with all choices; or, where the choices are contexts, one context each with the same ending.
    asks: Vec<Ask>,
    /// The choices' own text, without the delimiter, whose length normalises.
    choices: Vec<String>,
    /// Indices of the right choices, at least one.
    gold: Vec<usize>,
}

impl Kind for MultipleChoice {
    const NAME: &'static str = "multiple_choice";
    const REQUEST: &'static str = "choose";
    const KEYS: &'static [&'static str] = &["description", "doc_to_choice", "doc_to_target", "num_fewshot"];
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::Acc, Metric::AccNorm];

    type Request = ChoiceRequest;
    type Prepared = ();
    type Answer = Vec<Loglikelihood>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_choices.is_some()
    }

    fn parse(section: &Section) -> Result<(MultipleChoice, Requests<MultipleChoice>), Error> {
        section.needs_choices()?;
        let prompt = Prompt::parse(section, None)?;
        let request = |doc| {
            let ChoicePrompt { asks, choices, gold } = prompt.choice(doc, section.pool)?;
            Ok(Some(ChoiceRequest { asks, choices, gold }))
        };
        Ok((MultipleChoice, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn chance(&self, request: &ChoiceRequest) -> Option<f64> {
        Some(request.gold.len() as f64 / request.choices.len() as f64)
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a ChoiceRequest) -> Vec<&'a Asked> {
        request.asks.iter().map(|ask| &ask.context).collect()
    }

    fn lesson(&self, request: &ChoiceRequest) -> Option<Lesson> {
        let right = *request.gold.first()?;
        // one context with all choices, or a context for each with the same ending
        let (ask, nth) = match &request.asks[..] {
            [ask] => (ask, right),
            asks => (asks.get(right)?, 0),
        };
        Some(Lesson { prompt: ask.context.clone(), answer: ask.continuations.get(nth)?.clone() })
    }

    fn size(&self, request: &ChoiceRequest, _: &TaskSettings) -> usize {
        request.asks.iter().map(Ask::size).sum()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&ChoiceRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Loglikelihood>>> {
        likelihoods(requests.iter().map(|request| request.asks.as_slice()), settings.chat.as_ref(), model)
    }

    fn score(
        &self,
        _: &(),
        request: &ChoiceRequest,
        answers: Vec<Loglikelihood>,
        settings: &TaskSettings,
    ) -> Result<Scored> {
        let ChoiceRequest { choices, gold, .. } = request;
        let logprobs = logprobs(&answers, choices.len())?;
        let item = Choices { answers: &answers, choices, gold };
        let take = |scorer: &Scorer| -> Option<Taken> { Some(scorer.of_choices?(&item)) };
        // the choice that the deciding metric takes
        let taken = settings.metrics.first().and_then(|&metric| take(metric::scorer(metric)?));
        let taken = taken.context("a task has a metric of choices")?.choice;
        let [target, answer] = [gold[0], taken].map(|index| Some(choices[index].clone()));
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(take(scorer)?.score)),
            choice: Some(taken),
            target,
            answer,
            logprobs,
            tokens: answers.iter().map(|l| l.tokens).sum(),
            gold: gold.clone(),
            ..Scored::default()
        })
    }
}

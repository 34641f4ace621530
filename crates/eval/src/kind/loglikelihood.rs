//! `loglikelihood`: how likely one continuation is.

use super::{Kind, Requests, Scored, likelihoods, logprobs};
use crate::ask::Preparation;
use crate::error::Error;
use crate::front::Section;
use crate::lines::Lesson;
use crate::metric::{self, Scorer};
use crate::model::{LanguageModel, Loglikelihood};
use crate::prompt::{Ask, Context, Prompt};
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct LoglikelihoodTask;

impl Kind for LoglikelihoodTask {
    const NAME: &'static str = "loglikelihood";
    const REQUEST: &'static str = "complete";
    const KEYS: &'static [&'static str] = &["description", "doc_to_target", "num_fewshot"];
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::Perplexity, Metric::Acc];

    /// A context with its one continuation.
    type Request = Ask;
    type Prepared = ();
    type Answer = Vec<Loglikelihood>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_continuation.is_some()
    }

    fn parse(section: &Section) -> Result<(LoglikelihoodTask, Requests<LoglikelihoodTask>), Error> {
        let prompt = Prompt::parse(section, None)?;
        let request = |doc| prompt.continuation(doc, section.pool).map(Some);
        Ok((LoglikelihoodTask, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a Ask) -> Vec<&'a Context> {
        vec![&request.context]
    }

    fn lesson(&self, request: &Ask) -> Option<Lesson> {
        Some(Lesson { prompt: request.context.clone(), answer: request.continuations.first()?.clone() })
    }

    fn size(&self, request: &Ask, _: &TaskSettings) -> usize {
        request.size()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&Ask],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Loglikelihood>>> {
        let asks = requests.iter().map(|request| std::slice::from_ref(*request));
        likelihoods(asks, settings.chat.as_ref(), model)
    }

    fn score(&self, _: &(), request: &Ask, given: Vec<Loglikelihood>, settings: &TaskSettings) -> Result<Scored> {
        let logprobs = logprobs(&given, 1)?;
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_continuation?(&given[0]))),
            target: request.continuations.first().cloned(),
            logprobs,
            tokens: given[0].tokens,
            ..Scored::default()
        })
    }
}

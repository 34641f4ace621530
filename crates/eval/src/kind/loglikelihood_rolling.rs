//! `loglikelihood_rolling`: how likely a whole text is.

use super::{Kind, Requests, Scored, number};
use crate::ask::Preparation;
use crate::data::Doc;
use crate::error::Error;
use crate::front::{RawDocTo, Section};
use crate::metric::{self, Scorer, WholeText};
use crate::model::{LanguageModel, Rolling};
use crate::prompt::Prompt;
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct LoglikelihoodRolling;

#[derive(Debug, Serialize)]
pub(crate) struct TextRequest {
    text: String,
    /// The text whose words and bytes count, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<String>,
}

impl Kind for LoglikelihoodRolling {
    const NAME: &'static str = "loglikelihood_rolling";
    const REQUEST: &'static str = "roll";
    const KEYS: &'static [&'static str] = &["doc_to_target"];
    const METRICS: &'static [Metric] = &[Metric::WordPerplexity, Metric::BytePerplexity, Metric::BitsPerByte];

    type Request = TextRequest;
    type Prepared = ();
    type Answer = Rolling;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_text.is_some()
    }

    fn parse(section: &Section) -> Result<(LoglikelihoodRolling, Requests<LoglikelihoodRolling>), Error> {
        if matches!(section.raw.doc_to_text, Some(RawDocTo::Index(_))) {
            let key = section.key.at("doc_to_text");
            return Err(key.wrong("is an index; a text that is scored whole has no choices"));
        }
        let prompt = Prompt::parse(section, Some(""))?;
        let counted = section.harness.and_then(|harness| harness.counted.as_deref());
        let request = |doc: &Doc| {
            let counted = counted.map(|name| doc.label(name).map_err(|why| section.key.wrong(why))).transpose()?;
            Ok(Some(TextRequest { text: prompt.whole_text(doc)?, counted }))
        };
        Ok((LoglikelihoodRolling, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn size(&self, request: &TextRequest, _: &TaskSettings) -> usize {
        request.text.len()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&TextRequest],
        _: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Rolling>> {
        let texts: Vec<&str> = requests.iter().map(|request| request.text.as_str()).collect();
        model.loglikelihood_rolling(&texts)
    }

    fn score(&self, _: &(), request: &TextRequest, answer: Rolling, settings: &TaskSettings) -> Result<Scored> {
        let Rolling { logprob, tokens } = answer;
        let text = WholeText { logprob: number(logprob)?, text: request.counted.as_ref().unwrap_or(&request.text) };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_text?(&text))),
            logprobs: vec![logprob],
            tokens,
            ..Scored::default()
        })
    }
}

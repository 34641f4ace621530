//! `generate_until`: what the model says, after the filters, held against the texts that are right.

use super::writing::{self, Told};
use super::{Kind, Requests, Scored, stereotype};
use crate::ask::Preparation;
use crate::code;
use crate::data::Doc;
use crate::error::Error;
use crate::filter::choices_within;
use crate::front::{FilterOn, Section};
use crate::lines::Lesson;
use crate::metric::{self, GeneratedText, Score, Scorer};
use crate::model::{Generated, LanguageModel};
use crate::prompt::{Context, Prompt};
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

#[derive(Debug, Serialize)]
pub(crate) struct GenerateUntil;

#[derive(Debug, Serialize)]
pub(crate) struct PromptRequest {
    prompt: Context,
    /// Any of these is right; at least one.
    targets: Vec<String>,
    /// What filters look at beside the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filter_on: Vec<String>,
    /// Which choices are stereotyped, of a question whose answer names one in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<stereotype::Said>,
    /// The first of them as an example shows it, behind the delimiter; it decides no score.
    #[serde(skip)]
    answer: String,
}

impl Kind for GenerateUntil {
    const NAME: &'static str = "generate_until";
    const REQUEST: &'static str = "generate";
    const KEYS: &'static [&'static str] = writing::keys!("doc_to_choice", "filter_list");
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::ExactMatch];

    type Request = PromptRequest;
    type Prepared = ();
    /// As often as each item is answered.
    type Answer = Vec<Generated>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_generated.is_some()
    }

    fn parse(section: &Section) -> Result<(GenerateUntil, Requests<GenerateUntil>), Error> {
        let prompt_keys = Prompt::parse(section, None)?;
        let request = |doc| {
            let (prompt, targets) = prompt_keys.generation(doc, section.pool)?;
            let answer = targets.first().map(|target| prompt_keys.delimited(target)).unwrap_or_default();
            let said = said(section, doc)?;
            Ok(Some(PromptRequest { prompt, targets, filter_on: filter_on(section, doc)?, said, answer }))
        };
        Ok((GenerateUntil, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a PromptRequest) -> Vec<&'a Context> {
        vec![&request.prompt]
    }

    fn lesson(&self, request: &PromptRequest) -> Option<Lesson> {
        Some(Lesson { prompt: request.prompt.clone(), answer: request.answer.clone() })
    }

    fn size(&self, request: &PromptRequest, settings: &TaskSettings) -> usize {
        writing::size(&request.prompt, settings)
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&PromptRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Generated>>> {
        writing::generate(requests.iter().map(|request| &request.prompt), settings, model)
    }

    fn score(
        &self,
        _: &(),
        request: &PromptRequest,
        generated: Vec<Generated>,
        settings: &TaskSettings,
    ) -> Result<Scored> {
        let told = Told::of(generated, &request.filter_on, settings);
        let item = GeneratedText {
            text: &told.text,
            raw: &told.raw,
            cut: told.is_cut(),
            targets: &request.targets,
            ignoring: &settings.exact_match,
            passed: request.passed(&told.texts, settings)?,
        };
        let said = request.said.as_ref().map(|said| said.of(&told.text));
        let score = |scorer: &Scorer| match (&said, scorer.of_stereotype) {
            (Some((_, said)), Some(score)) => score(said),
            (Some((_, said)), None) if scorer.metric == Metric::Acc => Some(Score::right(said.is_right)),
            _ => Some(scorer.of_generated?(&item)),
        };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, score),
            choice: said.and_then(|(taken, _)| taken),
            target: request.targets.first().cloned(),
            answer: Some(told.text),
            tokens: told.tokens,
            thinking: told.thinking,
            cut: told.cut,
            likelihood: told.likelihood,
            ..Scored::default()
        })
    }
}

/// Which choices of a line are stereotyped, where the task tells.
fn said(section: &Section, doc: &Doc) -> Result<Option<stereotype::Said>, Error> {
    let name = section.harness.and_then(|harness| harness.sides.as_deref());
    let value = name.and_then(|name| doc.fields.get(name));
    let said = value.map(stereotype::Said::deserialize).transpose();
    said.map_err(|e| section.key.at("process_results").wrong(e.to_string()))
}

impl PromptRequest {
    /// How many programs were run and how many passed, where the task runs what the model writes.
    fn passed(&self, texts: &[String], settings: &TaskSettings) -> Result<Option<(usize, usize)>> {
        let Some(tests) = self.targets.first().filter(|_| settings.runs_code) else { return Ok(None) };
        Ok(Some((texts.len(), code::passed(texts, tests)?)))
    }
}

/// What the task's filters look at in a line beside the model's text.
fn filter_on(section: &Section, doc: &Doc) -> Result<Vec<String>, Error> {
    let Some(on) = section.harness.and_then(|harness| harness.filter_on) else { return Ok(Vec::new()) };
    let name = match on {
        FilterOn::Choices => "choices",
        FilterOn::ChoicesWithin | FilterOn::Input => "input",
        FilterOn::Prompt => "prompt",
    };
    let key = section.key.at("filter_list");
    let value = doc.fields.get(name).ok_or_else(|| key.wrong(doc.lacks(name)))?;
    let texts = match (on, value) {
        (FilterOn::Choices, Json::Array(list)) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        (FilterOn::ChoicesWithin, Json::String(text)) => Some(choices_within(text)),
        (FilterOn::Input | FilterOn::Prompt, Json::String(text)) => Some(vec![text.clone()]),
        _ => None,
    };
    texts.ok_or_else(|| {
        let what = if on == FilterOn::Choices { "no list of texts" } else { "no text" };
        key.wrong(format!("needs field '{name}', which is {what} at {}", doc.place()))
    })
}

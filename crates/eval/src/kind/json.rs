//! `json`: the model writes a JSON value, as when it takes fields out of a text; each field is right or not.

use super::writing::{self, Told};
use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::error::Error;
use crate::front::Section;
use crate::lines::Lesson;
use crate::metric::{self, JsonAnswer, Scorer};
use crate::model::{Generated, LanguageModel};
use crate::prompt::{Context, Prompt};
use crate::settings::TaskSettings;
use crate::structured::{self, compare};
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;
use serde_json::Value as Json;

#[derive(Debug, Serialize)]
pub(crate) struct JsonTask;

#[derive(Debug, Serialize)]
pub(crate) struct JsonRequest {
    prompt: Context,
    right: Json,
    /// The same as an example shows it, behind the delimiter.
    #[serde(skip)]
    answer: String,
}

impl Kind for JsonTask {
    const NAME: &'static str = "json";
    const KEYS: &'static [&'static str] = writing::keys!();
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::JsonF1, Metric::JsonExact, Metric::JsonValid];

    type Request = JsonRequest;
    type Prepared = ();
    type Answer = Vec<Generated>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_json.is_some()
    }

    fn parse(section: &Section) -> Result<(JsonTask, Requests<JsonTask>), Error> {
        let prompt = Prompt::parse(section, None)?.with_json_answers(None);
        let request = |doc| {
            let (context, right) = prompt.json(doc, section.pool)?;
            let answer = prompt.delimited(&structured::written(&right));
            Ok(Some(JsonRequest { prompt: context, right, answer }))
        };
        Ok((JsonTask, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a JsonRequest) -> Vec<&'a Context> {
        vec![&request.prompt]
    }

    fn lesson(&self, request: &JsonRequest) -> Option<Lesson> {
        Some(Lesson { prompt: request.prompt.clone(), answer: request.answer.clone() })
    }

    fn size(&self, request: &JsonRequest, settings: &TaskSettings) -> usize {
        writing::size(&request.prompt, settings)
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&JsonRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Generated>>> {
        writing::generate(requests.iter().map(|request| &request.prompt), settings, model)
    }

    fn score(&self, _: &(), request: &JsonRequest, said: Vec<Generated>, settings: &TaskSettings) -> Result<Scored> {
        let told = Told::of(said, &[], settings);
        let value = structured::first(&told.text);
        let comparison = compare(value.as_ref(), &request.right, &|a, b| settings.exact_match.same(a, b));
        let parts = comparison.by_field.clone();
        let item = JsonAnswer { comparison, is_valid: structured::whole(&told.text).is_some() };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_json?(&item))),
            target: Some(structured::written(&request.right)),
            answer: Some(told.text),
            tokens: told.tokens,
            thinking: told.thinking,
            cut: told.cut,
            likelihood: told.likelihood,
            parts,
            ..Scored::default()
        })
    }
}

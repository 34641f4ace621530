//! `tool_calls`: the model is given tools and calls the right ones with the right arguments, or none where none is right.

use super::writing::{self, Told};
use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::data::{Dataset, Doc, Fields};
use crate::error::{Error, Key};
use crate::front::{RawTools, Section};
use crate::lines::Lesson;
use crate::metric::{self, Scorer, ToolAnswer};
use crate::model::{Generated, LanguageModel};
use crate::prompt::{Context, Prompt};
use crate::settings::TaskSettings;
use crate::structured::{self, Call, Calls, Tools, called};
use anyhow::{Result, anyhow};
use bantam_core::metric::Metric;
use serde::Serialize;
use serde_json::{Value as Json, json};

#[derive(Debug, Serialize)]
pub(crate) struct ToolCalls;

#[derive(Debug, Serialize)]
pub(crate) struct ToolRequest {
    prompt: Context,
    /// The tools that there are.
    tools: Json,
    /// The calls that are right; none where none is.
    right: Json,
    /// The same as an example shows them, behind the delimiter.
    #[serde(skip)]
    answer: String,
}

/// The field in which templates find the tools.
const FIELD: &str = "tools";

impl Kind for ToolCalls {
    const NAME: &'static str = "tool_calls";
    const KEYS: &'static [&'static str] = writing::keys!("tools");
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::ToolExact, Metric::ToolName, Metric::ToolArguments, Metric::ToolValid];

    type Request = ToolRequest;
    type Prepared = ();
    type Answer = Vec<Generated>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_calls.is_some()
    }

    fn parse(section: &Section) -> Result<(ToolCalls, Requests<ToolCalls>), Error> {
        let of = ToolsOf::read(section)?;
        let (data, pool) = (of.given(&section.data.docs), of.given(section.pool));
        let section = &section.with_data(&data, &pool.docs);
        let prompt = Prompt::parse(section, None)?.with_json_answers(Some(FIELD));
        let request = |doc: &Doc| {
            let (context, right) = prompt.json(doc, section.pool)?;
            let key = section.key.at("doc_to_target");
            let calls = if right.is_null() { Some(Vec::new()) } else { Call::read_all(&right) };
            let calls = calls.ok_or_else(|| {
                let shown: String = structured::written(&right).chars().take(SHOWN).collect();
                key.wrong(format!(
                    "is {shown} at {}, which is no call; write {{\"name\": …, \"arguments\": {{…}}}}, a list of them, or [] for none",
                    doc.place()
                ))
            })?;
            let tools = doc.fields.get(FIELD).cloned().unwrap_or_default();
            let known =
                Tools::read(&tools).map_err(|why| section.key.at("tools").wrong(format!("{why} ({})", doc.place())))?;
            if let Some(why) = calls.iter().find_map(|call| known.check(call).err()) {
                let advice = "no answer can be right and valid there; correct the tools or the call";
                section.notes.add(
                    "right calls",
                    &key,
                    doc,
                    &format!("the right call does not fit its tool: {why}"),
                    advice,
                );
            }
            let right: Json = calls.iter().map(written).collect();
            let answer = prompt.delimited(&structured::written(&right));
            Ok(Some(ToolRequest { prompt: context, tools, right, answer }))
        };
        Ok((ToolCalls, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a ToolRequest) -> Vec<&'a Context> {
        vec![&request.prompt]
    }

    fn lesson(&self, request: &ToolRequest) -> Option<Lesson> {
        Some(Lesson { prompt: request.prompt.clone(), answer: request.answer.clone() })
    }

    fn size(&self, request: &ToolRequest, settings: &TaskSettings) -> usize {
        writing::size(&request.prompt, settings)
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&ToolRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Generated>>> {
        writing::generate(requests.iter().map(|request| &request.prompt), settings, model)
    }

    fn score(&self, _: &(), request: &ToolRequest, said: Vec<Generated>, settings: &TaskSettings) -> Result<Scored> {
        let told = Told::of(said, &[], settings);
        let tools = Tools::read(&request.tools).map_err(|why| anyhow!("tools: {why}"))?;
        let right = Call::read_all(&request.right).unwrap_or_default();
        let calls = called(&told.text);
        let item = ToolAnswer {
            // who calls nothing where a call is right has made no valid one
            is_valid: (right.is_empty() || !calls.is_empty()) && calls.iter().all(|call| tools.check(call).is_ok()),
            calls: Calls::compared(&calls, &right, &|a, b| settings.exact_match.same(a, b)),
        };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_calls?(&item))),
            target: Some(structured::written(&request.right)),
            answer: Some(told.text),
            tokens: told.tokens,
            thinking: told.thinking,
            cut: told.cut,
            likelihood: told.likelihood,
            ..Scored::default()
        })
    }
}

/// Characters of a value in a message.
const SHOWN: usize = 80;

fn written(call: &Call) -> Json {
    json!({ "name": call.name, "arguments": call.arguments })
}

/// Where an item's tools come from.
enum ToolsOf {
    /// They are the same for every item.
    Task(Json),
    /// They stand in a field of each line, as a list or as the text of one.
    Line { name: String },
}

impl ToolsOf {
    fn read(section: &Section) -> Result<ToolsOf, Error> {
        let key = section.key.at("tools");
        let checked = |list: Json| match Tools::read(&list) {
            Ok(_) => Ok(ToolsOf::Task(list)),
            Err(why) => Err(key.wrong(why)),
        };
        match &section.raw.tools {
            None => Err(missing(section.key)),
            Some(RawTools::List(list)) => checked(list.clone().into()),
            Some(RawTools::Named(name)) if section.data.first().fields.contains_key(name) => {
                Ok(ToolsOf::Line { name: name.clone() })
            }
            Some(RawTools::Named(file)) => {
                let tools = section.data_of("tools", &Some(file.clone()))?;
                checked(tools.docs.iter().map(|doc| Json::Object((*doc.fields).clone())).collect())
            }
        }
    }

    /// Lines whose tools stand in the field that templates know.
    fn given(&self, docs: &[Doc]) -> Dataset {
        let with = |doc: &Doc| {
            let tools = match self {
                ToolsOf::Task(list) => list.clone(),
                ToolsOf::Line { name } => match doc.fields.get(name) {
                    Some(Json::String(text)) => serde_json::from_str(text).unwrap_or_default(),
                    Some(value) => value.clone(),
                    None => Json::Null,
                },
            };
            let mut fields: Fields = (*doc.fields).clone();
            fields.insert(FIELD.to_owned(), tools);
            doc.with_fields(fields)
        };
        Dataset { docs: docs.iter().map(with).collect() }
    }
}

fn missing(key: &Key) -> Error {
    key.wrong(
        "has no tools; write tools = \"FILE.json\", a field's name, or a list of {name = \"…\", parameters = {…}} that are JSON \
         schemas",
    )
}

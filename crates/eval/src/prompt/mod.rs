//! From a line of data to text: the templates of a task and the prompt with its few-shot examples, by the rules of
//! `ConfigurableTask` in `lm_eval/api/task.py`, version 0.4.13. What all kinds that prompt share; not the scoring.

mod answer;
mod context;
mod doc_to;
mod shown;
mod template;
mod turns;

pub(crate) use answer::ChoicePrompt;
pub(crate) use context::Ask;
pub use context::Context;
pub(crate) use doc_to::{DocTo, Rendered, TextKey};
pub(crate) use template::Template;

use crate::data::Doc;
use crate::error::{Error, Key};
use crate::front::{Notes, RawChoices, RawDocTo, RawTask, Section};
use crate::structured::written;
use crate::tokens::python_space;
use serde::Deserialize;
use shown::Shown;
use std::rc::Rc;
use turns::{Delimiters, Form, Turn};

/// The key `doc_to_choice`.
#[derive(Debug)]
enum ChoicesKey {
    /// The same number for every item, each a template of its own.
    Each(Vec<Template>),
    /// The same texts for every item, as they stand.
    Fixed(Vec<String>),
    /// One field or template that gives the list.
    List(DocTo),
}

impl ChoicesKey {
    /// The choices of a line; one without a text is none, unless something stands before it.
    fn of(&self, doc: &Doc, may_be_empty: bool, key: &Key) -> Result<Vec<String>, Error> {
        let choices = match self {
            ChoicesKey::Each(templates) => templates.iter().map(|t| t.render(doc)).collect::<Result<Vec<_>, _>>()?,
            ChoicesKey::Fixed(texts) => texts.clone(),
            ChoicesKey::List(source) => source.list(doc)?,
        };
        match choices.iter().position(|choice| choice.is_empty() && !may_be_empty) {
            _ if choices.is_empty() => {
                Err(key.wrong(format!("there are no choices at {}; at least one is needed", doc.place())))
            }
            Some(i) => Err(key.wrong(format!("choice {i} is empty at {}; every choice needs some text", doc.place()))),
            None => Ok(choices),
        }
    }
}

/// What stands between two examples where a task does not say.
const FEWSHOT_DELIMITER: &str = "\n\n";

/// The key `fewshot_delimiter`.
pub(crate) fn fewshot_delimiter(raw: &RawTask) -> &str {
    raw.fewshot_delimiter.as_deref().unwrap_or(FEWSHOT_DELIMITER)
}

/// Which of the pool are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sampler {
    /// The first ones, the same for every item.
    #[default]
    FirstN,
    /// Drawn for each item, as lm-evaluation-harness draws them with its own seed.
    Default,
}

/// All that turns a line of data into a prompt and its right answer.
#[derive(Debug)]
pub(crate) struct Prompt {
    key: Key,
    /// What the system says before the description.
    instruction: String,
    description: Option<DocTo>,
    text: DocTo,
    choices: Option<ChoicesKey>,
    target: DocTo,
    /// What the answer begins with, said for the model.
    begun: Option<DocTo>,
    form: Form,
    target_delimiter: String,
    /// What stands between the context and a choice.
    choice_delimiter: String,
    fewshot_delimiter: String,
    shown: Shown,
    examples: Examples,
    /// It is read as lm-evaluation-harness reads it, to the letter.
    to_the_letter: bool,
    /// Answers are JSON values.
    writes_json: bool,
    /// The field with the tools that the model's chat template is given.
    tools: Option<&'static str>,
    /// The question's words name the tools, so that the template need not.
    names_tools: bool,
    /// What is doubtful about the task, line by line.
    notes: Rc<Notes>,
}

/// What examples are written with where it is not what questions are written with.
#[derive(Debug, Default)]
struct Examples {
    text: Option<DocTo>,
    choices: Option<ChoicesKey>,
    target: Option<DocTo>,
    target_delimiter: Option<String>,
    fewshot_delimiter: Option<String>,
}

/// One line of data, said in the task's words.
#[derive(Debug)]
struct Question {
    text: Rendered,
    choices: Vec<String>,
    target: Rendered,
}

impl Prompt {
    /// Reads the keys that make a task's prompt. `default_text` stands for a `doc_to_text` that is not there; without
    /// it the key is needed.
    pub(crate) fn parse(section: &Section, default_text: Option<&str>) -> Result<Prompt, Error> {
        let Section { raw, data, pool, key, notes, chat, harness, .. } = *section;
        let first = data.first();
        let doc_to = |name: &str, given: &RawDocTo| match given {
            RawDocTo::Text(text) if harness.is_some() => DocTo::field_or_template(text, key.at(name), first),
            RawDocTo::Text(text) => DocTo::new(text, key.at(name), first),
            RawDocTo::Index(index) => Ok(DocTo::Index(*index)),
        };
        let listed = |name: &str, given: &RawChoices| match given {
            RawChoices::One(text) => Ok(ChoicesKey::List(doc_to(name, &RawDocTo::Text(text.clone()))?)),
            RawChoices::List(texts) if harness.is_some() => Ok(ChoicesKey::Fixed(texts.clone())),
            RawChoices::List(list) => {
                let template = |(i, text): (usize, &String)| Template::new(text, key.at(&format!("{name}[{i}]")));
                Ok(ChoicesKey::Each(list.iter().enumerate().map(template).collect::<Result<_, Error>>()?))
            }
        };
        let needed = |name: &str| key.wrong(doc_to::missing(name, first));
        let text = match (&raw.doc_to_prompt, &raw.doc_to_text, default_text) {
            (Some(given), ..) => doc_to("doc_to_prompt", given)?,
            (None, Some(given), _) => doc_to("doc_to_text", given)?,
            (None, None, Some(text)) => DocTo::Template(Template::new(text, key.at("doc_to_text"))?),
            (None, None, None) => return Err(needed("doc_to_text")),
        };
        let target = raw.doc_to_target.as_ref().ok_or_else(|| needed("doc_to_target"))?;
        let choices = raw.doc_to_choice.as_ref().map(|given| listed("doc_to_choice", given)).transpose()?;
        let examples = match harness.map(|harness| &harness.examples) {
            None => Examples::default(),
            Some(keys) => Examples {
                text: keys.text.as_ref().map(|given| doc_to("fewshot_config", given)).transpose()?,
                choices: keys.choices.as_ref().map(|given| listed("fewshot_config", given)).transpose()?,
                target: keys.target.as_ref().map(|given| doc_to("fewshot_config", given)).transpose()?,
                target_delimiter: keys.target_delimiter.clone(),
                fewshot_delimiter: keys.fewshot_delimiter.clone(),
            },
        };
        let num_fewshot = raw.num_fewshot.unwrap_or(0);
        let leaves_itself_out = harness.is_none_or(|harness| harness.leaves_itself_out);
        let apart = raw.fewshot_data.is_some() || !leaves_itself_out;
        let available = if apart { pool.len() } else { pool.len() - 1 };
        if num_fewshot > available {
            return Err(key.at("num_fewshot").wrong(too_few(num_fewshot, available, harness.is_some())));
        }
        let open = |name: &str, given: &Option<String>| {
            given.as_deref().map(|text| DocTo::field_or_template(text, key.at(name), first)).transpose()
        };
        let form = match (chat.applies_template(), chat.fewshot_as_multiturn) {
            (false, _) => Form::Text,
            (true, Some(false)) => Form::OneTurn,
            (true, _) => Form::Turns,
        };
        let target_delimiter = raw.target_delimiter.clone().unwrap_or(" ".into());
        // a template has its own white space where an answer begins
        let begins = raw.gen_prefix.as_deref().is_some_and(|typed| !typed.is_empty() && !typed.ends_with(python_space));
        let is_delimited = form == Form::Text || begins;
        Ok(Prompt {
            instruction: chat.system_instruction.clone().unwrap_or_default(),
            description: open("description", &raw.description)?,
            text,
            choices,
            target: doc_to("doc_to_target", target)?,
            begun: open("gen_prefix", &raw.gen_prefix)?,
            form,
            choice_delimiter: if is_delimited { target_delimiter.clone() } else { String::new() },
            target_delimiter,
            fewshot_delimiter: fewshot_delimiter(raw).into(),
            shown: Shown::new(
                raw.fewshot_config.as_ref().map(|c| c.sampler).unwrap_or_default(),
                num_fewshot,
                leaves_itself_out,
            ),
            examples,
            to_the_letter: harness.is_some(),
            writes_json: false,
            tools: None,
            names_tools: [
                match raw.doc_to_prompt.as_ref().or(raw.doc_to_text.as_ref()) {
                    Some(RawDocTo::Text(text)) => text.as_str(),
                    _ => "",
                },
                raw.description.as_deref().unwrap_or_default(),
            ]
            .iter()
            .any(|text| text.contains("tools")),
            notes: notes.clone(),
            key: key.clone(),
        })
    }

    /// The same with answers that are JSON values; `tools` is the field with the tools that the model may call.
    pub(crate) fn with_json_answers(self, tools: Option<&'static str>) -> Prompt {
        Prompt { writes_json: true, tools, ..self }
    }

    /// What the task's keys give for a line.
    fn question(&self, doc: &Doc) -> Result<Question, Error> {
        self.said(doc, &self.text, self.choices.as_ref(), &self.target)
    }

    /// What keys give for a line.
    fn said(&self, doc: &Doc, text: &DocTo, choices: Option<&ChoicesKey>, target: &DocTo) -> Result<Question, Error> {
        let may_be_empty = self.to_the_letter && !self.target_delimiter.is_empty();
        let choices = choices.map(|c| c.of(doc, may_be_empty, &self.key.at("doc_to_choice"))).transpose()?;
        let has = choices.is_some();
        let text = if self.to_the_letter { text.render_text(doc, has)? } else { text.render(doc, has)? };
        let target = match self.writes_json {
            true => Rendered::Text(written(&target.json(doc)?)),
            false => target.render(doc, has)?,
        };
        if let Rendered::List(_) = text {
            return Err(self.key.at("doc_to_text").wrong(format!("gives a list at {}; text is needed", doc.place())));
        }
        Ok(Question { text, choices: choices.unwrap_or_default(), target })
    }

    /// What stands before the question: the system's word and the few-shot examples of `pool`.
    fn before(&self, doc: &Doc, pool: &[Doc]) -> Result<Vec<Turn>, Error> {
        let description = self.description.as_ref().map(|d| self.one_text(d, "description", doc)).transpose()?;
        let opening = turns::opening(&self.instruction, &description.unwrap_or_default(), &self.fewshot_delimiter);
        let mut before: Vec<Turn> = opening.into_iter().collect();
        let too_few =
            || self.key.at("num_fewshot").wrong(format!("asks for more examples than there are for {}", doc.place()));
        for example in self.shown.before(doc, pool, &too_few)? {
            before.extend(self.example(example)?);
        }
        Ok(before)
    }

    /// What the model is to go on from after a question: all that stands before it, the question, and what its answer
    /// begins with. `delimiter` stands between the last two where neither has white space there.
    fn context(&self, before: Vec<Turn>, question: String, delimiter: &str, doc: &Doc) -> Result<Context, Error> {
        let delimiters = Delimiters { target: delimiter, fewshot: "" };
        let last = turns::question(question, "", &self.begun_at(doc)?, delimiters);
        let context = turns::context(before.into_iter().chain(last).collect(), self.form);
        let tools = self.tools.filter(|_| !self.names_tools).and_then(|field| doc.fields.get(field));
        Ok(match (context, tools) {
            (Context::Chat(messages), Some(tools)) => Context::Tools { tools: tools.to_string(), messages },
            (context, _) => context,
        })
    }

    fn example(&self, doc: &Doc) -> Result<Vec<Turn>, Error> {
        let Examples { text, choices, target, .. } = &self.examples;
        let (text, target) = (text.as_ref().unwrap_or(&self.text), target.as_ref().unwrap_or(&self.target));
        let Question { text, choices, target } =
            self.said(doc, text, choices.as_ref().or(self.choices.as_ref()), target)?;
        let choice = |key: &str, index: usize| choices.get(index).ok_or_else(|| self.beyond(key, index, &choices, doc));
        let question = match text {
            Rendered::Index(index) => choice("doc_to_text", index)?.clone(),
            Rendered::Text(text) => text,
            Rendered::List(_) => unreachable!("refused in question()"),
        };
        let first = match target {
            Rendered::List(several) => several.into_iter().next().unwrap_or(Rendered::Text(String::new())),
            one => one,
        };
        let answer = match first {
            Rendered::Index(index) => choice("doc_to_target", index)?.clone(),
            Rendered::Text(text) => text,
            Rendered::List(_) => {
                return Err(self.key.at("doc_to_target").wrong(format!("is a list of lists at {}", doc.place())));
            }
        };
        let target = self.examples.target_delimiter.as_ref().unwrap_or(&self.target_delimiter);
        let fewshot = self.examples.fewshot_delimiter.as_ref().unwrap_or(&self.fewshot_delimiter);
        let delimiters = Delimiters { target, fewshot };
        Ok(turns::question(question, &answer, &self.begun_at(doc)?, delimiters))
    }

    /// What a line's answer begins with.
    fn begun_at(&self, doc: &Doc) -> Result<String, Error> {
        self.begun.as_ref().map_or(Ok(String::new()), |begun| self.one_text(begun, "gen_prefix", doc))
    }

    fn one_text(&self, from: &DocTo, key: &str, doc: &Doc) -> Result<String, Error> {
        match from.render(doc, false)? {
            Rendered::Text(text) => Ok(text),
            _ => Err(self.key.at(key).wrong(format!("gives a list at {}; text is needed", doc.place()))),
        }
    }

    /// An index that no choice has.
    fn beyond(&self, key: &str, index: usize, choices: &[String], doc: &Doc) -> Error {
        let allowed = match choices.len() {
            0 => "there are no choices".to_string(),
            n if index == n => format!(
                "allowed is 0 to {}, since choices are counted from 0: where yours count from 1, write \
                 \"{{{{FIELD - 1}}}}\", or choices and targets as text",
                n - 1
            ),
            n => format!("allowed is 0 to {}", n - 1),
        };
        self.key.at(key).wrong(format!("is choice {index} at {}; {allowed}", doc.place()))
    }
}

/// The sentence's end about examples of which there are too few.
fn too_few(wanted: usize, available: usize, of_harness: bool) -> String {
    let advice = if of_harness { "ask for fewer, or name another split" } else { "add some to fewshot_data" };
    format!("is {wanted}; there are {available} examples to show, {advice}")
}

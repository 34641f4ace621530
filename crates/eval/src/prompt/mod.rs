//! From a line of data to text: the templates of a task and the prompt with its few-shot examples, by the rules of
//! `ConfigurableTask` in `lm_eval/api/task.py`, version 0.4.13. What all kinds that prompt share; not the scoring.

mod answer;
mod context;
mod doc_to;
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
use crate::tokens::python_space;
use serde::Deserialize;
use std::rc::Rc;
use turns::{Delimiters, Form, Turn};

/// The key `doc_to_choice`.
#[derive(Debug)]
enum ChoicesKey {
    /// The same number for every item, each a template of its own.
    Each(Vec<Template>),
    /// One field or template that gives the list.
    List(DocTo),
}

impl ChoicesKey {
    fn of(&self, doc: &Doc, key: &Key) -> Result<Vec<String>, Error> {
        let choices = match self {
            ChoicesKey::Each(templates) => templates.iter().map(|t| t.render(doc)).collect::<Result<Vec<_>, _>>()?,
            ChoicesKey::List(source) => source.list(doc)?,
        };
        match choices.iter().position(String::is_empty) {
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
    num_fewshot: usize,
    sampler: Sampler,
    /// What is doubtful about the task, line by line.
    notes: Rc<Notes>,
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
        let Section { raw, data, pool, key, notes, chat, .. } = *section;
        let first = data.first();
        let doc_to = |name: &str, given: &RawDocTo| match given {
            RawDocTo::Text(text) => DocTo::new(text, key.at(name), first),
            RawDocTo::Index(index) => Ok(DocTo::Index(*index)),
        };
        let needed = |name: &str| key.wrong(doc_to::missing(name, first));
        let text = match (&raw.doc_to_prompt, &raw.doc_to_text, default_text) {
            (Some(given), ..) => doc_to("doc_to_prompt", given)?,
            (None, Some(given), _) => doc_to("doc_to_text", given)?,
            (None, None, Some(text)) => DocTo::Template(Template::new(text, key.at("doc_to_text"))?),
            (None, None, None) => return Err(needed("doc_to_text")),
        };
        let target = raw.doc_to_target.as_ref().ok_or_else(|| needed("doc_to_target"))?;
        let choices = match &raw.doc_to_choice {
            None => None,
            Some(RawChoices::One(text)) => Some(ChoicesKey::List(DocTo::new(text, key.at("doc_to_choice"), first)?)),
            Some(RawChoices::List(list)) => {
                let template =
                    |(i, text): (usize, &String)| Template::new(text, key.at(&format!("doc_to_choice[{i}]")));
                Some(ChoicesKey::Each(list.iter().enumerate().map(template).collect::<Result<_, _>>()?))
            }
        };
        let num_fewshot = raw.num_fewshot.unwrap_or(0);
        let available = if raw.fewshot_data.is_some() { pool.len() } else { pool.len() - 1 };
        if num_fewshot > available {
            return Err(key
                .at("num_fewshot")
                .wrong(format!("is {num_fewshot}; there are {available} examples to show, add some to fewshot_data")));
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
            num_fewshot,
            sampler: raw.fewshot_config.as_ref().map(|c| c.sampler).unwrap_or_default(),
            notes: notes.clone(),
            key: key.clone(),
        })
    }

    /// What the task's keys give for a line.
    fn question(&self, doc: &Doc) -> Result<Question, Error> {
        let choices = self.choices.as_ref().map(|c| c.of(doc, &self.key.at("doc_to_choice"))).transpose()?;
        let has = choices.is_some();
        let (text, target) = (self.text.render(doc, has)?, self.target.render(doc, has)?);
        if let Rendered::List(_) = text {
            return Err(self.key.at("doc_to_text").wrong(format!("gives a list at {}; text is needed", doc.place())));
        }
        Ok(Question { text, choices: choices.unwrap_or_default(), target })
    }

    /// What stands before the question: the system's word and the few-shot examples of `pool`, the line itself left out.
    fn before(&self, doc: &Doc, pool: &[Doc]) -> Result<Vec<Turn>, Error> {
        let description = self.description.as_ref().map(|d| self.one_text(d, "description", doc)).transpose()?;
        let opening = turns::opening(&self.instruction, &description.unwrap_or_default(), &self.fewshot_delimiter);
        let mut before: Vec<Turn> = opening.into_iter().collect();
        let others = pool.iter().filter(|example| example.fields != doc.fields);
        let shown = match self.sampler {
            Sampler::FirstN => others.take(self.num_fewshot),
        };
        for example in shown {
            before.extend(self.example(example)?);
        }
        Ok(before)
    }

    /// What the model is to go on from after a question: all that stands before it, the question, and what its answer
    /// begins with. `delimiter` stands between the last two where neither has white space there.
    fn context(&self, before: Vec<Turn>, question: String, delimiter: &str, doc: &Doc) -> Result<Context, Error> {
        let delimiters = Delimiters { target: delimiter, fewshot: "" };
        let last = turns::question(question, "", &self.begun_at(doc)?, delimiters);
        Ok(turns::context(before.into_iter().chain(last).collect(), self.form))
    }

    fn example(&self, doc: &Doc) -> Result<Vec<Turn>, Error> {
        let Question { text, choices, target } = self.question(doc)?;
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
        let delimiters = Delimiters { target: &self.target_delimiter, fewshot: &self.fewshot_delimiter };
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

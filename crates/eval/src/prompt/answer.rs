//! What is asked with a prompt and what the right answer is, each checked so that a run does not meet a broken item:
//! choices, a text to go on from with the texts that are right, or one text whose likelihood is asked.

use super::{Ask, Context, Prompt, Question, Rendered};
use crate::data::Doc;
use crate::error::Error;
use serde_json::Value as Json;

/// An item with choices, as it is asked.
#[derive(Debug)]
pub(crate) struct ChoicePrompt {
    /// One context with all choices; or, where the choices are contexts, one context each with the same ending.
    pub(crate) asks: Vec<Ask>,
    /// The choices' own text, without the delimiter.
    pub(crate) choices: Vec<String>,
    /// Indices of the right choices, at least one.
    pub(crate) gold: Vec<usize>,
}

impl Prompt {
    /// The prompt of a line, and the texts that are right where the model writes its answer; `pool` holds the few-shot
    /// examples.
    pub(crate) fn generation(&self, doc: &Doc, pool: &[Doc]) -> Result<(Context, Vec<String>), Error> {
        let question = self.question(doc)?;
        Ok((self.asked(&question, doc, pool)?, self.targets(question, doc)?))
    }

    /// The prompt of a line with the JSON value that is right.
    pub(crate) fn json(&self, doc: &Doc, pool: &[Doc]) -> Result<(Context, Json), Error> {
        let question = self.question(doc)?;
        Ok((self.asked(&question, doc, pool)?, self.target.json(doc)?))
    }

    /// The prompt of a line with the one text whose likelihood is asked.
    pub(crate) fn continuation(&self, doc: &Doc, pool: &[Doc]) -> Result<Ask, Error> {
        let question = self.question(doc)?;
        let context = self.asked(&question, doc, pool)?;
        Ok(Ask { context, continuations: vec![self.answer(question, doc)?] })
    }

    /// The question's text with all that stands before it.
    fn asked(&self, question: &Question, doc: &Doc, pool: &[Doc]) -> Result<Context, Error> {
        self.context(self.before(doc, pool)?, self.text_of(question, doc)?, &self.target_delimiter, doc)
    }

    /// The one text of a line whose likelihood is asked without a prompt; an empty one is a text without a byte.
    pub(crate) fn whole_text(&self, doc: &Doc) -> Result<String, Error> {
        self.one_target(self.question(doc)?, doc)
    }

    /// The prompt of a line with its choices. Where the text is an index, the choices are contexts and the target is
    /// what follows each (Winogrande).
    pub(crate) fn choice(&self, doc: &Doc, pool: &[Doc]) -> Result<ChoicePrompt, Error> {
        let question = self.question(doc)?;
        let follow = |text: &str| self.delimited(text);
        let (asks, gold) = match &question.text {
            Rendered::Index(index) => {
                let ending = match &question.target {
                    Rendered::Text(text) if !text.is_empty() => follow(text),
                    _ => {
                        let message = "is no text; where doc_to_text is the index of the right context, doc_to_target \
                                       is the text that follows";
                        return Err(self.key.at("doc_to_target").wrong(format!("{message} ({})", doc.place())));
                    }
                };
                let before = self.before(doc, pool)?;
                let ask = |choice: &String| {
                    let context = self.context(before.clone(), choice.clone(), "", doc)?;
                    Ok(Ask { context, continuations: vec![ending.clone()] })
                };
                let asks = question.choices.iter().map(ask).collect::<Result<_, Error>>()?;
                (asks, vec![self.within("doc_to_text", *index, &question, doc)?])
            }
            _ => {
                let context = self.asked(&question, doc, pool)?;
                let continuations = question.choices.iter().map(|c| follow(c)).collect();
                (vec![Ask { context, continuations }], self.right(&question, doc)?)
            }
        };
        Ok(ChoicePrompt { asks, choices: question.choices, gold })
    }

    /// A text as it stands behind a prompt.
    pub(crate) fn delimited(&self, text: &str) -> String {
        format!("{}{text}", self.choice_delimiter)
    }

    /// The right choices, with those that say the same: a choice that is a right one's text is no wrong answer.
    fn right(&self, question: &Question, doc: &Doc) -> Result<Vec<usize>, Error> {
        let gold = self.gold(question, doc)?;
        let choices = &question.choices;
        let same = |at: &usize| !self.to_the_letter && gold.iter().any(|right| choices[*right] == choices[*at]);
        let all: Vec<usize> =
            gold.iter().copied().chain((0..choices.len()).filter(|at| !gold.contains(at) && same(at))).collect();
        let twice = (0..choices.len()).find_map(|at| Some((choices[..at].iter().position(|c| *c == choices[at])?, at)));
        if let Some((first, second)) = twice {
            let advice = match all.len() > gold.len() {
                true => "either counts as right here, only the one that doc_to_target names in lm-evaluation-harness",
                false => "the first of the two is the one that is taken",
            };
            let seen = format!("choices {first} and {second} are the same text '{}'", choices[first]);
            self.notes.add("equal choices", &self.key.at("doc_to_choice"), doc, &seen, advice);
        }
        Ok(all)
    }

    /// Notes an index that is a choice's text as well: labels that are digits are easily taken for each other.
    fn doubt(&self, index: usize, question: &Question, doc: &Doc) {
        let (digits, choices) = (index.to_string(), &question.choices);
        let Some(named) = choices.iter().position(|choice| choice.trim() == digits) else { return };
        if named == index || self.target.is_an_index() {
            return;
        }
        let seen = format!(
            "'{digits}' is read as the index of choice {index} ('{}'), though choice {named} is the text '{digits}'",
            choices.get(index).map_or("there is none", String::as_str)
        );
        let advice = "to mean the text, write the name of a field that holds it as text, or order the choices so that \
                      both say the same";
        self.notes.add("index or text", &self.key.at("doc_to_target"), doc, &seen, advice);
    }

    fn within(&self, key: &str, index: usize, question: &Question, doc: &Doc) -> Result<usize, Error> {
        (index < question.choices.len()).then_some(index).ok_or_else(|| self.beyond(key, index, &question.choices, doc))
    }

    /// The right choices, by index or by text.
    fn gold(&self, question: &Question, doc: &Doc) -> Result<Vec<usize>, Error> {
        let key = self.key.at("doc_to_target");
        let one = |said: &Rendered| match said {
            Rendered::Index(index) => {
                self.doubt(*index, question, doc);
                self.within("doc_to_target", *index, question, doc)
            }
            Rendered::Text(text) => question.choices.iter().position(|c| c == text).ok_or_else(|| {
                let choices = question.choices.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
                key.wrong(format!(
                    "'{text}' at {} is not among the choices; allowed is {choices} or an index",
                    doc.place()
                ))
            }),
            Rendered::List(_) => Err(key.wrong(format!("is a list of lists at {}", doc.place()))),
        };
        match &question.target {
            Rendered::List(several) if several.is_empty() => {
                Err(key.wrong(format!("is an empty list at {}; at least one choice is right", doc.place())))
            }
            Rendered::List(several) => several.iter().map(one).collect(),
            single => Ok(vec![one(single)?]),
        }
    }

    fn text_of(&self, question: &Question, doc: &Doc) -> Result<String, Error> {
        match &question.text {
            Rendered::Text(text) => Ok(text.clone()),
            Rendered::Index(index) => Ok(question.choices[self.within("doc_to_text", *index, question, doc)?].clone()),
            Rendered::List(_) => unreachable!("refused in question()"),
        }
    }

    /// The texts that are right where the model writes its answer.
    fn targets(&self, question: Question, doc: &Doc) -> Result<Vec<String>, Error> {
        let key = self.key.at("doc_to_target");
        let choices = &question.choices;
        let one = |said: Rendered| match said {
            Rendered::Text(text) => Ok(text),
            Rendered::Index(index) => {
                choices.get(index).cloned().ok_or_else(|| self.beyond("doc_to_target", index, choices, doc))
            }
            Rendered::List(_) => Err(key.wrong(format!("is a list of lists at {}", doc.place()))),
        };
        match question.target {
            Rendered::List(several) if several.is_empty() => {
                Err(key.wrong(format!("is an empty list at {}; at least one answer is right", doc.place())))
            }
            Rendered::List(several) => several.into_iter().map(one).collect(),
            single => Ok(vec![one(single)?]),
        }
    }

    /// The one text whose likelihood after a prompt is asked.
    fn answer(&self, question: Question, doc: &Doc) -> Result<String, Error> {
        match self.one_target(question, doc)? {
            text if text.is_empty() => {
                let key = self.key.at("doc_to_target");
                Err(key.wrong(format!("is empty at {}; some text is needed", doc.place())))
            }
            text => Ok(text),
        }
    }

    fn one_target(&self, question: Question, doc: &Doc) -> Result<String, Error> {
        let mut targets = self.targets(question, doc)?;
        match (targets.pop(), targets.is_empty()) {
            (Some(text), true) => Ok(text),
            _ => {
                let key = self.key.at("doc_to_target");
                Err(key.wrong(format!("is a list at {}; one text is needed", doc.place())))
            }
        }
    }
}

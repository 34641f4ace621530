//! From a line of data to a request: the prompt that is sent, what is scored of the answer, and the right answer, each
//! checked so that a run does not meet a broken item. Sends nothing.

use super::dataset::{Doc, kind};
use super::embedding::Reads;
use super::error::Error;
use super::model::Choices;
use super::prompt::{Prompt, Question, Said};
use super::task::{OutputType, Request};
use serde_json::Value as Json;

impl Prompt {
    /// The request for one line; `pool` holds the few-shot examples.
    pub fn request(&self, output: OutputType, doc: &Doc, pool: &[Doc]) -> Result<Request, Error> {
        let question = self.question(doc)?;
        match output {
            OutputType::MultipleChoice => self.choose(question, doc, pool),
            OutputType::Loglikelihood => {
                let context = self.before(doc, pool)? + &self.text_of(&question, doc)?;
                Ok(Request::Complete(Choices { context, continuations: vec![self.answer(question, doc)?] }))
            }
            OutputType::LoglikelihoodRolling => Ok(Request::Roll { text: self.answer(question, doc)? }),
            OutputType::GenerateUntil => {
                let prompt = self.before(doc, pool)? + &self.text_of(&question, doc)?;
                Ok(Request::Generate { prompt, targets: self.targets(question, doc)? })
            }
            OutputType::Classification
            | OutputType::Similarity
            | OutputType::Retrieval
            | OutputType::EmbeddingClassification => {
                unreachable!("made by classify() here and by the embedding tasks' own file")
            }
        }
    }

    /// The request of a classification: what a head reads, and what is asked of a model without one.
    pub fn classify(&self, reads: &Reads, doc: &Doc, pool: &[Doc]) -> Result<Request, Error> {
        let Request::Choose { asks, choices, gold } = self.choose(self.question(doc)?, doc, pool)? else {
            unreachable!("choosing is what choose() asks for")
        };
        let key = self.key.at("doc_to_target");
        let gold = match gold[..] {
            [only] => only,
            _ => return Err(key.wrong(format!("names several classes at {}; one is right", doc.place()))),
        };
        let ask = match <[Choices; 1]>::try_from(asks) {
            Ok([ask]) => ask,
            Err(_) => return Err(self.key.at("doc_to_prompt").wrong("is the index of a choice; text is needed")),
        };
        let (text, pair) = reads.of(doc)?;
        Ok(Request::Classify { text, pair, ask, choices, gold })
    }

    /// With an index for a text, the choices are contexts and the target is what follows each (Winogrande).
    fn choose(&self, question: Question, doc: &Doc, pool: &[Doc]) -> Result<Request, Error> {
        let before = self.before(doc, pool)?;
        let follow = |text: &str| format!("{}{text}", self.target_delimiter);
        let (asks, gold) = match &question.text {
            Said::Index(index) => {
                let ending = match &question.target {
                    Said::Text(text) if !text.is_empty() => follow(text),
                    _ => {
                        let message = "is no text; where doc_to_text is the index of the right context, doc_to_target \
                                       is the text that follows";
                        return Err(self.key.at("doc_to_target").wrong(format!("{message} ({})", doc.place())));
                    }
                };
                let ask = |choice: &String| Choices {
                    context: format!("{before}{choice}"),
                    continuations: vec![ending.clone()],
                };
                (question.choices.iter().map(ask).collect(), vec![self.within("doc_to_text", *index, &question, doc)?])
            }
            _ => {
                let context = before + &self.text_of(&question, doc)?;
                let continuations = question.choices.iter().map(|c| follow(c)).collect();
                (vec![Choices { context, continuations }], self.gold(&question, doc)?)
            }
        };
        Ok(Request::Choose { asks, choices: question.choices, gold })
    }

    fn within(&self, key: &str, index: usize, question: &Question, doc: &Doc) -> Result<usize, Error> {
        (index < question.choices.len()).then_some(index).ok_or_else(|| self.beyond(key, index, &question.choices, doc))
    }

    /// The right choices, by index or by text.
    fn gold(&self, question: &Question, doc: &Doc) -> Result<Vec<usize>, Error> {
        let key = self.key.at("doc_to_target");
        let one = |said: &Said| match said {
            Said::Index(index) => self.within("doc_to_target", *index, question, doc),
            Said::Text(text) => question.choices.iter().position(|c| c == text).ok_or_else(|| {
                let choices = question.choices.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
                key.wrong(format!(
                    "'{text}' at {} is not among the choices; allowed is {choices} or an index",
                    doc.place()
                ))
            }),
            Said::Any(_) => Err(key.wrong(format!("is a list of lists at {}", doc.place()))),
        };
        match &question.target {
            Said::Any(several) if several.is_empty() => {
                Err(key.wrong(format!("is an empty list at {}; at least one choice is right", doc.place())))
            }
            Said::Any(several) => several.iter().map(one).collect(),
            single => Ok(vec![one(single)?]),
        }
    }

    fn text_of(&self, question: &Question, doc: &Doc) -> Result<String, Error> {
        match &question.text {
            Said::Text(text) => Ok(text.clone()),
            Said::Index(index) => Ok(question.choices[self.within("doc_to_text", *index, question, doc)?].clone()),
            Said::Any(_) => unreachable!("refused in question()"),
        }
    }

    /// The texts that are right where the model writes its answer.
    fn targets(&self, question: Question, doc: &Doc) -> Result<Vec<String>, Error> {
        let key = self.key.at("doc_to_target");
        let choices = &question.choices;
        let one = |said: Said| match said {
            Said::Text(text) => Ok(text),
            Said::Index(index) => {
                choices.get(index).cloned().ok_or_else(|| self.beyond("doc_to_target", index, choices, doc))
            }
            Said::Any(_) => Err(key.wrong(format!("is a list of lists at {}", doc.place()))),
        };
        match question.target {
            Said::Any(several) if several.is_empty() => {
                Err(key.wrong(format!("is an empty list at {}; at least one answer is right", doc.place())))
            }
            Said::Any(several) => several.into_iter().map(one).collect(),
            single => Ok(vec![one(single)?]),
        }
    }

    /// The one text whose likelihood is asked.
    fn answer(&self, question: Question, doc: &Doc) -> Result<String, Error> {
        let key = self.key.at("doc_to_target");
        let mut targets = self.targets(question, doc)?;
        match targets.pop() {
            Some(text) if targets.is_empty() && !text.is_empty() => Ok(text),
            Some(_) if targets.is_empty() => {
                Err(key.wrong(format!("is empty at {}; some text is needed", doc.place())))
            }
            _ => Err(key.wrong(format!("is a list at {}; one text is needed", doc.place()))),
        }
    }
}

/// A field as the name of a group: text, a number, true or false.
pub fn label(doc: &Doc, name: &str) -> Result<String, String> {
    match doc.fields.get(name) {
        None => Err(doc.lacks(name)),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(Json::Number(n)) => Ok(n.to_string()),
        Some(Json::Bool(b)) => Ok(b.to_string()),
        Some(other) => Err(format!(
            "field '{name}' of {} is {}; text, a number, true or false is needed",
            doc.place(),
            kind(other)
        )),
    }
}

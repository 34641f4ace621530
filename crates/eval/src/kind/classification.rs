//! `classification`: which class a text is of, by the model's own head, or by how likely each class's name is after a
//! prompt.

use super::{Kind, Requests, Scored, likelihoods, logprobs, number};
use crate::ask::Preparation;
use crate::data::Doc;
use crate::error::Error;
use crate::front::{ClassName, RawLabels, Section};
use crate::lines::Lesson;
use crate::metric::{self, Class, Scorer, first_of_greatest};
use crate::model::{Classified, LanguageModel, Loglikelihood, ModelAnswer, TextPair};
use crate::prompt::{Ask, ChoicePrompt, Context as Asked, Prompt, TextKey};
use crate::settings::TaskSettings;
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Classification {
    /// For each choice the head's classes that mean it; None finds them by name.
    head: Option<Vec<Vec<ClassName>>>,
    /// The choices, which are the same for all items and hashed with each.
    #[serde(skip)]
    choices: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ClassRequest {
    /// What a classification head reads.
    text: String,
    pair: Option<String>,
    /// What a model without a head is asked: the likelihood of each choice.
    ask: Ask,
    choices: Vec<String>,
    gold: usize,
}

/// What a model says of a text, with its head or without one.
pub(crate) enum HeadOrLikelihoods {
    Head(Classified),
    Likelihoods(Vec<Loglikelihood>),
}

impl ModelAnswer for HeadOrLikelihoods {
    fn truncated(&self) -> bool {
        match self {
            HeadOrLikelihoods::Head(classified) => classified.truncated(),
            HeadOrLikelihoods::Likelihoods(all) => all.truncated(),
        }
    }
}

impl Kind for Classification {
    const NAME: &'static str = "classification";
    const REQUEST: &'static str = "classify";
    const KEYS: &'static [&'static str] = &[
        "description",
        "doc_to_choice",
        "doc_to_target",
        "num_fewshot",
        "doc_to_pair",
        "doc_to_prompt",
        "head_labels",
    ];
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::Acc, Metric::MacroF1, Metric::Mcc];

    type Request = ClassRequest;
    /// For each choice the classes of the model's head that mean it; None of a model without a head.
    type Prepared = Option<Vec<Vec<usize>>>;
    type Answer = HeadOrLikelihoods;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_class.is_some()
    }

    fn parse(section: &Section) -> Result<(Classification, Requests<Classification>), Error> {
        section.needs_choices()?;
        let requests = requests(section)?;
        let choices = requests.first().map(|request| request.choices.clone()).unwrap_or_default();
        let kind = Classification { head: head_labels(section, &requests, &choices)?, choices };
        Ok((kind, requests.into_iter().map(Some).collect()))
    }

    fn chance(&self, request: &ClassRequest) -> Option<f64> {
        Some(1.0 / request.choices.len() as f64)
    }

    fn prepare(&self, preparation: &mut Preparation) -> Result<Option<Option<Vec<Vec<usize>>>>> {
        let classes = preparation.model.classes();
        let mapped = classes.map(|classes| mapped(&self.choices, self.head.as_deref(), &classes));
        mapped.transpose().map(Some)
    }

    fn contexts<'a>(&self, request: &'a ClassRequest) -> Vec<&'a Asked> {
        vec![&request.ask.context]
    }

    fn lesson(&self, request: &ClassRequest) -> Option<Lesson> {
        let ClassRequest { ask, gold, .. } = request;
        Some(Lesson { prompt: ask.context.clone(), answer: ask.continuations.get(*gold)?.clone() })
    }

    fn size(&self, request: &ClassRequest, _: &TaskSettings) -> usize {
        let ClassRequest { text, pair, ask, .. } = request;
        ask.size().max(text.len() + pair.as_ref().map_or(0, String::len))
    }

    fn ask(
        &self,
        head: &Option<Vec<Vec<usize>>>,
        requests: &[&ClassRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<HeadOrLikelihoods>> {
        if head.is_some() {
            let texts = requests.iter().map(|request| TextPair { text: &request.text, pair: request.pair.as_deref() });
            let texts: Vec<TextPair> = texts.collect();
            return Ok(model.classify(&texts)?.into_iter().map(HeadOrLikelihoods::Head).collect());
        }
        let asks = requests.iter().map(|request| std::slice::from_ref(&request.ask));
        Ok(likelihoods(asks, settings.chat.as_ref(), model)?.into_iter().map(HeadOrLikelihoods::Likelihoods).collect())
    }

    fn score(
        &self,
        head: &Option<Vec<Vec<usize>>>,
        request: &ClassRequest,
        answer: HeadOrLikelihoods,
        settings: &TaskSettings,
    ) -> Result<Scored> {
        let (logprobs, tokens) = match (&answer, head) {
            (HeadOrLikelihoods::Head(given), Some(classes)) => (of_head(given, classes)?, given.tokens),
            (HeadOrLikelihoods::Likelihoods(given), _) => {
                (logprobs(given, request.choices.len())?, given.iter().map(|l| l.tokens).sum())
            }
            (HeadOrLikelihoods::Head(_), None) => bail!("the model has a head that nobody asked for its classes"),
        };
        let class = Class { found: first_of_greatest(logprobs.iter().copied()), right: request.gold };
        let [target, answer] = [class.right, class.found].map(|class| Some(request.choices[class].clone()));
        let scores = metric::scores(&settings.metrics, |scorer| Some(scorer.of_class?(&class)));
        let gold = vec![class.right];
        Ok(Scored { scores, choice: Some(class.found), target, answer, logprobs, tokens, gold, ..Scored::default() })
    }
}

fn requests(section: &Section) -> Result<Vec<ClassRequest>, Error> {
    let Section { raw, data, pool, key, .. } = *section;
    let prompt = Prompt::parse(section, None)?;
    if raw.doc_to_pair.is_some() && raw.doc_to_prompt.is_none() {
        return Err(key.wrong(
            "has no doc_to_prompt; beside doc_to_pair it says how a model without a head reads both texts, such as \
             \"{{premise}}\\nSo: {{hypothesis}}\\nTrue?\"",
        ));
    }
    let pair = raw.doc_to_pair.as_ref().map(|given| TextKey::new(given, "doc_to_pair", data, key)).transpose()?;
    let text = TextKey::needed(&raw.doc_to_text, "doc_to_text", data, key)?;
    let request = |doc: &Doc| {
        let ChoicePrompt { asks, choices, gold } = prompt.choice(doc, pool)?;
        if let Some(twice) = choices.iter().enumerate().find(|(at, choice)| choices[..*at].contains(choice)) {
            let key = key.at("doc_to_choice");
            return Err(key.wrong(format!("names the class '{}' twice at {}; remove one", twice.1, doc.place())));
        }
        let [gold] = gold[..] else {
            let key = key.at("doc_to_target");
            return Err(key.wrong(format!("names several classes at {}; one is right", doc.place())));
        };
        let Ok([ask]) = <[Ask; 1]>::try_from(asks) else {
            return Err(key.at("doc_to_prompt").wrong("is the index of a choice; text is needed"));
        };
        let (text, pair) = (text.of(doc)?, pair.as_ref().map(|pair| pair.of(doc)).transpose()?);
        Ok(ClassRequest { text, pair, ask, choices, gold })
    };
    data.docs.iter().map(request).collect()
}

/// Which classes of a head mean which choice; a classification has the same choices for every line.
fn head_labels(
    section: &Section,
    requests: &[ClassRequest],
    choices: &[String],
) -> Result<Option<Vec<Vec<ClassName>>>, Error> {
    let key = section.key;
    if let Some(other) = requests.iter().position(|request| request.choices != choices) {
        return Err(key.at("doc_to_choice").wrong(format!(
            "gives other choices for item {other} than for the first; the classes of a classification are the same for all"
        )));
    }
    if choices.len() < 2 {
        return Err(key.at("doc_to_choice").wrong("is one class; at least two are needed to tell apart"));
    }
    let Some(labels) = &section.raw.head_labels else { return Ok(None) };
    let several = |labels: &RawLabels| match labels {
        RawLabels::One(one) => vec![one.clone()],
        RawLabels::Several(several) => several.clone(),
    };
    let labels: Vec<Vec<ClassName>> = labels.iter().map(several).collect();
    if labels.len() != choices.len() || labels.iter().any(Vec::is_empty) {
        return Err(key.at("head_labels").wrong(format!(
            "has {} entries; one is needed for each of the {} choices, each with at least one class",
            labels.len(),
            choices.len()
        )));
    }
    Ok(Some(labels))
}

/// The logarithm of each choice's share of what a head says; several classes that mean one choice add up.
fn of_head(given: &Classified, classes: &[Vec<usize>]) -> Result<Vec<f64>> {
    let share = |class: &usize| given.probabilities.get(*class).copied().map(f64::from);
    let sum = |classes: &Vec<usize>| {
        let sum = classes.iter().map(share).sum::<Option<f64>>();
        let sum = sum.with_context(|| {
            format!("the model's head gave {} classes, fewer than it named", given.probabilities.len())
        })?;
        // a class that is not thought possible at all is as unlikely as can be told, not infinitely so
        number(sum.max(f64::from(f32::MIN_POSITIVE)).ln())
    };
    classes.iter().map(sum).collect()
}

/// For each choice the head's classes that mean it: those `named` in the task; else those of the choice's own name,
/// whatever their case; else, where the head's names are made up (LABEL_0), those of its place.
fn mapped(choices: &[String], named: Option<&[Vec<ClassName>]>, classes: &[String]) -> Result<Vec<Vec<usize>>> {
    if let Some(named) = named {
        return named.iter().map(|names| names.iter().map(|name| class(name, classes)).collect()).collect();
    }
    let same = |choice: &String| classes.iter().position(|class| alike(class, choice)).map(|class| vec![class]);
    if let Some(found) = choices.iter().map(same).collect::<Option<Vec<_>>>() {
        return Ok(found);
    }
    let made_up = classes.iter().enumerate().all(|(i, class)| *class == format!("LABEL_{i}"));
    if made_up && classes.len() == choices.len() {
        return Ok((0..choices.len()).map(|class| vec![class]).collect());
    }
    bail!(
        "the model's head has the classes {}, the task {}; say with head_labels which mean which",
        classes.join(", "),
        choices.join(", ")
    )
}

fn class(name: &ClassName, classes: &[String]) -> Result<usize> {
    let found = match name {
        ClassName::Number(number) => (*number < classes.len()).then_some(*number),
        ClassName::Name(name) => classes
            .iter()
            .position(|class| class == name)
            .or_else(|| classes.iter().position(|class| alike(class, name))),
    };
    found.ok_or_else(|| {
        let most = classes.len().saturating_sub(1);
        anyhow!("head_labels: '{name}' is no class of the model's head; it has {} (0 to {most})", classes.join(", "))
    })
}

fn alike(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn choices_find_their_classes_by_name_by_place_or_as_told() {
        let choices = names(&["negative", "positive"]);
        let by = |named: Option<&[Vec<ClassName>]>, classes: &[&str]| mapped(&choices, named, &names(classes));
        assert_eq!(by(None, &["POSITIVE", "neutral", " Negative"]).expect("by name"), [[2], [0]]);
        assert_eq!(by(None, &["LABEL_0", "LABEL_1"]).expect("by place"), [[0], [1]]);
        let told =
            [vec![ClassName::Number(0), ClassName::Name("2 STARS".into())], vec![ClassName::Name("5 stars".into())]];
        assert_eq!(by(Some(&told), &["1 star", "2 stars", "5 stars"]).expect("as told"), [vec![0, 1], vec![2]]);
        let error = by(None, &["LABEL_0", "LABEL_1", "LABEL_2"]).expect_err("three").to_string();
        assert!(error.contains("the classes LABEL_0, LABEL_1, LABEL_2, the task negative, positive"), "{error}");
        let error = by(Some(&told), &["1 star"]).expect_err("unknown").to_string();
        assert!(error.contains("'2 STARS' is no class of the model's head; it has 1 star (0 to 0)"), "{error}");
    }
}

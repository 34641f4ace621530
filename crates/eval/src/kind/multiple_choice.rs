//! `multiple_choice`: which of several continuations is the most likely one.

use super::{Kind, Requests, Scored, likelihoods, logprobs, stereotype};
use crate::ask::Preparation;
use crate::data::Doc;
use crate::error::{Error, Key};
use crate::front::{RawBias, RawMetric, Section};
use crate::lines::Lesson;
use crate::metric::{self, Choices, Score, Scorer, Stereotype, Taken};
use crate::model::{ChatStyle, Chosen, LanguageModel, Loglikelihood, ModelAnswer, Question};
use crate::prompt::{Ask, ChoicePrompt, Context as Asked, Prompt};
use crate::settings::TaskSettings;
use anyhow::{Context, Result, ensure};
use bantam_core::metric::Metric;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize)]
pub(crate) struct MultipleChoice;

#[derive(Debug, Serialize)]
pub(crate) struct ChoiceRequest {
    /// One context with all choices; or, where the choices are contexts, one context each with the same ending.
    asks: Vec<Ask>,
    /// The choices' own text, without the delimiter, whose length normalises.
    choices: Vec<String>,
    /// Indices of the right choices, at least one.
    gold: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bias: Option<Sides>,
    /// The same of a question with several choices of either kind, as tasks of lm-evaluation-harness have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    sides: Option<stereotype::Sides>,
    /// The choices without the question, where a metric needs to know how likely they are anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone: Option<Ask>,
}

/// The stereotyped choice and the one that says that it cannot be told.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sides {
    stereotyped: usize,
    unknown: usize,
}

/// Finds the choices that a line's fields name.
fn sides(raw: &RawBias, doc: &Doc, choices: &[String], key: &Key) -> Result<Sides, Error> {
    let of = |name: &str, field: &str| {
        let key = key.at("bias").at(name);
        let value = doc
            .fields
            .get(field)
            .ok_or_else(|| key.wrong(format!("there is no field '{field}' at {}", doc.place())))?;
        let found = match value {
            serde_json::Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            serde_json::Value::String(text) => {
                choices.iter().position(|choice| choice == text).or_else(|| text.trim().parse().ok())
            }
            _ => None,
        };
        found.filter(|index| *index < choices.len()).ok_or_else(|| {
            key.wrong(format!(
                "is {value} at {}; allowed is one of the choices, or its index from 0 to {}",
                doc.place(),
                choices.len() - 1
            ))
        })
    };
    let sides = Sides { stereotyped: of("stereotyped", &raw.stereotyped)?, unknown: of("unknown", &raw.unknown)? };
    if sides.stereotyped == sides.unknown {
        return Err(key.at("bias").wrong(format!("names one choice for both at {}", doc.place())));
    }
    Ok(sides)
}

/// What a model says of an item: how likely each choice is, or which one it takes.
pub(crate) enum ChoiceAnswer {
    Likely(Vec<Loglikelihood>),
    Chosen(Chosen),
}

impl ModelAnswer for ChoiceAnswer {
    fn truncated(&self) -> bool {
        matches!(self, ChoiceAnswer::Likely(answers) if answers.truncated())
    }
}

/// Log-likelihoods as good as sure and as good as impossible, for a choice that was taken and the others.
const TAKEN: [f64; 2] = [0.0, -1000.0];

/// Whether a metric asks for no more than which choice was taken.
fn needs_no_likelihood(metric: Metric) -> bool {
    use Metric::{Acc, AccBytes, AccNorm, F1, MacroF1, Mcc};
    matches!(metric, Acc | AccNorm | AccBytes | MacroF1 | Mcc | F1) || is_of_stereotypes(metric)
}

fn is_of_stereotypes(metric: Metric) -> bool {
    metric::scorer(metric).is_some_and(|scorer| scorer.of_stereotype.is_some())
}

impl ChoiceRequest {
    /// What the choice that was taken says of a stereotype; None of a question without one.
    fn stereotype(&self, taken: usize) -> Option<Stereotype> {
        let is_right = self.gold.contains(&taken);
        match (&self.bias, &self.sides) {
            (Some(Sides { stereotyped, unknown }), _) => Some(Stereotype {
                is_stereotyped: taken == *stereotyped,
                is_unknown: taken == *unknown,
                is_right,
                is_ambiguous: self.gold.contains(unknown),
            }),
            (None, Some(sides)) => Some(sides.of(taken, is_right)),
            (None, None) => None,
        }
    }

    /// The question as one that is answered with a choice.
    fn question(&self, style: Option<&ChatStyle>, model: &mut dyn LanguageModel) -> Result<Question> {
        let mut written = Vec::with_capacity(self.asks.len());
        for ask in &self.asks {
            written.push((ask.context.written(style, model)?.text, &ask.continuations));
        }
        Ok(match &written[..] {
            [(context, choices)] => Question { context: context.clone(), choices: choices.to_vec() },
            // each choice is a context of its own with the same ending
            all => {
                let whole = |(context, ends): &(String, &Vec<String>)| [context.as_str(), &ends.concat()].concat();
                Question { context: String::new(), choices: all.iter().map(whole).collect() }
            }
        })
    }

    /// The scores of a choice that was taken; what is none of the choices is wrong.
    fn taken(&self, chosen: Chosen, settings: &TaskSettings) -> Scored {
        let ChoiceRequest { choices, gold, .. } = self;
        let likely = |at: usize| TAKEN[usize::from(chosen.choice != Some(at))];
        let answer =
            |at| Loglikelihood { logprob: likely(at), greedy: chosen.choice == Some(at), tokens: 0, truncated: false };
        let answers: Vec<Loglikelihood> = (0..choices.len()).map(answer).collect();
        let item = Choices { answers: &answers, alone: &[], choices, gold };
        let score = |scorer: &Scorer| match (scorer.of_stereotype, chosen.choice) {
            _ if !needs_no_likelihood(scorer.metric) => None,
            (None, Some(_)) => Some(scorer.of_choices?(&item).score),
            // a class that is none of them
            (None, None) if scorer.metric.is_of_whole_sample() => {
                Some(Score { value: choices.len() as f64, weight: *gold.first()? as f64 })
            }
            (None, None) => scorer.of_choices.map(|_| Score::right(false)),
            (Some(score), Some(taken)) => score(&self.stereotype(taken)?),
            (Some(_), None) => None,
        };
        Scored {
            scores: metric::scores(&settings.metrics, score),
            choice: chosen.choice,
            target: gold.first().map(|&gold| choices[gold].clone()),
            answer: Some(chosen.choice.map_or(chosen.answer, |choice| choices[choice].clone())),
            tokens: chosen.tokens,
            gold: gold.clone(),
            ..Scored::default()
        }
    }
}

impl Kind for MultipleChoice {
    const NAME: &'static str = "multiple_choice";
    const REQUEST: &'static str = "choose";
    const KEYS: &'static [&'static str] = &["description", "doc_to_choice", "doc_to_target", "num_fewshot", "bias"];
    const PROMPTS: bool = true;
    const METRICS: &'static [Metric] = &[Metric::Acc, Metric::AccNorm];

    type Request = ChoiceRequest;
    type Prepared = ();
    type Answer = ChoiceAnswer;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_choices.is_some() || scorer.of_stereotype.is_some()
    }

    fn parse(section: &Section) -> Result<(MultipleChoice, Requests<MultipleChoice>), Error> {
        section.needs_choices()?;
        let prompt = Prompt::parse(section, None)?;
        let wants = |m: &RawMetric| Metric::parse(&m.metric).is_some_and(is_of_stereotypes);
        let of_harness = section.harness.and_then(|harness| harness.sides.as_deref());
        let first = section.raw.metric_list.iter().flatten().next();
        if section.raw.bias.is_none() && of_harness.is_none() && section.raw.metric_list.iter().flatten().any(wants) {
            let example = "bias = { stereotyped = \"FIELD\", unknown = \"FIELD\" }";
            return Err(section.key.at("metric_list").wrong(format!("asks for a bias score, which needs {example}")));
        }
        if first.is_some_and(wants) {
            return Err(section
                .key
                .at("metric_list")
                .wrong("begins with a bias score; the first metric decides, so put acc before it"));
        }
        let named = section.raw.metric_list.iter().flatten();
        let weighs = named.into_iter().any(|raw| raw.metric == Metric::AccMutualInfo.name());
        let request = |doc: &Doc| {
            let ChoicePrompt { asks, choices, gold } = prompt.choice(doc, section.pool)?;
            let bias = section.raw.bias.as_ref().map(|raw| sides(raw, doc, &choices, section.key)).transpose()?;
            let alone = weighs.then(|| Ask {
                context: Asked::Text(String::new()),
                continuations: choices.iter().map(|choice| prompt.delimited(choice)).collect(),
            });
            let sides = of_harness.and_then(|name| doc.fields.get(name));
            let sides = sides.map(stereotype::Sides::deserialize).transpose();
            let sides = sides.map_err(|e| section.key.at("process_results").wrong(e.to_string()))?;
            Ok(Some(ChoiceRequest { asks, choices, gold, bias, sides, alone }))
        };
        Ok((MultipleChoice, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn chance(&self, request: &ChoiceRequest) -> Option<f64> {
        Some(request.gold.len() as f64 / request.choices.len() as f64)
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn contexts<'a>(&self, request: &'a ChoiceRequest) -> Vec<&'a Asked> {
        request.asks.iter().map(|ask| &ask.context).collect()
    }

    fn lesson(&self, request: &ChoiceRequest) -> Option<Lesson> {
        let right = *request.gold.first()?;
        // one context with all choices, or a context for each with the same ending
        let (ask, nth) = match &request.asks[..] {
            [ask] => (ask, right),
            asks => (asks.get(right)?, 0),
        };
        Some(Lesson { prompt: ask.context.clone(), answer: ask.continuations.get(nth)?.clone() })
    }

    fn size(&self, request: &ChoiceRequest, _: &TaskSettings) -> usize {
        request.asks.iter().chain(&request.alone).map(Ask::size).sum()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&ChoiceRequest],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<ChoiceAnswer>> {
        let style = settings.chat.as_ref();
        if model.chooses(style.is_some())? {
            let first = settings.metrics.first().filter(|metric| !needs_no_likelihood(**metric));
            ensure!(
                first.is_none(),
                "{} is made of how likely each choice is, and this model only says which one it takes; put acc first in metric_list",
                first.map_or("it", |metric| metric.name())
            );
            let questions =
                requests.iter().map(|request| request.question(style, model)).collect::<Result<Vec<_>>>()?;
            return Ok(model.choose(&questions)?.into_iter().map(ChoiceAnswer::Chosen).collect());
        }
        let mut asked = likelihoods(requests.iter().map(|request| request.asks.as_slice()), style, model)?;
        if requests.iter().any(|request| request.alone.is_some()) {
            let alone = likelihoods(requests.iter().map(|request| request.alone.as_slice()), style, model)?;
            asked.iter_mut().zip(alone).for_each(|(asked, alone)| asked.extend(alone));
        }
        Ok(asked.into_iter().map(ChoiceAnswer::Likely).collect())
    }

    fn score(&self, _: &(), request: &ChoiceRequest, answer: ChoiceAnswer, settings: &TaskSettings) -> Result<Scored> {
        let ChoiceRequest { choices, gold, .. } = request;
        let answers = match answer {
            ChoiceAnswer::Likely(answers) => answers,
            ChoiceAnswer::Chosen(chosen) => return Ok(request.taken(chosen, settings)),
        };
        let (answers, alone) = answers.split_at(choices.len().min(answers.len()));
        let logprobs = logprobs(answers, choices.len())?;
        let item = Choices { answers, alone, choices, gold };
        let take = |scorer: &Scorer| -> Option<Taken> { Some(scorer.of_choices?(&item)) };
        let likeliest = metric::first_of_greatest(logprobs.iter().copied());
        // the choice that the deciding metric takes
        let taken = settings.metrics.first().and_then(|&metric| take(metric::scorer(metric)?));
        let taken = taken.context("a task has a metric of choices")?.choice;
        let [target, answer] = [gold[0], taken].map(|index| Some(choices[index].clone()));
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| match scorer.of_stereotype {
                None => Some(take(scorer)?.score),
                Some(score) => score(&request.stereotype(likeliest)?),
            }),
            choice: Some(taken),
            target,
            answer,
            logprobs,
            tokens: answers.iter().chain(alone).map(|l| l.tokens).sum(),
            gold: gold.clone(),
            ..Scored::default()
        })
    }
}

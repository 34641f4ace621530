//! What is read first: the advice in a line, the variants between which it is decided as cards, their chart, and how every
//! variant stands on every task; then why.

use super::sections::{cell, section};
use super::{Inputs, charts};
use crate::recommend::advice::words;
use crate::recommend::compare::Compared;
use crate::recommend::constraint::{Check, Requirement, Status};
use crate::recommend::decided;
use crate::recommend::summary::VariantSummary;
use crate::recommend::{Advice, Comparison, Conclusion, Group};
use crate::report::page::{Block, Card, Dot, Face, FaceFigure, Matrix, MatrixRow, Section, Sign, Way};
use bantam_core::metric::Metric;
use bantam_core::stats::Verdict;
use bantam_core::unit::Unit;
use std::cmp::Ordering;

/// The advice in a line, and what it is decided between.
pub(super) fn advice(inputs: &Inputs) -> Option<Section> {
    let words = &inputs.words;
    let counted = (inputs.advice.summaries.len() > 1).then(|| groups(inputs.advice));
    let lead = words.lines.first().cloned().into_iter().chain(counted).collect();
    let mut blocks = vec![Block::Callout { good: words.found, title: words.title.clone(), lines: lead }];
    let cards = cards(inputs);
    blocks.extend((!cards.is_empty()).then_some(Block::Cards(cards)));
    blocks.extend(charts::trade(inputs).map(Block::Chart));
    blocks.extend(matrix(inputs).map(Block::Matrix));
    section("advice", "Advice", blocks)
}

/// What the advice rests on, sentence by sentence.
pub(super) fn why(inputs: &Inputs) -> Option<Section> {
    let lines: Vec<String> = inputs.words.lines.iter().skip(1).cloned().collect();
    (!lines.is_empty()).then(|| section("why", "Why, and what could not be judged", vec![Block::List(lines)]))?
}

/// The advised one (or the nearest, where none is), the reference, and the next that would be preferred if it qualified.
fn cards(inputs: &Inputs) -> Vec<Card> {
    let advice = inputs.advice;
    let Some(reference) = advice.reference() else { return Vec::new() };
    let card = |role: &str, summary: &VariantSummary| Card {
        role: role.into(),
        face: face(inputs, summary),
        group: summary.standing.group(),
        reason: summary.standing.reason().unwrap_or_default().to_owned(),
    };
    let first = match &advice.conclusion {
        Conclusion::Advised { variant, .. } if advice.is_reference(variant) => {
            Some(card("advised: keep the reference", reference))
        }
        Conclusion::Advised { variant, .. } => advice.summary(variant).map(|s| card("advised", s)),
        Conclusion::NothingQualifies { nearest } if *nearest != *reference.id() => {
            advice.summary(nearest).map(|s| card("nearest", s))
        }
        _ => None,
    };
    let is_kept = first.as_ref().is_some_and(|first| first.face.name == reference.variant.label());
    let second = (!is_kept).then(|| card("reference", reference));
    let third =
        next(advice).filter(|(next, _)| first.as_ref().is_none_or(|first| first.face.name != next.variant.label()));
    first.into_iter().chain(second).chain(third.map(|(next, role)| card(&role, next))).collect()
}

/// The next that would be preferred: first those of which the items cannot tell, else those that are out; of these the one
/// nearest in cost.
fn next(advice: &Advice) -> Option<(&VariantSummary, String)> {
    let (by, than) = match &advice.conclusion {
        Conclusion::Advised { variant, by, .. } => ((*by)?, advice.summary(variant)?),
        Conclusion::NothingQualifies { .. } => (advice.prefer.metric(), advice.reference()?),
        Conclusion::NoEvidence(_) => return None,
    };
    let cheaper = |s: &&VariantSummary| decided::better(by, &s.cost(by), &than.cost(by)) == Some(Ordering::Less);
    let mut all: Vec<&VariantSummary> =
        advice.summaries.iter().filter(|s| !s.qualifies && !advice.is_reference(s.id())).filter(cheaper).collect();
    let dearest_first = |a: &VariantSummary, b: &VariantSummary| match (a.cost(by).value(), b.cost(by).value()) {
        (Some(a), Some(b)) if by.better(a, b) => Ordering::Greater,
        (Some(a), Some(b)) if by.better(b, a) => Ordering::Less,
        _ => Ordering::Equal,
    };
    let last = |s: &VariantSummary| (s.variant.model.parameters, s.variant.label());
    all.sort_by(|a, b| {
        let group = a.standing.group().cmp(&b.standing.group());
        group.then_with(|| dearest_first(a, b)).then_with(|| last(a).cmp(&last(b)))
    });
    all.first().map(|next| (*next, format!("next {}", words::comparative(by))))
}

/// A face of every variant, in the order in which they were asked.
pub(super) fn faces(inputs: &Inputs) -> Vec<Face> {
    inputs.planned().into_iter().map(|summary| face(inputs, summary)).collect()
}

/// Six numbers, where energy is among them if anybody's is known.
fn face(inputs: &Inputs, summary: &VariantSummary) -> Face {
    let known = |metric: Metric| inputs.advice.summaries.iter().any(|s| s.cost(metric).known().is_some());
    let last =
        if known(Metric::DecodeEnergy) { (Metric::DecodeEnergy, "energy") } else { (Metric::PrefillTps, "prefill") };
    let costs = [
        (Metric::PeakMemory, "memory"),
        (Metric::Disk, "disk"),
        (Metric::DecodeTps, "decode"),
        (Metric::Ttft, "first token"),
        last,
    ];
    let reference = inputs.advice.reference().filter(|reference| reference.id() != summary.id());
    let mut figures = vec![score(summary, reference)];
    figures.extend(costs.iter().map(|(metric, label)| cost(inputs, summary, reference, *metric, label)));
    Face { name: summary.variant.label(), colour: inputs.group(summary), figures, doubts: doubts(inputs, summary) }
}

/// The mean score; of its distance the verdicts of the tasks tell more than one number could.
fn score(summary: &VariantSummary, reference: Option<&VariantSummary>) -> FaceFigure {
    let base = reference.and_then(|reference| reference.overall.reading.value());
    let metric = summary.overall.metric;
    let change = base.zip(summary.overall.reading.value()).map(|(base, value)| match metric.unit() {
        Unit::Fraction => words::signed_points(value - base),
        _ if base > 0.0 => words::change(value / base),
        _ => String::new(),
    });
    FaceFigure {
        label: if metric.unit() == Unit::Fraction { "mean score".into() } else { metric.label().into() },
        cell: cell(&summary.overall.reading),
        change: change.unwrap_or_default(),
        way: Way::Neither,
    }
}

fn cost(
    inputs: &Inputs,
    summary: &VariantSummary,
    reference: Option<&VariantSummary>,
    metric: Metric,
    label: &str,
) -> FaceFigure {
    let reading = summary.cost(metric);
    let beside = |base: &VariantSummary| {
        let (of_base, base_value) = (base.cost(metric), base.cost(metric).value().filter(|base| *base > 0.0)?);
        let value = reading.value()?;
        Some(match decided::better(metric, &reading, &of_base) {
            Some(Ordering::Less) => (words::change(value / base_value), Way::Better),
            Some(Ordering::Greater) => (words::change(value / base_value), Way::Worse),
            _ if words::is_undecided(summary, base, metric) => ("not told apart".into(), Way::Neither),
            _ => (words::change(value / base_value), Way::Neither),
        })
    };
    let (change, way) = reference.and_then(beside).unwrap_or_default();
    FaceFigure { label: label.into(), cell: super::sections::cost(inputs, summary, metric), change, way }
}

/// What was seen while it was measured.
fn doubts(inputs: &Inputs, summary: &VariantSummary) -> Vec<String> {
    let failures = summary.failures.iter().map(|failed| format!("{} failed: {}", failed.ask, failed.reason));
    let timed = [Metric::DecodeTps, Metric::Ttft];
    // on a card the fact; what follows from it and what to do stands in the table
    let fact = |doubt: String| doubt.split(": ").next().unwrap_or_default().to_owned();
    let speeds = timed.iter().flat_map(|metric| inputs.doubts(summary, *metric, &summary.cost(*metric))).map(fact);
    let mut all: Vec<String> = failures.collect();
    for doubt in speeds {
        if !all.contains(&doubt) {
            all.push(doubt);
        }
    }
    all
}

/// How every variant stands; none where nothing was compared.
fn matrix(inputs: &Inputs) -> Option<Matrix> {
    let advice = inputs.advice;
    advice.reference()?;
    if advice.tasks.is_empty() || advice.summaries.len() < 2 {
        return None;
    }
    let tasks = advice.tasks.iter().map(|task| {
        let why = match &task.set_aside {
            None => format!("{}, {}", task.metric.label(), crate::recommend::figures::counted(task.items, "item")),
            Some(_) => "it does not decide: the reference guesses there, or has no score".into(),
        };
        (task.name.to_string(), why)
    });
    let row = |summary: &VariantSummary| MatrixRow {
        name: summary.variant.label(),
        group: summary.standing.group(),
        advised: inputs.is_advised(summary),
        dots: std::iter::once(limits(advice, summary))
            .chain(advice.tasks.iter().map(|task| {
                let found = summary.comparisons.iter().find(|comparison| comparison.task == task.name);
                match (inputs.is_reference(summary), found) {
                    (true, _) if task.set_aside.is_none() => {
                        Dot { sign: Sign::Reference, text: String::new(), hint: "the reference itself".into() }
                    }
                    (_, Some(comparison)) => dot(comparison),
                    _ => Dot { sign: Sign::Nothing, text: String::new(), hint: "the task does not decide".into() },
                }
            }))
            .collect(),
    };
    Some(Matrix { tasks: tasks.collect(), rows: inputs.grouped().into_iter().map(row).collect() })
}

/// Whether the limits are kept: the worst of them.
fn limits(advice: &Advice, summary: &VariantSummary) -> Dot {
    let of: Vec<&Check> =
        summary.checks.iter().filter(|check| !matches!(check.requirement, Requirement::NotWorse(_))).collect();
    let first = |is: fn(&Status) -> bool| of.iter().find(|check| is(&check.status));
    let broken = first(|status| *status == Status::Unmet);
    let unknown = first(|status| matches!(status, Status::Unknown { .. }));
    let (sign, hint) = match (broken, unknown) {
        _ if of.is_empty() => (Sign::Nothing, "nothing is limited".to_owned()),
        (Some(check), _) => (Sign::Worse, words::miss(advice, summary, check)),
        (None, Some(check)) => (Sign::CannotTell, words::miss(advice, summary, check)),
        (None, None) => (Sign::NotWorse, "every limit is kept".into()),
    };
    Dot { sign, text: String::new(), hint }
}

fn dot(comparison: &Comparison) -> Dot {
    let (Some(judgement), Some(shown)) = (comparison.judgement(), comparison.shown()) else {
        let hint = match &comparison.result {
            Compared::Not { reason } => reason.clone(),
            Compared::Judged(_) => String::new(),
        };
        return Dot { sign: Sign::CannotTell, text: String::new(), hint };
    };
    let sign = match judgement.verdict {
        Verdict::Better => Sign::Better,
        Verdict::NotWorse => Sign::NotWorse,
        Verdict::Worse => Sign::Worse,
        Verdict::Inconclusive => Sign::CannotTell,
    };
    Dot {
        sign,
        text: words::short_difference(shown),
        hint: format!("{}: {}", words::verdict_name(judgement.verdict), words::explained(judgement, shown)),
    }
}

/// How many are in each group: "Of 18 variants 3 qualify, 8 cannot be told, 7 are out."
fn groups(advice: &Advice) -> String {
    let count = |group: Group| advice.summaries.iter().filter(|s| s.standing.group() == group).count();
    format!(
        "Of {} variants {} qualify, {} cannot be told, {} are out.",
        advice.summaries.len(),
        count(Group::Qualifies),
        count(Group::CannotTell),
        count(Group::Out)
    )
}

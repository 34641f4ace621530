//! Picks one of the variants that qualify, or says what stands in the way of all.

use super::{Advice, Binding, Conclusion, Doubt, Open, OpenTask, by_overall, by_reading};
use crate::recommend::constraint::{Requirement, Status};
use crate::recommend::decided;
use crate::recommend::summary::VariantSummary;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, Provenance, Reading};
use bantam_core::stats::Verdict;
use std::cmp::Ordering;

/// Sorts the summaries and concludes from their checks.
pub(super) fn conclude(advice: &mut Advice) -> Conclusion {
    let wanted = advice.prefer.metric();
    let by = metric_known(advice, wanted);
    advice.summaries.sort_by(|a, b| order(a, b, by));
    match advice.summaries.iter().find(|summary| summary.qualifies) {
        Some(best) => {
            let variant = best.id().clone();
            let equals = equals(advice, &variant, by);
            doubt_the_metric(advice, wanted, by);
            advice.open = open(advice, by, Some(&variant));
            Conclusion::Advised { variant, by, equals }
        }
        None => {
            advice.open = open(advice, by, None);
            advice.binding = binding(&advice.summaries);
            let nearest = advice.summaries.first().expect("there is a reference, so there is a variant");
            Conclusion::NothingQualifies { nearest: nearest.id().clone() }
        }
    }
}

/// Whether an advice could be wrong about a variant: it keeps the limits of cost, and does not cost more than a reference
/// that keeps them too and so would be preferred. Told from costs alone, never from the scores that are to be judged.
pub(super) fn could_be_advised(advice: &Advice, summary: &VariantSummary) -> bool {
    let keeps = |summary: &VariantSummary| {
        summary.checks.iter().filter(|check| check.requirement.is_cost()).all(|check| check.status == Status::Met)
    };
    let metric = advice.prefer.metric();
    let dearer = |reference: &VariantSummary| {
        let order = decided::better(metric, &summary.cost(metric), &reference.cost(metric));
        reference.id() != summary.id() && keeps(reference) && order == Some(Ordering::Greater)
    };
    keeps(summary) && !advice.reference().is_some_and(dearer)
}

/// The metric to pick by: the one preferred, else memory, else disk, whichever is known of anyone who could be picked.
fn metric_known(advice: &Advice, wanted: Metric) -> Option<Metric> {
    let any_qualifies = advice.summaries.iter().any(|summary| summary.qualifies);
    let known = |metric: &Metric| {
        let could_be_picked = advice.summaries.iter().filter(|summary| summary.qualifies || !any_qualifies);
        could_be_picked.into_iter().any(|summary| summary.cost(*metric).known().is_some())
    };
    [wanted, Metric::PeakMemory, Metric::Disk].into_iter().find(known)
}

/// Those that qualify before those that do not; among the first the preference decides, among the others nearness.
fn order(a: &VariantSummary, b: &VariantSummary, by: Option<Metric>) -> Ordering {
    let qualified = b.qualifies.cmp(&a.qualifies);
    let near =
        || if a.qualifies { Ordering::Equal } else { distance(a).partial_cmp(&distance(b)).unwrap_or(Ordering::Equal) };
    let last = || {
        let (one, other) = (&a.variant, &b.variant);
        one.model.parameters.cmp(&other.model.parameters).then_with(|| one.label().cmp(&other.label()))
    };
    qualified
        .then_with(near)
        .then_with(|| preference(a, b, by))
        .then_with(|| by_reading(Metric::Disk, &a.disk, &b.disk))
        .then_with(|| by_overall(a, b))
        .then_with(last)
}

/// A measured number comes before an estimated one: the two are not compared.
fn preference(a: &VariantSummary, b: &VariantSummary, by: Option<Metric>) -> Ordering {
    let Some(metric) = by else { return Ordering::Equal };
    let (one, other) = (a.cost(metric), b.cost(metric));
    let origin = is_estimated(&one).cmp(&is_estimated(&other));
    let unknown = one.known().is_none().cmp(&other.known().is_none());
    unknown.then(origin).then_with(|| by_reading(metric, &one, &other))
}

/// Whether a reading is known through an estimate only.
pub(super) fn is_estimated(reading: &Reading) -> bool {
    reading.known().is_some_and(|figure| figure.provenance == Provenance::Estimated)
}

/// How far from qualifying: first how many requirements are in the way, then by how much.
fn distance(summary: &VariantSummary) -> (usize, f64) {
    let short = |check: &crate::recommend::Check| match check.status {
        Status::Unmet => check.short_by.unwrap_or(f64::INFINITY),
        Status::Unknown { .. } => check.short_by.unwrap_or(1.0), // as far as a limit exceeded twofold
        Status::Met => 0.0,
    };
    (summary.unmet().count(), summary.unmet().map(short).sum())
}

/// Others that qualify and whose interval on the metric meets the best one's.
fn equals(advice: &Advice, best: &Id, by: Option<Metric>) -> Vec<Id> {
    let Some(metric) = by else { return Vec::new() };
    let interval = |summary: &VariantSummary| summary.cost(metric).known().and_then(|figure| figure.interval);
    let Some(of_best) = advice.summary(best).and_then(interval) else { return Vec::new() };
    let meets =
        |summary: &&VariantSummary| interval(summary).is_some_and(|i| i.low <= of_best.high && of_best.low <= i.high);
    let others = advice.summaries.iter().filter(|summary| summary.qualifies && summary.id() != best);
    others.filter(meets).map(|summary| summary.id().clone()).collect()
}

fn doubt_the_metric(advice: &mut Advice, wanted: Metric, by: Option<Metric>) {
    let qualified: Vec<&VariantSummary> = advice.summaries.iter().filter(|summary| summary.qualifies).collect();
    let missing = |summary: &VariantSummary, metric| match summary.cost(metric) {
        Reading::Missing { reason } => Some(reason),
        Reading::Known(_) => None,
    };
    let doubts: Vec<Doubt> = match by {
        Some(metric) if metric == wanted => {
            let unranked = |summary: &&VariantSummary| {
                let reason = missing(summary, metric)?;
                Some(Doubt::Unranked { variant: summary.id().clone(), metric, reason })
            };
            qualified.iter().filter_map(unranked).collect()
        }
        used => {
            let reason = qualified.iter().find_map(|summary| missing(summary, wanted)).unwrap_or_default();
            vec![Doubt::OtherMetric { wanted, used, reason }]
        }
    };
    advice.doubts.extend(doubts);
}

/// Variants that keep every limit and of which nothing speaks but too few items; where one is advised, only those that
/// would be preferred to it.
fn open(advice: &Advice, by: Option<Metric>, advised: Option<&Id>) -> Vec<Open> {
    let advised = advised.and_then(|id| advice.summary(id));
    let preferred =
        |summary: &&VariantSummary| advised.is_none_or(|best| preference(summary, best, by) == Ordering::Less);
    let mut found: Vec<&VariantSummary> =
        advice.summaries.iter().filter(|s| !s.qualifies && only_undecided(s)).filter(preferred).collect();
    found.sort_by(|a, b| preference(a, b, by));
    found.iter().map(|summary| Open { variant: summary.id().clone(), tasks: open_tasks(summary) }).collect()
}

/// Whether all that stands in the way are verdicts that the items could not give.
fn only_undecided(summary: &VariantSummary) -> bool {
    summary.unmet().count() == open_tasks(summary).len()
}

fn open_tasks(summary: &VariantSummary) -> Vec<OpenTask> {
    let undecided = summary.comparisons.iter().filter_map(|comparison| {
        let judgement = comparison.judgement().filter(|judgement| judgement.verdict == Verdict::Inconclusive)?;
        Some(OpenTask {
            task: comparison.task.clone(),
            items: judgement.items,
            more: judgement.more_to_settle()?,
            leans_worse: judgement.leans_worse(),
        })
    });
    undecided.collect()
}

/// The requirements that stand in someone's way, those first that alone keep a variant from qualifying.
fn binding(summaries: &[VariantSummary]) -> Vec<Binding> {
    let mut requirements: Vec<&Requirement> = Vec::new();
    for check in summaries.iter().flat_map(VariantSummary::unmet) {
        if !requirements.contains(&&check.requirement) {
            requirements.push(&check.requirement);
        }
    }
    let mut binding: Vec<Binding> = requirements.into_iter().map(|requirement| bind(requirement, summaries)).collect();
    binding.sort_by_key(|binding| (binding.alone.is_none(), std::cmp::Reverse(binding.unmet + binding.unknown)));
    binding
}

fn bind(requirement: &Requirement, summaries: &[VariantSummary]) -> Binding {
    let checks = || summaries.iter().flat_map(VariantSummary::unmet).filter(|check| check.requirement == *requirement);
    let unmet = checks().filter(|check| check.status == Status::Unmet).count();
    let only_this = |summary: &&VariantSummary| summary.unmet().all(|check| check.requirement == *requirement);
    // They are sorted by nearness already.
    let alone = summaries.iter().filter(|summary| summary.unmet().next().is_some()).find(only_this);
    Binding {
        requirement: requirement.clone(),
        unmet,
        unknown: checks().count() - unmet,
        alone: alone.map(|summary| summary.id().clone()),
    }
}

//! Picks one of the variants that qualify, or says what stands in the way of all.

use super::{Advice, Binding, Conclusion, Doubt, Open, OpenTask, by_reading};
use crate::recommend::constraint::{Requirement, Status};
use crate::recommend::cost;
use crate::recommend::decided;
use crate::recommend::summary::VariantSummary;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, Provenance, Reading};
use bantam_core::stats::{Level, Verdict};
use std::cmp::Ordering;

/// Sorts the summaries and concludes from their checks.
pub(super) fn conclude(advice: &mut Advice) -> Conclusion {
    let wanted = advice.prefer.metric();
    let by = metric_known(advice, wanted);
    advice.summaries.sort_by(|a, b| order(a, b, by));
    match best(advice, by) {
        Some((variant, equals)) => {
            let place = advice.summaries.iter().position(|summary| *summary.id() == variant).unwrap_or_default();
            advice.summaries[..=place].rotate_right(1);
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
pub(in crate::recommend) fn could_be_advised(advice: &Advice, summary: &VariantSummary) -> bool {
    keeps_costs(summary) && !is_dearer_than_reference(advice, summary)
}

/// Whether a variant costs more than a reference that keeps the limits of cost; not where either cost is not known yet.
pub(in crate::recommend) fn is_dearer_than_reference(advice: &Advice, summary: &VariantSummary) -> bool {
    let metric = advice.prefer.metric();
    advice.reference().is_some_and(|reference| {
        let order = decided::better(metric, &summary.cost(metric), &reference.cost(metric));
        reference.id() != summary.id() && keeps_costs(reference) && order == Some(Ordering::Greater)
    })
}

fn keeps_costs(summary: &VariantSummary) -> bool {
    summary.checks.iter().filter(|check| check.requirement.is_cost()).all(|check| check.status == Status::Met)
}

/// The metric to pick by: the one preferred, else memory, else disk, whichever is known of anyone who could be picked.
fn metric_known(advice: &Advice, wanted: Metric) -> Option<Metric> {
    let any_qualifies = advice.summaries.iter().any(|summary| summary.qualifies);
    let known = |metric: &Metric| {
        let could_be_picked = advice.summaries.iter().filter(|summary| summary.qualifies || !any_qualifies);
        could_be_picked.into_iter().any(|summary| {
            let cost = summary.cost(*metric);
            decided::may_decide(*metric, &cost) || is_estimated(&cost)
        })
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
        .then_with(last)
}

/// A measured number comes before one of a single repeat, and that before an estimated one: they are not compared.
fn preference(a: &VariantSummary, b: &VariantSummary, by: Option<Metric>) -> Ordering {
    let Some(metric) = by else { return Ordering::Equal };
    let (one, other) = (a.cost(metric), b.cost(metric));
    weight(metric, &one).cmp(&weight(metric, &other)).then_with(|| by_reading(metric, &one, &other))
}

/// How much a number counts: 0 the most.
fn weight(metric: Metric, reading: &Reading) -> u8 {
    match reading {
        Reading::Missing { .. } => 3,
        _ if is_estimated(reading) => 2,
        _ if !decided::may_decide(metric, reading) => 1,
        Reading::Known(_) => 0,
    }
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

/// The best of those that qualify, and those that cannot be told from it on the metric it is picked by.
///
/// No advice rests on a cost that is not decided: among those that cannot be told from the first the next cost decides,
/// and where none does, the reference is kept.
fn best(advice: &Advice, by: Option<Metric>) -> Option<(Id, Vec<Id>)> {
    let mut left: Vec<&VariantSummary> = advice.summaries.iter().filter(|summary| summary.qualifies).collect();
    let costs = by.into_iter().chain([Metric::PeakMemory, Metric::Disk].into_iter().filter(|cost| Some(*cost) != by));
    let mut equals: Option<Vec<Id>> = None;
    for metric in costs {
        left = first_band(&left, metric, advice.level);
        equals.get_or_insert_with(|| left.iter().map(|summary| summary.id().clone()).collect());
    }
    let kept = left.iter().find(|summary| by.is_some() && advice.is_reference(summary.id()));
    let best = kept.or(left.first())?.id().clone();
    let others = if by.is_some() { equals.unwrap_or_default() } else { Vec::new() };
    Some((best.clone(), others.into_iter().filter(|id| *id != best).collect()))
}

/// Those that cannot be told from the first by a cost; all of them where it is not known of the first.
fn first_band<'a>(variants: &[&'a VariantSummary], metric: Metric, level: Level) -> Vec<&'a VariantSummary> {
    let mut sorted = variants.to_vec();
    sorted.sort_by(|a, b| preference(a, b, Some(metric))); // stable: what came first stays first among equals
    let Some(first) = sorted.first().filter(|summary| summary.cost(metric).known().is_some()) else {
        return variants.to_vec();
    };
    let (of_first, in_rounds) = (first.cost(metric), |summary: &VariantSummary| cost::has_rounds(&summary.shapes));
    let equal = |summary: &&VariantSummary| {
        let reading = summary.cost(metric);
        let told = match cost::is_speed(metric) && in_rounds(summary) && in_rounds(first) {
            // side by side, round by round: what fell on the machine fell on both
            true => cost::shown_faster(&first.shapes, &summary.shapes, metric, level),
            false => decided::better(metric, &reading, &of_first) != Some(Ordering::Equal),
        };
        weight(metric, &reading) == weight(metric, &of_first) && !told
    };
    variants.iter().copied().filter(equal).collect()
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
            let single = "each was measured once only, without an interval";
            let reason = qualified.iter().find_map(|summary| missing(summary, wanted)).unwrap_or_else(|| single.into());
            vec![Doubt::OtherMetric { wanted, used, reason }]
        }
    };
    advice.doubts.extend(doubts);
}

/// Variants that keep every limit and of which nothing speaks but too few items; where one is advised, only those that
/// would be preferred to it.
fn open(advice: &Advice, by: Option<Metric>, advised: Option<&Id>) -> Vec<Open> {
    let advised = advised.and_then(|id| advice.summary(id));
    let cheaper = |summary: &VariantSummary, best: &VariantSummary| {
        by.is_none_or(|by| decided::better(by, &summary.cost(by), &best.cost(by)) == Some(Ordering::Less))
    };
    let preferred = |summary: &&VariantSummary| advised.is_none_or(|best| cheaper(summary, best));
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
            shown: comparison.shown()?,
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

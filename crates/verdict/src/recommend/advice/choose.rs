//! Picks one of the variants that qualify, or says what stands in the way of all.

use super::{Advice, Binding, Conclusion, Doubt, Open, OpenTask, by_overall, by_reading};
use crate::recommend::constraint::{Requirement, Status};
use crate::recommend::standing::Standing;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, Provenance, Reading};
use bantam_core::stats::Verdict;
use std::cmp::Ordering;

/// Sorts the standings and concludes from their checks.
pub fn conclude(advice: &mut Advice) -> Conclusion {
    let wanted = advice.prefer.metric();
    let by = metric_known(advice, wanted);
    advice.standings.sort_by(|a, b| order(a, b, by));
    match advice.standings.iter().find(|standing| standing.qualifies) {
        Some(best) => {
            let variant = best.id().clone();
            let equals = equals(advice, &variant, by);
            doubt_the_metric(advice, wanted, by);
            advice.open = open(advice, by, Some(&variant));
            Conclusion::Advised { variant, by, equals }
        }
        None => {
            advice.open = open(advice, by, None);
            advice.binding = binding(&advice.standings);
            let nearest = advice.standings.first().expect("there is a reference, so there is a variant");
            Conclusion::NothingQualifies { nearest: nearest.id().clone() }
        }
    }
}

/// The metric to pick by: the one preferred, else memory, else disk, whichever is known of anyone who could be picked.
fn metric_known(advice: &Advice, wanted: Metric) -> Option<Metric> {
    let any_qualifies = advice.standings.iter().any(|standing| standing.qualifies);
    let known = |metric: &Metric| {
        let could_be_picked = advice.standings.iter().filter(|standing| standing.qualifies || !any_qualifies);
        could_be_picked.into_iter().any(|standing| standing.cost(*metric).known().is_some())
    };
    [wanted, Metric::PeakMemory, Metric::Disk].into_iter().find(known)
}

/// Those that qualify before those that do not; among the first the preference decides, among the others nearness.
fn order(a: &Standing, b: &Standing, by: Option<Metric>) -> Ordering {
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
fn preference(a: &Standing, b: &Standing, by: Option<Metric>) -> Ordering {
    let Some(metric) = by else { return Ordering::Equal };
    let (one, other) = (a.cost(metric), b.cost(metric));
    let origin = is_estimated(&one).cmp(&is_estimated(&other));
    let unknown = one.known().is_none().cmp(&other.known().is_none());
    unknown.then(origin).then_with(|| by_reading(metric, &one, &other))
}

/// Whether a reading is known through an estimate only.
pub fn is_estimated(reading: &Reading) -> bool {
    reading.known().is_some_and(|figure| figure.provenance == Provenance::Estimated)
}

/// How far from qualifying: first how many requirements are in the way, then by how much.
fn distance(standing: &Standing) -> (usize, f64) {
    let short = |check: &crate::recommend::Check| match check.status {
        Status::Unmet => check.short_by.unwrap_or(f64::INFINITY),
        Status::Unknown { .. } => check.short_by.unwrap_or(1.0), // as far as a limit exceeded twofold
        Status::Met => 0.0,
    };
    (standing.unmet().count(), standing.unmet().map(short).sum())
}

/// Others that qualify and whose interval on the metric meets the best one's.
fn equals(advice: &Advice, best: &Id, by: Option<Metric>) -> Vec<Id> {
    let Some(metric) = by else { return Vec::new() };
    let interval = |standing: &Standing| standing.cost(metric).known().and_then(|figure| figure.interval);
    let Some(of_best) = advice.standing(best).and_then(interval) else { return Vec::new() };
    let meets =
        |standing: &&Standing| interval(standing).is_some_and(|i| i.low <= of_best.high && of_best.low <= i.high);
    let others = advice.standings.iter().filter(|standing| standing.qualifies && standing.id() != best);
    others.filter(meets).map(|standing| standing.id().clone()).collect()
}

fn doubt_the_metric(advice: &mut Advice, wanted: Metric, by: Option<Metric>) {
    let qualified: Vec<&Standing> = advice.standings.iter().filter(|standing| standing.qualifies).collect();
    let missing = |standing: &Standing, metric| match standing.cost(metric) {
        Reading::Missing { reason } => Some(reason),
        Reading::Known(_) => None,
    };
    let doubts: Vec<Doubt> = match by {
        Some(metric) if metric == wanted => {
            let unranked = |standing: &&Standing| {
                let reason = missing(standing, metric)?;
                Some(Doubt::Unranked { variant: standing.id().clone(), metric, reason })
            };
            qualified.iter().filter_map(unranked).collect()
        }
        used => {
            let reason = qualified.iter().find_map(|standing| missing(standing, wanted)).unwrap_or_default();
            vec![Doubt::OtherMetric { wanted, used, reason }]
        }
    };
    advice.doubts.extend(doubts);
}

/// Variants that keep every limit and of which nothing speaks but too few items; where one is advised, only those that
/// would be preferred to it.
fn open(advice: &Advice, by: Option<Metric>, advised: Option<&Id>) -> Vec<Open> {
    let advised = advised.and_then(|id| advice.standing(id));
    let preferred = |standing: &&Standing| advised.is_none_or(|best| preference(standing, best, by) == Ordering::Less);
    let mut found: Vec<&Standing> =
        advice.standings.iter().filter(|s| !s.qualifies && only_undecided(s)).filter(preferred).collect();
    found.sort_by(|a, b| preference(a, b, by));
    found.iter().map(|standing| Open { variant: standing.id().clone(), tasks: open_tasks(standing) }).collect()
}

/// Whether all that stands in the way are verdicts that the items could not give.
fn only_undecided(standing: &Standing) -> bool {
    standing.unmet().count() == open_tasks(standing).len()
}

fn open_tasks(standing: &Standing) -> Vec<OpenTask> {
    let undecided = standing.comparisons.iter().filter_map(|comparison| {
        let judgement = comparison.judgement().filter(|judgement| judgement.verdict == Verdict::Inconclusive)?;
        Some(OpenTask {
            task: comparison.task.clone(),
            items: judgement.items,
            more: judgement.more_to_settle()?,
            leans_worse: judgement.difference <= -judgement.margin,
        })
    });
    undecided.collect()
}

/// The requirements that stand in someone's way, those first that alone keep a variant from qualifying.
fn binding(standings: &[Standing]) -> Vec<Binding> {
    let mut requirements: Vec<&Requirement> = Vec::new();
    for check in standings.iter().flat_map(Standing::unmet) {
        if !requirements.contains(&&check.requirement) {
            requirements.push(&check.requirement);
        }
    }
    let mut binding: Vec<Binding> = requirements.into_iter().map(|requirement| bind(requirement, standings)).collect();
    binding.sort_by_key(|binding| (binding.alone.is_none(), std::cmp::Reverse(binding.unmet + binding.unknown)));
    binding
}

fn bind(requirement: &Requirement, standings: &[Standing]) -> Binding {
    let checks = || standings.iter().flat_map(Standing::unmet).filter(|check| check.requirement == *requirement);
    let unmet = checks().filter(|check| check.status == Status::Unmet).count();
    let only_this = |standing: &&Standing| standing.unmet().all(|check| check.requirement == *requirement);
    // They are sorted by nearness already.
    let alone = standings.iter().filter(|standing| standing.unmet().next().is_some()).find(only_this);
    Binding {
        requirement: requirement.clone(),
        unmet,
        unknown: checks().count() - unmet,
        alone: alone.map(|standing| standing.id().clone()),
    }
}

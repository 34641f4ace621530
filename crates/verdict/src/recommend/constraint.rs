//! The constraints of a profile, checked against what was measured.
//!
//! A check is met, not met by so much, or unknown with the reason. Unknown is never met: what was not measured cannot
//! be promised. A limit is held against the nearer end of the interval of what was measured: five repeats whose mean
//! keeps it while their interval reaches far beyond do not show that it is kept, and nor does a single repeat.

use super::compare::{Comparison, Scale};
use super::decided;
use super::figures::counted;
use super::score::TaskScore;
use super::summary::{TaskName, VariantSummary};
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::profile::{Constraints, CostLimit};
use bantam_core::record::{Figure, Interval, Provenance, Reading};
use bantam_core::stats::Verdict;
use serde::{Deserialize, Serialize};

/// What a variant has to meet to qualify.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// At most so many bytes at work.
    MaxMemory,
    /// At most so many bytes of files.
    MaxDisk,
    /// At least so many tokens a second in decode, at every shape.
    MinDecodeTps,
    /// At most so many seconds to the first token, at every shape.
    MaxTtft,
    /// At most so many joules a decoded token, at every shape.
    MaxJoulesPerToken,
    /// At most so much for an answer, of the task that the profile names, or of each.
    AnswerCost {
        /// What is limited.
        metric: Metric,
        /// The task as the profile names it; `None` for each.
        task: Option<String>,
    },
    /// At least this score of a task, as the profile names it (at most, where lower is better).
    Score(String),
    /// At least a share of the reference's score on a task, as the profile names it.
    Relative(String),
    /// Shown not worse than the reference by more than the margin on a task.
    NotWorse(TaskName),
}

impl Requirement {
    /// Whether it limits a cost, and not a score.
    pub fn is_cost(&self) -> bool {
        !matches!(self, Requirement::Score(_) | Requirement::Relative(_) | Requirement::NotWorse(_))
    }
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The requirement is met.
    Met,
    /// The requirement is not met.
    Unmet,
    /// It cannot be told.
    Unknown {
        /// Why, in one sentence.
        reason: String,
    },
}

/// One requirement of one variant, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is required.
    pub requirement: Requirement,
    /// How it came out.
    pub status: Status,
    /// The metric it is about, which knows its unit and direction; `None` where no such task was asked.
    pub metric: Option<Metric>,
    /// What is allowed, in the metric's unit; `None` where the verdict of a comparison is required instead.
    pub limit: Option<f64>,
    /// What was measured, in the metric's unit; `None` where it is unknown or a comparison's verdict is required.
    pub seen: Option<f64>,
    /// The interval of what was measured, in the metric's unit, where it has one.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// The shape it was measured at, where there are several.
    pub at: Option<String>,
    /// How far beyond the limit, as a share of it: zero when met, `None` where nothing was measured or the limit is
    /// zero. For a comparison how far its interval reaches beyond the margin.
    pub short_by: Option<f64>,
    /// Whether it is met by so little (less than costs have to differ by to count as different) that another measurement
    /// may come out the other way.
    pub close: bool,
    /// Whether what was seen is an estimate.
    pub estimated: bool,
}

impl Check {
    fn blank(requirement: Requirement, metric: Option<Metric>, limit: Option<f64>, status: Status) -> Check {
        Check {
            requirement,
            status,
            metric,
            limit,
            seen: None,
            interval: None,
            at: None,
            short_by: None,
            close: false,
            estimated: false,
        }
    }

    fn unknown(
        requirement: Requirement,
        metric: Option<Metric>,
        limit: Option<f64>,
        reason: impl Into<String>,
    ) -> Check {
        Check::blank(requirement, metric, limit, Status::Unknown { reason: reason.into() })
    }
}

/// Checks the constraints of a profile for one variant. `reference` is what shares are taken of.
pub fn checks(constraints: &Constraints, summary: &VariantSummary, reference: Option<&VariantSummary>) -> Vec<Check> {
    let costs = COSTS.iter().filter_map(|(requirement, metric, limit)| {
        Some(cost(requirement.clone(), *metric, limit(constraints)?, summary))
    });
    let least = constraints.score.iter().map(|(task, limit)| score(task, *limit, summary));
    let shares = constraints.relative.iter().map(|(task, share)| relative(task, *share, summary, reference));
    let answers = constraints.cost.iter().map(|limit| answers(limit, summary));
    costs.chain(answers).chain(least).chain(shares).collect()
}

type Limit = fn(&Constraints) -> Option<f64>;

const COSTS: [(Requirement, Metric, Limit); 5] = [
    (Requirement::MaxMemory, Metric::PeakMemory, |c| Some(c.max_memory?.0 as f64)),
    (Requirement::MaxDisk, Metric::Disk, |c| Some(c.max_disk?.0 as f64)),
    (Requirement::MinDecodeTps, Metric::DecodeTps, |c| c.min_decode_tps),
    (Requirement::MaxTtft, Metric::Ttft, |c| Some(c.max_ttft?.0)),
    (Requirement::MaxJoulesPerToken, Metric::DecodeEnergy, |c| c.max_joules_per_token),
];

/// What answers cost has to keep its limit on the task named, or on each.
fn answers(limit: &CostLimit, summary: &VariantSummary) -> Check {
    let CostLimit { task, metric, most } = limit;
    let requirement = Requirement::AnswerCost { metric: *metric, task: task.clone() };
    let readings = match task {
        Some(task) => match only(summary, task) {
            Ok(score) => score.cost(*metric).map(|reading| (None, reading.clone())).into_iter().collect(),
            Err(reason) => return Check::unknown(requirement, Some(*metric), Some(*most), reason),
        },
        None => {
            let of_each = |score: &TaskScore| Some((Some(score.task.clone()), score.cost(*metric)?.clone()));
            let asked = summary.scores.iter().filter(|score| score.suite != super::loss::BATTERY);
            asked.filter_map(of_each).collect()
        }
    };
    keeps_at_each(requirement, *metric, *most, readings, "no task was asked")
}

/// A cost has to keep its limit at every shape.
fn cost(requirement: Requirement, metric: Metric, limit: f64, summary: &VariantSummary) -> Check {
    let of_shapes =
        || summary.shapes.iter().filter_map(|s| Some((Some(s.shape.to_string()), s.reading(metric)?.clone())));
    let readings: Vec<(Option<String>, Reading)> = match metric {
        Metric::PeakMemory | Metric::Disk => vec![(None, summary.cost(metric))],
        _ => of_shapes().collect(),
    };
    keeps_at_each(requirement, metric, limit, readings, "no speed was measured")
}

/// Of several readings that have to keep a limit one that breaks it decides, then one that is unknown, then the closest.
fn keeps_at_each(
    requirement: Requirement,
    metric: Metric,
    limit: f64,
    readings: Vec<(Option<String>, Reading)>,
    none: &str,
) -> Check {
    let checked = |(at, reading): (Option<String>, Reading)| Check {
        at,
        ..check_limit(requirement.clone(), metric, limit, &reading)
    };
    let checks: Vec<Check> = readings.into_iter().map(checked).collect();
    let urgency = |check: &Check| match check.status {
        Status::Unmet => (2, check.short_by.unwrap_or(f64::INFINITY)),
        Status::Unknown { .. } => (1, 0.0),
        Status::Met => (0, -slack(check)),
    };
    let worst =
        checks.into_iter().max_by(|a, b| urgency(a).partial_cmp(&urgency(b)).unwrap_or(std::cmp::Ordering::Equal));
    worst.unwrap_or_else(|| Check::unknown(requirement, Some(metric), Some(limit), none))
}

fn slack(check: &Check) -> f64 {
    check.seen.zip(check.limit).map_or(0.0, |(seen, limit)| (seen - limit).abs())
}

fn score(task: &str, limit: f64, summary: &VariantSummary) -> Check {
    let requirement = Requirement::Score(task.into());
    match only(summary, task) {
        Ok(score) => check_limit(requirement, score.metric, limit, score.reading()),
        Err(reason) => Check::unknown(requirement, None, Some(limit), reason),
    }
}

/// A share of the reference's score: at least 0.98 of its accuracy, at most its perplexity over 0.98.
fn relative(task: &str, share: f64, summary: &VariantSummary, reference: Option<&VariantSummary>) -> Check {
    let requirement = Requirement::Relative(task.into());
    let unknown = |metric, reason: String| Check::unknown(requirement.clone(), metric, None, reason);
    let score = match only(summary, task) {
        Ok(score) => score,
        Err(reason) => return unknown(None, reason),
    };
    let Some(reference) = reference else { return unknown(Some(score.metric), "there is no reference".into()) };
    let base = match only(reference, task).map(TaskScore::reading) {
        Ok(Reading::Known(figure)) => figure.value,
        Ok(Reading::Missing { reason }) => {
            return unknown(Some(score.metric), format!("{} has no score: {reason}", reference.variant.label()));
        }
        Err(reason) => return unknown(Some(score.metric), reason),
    };
    let limit = match score.metric.direction() {
        Direction::Higher => base * share,
        Direction::Lower if share > 0.0 => base / share,
        Direction::Lower => f64::MAX, // no share of it is asked for
    };
    let paired = summary.comparisons.iter().find(|c| c.task.is_called(task));
    match paired.and_then(|comparison| beside(comparison, score.metric, base)) {
        Some((low, high)) if reference.id() != summary.id() => {
            let around = score.reading().known().map(|figure| Figure {
                interval: Some(Interval { low, high, level: figure.interval.map_or(0.0, |i| i.level) }),
                ..figure.clone()
            });
            let reading = around.map_or_else(|| score.reading().clone(), Reading::Known);
            check_limit(requirement, score.metric, limit, &reading)
        }
        _ if reference.id() == summary.id() => {
            let exact = |figure: &Figure| Figure { interval: None, provenance: Provenance::Derived, ..figure.clone() };
            let reading = score.reading().known().map_or_else(|| score.reading().clone(), |f| Reading::Known(exact(f)));
            check_limit(requirement, score.metric, limit, &reading)
        }
        _ => check_limit(requirement, score.metric, limit, score.reading()),
    }
}

/// The ends of a variant's score as its items, one by one, leave them beside the reference's, which is taken as it is:
/// what the two share in luck cancels.
fn beside(comparison: &Comparison, metric: Metric, base: f64) -> Option<(f64, f64)> {
    let shown = comparison.shown()?;
    Some(match shown.scale {
        Scale::Points => (base + shown.low, base + shown.high),
        Scale::LogRatio if metric.aggregation() == Aggregation::WeightedPerplexity => {
            (base * shown.low, base * shown.high)
        }
        Scale::LogRatio => return None,
    })
}

/// The one task of this name; a name that means several has to say which suite's.
fn only<'a>(summary: &'a VariantSummary, name: &str) -> Result<&'a TaskScore, String> {
    let called = |s: &&TaskScore| TaskName { suite: s.suite.clone(), task: s.task.clone() }.is_called(name);
    let mut found = summary.scores.iter().filter(called);
    match (found.next(), found.next()) {
        (Some(score), None) => Ok(score),
        (Some(one), Some(other)) => {
            Err(format!("'{name}' is a task of {} and of {}; write one as suite/task", one.suite, other.suite))
        }
        (None, _) => Err(format!("no task '{name}' was asked of it")),
    }
}

/// A reading against a limit on its metric's better side.
fn check_limit(requirement: Requirement, metric: Metric, limit: f64, reading: &Reading) -> Check {
    let figure = match reading {
        Reading::Known(figure) => figure,
        Reading::Missing { reason } => return Check::unknown(requirement, Some(metric), Some(limit), reason.clone()),
    };
    let keeps = |value: f64| !metric.better(limit, value);
    let beyond = (figure.value - limit).abs() / limit.abs();
    let status = match figure.interval {
        Some(i) if keeps(i.low) && keeps(i.high) => Status::Met,
        Some(i) if keeps(i.low) || keeps(i.high) => {
            Status::Unknown { reason: "the interval of what was measured reaches beyond the limit".into() }
        }
        None if decided::is_scattered(metric, figure) && (keeps(figure.value) || !is_far(figure.value, limit)) => {
            Status::Unknown { reason: "a single measurement, which has no interval, does not show it".into() }
        }
        None if keeps(figure.value) => Status::Met,
        _ => Status::Unmet,
    };
    Check {
        seen: Some(figure.value),
        interval: figure.interval,
        short_by: Some(if keeps(figure.value) { 0.0 } else { beyond }).filter(|share| share.is_finite()),
        close: status == Status::Met && beyond < decided::EQUAL_WITHIN,
        estimated: figure.provenance == Provenance::Estimated,
        ..Check::blank(requirement, Some(metric), Some(limit), status)
    }
}

/// Whether a single measurement is so far off that another one will hardly come out on the other side.
fn is_far(value: f64, limit: f64) -> bool {
    value.max(limit) >= 2.0 * value.min(limit)
}

/// Makes a check of the verdict of a comparison.
pub fn not_worse(comparison: &Comparison) -> Check {
    let requirement = Requirement::NotWorse(comparison.task.clone());
    let judgement = match &comparison.result {
        super::compare::Compared::Judged(judgement) => judgement,
        super::compare::Compared::Not { reason } => {
            return Check::unknown(requirement, Some(comparison.metric), None, reason.clone());
        }
    };
    let status = match judgement.verdict {
        Verdict::Better | Verdict::NotWorse => Status::Met,
        Verdict::Worse => Status::Unmet,
        Verdict::Inconclusive => {
            Status::Unknown { reason: format!("{} cannot tell", counted(judgement.items, "item")) }
        }
    };
    Check {
        short_by: Some((-judgement.margin - judgement.interval.low).max(0.0)),
        ..Check::blank(requirement, Some(comparison.metric), None, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers, bytes, summary};
    use bantam_core::unit::{Bytes, Seconds};

    fn constraints() -> Constraints {
        Constraints::default()
    }

    fn one(constraints: &Constraints, made: Made) -> Check {
        let mut all = checks(constraints, &summary(&made.rows()), None);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn memory_is_met_up_to_its_limit() {
        let limit = |mib: u64| Constraints { max_memory: Some(Bytes(mib << 20)), ..constraints() };
        let made = || Made::base("m", 64).speed(&[100.0, 101.0]);
        assert_eq!(one(&limit(64), made()).status, Status::Met);
        let over = one(&limit(50), made());
        assert_eq!((over.status, over.seen), (Status::Unmet, Some(f64::from(64 << 20))));
        assert!((over.short_by.unwrap() - 0.28).abs() < 1e-12);
    }

    #[test]
    fn what_was_not_measured_is_unknown_never_met() {
        let all = Constraints {
            max_memory: Some(Bytes(u64::MAX)),
            max_disk: Some(Bytes(u64::MAX)),
            device: None,
            min_decode_tps: Some(1e-9),
            max_ttft: Some(Seconds(1e9)),
            max_joules_per_token: Some(1e9),
            score: vec![("nowhere".into(), 0.0)],
            relative: vec![("nowhere".into(), 0.0)],
            cost: vec![],
        };
        let mut rows = Made::base("m", 10).task("t", &[1, 0]).rows();
        rows[0].outcome.peak_memory = Reading::missing("not on this system");
        rows[0].outcome.disk = Reading::missing("not on this system");
        let checks = checks(&all, &summary(&rows), None);
        assert_eq!(checks.len(), 7);
        for check in checks {
            assert!(matches!(check.status, Status::Unknown { .. }), "{check:?}");
        }
    }

    #[test]
    fn speed_must_hold_at_every_shape() {
        let slow_at = |limit: f64| {
            let constraints = Constraints { min_decode_tps: Some(limit), ..constraints() };
            one(&constraints, Made::base("m", 10).speed(&[100.0, 101.0]).speed(&[40.0, 42.0]))
        };
        assert_eq!(slow_at(20.0).status, Status::Met);
        let unmet = slow_at(50.0);
        let (seen, delivered) = (unmet.seen.unwrap(), 2.0 / (1.0 / 40.0 + 1.0 / 42.0));
        assert!((seen - delivered).abs() < 1e-9, "{seen}");
        assert!(matches!(unmet.status, Status::Unknown { .. }), "two repeats may be 28 to 54");
        assert_eq!(unmet.at.as_deref(), Some("pp65+tg32"));
    }

    #[test]
    fn a_shape_that_failed_leaves_the_rest_unknown_unless_one_breaks_the_limit() {
        let at = |limit| {
            let constraints = Constraints { min_decode_tps: Some(limit), ..constraints() };
            one(&constraints, Made::base("m", 10).speed(&[100.0, 101.0]).failed_speed("no result within 5 s"))
        };
        assert_eq!(at(50.0).status, Status::Unknown { reason: "no result within 5 s".into() });
        assert_eq!(at(150.0).status, Status::Unmet);
    }

    #[test]
    fn a_limit_is_kept_where_the_interval_keeps_it() {
        let at = |repeats: &[f64]| {
            let constraints = Constraints { min_decode_tps: Some(20.0), ..constraints() };
            one(&constraints, Made::base("m", 10).speed(repeats))
        };
        let not_shown = at(&[5.0, 10.0, 15.0, 20.0, 50.0]);
        assert!(matches!(not_shown.status, Status::Unknown { .. }), "the mean of rates is 20: {not_shown:?}");
        // five times the tokens over all the seconds
        let delivered = 5.0 / [5.0, 10.0, 15.0, 20.0, 50.0].map(|rate: f64| 1.0 / rate).iter().sum::<f64>();
        assert!((not_shown.seen.unwrap() - delivered).abs() < 1e-9, "{not_shown:?}");
        assert_eq!(at(&[25.0, 25.5, 24.5, 25.0]).status, Status::Met);
        assert_eq!(at(&[15.0, 15.5, 14.5, 15.0]).status, Status::Unmet);
        assert!(matches!(at(&[25.0]).status, Status::Unknown { .. }), "one repeat shows nothing");
        assert_eq!(at(&[1.49]).status, Status::Unmet, "but not that it is a tenth of what is asked");
    }

    #[test]
    fn a_limit_that_memory_just_keeps_is_close() {
        let limit = |mib: u64| Constraints { max_memory: Some(Bytes(mib << 20)), ..constraints() };
        let check = |mib| one(&limit(mib), Made::base("m", 64).speed(&[100.0, 101.0]));
        assert!(check(65).close && check(65).status == Status::Met && !check(70).close);
    }

    #[test]
    fn an_estimate_is_labelled() {
        let constraints = Constraints { max_joules_per_token: Some(3.0), ..constraints() };
        let check = one(&constraints, Made::base("m", 10).speed(&[90.0, 90.0]).joules(2.0, Provenance::Estimated));
        assert!(check.status == Status::Met && check.estimated);
    }

    #[test]
    fn scores_are_held_on_their_better_side() {
        let least = |task: &str, limit| Constraints { score: vec![(task.into(), limit)], ..constraints() };
        let text: Vec<f64> = (0..200).map(|i| -2.0 + 0.1 * f64::from(i % 3 - 1)).collect();
        let made = || Made::base("m", 10).task("t", &answers(400, 100, 0)).text("p", &text);
        let unknown = |check: Check| matches!(check.status, Status::Unknown { .. });
        assert_eq!(one(&least("t", 0.7), made()).status, Status::Met);
        assert!(unknown(one(&least("t", 0.75), made())), "75% of 400 is 71 to 79");
        assert_eq!(one(&least("t", 0.8), made()).status, Status::Unmet);
        assert_eq!(one(&least("suite/t", 0.7), made()).status, Status::Met);
        assert_eq!(one(&least("p", 8.0), made()).status, Status::Met, "perplexity is e², 7.39");
        assert_eq!(one(&least("p", 7.0), made()).status, Status::Unmet);
    }

    #[test]
    fn shares_are_taken_of_the_reference_item_by_item() {
        let (base, small) = (Made::base("big", 10), Made::base("m", 10));
        let base = base.task("t", &answers(400, 40, 0)).rows();
        let small = small.task("t", &answers(400, 44, 0)).rows();
        let mut judged = summary(&small);
        let confidence = crate::recommend::fixture::confidence();
        judged.comparisons.extend(crate::recommend::compare::compare(&base[0], &small[0], 0.02, confidence));
        let base = summary(&base);
        let status = |share: f64, of: &VariantSummary| {
            let constraints = Constraints { relative: vec![("t".into(), share)], ..constraints() };
            checks(&constraints, of, Some(&base)).remove(0).status
        };
        assert_eq!(status(0.97, &judged), Status::Met, "89% (87.5 to 89.9) beside 90%");
        assert!(matches!(status(0.98, &judged), Status::Unknown { .. }));
        assert!(matches!(status(0.97, &summary(&small)), Status::Unknown { .. }), "alone it is 85.6 to 91.7");
        assert_eq!(status(1.0, &base), Status::Met, "it is what the share is of");
        assert_eq!(status(0.0, &judged), Status::Met);
    }

    #[test]
    fn a_broken_limit_of_zero_has_no_share_to_be_short_by() {
        let constraints = Constraints { max_memory: Some(Bytes(0)), ..constraints() };
        let mut rows = Made::base("m", 10).speed(&[1.0, 1.0]).rows();
        rows[0].outcome.peak_memory = bytes(5.0);
        let check = checks(&constraints, &summary(&rows), None).remove(0);
        assert_eq!((check.status, check.short_by), (Status::Unmet, None));
    }
}

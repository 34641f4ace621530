//! Everything that a decision rests on, as numbers: what a page without this program needs to decide again with other limits,
//! margins and preferences (report/decide.js does, and is held to [`advise`](super::advise) by a test).
//!
//! What takes long or needs the items is worked out here for all settings: of every comparison the p-values at each margin
//! of a grid, of every reading whether it may decide. What is left is to compare numbers.

use super::compare::{Scale, scale};
use super::constraint::{self, Check, Status};
use super::cost;
use super::decided;
use super::desk::Desk;
use super::known::Known;
use super::score::Confidence;
use super::summary::VariantSummary;
use super::{Advice, whatif};
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::profile::knob::LIMITS;
use bantam_core::profile::{Knob, Prefer, Profile};
use bantam_core::record::{Figure, Provenance, Reading, Row};
use bantam_core::stats::Level;
use bantam_core::stats::chance::Skill;
use bantam_core::stats::noninferior::{Findings, OneSided, SIZE};
use bantam_core::unit::Unit;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Margins go up to here: thirty points, in half points.
const WIDEST: f64 = 0.3;
const NOTCH: f64 = 0.005;

/// What can be decided again, and by which numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choices {
    /// The name or id by which `bantam decide` finds the run.
    pub run: String,
    /// The settings as the profile has them.
    pub now: Settings,
    /// The error that a claim of "not worse" may have, one-sided.
    pub alpha: f64,
    /// The error that "better" and "worse" may have, each.
    pub tail: f64,
    /// By what p-values of a family are raised beside Holm's factor.
    pub size: f64,
    /// Costs less than this share apart are equal.
    pub equal_within: f64,
    /// The margins that can be chosen, ascending, as shares.
    pub margins: Vec<f64>,
    /// The costs that can be limited and weighed, with their metrics' names.
    pub costs: Vec<(&'static str, &'static str)>,
    /// The metrics' names of costs of which more is better.
    pub more_is_better: Vec<&'static str>,
    /// The limits that can be set.
    pub limits: Vec<LimitChoice>,
    /// The preferences that can be chosen.
    pub prefers: Vec<PreferChoice>,
    /// The tasks that may decide.
    pub tasks: Vec<TaskChoice>,
    /// Which of the variants the others are compared with.
    pub reference: usize,
    /// All variants, in the order in which they were asked.
    pub variants: Vec<VariantChoice>,
}

/// What can be turned, as numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Limits by their names ("memory", "decode"); those that are not there limit nothing.
    pub limits: BTreeMap<&'static str, f64>,
    /// The margin of all, a share.
    pub margin: f64,
    /// The margin of each task's own, in the order of the tasks; `None` where that of all holds.
    pub margins: Vec<Option<f64>>,
    /// The word of the preference.
    pub prefer: &'static str,
    /// How much each cost counts where the weighed cost is preferred.
    pub weights: BTreeMap<&'static str, f64>,
}

impl Settings {
    /// The settings of a profile, whose advice knows the tasks.
    pub fn of(profile: &Profile, advice: &Advice) -> Settings {
        let value = |knob: &Knob| knob.value(profile);
        let by_name = |knob: fn(Metric) -> Knob| {
            LIMITS.iter().filter_map(|(name, metric)| Some((*name, value(&knob(*metric))?))).collect()
        };
        Settings {
            limits: by_name(Knob::Limit),
            margin: profile.objective.margin,
            margins: advice.tasks.iter().map(|task| task.margin).collect(),
            prefer: profile.objective.prefer.label(),
            weights: by_name(Knob::Weight),
        }
    }
}

/// A limit that can be set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitChoice {
    /// Its name: "memory".
    pub name: &'static str,
    /// What it limits, in words: "peak memory".
    pub label: &'static str,
    /// Whether more is better, so that it limits from below.
    pub more_is_better: bool,
    /// The numbers that one variant or another just keeps, from the tightest to the loosest, as read and as typed.
    pub steps: Vec<(f64, String, String)>,
}

/// A preference that can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreferChoice {
    /// Its word: "smallest".
    pub name: &'static str,
    /// What it is, in words: "the smallest".
    pub label: &'static str,
    /// The cost that it picks by, as `costs` calls it.
    pub metric: &'static str,
    /// What one that is better by it is: "smaller".
    pub comparative: &'static str,
}

/// A task that may decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskChoice {
    /// Its name, as a profile may write it.
    pub name: String,
    /// From which place among the margins on the reference is near guessing within it, so that the task does not decide.
    pub aside_from: usize,
    /// From which place on the margin is no less than the reference's score, so that nobody could be worse by more.
    pub below_from: usize,
    /// Whether it can decide at all: the reference has a score.
    pub scored: bool,
}

/// A variant with all that decides about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantChoice {
    /// Its name.
    pub name: String,
    /// Its place where all else is equal.
    pub last: usize,
    /// Whether it left a race.
    pub raced: bool,
    /// Its costs by the metric's name, in one number each; those not known are `None`.
    pub costs: BTreeMap<&'static str, Option<Number>>,
    /// The readings that a limit is held against, by the limit's name: one a shape.
    pub held: BTreeMap<&'static str, Vec<Option<Number>>>,
    /// The profile's other requirements, which cannot be turned.
    pub fixed: Vec<Fixed>,
    /// Whether its speeds were measured in rounds.
    pub rounds: bool,
    /// The variants that it is shown to decode faster than, round by round.
    pub faster_than: Vec<usize>,
    /// What every task shows of it beside the reference; `None` where nothing can be shown.
    pub shown: Vec<Option<Claims>>,
}

/// A figure, as far as it decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Number {
    /// Its value.
    pub v: f64,
    /// The ends of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i: Option<(f64, f64)>,
    /// Whether it is an estimate.
    #[serde(skip_serializing_if = "is_false")]
    pub e: bool,
    /// Whether it may be anything, so that it decides nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub s: bool,
    /// Whether it differs from repeat to repeat.
    #[serde(skip_serializing_if = "is_false")]
    pub t: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(is: &bool) -> bool {
    !is
}

/// A requirement that cannot be turned, checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fixed {
    /// Its name as in a profile.
    pub name: String,
    /// Whether it limits a cost.
    pub cost: bool,
    /// How it came out.
    pub found: Found,
    /// The task by whose pairs it was checked, and how it comes out where that does not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<(usize, Found)>,
}

/// How a check came out, and how far from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Found {
    /// 0 met, 1 cannot be told, 2 not met.
    pub status: u8,
    /// The share beyond the limit.
    pub short: Option<f64>,
}

impl Found {
    fn of(check: &Check) -> Found {
        let status = match check.status {
            Status::Met => 0,
            Status::Unknown { .. } => 1,
            Status::Unmet => 2,
        };
        Found { status, short: check.short_by }
    }
}

/// What a task shows of a variant beside the reference, whatever the margin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    /// The p-value that it is better.
    pub better: f64,
    /// The p-values that it is not worse, falling with the margin: 1 before, 0 behind.
    pub not_worse: Steps,
    /// The p-values that it is worse, rising with the margin: 0 before, 1 behind.
    pub worse: Steps,
    /// The lower end of the interval of the difference, on the scale on which it is judged.
    pub low: f64,
    /// Whether that scale is the logarithm of a ratio.
    pub ratio: bool,
    /// The difference as it is read, with its interval.
    pub words: String,
    /// The difference alone.
    pub short: String,
}

/// A run of numbers along the margins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Steps {
    /// The place of the first.
    pub from: usize,
    /// The numbers; beyond them nothing hangs on how much it is.
    pub p: Vec<f64>,
}

impl Choices {
    /// Gathers what can be decided again; `None` where there is no reference, and so nothing to decide.
    ///
    /// # Panics
    /// As [`advise`](super::advise).
    pub fn of(rows: &[Row], profile: &Profile, run: &str, known: &dyn Known) -> Option<Choices> {
        let desk = Desk::new(rows, known);
        let advice = desk.advise(profile);
        let level = advice.level;
        let confidence = Confidence::of(profile);
        let mut summaries: Vec<&VariantSummary> = advice.summaries.iter().collect();
        summaries.sort_by_key(|s| rows.iter().position(|row| row.trial.variant.id == *s.id()));
        let reference = summaries.iter().position(|s| advice.is_reference(s.id()))?;
        let made = Making { desk: &desk, profile, confidence, advice: &advice, reference: summaries[reference] };
        let margins = made.margins();
        let tests = summaries.len() * advice.tasks.len();
        Some(Choices {
            run: run.into(),
            now: Settings::of(profile, &advice),
            alpha: level.alpha(),
            tail: level.tail(),
            size: SIZE,
            equal_within: decided::EQUAL_WITHIN,
            costs: LIMITS.iter().map(|(name, metric)| (*name, metric.name())).collect(),
            more_is_better: costs().filter(|m| m.direction() == Direction::Higher).map(Metric::name).collect(),
            limits: LIMITS.iter().filter_map(|(name, metric)| made.limit(name, *metric, &summaries)).collect(),
            prefers: made.prefers(),
            tasks: made.tasks(&margins),
            reference,
            variants: summaries.iter().map(|s| made.variant(s, &summaries, &margins, tests)).collect(),
            margins,
        })
    }
}

/// What choices are made from.
struct Making<'a> {
    desk: &'a Desk<'a>,
    profile: &'a Profile,
    confidence: Confidence,
    advice: &'a Advice,
    reference: &'a VariantSummary,
}

impl Making<'_> {
    /// Half points, and those that the profile has.
    fn margins(&self) -> Vec<f64> {
        let count = (WIDEST / NOTCH).round() as usize;
        let crumbs = |share: f64| (share * 1e9).round() / 1e9;
        let mut all: Vec<f64> = (0..=count).map(|n| crumbs(n as f64 * NOTCH)).collect();
        let settings = Settings::of(self.profile, self.advice);
        all.extend(settings.margins.iter().flatten().chain([&settings.margin]));
        all.sort_by(f64::total_cmp);
        all.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        all
    }

    fn limit(&self, name: &'static str, metric: Metric, summaries: &[&VariantSummary]) -> Option<LimitChoice> {
        let knob = Knob::Limit(metric);
        let more_is_better = metric.direction() == Direction::Higher;
        let needed = summaries.iter().filter_map(|summary| {
            let reading = summary.cost(metric);
            let figure = reading.known()?;
            let far = figure.interval.map_or(figure.value, |i| if more_is_better { i.low } else { i.high });
            Some(knob.keeping(far))
        });
        let mut steps: Vec<f64> =
            needed.chain(knob.value(self.profile)).filter(|limit| limit.is_finite() && *limit > 0.0).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        if more_is_better {
            steps.reverse();
        }
        let step = |limit: f64| (limit, knob.show(limit), typed(metric, limit));
        let steps: Vec<_> = steps.into_iter().map(step).collect();
        (!steps.is_empty()).then(|| LimitChoice { name, label: metric.label(), more_is_better, steps })
    }

    fn prefers(&self) -> Vec<PreferChoice> {
        let known = |prefer: &Prefer| *prefer == self.advice.prefer || whatif::is_known(self.advice, *prefer);
        let choice = |prefer: Prefer| PreferChoice {
            name: prefer.label(),
            label: whatif::preference(prefer),
            metric: prefer.metric().name(),
            comparative: super::advice::words::comparative(prefer.metric()),
        };
        Prefer::ALL.into_iter().filter(known).map(choice).collect()
    }

    fn tasks(&self, margins: &[f64]) -> Vec<TaskChoice> {
        let names = whatif::names_of(self.advice.tasks.iter().map(|task| &task.name).collect());
        let tasks = self.advice.tasks.iter().zip(names).map(|(task, name)| {
            let row = self.desk.row(self.reference.id(), &task.name);
            let near = |margin: f64| {
                let skill = row.and_then(|row| self.desk.skill(row, margin, self.confidence.level));
                skill == Some(Skill::NearChance)
            };
            let score = self.reference.score(&task.name).and_then(|score| score.reading().value());
            let metric = task.metric;
            let is_share = metric.aggregation() == Aggregation::Mean && metric.unit() == Unit::Fraction;
            let bounded = score.filter(|_| is_share && metric.direction() == Direction::Higher);
            let below_from = bounded.map_or(margins.len(), |score| margins.partition_point(|margin| score > *margin));
            let scored = self.reference.score(&task.name).is_some_and(|score| score.reading().known().is_some());
            TaskChoice { name, aside_from: margins.partition_point(|margin| !near(*margin)), below_from, scored }
        });
        tasks.collect()
    }

    fn variant(
        &self,
        summary: &VariantSummary,
        all: &[&VariantSummary],
        margins: &[f64],
        tests: usize,
    ) -> VariantChoice {
        let mut order: Vec<usize> = (0..all.len()).collect();
        let last = |at: &usize| (all[*at].variant.model.parameters, all[*at].variant.label());
        order.sort_by_key(last);
        let own = all.iter().position(|other| other.id() == summary.id()).unwrap_or_default();
        let faster = |other: &&VariantSummary| {
            let level: Level = self.confidence.level;
            cost::shown_faster(&summary.shapes, &other.shapes, Metric::DecodeTps, level)
        };
        let rounds = cost::has_rounds(&summary.shapes);
        VariantChoice {
            name: summary.variant.label(),
            last: order.iter().position(|at| *at == own).unwrap_or_default(),
            raced: summary.raced.is_some(),
            costs: costs().map(|metric| (metric.name(), number(metric, &summary.cost(metric)))).collect(),
            held: LIMITS.iter().map(|(name, metric)| (*name, held(summary, *metric))).collect(),
            fixed: self.fixed(summary),
            rounds,
            faster_than: (0..all.len()).filter(|at| rounds && *at != own && faster(&all[*at])).collect(),
            shown: self.advice.tasks.iter().map(|task| self.claims(summary, &task.name, margins, tests)).collect(),
        }
    }

    /// Requirements of scores, shares and answers, as if each task decided and as if none did.
    fn fixed(&self, summary: &VariantSummary) -> Vec<Fixed> {
        let constraints = &self.profile.constraints;
        let turned = |check: &Check| {
            LIMITS.iter().any(|(_, metric)| check.metric == Some(*metric) && check.requirement.is_cost())
        };
        let mut paired = summary.clone();
        paired.comparisons = self
            .advice
            .tasks
            .iter()
            .filter_map(|task| {
                let (base, row) =
                    (self.desk.row(self.reference.id(), &task.name)?, self.desk.row(summary.id(), &task.name)?);
                self.desk.compared(base, row, self.advice.margin_of(&task.name), self.confidence)
            })
            .collect();
        let alone = VariantSummary { comparisons: Vec::new(), ..summary.clone() };
        let checks = |summary: &VariantSummary| constraint::checks(constraints, summary, Some(self.reference));
        let both = checks(&paired).into_iter().zip(checks(&alone)).filter(|(check, _)| !turned(check));
        let task = |check: &Check| match &check.requirement {
            constraint::Requirement::Relative(named) => self.advice.tasks.iter().position(|t| t.name.is_called(named)),
            _ => None,
        };
        let fixed = both.map(|(paired, alone)| Fixed {
            name: super::advice::words::name(&paired.requirement),
            cost: paired.requirement.is_cost(),
            found: Found::of(&paired),
            alone: task(&paired).map(|task| (task, Found::of(&alone))),
        });
        fixed.collect()
    }

    fn claims(
        &self,
        summary: &VariantSummary,
        task: &super::TaskName,
        margins: &[f64],
        tests: usize,
    ) -> Option<Claims> {
        if summary.id() == self.reference.id() {
            return None;
        }
        let (base, row) = (self.desk.row(self.reference.id(), task)?, self.desk.row(summary.id(), task)?);
        let pair = self.desk.side_by_side(base, row, self.confidence)?;
        let found: &Findings = pair.findings().ok()?;
        let level = self.confidence.level;
        // both kinds of claims are looked up at the same places
        let seen: RefCell<HashMap<usize, OneSided>> = RefCell::default();
        let at = |place: usize| {
            let claims = || found.claims(pair.scaled(margins[place])).expect("no margin of the grid is below zero");
            *seen.borrow_mut().entry(place).or_insert_with(claims)
        };
        // a family raises by its members at most
        let members = tests.max(1) as f64;
        let not_worse = |place: usize| at(place).not_worse;
        let worse = |place: usize| at(place).worse;
        let compared = pair.judged(self.advice.margin_of(task));
        Some(Claims {
            better: at(0).better,
            not_worse: steps(margins.len(), not_worse, |p| p > level.alpha(), |p| p < level.alpha() / (members * SIZE)),
            worse: steps(margins.len(), worse, |p| p < level.tail() / members, |p| p > level.tail()),
            low: found.interval().low,
            ratio: scale(compared.metric) == Scale::LogRatio,
            words: compared.shown().map_or_else(String::new, super::advice::words::difference),
            short: compared.shown().map_or_else(String::new, super::advice::words::short_difference),
        })
    }
}

/// The costs that a decision may go by, each with a number of its own.
fn costs() -> impl Iterator<Item = Metric> {
    let preferred = Prefer::ALL.iter().map(|prefer| prefer.metric());
    let more = preferred.filter(|metric| *metric != Metric::WeighedCost && LIMITS.iter().all(|(_, of)| of != metric));
    LIMITS.iter().map(|(_, metric)| *metric).chain(more)
}

/// The numbers between those of which only the side matters: `before` holds up to some place, `behind` from another on.
/// Estimated p-values may waver by a hair, so one place more is told on either side.
fn steps(count: usize, at: impl Fn(usize) -> f64, before: impl Fn(f64) -> bool, behind: impl Fn(f64) -> bool) -> Steps {
    let first = |holds: &dyn Fn(usize) -> bool| {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { high = middle } else { low = middle + 1 }
        }
        low
    };
    let from = first(&|place| !before(at(place))).saturating_sub(1);
    let to = (first(&|place| behind(at(place))) + 1).min(count);
    Steps { from, p: (from..to).map(at).collect() }
}

/// A reading as far as it decides.
fn number(metric: Metric, reading: &Reading) -> Option<Number> {
    let figure: &Figure = reading.known()?;
    Some(Number {
        v: figure.value,
        i: figure.interval.map(|i| (i.low, i.high)),
        e: figure.provenance == Provenance::Estimated,
        s: decided::is_scattered(metric, figure),
        t: decided::scatters(metric),
    })
}

/// The readings that a limit is held against: memory and disk of the whole, all else at every shape.
fn held(summary: &VariantSummary, metric: Metric) -> Vec<Option<Number>> {
    match metric {
        Metric::PeakMemory | Metric::Disk => vec![number(metric, &summary.cost(metric))],
        _ => summary.shapes.iter().filter_map(|shape| shape.reading(metric)).map(|r| number(metric, r)).collect(),
    }
}

/// A limit as `bantam decide --limit` reads it to the digit.
fn typed(metric: Metric, limit: f64) -> String {
    match metric {
        Metric::PeakMemory | Metric::Disk => format!("{}B", limit.round()),
        Metric::Ttft => format!("{limit}s"),
        _ => format!("{limit}"),
    }
}

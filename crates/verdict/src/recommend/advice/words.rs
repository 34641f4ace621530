//! The advice in words: the one place where its sentences are made, for report, screen and command line.

use super::{Advice, AskedTask, Binding, Conclusion, Doubt, NoEvidence, Open, OpenTask, SetAside};
use crate::recommend::compare::{Compared, Comparison, Scale, Shown, scale};
use crate::recommend::constraint::{Check, Requirement, Status};
use crate::recommend::decided;
use crate::recommend::figures::{self, counted};
use crate::recommend::standing::Standing;
use crate::recommend::summary::{TaskName, VariantSummary};
use crate::recommend::tie::TieGroup;
use bantam_core::metric::Metric;
use bantam_core::record::{Id, Reading};
use bantam_core::stats::{Judgement, More, Verdict};
use bantam_core::unit::{Unit, significant};
use serde::Serialize;
use std::cmp::Ordering;

/// What to print of an advice: a title, a few lines that answer the question, and lists that prove it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Words {
    /// Whether there is a variant to use.
    pub found: bool,
    /// The conclusion in one line, such as "Use NAME".
    pub title: String,
    /// Sentences that answer the question and say why.
    pub lines: Vec<String>,
    /// Lists of what the conclusion rests on.
    pub evidence: Vec<Evidence>,
}

/// A titled list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What the list is of.
    pub title: String,
    /// One line an entry.
    pub lines: Vec<String>,
}

/// Variants that might be better still are named up to here; the rest are counted.
const OPEN_TOLD: usize = 2;

/// Puts the advice into words.
pub fn words(advice: &Advice) -> Words {
    Words { found: advice.advised().is_some(), title: title(advice), lines: lines(advice), evidence: evidence(advice) }
}

fn title(advice: &Advice) -> String {
    match &advice.conclusion {
        Conclusion::Advised { variant, .. } if advice.is_reference(variant) => {
            format!("Keep {}", label(advice, variant))
        }
        Conclusion::Advised { variant, .. } => format!("Use {}", label(advice, variant)),
        Conclusion::NothingQualifies { .. } if advice.summaries.iter().flat_map(|s| &s.checks).any(is_limit) => {
            "No variant meets the constraints and is shown good enough".into()
        }
        Conclusion::NothingQualifies { .. } => "No variant is shown good enough".into(),
        Conclusion::NoEvidence(_) => "Nothing can be advised from what was measured".into(),
    }
}

fn lines(advice: &Advice) -> Vec<String> {
    let mut lines = match &advice.conclusion {
        Conclusion::Advised { variant, by, equals } => advised(advice, variant, *by, equals),
        Conclusion::NothingQualifies { nearest } => nothing(advice, nearest),
        Conclusion::NoEvidence(none) => vec![no_evidence(none)],
    };
    lines.extend(race(advice));
    lines.extend(advice.open.iter().take(OPEN_TOLD).map(|open| still_open(advice, open)));
    if advice.open.len() > OPEN_TOLD {
        lines.push(format!("{} could not be judged either.", counted(advice.open.len() - OPEN_TOLD, "more variant")));
    }
    lines
}

/// What a race left out, which an exhaustive run would have asked.
fn race(advice: &Advice) -> Option<String> {
    let left = advice.summaries.iter().filter(|summary| summary.raced.is_some()).count();
    let settled: Vec<&VariantSummary> = advice.summaries.iter().filter(|summary| !summary.settled.is_empty()).collect();
    let mut said = Vec::new();
    if left > 0 {
        let them = if left == 1 { "1 variant was".into() } else { format!("{left} variants were") };
        let why = "which could hardly be advised any more; the reasons stand beside them";
        said.push(format!("{them} not asked everything, {why}"));
    }
    if !settled.is_empty() {
        let of = |s: &&VariantSummary| {
            format!("{} ({})", s.variant.label(), listed(s.settled.iter().map(ToString::to_string)))
        };
        let whom = listed(settled.iter().map(of));
        said.push(format!(
            "the items that came in showed enough of {whom} before all were asked, by a test that holds however often one \
             looks, at half of the level"
        ));
    }
    (!said.is_empty()).then(|| format!("It was a race: {}.", said.join("; ")))
}

fn advised(advice: &Advice, variant: &Id, by: Option<Metric>, equals: &[Id]) -> Vec<String> {
    let Some(summary) = advice.summary(variant) else { return Vec::new() };
    let mut lines = vec![why(advice, summary, by)];
    lines.extend(gains(advice, summary));
    lines.extend(largest_loss(summary));
    if let (Some(metric), false) = (by, equals.is_empty()) {
        let names = listed(equals.iter().map(|id| label(advice, id)));
        let (verb, who) = if equals.len() == 1 { ("qualifies", "it") } else { ("qualify", "them") };
        lines.push(format!("{names} {verb} too, and on {} the repeats cannot tell {who} from it.", metric.label()));
    }
    lines
}

fn why(advice: &Advice, summary: &VariantSummary, by: Option<Metric>) -> String {
    // The reference is what they are held against, not one of them.
    let others = || advice.summaries.iter().filter(|summary| !advice.is_reference(summary.id()));
    let (qualified, tried) = (others().filter(|summary| summary.qualifies).count(), others().count());
    let best = match by {
        Some(metric) => {
            format!("{} ({} {})", superlative(metric), metric.label(), told(summary, metric))
        }
        None => "one with the fewest parameters".into(),
    };
    let limits = advice.summaries.iter().flat_map(|s| &s.checks).any(is_limit);
    let meet = |verb: &str| if limits { format!("{verb} every constraint and ") } else { String::new() };
    if advice.summaries.len() == 1 {
        let and = if limits { ", and it meets every constraint" } else { ", so there was nothing to compare" };
        return format!("It is the only variant that was tried{and}.");
    }
    if advice.is_reference(summary.id()) && qualified == 0 {
        let (meets, within, basis) = (meet("meets"), within(advice), basis(advice));
        return match tried {
            1 => format!(
                "It is not shown of the other one that was tried that it {meets}is not worse than this one {within} on {basis}."
            ),
            _ => format!(
                "None of the other {tried} that were tried {meets}is shown not worse than it {within} on {basis}."
            ),
        };
    }
    if advice.is_reference(summary.id()) {
        return format!(
            "{} {}{} shown not worse than it {} on {}, but saves nothing: this one is the {best}.",
            if tried == 1 { "The other one".into() } else { format!("{qualified} of the other {tried}") },
            meet(if qualified == 1 { "meets" } else { "meet" }),
            if qualified == 1 { "is" } else { "are" },
            within(advice),
            basis(advice),
        );
    }
    let them = match qualified {
        _ if tried == 1 => format!("It {}is", meet("meets")),
        1 => format!("It is the only one of {tried} tried that {}is", meet("meets")),
        _ => format!("It is the {best} of the {qualified} variants, out of {tried} tried, that {}are", meet("meet")),
    };
    format!("{them} shown not worse than {} {} on {}.", reference_label(advice), within(advice), basis(advice))
}

/// A limit of the profile, not a verdict.
fn is_limit(check: &Check) -> bool {
    !matches!(check.requirement, Requirement::NotWorse(_))
}

/// "by more than 2 points", "by more than 2 points or 1.02 times the perplexity".
fn within(advice: &Advice) -> String {
    format!("by more than {}", margins_of(advice))
}

/// The margins of an advice: "2 points", "2 points (5 points on routing)".
pub fn margins_of(advice: &Advice) -> String {
    let own: Vec<&AskedTask> = advice.deciding().filter(|task| task.margin.is_some()).collect();
    let shared = advice.deciding().filter(|task| task.margin.is_none()).map(|task| task.metric);
    let of_all = margins(shared, advice.margin);
    let on = |task: &&AskedTask| {
        let share = task.margin.unwrap_or(advice.margin);
        format!("{} on {}", margins([task.metric].into_iter(), share), task.name)
    };
    let own = listed(own.iter().map(on));
    match (of_all.is_empty(), own.is_empty()) {
        (_, true) => of_all,
        (true, false) => own,
        (false, false) => format!("{of_all} ({own})"),
    }
}

/// What a margin is on the scales of these metrics: "2 points", "2 points or 1.02 times the perplexity".
pub fn margins(metrics: impl Iterator<Item = Metric>, share: f64) -> String {
    let scales: Vec<Scale> = metrics.map(scale).collect();
    let used = [Scale::Points, Scale::LogRatio].into_iter().filter(|scale| scales.contains(scale));
    used.map(|scale| margin(scale, share)).collect::<Vec<_>>().join(" or ")
}

fn margin(scale: Scale, margin: f64) -> String {
    match scale {
        Scale::Points => figures::points(margin),
        Scale::LogRatio => format!("{} times the perplexity", trimmed(1.0 + margin)),
    }
}

/// "5 tasks (1500 items) at 95% confidence".
fn basis(advice: &Advice) -> String {
    let tasks: Vec<&AskedTask> = advice.deciding().collect();
    let items: usize = tasks.iter().map(|task| task.items).sum();
    let level = trimmed(advice.level.get() * 100.0);
    format!("{} ({}) at {level}% confidence", counted(tasks.len(), "task"), counted(items, "item"))
}

fn superlative(metric: Metric) -> &'static str {
    match metric {
        Metric::DecodeTps => "fastest",
        Metric::DecodeEnergy => "leanest",
        Metric::WeighedCost => "cheapest",
        _ => "smallest",
    }
}

/// The costs that an advice names, in their order.
const COSTS: [Metric; 5] = [Metric::PeakMemory, Metric::Disk, Metric::DecodeTps, Metric::Ttft, Metric::DecodeEnergy];

/// What it saves against the reference, cost by cost, where both are known; and what it costs more.
fn gains(advice: &Advice, summary: &VariantSummary) -> Vec<String> {
    let Some(reference) = advice.reference().filter(|reference| reference.id() != summary.id()) else { return vec![] };
    let against = |&metric: &Metric| {
        let (value, base) = (summary.cost(metric).value()?, reference.cost(metric).value()?);
        let change = match () {
            () if base <= 0.0 => String::new(),
            () if is_undecided(summary, reference, metric) => " (not told apart)".into(),
            () => format!(" ({})", change(value / base)),
        };
        Some(format!("{} {} against {}{change}", metric.label(), told(summary, metric), told(reference, metric)))
    };
    let told: Vec<String> = COSTS.iter().filter_map(against).collect();
    let mut lines = Vec::new();
    if !told.is_empty() {
        lines.push(format!("Beside {}: {}.", reference.variant.label(), told.join("; ")));
    }
    lines.extend(price(summary, reference));
    lines
}

/// "It costs: time to first token +51%."
fn price(summary: &VariantSummary, reference: &VariantSummary) -> Option<String> {
    let dearer = |&metric: &Metric| {
        let order = decided::better(metric, &summary.cost(metric), &reference.cost(metric));
        let (value, base) = (summary.cost(metric).value()?, reference.cost(metric).value()?);
        (order == Some(Ordering::Greater) && base > 0.0).then(|| format!("{} {}", metric.label(), change(value / base)))
    };
    let dearer: Vec<String> = COSTS.iter().filter_map(dearer).collect();
    (!dearer.is_empty()).then(|| format!("That has its price: {}.", listed(dearer.into_iter())))
}

/// Whether a cost of two variants is known, but not which is the better.
pub(crate) fn is_undecided(one: &VariantSummary, other: &VariantSummary, metric: Metric) -> bool {
    let (a, b) = (one.cost(metric), other.cost(metric));
    let clear = decided::may_decide(metric, &a) && decided::may_decide(metric, &b);
    let differs = a.value().zip(b.value()).is_some_and(|(a, b)| (a / b - 1.0).abs() >= 0.005);
    differs && (!clear || (decided::better(metric, &a, &b) == Some(Ordering::Equal) && decided::scatters(metric)))
}

fn largest_loss(summary: &VariantSummary) -> Option<String> {
    let judged = summary.comparisons.iter().filter_map(|c| Some((c, c.judgement()?)));
    let in_margins = |judgement: &Judgement| judgement.difference / judgement.margin.max(1e-9);
    let (comparison, judgement) = judged.min_by(|a, b| in_margins(a.1).total_cmp(&in_margins(b.1)))?;
    let shown = comparison.shown()?;
    Some(match judgement.difference < 0.0 {
        true => format!("Its largest loss is on {}: {}.", comparison.task, difference(shown)),
        false => "It scores at least as high as the reference on every deciding task.".into(),
    })
}

fn nothing(advice: &Advice, nearest: &Id) -> Vec<String> {
    let mut lines: Vec<String> = advice.binding.iter().filter_map(|binding| alone(advice, binding)).collect();
    if lines.is_empty()
        && let Some(summary) = advice.summary(nearest)
    {
        let misses = summary.unmet().map(|check| miss(advice, summary, check));
        lines.push(format!("{} comes nearest: {}.", summary.variant.label(), listed(misses)));
    }
    lines.extend(unmeetable(advice));
    lines
}

/// "max_memory binds: m · Q4_K_M would qualify but for it; peak memory is 70 MiB where at most 64 MiB is allowed, 9.4%
/// over."
fn alone(advice: &Advice, binding: &Binding) -> Option<String> {
    let summary = advice.summary(binding.alone.as_ref()?)?;
    let check = summary.unmet().find(|check| check.requirement == binding.requirement)?;
    let who = summary.variant.label();
    let binds = name(&binding.requirement);
    Some(format!("{binds} binds: {who} would qualify but for it; {}.", miss(advice, summary, check)))
}

/// Limits that nobody keeps, whatever else holds.
fn unmeetable(advice: &Advice) -> Vec<String> {
    let all = advice.summaries.len();
    let by_nobody = advice.binding.iter().filter(|binding| all > 1 && binding.unmet == all);
    by_nobody.map(|binding| format!("None of the {all} variants keeps {}.", name(&binding.requirement))).collect()
}

/// Where a checked variant stands, with the one reason: the worst of what is shown against it, else the first thing
/// that is not shown, limits before verdicts.
pub(super) fn standing(advice: &Advice, summary: &VariantSummary) -> Standing {
    let of = |status: fn(&Status) -> bool| summary.unmet().filter(move |check| status(&check.status));
    let short = |check: &&Check| check.short_by.unwrap_or(f64::INFINITY);
    let broken = |status: &Status| *status == Status::Unmet;
    let limit = of(broken).filter(|check| is_limit(check)).max_by(|a, b| short(a).total_cmp(&short(b)));
    if let Some(check) = limit.or_else(|| of(broken).max_by(|a, b| short(a).total_cmp(&short(b)))) {
        return Standing::Out { reason: reason(advice, summary, check) };
    }
    let mut unknown = of(|status| matches!(status, Status::Unknown { .. }));
    match unknown.next() {
        Some(check) => Standing::CannotTell { reason: reason(advice, summary, check) },
        None => Standing::Qualifies,
    }
}

/// What decides about a variant, in a few words for a table: the limit that it breaks, the task on which it is shown worse, or
/// what cannot be told; of one that qualifies the largest loss that is seen. Empty of the reference where it qualifies.
pub fn deciding(summary: &VariantSummary) -> String {
    let of = |status: fn(&Status) -> bool| summary.unmet().filter(move |check| status(&check.status));
    let short = |check: &&Check| check.short_by.unwrap_or(f64::INFINITY);
    let broken = |status: &Status| *status == Status::Unmet;
    let limit = of(broken).filter(|check| is_limit(check)).max_by(|a, b| short(a).total_cmp(&short(b)));
    let worst = limit.or_else(|| of(broken).max_by(|a, b| short(a).total_cmp(&short(b))));
    let Some(check) = worst.or_else(|| summary.unmet().next()) else {
        let judged = summary.comparisons.iter().filter_map(|c| Some((c, c.judgement()?)));
        let in_margins = |judgement: &Judgement| judgement.difference / judgement.margin.max(1e-9);
        let least = judged.min_by(|a, b| in_margins(a.1).total_cmp(&in_margins(b.1)));
        return least
            .filter(|(_, judgement)| judgement.difference < 0.0)
            .and_then(|(comparison, _)| Some(format!("{} {}", comparison.task, difference(comparison.shown()?))))
            .unwrap_or_default();
    };
    if let Requirement::NotWorse(task) = &check.requirement {
        let found = summary.comparisons.iter().find(|comparison| comparison.task == *task);
        return match found.and_then(Comparison::shown) {
            Some(shown) => format!("{task} {}", difference(shown)),
            None => format!("{task} not compared"),
        };
    }
    match check.metric.zip(check.limit).zip(seen(check)) {
        Some(((metric, limit), seen)) => {
            let bound = if metric.better(1.0, 0.0) { "≥" } else { "≤" };
            format!("{} {seen}, asked {bound} {}", about(check), metric.unit().show(limit))
        }
        None => format!("{} not known", about(check)),
    }
}

/// "Worse on routing: −4.1 points (−6.0 to −2.3).", "Peak memory is 70 MiB where at most 64 MiB is asked, 9.4% over."
fn reason(advice: &Advice, summary: &VariantSummary, check: &Check) -> String {
    let Requirement::NotWorse(task) = &check.requirement else {
        return format!("{}.", capital(&miss(advice, summary, check)));
    };
    match summary.comparisons.iter().find(|comparison| comparison.task == *task).map(|c| (&c.result, c.shown())) {
        Some((Compared::Judged(judgement), Some(shown))) => {
            format!("{} on {task}: {}.", capital(verdict_name(judgement.verdict)), explained(judgement, shown))
        }
        Some((Compared::Not { reason }, _)) => format!("Not compared on {task}: {reason}."),
        _ => format!("Not compared on {task}."),
    }
}

pub(super) fn no_evidence(none: &NoEvidence) -> String {
    match none {
        NoEvidence::NoResults => "Nothing has been measured; run the profile first.".into(),
        NoEvidence::NoScores => {
            "No variant has a score on a task that decides; see which trials failed, or name tasks that were asked in objective.tasks.".into()
        }
        NoEvidence::NoReference { named } => {
            format!("The reference '{named}' has no score; see whether its trials failed, or name another in objective.reference.")
        }
        NoEvidence::NoTaskTells => {
            "On no task does the reference show what could be lost; ask tasks that it can do.".into()
        }
    }
}

/// A variant that would be preferred, if only the items could tell.
fn still_open(advice: &Advice, open: &Open) -> String {
    let Some(summary) = advice.summary(&open.variant) else { return String::new() };
    let would_be = match &advice.conclusion {
        Conclusion::Advised { by: Some(metric), .. } => {
            format!("would be {} ({})", comparative(*metric), told(summary, *metric))
        }
        Conclusion::Advised { .. } => "would be preferred".into(),
        _ => "keeps every limit".into(),
    };
    let Some(telling) = telling(open) else { return String::new() };
    let others = match open.tasks.len() - 1 {
        0 => String::new(),
        n => format!("; {} cannot tell either", counted(n, "more task")),
    };
    let seen = format!("it stands at {} on {}", difference(telling.shown), telling.task);
    format!("{} {would_be}: {seen}, but {}{others}.", summary.variant.label(), undecided(telling))
}

/// "smaller", "faster": what a variant is that is better by the cost.
pub(crate) fn comparative(metric: Metric) -> &'static str {
    match metric {
        Metric::DecodeTps => "faster",
        Metric::DecodeEnergy => "leaner",
        Metric::WeighedCost => "cheaper",
        _ => "smaller",
    }
}

/// The task that would settle it soonest: one on which it looks worse already settles it alone, else all have to be
/// settled, and the hardest is told.
fn telling(open: &Open) -> Option<&OpenTask> {
    let needs = |open: &&OpenTask| open.more.about().unwrap_or(u64::MAX);
    let worse = open.tasks.iter().filter(|task| task.leans_worse && task.more.about().is_some());
    worse.min_by_key(needs).or_else(|| open.tasks.iter().max_by_key(needs))
}

/// "300 items of arithmetic cannot tell whether it is good enough (about 400 more might, 200 at least)".
fn undecided(open: &OpenTask) -> String {
    let (task, items) = (&open.task, counted(open.items, "item"));
    match open.more {
        More::Items { .. } if open.leans_worse => {
            format!("{items} of {task} make it look worse without proving it ({})", more(open.more))
        }
        More::Items { .. } => {
            format!("{items} of {task} cannot tell whether it is good enough ({})", more(open.more))
        }
        More::Never(_) => {
            format!("on {task} it lies at the margin, where more items hardly tell: choose another margin")
        }
    }
}

/// An order of magnitude with its bound: "about 400 more would, 200 to 2000".
fn more(more: More) -> String {
    match more {
        More::Items { about, at_least, at_most: Some(most) } if most <= about.saturating_mul(20) => {
            format!("about {} more would; {} to {}", rounded(about), rounded(at_least), rounded(most))
        }
        More::Items { about, at_least, .. } => {
            format!("at least {} more, perhaps {}", rounded(at_least), rounded(about))
        }
        More::Never(_) => "more items hardly tell: choose another margin".into(),
    }
}

fn evidence(advice: &Advice) -> Vec<Evidence> {
    let systems = advice.systems.as_ref().map(|systems| systems.words()).unwrap_or_default();
    let sections = [
        ("What was compared", compared(advice)),
        ("Variants together", systems),
        ("Constraints", constraints(advice)),
        ("Against the reference", against_reference(advice)),
        ("What it costs", costs(advice)),
        ("Could not be told apart", advice.ties.iter().flat_map(|group| tied(advice, group)).collect()),
        ("Doubts", doubts(advice)),
    ];
    let filled = sections.into_iter().filter(|(_, lines)| !lines.is_empty());
    filled.map(|(title, lines)| Evidence { title: title.into(), lines }).collect()
}

/// What the advised variant, the reference and what is behind an address cost, and where this machine pays.
fn costs(advice: &Advice) -> Vec<String> {
    let Some(money) = &advice.money else { return Vec::new() };
    let told: Vec<&VariantSummary> = advice
        .summaries
        .iter()
        .filter(|s| {
            let is_away = matches!(s.variant.model.place, bantam_core::record::Place::Endpoint(_));
            is_away || advice.is_reference(s.id()) || advice.advised().is_some_and(|advised| advised.id() == s.id())
        })
        .collect();
    let labels: Vec<String> = told.iter().map(|s| s.variant.label()).collect();
    money.lines(&|label| labels.iter().any(|told| told == label))
}

fn compared(advice: &Advice) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(reference), true) = (advice.reference(), advice.summaries.iter().any(|s| !s.comparisons.is_empty())) {
        let others = advice.summaries.len() - 1;
        lines.push(format!(
            "{} held against {} on the same items at {}% confidence; worse {} is too much.",
            counted(others, "variant"),
            reference.variant.label(),
            trimmed(advice.level.get() * 100.0),
            within(advice),
        ));
        if others > 1 {
            lines.push(format!(
                "The chance that a 'not worse' is wrong is at most {}% over all {others} together (Holm; a variant has to pass \
                 every task); an interval stands for its own comparison alone, so that a verdict may be the stricter.",
                trimmed(advice.level.alpha() * 100.0),
            ));
        }
    }
    lines.extend(
        advice
            .deciding()
            .map(|task| format!("{}: {}, {}", task.name, task.metric.label(), counted(task.items, "item"))),
    );
    lines
}

fn constraints(advice: &Advice) -> Vec<String> {
    let one = |summary: &VariantSummary| {
        let limits = summary.checks.iter().filter(|check| is_limit(check));
        let kept: Vec<String> = limits.map(|check| held(advice, summary, check)).collect();
        (!kept.is_empty()).then(|| format!("{}: {}", summary.variant.label(), kept.join("; ")))
    };
    advice.summaries.iter().filter_map(one).collect()
}

fn held(advice: &Advice, summary: &VariantSummary, check: &Check) -> String {
    match check.status {
        Status::Met => {
            format!("{} kept{}", name(&check.requirement), seen(check).map_or(String::new(), |s| format!(" ({s})")))
        }
        _ => format!("{} not kept: {}", name(&check.requirement), miss(advice, summary, check)),
    }
}

/// A line a variant, the bad news first.
fn against_reference(advice: &Advice) -> Vec<String> {
    let compared = advice.summaries.iter().filter(|summary| !summary.comparisons.is_empty());
    compared.map(|summary| format!("{}: {}", summary.variant.label(), verdicts(&summary.comparisons))).collect()
}

fn verdicts(comparisons: &[Comparison]) -> String {
    let with_figures = |comparison: &Comparison| match comparison.judgement().zip(comparison.shown()) {
        Some((judgement, shown)) => format!("{} {}", comparison.task, explained(judgement, shown)),
        None => comparison.task.to_string(),
    };
    let of = |verdict: Verdict| -> Vec<String> {
        let these = comparisons.iter().filter(|c| c.judgement().is_some_and(|j| j.verdict == verdict));
        these.map(with_figures).collect()
    };
    let order = [Verdict::Worse, Verdict::Inconclusive, Verdict::Better, Verdict::NotWorse];
    let told = order.map(|verdict| (verdict_name(verdict), of(verdict)));
    let not: Vec<String> = comparisons.iter().filter(|c| c.judgement().is_none()).map(verdict).collect();
    let filled = told.into_iter().filter(|(_, tasks)| !tasks.is_empty());
    let mut parts: Vec<String> = filled.map(|(name, tasks)| format!("{name} on {}", tasks.join(", "))).collect();
    parts.extend(not);
    parts.join("; ")
}

/// Words one comparison: "arithmetic: not worse, −1.2 points (−2.9 to +0.5); 4 answers lost, 1 gained".
pub fn verdict(comparison: &Comparison) -> String {
    let (Some(judgement), Some(shown)) = (comparison.judgement(), comparison.shown()) else {
        let reason = match &comparison.result {
            Compared::Not { reason } => reason.as_str(),
            Compared::Judged(_) => "",
        };
        return format!("{}: not compared, {reason}", comparison.task);
    };
    let flips = comparison.flips;
    let changed = match flips.gained + flips.lost {
        0 => String::new(),
        _ => format!("; {} lost, {} gained", counted(flips.lost, "answer"), flips.gained),
    };
    format!("{}: {}, {}{changed}", comparison.task, verdict_name(judgement.verdict), explained(judgement, shown))
}

/// Why a verdict is "cannot tell" though the interval that stands beside it seems to tell.
fn why_undecided(judgement: &Judgement) -> Option<&'static str> {
    let (low, high) = (judgement.interval.low, judgement.interval.high);
    match judgement.verdict {
        Verdict::Inconclusive if high < -judgement.margin => {
            Some("this interval alone would say worse, the test over all variants asks for more")
        }
        Verdict::Inconclusive if low > -judgement.margin => {
            Some("this interval alone would say not worse, the test over all variants asks for more")
        }
        Verdict::Inconclusive if high < 0.0 => Some("worse, but the items cannot tell whether by more than the margin"),
        _ => None,
    }
}

/// A difference with its interval, and within the brackets why it cannot tell where a reader would think that it can.
pub fn explained(judgement: &Judgement, shown: Shown) -> String {
    let told = difference(shown);
    match why_undecided(judgement) {
        Some(why) => format!("{}: {why})", told.trim_end_matches(')')),
        None => told,
    }
}

/// A sign for how a variant stands on every deciding task, in their order: ✓ shown not worse, ? not shown, ✗ shown worse,
/// + shown better, · not compared, = the reference itself.
pub fn verdict_signs(advice: &Advice, summary: &VariantSummary) -> String {
    if advice.is_reference(summary.id()) {
        return "=".repeat(advice.deciding().count());
    }
    let of = |task: &AskedTask| {
        let found = summary.comparisons.iter().find(|comparison| comparison.task == task.name);
        match found.and_then(Comparison::judgement).map(|judgement| judgement.verdict) {
            Some(Verdict::Better) => '+',
            Some(Verdict::NotWorse) => '✓',
            Some(Verdict::Inconclusive) => '?',
            Some(Verdict::Worse) => '✗',
            None => '·',
        }
    };
    advice.deciding().map(of).collect()
}

/// The word for a verdict in tables and lists.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::NotWorse => "not worse",
        Verdict::Worse => "worse",
        Verdict::Inconclusive => "cannot tell",
    }
}

/// Writes a difference with its interval: "−1.2 points (−2.9 to +0.5)", "1.013 times (1.004 to 1.021)"; with the digits
/// that the interval allows.
pub fn difference(shown: Shown) -> String {
    let (factor, unit) = match shown.scale {
        Scale::Points => (100.0, "points"),
        Scale::LogRatio => (1.0, "times"),
    };
    let half = 0.5 * factor * (shown.high - shown.low);
    let digits = (1.0 - half.max(1e-9).log10().floor()).clamp(0.0, 4.0) as usize;
    let one = |value: f64| match shown.scale {
        Scale::Points => signed(value * 100.0, digits.min(1)),
        Scale::LogRatio => format!("{value:.*}", digits.max(2)),
    };
    format!("{} {unit} ({} to {})", one(shown.value), one(shown.low), one(shown.high))
}

/// The difference alone, for a narrow place: "−1.2", "×1.013".
pub(crate) fn short_difference(shown: Shown) -> String {
    match shown.scale {
        Scale::Points => signed(shown.value * 100.0, 1),
        Scale::LogRatio => format!("×{:.2}", shown.value),
    }
}

/// A difference of shares in points: "−1.2 points".
pub(crate) fn signed_points(difference: f64) -> String {
    format!("{} points", signed(difference * 100.0, 1))
}

fn tied(advice: &Advice, group: &TieGroup) -> Vec<String> {
    let leader = label(advice, &group.leader);
    let line = |tied: &crate::recommend::tie::Tied| {
        let more = match &tied.soonest {
            _ if tied.interchangeable => "interchangeable, each is shown not worse than the other".into(),
            Some((task, items)) => {
                format!(
                    "no difference found, which is no equality; about {} more items of {task} would tell",
                    rounded(*items)
                )
            }
            None => "no difference found, which is no equality; no number of items can be given that would tell".into(),
        };
        format!("{leader} and {}: {more}", label(advice, &tied.variant))
    };
    group.others.iter().map(line).collect()
}

/// What a reader should know before trusting the advice, a sentence each.
pub fn doubts(advice: &Advice) -> Vec<String> {
    advice.doubts.iter().map(|doubt| doubted(advice, doubt)).collect()
}

fn doubted(advice: &Advice, doubt: &Doubt) -> String {
    match doubt {
        Doubt::OneVariant => "Only one variant was tried, so nothing was compared; add recipes or models.".into(),
        Doubt::NotAsked { task } => {
            format!("objective.tasks names '{task}', which was not asked; write a task of the suites in the profile.")
        }
        Doubt::SetAside { task, why: SetAside::AtChance { score, chance } } => format!(
            "{task} does not decide: {} scores {} where guessing gives {}, so being as good would show nothing.",
            reference_label(advice),
            Unit::Fraction.show(*score),
            Unit::Fraction.show(*chance),
        ),
        Doubt::SetAside { task, why: SetAside::BelowMargin { score, margin } } => format!(
            "{task} does not decide: {} scores {} there, and nobody can be worse by more than {}; a larger model as the \
             reference, another metric or a smaller margin would tell.",
            reference_label(advice),
            Unit::Fraction.show(*score),
            figures::points(*margin),
        ),
        Doubt::SetAside { task, why: SetAside::NoScore { reason } } => {
            format!("{task} does not decide: {} has no score there ({reason}).", reference_label(advice))
        }
        Doubt::ReferenceMayGuess { task, score, chance, items } => {
            let (who, decides) = (reference_label(advice), decides(advice, task));
            let scores = format!(
                "{who} scores {} where guessing gives {}",
                Unit::Fraction.show(*score),
                Unit::Fraction.show(*chance)
            );
            let few = format!("{} are too few to show that it beats guessing", counted(*items, "item"));
            match decides {
                true => format!("{task} decides with a doubt: {scores}, and {few}."),
                false => format!("{task} does not decide: {scores}, and {few}; nobody is freed of it for that."),
            }
        }
        Doubt::ReferenceIsNoBase => {
            format!("No untouched model has a score; {} stands in as the reference.", reference_label(advice))
        }
        Doubt::TrialFailed { variant, ask, reason } => format!("{} on {ask} failed: {reason}.", label(advice, variant)),
        Doubt::LeftOut { variant, task, only_reference, only_candidate } => format!(
            "{} on {task}: {} scored for the reference only and {only_candidate} for it only were left out.",
            label(advice, variant),
            counted(*only_reference, "item"),
        ),
        Doubt::OtherMetric { wanted, used: Some(used), reason } => {
            format!("{} is not known ({reason}), so {} decided instead.", capital(wanted.label()), used.label())
        }
        Doubt::OtherMetric { wanted, used: None, reason } => {
            format!(
                "{} is not known ({reason}), nor any other cost, so the number of parameters decided.",
                capital(wanted.label())
            )
        }
        Doubt::Unranked { variant, metric, reason } => {
            format!("{} qualifies, but its {} is not known: {reason}.", label(advice, variant), metric.label())
        }
        Doubt::Estimated { metric } => {
            format!("{} of the advised variant is an estimate, not a measurement.", capital(metric.label()))
        }
        Doubt::Close { requirement } => {
            format!("{} is kept only just: another measurement may come out beyond the limit.", name(requirement))
        }
        Doubt::AdvisedAtChance { task } => {
            format!("On {task} the advised variant does no better than guessing; the margin may be too wide.")
        }
        Doubt::Warned { variant, text } => format!("{}: {text}", label(advice, variant)),
    }
}

/// Whether any verdict was given on a task.
fn decides(advice: &Advice, task: &TaskName) -> bool {
    let comparisons = advice.summaries.iter().flat_map(|summary| &summary.comparisons);
    let judged = comparisons.filter(|comparison| comparison.task == *task).filter_map(Comparison::judgement);
    judged.into_iter().any(|judgement| judgement.verdict != Verdict::Inconclusive)
}

/// Why a check is not met: "peak memory is 70 MiB where at most 64 MiB is allowed, 9.4% over".
pub(crate) fn miss(advice: &Advice, summary: &VariantSummary, check: &Check) -> String {
    if let Requirement::NotWorse(task) = &check.requirement {
        let comparison = summary.comparisons.iter().find(|comparison| comparison.task == *task);
        return comparison.map_or_else(|| format!("{task} was not compared"), verdict);
    }
    let what = about(check);
    let known = check.metric.zip(check.limit).zip(seen(check));
    let ((metric, limit), seen) = match (&check.status, known) {
        (_, Some(known)) => known,
        (Status::Unknown { reason }, None) => return format!("{what} is not known ({reason})"),
        (_, None) => return what,
    };
    let bound = |metric: Metric| if metric.better(1.0, 0.0) { "at least" } else { "at most" };
    if let Status::Unknown { reason } = &check.status {
        return format!("{what} is {seen} where {} {} is asked; {reason}", bound(metric), metric.unit().show(limit));
    }
    let (bound, side) = if metric.better(1.0, 0.0) { ("at least", "short") } else { ("at most", "over") };
    let by = match check.short_by {
        // what is counted in points is short by points
        Some(_) if metric.unit() == Unit::Fraction && check.seen.is_some() => {
            format!(", {} {side}", figures::points((limit - check.seen.unwrap_or(limit)).abs()))
        }
        Some(short) if short >= 1.0 => format!(", {} times as much", significant(1.0 + short)),
        Some(short) => format!(", {} {side}", Unit::Fraction.show(short)),
        None => String::new(),
    };
    let of = match check.requirement {
        Requirement::Relative(_) => format!(" of {}", reference_label(advice)),
        _ => String::new(),
    };
    format!("{what} is {seen} where {bound} {} is asked{of}{by}", metric.unit().show(limit))
}

fn about(check: &Check) -> String {
    match (&check.requirement, check.metric) {
        (Requirement::Score(task) | Requirement::Relative(task), Some(metric)) => {
            format!("{} on {task}", metric.label())
        }
        (Requirement::AnswerCost { metric, task: Some(task) }, _) => format!("{} on {task}", metric.label()),
        (Requirement::Score(task) | Requirement::Relative(task), None) => format!("the score on {task}"),
        (_, Some(metric)) => metric.label().into(),
        (requirement, None) => name(requirement),
    }
}

fn seen(check: &Check) -> Option<String> {
    let (about, unit) = (if check.estimated { "about " } else { "" }, check.metric?.unit());
    let at = check.at.as_ref().map_or(String::new(), |at| format!(" at {at}"));
    let ends = check.interval.map_or(String::new(), |i| format!(" ({})", figures::ends(unit, i)));
    let seen = figures::value(unit, check.seen?, check.interval.map(|i| (i.low, i.high)));
    Some(format!("{about}{seen}{ends}{at}"))
}

/// The key of the profile that asks it.
pub fn name(requirement: &Requirement) -> String {
    match requirement {
        Requirement::MaxMemory => "max_memory".into(),
        Requirement::MaxDisk => "max_disk".into(),
        Requirement::MinDecodeTps => "min_decode_tps".into(),
        Requirement::MaxTtft => "max_ttft".into(),
        Requirement::MaxJoulesPerToken => "max_joules_per_token".into(),
        Requirement::AnswerCost { metric, task: None } => format!("cost.{metric}"),
        Requirement::AnswerCost { metric, task: Some(task) } => format!("cost.{task}.{metric}"),
        Requirement::Score(task) => format!("score.{task}"),
        Requirement::Relative(task) => format!("relative.{task}"),
        Requirement::NotWorse(task) => format!("the margin on {task}"),
    }
}

/// A variant's name.
pub(in crate::recommend) fn label_of(advice: &Advice, id: &Id) -> String {
    label(advice, id)
}

fn label(advice: &Advice, id: &Id) -> String {
    advice.summary(id).map_or_else(|| id.to_string(), |summary| summary.variant.label())
}

fn reference_label(advice: &Advice) -> String {
    advice.reference().map_or_else(|| "the reference".into(), |summary| summary.variant.label())
}

/// A cost with what speaks against it: "about 2.1 J (estimated)", "1.49 tok/s (1 repeat)", "90 tok/s (disturbed)".
fn told(summary: &VariantSummary, metric: Metric) -> String {
    let reading = summary.cost(metric);
    let Reading::Known(figure) = &reading else { return "unknown".into() };
    let shown = figures::shown(figure);
    let mut marks: Vec<&str> = Vec::new();
    if decided::is_scattered(metric, figure) {
        marks.push(if figure.n == Some(1) { "1 repeat" } else { "no interval" });
    }
    if decided::scatters(metric) && summary.is_disturbed() {
        marks.push("disturbed");
    }
    let about = super::choose::is_estimated(&reading);
    if about {
        marks.insert(0, "estimated");
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{}{shown}{marks}", if about { "about " } else { "" })
}

/// "a", "a and b", "a, b and c".
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// One digit is all that such a forecast is worth.
fn rounded(items: u64) -> u64 {
    let step = 10_u64.pow(items.max(1).ilog10());
    items.div_ceil(step).saturating_mul(step)
}

fn signed(value: f64, digits: usize) -> String {
    let shown = format!("{:.digits$}", value.abs());
    match value {
        _ if shown.trim_matches(['0', '.']).is_empty() => shown,
        v if v < 0.0 => format!("−{shown}"),
        _ => format!("+{shown}"),
    }
}

/// Without zeros that say nothing: 2, 2.5, 1.02.
fn trimmed(value: f64) -> String {
    figures::trimmed(value, 3)
}

/// "−60%", "+78%", "3.1 times", "the same".
pub(crate) fn change(ratio: f64) -> String {
    match 100.0 * (ratio - 1.0) {
        percent if percent.abs() < 0.5 => "the same".into(),
        _ if ratio >= 2.0 => format!("{} times", significant(ratio)),
        _ if ratio > 0.0 && ratio < 0.05 => format!("a {}th", significant(1.0 / ratio)),
        percent if percent < 0.0 => format!("−{:.0}%", -percent),
        percent => format!("+{percent:.0}%"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::stats::noninferior::OneSided;
    use bantam_core::stats::{Interval, Level};

    fn undecided(difference: f64, low: f64, high: f64) -> String {
        let interval =
            Interval { low, high, ..bantam_core::stats::interval::wilson(1, 2, Level::P95).expect("counts") };
        let more = More::Items { about: 1, at_least: 1, at_most: None };
        let judgement = Judgement {
            verdict: Verdict::Inconclusive,
            difference,
            interval,
            margin: 0.02,
            items: 300,
            p: OneSided { better: 1.0, not_worse: 1.0, worse: 0.03 },
            p_differs: 0.01,
            to_settle: more,
            to_tell_apart: more,
        };
        explained(&judgement, Shown { value: difference, low, high, scale: Scale::Points })
    }

    #[test]
    fn an_interval_that_seems_to_tell_has_its_word_why_it_does_not() {
        let worse = undecided(-0.092, -0.148, -0.035);
        assert_eq!(
            worse,
            "−9.2 points (−14.8 to −3.5: this interval alone would say worse, the test over all variants asks for more)"
        );
        assert!(undecided(-0.03, -0.05, -0.01).contains("cannot tell whether by more than the margin"));
        assert!(undecided(0.0, -0.015, 0.015).contains("alone would say not worse"));
        assert_eq!(undecided(-0.01, -0.05, 0.03).matches(':').count(), 0, "what straddles zero needs no word");
    }
}

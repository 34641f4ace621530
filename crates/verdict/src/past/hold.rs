//! Two runs held against each other: every score pair by pair where it is known what each item gave, every cost by the
//! intervals of both. What comes of each is kept, regressed or inconclusive; nothing is taken for kept that was not shown.

use super::{Past, PastTrial};
use crate::recommend::advice::words;
use crate::recommend::compare::{self, Compared, Scale, Shown, scale};
use crate::recommend::figures;
use crate::recommend::score::Confidence;
use crate::recommend::summary::TaskName;
use crate::report::page::Record;
use bantam_core::metric::{Direction, Metric};
use bantam_core::profile::{Objective, Profile};
use bantam_core::record::{Provenance, Row};
use bantam_core::stats::{Level, Verdict};
use bantam_core::unit::counted;
use serde::Serialize;

/// What costs may grow by where nobody says: a file is the same to the byte, memory moves with the allocator.
pub const DEFAULTS: [(Metric, f64); 2] = [(Metric::Disk, 0.02), (Metric::PeakMemory, 0.10)];

/// What counts as kept.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whose margins scores may lose, and at which confidence.
    pub objective: Objective,
    /// What each metric may get worse by: scores in their unit (0.02 are two points, a perplexity 1.02 times), costs as a
    /// share.
    pub tolerance: Vec<(Metric, f64)>,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl Rule {
    /// Takes a profile's rule, with what was said beside it.
    pub fn of(profile: &Profile, said: &[(Metric, f64)]) -> Rule {
        let tolerance = said.iter().chain(&profile.tolerance).copied().collect();
        Rule { objective: profile.objective.clone(), tolerance, seed: profile.measure.seed }
    }

    fn said(&self, metric: Metric) -> Option<f64> {
        self.tolerance.iter().find(|(of, _)| *of == metric).map(|(_, most)| *most)
    }

    fn of_task(&self, task: &TaskName, metric: Metric) -> f64 {
        let margin = || self.objective.margin_of(|named| task.is_called(named));
        self.said(metric).unwrap_or_else(margin)
    }

    /// The costs that are held, and whether somebody asked for it.
    fn costs(&self) -> Vec<(Metric, f64, bool)> {
        let said = self.tolerance.iter().filter(|(metric, _)| !metric.is_score());
        let mut costs: Vec<(Metric, f64, bool)> = Vec::new();
        for (metric, most) in said {
            if costs.iter().all(|(known, ..)| known != metric) {
                costs.push((*metric, *most, true));
            }
        }
        for (metric, most) in DEFAULTS {
            if costs.iter().all(|(known, ..)| *known != metric) {
                costs.push((metric, most, false));
            }
        }
        costs
    }
}

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Shown worse by more than the tolerance, or not there any more.
    Regressed,
    /// Neither is shown.
    Inconclusive,
    /// Shown not worse by more than the tolerance.
    Kept,
}

impl Held {
    /// Gives the word for it.
    pub fn label(self) -> &'static str {
        match self {
            Held::Regressed => "regressed",
            Held::Inconclusive => "inconclusive",
            Held::Kept => "kept",
        }
    }
}

/// By what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// It is the same measurement: the same weights, task and engine, and the same to the digit.
    Same,
    /// Item by item.
    Pairs,
    /// The intervals of both, which tell less.
    Intervals,
    /// Nothing could be held against each other.
    Nothing,
}

/// One figure of two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The variant's label.
    pub variant: String,
    /// The task, the speed shape, or "all".
    pub ask: String,
    /// The metric.
    pub metric: Metric,
    /// The figure before; None where it is not known.
    pub before: Option<f64>,
    /// The figure now; None where it is not known.
    pub now: Option<f64>,
    /// Now against before: in points, or as a ratio.
    pub change: Option<Shown>,
    /// By what it was told.
    pub by: By,
    /// What it may get worse by.
    pub tolerance: f64,
    /// What became of it.
    pub held: Held,
    /// Why, in a clause.
    pub why: String,
}

impl Finding {
    /// Tells whether it is shown that it moved, either way and by however little.
    pub fn moved(&self) -> bool {
        self.change.is_some_and(|change| {
            let still = if change.scale == Scale::Points { 0.0 } else { 1.0 };
            change.low > still || change.high < still
        })
    }

    /// "bantam-l · Q4_K_M: routing acc".
    pub fn what(&self) -> String {
        format!("{}: {} {}", self.variant, self.ask, self.metric)
    }

    /// "95.3% → 94.7%".
    pub fn figures(&self) -> String {
        let one = |value: Option<f64>| value.map_or("–".into(), |value| self.metric.unit().show(value));
        format!("{} → {}", one(self.before), one(self.now))
    }
}

/// All that was held.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Findings {
    /// One a figure, in the order of the plan.
    pub findings: Vec<Finding>,
    /// Variants that only the run of before has.
    pub gone: Vec<String>,
    /// Variants that only this run has.
    pub new: Vec<String>,
    /// What was not held, and why, a sentence each.
    pub notes: Vec<String>,
}

impl Findings {
    /// Gives the worst of all; what holds nothing shows nothing.
    pub fn held(&self) -> Held {
        self.findings.iter().map(|finding| finding.held).min().unwrap_or(Held::Inconclusive)
    }

    /// Counts the findings of a kind.
    pub fn count(&self, held: Held) -> usize {
        self.findings.iter().filter(|finding| finding.held == held).count()
    }
}

/// Holds a run against one of before.
pub fn hold(before: &Past, now: &Past, rule: &Rule) -> Findings {
    let (then, here) = (before.variants(), now.variants());
    let only = |these: &[&str], those: &[&str]| {
        these.iter().filter(|label| !those.contains(label)).map(|label| (*label).to_owned()).collect::<Vec<_>>()
    };
    let mut all = Findings { gone: only(&then, &here), new: only(&here, &then), ..Findings::default() };
    for variant in here.iter().filter(|label| then.contains(label)) {
        let trials = now.trials.iter().filter(|trial| trial.variant == *variant);
        for trial in trials {
            let earlier =
                before.trials.iter().find(|earlier| earlier.variant == *variant && is_same_ask(earlier, trial));
            let Some(earlier) = earlier.filter(|earlier| earlier.failure.is_none()) else { continue };
            all.findings.extend(Pair { before, now, rule, earlier, trial }.score());
        }
        costs(before, now, rule, variant, &mut all);
    }
    all.notes.sort();
    all.notes.dedup();
    all
}

fn is_same_ask(one: &PastTrial, other: &PastTrial) -> bool {
    match (&one.task, &other.task) {
        (Some(one), Some(other)) => one.suite == other.suite && one.task == other.task,
        // a file of before tasks were told
        (None, Some(task)) | (Some(task), None) => {
            let plain = if one.task.is_none() { one } else { other };
            plain.ask == task.task
        }
        (None, None) => false,
    }
}

/// A trial of now and its like of before.
struct Pair<'a> {
    before: &'a Past,
    now: &'a Past,
    rule: &'a Rule,
    earlier: &'a PastTrial,
    trial: &'a PastTrial,
}

impl Pair<'_> {
    fn score(&self) -> Option<Finding> {
        let task = self.trial.task.as_ref().or(self.earlier.task.as_ref())?;
        let metric = *task.metrics.first()?;
        let name = TaskName { suite: task.suite.clone(), task: task.task.clone() };
        let tolerance = self.rule.of_task(&name, metric);
        let figure = |past: &Past| past.record(&self.trial.variant, &task.task, metric.name()).and_then(|r| r.value);
        let mut finding = Finding {
            variant: self.trial.variant.clone(),
            ask: task.task.clone(),
            metric,
            before: figure(self.before),
            now: figure(self.now),
            change: None,
            by: By::Nothing,
            tolerance,
            held: Held::Inconclusive,
            why: String::new(),
        };
        if let Some(failure) = &self.trial.failure {
            finding.held = Held::Regressed;
            finding.why = format!("it has no result any more: {failure}");
            return Some(finding);
        }
        match (&self.earlier.row, &self.trial.row) {
            (Some(before), Some(now)) if self.earlier.has_items && self.trial.has_items => {
                let of = |row: &'_ Row| {
                    row.outcome.items.iter().map(|item| (item.index, item.scores.clone())).collect::<Vec<_>>()
                };
                let digest = |trial: &PastTrial| trial.task.as_ref().map(|task| task.digest.clone());
                let alike = digest(self.earlier) == digest(self.trial) && of(before) == of(now);
                if self.earlier.id == self.trial.id && alike {
                    finding.by = By::Same;
                    finding.held = Held::Kept;
                    finding.why = "the same weights, task and engine, and the same of every item".into();
                    return Some(finding);
                }
                let level = Level::new(self.rule.objective.confidence).unwrap_or(Level::P95);
                let confidence = Confidence { level, seed: self.rule.seed, watched: false };
                let compared = compare::compare(before, now, tolerance, confidence)?;
                finding.change = compared.shown();
                self.judge(&mut finding, &compared);
            }
            _ => self.apart(&mut finding),
        }
        Some(finding)
    }

    fn judge(&self, finding: &mut Finding, compared: &compare::Comparison) {
        let judgement = match &compared.result {
            Compared::Judged(judgement) => judgement,
            Compared::Not { reason } => {
                let digests =
                    (self.earlier.task.as_ref().map(|t| &t.digest), self.trial.task.as_ref().map(|t| &t.digest));
                finding.why = match digests {
                    (Some(before), Some(now)) if before != now => format!(
                        "another version of the task was asked ({now}, before {before}): a line of its data, its template or its \
                         scorer changed"
                    ),
                    _ => reason.clone(),
                };
                return;
            }
        };
        finding.by = By::Pairs;
        finding.held = match judgement.verdict {
            Verdict::Better | Verdict::NotWorse => Held::Kept,
            Verdict::Worse => Held::Regressed,
            Verdict::Inconclusive => Held::Inconclusive,
        };
        let told = compared.shown().map_or_else(String::new, words::difference);
        let within = within(finding.metric, finding.tolerance);
        let items = counted(judgement.items, "item");
        finding.why = match finding.held {
            Held::Kept => format!("{told} on {items}: not worse by more than {within}"),
            Held::Regressed => format!("{told} on {items}: worse by more than {within}"),
            Held::Inconclusive => {
                format!("{told} on {items}: too few to tell whether it is worse by more than {within}")
            }
        };
    }

    /// By the intervals of both, where it is not known what each item gave.
    fn apart(&self, finding: &mut Finding) {
        let digests = (self.earlier.task.as_ref().map(|t| &t.digest), self.trial.task.as_ref().map(|t| &t.digest));
        if let (Some(before), Some(now)) = digests
            && before != now
        {
            finding.why = format!("another version of the task was asked ({now}, before {before})");
            return;
        }
        let record = |past: &'_ Past| past.record(&finding.variant, &finding.ask, finding.metric.name()).cloned();
        let (Some(before), Some(now)) = (record(self.before).and_then(Ends::of), record(self.now).and_then(Ends::of))
        else {
            finding.why = "one of the two has no figure".into();
            return;
        };
        finding.by = By::Intervals;
        let change = match scale(finding.metric) {
            Scale::Points => now.less(&before),
            Scale::LogRatio => match now.over(&before) {
                Some(change) => change,
                None => return,
            },
        };
        finding.change = Some(change);
        let oriented = worse_by(change, finding.metric.direction());
        finding.held = oriented.held(finding.tolerance);
        finding.why = format!(
            "{}: {} a tolerance of {}, by the intervals of both, since {} has no scores of single items",
            words::difference(change),
            oriented.words(finding.tolerance),
            within(finding.metric, finding.tolerance),
            self.before.name,
        );
    }
}

fn within(metric: Metric, tolerance: f64) -> String {
    match (metric.is_score(), scale(metric)) {
        (true, Scale::Points) => figures::points(tolerance),
        (true, Scale::LogRatio) => format!("{:.3} times", 1.0 + tolerance),
        (false, _) => format!("{}%", (tolerance * 1000.0).round() / 10.0),
    }
}

/// A figure with the ends of its interval, which are the figure itself where it has none.
struct Ends {
    value: f64,
    low: f64,
    high: f64,
}

impl Ends {
    fn of(record: Record) -> Option<Ends> {
        let value = record.value?;
        Some(Ends { value, low: record.low.unwrap_or(value), high: record.high.unwrap_or(value) })
    }

    fn less(&self, before: &Ends) -> Shown {
        Shown {
            value: self.value - before.value,
            low: self.low - before.high,
            high: self.high - before.low,
            scale: Scale::Points,
        }
    }

    /// None where one of the two is not above zero, so that a ratio says nothing.
    fn over(&self, before: &Ends) -> Option<Shown> {
        if before.low <= 0.0 || self.low <= 0.0 {
            return None;
        }
        let (value, low, high) = (self.value / before.value, self.low / before.high, self.high / before.low);
        Some(Shown { value, low, high, scale: Scale::LogRatio })
    }
}

/// By how much it is worse, at least and at most.
struct WorseBy {
    least: f64,
    most: f64,
}

fn worse_by(change: Shown, direction: Direction) -> WorseBy {
    let still = if change.scale == Scale::Points { 0.0 } else { 1.0 };
    match direction {
        Direction::Higher => WorseBy { least: still - change.high, most: still - change.low },
        Direction::Lower => WorseBy { least: change.low - still, most: change.high - still },
    }
}

impl WorseBy {
    fn held(&self, tolerance: f64) -> Held {
        match () {
            () if self.most <= tolerance => Held::Kept,
            () if self.least > tolerance => Held::Regressed,
            () => Held::Inconclusive,
        }
    }

    fn words(&self, tolerance: f64) -> &'static str {
        match self.held(tolerance) {
            Held::Kept => "within",
            Held::Regressed => "beyond",
            Held::Inconclusive => "not shown to be within, nor beyond,",
        }
    }
}

/// Under what a report tells of what is a variant's as a whole.
const WHOLE: &str = "all";

/// Holds what a variant costs.
fn costs(before: &Past, now: &Past, rule: &Rule, variant: &str, all: &mut Findings) {
    let machines = (before.machine(), now.machine());
    let elsewhere = match &machines {
        (Some(before), Some(now)) if before == now => None,
        (Some(before), Some(now)) => Some(format!("{before} before, {now} now")),
        _ => Some("one of the two does not say on which".into()),
    };
    for (metric, tolerance, asked) in rule.costs() {
        // what a variant has as a whole stands under each of its shapes, too
        let whole = matches!(metric, Metric::PeakMemory | Metric::Disk);
        let of = |r: &&Record| {
            let is_it = r.variant == variant && r.metric == metric.name() && r.slice.is_empty();
            is_it && r.value.is_some() && (!whole || r.ask == WHOLE)
        };
        // of answers' costs those of each task, of speeds those of each shape
        for record in before.records.iter().filter(of) {
            let here = now.record(variant, &record.ask, metric.name());
            if here.is_none() && !asked {
                continue;
            }
            let mut finding = Finding {
                variant: variant.into(),
                ask: record.ask.clone(),
                metric,
                before: record.value,
                now: here.and_then(|here| here.value),
                change: None,
                by: By::Nothing,
                tolerance,
                held: Held::Inconclusive,
                why: String::new(),
            };
            if let (Some(elsewhere), true) = (&elsewhere, metric != Metric::Disk) {
                let why = format!("it was measured on another machine ({elsewhere})");
                match asked {
                    true => finding.why = why,
                    false => {
                        all.notes.push(format!("{metric} is not held: {why}"));
                        continue;
                    }
                }
            } else {
                cost(&mut finding, record, here);
            }
            all.findings.push(finding);
        }
    }
}

fn cost(finding: &mut Finding, before: &Record, now: Option<&Record>) {
    let Some(here) = now.cloned().and_then(Ends::of) else {
        finding.why = format!("it is not measured now: {}", now.map_or("it was not asked for", |r| r.how.as_str()));
        return;
    };
    let Some(change) = Ends::of(before.clone()).and_then(|before| here.over(&before)) else {
        finding.why = "one of the two is not above zero, so that they have no ratio".into();
        return;
    };
    if before.provenance != now.and_then(|now| now.provenance) {
        finding.why =
            format!("{} before and {} now", told(before.provenance), told(now.and_then(|now| now.provenance)));
        return;
    }
    finding.by = By::Intervals;
    finding.change = Some(change);
    let worse = worse_by(change, finding.metric.direction());
    finding.held = worse.held(finding.tolerance);
    if change.low == 1.0 && change.high == 1.0 {
        finding.why = "the same".into();
        return;
    }
    finding.why = format!(
        "{}: {} a tolerance of {}",
        words::difference(change),
        worse.words(finding.tolerance),
        within(finding.metric, finding.tolerance)
    );
}

fn told(provenance: Option<Provenance>) -> &'static str {
    provenance.map_or("missing", Provenance::label)
}

#[cfg(test)]
mod tests;

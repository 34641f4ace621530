//! The advice: which variant to use and why, or what stands in the way. All of it is data; `words` makes sentences of
//! it.
//!
//! A variant qualifies when it meets every constraint and is shown not worse than the reference by more than the margin
//! on every task that decides. Of those that qualify the profile's preference picks one. The reference is never worse
//! than itself, so as long as it meets the constraints there is an answer: keep it.

mod choose;
mod reference;
mod unfinished;
pub mod words;

pub(super) use choose::{could_be_advised, is_dearer_than_reference};
pub use unfinished::{told, unfinished};

use super::compare::{self, Compared, Comparison, Shown};
use super::constraint::{self, Requirement, Status};
use super::decided;
use super::desk::Desk;
use super::known::{Known, Memo, Nothing};
use super::loss::{self, VariantLoss};
use super::money::{self, Money};
use super::overall::{self, Overall};
use super::pareto::{self, Front};
use super::rate::Pricing;
use super::score::Confidence;
use super::standing::Standing;
use super::summary::{TaskName, VariantSummary};
use super::systems::Systems;
use super::tie::{self, Contender, TieGroup};
use super::weighed;
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::profile::{Prefer, Profile};
use bantam_core::record::{Id, Reading, Row, WarningKind};
use bantam_core::stats::chance::Skill;
use bantam_core::stats::{Level, More, Verdict};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Which variant to use, with everything that the conclusion rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// The variant to use, or why there is none.
    pub conclusion: Conclusion,
    /// The cost that the profile picks by among those that qualify.
    pub prefer: Prefer,
    /// How much worse is still good enough: a share, 0.02 for two points or a perplexity 1.02 times as high.
    pub margin: f64,
    /// The confidence level of every interval and verdict.
    pub level: Level,
    /// The variant that the others are compared with; `None` where none could be picked.
    pub reference: Option<Id>,
    /// The tasks that the profile lets decide, those set aside among them.
    pub tasks: Vec<AskedTask>,
    /// Every variant that was tried: those that qualify, best first, then the others, nearest first.
    #[serde(rename = "standings")] // what results.json calls them
    pub summaries: Vec<VariantSummary>,
    /// Variants that would be preferred, but of which the items cannot tell whether they are good enough.
    pub open: Vec<Open>,
    /// The requirements that stand in the way, when nothing qualifies; empty otherwise.
    pub binding: Vec<Binding>,
    /// The Pareto fronts of the overall score against each cost, among the variants that qualify.
    pub fronts: Vec<Front>,
    /// The variants that the items cannot tell apart.
    pub ties: Vec<TieGroup>,
    /// What a reader should know before trusting the advice.
    pub doubts: Vec<Doubt>,
    /// What every variant lost of its base, where the profile asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<VariantLoss>,
    /// What it costs in money, where the profile has prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// What variants come to together, where the profile asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<Systems>,
}

/// What the advice comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// There is a variant to use.
    Advised {
        /// The variant to use; the reference itself where nothing better qualifies.
        variant: Id,
        /// The metric it was picked by; None when no cost was measured at all.
        by: Option<Metric>,
        /// Others that qualify and cannot be told from it on that metric.
        equals: Vec<Id>,
    },
    /// No variant qualifies.
    NothingQualifies {
        /// The variant that comes nearest: with the fewest requirements in its way, by the least.
        nearest: Id,
    },
    /// There is nothing to decide from.
    NoEvidence(NoEvidence),
}

/// Why there is nothing to decide from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoEvidence {
    /// Nothing has been run.
    NoResults,
    /// No variant has a score on any deciding task.
    NoScores,
    /// The profile's reference was not run, or has no score.
    NoReference {
        /// The reference as the profile names it.
        named: String,
    },
    /// Every task was set aside.
    NoTaskTells,
}

/// A task that the profile lets decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedTask {
    /// Which task it is.
    pub name: TaskName,
    /// The metric that decides.
    pub metric: Metric,
    /// Items on which the reference was scored.
    pub items: usize,
    /// Its own margin, where the profile has one; that of all holds else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Why it does not decide after all; `None` where it does.
    pub set_aside: Option<SetAside>,
}

/// Why a task does not decide after all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetAside {
    /// The reference is shown to be near guessing: to be as good as it would show nothing.
    AtChance {
        /// The reference's score.
        score: f64,
        /// The score of guessing.
        chance: f64,
    },
    /// The reference's score is no more than the margin: nobody could be worse by more than that.
    BelowMargin {
        /// The reference's score.
        score: f64,
        /// The margin.
        margin: f64,
    },
    /// The reference has no score there.
    NoScore {
        /// Why, in one sentence.
        reason: String,
    },
}

/// A variant of which the items cannot tell whether it is good enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Its id.
    pub variant: Id,
    /// The tasks without a verdict.
    pub tasks: Vec<OpenTask>,
}

/// A task on which the items cannot tell whether a variant is good enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTask {
    /// Which task it is.
    pub task: TaskName,
    /// How many items were compared.
    pub items: usize,
    /// The difference that they show, with its interval.
    pub shown: Shown,
    /// How many more would settle it.
    pub more: More,
    /// Whether the difference seen is beyond the margin already: more items would rather show that it is worse.
    pub leans_worse: bool,
}

/// A requirement that stands in the way of some variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// The requirement.
    pub requirement: Requirement,
    /// How many variants do not meet it.
    pub unmet: usize,
    /// Of how many variants it is unknown whether they meet it.
    pub unknown: usize,
    /// The variant that would qualify were this one requirement relaxed by the least; `None` where others are in the
    /// way too.
    pub alone: Option<Id>,
}

/// A reason to doubt the advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Only one variant was tried, so that there was no choice.
    OneVariant,
    /// The profile lets a task decide that was not asked.
    NotAsked {
        /// The task as the profile names it.
        task: String,
    },
    /// A task that should decide does not.
    SetAside {
        /// Which task it is.
        task: TaskName,
        /// Why it does not decide.
        why: SetAside,
    },
    /// There are too few items of a task to show that the reference beats guessing there. It is compared all the same.
    ReferenceMayGuess {
        /// Which task it is.
        task: TaskName,
        /// The reference's score.
        score: f64,
        /// The score of guessing.
        chance: f64,
        /// How many items there are.
        items: usize,
    },
    /// No model without a recipe has a score, so that a quantized variant had to serve as the reference.
    ReferenceIsNoBase,
    /// A trial gave no result.
    TrialFailed {
        /// The variant it was asked of.
        variant: Id,
        /// The label of the task or shape.
        ask: String,
        /// Why, in one sentence.
        reason: String,
    },
    /// Some items were scored for one side only and left out.
    LeftOut {
        /// The variant that was compared with the reference.
        variant: Id,
        /// The task they are of.
        task: TaskName,
        /// How many were scored for the reference only.
        only_reference: usize,
        /// How many were scored for the variant only.
        only_candidate: usize,
    },
    /// The cost that the profile prefers by is known of no variant that qualifies.
    OtherMetric {
        /// What the profile prefers by.
        wanted: Metric,
        /// What was picked by instead; `None` where no cost is known.
        used: Option<Metric>,
        /// Why the preferred one is not known.
        reason: String,
    },
    /// A variant qualifies, but the cost that the profile prefers by is not known of it.
    Unranked {
        /// The variant.
        variant: Id,
        /// The cost that is not known.
        metric: Metric,
        /// Why it is not known.
        reason: String,
    },
    /// A number that decided about the advised variant is an estimate.
    Estimated {
        /// What it is a number of.
        metric: Metric,
    },
    /// The advised variant meets a limit that lies within its interval.
    Close {
        /// The requirement with that limit.
        requirement: Requirement,
    },
    /// The advised variant does no better than guessing on a task.
    AdvisedAtChance {
        /// Which task it is.
        task: TaskName,
    },
    /// Something was seen while measuring the advised variant or the reference.
    Warned {
        /// Which of the two it was.
        variant: Id,
        /// The warning's sentence.
        text: String,
    },
}

impl Advice {
    /// The summary of the variant to use, where there is one.
    pub fn advised(&self) -> Option<&VariantSummary> {
        match &self.conclusion {
            Conclusion::Advised { variant, .. } => self.summary(variant),
            _ => None,
        }
    }

    /// Finds a variant's summary.
    pub fn summary(&self, id: &Id) -> Option<&VariantSummary> {
        self.summaries.iter().find(|summary| summary.id() == id)
    }

    /// The summary of the reference, where there is one.
    pub fn reference(&self) -> Option<&VariantSummary> {
        self.summary(self.reference.as_ref()?)
    }

    /// Whether a variant is the reference.
    pub fn is_reference(&self, id: &Id) -> bool {
        self.reference.as_ref() == Some(id)
    }

    /// Lists the tasks that decided.
    pub fn deciding(&self) -> impl Iterator<Item = &AskedTask> {
        self.tasks.iter().filter(|task| task.set_aside.is_none())
    }

    /// How much worse is still good enough on a task: a share, as [`Advice::margin`].
    pub fn margin_of(&self, task: &TaskName) -> f64 {
        let own = self.tasks.iter().find(|asked| asked.name == *task).and_then(|asked| asked.margin);
        own.unwrap_or(self.margin)
    }

    /// How many trials gave no result, over all variants.
    pub fn failed_trials(&self) -> usize {
        self.summaries.iter().map(|summary| summary.failures.len()).sum()
    }

    /// Whether a variant is on the front of the overall score against this cost.
    pub fn on_front(&self, cost: Metric, id: &Id) -> bool {
        self.fronts.iter().any(|front| front.cost == cost && front.members.contains(id))
    }
}

/// Decides from all rows of a run which variant to use.
///
/// # Panics
/// Where the profile's confidence is not between 0.5 and 0.9999, which no checked profile's is.
pub fn advise(rows: &[Row], profile: &Profile) -> Advice {
    advise_knowing(rows, profile, &Nothing)
}

/// The same, where what was worked out of the same rows before is known.
///
/// # Panics
/// As [`advise`].
pub fn advise_knowing(rows: &[Row], profile: &Profile, known: &dyn Known) -> Advice {
    let desk = Desk::once(rows, known);
    let mut advice = advised(&desk, profile, true);
    // what was lost is told of each for itself, whoever looked when
    let confidence = Confidence { watched: false, ..Confidence::of(profile) };
    advice.losses =
        loss::losses(rows, profile, &advice.summaries, advice.reference.as_ref(), confidence, &Memo::of(known), known);
    advice
}

/// Decides; `whole` has everything worked out that is told of the advice, else only what it rests on.
pub(super) fn advised<'a>(desk: &'a Desk<'a>, profile: &'a Profile, whole: bool) -> Advice {
    let mut builder = AdviceBuilder::new(desk, profile);
    if builder.advice.summaries.is_empty() {
        return builder.finish(Conclusion::NoEvidence(NoEvidence::NoResults));
    }
    builder.select_tasks();
    if let Err(none) = builder.select_reference() {
        return builder.finish(Conclusion::NoEvidence(none));
    }
    builder.weigh_costs();
    builder.set_tasks_aside();
    builder.score_overall();
    if whole {
        builder.group_ties();
    }
    if builder.advice.deciding().next().is_none() {
        return builder.finish(Conclusion::NoEvidence(NoEvidence::NoTaskTells));
    }
    builder.compare();
    builder.check();
    builder.find_fronts();
    let conclusion = choose::conclude(&mut builder.advice);
    builder.finish(conclusion)
}

/// The advice in the making, with what it is made from.
struct AdviceBuilder<'a> {
    desk: &'a Desk<'a>,
    profile: &'a Profile,
    confidence: Confidence,
    advice: Advice,
}

impl<'a> AdviceBuilder<'a> {
    fn new(desk: &'a Desk<'a>, profile: &'a Profile) -> AdviceBuilder<'a> {
        let objective = &profile.objective;
        let confidence = Confidence::of(profile);
        let advice = Advice {
            conclusion: Conclusion::NoEvidence(NoEvidence::NoResults),
            prefer: objective.prefer,
            margin: objective.margin,
            level: confidence.level,
            reference: None,
            tasks: vec![],
            summaries: desk.summaries(confidence, &Pricing::of(profile)),
            open: vec![],
            binding: vec![],
            fronts: vec![],
            ties: vec![],
            doubts: vec![],
            losses: vec![],
            money: None,
            systems: None,
        };
        AdviceBuilder { desk, profile, confidence, advice }
    }

    /// A task's margin: its own, or that of all.
    fn margin(&self, task: &TaskName) -> f64 {
        self.profile.objective.margin_of(|name| task.is_called(name))
    }

    /// The tasks that may decide, in the order they were asked.
    fn select_tasks(&mut self) {
        let mut asked: Vec<(TaskName, Metric)> = Vec::new();
        for score in self.advice.summaries.iter().flat_map(|summary| &summary.scores) {
            let name = TaskName { suite: score.suite.clone(), task: score.task.clone() };
            if !asked.iter().any(|(known, _)| *known == name) {
                asked.push((name, score.metric));
            }
        }
        // what is made to tell losses decides only where nothing else was asked, or the profile names it
        let asks_more = asked.iter().any(|(name, _)| name.suite != loss::BATTERY);
        if asks_more && self.profile.objective.tasks.is_none() {
            asked.retain(|(name, _)| name.suite != loss::BATTERY);
        }
        if let Some(wanted) = &self.profile.objective.tasks {
            let missing = wanted.iter().filter(|wanted| !asked.iter().any(|(name, _)| name.is_called(wanted)));
            self.advice.doubts.extend(missing.map(|task| Doubt::NotAsked { task: task.clone() }));
            asked.retain(|(name, _)| wanted.iter().any(|wanted| name.is_called(wanted)));
        }
        let own = |task: &TaskName| self.profile.objective.own_margin_of(|name| task.is_called(name));
        let task = |(name, metric): (TaskName, Metric)| {
            let margin = own(&name);
            AskedTask { name, metric, items: 0, margin, set_aside: None }
        };
        self.advice.tasks = asked.into_iter().map(task).collect();
    }

    fn select_reference(&mut self) -> Result<(), NoEvidence> {
        let names: Vec<&TaskName> = self.advice.tasks.iter().map(|task| &task.name).collect();
        let reference = reference::pick(&self.advice.summaries, &names, self.profile.objective.reference.as_deref())?;
        if !reference.variant.is_base() && self.profile.objective.reference.is_none() {
            self.advice.doubts.push(Doubt::ReferenceIsNoBase);
        }
        self.advice.reference = Some(reference.id().clone());
        Ok(())
    }

    /// Several costs in one, where it is picked by that.
    fn weigh_costs(&mut self) {
        let Some(reference) = self.advice.reference().cloned() else { return };
        if self.advice.prefer == Prefer::Weighed {
            let weights = self.profile.objective.weights();
            for summary in &mut self.advice.summaries {
                summary.weighed = Some(weighed::cost(summary, &reference, &weights));
            }
        }
    }

    fn set_tasks_aside(&mut self) {
        let Some(reference) = self.advice.reference().cloned() else { return };
        let margins: Vec<f64> = self.advice.tasks.iter().map(|task| self.margin(&task.name)).collect();
        for (task, margin) in self.advice.tasks.iter_mut().zip(margins) {
            let score = reference.score(&task.name);
            task.items = score.map_or(0, |score| score.items);
            let figure = match score.map(|score| (score.chance.unwrap_or(f64::NAN), score.reading())) {
                None => Err("it was not asked of the reference".into()),
                Some((_, Reading::Missing { reason })) => Err(reason.clone()),
                Some((chance, Reading::Known(figure))) => Ok((figure.value, chance)),
            };
            let (score, chance) = match figure {
                Ok(figure) => figure,
                Err(reason) => {
                    let why = SetAside::NoScore { reason };
                    self.advice.doubts.push(Doubt::SetAside { task: task.name.clone(), why: why.clone() });
                    task.set_aside = Some(why);
                    continue;
                }
            };
            // none right of many, and "not worse by more than two points" would be true of whatever was asked
            let is_share = task.metric.aggregation() == Aggregation::Mean && task.metric.unit() == Unit::Fraction;
            if is_share && task.metric.direction() == Direction::Higher && score <= margin {
                let why = SetAside::BelowMargin { score, margin };
                self.advice.doubts.push(Doubt::SetAside { task: task.name.clone(), why: why.clone() });
                task.set_aside = Some(why);
                continue;
            }
            let row = self.desk.row(reference.id(), &task.name);
            match row.and_then(|row| self.desk.skill(row, margin, self.confidence.level)) {
                Some(Skill::NearChance) => {
                    let why = SetAside::AtChance { score, chance };
                    self.advice.doubts.push(Doubt::SetAside { task: task.name.clone(), why: why.clone() });
                    task.set_aside = Some(why);
                }
                Some(Skill::TooFew) => {
                    let (task, items) = (task.name.clone(), task.items);
                    self.advice.doubts.push(Doubt::ReferenceMayGuess { task, score, chance, items });
                }
                Some(Skill::Shown) | None => {}
            }
        }
    }

    /// One number for all deciding tasks (for all that were asked, when none decides).
    fn score_overall(&mut self) {
        let mut tasks: Vec<TaskName> = self.advice.deciding().map(|task| task.name.clone()).collect();
        if tasks.is_empty() {
            tasks = self.advice.tasks.iter().map(|task| task.name.clone()).collect();
        }
        for summary in &mut self.advice.summaries {
            let not_asked = tasks.iter().find(|task| summary.score(task).is_none());
            let scores: Vec<_> = tasks.iter().filter_map(|task| summary.score(task)).collect();
            let overall = overall::overall(&scores);
            summary.overall = match not_asked {
                Some(task) => Overall { reading: Reading::missing(format!("{task} was not asked of it")), ..overall },
                None => overall,
            };
        }
    }

    fn find_fronts(&mut self) {
        let mut costs = vec![Metric::PeakMemory, Metric::DecodeTps, Metric::DecodeEnergy, Metric::Disk];
        if Pricing::of(self.profile) != Pricing::default() {
            costs.push(Metric::CentsPerCorrect);
        }
        self.advice.fronts = costs.iter().filter_map(|&cost| front(&self.advice.summaries, cost)).collect();
    }

    fn group_ties(&mut self) {
        // where a race ended a task early, nobody asked whether the two are alike
        let is_told = |s: &&VariantSummary| s.overall.reading.known().is_some() && s.settled.is_empty();
        let mut ranked: Vec<&VariantSummary> = self.advice.summaries.iter().filter(is_told).collect();
        // Where the tasks are of several kinds no one number says who is best: the larger leads, as the one to be replaced.
        ranked.sort_by(|a, b| match a.overall.of_all && b.overall.of_all {
            true => by_overall(a, b),
            false => by_reading(Metric::Disk, &b.disk, &a.disk),
        });
        let deciding: Vec<&TaskName> = self.advice.deciding().map(|task| &task.name).collect();
        let contenders: Vec<Contender> = ranked
            .iter()
            .map(|summary| Contender {
                id: summary.id(),
                rows: deciding.iter().filter_map(|task| self.desk.row(summary.id(), task)).collect(),
            })
            .collect();
        let margins: Vec<f64> = deciding.iter().map(|task| self.margin(task)).collect();
        let margins = tie::Margins { tasks: &deciding, of_each: &margins };
        self.advice.ties = tie::groups(&contenders, &margins, self.confidence, self.desk.memo());
    }

    /// Every other variant against the reference, task by task, each comparison for itself.
    fn compare(&mut self) {
        let Some(reference) = self.advice.reference.clone() else { return };
        let tasks: Vec<(TaskName, Metric)> =
            self.advice.deciding().map(|task| (task.name.clone(), task.metric)).collect();
        for (task, metric) in tasks {
            let Some(base) = self.desk.row(&reference, &task) else { continue };
            let margin = self.margin(&task);
            for summary in self.advice.summaries.iter_mut().filter(|summary| *summary.id() != reference) {
                let candidate = self.desk.row(summary.id(), &task);
                let compared = candidate.and_then(|row| self.desk.compared(base, row, margin, self.confidence));
                summary.comparisons.push(compared.unwrap_or_else(|| not_asked(&task, metric)));
            }
        }
    }

    /// The limits of the profile, and then the comparisons as one family of those that could be advised.
    fn check(&mut self) {
        let reference = self.advice.reference().cloned();
        for summary in &mut self.advice.summaries {
            summary.checks = constraint::checks(&self.profile.constraints, summary, reference.as_ref());
        }
        let could_be_advised: Vec<bool> =
            self.advice.summaries.iter().map(|summary| choose::could_be_advised(&self.advice, summary)).collect();
        let others = self.advice.summaries.iter_mut().zip(could_be_advised).filter(|(s, _)| !s.comparisons.is_empty());
        let mut family: Vec<(&mut Vec<Comparison>, bool, bool)> = others
            .map(|(summary, could_be)| {
                let raced = summary.raced.is_some();
                (&mut summary.comparisons, could_be, raced)
            })
            .collect();
        compare::judge_family(&mut family);
        self.hold_against_guessing();
        for summary in &mut self.advice.summaries {
            summary.checks.extend(summary.comparisons.iter().map(constraint::not_worse));
            summary.qualifies = summary.checks.iter().all(|check| check.status == Status::Met);
        }
        let standings: Vec<Standing> = self.advice.summaries.iter().map(|s| words::standing(&self.advice, s)).collect();
        for (summary, standing) in self.advice.summaries.iter_mut().zip(standings) {
            summary.standing = standing;
        }
    }

    /// A task on which the reference guesses shows of nobody that it is good enough; but whoever is shown worse than
    /// guessing there is worse.
    fn hold_against_guessing(&mut self) {
        let at_chance = |task: &&AskedTask| matches!(task.set_aside, Some(SetAside::AtChance { .. }));
        let tasks: Vec<TaskName> = self.advice.tasks.iter().filter(at_chance).map(|task| task.name.clone()).collect();
        let Some(reference) = self.advice.reference.clone() else { return };
        for task in tasks {
            let Some(base) = self.desk.row(&reference, &task) else { continue };
            let margin = self.margin(&task);
            let mut found: Vec<(usize, Vec<Comparison>)> = Vec::new();
            for (place, summary) in self.advice.summaries.iter().enumerate().filter(|(_, s)| *s.id() != reference) {
                let row = self.desk.row(summary.id(), &task);
                let one = row.and_then(|row| self.desk.compared(base, row, margin, self.confidence));
                found.push((place, one.into_iter().collect()));
            }
            let mut family: Vec<_> = found.iter_mut().map(|(_, comparisons)| (comparisons, false, false)).collect();
            compare::judge_family(&mut family);
            for (place, comparisons) in found {
                let worse = |c: &Comparison| c.judgement().is_some_and(|j| j.verdict == Verdict::Worse);
                self.advice.summaries[place].comparisons.extend(comparisons.into_iter().filter(worse));
            }
        }
    }

    fn finish(mut self, conclusion: Conclusion) -> Advice {
        if let Conclusion::NoEvidence(none) = &conclusion {
            let reason = words::no_evidence(none);
            for summary in &mut self.advice.summaries {
                summary.standing = Standing::CannotTell { reason: reason.clone() };
            }
        }
        self.advice.conclusion = conclusion;
        self.advice.money = money::money(&self.advice.summaries, &Pricing::of(self.profile));
        let doubts = doubts(&self.advice);
        self.advice.doubts.extend(doubts);
        if let Some(advised) = self.advice.advised() {
            let skill = |task: &&AskedTask| {
                let margin = self.margin(&task.name);
                self.desk
                    .row(advised.id(), &task.name)
                    .and_then(|row| self.desk.skill(row, margin, self.confidence.level))
            };
            let guesses = self.advice.deciding().filter(|task| skill(task) == Some(Skill::NearChance));
            let doubts: Vec<Doubt> = guesses.map(|task| Doubt::AdvisedAtChance { task: task.name.clone() }).collect();
            self.advice.doubts.extend(doubts);
        }
        self.advice
    }
}

fn not_asked(task: &TaskName, metric: Metric) -> Comparison {
    Comparison {
        task: task.clone(),
        metric,
        result: Compared::Not { reason: "the task was not asked of it".into() },
        only_reference: 0,
        only_candidate: 0,
        flips: Default::default(),
    }
}

/// Best first; missing last.
fn by_overall(a: &VariantSummary, b: &VariantSummary) -> Ordering {
    by_reading(a.overall.metric, &a.overall.reading, &b.overall.reading)
}

fn by_reading(metric: Metric, a: &Reading, b: &Reading) -> Ordering {
    match (a.value(), b.value()) {
        (Some(a), Some(b)) if metric.better(a, b) => Ordering::Less,
        (Some(a), Some(b)) if metric.better(b, a) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// The front among those that qualify: what is not good enough, or not shown to be, beats nobody. It has a band: only who
/// is decidedly cheaper, and no worse as far as was seen, puts another off it.
fn front(summaries: &[VariantSummary], cost: Metric) -> Option<Front> {
    let qualified: Vec<&VariantSummary> = summaries.iter().filter(|summary| summary.qualifies).collect();
    let known =
        |summary: &&VariantSummary| summary.overall.reading.known().is_some() && summary.cost(cost).known().is_some();
    // every pair is looked at: what a variant costs is put together once
    let beats = |(one, of_one): &(&VariantSummary, Reading), (other, of_other): &(&VariantSummary, Reading)| {
        let cheaper = decided::better(cost, of_one, of_other) == Some(Ordering::Less);
        cheaper && by_overall(one, other) != Ordering::Greater
    };
    let points: Vec<(&VariantSummary, Reading)> =
        qualified.into_iter().filter(known).map(|summary| (summary, summary.cost(cost))).collect();
    let on = pareto::front(&points, beats);
    let members: Vec<Id> = points.iter().zip(on).filter(|(_, on)| *on).map(|((s, _), _)| s.id().clone()).collect();
    (!members.is_empty()).then_some(Front { cost, members })
}

/// What the results themselves give reason to doubt.
fn doubts(advice: &Advice) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if advice.summaries.len() == 1 {
        doubts.push(Doubt::OneVariant);
    }
    for summary in &advice.summaries {
        doubts.extend(summary.failures.iter().map(|failed| Doubt::TrialFailed {
            variant: summary.id().clone(),
            ask: failed.ask.clone(),
            reason: failed.reason.clone(),
        }));
        // a system is judged on the half that its rules have not seen, and a race says itself what it left out
        let is_meant = |c: &Comparison| summary.variant.is_system() || summary.settled.contains(&c.task);
        let told = summary.comparisons.iter().filter(|c| !is_meant(c) && left_out(c));
        doubts.extend(told.map(|comparison| Doubt::LeftOut {
            variant: summary.id().clone(),
            task: comparison.task.clone(),
            only_reference: comparison.only_reference,
            only_candidate: comparison.only_candidate,
        }));
    }
    if let Some(advised) = advice.advised() {
        doubts.extend(about_advised(advice, advised));
    }
    for summary in [advice.advised(), advice.reference()].into_iter().flatten() {
        // What is at chance is told from the scores.
        let told = summary.warnings.iter().filter(|warning| warning.kind != WarningKind::AtChance);
        for warning in told {
            let doubt = Doubt::Warned { variant: summary.id().clone(), text: warning.text.clone() };
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
    }
    doubts
}

fn left_out(comparison: &Comparison) -> bool {
    comparison.judgement().is_some() && comparison.only_reference + comparison.only_candidate > 0
}

fn about_advised(advice: &Advice, advised: &VariantSummary) -> Vec<Doubt> {
    let close = advised.checks.iter().filter(|check| check.close);
    let mut doubts: Vec<Doubt> = close.map(|check| Doubt::Close { requirement: check.requirement.clone() }).collect();
    let mut estimated: Vec<Metric> = advised.checks.iter().filter(|c| c.estimated).filter_map(|c| c.metric).collect();
    if let Conclusion::Advised { by: Some(metric), .. } = advice.conclusion
        && choose::is_estimated(&advised.cost(metric))
        && !estimated.contains(&metric)
    {
        estimated.push(metric);
    }
    doubts.extend(estimated.into_iter().map(|metric| Doubt::Estimated { metric }));
    doubts
}

#[cfg(test)]
mod tests;

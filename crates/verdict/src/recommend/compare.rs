//! One variant against the reference on one task, item by item: a verdict within the margin, and the answers that
//! flipped.

use super::influence;
use super::race;
use super::score::{self, Confidence};
use super::summary::TaskName;
use bantam_core::metric::{Aggregation, Direction, Metric};
use bantam_core::record::{Ask, Failure, ItemResult, Place, Row};
use bantam_core::stats::noninferior::{self, Candidate, Findings};
use bantam_core::stats::{Judgement, Pairs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A variant compared with the reference on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The task.
    pub task: TaskName,
    /// The task's deciding metric.
    pub metric: Metric,
    /// The verdict, or why there is none.
    pub result: Compared,
    /// Items that only the reference has a score for; they are left out.
    pub only_reference: usize,
    /// Items that only the variant has a score for; they are left out.
    pub only_candidate: usize,
    /// How many answers changed.
    pub flips: Flips,
}

/// How a comparison came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// A verdict, on the scale of [`scale`], where above zero is better.
    Judged(Judgement),
    /// No verdict.
    Not {
        /// Why, in one sentence.
        reason: String,
    },
}

/// The scale on which differences of a metric are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The difference itself: two points of accuracy are 0.02.
    Points,
    /// Log-likelihood per word or byte, whose difference is the logarithm of a ratio of perplexities.
    LogRatio,
}

/// Gives the scale of a metric: perplexities and bits per byte are compared as ratios, all else as it is.
pub fn scale(metric: Metric) -> Scale {
    match metric.aggregation() {
        Aggregation::WeightedPerplexity | Aggregation::BitsPerByte => Scale::LogRatio,
        _ => Scale::Points,
    }
}

/// A difference as a reader wants it: candidate less reference in points, or candidate over reference as a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The difference or ratio.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// Which of the two it is: points as a share (0.02), or a ratio.
    pub scale: Scale,
}

impl Comparison {
    /// The judgement, where there is one.
    pub fn judgement(&self) -> Option<&Judgement> {
        match &self.result {
            Compared::Judged(judgement) => Some(judgement),
            Compared::Not { .. } => None,
        }
    }

    /// The difference as a reader wants it, where there is a judgement.
    pub fn shown(&self) -> Option<Shown> {
        let judgement = self.judgement()?;
        let (value, interval) = (judgement.difference, judgement.interval);
        Some(match (scale(self.metric), self.metric.direction()) {
            (Scale::Points, Direction::Higher) => {
                Shown { value, low: interval.low, high: interval.high, scale: Scale::Points }
            }
            (Scale::Points, Direction::Lower) => {
                Shown { value: -value, low: -interval.high, high: -interval.low, scale: Scale::Points }
            }
            // More log-likelihood is less perplexity.
            (Scale::LogRatio, _) => Shown {
                value: (-value).exp(),
                low: (-interval.high).exp(),
                high: (-interval.low).exp(),
                scale: Scale::LogRatio,
            },
        })
    }
}

/// Compares two rows that asked the same task; `None` where they did not. `margin` is a share: 0.02 is two points, or a
/// perplexity 1.02 times as high.
pub fn compare(reference: &Row, candidate: &Row, margin: f64, confidence: Confidence) -> Option<Comparison> {
    Some(Paired::of(reference, candidate, confidence)?.judged(margin))
}

/// Two rows side by side before anybody says how much worse is good enough: every margin is answered from it.
#[derive(Debug, Clone)]
pub(super) struct Paired {
    task: TaskName,
    metric: Metric,
    /// What the items show, or why there is no verdict.
    findings: Result<Findings, String>,
    only_reference: usize,
    only_candidate: usize,
    flips: Flips,
}

impl Paired {
    /// Pairs two rows that asked the same task; `None` where they did not.
    pub(super) fn of(reference: &Row, candidate: &Row, confidence: Confidence) -> Option<Paired> {
        let (task, metric) = same_task(reference, candidate)?;
        let matched = Matched::of(reference, candidate, metric);
        let findings = paired(reference, candidate)
            .and_then(|(pairs, _)| Findings::by(&pairs, confidence.level).map_err(|e| e.to_string()))
            .map(|found| watched(found, reference, candidate, metric, confidence));
        Some(Paired {
            task,
            metric,
            findings,
            only_reference: matched.only_reference,
            only_candidate: matched.only_candidate,
            flips: Flips::count(&flips(reference, candidate)),
        })
    }

    /// What the items show, or why there is no verdict at any margin.
    pub(super) fn findings(&self) -> Result<&Findings, &str> {
        self.findings.as_ref().map_err(String::as_str)
    }

    /// A margin, a share as in [`compare`], on the scale on which it is judged.
    pub(super) fn scaled(&self, margin: f64) -> f64 {
        scaled(self.metric, margin)
    }

    /// The comparison at a margin, a share as in [`compare`].
    pub(super) fn judged(&self, margin: f64) -> Comparison {
        let margin = scaled(self.metric, margin);
        let judged = self.findings.clone().and_then(|found| found.judged(margin).map_err(|e| e.to_string()));
        Comparison {
            task: self.task.clone(),
            metric: self.metric,
            result: judged.map_or_else(|reason| Compared::Not { reason }, Compared::Judged),
            only_reference: self.only_reference,
            only_candidate: self.only_candidate,
            flips: self.flips,
        }
    }
}

/// What the items show to whoever looked as they came in, where a race did.
fn watched(found: Findings, reference: &Row, candidate: &Row, metric: Metric, confidence: Confidence) -> Findings {
    let Ask::Task(task) = &reference.trial.ask else { return found };
    let settled = |row: &Row| row.outcome.settled.is_some();
    // nobody looked at what was put together of others' answers
    let looked = confidence.watched && !candidate.trial.variant.is_system();
    if !looked && !settled(candidate) && !settled(reference) {
        return found;
    }
    let whole = !settled(candidate) && !settled(reference);
    let bets = race::bets(task, metric, confidence.seed, &reference.outcome.items, &candidate.outcome.items);
    match bets {
        Some(bets) => found.watched(bets, whole),
        None => found,
    }
}

fn scaled(metric: Metric, margin: f64) -> f64 {
    match scale(metric) {
        Scale::Points => margin,
        Scale::LogRatio => margin.ln_1p(),
    }
}

/// Pairs the scores of two rows on the scale of [`scale`].
///
/// # Errors
/// The reason why they cannot be paired: another task or other items, a failed trial, or no item scored for both.
pub fn paired(reference: &Row, candidate: &Row) -> Result<(Pairs, Metric), String> {
    let (_, metric) = same_task(reference, candidate).ok_or("it was asked another task")?;
    if let Some(reason) = failed(reference, "the reference").or_else(|| failed(candidate, "it")) {
        return Err(reason);
    }
    if !same_items(reference, candidate) {
        return Err("it was asked another version of the task, or other items".into());
    }
    let is_away = |row: &Row| matches!(row.trial.variant.model.place, Place::Endpoint(_));
    if scale(metric) == Scale::LogRatio && is_away(reference) != is_away(candidate) {
        return Err(
            "an endpoint tells no likelihood of a text's first token and a model here does, so that the two are of \
                    different texts"
                .into(),
        );
    }
    let matched = Matched::of(reference, candidate, metric);
    if matched.both.is_empty() {
        return Err("no item was scored for both".into());
    }
    Ok((matched.pairs(metric)?, metric))
}

fn same_task(reference: &Row, candidate: &Row) -> Option<(TaskName, Metric)> {
    let task = TaskName::of(reference).filter(|task| TaskName::of(candidate).as_ref() == Some(task))?;
    match &reference.trial.ask {
        Ask::Task(asked) => Some((task, *asked.metrics.first()?)),
        Ask::Speed(_) => None,
    }
}

fn same_items(reference: &Row, candidate: &Row) -> bool {
    match (&reference.trial.ask, &candidate.trial.ask) {
        (Ask::Task(one), Ask::Task(other)) => {
            one.digest == other.digest && one.metrics.first() == other.metrics.first()
        }
        _ => false,
    }
}

fn failed(row: &Row, who: &str) -> Option<String> {
    row.outcome.result.as_ref().err().map(|failure| match failure {
        Failure::Raced { reason } => reason.clone(),
        other => format!("{who} has no result: {}", other.sentence()),
    })
}

/// The items that two rows share, in the order of the suite's data.
struct Matched<'a> {
    both: Vec<(&'a ItemResult, &'a ItemResult)>,
    only_reference: usize,
    only_candidate: usize,
}

impl<'a> Matched<'a> {
    fn of(reference: &'a Row, candidate: &'a Row, metric: Metric) -> Matched<'a> {
        let (a, b) = (scored(reference, metric), scored(candidate, metric));
        let both: Vec<_> = a.iter().filter_map(|(index, item)| Some((*item, *b.get(index)?))).collect();
        Matched { only_reference: a.len() - both.len(), only_candidate: b.len() - both.len(), both }
    }

    /// Larger is better; weights count words or bytes, which are the reference's and the candidate's alike.
    fn pairs(&self, metric: Metric) -> Result<Pairs, String> {
        let items: Vec<&ItemResult> = self.both.iter().map(|pair| pair.0).collect();
        let pairs = match metric.is_of_whole_sample() {
            true => self.whole(metric)?,
            false => self.each(metric).map_err(|e| e.to_string())?,
        };
        pairs.clustered(&score::cluster_keys(&items)).map_err(|e| e.to_string())
    }

    fn whole(&self, metric: Metric) -> Result<Pairs, String> {
        let side = |of: fn(&(&'a ItemResult, &'a ItemResult)) -> &'a ItemResult| {
            self.both.iter().filter_map(|pair| of(pair).score(metric)).collect::<Vec<_>>()
        };
        let (reference, candidate) = influence::contributions(metric, &side(|pair| pair.0), &side(|pair| pair.1))
            .ok_or_else(|| format!("one of the two has no {}, alone or without one of the items", metric.label()))?;
        Pairs::new(reference, candidate).map_err(|e| e.to_string())
    }

    fn each(&self, metric: Metric) -> Result<Pairs, bantam_core::stats::StatsError> {
        let side = |of: fn(&(&'a ItemResult, &'a ItemResult)) -> &'a ItemResult| {
            self.both.iter().map(|pair| oriented(of(pair), metric)).unzip::<f64, f64, Vec<_>, Vec<_>>()
        };
        let (reference, weights) = side(|pair| pair.0);
        let (candidate, _) = side(|pair| pair.1);
        Pairs::new(reference, candidate)?.weighted(weights)
    }
}

/// Items by their position in the data; one without weight (a document without words) says nothing.
fn scored(row: &Row, metric: Metric) -> BTreeMap<usize, &ItemResult> {
    let whole = metric.is_of_whole_sample();
    let weighs = |item: &&ItemResult| item.score(metric).is_some_and(|score| whole || score.weight > 0.0);
    row.outcome.items.iter().filter(weighs).map(|item| (item.index, item)).collect()
}

/// An item's score with more as better, and its weight; only asked of items that have one.
fn oriented(item: &ItemResult, metric: Metric) -> (f64, f64) {
    let Some(score) = item.score(metric) else { return (f64::NAN, f64::NAN) };
    let value = match (scale(metric), metric.direction()) {
        (Scale::LogRatio, _) => score.value / score.weight,
        (Scale::Points, Direction::Higher) => score.value,
        (Scale::Points, Direction::Lower) => -score.value,
    };
    (value, score.weight)
}

/// An item that the two answer differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The item's position in the suite's data.
    pub index: usize,
    /// What became of the answer.
    pub kind: FlipKind,
    /// The right answer, where the task has one.
    pub target: Option<String>,
    /// The reference's answer.
    pub reference: Option<String>,
    /// The variant's answer.
    pub candidate: Option<String>,
}

/// What became of an answer, from the reference to the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipKind {
    /// Wrong before, right now.
    Gained,
    /// Right before, wrong now.
    Lost,
    /// Wrong both times, but differently.
    StillWrong,
}

/// How many answers changed, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flips {
    /// Wrong before, right now.
    pub gained: usize,
    /// Right before, wrong now.
    pub lost: usize,
    /// Wrong both times, but differently.
    pub still_wrong: usize,
}

impl Flips {
    fn count(flips: &[Flip]) -> Flips {
        let of = |kind| flips.iter().filter(|flip| flip.kind == kind).count();
        Flips { gained: of(FlipKind::Gained), lost: of(FlipKind::Lost), still_wrong: of(FlipKind::StillWrong) }
    }

    /// All answers that changed.
    pub fn total(&self) -> usize {
        self.gained + self.lost + self.still_wrong
    }
}

/// Lists the items whose answer changed, in the order of the data: what a reader browses to see what a number means.
/// Empty for tasks whose items are not right or wrong.
pub fn flips(reference: &Row, candidate: &Row) -> Vec<Flip> {
    let Ask::Task(task) = &reference.trial.ask else { return Vec::new() };
    let Some(&metric) = task.metrics.first() else { return Vec::new() };
    let matched = Matched::of(reference, candidate, metric);
    matched.both.iter().filter_map(|(before, now)| flip(before, now, metric)).collect()
}

fn flip(before: &ItemResult, now: &ItemResult, metric: Metric) -> Option<Flip> {
    let kind = match (right(before, metric)?, right(now, metric)?) {
        (false, true) => FlipKind::Gained,
        (true, false) => FlipKind::Lost,
        (false, false) if (before.choice, &before.answer) != (now.choice, &now.answer) => FlipKind::StillWrong,
        _ => return None,
    };
    Some(Flip {
        index: before.index,
        kind,
        target: before.target.clone(),
        reference: before.answer.clone(),
        candidate: now.answer.clone(),
    })
}

fn right(item: &ItemResult, metric: Metric) -> Option<bool> {
    let score = item.score(metric)?;
    match (metric.aggregation(), score.value) {
        (Aggregation::Mean, 1.0) => Some(true),
        (Aggregation::Mean, 0.0) => Some(false),
        (Aggregation::MacroF1 | Aggregation::Mcc | Aggregation::F1, found) => Some(found == score.weight),
        _ => None,
    }
}

/// Judges several variants as one family (see [`noninferior::judge_family`]): of each its comparisons, one a deciding
/// task, whether it could be advised at all, and whether it left a race.
pub fn judge_family(variants: &mut [(&mut Vec<Comparison>, bool, bool)]) {
    let mut candidates: Vec<Candidate> = variants
        .iter_mut()
        .map(|(comparisons, could_be_advised, raced)| {
            let all_judged = comparisons.iter().all(|comparison| comparison.judgement().is_some());
            let judgements = comparisons.iter_mut().filter_map(|comparison| match &mut comparison.result {
                Compared::Judged(judgement) => Some(judgement),
                Compared::Not { .. } => None,
            });
            Candidate {
                judgements: judgements.collect(),
                in_question: *could_be_advised && all_judged,
                left: *could_be_advised && *raced,
            }
        })
        .collect();
    noninferior::judge_family(&mut candidates);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers, confidence};
    use bantam_core::stats::{Method, Verdict};

    fn row(made: Made) -> Row {
        made.rows().remove(0)
    }

    fn compared(reference: &Row, candidate: &Row, margin: f64) -> Comparison {
        compare(reference, candidate, margin, confidence()).unwrap()
    }

    #[test]
    fn right_and_wrong_are_judged_by_tango() {
        let base = row(Made::base("big", 10).task("t", &answers(400, 40, 0)));
        let small = row(Made::base("m", 10).task("t", &answers(400, 44, 0)));
        let comparison = compared(&base, &small, 0.05);
        let judgement = comparison.judgement().unwrap();
        assert_eq!((judgement.verdict, judgement.interval.method), (Verdict::NotWorse, Method::Tango));
        assert_eq!(comparison.flips, Flips { gained: 0, lost: 4, still_wrong: 0 });
        assert!((comparison.shown().unwrap().value + 0.01).abs() < 1e-12);
    }

    #[test]
    fn perplexities_are_judged_by_their_ratio() {
        let before: Vec<f64> = (0..120).map(|i| -2.0 - f64::from(i % 7) * 0.1).collect();
        let now: Vec<f64> = before.iter().enumerate().map(|(i, x)| x - 0.05 - (i % 5) as f64 * 0.01).collect();
        let base = row(Made::base("big", 10).text("p", &before));
        let small = row(Made::base("m", 10).text("p", &now));
        let shown = compared(&base, &small, 0.02).shown().unwrap();
        assert!((shown.value - 0.07_f64.exp()).abs() < 1e-9, "{shown:?}");
        assert!(shown.low < shown.value && shown.value < shown.high && shown.scale == Scale::LogRatio);
        let verdict = |margin| compared(&base, &small, margin).judgement().unwrap().verdict;
        assert_eq!((verdict(0.02), verdict(0.10)), (Verdict::Worse, Verdict::NotWorse));
    }

    #[test]
    fn scores_of_a_whole_sample_are_judged_by_what_each_item_is_worth() {
        let labels = |wrong: usize| -> Vec<(f64, f64)> {
            (0..400)
                .map(|i| (i % 4 / 2, (i * 7) % 400 < wrong))
                .map(|(r, wrong)| (f64::from(u8::from((r == 1) != wrong)), r as f64))
                .collect()
        };
        for metric in [Metric::MacroF1, Metric::Mcc] {
            let base = row(Made::base("big", 10).classes("t", metric, &labels(40)));
            let near = row(Made::base("m", 10).classes("t", metric, &labels(44)));
            let far = row(Made::base("m", 10).classes("t", metric, &labels(160)));
            let comparison = compared(&base, &near, 0.1);
            let whole = near.outcome.score(metric).unwrap() - base.outcome.score(metric).unwrap();
            assert!((comparison.shown().unwrap().value - whole).abs() < 1e-9, "{comparison:?}");
            assert_eq!(comparison.judgement().unwrap().verdict, Verdict::NotWorse, "{comparison:?}");
            assert_eq!(comparison.flips, Flips { gained: 0, lost: 4, still_wrong: 0 });
            assert_eq!(compared(&base, &far, 0.1).judgement().unwrap().verdict, Verdict::Worse);
        }
    }

    #[test]
    fn items_that_only_one_side_has_are_left_out_and_counted() {
        let base = row(Made::base("big", 10).task("t", &answers(300, 20, 0)));
        let mut small = row(Made::base("m", 10).task("t", &answers(300, 20, 0)));
        small.outcome.items.drain(..100);
        small.outcome.items[0].index = 5000;
        let comparison = compared(&base, &small, 0.05);
        assert_eq!((comparison.only_reference, comparison.only_candidate), (101, 1));
        assert_eq!(comparison.judgement().unwrap().items, 199);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let base = row(Made::base("big", 10).task("t", &answers(50, 5, 0)));
        let reason = |candidate: &Row| match compared(&base, candidate, 0.05).result {
            Compared::Not { reason } => reason,
            judged => panic!("{judged:?}"),
        };
        let failed = row(Made::base("m", 10).failed_task("t", "no result within 9 s"));
        assert!(reason(&failed).contains("no result within 9 s"));
        let mut nothing = row(Made::base("m", 10).task("t", &answers(50, 5, 0)));
        nothing.outcome.items.clear();
        assert_eq!(reason(&nothing), "no item was scored for both");
        let mut other = row(Made::base("m", 10).task("t", &answers(50, 5, 0)));
        let Ask::Task(task) = &mut other.trial.ask else { unreachable!("a task") };
        task.digest = bantam_core::record::Id("another".into());
        assert!(reason(&other).contains("another version"));
        let speed = row(Made::base("m", 10).speed(&[1.0, 2.0]));
        assert!(compare(&base, &speed, 0.05, confidence()).is_none());
    }

    #[test]
    fn flips_tell_what_became_of_each_answer() {
        let base = row(Made::base("big", 10).task("t", &[1, 0, 0, 1, 0]));
        let mut small = row(Made::base("m", 10).task("t", &[0, 1, 0, 1, 0]));
        small.outcome.items[4].answer = Some("something else".into());
        let kinds: Vec<_> = flips(&base, &small).into_iter().map(|flip| (flip.index, flip.kind)).collect();
        assert_eq!(kinds, [(0, FlipKind::Lost), (1, FlipKind::Gained), (4, FlipKind::StillWrong)]);
        let text = |x: f64| row(Made::base("m", 10).text("p", &[x, x]));
        assert!(flips(&text(-1.0), &text(-2.0)).is_empty());
    }

    #[test]
    fn minimal_pairs_count_together() {
        let paired = |made: Made| {
            let mut row = row(made);
            for item in &mut row.outcome.items {
                item.pair = Some(format!("p{}", item.index / 2));
            }
            row
        };
        let base = paired(Made::base("big", 10).task("t", &answers(400, 40, 0)));
        let small = paired(Made::base("m", 10).task("t", &answers(400, 80, 0)));
        let judgement = *compared(&base, &small, 0.05).judgement().unwrap();
        let alone = *compared(
            &row(Made::base("big", 10).task("t", &answers(400, 40, 0))),
            &row(Made::base("m", 10).task("t", &answers(400, 80, 0))),
            0.05,
        )
        .judgement()
        .unwrap();
        assert_eq!((judgement.verdict, judgement.interval.method), (Verdict::Worse, Method::Tango));
        assert!(
            judgement.interval.half_width() > 1.2 * alone.interval.half_width(),
            "pairs that go together know less"
        );
    }

    #[test]
    fn many_candidates_are_judged_together() {
        let base = row(Made::base("big", 10).task("t", &answers(400, 40, 0)));
        let of = |wrong| compared(&base, &row(Made::base("m", 10).task("t", &answers(400, wrong, 0))), 0.05);
        let mut all: Vec<Comparison> = (40..48).map(of).collect();
        let alone = all.clone();
        let mut each: Vec<Vec<Comparison>> = all.drain(..).map(|comparison| vec![comparison]).collect();
        judge_family(&mut each.iter_mut().map(|comparisons| (comparisons, true, false)).collect::<Vec<_>>());
        all = each.into_iter().flatten().collect();
        for (together, alone) in all.iter().zip(&alone) {
            assert!(together.judgement().unwrap().p.not_worse >= alone.judgement().unwrap().p.not_worse);
        }
        assert_ne!(all, alone);
    }
}

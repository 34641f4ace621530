//! Non-inferiority: is the candidate shown to be not worse than the reference by more than a margin?
//!
//! "No significant difference" is no answer to that: with few enough items nothing differs. The question is turned
//! round, and the candidate has to show it (Piaggio et al., "Reporting of Noninferiority and Equivalence Randomized
//! Trials", JAMA 2012, figure 1):
//!
//! ```text
//!                       −margin      0
//!            ├──worse──┤   ┊         ┊
//!                  ├──inconclusive──┤┊          also where the interval reaches past zero
//!                          ┊ ├─not worse─┤
//!                          ┊         ┊ ├─better─┤
//! ```
//!
//! "Not worse" is a claim of one side, and what an advice may be wrong about: its error is what the level leaves out, 5%
//! at 95%. "Better" and "worse" are told as from an interval, at half of that each.

use super::betting::Bets;
use super::fraction::Fractions;
use super::power::{self, More};
use super::tango::{self, Counts};
use super::{Bootstrap, Interval, Level, Mean, Pairs, StatsError, Table};
use serde::{Deserialize, Serialize};

pub use super::family::{Candidate, SIZE, judge_family};

/// What a comparison of a candidate with a reference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shown better than the reference.
    Better,
    /// Shown not worse by more than the margin; it may still be shown a little worse.
    NotWorse,
    /// Shown worse by more than the margin.
    Worse,
    /// None of these is shown: there are too few items to tell.
    Inconclusive,
}

impl Verdict {
    /// Whether the candidate may stand in for the reference.
    pub fn is_good_enough(self) -> bool {
        matches!(self, Verdict::Better | Verdict::NotWorse)
    }
}

/// A verdict with its evidence. Differences are candidate less reference, above zero where the candidate is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is shown.
    pub verdict: Verdict,
    /// Mean score of the candidate less the reference's.
    pub difference: f64,
    /// Interval of the difference.
    pub interval: Interval,
    /// How much worse is still good enough, in the scores' unit; never negative.
    pub margin: f64,
    /// How many items both answered.
    pub items: usize,
    /// One-sided p-values of the three claims, raised by [`judge_family`] where several candidates were judged.
    pub p: OneSided,
    /// Two-sided p-value that the two differ at all: exact McNemar for right and wrong, paired permutation for other
    /// scores.
    pub p_differs: f64,
    /// How many more items would show on which side of the margin the candidate lies: worth telling where the verdict
    /// is inconclusive, and then [`Judgement::more_to_settle`] has it.
    pub to_settle: More,
    /// How many more items would show which of the two is better.
    pub to_tell_apart: More,
}

impl Judgement {
    /// Gives how many more items would settle the verdict; `None` where it is settled.
    pub fn more_to_settle(&self) -> Option<More> {
        (self.verdict == Verdict::Inconclusive).then_some(self.to_settle)
    }

    /// Gives how many more items would tell the two apart; `None` where they are shown to differ.
    pub fn more_to_tell_apart(&self) -> Option<More> {
        (!self.differs()).then_some(self.to_tell_apart)
    }

    /// Tells whether the two are shown to differ, either way and by however little.
    pub fn differs(&self) -> bool {
        self.p_differs <= 2.0 * self.interval.level.tail()
    }

    /// Tells whether the difference seen is beyond the margin already: more items would rather show that it is worse.
    pub fn leans_worse(&self) -> bool {
        self.difference <= -self.margin
    }
}

/// One-sided p-values of three claims: how easily the items would look like this were the claim false.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OneSided {
    /// That the candidate is better than the reference.
    pub better: f64,
    /// That the candidate is not worse by more than the margin.
    pub not_worse: f64,
    /// That the candidate is worse by more than the margin.
    pub worse: f64,
}

impl OneSided {
    pub(super) fn verdict(&self, level: Level) -> Verdict {
        let good_enough = self.not_worse <= level.alpha();
        if good_enough && self.better <= level.tail() {
            Verdict::Better
        } else if good_enough {
            Verdict::NotWorse
        } else if self.worse <= level.tail() {
            Verdict::Worse
        } else {
            Verdict::Inconclusive
        }
    }
}

/// Judges scores on the same items, larger is better, by Tango's score test: of counts where items are only right or
/// wrong, of [`Fractions`] where scores lie between ends or few items differ, of the mean's own spread where scores have
/// no ends and most items differ, so that they show it.
///
/// # Errors
/// `Margin` when it is negative or no number; `TooFew` below [`FEWEST_CLUSTERS`] independent items where scores are not
/// just right or wrong; `NoSpread` when all scores are the same number and that is neither 0 nor 1.
pub fn judge(pairs: &Pairs, margin: f64, bootstrap: &Bootstrap) -> Result<Judgement, StatsError> {
    check_margin(margin)?;
    Findings::by(pairs, bootstrap.level)?.judged(margin)
}

/// Judges counts of right and wrong.
///
/// # Errors
/// `Margin` when it is negative or no number, `Empty` without items.
pub fn judge_counts(table: &Table, margin: f64, level: Level) -> Result<Judgement, StatsError> {
    check_margin(margin)?;
    if table.items() == 0 {
        return Err(StatsError::Empty);
    }
    Findings::of_table(table, level).judged(margin)
}

fn check_margin(margin: f64) -> Result<(), StatsError> {
    if margin.is_finite() && margin >= 0.0 { Ok(()) } else { Err(StatsError::Margin(margin)) }
}

/// The fewest clusters that scores other than right and wrong are judged on: below, too little is known of how they
/// vary.
pub const FEWEST_CLUSTERS: usize = 10;

/// Whether enough was seen of how far scores without ends may differ: at least half of the items do, and none weighs so
/// much that there are in effect fewer than [`FEWEST_CLUSTERS`].
fn shows_its_spread(pairs: &Pairs) -> bool {
    let differences: Vec<f64> = pairs.differences().collect();
    let differing = pairs.clusters().iter().filter(|items| items.iter().any(|&i| differences[i] != 0.0)).count();
    2 * differing >= pairs.clusters().count() && pairs.effective_items() >= FEWEST_CLUSTERS as f64
}

/// What items show of two sides before anybody says how much worse is good enough: all that takes long. Every margin is
/// answered from it, and the answer is that of [`judge`].
#[derive(Debug, Clone)]
pub struct Findings {
    difference: f64,
    interval: Interval,
    items: usize,
    /// The p-value that the candidate is better, which no margin changes.
    better: f64,
    p_differs: f64,
    to_tell_apart: More,
    by: By,
    /// What whoever looked as the items came in could bet on, where half of the level is spent on that.
    watched: Option<Watched>,
}

/// Items that were looked at as they came in.
#[derive(Debug, Clone)]
struct Watched {
    bets: Bets,
    /// Whether they are all of them, so that the test for a fixed number holds, too.
    whole: bool,
}

impl Watched {
    /// Half of the level goes to looking all the time, half to the test on all items: each of the two may be wrong so
    /// often, and a claim takes either. What was stopped before its end has the first half only.
    fn split(&self, looking: f64, at_the_end: f64) -> f64 {
        (2.0 * if self.whole { looking.min(at_the_end) } else { looking }).min(1.0)
    }
}

/// What the claims about a margin are made of.
#[derive(Debug, Clone)]
enum By {
    /// Gains and losses in steps of a score, of items of which so many count as one.
    Counts { counts: Counts, step: f64, items_each: f64 },
    /// The mean's own spread, and its standard error.
    Spread(Mean, f64),
}

impl Findings {
    /// Sums up what pairs show.
    ///
    /// # Errors
    /// As [`judge`], but for the margin.
    pub fn by(pairs: &Pairs, level: Level) -> Result<Findings, StatsError> {
        if let Some(table) = pairs.table() {
            return Ok(Findings::of_table(&table, level));
        }
        let clusters = pairs.clusters().count();
        if clusters < FEWEST_CLUSTERS {
            return Err(StatsError::TooFew { have: clusters, need: FEWEST_CLUSTERS });
        }
        match pairs.has_ends() {
            true => Findings::of_fractions(pairs, 1.0, level),
            false if shows_its_spread(pairs) => Findings::of_spread(pairs, level),
            false => Findings::of_fractions(pairs, pairs.span(), level),
        }
    }

    fn of_table(table: &Table, level: Level) -> Findings {
        let counts = Counts::from(table);
        Findings {
            difference: table.difference(),
            interval: tango::interval(counts, level),
            items: table.items() as usize,
            better: tango::p_above(counts, 0.0),
            p_differs: table.mcnemar(),
            to_tell_apart: power::more_items(counts, 0.0, level.tail()),
            by: By::Counts { counts, step: 1.0, items_each: 1.0 },
            watched: None,
        }
    }

    fn of_spread(pairs: &Pairs, level: Level) -> Result<Findings, StatsError> {
        let mean = pairs.mean()?;
        let error = mean.standard_error();
        Ok(Findings {
            difference: mean.estimate(),
            interval: mean.interval(level),
            items: pairs.items(),
            better: mean.p_above(0.0),
            p_differs: pairs.p_differs(),
            to_tell_apart: power::more_scored_items(pairs.items(), mean.estimate(), error, level.tail()),
            by: By::Spread(mean, error),
            watched: None,
        })
    }

    /// Scores as parts gained and lost of the `span` that an item can differ by.
    fn of_fractions(pairs: &Pairs, span: f64, level: Level) -> Result<Findings, StatsError> {
        let Fractions { counts, step } = Fractions::of(pairs, span).ok_or(StatsError::NoSpread)?;
        let shares = tango::interval(counts, level);
        let difference = pairs.difference();
        let interval = Interval { low: shares.low * step, high: shares.high * step, ..shares };
        let items_each = pairs.items() as f64 / pairs.effective_items();
        Ok(Findings {
            difference,
            interval: interval.holding(difference),
            items: pairs.items(),
            better: tango::p_above(counts, 0.0),
            p_differs: pairs.p_differs(),
            to_tell_apart: power::more_items(counts, 0.0, level.tail()).times(items_each),
            by: By::Counts { counts, step, items_each },
            watched: None,
        })
    }

    /// Gives what the same items show to somebody who looked as they came in and might have stopped before the `whole`: half
    /// of the level is spent on that, and half is left for the test on all items. The interval of those that were stopped
    /// is one that holds at all times.
    pub fn watched(self, bets: Bets, whole: bool) -> Findings {
        let seen = Watched { bets, whole };
        let either = 2.0 * seen.bets.p_above(0.0).min(seen.bets.p_below(0.0));
        let interval = if whole { self.interval } else { seen.bets.interval(self.interval.level) };
        Findings {
            better: seen.split(seen.bets.p_above(0.0), self.better),
            p_differs: seen.split(either, self.p_differs),
            interval: interval.holding(self.difference),
            watched: Some(seen),
            ..self
        }
    }

    /// Gives the one-sided p-values of the claims about a margin, each for itself.
    ///
    /// # Errors
    /// `Margin` when it is negative or no number.
    pub fn claims(&self, margin: f64) -> Result<OneSided, StatsError> {
        check_margin(margin)?;
        let (not_worse, worse) = match &self.by {
            By::Counts { counts, step, .. } => {
                // shares cannot differ by more than one
                let limit = -(margin / step).min(1.0);
                (tango::p_above(*counts, limit), tango::p_below(*counts, limit))
            }
            By::Spread(mean, _) => (mean.p_above(-margin), mean.p_below(-margin)),
        };
        let Some(seen) = &self.watched else { return Ok(OneSided { better: self.better, not_worse, worse }) };
        Ok(OneSided {
            better: self.better,
            not_worse: seen.split(seen.bets.p_above(-margin), not_worse),
            worse: seen.split(seen.bets.p_below(-margin), worse),
        })
    }

    /// Gives the interval of the difference, which no margin changes.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Gives the verdict for a margin, as [`judge`] does.
    ///
    /// # Errors
    /// `Margin` when it is negative or no number.
    pub fn judged(&self, margin: f64) -> Result<Judgement, StatsError> {
        let p = self.claims(margin)?;
        let level = self.interval.level;
        let tail = if self.difference > -margin { level.alpha() } else { level.tail() };
        let to_settle = match &self.by {
            By::Counts { counts, step, items_each } => {
                power::more_items(*counts, -margin / step, tail).times(*items_each)
            }
            By::Spread(_, error) => power::more_scored_items(self.items, self.difference + margin, *error, tail),
        };
        Ok(Judgement {
            verdict: p.verdict(level),
            difference: self.difference,
            interval: self.interval,
            margin,
            items: self.items,
            p,
            p_differs: self.p_differs,
            to_settle,
            to_tell_apart: self.to_tell_apart,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Method;
    use crate::stats::betting::Unit;

    fn judged(both: u64, gained: u64, lost: u64, neither: u64, margin: f64) -> Judgement {
        judge_counts(&Table { both, gained, lost, neither }, margin, Level::P95).unwrap()
    }

    /// Scores of `n` items whose differences wave around `shift`, deterministic and never equal.
    fn waving(n: usize, shift: f64, wave: f64) -> Pairs {
        let reference: Vec<f64> = (0..n).map(|i| 0.5 + 0.3 * (i as f64 * 0.7).sin()).collect();
        let candidate =
            reference.iter().enumerate().map(|(i, r)| r + shift + wave * (i as f64 * 2.3 + 0.4).sin()).collect();
        Pairs::new(reference, candidate).unwrap()
    }

    #[test]
    fn each_verdict_has_its_place() {
        assert_eq!(judged(150, 30, 5, 15, 0.02).verdict, Verdict::Better);
        assert_eq!(judged(800, 10, 12, 178, 0.02).verdict, Verdict::NotWorse);
        assert_eq!(judged(120, 2, 40, 38, 0.02).verdict, Verdict::Worse);
        assert_eq!(judged(150, 5, 7, 38, 0.02).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn surely_a_little_worse_is_still_not_worse_by_the_margin() {
        let judgement = judged(9000, 5, 60, 935, 0.02);
        assert!(judgement.interval.high < 0.0 && judgement.differs());
        assert_eq!(judgement.verdict, Verdict::NotWorse);
    }

    #[test]
    fn agreeing_on_few_items_shows_nothing_yet() {
        let judgement = judged(40, 0, 0, 10, 0.02);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        let more = judgement.more_to_settle().and_then(More::about);
        assert!(more.is_some_and(|items| items > 20), "{judgement:?}");
    }

    #[test]
    fn who_looks_as_items_come_in_spends_half_of_the_level_on_it() {
        let of = |items: u64, lost: u64, whole: bool| {
            let table = Table { both: items - lost, gained: 0, lost, neither: 0 };
            let moved = |i: u64| if i < lost { -1.0 } else { 0.0 };
            let units = (0..items).map(|i| Unit { weight: 1.0, moved: moved(i) }).collect();
            let alone = Findings::of_table(&table, Level::P95);
            (alone.clone().watched(Bets::new(units, 1.0, 1.0).unwrap(), whole).judged(0.03).unwrap(), alone)
        };
        // nothing lost: bets show it early, and whether there is more to come changes nothing
        let ((early, _), (late, _)) = (of(300, 0, false), of(300, 0, true));
        assert_eq!((early.verdict, late.verdict), (Verdict::NotWorse, Verdict::NotWorse));
        assert!(early.p.not_worse > late.p.not_worse && early.interval.method == Method::Betting);
        assert!(early.interval.half_width() > late.interval.half_width());
        // a few lost: only the test on all items shows it, at half of the level
        let ((early, _), (late, alone)) = (of(300, 2, false), of(300, 2, true));
        assert_eq!((early.verdict, late.verdict), (Verdict::Inconclusive, Verdict::NotWorse));
        assert_eq!(late.p.not_worse, 2.0 * alone.claims(0.03).unwrap().not_worse);
    }

    #[test]
    fn the_verdict_agrees_with_the_interval() {
        for (gained, lost) in [(0, 0), (3, 3), (10, 4), (4, 10), (25, 2), (2, 25), (1, 60)] {
            for margin in [0.0, 0.01, 0.05, 0.2] {
                let j = judged(200, gained, lost, 40, margin);
                let counts = Counts::from(&Table { both: 200, gained, lost, neither: 40 });
                let expected = if j.interval.low > 0.0 {
                    Verdict::Better
                } else if tango::interval(counts, Level::P90).low > -margin {
                    Verdict::NotWorse
                } else if j.interval.high < -margin {
                    Verdict::Worse
                } else {
                    Verdict::Inconclusive
                };
                assert_eq!(j.verdict, expected, "{j:?}");
            }
        }
    }

    #[test]
    fn general_scores_are_judged_by_their_mean() {
        let boot = Bootstrap::new(1);
        let verdict = |pairs: &Pairs| judge(pairs, 0.05, &boot).unwrap().verdict;
        assert_eq!(verdict(&waving(200, 0.2, 0.3)), Verdict::Better);
        assert_eq!(verdict(&waving(200, 0.0, 0.1)), Verdict::NotWorse);
        assert_eq!(verdict(&waving(200, -0.3, 0.2)), Verdict::Worse);
        assert_eq!(verdict(&waving(40, -0.02, 0.5)), Verdict::Inconclusive);
        assert_eq!(judge(&waving(200, 0.2, 0.3), 0.05, &boot).unwrap().interval.method, Method::Score);
    }

    #[test]
    fn one_odd_item_makes_nobody_sure() {
        let mut scores: Vec<f64> = (0..100).map(|i| f64::from(i % 3) / 2.0).collect();
        let reference = scores.clone();
        scores[5] -= 0.5;
        let judgement = judge(&Pairs::new(reference, scores).unwrap(), 0.02, &Bootstrap::new(1)).unwrap();
        assert_eq!((judgement.verdict, judgement.interval.method), (Verdict::Inconclusive, Method::Tango));
        assert!(judgement.interval.contains(judgement.difference) && judgement.interval.half_width() > 0.02);
    }

    #[test]
    fn clusters_widen_what_copies_seem_to_know() {
        let keys: Vec<usize> = (0..240).map(|i| i / 6).collect();
        let reference: Vec<f64> = (0..240).map(|i| f64::from(u8::from(i % 4 != 0))).collect();
        let candidate: Vec<f64> =
            reference.iter().enumerate().map(|(i, r)| if (i / 6) % 5 == 0 { 1.0 - r } else { *r }).collect();
        let plain = Pairs::new(reference, candidate).unwrap();
        let boot = Bootstrap::new(1);
        let alone = judge(&plain, 0.02, &boot).unwrap();
        let together = judge(&plain.clone().clustered(&keys).unwrap(), 0.02, &boot).unwrap();
        assert_eq!((alone.interval.method, together.interval.method), (Method::Tango, Method::Tango));
        assert!(together.interval.half_width() > alone.interval.half_width());
    }

    #[test]
    fn refuses_what_cannot_be_judged() {
        let boot = Bootstrap::new(1);
        let five = Pairs::new(vec![0.3; 5], vec![0.4; 5]).unwrap();
        assert_eq!(judge(&five, 0.1, &boot), Err(StatsError::TooFew { have: 5, need: 10 }));
        let flat = Pairs::new(vec![-3.0; 50], vec![-3.0; 50]).unwrap();
        assert_eq!(judge(&flat, 0.1, &boot), Err(StatsError::NoSpread));
        assert_eq!(judge(&flat, -0.1, &boot), Err(StatsError::Margin(-0.1)));
        assert_eq!(judge_counts(&Table::default(), 0.1, Level::P95), Err(StatsError::Empty));
    }

    /// Judges candidates, each with its tasks, as one family.
    fn family(candidates: &[Vec<Judgement>]) -> Vec<Vec<Judgement>> {
        let mut all = candidates.to_vec();
        let mut family: Vec<Candidate> = all
            .iter_mut()
            .map(|tasks| Candidate { judgements: tasks.iter_mut().collect(), in_question: true, left: false })
            .collect();
        judge_family(&mut family);
        all
    }

    #[test]
    fn many_candidates_are_judged_more_strictly() {
        let alone = judged(470, 10, 12, 8, 0.025);
        assert_eq!(alone.verdict, Verdict::NotWorse);
        let mut many = vec![vec![alone]];
        many.extend(vec![vec![judged(400, 40, 42, 18, 0.03)]; 5]);
        let together = family(&many)[0][0];
        assert!(together.p.not_worse >= alone.p.not_worse && together.p_differs >= alone.p_differs);
        assert_eq!((together.interval, together.verdict), (alone.interval, Verdict::Inconclusive), "{together:?}");
        let (Some(many), Some(one)) = (together.to_settle.about(), alone.to_settle.about()) else {
            panic!("{together:?}")
        };
        assert!(many > one, "{many} against {one}");
    }

    #[test]
    fn a_candidate_is_as_good_as_its_worst_task_and_more_tasks_cost_nothing() {
        let (strong, weak) = (judged(900, 5, 5, 90, 0.03), judged(470, 10, 12, 8, 0.03));
        let one = family(&[vec![weak]]);
        let five = family(&[vec![strong, strong, weak, strong, strong]]);
        assert_eq!(one[0][0].p.not_worse, five[0][2].p.not_worse, "nothing is raised over tasks");
        let two = family(&[vec![strong, weak], vec![strong, strong]]);
        assert_eq!(
            two[1][0].p.not_worse,
            2.0 * strong.p.not_worse * SIZE,
            "the first in Holm's order is held against both"
        );
        assert_eq!(two[0][1].p.not_worse, weak.p.not_worse * SIZE, "the last against itself");
    }

    #[test]
    fn eight_variants_that_answer_all_alike_are_not_worse() {
        let alike = family(&vec![vec![judged(300, 0, 0, 60, 0.02)]; 8]);
        assert!(alike.iter().flatten().all(|j| j.verdict == Verdict::NotWorse), "{:?}", alike[0]);
    }

    #[test]
    fn who_is_not_in_question_costs_the_others_nothing() {
        let weak = judged(470, 10, 12, 8, 0.03);
        let mut tasks = vec![vec![weak]; 4];
        let mut candidates: Vec<Candidate> = tasks
            .iter_mut()
            .enumerate()
            .map(|(i, judgements)| Candidate {
                judgements: judgements.iter_mut().collect(),
                in_question: i == 0,
                left: false,
            })
            .collect();
        judge_family(&mut candidates);
        assert_eq!(tasks[0][0].p.not_worse, weak.p.not_worse * SIZE);
        assert!(tasks[1][0].p.not_worse > weak.p.not_worse, "the others are held against the strictest line");
    }

    #[test]
    fn one_long_text_that_got_worse_is_no_good_text_in_ninety_two() {
        // 1,000 words lose 0.5 nat a word, 91 texts of 10 words are equal: 1.299 times the perplexity.
        let reference = vec![-3.0; 92];
        let mut candidate = reference.clone();
        candidate[0] -= 0.5;
        let mut weights = vec![10.0; 92];
        weights[0] = 1000.0;
        let pairs = Pairs::new(reference, candidate).unwrap().weighted(weights).unwrap();
        let judgement = judge(&pairs, 1.03_f64.ln(), &Bootstrap::new(1)).unwrap();
        assert!((-judgement.difference).exp() > 1.298 && judgement.interval.contains(judgement.difference));
        assert!(!judgement.verdict.is_good_enough(), "{judgement:?}");
    }

    #[test]
    fn one_more_lost_item_never_helps_in_pairs() {
        let keys: Vec<usize> = (0..350).map(|i| i / 2).collect();
        for (margin, step) in [(0.02, 2), (0.03, 2), (0.05, 2), (0.03, 1), (0.05, 7)] {
            let p = |lost: usize| {
                let candidate = (0..350).map(|i| f64::from(u8::from(i % step != 0 || i / step >= lost))).collect();
                let pairs = Pairs::new(vec![1.0; 350], candidate).unwrap().clustered(&keys).unwrap();
                judge(&pairs, margin, &Bootstrap::new(1)).unwrap().p.not_worse
            };
            let all: Vec<f64> = (0..30).map(p).collect();
            for (lost, two) in all.windows(2).enumerate() {
                assert!(two[1] >= two[0] - 1e-9, "margin {margin}: {lost} lost and one more: {two:?}");
            }
        }
    }

    #[test]
    fn margins_wider_than_the_scale_are_met_by_anything() {
        assert_eq!(judged(10, 0, 30, 10, 2.0).verdict, Verdict::NotWorse);
    }
}

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

use super::power::{self, More};
use super::{Bootstrap, Interval, Level, Method, Pairs, StatsError, Table, multiple, tango};
use serde::{Deserialize, Serialize};

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
    /// One-sided p-values of the three claims, raised by [`holm`] where several candidates were judged.
    pub p: OneSided,
    /// Two-sided p-value that the two differ at all: exact McNemar for right and wrong, paired permutation for other
    /// scores.
    pub p_differs: f64,
    /// How many more items would show on which side of the margin the candidate lies, if the truth is as seen: worth
    /// telling where the verdict is inconclusive, and then [`Judgement::more_to_settle`] has it.
    pub to_settle: More,
    /// How many more items would show which of the two is better, if the truth is as seen.
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
    /// At `tail`, half of what the interval leaves out, this agrees with where the interval lies.
    fn verdict(&self, tail: f64) -> Verdict {
        if self.better <= tail {
            Verdict::Better
        } else if self.not_worse <= tail {
            Verdict::NotWorse
        } else if self.worse <= tail {
            Verdict::Worse
        } else {
            Verdict::Inconclusive
        }
    }
}

/// Judges scores on the same items, larger is better: Tango's score method where items are only right or wrong, the
/// bootstrap otherwise.
///
/// # Errors
/// `Margin` when it is negative or no number; `TooFew` below [`FEWEST_CLUSTERS`] independent items where scores are not
/// just right or wrong; `NoSpread` when all scores are the same number and that is neither 0 nor 1.
pub fn judge(pairs: &Pairs, margin: f64, bootstrap: &Bootstrap) -> Result<Judgement, StatsError> {
    check_margin(margin)?;
    match pairs.table() {
        Some(table) => Ok(judge_table(&table, margin, bootstrap.level)),
        None => judge_scores(pairs, margin, bootstrap),
    }
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
    Ok(judge_table(table, margin, level))
}

fn check_margin(margin: f64) -> Result<(), StatsError> {
    if margin.is_finite() && margin >= 0.0 { Ok(()) } else { Err(StatsError::Margin(margin)) }
}

fn judge_table(table: &Table, margin: f64, level: Level) -> Judgement {
    let limit = -margin.min(1.0); // shares cannot differ by more
    let seen = Seen {
        difference: table.difference(),
        interval: tango::interval(table, level),
        margin,
        items: table.items() as usize,
        p: OneSided {
            better: tango::p_above(table, 0.0),
            not_worse: tango::p_above(table, limit),
            worse: tango::p_below(table, limit),
        },
        p_differs: table.mcnemar(),
    };
    seen.judged(|from| power::more_items(table, from, level))
}

/// The fewest clusters that scores other than right and wrong are judged on: below, a bootstrap knows too little of how
/// they vary.
pub const FEWEST_CLUSTERS: usize = 10;
/// The fewest clusters that must differ: below, the bootstrap has hardly met the differences it is to draw from.
const FEWEST_DIFFERING: u64 = 10;

fn judge_scores(pairs: &Pairs, margin: f64, bootstrap: &Bootstrap) -> Result<Judgement, StatsError> {
    let clusters = pairs.clusters().count();
    if clusters < FEWEST_CLUSTERS {
        return Err(StatsError::TooFew { have: clusters, need: FEWEST_CLUSTERS });
    }
    let by_cluster = count_differences(pairs);
    if by_cluster.flips() < FEWEST_DIFFERING {
        return judge_rare_differences(pairs, &by_cluster, margin, bootstrap);
    }
    let replicates = pairs.bootstrap(bootstrap)?;
    let error = replicates.standard_error();
    let seen = Seen {
        difference: replicates.estimate(),
        interval: replicates.interval(bootstrap.level),
        margin,
        items: pairs.items(),
        p: OneSided {
            better: replicates.p_above(0.0),
            not_worse: replicates.p_above(-margin),
            worse: replicates.p_below(-margin),
        },
        p_differs: pairs.p_differs(bootstrap.seed),
    };
    Ok(seen.judged(|from| power::more_scored_items(pairs.items(), pairs.difference() - from, error, bootstrap.level)))
}

/// Two variants that score almost every item alike: a bootstrap would draw the same few differences and be far too sure
/// (with none it would be certain). Each difference is taken as large as scores can differ, and clusters as single
/// items, so that Tango's interval for rare flips holds for it too.
fn judge_rare_differences(
    pairs: &Pairs,
    by_cluster: &Table,
    margin: f64,
    bootstrap: &Bootstrap,
) -> Result<Judgement, StatsError> {
    let span = if pairs.are_right_or_wrong() { 1.0 } else { pairs.span() };
    if span <= 0.0 {
        return Err(StatsError::NoSpread);
    }
    let coarse = judge_table(by_cluster, margin / span, bootstrap.level);
    let scaled = Interval {
        low: coarse.interval.low * span,
        high: coarse.interval.high * span,
        level: bootstrap.level,
        method: Method::Tango,
    };
    let difference = pairs.difference();
    let seen = Seen {
        difference,
        interval: scaled.holding(difference),
        margin,
        items: pairs.items(),
        p: coarse.p,
        p_differs: pairs.p_differs(bootstrap.seed),
    };
    let items_per_cluster = pairs.items() as f64 / by_cluster.items() as f64;
    Ok(seen.judged(|from| power::more_items(by_cluster, from / span, bootstrap.level).times(items_per_cluster)))
}

/// Counts the clusters by whether the candidate scored higher (gained) or lower (lost) in them.
fn count_differences(pairs: &Pairs) -> Table {
    let differences: Vec<f64> = pairs.differences().collect();
    let mut table = Table::default();
    for items in pairs.clusters().iter() {
        let sum: f64 = items.iter().map(|&i| differences[i]).sum();
        *if sum > 0.0 {
            &mut table.gained
        } else if sum < 0.0 {
            &mut table.lost
        } else {
            &mut table.both
        } += 1;
    }
    table
}

/// What was seen, before anything is said about it.
struct Seen {
    difference: f64,
    interval: Interval,
    margin: f64,
    items: usize,
    p: OneSided,
    p_differs: f64,
}

impl Seen {
    /// `more(from)` is how many more items would show on which side of `from` the difference lies.
    fn judged(self, more: impl Fn(f64) -> More) -> Judgement {
        let Seen { difference, interval, margin, items, p, p_differs } = self;
        Judgement {
            verdict: p.verdict(interval.level.tail()),
            difference,
            interval,
            margin,
            items,
            p,
            p_differs,
            to_settle: more(-margin),
            to_tell_apart: more(0.0),
        }
    }
}

/// Judges several candidates at once: p-values are raised by Holm's method, claim by claim, and verdicts drawn again,
/// so that the chance of even one false "not worse" among them stays what one test promised; the numbers of items that
/// would settle more grow with it. Intervals stay as they were, each for itself.
pub fn holm(judgements: &mut [Judgement]) {
    adjust(judgements, |j| &mut j.p.better);
    adjust(judgements, |j| &mut j.p.not_worse);
    adjust(judgements, |j| &mut j.p.worse);
    adjust(judgements, |j| &mut j.p_differs);
    let tests = judgements.len();
    for judgement in judgements {
        let level = judgement.interval.level;
        judgement.verdict = judgement.p.verdict(level.tail());
        judgement.to_settle = judgement.to_settle.among(tests, judgement.items, level);
        judgement.to_tell_apart = judgement.to_tell_apart.among(tests, judgement.items, level);
    }
}

fn adjust(judgements: &mut [Judgement], p: impl Fn(&mut Judgement) -> &mut f64) {
    let raw: Vec<f64> = judgements.iter_mut().map(|j| *p(j)).collect();
    for (judgement, adjusted) in judgements.iter_mut().zip(multiple::holm(&raw)) {
        *p(judgement) = adjusted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches!(judgement.more_to_settle(), Some(More::Items(n)) if n > 100), "{judgement:?}");
    }

    #[test]
    fn the_verdict_agrees_with_the_interval() {
        for (gained, lost) in [(0, 0), (3, 3), (10, 4), (4, 10), (25, 2), (2, 25), (1, 60)] {
            for margin in [0.0, 0.01, 0.05, 0.2] {
                let j = judged(200, gained, lost, 40, margin);
                let expected = if j.interval.low > 0.0 {
                    Verdict::Better
                } else if j.interval.low > -margin {
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
    fn general_scores_are_judged_by_bootstrap() {
        let boot = Bootstrap::new(1);
        let verdict = |pairs: &Pairs| judge(pairs, 0.05, &boot).unwrap().verdict;
        assert_eq!(verdict(&waving(200, 0.2, 0.3)), Verdict::Better);
        assert_eq!(verdict(&waving(200, 0.0, 0.1)), Verdict::NotWorse);
        assert_eq!(verdict(&waving(200, -0.3, 0.2)), Verdict::Worse);
        assert_eq!(verdict(&waving(40, -0.02, 0.5)), Verdict::Inconclusive);
        assert_eq!(judge(&waving(200, 0.2, 0.3), 0.05, &boot).unwrap().interval.method, Method::BootstrapBca);
    }

    #[test]
    fn one_odd_item_does_not_make_a_bootstrap_sure() {
        let mut scores: Vec<f64> = (0..100).map(|i| f64::from(i % 3) / 2.0).collect();
        let reference = scores.clone();
        scores[5] -= 0.5;
        let judgement = judge(&Pairs::new(reference, scores).unwrap(), 0.02, &Bootstrap::new(1)).unwrap();
        assert_eq!((judgement.verdict, judgement.interval.method), (Verdict::Inconclusive, Method::Tango));
        assert!(judgement.interval.contains(judgement.difference) && judgement.interval.half_width() > 0.03);
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
        let flat = Pairs::new(vec![0.3; 50], vec![0.3; 50]).unwrap();
        assert_eq!(judge(&flat, 0.1, &boot), Err(StatsError::NoSpread));
        assert_eq!(judge(&flat, -0.1, &boot), Err(StatsError::Margin(-0.1)));
        assert_eq!(judge_counts(&Table::default(), 0.1, Level::P95), Err(StatsError::Empty));
    }

    #[test]
    fn many_candidates_are_judged_more_strictly() {
        let mut many = vec![judged(470, 10, 12, 8, 0.03); 1];
        let alone = many[0];
        assert_eq!(alone.verdict, Verdict::NotWorse);
        many.extend([judged(400, 40, 42, 18, 0.03); 5]);
        holm(&mut many);
        assert!(many[0].p.not_worse >= alone.p.not_worse && many[0].p_differs >= alone.p_differs);
        assert_eq!(many[0].interval, alone.interval);
        assert_eq!(many[0].verdict, Verdict::Inconclusive, "{:?} alone {:?}", many[0].p, alone.p);
        let (More::Items(together), More::Items(one)) = (many[0].to_settle, alone.to_settle) else {
            panic!("{many:?}")
        };
        assert!(together > one, "{together} against {one}");
    }

    #[test]
    fn margins_wider_than_the_scale_are_met_by_anything() {
        assert_eq!(judged(10, 0, 30, 10, 2.0).verdict, Verdict::NotWorse);
    }
}

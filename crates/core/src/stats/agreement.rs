//! Agreement of two lists of classes: macro F1 and Matthews' correlation, which are computed of a whole sample and are
//! no mean of its items. Each with its interval, made of what a single item moves.

use super::interval::{self, Interval, Level, Method};
use super::{Clusters, StatsError};

/// The fewest items of each class that an interval is made of: with fewer, its F1 is anything.
pub const FEWEST_IN_CLASS: usize = 10;

/// A confusion matrix: how often class `found` was given where class `right` was due.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    classes: usize,
    /// (right, found), row after row.
    counts: Vec<f64>,
}

impl Confusion {
    /// Counts pairs (found, right), classes numbered from 0.
    pub fn of(pairs: &[(usize, usize)]) -> Confusion {
        let classes = pairs.iter().map(|&(found, right)| found.max(right) + 1).max().unwrap_or(0);
        let mut counts = vec![0.0; classes * classes];
        for (found, right) in pairs {
            counts[right * classes + found] += 1.0;
        }
        Confusion { classes, counts }
    }

    /// Copies the matrix without one such pair, which must be in it.
    pub fn without(&self, (found, right): (usize, usize)) -> Confusion {
        let mut less = self.clone();
        less.counts[right * self.classes + found] -= 1.0;
        less
    }

    /// The mean of the classes' F1 = 2 tp / (2 tp + fp + fn), over the classes that were due or found (scikit-learn's
    /// `f1_score` with `average="macro"`). NaN without items.
    pub fn macro_f1(&self) -> f64 {
        let scores = (0..self.classes).filter_map(|class| {
            let (right, found) = (self.right(class), self.found(class));
            (right + found > 0.0).then(|| 2.0 * self.count(class, class) / (right + found))
        });
        let (sum, seen) = scores.fold((0.0, 0.0), |(sum, seen), f1| (sum + f1, seen + 1.0));
        sum / seen
    }

    /// F1 of class 1, of two classes: 2 tp / (2 tp + fp + fn), and 0 where class 1 is neither due nor found (scikit-learn's
    /// `f1_score`). NaN without items, and for more classes than two.
    pub fn f1(&self) -> f64 {
        if self.classes == 0 || (2..self.classes).any(|k| self.right(k) + self.found(k) > 0.0) {
            return f64::NAN;
        }
        let seen = if self.classes > 1 { self.right(1) + self.found(1) } else { 0.0 };
        if seen > 0.0 { 2.0 * self.count(1, 1) / seen } else { 0.0 }
    }

    /// Matthews' correlation for any number of classes: the correlation of the two as indicators (Gorodkin 2004,
    /// "Comparing two K-category assignments by a K-category correlation coefficient", eq. 8). 0 where one side names a
    /// single class, as scikit-learn has it; NaN without items.
    pub fn mcc(&self) -> f64 {
        let all: f64 = self.counts.iter().sum();
        if all == 0.0 {
            return f64::NAN;
        }
        let over = |of: &dyn Fn(usize) -> f64| (0..self.classes).map(of).sum::<f64>();
        let hit = over(&|k| self.count(k, k));
        let covariance = hit * all - over(&|k| self.right(k) * self.found(k));
        let spread = (all * all - over(&|k| self.found(k).powi(2))) * (all * all - over(&|k| self.right(k).powi(2)));
        if spread <= 0.0 { 0.0 } else { covariance / spread.sqrt() }
    }

    /// What one more item moves macro F1, for each (right, found): the derivative of
    /// [`macro_f1`](Confusion::macro_f1) by that count.
    fn moves_macro_f1(&self) -> Vec<f64> {
        let totals: Vec<f64> = (0..self.classes).map(|k| self.right(k) + self.found(k)).collect();
        let of_class = |k: usize| if totals[k] > 0.0 { 2.0 * self.count(k, k) / totals[k] } else { 0.0 };
        let per_item: Vec<f64> =
            (0..self.classes).map(|k| if totals[k] > 0.0 { of_class(k) / totals[k] } else { 0.0 }).collect();
        let present = totals.iter().filter(|total| **total > 0.0).count() as f64;
        self.each(|right, found| {
            let hit = if right == found && totals[right] > 0.0 { 2.0 / totals[right] } else { 0.0 };
            (hit - per_item[right] - per_item[found]) / present
        })
    }

    /// What one more item moves Matthews' correlation, for each (right, found).
    fn moves_mcc(&self) -> Vec<f64> {
        let all: f64 = self.counts.iter().sum();
        let over = |of: &dyn Fn(usize) -> f64| (0..self.classes).map(of).sum::<f64>();
        let hit = over(&|k| self.count(k, k));
        let covariance = hit * all - over(&|k| self.right(k) * self.found(k));
        let (found_spread, right_spread) =
            (all * all - over(&|k| self.found(k).powi(2)), all * all - over(&|k| self.right(k).powi(2)));
        let scale = (found_spread * right_spread).sqrt();
        let (rights, founds): (Vec<f64>, Vec<f64>) = (0..self.classes).map(|k| (self.right(k), self.found(k))).unzip();
        self.each(|right, found| {
            let moved = if right == found { all } else { 0.0 } + hit - founds[right] - rights[found];
            let spread = (all - founds[found]) / found_spread + (all - rights[right]) / right_spread;
            if scale > 0.0 { (moved - covariance * spread) / scale } else { 0.0 }
        })
    }

    fn each(&self, of: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.counts.len()).map(|at| of(at / self.classes, at % self.classes)).collect()
    }

    /// What each class is given beside its items, so that no mistake seen is not taken for none possible: one more right
    /// and one more wrong item (Agresti and Coull 1998 for a share), the wrong one spread over the other classes.
    fn beside(&self) -> Vec<f64> {
        let present: Vec<bool> = (0..self.classes).map(|k| self.right(k) + self.found(k) > 0.0).collect();
        let others = present.iter().filter(|present| **present).count() as f64 - 1.0;
        self.each(|right, found| match present[right] && present[found] {
            true if right == found => 1.0,
            true => 1.0 / others,
            false => 0.0,
        })
    }

    fn count(&self, right: usize, found: usize) -> f64 {
        self.counts[right * self.classes + found]
    }

    fn right(&self, class: usize) -> f64 {
        (0..self.classes).map(|found| self.count(class, found)).sum()
    }

    fn found(&self, class: usize) -> f64 {
        (0..self.classes).map(|right| self.count(right, class)).sum()
    }
}

/// Computes the interval of the macro F1 of pairs (found, right), items of a cluster taken together.
///
/// # Errors
/// `SmallClass` where a class has fewer than [`FEWEST_IN_CLASS`] items, `TooFew` below two clusters or two classes,
/// `Unpaired` where clusters are of another number of items.
pub fn macro_f1_interval(pairs: &[(usize, usize)], clusters: &Clusters, level: Level) -> Result<Interval, StatsError> {
    let confusion = Confusion::of(pairs);
    let known = Known { share: confusion.macro_f1(), share_of: Confusion::macro_f1, moves: Confusion::moves_macro_f1 };
    of_moves(&confusion, pairs, clusters, &known, level)
}

/// Computes the interval of Matthews' correlation of pairs (found, right), items of a cluster taken together.
///
/// # Errors
/// As for [`macro_f1_interval`].
pub fn mcc_interval(pairs: &[(usize, usize)], clusters: &Clusters, level: Level) -> Result<Interval, StatsError> {
    let confusion = Confusion::of(pairs);
    let halved = |of: &Confusion| of.moves_mcc().iter().map(|moved| 0.5 * moved).collect();
    let share_of = |of: &Confusion| 0.5 * (1.0 + of.mcc());
    let known = Known { share: share_of(&confusion), share_of, moves: halved };
    let share = of_moves(&confusion, pairs, clusters, &known, level)?;
    Ok(Interval { low: 2.0 * share.low - 1.0, high: 2.0 * share.high - 1.0, ..share })
}

/// A number from 0 to 1 of a confusion matrix.
struct Known {
    share: f64,
    share_of: fn(&Confusion) -> f64,
    /// What one more item moves it.
    moves: fn(&Confusion) -> Vec<f64>,
}

/// The interval of a share of as many independent items as would know the number equally well: its variance is that of
/// what each item moves (the delta method; Takahashi et al., "Confidence interval for micro-averaged F1 and
/// macro-averaged F1 scores", 2022), taken where each class has one more right and one more wrong item.
fn of_moves(
    confusion: &Confusion,
    pairs: &[(usize, usize)],
    clusters: &Clusters,
    known: &Known,
    level: Level,
) -> Result<Interval, StatsError> {
    if clusters.items() != pairs.len() {
        return Err(StatsError::Unpaired { reference: pairs.len(), candidate: clusters.items() });
    }
    if clusters.count() < 2 {
        return Err(StatsError::TooFew { have: clusters.count(), need: 2 });
    }
    check_classes(confusion)?;
    let beside = confusion.beside();
    let mut fuller = confusion.clone();
    fuller.counts.iter_mut().zip(&beside).for_each(|(count, more)| *count += more);
    let moves = (known.moves)(&fuller);
    let of_item = |&item: &usize| moves[pairs[item].1 * confusion.classes + pairs[item].0];
    let of_items = clusters.iter().map(|items| items.iter().map(of_item).sum::<f64>().powi(2)).sum::<f64>();
    let of_beside = beside.iter().zip(&moves).map(|(count, moved)| count * moved * moved).sum::<f64>();
    let (n, groups) = (pairs.len() as f64, clusters.count() as f64);
    let fuller_by = (n + beside.iter().sum::<f64>()) / n;
    let variance = (of_items + of_beside) * fuller_by * groups / (groups - 1.0);
    let near = (known.share_of)(&fuller);
    let items = near * (1.0 - near) / variance;
    Ok(Interval { method: Method::Influence, ..interval::share(known.share, items, level) })
}

fn check_classes(confusion: &Confusion) -> Result<(), StatsError> {
    let present = (0..confusion.classes).filter(|&k| confusion.right(k) + confusion.found(k) > 0.0);
    let sizes: Vec<usize> = present.map(|k| confusion.right(k) as usize).collect();
    match sizes.iter().min() {
        Some(&have) if have < FEWEST_IN_CLASS => Err(StatsError::SmallClass { have, need: FEWEST_IN_CLASS }),
        _ if sizes.len() < 2 => Err(StatsError::TooFew { have: sizes.len(), need: 2 }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `of` items of each of `classes` classes, every `wrong`-th of which is taken for the next class.
    fn answers(classes: usize, of: usize, wrong: usize) -> Vec<(usize, usize)> {
        let found = |right: usize, i: usize| if i % wrong == wrong - 1 { (right + 1) % classes } else { right };
        (0..classes).flat_map(|right| (0..of).map(move |i| (found(right, i), right))).collect()
    }

    fn each(n: usize) -> Clusters {
        Clusters::each(n).unwrap()
    }

    #[test]
    fn two_even_classes_are_known_as_well_as_their_accuracy() {
        let pairs = answers(2, 100, 5);
        let accuracy = interval::wilson(160, 200, Level::P95).unwrap();
        let f1 = macro_f1_interval(&pairs, &each(200), Level::P95).unwrap();
        let mcc = mcc_interval(&pairs, &each(200), Level::P95).unwrap();
        assert!((f1.low - accuracy.low).abs() < 0.005 && (f1.high - accuracy.high).abs() < 0.005, "{f1:?}");
        assert!(
            (mcc.low - (2.0 * accuracy.low - 1.0)).abs() < 0.01
                && (mcc.high - (2.0 * accuracy.high - 1.0)).abs() < 0.01
        );
    }

    #[test]
    fn moves_are_derivatives() {
        let confusion = Confusion::of(&answers(3, 20, 4));
        for (of, moves) in [
            (Confusion::macro_f1 as fn(&Confusion) -> f64, confusion.moves_macro_f1()),
            (Confusion::mcc, confusion.moves_mcc()),
        ] {
            for (at, moved) in moves.iter().enumerate() {
                let mut more = confusion.clone();
                more.counts[at] += 1e-5;
                assert!(((of(&more) - of(&confusion)) / 1e-5 - moved).abs() < 1e-5, "{at}");
            }
        }
    }

    #[test]
    fn no_mistake_seen_is_not_none_possible() {
        let all_right = answers(2, 30, 1000);
        let f1 = macro_f1_interval(&all_right, &each(60), Level::P95).unwrap();
        assert!(f1.high == 1.0 && f1.low > 0.9 && f1.low < 0.97, "{f1:?}");
        let mcc = mcc_interval(&all_right, &each(60), Level::P95).unwrap();
        assert!(mcc.high == 1.0 && mcc.low > 0.8 && mcc.low < 0.95, "{mcc:?}");
    }

    #[test]
    fn copies_in_a_cluster_add_no_certainty() {
        let once = answers(2, 40, 6);
        let thrice: Vec<_> = once.iter().flat_map(|&pair| [pair; 3]).collect();
        let keys: Vec<usize> = (0..thrice.len()).map(|i| i / 3).collect();
        let together = macro_f1_interval(&thrice, &Clusters::by(&keys).unwrap(), Level::P95).unwrap();
        let honest = macro_f1_interval(&once, &each(80), Level::P95).unwrap();
        assert!((together.half_width() - honest.half_width()).abs() < 0.01, "{together:?} {honest:?}");
    }

    #[test]
    fn a_class_of_a_few_items_gives_no_interval() {
        let mut pairs = answers(2, 30, 4);
        pairs.extend([(2, 2); 3]);
        let refused = macro_f1_interval(&pairs, &each(63), Level::P95);
        assert_eq!(refused, Err(StatsError::SmallClass { have: 3, need: 10 }));
        assert!(mcc_interval(&[(0, 0), (0, 1)], &each(2), Level::P95).is_err());
        assert_eq!(mcc_interval(&[(0, 0); 20], &each(20), Level::P95), Err(StatsError::TooFew { have: 1, need: 2 }));
        let only_found: Vec<_> = (0..30).map(|i| (if i == 7 { 2 } else { 0 }, i % 2)).collect();
        assert_eq!(
            mcc_interval(&only_found, &each(30), Level::P95),
            Err(StatsError::SmallClass { have: 0, need: 10 }),
            "a class that is found and never due"
        );
    }

    fn pairs(found: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
        found.iter().copied().zip(right.iter().copied()).collect()
    }

    #[test]
    fn agrees_with_scikit_learn() {
        // f1_score(right, found, average="macro"), matthews_corrcoef(right, found)
        let right = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 1, 0, 2];
        let found = [0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 0, 2, 1, 0, 1];
        let three = Confusion::of(&pairs(&found, &right));
        assert!((three.macro_f1() - 0.664_646_464_646_464_6).abs() < 1e-12, "{}", three.macro_f1());
        assert!((three.mcc() - 0.503_367_041_410_518_2).abs() < 1e-12, "{}", three.mcc());
        // a class that is only found counts as 0, one that is neither does not count
        let odd = Confusion::of(&pairs(&[3, 1, 1, 3], &[1, 1, 1, 4]));
        assert!((odd.macro_f1() - 0.266_666_666_666_666_66).abs() < 1e-12, "{}", odd.macro_f1());
        assert!((odd.mcc() - 0.288_675_134_594_812_9).abs() < 1e-12, "{}", odd.mcc());
    }

    #[test]
    fn one_class_alone_correlates_with_nothing() {
        assert_eq!(Confusion::of(&pairs(&[1, 1, 1], &[0, 1, 2])).mcc(), 0.0);
        assert_eq!(Confusion::of(&pairs(&[1, 1], &[1, 1])).macro_f1(), 1.0);
        assert!(Confusion::of(&[]).mcc().is_nan() && Confusion::of(&[]).macro_f1().is_nan());
    }

    #[test]
    fn leaving_one_out_is_the_same_as_never_having_had_it() {
        let all = pairs(&[0, 2, 1, 1, 0], &[0, 1, 1, 2, 1]);
        let less = Confusion::of(&all).without(all[4]);
        assert_eq!(
            (less.macro_f1(), less.mcc()),
            (Confusion::of(&all[..4]).macro_f1(), Confusion::of(&all[..4]).mcc())
        );
    }
}

//! Agreement of two lists of classes: macro F1 and Matthews' correlation, which are computed of a whole sample and are
//! no mean of its items.

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

#[cfg(test)]
mod tests {
    use super::*;

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

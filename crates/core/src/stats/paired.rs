//! Paired comparison: do two variants that answered the same items differ? Tests that use the pairing.
//!
//! Two variants of one model mostly agree; only the items where they differ carry news. An unpaired test drowns that
//! news in the spread between easy and hard items.

use super::distribution::{binomial_cdf, binomial_pmf};
use super::mean::{Mean, Scale};
use super::{Clusters, StatsError, sample, swap};
use serde::{Deserialize, Serialize};
use std::hash::Hash;

/// Scores of a reference and a candidate on the same items, larger is better; with weights (tokens of a document, for a
/// mean per token) and clusters (items that belong together) where there are some.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    reference: Vec<f64>,
    candidate: Vec<f64>,
    weights: Vec<f64>,
    clusters: Clusters,
}

impl Pairs {
    /// Pairs the scores: `reference[i]` and `candidate[i]` are of one item.
    ///
    /// # Errors
    /// `Unpaired` at unequal lengths, `Empty` without items, `NotFinite` at a NaN or infinity.
    pub fn new(reference: Vec<f64>, candidate: Vec<f64>) -> Result<Pairs, StatsError> {
        if reference.len() != candidate.len() {
            return Err(StatsError::Unpaired { reference: reference.len(), candidate: candidate.len() });
        }
        let clusters = Clusters::each(reference.len())?;
        sample::check_finite(&reference)?;
        sample::check_finite(&candidate)?;
        Ok(Pairs { weights: vec![1.0; reference.len()], reference, candidate, clusters })
    }

    /// Weights the items, so that means become weighted means: Σ w·x / Σ w.
    ///
    /// # Errors
    /// `Unpaired` at another length than the items', `Weight` at one that is not above zero.
    pub fn weighted(self, weights: Vec<f64>) -> Result<Pairs, StatsError> {
        self.check_length(weights.len())?;
        match weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            Some(index) => Err(StatsError::Weight { index, value: weights[index] }),
            None => Ok(Pairs { weights, ..self }),
        }
    }

    /// Clusters the items: those with equal keys belong together.
    ///
    /// # Errors
    /// `Unpaired` at another length than the items'.
    pub fn clustered<K: Hash + Eq>(self, keys: &[K]) -> Result<Pairs, StatsError> {
        self.check_length(keys.len())?;
        Ok(Pairs { clusters: Clusters::by(keys)?, ..self })
    }

    fn check_length(&self, other: usize) -> Result<(), StatsError> {
        match self.items() == other {
            true => Ok(()),
            false => Err(StatsError::Unpaired { reference: self.items(), candidate: other }),
        }
    }

    /// Gives the number of items.
    pub fn items(&self) -> usize {
        self.reference.len()
    }

    /// Gives the clusters of items that belong together; single items unless [`Pairs::clustered`].
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Gives the items' weights; ones unless [`Pairs::weighted`].
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Gives candidate less reference, item by item.
    pub fn differences(&self) -> impl Iterator<Item = f64> + '_ {
        self.candidate.iter().zip(&self.reference).map(|(c, r)| c - r)
    }

    /// Gives the reference's mean score, weighted where there are weights.
    pub fn reference_mean(&self) -> f64 {
        self.weighted_mean(self.reference.iter().copied())
    }

    /// Gives the candidate's mean score, weighted where there are weights.
    pub fn candidate_mean(&self) -> f64 {
        self.weighted_mean(self.candidate.iter().copied())
    }

    /// Gives the mean of the differences; above zero where the candidate is better.
    pub fn difference(&self) -> f64 {
        self.weighted_mean(self.differences())
    }

    fn weighted_mean(&self, values: impl Iterator<Item = f64>) -> f64 {
        values.zip(&self.weights).map(|(x, w)| x * w).sum::<f64>() / self.weights.iter().sum::<f64>()
    }

    /// Gives the largest less the smallest score, of both sides together.
    pub fn span(&self) -> f64 {
        let sides = [&self.reference, &self.candidate].map(|side| sample::extremes(side));
        let [Some(one), Some(other)] = sides else { return 0.0 }; // never: pairs hold at least one item
        let least = if one.0 < other.0 { one.0 } else { other.0 };
        let most = if one.1 > other.1 { one.1 } else { other.1 };
        most - least
    }

    /// Gives the fourfold table; None unless scores are only right (1) or wrong (0) and items unweighted and
    /// unclustered.
    pub fn table(&self) -> Option<Table> {
        let plain = self.weights.iter().all(|&w| w == 1.0) && self.clusters.are_single();
        if !(plain && self.are_right_or_wrong()) {
            return None;
        }
        let right = |x: &f64| *x == 1.0;
        Some(Table::count(self.reference.iter().map(right).zip(self.candidate.iter().map(right))))
    }

    /// Whether scores have ends: all of them lie between 0 and 1, or between −1 and 0 where less is better.
    pub fn has_ends(&self) -> bool {
        let all = || self.reference.iter().chain(&self.candidate);
        all().all(|x| (0.0..=1.0).contains(x)) || all().all(|x| (-1.0..=0.0).contains(x))
    }

    /// Gives how many items of equal weight would say as much, clusters counting as one: (Σ u)² / Σ u².
    ///
    /// Kish, "Survey Sampling", 1965, section 11.7.
    pub fn effective_items(&self) -> f64 {
        let of_cluster = |items: &[usize]| items.iter().map(|&i| self.weights[i]).sum::<f64>();
        let squares: f64 = self.clusters.iter().map(|items| of_cluster(items).powi(2)).sum();
        self.weights.iter().sum::<f64>().powi(2) / squares
    }

    /// Whether every score is 0 or 1.
    pub fn are_right_or_wrong(&self) -> bool {
        self.reference.iter().chain(&self.candidate).all(|&x| x == 0.0 || x == 1.0)
    }

    /// Gives the mean difference with its interval and its tests, item clusters taken together.
    ///
    /// # Errors
    /// As for [`Mean::new`]: `TooFew` below two clusters, `NoSpread` where nothing differs.
    pub fn mean(&self) -> Result<Mean, StatsError> {
        Mean::new(&self.differences().collect::<Vec<_>>(), &self.weights, &self.clusters, Scale::Differences)
    }

    /// Gives the two-sided p-value that the sides are exchangeable: were the labels swapped at random, cluster by
    /// cluster, how often would the difference be as large? Fisher, "The Design of Experiments", 1935, section 21.
    ///
    /// No swap is drawn: see [`swap`].
    pub fn permutation(&self) -> f64 {
        let weighted: Vec<f64> = self.differences().zip(&self.weights).map(|(d, w)| d * w).collect();
        let sums = self.clusters.iter().map(|items| items.iter().map(|&i| weighted[i]).sum::<f64>());
        swap::two_sided(&sums.collect::<Vec<_>>())
    }

    /// Gives the two-sided p-value that the two do not differ: McNemar's where items are right or wrong, else the
    /// permutation's.
    pub fn p_differs(&self) -> f64 {
        self.table().map_or_else(|| self.permutation(), |table| table.mcnemar())
    }

    /// Gives the standard error of the mean difference, to first order (the influence of each cluster; Hampel 1974):
    /// what a bootstrap finds, without drawing.
    pub fn standard_error(&self) -> f64 {
        let (mean, weight) = (self.difference(), self.weights.iter().sum::<f64>());
        let influence: Vec<f64> = self.differences().zip(&self.weights).map(|(d, w)| w * (d - mean) / weight).collect();
        let of_cluster = |items: &[usize]| items.iter().map(|&i| influence[i]).sum::<f64>();
        self.clusters.iter().map(|items| of_cluster(items).powi(2)).sum::<f64>().sqrt()
    }

    /// Gives the two-sided p-value of the exact sign test: does one side win more of the differing items than a fair
    /// coin?
    pub fn sign_test(&self) -> f64 {
        let better = self.differences().filter(|d| *d > 0.0).count() as u64;
        let worse = self.differences().filter(|d| *d < 0.0).count() as u64;
        fair_coin(better, worse)
    }
}

/// A fourfold table: items by who got them right.
///
/// ```text
///                     candidate right   candidate wrong
///   reference right        both              lost
///   reference wrong       gained            neither
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Items that both got right.
    pub both: u64,
    /// Items that only the candidate got right.
    pub gained: u64,
    /// Items that only the reference got right.
    pub lost: u64,
    /// Items that both got wrong.
    pub neither: u64,
}

impl Table {
    /// Counts items given as (reference right, candidate right).
    pub fn count(items: impl IntoIterator<Item = (bool, bool)>) -> Table {
        let mut table = Table::default();
        for item in items {
            *match item {
                (true, true) => &mut table.both,
                (false, true) => &mut table.gained,
                (true, false) => &mut table.lost,
                (false, false) => &mut table.neither,
            } += 1;
        }
        table
    }

    /// Gives the number of items.
    pub fn items(&self) -> u64 {
        self.both + self.gained + self.lost + self.neither
    }

    /// Gives the number of items whose answer flipped between right and wrong.
    pub fn flips(&self) -> u64 {
        self.gained + self.lost
    }

    /// Gives the candidate's share right less the reference's; NaN without items.
    pub fn difference(&self) -> f64 {
        (self.gained as f64 - self.lost as f64) / self.items() as f64
    }

    /// Gives the two-sided p-value of the exact McNemar test: were the flips as likely one way as the other? McNemar,
    /// 1947.
    pub fn mcnemar(&self) -> f64 {
        fair_coin(self.gained, self.lost)
    }

    /// Gives the mid-p version of [`Table::mcnemar`]: closer to the promised error rate, at times a little above it.
    ///
    /// Fagerland, Lydersen and Laake, "The McNemar Test for Binary Matched-Pairs Data: Mid-p and Asymptotic Are Better
    /// than Exact Conditional", 2013.
    pub fn mcnemar_mid_p(&self) -> f64 {
        let (few, all) = (self.gained.min(self.lost), self.flips());
        (2.0 * binomial_cdf(few, all, 0.5) - binomial_pmf(few, all, 0.5)).min(1.0)
    }
}

/// Two-sided p-value of a split as uneven as heads and tails, under a fair coin; 1 without a throw.
fn fair_coin(heads: u64, tails: u64) -> f64 {
    (2.0 * binomial_cdf(heads.min(tails), heads + tails, 0.5)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_differences(differences: &[f64]) -> Pairs {
        Pairs::new(vec![0.0; differences.len()], differences.to_vec()).unwrap()
    }

    #[test]
    fn mcnemar_agrees_with_statsmodels() {
        // statsmodels mcnemar([[20, b], [c, 9]], exact=True).pvalue; 2*binom.cdf(m, b+c, .5) - binom.pmf(m, b+c, .5)
        for (gained, lost, exact, mid) in [
            (5, 2, 0.453125, 0.2890625),
            (12, 2, 0.012939453125, 0.007385253906249991),
            (0, 6, 0.03125, 0.015625),
            (10, 10, 1.0, 1.0),
            (1, 1, 1.0, 1.0),
            (30, 17, 0.07894069368148846, 0.05946337525377027),
            (0, 0, 1.0, 1.0),
        ] {
            let table = Table { both: 20, gained, lost, neither: 9 };
            assert!((table.mcnemar() - exact).abs() < 1e-12, "{table:?}");
            assert!((table.mcnemar_mid_p() - mid).abs() < 1e-12, "{table:?}");
        }
    }

    #[test]
    #[allow(clippy::approx_constant)] // -0.318 is a drawn number
    fn permutation_agrees_with_scipy() {
        // scipy.stats.permutation_test((d, zeros), mean difference, permutation_type='samples', n_resamples=inf).pvalue
        let few = from_differences(&[1.2, -0.4, 0.8, 0.3, -0.1, 0.9, 1.1, -0.6, 0.2, 0.7]);
        assert!((few.permutation() - 0.080078125).abs() < 1e-12);
        // all 2^40 signings of 40 differences, counted in numpy on a grid of thousandths
        let many = from_differences(&[
            2.291, -2.306, 0.668, -0.318, -0.203, 0.034, -1.77, 0.018, -0.615, 3.573, 0.476, -0.103, -0.031, -0.418,
            -0.805, -0.141, 0.732, 0.011, 1.208, 0.05, 0.274, 1.796, 0.795, -0.255, 0.067, 0.791, 2.185, -0.02, 0.006,
            1.252, -0.636, -0.042, 1.133, 0.83, 0.342, 0.92, -2.578, 1.271, -0.71, -1.419,
        ]);
        let p = many.permutation();
        assert!((p / 0.270_674_671_486_631_27 - 1.0).abs() < 0.005, "{p}");
    }

    #[test]
    fn sign_test_agrees_with_scipy() {
        // scipy.stats.binomtest(7, 10).pvalue
        let pairs = from_differences(&[1.0, 2.0, 0.5, 3.0, 0.1, 4.0, 2.0, -1.0, -9.0, -0.2, 0.0]);
        assert!((pairs.sign_test() - 0.34375).abs() < 1e-12);
    }

    #[test]
    fn counts_flips_both_ways() {
        let pairs = Pairs::new(vec![1.0, 1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
        let table = pairs.table().unwrap();
        assert_eq!(table, Table { both: 1, gained: 1, lost: 2, neither: 1 });
        assert_eq!((table.items(), table.flips()), (5, 3));
        assert!((table.difference() - pairs.difference()).abs() < 1e-15);
    }

    #[test]
    fn only_plain_right_and_wrong_make_a_table() {
        let right_wrong = || Pairs::new(vec![1.0, 0.0], vec![1.0, 1.0]).unwrap();
        assert!(right_wrong().table().is_some());
        assert!(Pairs::new(vec![0.5], vec![1.0]).unwrap().table().is_none());
        assert!(right_wrong().weighted(vec![1.0, 2.0]).unwrap().table().is_none());
        assert!(right_wrong().clustered(&["same", "same"]).unwrap().table().is_none());
    }

    #[test]
    fn weights_make_a_mean_per_token() {
        let pairs = Pairs::new(vec![1.0, 2.0], vec![2.0, 2.0]).unwrap().weighted(vec![3.0, 1.0]).unwrap();
        assert_eq!((pairs.reference_mean(), pairs.candidate_mean(), pairs.difference()), (1.25, 2.0, 0.75));
    }

    #[test]
    fn refuses_what_is_no_pair() {
        assert_eq!(Pairs::new(vec![1.0], vec![]), Err(StatsError::Unpaired { reference: 1, candidate: 0 }));
        assert_eq!(Pairs::new(vec![], vec![]), Err(StatsError::Empty));
        assert!(matches!(Pairs::new(vec![1.0], vec![f64::NAN]), Err(StatsError::NotFinite { .. })));
        let one = || Pairs::new(vec![1.0], vec![1.0]).unwrap();
        assert_eq!(one().weighted(vec![0.0]), Err(StatsError::Weight { index: 0, value: 0.0 }));
        assert!(one().weighted(vec![]).is_err() && one().clustered(&[1, 2]).is_err());
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        // scipy.stats.sem of the differences, with n instead of n - 1 below: np.std(d) / sqrt(n)
        let d = [1.2, -0.4, 0.8, 0.3, -0.1, 0.9, 1.1, -0.6, 0.2, 0.7];
        let alone = from_differences(&d);
        assert!((alone.standard_error() - 0.1889179716173133).abs() < 1e-9, "{}", alone.standard_error());
        let twice = from_differences(&d.iter().flat_map(|&x| [x, x]).collect::<Vec<_>>());
        let together = twice.clone().clustered(&(0..20).map(|i| i / 2).collect::<Vec<_>>()).unwrap();
        assert!((together.standard_error() - alone.standard_error()).abs() < 1e-12);
        assert!(twice.standard_error() < alone.standard_error());
    }

    #[test]
    fn the_span_is_of_both_sides() {
        let span = |a: &[f64], b: &[f64]| Pairs::new(a.to_vec(), b.to_vec()).unwrap().span();
        assert_eq!(span(&[0.5, 0.1, 0.9, 0.3, -2.0, 0.2, 0.7], &[0.0, 0.4, 0.4, 0.4, 0.4, 3.0, 0.4]), 5.0);
        assert_eq!(span(&[-7.0], &[-4.0]), 3.0);
        assert!(Pairs::new(vec![f64::NAN], vec![0.0]).is_err() && Pairs::new(vec![], vec![]).is_err());
    }

    #[test]
    fn equal_sides_do_not_differ() {
        let pairs = from_differences(&[0.0; 30]);
        assert_eq!((pairs.permutation(), pairs.sign_test(), pairs.span()), (1.0, 1.0, 0.0));
    }
}

//! The best less the worst of several groups, and whether that is more than chance.
//!
//! With many equal groups the best always differs from the worst. The interval allows for the choice: it is that of all
//! differences between two groups at once, whose critical value is found in normal draws with the covariance of the
//! groups (Hothorn, Bretz and Westfall, "Simultaneous Inference in General Parametric Models", 2008). Groups may share
//! clusters, as those of minimal pairs do.
//!
//! Differences are taken as if each pair of groups had one more item on either side (Bonett and Price, "Adjusted Wald
//! Confidence Interval for a Difference of Binomial Proportions Based on Paired Data", 2012), so that no difference seen
//! is not taken for none possible.

use super::distribution::{normal_cdf, student_quantile};
use super::{Interval, Level, Method, StatsError, percentile};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws for a critical value: it moves by 1% from seed to seed.
const DRAWS: usize = 10_000;

/// Groups with what each cluster moves each group's value.
#[derive(Debug, Clone)]
pub struct Groups {
    values: Vec<f64>,
    /// (group, cluster): what the cluster adds to the group's value beyond its mean.
    moves: Vec<Vec<f64>>,
    /// How many clusters each group has items in.
    sizes: Vec<f64>,
    /// What one item is worth at most: how far scores can lie apart.
    span: f64,
}

/// The two groups farthest apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    /// The place of the group with the largest value.
    pub most: usize,
    /// The place of the group with the smallest value.
    pub least: usize,
    /// Their difference, zero or more.
    pub value: f64,
    /// Its interval, which starts at zero where no two groups are shown to differ.
    pub interval: Interval,
}

impl Groups {
    /// Takes groups by their values; `moves[group][cluster]` is what a cluster's items move the group's value (the sum
    /// of their influences), zero where it has none there. `span` is how far two scores can lie apart.
    ///
    /// # Errors
    /// `TooFew` below two groups, or where a group has items in fewer than two clusters.
    pub fn new(values: Vec<f64>, moves: Vec<Vec<f64>>, sizes: &[usize], span: f64) -> Result<Groups, StatsError> {
        let smallest = sizes.iter().copied().min().unwrap_or(0);
        if values.len() < 2 || smallest < 2 {
            return Err(StatsError::TooFew { have: if values.len() < 2 { values.len() } else { smallest }, need: 2 });
        }
        super::sample::check_finite(&values)?;
        Ok(Groups { values, moves, sizes: sizes.iter().map(|&n| n as f64).collect(), span })
    }

    /// Gives the two groups farthest apart and the interval of their difference.
    pub fn gap(&self, level: Level, seed: u64) -> Gap {
        let order = |a: &usize, b: &usize| self.values[*a].total_cmp(&self.values[*b]);
        let places = || 0..self.values.len();
        let most = places().max_by(order).unwrap_or_default();
        let least = places().min_by(order).unwrap_or_default();
        let value = self.values[most] - self.values[least];
        let reach = self.critical(level, seed) * self.error((most, least));
        let low = if value > reach { value - reach } else { 0.0 };
        Gap { most, least, value, interval: Interval { low, high: value + reach, level, method: Method::Simultaneous } }
    }

    /// The standard error of the difference of two groups.
    fn error(&self, (one, other): (usize, usize)) -> f64 {
        let variance = self.covariance(one, one) + self.covariance(other, other) - 2.0 * self.covariance(one, other);
        if variance > 0.0 { variance.sqrt() } else { 0.0 }
    }

    fn covariance(&self, one: usize, other: usize) -> f64 {
        let shared: f64 = self.moves[one].iter().zip(&self.moves[other]).map(|(a, b)| a * b).sum();
        let few = if self.sizes[one] < self.sizes[other] { self.sizes[one] } else { self.sizes[other] };
        let beside = if one == other { (self.span / (few + 2.0)).powi(2) } else { 0.0 };
        shared * few / (few - 1.0) + beside
    }

    /// How many standard errors the largest of all differences stays within, as often as the level says, where all
    /// groups are equal.
    fn critical(&self, level: Level, seed: u64) -> f64 {
        let count = self.values.len();
        let normal = match count {
            2 => level.z(),
            _ => self.drawn(level, seed),
        };
        let few = self.sizes.iter().copied().fold(f64::INFINITY, |few, n| if n < few { n } else { few });
        -student_quantile(normal_cdf(-normal), few - 1.0)
    }

    fn drawn(&self, level: Level, seed: u64) -> f64 {
        let count = self.values.len();
        let root = cholesky(count, |a, b| self.covariance(a, b));
        let pairs: Vec<(usize, usize, f64)> = (0..count)
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| (a, b, self.error((a, b))))
            .filter(|pair| pair.2 > 0.0)
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut farthest: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let free: Vec<f64> = (0..count).map(|_| normal(&mut rng)).collect();
                let drawn: Vec<f64> = root.iter().map(|row| row.iter().zip(&free).map(|(a, b)| a * b).sum()).collect();
                let apart = |(a, b, error): &(usize, usize, f64)| (drawn[*a] - drawn[*b]).abs() / error;
                pairs.iter().map(apart).fold(0.0, |most, apart| if apart > most { apart } else { most })
            })
            .collect();
        farthest.sort_unstable_by(f64::total_cmp);
        percentile::of_sorted(&farthest, 100.0 * level.get())
    }
}

/// The lower triangle whose square is the matrix; a direction without spread gets a row of zeros.
fn cholesky(count: usize, matrix: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let mut root: Vec<Vec<f64>> = Vec::with_capacity(count);
    for i in 0..count {
        let mut row = vec![0.0; i + 1];
        for j in 0..=i {
            let above: &[f64] = if j == i { &row } else { &root[j] };
            let known: f64 = (0..j).map(|k| row[k] * above[k]).sum();
            let rest = matrix(i, j) - known;
            row[j] = match (j == i, rest > 0.0) {
                (true, true) => rest.sqrt(),
                (true, false) => 0.0,
                _ if root[j][j] > 0.0 => rest / root[j][j],
                _ => 0.0,
            };
        }
        root.push(row);
    }
    root
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (far, turn): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - far).ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of `n` items each that are right or wrong, in clusters of their own.
    fn apart(n: usize, right: &[usize]) -> Groups {
        let values: Vec<f64> = right.iter().map(|&k| k as f64 / n as f64).collect();
        let moves = |group: usize| -> Vec<f64> {
            let of = |cluster: usize| match cluster / n == group {
                true => (f64::from(u8::from(cluster % n < right[group])) - values[group]) / n as f64,
                false => 0.0,
            };
            (0..n * right.len()).map(of).collect()
        };
        let all = (0..right.len()).map(moves).collect();
        Groups::new(values.clone(), all, &vec![n; right.len()], 1.0).unwrap()
    }

    #[test]
    fn three_equal_groups_have_tukeys_critical_value() {
        // scipy.stats.studentized_range.ppf(0.95, k, inf) / sqrt(2)
        for (groups, known) in [(3, 2.343_701), (5, 2.727_774), (8, 3.030_880)] {
            let got = apart(20_000, &vec![10_000; groups]).critical(Level::P95, 7);
            assert!((got / known - 1.0).abs() < 0.012, "{groups}: {got} is not {known}");
        }
    }

    #[test]
    fn two_groups_get_bonett_and_prices_interval() {
        // groups of their own: sqrt(Σ p (1 − p) / (n − 1) + 2 / (n + 2)²), and Student's t
        let gap = apart(100, &[80, 60]).gap(Level::P95, 1);
        let error = (0.16_f64 / 99.0 + 0.24 / 99.0 + 2.0 / 102.0_f64.powi(2)).sqrt();
        assert_eq!((gap.most, gap.least), (0, 1));
        assert!((gap.interval.high - (0.2 + 1.984_217 * error)).abs() < 1e-5, "{gap:?}");
        assert!(gap.interval.low > 0.0);
    }

    #[test]
    fn groups_without_a_difference_may_still_have_one() {
        let gap = apart(40, &[40, 40, 40]).gap(Level::P95, 1);
        assert!(gap.value == 0.0 && gap.interval.low == 0.0 && gap.interval.high > 0.05, "{gap:?}");
    }

    #[test]
    fn what_is_shared_does_not_count() {
        let n = 60;
        let shared: Vec<f64> = (0..n).map(|i| ((i % 7) as f64 - 3.0) / n as f64).collect();
        let own =
            |k: usize| shared.iter().enumerate().map(move |(i, x)| x + if i % 20 == k { 0.1 / n as f64 } else { 0.0 });
        let moves: Vec<Vec<f64>> = (0..2).map(|k| own(k).collect()).collect();
        let gap = Groups::new(vec![0.5, 0.6], moves, &[n, n], 0.0).unwrap().gap(Level::P95, 1);
        assert!(gap.interval.half_width() < 0.02, "{gap:?}");
    }

    #[test]
    fn one_group_has_no_gap() {
        assert!(Groups::new(vec![0.5], vec![vec![0.1]], &[5], 1.0).is_err());
        assert!(Groups::new(vec![0.5, 0.5], vec![vec![0.1], vec![0.0]], &[1, 1], 1.0).is_err());
    }
}

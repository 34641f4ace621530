//! The mean of items, weighted and in clusters: its interval and its one-sided tests, without a draw.
//!
//! A score method. To ask whether the mean could be `limit`, look for the likeliest distribution of what was seen whose
//! mean *is* `limit` (Owen, "Empirical Likelihood", 2001, section 2.2) and measure the distance in the standard errors
//! of that distribution, not of the sample: a sample that by luck holds none of the rare losses would call itself
//! precise. With items that are right or wrong the likeliest distribution is the coin of that limit and the interval is
//! Wilson's; with pairs of such items it is the restricted estimate of Tango's test. Fractions, weights and clusters are
//! the same formula. Where scores have ends (0 and 1), mass may lie on them though no item does, so that a hundred right
//! of a hundred are not "100 to 100%".
//!
//! The result is a smooth function of the items: no seed, no floor of one in so many draws, any tail.
//!
//! Distances are held against Student's t with twice the items' freedom: with right and wrong the normal is right, with
//! measured differences Student is, and this keeps the size of both (the simulation `intervals_keep_their_word`).

use super::distribution::{student_cdf, student_quantile};
use super::{Clusters, Interval, Level, Method, StatsError, sample};

/// A mean that can be asked how sure it is.
#[derive(Debug, Clone)]
pub struct Mean {
    /// Σ w·x of each cluster.
    sums: Vec<f64>,
    /// Σ w of each cluster.
    weights: Vec<f64>,
    estimate: f64,
    /// How far beyond what was seen a cluster may lie.
    reach: Reach,
    /// What the clusters' leverage takes from their residuals' squares (HC2: MacKinnon and White 1985).
    leverage: f64,
    freedom: f64,
}

/// What is known of the numbers before any was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Scores from a least to a most, such as shares of right answers from 0 to 1.
    Between(f64, f64),
    /// Numbers without ends, such as log-likelihoods.
    Open,
    /// Differences of two sides: what is one way could as well be the other.
    Differences,
}

/// Where unseen items may lie.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// Scores have ends.
    Ends(f64, f64),
    /// As far on the other side as the farthest was seen, in units of a cluster's sum.
    Mirrored(f64),
}

impl Mean {
    /// Takes the mean Σ w·x / Σ w of `values`.
    ///
    /// # Errors
    /// `TooFew` below two clusters, `Unpaired` where lengths differ, `NotFinite` and `Weight` as for
    /// [`Pairs`](super::Pairs), `NoSpread` where all values are one number and their scale has no ends, or all
    /// differences are zero.
    pub fn new(values: &[f64], weights: &[f64], clusters: &Clusters, scale: Scale) -> Result<Mean, StatsError> {
        for other in [weights.len(), clusters.items()] {
            if other != values.len() {
                return Err(StatsError::Unpaired { reference: values.len(), candidate: other });
            }
        }
        sample::check_finite(values)?;
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            return Err(StatsError::Weight { index, value: weights[index] });
        }
        if clusters.count() < 2 {
            return Err(StatsError::TooFew { have: clusters.count(), need: 2 });
        }
        let sum = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            clusters.iter().map(|items| items.iter().map(|&i| of(i)).sum()).collect()
        };
        Mean::of_clusters(sum(&|i| values[i] * weights[i]), sum(&|i| weights[i]), scale)
    }

    pub(super) fn of_clusters(sums: Vec<f64>, weights: Vec<f64>, scale: Scale) -> Result<Mean, StatsError> {
        let whole: f64 = weights.iter().sum();
        let estimate = sums.iter().sum::<f64>() / whole;
        let residual = |(sum, weight): (&f64, &f64)| sum - estimate * weight;
        let residuals: Vec<f64> = sums.iter().zip(&weights).map(residual).collect();
        let farthest = |values: &[f64]| sample::extremes(values).map_or(0.0, |(low, high)| high.max(-low));
        // rounding leaves crumbs where all values are one number
        let spread = Some(farthest(&residuals)).filter(|far| *far > 1e-12 * farthest(&sums)).unwrap_or(0.0);
        let reach = match scale {
            Scale::Between(low, high) => Reach::Ends(low, high),
            Scale::Open => Reach::Mirrored(spread),
            Scale::Differences if spread > 0.0 => Reach::Mirrored(spread),
            Scale::Differences => Reach::Mirrored(farthest(&sums)), // all alike: no less than they are from none
        };
        if matches!(reach, Reach::Mirrored(far) if far <= 0.0) {
            return Err(StatsError::NoSpread);
        }
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let raised: f64 = residuals.iter().zip(&weights).map(|(r, w)| r * r / (1.0 - w / whole)).sum();
        let n = sums.len() as f64;
        let power = |k: i32| weights.iter().map(|w| w.powi(k)).sum::<f64>();
        Ok(Mean {
            leverage: if spread > 0.0 { raised / squares } else { n / (n - 1.0) },
            freedom: 2.0 * (power(2).powi(2) / power(4) - 1.0).max(0.5),
            sums,
            weights,
            estimate,
            reach,
        })
    }

    /// Gives the mean itself.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Gives the standard error of the mean.
    pub fn standard_error(&self) -> f64 {
        let squares: f64 = self.sums.iter().zip(&self.weights).map(|(s, w)| (s - self.estimate * w).powi(2)).sum();
        (squares * self.leverage).sqrt() / self.weights.iter().sum::<f64>()
    }

    /// Gives the interval at a confidence level; it holds the mean and stays within the scores' ends.
    pub fn interval(&self, level: Level) -> Interval {
        let far = -student_quantile(level.tail(), self.freedom);
        let (low, high) = (self.end(-1.0, far), self.end(1.0, far));
        Interval { low, high, level, method: Method::Score }.holding(self.estimate)
    }

    /// Gives the one-sided p-value against "the truth is at most `limit`".
    pub fn p_above(&self, limit: f64) -> f64 {
        student_cdf(-self.distance(limit), self.freedom)
    }

    /// Gives the one-sided p-value against "the truth is at least `limit`".
    pub fn p_below(&self, limit: f64) -> f64 {
        student_cdf(self.distance(limit), self.freedom)
    }

    /// How many standard errors of the likeliest distribution with mean `limit` the mean lies above it.
    fn distance(&self, limit: f64) -> f64 {
        let moved: Vec<f64> = self.sums.iter().zip(&self.weights).map(|(sum, weight)| sum - limit * weight).collect();
        let seen = sample::extremes(&moved).unwrap_or_default();
        let n = moved.len() as f64;
        let far = match self.reach {
            Reach::Ends(low, high) => {
                let usual = self.weights.iter().sum::<f64>() / n;
                ((low - limit) * usual, (high - limit) * usual)
            }
            Reach::Mirrored(far) => (-far, far),
        };
        let (low, high) = (seen.0.min(far.0), seen.1.max(far.1));
        let total: f64 = moved.iter().sum();
        if total == 0.0 {
            return 0.0;
        }
        if low >= 0.0 || high <= 0.0 {
            return f64::INFINITY.copysign(total); // at the very end of the scale no other mean is possible
        }
        total / (n * self.leverage * likeliest_variance(&moved, low, high)).sqrt()
    }

    /// The limit on one side (−1 below, 1 above) that lies `far` standard errors away.
    fn end(&self, side: f64, far: f64) -> f64 {
        let bound = match self.reach {
            Reach::Ends(low, high) => (if side < 0.0 { low } else { high } - self.estimate).abs(),
            Reach::Mirrored(_) => f64::INFINITY,
        };
        let beyond = |step: f64| self.distance(self.estimate + side * step).abs() - far;
        let (mut near, mut out) = (0.0, (far * self.standard_error()).max(1e-9));
        while out < bound && out.is_finite() && beyond(out) < 0.0 {
            (near, out) = (out, 2.0 * out);
        }
        self.estimate + side * crossing(near, out.min(bound), beyond)
    }
}

/// Where a rising function crosses zero between `low` and `high`: by chords, the end that stays being halved (the
/// Illinois rule), so that a dozen looks are enough. `high` may be infinitely high up.
fn crossing(mut low: f64, mut high: f64, rises: impl Fn(f64) -> f64) -> f64 {
    let (mut under, mut over) = (rises(low), rises(high));
    for _ in 0..100 {
        if high - low <= 1e-9 * high || under >= 0.0 || over <= 0.0 {
            break;
        }
        let chord = low + (high - low) * under / (under - over);
        let middle = if over.is_finite() && chord > low && chord < high { chord } else { 0.5 * (low + high) };
        let at = rises(middle);
        if at < 0.0 {
            (low, under, over) = (middle, at, 0.5 * over);
        } else {
            (high, over, under) = (middle, at, 0.5 * under);
        }
        if at == 0.0 {
            break;
        }
    }
    if over <= 0.0 { high } else { 0.5 * (low + high) }
}

/// The variance about zero of the likeliest distribution with mean zero over values that were seen once each, and over
/// the ends `low` and `high`, which need not have been.
///
/// Each value gets 1 / (n (1 + λ x)), where λ makes the mean zero; where even the steepest allowed λ leaves the mean on
/// one side, the other end gets what is missing.
fn likeliest_variance(values: &[f64], low: f64, high: f64) -> f64 {
    let n = values.len() as f64;
    let above = values.iter().sum::<f64>() > 0.0;
    let end = if above { low } else { high };
    let steepest = -1.0 / end;
    let side = if above { 1.0 } else { -1.0 };
    let tilted = |tilt: f64| -> (f64, f64) {
        values.iter().fold((0.0, 0.0), |(sum, slope), x| {
            let share = x / (1.0 + tilt * x);
            (sum + share, slope - share * share)
        })
    };
    let reaches_end = !values.contains(&end) && tilted(steepest).0 * side >= 0.0;
    let tilt = if reaches_end { steepest } else { root(tilted, side, steepest) };
    let (mass, variance) = values.iter().fold((0.0, 0.0), |(mass, variance), x| {
        let share = 1.0 / (n * (1.0 + tilt * x));
        (mass + share, variance + share * x * x)
    });
    variance + (1.0 - mass).max(0.0) * end * end
}

/// The tilt between 0 and `steepest` at which the sum is zero: Newton's steps, halving where one leaves the bracket.
fn root(tilted: impl Fn(f64) -> (f64, f64), side: f64, steepest: f64) -> f64 {
    let (mut tilt, mut near, mut far) = (0.0, 0.0, steepest);
    for _ in 0..60 {
        let (sum, slope) = tilted(tilt);
        if sum * side > 0.0 {
            near = tilt
        } else {
            far = tilt
        }
        let newton = tilt - sum / slope;
        let inside = newton.is_finite() && (newton - near) * side > 0.0 && (far - newton) * side > 0.0;
        let next = if inside { newton } else { 0.5 * (near + far) };
        let done = (next - tilt).abs() <= 1e-11 * steepest.abs();
        tilt = next;
        if done {
            break;
        }
    }
    tilt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Table;
    use crate::stats::interval::wilson;
    use crate::stats::tango::{self, Counts};

    const SHARE: Scale = Scale::Between(0.0, 1.0);

    fn plain(values: &[f64], scale: Scale) -> Mean {
        Mean::new(values, &vec![1.0; values.len()], &Clusters::each(values.len()).unwrap(), scale).unwrap()
    }

    fn answers(right: usize, of: usize) -> Vec<f64> {
        (0..of).map(|i| f64::from(u8::from(i < right))).collect()
    }

    #[test]
    fn right_and_wrong_give_wilsons_interval() {
        // to n / (n − 1) of the variance and Student's quantile, both of which end in Wilson's
        for (right, of) in [(9_000, 10_000), (9_990, 10_000), (10_000, 10_000), (0, 10_000)] {
            let got = plain(&answers(right, of), SHARE).interval(Level::P95);
            let known = wilson(right as u64, of as u64, Level::P95).unwrap();
            assert!((got.low - known.low).abs() < 3e-6 && (got.high - known.high).abs() < 3e-6, "{got:?} {known:?}");
        }
    }

    #[test]
    fn gains_and_losses_give_tangos_test() {
        let differences: Vec<f64> = (0..4000)
            .map(|i| {
                if i < 60 {
                    1.0
                } else if i < 150 {
                    -1.0
                } else {
                    0.0
                }
            })
            .collect();
        let table = Table { both: 3000, gained: 60, lost: 90, neither: 850 };
        let mean = plain(&differences, Scale::Differences);
        // Tango's own is a chance that was counted, so a little above the normal's
        for limit in [-0.014, -0.012, -0.0075, -0.003, 0.0, 0.01] {
            let (got, known) = (mean.p_above(limit), tango::p_above(Counts::from(&table), limit));
            assert!((got / known - 1.0).abs() < 0.1, "{limit}: {got} {known}");
        }
    }

    #[test]
    fn measured_differences_give_students_test() {
        // scipy.stats.ttest_1samp(x, m, alternative='greater').pvalue of 101 values spread evenly around 5
        let x: Vec<f64> = (0..101).map(|i| 5.0 + f64::from(i - 50) / 10.0).collect();
        let mean = plain(&x, Scale::Open);
        assert!((mean.estimate() - 5.0).abs() < 1e-12);
        assert!((mean.standard_error() - 0.29154759474226505).abs() < 1e-9, "{}", mean.standard_error()); // scipy.stats.sem
        for (limit, known) in
            [(5.0, 0.5), (4.7, 0.15298306013249177), (4.5, 0.04472256582957882), (4.3, 0.009099732780430914)]
        {
            assert!((mean.p_above(limit) / known - 1.0).abs() < 0.1, "{limit}: {} {known}", mean.p_above(limit));
            assert!((mean.p_below(10.0 - limit) / mean.p_above(limit) - 1.0).abs() < 1e-6, "as far the other way");
        }
    }

    #[test]
    fn two_clusters_that_are_right_know_as_much_as_two_items() {
        let clusters = Clusters::by(&[0, 0, 0, 1, 1, 1]).unwrap();
        let right = Mean::new(&[1.0; 6], &[1.0; 6], &clusters, SHARE).unwrap().interval(Level::P95);
        assert!(right.high == 1.0 && right.low < wilson(2, 2, Level::P95).unwrap().low, "{right:?}");
    }

    #[test]
    fn copies_in_a_cluster_add_no_certainty() {
        let once: Vec<f64> = (0..40).map(|i| ((i * 7) % 11) as f64 / 10.0).collect();
        let thrice: Vec<f64> = once.iter().flat_map(|&x| [x, x, x]).collect();
        let keys: Vec<usize> = (0..120).map(|i| i / 3).collect();
        let of = |x: &[f64], clusters: &Clusters| Mean::new(x, &vec![1.0; x.len()], clusters, SHARE).unwrap();
        let together = of(&thrice, &Clusters::by(&keys).unwrap()).interval(Level::P95);
        let honest = plain(&once, SHARE).interval(Level::P95);
        assert!((together.low - honest.low).abs() < 1e-9 && (together.high - honest.high).abs() < 1e-9);
    }

    #[test]
    fn a_tail_has_no_floor() {
        let x: Vec<f64> = (0..200).map(|i| 0.5 + 0.1 * f64::from(i % 7)).collect();
        let mean = plain(&x, Scale::Open);
        assert!(mean.p_above(0.0) < 1e-20 && mean.p_above(0.7) < 1e-4 && mean.p_above(0.7) > 1e-12);
    }

    #[test]
    fn refuses_what_has_no_mean() {
        let one = Clusters::each(1).unwrap();
        assert!(matches!(Mean::new(&[1.0], &[1.0], &one, Scale::Open), Err(StatsError::TooFew { have: 1, need: 2 })));
        let two = Clusters::each(2).unwrap();
        assert!(matches!(Mean::new(&[1.0, f64::NAN], &[1.0; 2], &two, Scale::Open), Err(StatsError::NotFinite { .. })));
        assert!(matches!(
            Mean::new(&[1.0, 2.0], &[1.0, 0.0], &two, Scale::Open),
            Err(StatsError::Weight { index: 1, .. })
        ));
        assert!(matches!(Mean::new(&[1.0, 2.0], &[1.0], &two, Scale::Open), Err(StatsError::Unpaired { .. })));
        assert!(matches!(Mean::new(&[3.0, 3.0], &[1.0; 2], &two, Scale::Open), Err(StatsError::NoSpread)));
        assert!(Mean::new(&[1.0, 1.0], &[1.0; 2], &two, SHARE).is_ok());
    }
}

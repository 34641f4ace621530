//! Correlation of two lists of numbers: Pearson's, and Spearman's, which is Pearson's of the ranks; each with its
//! interval, made of what a single pair moves.

use super::interval::{Interval, Level, Method};
use super::{Clusters, StatsError};

/// The fewest clusters that a correlation's interval is made of.
pub const FEWEST_PAIRS: usize = 10;

/// Computes Pearson's r of pairs; NaN where one side does not vary, or below two pairs.
pub fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0, y + pair.1));
    let (x, y) = (x / n, y / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let (dx, dy) = (pair.0 - x, pair.1 - y);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let spread = (xx * yy).sqrt();
    if spread > 0.0 { (xy / spread).clamp(-1.0, 1.0) } else { f64::NAN }
}

/// Computes Spearman's rho of pairs, equals sharing the mean of their ranks; NaN where one side does not vary.
pub fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    pearson(&ranks(&x).into_iter().zip(ranks(&y)).collect::<Vec<_>>())
}

/// Ranks values from 1; equals get the mean of the ranks they take up (scipy's `rankdata`).
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = before as f64 + (equals.len() + 1) as f64 / 2.0;
        equals.iter().for_each(|&i| ranks[i] = shared);
        before += equals.len();
    }
    ranks
}

/// Computes Pearson's r of all pairs but one, for each.
pub fn pearson_without_each(pairs: &[(f64, f64)]) -> Vec<f64> {
    without_each(pairs, pearson)
}

/// Computes Spearman's rho of all pairs but one, for each. Ranks only move by one or a half when a value leaves, so
/// nothing is sorted again.
pub fn spearman_without_each(pairs: &[(f64, f64)]) -> Vec<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (rx, ry) = (ranks(&x), ranks(&y));
    let moved = |values: &[f64], ranks: &[f64], out: usize, j: usize| {
        let above = if values[j] > values[out] { 1.0 } else { 0.0 };
        let equal = if values[j] == values[out] { 0.5 } else { 0.0 };
        ranks[j] - above - equal
    };
    let without = |out: usize| {
        let left = (0..pairs.len()).filter(|&j| j != out);
        pearson(&left.map(|j| (moved(&x, &rx, out, j), moved(&y, &ry, out, j))).collect::<Vec<_>>())
    };
    (0..pairs.len()).map(without).collect()
}

/// Computes the interval of Pearson's r, pairs of a cluster taken together: on Fisher's scale, with the larger of the
/// standard error of normal pairs and that of what each pair moves (the influence function; Devlin, Gnanadesikan and
/// Kettenring 1975).
///
/// # Errors
/// `TooFew` below [`FEWEST_PAIRS`] clusters, `NoSpread` where there is no such number or it is 1 or −1, `Unpaired` where
/// clusters are of another number of pairs.
pub fn pearson_interval(pairs: &[(f64, f64)], clusters: &Clusters, level: Level) -> Result<Interval, StatsError> {
    let r = pearson(pairs);
    let n = pairs.len() as f64;
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (standard(&x), standard(&y));
    let moves: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x * y - 0.5 * r * (x * x + y * y)).collect();
    of_moves(r, &moves, clusters, 1.0 / (n - 3.0).max(1.0), level)
}

/// Computes the interval of Spearman's rho, pairs of a cluster taken together: on Fisher's scale, with the standard
/// error of what each pair moves, its own ranks and those of all others (Croux and Dehon 2010, with ties).
///
/// # Errors
/// As for [`pearson_interval`].
pub fn spearman_interval(pairs: &[(f64, f64)], clusters: &Clusters, level: Level) -> Result<Interval, StatsError> {
    let n = pairs.len() as f64;
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let share = |values: &[f64]| -> Vec<f64> { ranks(values).iter().map(|rank| (rank - 0.5) / n - 0.5).collect() };
    let (u, v) = (share(&x), share(&y));
    let mean = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
    let (uv, uu, vv) = (mean(&u, &v), mean(&u, &u), mean(&v, &v));
    let rho = spearman(pairs);
    let (v_above, u_above) = (mean_above(&x, &v), mean_above(&y, &u));
    let (u_own, v_own) = (mean_above(&x, &u), mean_above(&y, &v));
    let moves = |i: usize| {
        let together = u[i] * v[i] + v_above[i] + u_above[i] - 3.0 * uv;
        let alone = (u[i] * u[i] + 2.0 * u_own[i] - 3.0 * uu) / uu + (v[i] * v[i] + 2.0 * v_own[i] - 3.0 * vv) / vv;
        together / (uu * vv).sqrt() - 0.5 * rho * alone
    };
    of_moves(rho, &(0..pairs.len()).map(moves).collect::<Vec<_>>(), clusters, 0.0, level)
}

/// Values less their mean, over their standard deviation.
fn standard(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let spread = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    values.iter().map(|x| (x - mean) / spread).collect()
}

/// For each value the sum of `of` over all that are larger (half of it over equals), over their number.
fn mean_above(values: &[f64], of: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let (mut means, mut above) = (vec![0.0; values.len()], 0.0);
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let own: f64 = equals.iter().map(|&i| of[i]).sum();
        equals.iter().for_each(|&i| means[i] = (above + 0.5 * own) / values.len() as f64);
        above += own;
    }
    means
}

/// Fisher's z of `r` ± so many of its standard errors: of what the clusters move, and no less than `least` allows.
fn of_moves(r: f64, moves: &[f64], clusters: &Clusters, least: f64, level: Level) -> Result<Interval, StatsError> {
    if clusters.items() != moves.len() {
        return Err(StatsError::Unpaired { reference: moves.len(), candidate: clusters.items() });
    }
    if clusters.count() < FEWEST_PAIRS {
        return Err(StatsError::TooFew { have: clusters.count(), need: FEWEST_PAIRS });
    }
    let z = r.atanh();
    if !z.is_finite() {
        return Err(StatsError::NoSpread);
    }
    let squares: f64 = clusters.iter().map(|items| items.iter().map(|&i| moves[i]).sum::<f64>().powi(2)).sum();
    let (n, groups) = (moves.len() as f64, clusters.count() as f64);
    let variance = squares / (n * n) / (1.0 - r * r).powi(2) * groups / (groups - 3.0);
    let reach = level.z() * if variance > least { variance } else { least }.sqrt();
    Ok(Interval { low: (z - reach).tanh(), high: (z + reach).tanh(), level, method: Method::Fisher }.holding(r))
}

fn without_each(pairs: &[(f64, f64)], of: fn(&[(f64, f64)]) -> f64) -> Vec<f64> {
    let without = |out: usize| of(&[&pairs[..out], &pairs[out + 1..]].concat());
    (0..pairs.len()).map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 10] = [0.31, 0.85, 0.85, -0.2, 0.44, 0.44, 0.44, 0.9, 0.05, 0.61];
    const Y: [f64; 10] = [2.0, 4.5, 3.0, 0.0, 2.0, 3.0, 1.0, 5.0, 1.0, 2.5];

    fn pairs() -> Vec<(f64, f64)> {
        X.into_iter().zip(Y).collect()
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.rankdata, spearmanr, pearsonr
        assert_eq!(ranks(&X), [3.0, 8.5, 8.5, 1.0, 5.0, 5.0, 5.0, 10.0, 2.0, 7.0]);
        assert!((spearman(&pairs()) - 0.891_321_541_031_166).abs() < 1e-12, "{}", spearman(&pairs()));
        assert!((pearson(&pairs()) - 0.888_724_744_475_886_9).abs() < 1e-12, "{}", pearson(&pairs()));
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert!(pearson(&[(1.0, 2.0), (1.0, 3.0)]).is_nan() && spearman(&[(1.0, 2.0)]).is_nan());
        assert!(spearman(&[]).is_nan());
        assert_eq!(spearman(&[(1.0, 9.0), (2.0, 5.0), (3.0, 1.0)]), -1.0);
    }

    #[test]
    fn normal_pairs_get_fishers_interval() {
        // scipy.stats.pearsonr(x, y).confidence_interval(0.95): the least that is allowed
        let got = pearson_interval(&pairs(), &Clusters::each(10).unwrap(), Level::P95).unwrap();
        assert!(
            (got.low - 0.588_277_802_678_602).abs() < 1e-9 && (got.high - 0.973_573_758_072_132_9).abs() < 1e-9,
            "{got:?}"
        );
    }

    #[test]
    fn moves_agree_with_leaving_one_out() {
        let many: Vec<(f64, f64)> =
            (0..400).map(|i| (f64::from(i), f64::from(i / 40) + 3.0 * (f64::from(i) * 1.3).sin())).collect();
        let without = spearman_without_each(&many);
        let mean = without.iter().sum::<f64>() / 400.0;
        let jackknife = (without.iter().map(|r| (399.0 * (r - mean)).powi(2)).sum::<f64>() / 400.0 / 400.0).sqrt();
        let got = spearman_interval(&many, &Clusters::each(400).unwrap(), Level::P95).unwrap();
        let error = (got.high.atanh() - got.low.atanh()) / 2.0 / Level::P95.z() * (1.0 - spearman(&many).powi(2));
        assert!((error / jackknife - 1.0).abs() < 0.02, "{error} {jackknife}");
    }

    #[test]
    fn copies_in_a_cluster_add_no_certainty_to_a_correlation() {
        let once: Vec<(f64, f64)> =
            (0..60).map(|i| (f64::from(i), 20.0 * (f64::from(i) * 1.7).sin() + f64::from(i))).collect();
        let thrice: Vec<(f64, f64)> = once.iter().flat_map(|&pair| [pair; 3]).collect();
        let keys: Vec<usize> = (0..180).map(|i| i / 3).collect();
        for of in [pearson_interval, spearman_interval] {
            let together = of(&thrice, &Clusters::by(&keys).unwrap(), Level::P95).unwrap();
            let alone = of(&thrice, &Clusters::each(180).unwrap(), Level::P95).unwrap();
            assert!(together.half_width() > 1.2 * alone.half_width(), "{together:?} {alone:?}");
        }
    }

    #[test]
    fn few_pairs_and_perfect_ones_give_no_interval() {
        let few = Clusters::each(4).unwrap();
        let line: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), f64::from(i))).collect();
        assert_eq!(pearson_interval(&pairs()[..4], &few, Level::P95), Err(StatsError::TooFew { have: 4, need: 10 }));
        assert_eq!(spearman_interval(&line, &Clusters::each(20).unwrap(), Level::P95), Err(StatsError::NoSpread));
    }

    #[test]
    fn leaving_one_out_without_sorting_is_leaving_one_out() {
        let want = without_each(&pairs(), spearman);
        for (got, want) in spearman_without_each(&pairs()).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
    }
}

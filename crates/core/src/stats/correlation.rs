//! Correlation of two lists of numbers: Pearson's, and Spearman's, which is Pearson's of the ranks.

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
    fn leaving_one_out_without_sorting_is_leaving_one_out() {
        let want = without_each(&pairs(), spearman);
        for (got, want) in spearman_without_each(&pairs()).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
    }
}

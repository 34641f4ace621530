//! Adjustment for several tests at once: p-values raised so that the chance of even one false alarm among them stays
//! what was promised.

/// Adjusts p-values by Holm's step-down method, in the order given. Never above Bonferroni's, never below the raw one.
///
/// Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979. It holds under any dependence, which tests
/// that share one reference certainly have.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut reached: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        let still_standing = (p_values.len() - rank) as f64;
        reached = reached.max(p_values[i] * still_standing).min(1.0);
        adjusted[i] = reached;
    }
    adjusted
}

/// Adjusts p-values by Bonferroni's method, for reference: every p-value times their number, at most 1.
pub fn bonferroni(p_values: &[f64]) -> Vec<f64> {
    p_values.iter().map(|p| (p * p_values.len() as f64).min(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels.stats.multitest.multipletests(p, method='holm')[1] and method='bonferroni'
        let p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.02];
        for (got, known) in holm(&p).iter().zip([0.05, 0.09, 0.09, 0.03, 0.5, 0.08]) {
            assert!((got - known).abs() < 1e-12);
        }
        for (got, known) in bonferroni(&p).iter().zip([0.06, 0.24, 0.18, 0.03, 1.0, 0.12]) {
            assert!((got - known).abs() < 1e-12);
        }
    }

    #[test]
    fn one_test_needs_no_correction_and_none_gives_none() {
        assert_eq!(holm(&[0.03]), [0.03]);
        assert!(holm(&[]).is_empty());
    }
}

//! Sums whose signs are thrown: how often would they lie as far from zero as they do?
//!
//! The distribution of Σ ±x over all 2^n signs, without a draw: by trying every sign where there are few numbers, by
//! counting where all are multiples of one step (right and wrong in clusters, fifths of a score), else by the saddlepoint
//! approximation (Lugannani and Rice 1980; Robinson, "Saddlepoint Approximations for Permutation Tests", 1982), which
//! keeps its relative precision in any tail.

use super::distribution::normal_cdf;
use super::sample;

/// 2^20 sums take a few milliseconds.
const EXACT_UP_TO: usize = 20;
/// The most steps that are counted, of all numbers together.
const STEPS_UP_TO: f64 = 20_000.0;

/// Gives the probability that Σ ±x, every sign thrown by a fair coin, lies as far from zero as Σ x does.
pub(super) fn two_sided(values: &[f64]) -> f64 {
    let moving: Vec<f64> = values.iter().copied().filter(|x| *x != 0.0).collect(); // a zero stays where it is
    let reach: f64 = moving.iter().map(|x| x.abs()).sum();
    let seen = moving.iter().sum::<f64>().abs() - 1e-10 * reach; // ties count, whatever order they were added in
    if moving.len() <= EXACT_UP_TO {
        return as_large(&moving, 0.0, seen) as f64 / (1_u64 << moving.len()) as f64;
    }
    match steps(&moving) {
        Some((steps, step)) => counted(&steps, seen / step),
        None => saddlepoint(&moving, seen),
    }
}

/// How many of the 2^n signings of `rest` bring `sum` to at least `seen` from zero.
fn as_large(rest: &[f64], sum: f64, seen: f64) -> u64 {
    match rest.split_first() {
        None => u64::from(sum.abs() >= seen),
        Some((x, rest)) => as_large(rest, sum + x, seen) + as_large(rest, sum - x, seen),
    }
}

/// The numbers as multiples of the smallest, where they are that.
fn steps(values: &[f64]) -> Option<(Vec<usize>, f64)> {
    let sizes: Vec<f64> = values.iter().map(|x| x.abs()).collect();
    let (step, _) = sample::extremes(&sizes)?;
    let whole = |size: &f64| ((size / step).round() - size / step).abs() < 1e-6;
    let few = sizes.iter().sum::<f64>() / step <= STEPS_UP_TO;
    (few && sizes.iter().all(whole)).then(|| (sizes.iter().map(|size| (size / step).round() as usize).collect(), step))
}

/// The exact probability, each number's sign thrown after the other.
fn counted(steps: &[usize], seen: f64) -> f64 {
    let reach: usize = steps.iter().sum();
    let mut chances = vec![0.0; 2 * reach + 1]; // of each sum, the middle being zero
    chances[reach] = 1.0;
    for &step in steps {
        let before = |place: Option<usize>| place.and_then(|place| chances.get(place)).copied().unwrap_or(0.0);
        let thrown = |at: usize| 0.5 * (before(at.checked_sub(step)) + before(Some(at + step)));
        chances = (0..chances.len()).map(thrown).collect();
    }
    let far = |(place, _): &(usize, &f64)| place.abs_diff(reach) as f64 >= seen;
    chances.iter().enumerate().filter(far).map(|(_, chance)| chance).sum::<f64>().min(1.0)
}

/// Lugannani and Rice in Barndorff-Nielsen's form, of K(t) = Σ ln cosh(t x).
fn saddlepoint(values: &[f64], seen: f64) -> f64 {
    let least = 2.0 * 0.5_f64.powi(values.len() as i32); // the two signings that are all one way
    let spread = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let reach: f64 = values.iter().map(|x| x.abs()).sum();
    if seen <= 1e-3 * spread {
        return (2.0 * normal_cdf(-seen.max(0.0) / spread)).min(1.0);
    }
    if seen >= reach * (1.0 - 1e-9) {
        return least;
    }
    let mean_at = |tilt: f64| values.iter().map(|x| x * (tilt * x).tanh()).sum::<f64>();
    let mut high = seen / (spread * spread);
    while mean_at(high) < seen {
        high *= 2.0;
    }
    let tilt = super::distribution::bisect(0.0, high, |tilt| mean_at(tilt) < seen);
    let ln_cosh = |x: f64| x.abs() + (-2.0 * x.abs()).exp().ln_1p() - std::f64::consts::LN_2;
    let cumulant: f64 = values.iter().map(|x| ln_cosh(tilt * x)).sum();
    let variance: f64 = values.iter().map(|x| (x / (tilt * x).cosh()).powi(2)).sum();
    let (root, step) = ((2.0 * (tilt * seen - cumulant)).max(0.0).sqrt(), tilt * variance.sqrt());
    let z = root + (step / root).ln() / root;
    (2.0 * normal_cdf(-z)).clamp(least, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(n: usize) -> Vec<f64> {
        (0..n).map(|i| 0.4 + (i as f64 * 1.7).sin()).collect()
    }

    #[test]
    fn the_saddlepoint_agrees_with_every_sign() {
        for n in [8, 14, 20] {
            let x = waves(n);
            let all = two_sided(&x);
            let near = saddlepoint(&x, x.iter().sum::<f64>().abs());
            assert!((near / all - 1.0).abs() < 0.06, "{n}: {near} of {all}");
        }
    }

    #[test]
    fn counting_agrees_with_every_sign() {
        let x: Vec<f64> = (0..18).map(|i| 0.2 * f64::from(i % 5 - 1)).collect();
        let moving: Vec<f64> = x.iter().copied().filter(|x| *x != 0.0).collect();
        let (steps, step) = steps(&moving).unwrap();
        let seen = x.iter().sum::<f64>().abs() - 1e-9;
        assert!((counted(&steps, seen / step) - two_sided(&x)).abs() < 1e-12);
    }

    #[test]
    fn fair_coins_give_mcnemar() {
        // 2 * scipy.stats.binom.cdf(10, 40, 0.5)
        let x: Vec<f64> = (0..40).map(|i| if i < 10 { -1.0 } else { 1.0 }).collect();
        assert!((two_sided(&x) / 0.002_221_433_773_229_364_5 - 1.0).abs() < 1e-9, "{}", two_sided(&x));
    }

    #[test]
    fn tails_go_on() {
        let far: Vec<f64> = waves(300).iter().map(|x| x + 1.0).collect();
        let p = two_sided(&far);
        assert!(p > 0.0 && p < 1e-30, "{p}");
        let all_one_way: Vec<f64> = (0..30).map(|i| 1.0 + 0.01 * (f64::from(i) * 0.7).sin()).collect();
        assert!((two_sided(&all_one_way) - 0.5_f64.powi(29)).abs() < 1e-15);
    }
}

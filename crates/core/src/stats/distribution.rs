//! The normal, Student's t and binomial distributions: their areas and quantiles, to about 1e-12.

use std::cell::Cell;
use std::f64::consts::{PI, TAU};

/// Gives the area of the standard normal left of `x`.
///
/// A power series near zero (Marsaglia, "Evaluating the Normal Distribution", 2004); in the tails a continued fraction
/// (Abramowitz and Stegun 26.2.14), because there the series loses all relative precision to cancellation.
pub fn normal_cdf(x: f64) -> f64 {
    if x > 3.0 {
        return 1.0 - normal_cdf(-x);
    }
    if x < -3.0 {
        return normal_density(x) / tail_fraction(-x);
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + normal_density(x) * sum
}

fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// x + 1/(x + 2/(x + 3/(x + …))): the inverse Mills ratio, from the inside out.
fn tail_fraction(x: f64) -> f64 {
    (1..=120).rev().fold(x, |inner, k| x + f64::from(k) / inner)
}

/// Gives the `x` of the standard normal with area `p` to its left; infinite at 0 and 1, NaN outside them.
///
/// A first guess good to 4.5e-4 (Abramowitz and Stegun 26.2.23), then Halley steps, each of which triples the digits.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 || p.is_nan() {
        return match p {
            0.0 => f64::NEG_INFINITY,
            1.0 => f64::INFINITY,
            _ => f64::NAN,
        };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p); // the left half keeps its relative precision
    }
    KNOWN_QUANTILES.with(|known| known.of(p))
}

thread_local! {
    static KNOWN_QUANTILES: Quantiles = const { Quantiles { known: Cell::new([(0.0, 0.0); 8]), next: Cell::new(0) } };
}

/// The quantiles that were asked for last: levels are few and come again thousands of times.
struct Quantiles {
    known: Cell<[(f64, f64); 8]>,
    next: Cell<usize>,
}

impl Quantiles {
    fn of(&self, p: f64) -> f64 {
        let mut known = self.known.get();
        if let Some((_, quantile)) = known.iter().find(|(of, _)| *of == p) {
            return *quantile;
        }
        let (at, quantile) = (self.next.get(), lower_quantile(p));
        known[at] = (p, quantile);
        self.known.set(known);
        self.next.set((at + 1) % known.len());
        quantile
    }
}

/// The quantile of a share above 0 and up to one half.
fn lower_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let numerator = 2.515517 + t * (0.802853 + t * 0.010328);
    let denominator = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    let mut x = numerator / denominator - t;
    for _ in 0..3 {
        let step = (normal_cdf(x) - p) / normal_density(x);
        x -= step / (1.0 + 0.5 * x * step);
    }
    x
}

/// Gives the area of Student's t with `freedom` degrees of freedom left of `t`.
pub fn student_cdf(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Gives the `t` of Student's t with area `p` to its left; infinite at 0 and 1, NaN outside them.
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 || p.is_nan() {
        return normal_quantile(p);
    }
    if p > 0.5 {
        return -student_quantile(1.0 - p, freedom);
    }
    // Here the quantile is at most 0 and the area rises with t: widen until it is bracketed, then halve.
    let mut low = -1.0;
    while student_cdf(low, freedom) > p {
        low *= 2.0;
    }
    bisect(low, 0.0, |t| student_cdf(t, freedom) < p)
}

/// The point of `[low, high]` at which `below` turns from true to false.
pub(super) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Gives the probability of exactly `k` successes in `n` trials of chance `p`.
pub fn binomial_pmf(k: u64, n: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        let certain = if p <= 0.0 { 0 } else { n };
        return if k == certain { 1.0 } else { 0.0 };
    }
    let (k, n) = (k as f64, n as f64);
    (ln_choose(n, k) + k * p.ln() + (n - k) * (-p).ln_1p()).exp()
}

/// Gives the probability of at most `k` successes in `n` trials of chance `p`.
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    incomplete_beta(1.0 - p, (n - k) as f64, (k + 1) as f64)
}

/// Gives the probability of at least `k` successes in `n` trials of chance `p`: how surprising a score is for a
/// guesser.
pub fn binomial_at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 || p >= 1.0 {
        return if k <= n { 1.0 } else { 0.0 };
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    incomplete_beta(p, k as f64, (n - k + 1) as f64)
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// Lanczos' approximation (g = 7, nine terms) of ln Γ(x) for x > 0.
fn ln_gamma(x: f64) -> f64 {
    #[allow(clippy::excessive_precision)] // the published digits
    const TERMS: [f64; 9] = [
        0.99999999999980993,
        676.5203681218851,
        -1259.1392167224028,
        771.32342877765313,
        -176.61502916214059,
        12.507343278686905,
        -0.13857109526572012,
        9.9843695780195716e-6,
        1.5056327351493116e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let series = TERMS[1..].iter().zip(1..).fold(TERMS[0], |sum, (term, i)| sum + term / (x + f64::from(i)));
    0.5 * TAU.ln() + (x + 0.5) * t.ln() - t + series.ln()
}

/// The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22), taken from the
/// side on which it converges fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300; // Lentz: a zero denominator is nudged off zero
    let nudged = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / nudged(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in (1..1000).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / nudged(1.0 + numerator * d);
            c = nudged(1.0 + numerator / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, known: f64) {
        assert!((got - known).abs() <= 1e-11 * known.abs().max(1e-3), "{got} is not {known}");
    }

    #[test]
    fn normal_agrees_with_scipy() {
        // scipy.stats.norm.cdf(x)
        near(normal_cdf(0.5), 0.6914624612740131);
        near(normal_cdf(-1.96), 0.024997895148220435);
        near(normal_cdf(2.5), 0.9937903346742238);
        assert!((normal_cdf(-5.0) / 2.866515718791933e-07 - 1.0).abs() < 1e-12);
        assert!((normal_cdf(-9.0) / 1.1285884059538324e-19 - 1.0).abs() < 1e-12);
        // scipy.stats.norm.ppf(p)
        near(normal_quantile(0.5), 0.0);
        near(normal_quantile(0.975), 1.959963984540054);
        near(normal_quantile(0.8), 0.8416212335729143);
        near(normal_quantile(1e-4), -3.7190164854556804);
        near(normal_quantile(1e-10), -6.361340902404056);
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert!(normal_quantile(1.5).is_nan());
    }

    #[test]
    fn student_agrees_with_scipy() {
        // scipy.stats.t.cdf(t, df)
        for (t, freedom, area) in [
            (1.0, 1.0, 0.75),
            (2.0, 4.0, 0.9419417382415922),
            (-1.5, 9.0, 0.08392532802853753),
            (0.3, 29.0, 0.6168414533355161),
            (4.2, 2.0, 0.9738583665268504),
            (2.0, 200.0, 0.9765734069064645),
        ] {
            near(student_cdf(t, freedom), area);
        }
        // scipy.stats.t.ppf(p, df)
        for (p, freedom, t) in [
            (0.975, 1.0, 12.706204736174694),
            (0.975, 4.0, 2.7764451051977934),
            (0.95, 9.0, 1.833112932656237),
            (0.995, 29.0, 2.756385903670605),
            (0.025, 3.0, -3.1824463052837086),
            (0.9, 200.0, 1.2857987939948012),
        ] {
            near(student_quantile(p, freedom), t);
        }
    }

    #[test]
    fn binomial_agrees_with_scipy() {
        // scipy.stats.binom.cdf(k, n, p), .pmf(k, n, p), .sf(k - 1, n, p)
        for (k, n, p, cdf, pmf, at_least) in [
            (3, 10, 0.5, 0.171875, 0.1171875, 0.9453125),
            (0, 5, 0.25, 0.2373046875, 0.2373046875, 1.0),
            (60, 200, 0.25, 0.9546114398644326, 0.017083670920896753, 0.06247223105646413),
            (199, 400, 0.5, 0.48006534901810327, 0.03967094722765464, 0.5596055982095514),
            (10, 10, 0.3, 1.0, 5.9049e-06, 5.9049e-06),
        ] {
            near(binomial_cdf(k, n, p), cdf);
            near(binomial_pmf(k, n, p), pmf);
            near(binomial_at_least(k, n, p), at_least);
        }
    }

    #[test]
    fn a_certain_coin_is_certain() {
        assert_eq!((binomial_pmf(0, 4, 0.0), binomial_pmf(4, 4, 1.0), binomial_pmf(5, 4, 0.5)), (1.0, 1.0, 0.0));
        assert_eq!(
            (binomial_cdf(3, 4, 1.0), binomial_at_least(1, 4, 0.0), binomial_at_least(4, 4, 1.0)),
            (0.0, 0.0, 1.0)
        );
    }
}

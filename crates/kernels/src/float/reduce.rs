//! Sums, maxima and exponentials over rows of floats.

use super::for_each_isa;

const LANES: usize = 16;

/// Σ f(a[i], b[i]) in sixteen lanes.
#[inline(always)]
pub(super) fn fold2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a16, b16) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a16.remainder().iter().zip(b16.remainder()).map(|(&x, &y)| f(x, y)).sum();
    for (x, y) in a16.zip(b16) {
        for l in 0..LANES {
            lanes[l] += f(x[l], y[l]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[inline(always)]
pub(super) fn dot_of(a: &[f32], b: &[f32]) -> f32 {
    fold2(a, b, |x, y| x * y)
}

#[inline(always)]
pub(super) fn sum_of(row: &[f32]) -> f32 {
    fold2(row, row, |x, _| x)
}

/// Σ f(row[i])
#[inline(always)]
pub(super) fn sum_map(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    fold2(row, row, |x, _| f(x))
}

#[inline(always)]
fn max_of(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in chunks {
        for l in 0..LANES {
            lanes[l] = if x[l] > lanes[l] { x[l] } else { lanes[l] };
        }
    }
    lanes.iter().copied().fold(tail, f32::max)
}

#[inline(always)]
fn exp_shifted_of(row: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for x in &mut chunks {
        for l in 0..LANES {
            x[l] = exp(x[l] - shift);
            lanes[l] += x[l];
        }
    }
    let mut sum = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        sum += *x;
    }
    sum + lanes.iter().sum::<f32>()
}

#[inline(always)]
fn sum_exp_of(row: &[f32], shift: f32) -> f32 {
    fold2(row, row, |x, _| exp(x - shift))
}

for_each_isa! {
    /// Sums the products of two rows of one length.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_of(a, b)
    }
}

for_each_isa! {
    /// Gives the largest of a row; NaN is passed over.
    pub fn max(row: &[f32]) -> f32 {
        max_of(row)
    }
}

for_each_isa! {
    /// Makes each x of a row exp(x − shift) and gives their sum.
    pub fn exp_shifted(row: &mut [f32], shift: f32) -> f32 {
        exp_shifted_of(row, shift)
    }
}

for_each_isa! {
    /// Sums exp(x − shift) over a row.
    pub fn sum_exp(row: &[f32], shift: f32) -> f32 {
        sum_exp_of(row, shift)
    }
}

for_each_isa! {
    /// Gives log Σ exp over a row.
    pub fn log_sum_exp(row: &[f32]) -> f32 {
        let max = max_of(row);
        sum_exp_of(row, max).ln() + max
    }
}

for_each_isa! {
    /// Turns scores into shares of one in place: softmax(scale · score), of cap · tanh(scale · score / cap) where there
    /// is a cap (Gemma 2).
    pub fn softmax(row: &mut [f32], scale: f32, softcap: Option<f32>) {
        match softcap {
            None => row.iter_mut().for_each(|s| *s *= scale),
            Some(cap) => row.iter_mut().for_each(|s| *s = cap * (*s * scale / cap).tanh()),
        }
        let max = max_of(row);
        let norm = 1.0 / exp_shifted_of(row, max);
        row.iter_mut().for_each(|p| *p *= norm);
    }
}

for_each_isa! {
    /// Turns logits into the gradient of their cross entropy, in place: share · (softmax(row) − onehot(target)).
    pub fn cross_entropy_backward(row: &mut [f32], target: usize, share: f32) {
        let max = max_of(row);
        let scale = share / exp_shifted_of(row, max);
        row.iter_mut().for_each(|p| *p *= scale);
        row[target] -= share;
    }
}

for_each_isa! {
    /// Writes the products of queries (group, d) with `count` keys, which lie `stride` apart, each key read once:
    /// scores[g · width + column + i] = queries[g] · keys[i].
    pub(crate) fn scores(
        queries: &[f32],
        d: usize,
        keys: &[f32],
        stride: usize,
        count: usize,
        scores: &mut [f32],
        width: usize,
        column: usize,
    ) {
        for i in 0..count {
            let key = &keys[i * stride..][..d];
            for (g, query) in queries.chunks_exact(d).enumerate() {
                scores[g * width + column + i] = dot_of(query, key);
            }
        }
    }
}

for_each_isa! {
    /// Adds `count` values, which lie `stride` apart, to out (group, d), each times its share
    /// shares[g · width + column + i], each value read once.
    pub(crate) fn attend_values(
        out: &mut [f32],
        d: usize,
        values: &[f32],
        stride: usize,
        count: usize,
        shares: &[f32],
        width: usize,
        column: usize,
    ) {
        for i in 0..count {
            let value = &values[i * stride..][..d];
            for (g, out) in out.chunks_exact_mut(d).enumerate() {
                let share = shares[g * width + column + i];
                for (out, value) in out.iter_mut().zip(value) {
                    *out += share * value;
                }
            }
        }
    }
}

/// e^x to within 2 units in the last place, in a form the compiler turns into vector code: e^x = 2^n e^r with
/// |r| <= ln 2 / 2 and a degree-6 polynomial for e^r (Cephes expf). Below -87 it gives 0, above 88 it saturates.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let c = x.clamp(-87.0, 88.0);
    let shifted = c * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = c - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_6e-1;
    p = p * r + 5e-1;
    let e = p * r * r + r + 1.0;
    // The integer n, moved into the exponent field. A NaN gives rubbish here and stays a NaN through `e`.
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    let scaled = e * f32::from_bits(power.wrapping_add(1f32.to_bits()));
    if x < -87.0 { 0.0 } else { scaled }
}

/// One sigmoid for forward and backward alike.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_the_last_places() {
        for i in -870..880 {
            let x = i as f32 * 0.1 + 0.013;
            let want = f64::from(x).exp();
            let apart = (f64::from(exp(x)) - want).abs() / want;
            assert!(apart < 3e-7, "exp({x}) is off by {apart:e}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_are_those_of_f64() {
        let a: Vec<f32> = (0..67).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let b: Vec<f32> = a.iter().rev().copied().collect();
        let wide = |x: f32| f64::from(x);
        let want: f64 = a.iter().zip(&b).map(|(&a, &b)| wide(a) * wide(b)).sum();
        assert!((wide(dot(&a, &b)) - want).abs() < 1e-5);
        assert_eq!(max(&a), a.iter().copied().fold(f32::MIN, f32::max));
        let want = a.iter().map(|&a| wide(a).exp()).sum::<f64>().ln();
        assert!((wide(log_sum_exp(&a)) - want).abs() < 1e-5);
        let mut shares = a.clone();
        softmax(&mut shares, 0.5, None);
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut gradient = a.clone();
        cross_entropy_backward(&mut gradient, 3, 2.0);
        assert!(gradient.iter().sum::<f32>().abs() < 1e-5 && gradient[3] < 0.0);
    }
}

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
    /// Adds as many of x, from its first number on, as there are of y to y.
    pub fn add_to(x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
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

/// Scores to exponentials of what they are after scale and cap, less the largest; gives that and their sum.
#[inline(always)]
fn exponentials_of(row: &mut [f32], scale: f32, softcap: Option<f32>) -> (f32, f32) {
    match softcap {
        None => row.iter_mut().for_each(|s| *s *= scale),
        Some(cap) => row.iter_mut().for_each(|s| *s = cap * (*s * scale / cap).tanh()),
    }
    let max = max_of(row);
    (max, exp_shifted_of(row, max))
}

for_each_isa! {
    /// Turns scores into shares of one in place: softmax(scale · score), of cap · tanh(scale · score / cap) where there
    /// is a cap (Gemma 2).
    pub fn softmax(row: &mut [f32], scale: f32, softcap: Option<f32>) {
        let norm = 1.0 / exponentials_of(row, scale, softcap).1;
        row.iter_mut().for_each(|p| *p *= norm);
    }
}

for_each_isa! {
    /// As `softmax`, beside a further score that takes its share and is none of the row's; it is neither scaled nor capped.
    pub(crate) fn softmax_beside(row: &mut [f32], scale: f32, softcap: Option<f32>, sink: Option<f32>) {
        let (max, sum) = exponentials_of(row, scale, softcap);
        let norm = 1.0 / (sum + sink.map_or(0.0, |sink| exp(sink - max)));
        row.iter_mut().for_each(|p| *p *= norm);
    }
}

for_each_isa! {
    /// Turns scores into what `softmax` divides by their sum, in place; gives the largest score and that sum.
    pub(crate) fn exponentials(row: &mut [f32], scale: f32, softcap: Option<f32>) -> (f32, f32) {
        exponentials_of(row, scale, softcap)
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

/// The products of a query (d) with sixteen keys (d, 16). Each fourth number is summed apart: what is added up need not wait
/// for the sum before, and errs less. The sums are arrays of their own, or the compiler keeps them in memory.
#[inline(always)]
fn tile_sums(query: &[f32], tile: &[[f32; LANES]]) -> [f32; LANES] {
    let none = [0f32; LANES];
    let (mut a, mut b, mut c, mut d, mut rest) = (none, none, none, none, none);
    let ((keys, last_keys), (xs, last_xs)) = (tile.as_chunks::<4>(), query.as_chunks::<4>());
    for (keys, x) in keys.iter().zip(xs) {
        add_scaled(&mut a, x[0], &keys[0]);
        add_scaled(&mut b, x[1], &keys[1]);
        add_scaled(&mut c, x[2], &keys[2]);
        add_scaled(&mut d, x[3], &keys[3]);
    }
    for (keys, x) in last_keys.iter().zip(last_xs) {
        add_scaled(&mut rest, *x, keys);
    }
    let mut sums = none;
    for l in 0..LANES {
        sums[l] = (a[l] + b[l]) + (c[l] + d[l]) + rest[l];
    }
    sums
}

#[inline(always)]
fn add_scaled(sums: &mut [f32; LANES], x: f32, keys: &[f32; LANES]) {
    for l in 0..LANES {
        sums[l] += x * keys[l];
    }
}

for_each_isa! {
    /// Multiplies queries (group, d) with a tile of sixteen keys (d, 16): out (group, 16).
    pub(crate) fn tile_scores(queries: &[f32], d: usize, tile: &[f32], out: &mut [f32]) {
        let tile = &tile.as_chunks::<LANES>().0[..d];
        for (query, out) in queries.chunks_exact(d).zip(out.as_chunks_mut::<LANES>().0) {
            *out = tile_sums(query, tile);
        }
    }
}

for_each_isa! {
    /// Adds `count` values, which lie `stride` apart, to out (group, d), each times its share
    /// shares[g · width + column + i].
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
        for (g, out) in out.chunks_exact_mut(d).enumerate() {
            let shares = &shares[g * width + column..][..count];
            let mut done = 0;
            done += add_values::<{ 4 * LANES }>(&mut out[done..], &values[done..], stride, shares);
            done += add_values::<LANES>(&mut out[done..], &values[done..], stride, shares);
            for (j, out) in out.iter_mut().enumerate().skip(done) {
                *out = shares.iter().enumerate().fold(*out, |sum, (i, share)| sum + share * values[i * stride + j]);
            }
        }
    }
}

/// Adds values, each times its share, in runs of N numbers that stay in registers; gives how many numbers that were.
#[inline(always)]
fn add_values<const N: usize>(out: &mut [f32], values: &[f32], stride: usize, shares: &[f32]) -> usize {
    let runs = out.as_chunks_mut::<N>().0;
    let done = runs.len() * N;
    for (run, out) in runs.iter_mut().enumerate() {
        let mut sums = *out;
        for (i, share) in shares.iter().enumerate() {
            let value: &[f32; N] = values[i * stride + run * N..].first_chunk().expect("a value has d numbers");
            for l in 0..N {
                sums[l] += share * value[l];
            }
        }
        *out = sums;
    }
    done
}

for_each_isa! {
    /// Puts together what parts of the keys gave, each a group's maxima, sums of exponentials and unscaled outputs:
    /// (parts, group · (2 + d)) to out (group, d).
    pub(crate) fn merge_parts(parts: &[f32], group: usize, d: usize, sinks: &[f32], out: &mut [f32]) {
        let part = group * (2 + d);
        for (g, out) in out.chunks_exact_mut(d).enumerate() {
            let most = parts.chunks_exact(part).map(|part| part[g]).fold(f32::NEG_INFINITY, f32::max);
            let weight = |part: &[f32]| exp(part[g] - most);
            let sum: f32 = parts.chunks_exact(part).map(|part| weight(part) * part[group + g]).sum();
            let sum = sum + sinks.get(g).map_or(0.0, |sink| exp(sink - most));
            out.fill(0.0);
            for part in parts.chunks_exact(part) {
                let share = weight(part) / sum;
                let own = &part[2 * group + g * d..][..d];
                out.iter_mut().zip(own).for_each(|(out, x)| *out += share * x);
            }
        }
    }
}

/// e^x to within 2 units in the last place, in a form the compiler turns into vector code: e^x = 2^n e^r with
/// |r| <= ln 2 / 2 and a degree-6 polynomial for e^r (Cephes expf). Below -87 it gives 0, above 88 it saturates.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
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

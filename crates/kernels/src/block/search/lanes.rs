//! Eight candidates at once: the search tries scales side by side, one a lane, over the same weights, so that no sum
//! crosses lanes. Plain arrays and loops that the compiler turns into vector code; the sums are taken in a fixed order,
//! and so a block comes out the same on every machine.

use half::f16;

pub(crate) const LANES: usize = 8;

/// A number for each candidate.
pub(crate) type Lanes = [f32; LANES];

/// The nearest integer, ties to even, for |x| < 2^22; two additions where `round` may be a call.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves no room for a fraction
    (x + MAGIC) - MAGIC
}

/// The nearest integer in a range. NaN becomes `low`.
#[inline(always)]
pub(crate) fn nearest_in(x: f32, (low, high): (f32, f32)) -> f32 {
    let q = nearest(x);
    let q = if q > low { q } else { low };
    if q < high { q } else { high }
}

/// 1/step, and 0 for a step of 0, under which every weight is 0.
#[inline(always)]
pub(crate) fn reciprocal(step: f32) -> f32 {
    if step == 0.0 { 0.0 } else { 1.0 / step }
}

/// As a file holds it: rounded to f16; to the one farther from zero among the subnormals, where the nearer may be far
/// too small for the largest weight, or zero.
#[inline(always)]
pub(crate) fn stored(value: f32) -> f32 {
    let near = f16::from_f32(value);
    let falls_short = near.to_f32().abs() < value.abs();
    match falls_short && value.abs() < f16::MIN_POSITIVE.to_f32() {
        true => f16::from_bits(near.to_bits() + 1).to_f32(),
        false => near.to_f32(),
    }
}

/// The lane of the least number, the first of equals.
#[inline(always)]
pub(crate) fn least(lanes: &Lanes) -> usize {
    (1..LANES).fold(0, |best, lane| if lanes[lane] < lanes[best] { lane } else { best })
}

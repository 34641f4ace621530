//! Arithmetic over a block, written so that the compiler turns it into vector code: one plain loop an operation, and
//! sums in eight lanes taken together in a fixed order, so that a block comes out the same on every machine.

use half::f16;

/// The nearest integer, ties to even, for |x| < 2^22; two additions where `round` may be a call.
#[inline(always)]
pub fn nearest(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves no room for a fraction
    (x + MAGIC) - MAGIC
}

/// As a file holds it: rounded to f16; to the one farther from zero among the subnormals, where the nearer may be far
/// too small for the largest weight, or zero.
pub fn stored(value: f32) -> f32 {
    let near = f16::from_f32(value);
    let falls_short = near.to_f32().abs() < value.abs();
    match falls_short && value.abs() < f16::MIN_POSITIVE.to_f32() {
        true => f16::from_bits(near.to_bits() + 1).to_f32(),
        false => near.to_f32(),
    }
}

/// The nearest integers to x·inverse + start, held between `low` and `high`.
#[inline(always)]
pub fn rounded<const N: usize>(x: &[f32; N], inverse: f32, start: f32, low: f32, high: f32) -> [f32; N] {
    let mut q = [0.0; N];
    for i in 0..N {
        let near = nearest(x[i] * inverse + start);
        let near = if near > low { near } else { low };
        q[i] = if near < high { near } else { high };
    }
    q
}

/// Σ a·b. N is a multiple of eight.
#[inline(always)]
pub fn dot<const N: usize>(a: &[f32; N], b: &[f32; N]) -> f32 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for i in 0..8 {
            lanes[i] += a[i] * b[i];
        }
    }
    total(lanes)
}

/// Σ a. N is a multiple of eight.
#[inline(always)]
pub fn sum<const N: usize>(a: &[f32; N]) -> f32 {
    let mut lanes = [0.0; 8];
    for a in a.as_chunks::<8>().0 {
        for i in 0..8 {
            lanes[i] += a[i];
        }
    }
    total(lanes)
}

/// Σ (x − offset − step·q)². N is a multiple of eight.
#[inline(always)]
pub fn squared_error<const N: usize>(x: &[f32; N], q: &[f32; N], step: f32, offset: f32) -> f32 {
    let mut lanes = [0.0; 8];
    for (x, q) in x.as_chunks::<8>().0.iter().zip(q.as_chunks::<8>().0) {
        for i in 0..8 {
            let miss = (x[i] - offset) - step * q[i];
            lanes[i] += miss * miss;
        }
    }
    total(lanes)
}

#[inline(always)]
fn total([a, b, c, d, e, f, g, h]: [f32; 8]) -> f32 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

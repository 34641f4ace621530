//! What the IQ types have in common: runs of magnitudes of a grid, and a sign for each of them.

use std::array::from_fn;

use crate::simd::Simd;

/// Quants of 32 weights: those of a grid's runs, which are as many above `zero` as they are large, or as many below it
/// where a weight's bit is set.
#[inline(always)]
pub(super) fn signed<S: Simd>(simd: S, runs: [u64; 4], signs: [u8; 4], zero: u8) -> S::Bytes {
    // zero − v = 2·zero − (zero + v), and −q is !q + 1
    let turned = simd.xor(simd.eights(runs), simd.where_set(signs, 0xFF));
    simd.add(turned, simd.where_set(signs, 2 * zero + 1))
}

/// Four times seven signs in the low 28 bits: the eighth makes their number even (`ksigns_iq2xs` in ggml-common.h).
#[inline(always)]
pub(super) fn even_signs(word: u32) -> [u8; 4] {
    let seven = word & 0x7F | (word & 0x3F80) << 1 | (word & 0x001F_C000) << 2 | (word & 0x0FE0_0000) << 3;
    let mut odd = seven ^ (seven >> 4 & 0x0F0F_0F0F);
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    (seven | (odd & 0x0101_0101) << 7).to_le_bytes()
}

/// The quants of a grid of magnitudes, as many above `ZERO`.
pub(super) const fn above<const N: usize>(zero: u8, magnitudes: [u8; N]) -> [u8; N] {
    let (mut quants, mut i) = (magnitudes, 0);
    while i < N {
        quants[i] += zero;
        i += 1;
    }
    quants
}

/// Scales of 16 weights from four bits each, the first in the low halves: unit·(2·bits + 1).
#[inline(always)]
pub(super) fn odd_scales<S: Simd>(simd: S, unit: f32, packed: [u8; 8], scales: &mut [f32]) {
    let word = u64::from_le_bytes(packed);
    let odd = |four: u64| ((four & 0x0F0F_0F0F_0F0F_0F0F) << 1 | 0x0101_0101_0101_0101).to_le_bytes();
    let low = simd.times(unit, odd(word).map(u8::cast_signed));
    let high = simd.times(unit, odd(word >> 4).map(u8::cast_signed));
    for (pair, (low, high)) in scales.as_chunks_mut::<2>().0.iter_mut().zip(low.into_iter().zip(high)) {
        *pair = [low, high];
    }
}

/// Magnitudes to choose runs for, and the signs of each eight, where all are stored.
#[inline(always)]
pub(super) fn with_signs(x: &[f32; 256]) -> ([f32; 256], [u8; 32]) {
    let eights = x.as_chunks::<8>().0;
    let signs = from_fn(|eight| (0..8).fold(0, |bits, i| bits | u8::from(eights[eight][i] < 0.0) << i));
    (x.map(f32::abs), signs)
}

/// The same where the number of signs must be even: where it is odd, the weight for which that matters least gets the other
/// one. A wrong sign costs 4·w·|x|·step·value.
#[inline(always)]
pub(super) fn with_even_signs(x: &[f32; 256], w: &[f32; 256]) -> ([f32; 256], [u8; 32]) {
    let (mut magnitudes, mut signs) = with_signs(x);
    let eights = magnitudes.as_chunks_mut::<8>().0.iter_mut().zip(w.as_chunks::<8>().0);
    for ((x, w), signs) in eights.zip(&mut signs) {
        if signs.count_ones() % 2 == 1 {
            let least = (1..8).fold(0, |least, i| if w[i] * x[i] < w[least] * x[least] { i } else { least });
            x[least] = -x[least];
            *signs ^= 1 << least;
        }
    }
    (magnitudes, signs)
}

/// Four times seven of eight signs, in the low 28 bits: what `even_signs` reads.
#[inline(always)]
pub(super) fn pack_even_signs(signs: &[u8]) -> u32 {
    signs.iter().rev().fold(0, |word, signs| word << 7 | u32::from(signs & 127))
}

/// Pairs of four bits, the first in the low halves.
#[inline(always)]
pub(super) fn pack_pairs(numbers: &[u8], bytes: &mut [u8]) {
    for (byte, pair) in bytes.iter_mut().zip(numbers.as_chunks::<2>().0) {
        *byte = pair[0] | pair[1] << 4;
    }
}

#[cfg(test)]
mod tests {
    use super::even_signs;

    #[test]
    fn the_eighth_sign_makes_their_number_even() {
        for first in 0..128u32 {
            let signs = even_signs(first | (127 - first) << 7 | (first ^ 85) << 14 | 1 << 21);
            let sevens = [first, 127 - first, first ^ 85, 1].map(|seven| seven as u8);
            for (sign, seven) in signs.into_iter().zip(sevens) {
                assert_eq!((sign & 127, sign.count_ones() % 2), (seven, 0));
            }
        }
    }
}

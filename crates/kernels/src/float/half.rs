//! Halves to floats and back, many at a time. The `half` crate looks up what the processor has for each few of them.

use half::f16;

/// The largest number of half precision.
const MOST: f32 = 65504.0;

/// Widens halves.
pub(crate) fn floats_of(halves: &[f16], floats: &mut [f32]) {
    assert_eq!(halves.len(), floats.len(), "a float for each half");
    #[cfg(target_arch = "x86_64")]
    match super::widest() {
        // SAFETY: `widest` names only what this processor has.
        super::Width::Avx512 => return unsafe { x86::floats_of_avx512(halves, floats) },
        // SAFETY: as above; products with AVX2 have F16C.
        super::Width::Avx2 => return unsafe { x86::floats_of_avx2(halves, floats) },
        super::Width::Plain => {}
    }
    one_by_one(halves, floats);
}

/// Rounds floats to the nearest halves; what is too large becomes the largest, so that it stays a number.
pub(crate) fn halves_of(floats: &[f32], halves: &mut [f16]) {
    assert_eq!(halves.len(), floats.len(), "a half for each float");
    #[cfg(target_arch = "x86_64")]
    match super::widest() {
        // SAFETY: `widest` names only what this processor has; with AVX2 it has F16C.
        super::Width::Avx512 | super::Width::Avx2 => return unsafe { x86::halves_of(floats, halves) },
        super::Width::Plain => {}
    }
    floats.iter().zip(halves).for_each(|(x, half)| *half = half_of(*x));
}

/// Rounds floats to what halves of them come back as.
pub(crate) fn round_to_halves(floats: &mut [f32]) {
    let mut halves = [f16::ZERO; 256];
    for some in floats.chunks_mut(halves.len()) {
        let halves = &mut halves[..some.len()];
        halves_of(some, halves);
        floats_of(halves, some);
    }
}

/// One float as `halves_of` rounds it.
pub(crate) fn half_of(x: f32) -> f16 {
    f16::from_f32(x.clamp(-MOST, MOST))
}

/// Asks for numbers that will be read soon.
#[inline]
pub(crate) fn ask_for(halves: &[f16]) {
    #[cfg(target_arch = "x86_64")]
    for line in halves.chunks(32) {
        // SAFETY: x86-64 has SSE, and a hint reads nothing.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = halves;
}

fn one_by_one(halves: &[f16], floats: &mut [f32]) {
    halves.iter().zip(floats).for_each(|(half, x)| *x = half.to_f32());
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{MOST, f16, half_of, one_by_one};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn floats_of_avx512(halves: &[f16], floats: &mut [f32]) {
        let ((from, rest), (to, last)) = (halves.as_chunks::<16>(), floats.as_chunks_mut::<16>());
        for (halves, floats) in from.iter().zip(to) {
            // SAFETY: sixteen of each.
            unsafe {
                let wide = _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()));
                _mm512_storeu_ps(floats.as_mut_ptr(), wide);
            }
        }
        one_by_one(rest, last);
    }

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn floats_of_avx2(halves: &[f16], floats: &mut [f32]) {
        let ((from, rest), (to, last)) = (halves.as_chunks::<8>(), floats.as_chunks_mut::<8>());
        for (halves, floats) in from.iter().zip(to) {
            // SAFETY: eight of each.
            unsafe {
                let wide = _mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast()));
                _mm256_storeu_ps(floats.as_mut_ptr(), wide);
            }
        }
        one_by_one(rest, last);
    }

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn halves_of(floats: &[f32], halves: &mut [f16]) {
        let ((from, rest), (to, last)) = (floats.as_chunks::<8>(), halves.as_chunks_mut::<8>());
        let (least, most) = (_mm256_set1_ps(-MOST), _mm256_set1_ps(MOST));
        for (floats, halves) in from.iter().zip(to) {
            // SAFETY: eight of each. Bounds come first, since of two operands the second is taken where one is no number.
            unsafe {
                let x = _mm256_loadu_ps(floats.as_ptr());
                let x = _mm256_min_ps(most, _mm256_max_ps(least, x));
                let narrow = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
                _mm_storeu_si128(halves.as_mut_ptr().cast(), narrow);
            }
        }
        rest.iter().zip(last).for_each(|(x, half)| *half = half_of(*x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_as_one_by_one() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let (mut wide, mut known) = (vec![0.0; halves.len()], vec![0.0; halves.len()]);
        floats_of(&halves, &mut wide);
        one_by_one(&halves, &mut known);
        assert!(wide.iter().zip(&known).all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
        let between = known.iter().map(|x| x * 1.000_3).chain([1e9, -1e9, f32::INFINITY, f32::NAN, 1e-9]);
        let floats: Vec<f32> = between.collect();
        let mut narrow = vec![f16::ZERO; floats.len()];
        halves_of(&floats, &mut narrow);
        for (x, half) in floats.iter().zip(narrow) {
            assert!(half == half_of(*x) || half.is_nan() && x.is_nan(), "{x} {half}");
        }
    }
}

//! Two lanes in 256 bits.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

// SAFETY, of every block in this file: `self` is the proof of AVX2, FMA and F16C, and of AVX-VNNI where that is used;
// pointers are the caller's promise, and references vouch for what is read or written through them.

use std::arch::x86_64::*;

use super::{Lanes, MOST};
use crate::simd::Form;
use crate::simd::avx2::{Avx2, AvxVnni, halves};

/// The lanes of both, with their own sums of byte products.
macro_rules! lanes {
    ($isa:ident, $dots:ident) => {
        impl Lanes for $isa {
            const COUNT: usize = 2;
            type Wide = __m256i;
            type Words = __m256i;
            type Reals = __m256;

            #[inline(always)]
            unsafe fn line(self, from: *const i8) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }

            #[inline(always)]
            unsafe fn each(self, from: *const u8, step: usize) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_loadu2_m128i(from.add(step).cast(), from.cast()) }
            }

            #[inline(always)]
            unsafe fn pairs(self, from: *const u8, _: usize) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) }
            }

            #[inline(always)]
            unsafe fn in_turn(self, from: *const u8, step: usize) -> __m256i {
                // SAFETY: see above.
                unsafe { self.each(from, step) }
            }

            #[inline(always)]
            fn every(self, bytes: &[u8; 16]) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
            }

            #[inline(always)]
            fn down(self, bytes: __m256i, by: [u32; 4], mask: u8) -> __m256i {
                // SAFETY: see above.
                unsafe {
                    let [a, b, ..] = by.map(u32::cast_signed);
                    let by = _mm256_setr_epi32(a, a, a, a, b, b, b, b);
                    _mm256_and_si256(_mm256_srlv_epi32(bytes, by), _mm256_set1_epi8(mask.cast_signed()))
                }
            }

            #[inline(always)]
            fn up(self, bytes: __m256i, by: u32) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_sll_epi32(bytes, _mm_cvtsi32_si128(by.cast_signed())) }
            }

            #[inline(always)]
            fn unite(self, a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_or_si256(a, b) }
            }

            #[inline(always)]
            fn flip(self, bytes: __m256i, mask: u8) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_xor_si256(bytes, _mm256_set1_epi8(mask.cast_signed())) }
            }

            #[inline(always)]
            fn pick(self, values: __m256i, index: __m256i) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_shuffle_epi8(values, index) }
            }

            #[inline(always)]
            fn flags(self, bits: __m256i, at: usize, byte: u8) -> __m256i {
                // SAFETY: see above.
                unsafe {
                    let own = at as i64 * 0x0101_0101_0101_0101;
                    let own = _mm256_broadcastsi128_si256(_mm_set_epi64x(own + 0x0101_0101_0101_0101, own));
                    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
                    let set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(bits, own), bit), bit);
                    _mm256_and_si256(set, _mm256_set1_epi8(byte.cast_signed()))
                }
            }

            #[inline(always)]
            fn dot<F: Form>(self, w: __m256i, x: __m256i) -> __m256i {
                // SAFETY: see above.
                unsafe { $dots::dot::<F>(w, x) }
            }

            #[inline(always)]
            fn dots<F: Form>(self, w: [__m256i; 2], x: [__m256i; 2]) -> __m256i {
                // SAFETY: see above.
                unsafe { $dots::dots::<F>(w, x) }
            }

            #[inline(always)]
            fn scaled<const LESS: i8>(self, w: [__m256i; 2], x: [__m256i; 2], scales: __m256i, at: [u8; 4]) -> __m256i {
                // SAFETY: see above.
                unsafe {
                    let [a, b, ..] = at.map(|at| i32::from(at) * 0x0001_0001);
                    let at = _mm256_setr_epi32(a, a, a, a, b, b, b, b);
                    let less = _mm256_set1_epi8(LESS);
                    let mut sums = _mm256_setzero_si256();
                    for half in 0..2 {
                        // the place of a scale in one byte of 16 bits, and of none in the other
                        let at = _mm256_add_epi8(at, _mm256_set1_epi16(half));
                        let half = half as usize;
                        let mut products = _mm256_maddubs_epi16(w[half], x[half]);
                        let scale = if LESS == 0 {
                            _mm256_shuffle_epi8(
                                scales,
                                _mm256_or_si256(at, _mm256_set1_epi16(0x8000_u16.cast_signed())),
                            )
                        } else {
                            products = _mm256_sub_epi16(products, _mm256_maddubs_epi16(less, x[half]));
                            let high = _mm256_or_si256(_mm256_slli_epi16::<8>(at), _mm256_set1_epi16(0x80));
                            _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(scales, high))
                        };
                        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, scale));
                    }
                    sums
                }
            }

            #[inline(always)]
            fn totals(self, rows: &[__m256i; MOST]) -> [__m256i; 4] {
                // SAFETY: see above.
                unsafe {
                    let [low, high] = halves(*rows.first_chunk().expect("eight of sixteen"));
                    [low, high, low, high]
                }
            }

            #[inline(always)]
            fn words(self, from: &[u32; MOST]) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
            }

            #[inline(always)]
            unsafe fn fours(self, rows: &[*const u8; MOST], at: usize) -> [__m256i; 4] {
                // SAFETY: see above.
                unsafe {
                    // rows r and 4 + r, so that after both steps they are in order
                    let spread = |r: usize| _mm256_loadu2_m128i(rows[4 + r].add(at).cast(), rows[r].add(at).cast());
                    let (a, b, c, d) = (spread(0), spread(1), spread(2), spread(3));
                    let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
                    let (third, fourth) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
                    [
                        _mm256_unpacklo_epi64(low, high),
                        _mm256_unpackhi_epi64(low, high),
                        _mm256_unpacklo_epi64(third, fourth),
                        _mm256_unpackhi_epi64(third, fourth),
                    ]
                }
            }

            #[inline(always)]
            fn bits(self, words: __m256i, by: u32, mask: u32) -> __m256i {
                // SAFETY: see above.
                unsafe {
                    let low = _mm256_srl_epi32(words, _mm_cvtsi32_si128(by.cast_signed()));
                    _mm256_and_si256(low, _mm256_set1_epi32(mask.cast_signed()))
                }
            }

            #[inline(always)]
            fn over(self, a: __m256i, b: __m256i, by: u32) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_or_si256(a, _mm256_sll_epi32(b, _mm_cvtsi32_si128(by.cast_signed()))) }
            }

            #[inline(always)]
            fn plus(self, words: __m256i, number: i32) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_add_epi32(words, _mm256_set1_epi32(number)) }
            }

            #[inline(always)]
            fn signed_byte(self, words: __m256i, at: u32) -> __m256i {
                // SAFETY: see above.
                unsafe {
                    let high = _mm256_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * at.cast_signed()));
                    _mm256_srai_epi32::<24>(high)
                }
            }

            #[inline(always)]
            fn real(self, words: __m256i) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_cvtepi32_ps(words) }
            }

            #[inline(always)]
            fn halves_as_reals(self, words: __m256i) -> __m256 {
                // SAFETY: see above.
                unsafe {
                    let low = _mm256_and_si256(words, _mm256_set1_epi32(0xFFFF));
                    let packed = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256::<1>(low));
                    _mm256_cvtph_ps(packed)
                }
            }

            #[inline(always)]
            fn same(self, number: f32) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_set1_ps(number) }
            }

            #[inline(always)]
            fn product(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_mul_ps(a, b) }
            }

            #[inline(always)]
            fn sum(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_add_ps(a, b) }
            }

            #[inline(always)]
            fn fused(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }

            #[inline(always)]
            fn keep(self, reals: __m256, to: &mut [f32; MOST]) {
                // SAFETY: see above.
                unsafe { _mm256_storeu_ps(to.as_mut_ptr(), reals) }
            }
        }
    };
}

lanes!(Avx2, pairs);
lanes!(AvxVnni, vnni);

/// Products of bytes by pairs, summed in 16 bits as long as they fit.
mod pairs {
    use super::*;
    pub(super) use crate::simd::avx2::pairs::dot;
    use crate::simd::avx2::pairs::products;

    /// The sum of both.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn dots<F: Form>(w: [__m256i; 2], x: [__m256i; 2]) -> __m256i {
        if F::SUMS_IN_16_BITS < 2 {
            return _mm256_add_epi32(dot::<F>(w[0], x[0]), dot::<F>(w[1], x[1]));
        }
        let both = _mm256_add_epi16(products::<F>(w[0], x[0]), products::<F>(w[1], x[1]));
        _mm256_madd_epi16(both, _mm256_set1_epi16(1))
    }
}

/// Products of bytes by VNNI.
mod vnni {
    use super::*;
    pub(super) use crate::simd::avx2::vnni::dot;

    /// The sum of both.
    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    pub(super) fn dots<F: Form>(w: [__m256i; 2], x: [__m256i; 2]) -> __m256i {
        _mm256_dpbusd_avx_epi32(dot::<F>(w[0], x[0]), w[1], x[1])
    }
}

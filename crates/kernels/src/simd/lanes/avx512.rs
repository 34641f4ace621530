//! Four lanes in 512 bits.

// SAFETY, of every block in this file: `self` is the proof of AVX-512 F, BW, DQ, VL and VNNI; pointers are the caller's
// promise, and references vouch for what is read or written through them.

use std::arch::x86_64::*;

use super::{Lanes, MOST};
use crate::simd::Form;
use crate::simd::avx512::{Avx512, quarters};

impl Lanes for Avx512 {
    const COUNT: usize = 4;
    type Wide = __m512i;
    type Words = __m512i;
    type Reals = __m512;

    #[inline(always)]
    unsafe fn line(self, from: *const i8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn each(self, from: *const u8, step: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let (a, b) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(step).cast()));
            let (c, d) = (_mm_loadu_si128(from.add(2 * step).cast()), _mm_loadu_si128(from.add(3 * step).cast()));
            let (ab, cd) = (_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b), _mm256_castsi128_si256(c));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(ab), _mm256_inserti128_si256::<1>(cd, d))
        }
    }

    #[inline(always)]
    unsafe fn pairs(self, from: *const u8, step: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(step).cast()));
            _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(low), 0xFF00, high)
        }
    }

    #[inline(always)]
    unsafe fn in_turn(self, from: *const u8, step: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let (even, odd) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(step).cast()));
            _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(even), 0xF0F0, odd)
        }
    }

    #[inline(always)]
    fn every(self, bytes: &[u8; 16]) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn down(self, bytes: __m512i, by: [u32; 4], mask: u8) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = by.map(u32::cast_signed);
            let by = _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
            _mm512_and_si512(_mm512_srlv_epi32(bytes, by), _mm512_set1_epi8(mask.cast_signed()))
        }
    }

    #[inline(always)]
    fn up(self, bytes: __m512i, by: u32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_sll_epi32(bytes, _mm_cvtsi32_si128(by.cast_signed())) }
    }

    #[inline(always)]
    fn unite(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn flip(self, bytes: __m512i, mask: u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_xor_si512(bytes, _mm512_set1_epi8(mask.cast_signed())) }
    }

    #[inline(always)]
    fn pick(self, values: __m512i, index: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_shuffle_epi8(values, index) }
    }

    #[inline(always)]
    fn flags(self, bits: __m512i, at: usize, byte: u8) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let own = at as i64 * 0x0101_0101_0101_0101;
            let own = _mm512_broadcast_i32x4(_mm_set_epi64x(own + 0x0101_0101_0101_0101, own));
            let bit = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
            _mm512_maskz_set1_epi8(_mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, own), bit), byte.cast_signed())
        }
    }

    #[inline(always)]
    fn dot<F: Form>(self, w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, x) }
    }

    #[inline(always)]
    fn dots<F: Form>(self, w: [__m512i; 2], x: [__m512i; 2]) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w[0], x[0]), w[1], x[1]) }
    }

    #[inline(always)]
    fn scaled<const LESS: i8>(self, w: [__m512i; 2], x: [__m512i; 2], scales: __m512i, at: [u8; 4]) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = at.map(|at| i32::from(at) * 0x0001_0001);
            let at = _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
            let less = _mm512_set1_epi8(LESS);
            let mut sums = _mm512_setzero_si512();
            for half in 0..2 {
                // the place of a scale in one byte of 16 bits, and of none in the other
                let at = _mm512_add_epi8(at, _mm512_set1_epi16(half));
                let half = half as usize;
                let mut products = _mm512_maddubs_epi16(w[half], x[half]);
                let scale = if LESS == 0 {
                    _mm512_shuffle_epi8(scales, _mm512_or_si512(at, _mm512_set1_epi16(0x8000_u16.cast_signed())))
                } else {
                    products = _mm512_sub_epi16(products, _mm512_maddubs_epi16(less, x[half]));
                    let high = _mm512_or_si512(_mm512_slli_epi16::<8>(at), _mm512_set1_epi16(0x80));
                    _mm512_srai_epi16::<8>(_mm512_shuffle_epi8(scales, high))
                };
                sums = _mm512_dpwssd_epi32(sums, products, scale);
            }
            sums
        }
    }

    #[inline(always)]
    fn totals(self, rows: &[__m512i; MOST]) -> [__m512i; 4] {
        // SAFETY: see above.
        unsafe { quarters(*rows) }
    }

    #[inline(always)]
    fn words(self, from: &[u32; MOST]) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn bits(self, words: __m512i, by: u32, mask: u32) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let low = _mm512_srl_epi32(words, _mm_cvtsi32_si128(by.cast_signed()));
            _mm512_and_si512(low, _mm512_set1_epi32(mask.cast_signed()))
        }
    }

    #[inline(always)]
    fn over(self, a: __m512i, b: __m512i, by: u32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(a, _mm512_sll_epi32(b, _mm_cvtsi32_si128(by.cast_signed()))) }
    }

    #[inline(always)]
    fn plus(self, words: __m512i, number: i32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(words, _mm512_set1_epi32(number)) }
    }

    #[inline(always)]
    fn signed_byte(self, words: __m512i, at: u32) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let high = _mm512_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * at.cast_signed()));
            _mm512_srai_epi32::<24>(high)
        }
    }

    #[inline(always)]
    fn real(self, words: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(words) }
    }

    #[inline(always)]
    fn halves_as_reals(self, words: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)) }
    }

    #[inline(always)]
    fn same(self, number: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    fn product(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn sum(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn fused(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn keep(self, reals: __m512, to: &mut [f32; MOST]) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), reals) }
    }
}

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
    unsafe fn fours(self, rows: &[*const u8; MOST], at: usize) -> [__m512i; 4] {
        // SAFETY: see above.
        unsafe {
            // rows r, 4 + r, 8 + r and 12 + r, so that after both steps they are in order
            let of = |r: usize| _mm_loadu_si128(rows[r].add(at).cast());
            let spread = |r: usize| {
                let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(of(r)), of(4 + r));
                let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(of(8 + r)), of(12 + r));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
            let (a, b, c, d) = (spread(0), spread(1), spread(2), spread(3));
            let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (third, fourth) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(low, high),
                _mm512_unpackhi_epi64(low, high),
                _mm512_unpacklo_epi64(third, fourth),
                _mm512_unpackhi_epi64(third, fourth),
            ]
        }
    }

    #[inline(always)]
    unsafe fn nibbles<F: Form>(self, from: *const u8, x: [__m512i; 2]) -> Option<__m512i> {
        // SAFETY: see above.
        unsafe {
            let bytes = _mm512_loadu_si512(from.cast());
            let mask = _mm512_set1_epi8(15);
            let (low, high) = (_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask));
            // both halves of groups 0 and 2, and of 1 and 3
            let even = _mm512_permutex2var_epi64(x[0], _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), x[1]);
            let odd = _mm512_permutex2var_epi64(x[0], _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), x[1]);
            let none = _mm512_setzero_si512();
            let (even, odd) = (_mm512_dpbusd_epi32(none, low, even), _mm512_dpbusd_epi32(none, high, odd));
            // halves of a group stand in neighbours: those of each in one lane, even and odd in turn
            let first = _mm512_permutex2var_epi64(even, _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), odd);
            let second = _mm512_permutex2var_epi64(even, _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), odd);
            Some(_mm512_add_epi32(first, second))
        }
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

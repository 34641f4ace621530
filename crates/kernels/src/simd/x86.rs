//! What AVX2 and everything above it unpack with: 32 bytes in a vector of 256 bits.

use std::arch::x86_64::*;

/// `Simd` for a type whose values are the proof of AVX2, FMA and F16C.
macro_rules! simd {
    ($isa:ident, $rows:expr, $signed:literal) => {
        // SAFETY, of every block here: `self` is the proof of AVX2 and F16C.
        impl crate::simd::Simd for $isa {
            const ROWS: usize = $rows;
            const SIGNED: bool = $signed;
            type Bytes = std::arch::x86_64::__m256i;

            #[inline(always)]
            fn prefetch(self, line: *const u8) {
                // SAFETY: x86-64 has SSE, and a hint may name any address.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
            }

            crate::simd::x86::simd! {
                fn f16(bits: u16) -> f32;
                fn eight_f16(bytes: &[u8; 16]) -> [f32; 8];
                fn times(factor: f32, numbers: [i8; 8]) -> [f32; 8];
                fn most(x: &[f32; 32]) -> f32;
                fn round(x: &[f32; 32], factor: f32) -> [i8; 32];
                fn sums(quants: &[i8; 32]) -> [i32; 2];
                fn load(bytes: &[u8; 32]) -> Self::Bytes;
                fn store(bytes: Self::Bytes, to: &mut [u8; 32]) -> ();
                fn fill(byte: u8) -> Self::Bytes;
                fn join(low: &[u8; 16], high: &[u8; 16]) -> Self::Bytes;
                fn or(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn xor(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn add(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn eights(words: [u64; 4]) -> Self::Bytes;
                fn thirds(bytes: Self::Bytes) -> Self::Bytes;
                fn right(bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;
                fn left(bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;
                fn halves(bytes: &[u8; 16]) -> Self::Bytes;
                fn choose(values: Self::Bytes, index: Self::Bytes) -> Self::Bytes;
                fn where_set(bits: [u8; 4], byte: u8) -> Self::Bytes;
            }
        }
    };
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: `self` is the proof of AVX2 and F16C.
            unsafe { crate::simd::x86::$name($($arg),*) }
        }
    )*};
}
pub(super) use simd;

// SAFETY, of every block in this file: loads and stores exactly what the array references vouch for.

#[inline]
#[target_feature(enable = "f16c")]
pub(super) fn f16(bits: u16) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
}

#[inline]
#[target_feature(enable = "avx,f16c")]
pub(super) fn eight_f16(bytes: &[u8; 16]) -> [f32; 8] {
    // SAFETY: 16 bytes.
    eight(_mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn times(factor: f32, numbers: [i8; 8]) -> [f32; 8] {
    let numbers = _mm_cvtsi64_si128(i64::from_le_bytes(numbers.map(i8::cast_unsigned)));
    eight(_mm256_mul_ps(_mm256_set1_ps(factor), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(numbers))))
}

#[inline]
#[target_feature(enable = "avx")]
fn eight(floats: __m256) -> [f32; 8] {
    let mut to = [0.0; 8];
    // SAFETY: eight floats.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), floats) };
    to
}

/// Magnitudes are in the order of their bits, and what is not finite is above all others.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn most(x: &[f32; 32]) -> f32 {
    let magnitude = _mm256_set1_epi32(0x7FFF_FFFF);
    let mut most = _mm256_setzero_si256();
    for x in x.as_chunks::<8>().0 {
        // SAFETY: eight floats.
        let x = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        most = _mm256_max_epu32(most, _mm256_and_si256(x, magnitude));
    }
    let four = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256::<1>(most));
    let two = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
    let one = _mm_max_epu32(two, _mm_shuffle_epi32::<1>(two));
    f32::from_bits(_mm_cvtsi128_si32(one).cast_unsigned())
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn round(x: &[f32; 32], factor: f32) -> [i8; 32] {
    let factor = _mm256_set1_ps(factor);
    let eights = x.as_chunks::<8>().0;
    let eight = |i: usize| {
        // SAFETY: eight floats.
        let x = unsafe { _mm256_loadu_ps(eights[i].as_ptr()) };
        _mm256_cvtps_epi32(_mm256_mul_ps(x, factor))
    };
    let (low, high) = (_mm256_packs_epi32(eight(0), eight(1)), _mm256_packs_epi32(eight(2), eight(3)));
    // packing goes by halves of 128 bits
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let all = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    let mut to = [0; 32];
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), all) };
    to
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sums(quants: &[i8; 32]) -> [i32; 2] {
    // SAFETY: 32 bytes.
    let quants = unsafe { _mm256_loadu_si256(quants.as_ptr().cast()) };
    // eights are summed without sign: 128 more each
    let eights = _mm256_sad_epu8(_mm256_xor_si256(quants, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
    let half = |half: __m128i| _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_unpackhi_epi64(half, half))) - 16 * 128;
    [half(_mm256_castsi256_si128(eights)), half(_mm256_extracti128_si256::<1>(eights))]
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(bytes: __m256i, to: &mut [u8; 32]) {
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), bytes) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn fill(byte: u8) -> __m256i {
    _mm256_set1_epi8(byte.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes each.
    unsafe { _mm256_set_m128i(_mm_loadu_si128(high.as_ptr().cast()), _mm_loadu_si128(low.as_ptr().cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn or(a: __m256i, b: __m256i) -> __m256i {
    _mm256_or_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi8(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn eights(words: [u64; 4]) -> __m256i {
    let [a, b, c, d] = words.map(u64::cast_signed);
    _mm256_setr_epi64x(a, b, c, d)
}

/// 0 up to 85, 1 up to 170, 2 from there on: one is taken off for each bound that a byte is not below.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn thirds(bytes: __m256i) -> __m256i {
    let from = |bound: u8| _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, fill(bound)), bytes);
    _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(from(86), from(171)))
}

/// There are no shifts of bytes: those of 16 bits, and the mask takes off what comes from the byte beside.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn right(bytes: __m256i, by: u32, mask: u8) -> __m256i {
    _mm256_and_si256(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(by.cast_signed())), fill(mask))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn left(bytes: __m256i, by: u32, mask: u8) -> __m256i {
    _mm256_and_si256(_mm256_sll_epi16(bytes, _mm_cvtsi32_si128(by.cast_signed())), fill(mask))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn halves(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes.
    let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes), fill(15))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn choose(values: __m256i, index: __m256i) -> __m256i {
    _mm256_shuffle_epi8(values, index)
}

/// Every byte gets the one of the word that has its bit, and looks whether it is there.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn where_set(bits: [u8; 4], byte: u8) -> __m256i {
    let word = _mm256_set1_epi32(i32::from_le_bytes(bits));
    let own = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let own = _mm256_and_si256(_mm256_shuffle_epi8(word, own), bit);
    _mm256_and_si256(_mm256_cmpeq_epi8(own, bit), fill(byte))
}

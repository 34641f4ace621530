//! AVX2 with FMA and F16C, and the same with VNNI's products of bytes: vectors of 256 bits, tiles of 16 rows in two of
//! them.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use std::arch::x86_64::*;
use std::ops::Range;

use super::x86::simd;
use super::{CHUNK, Form, GROUP, IsaTask, Kernels, Lying, Quantized, Tile, WORDS, X_ROWS};
use crate::activations::Lines;
use crate::block::Quants;
use crate::product::Part;

const ROWS: usize = 16;
/// Vectors in a row of a tile.
const V: usize = 2;
const LANES: usize = 8;

/// AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// The same and AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(());

impl Avx2 {
    /// The proof that this processor has it, if it has.
    #[inline]
    pub(crate) fn new() -> Option<Avx2> {
        let all =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        all.then_some(Avx2(()))
    }

    /// Compiles a task for it, and runs it.
    #[inline]
    pub(crate) fn run<T: IsaTask>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<T: IsaTask>(task: T, simd: Avx2) -> T::Output {
            task.run(simd)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(task, self) }
    }
}

impl AvxVnni {
    /// The proof that this processor has it, if it has.
    #[inline]
    pub(crate) fn new() -> Option<AvxVnni> {
        (Avx2::new().is_some() && is_x86_feature_detected!("avxvnni")).then_some(AvxVnni(()))
    }

    /// Compiles a task for it, and runs it.
    #[inline]
    pub(crate) fn run<T: IsaTask>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        fn compiled<T: IsaTask>(task: T, simd: AvxVnni) -> T::Output {
            task.run(simd)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(task, self) }
    }
}

/// The kernels of both.
macro_rules! kernels {
    ($isa:ident, $quants:ident) => {
        impl Kernels for $isa {
            #[inline(always)]
            fn transpose(self, from: &[u32], stride: usize, to: &mut [u32]) {
                // SAFETY: `self` is the proof of AVX2.
                unsafe { transpose(from, stride, to) }
            }

            #[inline(always)]
            fn unpack<Q: Quants>(self, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
                // SAFETY: `self` is the proof of the features.
                unsafe { $quants::unpack::<Q>(self, tile, part, rows, columns) }
            }

            #[inline(always)]
            fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
                // SAFETY: `self` is the proof of the features.
                unsafe { $quants::quants::<F, M>(tile, x, sums) }
            }

            #[inline(always)]
            fn few<F: Form, const M: usize>(self, tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
                // SAFETY: `self` is the proof of the features.
                unsafe { $quants::few::<F, M>(tile, x, sums) }
            }

            const IN_REGISTERS: usize = <Self as super::lanes::Lanes>::COUNT;

            #[inline(always)]
            fn in_registers<Q: Quants>(self, part: &Part<'_>, x: &Lines) {
                // SAFETY: `self` is the proof of the features.
                unsafe { $quants::in_registers::<Q>(self, part, x) }
            }

            type Floats = __m256;
            const LANES: usize = LANES;
            const ROOMY: bool = false;

            #[inline(always)]
            fn zeros(self) -> __m256 {
                // SAFETY: `self` is the proof of AVX.
                unsafe { _mm256_setzero_ps() }
            }

            #[inline(always)]
            unsafe fn load_f32(self, from: *const f32) -> __m256 {
                // SAFETY: the caller's promise, and `self` is the proof of AVX2.
                unsafe { _mm256_loadu_ps(from) }
            }

            #[inline(always)]
            unsafe fn load_f16(self, from: *const u8) -> __m256 {
                // SAFETY: as above, and of F16C.
                unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
            }

            #[inline(always)]
            unsafe fn load_bf16(self, from: *const u8) -> __m256 {
                // SAFETY: as above.
                unsafe {
                    let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
                }
            }

            #[inline(always)]
            fn multiply_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                // SAFETY: `self` is the proof of FMA.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }

            #[inline(always)]
            fn total(self, floats: __m256) -> f32 {
                // SAFETY: `self` is the proof of AVX.
                unsafe {
                    let four = _mm_add_ps(_mm256_castps256_ps128(floats), _mm256_extractf128_ps::<1>(floats));
                    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
                }
            }
        }
    };
}

simd!(Avx2, ROWS, true);
simd!(AvxVnni, ROWS, false);
kernels!(Avx2, pairs);
kernels!(AvxVnni, vnni);

/// (16, 16) words, by squares of 8.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(from: &[u32], stride: usize, to: &mut [u32]) {
    assert!(from.len() > (ROWS - 1) * stride + WORDS - 1 && to.len() >= ROWS * WORDS);
    for row in (0..ROWS).step_by(LANES) {
        for word in (0..WORDS).step_by(LANES) {
            // SAFETY: squares of 8 within what was just held against the slices' lengths.
            unsafe { square(from.as_ptr().add(row * stride + word), stride, to.as_mut_ptr().add(word * ROWS + row)) };
        }
    }
}

/// (8, 8) words, the rows `stride` and ROWS apart.
///
/// # Safety
/// `from` and `to` must have room for that.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn square(from: *const u32, stride: usize, to: *mut u32) {
    // SAFETY: the caller's promise.
    let r: [__m256i; 8] = std::array::from_fn(|i| unsafe { _mm256_loadu_si256(from.add(i * stride).cast()) });
    // pairs of rows, then fours, then the halves of both
    let mut fours = [_mm256_setzero_si256(); 8];
    for i in 0..2 {
        let [a, b, c, d] = [r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]];
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        fours[4 * i] = _mm256_unpacklo_epi64(ab, cd);
        fours[4 * i + 1] = _mm256_unpackhi_epi64(ab, cd);
        fours[4 * i + 2] = _mm256_unpacklo_epi64(ab_high, cd_high);
        fours[4 * i + 3] = _mm256_unpackhi_epi64(ab_high, cd_high);
    }
    for i in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            let (low, high) = (fours[i], fours[4 + i]);
            _mm256_storeu_si256(to.add(i * ROWS).cast(), _mm256_permute2x128_si256::<0x20>(low, high));
            _mm256_storeu_si256(to.add((i + 4) * ROWS).cast(), _mm256_permute2x128_si256::<0x31>(low, high));
        }
    }
}

/// Adds a chunk to the sums.
///
/// # Safety
/// There must be M * ROWS of them.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn add<const M: usize>(chunk: &[[__m256; V]; M], sums: &mut [f32]) {
    for (i, chunk) in chunk.as_flattened().iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = sums.as_mut_ptr().add(i * LANES);
            _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), *chunk));
        }
    }
}

/// The loop over groups, with the sum of byte products of one half as a macro's argument: what differs must be compiled
/// with features of its own, which a closure is not.
macro_rules! quants {
    ($isa:ident, $features:literal, $half:ident, $dot:ident) => {
        /// Rows of W to a tile.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn unpack<Q: Quants>(
            simd: $isa,
            tile: &mut Tile,
            part: &Part<'_>,
            rows: Range<usize>,
            columns: Range<usize>,
        ) {
            crate::tiles::unpack::<Q, $isa>(simd, tile, part, rows, columns);
        }

        /// sums (M, ROWS) += x · Wᵀ, eight rows at a time: a group of each row makes a vector of eight sums of four,
        /// which are added up across the rows.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn few<F: Form, const M: usize>(tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
            let groups = x[0].groups::<F>(GROUP);
            assert!(x.iter().all(|x| x.groups::<F>(GROUP) == groups) && sums.len() >= M * ROWS);
            for v in 0..V {
                let mut chunk = [_mm256_setzero_ps(); M];
                for group in 0..groups {
                    for m in 0..M {
                        // SAFETY: within a tile's rows, which have room for CHUNK bytes, and x's, as just seen.
                        chunk[m] = unsafe {
                            let row = tile.rows.as_ptr().cast::<u8>().add(v * LANES * CHUNK + group * GROUP);
                            let own = _mm256_loadu_si256(x[m].quants.as_ptr().add(group * GROUP).cast());
                            let mut dots = [_mm256_setzero_si256(); 8];
                            for r in 0..8 {
                                dots[r] = $dot::<F>(_mm256_loadu_si256(row.add(r * CHUNK).cast()), own);
                            }
                            add_group::<F>(tile, &x[m], v, group, halves(dots), chunk[m])
                        };
                    }
                }
                for m in 0..M {
                    // SAFETY: as many sums as seen above.
                    unsafe {
                        let sum = sums.as_mut_ptr().add(m * ROWS + v * LANES);
                        _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), chunk[m]));
                    }
                }
            }
        }

        /// The loop over one row of x in registers.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn in_registers<Q: Quants>(simd: $isa, part: &Part<'_>, x: &Lines) {
            crate::one_row::one_row::<Q, $isa>(simd, part, x);
        }

        /// sums (M, ROWS) += x · tileᵀ.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn quants<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
            let groups = x.groups::<F>();
            assert!(M <= X_ROWS && sums.len() >= M * ROWS);
            let mut chunk = [[_mm256_setzero_ps(); V]; M];
            for group in 0..groups {
                // SAFETY: within the lengths just seen, and a tile's, which has room for CHUNK columns.
                unsafe {
                    let mut part = [[_mm256_setzero_ps(); V]; M];
                    for half in 0..F::SCALES {
                        let at = group * F::SCALES + half;
                        let dots = $half::<F, M>(tile, x, at);
                        for v in 0..V {
                            let scale = _mm256_loadu_ps(tile.factors.as_ptr().add(at * ROWS + v * LANES).cast());
                            for m in 0..M {
                                let dot = _mm256_cvtepi32_ps(dots[m][v]);
                                part[m][v] = match half {
                                    0 => _mm256_mul_ps(dot, scale),
                                    _ => _mm256_fmadd_ps(dot, scale, part[m][v]),
                                };
                            }
                        }
                    }
                    for m in 0..M {
                        let scale = _mm256_set1_ps(x.scales.get_unchecked(group)[m]);
                        for v in 0..V {
                            chunk[m][v] = _mm256_fmadd_ps(part[m][v], scale, chunk[m][v]);
                        }
                    }
                    for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
                        let offsets = tile.factors.as_ptr().add((Tile::offsets::<F>() + at) * ROWS);
                        for v in 0..V {
                            let offset = _mm256_loadu_ps(offsets.add(v * LANES).cast());
                            for m in 0..M {
                                let sum = _mm256_set1_ps(x.sums.get_unchecked(at)[m]);
                                chunk[m][v] = _mm256_fmadd_ps(offset, sum, chunk[m][v]);
                            }
                        }
                    }
                }
            }
            // SAFETY: as many sums as seen above.
            unsafe { add::<M>(&chunk, sums) };
        }
    };
}

/// Of eight rows' sums the sums of each four: (2, 8 rows).
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::simd) fn halves(rows: [__m256i; 8]) -> [__m256i; 2] {
    let mut twos = [_mm256_setzero_si256(); 4];
    for i in 0..4 {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        twos[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    }
    let mut fours = [_mm256_setzero_si256(); 2];
    for i in 0..2 {
        let (a, b) = (twos[2 * i], twos[2 * i + 1]);
        fours[i] = _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    }
    let [a, b] = fours;
    [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
}

/// Adds a group's products, as `quants` does.
///
/// # Safety
/// Tile and x must have the group.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_group<F: Form>(
    tile: &Tile,
    x: &Lying<'_>,
    v: usize,
    group: usize,
    [first, second]: [__m256i; 2],
    chunk: __m256,
) -> __m256 {
    // SAFETY: the caller's promise; a tile has as many factors as the form says, for ROWS rows each.
    unsafe {
        let factor = |at: usize| _mm256_loadu_ps(tile.factors.as_ptr().add(at * ROWS + v * LANES).cast());
        let dot =
            |at: usize, sum| _mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(*x.start.get_unchecked(at))));
        let at = group * F::SCALES;
        let part = match F::SCALES {
            1 => _mm256_mul_ps(dot(at, _mm256_add_epi32(first, second)), factor(at)),
            _ => {
                let part = _mm256_mul_ps(dot(at, first), factor(at));
                _mm256_fmadd_ps(dot(at + 1, second), factor(at + 1), part)
            }
        };
        let mut chunk = _mm256_fmadd_ps(part, _mm256_set1_ps(*x.scales.get_unchecked(group)), chunk);
        for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
            let sum = _mm256_set1_ps(*x.sums.get_unchecked(at));
            chunk = _mm256_fmadd_ps(factor(Tile::offsets::<F>() + at), sum, chunk);
        }
        chunk
    }
}

/// Four bytes of a row of x in every lane.
///
/// # Safety
/// x must have them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn word(x: &Quantized<'_>, word: usize, row: usize) -> __m256i {
    // SAFETY: the caller's promise.
    let word = unsafe { x.quants.get_unchecked(word) };
    _mm256_set1_epi32(i32::from_le_bytes(word[row].map(i8::cast_unsigned)))
}

/// A vector of W.
///
/// # Safety
/// The tile must have it.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn weights(tile: &Tile, word: usize, v: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_si256(tile.values.as_ptr().add(word * ROWS + v * LANES).cast()) }
}

/// Products of bytes by VNNI.
pub(super) mod vnni {
    use super::*;

    quants!(AvxVnni, "avx2,fma,f16c,avxvnni", half, dot);

    /// Sums of four products each.
    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    pub(in crate::simd) fn dot<F: Form>(w: __m256i, x: __m256i) -> __m256i {
        _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, x)
    }

    /// Sums of one scale's quants.
    ///
    /// # Safety
    /// Tile and x must have the scale numbered `at`.
    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn half<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, at: usize) -> [[__m256i; V]; M] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut dots: [[__m256i; V]; M] =
                std::array::from_fn(|m| [_mm256_set1_epi32(x.start.get_unchecked(at)[m]); V]);
            let words = 8 / F::SCALES;
            for i in at * words..(at + 1) * words {
                let w: [__m256i; V] = std::array::from_fn(|v| weights(tile, i, v));
                for m in 0..M {
                    let x = word(x, i, m);
                    for v in 0..V {
                        dots[m][v] = _mm256_dpbusd_avx_epi32(dots[m][v], w[v], x);
                    }
                }
            }
            dots
        }
    }
}

/// Products of bytes by pairs, summed in 16 bits as long as they fit.
pub(super) mod pairs {
    use super::*;

    quants!(Avx2, "avx2,fma,f16c", half, dot);

    /// Sums of four products each.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::simd) fn dot<F: Form>(w: __m256i, x: __m256i) -> __m256i {
        _mm256_madd_epi16(products::<F>(w, x), _mm256_set1_epi16(1))
    }

    /// Sums of one scale's quants.
    ///
    /// # Safety
    /// Tile and x must have the scale numbered `at`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn half<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, at: usize) -> [[__m256i; V]; M] {
        let words = 8 / F::SCALES;
        let run = F::SUMS_IN_16_BITS.clamp(1, words);
        let ones = _mm256_set1_epi16(1);
        // SAFETY: the caller's promise.
        unsafe {
            let start = || -> [[__m256i; V]; M] {
                std::array::from_fn(|m| [_mm256_set1_epi32(x.start.get_unchecked(at)[m]); V])
            };
            let add = |dots: &mut [[__m256i; V]; M], pairs: &[[__m256i; V]; M]| {
                for m in 0..M {
                    for v in 0..V {
                        dots[m][v] = _mm256_add_epi32(dots[m][v], _mm256_madd_epi16(pairs[m][v], ones));
                    }
                }
            };
            if run > 2 {
                let mut dots = None;
                for first in (at * words..(at + 1) * words).step_by(run) {
                    let mut pairs = [[_mm256_setzero_si256(); V]; M];
                    for i in first..first + unknown(run) {
                        add_products::<F, M>(tile, x, i, &mut pairs);
                    }
                    add(dots.get_or_insert_with(start), &pairs);
                }
                return dots.unwrap_or_else(start);
            }
            let mut dots = start();
            for first in (at * words..at * words + unknown(words)).step_by(run) {
                let mut pairs = [[_mm256_setzero_si256(); V]; M];
                for i in first..first + run {
                    add_products::<F, M>(tile, x, i, &mut pairs);
                }
                add(&mut dots, &pairs);
            }
            dots
        }
    }

    /// Adds a word's products.
    ///
    /// # Safety
    /// Tile and x must have the word.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_products<F: Form, const M: usize>(
        tile: &Tile,
        x: &Quantized<'_>,
        at: usize,
        pairs: &mut [[__m256i; V]; M],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let w: [__m256i; V] = std::array::from_fn(|v| weights(tile, at, v));
            for m in 0..M {
                let x = word(x, at, m);
                for v in 0..V {
                    pairs[m][v] = _mm256_add_epi16(pairs[m][v], products::<F>(w[v], x));
                }
            }
        }
    }

    /// A number that the compiler does not know: a loop so many times that is unrolled as a whole has all of its loads
    /// first, in more vectors than there are registers.
    #[inline(always)]
    fn unknown(mut number: usize) -> usize {
        // SAFETY: it does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags)) };
        number
    }

    /// Sums of two products each. Quants that take all 8 bits are made signed, and the sign goes over to x: at most
    /// 2·128·127, where 2·255·127 would not fit.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::simd) fn products<F: Form>(w: __m256i, x: __m256i) -> __m256i {
        if F::FULL {
            let w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
            return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
        }
        _mm256_maddubs_epi16(w, x)
    }
}

//! AVX-512 with BW, VL and VNNI: vectors of 512 bits, tiles of 32 rows in two of them.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use std::arch::x86_64::*;
use std::ops::Range;

use super::x86::simd;
use super::{CHUNK, Form, GROUP, IsaTask, Kernels, Lying, Quantized, Tile, WORDS, X_ROWS, avx2};
use crate::activations::Lines;
use crate::block::Quants;
use crate::product::Part;

const ROWS: usize = 32;
/// Vectors in a row of a tile.
const V: usize = 2;
const LANES: usize = 16;

/// AVX-512 F, BW, DQ, VL and VNNI, and what every processor with them has, too.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof that this processor has it, if it has.
    #[inline]
    pub(crate) fn new() -> Option<Avx512> {
        let all = avx2::Avx2::new().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        all.then_some(Avx512(()))
    }

    /// Compiles a task for it, and runs it.
    #[inline]
    pub(crate) fn run<T: IsaTask>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn compiled<T: IsaTask>(task: T, simd: Avx512) -> T::Output {
            task.run(simd)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(task, self) }
    }
}

simd!(Avx512, ROWS, false);

impl Kernels for Avx512 {
    #[inline(always)]
    fn transpose(self, from: &[u32], stride: usize, to: &mut [u32]) {
        // SAFETY: `self` is the proof of AVX-512 F.
        unsafe { transpose(from, stride, to) }
    }

    #[inline(always)]
    fn unpack<Q: Quants>(self, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
        // SAFETY: `self` is the proof of the features.
        unsafe { unpack::<Q>(self, tile, part, rows, columns) }
    }

    #[inline(always)]
    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
        // SAFETY: `self` is the proof of AVX-512 VNNI.
        unsafe { quants::<F, M>(tile, x, sums) }
    }

    #[inline(always)]
    fn few<F: Form, const M: usize>(self, tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
        // SAFETY: `self` is the proof of AVX-512 VNNI.
        unsafe { few::<F, M>(tile, x, sums) }
    }

    const IN_REGISTERS: usize = <Self as super::lanes::Lanes>::COUNT;

    #[inline(always)]
    fn in_registers<Q: Quants>(self, part: &Part<'_>, x: &Lines) {
        // SAFETY: `self` is the proof of AVX-512 VNNI.
        unsafe { in_registers::<Q>(self, part, x) }
    }

    type Floats = __m512;
    const LANES: usize = LANES;
    const ROOMY: bool = true;

    #[inline(always)]
    fn zeros(self) -> __m512 {
        // SAFETY: `self` is the proof of AVX-512 F.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> __m512 {
        // SAFETY: the caller's promise, and `self` is the proof of AVX-512 F.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u8) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u8) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` is the proof of AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn total(self, floats: __m512) -> f32 {
        // SAFETY: `self` is the proof of AVX-512 F.
        unsafe { _mm512_reduce_add_ps(floats) }
    }
}

/// (32, 16) words, by squares of 16.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(from: &[u32], stride: usize, to: &mut [u32]) {
    assert!(from.len() > (ROWS - 1) * stride + WORDS - 1 && to.len() >= ROWS * WORDS);
    for v in 0..V {
        // SAFETY: squares of 16 within what was just held against the slices' lengths.
        unsafe { square(from.as_ptr().add(v * LANES * stride), stride, to.as_mut_ptr().add(v * LANES)) };
    }
}

/// (16, 16) words, the rows `stride` and ROWS apart.
///
/// # Safety
/// `from` and `to` must have room for that.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn square(from: *const u32, stride: usize, to: *mut u32) {
    // SAFETY: the caller's promise.
    let r: [__m512i; 16] = std::array::from_fn(|i| unsafe { _mm512_loadu_si512(from.add(i * stride).cast()) });
    // fours[i][c]: in its lane l of 128 bits the words 4l+c of the rows 4i..4i+4
    let mut fours = [[_mm512_setzero_si512(); 4]; 4];
    for i in 0..4 {
        let [a, b, c, d] = [r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        fours[i] = [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ];
    }
    for c in 0..4 {
        // lanes 0 and 2, then 1 and 3, of all sixteen rows
        let even = |i: usize| _mm512_shuffle_i32x4::<0x88>(fours[i][c], fours[i + 1][c]);
        let odd = |i: usize| _mm512_shuffle_i32x4::<0xDD>(fours[i][c], fours[i + 1][c]);
        let (even, odd) = ([even(0), even(2)], [odd(0), odd(2)]);
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]),
            _mm512_shuffle_i32x4::<0xDD>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0xDD>(odd[0], odd[1]),
        ];
        for (l, column) in columns.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_si512(to.add((4 * l + c) * ROWS).cast(), column) };
        }
    }
}

/// Adds a chunk to the sums.
///
/// # Safety
/// There must be M * ROWS of them.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add<const M: usize>(chunk: &[[__m512; V]; M], sums: &mut [f32]) {
    for (i, chunk) in chunk.as_flattened().iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = sums.as_mut_ptr().add(i * LANES);
            _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), *chunk));
        }
    }
}

/// sums (M, ROWS) += x · tileᵀ.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vnni")]
fn quants<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
    let groups = x.groups::<F>();
    assert!(M <= X_ROWS && sums.len() >= M * ROWS);
    let mut chunk = [[_mm512_setzero_ps(); V]; M];
    for group in 0..groups {
        // SAFETY: within the lengths just seen, and a tile's, which has room for CHUNK columns.
        unsafe {
            let mut part = [[_mm512_setzero_ps(); V]; M];
            for half in 0..F::SCALES {
                let at = group * F::SCALES + half;
                let dots = dots::<F, M>(tile, x, at);
                for v in 0..V {
                    let scale = _mm512_loadu_ps(tile.factors.as_ptr().add(at * ROWS + v * LANES).cast());
                    for m in 0..M {
                        let dot = _mm512_cvtepi32_ps(dots[m][v]);
                        part[m][v] = match half {
                            0 => _mm512_mul_ps(dot, scale),
                            _ => _mm512_fmadd_ps(dot, scale, part[m][v]),
                        };
                    }
                }
            }
            for m in 0..M {
                let scale = _mm512_set1_ps(x.scales.get_unchecked(group)[m]);
                for v in 0..V {
                    chunk[m][v] = _mm512_fmadd_ps(part[m][v], scale, chunk[m][v]);
                }
            }
            for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
                let offsets = tile.factors.as_ptr().add((Tile::offsets::<F>() + at) * ROWS);
                for v in 0..V {
                    let offset = _mm512_loadu_ps(offsets.add(v * LANES).cast());
                    for m in 0..M {
                        let sum = _mm512_set1_ps(x.sums.get_unchecked(at)[m]);
                        chunk[m][v] = _mm512_fmadd_ps(offset, sum, chunk[m][v]);
                    }
                }
            }
        }
    }
    // SAFETY: as many sums as seen above.
    unsafe { add::<M>(&chunk, sums) };
}

/// Sums of one scale's quants.
///
/// # Safety
/// Tile and x must have the scale numbered `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn dots<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, at: usize) -> [[__m512i; V]; M] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut dots: [[__m512i; V]; M] = std::array::from_fn(|m| [_mm512_set1_epi32(x.start.get_unchecked(at)[m]); V]);
        let words = 8 / F::SCALES;
        for i in at * words..(at + 1) * words {
            let w = tile.values.as_ptr().add(i * ROWS);
            let w: [__m512i; V] = std::array::from_fn(|v| _mm512_loadu_si512(w.add(v * LANES).cast()));
            for m in 0..M {
                let x = _mm512_set1_epi32(i32::from_le_bytes(x.quants.get_unchecked(i)[m].map(i8::cast_unsigned)));
                for v in 0..V {
                    dots[m][v] = _mm512_dpbusd_epi32(dots[m][v], w[v], x);
                }
            }
        }
        dots
    }
}

/// sums (M, ROWS) += x · Wᵀ, sixteen rows at a time: two groups of each row make a vector of sixteen sums of four, which
/// are added up across the rows.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vnni")]
fn few<F: Form, const M: usize>(tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
    let groups = x[0].groups::<F>(64);
    assert!(x.iter().all(|x| x.groups::<F>(64) == groups) && sums.len() >= M * ROWS);
    for v in 0..V {
        let mut chunk = [_mm512_setzero_ps(); M];
        for pair in 0..groups.div_ceil(2) {
            for m in 0..M {
                // SAFETY: within a tile's rows, which have room for CHUNK bytes, and x's, as just seen.
                let dots = unsafe {
                    let row = tile.rows.as_ptr().cast::<u8>().add(v * LANES * CHUNK + pair * 2 * GROUP);
                    let x = _mm512_loadu_si512(x[m].quants.as_ptr().add(pair * 2 * GROUP).cast());
                    quarters(std::array::from_fn(|r| {
                        _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(row.add(r * CHUNK).cast()), x)
                    }))
                };
                // the second group of an odd pair is none
                for group in 2 * pair..(2 * pair + 2).min(groups) {
                    // SAFETY: `groups` is how many all parts have.
                    chunk[m] = unsafe { add_group::<F>(tile, &x[m], v, group, &dots, chunk[m]) };
                }
            }
        }
        for m in 0..M {
            // SAFETY: as many sums as seen above.
            unsafe {
                let sum = sums.as_mut_ptr().add(m * ROWS + v * LANES);
                _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), chunk[m]));
            }
        }
    }
}

/// Of sixteen rows' sums the sums of each four: (4, 16 rows).
#[inline]
#[target_feature(enable = "avx512f")]
pub(in crate::simd) fn quarters(rows: [__m512i; 16]) -> [__m512i; 4] {
    let twos: [__m512i; 8] = std::array::from_fn(|i| {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
    });
    let fours: [__m512i; 4] = std::array::from_fn(|i| {
        let (a, b) = (twos[2 * i], twos[2 * i + 1]);
        _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
    });
    // a square of lanes of 128 bits, transposed
    let [a, b, c, d] = fours;
    let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
    let (ab_odd, cd_odd) = (_mm512_shuffle_i32x4::<0xDD>(a, b), _mm512_shuffle_i32x4::<0xDD>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab, cd),
        _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd),
        _mm512_shuffle_i32x4::<0xDD>(ab, cd),
        _mm512_shuffle_i32x4::<0xDD>(ab_odd, cd_odd),
    ]
}

/// Adds a group's products, as `quants` does.
///
/// # Safety
/// Tile and x must have the group.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_group<F: Form>(
    tile: &Tile,
    x: &Lying<'_>,
    v: usize,
    group: usize,
    quarters: &[__m512i; 4],
    chunk: __m512,
) -> __m512 {
    let [first, second] = if group.is_multiple_of(2) { [quarters[0], quarters[1]] } else { [quarters[2], quarters[3]] };
    // SAFETY: the caller's promise; a tile has as many factors as the form says, for ROWS rows each.
    unsafe {
        let factor = |at: usize| _mm512_loadu_ps(tile.factors.as_ptr().add(at * ROWS + v * LANES).cast());
        let dot =
            |at: usize, sum| _mm512_cvtepi32_ps(_mm512_add_epi32(sum, _mm512_set1_epi32(*x.start.get_unchecked(at))));
        let at = group * F::SCALES;
        let part = match F::SCALES {
            1 => _mm512_mul_ps(dot(at, _mm512_add_epi32(first, second)), factor(at)),
            _ => {
                let part = _mm512_mul_ps(dot(at, first), factor(at));
                _mm512_fmadd_ps(dot(at + 1, second), factor(at + 1), part)
            }
        };
        let mut chunk = _mm512_fmadd_ps(part, _mm512_set1_ps(*x.scales.get_unchecked(group)), chunk);
        for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
            let sum = _mm512_set1_ps(*x.sums.get_unchecked(at));
            chunk = _mm512_fmadd_ps(factor(Tile::offsets::<F>() + at), sum, chunk);
        }
        chunk
    }
}

/// The loop over one row of x in registers.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn in_registers<Q: Quants>(simd: Avx512, part: &Part<'_>, x: &Lines) {
    crate::one_row::one_row::<Q, Avx512>(simd, part, x);
}

/// Rows of W to a tile.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn unpack<Q: Quants>(simd: Avx512, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
    crate::tiles::unpack::<Q, Avx512>(simd, tile, part, rows, columns);
}

//! AVX-512 with BW, VL and VNNI: vectors of 512 bits, tiles of 32 rows in two of them.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use std::arch::x86_64::*;

use super::x86::simd;
use super::{Form, IsaTask, Kernels, Quantized, Tile, WORDS, X_ROWS, avx2};

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
    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
        // SAFETY: `self` is the proof of AVX-512 VNNI.
        unsafe { quants::<F, M>(tile, x, sums) }
    }

    #[inline(always)]
    fn floats<const M: usize>(self, tile: &Tile, x: &[&[f32]; M], sums: &mut [f32]) {
        // SAFETY: `self` is the proof of AVX-512 F.
        unsafe { floats::<M>(tile, x, sums) }
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

/// sums (M, ROWS) += x · tileᵀ.
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn floats<const M: usize>(tile: &Tile, x: &[&[f32]; M], sums: &mut [f32]) {
    let columns = x[0].len();
    assert!(columns * ROWS <= tile.values.len() && sums.len() >= M * ROWS && x.iter().all(|x| x.len() == columns));
    let mut chunk = [[_mm512_setzero_ps(); V]; M];
    // SAFETY: within the lengths just seen.
    unsafe {
        let w = tile.values.as_ptr().cast::<f32>();
        for column in 0..columns {
            let w: [__m512; V] = std::array::from_fn(|v| _mm512_loadu_ps(w.add(column * ROWS + v * LANES)));
            for m in 0..M {
                let x = _mm512_set1_ps(*x[m].as_ptr().add(column));
                for v in 0..V {
                    chunk[m][v] = _mm512_fmadd_ps(w[v], x, chunk[m][v]);
                }
            }
        }
        add::<M>(&chunk, sums);
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

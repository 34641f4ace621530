//! NEON, and the same with the products of bytes that most processors since 2018 have: vectors of 128 bits, tiles of 8
//! rows in two of them.
//!
//! Both multiply signed bytes with signed bytes. Quants that take all 8 bits are made signed by the kernels, less 128.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};
use std::array::from_fn;
use std::ops::Range;

use super::arm::{four_f16, simd};
use super::{CHUNK, Form, GROUP, IsaTask, Kernels, Lying, Quantized, Tile, WORDS, X_ROWS};
use crate::block::Quants;
use crate::product::Part;

/// With four rows of x: sums of quants, of a group and of a chunk take 24 of 32 registers.
const ROWS: usize = 8;
/// Vectors in a row of a tile.
const V: usize = 2;
const LANES: usize = 4;

/// NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

/// The same and SDOT.
#[derive(Clone, Copy)]
pub(crate) struct NeonDot(());

impl Neon {
    /// The proof that this processor has it, if it has.
    #[inline]
    pub(crate) fn new() -> Option<Neon> {
        is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }

    /// Compiles a task for it, and runs it.
    #[inline]
    pub(crate) fn run<T: IsaTask>(self, task: T) -> T::Output {
        #[target_feature(enable = "neon")]
        fn compiled<T: IsaTask>(task: T, simd: Neon) -> T::Output {
            task.run(simd)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(task, self) }
    }
}

impl NeonDot {
    /// The proof that this processor has it, if it has.
    #[inline]
    pub(crate) fn new() -> Option<NeonDot> {
        (Neon::new().is_some() && is_aarch64_feature_detected!("dotprod")).then_some(NeonDot(()))
    }

    /// Compiles a task for it, and runs it.
    #[inline]
    pub(crate) fn run<T: IsaTask>(self, task: T) -> T::Output {
        #[target_feature(enable = "neon,dotprod")]
        fn compiled<T: IsaTask>(task: T, simd: NeonDot) -> T::Output {
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
                // SAFETY: `self` is the proof of NEON.
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

            type Floats = float32x4_t;
            const LANES: usize = LANES;
            const ROOMY: bool = true;

            #[inline(always)]
            fn zeros(self) -> float32x4_t {
                // SAFETY: `self` is the proof of NEON.
                unsafe { vdupq_n_f32(0.0) }
            }

            #[inline(always)]
            unsafe fn load_f32(self, from: *const f32) -> float32x4_t {
                // SAFETY: the caller's promise, and `self` is the proof of NEON.
                unsafe { vld1q_f32(from) }
            }

            #[inline(always)]
            unsafe fn load_f16(self, from: *const u8) -> float32x4_t {
                // SAFETY: as above.
                unsafe { four_f16(vreinterpret_u16_u8(vld1_u8(from))) }
            }

            #[inline(always)]
            unsafe fn load_bf16(self, from: *const u8) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(from)))) }
            }

            #[inline(always)]
            fn multiply_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
                // SAFETY: `self` is the proof of NEON.
                unsafe { vfmaq_f32(c, a, b) }
            }

            #[inline(always)]
            fn total(self, floats: float32x4_t) -> f32 {
                // SAFETY: `self` is the proof of NEON.
                unsafe { vaddvq_f32(floats) }
            }
        }
    };
}

simd!(Neon, ROWS);
simd!(NeonDot, ROWS);
kernels!(Neon, pairs);
kernels!(NeonDot, fours);

/// (8, 16) words, by squares of 4.
#[inline]
#[target_feature(enable = "neon")]
fn transpose(from: &[u32], stride: usize, to: &mut [u32]) {
    assert!(from.len() > (ROWS - 1) * stride + WORDS - 1 && to.len() >= ROWS * WORDS);
    for row in (0..ROWS).step_by(LANES) {
        for word in (0..WORDS).step_by(LANES) {
            // SAFETY: squares of 4 within what was just held against the slices' lengths.
            unsafe { square(from.as_ptr().add(row * stride + word), stride, to.as_mut_ptr().add(word * ROWS + row)) };
        }
    }
}

/// (4, 4) words, the rows `stride` and ROWS apart.
///
/// # Safety
/// `from` and `to` must have room for that.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn square(from: *const u32, stride: usize, to: *mut u32) {
    // SAFETY: the caller's promise.
    let r: [uint32x4_t; 4] = from_fn(|i| unsafe { vld1q_u32(from.add(i * stride)) });
    // pairs of rows, then fours
    let pair = |a, b| (vreinterpretq_u64_u32(vtrn1q_u32(a, b)), vreinterpretq_u64_u32(vtrn2q_u32(a, b)));
    let ((ab, ab_odd), (cd, cd_odd)) = (pair(r[0], r[1]), pair(r[2], r[3]));
    let fours = [vtrn1q_u64(ab, cd), vtrn1q_u64(ab_odd, cd_odd), vtrn2q_u64(ab, cd), vtrn2q_u64(ab_odd, cd_odd)];
    for (i, four) in fours.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { vst1q_u32(to.add(i * ROWS), vreinterpretq_u32_u64(four)) };
    }
}

/// The loop over groups, by the function that sums byte products of transposed rows and the one for rows as they lie:
/// what differs must be compiled with features of its own, which a closure is not.
macro_rules! quants {
    ($isa:ident, $features:literal, $half:ident, $group:ident) => {
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

        /// sums (M, ROWS) += x · Wᵀ, four rows at a time: a group of each row makes a vector of four sums of eight,
        /// which are added up across the rows.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn few<F: Form, const M: usize>(tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
            let groups = x[0].groups::<F>(GROUP);
            assert!(x.iter().all(|x| x.groups::<F>(GROUP) == groups) && sums.len() >= M * ROWS);
            for v in 0..V {
                let mut chunk = [vdupq_n_f32(0.0); M];
                for group in 0..groups {
                    // SAFETY: within a tile's rows, which have room for CHUNK bytes, and x's, as just seen.
                    unsafe {
                        let row = tile.rows.as_ptr().cast::<i8>().add(v * LANES * CHUNK + group * GROUP);
                        let w: [[int8x16_t; 2]; LANES] = from_fn(|r| group_of::<F>(row.add(r * CHUNK)));
                        for m in 0..M {
                            let own = x[m].quants.as_ptr().add(group * GROUP);
                            let own = [vld1q_s8(own), vld1q_s8(own.add(16))];
                            let mut dots = [[vdupq_n_s32(0); LANES]; 2];
                            for r in 0..LANES {
                                [dots[0][r], dots[1][r]] = $group::<F>(w[r], own);
                            }
                            chunk[m] = add_group::<F>(tile, &x[m], v, group, dots.map(|dots| across(dots)), chunk[m]);
                        }
                    }
                }
                for m in 0..M {
                    // SAFETY: as many sums as seen above.
                    unsafe { add(chunk[m], sums.as_mut_ptr().add(m * ROWS + v * LANES)) };
                }
            }
        }

        /// sums (M, ROWS) += x · tileᵀ.
        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn quants<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
            let groups = x.groups::<F>();
            assert!(M <= X_ROWS && sums.len() >= M * ROWS);
            let mut chunk = [[vdupq_n_f32(0.0); V]; M];
            for group in 0..groups {
                // SAFETY: within the lengths just seen, and a tile's, which has room for CHUNK columns.
                unsafe {
                    let mut part = [[vdupq_n_f32(0.0); V]; M];
                    for half in 0..F::SCALES {
                        let at = group * F::SCALES + half;
                        let dots = $half::<F, M>(tile, x, at);
                        for v in 0..V {
                            let scale = factor(tile, at, v);
                            for m in 0..M {
                                let dot = vcvtq_f32_s32(dots[m][v]);
                                part[m][v] = match half {
                                    0 => vmulq_f32(dot, scale),
                                    _ => vfmaq_f32(part[m][v], dot, scale),
                                };
                            }
                        }
                    }
                    for m in 0..M {
                        let scale = x.scales.get_unchecked(group)[m];
                        for v in 0..V {
                            chunk[m][v] = vfmaq_n_f32(chunk[m][v], part[m][v], scale);
                        }
                    }
                    for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
                        for v in 0..V {
                            let offset = factor(tile, Tile::offsets::<F>() + at, v);
                            for m in 0..M {
                                chunk[m][v] = vfmaq_n_f32(chunk[m][v], offset, x.sums.get_unchecked(at)[m]);
                            }
                        }
                    }
                }
            }
            for (i, chunk) in chunk.as_flattened().iter().enumerate() {
                // SAFETY: as many sums as seen above.
                unsafe { add(*chunk, sums.as_mut_ptr().add(i * LANES)) };
            }
        }
    };
}

/// Adds four to the sums.
///
/// # Safety
/// There must be as many.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add(chunk: float32x4_t, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { vst1q_f32(sums, vaddq_f32(vld1q_f32(sums), chunk)) }
}

/// Of four rows' sums the sums of each.
#[inline]
#[target_feature(enable = "neon")]
fn across([a, b, c, d]: [int32x4_t; LANES]) -> int32x4_t {
    vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d))
}

/// Adds a group's products, as `quants` does.
///
/// # Safety
/// Tile and x must have the group.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add_group<F: Form>(
    tile: &Tile,
    x: &Lying<'_>,
    v: usize,
    group: usize,
    dots: [int32x4_t; 2],
    chunk: float32x4_t,
) -> float32x4_t {
    // SAFETY: the caller's promise; a tile has as many factors as the form says, for ROWS rows each.
    unsafe {
        let dot = |at: usize, sum| vcvtq_f32_s32(vaddq_s32(sum, vdupq_n_s32(*x.start.get_unchecked(at))));
        let at = group * F::SCALES;
        let mut part = vmulq_f32(dot(at, dots[0]), factor(tile, at, v));
        if F::SCALES == 2 {
            part = vfmaq_f32(part, dot(at + 1, dots[1]), factor(tile, at + 1, v));
        }
        let mut chunk = vfmaq_n_f32(chunk, part, *x.scales.get_unchecked(group));
        for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
            chunk = vfmaq_n_f32(chunk, factor(tile, Tile::offsets::<F>() + at, v), *x.sums.get_unchecked(at));
        }
        chunk
    }
}

/// A scale or an offset of four rows.
///
/// # Safety
/// The tile must have it.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn factor(tile: &Tile, at: usize, v: usize) -> float32x4_t {
    // SAFETY: the caller's promise.
    unsafe { vld1q_f32(tile.factors.as_ptr().add(at * ROWS + v * LANES).cast()) }
}

/// 16 quants as signed bytes.
///
/// # Safety
/// There must be as many.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn signed<F: Form>(quants: *const i8) -> int8x16_t {
    const { assert!(F::FULL || F::MAX <= 127, "what does not take all 8 bits must fit a signed byte") };
    // SAFETY: the caller's promise.
    let quants = unsafe { vld1q_s8(quants) };
    if F::FULL { veorq_s8(quants, vdupq_n_s8(-128)) } else { quants }
}

/// A group of a row as it lies.
///
/// # Safety
/// There must be one.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn group_of<F: Form>(quants: *const i8) -> [int8x16_t; 2] {
    // SAFETY: the caller's promise.
    unsafe { [signed::<F>(quants), signed::<F>(quants.add(16))] }
}

/// A vector of W: four bytes of four rows.
///
/// # Safety
/// The tile must have it.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn weights<F: Form>(tile: &Tile, word: usize, v: usize) -> int8x16_t {
    // SAFETY: the caller's promise.
    unsafe { signed::<F>(tile.values.as_ptr().add(word * ROWS + v * LANES).cast()) }
}

/// Products of bytes by SDOT, four summed in 32 bits: by its instruction, since Rust has no stable function for it.
mod fours {
    use super::*;

    quants!(NeonDot, "neon,dotprod", half, group);

    /// sums + w · x, of four bytes each.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn dot(mut sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        // SAFETY: arithmetic on registers, by an instruction that the function's features have.
        unsafe {
            asm!(
                "sdot {sums:v}.4s, {w:v}.16b, {x:v}.16b",
                sums = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    /// sums + w · x, with the same four bytes of x for all.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn dot_lane<const LANE: usize>(mut sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        // SAFETY: as above.
        unsafe {
            asm!(
                "sdot {sums:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
                sums = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x, lane = const LANE,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    /// Sums of a group of a row, for each scale.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn group<F: Form>(w: [int8x16_t; 2], x: [int8x16_t; 2]) -> [int32x4_t; 2] {
        let zeros = vdupq_n_s32(0);
        let first = dot(zeros, w[0], x[0]);
        if F::SCALES == 1 { [dot(first, w[1], x[1]), zeros] } else { [first, dot(zeros, w[1], x[1])] }
    }

    /// Sums of one scale's quants.
    ///
    /// # Safety
    /// Tile and x must have the scale numbered `at`.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn half<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, at: usize) -> [[int32x4_t; V]; M] {
        let words = GROUP / 4 / F::SCALES;
        // SAFETY: the caller's promise.
        unsafe {
            let mut dots: [[int32x4_t; V]; M] = from_fn(|m| [vdupq_n_s32(x.start.get_unchecked(at)[m]); V]);
            for i in at * words..(at + 1) * words {
                let x = vld1q_s8(x.quants.get_unchecked(i).as_flattened().as_ptr());
                for v in 0..V {
                    let w = weights::<F>(tile, i, v);
                    for m in 0..M {
                        dots[m][v] = match m {
                            0 => dot_lane::<0>(dots[m][v], w, x),
                            1 => dot_lane::<1>(dots[m][v], w, x),
                            2 => dot_lane::<2>(dots[m][v], w, x),
                            _ => dot_lane::<3>(dots[m][v], w, x),
                        };
                    }
                }
            }
            dots
        }
    }
}

/// Products of bytes one by one, summed in 16 bits as long as they fit. Those of signed quants do by twos: at most
/// 2·128·127.
mod pairs {
    use super::*;

    quants!(Neon, "neon", half, group);

    /// How many products fit 16 bits together, as a power of two.
    const fn fitting<F: Form>() -> usize {
        if F::FULL { 2 } else { 1 << (2 * F::SUMS_IN_16_BITS).ilog2() }
    }

    /// Sums of a group of a row, for each scale.
    #[inline]
    #[target_feature(enable = "neon")]
    fn group<F: Form>(w: [int8x16_t; 2], x: [int8x16_t; 2]) -> [int32x4_t; 2] {
        let two = |i: usize| vmlal_high_s8(vmull_s8(vget_low_s8(w[i]), vget_low_s8(x[i])), w[i], x[i]);
        if F::SCALES == 2 {
            return [vpaddlq_s16(two(0)), vpaddlq_s16(two(1))];
        }
        let both = match fitting::<F>() {
            ..4 => vpadalq_s16(vpaddlq_s16(two(0)), two(1)),
            4.. => vpaddlq_s16(vaddq_s16(two(0), two(1))),
        };
        [both, vdupq_n_s32(0)]
    }

    /// Sums of one scale's quants.
    ///
    /// # Safety
    /// Tile and x must have the scale numbered `at`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn half<F: Form, const M: usize>(tile: &Tile, x: &Quantized<'_>, at: usize) -> [[int32x4_t; V]; M] {
        let words = GROUP / 4 / F::SCALES;
        let run = fitting::<F>().min(words);
        // SAFETY: the caller's promise.
        unsafe {
            let mut dots: [[int32x4_t; V]; M] = from_fn(|m| [vdupq_n_s32(x.start.get_unchecked(at)[m]); V]);
            for first in (at * words..(at + 1) * words).step_by(run) {
                for m in 0..M {
                    // of two rows each
                    let mut ones = [[vdupq_n_s16(0); 2]; V];
                    for i in first..first + run {
                        let x = word(x, i, m);
                        for v in 0..V {
                            let w = weights::<F>(tile, i, v);
                            ones[v][0] = vmlal_s8(ones[v][0], vget_low_s8(w), vget_low_s8(x));
                            ones[v][1] = vmlal_high_s8(ones[v][1], w, x);
                        }
                    }
                    for v in 0..V {
                        let [low, high] = ones[v].map(|ones| vpaddlq_s16(ones));
                        dots[m][v] = vaddq_s32(dots[m][v], vpaddq_s32(low, high));
                    }
                }
            }
            dots
        }
    }

    /// Four bytes of a row of x in every lane.
    ///
    /// # Safety
    /// x must have them.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn word(x: &Quantized<'_>, word: usize, row: usize) -> int8x16_t {
        // SAFETY: the caller's promise.
        let word = unsafe { x.quants.get_unchecked(word) };
        vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(word[row].map(i8::cast_unsigned))))
    }
}

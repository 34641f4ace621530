//! x quantized to eight bits, once a product: 32 numbers share an f32 scale. Many rows are packed by fours, as the
//! kernels over tiles take them; few lie as they are.
//!
//! ggml shares a scale between 256 where weights are k-quants. 32 for all types is nearer to x, and lets matrices of
//! several types share one x: the layers of Q4_K_M files mix Q4_K with Q6_K, and with Q5_0 or Q8_0 where rows are no
//! multiple of 256.

use std::cell::Cell;

use crate::isa::Isa;
use crate::pool;
use crate::simd::{self, GROUP, IsaTask, Kernels, Simd, X_ROWS};

/// Quantized rows of x: x = scale·quant.
pub(crate) enum Activations {
    /// More than [`FEW_ROWS`].
    Packed(Blocks),
    /// Up to [`FEW_ROWS`].
    Few(Lines),
}

/// Up to so many rows of x are multiplied with rows of W as they lie: to transpose W pays where there are more.
pub(crate) const FEW_ROWS: usize = 4;

/// Rows in blocks of four. Rows that fill the last block up are zeros.
pub(crate) struct Blocks {
    /// Groups in a row.
    groups: usize,
    /// (blocks, inp / 4)
    quants: Vec<Words>,
    /// (blocks, inp / 32)
    scales: Vec<[f32; X_ROWS]>,
    /// Σ of the first and of the last 16 quants of a group: (blocks, inp / 32)
    sums: Vec<[[i32; X_ROWS]; 2]>,
}

/// Four quants of each row of a block.
pub(crate) type Words = [[i8; 4]; X_ROWS];

/// Some groups of a block of rows.
pub(crate) struct Packed<'a> {
    pub(crate) quants: &'a [Words],
    pub(crate) scales: &'a [[f32; X_ROWS]],
    pub(crate) sums: &'a [[[i32; X_ROWS]; 2]],
}

/// Up to so many numbers x is quantized by one thread.
const SERIAL_UP_TO: usize = 1 << 17;

thread_local! {
    /// The room of the last few rows: a decode step quantizes hundreds of times, and none needs memory of its own.
    static KEPT: Cell<Lines> = const {
        Cell::new(Lines { groups: 0, quants: Vec::new(), lanes: Vec::new(), scales: Vec::new(), sums: Vec::new() })
    };
}

/// Rows one after the other.
#[derive(Default)]
pub(crate) struct Lines {
    /// Groups in a row.
    groups: usize,
    /// (rows, `stride`): zeros fill each row up.
    quants: Vec<i8>,
    /// The same, but of as many groups as the instruction set has lanes the first halves, then the others.
    lanes: Vec<i8>,
    /// (rows, inp / 32)
    scales: Vec<f32>,
    /// Σ of the first and of the last 16 quants of a group: (rows, inp / 32)
    sums: Vec<[i32; 2]>,
}

/// Bytes of as many groups as any instruction set has lanes: rows have whole ones of them.
const AT_ONCE: usize = 4 * GROUP;

/// Half a group.
const HALF: usize = GROUP / 2;

/// A row.
pub(crate) struct Line<'a> {
    /// Filled up with zeros to whole vectors.
    pub(crate) quants: &'a [i8],
    /// The same by halves of groups, as `Lanes` has them.
    pub(crate) lanes: &'a [i8],
    pub(crate) scales: &'a [f32],
    pub(crate) sums: &'a [[i32; 2]],
}

impl Activations {
    /// Keeps the room for the next few rows.
    pub(crate) fn keep(self) {
        if let Activations::Few(lines) = self {
            KEPT.set(lines);
        }
    }

    /// Quantizes x, (rows, inp), with inp a multiple of 32. A group with a NaN or an infinity gets a scale of NaN, so
    /// that it shows in every product.
    pub(crate) fn new(isa: Isa, x: &[f32], inp: usize) -> Activations {
        match x.len() <= FEW_ROWS * inp {
            true => Activations::Few(Lines::new(isa, x, inp)),
            false => Activations::Packed(Blocks::new(isa, x, inp)),
        }
    }
}

impl Lines {
    fn new(isa: Isa, x: &[f32], inp: usize) -> Lines {
        let (groups, rows) = (inp / GROUP, x.len().checked_div(inp).unwrap_or(0));
        let mut lines = Lines { groups, ..KEPT.take() };
        for quants in [&mut lines.quants, &mut lines.lanes] {
            quants.clear();
            quants.resize(rows * inp.next_multiple_of(AT_ONCE), 0);
        }
        lines.scales.resize(rows * groups, 0.0);
        lines.sums.resize(rows * groups, [0; 2]);
        simd::run(isa, QuantizeLines { x, lines: &mut lines });
        lines
    }

    fn stride(&self) -> usize {
        (self.groups * GROUP).next_multiple_of(AT_ONCE)
    }

    /// A row.
    pub(crate) fn row(&self, row: usize) -> Line<'_> {
        let groups = row * self.groups..(row + 1) * self.groups;
        Line {
            quants: &self.quants[row * self.stride()..(row + 1) * self.stride()],
            lanes: &self.lanes[row * self.stride()..(row + 1) * self.stride()],
            scales: &self.scales[groups.clone()],
            sums: &self.sums[groups],
        }
    }
}

struct QuantizeLines<'a> {
    x: &'a [f32],
    lines: &'a mut Lines,
}

impl IsaTask for QuantizeLines<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        let QuantizeLines { x, lines } = self;
        let (groups, stride, lanes_at_once) = (lines.groups, lines.stride(), S::IN_REGISTERS.max(1));
        for (i, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
            let (own, scale) = quantize(simd, x);
            let (row, group) = (i / groups * stride, i % groups);
            lines.quants[row + group * GROUP..][..GROUP].copy_from_slice(&own);
            let first = row + group / lanes_at_once * lanes_at_once * GROUP + group % lanes_at_once * HALF;
            for (half, own) in own.as_chunks::<HALF>().0.iter().enumerate() {
                let at = first + half * lanes_at_once * HALF;
                lines.lanes[at..at + HALF].copy_from_slice(own);
            }
            lines.scales[i] = scale;
            lines.sums[i] = simd.sums(&own);
        }
    }
}

impl Blocks {
    fn new(isa: Isa, x: &[f32], inp: usize) -> Blocks {
        let groups = inp / GROUP;
        let (rows, all) = (x.len().checked_div(inp).unwrap_or(0), |each: usize| each * groups);
        let blocks = rows.div_ceil(X_ROWS);
        let mut quants = vec![Words::default(); all(blocks) * GROUP / 4];
        let mut scales = vec![[0.0; X_ROWS]; all(blocks)];
        let mut sums = vec![[[0; X_ROWS]; 2]; all(blocks)];
        let parts = if x.len() <= SERIAL_UP_TO { 1 } else { pool::threads() };
        let share = blocks.div_ceil(parts).max(1);
        let packed = quants.chunks_mut((all(share) * GROUP / 4).max(1)).zip(scales.chunks_mut(all(share).max(1)));
        let packed = packed.zip(sums.chunks_mut(all(share).max(1)));
        let shares = x.chunks((share * X_ROWS * inp).max(1)).zip(packed);
        let shares = shares.map(|(x, ((quants, scales), sums))| Quantize { x, groups, quants, scales, sums });
        pool::each(shares.collect(), |share| simd::run(isa, share));
        Blocks { groups, quants, scales, sums }
    }

    /// A block of four rows.
    pub(crate) fn block(&self, block: usize) -> Packed<'_> {
        let own = block * self.groups..(block + 1) * self.groups;
        let words = GROUP / 4;
        Packed {
            quants: &self.quants[own.start * words..own.end * words],
            scales: &self.scales[own.clone()],
            sums: &self.sums[own],
        }
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    groups: usize,
    quants: &'a mut [Words],
    scales: &'a mut [[f32; X_ROWS]],
    sums: &'a mut [[[i32; X_ROWS]; 2]],
}

impl IsaTask for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        let quants = self.quants.as_chunks_mut::<{ GROUP / 4 }>().0;
        for (row, x) in self.x.chunks_exact(self.groups * GROUP).enumerate() {
            let (first, lane) = (row / X_ROWS * self.groups, row % X_ROWS);
            for (group, x) in (first..).zip(x.as_chunks::<GROUP>().0) {
                let (own, scale) = quantize(simd, x);
                for (to, word) in quants[group].iter_mut().zip(own.as_chunks::<4>().0) {
                    to[lane] = *word;
                }
                self.scales[group][lane] = scale;
                for (to, half) in self.sums[group].iter_mut().zip(simd.sums(&own)) {
                    to[lane] = half;
                }
            }
        }
    }
}

/// The largest magnitude becomes 127. What is below 128 times the least normal number is zero, since its inverse
/// would be too large.
#[inline(always)]
fn quantize<S: Simd>(simd: S, x: &[f32; GROUP]) -> ([i8; GROUP], f32) {
    const LEAST: f32 = 128.0 * f32::MIN_POSITIVE;
    let most = simd.most(x);
    if !most.is_finite() {
        return ([0; GROUP], f32::NAN);
    }
    if most < LEAST {
        return ([0; GROUP], 0.0);
    }
    (simd.round(x, 127.0 / most), most / 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(isa: Isa, x: [f32; GROUP]) -> ([i8; GROUP], f32, [i32; 2]) {
        let lines = Lines::new(isa, &x, GROUP);
        let line = lines.row(0);
        (line.quants[..GROUP].try_into().expect("32"), line.scales[0], line.sums[0])
    }

    #[test]
    fn numbers_come_back_within_half_a_step_on_every_instruction_set() {
        let x: [f32; GROUP] = std::array::from_fn(|i| (i as f32 - 11.3) * 0.17);
        for isa in Isa::here() {
            let (quants, scale, sums) = one(isa, x);
            for (x, quant) in x.iter().zip(quants) {
                assert!((x - scale * f32::from(quant)).abs() <= 0.5001 * scale);
            }
            let sum = |half: &[i8]| half.iter().map(|q| i32::from(*q)).sum::<i32>();
            assert_eq!(sums, [sum(&quants[..16]), sum(&quants[16..])]);
            assert_eq!(quants.iter().map(|q| q.unsigned_abs()).max(), Some(127));
            assert_eq!((quants, scale, sums), one(Isa::Scalar, x));
        }
    }

    #[test]
    fn what_is_no_number_is_not_lost_and_what_is_tiny_is_zero() {
        for isa in Isa::here() {
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; GROUP];
                x[17] = odd;
                assert!(one(isa, x).1.is_nan());
            }
            assert_eq!(one(isa, [1.4e-36; GROUP]).1, 0.0);
            assert_eq!(one(isa, [-f32::MAX; GROUP]).0, [-127; GROUP]);
            assert_eq!(one(isa, [1.6e-36; GROUP]).0, [127; GROUP]);
        }
    }

    #[test]
    fn rows_lie_by_fours_and_the_last_block_is_filled_up() {
        let x: Vec<f32> = (0..5 * 64).map(|i| (i / 64 + 1) as f32).collect();
        let all = Blocks::new(Isa::best(), &x, 64);
        assert_eq!(all.block(0).scales[1], [1.0, 2.0, 3.0, 4.0].map(|most| most / 127.0));
        assert_eq!(all.block(1).scales[0], [5.0 / 127.0, 0.0, 0.0, 0.0]);
        assert_eq!(all.block(1).quants[15], [[127; 4], [0; 4], [0; 4], [0; 4]]);
        assert_eq!(all.block(0).sums[1], [[16 * 127; 4]; 2]);
    }
}

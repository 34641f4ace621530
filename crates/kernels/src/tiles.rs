//! The loops of a product, by tiles of W: some rows over a chunk of columns are unpacked and transposed in first-level
//! cache, then multiplied with every row of x. So weights are read once, whatever x is, and never held a second time.
//! One loop serves one row of x and thousands. Sums are taken column by column, chunk by chunk, so that a row of x
//! comes out the same whatever stands beside it and however many threads there are.
//!
//! That weights are unpacked once a batch, and all types multiplied as int8, is ik_llama.cpp's way to one speed for all
//! types.

use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

use crate::activations::Activations;
use crate::block::{Plain, Quants};
use crate::isa::Isa;
use crate::product::Part;
use crate::simd::{self, CHUNK, FLOAT_CHUNK, Form, GROUP, Kernels, Quantized, Task, Tile, WORDS, X_ROWS};

/// Multiplies a part of quantized W.
pub(crate) fn multiply_quants<Q: Quants>(isa: Isa, part: &Part<'_>) {
    simd::run(isa, QuantTiles::<Q>(part, PhantomData));
}

/// Multiplies a part of W in plain floats.
pub(crate) fn multiply_floats<P: Plain>(isa: Isa, part: &Part<'_>) {
    simd::run(isa, FloatTiles::<P>(part, PhantomData));
}

struct QuantTiles<'a, Q>(&'a Part<'a>, PhantomData<Q>);

impl<Q: Quants> Task for QuantTiles<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        let part = self.0;
        let x = Rows::new::<Q, S>(part.x.quantized.expect("x is quantized where W is"), part.rows.clone());
        tiles(simd, part, CHUNK, |tile, rows, columns, sums| {
            unpack::<Q, S>(simd, tile, part, rows, columns.clone());
            let chunk = |row: usize| x.chunk::<Q::Form>(row, columns.clone());
            blocks_of_rows(part.rows.len(), |row, count| {
                let sums = &mut sums[row * S::ROWS..];
                match count {
                    1 => simd.quants::<Q::Form, 1>(tile, &from_fn(|m| chunk(row + m)), sums),
                    2 => simd.quants::<Q::Form, 2>(tile, &from_fn(|m| chunk(row + m)), sums),
                    3 => simd.quants::<Q::Form, 3>(tile, &from_fn(|m| chunk(row + m)), sums),
                    _ => simd.quants::<Q::Form, X_ROWS>(tile, &from_fn(|m| chunk(row + m)), sums),
                }
            });
        });
    }
}

struct FloatTiles<'a, P>(&'a Part<'a>, PhantomData<P>);

impl<P: Plain> Task for FloatTiles<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        let part = self.0;
        let inp = part.w.inp();
        let x = &part.x.floats[part.rows.start * inp..part.rows.end * inp];
        tiles(simd, part, FLOAT_CHUNK, |tile, rows, columns, sums| {
            widen::<P, S>(simd, tile, part, rows, columns.clone());
            let chunk = |row: usize| &x[row * inp..][columns.clone()];
            blocks_of_rows(part.rows.len(), |row, count| {
                let sums = &mut sums[row * S::ROWS..];
                match count {
                    1 => simd.floats::<1>(tile, &from_fn(|m| chunk(row + m)), sums),
                    2 => simd.floats::<2>(tile, &from_fn(|m| chunk(row + m)), sums),
                    3 => simd.floats::<3>(tile, &from_fn(|m| chunk(row + m)), sums),
                    _ => simd.floats::<X_ROWS>(tile, &from_fn(|m| chunk(row + m)), sums),
                }
            });
        });
    }
}

/// Goes over a part tile by tile, and over each by chunks of columns: `add` gets the tile's room, its rows of W, its
/// columns, and the sums of each row of x, (rows, S::ROWS), to add to.
#[inline(always)]
fn tiles<S: Kernels>(
    _: S,
    part: &Part<'_>,
    chunk: usize,
    add: impl Fn(&mut Tile, Range<usize>, Range<usize>, &mut [f32]),
) {
    let mut tile = Tile::new();
    let mut sums = vec![0f32; part.rows.len() * S::ROWS];
    for first in part.out.clone().step_by(S::ROWS) {
        let rows = first..(first + S::ROWS).min(part.out.end);
        sums.fill(0.0);
        for column in (0..part.w.inp()).step_by(chunk) {
            add(&mut tile, rows.clone(), column..(column + chunk).min(part.w.inp()), &mut sums);
        }
        for (row, sums) in part.rows.clone().zip(sums.chunks_exact(S::ROWS)) {
            // SAFETY: these rows of W and x are this part's alone, whose y is borrowed as long as the part is.
            unsafe { part.y.write(row, first, &sums[..rows.len()]) };
        }
    }
}

/// Calls `step` with the first row of each block of rows, and how many it has.
#[inline(always)]
fn blocks_of_rows(rows: usize, mut step: impl FnMut(usize, usize)) {
    for row in (0..rows).step_by(X_ROWS) {
        step(row, X_ROWS.min(rows - row));
    }
}

/// Rows of W, some columns of them, to a tile.
#[inline(always)]
fn unpack<Q: Quants, S: Kernels>(simd: S, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
    let at = columns.start / Q::WEIGHTS * Q::BYTES..columns.end / Q::WEIGHTS * Q::BYTES;
    for (r, row) in rows.enumerate() {
        let blocks = part.row_chunk(simd, row, at.clone());
        for (b, block) in blocks.chunks_exact(Q::BYTES).enumerate() {
            let (mut scales, mut offsets) = ([0f32; 16], [0f32; 16]);
            let quants = &mut tile.row_bytes()[r * CHUNK + b * Q::WEIGHTS..][..Q::WEIGHTS];
            Q::unpack(simd, block, quants, &mut scales, &mut offsets);
            let groups = Q::WEIGHTS / GROUP;
            for (i, scale) in scales[..groups * Q::Form::SCALES].iter().enumerate() {
                tile.scales[(b * groups * Q::Form::SCALES + i) * S::ROWS + r] = *scale;
            }
            for (i, offset) in offsets[..groups * Q::Form::OFFSETS].iter().enumerate() {
                tile.offsets[(b * groups * Q::Form::OFFSETS + i) * S::ROWS + r] = *offset;
            }
        }
    }
    for word in (0..columns.len() / 4).step_by(WORDS) {
        simd.transpose(&tile.rows[word..], CHUNK / 4, &mut tile.values[word * S::ROWS..]);
    }
}

/// Floats of a row that are widened at a time.
const WIDE: usize = 64;

/// Rows of W, some columns of them, to a tile.
#[inline(always)]
fn widen<P: Plain, S: Kernels>(simd: S, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
    for first in columns.clone().step_by(WIDE) {
        let width = WIDE.min(columns.end - first);
        for (r, row) in rows.clone().enumerate() {
            let bytes = part.row_chunk(simd, row, first * P::BYTES..(first + width) * P::BYTES);
            P::decode(simd, bytes, &mut tile.row_floats()[r * WIDE..][..width]);
        }
        for word in (0..width).step_by(WORDS) {
            let to = (first - columns.start + word) * S::ROWS;
            simd.transpose(&tile.rows[word..], WIDE, &mut tile.values[to..]);
        }
    }
}

impl Part<'_> {
    /// Bytes of a row of W; asks for those behind them, or of the next tile, which are wanted a few microseconds later.
    #[inline(always)]
    fn row_chunk<S: Kernels>(&self, simd: S, row: usize, at: Range<usize>) -> &[u8] {
        let row_bytes = self.w.row_bytes();
        let start = row * row_bytes + at.start;
        let bytes = &self.w.bytes()[start..start + at.len()];
        let ahead = if at.end < row_bytes { at.len() } else { S::ROWS * row_bytes - at.start };
        let next = bytes.as_ptr().wrapping_add(ahead);
        for line in (0..at.len()).step_by(64) {
            simd.prefetch(next.wrapping_add(line));
        }
        bytes
    }
}

/// The rows of x of a part, with the sums that a type's form asks for.
struct Rows<'a> {
    x: &'a Activations,
    first: usize,
    width: usize,
    /// By row, group and scale.
    start: Vec<i32>,
    /// By row, group and offset.
    sums: Vec<f32>,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn new<Q: Quants, S: Kernels>(x: &'a Activations, rows: Range<usize>) -> Rows<'a> {
        let zero = if Q::Form::FULL && S::SIGNED { Q::ZERO - 128 } else { Q::ZERO };
        let groups = rows.len() * x.inp() / GROUP;
        let mut start = Vec::with_capacity(groups * Q::Form::SCALES);
        let mut sums = Vec::with_capacity(groups * Q::Form::OFFSETS);
        for row in rows.clone() {
            let (_, scales, of_16) = x.row(row);
            for (scale, of_16) in scales.iter().zip(of_16.as_chunks::<2>().0) {
                match Q::Form::SCALES {
                    1 => start.push(-zero * (of_16[0] + of_16[1])),
                    _ => start.extend(of_16.map(|sum| -zero * sum)),
                }
                match Q::Form::OFFSETS {
                    0 => {}
                    1 => sums.push(scale * (of_16[0] + of_16[1]) as f32),
                    _ => sums.extend(of_16.map(|sum| scale * sum as f32)),
                }
            }
        }
        Rows { x, first: rows.start, width: x.inp() / GROUP, start, sums }
    }

    /// Some columns of a row.
    #[inline(always)]
    fn chunk<F: Form>(&self, row: usize, columns: Range<usize>) -> Quantized<'_> {
        let (quants, scales, _) = self.x.row(self.first + row);
        let groups = columns.start / GROUP..columns.end / GROUP;
        let own = row * self.width + groups.start..row * self.width + groups.end;
        Quantized {
            quants: &quants[columns],
            scales: &scales[groups],
            start: &self.start[own.start * F::SCALES..own.end * F::SCALES],
            sums: &self.sums[own.start * F::OFFSETS..own.end * F::OFFSETS],
        }
    }
}

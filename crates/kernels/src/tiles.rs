//! The loops of a product, by tiles of W: some rows over a chunk of columns are unpacked and transposed in first-level
//! cache, then multiplied with every row of x. So weights are read once, whatever x is, and never held a second time.
//! One loop serves one row of x and thousands, but for one row of the types and sets that `one_row` serves faster. Sums are
//! taken column by column, chunk by chunk, so that a row of x comes out the same whatever stands beside it and however
//! many threads there are.
//!
//! That weights are unpacked once a batch, and all types multiplied as int8, is ik_llama.cpp's way to one speed for all
//! types.

use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

use crate::activations::{Activations, Blocks, Line, Lines};
use crate::block::Quants;
use crate::isa::Isa;
use crate::product::Part;
use crate::simd::{self, CHUNK, FACTORS, Form, GROUP, IsaTask, Kernels, Lying, Quantized, Tile, WORDS, X_ROWS};

/// Multiplies a part of quantized W.
pub(crate) fn multiply_quants<Q: Quants>(isa: Isa, part: &Part<'_>) {
    simd::run(isa, QuantTiles::<Q>(part, PhantomData));
}

struct QuantTiles<'a, Q>(&'a Part<'a>, PhantomData<Q>);

impl<Q: Quants> IsaTask for QuantTiles<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        match part_of::<Q, S>(self.0) {
            Found::Many(x) => many::<Q, S>(simd, self.0, &x),
            // the condition leaves the loop out where it is never asked for
            Found::InRegisters(x) if const { S::IN_REGISTERS >= Q::IN_REGISTERS_FROM } => {
                simd.in_registers::<Q>(self.0, x);
            }
            Found::InRegisters(_) => unreachable!("found only where the type and the set have it"),
            Found::Few(x) => match &x[..] {
                [a] => few::<Q, S, 1>(simd, self.0, &[a]),
                [a, b] => few::<Q, S, 2>(simd, self.0, &[a, b]),
                [a, b, c] => few::<Q, S, 3>(simd, self.0, &[a, b, c]),
                [a, b, c, d] => few::<Q, S, 4>(simd, self.0, &[a, b, c, d]),
                [] => {}
                _ => unreachable!("at most FEW_ROWS rows lie as they are"),
            },
        }
    }
}

/// The rows of x of a part.
enum Found<'a> {
    Many(Rows<'a>),
    Few(Vec<Row<'a>>),
    InRegisters(&'a Lines),
}

#[inline(always)]
fn part_of<'a, Q: Quants, S: Kernels>(part: &'a Part<'_>) -> Found<'a> {
    let rows = part.rows.clone();
    match part.x.quantized.expect("x is quantized where W is") {
        Activations::Packed(x) => Found::Many(Rows::new::<Q, S>(x, rows, part.w.inp())),
        Activations::Few(x) if rows.len() == 1 && S::IN_REGISTERS >= Q::IN_REGISTERS_FROM => Found::InRegisters(x),
        Activations::Few(x) => Found::Few(rows.map(|row| Row::new::<Q, S>(x, row)).collect()),
    }
}

/// Tiles are transposed, and multiplied with four rows of x at a time.
#[inline(always)]
fn many<Q: Quants, S: Kernels>(simd: S, part: &Part<'_>, x: &Rows<'_>) {
    tiles(simd, part, |tile, rows, columns, sums| {
        simd.unpack::<Q>(tile, part, rows, columns.clone());
        transpose::<S>(simd, tile, columns.len());
        blocks_of_rows(part.rows.len(), |row, count| {
            let (x, sums) = (x.chunk::<Q::Form>(row / X_ROWS, columns.clone()), &mut sums[row * S::ROWS..]);
            if columns.start == 0 {
                begin(&mut sums[..count * S::ROWS]);
            }
            match count {
                1 => simd.quants::<Q::Form, 1>(tile, &x, sums),
                2 => simd.quants::<Q::Form, 2>(tile, &x, sums),
                3 => simd.quants::<Q::Form, 3>(tile, &x, sums),
                _ => simd.quants::<Q::Form, X_ROWS>(tile, &x, sums),
            }
        });
    });
}

/// Rows of W are multiplied as they lie.
#[inline(always)]
fn few<Q: Quants, S: Kernels, const M: usize>(simd: S, part: &Part<'_>, x: &[&Row<'_>; M]) {
    tiles(simd, part, |tile, rows, columns, sums| {
        if columns.start == 0 {
            begin(sums);
        }
        simd.unpack::<Q>(tile, part, rows, columns.clone());
        simd.few::<Q::Form, M>(tile, &x.map(|x| x.chunk::<Q::Form>(columns.clone())), sums);
    });
}

/// Goes over a part tile by tile, and over each by chunks of columns: `add` gets the tile's room, its rows of W, its
/// columns, and the sums of each row of x, (rows, S::ROWS), to add to; they are the last tile's where columns begin.
#[inline(always)]
fn tiles<S: Kernels>(_: S, part: &Part<'_>, add: impl Fn(&mut Tile, Range<usize>, Range<usize>, &mut [f32])) {
    let mut tile = Tile::take();
    let mut sums = vec![0f32; part.rows.len() * S::ROWS];
    for first in part.out.clone().step_by(S::ROWS) {
        let rows = first..(first + S::ROWS).min(part.out.end);
        for column in (0..part.w.inp()).step_by(CHUNK) {
            add(&mut tile, rows.clone(), column..(column + CHUNK).min(part.w.inp()), &mut sums);
        }
        for (row, sums) in part.rows.clone().zip(sums.chunks_exact(S::ROWS)) {
            // SAFETY: these rows of W and x are this part's alone, whose y is borrowed as long as the part is.
            unsafe { part.y.write(row, first, &sums[..rows.len()]) };
        }
    }
    tile.keep();
}

/// Sets sums to zero, just before they are added to: of a length that the compiler knows that is a few stores, and for
/// all rows at once, or as a call, it takes a twelfth of a product.
#[inline(always)]
fn begin(sums: &mut [f32]) {
    let (blocks, rest) = sums.as_chunks_mut::<{ 16 * X_ROWS }>();
    for block in blocks {
        for row in block.as_chunks_mut::<16>().0 {
            *row = [0.0; 16];
            std::hint::black_box(&mut *row);
        }
    }
    rest.fill(0.0);
}

/// Calls `step` with the first row of each block of rows, and how many it has.
#[inline(always)]
fn blocks_of_rows(rows: usize, mut step: impl FnMut(usize, usize)) {
    for row in (0..rows).step_by(X_ROWS) {
        step(row, X_ROWS.min(rows - row));
    }
}

/// Rows of W, some columns of them, to a tile's rows, and their factors to it.
#[inline(always)]
pub(crate) fn unpack<Q: Quants, S: Kernels>(
    simd: S,
    tile: &mut Tile,
    part: &Part<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    let row_bytes = part.w.row_bytes();
    let at = columns.start / Q::WEIGHTS * Q::BYTES..columns.end / Q::WEIGHTS * Q::BYTES;
    let bytes = &part.w.bytes()[rows.start * row_bytes..rows.end * row_bytes];
    // what is asked for ahead: the next tile's bytes, from its first to its last, so that the processor sees one stream and
    // runs ahead by itself; those behind in the same row where a tile is too large for that
    let (ahead, step) = match S::ROWS * row_bytes <= FAR {
        true => (S::ROWS * (row_bytes + at.start), at.len()),
        false => (at.end, row_bytes),
    };
    for (r, row) in bytes.chunks_exact(row_bytes).enumerate() {
        let (blocks, ahead) = (&row[at.clone()], bytes.as_ptr().wrapping_add(ahead + r * step));
        // the loops over a whole chunk of small blocks have a length that the compiler knows; types of one large block are
        // unpacked at one place, since code that stands twice is no longer compiled with the set's instructions
        match columns.len() {
            CHUNK if Q::WEIGHTS < CHUNK => unpack_row::<Q, S>(simd, tile, r, blocks, ahead, CHUNK / Q::WEIGHTS),
            columns => unpack_row::<Q, S>(simd, tile, r, blocks, ahead, columns / Q::WEIGHTS),
        }
    }
    for word in (0..CHUNK / GROUP * (Q::Form::SCALES + Q::Form::OFFSETS)).step_by(WORDS) {
        simd.transpose(&tile.row_factors[word..], FACTORS, &mut tile.factors[word * S::ROWS..]);
    }
}

/// Some blocks of a row to the tile's row `r`; asks for as many bytes from `ahead` on.
#[inline(always)]
fn unpack_row<Q: Quants, S: Kernels>(
    simd: S,
    tile: &mut Tile,
    r: usize,
    blocks: &[u8],
    ahead: *const u8,
    count: usize,
) {
    let (quants, factors) = tile.row(r);
    let (scales, offsets) = factors.split_at_mut(Tile::offsets::<Q::Form>());
    let groups = Q::WEIGHTS / GROUP;
    let (own_scales, own_offsets) = (groups * Q::Form::SCALES, groups * Q::Form::OFFSETS);
    assert!(blocks.len() == count * Q::BYTES && count <= CHUNK / Q::WEIGHTS, "a row of a tile has room for a chunk");
    for line in (0..count * Q::BYTES).step_by(64) {
        simd.prefetch(ahead.wrapping_add(line));
    }
    for b in 0..count {
        // SAFETY: there are as many blocks, and a row has room for CHUNK weights and for the factors of as many; checks
        // at each block would cost as much as some types' unpacking.
        let (block, quants, scales, offsets) = unsafe {
            (
                blocks.get_unchecked(b * Q::BYTES..(b + 1) * Q::BYTES),
                quants.get_unchecked_mut(b * Q::WEIGHTS..(b + 1) * Q::WEIGHTS),
                scales.get_unchecked_mut(b * own_scales..(b + 1) * own_scales),
                offsets.get_unchecked_mut(b * own_offsets..(b + 1) * own_offsets),
            )
        };
        Q::unpack(simd, block, quants, scales, offsets);
    }
}

/// The unpacked columns of a tile, for many rows of x.
#[inline(always)]
fn transpose<S: Kernels>(simd: S, tile: &mut Tile, columns: usize) {
    for word in (0..columns / 4).step_by(WORDS) {
        simd.transpose(&tile.rows[word..], CHUNK / 4, &mut tile.values[word * S::ROWS..]);
    }
}

/// Bytes that second-level caches keep until they are wanted.
pub(crate) const FAR: usize = 1 << 18;

/// The rows of x of a part, by blocks of four, with the sums that a type's form asks for.
struct Rows<'a> {
    x: &'a Blocks,
    first: usize,
    groups: usize,
    /// By block, group and scale.
    start: Vec<[i32; X_ROWS]>,
    /// By block, group and offset.
    sums: Vec<[f32; X_ROWS]>,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn new<Q: Quants, S: Kernels>(x: &'a Blocks, rows: Range<usize>, inp: usize) -> Rows<'a> {
        let zero = zero::<Q, S>();
        let (blocks, groups) = (rows.start / X_ROWS..rows.end.div_ceil(X_ROWS), inp / GROUP);
        let mut start = vec![[0; X_ROWS]; blocks.len() * groups * Q::Form::SCALES];
        let mut sums = vec![[0.0; X_ROWS]; blocks.len() * groups * Q::Form::OFFSETS];
        for (b, block) in blocks.clone().enumerate() {
            let x = x.block(block);
            let own = b * groups * Q::Form::SCALES..(b + 1) * groups * Q::Form::SCALES;
            for (start, [low, high]) in start[own].chunks_exact_mut(Q::Form::SCALES).zip(x.sums) {
                match start {
                    [both] => *both = from_fn(|m| -zero * (low[m] + high[m])),
                    halves => (halves[0], halves[1]) = (low.map(|sum| -zero * sum), high.map(|sum| -zero * sum)),
                }
            }
            let own = b * groups * Q::Form::OFFSETS..(b + 1) * groups * Q::Form::OFFSETS;
            let each = sums[own].chunks_exact_mut(Q::Form::OFFSETS.max(1)).zip(x.sums).zip(x.scales);
            for ((sums, [low, high]), scale) in each {
                match sums {
                    [both] => *both = from_fn(|m| scale[m] * (low[m] + high[m]) as f32),
                    halves => {
                        halves[0] = from_fn(|m| scale[m] * low[m] as f32);
                        halves[1] = from_fn(|m| scale[m] * high[m] as f32);
                    }
                }
            }
        }
        Rows { x, first: blocks.start, groups, start, sums }
    }

    /// Some columns of a block of rows.
    #[inline(always)]
    fn chunk<F: Form>(&self, block: usize, columns: Range<usize>) -> Quantized<'_> {
        let x = self.x.block(self.first + block);
        let groups = columns.start / GROUP..columns.end / GROUP;
        let own = block * self.groups + groups.start..block * self.groups + groups.end;
        Quantized {
            quants: &x.quants[columns.start / 4..columns.end / 4],
            scales: &x.scales[groups],
            start: &self.start[own.start * F::SCALES..own.end * F::SCALES],
            sums: &self.sums[own.start * F::OFFSETS..own.end * F::OFFSETS],
        }
    }
}

/// The quant that stands for zero, as the kernels multiply quants.
#[inline(always)]
fn zero<Q: Quants, S: Kernels>() -> i32 {
    if Q::Form::FULL && S::SIGNED { Q::ZERO - 128 } else { Q::ZERO }
}

/// A row of x as it lies, with the sums that a type's form asks for.
struct Row<'a> {
    x: Line<'a>,
    /// By group and scale.
    start: Vec<i32>,
    /// By group and offset.
    sums: Vec<f32>,
}

impl<'a> Row<'a> {
    #[inline(always)]
    fn new<Q: Quants, S: Kernels>(x: &'a Lines, row: usize) -> Row<'a> {
        let (x, zero) = (x.row(row), zero::<Q, S>());
        let mut start = Vec::with_capacity(x.sums.len() * Q::Form::SCALES);
        let mut sums = Vec::with_capacity(x.sums.len() * Q::Form::OFFSETS);
        for ([low, high], scale) in x.sums.iter().zip(x.scales) {
            match Q::Form::SCALES {
                1 => start.push(-zero * (low + high)),
                _ => start.extend([-zero * low, -zero * high]),
            }
            match Q::Form::OFFSETS {
                0 => {}
                1 => sums.push(scale * (low + high) as f32),
                _ => sums.extend([scale * *low as f32, scale * *high as f32]),
            }
        }
        Row { x, start, sums }
    }

    /// Some columns, and the zeros behind the last.
    #[inline(always)]
    fn chunk<F: Form>(&self, columns: Range<usize>) -> Lying<'_> {
        let groups = columns.start / GROUP..columns.end / GROUP;
        Lying {
            quants: &self.x.quants[columns.start..],
            scales: &self.x.scales[groups.clone()],
            start: &self.start[groups.start * F::SCALES..groups.end * F::SCALES],
            sums: &self.sums[groups.start * F::OFFSETS..groups.end * F::OFFSETS],
        }
    }
}

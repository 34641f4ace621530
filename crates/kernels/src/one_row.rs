//! The loop of a product with one row of x: what is read of W is unpacked in registers and multiplied there. As
//! many rows of W as a vector has floats go together, so that their scales are unpacked and their sums added up together.
//!
//! Numbers are summed in the order that `Kernels::quants` has, to the bit.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use crate::activations::{Line, Lines};
use crate::block::Quants;
use crate::product::Part;
use crate::simd::lanes::{Lanes, MOST};
use crate::simd::{CHUNK, Form, GROUP};
use crate::tiles::FAR;

/// Words of a chunk of a row that factors are made of: one of each small block, or those of a large one.
const WORDS: usize = 8;
/// Bytes of a chunk of the largest small blocks.
const BYTES: usize = CHUNK / GROUP * 34;
/// Groups of a chunk.
const FULL: usize = CHUNK / GROUP;
/// Factors of a kind of a chunk.
const FACTORS: usize = 16;

/// A chunk of some rows of W.
struct Chunk<S: Lanes> {
    /// The first block of each row.
    blocks: [*const u8; MOST],
    /// Scales of parts of groups, where the type wants them ready.
    sub_scales: [[u8; 16]; MOST],
    /// In the order of groups, as the form has them.
    scales: [S::Reals; FACTORS],
    offsets: [S::Reals; FACTORS],
}

/// Multiplies a part with its one row of x. Compiled at one place for each set and type.
#[inline(always)]
pub(crate) fn one_row<Q: Quants, S: Lanes>(simd: S, part: &Part<'_>, x: &Lines) {
    let (inp, row_bytes) = (part.w.inp(), part.w.row_bytes());
    let x = x.row(part.rows.start);
    let zero = simd.same(0.0);
    let mut rest = (!(inp / GROUP).is_multiple_of(S::COUNT)).then_some([[0u8; BYTES]; MOST]);
    let mut words = [[0u32; MOST]; WORDS];
    let mut chunk = Chunk::<S> {
        blocks: [std::ptr::null(); MOST],
        sub_scales: [[0; 16]; MOST],
        scales: [zero; FACTORS],
        offsets: [zero; FACTORS],
    };
    for first in part.out.clone().step_by(S::AT_ONCE) {
        let rows = first..(first + S::AT_ONCE).min(part.out.end);
        let bytes = &part.w.bytes()[rows.start * row_bytes..rows.end * row_bytes];
        let mut sum = zero;
        for column in (0..inp).step_by(CHUNK) {
            let groups = (inp - column).min(CHUNK) / GROUP;
            let (at, length) = (column / Q::WEIGHTS * Q::BYTES, groups * GROUP / Q::WEIGHTS * Q::BYTES);
            // what is asked for ahead: the next rows' bytes, from the first to the last, so that the processor sees one
            // stream and runs ahead by itself; those behind in the same row where rows are too long for that
            let (ahead, step) = match S::AT_ONCE * row_bytes <= FAR {
                true => (S::AT_ONCE * (row_bytes + at), length),
                false => (at + length, row_bytes),
            };
            for r in 0..S::AT_ONCE {
                // where there are no more rows, the last again, for nothing
                let row = &bytes[r.min(rows.len() - 1) * row_bytes..][at..at + length];
                let ahead = bytes.as_ptr().wrapping_add(ahead + r * step);
                for line in (0..length).step_by(64) {
                    simd.prefetch(ahead.wrapping_add(line));
                }
                chunk.blocks[r] = row.as_ptr();
                if let (Some(rest), false) = (&mut rest, groups.is_multiple_of(S::COUNT)) {
                    // lanes behind the last group read something, too
                    rest[r][..length].copy_from_slice(row);
                    chunk.blocks[r] = rest[r].as_ptr();
                }
                if let Some(sub_scales) = Q::sub_scales(&row[..Q::BYTES]) {
                    chunk.sub_scales[r] = sub_scales;
                }
                // SAFETY: the row has so many blocks, which have words where the type says.
                unsafe {
                    match groups {
                        _ if const { is_one_head::<Q>() } => {}
                        FULL => copy_words::<Q>(row.as_ptr(), CHUNK, r, &mut words),
                        groups => copy_words::<Q>(row.as_ptr(), groups * GROUP, r, &mut words),
                    }
                }
            }
            let none = simd.words(&[0; MOST]);
            let mut of_rows = [none; WORDS];
            if const { is_one_head::<Q>() } {
                // SAFETY: a block has as many bytes.
                of_rows[..4].copy_from_slice(&unsafe { simd.fours(&chunk.blocks, 0) });
            } else {
                for (of_rows, words) in of_rows.iter_mut().zip(&words).take(CHUNK / Q::WEIGHTS * Q::WORDS.len()) {
                    *of_rows = simd.words(words);
                }
            }
            for block in 0..CHUNK / Q::WEIGHTS {
                let own = Q::WEIGHTS / GROUP;
                Q::factors(
                    simd,
                    &of_rows[block * Q::WORDS.len()..(block + 1) * Q::WORDS.len()],
                    &mut chunk.scales[block * own * Q::Form::SCALES..(block + 1) * own * Q::Form::SCALES],
                    &mut chunk.offsets[block * own * Q::Form::OFFSETS..(block + 1) * own * Q::Form::OFFSETS],
                );
            }
            // SAFETY: the blocks are those of so many groups, or of whole lanes of them.
            let own = unsafe { multiply::<Q, S>(simd, &chunk, &x, column / GROUP, groups) };
            sum = simd.sum(sum, own);
        }
        let mut y = [0.0; MOST];
        simd.keep(sum, &mut y);
        // SAFETY: these rows of W and x are this part's alone, whose y is borrowed as long as the part is.
        unsafe { part.y.write(part.rows.start, first, &y[..rows.len()]) };
    }
}

/// Whether a chunk is a block that begins with its four words, which are read together.
const fn is_one_head<Q: Quants>() -> bool {
    matches!(Q::WORDS, [0, 4, 8, 12]) && Q::WEIGHTS == CHUNK
}

/// Copies the words of a row's factors, those of the last block again where blocks are less than a chunk's: a loop of a
/// fixed length is unrolled, and any other becomes a slow scatter.
///
/// # Safety
/// From `blocks` on there must be blocks of so many columns.
#[inline(always)]
unsafe fn copy_words<Q: Quants>(blocks: *const u8, columns: usize, row: usize, to: &mut [[u32; MOST]; WORDS]) {
    for block in 0..CHUNK / Q::WEIGHTS {
        for (i, word) in Q::WORDS.iter().enumerate() {
            let at = block.min(columns / Q::WEIGHTS - 1) * Q::BYTES + word;
            // SAFETY: the caller's promise.
            let word = unsafe { blocks.add(at).cast::<u32>().read_unaligned() };
            to[(block * Q::WORDS.len() + i) % WORDS][row % MOST] = u32::from_le(word);
        }
    }
}

/// Each of the rows, as far as the set has them, by an expression of its number: an array that is not indexed stays in
/// registers.
macro_rules! each_row {
    ($S:ident, $none:expr, |$r:ident| $sum:expr) => {
        each_row!($S, $none, $r, $sum, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($S:ident, $none:expr, $r:ident, $sum:expr, $($row:literal)*) => {
        [$({
            let $r: usize = $row;
            if $r < $S::AT_ONCE { $sum } else { $none }
        }),*]
    };
}

/// A chunk's sums.
///
/// # Safety
/// The chunk must have so many groups, and blocks for whole lanes of them.
#[inline(always)]
unsafe fn multiply<Q: Quants, S: Lanes>(
    simd: S,
    chunk: &Chunk<S>,
    x: &Line<'_>,
    start: usize,
    groups: usize,
) -> S::Reals {
    let none = simd.words(&[0; MOST]);
    let mut sum = simd.same(0.0);
    for first in (0..groups).step_by(S::COUNT) {
        let halves = [load::<S>(simd, x, start + first, 0), load::<S>(simd, x, start + first, 1)];
        // SAFETY: the caller's promise.
        let rows =
            each_row!(S, [none; 2], |r| unsafe { Q::dots(simd, chunk.blocks[r], &chunk.sub_scales[r], first, halves) });
        let totals = both_totals::<Q, S>(simd, &rows);
        for lane in 0..S::COUNT.min(groups - first) {
            let own = [totals[0][lane], totals[1][lane]];
            sum = add_group::<Q, S>(simd, chunk, x, start, first + lane, own, sum);
        }
    }
    sum
}

/// A half of x's groups, as lanes.
#[inline(always)]
fn load<S: Lanes>(simd: S, x: &Line<'_>, group: usize, half: usize) -> S::Wide {
    let bytes = &x.lanes[group * GROUP + half * 16 * S::COUNT..][..16 * S::COUNT];
    // SAFETY: as many bytes.
    unsafe { simd.line(bytes.as_ptr()) }
}

/// The totals of both scales; of the first where there is one.
#[inline(always)]
fn both_totals<Q: Quants, S: Lanes>(simd: S, rows: &[[S::Words; 2]; MOST]) -> [[S::Words; 4]; 2] {
    let none = rows[0][0];
    let first = simd.totals(&each_row!(S, none, |r| rows[r][0]));
    if Q::Form::SCALES == 1 {
        return [first; 2];
    }
    [first, simd.totals(&each_row!(S, none, |r| rows[r][1]))]
}

/// Adds a group's products.
#[inline(always)]
fn add_group<Q: Quants, S: Lanes>(
    simd: S,
    chunk: &Chunk<S>,
    x: &Line<'_>,
    start: usize,
    group: usize,
    totals: [S::Words; 2],
    sum: S::Reals,
) -> S::Reals {
    let (scale, halves) = (x.scales[start + group], x.sums[start + group]);
    let zero = if Q::Form::FULL && S::SIGNED && Q::ZERO_IN_DOTS > 0 { Q::ZERO_IN_DOTS - 128 } else { Q::ZERO_IN_DOTS };
    let both = halves[0] + halves[1];
    let part = if Q::Form::SCALES == 1 {
        let dot = simd.real(simd.plus(totals[0], -zero * both));
        simd.product(dot, chunk.scales[group % FACTORS])
    } else {
        let dots = [0, 1].map(|half: usize| simd.real(simd.plus(totals[half], -zero * halves[half])));
        let part = simd.product(dots[0], chunk.scales[2 * group % FACTORS]);
        simd.fused(dots[1], chunk.scales[(2 * group + 1) % FACTORS], part)
    };
    let mut sum = simd.fused(part, simd.same(scale), sum);
    if Q::Form::OFFSETS == 1 {
        sum = simd.fused(chunk.offsets[group % FACTORS], simd.same(scale * both as f32), sum);
    }
    if Q::Form::OFFSETS == 2 {
        for half in 0..2 {
            let x = simd.same(scale * halves[half] as f32);
            sum = simd.fused(chunk.offsets[(2 * group + half) % FACTORS], x, sum);
        }
    }
    sum
}

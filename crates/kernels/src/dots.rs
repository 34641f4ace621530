//! Products with plain floats: rows of W and of x as they lie, some of each at a time, so that what is read is used for
//! several sums. Each sum is one vector of sums from the first column to the last, added up at the end: a row of x comes
//! out the same whatever stands beside it and however many threads there are.

use std::marker::PhantomData;
use std::ops::Range;

use crate::block::Plain;
use crate::isa::Isa;
use crate::product::Part;
use crate::simd::{self, IsaTask, Kernels};

/// Multiplies a part of W in plain floats.
pub(crate) fn multiply_floats<P: Plain>(isa: Isa, part: &Part<'_>) {
    simd::run(isa, Dots::<P>(part, PhantomData));
}

struct Dots<'a, P>(&'a Part<'a>, PhantomData<P>);

/// Rows of W that are multiplied with all rows of x, some after the other, while they are in second-level cache.
const PANEL: usize = 32;

impl<P: Plain> IsaTask for Dots<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        let part = self.0;
        for first in part.out.clone().step_by(PANEL) {
            let out = first..(first + PANEL).min(part.out.end);
            let mut row = part.rows.start;
            while row < part.rows.end {
                // as many sums as there are registers for, beside what is multiplied
                row += match (part.rows.end - row, S::ROOMY) {
                    (6.., true) => each::<P, S, 6, 4>(simd, part, row, &out),
                    (4.., true) => each::<P, S, 4, 4>(simd, part, row, &out),
                    (6.., false) => each::<P, S, 6, 2>(simd, part, row, &out),
                    (4.., false) => each::<P, S, 4, 2>(simd, part, row, &out),
                    (2.., _) => each::<P, S, 2, 4>(simd, part, row, &out),
                    _ => each::<P, S, 1, 8>(simd, part, row, &out),
                };
            }
        }
    }
}

/// M rows of x with rows of W, N at a time; gives M.
#[inline(always)]
fn each<P: Plain, S: Kernels, const M: usize, const N: usize>(
    simd: S,
    part: &Part<'_>,
    row: usize,
    out: &Range<usize>,
) -> usize {
    let mut first = out.start;
    while first + N <= out.end {
        dots::<P, S, M, N>(simd, part, row, first);
        first += N;
    }
    for first in first..out.end {
        dots::<P, S, M, 1>(simd, part, row, first);
    }
    M
}

/// M rows of x, from `row` on, with N rows of W, from `first` on.
#[inline(always)]
fn dots<P: Plain, S: Kernels, const M: usize, const N: usize>(simd: S, part: &Part<'_>, row: usize, first: usize) {
    let (inp, width) = (part.w.inp(), part.w.row_bytes());
    let whole = inp / S::LANES * S::LANES;
    let x = &part.x.floats[row * inp..(row + M) * inp];
    let w = &part.w.bytes()[first * width..(first + N) * width];
    assert!(width == inp * P::BYTES, "a row of plain weights is its numbers");
    let mut sums = [[simd.zeros(); N]; M];
    for column in (0..whole).step_by(S::LANES) {
        // SAFETY: whole vectors within rows whose lengths were just seen.
        unsafe {
            let w: [S::Floats; N] = std::array::from_fn(|n| {
                let at = w.as_ptr().add(n * width + column * P::BYTES);
                if M == 1 {
                    // the rows after these: one stream from the first byte to the last
                    simd.prefetch(w.as_ptr().wrapping_add(N * (width + column * P::BYTES) + n * S::LANES * P::BYTES));
                }
                P::load(simd, at)
            });
            for (m, sums) in sums.iter_mut().enumerate() {
                let x = simd.load_f32(x.as_ptr().add(m * inp + column));
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = simd.multiply_add(w, x, *sum);
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let mut totals = [0.0; N];
        for (n, (total, sum)) in totals.iter_mut().zip(sums).enumerate() {
            *total = simd.total(*sum);
            if whole < inp {
                let w = &w[n * width + whole * P::BYTES..(n + 1) * width];
                *total += rest::<P, S>(simd, w, &x[m * inp + whole..(m + 1) * inp]);
            }
        }
        // SAFETY: these rows of W and x are this part's alone, whose y is borrowed as long as the part is.
        unsafe { part.y.write(row + m, first, &totals) };
    }
}

/// What fills no vector.
#[inline(always)]
fn rest<P: Plain, S: Kernels>(simd: S, w: &[u8], x: &[f32]) -> f32 {
    let mut wide = [0.0; 16];
    let wide = &mut wide[..x.len()];
    P::decode(simd, w, wide);
    wide.iter().zip(x).map(|(w, x)| w * x).sum()
}

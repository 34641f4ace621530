//! x Wᵀ: what callers ask for, and how it is shared between threads. `tiles` has the loops.

use std::ops::Range;

use crate::activations::Activations;
use crate::error::Error;
use crate::isa::{Isa, isa};
use crate::matrix::{self, Matrix};
use crate::pool;
use crate::simd::{GROUP, MOST_ROWS, X_ROWS};

/// Up to this many weights, times each four rows of x, a product stays on its thread: to hand out work costs a microsecond
/// or two.
const SERIAL_UP_TO: usize = 1 << 16;
/// Parts a thread gets, so that one that is held up leaves the others something to do.
const PARTS_PER_THREAD: usize = 4;

/// Multiplies x, (rows, inp), with Wᵀ, W (out, inp), to y, (rows, out).
///
/// With quantized W, x is rounded to eight bits a number, 32 numbers sharing a scale. What is not finite in x makes its
/// row of y NaN.
///
/// # Errors
/// Where x or y has another length than that.
pub fn product(x: &[f32], rows: usize, w: &Matrix<'_>, y: &mut [f32]) -> Result<(), Error> {
    product_on(isa(), x, rows, w, y)
}

/// As `product`, with an instruction set by choice; scalar where the processor does not have it.
///
/// # Errors
/// As `product`.
pub fn product_on(isa: Isa, x: &[f32], rows: usize, w: &Matrix<'_>, y: &mut [f32]) -> Result<(), Error> {
    Error::unless_long("x", x.len(), rows * w.inp())?;
    Error::unless_long("y", y.len(), rows * w.out())?;
    fill(isa, x, rows, &[Job::new(w, y.as_mut_ptr(), y.len())]);
    Ok(())
}

/// Multiplies one x with several matrices at once, giving a y for each: q, k and v, or gate and up. x is quantized once,
/// threads are woken once, and nothing is set to zero before it is written.
///
/// # Errors
/// Where x has another length than the shapes make.
pub fn products(x: &[f32], rows: usize, each: &[Matrix<'_>]) -> Result<Vec<Vec<f32>>, Error> {
    for w in each {
        Error::unless_long("x", x.len(), rows * w.inp())?;
    }
    let mut ys: Vec<Vec<f32>> = each.iter().map(|w| Vec::with_capacity(rows * w.out())).collect();
    let jobs = each.iter().zip(&mut ys).map(|(w, y)| Job::new(w, y.as_mut_ptr(), rows * w.out()));
    fill(isa(), x, rows, &jobs.collect::<Vec<_>>());
    for (w, y) in each.iter().zip(&mut ys) {
        // SAFETY: there is room for as many, and every one was written: the shares cover all rows of x and of W.
        unsafe { y.set_len(rows * w.out()) };
    }
    Ok(ys)
}

/// Computes all jobs of an x whose length was checked.
fn fill(isa: Isa, x: &[f32], rows: usize, jobs: &[Job<'_>]) {
    let quantized = jobs.iter().find(|job| job.w.ggml_type().is_quantized());
    let quantized = quantized.map(|job| Activations::new(isa, x, job.w.inp()));
    let input = Input { floats: x, quantized: quantized.as_ref() };
    Shares::new(jobs, rows).run(|job, out, rows| {
        let w = &job.w;
        // no two shares have a row of W and one of x in common, so that each y has one writer; the ys are the caller's
        // alone throughout
        w.block().multiply(isa, &Part { w, x: input, rows: rows.clone(), out: out.clone(), y: job.y });
        if w.factor() != 1.0 {
            // SAFETY: as `multiply` wrote them: this share's alone.
            rows.for_each(|row| unsafe { job.y.multiply(row, out.clone(), w.factor()) });
        }
    });
    if let Some(quantized) = quantized {
        quantized.keep();
    }
}

/// x in the forms that matrices want.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    /// (rows, inp)
    pub(crate) floats: &'a [f32],
    /// There where a matrix is quantized.
    pub(crate) quantized: Option<&'a Activations>,
}

/// One thread's share of a product: some rows of W times some rows of x, from the first of a block of four on.
pub struct Part<'a> {
    pub(crate) w: &'a Matrix<'a>,
    pub(crate) x: Input<'a>,
    /// Of x.
    pub(crate) rows: Range<usize>,
    /// Of W.
    pub(crate) out: Range<usize>,
    pub(crate) y: Target,
}

/// y, (rows, width), of which each part writes its own numbers.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    start: *mut f32,
    len: usize,
    width: usize,
}

// SAFETY: parts write numbers of their own, see `fill`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// Writes numbers of a row, from a column on.
    ///
    /// # Safety
    /// The y that this was made of must be alive, and nothing else may touch these numbers meanwhile.
    pub(crate) unsafe fn write(self, row: usize, column: usize, numbers: &[f32]) {
        let at = row * self.width + column;
        assert!(column + numbers.len() <= self.width && at + numbers.len() <= self.len, "a part lies within y");
        // SAFETY: within y, as just seen, and this part's own by the caller's promise.
        unsafe {
            let to = self.start.add(at);
            match numbers.len() {
                // those of whole tiles: a length that the compiler knows is a few moves, any other a call
                2 => std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, 2),
                16 => std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, 16),
                length => std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, length),
            }
        }
    }
}

impl Target {
    /// Multiplies numbers of a row that were written.
    ///
    /// # Safety
    /// As `write`.
    unsafe fn multiply(self, row: usize, columns: Range<usize>, factor: f32) {
        let at = row * self.width + columns.start;
        assert!(columns.end <= self.width && at + columns.len() <= self.len, "a part lies within y");
        // SAFETY: within y, as just seen, written before, and this part's own by the caller's promise.
        let own = unsafe { std::slice::from_raw_parts_mut(self.start.add(at), columns.len()) };
        matrix::multiply(own, factor);
    }
}

/// A matrix and where its product goes.
struct Job<'a> {
    w: Matrix<'a>,
    y: Target,
}

impl<'a> Job<'a> {
    fn new(w: &Matrix<'a>, start: *mut f32, len: usize) -> Job<'a> {
        Job { w: *w, y: Target { start, len, width: w.out() } }
    }

    /// Tiles of the largest size.
    fn units(&self) -> usize {
        self.w.out().div_ceil(MOST_ROWS)
    }
}

/// How work is cut: tiles of all matrices, one matrix behind the other, in `parts`; and where tiles are few, the rows
/// of x in `cuts`.
struct Shares<'a> {
    jobs: &'a [Job<'a>],
    rows: usize,
    units: usize,
    parts: usize,
    cuts: usize,
}

impl<'a> Shares<'a> {
    fn new(jobs: &'a [Job<'a>], rows: usize) -> Shares<'a> {
        let units = jobs.iter().map(Job::units).sum();
        let weights = jobs.iter().map(|job| job.w.out() * job.w.inp()).sum::<usize>();
        let threads = pool::threads();
        if threads == 1 || weights.saturating_mul(rows.div_ceil(X_ROWS)) <= SERIAL_UP_TO {
            return Shares { jobs, rows, units, parts: 1, cuts: 1 };
        }
        let parts = units.clamp(1, threads * PARTS_PER_THREAD);
        let cuts = (2 * threads / parts).clamp(1, rows.div_ceil(GROUP));
        Shares { jobs, rows, units, parts, cuts }
    }

    /// Calls `multiply` with a matrix, some of its rows, and some of the rows of x, until all is done.
    fn run(&self, multiply: impl Fn(&Job<'_>, Range<usize>, Range<usize>) + Sync + Send) {
        pool::parallel(self.parts * self.cuts, |index| {
            let units = share(self.units, index % self.parts, self.parts);
            let blocks = share(self.rows.div_ceil(X_ROWS), index / self.parts, self.cuts);
            let rows = blocks.start * X_ROWS..(blocks.end * X_ROWS).min(self.rows);
            let mut first = 0;
            for job in self.jobs {
                let end = (first + job.units()).min(units.end);
                let start = first.max(units.start);
                if start < end {
                    let out = (start - first) * MOST_ROWS..((end - first) * MOST_ROWS).min(job.w.out());
                    multiply(job, out, rows.clone());
                }
                first += job.units();
            }
        });
    }
}

/// The share of a number that a part gets.
fn share(all: usize, part: usize, parts: usize) -> Range<usize> {
    all * part / parts..all * (part + 1) / parts
}

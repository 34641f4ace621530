//! Products of plain floats in any layout, by the `gemm` crate.

use gemm::Parallelism;

use crate::pool;

/// A read-only matrix in memory: element (i, j) is `data[i * rows + j * cols]`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(data: &'a [f32], row_stride: usize) -> Self {
        View { data, rows: row_stride, cols: 1 }
    }

    pub(crate) fn t(self) -> Self {
        View { data: self.data, rows: self.cols, cols: self.rows }
    }

    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0 || n == 0 || (m - 1) * self.rows + (n - 1) * self.cols < self.data.len()
    }
}

/// dst (m, n; row stride `dst_rows`) = `keep` * dst + `scale` * a (m, k) · b (k, n); `keep` zero overwrites.
///
/// # Safety
/// `dst` must be valid for writes of the m rows of n floats, and nothing else may touch those floats meanwhile.
#[allow(clippy::too_many_arguments)] // it is a BLAS signature
pub(crate) unsafe fn gemm_into(
    dst: *mut f32,
    dst_rows: usize,
    (m, k, n): (usize, usize, usize),
    keep: f32,
    scale: f32,
    a: View<'_>,
    b: View<'_>,
    parallelism: Parallelism,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "a gemm operand is shorter than its shape says");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the operands were checked above; dst is the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_rows as isize,
            keep != 0.0, //
            a.data.as_ptr(),
            a.cols as isize,
            a.rows as isize, //
            b.data.as_ptr(),
            b.cols as isize,
            b.rows as isize, //
            keep,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// How a product of plain floats reads one of its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As it lies.
    Plain,
    /// Rows for columns.
    Transposed,
}

/// Multiplies a (m, k) with b (k, n), each as it lies or transposed, on all threads; gives (m, n).
pub fn float_product((m, k, n): (usize, usize, usize), a: (&[f32], Side), b: (&[f32], Side)) -> Vec<f32> {
    let mut dst = vec![0f32; m * n];
    let parallelism = parallelism();
    // SAFETY: dst has m rows of n floats and is ours alone.
    unsafe { gemm_into(dst.as_mut_ptr(), n, (m, k, n), 0.0, 1.0, view(a, m, k), view(b, k, n), parallelism) };
    dst
}

/// Columns of a Gram matrix that are made at a time: what lies left of them is not.
const STRIP: usize = 256;

/// Adds XᵀX to the upper triangle of `gram`, (columns, columns), for an X of whole rows, on all threads; what stands below
/// the diagonal is of no meaning afterwards.
///
/// # Panics
/// Where `x` is no whole rows, or `gram` no square of the columns.
pub fn add_gram(x: &[f32], columns: usize, gram: &mut [f32]) {
    assert!(columns > 0 && x.len().is_multiple_of(columns), "a Gram matrix is made of whole rows");
    assert_eq!(gram.len(), columns * columns, "a Gram matrix is a square of its columns");
    let rows = x.len() / columns;
    let parallelism = parallelism();
    for first in (0..columns).step_by(STRIP) {
        let (strip, rest) = (STRIP.min(columns - first), columns - first);
        let right = &x[first.min(x.len())..];
        let (a, b) = (View::new(right, columns).t(), View::new(right, columns));
        let dst = gram[first * columns + first..].as_mut_ptr();
        // SAFETY: the strip's rows of `rest` floats from the diagonal on lie within `gram`, which is ours alone.
        unsafe { gemm_into(dst, columns, (strip, rows, rest), 1.0, 1.0, a, b, parallelism) };
    }
}

/// Takes a (m, k) · b (k, n) off the first m rows and n columns of `dst`, whose rows lie `stride` apart, on all threads.
///
/// # Panics
/// Where `dst` is too short.
pub(crate) fn subtract_product(
    (m, k, n): (usize, usize, usize),
    a: (&[f32], Side),
    b: (&[f32], Side),
    dst: &mut [f32],
    stride: usize,
) {
    assert!(m == 0 || (m - 1) * stride + n <= dst.len(), "what is taken off lies within");
    let (a, b) = (view(a, m, k), view(b, k, n));
    // SAFETY: as was just seen, and `dst` is ours alone.
    unsafe { gemm_into(dst.as_mut_ptr(), stride, (m, k, n), 1.0, -1.0, a, b, parallelism()) };
}

/// Adds to targets of some columns what the errors of all columns before them pass on: targets (rows, width) += errors
/// (rows, columns) up to column `first` · the rows of shares (columns, columns) up to there, from column `first` on. On all
/// threads.
///
/// # Panics
/// Where lengths do not fit.
pub fn pass_on(errors: &[f32], shares: &[f32], columns: usize, first: usize, targets: &mut [f32], width: usize) {
    let rows = targets.len() / width.max(1);
    assert!(first + width <= columns && errors.len() == rows * columns && targets.len() == rows * width);
    assert_eq!(shares.len(), columns * columns, "shares are a square of the columns");
    let (a, b) = (View::new(errors, columns), View::new(&shares[first..], columns));
    // SAFETY: targets are `rows` of `width` floats, and ours alone.
    unsafe { gemm_into(targets.as_mut_ptr(), width, (rows, first, width), 1.0, 1.0, a, b, parallelism()) };
}

fn view<'a>((data, side): (&'a [f32], Side), rows: usize, columns: usize) -> View<'a> {
    match side {
        Side::Plain => View::new(data, columns),
        Side::Transposed => View::new(data, rows).t(),
    }
}

fn parallelism() -> Parallelism {
    match pool::threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gram_matrices_are_sums_over_rows() {
        for columns in [1, 7, 300, 512] {
            let x: Vec<f32> = (0..9 * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let mut gram = vec![0.0; columns * columns];
            add_gram(&x[..4 * columns], columns, &mut gram);
            add_gram(&x[4 * columns..], columns, &mut gram);
            for i in (0..columns).step_by(13) {
                for j in i..columns {
                    let wanted: f32 = x.chunks_exact(columns).map(|row| row[i] * row[j]).sum();
                    let found = gram[i * columns + j];
                    assert!((found - wanted).abs() < 1e-4, "{columns} columns, {i}, {j}: {found} is not {wanted}");
                }
            }
        }
    }
}

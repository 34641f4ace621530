//! Symmetric positive definite systems, in f64: a Cholesky factor, what it solves, and the inverse. Matrices are rows one
//! after the other. The work is done in blocks of rows that threads share.

use rayon::prelude::*;

/// Columns that are factored before what lies right of them is brought up to date.
const BLOCK: usize = 64;

/// L of A = L Lᵀ.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    n: usize,
    /// (n, n), what lies above the diagonal is 0.
    lower: Vec<f64>,
}

impl Factor {
    /// Factors A, (n, n), of which the lower half is read; None where it is not positive definite.
    ///
    /// # Panics
    /// Where `matrix` is no square of n.
    pub(crate) fn of(mut matrix: Vec<f64>, n: usize) -> Option<Factor> {
        assert_eq!(matrix.len(), n * n, "a factor is of a square");
        for first in (0..n).step_by(BLOCK) {
            let end = (first + BLOCK).min(n);
            factor_block(&mut matrix, n, first, end)?;
            let (above, below) = matrix.split_at_mut(end * n);
            let block = &above[first * n..];
            below.par_chunks_exact_mut(n).for_each(|row| finish_row(row, block, n, first, end));
            update(below, n, first, end);
        }
        for (row, numbers) in matrix.chunks_exact_mut(n.max(1)).enumerate() {
            numbers[row + 1..].fill(0.0);
        }
        Some(Factor { n, lower: matrix })
    }

    /// Solves A X = B, with B (n, columns) in place.
    pub(crate) fn solve(&self, b: &mut [f64], columns: usize) {
        let n = self.n;
        assert_eq!(b.len(), n * columns, "a right side has as many rows as the matrix");
        let each = columns.div_ceil(rayon::current_num_threads().max(1)).max(8);
        let parts: Vec<(usize, Vec<f64>)> = (0..columns)
            .step_by(each)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|first| {
                let width = each.min(columns - first);
                let mut part: Vec<f64> =
                    b.chunks_exact(columns).flat_map(|row| row[first..first + width].iter().copied()).collect();
                self.solve_part(&mut part, width);
                (first, part)
            })
            .collect();
        for (first, part) in parts {
            let width = part.len() / n;
            for (row, from) in b.chunks_exact_mut(columns).zip(part.chunks_exact(width)) {
                row[first..first + width].copy_from_slice(from);
            }
        }
    }

    fn solve_part(&self, x: &mut [f64], width: usize) {
        for i in 0..self.n {
            let (before, rest) = x.split_at_mut(i * width);
            let row = &mut rest[..width];
            for (j, above) in before.chunks_exact(width).enumerate() {
                subtract(row, above, self.lower[i * self.n + j]);
            }
            row.iter_mut().for_each(|x| *x /= self.lower[i * self.n + i]);
        }
        for i in (0..self.n).rev() {
            let (before, rest) = x.split_at_mut(i * width);
            let row = &mut rest[..width];
            row.iter_mut().for_each(|x| *x /= self.lower[i * self.n + i]);
            for (j, above) in before.chunks_exact_mut(width).enumerate() {
                subtract(above, row, self.lower[i * self.n + j]);
            }
        }
    }

    /// A⁻¹, (n, n).
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let mut identity = vec![0.0; self.n * self.n];
        identity.iter_mut().step_by(self.n + 1).for_each(|x| *x = 1.0);
        self.solve(&mut identity, self.n);
        identity
    }
}

/// The upper U of A⁻¹ = Uᵀ U, (n, n): what SparseGPT and GPTQ go by. None where A is not positive definite. With A's rows
/// and columns in the opposite order, A' = L Lᵀ, U is L⁻¹ in the opposite order.
pub(crate) fn inverse_upper(matrix: &[f64], n: usize) -> Option<Vec<f64>> {
    let turned: Vec<f64> = matrix.iter().rev().copied().collect();
    let factor = Factor::of(turned, n)?;
    let columns: Vec<Vec<f64>> = (0..n).into_par_iter().map(|column| factor.inverse_column(column)).collect();
    let mut upper = vec![0.0; n * n];
    for (column, below) in columns.iter().enumerate() {
        for (at, x) in below.iter().enumerate() {
            let row = column + at;
            upper[(n - 1 - row) * n + (n - 1 - column)] = *x;
        }
    }
    Some(upper)
}

impl Factor {
    /// A column of L⁻¹ from the diagonal on.
    fn inverse_column(&self, column: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.n - column];
        x[0] = 1.0 / self.lower[column * self.n + column];
        for row in column + 1..self.n {
            let known = &self.lower[row * self.n + column..row * self.n + row];
            x[row - column] = -dot(known, &x[..row - column]) / self.lower[row * self.n + row];
        }
        x
    }
}

fn factor_block(matrix: &mut [f64], n: usize, first: usize, end: usize) -> Option<()> {
    for i in first..end {
        let (above, rest) = matrix.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in first..i {
            let other = &above[j * n..(j + 1) * n];
            row[j] = (row[j] - dot(&row[first..j], &other[first..j])) / other[j];
        }
        let rest = row[i] - dot(&row[first..i], &row[first..i]);
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        row[i] = rest.sqrt();
    }
    Some(())
}

/// The columns of a factored block in a row below it.
fn finish_row(row: &mut [f64], block: &[f64], n: usize, first: usize, end: usize) {
    for j in first..end {
        let other = &block[(j - first) * n..(j - first + 1) * n];
        row[j] = (row[j] - dot(&row[first..j], &other[first..j])) / other[j];
    }
}

/// Takes a factored block's part out of what lies right of it: below the diagonal only.
fn update(below: &mut [f64], n: usize, first: usize, end: usize) {
    let strip: Vec<f64> = below.chunks_exact(n).flat_map(|row| row[first..end].iter().copied()).collect();
    let width = end - first;
    below.par_chunks_exact_mut(n).enumerate().for_each(|(i, row)| {
        let own = &strip[i * width..(i + 1) * width];
        for (j, other) in strip.chunks_exact(width).take(i + 1).enumerate() {
            row[end + j] -= dot(own, other);
        }
    });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

fn subtract(from: &mut [f64], other: &[f64], by: f64) {
    from.iter_mut().zip(other).for_each(|(x, y)| *x -= by * y);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XᵀX of numbers that look random, and a little on the diagonal.
    fn positive(n: usize) -> Vec<f64> {
        let x: Vec<f64> = (0..2 * n * n).map(|i| ((i * 7919 + i * i % 101) % 1009) as f64 / 1009.0 - 0.5).collect();
        let mut a = vec![0.0; n * n];
        for row in x.chunks_exact(n) {
            for i in 0..n {
                (0..n).for_each(|j| a[i * n + j] += row[i] * row[j]);
            }
        }
        a.iter_mut().step_by(n + 1).for_each(|x| *x += 0.1);
        a
    }

    #[test]
    fn what_is_solved_multiplies_back() {
        for n in [1, 5, 64, 65, 150] {
            let a = positive(n);
            let factor = Factor::of(a.clone(), n).expect("positive definite");
            let b: Vec<f64> = (0..n * 3).map(|i| (i % 17) as f64 - 8.0).collect();
            let mut x = b.clone();
            factor.solve(&mut x, 3);
            for i in 0..n {
                for column in 0..3 {
                    let made: f64 = (0..n).map(|j| a[i * n + j] * x[j * 3 + column]).sum();
                    assert!((made - b[i * 3 + column]).abs() < 1e-8, "{n}: {made}");
                }
            }
        }
    }

    #[test]
    fn the_upper_factor_is_the_inverse_s() {
        for n in [1, 7, 130] {
            let a = positive(n);
            let inverse = Factor::of(a.clone(), n).expect("positive definite").inverse();
            let upper = inverse_upper(&a, n).expect("positive definite");
            for i in 0..n {
                for j in 0..n {
                    let made: f64 = (0..n).map(|k| upper[k * n + i] * upper[k * n + j]).sum();
                    assert!((made - inverse[i * n + j]).abs() < 1e-8, "{n}: {i}, {j}");
                    assert!(j >= i || upper[i * n + j] == 0.0);
                }
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(Factor::of(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Factor::of(vec![f64::NAN], 1).is_none());
        assert!(inverse_upper(&[0.0], 1).is_none());
    }
}

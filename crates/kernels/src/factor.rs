//! The factors of a Gram matrix: H = U D Uᵀ, with U upper triangular and ones on its diagonal, and D diagonal. Of such are
//! the shares in which errors are passed on (`block::Feedback`): column by column, from the last one back. It is the
//! Cholesky factorization of H with its columns in reverse; D is what the columns behind leave of each.
//!
//! In blocks of columns: one is factored by itself, the rows above it are solved for, and what both account for is taken
//! off the rest, which is nearly all of the work and a product of matrices.

use rayon::prelude::*;

use crate::gemm::{Side, subtract_product};

/// Columns of a block.
const BLOCK: usize = 64;

/// Puts U in the place of the upper triangle of a symmetric (columns, columns), and gives D. What stands below the diagonal
/// is neither read nor written.
///
/// # Errors
/// The column at which it is seen that the matrix is not positive definite.
///
/// # Panics
/// Where it is no square of the columns.
pub fn factor(matrix: &mut [f32], columns: usize) -> Result<Vec<f32>, usize> {
    assert_eq!(matrix.len(), columns * columns, "a matrix that is factored is a square of its columns");
    let mut costs = vec![0.0; columns];
    let mut last = columns;
    while last > 0 {
        let first = last.saturating_sub(BLOCK);
        let corner = Corner::factored(matrix, columns, first, last)?;
        costs[first..last].copy_from_slice(&corner.costs.iter().map(|&cost| cost as f32).collect::<Vec<f32>>());
        corner.write(matrix, columns, first);
        matrix[..first * columns].par_chunks_mut(columns).for_each(|row| corner.solve(&mut row[first..last]));
        take_off(matrix, columns, first, &costs[first..last]);
        last = first;
    }
    Ok(costs)
}

/// The factors of a block on the diagonal.
struct Corner {
    /// U, (size, size).
    shares: Vec<f64>,
    costs: Vec<f64>,
}

impl Corner {
    fn factored(matrix: &[f32], columns: usize, first: usize, last: usize) -> Result<Corner, usize> {
        let size = last - first;
        let own = |i: usize, j: usize| f64::from(matrix[(first + i) * columns + first + j]);
        let mut shares: Vec<f64> = (0..size * size).map(|at| own(at / size, at % size)).collect();
        let mut costs = vec![0.0; size];
        for k in (0..size).rev() {
            let cost = shares[k * size + k];
            if !(cost.is_finite() && cost > 0.0) {
                return Err(first + k);
            }
            costs[k] = cost;
            for i in 0..k {
                let share = shares[i * size + k] / cost;
                for j in i..k {
                    shares[i * size + j] -= share * shares[j * size + k];
                }
            }
            (0..k).for_each(|i| shares[i * size + k] /= cost);
        }
        Ok(Corner { shares, costs })
    }

    fn write(&self, matrix: &mut [f32], columns: usize, first: usize) {
        let size = self.costs.len();
        for i in 0..size {
            for j in i..size {
                let share = if i == j { 1.0 } else { self.shares[i * size + j] };
                matrix[(first + i) * columns + first + j] = share as f32;
            }
        }
    }

    /// The shares of a row above the block.
    fn solve(&self, row: &mut [f32]) {
        let size = self.costs.len();
        let mut left: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        for k in (0..size).rev() {
            // u·D, what the columns before k are to be freed of
            let whole = left[k];
            (0..k).for_each(|i| left[i] -= whole * self.shares[i * size + k]);
            row[k] = (whole / self.costs[k]) as f32;
        }
    }
}

/// Takes off the columns before `first` what a block and the rows above it account for.
fn take_off(matrix: &mut [f32], columns: usize, first: usize, costs: &[f32]) {
    let size = costs.len();
    let shares: Vec<f32> = matrix[..first * columns]
        .chunks_exact(columns)
        .flat_map(|row| row[first..first + size].iter().copied())
        .collect();
    let weighed: Vec<f32> =
        shares.chunks_exact(size).flat_map(|row| row.iter().zip(costs).map(|(share, cost)| share * cost)).collect();
    for top in (0..first).step_by(STRIP) {
        let rows = STRIP.min(first - top);
        let (a, b) = (&weighed[top * size..(top + rows) * size], &shares[top * size..]);
        let (rest, at) = (first - top, top * columns + top);
        subtract_product((rows, size, rest), (a, Side::Plain), (b, Side::Transposed), &mut matrix[at..], columns);
    }
}

/// Rows that are freed at a time: what lies left of their first column is not.
const STRIP: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn positive(columns: usize, seed: u32) -> Vec<f32> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        let x: Vec<f32> = (0..3 * columns * columns).map(|_| next()).collect();
        let mut gram = vec![0.0; columns * columns];
        crate::add_gram(&x, columns, &mut gram);
        (0..columns).for_each(|i| gram[i * columns + i] += 0.01);
        gram
    }

    #[test]
    fn factors_multiply_to_the_matrix() {
        for columns in [1, 5, 64, 65, 130, 300] {
            let matrix = positive(columns, 7 * columns as u32);
            let mut shares = matrix.clone();
            let costs = factor(&mut shares, columns).expect("positive definite");
            assert!(costs.iter().all(|&cost| cost > 0.0));
            let share = |i: usize, k: usize| f64::from(shares[i * columns + k]);
            for i in (0..columns).step_by(3) {
                assert_eq!(share(i, i), 1.0);
                for j in (i..columns).step_by(7) {
                    let found: f64 = (j..columns).map(|k| share(i, k) * f64::from(costs[k]) * share(j, k)).sum();
                    let wanted = f64::from(matrix[i * columns + j]);
                    assert!((found - wanted).abs() < 1e-4 * columns as f64, "{columns}, {i}, {j}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_told_by_its_column() {
        for bad in [-1.0, 0.0, f32::NAN, f32::INFINITY] {
            let mut matrix = positive(150, 3);
            matrix[20 * 150 + 20] = bad;
            assert_eq!(factor(&mut matrix, 150).expect_err("refused"), 20, "{bad}");
        }
    }
}

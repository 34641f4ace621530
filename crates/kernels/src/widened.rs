//! Products in f32 with weights of any type, widened some rows at a time: what training needs of a matrix that does not
//! learn. Forward, y = x Wᵀ with nothing rounded; backward, dx = dy W, for which the blocks of a row would have to be read
//! across. A slab of widened rows stays in the second-level cache and is multiplied with all rows of x, so that memory
//! stays that of the blocks.

use gemm::Parallelism;

use crate::error::Error;
use crate::gemm::{View, gemm_into};
use crate::isa::isa;
use crate::matrix::{self, Matrix};
use crate::pool;
use bantam_format::ggml::Type;

/// Weights of a slab: 1 MB of f32.
const SLAB: usize = 1 << 18;

/// Multiplies x, (rows, inp), with Wᵀ, W (out, inp), to y, (rows, out), in f32.
///
/// # Errors
/// Where x or y has another length than that.
pub fn widened_product(x: &[f32], rows: usize, w: &Matrix<'_>, y: &mut [f32]) -> Result<(), Error> {
    let (out, inp) = (w.out(), w.inp());
    Error::unless_long("x", x.len(), rows * inp)?;
    Error::unless_long("y", y.len(), rows * out)?;
    slabs(w, |first, count, slab| {
        let y = y[first.min(rows * out)..].as_mut_ptr();
        // SAFETY: `count` columns of y from `first` on, in each of its rows, which is `out` long; y is ours alone.
        unsafe { gemm_into(y, out, (rows, inp, count), 0.0, 1.0, View::new(x, inp), View::new(slab, inp).t(), share()) }
    })
}

/// Multiplies dy, (rows, out), with W, (out, inp), to dx, (rows, inp), in f32: the gradient of x where y = x Wᵀ.
///
/// # Errors
/// Where dy or dx has another length than that.
pub fn widened_gradient(dy: &[f32], rows: usize, w: &Matrix<'_>, dx: &mut [f32]) -> Result<(), Error> {
    let (out, inp) = (w.out(), w.inp());
    Error::unless_long("dy", dy.len(), rows * out)?;
    Error::unless_long("dx", dx.len(), rows * inp)?;
    dx.fill(0.0);
    slabs(w, |first, count, slab| {
        let dy = View::new(&dy[first.min(rows * out)..], out);
        // SAFETY: dx has `rows` rows of `inp` floats and is ours alone.
        unsafe { gemm_into(dx.as_mut_ptr(), inp, (rows, count, inp), 1.0, 1.0, dy, View::new(slab, inp), share()) }
    })
}

/// Hands `each` the rows of W in f32, some at a time: the first one's number, how many, and they.
fn slabs(w: &Matrix<'_>, mut each: impl FnMut(usize, usize, &[f32])) -> Result<(), Error> {
    let (out, inp) = (w.out(), w.inp());
    if out == 0 || inp == 0 {
        return Ok(());
    }
    if let Some(floats) = as_floats(w) {
        each(0, out, floats);
        return Ok(());
    }
    let count = (SLAB / inp).clamp(1, out);
    let mut slab = vec![0f32; count * inp];
    for first in (0..out).step_by(count) {
        let count = count.min(out - first);
        let slab = &mut slab[..count * inp];
        pool::fill_rows(slab, inp, |row, block| {
            let from = (first + row) * w.row_bytes();
            let bytes = &w.bytes()[from..from + block.len() / inp * w.row_bytes()];
            w.block().decode(isa(), bytes, block).expect("whole rows of a matrix that was checked");
            matrix::multiply(block, w.factor());
        });
        each(first, count, slab);
    }
    Ok(())
}

/// Floats that lie where they can be read as such.
fn as_floats<'a>(w: &Matrix<'a>) -> Option<&'a [f32]> {
    if w.ggml_type() != Type::F32 || w.factor() != 1.0 || cfg!(target_endian = "big") {
        return None;
    }
    // SAFETY: every four bytes are an f32.
    let (before, floats, after) = unsafe { w.bytes().align_to::<f32>() };
    (before.is_empty() && after.is_empty()).then_some(floats)
}

fn share() -> Parallelism {
    match pool::threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block;

    /// Numbers in (-1, 1) that look random and are the same everywhere.
    fn noise(n: usize, mut state: u64) -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// Weights of a type in their bytes, and the values that they have there.
    fn weights(ty: Type, out: usize, inp: usize) -> (Vec<u8>, Vec<f32>) {
        let block = block::of(ty).expect("a type that is computed with");
        let mut bytes = vec![0; ty.bytes(out * inp).expect("whole blocks")];
        block.encode(isa(), &noise(out * inp, 7), None, &mut bytes).expect("written");
        let mut values = vec![0.0; out * inp];
        block.decode(isa(), &bytes, &mut values).expect("read");
        (bytes, values)
    }

    #[test]
    fn both_products_are_those_with_the_values_that_the_blocks_stand_for() {
        // more rows than a slab holds, and a last slab that is not full
        for (ty, out, inp) in [(Type::Q4_0, 5000, 64), (Type::Q6_K, 700, 512), (Type::F16, 33, 40), (Type::F32, 9, 7)] {
            let (bytes, values) = weights(ty, out, inp);
            let w = Matrix::new(ty, out, inp, &bytes).expect("a matrix");
            let rows = 5;
            let (x, dy) = (noise(rows * inp, 1), noise(rows * out, 2));
            let (mut y, mut dx) = (vec![f32::NAN; rows * out], vec![f32::NAN; rows * inp]);
            widened_product(&x, rows, &w, &mut y).expect("a product");
            widened_gradient(&dy, rows, &w, &mut dx).expect("a gradient");
            let at = |a: &[f32], i: usize| f64::from(a[i]);
            for row in 0..rows {
                for o in (0..out).step_by(13) {
                    let want: f64 = (0..inp).map(|i| at(&x, row * inp + i) * at(&values, o * inp + i)).sum();
                    assert!((at(&y, row * out + o) - want).abs() < 1e-4, "{ty} y[{row}, {o}]");
                }
                for i in 0..inp {
                    let want: f64 = (0..out).map(|o| at(&dy, row * out + o) * at(&values, o * inp + i)).sum();
                    assert!((at(&dx, row * inp + i) - want).abs() < 1e-3, "{ty} dx[{row}, {i}]");
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let (bytes, _) = weights(Type::F32, 2, 3);
        let w = Matrix::new(Type::F32, 2, 3, &bytes).expect("a matrix");
        assert!(widened_product(&[0.0; 4], 1, &w, &mut [0.0; 2]).is_err());
        assert!(widened_gradient(&[0.0; 2], 1, &w, &mut [0.0; 4]).is_err());
    }
}

//! Matrices over numbers that are in memory as such, and not as the bytes of a file.

use bantam_format::ggml::Type;
use half::{bf16, f16};

use crate::error::Error;
use crate::matrix::Matrix;

impl<'a> Matrix<'a> {
    /// Takes floats as `out` rows of `inp` weights.
    ///
    /// # Errors
    /// Where they are not as many.
    pub fn of_f32(out: usize, inp: usize, weights: &'a [f32]) -> Result<Matrix<'a>, Error> {
        Matrix::new(Type::F32, out, inp, bytes(weights))
    }

    /// Takes half precision floats as `out` rows of `inp` weights.
    ///
    /// # Errors
    /// Where they are not as many.
    pub fn of_f16(out: usize, inp: usize, weights: &'a [f16]) -> Result<Matrix<'a>, Error> {
        Matrix::new(Type::F16, out, inp, bytes(weights))
    }

    /// Takes brain floats as `out` rows of `inp` weights.
    ///
    /// # Errors
    /// Where they are not as many.
    pub fn of_bf16(out: usize, inp: usize, weights: &'a [bf16]) -> Result<Matrix<'a>, Error> {
        Matrix::new(Type::BF16, out, inp, bytes(weights))
    }
}

/// Numbers of which every byte is one of the file's, on the little-endian processors that bantam runs on.
trait Number: Copy {}
impl Number for f32 {}
impl Number for f16 {}
impl Number for bf16 {}

const _: () = assert!(cfg!(target_endian = "little"), "the bytes of files are taken as they lie");

fn bytes<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers without padding are as many initialised bytes as their size says, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

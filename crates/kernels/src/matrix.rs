//! Weights as a checkpoint stores them: the bytes of a matrix, and what they are.

use bantam_format::ggml::Type;

use crate::block::{self, BlockType};
use crate::error::Error;
use crate::isa::isa;

/// A matrix W, (out, inp): rows of whole blocks, one after the other, as they lie in a file.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    block: &'static dyn BlockType,
    out: usize,
    inp: usize,
    row_bytes: usize,
    bytes: &'a [u8],
    factor: f32,
}

impl<'a> Matrix<'a> {
    /// Takes bytes as `out` rows of `inp` weights.
    ///
    /// # Errors
    /// Where nothing here computes with the type, a row is no whole blocks, or the bytes are not as many as the
    /// weights take.
    pub fn new(ty: Type, out: usize, inp: usize, bytes: &'a [u8]) -> Result<Matrix<'a>, Error> {
        let block = block::of(ty).ok_or(Error::Type(ty))?;
        let row = ty.bytes(inp).ok_or(Error::Columns { ty, columns: inp })?;
        let should = row.checked_mul(out).ok_or(Error::TooLarge { out, inp })?;
        Error::unless_long("the matrix in bytes", bytes.len(), should)?;
        Ok(Matrix { block, out, inp, row_bytes: row, bytes, factor: 1.0 })
    }

    /// The matrix of which each weight is `factor` times what its block says: as NVFP4 has a scale for a whole tensor.
    #[must_use]
    pub fn times(self, factor: f32) -> Matrix<'a> {
        Matrix { factor: self.factor * factor, ..self }
    }

    /// The type of its weights.
    pub fn ggml_type(&self) -> Type {
        self.block.ggml_type()
    }

    /// Rows: numbers that come out of a product.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Columns: numbers that go into a product.
    pub fn inp(&self) -> usize {
        self.inp
    }

    /// The blocks, row after row.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What each weight is multiplied by, beside its block's scales.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    pub(crate) fn block(&self) -> &'static dyn BlockType {
        self.block
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }
}

/// Reads the rows at `ids` of a matrix, such as an embedding, to `to`, (ids, inp).
///
/// # Errors
/// Where the matrix has no such row, or `to` another length.
pub fn decode_rows(w: &Matrix<'_>, ids: &[usize], to: &mut [f32]) -> Result<(), Error> {
    Error::unless_long("the rows to write", to.len(), ids.len() * w.inp)?;
    if let Some(&row) = ids.iter().find(|&&id| id >= w.out) {
        return Err(Error::Row { row, out: w.out });
    }
    let bytes = w.row_bytes();
    for (id, to) in ids.iter().zip(to.chunks_exact_mut(w.inp.max(1))) {
        w.block.decode(isa(), &w.bytes[id * bytes..(id + 1) * bytes], to)?;
        multiply(to, w.factor);
    }
    Ok(())
}

/// Multiplies numbers, unless by one.
pub(crate) fn multiply(numbers: &mut [f32], factor: f32) {
    if factor != 1.0 {
        numbers.iter_mut().for_each(|number| *number *= factor);
    }
}

impl std::fmt::Debug for Matrix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({}, {}, {})", self.ggml_type(), self.out, self.inp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_matrix_is_refused_in_a_sentence() {
        let said = |ty, out, inp, bytes: &[u8]| Matrix::new(ty, out, inp, bytes).expect_err("refused").to_string();
        assert_eq!(
            said(Type::Q8_K, 1, 256, &[0; 292]),
            "nothing here computes with weights of type Q8_K; allowed are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, \
             Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, IQ3_S, IQ3_XXS, IQ2_S, IQ2_XS, IQ2_XXS, IQ1_M, IQ1_S, TQ2_0, \
             TQ1_0, MXFP4, NVFP4, Q2_0, Q1_0"
        );
        assert_eq!(said(Type::Q4_K, 1, 288, &[]), "a row of 288 weights is no whole blocks of Q4_K, which have 256");
        assert_eq!(said(Type::Q4_0, 2, 32, &[0; 35]), "the matrix in bytes has length 35, not 36");
        assert_eq!(
            said(Type::F32, usize::MAX, 2, &[]),
            format!("a matrix of {} rows and 2 columns is larger than memory", usize::MAX)
        );
    }

    #[test]
    fn a_factor_multiplies_what_is_read_and_what_comes_out() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let w = Matrix::new(Type::F32, 3, 2, &bytes).expect("a matrix").times(0.5).times(-1.0);
        let mut rows = [0.0; 2];
        decode_rows(&w, &[2], &mut rows).expect("rows");
        assert_eq!(rows, [-2.0, -2.5]);
        for product in [crate::product, crate::widened_product] {
            let mut y = [f32::NAN; 3];
            product(&[0.0, 1.0], 1, &w, &mut y).expect("a product");
            assert_eq!(y, [-0.5, -1.5, -2.5]);
        }
        let mut dx = [f32::NAN; 2];
        crate::widened_gradient(&[1.0, 0.0, 1.0], 1, &w, &mut dx).expect("a gradient");
        assert_eq!(dx, [-2.0, -3.0]);
    }

    #[test]
    fn rows_are_read_by_their_numbers() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let w = Matrix::new(Type::F32, 3, 2, &bytes).expect("a matrix");
        let mut rows = [0.0; 4];
        decode_rows(&w, &[2, 0], &mut rows).expect("rows");
        assert_eq!(rows, [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(decode_rows(&w, &[3, 0], &mut rows), Err(Error::Row { row: 3, out: 3 }));
    }
}

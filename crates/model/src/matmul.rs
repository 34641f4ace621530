//! x times Wᵀ: the kernels' products as operations on tensors, on the CPU. Other devices, and whatever needs a gradient,
//! use candle's own products.

use std::ops::Deref;

use bantam_format::bytes::SharedBytes;
use bantam_format::ggml::Type;
use bantam_kernels::{self as kernels, Matrix};
use candle_core::{CpuStorage, DType, Device, Storage, Tensor, bail};

use super::checkpoint::finite;
use super::error::Result;
use super::linear::Weight;
use super::ops;

/// A matrix in the blocks of a ggml type, as they lie in a file; on the CPU.
#[derive(Debug)]
pub struct Blocks {
    ty: Type,
    out: usize,
    inp: usize,
    bytes: Bytes,
    factor: f32,
}

/// Where the bytes of blocks are.
#[derive(Debug)]
pub enum Bytes {
    /// In memory of their own.
    Own(Vec<u8>),
    /// In a file's map, where they lie.
    Mapped(SharedBytes),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl From<SharedBytes> for Bytes {
    fn from(bytes: SharedBytes) -> Self {
        Self::Mapped(bytes)
    }
}

impl Blocks {
    /// Takes bytes as (out, inp) weights.
    ///
    /// # Errors
    /// Where nothing computes with the type, or the bytes are not those of so many whole blocks.
    pub fn new(ty: Type, out: usize, inp: usize, bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        Matrix::new(ty, out, inp, &bytes).map_err(candle_core::Error::wrap)?;
        Ok(Self { ty, out, inp, bytes, factor: 1.0 })
    }

    /// The matrix of which each weight is `factor` times what its block says.
    #[must_use]
    pub fn times(self, factor: f32) -> Self {
        Self { factor: self.factor * factor, ..self }
    }

    /// The type of its blocks.
    pub fn ggml_type(&self) -> Type {
        self.ty
    }

    /// The blocks, row after row.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// (out, inp)
    pub fn dims(&self) -> (usize, usize) {
        (self.out, self.inp)
    }

    /// Whether the scales of all blocks are finite numbers.
    pub fn is_finite(&self) -> bool {
        self.factor.is_finite() && finite::damaged_block(self.ty, &self.bytes).is_none()
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.ty, self.out, self.inp, &self.bytes).expect("checked when it was made").times(self.factor)
    }

    /// Reads rows as f32, (ids, inp).
    ///
    /// # Errors
    /// Where the matrix has no such row.
    pub fn rows(&self, ids: &[usize]) -> Result<Tensor> {
        let mut rows = vec![0f32; ids.len() * self.inp];
        kernels::decode_rows(&self.matrix(), ids, &mut rows).map_err(candle_core::Error::wrap)?;
        Ok(Tensor::from_vec(rows, (ids.len(), self.inp), &Device::Cpu)?)
    }

    /// Reads all of it as f32, (out, inp).
    ///
    /// # Errors
    /// Where memory is short.
    pub fn dequantized(&self) -> Result<Tensor> {
        self.rows(&(0..self.out).collect::<Vec<_>>())
    }
}

/// A side of a product that is no candle operation: what it is multiplied by.
pub enum Side<'a> {
    /// A contiguous f32, f16 or bf16 tensor on the CPU.
    Dense(&'a Tensor),
    /// Blocks of a ggml type.
    Blocks(&'a Blocks),
}

/// x (T, inp) f32 times Wᵀ, W (out, inp) dense, giving (T, out) f32. Differentiable where W is f32.
pub fn dense(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return Ok(x.to_dtype(w.dtype())?.matmul(&w.t()?)?.to_dtype(DType::F32)?);
    }
    if w.dtype() == DType::F32 && (x.track_op() || w.track_op()) {
        return Ok(ops::linear(x, w)?);
    }
    let [y] = together(x, [Side::Dense(w)])?;
    Ok(y)
}

/// x (T, inp) f32 times Wᵀ, W (out, inp) in blocks, giving (T, out) f32. x must be on the CPU; no gradient passes.
pub fn blocks(x: &Tensor, w: &Blocks) -> Result<Tensor> {
    let [y] = together(x, [Side::Blocks(w)])?;
    Ok(y)
}

/// One x with several matrices in one pass, on the CPU and without gradients.
pub fn together<const N: usize>(x: &Tensor, sides: [Side; N]) -> Result<[Tensor; N]> {
    let (rows, inp) = x.dims2()?;
    // storages are locked as long as the products read them
    let guards = sides.map(|side| match side {
        Side::Dense(w) => (Some(w.storage_and_layout()), None),
        Side::Blocks(w) => (None, Some(w)),
    });
    let matrices = guards.iter().map(|(dense, blocks)| match (dense, blocks) {
        (Some((storage, layout)), _) => of_tensor(storage, layout),
        (None, Some(blocks)) => Ok(blocks.matrix()),
        (None, None) => bail!("a product needs a matrix"),
    });
    let matrices: Vec<Matrix> = matrices.collect::<candle_core::Result<_>>()?;
    if let Some(w) = matrices.iter().find(|w| w.inp() != inp) {
        let what = format!("the weight ({}, {}) does not fit the input ({rows}, {inp})", w.out(), w.inp());
        return Err(candle_core::Error::Msg(what).into());
    }
    let ys = ops::with_floats([x], "product", |[x]| {
        kernels::products(x, rows, &matrices).map_err(candle_core::Error::wrap)
    })?;
    let ys = ys.into_iter().zip(&matrices).map(|(y, w)| Ok(Tensor::from_vec(y, (rows, w.out()), x.device())?));
    let ys: Vec<Tensor> = ys.collect::<Result<_>>()?;
    Ok(ys.try_into().expect("one output for each of the N matrices"))
}

/// Hands `with` a weight on the CPU as the kernels take it.
pub(crate) fn with_matrix<T>(
    weight: &Weight,
    with: impl FnOnce(&Matrix) -> candle_core::Result<T>,
) -> candle_core::Result<T> {
    match weight {
        Weight::Blocks(blocks) => with(&blocks.matrix()),
        Weight::Dense(w) => {
            let (storage, layout) = w.storage_and_layout();
            with(&of_tensor(&storage, layout)?)
        }
        Weight::Quantized(_) => bail!("product: the weight must be on the CPU"),
    }
}

fn of_tensor<'a>(storage: &'a Storage, layout: &candle_core::Layout) -> candle_core::Result<Matrix<'a>> {
    let (out, inp) = layout.shape().dims2()?;
    let (Storage::Cpu(storage), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
        bail!("product: the weight must be contiguous and on the CPU");
    };
    match storage {
        CpuStorage::F32(w) => Matrix::of_f32(out, inp, &w[from..to]),
        CpuStorage::F16(w) => Matrix::of_f16(out, inp, &w[from..to]),
        CpuStorage::BF16(w) => Matrix::of_bf16(out, inp, &w[from..to]),
        _ => bail!("product: the weight must be f32, f16 or bf16"),
    }
    .map_err(candle_core::Error::wrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rows: usize, columns: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, columns), &Device::Cpu).expect("random")
    }

    /// The largest difference to x wᵀ in f64.
    fn error(got: &Tensor, x: &Tensor, w: &Tensor) -> f64 {
        let wide = |t: &Tensor| t.to_dtype(DType::F64).expect("f64");
        let want = wide(x).matmul(&wide(w).t().expect("transposed")).expect("product");
        let far = (wide(got) - want).and_then(|d| d.abs()).and_then(|d| d.max_all()).expect("difference");
        far.to_scalar().expect("a number")
    }

    /// Random weights in a type that is written, and the values that they have there.
    fn in_blocks(ty: Type, out: usize, inp: usize) -> (Blocks, Tensor) {
        let weights: Vec<f32> = random(out, inp).flatten_all().and_then(|t| t.to_vec1()).expect("weights");
        let mut bytes = vec![0; ty.bytes(weights.len()).expect("whole blocks")];
        let block = kernels::block::of(ty).expect("a type that is computed with");
        block.encode(kernels::isa(), &weights, None, &mut bytes).expect("written");
        let blocks = Blocks::new(ty, out, inp, bytes).expect("a matrix");
        let values = blocks.dequantized().expect("values");
        (blocks, values)
    }

    #[test]
    fn dense_products_are_right_in_every_shape_and_type() {
        for (inp, out) in [(1, 1), (7, 3), (8, 4), (37, 66), (64, 5), (130, 131), (512, 600)] {
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let w = random(out, inp).to_dtype(dtype).expect("cast");
                for rows in [1, 2, 3, 4, 5, 33] {
                    let x = random(rows, inp);
                    let far = error(&dense(&x, &w).expect("product"), &x, &w);
                    // a thousand roundings of sums of about twenty
                    assert!(far < 2e-4, "{dtype:?} ({rows}, {inp}) by ({out}, {inp}): {far}");
                }
            }
        }
    }

    #[test]
    fn products_with_blocks_are_near_those_with_their_values() {
        for ty in [Type::Q4_0, Type::Q5_1, Type::Q8_0, Type::Q3_K, Type::Q4_K, Type::Q6_K] {
            let (w, values) = in_blocks(ty, 130, 512);
            for rows in [1, 2, 50] {
                let x = random(rows, 512);
                // x is rounded to 8 bits: of 512 products of unit size, a few tenths
                let far = error(&blocks(&x, &w).expect("product"), &x, &values);
                assert!(far < 1.0, "{ty} with {rows} rows: {far}");
            }
        }
    }

    #[test]
    fn a_row_is_the_same_whatever_is_beside_it() {
        let (w, _) = in_blocks(Type::Q4_K, 64, 512);
        let x = random(40, 512);
        let all = blocks(&x, &w).expect("product");
        for row in [0, 17, 39] {
            let alone = blocks(&x.narrow(0, row, 1).expect("row"), &w).expect("product");
            let same = all.narrow(0, row, 1).expect("row");
            assert_eq!(alone.to_vec2::<f32>().expect("numbers"), same.to_vec2::<f32>().expect("numbers"));
        }
    }

    #[test]
    fn products_together_are_those_one_by_one() {
        let (a, _) = in_blocks(Type::Q4_0, 24, 64);
        let b = random(40, 64);
        let x = random(3, 64);
        let [ya, yb] = together(&x, [Side::Blocks(&a), Side::Dense(&b)]).expect("products");
        let numbers = |y: &Tensor| y.to_vec2::<f32>().expect("numbers");
        assert_eq!(numbers(&ya), numbers(&blocks(&x, &a).expect("product")));
        assert_eq!(numbers(&yb), numbers(&dense(&x, &b).expect("product")));
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (q, _) = in_blocks(Type::Q8_0, 8, 32);
        for rows in [1, 40] {
            assert!(dense(&random(rows, 31), &random(8, 32)).is_err());
            assert!(blocks(&random(rows, 31), &q).is_err());
        }
    }

    #[test]
    fn gradients_pass_through_a_dense_product() {
        let w = candle_core::Var::from_tensor(&random(6, 8)).expect("variable");
        for rows in [1, 40] {
            let y = dense(&random(rows, 8), w.as_tensor()).expect("product");
            let gradients = y.sum_all().and_then(|sum| sum.backward()).expect("backward");
            assert!(gradients.get(w.as_tensor()).is_some(), "{rows} rows");
        }
    }
}

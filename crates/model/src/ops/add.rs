//! Sums of two tensors of one shape: what joins a layer's output to the stream. candle's own would wake threads of its
//! own for it, which then spin beside the kernels'.

use super::tensors;
use bantam_kernels::{fill_rows, float};
use candle_core::{Result, Tensor};

/// Gives x + y. Differentiable.
///
/// # Errors
/// Where the shapes differ.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let ours = |t: &Tensor| t.device().is_cpu() && t.dtype() == candle_core::DType::F32 && !t.track_op();
    if !ours(x) || !ours(y) || x.dims() != y.dims() {
        return x + y;
    }
    let sum = tensors::with_floats([x, y], "add", |[x, y]| {
        let mut sum = vec![0f32; x.len()];
        fill_rows(&mut sum, 1, |first, block| float::add(&x[first..], &y[first..], block));
        Ok(sum)
    })?;
    Tensor::from_vec(sum, x.shape(), x.device())
}

//! The sum of two tensors of one shape: what joins a layer's output to the stream. candle's own would wake threads of its
//! own for it, which then spin beside the kernels'.

use super::tensors::{self, InPlace};
use bantam_kernels::{fill_rows, float};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

/// Gives x + y, in y's memory where no gradient is asked for: a tensor that its caller has just made and nobody else reads.
/// Differentiable.
///
/// # Errors
/// Where the shapes differ.
pub fn add(x: &Tensor, y: Tensor) -> Result<Tensor> {
    let ours = |t: &Tensor| t.device().is_cpu() && t.dtype() == DType::F32;
    if x.dims() != y.dims() || !ours(x) || !ours(&y) {
        return x + y;
    }
    if !tensors::may_overwrite(&y, x) {
        return x.contiguous()?.apply_op2(&y.contiguous()?, Add);
    }
    y.inplace_op2(x, &InPlace { name: "add", apply: add_to })?;
    Ok(y)
}

fn add_to(y: &mut [f32], x: &[f32]) {
    fill_rows(y, 1, |first, y| float::add_to(&x[first..], y));
}

struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut sum = tensors::floats(y, yl, self.name())?.to_vec();
        add_to(&mut sum, tensors::floats(x, xl, self.name())?);
        Ok((CpuStorage::F32(sum), xl.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, _sum: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(dy.clone()), Some(dy.clone())))
    }
}

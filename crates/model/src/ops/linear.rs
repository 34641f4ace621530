//! A dense layer without bias: y = x wᵀ. candle's own matmul does this too, but hands the weight's gradient back
//! transposed, which costs a strided pass over every weight in every step.

use super::{composed, kernel};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use kernel::View;

/// x (.., in) times wᵀ with w (out, in), giving (.., out). Differentiable in both; f32 on the CPU.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (_, inp) = w.dims2()?;
    if x.dims().last() != Some(&inp) {
        bail!("linear: the weight {:?} does not fit the input {:?}", w.dims(), x.dims());
    }
    if !x.device().is_cpu() || x.dtype() != DType::F32 {
        return composed::linear(x, w);
    }
    x.contiguous()?.apply_op2(&w.contiguous()?, Linear)
}

struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, ws) = (kernel::floats(x, xl, self.name())?, kernel::floats(w, wl, self.name())?);
        let (out, inp) = wl.shape().dims2()?;
        let rows = x.len() / inp.max(1);
        let y = product((rows, inp, out), View::new(x, inp), View::new(ws, inp).t());
        let mut dims = xl.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = out;
        }
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    // dx = dy w,  dw = dyᵀ x
    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (out, inp) = w.dims2()?;
        let rows = x.elem_count() / inp.max(1);
        let (dx, dw) = kernel::with_floats([x, w, dy], self.name(), |[x, w, dy]| {
            let dx = product((rows, out, inp), View::new(dy, out), View::new(w, inp));
            let dw = product((out, rows, inp), View::new(dy, out).t(), View::new(x, inp));
            Ok((dx, dw))
        })?;
        let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(dw)))
    }
}

fn product((m, k, n): (usize, usize, usize), a: View, b: View) -> Vec<f32> {
    let mut dst = vec![0f32; m * n];
    // SAFETY: dst has m rows of n floats and is ours alone.
    unsafe { kernel::gemm_into(dst.as_mut_ptr(), n, (m, k, n), 0.0, 1.0, a, b, kernel::parallelism()) };
    dst
}

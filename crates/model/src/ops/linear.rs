//! A dense layer without bias: y = x wᵀ. candle's own matmul does this too, but hands the weight's gradient back
//! transposed, which costs a strided pass over every weight in every step.

use super::{composed, tensors};
use bantam_kernels::{Side, float_product};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

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
        let (x, ws) = (tensors::floats(x, xl, self.name())?, tensors::floats(w, wl, self.name())?);
        let (out, inp) = wl.shape().dims2()?;
        let rows = x.len() / inp.max(1);
        let y = float_product((rows, inp, out), (x, Side::Plain), (ws, Side::Transposed));
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
        let (dx, dw) = tensors::with_floats([x, w, dy], self.name(), |[x, w, dy]| {
            let dx = float_product((rows, out, inp), (dy, Side::Plain), (w, Side::Plain));
            let dw = float_product((out, rows, inp), (dy, Side::Transposed), (x, Side::Plain));
            Ok((dx, dw))
        })?;
        let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(dw)))
    }
}

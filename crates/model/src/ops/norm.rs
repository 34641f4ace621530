//! Root mean square norm (Zhang and Sennrich 2019, arXiv:1910.07467): y = x / sqrt(mean(x²) + eps) * w, over the last
//! dimension. The 1 + w of the Gemma family is the caller's business: it hands in the weight it means.

use super::{composed, tensors};
use bantam_kernels::{fill_rows, float};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// Norm of x (.., dim) with weight w (dim). Differentiable in both. Fails when the last dimensions differ.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    if x.dims().last() != w.dims().last() || w.rank() != 1 {
        bail!("rms_norm: the weight {:?} must have the length of the last dimension of {:?}", w.dims(), x.dims());
    }
    if !x.device().is_cpu() {
        return composed::rms_norm(x, w, eps);
    }
    x.contiguous()?.apply_op2(&w.contiguous()?, RmsNorm { eps: eps as f32 })
}

struct RmsNorm {
    eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (tensors::floats(x, xl, self.name())?, tensors::floats(w, wl, self.name())?);
        let dim = w.len();
        let mut y = vec![0f32; x.len()];
        fill_rows(&mut y, dim, |first, block| {
            float::rms_norm(&x[first * dim..], w, self.eps, block);
        });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    // With r = 1 / sqrt(mean(x²) + eps) and n = x r:  dw = Σ_rows dy n,  dx = r (w dy - n mean(w dy n)).
    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = tensors::with_floats([x, w, dy], self.name(), |[x, w, dy]| Ok(self.gradients(x, w, dy)))?;
        let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(dw)))
    }
}

impl RmsNorm {
    fn gradients(&self, x: &[f32], w: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let dim = w.len();
        let (mut dx, mut dw) = (vec![0f32; x.len()], vec![0f32; dim]);
        fill_rows(&mut dx, dim, |first, block| {
            float::rms_norm_dx(&x[first * dim..], w, &dy[first * dim..], self.eps, block);
        });
        float::rms_norm_dw(x, dy, self.eps, &mut dw);
        (dx, dw)
    }
}

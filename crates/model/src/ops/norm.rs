//! Root mean square norm (Zhang and Sennrich 2019, arXiv:1910.07467): y = x / sqrt(mean(x²) + eps) * w, over the last
//! dimension. The 1 + w of the Gemma family is the caller's business: it hands in the weight it means.

use super::{composed, kernel};
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

impl RmsNorm {
    fn scale(&self, row: &[f32]) -> f32 {
        1.0 / (kernel::dot(row, row) / row.len() as f32 + self.eps).sqrt()
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (kernel::floats(x, xl, self.name())?, kernel::floats(w, wl, self.name())?);
        let dim = w.len();
        let mut y = vec![0f32; x.len()];
        kernel::fill_rows(&mut y, dim, |first, block| {
            for (y, x) in block.chunks_exact_mut(dim).zip(x[first * dim..].chunks_exact(dim)) {
                let r = self.scale(x);
                for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                    *y = x * r * w;
                }
            }
        });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    // With r = 1 / sqrt(mean(x²) + eps) and n = x r:  dw = Σ_rows dy n,  dx = r (w dy - n mean(w dy n)).
    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = kernel::with_floats([x, w, dy], self.name(), |[x, w, dy]| Ok(self.gradients(x, w, dy)))?;
        let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(dw)))
    }
}

impl RmsNorm {
    fn gradients(&self, x: &[f32], w: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let dim = w.len();
        let mut dx = vec![0f32; x.len()];
        kernel::fill_rows(&mut dx, dim, |first, block| {
            let rows = x[first * dim..].chunks_exact(dim).zip(dy[first * dim..].chunks_exact(dim));
            for (dx, (x, dy)) in block.chunks_exact_mut(dim).zip(rows) {
                let r = self.scale(x);
                for ((d, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                    *d = w * dy;
                }
                let mean = kernel::dot(dx, x) * r / dim as f32;
                for (d, x) in dx.iter_mut().zip(x) {
                    *d = r * (*d - x * r * mean);
                }
            }
        });
        let mut dw = vec![0f32; dim];
        for (x, dy) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)) {
            let r = self.scale(x);
            for ((d, x), dy) in dw.iter_mut().zip(x).zip(dy) {
                *d += dy * x * r;
            }
        }
        (dx, dw)
    }
}

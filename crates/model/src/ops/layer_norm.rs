//! Layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450): y = (x - mean(x)) / sqrt(var(x) + eps) * w + b, over the
//! last dimension, with the variance of the whole row (divided by its length).

use super::{composed, kernel};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Norm of x (.., dim) with weight w (dim) and, where there is one, bias b (dim). Differentiable in all. Fails when the
/// last dimensions differ.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    if x.dims().last() != w.dims().last() || w.rank() != 1 {
        bail!("layer_norm: the weight {:?} must have the length of the last dimension of {:?}", w.dims(), x.dims());
    }
    if let Some(b) = b.filter(|b| b.dims() != w.dims()) {
        bail!("layer_norm: the bias {:?} must have the shape of the weight {:?}", b.dims(), w.dims());
    }
    if !x.device().is_cpu() {
        return composed::layer_norm(x, w, b, eps);
    }
    let b = match b {
        Some(b) => b.contiguous()?,
        None => w.zeros_like()?, // one row of additions is nothing beside the two sums of the norm
    };
    x.contiguous()?.apply_op3(&w.contiguous()?, &b, LayerNorm { eps: eps as f32 })
}

struct LayerNorm {
    eps: f32,
}

impl LayerNorm {
    /// Mean, and one over the deviation. In two passes: the mean of squares minus the squared mean cancels.
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let n = row.len() as f32;
        let mean = kernel::sum(row) / n;
        let variance = kernel::sum_map(row, |x| (x - mean) * (x - mean)) / n;
        (mean, 1.0 / (variance + self.eps).sqrt())
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = kernel::floats(x, xl, self.name())?;
        let (w, b) = (kernel::floats(w, wl, self.name())?, kernel::floats(b, bl, self.name())?);
        let dim = w.len();
        let mut y = vec![0f32; x.len()];
        kernel::fill_rows(&mut y, dim, |first, block| {
            for (y, x) in block.chunks_exact_mut(dim).zip(x[first * dim..].chunks_exact(dim)) {
                let (mean, r) = self.moments(x);
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(w).zip(b) {
                    *y = (x - mean) * r * w + b;
                }
            }
        });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    // With r = 1 / sqrt(var + eps) and n = (x - mean) r:
    // dw = Σ_rows dy n,  db = Σ_rows dy,  dx = r (w dy - mean(w dy) - n mean(w dy n)).
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw, db) = kernel::with_floats([x, w, dy], self.name(), |[x, w, dy]| Ok(self.gradients(x, w, dy)))?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dw, w.shape(), w.device())?),
            Some(Tensor::from_vec(db, b.shape(), b.device())?),
        ))
    }
}

impl LayerNorm {
    fn gradients(&self, x: &[f32], w: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let dim = w.len();
        let mut dx = vec![0f32; x.len()];
        kernel::fill_rows(&mut dx, dim, |first, block| {
            let rows = x[first * dim..].chunks_exact(dim).zip(dy[first * dim..].chunks_exact(dim));
            for (dx, (x, dy)) in block.chunks_exact_mut(dim).zip(rows) {
                let (mean, r) = self.moments(x);
                for ((d, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                    *d = w * dy;
                }
                let along_one = kernel::sum(dx) / dim as f32;
                let along_n = (kernel::dot(dx, x) - mean * dim as f32 * along_one) * r / dim as f32;
                for (d, x) in dx.iter_mut().zip(x) {
                    *d = r * (*d - along_one - (x - mean) * r * along_n);
                }
            }
        });
        let (mut dw, mut db) = (vec![0f32; dim], vec![0f32; dim]);
        for (x, dy) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)) {
            let (mean, r) = self.moments(x);
            for (((dw, db), x), dy) in dw.iter_mut().zip(&mut db).zip(x).zip(dy) {
                *dw += dy * (x - mean) * r;
                *db += dy;
            }
        }
        (dx, dw, db)
    }
}

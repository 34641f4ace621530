//! Layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450): y = (x - mean(x)) / sqrt(var(x) + eps) * w + b, over the
//! last dimension, with the variance of the whole row (divided by its length).

use super::{composed, tensors};
use bantam_kernels::{fill_rows, float};
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
        let x = tensors::floats(x, xl, self.name())?;
        let (w, b) = (tensors::floats(w, wl, self.name())?, tensors::floats(b, bl, self.name())?);
        let dim = w.len();
        let mut y = vec![0f32; x.len()];
        fill_rows(&mut y, dim, |first, block| {
            float::layer_norm(&x[first * dim..], w, b, self.eps, block);
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
        let (dx, dw, db) = tensors::with_floats([x, w, dy], self.name(), |[x, w, dy]| Ok(self.gradients(x, w, dy)))?;
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
        let (mut dx, mut dw, mut db) = (vec![0f32; x.len()], vec![0f32; dim], vec![0f32; dim]);
        fill_rows(&mut dx, dim, |first, block| {
            float::layer_norm_dx(&x[first * dim..], w, &dy[first * dim..], self.eps, block);
        });
        float::layer_norm_dw(x, dy, self.eps, &mut dw, &mut db);
        (dx, dw, db)
    }
}

//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pairs of features turn by an angle that grows with the
//! position. The angles come in as tables, one row a token, so this knows no base, no scaling and no position.

use super::{composed, tensors};
pub use bantam_kernels::float::Pairing;
use bantam_kernels::{fill_rows, float};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Turns x (T, heads, d) by the angles of cos and sin (T, rot/2); features from rot on stay as they are.
/// Differentiable in x; the tables are constants. Fails when the tables do not fit x.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, pairing: Pairing) -> Result<Tensor> {
    let (tokens, _, d) = x.dims3()?;
    let (rows, half) = cos.dims2()?;
    if rows != tokens || 2 * half > d || sin.dims() != cos.dims() {
        bail!("rope: tables {:?} and {:?} do not fit {:?}", cos.dims(), sin.dims(), x.dims());
    }
    if !x.device().is_cpu() {
        return composed::rope(x, cos, sin, pairing);
    }
    let turn = Turn { cos: cos.contiguous()?, sin: sin.contiguous()?, half, pairing };
    x.contiguous()?.apply_op1(turn)
}

struct Turn {
    cos: Tensor,
    sin: Tensor,
    half: usize,
    pairing: Pairing,
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.turned(tensors::floats(x, layout, self.name())?, layout.dims(), 1.0)?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // A rotation's gradient is the rotation back.
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx = tensors::with_floats([dy], self.name(), |[dy]| self.turned(dy, x.dims(), -1.0))?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

impl Turn {
    fn turned(&self, x: &[f32], dims: &[usize], direction: f32) -> Result<Vec<f32>> {
        let (heads, d, half) = (dims[1], dims[2], self.half);
        let width = heads * d;
        let mut y = vec![0f32; x.len()];
        tensors::with_floats([&self.cos, &self.sin], self.name(), |[cos, sin]| {
            fill_rows(&mut y, width, |first, block| {
                let mut turn_by = vec![0f32; half];
                let rows = block.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
                for (token, (y, x)) in (first..).zip(rows) {
                    let angle = token * half..(token + 1) * half;
                    let cos = &cos[angle.clone()];
                    turn_by.iter_mut().zip(&sin[angle]).for_each(|(t, s)| *t = direction * s);
                    float::rope(x, d, cos, &turn_by, self.pairing, y);
                }
            });
            Ok(())
        })?;
        Ok(y)
    }
}

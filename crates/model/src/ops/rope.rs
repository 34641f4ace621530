//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pairs of features turn by an angle that grows with the
//! position. The angles come in as tables, one row a token, so this knows no base, no scaling and no position.

use super::{composed, kernel};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Which two features turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// i and i + rot/2, as transformers stores the weights ("neox").
    Half,
    /// 2i and 2i + 1, as the original Llama code and its GGUF files do.
    Interleaved,
}

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
        let y = self.turned(kernel::floats(x, layout, self.name())?, layout.dims(), 1.0)?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // A rotation's gradient is the rotation back.
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx = kernel::with_floats([dy], self.name(), |[dy]| self.turned(dy, x.dims(), -1.0))?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

impl Turn {
    fn turned(&self, x: &[f32], dims: &[usize], direction: f32) -> Result<Vec<f32>> {
        let (heads, d, half) = (dims[1], dims[2], self.half);
        let width = heads * d;
        let mut y = vec![0f32; x.len()];
        kernel::with_floats([&self.cos, &self.sin], self.name(), |[cos, sin]| {
            kernel::fill_rows(&mut y, width, |first, block| {
                let mut turn_by = vec![0f32; half];
                let rows = block.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
                for (token, (y, x)) in (first..).zip(rows) {
                    let angle = token * half..(token + 1) * half;
                    let cos = &cos[angle.clone()];
                    turn_by.iter_mut().zip(&sin[angle]).for_each(|(t, s)| *t = direction * s);
                    for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                        turn_head(y, x, cos, &turn_by, self.pairing);
                    }
                }
            });
            Ok(())
        })?;
        Ok(y)
    }
}

#[inline]
fn turn_head(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], pairing: Pairing) {
    let half = cos.len();
    let (y_turned, y_tail) = y.split_at_mut(2 * half);
    let (x_turned, x_tail) = x.split_at(2 * half);
    y_tail.copy_from_slice(x_tail);
    match pairing {
        Pairing::Half => {
            let (y1, y2) = y_turned.split_at_mut(half);
            let (x1, x2) = x_turned.split_at(half);
            let (x1, x2, sin, y1, y2) = (&x1[..half], &x2[..half], &sin[..half], &mut y1[..half], &mut y2[..half]);
            for i in 0..half {
                y1[i] = x1[i] * cos[i] - x2[i] * sin[i];
                y2[i] = x2[i] * cos[i] + x1[i] * sin[i];
            }
        }
        Pairing::Interleaved => {
            let pairs = y_turned.chunks_exact_mut(2).zip(x_turned.chunks_exact(2));
            for ((y, x), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                y[0] = x[0] * cos - x[1] * sin;
                y[1] = x[1] * cos + x[0] * sin;
            }
        }
    }
}

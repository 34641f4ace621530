//! The gate of a gated MLP: silu(gate) * up, with silu(x) = x sigmoid(x) (Shazeer 2020, arXiv:2002.05202, SwiGLU).

use super::{composed, kernel};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// silu(gate) * up, elementwise on equal shapes. Differentiable in both.
pub fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        bail!("silu_mul: gate {:?} and up {:?} must have one shape", gate.dims(), up.dims());
    }
    if !gate.device().is_cpu() {
        return composed::silu_mul(gate, up);
    }
    gate.contiguous()?.apply_op2(&up.contiguous()?, SiluMul)
}

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, gl: &Layout, up: &CpuStorage, ul: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (kernel::floats(gate, gl, self.name())?, kernel::floats(up, ul, self.name())?);
        let mut y = vec![0f32; gate.len()];
        kernel::fill_rows(&mut y, 1, |first, block| {
            for ((y, g), u) in block.iter_mut().zip(&gate[first..]).zip(&up[first..]) {
                *y = g * kernel::sigmoid(*g) * u;
            }
        });
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    // With s = sigmoid(g):  dup = dy g s,  dgate = dy up s (1 + g (1 - s)).
    fn bwd(&self, gate: &Tensor, up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dgate, dup) =
            kernel::with_floats([gate, up, dy], self.name(), |[gate, up, dy]| Ok(gradients(gate, up, dy)))?;
        let dgate = Tensor::from_vec(dgate, gate.shape(), gate.device())?;
        Ok((Some(dgate), Some(Tensor::from_vec(dup, up.shape(), up.device())?)))
    }
}

fn gradients(gate: &[f32], up: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut dgate = vec![0f32; gate.len()];
    let mut dup = vec![0f32; up.len()];
    kernel::fill_rows(&mut dgate, 1, |first, block| {
        for (((d, g), u), dy) in block.iter_mut().zip(&gate[first..]).zip(&up[first..]).zip(&dy[first..]) {
            let s = kernel::sigmoid(*g);
            *d = dy * u * s * (1.0 + g * (1.0 - s));
        }
    });
    kernel::fill_rows(&mut dup, 1, |first, block| {
        for ((d, g), dy) in block.iter_mut().zip(&gate[first..]).zip(&dy[first..]) {
            *d = dy * g * kernel::sigmoid(*g);
        }
    });
    (dgate, dup)
}

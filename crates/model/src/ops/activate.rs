//! The non-linearities between the matrices of a feed-forward part, alone (`activate`) or as the gate of a gated one
//! (`gate_mul`; Shazeer 2020, arXiv:2002.05202).

use super::composed;
use super::tensors::{self, InPlace};
pub use bantam_kernels::float::Activation;
use bantam_kernels::{fill_rows, float};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// The names that config.json files have for activations.
const NAMES: &[(&str, Activation)] = &[
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::Relu2),
    ("relu_squared", Activation::Relu2),
    ("tanh", Activation::Tanh),
];

/// Finds the activation that a `hidden_act` of this name means; `None` where bantam has none.
pub fn activation_named(name: &str) -> Option<Activation> {
    NAMES.iter().find(|(known, _)| *known == name).map(|&(_, activation)| activation)
}

/// Gives the name that transformers has for an activation.
pub fn activation_word(activation: Activation) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == activation).map_or("silu", |(name, _)| name)
}

/// Lists the names `activation_named` knows, for a sentence on what is supported.
pub fn activation_names() -> String {
    NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Applies an activation to every element of x, of any shape. Differentiable.
///
/// # Errors
/// Where x on the CPU is not f32.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::activate(x, activation);
    }
    x.contiguous()?.apply_op1(Alone(activation))
}

/// Gives activation(gate) * up, elementwise on equal shapes. Differentiable in both.
///
/// # Errors
/// Where the shapes differ, or a tensor on the CPU is not f32.
pub fn gate_mul(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        bail!("gate_mul: gate {:?} and up {:?} must have one shape", gate.dims(), up.dims());
    }
    if !gate.device().is_cpu() {
        return composed::gate_mul(gate, up, activation);
    }
    gate.contiguous()?.apply_op2(&up.contiguous()?, Gate(activation))
}

/// As `gate_mul`, in the gate's memory where no gradient is asked for: a tensor that its caller has just made and nobody
/// else reads.
///
/// # Errors
/// As `gate_mul`.
pub fn gate_mul_into(gate: Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if gate.dims() != up.dims() || !tensors::may_overwrite(&gate, up) {
        return gate_mul(&gate, up, activation);
    }
    let apply = |gate: &mut [f32], up: &[f32]| {
        fill_rows(gate, 1, |first, gate| float::gate_in_place(activation, &up[first..], gate));
    };
    gate.inplace_op2(up, &InPlace { name: "gate-mul", apply })?;
    Ok(gate)
}

struct Alone(Activation);

impl CustomOp1 for Alone {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = tensors::floats(x, xl, self.name())?;
        let mut y = vec![0f32; x.len()];
        fill_rows(&mut y, 1, |first, block| float::activate(self.0, &x[first..], block));
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx = tensors::with_floats([x, dy], self.name(), |[x, dy]| {
            let mut dx = vec![0f32; x.len()];
            fill_rows(&mut dx, 1, |first, block| float::activate_backward(self.0, &x[first..], &dy[first..], block));
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

struct Gate(Activation);

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate-mul"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, gl: &Layout, up: &CpuStorage, ul: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (tensors::floats(gate, gl, self.name())?, tensors::floats(up, ul, self.name())?);
        let mut y = vec![0f32; gate.len()];
        fill_rows(&mut y, 1, |first, block| float::gate(self.0, &gate[first..], &up[first..], block));
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    // dup = dy f(gate),  dgate = dy up f'(gate)
    fn bwd(&self, gate: &Tensor, up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dgate, dup) =
            tensors::with_floats([gate, up, dy], self.name(), |[gate, up, dy]| Ok(self.gradients(gate, up, dy)))?;
        let dgate = Tensor::from_vec(dgate, gate.shape(), gate.device())?;
        Ok((Some(dgate), Some(Tensor::from_vec(dup, up.shape(), up.device())?)))
    }
}

impl Gate {
    fn gradients(&self, gate: &[f32], up: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut dgate = vec![0f32; gate.len()];
        let mut dup = vec![0f32; up.len()];
        fill_rows(&mut dgate, 1, |first, block| {
            float::gate_backward_gate(self.0, &gate[first..], &up[first..], &dy[first..], block);
        });
        fill_rows(&mut dup, 1, |first, block| float::gate_backward_up(self.0, &gate[first..], &dy[first..], block));
        (dgate, dup)
    }
}

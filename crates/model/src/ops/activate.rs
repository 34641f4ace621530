//! The non-linearities between the matrices of a feed-forward part, alone (`activate`) or as the gate of a gated one
//! (`gate_mul`; Shazeer 2020, arXiv:2002.05202). Every one is a curve: its value and its slope at a point, in a form
//! the compiler turns into vector code.

use super::{composed, kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x sigmoid(x)
    Silu,
    /// x Φ(x), with the normal distribution's Φ (Hendrycks and Gimpel 2016, arXiv:1606.08415)
    Gelu,
    /// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, the same paper's approximation
    GeluTanh,
    /// x sigmoid(1.702 x), its cheaper one
    QuickGelu,
    /// max(x, 0)
    Relu,
    /// max(x, 0)² (So et al. 2021, arXiv:2109.08668)
    Relu2,
    Tanh,
}

/// What config.json files call them.
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

impl Activation {
    /// The one that a `hidden_act` of this name means.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, activation)| activation)
    }

    /// The names `named` knows, for a sentence that lists what is supported.
    pub fn all_names() -> String {
        NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// The activation of every element of x, of any shape. Differentiable.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::activate(x, activation);
    }
    let x = x.contiguous()?;
    match activation {
        Activation::Silu => x.apply_op1(Alone(Silu)),
        Activation::Gelu => x.apply_op1(Alone(Gelu)),
        Activation::GeluTanh => x.apply_op1(Alone(GeluTanh)),
        Activation::QuickGelu => x.apply_op1(Alone(QuickGelu)),
        Activation::Relu => x.apply_op1(Alone(Relu)),
        Activation::Relu2 => x.apply_op1(Alone(Relu2)),
        Activation::Tanh => x.apply_op1(Alone(Tanh)),
    }
}

/// activation(gate) * up, elementwise on equal shapes. Differentiable in both.
pub fn gate_mul(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        bail!("gate_mul: gate {:?} and up {:?} must have one shape", gate.dims(), up.dims());
    }
    if !gate.device().is_cpu() {
        return composed::gate_mul(gate, up, activation);
    }
    let (gate, up) = (gate.contiguous()?, up.contiguous()?);
    match activation {
        Activation::Silu => gate.apply_op2(&up, Gate(Silu)),
        Activation::Gelu => gate.apply_op2(&up, Gate(Gelu)),
        Activation::GeluTanh => gate.apply_op2(&up, Gate(GeluTanh)),
        Activation::QuickGelu => gate.apply_op2(&up, Gate(QuickGelu)),
        Activation::Relu => gate.apply_op2(&up, Gate(Relu)),
        Activation::Relu2 => gate.apply_op2(&up, Gate(Relu2)),
        Activation::Tanh => gate.apply_op2(&up, Gate(Tanh)),
    }
}

/// A function of one number. A type of its own each, so that the loops over it are compiled for it alone.
trait Curve: Copy + Send + Sync + 'static {
    fn value(self, x: f32) -> f32;
    fn slope(self, x: f32) -> f32;
}

#[derive(Clone, Copy)]
struct Silu;
#[derive(Clone, Copy)]
struct Gelu;
#[derive(Clone, Copy)]
struct GeluTanh;
#[derive(Clone, Copy)]
struct QuickGelu;
#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct Relu2;
#[derive(Clone, Copy)]
struct Tanh;

impl Curve for Silu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * kernel::sigmoid(x)
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = kernel::sigmoid(x);
        s * (1.0 + x * (1.0 - s))
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * normal(x).0
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        const DENSITY_AT_0: f32 = 0.398_942_3; // 1 / √(2π)
        let (below, bell) = normal(x);
        below + x * bell * DENSITY_AT_0
    }
}

/// Φ(x), and exp(-x²/2) on the way, by erfc(z) = t P(t) exp(-z²) with t = 1 / (1 + p z), to within 1.5e-7 (Abramowitz
/// and Stegun 7.1.26). The lower tail is computed and the upper taken from it, so that neither cancels.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = kernel::exp(-z * z);
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4f32;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_7;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

impl GeluTanh {
    const ROOT: f32 = 0.797_884_6; // √(2/π)
    const CUBIC: f32 = 0.044_715;
}

// (1 + tanh(u)) / 2 is sigmoid(2u)
impl Curve for GeluTanh {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * kernel::sigmoid(2.0 * Self::ROOT * (x + Self::CUBIC * x * x * x))
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = kernel::sigmoid(2.0 * Self::ROOT * (x + Self::CUBIC * x * x * x));
        s + x * s * (1.0 - s) * 2.0 * Self::ROOT * (1.0 + 3.0 * Self::CUBIC * x * x)
    }
}

impl QuickGelu {
    const STEEPNESS: f32 = 1.702;
}

impl Curve for QuickGelu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * kernel::sigmoid(Self::STEEPNESS * x)
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = kernel::sigmoid(Self::STEEPNESS * x);
        s * (1.0 + Self::STEEPNESS * x * (1.0 - s))
    }
}

// `max` would turn a NaN into a zero and hide a broken weight
impl Curve for Relu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Curve for Relu2 {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x * x }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { 2.0 * x }
    }
}

impl Curve for Tanh {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x.tanh()
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let y = x.tanh();
        1.0 - y * y
    }
}

struct Alone<C>(C);

impl<C: Curve> CustomOp1 for Alone<C> {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = kernel::floats(x, xl, self.name())?;
        let mut y = vec![0f32; x.len()];
        kernel::fill_rows(&mut y, 1, |first, block| {
            for (y, x) in block.iter_mut().zip(&x[first..]) {
                *y = self.0.value(*x);
            }
        });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dx = kernel::with_floats([x, dy], self.name(), |[x, dy]| {
            let mut dx = vec![0f32; x.len()];
            kernel::fill_rows(&mut dx, 1, |first, block| {
                for ((d, x), dy) in block.iter_mut().zip(&x[first..]).zip(&dy[first..]) {
                    *d = dy * self.0.slope(*x);
                }
            });
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

struct Gate<C>(C);

impl<C: Curve> CustomOp2 for Gate<C> {
    fn name(&self) -> &'static str {
        "gate-mul"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, gl: &Layout, up: &CpuStorage, ul: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (kernel::floats(gate, gl, self.name())?, kernel::floats(up, ul, self.name())?);
        let mut y = vec![0f32; gate.len()];
        kernel::fill_rows(&mut y, 1, |first, block| {
            for ((y, g), u) in block.iter_mut().zip(&gate[first..]).zip(&up[first..]) {
                *y = self.0.value(*g) * u;
            }
        });
        Ok((CpuStorage::F32(y), gl.shape().clone()))
    }

    // dup = dy f(gate),  dgate = dy up f'(gate)
    fn bwd(&self, gate: &Tensor, up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dgate, dup) =
            kernel::with_floats([gate, up, dy], self.name(), |[gate, up, dy]| Ok(self.gradients(gate, up, dy)))?;
        let dgate = Tensor::from_vec(dgate, gate.shape(), gate.device())?;
        Ok((Some(dgate), Some(Tensor::from_vec(dup, up.shape(), up.device())?)))
    }
}

impl<C: Curve> Gate<C> {
    fn gradients(&self, gate: &[f32], up: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut dgate = vec![0f32; gate.len()];
        let mut dup = vec![0f32; up.len()];
        kernel::fill_rows(&mut dgate, 1, |first, block| {
            for (((d, g), u), dy) in block.iter_mut().zip(&gate[first..]).zip(&up[first..]).zip(&dy[first..]) {
                *d = dy * u * self.0.slope(*g);
            }
        });
        kernel::fill_rows(&mut dup, 1, |first, block| {
            for ((d, g), dy) in block.iter_mut().zip(&gate[first..]).zip(&dy[first..]) {
                *d = dy * self.0.value(*g);
            }
        });
        (dgate, dup)
    }
}

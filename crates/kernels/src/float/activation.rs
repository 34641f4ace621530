//! The non-linearities between the matrices of a feed-forward part, alone or as the gate of a gated one (Shazeer 2020,
//! arXiv:2002.05202). Every one is a curve: its value and its slope at a point, in a form the compiler turns into vector
//! code.

use super::for_each_isa;
use super::reduce::{exp, sigmoid};

/// A non-linearity.
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
    /// tanh(x)
    Tanh,
}

/// Does something with the curve of an activation, whose loops are compiled for it alone.
macro_rules! with_curve {
    ($activation:expr, |$curve:ident| $body:expr) => {
        match $activation {
            Activation::Silu => {
                let $curve = Silu;
                $body
            }
            Activation::Gelu => {
                let $curve = Gelu;
                $body
            }
            Activation::GeluTanh => {
                let $curve = GeluTanh;
                $body
            }
            Activation::QuickGelu => {
                let $curve = QuickGelu;
                $body
            }
            Activation::Relu => {
                let $curve = Relu;
                $body
            }
            Activation::Relu2 => {
                let $curve = Relu2;
                $body
            }
            Activation::Tanh => {
                let $curve = Tanh;
                $body
            }
        }
    };
}

for_each_isa! {
    /// y = f(x), elementwise.
    pub fn activate(activation: Activation, x: &[f32], y: &mut [f32]) {
        with_curve!(activation, |f| {
            for (y, x) in y.iter_mut().zip(x) {
                *y = f.value(*x);
            }
        })
    }
}

for_each_isa! {
    /// dx = dy f'(x), elementwise.
    pub fn activate_backward(activation: Activation, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        with_curve!(activation, |f| {
            for ((d, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *d = dy * f.slope(*x);
            }
        })
    }
}

for_each_isa! {
    /// y = f(gate) up, elementwise.
    pub fn gate(activation: Activation, gate: &[f32], up: &[f32], y: &mut [f32]) {
        with_curve!(activation, |f| {
            for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
                *y = f.value(*g) * u;
            }
        })
    }
}

for_each_isa! {
    /// gate = f(gate) up, elementwise.
    pub fn gate_in_place(activation: Activation, up: &[f32], gate: &mut [f32]) {
        with_curve!(activation, |f| {
            for (g, u) in gate.iter_mut().zip(up) {
                *g = f.value(*g) * u;
            }
        })
    }
}

for_each_isa! {
    /// dgate = dy up f'(gate), elementwise.
    pub fn gate_backward_gate(activation: Activation, gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32]) {
        with_curve!(activation, |f| {
            for (((d, g), u), dy) in dgate.iter_mut().zip(gate).zip(up).zip(dy) {
                *d = dy * u * f.slope(*g);
            }
        })
    }
}

for_each_isa! {
    /// dup = dy f(gate), elementwise.
    pub fn gate_backward_up(activation: Activation, gate: &[f32], dy: &[f32], dup: &mut [f32]) {
        with_curve!(activation, |f| {
            for ((d, g), dy) in dup.iter_mut().zip(gate).zip(dy) {
                *d = dy * f.value(*g);
            }
        })
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
        x * sigmoid(x)
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = sigmoid(x);
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
    let bell = exp(-z * z);
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
        x * sigmoid(2.0 * Self::ROOT * (x + Self::CUBIC * x * x * x))
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = sigmoid(2.0 * Self::ROOT * (x + Self::CUBIC * x * x * x));
        s + x * s * (1.0 - s) * 2.0 * Self::ROOT * (1.0 + 3.0 * Self::CUBIC * x * x)
    }
}

impl QuickGelu {
    const STEEPNESS: f32 = 1.702;
}

impl Curve for QuickGelu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * sigmoid(Self::STEEPNESS * x)
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let s = sigmoid(Self::STEEPNESS * x);
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

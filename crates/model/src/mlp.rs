//! The feed-forward part of one layer, gated or plain: down(act(gate x) * up x), or down(act(up x)).

use candle_core::{D, Tensor};

use super::architecture::MlpKind;
use super::builder::{Builder, Named};
use super::config::CappedGates;
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::names::Part;
use super::ops::{self, Activation};

/// The feed-forward part of a layer, or one of its experts, with its weights.
pub(crate) struct Mlp {
    inner: Inner,
    down: Linear,
    activation: Activation,
    capped: Option<CappedGates>,
    /// Of a gate only what lies so many standard deviations above the mean passes.
    sparsity: Option<f32>,
    /// Its part and number in the names of the checkpoint.
    parts: Parts,
}

enum Inner {
    Gated {
        gate: Linear,
        up: Linear,
    },
    /// The rows of gate, then those of up.
    Joined(Linear),
    Plain(Linear),
}

/// Which parts of the layer an MLP's matrices are.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    /// The matrix inside the activation, (ffn, dim).
    pub gate: Part,
    /// The matrix that is multiplied with the gate, (ffn, dim).
    pub up: Part,
    /// The matrix back to the stream, (dim, ffn).
    pub down: Part,
    /// The expert's number; 0 where there is one MLP.
    pub index: usize,
}

impl Parts {
    /// The parts of a layer's only MLP.
    pub(crate) const DENSE: Self = Self { gate: Part::Gate, up: Part::Up, down: Part::Down, index: 0 };
    /// The parts of the expert that every token goes to.
    pub(crate) const SHARED: Self =
        Self { gate: Part::SharedGate, up: Part::SharedUp, down: Part::SharedDown, index: 0 };

    /// Gives the parts of the expert of this number.
    pub(crate) fn expert(index: usize) -> Self {
        Self { gate: Part::ExpertGate, up: Part::ExpertUp, down: Part::ExpertDown, index }
    }
}

impl Mlp {
    /// Builds the layer's dense MLP, of the kind that the architecture has.
    pub(crate) fn new(builder: &Builder) -> Result<Self> {
        let config = builder.config;
        let own = &config.layers[builder.layer];
        let (dim, ffn, biased) = (config.dim, config.ffn * own.wide, config.biases.mlp);
        let inner = match config.architecture.mlp {
            MlpKind::Gated => {
                return Ok(Self { sparsity: own.sparsity, ..Self::gated(builder, Parts::DENSE, ffn, biased)? });
            }
            MlpKind::GatedJoined => Inner::Joined(builder.linear(Part::GateUp, 2 * ffn, dim, biased)?),
            MlpKind::Plain => Inner::Plain(builder.linear(Part::Up, ffn, dim, biased)?),
        };
        let down = builder.linear(Part::Down, dim, ffn, biased)?;
        Ok(Self { inner, down, activation: config.activation, capped: None, sparsity: None, parts: Parts::DENSE })
    }

    /// Builds one with a gate, `ffn` wide inside: the layer's own, or one of its experts.
    pub(crate) fn gated(builder: &Builder, parts: Parts, ffn: usize, biased: bool) -> Result<Self> {
        let dim = builder.config.dim;
        let linear = |part, out, inp| builder.nth_linear(part, parts.index, out, inp, biased);
        Ok(Self {
            inner: Inner::Gated { gate: linear(parts.gate, ffn, dim)?, up: linear(parts.up, ffn, dim)? },
            down: linear(parts.down, dim, ffn)?,
            activation: builder.config.activation,
            capped: builder.config.capped_gates,
            sparsity: None,
            parts,
        })
    }

    /// Takes x (T, dim) to (T, dim).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = match &self.inner {
            Inner::Gated { gate, up } => {
                let [gate, up] = forward_all([gate, up], x)?;
                let gate = match self.sparsity {
                    Some(deviations) => above(&gate, deviations)?,
                    None => gate,
                };
                match self.capped {
                    Some(capped) => capped.product(&gate, &up)?,
                    None => ops::gate_mul_into(gate, &up, self.activation)?,
                }
            }
            Inner::Joined(both) => {
                let y = both.forward(x)?;
                let ffn = y.dim(1)? / 2;
                ops::gate_mul(&y.narrow(1, 0, ffn)?, &y.narrow(1, ffn, ffn)?, self.activation)?
            }
            Inner::Plain(up) => ops::activate(&up.forward(x)?, self.activation)?,
        };
        self.down.forward(&inner)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let Parts { gate: gate_part, up: up_part, down: down_part, index } = self.parts;
        let mut all = match &self.inner {
            Inner::Gated { gate, up } => vec![(gate_part, index, gate), (up_part, index, up)],
            Inner::Joined(both) => vec![(Part::GateUp, index, both)],
            Inner::Plain(up) => vec![(up_part, index, up)],
        };
        all.push((down_part, index, &self.down));
        all
    }
}

impl CappedGates {
    /// What goes on to the way down, of a gate and what it multiplies.
    fn product(self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        let Self { steepness, limit } = self;
        // x sigmoid(a x) is 1.702 / a of the quick gelu of x a / 1.702
        let by = steepness / QUICK_GELU;
        let gate = (gate.minimum(limit)? * by)?;
        let up = ((up.clamp(-limit, limit)? + 1.0)? / by)?;
        Ok(ops::gate_mul_into(gate, &up, Activation::QuickGelu)?)
    }
}

/// How steep `Activation::QuickGelu` is.
const QUICK_GELU: f64 = 1.702;

/// What of each row of x lies so many standard deviations above its mean, less by that; 0 elsewhere
/// (<https://arxiv.org/abs/2506.06644>).
fn above(x: &Tensor, deviations: f32) -> Result<Tensor> {
    let mean = x.mean_keepdim(D::Minus1)?;
    let deviation = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_sub(&(mean + (deviation * f64::from(deviations))?)?)?.relu()?)
}

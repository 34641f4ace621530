//! The feed-forward part of one layer, gated or plain: down(act(gate x) * up x), or down(act(up x)).

use candle_core::{D, Tensor};

use super::architecture::MlpKind;
use super::builder::{Builder, Named};
use super::config::{CappedGates, Config};
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::names::Part;
use super::norm::Norm;
use super::ops::{self, Activation};

/// The feed-forward part of a layer, or one of its experts, with its weights.
pub(crate) struct Mlp {
    inner: Inner,
    down: Linear,
    activation: Activation,
    capped: Option<CappedGates>,
    /// Of a gate only what lies so many standard deviations above the mean passes.
    sparsity: Option<f32>,
    /// The norm of what goes into the way down.
    sub_norm: Option<Norm>,
    /// A non-linearity with numbers of its own, in place of the usual one.
    own: Option<Xielu>,
    /// What a gate is multiplied by before its activation, and what the way down gives.
    factors: (f64, f64),
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
                let sub_norm = config.architecture.sub_norms.then(|| builder.norm(Part::MlpSubNorm, ffn));
                let gated = Self::gated(builder, Parts::DENSE, ffn, biased)?;
                return Ok(Self { sparsity: own.sparsity, sub_norm: sub_norm.transpose()?, ..gated });
            }
            MlpKind::GatedJoined => Inner::Joined(builder.linear(Part::GateUp, 2 * ffn, dim, biased)?),
            MlpKind::Plain => Inner::Plain(builder.linear(Part::Up, ffn, dim, biased)?),
        };
        let down = builder.linear(Part::Down, dim, ffn, biased)?;
        let own = config.architecture.own_activation.then(|| Xielu::new(builder)).transpose()?;
        Ok(Self { own, ..Self::of(builder, inner, down, Parts::DENSE) })
    }

    fn of(builder: &Builder, inner: Inner, down: Linear, parts: Parts) -> Self {
        let Config { activation, factors, .. } = *builder.config;
        Self {
            inner,
            down,
            activation,
            capped: None,
            sparsity: None,
            sub_norm: None,
            own: None,
            factors: factors.map_or((1.0, 1.0), |factors| (factors.gate, factors.down)),
            parts,
        }
    }

    /// Builds one of several, `ffn` wide inside, of the kind that the architecture has.
    pub(crate) fn one_of(builder: &Builder, parts: Parts, ffn: usize, biased: bool) -> Result<Self> {
        if builder.config.architecture.mlp != MlpKind::Plain {
            return Self::gated(builder, parts, ffn, biased);
        }
        let dim = builder.config.dim;
        let up = builder.nth_linear(parts.up, parts.index, ffn, dim, biased)?;
        let down = builder.nth_linear(parts.down, parts.index, dim, ffn, biased)?;
        Ok(Self::of(builder, Inner::Plain(up), down, parts))
    }

    /// Builds one with a gate, `ffn` wide inside: the layer's own, or one of its experts.
    pub(crate) fn gated(builder: &Builder, parts: Parts, ffn: usize, biased: bool) -> Result<Self> {
        let dim = builder.config.dim;
        let linear = |part, out, inp| builder.nth_linear(part, parts.index, out, inp, biased);
        let inner = Inner::Gated { gate: linear(parts.gate, ffn, dim)?, up: linear(parts.up, ffn, dim)? };
        let made = Self::of(builder, inner, linear(parts.down, dim, ffn)?, parts);
        Ok(Self { capped: builder.config.capped_gates, ..made })
    }

    /// Takes x (T, dim) to (T, dim).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = match &self.inner {
            Inner::Gated { gate, up } => {
                let [gate, up] = forward_all([gate, up], x)?;
                let gate = if self.factors.0 == 1.0 { gate } else { (gate * self.factors.0)? };
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
            Inner::Plain(up) => match &self.own {
                Some(own) => own.forward(&up.forward(x)?)?,
                None => ops::activate(&up.forward(x)?, self.activation)?,
            },
        };
        let inner = match &self.sub_norm {
            Some(norm) => norm.forward(&inner)?,
            None => inner,
        };
        let y = self.down.forward(&inner)?;
        Ok(if self.factors.1 == 1.0 { y } else { (y * self.factors.1)? })
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

/// p x² + b x above 0, and n (e^min(x, e) - 1 - x) + b x elsewhere (xIELU, <https://arxiv.org/abs/2411.13010>).
struct Xielu {
    /// p: softplus of what is learnt, (1).
    above: Tensor,
    /// n: b and softplus of what is learnt, (1).
    below: Tensor,
    /// b, mostly 1/2.
    slope: f64,
    /// e, mostly -1e-6.
    most: f64,
}

impl Xielu {
    fn new(builder: &Builder) -> Result<Self> {
        let softplus = |part| -> Result<Tensor> { Ok((builder.bare(part, 1)?.exp()? + 1.0)?.log()?) };
        let number = |part| -> Result<f64> { Ok(builder.bare(part, 1)?.to_vec1::<f32>()?[0].into()) };
        let (slope, most) = (number(Part::ActivationSlope)?, number(Part::ActivationMost)?);
        let above = softplus(Part::ActivationAbove)?;
        Ok(Self { above, below: (softplus(Part::ActivationBelow)? + slope)?, slope, most })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let positive = x.relu()?;
        // x below 0; e^x - 1 loses what is small, and its series does not
        let negative = (x - &positive)?.minimum(self.most)?;
        let small = (&negative * ((&negative * 0.5)? + 1.0)?)?;
        let near = negative.ge(-1e-3)?;
        let less_one = near.where_cond(&small, &(negative.exp()? - 1.0)?)?;
        let bent = (less_one - (x - &positive)?)?.broadcast_mul(&self.below)?;
        let above = positive.sqr()?.broadcast_mul(&self.above)?;
        let is_above = x.gt(0.0)?;
        Ok((is_above.where_cond(&above, &bent)? + (x * self.slope)?)?)
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

//! Mixers that keep a state of constant size where attention keeps keys and values: a short convolution, a gated delta rule,
//! Mamba-2. All project, convolve over a few tokens, and project back; the latter two have a matrix for each head between,
//! which forgets and learns. What follows what is decided by the spans.
//!
//! As in transformers' `modeling_lfm2.py`, `modeling_qwen3_5.py` and `modeling_granitemoehybrid.py`.

use bantam_kernels::state::{After, Run};
use candle_core::{D, Tensor};

use super::architecture::Recurrence;
use super::attention::Pass;
use super::builder::{Builder, Named};
use super::config::{StateNorm, StateSizes};
use super::error::Result;
use super::linear::{Linear, forward_all};
use super::names::Part;
use super::ops::{self, Activation, Scanned};

/// A mixer with a state, with its weights.
pub(crate) struct Recurrent {
    input: Linear,
    /// (taps, channels).
    conv: Tensor,
    conv_bias: Option<Tensor>,
    output: Linear,
    sizes: StateSizes,
    /// What the gate, the values, the keys, the queries and the steps of Mamba-2 are multiplied by.
    parts: Option<[f64; 5]>,
    kind: Kind,
}

enum Kind {
    ShortConv,
    DeltaNet { gate: Linear, forget: Linear, learn: Linear, heads: Heads },
    Mamba2 { skip: Tensor, heads: Heads },
}

/// What the heads of a matrix have.
struct Heads {
    /// The rate at which each forgets, below 0, (heads).
    rate: Tensor,
    /// What is added to each step, (heads).
    step: Tensor,
    /// The shortest step.
    least: f32,
    /// The weight of the norm of what is read, where it is normed.
    norm: Option<Tensor>,
    norm_eps: f64,
}

/// What is kept of a sequence for one layer.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The last inputs of the convolution, (taps - 1, channels).
    conv: Tensor,
    /// The heads' matrices, (heads, key, value), where there are any.
    matrices: Option<Tensor>,
}

impl State {
    /// Bytes of its numbers.
    pub(crate) fn bytes(&self) -> usize {
        let size = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        size(&self.conv) + self.matrices.as_ref().map_or(0, size)
    }
}

/// Which run goes on from which, or from which of the states that are kept.
struct Runs {
    all: Vec<Run>,
    kept: Vec<State>,
}

impl Runs {
    /// `held` are the states of the caches that the spans name; none of an empty cache. `ends` says which ends are wanted.
    fn new(pass: &Pass, held: &[Option<State>], ends: &[usize]) -> Self {
        let mut runs = Self { all: Vec::with_capacity(pass.spans.len()), kept: Vec::new() };
        for span in &*pass.spans {
            let after = match (span.parent, span.past.and_then(|cache| held[cache].clone())) {
                (Some(parent), _) => After::Run(parent),
                (None, Some(state)) => {
                    runs.kept.push(state);
                    After::Kept(runs.kept.len() - 1)
                }
                (None, None) => After::Nothing,
            };
            runs.all.push(Run { len: span.len, after, wanted: false });
        }
        let parents = pass.spans.iter().filter_map(|span| span.parent);
        parents.chain(ends.iter().copied()).for_each(|index| runs.all[index].wanted = true);
        runs
    }

    fn convolve(&self, x: &Tensor, mixer: &Recurrent) -> Result<ops::Given> {
        let kept: Vec<Tensor> = self.kept.iter().map(|state| state.conv.clone()).collect();
        Ok(ops::convolve(x, &mixer.conv, mixer.conv_bias.as_ref(), &self.all, &kept)?)
    }

    fn scan(&self, scanned: &Scanned) -> Result<ops::Given> {
        let kept: Vec<Tensor> = self.kept.iter().filter_map(|state| state.matrices.clone()).collect();
        Ok(ops::scan(scanned, &self.all, &kept)?)
    }
}

impl Recurrent {
    /// Builds the mixer of the builder's layer.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(crate) fn new(builder: &Builder, sizes: StateSizes) -> Result<Self> {
        let config = builder.config;
        let recurrence = config.architecture.recurrence;
        let (dim, inner, channels) = (config.dim, sizes.inner(), sizes.channels(recurrence));
        let heads = |norm: usize| -> Result<Heads> {
            Ok(Heads {
                rate: builder.bare(Part::StateRate, sizes.heads)?.exp()?.neg()?,
                step: builder.bare(Part::StateStep, sizes.heads)?,
                least: sizes.least_step,
                norm: match sizes.norm {
                    StateNorm::None => None,
                    StateNorm::AfterGate | StateNorm::BeforeGate => Some(builder.weight(Part::StateNorm, &[norm])?),
                },
                norm_eps: config.norm_eps,
            })
        };
        let linear = |part, out, inp| builder.linear(part, out, inp, sizes.bias);
        let conv = builder.weight(Part::StateConv, &[channels, 1, sizes.taps])?;
        Ok(Self {
            input: linear(Part::StateIn, sizes.projected(recurrence), dim)?,
            conv: conv.reshape((channels, sizes.taps))?.t()?.contiguous()?,
            conv_bias: sizes.conv_bias.then(|| builder.bias(Part::StateConv, channels)).transpose()?,
            kind: match recurrence {
                Recurrence::None | Recurrence::ShortConv => Kind::ShortConv,
                Recurrence::DeltaNet => Kind::DeltaNet {
                    gate: linear(Part::StateGate, inner, dim)?,
                    forget: linear(Part::StateForget, sizes.heads, dim)?,
                    learn: linear(Part::StateLearn, sizes.heads, dim)?,
                    heads: heads(sizes.head_dim)?,
                },
                Recurrence::Mamba2 => {
                    Kind::Mamba2 { skip: builder.bare(Part::StateSkip, sizes.heads)?, heads: heads(inner)? }
                }
            },
            output: builder.linear(Part::StateOut, dim, inner, sizes.out_bias)?,
            parts: config.factors.map(|factors| factors.state_parts),
            sizes,
        })
    }

    /// Takes x (T, dim) to (T, dim), and gives the state at the end of each span of `ends`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        held: &[Option<State>],
        ends: &[usize],
    ) -> Result<(Tensor, Vec<State>)> {
        let runs = Runs::new(pass, held, ends);
        let (y, convs, matrices) = match &self.kind {
            Kind::ShortConv => self.short_conv(x, &runs)?,
            Kind::DeltaNet { gate, forget, learn, heads } => self.delta_net([gate, forget, learn], heads, x, &runs)?,
            Kind::Mamba2 { skip, heads } => self.mamba2(skip, heads, x, &runs)?,
        };
        let state = |&end: &usize| State {
            conv: convs[end].clone().expect("it was asked for"),
            matrices: matrices.as_ref().and_then(|all| all[end].clone()),
        };
        Ok((self.output.forward(&y)?, ends.iter().map(state).collect()))
    }

    /// y = C · conv(B · x), where B, C and x come out of one matrix.
    fn short_conv(&self, x: &Tensor, runs: &Runs) -> Result<Mixed> {
        let (all, width) = (self.input.forward(x)?, self.sizes.inner());
        let part = |nth: usize| all.narrow(1, nth * width, width);
        let (y, ends) = runs.convolve(&(part(0)? * part(2)?)?, self)?;
        Ok(((part(1)? * y)?, ends, None))
    }

    /// The rule with keys and queries of length 1, a head's own decay and strength; what is read is normed and gated.
    fn delta_net(&self, [gate, forget, learn]: [&Linear; 3], heads: &Heads, x: &Tensor, runs: &Runs) -> Result<Mixed> {
        let StateSizes { groups, key_dim, heads: count, head_dim, .. } = self.sizes;
        let (tokens, width) = (x.dim(0)?, self.sizes.key_width());
        let [qkv, z, a, b] = forward_all([&self.input, gate, forget, learn], x)?;
        let (qkv, convs) = runs.convolve(&qkv, self)?;
        let qkv = ops::activate(&qkv, self.sizes.activation)?;
        let of_group = |first: usize| -> Result<Tensor> {
            let x = qkv.narrow(1, first, width)?.reshape((tokens, groups, key_dim))?;
            let length = ((x.sqr()?.sum_keepdim(D::Minus1)? + 1e-6)?).sqrt()?;
            Ok(x.broadcast_div(&length)?)
        };
        let scanned = Scanned {
            q: &(of_group(0)? / (key_dim as f64).sqrt())?,
            k: &of_group(width)?,
            v: &qkv.narrow(1, 2 * width, self.sizes.inner())?.reshape((tokens, count, head_dim))?,
            decay: &heads.decay(&heads.steps(&a)?)?,
            strength: &sigmoid(&b)?,
            corrects: true,
        };
        let (y, ends) = runs.scan(&scanned)?;
        let y = match &heads.norm {
            Some(norm) => ops::rms_norm(&y, norm, heads.norm_eps)?,
            None => y,
        };
        let y = y.reshape((tokens, self.sizes.inner()))?;
        Ok((ops::gate_mul(&z, &y, Activation::Silu)?, convs, Some(ends)))
    }

    /// Values are learnt by the length of a head's step, and what is read is gated, then normed group by group.
    fn mamba2(&self, skip: &Tensor, heads: &Heads, x: &Tensor, runs: &Runs) -> Result<Mixed> {
        let StateSizes { groups, key_dim, heads: count, head_dim, .. } = self.sizes;
        let (tokens, inner, width) = (x.dim(0)?, self.sizes.inner(), self.sizes.key_width());
        let all = self.multiplied(self.input.forward(x)?)?;
        let z = all.narrow(1, 0, inner)?;
        let (read, convs) = runs.convolve(&all.narrow(1, inner, inner + 2 * width)?.contiguous()?, self)?;
        let read = ops::activate(&read, self.sizes.activation)?;
        let steps = heads.steps(&all.narrow(1, 2 * inner + 2 * width, count)?)?;
        let of_group = |first: usize| read.narrow(1, first, width)?.reshape((tokens, groups, key_dim));
        let v = read.narrow(1, 0, inner)?.reshape((tokens, count, head_dim))?;
        let scanned = Scanned {
            q: &of_group(inner + width)?,
            k: &of_group(inner)?,
            v: &v,
            decay: &heads.decay(&steps)?,
            strength: &steps,
            corrects: false,
        };
        let (y, ends) = runs.scan(&scanned)?;
        let y = (y + v.broadcast_mul(&skip.reshape((1, count, 1))?)?)?.reshape((tokens, inner))?;
        let normed = |y: &Tensor| match &heads.norm {
            None => Ok(y.clone()),
            Some(norm) => {
                let ones = Tensor::ones(inner / groups, y.dtype(), y.device())?;
                let y = ops::rms_norm(&y.reshape((tokens, groups, inner / groups))?, &ones, heads.norm_eps)?;
                y.reshape((tokens, inner))?.broadcast_mul(norm)
            }
        };
        let y = match self.sizes.norm {
            StateNorm::BeforeGate => ops::gate_mul(&z, &normed(&y)?, Activation::Silu)?,
            StateNorm::AfterGate | StateNorm::None => normed(&ops::gate_mul(&z, &y, Activation::Silu)?)?,
        };
        Ok((y, convs, Some(ends)))
    }

    /// What comes out of Mamba-2's first matrix, each part by its factor.
    fn multiplied(&self, x: Tensor) -> Result<Tensor> {
        let Some(factors) = self.parts else { return Ok(x) };
        let StateSizes { heads, .. } = self.sizes;
        let (inner, width) = (self.sizes.inner(), self.sizes.key_width());
        // in the order of the matrix: gate, values, keys, queries, steps
        let row: Vec<f32> = [inner, inner, width, width, heads]
            .into_iter()
            .zip(factors)
            .flat_map(|(count, factor)| std::iter::repeat_n(factor as f32, count))
            .collect();
        Ok(x.broadcast_mul(&Tensor::from_vec(row, x.dim(1)?, x.device())?)?)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let mut all = vec![(Part::StateIn, 0, &self.input)];
        if let Kind::DeltaNet { gate, forget, learn, .. } = &self.kind {
            all.extend([(Part::StateGate, 0, gate), (Part::StateForget, 0, forget), (Part::StateLearn, 0, learn)]);
        }
        all.push((Part::StateOut, 0, &self.output));
        all
    }
}

/// What enters the last matrix, the ends of the convolutions, and those of the matrices where there are any.
type Mixed = (Tensor, Vec<Option<Tensor>>, Option<Vec<Option<Tensor>>>);

impl Heads {
    /// The length of each head's step, softplus(x + step), (T, heads).
    fn steps(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.broadcast_add(&self.step)?;
        // ln(1 + e^x) without an e^x beyond all bounds
        let steps = (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        Ok(if self.least > 0.0 { steps.maximum(self.least)? } else { steps })
    }

    /// What is left of each head's matrix after a step, (T, heads).
    fn decay(&self, steps: &Tensor) -> Result<Tensor> {
        Ok(steps.broadcast_mul(&self.rate)?.exp()?)
    }
}

/// 1 / (1 + e^-x), as (1 + tanh(x/2)) / 2.
pub(crate) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(((((x * 0.5)?.tanh()? + 1.0)?) * 0.5)?)
}

//! Rotary position embeddings: which angle each pair turns by at each position, under every scaling that long-context
//! checkpoints use. Turning the vectors is `ops::rope`.
//!
//! Formulas as in transformers' `modeling_rope_utils.py`; RoPE: <https://arxiv.org/abs/2104.09864>.

use std::f64::consts::TAU;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::error::Result;

/// One rotary embedding: its base, how much of a head it turns, and its scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the frequencies (`rope_theta`): pair i turns by theta^(-2i / dims) radians a position.
    pub theta: f64,
    /// How many of a head's dimensions are turned; even.
    pub dims: usize,
    /// How the frequencies are changed for long contexts.
    pub scaling: Scaling,
}

/// How the angles are changed so that a model reads further than it was first trained to.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// Positions are divided by the factor (<https://arxiv.org/abs/2306.15595>).
    Linear {
        /// How many times longer the context becomes.
        factor: f64,
    },
    /// The base grows with the sequence once it is longer than `original` ("NTK-aware").
    Dynamic {
        /// How fast the base grows with the length.
        factor: f64,
        /// The length it was first trained to, in tokens.
        original: usize,
    },
    /// Slow pairs are interpolated, fast ones are not.
    Yarn(Yarn),
    /// Slow pairs are interpolated, with Llama 3.1's blend.
    Llama3(Llama3),
    /// Each pair has its own factor, by whether the sequence is long.
    LongRope(LongRope),
    /// Only the fastest pairs turn, as they would if all did, slower by the factor; the others stay (Gemma 4).
    Proportional {
        /// How many pairs turn.
        turned: usize,
        /// What their frequencies are divided by.
        factor: f64,
    },
    /// Each pair's frequency is divided by its own factor: how GGUF files store Llama 3's scaling.
    Divisors(Arc<[f32]>),
}

/// Each pair's frequency is divided by its own factor, one list within the original length and one for sequences that
/// are longer (<https://arxiv.org/abs/2402.13753>).
#[derive(Debug, Clone, PartialEq)]
pub struct LongRope {
    /// The divisors of each pair in a sequence of at most `original` tokens.
    pub short: Vec<f64>,
    /// The divisors of each pair in a longer sequence.
    pub long: Vec<f64>,
    /// The length it was first trained to, in tokens.
    pub original: usize,
    /// Multiplies cos and sin in a sequence of at most `original` tokens.
    pub attention_short: f64,
    /// Multiplies cos and sin in a longer sequence.
    pub attention_long: f64,
}

/// Interpolates slow pairs, leaves fast ones, and blends between (<https://arxiv.org/abs/2309.00071>).
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// What the frequencies of slow pairs are divided by.
    pub factor: f64,
    /// The length it was first trained to, in tokens.
    pub original: usize,
    /// Pairs that turn more often than this within `original` positions are left alone.
    pub beta_fast: f64,
    /// Pairs that turn less often than this are interpolated in full.
    pub beta_slow: f64,
    /// Multiplies cos and sin, and so the attention scores by its square.
    pub attention: f64,
    /// Whether the range of blended pairs is rounded outwards to whole pairs.
    pub truncate: bool,
}

/// Llama 3.1's scaling: by wavelength, with a smooth middle.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama3 {
    /// What the frequencies of slow pairs are divided by.
    pub factor: f64,
    /// Pairs that turn less often than this within `original` positions are divided in full (`low_freq_factor`).
    pub low: f64,
    /// Pairs that turn more often than this within `original` positions are left alone (`high_freq_factor`).
    pub high: f64,
    /// The length it was first trained to, in tokens.
    pub original: usize,
}

/// What GGUF files divide the frequency of a pair by that does not turn.
pub(crate) const STILL: f32 = 1e30;

impl Rope {
    /// Gives a number that is the same for two lengths of a sequence exactly where all angles are the same.
    pub fn rope_regime(&self, length: usize) -> usize {
        match &self.scaling {
            Scaling::Dynamic { original, .. } => length.max(*original),
            Scaling::LongRope(long) => usize::from(length > long.original),
            _ => 0,
        }
    }

    /// Makes cos and sin for each position, both (positions, dims/2) f32. `longest` gives for each position the length
    /// of
    /// the whole sequence it belongs to, which some scalings look at (`rope_regime`).
    ///
    /// # Errors
    /// Where the tables do not fit on the device.
    pub fn tables(&self, positions: &[u32], longest: &[usize], device: &Device) -> Result<(Tensor, Tensor)> {
        let half = self.dims / 2;
        let (mut cos, mut sin) =
            (Vec::with_capacity(positions.len() * half), Vec::with_capacity(positions.len() * half));
        let mut rope_regime = self.rope_regime(0);
        let (mut frequencies, mut attention) = (self.frequencies(0), self.attention(0));
        for (&position, &length) in positions.iter().zip(longest) {
            if rope_regime != self.rope_regime(length) {
                rope_regime = self.rope_regime(length);
                (frequencies, attention) = (self.frequencies(length), self.attention(length));
            }
            for &frequency in &frequencies {
                // in f32, as the reference does: the rounding of a far position's angle is part of the model
                let (s, c) = (position as f32 * frequency).sin_cos();
                cos.push(c * attention);
                sin.push(s * attention);
            }
        }
        let shape = (positions.len(), half);
        Ok((Tensor::from_vec(cos, shape, device)?, Tensor::from_vec(sin, shape, device)?))
    }

    /// Gives what each pair's plain frequency is divided by, where the scaling is such a list: how a GGUF file stores
    /// it, as the tensor `rope_freqs.weight`.
    pub fn divisors(&self) -> Option<Vec<f32>> {
        match &self.scaling {
            Scaling::Divisors(divisors) => Some(divisors.to_vec()),
            Scaling::Proportional { turned, factor } => {
                let divisor = |pair: usize| if pair < *turned { *factor as f32 } else { STILL };
                Some((0..self.dims / 2).map(divisor).collect())
            }
            Scaling::Llama3(llama3) => {
                Some(self.plain(self.theta).iter().map(|&f| (f / llama3.frequency(f)) as f32).collect())
            }
            _ => None,
        }
    }

    /// What cos and sin are multiplied by, in a sequence of `length` tokens.
    fn attention(&self, length: usize) -> f32 {
        match &self.scaling {
            Scaling::Yarn(yarn) => yarn.attention as f32,
            Scaling::LongRope(long) if length > long.original => long.attention_long as f32,
            Scaling::LongRope(long) => long.attention_short as f32,
            _ => 1.0,
        }
    }

    /// Radians per position of each pair, in a sequence of `length` tokens.
    fn frequencies(&self, length: usize) -> Vec<f32> {
        let plain = self.plain(self.theta);
        let scaled: Vec<f64> = match &self.scaling {
            Scaling::None => plain,
            Scaling::Linear { factor } => plain.iter().map(|f| f / factor).collect(),
            Scaling::Dynamic { factor, original } => self.plain(self.dynamic_base(*factor, *original, length)),
            Scaling::Yarn(yarn) => yarn.frequencies(&plain, self.theta, self.dims),
            Scaling::Llama3(llama3) => plain.iter().map(|&f| llama3.frequency(f)).collect(),
            Scaling::LongRope(long) => {
                let factors = if length > long.original { &long.long } else { &long.short };
                plain.iter().zip(factors).map(|(f, factor)| f / factor).collect()
            }
            Scaling::Proportional { turned, factor } => {
                let frequency = |(pair, f): (usize, &f64)| if pair < *turned { f / factor } else { 0.0 };
                plain.iter().enumerate().map(frequency).collect()
            }
            Scaling::Divisors(divisors) => plain.iter().zip(divisors.iter()).map(|(f, &d)| f / f64::from(d)).collect(),
        };
        scaled.into_iter().map(|f| f as f32).collect()
    }

    fn plain(&self, base: f64) -> Vec<f64> {
        (0..self.dims / 2).map(|i| base.powf(-((2 * i) as f64) / self.dims as f64)).collect()
    }

    fn dynamic_base(&self, factor: f64, original: usize, length: usize) -> f64 {
        let ratio = length.max(original) as f64 / original as f64;
        let dims = self.dims as f64;
        self.theta * (factor * ratio - (factor - 1.0)).powf(dims / (dims - 2.0))
    }
}

impl Yarn {
    /// The attention temperature of the paper's section 3.4: 0.1 m ln(s) + 1, and 1 where the context is not longer.
    pub fn mscale(factor: f64, mscale: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
    }

    fn frequencies(&self, plain: &[f64], theta: f64, dims: usize) -> Vec<f64> {
        // the pair that makes `turns` rotations within the original context
        let pair = |turns: f64| dims as f64 * (self.original as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (pair(self.beta_fast), pair(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(dims as f64 - 1.0));
        if low == high {
            high += 0.001;
        }
        let blend = |(i, &f): (usize, &f64)| {
            let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            f / self.factor * interpolated + f * (1.0 - interpolated)
        };
        plain.iter().enumerate().map(blend).collect()
    }
}

impl LongRope {
    /// The paper's temperature for a context that is `factor` times longer: sqrt(1 + ln(factor) / ln(original)).
    pub fn attention(factor: f64, original: usize) -> f64 {
        if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
    }
}

impl Llama3 {
    fn frequency(&self, plain: f64) -> f64 {
        let wavelength = TAU / plain;
        let original = self.original as f64;
        if wavelength < original / self.high {
            plain
        } else if wavelength > original / self.low {
            plain / self.factor
        } else {
            let smooth = (original / wavelength - self.low) / (self.high - self.low);
            (1.0 - smooth) * plain / self.factor + smooth * plain
        }
    }
}

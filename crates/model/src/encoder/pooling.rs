//! From the hidden states of a text's tokens to one vector: sentence-transformers' pooling modes, alone or side by side
//! (`models/Pooling.py`). Plain loops over floats; what comes after the pooling is `pipeline`'s.

/// One way of making one vector of the hidden states h of a text's n tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The first token's state.
    Cls,
    /// The largest of each feature.
    Max,
    /// Σ h / n.
    Mean,
    /// Σ h / √n.
    MeanSqrtLen,
    /// Σ i h / Σ i with i from 1: later tokens count more (Muennighoff 2022, arXiv:2202.08904).
    WeightedMean,
    /// The last token's state.
    Last,
}

impl Mode {
    /// Every mode, in the order in which several stand side by side.
    pub const ALL: [Mode; 6] = [Mode::Cls, Mode::Max, Mode::Mean, Mode::MeanSqrtLen, Mode::WeightedMean, Mode::Last];

    /// The name that the newer form of a pooling's config.json has for it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Cls => "cls",
            Mode::Max => "max",
            Mode::Mean => "mean",
            Mode::MeanSqrtLen => "mean_sqrt_len_tokens",
            Mode::WeightedMean => "weightedmean",
            Mode::Last => "lasttoken",
        }
    }

    /// The key of the older form, whose value says whether the mode is used.
    pub fn key(self) -> &'static str {
        match self {
            Mode::Cls => "pooling_mode_cls_token",
            Mode::Max => "pooling_mode_max_tokens",
            Mode::Mean => "pooling_mode_mean_tokens",
            Mode::MeanSqrtLen => "pooling_mode_mean_sqrt_len_tokens",
            Mode::WeightedMean => "pooling_mode_weightedmean_tokens",
            Mode::Last => "pooling_mode_lasttoken",
        }
    }
}

/// One mode, or several whose vectors stand one after the other. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooling(Vec<Mode>);

impl From<Mode> for Pooling {
    fn from(mode: Mode) -> Self {
        Self(vec![mode])
    }
}

impl Pooling {
    /// Puts several modes side by side, in the order of [`Mode::ALL`]; `None` where there is none.
    pub fn of(mut modes: Vec<Mode>) -> Option<Self> {
        modes.sort_unstable();
        modes.dedup();
        (!modes.is_empty()).then_some(Self(modes))
    }

    /// Its modes, each once, in the order of [`Mode::ALL`].
    pub fn modes(&self) -> &[Mode] {
        &self.0
    }

    /// The width of the vector it makes of states of width `dim`.
    pub fn width(&self, dim: usize) -> usize {
        dim * self.0.len()
    }

    /// Makes one vector of the states of one text, rows of `dim`, at least one.
    ///
    /// # Panics
    /// Where there is no row.
    pub fn pool(&self, states: &[f32], dim: usize) -> Vec<f32> {
        self.0.iter().flat_map(|&mode| pool(mode, states, dim)).collect()
    }
}

fn pool(mode: Mode, states: &[f32], dim: usize) -> Vec<f32> {
    let n = (states.len() / dim) as f32;
    match mode {
        Mode::Cls => states[..dim].to_vec(),
        Mode::Last => states[states.len() - dim..].to_vec(),
        Mode::Max => {
            let mut most = states[..dim].to_vec();
            for row in states.chunks_exact(dim) {
                most.iter_mut().zip(row).for_each(|(most, x)| *most = most.max(*x));
            }
            most
        }
        Mode::Mean => weighted(states, dim, |_| 1.0 / n),
        Mode::MeanSqrtLen => weighted(states, dim, |_| 1.0 / n.sqrt()),
        Mode::WeightedMean => weighted(states, dim, |i| 2.0 * (i + 1) as f32 / (n * (n + 1.0))),
    }
}

fn weighted(states: &[f32], dim: usize, weight: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut sum = vec![0.0; dim];
    for (i, row) in states.chunks_exact(dim).enumerate() {
        let weight = weight(i);
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_what_their_formulas_say() {
        let states = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
        let near = |mode: Mode, want: [f32; 2]| {
            let got = Pooling::from(mode).pool(&states, 2);
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{mode:?}: {got:?}");
        };
        near(Mode::Cls, [1.0, -2.0]);
        near(Mode::Last, [5.0, -6.0]);
        near(Mode::Max, [5.0, 4.0]);
        near(Mode::Mean, [3.0, -4.0 / 3.0]);
        near(Mode::MeanSqrtLen, [9.0 / 3f32.sqrt(), -4.0 / 3f32.sqrt()]);
        near(Mode::WeightedMean, [22.0 / 6.0, -12.0 / 6.0]);
    }

    #[test]
    fn several_modes_stand_side_by_side_in_a_fixed_order() {
        let pooling = Pooling::of(vec![Mode::Last, Mode::Cls, Mode::Last]).expect("two modes");
        assert_eq!(pooling.modes(), [Mode::Cls, Mode::Last]);
        assert_eq!((pooling.pool(&[1.0, 2.0], 1), pooling.width(1)), (vec![1.0, 2.0], 2));
        assert_eq!(Pooling::of(Vec::new()), None);
    }
}

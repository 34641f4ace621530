//! Mixers that keep a state of constant size: the convolution over a few tokens before it, and the matrix of each head that
//! forgets, learns a value under a key, and is read with a query. What follows what is told by runs, as spans tell it of
//! attention; where a run ends the state may be wanted.
//!
//! Gated delta rule: Yang et al. 2024, arXiv:2412.06464, equation 10. Mamba-2: Dao and Gu 2024, arXiv:2405.21060, equation 1,
//! which is the same without the correction.

use crate::float::for_each_isa;
use crate::pool;

/// A run of tokens of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many tokens.
    pub len: usize,
    /// What it goes on from.
    pub after: After,
    /// Whether the state at its end is wanted.
    pub wanted: bool,
}

/// What a run goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing: it begins a sequence.
    Nothing,
    /// An earlier run, which is wanted.
    Run(usize),
    /// A state that was kept.
    Kept(usize),
}

/// A convolution of each channel with its own weights, over the present token and those before it.
#[derive(Debug, Clone, Copy)]
pub struct Convolution<'a> {
    /// (taps, channels); the last is for the present token.
    pub weight: &'a [f32],
    /// (channels).
    pub bias: Option<&'a [f32]>,
    /// How many there are.
    pub channels: usize,
}

/// What is done at each token to the matrix S (key, value) of each head, and what is read:
/// S = decay · S + k ⊗ (strength · (v - decay · Sᵀk)), y = Sᵀq; without the part under the minus where it does not correct.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// Queries, (T, groups, key).
    pub q: &'a [f32],
    /// Keys, (T, groups, key).
    pub k: &'a [f32],
    /// Values, (T, heads, value).
    pub v: &'a [f32],
    /// What is left of each head's matrix, (T, heads).
    pub decay: &'a [f32],
    /// How much each head learns, (T, heads).
    pub strength: &'a [f32],
    /// How many groups there are; the heads of one stand together and share queries and keys.
    pub groups: usize,
    /// How many heads there are, a multiple of the groups.
    pub heads: usize,
    /// Width of queries and keys.
    pub key: usize,
    /// Width of values.
    pub value: usize,
    /// Whether only what the matrix does not give for the key already is learnt.
    pub corrects: bool,
}

/// What a mixer gives, and the state at the end of each run that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// One row a token.
    pub rows: Vec<f32>,
    /// As many as there are runs.
    pub ends: Vec<Option<Vec<f32>>>,
}

impl Convolution<'_> {
    /// Convolves x (T, channels), of which `kept` are the last taps - 1 rows before a run, oldest first.
    pub fn run(&self, x: &[f32], runs: &[Run], kept: &[&[f32]]) -> Mixed {
        let channels = self.channels;
        let before = self.weight.len() / channels - 1;
        let mut mixed = Mixed { rows: vec![0.0; x.len()], ends: Vec::with_capacity(runs.len()) };
        let mut at = 0;
        for run in runs {
            let own = &x[at * channels..(at + run.len) * channels];
            let mut seen = match run.after {
                After::Nothing => vec![0.0; before * channels],
                After::Run(earlier) => mixed.ends[earlier].clone().expect("a run that is gone on from is wanted"),
                After::Kept(index) => kept[index].to_vec(),
            };
            seen.extend_from_slice(own);
            let out = &mut mixed.rows[at * channels..(at + run.len) * channels];
            pool::fill_rows_costing(out, channels, channels * (before + 1), |first, rows| {
                for (token, y) in (first..).zip(rows.chunks_exact_mut(channels)) {
                    match self.bias {
                        Some(bias) => y.copy_from_slice(bias),
                        None => y.fill(0.0),
                    }
                    for (tap, weight) in self.weight.chunks_exact(channels).enumerate() {
                        add_product(weight, &seen[(token + tap) * channels..][..channels], y);
                    }
                }
            });
            mixed.ends.push(run.wanted.then(|| seen[run.len * channels..].to_vec()));
            at += run.len;
        }
        mixed
    }
}

impl Scan<'_> {
    /// Runs over all tokens; `kept` are states of all heads, (heads, key, value) each.
    pub fn run(&self, runs: &[Run], kept: &[&[f32]]) -> Mixed {
        let (heads, width, size) = (self.heads, self.value, self.key * self.value);
        let tokens = self.decay.len() / heads;
        // each head by itself, since a head's matrix stays in cache
        let mut by_head: Vec<Mixed> =
            (0..heads).map(|_| Mixed { rows: vec![0.0; tokens * width], ends: Vec::new() }).collect();
        let one_by_one = tokens * heads * size < WORTH_SHARING;
        match one_by_one {
            true => by_head.iter_mut().enumerate().for_each(|(head, mixed)| self.of_head(head, runs, kept, mixed)),
            false => pool::each(by_head.iter_mut().enumerate().collect(), |(head, mixed): (usize, &mut Mixed)| {
                self.of_head(head, runs, kept, mixed);
            }),
        }
        let mut mixed = Mixed { rows: vec![0.0; tokens * heads * width], ends: Vec::with_capacity(runs.len()) };
        for (token, row) in mixed.rows.chunks_exact_mut(heads * width).enumerate() {
            for (own, all) in by_head.iter().zip(row.chunks_exact_mut(width)) {
                all.copy_from_slice(&own.rows[token * width..][..width]);
            }
        }
        for (index, run) in runs.iter().enumerate() {
            let ends = || by_head.iter().flat_map(|own| own.ends[index].iter().flatten().copied()).collect();
            mixed.ends.push(run.wanted.then(ends));
        }
        mixed
    }

    fn of_head(&self, head: usize, runs: &[Run], kept: &[&[f32]], mixed: &mut Mixed) {
        let Self { groups, heads, key, value, .. } = *self;
        let group = head / (heads / groups);
        let size = key * value;
        let mut at = 0;
        for run in runs {
            let mut matrix = match run.after {
                After::Nothing => vec![0.0; size],
                After::Run(earlier) => mixed.ends[earlier].clone().expect("a run that is gone on from is wanted"),
                After::Kept(index) => kept[index][head * size..(head + 1) * size].to_vec(),
            };
            let mut learnt = vec![0.0; value];
            for token in at..at + run.len {
                let of_group = (token * groups + group) * key..(token * groups + group + 1) * key;
                let of_head = token * heads + head;
                step(
                    &mut matrix,
                    &self.q[of_group.clone()],
                    &self.k[of_group],
                    &self.v[of_head * value..(of_head + 1) * value],
                    self.decay[of_head],
                    self.strength[of_head],
                    self.corrects,
                    &mut learnt,
                    &mut mixed.rows[token * value..(token + 1) * value],
                );
            }
            mixed.ends.push(run.wanted.then_some(matrix));
            at += run.len;
        }
    }
}

/// Numbers of states times tokens from which threads share the heads.
const WORTH_SHARING: usize = 1 << 15;

for_each_isa! {
    /// y += w · x, each number by itself.
    fn add_product(w: &[f32], x: &[f32], y: &mut [f32]) {
        for (y, (w, x)) in y.iter_mut().zip(w.iter().zip(x)) {
            *y += w * x;
        }
    }
}

for_each_isa! {
    /// One token of one head.
    fn step(
        matrix: &mut [f32],
        q: &[f32],
        k: &[f32],
        v: &[f32],
        decay: f32,
        strength: f32,
        corrects: bool,
        learnt: &mut [f32],
        y: &mut [f32],
    ) {
        let value = v.len();
        learnt.fill(0.0);
        if corrects {
            for (row, &k) in matrix.chunks_exact(value).zip(k) {
                for (sum, s) in learnt.iter_mut().zip(row) {
                    *sum += s * k;
                }
            }
        }
        for (learnt, v) in learnt.iter_mut().zip(v) {
            *learnt = (v - decay * *learnt) * strength;
        }
        y.fill(0.0);
        for (row, (&k, &q)) in matrix.chunks_exact_mut(value).zip(k.iter().zip(q)) {
            for ((s, learnt), y) in row.iter_mut().zip(&*learnt).zip(&mut *y) {
                *s = decay * *s + k * learnt;
                *y += *s * q;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut x = seed;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    const WHOLE: Run = Run { len: 9, after: After::Nothing, wanted: true };

    #[test]
    fn a_convolution_cut_in_two_is_the_whole() {
        let (weight, bias, x) = (numbers(4 * 6, 1), numbers(6, 2), numbers(9 * 6, 3));
        let convolution = Convolution { weight: &weight, bias: Some(&bias), channels: 6 };
        let whole = convolution.run(&x, &[WHOLE], &[]);
        let two = [Run { len: 2, ..WHOLE }, Run { len: 7, after: After::Run(0), wanted: true }];
        let pieces = convolution.run(&x, &two, &[]);
        assert_eq!((&whole.rows, &whole.ends[0]), (&pieces.rows, &pieces.ends[1]));
        let kept = pieces.ends[0].clone().expect("wanted");
        let rest = convolution.run(&x[12..], &[Run { len: 7, after: After::Kept(0), wanted: false }], &[&kept]);
        assert_eq!((rest.rows.as_slice(), &rest.ends), (&whole.rows[12..], &vec![None]));
    }

    #[test]
    fn a_scan_cut_in_two_is_the_whole_and_two_may_go_on_from_one() {
        let (heads, groups, key, value) = (4, 2, 3, 5);
        let (q, k, v) = (numbers(9 * groups * key, 4), numbers(9 * groups * key, 5), numbers(9 * heads * value, 6));
        let decay: Vec<f32> = numbers(9 * heads, 7).iter().map(|x| 0.5 + 0.4 * x).collect();
        let strength = numbers(9 * heads, 8);
        for corrects in [false, true] {
            let scan =
                Scan { q: &q, k: &k, v: &v, decay: &decay, strength: &strength, groups, heads, key, value, corrects };
            let whole = scan.run(&[WHOLE], &[]);
            let two = [Run { len: 4, ..WHOLE }, Run { len: 5, after: After::Run(0), wanted: true }];
            let pieces = scan.run(&two, &[]);
            assert_eq!((&whole.rows, &whole.ends[0]), (&pieces.rows, &pieces.ends[1]));
        }
    }

    #[test]
    fn a_matrix_that_corrects_gives_a_value_back_for_its_key() {
        // a key of length 1, learnt in full
        let (k, v) = ([0.6, 0.8], [3.0, -2.0, 5.0]);
        let scan = Scan {
            q: &[0.6, 0.8, 0.6, 0.8],
            k: &[k, k].concat(),
            v: &[[9.0, 9.0, 9.0], v].concat(),
            decay: &[1.0; 2],
            strength: &[1.0; 2],
            groups: 1,
            heads: 1,
            key: 2,
            value: 3,
            corrects: true,
        };
        let read = scan.run(&[Run { len: 2, ..WHOLE }], &[]).rows;
        assert!(read[3..].iter().zip(v).all(|(got, v)| (got - v).abs() < 1e-5), "{read:?}");
    }
}

//! Quants that are chosen one after the other. The error that rounding one weight makes is passed on to the weights that
//! come after it, whose targets move so that together they make up for it as well as they can (GPTQ, Frantar et al. 2022,
//! in the form of LDLQ, Chee et al. 2023). A block's scales are settled first, by what its targets are then; those of a
//! sub-block once more when its turn has come and its targets have moved: a few candidates are tried side by side, and
//! each is tried with the passing on of errors that it will be used with.

use super::affine::{self, AffineGrid};
use super::lanes::{LANES, Lanes, least, nearest_in, reciprocal, stored};
use super::symmetric::{self, Grid, Range};
use super::uneven::{self, UnevenGrid};
use super::{Line, Weighed, affine as line, symmetric as scale};
use crate::block::{Encode, Feedback};
use std::array::from_fn;

/// A type whose quants are chosen in turn, in sub-blocks of LEN weights that share scales.
pub(crate) trait InTurn<const LEN: usize>: Encode {
    /// What is stored of a block beside its quants.
    type Scales: Scales<LEN>;

    /// The scales that suit a block before any of its quants is chosen. Must be `#[inline(always)]`, as `write`.
    fn scales(targets: &[f32], costs: &[f32]) -> Self::Scales;

    /// Writes a block of these scales and levels.
    fn write(scales: &Self::Scales, levels: &[f32], block: &mut [u8]);
}

/// What is stored of a block beside its quants, as numbers that can be moved.
pub(crate) trait Scales<const LEN: usize>: Copy {
    /// What a sub-block has of its own.
    type Own: Copy;

    /// What a sub-block could have, by the number of the round: about what it has, the likeliest for these targets, about
    /// the best so far.
    fn candidates(&self, sub: usize, round: usize, block: &Weighed<LEN>) -> [Self::Own; LANES];

    /// The step and the offset of what a sub-block could have: x = step·level + offset.
    fn line(&self, own: Self::Own) -> Line;

    /// What a sub-block has.
    fn own(&self, sub: usize) -> Self::Own;

    /// Gives a sub-block what it could have.
    fn keep(&mut self, sub: usize, own: Self::Own);

    /// The level nearest to a number.
    fn level(&self, x: f32) -> f32;
}

/// How often candidates are tried.
const ROUNDS: usize = 3;

/// Writes a block in turn. `targets` are what each weight should become for what came before the block, and then what it
/// became. Gives what it costs.
#[inline(always)]
pub(crate) fn encode<T: InTurn<LEN>, const LEN: usize>(
    weights: &[f32],
    targets: &mut [f32],
    feedback: &Feedback,
    block: &mut [u8],
) -> f32 {
    let mut scales = T::scales(targets, feedback.costs);
    let mut levels = [0.0; 256];
    let levels = &mut levels[..T::WEIGHTS];
    let mut cost = 0.0;
    for sub in 0..T::WEIGHTS / LEN {
        let first = sub * LEN;
        let own = Sub::<LEN> {
            weights: weights[first..first + LEN].try_into().expect("sub-blocks are whole"),
            targets: Weighed::costing(&targets[first..first + LEN], &feedback.costs[first..first + LEN]),
            shares: from_fn(|i| feedback.shares_of(first + i)[first..first + LEN].try_into().expect("of a square")),
        };
        let mut best = f32::INFINITY;
        for round in 0..ROUNDS {
            let candidates = scales.candidates(sub, round, &own.targets);
            let costs = own.costs_of::<T>(&scales, &candidates.map(|own| scales.line(own)));
            let lane = least(&costs);
            if costs[lane] < best {
                best = costs[lane];
                scales.keep(sub, candidates[lane]);
            }
        }
        let (errors, of_sub) =
            own.choose::<T>(&scales, sub, &mut targets[first..first + LEN], &mut levels[first..first + LEN]);
        cost += of_sub;
        for (i, error) in errors.iter().enumerate() {
            let shares = &feedback.shares_of(first + i)[first + LEN..T::WEIGHTS];
            targets[first + LEN..].iter_mut().zip(shares).for_each(|(target, share)| *target += share * error);
        }
    }
    T::write(&scales, levels, block);
    cost
}

/// A sub-block whose turn has come.
struct Sub<'a, const LEN: usize> {
    weights: &'a [f32; LEN],
    targets: Weighed<LEN>,
    shares: [&'a [f32; LEN]; LEN],
}

impl<const LEN: usize> Sub<'_, LEN> {
    /// What each line costs once the errors that it makes are passed on, side by side.
    #[inline(always)]
    fn costs_of<T: InTurn<LEN>>(&self, scales: &T::Scales, lines: &[Line; LANES]) -> Lanes {
        let (step, offset) = (lines.map(|line| line.scale), lines.map(|line| line.offset));
        let inverse = step.map(reciprocal);
        let (mut passed, mut costs) = ([[0.0; LANES]; LEN], [0.0; LANES]);
        for i in 0..LEN {
            let mut error = [0.0; LANES];
            for lane in 0..LANES {
                let target = self.targets.x[i] + passed[i][lane];
                let back = step[lane] * scales.level((target - offset[lane]) * inverse[lane]) + offset[lane];
                costs[lane] += self.targets.w[i] * (target - back) * (target - back);
                error[lane] = self.weights[i] - back;
            }
            for (passed, share) in passed[i + 1..].iter_mut().zip(&self.shares[i][i + 1..]) {
                passed.iter_mut().zip(&error).for_each(|(passed, error)| *passed += share * error);
            }
        }
        costs
    }

    /// Chooses the levels, leaves in `targets` what the weights became, and gives the errors to be passed on and what they cost.
    #[inline(always)]
    fn choose<T: InTurn<LEN>>(
        &self,
        scales: &T::Scales,
        sub: usize,
        targets: &mut [f32],
        levels: &mut [f32],
    ) -> ([f32; LEN], f32) {
        let Line { scale: step, offset } = scales.line(scales.own(sub));
        let inverse = reciprocal(step);
        let (mut errors, mut cost) = ([0.0; LEN], 0.0);
        for i in 0..LEN {
            levels[i] = scales.level((targets[i] - offset) * inverse);
            let back = step * levels[i] + offset;
            cost += self.targets.w[i] * (targets[i] - back) * (targets[i] - back);
            targets[i] = back;
            errors[i] = self.weights[i] - back;
            let shares = &self.shares[i][i + 1..];
            targets[i + 1..].iter_mut().zip(shares).for_each(|(target, share)| *target += share * errors[i]);
        }
        (errors, cost)
    }
}

/// Levels as small integers.
#[inline(always)]
pub(crate) fn integers<const N: usize>(levels: &[f32]) -> [i8; N] {
    from_fn(|i| levels[i] as i8)
}

/// Levels from 0 on.
#[inline(always)]
pub(crate) fn counts<const N: usize>(levels: &[f32]) -> [u8; N] {
    from_fn(|i| levels[i] as u8)
}

/// The numbers of uneven values.
#[inline(always)]
pub(crate) fn choices<const N: usize>(levels: &[f32]) -> [u8; N] {
    from_fn(|i| uneven::choice(levels[i]))
}

/// The same for each sub-block.
#[inline(always)]
pub(crate) fn in_subs<Q, const LEN: usize, const SUBS: usize>(
    levels: &[f32],
    of: impl Fn(&[f32]) -> [Q; LEN],
) -> [[Q; LEN]; SUBS] {
    from_fn(|sub| of(&levels[sub * LEN..(sub + 1) * LEN]))
}

/// One scale for a block of levels.
#[derive(Clone, Copy)]
pub(crate) struct Single<L> {
    pub(crate) d: f32,
    levels: L,
}

/// The integers between two, these included: Q4_0, Q5_0, Q8_0.
pub(crate) type Scaled = Single<(f32, f32)>;
/// Uneven values: IQ4_NL.
pub(crate) type Uneven = Single<UnevenValues>;

/// The values that a level may have.
pub(crate) trait Levels: Copy {
    /// The one next to x. Must be `#[inline(always)]`.
    fn nearest(self, x: f32) -> f32;
}

#[derive(Clone, Copy)]
pub(crate) struct UnevenValues;

impl Levels for (f32, f32) {
    #[inline(always)]
    fn nearest(self, x: f32) -> f32 {
        nearest_in(x, self)
    }
}

impl Levels for UnevenValues {
    #[inline(always)]
    fn nearest(self, x: f32) -> f32 {
        uneven::nearest(x)
    }
}

/// By how much a scale is stretched, staying first.
const STRETCHES: Lanes = [0.0, -0.12, -0.08, -0.05, -0.025, 0.025, 0.05, 0.08];
const FINER: Lanes = [0.0, -0.015, -0.01, -0.005, 0.005, 0.01, 0.015, 0.02];

#[inline(always)]
fn stretched(d: f32, round: usize) -> Lanes {
    let by = if round == 0 { STRETCHES } else { FINER };
    by.map(|by| stored(d * (1.0 + by)))
}

impl Scaled {
    #[inline(always)]
    pub(crate) fn search(targets: &[f32; 32], costs: &[f32; 32], range: (f32, f32)) -> Scaled {
        Scaled { d: stored(scale(&Weighed::<32>::costing(targets, costs), range)), levels: range }
    }
}

impl Uneven {
    #[inline(always)]
    pub(crate) fn search(targets: &[f32; 32], costs: &[f32; 32]) -> Uneven {
        Uneven { d: stored(uneven::scale(&Weighed::costing(targets, costs))), levels: UnevenValues }
    }
}

impl<L: Levels> Scales<32> for Single<L> {
    type Own = f32;

    #[inline(always)]
    fn candidates(&self, _: usize, round: usize, _: &Weighed<32>) -> Lanes {
        stretched(self.d, round)
    }

    #[inline(always)]
    fn line(&self, d: f32) -> Line {
        Line { scale: d, offset: 0.0 }
    }

    #[inline(always)]
    fn own(&self, _: usize) -> f32 {
        self.d
    }

    #[inline(always)]
    fn keep(&mut self, _: usize, d: f32) {
        self.d = d;
    }

    #[inline(always)]
    fn level(&self, x: f32) -> f32 {
        self.levels.nearest(x)
    }
}

/// One scale and one offset for a block: Q4_1, Q5_1.
#[derive(Clone, Copy)]
pub(crate) struct Lined {
    pub(crate) d: f32,
    pub(crate) m: f32,
    levels: f32,
}

/// By how much of a step, and by how much of the whole, a line is moved and stretched about its middle.
const MOVES: [(f32, f32); LANES] =
    [(0.0, 0.0), (0.0, -0.03), (0.0, 0.03), (0.0, -0.07), (0.25, 0.0), (-0.25, 0.0), (0.25, -0.05), (-0.25, -0.05)];

impl Lined {
    #[inline(always)]
    pub(crate) fn search(targets: &[f32; 32], costs: &[f32; 32], levels: f32) -> Lined {
        let Line { scale, offset } = line(&Weighed::<32>::costing(targets, costs), levels, false);
        Lined { d: stored(scale), m: half::f16::from_f32(offset).to_f32(), levels }
    }
}

impl Scales<32> for Lined {
    type Own = (f32, f32);

    #[inline(always)]
    fn candidates(&self, _: usize, round: usize, _: &Weighed<32>) -> [(f32, f32); LANES] {
        let fine = if round == 0 { 1.0 } else { 0.4 };
        MOVES.map(|(by, stretch)| {
            let d = stored(self.d * (1.0 + fine * stretch));
            let m = self.m + self.d * fine * by + 0.5 * self.levels * (self.d - d);
            (d, half::f16::from_f32(m).to_f32())
        })
    }

    #[inline(always)]
    fn line(&self, (scale, offset): (f32, f32)) -> Line {
        Line { scale, offset }
    }

    #[inline(always)]
    fn own(&self, _: usize) -> (f32, f32) {
        (self.d, self.m)
    }

    #[inline(always)]
    fn keep(&mut self, _: usize, own: (f32, f32)) {
        (self.d, self.m) = own;
    }

    #[inline(always)]
    fn level(&self, x: f32) -> f32 {
        nearest_in(x, (0.0, self.levels))
    }
}

/// An integer scale and minimum for each sub-block: Q2_K, Q4_K, Q5_K.
#[derive(Clone, Copy)]
pub(crate) struct Affine<const SUBS: usize> {
    pub(crate) grid: AffineGrid<SUBS>,
    levels: f32,
    steps: f32,
}

impl<const SUBS: usize> Affine<SUBS> {
    #[inline(always)]
    pub(crate) fn search<const LEN: usize>(targets: &[f32; 256], costs: &[f32; 256], levels: f32, steps: f32) -> Self {
        Affine { grid: AffineGrid::search::<LEN>(targets, Some(costs), levels, steps), levels, steps }
    }
}

impl<const SUBS: usize, const LEN: usize> Scales<LEN> for Affine<SUBS> {
    type Own = (f32, f32);

    #[inline(always)]
    fn candidates(&self, sub: usize, round: usize, block: &Weighed<LEN>) -> [(f32, f32); LANES] {
        let AffineGrid { d, dmin, scale, min } = &self.grid;
        let (scale, min) = match round {
            1 => {
                let Line { scale, offset } = line(block, self.levels, true);
                (
                    nearest_in(scale * reciprocal(*d), (0.0, self.steps)),
                    nearest_in(-offset * reciprocal(*dmin), (0.0, self.steps)),
                )
            }
            _ => (scale[sub], min[sub]),
        };
        let within = |x: f32| x.clamp(0.0, self.steps);
        affine::NEIGHBOURS.map(|(up, more)| (within(scale + up), within(min + more)))
    }

    #[inline(always)]
    fn line(&self, (scale, min): (f32, f32)) -> Line {
        // as a reader has it: a product that is taken off
        Line { scale: self.grid.d * scale, offset: -(self.grid.dmin * min) }
    }

    #[inline(always)]
    fn own(&self, sub: usize) -> (f32, f32) {
        (self.grid.scale[sub], self.grid.min[sub])
    }

    #[inline(always)]
    fn keep(&mut self, sub: usize, own: (f32, f32)) {
        (self.grid.scale[sub], self.grid.min[sub]) = own;
    }

    #[inline(always)]
    fn level(&self, x: f32) -> f32 {
        nearest_in(x, (0.0, self.levels))
    }
}

/// A signed integer scale for each sub-block: Q3_K, Q6_K.
#[derive(Clone, Copy)]
pub(crate) struct Symmetric {
    pub(crate) grid: Grid,
    q: (f32, f32),
    steps: (f32, f32),
}

impl Symmetric {
    #[inline(always)]
    pub(crate) fn search(targets: &[f32; 256], costs: &[f32; 256], range: &Range) -> Symmetric {
        Symmetric { grid: Grid::search(targets, Some(costs), range), q: range.q, steps: range.scale }
    }
}

impl Scales<16> for Symmetric {
    type Own = f32;

    #[inline(always)]
    fn candidates(&self, sub: usize, round: usize, block: &Weighed<16>) -> Lanes {
        let own = match round {
            1 => nearest_in(scale(block, self.q) * reciprocal(self.grid.d), self.steps),
            _ => self.grid.scale[sub],
        };
        symmetric::NEIGHBOURS.map(|up| (own + up).clamp(self.steps.0, self.steps.1))
    }

    #[inline(always)]
    fn line(&self, own: f32) -> Line {
        Line { scale: self.grid.d * own, offset: 0.0 }
    }

    #[inline(always)]
    fn own(&self, sub: usize) -> f32 {
        self.grid.scale[sub]
    }

    #[inline(always)]
    fn keep(&mut self, sub: usize, own: f32) {
        self.grid.scale[sub] = own;
    }

    #[inline(always)]
    fn level(&self, x: f32) -> f32 {
        nearest_in(x, self.q)
    }
}

impl Scales<32> for UnevenGrid {
    type Own = f32;

    #[inline(always)]
    fn candidates(&self, sub: usize, round: usize, block: &Weighed<32>) -> Lanes {
        let own = match round {
            1 => nearest_in(uneven::scale(block) * reciprocal(self.d), uneven::RANGE),
            _ => self.scale[sub],
        };
        uneven::NEIGHBOURS.map(|up| (own + up).clamp(uneven::RANGE.0, uneven::RANGE.1))
    }

    #[inline(always)]
    fn line(&self, own: f32) -> Line {
        Line { scale: self.d * own, offset: 0.0 }
    }

    #[inline(always)]
    fn own(&self, sub: usize) -> f32 {
        self.scale[sub]
    }

    #[inline(always)]
    fn keep(&mut self, sub: usize, own: f32) {
        self.scale[sub] = own;
    }

    #[inline(always)]
    fn level(&self, x: f32) -> f32 {
        uneven::nearest(x)
    }
}

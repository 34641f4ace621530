//! Super-blocks of 256 weights in 16 sub-blocks of 16 with a signed integer scale each, as Q3_K and Q6_K have them:
//! x = d·scale·q, with d f16 for the whole super-block.

use super::lanes::{LANES, least, nearest_in, reciprocal, stored};
use super::{Weighed, symmetric};
use half::f16;
use std::array::from_fn;

const SUBS: usize = 16;
const LEN: usize = 16;

/// The integers that a type can hold.
pub(crate) struct Range {
    pub(crate) q: (f32, f32),
    pub(crate) scale: (f32, f32),
}

/// A super-block as it is stored.
pub(crate) struct SuperBlock {
    pub(crate) d: f16,
    pub(crate) scale: [i8; SUBS],
    pub(crate) q: [[i8; LEN]; SUBS],
}

/// What is stored of a super-block but for the q, as numbers.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub(super) d: f32,
    pub(super) scale: [f32; SUBS],
}

impl SuperBlock {
    /// The best scale for every sub-block, rounded together to integers; then the integers are moved where that lessens
    /// the error, d fitted to the integers, and the integers moved once more.
    #[inline(always)]
    pub(crate) fn search(x: &[f32; 256], importance: Option<&[f32; 256]>, range: &Range) -> SuperBlock {
        let found = Grid::search(x, importance, range);
        found.rounded(x.as_chunks().0.try_into().expect("16 sub-blocks of 16 make 256"), range)
    }
}

impl Grid {
    /// As `SuperBlock::search`, all that is stored but for the q.
    #[inline(always)]
    pub(crate) fn search(x: &[f32; 256], importance: Option<&[f32; 256]>, range: &Range) -> Grid {
        let x: &[[f32; LEN]; SUBS] = x.as_chunks().0.try_into().expect("16 sub-blocks of 16 make 256");
        let importance = importance.map(|all| all.as_chunks::<LEN>().0);
        let blocks: [_; SUBS] = from_fn(|j| Weighed::new(&x[j], importance.map(|all| &all[j])));
        let mut grid = Grid::first(&blocks, range);
        let error = grid.settle(&blocks, range);
        let mut fitted = Grid { d: grid.refit(&blocks, range), ..grid };
        if fitted.settle(&blocks, range) < error {
            grid = fitted;
        }
        grid
    }

    #[inline(always)]
    fn first(blocks: &[Weighed<LEN>; SUBS], range: &Range) -> Grid {
        let mut scales = [0.0; SUBS];
        for (scale, block) in scales.iter_mut().zip(blocks) {
            *scale = symmetric(block, range.q);
        }
        let extreme = scales.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
        let d = stored(extreme / range.scale.0); // the low end reaches one step further
        Grid { d, scale: scales.map(|scale| nearest_in(scale * reciprocal(d), range.scale)) }
    }

    /// Move every sub-block's integer to the neighbour of least error. Returns the super-block's squared error.
    #[inline(always)]
    fn settle(&mut self, blocks: &[Weighed<LEN>; SUBS], range: &Range) -> f32 {
        let mut total = 0.0;
        for (scale, block) in self.scale.iter_mut().zip(blocks) {
            let near = NEIGHBOURS.map(|up| (*scale + up).clamp(range.scale.0, range.scale.1));
            let errors = block.errors(&near.map(|near| self.d * near), &[0.0; LANES], range.q);
            let lane = least(&errors);
            *scale = near[lane];
            total += errors[lane];
        }
        total
    }

    /// d by least squares for the integers as they are.
    #[inline(always)]
    fn refit(&self, blocks: &[Weighed<LEN>; SUBS], range: &Range) -> f32 {
        let (mut xa, mut aa) = (0f64, 0f64);
        for (scale, block) in self.scale.iter().zip(blocks) {
            let q = integers(&block.x, self.d * scale, range.q);
            let sum = |of: &dyn Fn(usize) -> f32| f64::from((0..LEN).map(of).sum::<f32>());
            let scale = f64::from(*scale);
            xa += scale * sum(&|i| block.wx[i] * q[i]);
            aa += scale * scale * sum(&|i| block.w[i] * q[i] * q[i]);
        }
        if aa > 0.0 { stored((xa / aa) as f32) } else { self.d }
    }

    /// The super-block as it is stored.
    #[inline(always)]
    fn rounded(&self, x: &[[f32; LEN]; SUBS], range: &Range) -> SuperBlock {
        let mut q = [[0; LEN]; SUBS];
        for (j, q) in q.iter_mut().enumerate() {
            *q = integers(&x[j], self.d * self.scale[j], range.q).map(|q| q as i8);
        }
        self.with(q)
    }

    /// The super-block of these integers.
    #[inline(always)]
    pub(crate) fn with(&self, q: [[i8; LEN]; SUBS]) -> SuperBlock {
        SuperBlock { d: f16::from_f32(self.d), scale: self.scale.map(|v| v as i8), q }
    }
}

/// The moves of a scale that are tried, staying first, so that a tie changes nothing.
pub(super) const NEIGHBOURS: [f32; LANES] = [0., 1., -1., 2., -2., 3., -3., 4.];

/// The best q for every weight of a sub-block under a step.
#[inline(always)]
fn integers(x: &[f32; LEN], step: f32, range: (f32, f32)) -> [f32; LEN] {
    let inverse = reciprocal(step);
    x.map(|x| nearest_in(x * inverse, range))
}

//! Super-blocks of 256 weights in sub-blocks with an integer scale and minimum each, as Q2_K, Q4_K and Q5_K have them:
//! x = d·scale·q − dmin·min, with d and dmin f16 for the whole super-block.

use super::lanes::{LANES, least, nearest_in, reciprocal, stored};
use super::{Line, Weighed, affine};
use half::f16;
use std::array::from_fn;

/// A super-block as it is stored.
pub(crate) struct SuperBlock<const SUBS: usize, const LEN: usize> {
    pub(crate) d: f16,
    pub(crate) dmin: f16,
    pub(crate) scale: [u8; SUBS],
    pub(crate) min: [u8; SUBS],
    pub(crate) q: [[u8; LEN]; SUBS],
}

/// What is stored of a super-block but for the q, as numbers.
#[derive(Clone, Copy)]
pub(crate) struct AffineGrid<const SUBS: usize> {
    pub(super) d: f32,
    pub(super) dmin: f32,
    pub(super) scale: [f32; SUBS],
    pub(super) min: [f32; SUBS],
}

impl<const SUBS: usize, const LEN: usize> SuperBlock<SUBS, LEN> {
    /// The best line for every sub-block, rounded together to `steps` integer steps; then the integers are moved where
    /// that lessens the error, d and dmin fitted to the integers, and the integers moved once more.
    #[inline(always)]
    pub(crate) fn search(x: &[f32; 256], importance: Option<&[f32; 256]>, levels: f32, steps: f32) -> Self {
        let found = AffineGrid::<SUBS>::search::<LEN>(x, importance, levels, steps);
        found.rounded(x.as_chunks().0.try_into().expect("SUBS sub-blocks of LEN make 256"), levels)
    }
}

impl<const SUBS: usize> AffineGrid<SUBS> {
    /// As `SuperBlock::search`, all that is stored but for the q.
    #[inline(always)]
    pub(crate) fn search<const LEN: usize>(
        x: &[f32; 256],
        importance: Option<&[f32; 256]>,
        levels: f32,
        steps: f32,
    ) -> Self {
        let x: &[[f32; LEN]; SUBS] = x.as_chunks().0.try_into().expect("SUBS sub-blocks of LEN make 256");
        let importance = importance.map(|all| all.as_chunks::<LEN>().0);
        let blocks: [_; SUBS] = from_fn(|j| Weighed::new(&x[j], importance.map(|all| &all[j])));
        let mut grid = AffineGrid::first(&blocks, levels, steps);
        let error = grid.settle(&blocks, levels, steps);
        let mut fitted = grid;
        fitted.refit(&blocks, levels);
        if fitted.settle(&blocks, levels, steps) < error {
            grid = fitted;
        }
        grid
    }

    #[inline(always)]
    fn first<const LEN: usize>(blocks: &[Weighed<LEN>; SUBS], levels: f32, steps: f32) -> Self {
        let mut lines = [Line::default(); SUBS];
        for (line, block) in lines.iter_mut().zip(blocks) {
            *line = affine(block, levels, true);
        }
        let most_scale = lines.iter().fold(0f32, |most, line| most.max(line.scale));
        let most_min = lines.iter().fold(0f32, |most, line| most.max(-line.offset));
        let (d, dmin) = (stored(most_scale / steps), stored(most_min / steps));
        AffineGrid {
            d,
            dmin,
            scale: lines.map(|line| nearest_in(line.scale * reciprocal(d), (0.0, steps))),
            min: lines.map(|line| nearest_in(-line.offset * reciprocal(dmin), (0.0, steps))),
        }
    }

    /// Move every sub-block's integers to the neighbours of least error. Returns the super-block's squared error.
    #[inline(always)]
    fn settle<const LEN: usize>(&mut self, blocks: &[Weighed<LEN>; SUBS], levels: f32, steps: f32) -> f32 {
        let mut total = 0.0;
        for (j, block) in blocks.iter().enumerate() {
            let scale = NEIGHBOURS.map(|(up, _)| (self.scale[j] + up).clamp(0.0, steps));
            let min = NEIGHBOURS.map(|(_, up)| (self.min[j] + up).clamp(0.0, steps));
            let errors = block.errors(&scale.map(|s| self.d * s), &min.map(|m| self.dmin * m), (0.0, levels));
            let lane = least(&errors);
            (self.scale[j], self.min[j]) = (scale[lane], min[lane]);
            total += errors[lane];
        }
        total
    }

    /// d and dmin by least squares for the integers as they are: x ≈ d·A − dmin·B, A = scale·q, B = min.
    #[inline(always)]
    fn refit<const LEN: usize>(&mut self, blocks: &[Weighed<LEN>; SUBS], levels: f32) {
        let [mut aa, mut ab, mut bb, mut xa, mut xb] = [0f64; 5];
        for (j, block) in blocks.iter().enumerate() {
            let (step, offset) = (self.d * self.scale[j], self.dmin * self.min[j]);
            let q = integers(&block.x, step, offset, levels);
            let sum = |of: &dyn Fn(usize) -> f32| f64::from((0..LEN).map(of).sum::<f32>());
            let (scale, min) = (f64::from(self.scale[j]), f64::from(self.min[j]));
            aa += scale * scale * sum(&|i| block.w[i] * q[i] * q[i]);
            ab += scale * min * sum(&|i| block.w[i] * q[i]);
            bb += min * min * sum(&|i| block.w[i]);
            xa += scale * sum(&|i| block.wx[i] * q[i]);
            xb += min * sum(&|i| block.wx[i]);
        }
        let determinant = aa * bb - ab * ab;
        if determinant > 1e-9 * aa * bb {
            let (d, dmin) = ((xa * bb - xb * ab) / determinant, (xa * ab - xb * aa) / determinant);
            if d > 0.0 && dmin >= 0.0 {
                (self.d, self.dmin) = (stored(d as f32), stored(dmin as f32));
            }
        } else if aa > 0.0 && bb == 0.0 {
            self.d = stored((xa / aa).max(0.0) as f32);
        }
    }

    /// The super-block as it is stored.
    #[inline(always)]
    fn rounded<const LEN: usize>(&self, x: &[[f32; LEN]; SUBS], levels: f32) -> SuperBlock<SUBS, LEN> {
        let mut q = [[0; LEN]; SUBS];
        for (j, q) in q.iter_mut().enumerate() {
            *q = integers(&x[j], self.d * self.scale[j], self.dmin * self.min[j], levels).map(|q| q as u8);
        }
        self.with(q)
    }

    /// The super-block of these integers.
    #[inline(always)]
    pub(crate) fn with<const LEN: usize>(&self, q: [[u8; LEN]; SUBS]) -> SuperBlock<SUBS, LEN> {
        SuperBlock {
            d: f16::from_f32(self.d),
            dmin: f16::from_f32(self.dmin),
            scale: self.scale.map(|v| v as u8),
            min: self.min.map(|v| v as u8),
            q,
        }
    }
}

/// The moves of a scale and a min that are tried, staying first, so that a tie changes nothing. A scale and a min that
/// grow together keep the top of the block where it is.
pub(super) const NEIGHBOURS: [(f32, f32); LANES] =
    [(0., 0.), (1., 0.), (-1., 0.), (0., 1.), (0., -1.), (1., 1.), (-1., -1.), (1., 2.)];

/// The best q for every weight of a sub-block under a step and a minimum.
#[inline(always)]
fn integers<const LEN: usize>(x: &[f32; LEN], step: f32, min: f32, levels: f32) -> [f32; LEN] {
    let inverse = reciprocal(step);
    let mut q = *x;
    for q in &mut q {
        *q = nearest_in((*q + min) * inverse, (0.0, levels));
    }
    q
}

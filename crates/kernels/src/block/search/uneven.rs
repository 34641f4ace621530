//! Weights that choose among sixteen unevenly spaced values, as IQ4_NL and IQ4_XS have them: x = scale·value.

use super::Weighed;
use super::lanes::{LANES, Lanes, least, nearest_in, reciprocal, stored};
use half::f16;
use std::array::from_fn;

/// The sixteen values: `kvalues_iq4nl` in ggml-common.h.
pub(crate) const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The value nearest to a number.
#[inline(always)]
pub(super) fn nearest(x: f32) -> f32 {
    VALUES.windows(2).fold(f32::from(VALUES[0]), |value, pair| {
        let (low, high) = (f32::from(pair[0]), f32::from(pair[1]));
        if x > 0.5 * (low + high) { high } else { value }
    })
}

/// The number of the value nearest to a number.
#[inline(always)]
pub(crate) fn choice(x: f32) -> u8 {
    VALUES.windows(2).map(|pair| u8::from(x > 0.5 * (f32::from(pair[0]) + f32::from(pair[1])))).sum()
}

/// The scale of least error: the largest weight is laid on either end, and a little off it.
#[inline(always)]
pub(crate) fn scale(block: &Weighed<32>) -> f32 {
    let extreme = block.x.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
    if extreme == 0.0 {
        return 0.0;
    }
    let (mut best, mut most) = (0.0, 0.0);
    for end in [VALUES[0], VALUES[15]].map(f32::from) {
        let inverse: Lanes = from_fn(|lane| (end + 2.0 * (lane as f32 - 4.0)) / extreme);
        let (mut vv, mut xv) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..32 {
            for lane in 0..LANES {
                let value = nearest(block.x[i] * inverse[lane]);
                vv[lane] += block.w[i] * value * value;
                xv[lane] += block.wx[i] * value;
            }
        }
        for lane in 0..LANES {
            // what the best scale for these values takes off the squared error
            let gain = xv[lane] * xv[lane] / vv[lane];
            if gain > most {
                (best, most) = (xv[lane] / vv[lane], gain);
            }
        }
    }
    best
}

/// 256 weights in runs of 32 with an integer scale in −32..=31 each.
pub(crate) struct UnevenSuperBlock {
    pub(crate) d: f16,
    pub(crate) scale: [i8; 8],
    pub(crate) choice: [[u8; 32]; 8],
}

/// What is stored of a super-block but for the choices, as numbers.
#[derive(Clone, Copy)]
pub(crate) struct UnevenGrid {
    pub(super) d: f32,
    pub(super) scale: [f32; 8],
}

impl UnevenSuperBlock {
    /// The best scale for every run, rounded together to integers; then the integers are moved where that lessens the
    /// error, d fitted to the integers, and the integers moved once more.
    #[inline(always)]
    pub(crate) fn search(x: &[f32; 256], importance: Option<&[f32; 256]>) -> UnevenSuperBlock {
        let grid = UnevenGrid::search(x, importance);
        let x = x.as_chunks::<32>().0;
        grid.with(from_fn(|j| {
            let inverse = reciprocal(grid.d * grid.scale[j]);
            x[j].map(|x| choice(x * inverse))
        }))
    }
}

impl UnevenGrid {
    /// As `UnevenSuperBlock::search`, all that is stored but for the choices.
    #[inline(always)]
    pub(crate) fn search(x: &[f32; 256], importance: Option<&[f32; 256]>) -> UnevenGrid {
        let (x, importance) = (x.as_chunks::<32>().0, importance.map(|all| all.as_chunks::<32>().0));
        let blocks: [_; 8] = from_fn(|j| Weighed::new(&x[j], importance.map(|all| &all[j])));
        let scales: [f32; 8] = from_fn(|j| scale(&blocks[j]));
        let extreme = scales.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
        let mut d = stored(extreme / RANGE.0); // the low end reaches one step further
        let mut scale = scales.map(|scale| nearest_in(scale * reciprocal(d), RANGE));
        let error = settle(&blocks, d, &mut scale);
        let (fitted, mut moved) = (refit(&blocks, d, &scale), scale);
        if settle(&blocks, fitted, &mut moved) < error {
            (d, scale) = (fitted, moved);
        }
        UnevenGrid { d, scale }
    }

    /// The super-block of these choices.
    #[inline(always)]
    pub(crate) fn with(&self, choice: [[u8; 32]; 8]) -> UnevenSuperBlock {
        UnevenSuperBlock { d: f16::from_f32(self.d), scale: self.scale.map(|v| v as i8), choice }
    }
}

pub(super) const RANGE: (f32, f32) = (-32.0, 31.0);

/// The moves of a scale that are tried, staying first, so that a tie changes nothing.
pub(super) const NEIGHBOURS: [f32; LANES] = [0., 1., -1., 2., -2., 3., -3., 4.];

/// Moves every run's integer to the neighbour of least error. Returns the super-block's squared error.
#[inline(always)]
fn settle(blocks: &[Weighed<32>; 8], d: f32, scales: &mut [f32; 8]) -> f32 {
    let mut total = 0.0;
    for (scale, block) in scales.iter_mut().zip(blocks) {
        let near = NEIGHBOURS.map(|up| (*scale + up).clamp(RANGE.0, RANGE.1));
        let inverse = near.map(|near| reciprocal(d * near));
        let mut errors = [0.0; LANES];
        for i in 0..32 {
            for lane in 0..LANES {
                let miss = block.x[i] - d * near[lane] * nearest(block.x[i] * inverse[lane]);
                errors[lane] += block.w[i] * miss * miss;
            }
        }
        let lane = least(&errors);
        *scale = near[lane];
        total += errors[lane];
    }
    total
}

/// d by least squares for the integers as they are.
#[inline(always)]
fn refit(blocks: &[Weighed<32>; 8], d: f32, scales: &[f32; 8]) -> f32 {
    let (mut xa, mut aa) = (0f64, 0f64);
    for (scale, block) in scales.iter().zip(blocks) {
        let inverse = reciprocal(d * scale);
        let (mut xv, mut vv) = (0f32, 0f32);
        for i in 0..32 {
            let value = nearest(block.x[i] * inverse);
            xv += block.wx[i] * value;
            vv += block.w[i] * value * value;
        }
        let scale = f64::from(*scale);
        xa += scale * f64::from(xv);
        aa += scale * scale * f64::from(vv);
    }
    if aa > 0.0 { stored((xa / aa) as f32) } else { d }
}

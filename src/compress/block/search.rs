//! The search for a block's scale: least squares over a grid of roundings. What is minimised is the plain squared
//! error of the weights; ggml's own search (ggml-quants.c, make_qx_quants and make_qkx2_quants) weights it by the
//! weights' size and rounds the scales afterwards.

use super::lanes::{dot, rounded, sum};

/// The factors by which the obvious scale (the largest weight on the last integer) is stretched and shrunk.
#[inline(always)]
fn stretches(steps: i32, width: f32) -> impl Iterator<Item = f32> {
    (-steps..=steps).map(move |step| step as f32 * width)
}

/// The scale s for which x ≈ s·q has the least error, q an integer in `low..=high`, low < 0.
#[inline(always)]
pub fn symmetric<const N: usize>(x: &[f32; N], low: f32, high: f32) -> f32 {
    let extreme = x.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
    if extreme == 0.0 {
        return 0.0;
    }
    let mut best = Best { gain: 0.0, scale: 0.0 };
    for end in [low, high] {
        for stretch in stretches(9, 0.1) {
            best.consider(x, (end + stretch) / extreme, low, high);
        }
        if -low == high {
            break;
        }
    }
    // Lloyd's step: round with the best scale so far, then fit the scale to those integers
    best.consider(x, 1.0 / best.scale, low, high);
    best.scale
}

/// The scale that explains most of the block so far: `gain` is how much it takes off the squared error.
struct Best {
    gain: f32,
    scale: f32,
}

impl Best {
    #[inline(always)]
    fn consider<const N: usize>(&mut self, x: &[f32; N], inverse: f32, low: f32, high: f32) {
        let q = rounded(x, inverse, 0.0, low, high);
        let (xq, qq) = (dot(x, &q), dot(&q, &q));
        if qq > 0.0 && xq * xq > self.gain * qq {
            *self = Best { gain: xq * xq / qq, scale: xq / qq };
        }
    }
}

/// A line x ≈ scale·q + offset, q an integer in 0..=levels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    pub scale: f32,
    pub offset: f32,
}

/// The line of least error through a block. `below_zero` holds the offset at or under zero, as the k-quants need it.
#[inline(always)]
pub fn affine<const N: usize>(x: &[f32; N], levels: f32, below_zero: bool) -> Line {
    let (mut least, mut most) = x.iter().fold((x[0], x[0]), |(least, most), &v| (least.min(v), most.max(v)));
    if below_zero {
        (least, most) = (least.min(0.0), most.max(0.0));
    }
    if most <= least {
        return Line { scale: 0.0, offset: least };
    }
    let (sx, sxx) = (sum(x), dot(x, x));
    let mut best = Line { scale: (most - least) / levels, offset: least };
    let mut least_error = f32::INFINITY;
    for shift in [-0.3f32, 0.0, 0.3] {
        for stretch in stretches(9, 0.1) {
            let inverse = (levels + stretch) / (most - least);
            let q = rounded(x, inverse, shift - least * inverse, 0.0, levels);
            let (q1, q2, xq) = (sum(&q), dot(&q, &q), dot(x, &q));
            let Some((line, error)) = fit::<N>(sx, sxx, q1, q2, xq, below_zero) else { continue };
            if error < least_error {
                (best, least_error) = (line, error);
            }
        }
    }
    best
}

/// Least squares of x on q, with the squared error it leaves; None where every q is the same.
#[inline(always)]
fn fit<const N: usize>(sx: f32, sxx: f32, q1: f32, q2: f32, xq: f32, below_zero: bool) -> Option<(Line, f32)> {
    let n = N as f32;
    let determinant = n * q2 - q1 * q1;
    if determinant <= 0.0 {
        return None;
    }
    let mut line = Line { scale: (n * xq - sx * q1) / determinant, offset: (q2 * sx - q1 * xq) / determinant };
    if below_zero && line.offset > 0.0 {
        line = Line { scale: xq / q2, offset: 0.0 };
    }
    let Line { scale, offset } = line;
    let error =
        sxx - 2.0 * (scale * xq + offset * sx) + scale * scale * q2 + 2.0 * scale * offset * q1 + offset * offset * n;
    (scale > 0.0).then_some((line, error))
}

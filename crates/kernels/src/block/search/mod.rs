//! The search for a block's scale: weighted least squares over a grid of roundings, eight at once.
//!
//! What is minimised is Σ w·(x − x̂)² with w = |x| + rms(x), as ggml's own search has it for Q4_K (ggml-quants.c,
//! make_qkx2_quants). With w = 1 the plain error is 1 to 3% less, but large weights shrink: the KL divergence of
//! bantam-l from itself in f16 was 0.116 with Q2_K and 0.024 with Q3_K_M, where it now is 0.084 and 0.020.

pub(super) mod affine;
pub(super) mod lanes;
pub(super) mod legacy;
pub(super) mod runs;
pub(super) mod symmetric;
pub(super) mod ternary;
pub(super) mod turns;
pub(super) mod uneven;

use self::lanes::{LANES, Lanes, least, nearest_in, reciprocal};
use std::array::from_fn;

/// Numbers, and how much an error in each counts.
#[derive(Clone, Copy)]
pub(crate) struct Weighed<const N: usize> {
    pub(crate) x: [f32; N],
    pub(crate) w: [f32; N],
    /// w·x.
    pub(crate) wx: [f32; N],
}

/// Weighted sums over a block and its integers: everything that least squares asks for.
pub(crate) struct Sums {
    /// Σ w·q.
    pub(crate) q: Lanes,
    /// Σ w·q².
    pub(crate) qq: Lanes,
    /// Σ w·x·q.
    pub(crate) xq: Lanes,
}

impl<const N: usize> Weighed<N> {
    /// `importance` is how much each column matters beyond that. All zeros say nothing, and are as none.
    #[inline(always)]
    pub(crate) fn new(x: &[f32; N], importance: Option<&[f32; N]>) -> Weighed<N> {
        let rms = (x.iter().map(|x| x * x).sum::<f32>() / N as f32).sqrt();
        // not `array::map`, a call of its own that is compiled for the oldest processor
        let mut w = *x;
        for w in &mut w {
            *w = w.abs() + rms;
        }
        if let Some(importance) = importance.filter(|all| all.iter().any(|one| *one > 0.0)) {
            w = from_fn(|i| w[i] * importance[i]);
        }
        Weighed { x: *x, w, wx: from_fn(|i| w[i] * x[i]) }
    }

    /// Numbers whose errors cost what is given, however large they are.
    #[inline(always)]
    pub(crate) fn costing(x: &[f32], costs: &[f32]) -> Weighed<N> {
        Weighed { x: from_fn(|i| x[i]), w: from_fn(|i| costs[i]), wx: from_fn(|i| costs[i] * x[i]) }
    }

    /// The sums for the integers nearest to x·inverse + start.
    #[inline(always)]
    pub(crate) fn sums(&self, inverse: &Lanes, start: &Lanes, range: (f32, f32)) -> Sums {
        let mut sums = Sums { q: [0.0; LANES], qq: [0.0; LANES], xq: [0.0; LANES] };
        for i in 0..N {
            for lane in 0..LANES {
                let q = nearest_in(self.x[i] * inverse[lane] + start[lane], range);
                let wq = self.w[i] * q;
                sums.q[lane] += wq;
                sums.qq[lane] += wq * q;
                sums.xq[lane] += self.wx[i] * q;
            }
        }
        sums
    }

    /// The squared error Σ w·(x + min − step·q)² with the best integers for each step and min.
    #[inline(always)]
    pub(crate) fn errors(&self, step: &Lanes, min: &Lanes, range: (f32, f32)) -> Lanes {
        let inverse: Lanes = from_fn(|lane| reciprocal(step[lane]));
        let mut errors = [0.0; LANES];
        for i in 0..N {
            for lane in 0..LANES {
                let x = self.x[i] + min[lane];
                let miss = x - step[lane] * nearest_in(x * inverse[lane], range);
                errors[lane] += self.w[i] * miss * miss;
            }
        }
        errors
    }
}

/// By how much of an integer step the obvious scale (the largest weight on the last integer) is shrunk and stretched.
#[inline(always)]
fn stretches(levels: f32) -> Lanes {
    let width = 0.2 + levels / 600.0;
    from_fn(|lane| (lane as f32 - 4.0) * width)
}

/// The scale s for which x ≈ s·q has the least error, q an integer in the range, which reaches at least as far down as
/// up.
#[inline(always)]
pub(crate) fn symmetric<const N: usize>(block: &Weighed<N>, range: (f32, f32)) -> f32 {
    let extreme = block.x.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
    if extreme == 0.0 {
        return 0.0;
    }
    let stretches = stretches(range.1);
    let (mut best, mut most) = (0.0, 0.0);
    for end in [range.0, range.1] {
        let inverse = stretches.map(|stretch| (end + stretch) / extreme);
        let sums = block.sums(&inverse, &[0.0; LANES], range);
        for lane in 0..LANES {
            // what the best scale for these integers takes off the squared error
            let gain = sums.xq[lane] * sums.xq[lane] / sums.qq[lane];
            if gain > most {
                (best, most) = (sums.xq[lane] / sums.qq[lane], gain);
            }
        }
    }
    best
}

/// A line x ≈ scale·q + offset, q an integer in 0..=levels.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    pub(crate) scale: f32,
    pub(crate) offset: f32,
}

/// The line of least error through a block. `below_zero` holds the offset at or under zero, as the k-quants need it.
#[inline(always)]
pub(crate) fn affine<const N: usize>(block: &Weighed<N>, levels: f32, below_zero: bool) -> Line {
    let (mut bottom, mut top) =
        block.x.iter().fold((block.x[0], block.x[0]), |(bottom, top), &v| (bottom.min(v), top.max(v)));
    if below_zero {
        (bottom, top) = (bottom.min(0.0), top.max(0.0));
    }
    if top <= bottom {
        return Line { scale: 0.0, offset: bottom };
    }
    let total = Total::new(block);
    let mut best = (Line { scale: (top - bottom) / levels, offset: bottom }, f32::INFINITY);
    let inverse = stretches(levels).map(|stretch| (levels + stretch) / (top - bottom));
    for shift in [-0.4, 0.0, 0.4] {
        let start = inverse.map(|inverse| shift - bottom * inverse);
        let fits = total.fit(&block.sums(&inverse, &start, (0.0, levels)), below_zero);
        let lane = least(&fits.error);
        if fits.error[lane] < best.1 {
            best = (Line { scale: fits.scale[lane], offset: fits.offset[lane] }, fits.error[lane]);
        }
    }
    best.0
}

/// Weighted sums over a block alone: Σ w, Σ w·x and Σ w·x².
struct Total {
    w: f32,
    x: f32,
    xx: f32,
}

/// A line for every lane, and the squared error that it leaves.
struct Fits {
    scale: Lanes,
    offset: Lanes,
    error: Lanes,
}

impl Total {
    #[inline(always)]
    fn new<const N: usize>(block: &Weighed<N>) -> Total {
        let mut total = Total { w: 0.0, x: 0.0, xx: 0.0 };
        for i in 0..N {
            total.w += block.w[i];
            total.x += block.wx[i];
            total.xx += block.wx[i] * block.x[i];
        }
        total
    }

    /// Least squares of x on q. Where every q is the same there is no line, and the error is infinite.
    #[inline(always)]
    fn fit(&self, sums: &Sums, below_zero: bool) -> Fits {
        let mut fits = Fits { scale: [0.0; LANES], offset: [0.0; LANES], error: [0.0; LANES] };
        for lane in 0..LANES {
            let (q, qq, xq) = (sums.q[lane], sums.qq[lane], sums.xq[lane]);
            let determinant = self.w * qq - q * q;
            let (scale, offset) = ((self.w * xq - self.x * q) / determinant, (qq * self.x - q * xq) / determinant);
            let through_zero = below_zero && offset > 0.0;
            let (scale, offset) = if through_zero { (xq / qq, 0.0) } else { (scale, offset) };
            let error = self.xx - 2.0 * (scale * xq + offset * self.x)
                + scale * scale * qq
                + 2.0 * scale * offset * q
                + offset * offset * self.w;
            fits.scale[lane] = scale;
            fits.offset[lane] = offset;
            fits.error[lane] = if determinant > 0.0 && scale > 0.0 { error } else { f32::INFINITY };
        }
        fits
    }
}

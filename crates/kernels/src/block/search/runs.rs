//! The search for weights that choose runs of a grid: x = d·unit·(2·scale + 1)·value, with the values of a whole run behind
//! one number. What each number of the grid would cost is a parabola in the scale, whose two sums are taken once for each
//! run; so that every scale that is tried looks at all of the grid.

use super::lanes::{nearest_in, stored};
use half::f16;
use std::array::from_fn;
use std::cell::Cell;

/// What is asked of the scales of a type.
pub(crate) struct Shape {
    /// A weight is d·unit·(2·scale + 1)·value.
    pub(crate) unit: f32,
    /// The largest scale.
    pub(crate) last: f32,
    /// The largest value.
    pub(crate) most: f32,
    /// The least and the greatest share of the obvious scale (the largest weight on the largest value) that are tried.
    pub(crate) shares: (f32, f32),
    /// The grid is so many grids one behind the other, of which the runs that share a scale take one.
    pub(crate) grids: usize,
    /// Whether d is made as large in the end as leaves Σ w·x² what it was: below three bits the least error is that of weights
    /// that are too small, and a model loses more by their shrinking than by the error.
    pub(crate) keeps_power: bool,
}

/// What is stored of 256 weights in runs, of which some share a scale.
pub(crate) struct Found<const RUNS: usize, const SUBS: usize> {
    pub(crate) d: f16,
    pub(crate) scale: [u8; SUBS],
    pub(crate) run: [u16; RUNS],
}

/// The values of a grid by their places in a run, from its runs as bytes.
pub(crate) const fn places<const G: usize, const N: usize>(runs: &[u64; N], zero: i32) -> [[f32; N]; G] {
    let (mut values, mut n) = ([[0.0; N]; G], 0);
    while n < N {
        let mut i = 0;
        while i < G {
            values[i][n] = ((runs[n] >> (8 * i) & 255) as i32 - zero) as f32;
            i += 1;
        }
        n += 1;
    }
    values
}

/// Scales that are tried before they are rounded together.
const TRIED: usize = 12;
/// The most that d grows for its weights to be as large as they were.
const MOST_LOUDER: f32 = 1.5;
/// Numbers of a grid that are looked at side by side.
const AT_ONCE: usize = 16;

thread_local! {
    /// The room for the sums of a block, which is most of a megabyte for the largest grid.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The scales and runs of least error Σ w·(x − x̂)².
#[inline(always)]
pub(crate) fn search<const G: usize, const N: usize, const RUNS: usize, const SUBS: usize>(
    x: &[f32; 256],
    w: &[f32; 256],
    values: &[[f32; N]; G],
    shape: &Shape,
) -> Found<RUNS, SUBS> {
    let mut room = ROOM.take();
    room.resize(2 * RUNS * N, 0.0);
    let (xv, vv) = room.split_at_mut(RUNS * N);
    let (xv, vv) = (xv.as_chunks_mut::<N>().0, vv.as_chunks_mut::<N>().0);
    for run in 0..RUNS {
        let own = run * G..(run + 1) * G;
        sums(&x[own.clone()], &w[own], values, &mut xv[run], &mut vv[run]);
    }
    let power = x.iter().zip(w).map(|(x, w)| f64::from(w * x * x)).sum();
    let found = Sums { xv, vv, shape }.settle(x, power);
    ROOM.set(room);
    found
}

/// Σ w·x·v and Σ w·v² of a run for each number of the grid.
#[inline(always)]
fn sums<const G: usize, const N: usize>(
    x: &[f32],
    w: &[f32],
    values: &[[f32; N]; G],
    xv: &mut [f32; N],
    vv: &mut [f32; N],
) {
    let weighed: [(f32, f32); G] = from_fn(|i| (w[i] * x[i], w[i]));
    for first in (0..N).step_by(AT_ONCE) {
        let (mut xs, mut vs) = ([0f32; AT_ONCE], [0f32; AT_ONCE]);
        for (values, (wx, w)) in values.iter().zip(weighed) {
            let values: &[f32; AT_ONCE] = values[first..].first_chunk().expect("grids are whole");
            for lane in 0..AT_ONCE {
                xs[lane] += wx * values[lane];
                vs[lane] += w * values[lane] * values[lane];
            }
        }
        xv[first..first + AT_ONCE].copy_from_slice(&xs);
        vv[first..first + AT_ONCE].copy_from_slice(&vs);
    }
}

/// The sums of all runs of a block.
struct Sums<'a, const N: usize, const RUNS: usize, const SUBS: usize> {
    xv: &'a [[f32; N]],
    vv: &'a [[f32; N]],
    shape: &'a Shape,
}

impl<const N: usize, const RUNS: usize, const SUBS: usize> Sums<'_, N, RUNS, SUBS> {
    /// The best scale for each sub-block, rounded together; then they are moved where that lessens the error, d fitted to
    /// what they chose, and they moved again. `power` is Σ w·x².
    #[inline(always)]
    fn settle(&self, x: &[f32; 256], power: f64) -> Found<RUNS, SUBS> {
        let steps: [f32; SUBS] = from_fn(|sub| self.step(sub, &x[sub * (256 / SUBS)..(sub + 1) * (256 / SUBS)]));
        let most = steps.iter().fold(0f32, |most, &step| most.max(step));
        let mut d = stored(most / (self.shape.unit * (2.0 * self.shape.last + 1.0)));
        if d == 0.0 || !d.is_finite() {
            return Found { d: f16::from_f32(0.0), scale: [0; SUBS], run: [0; RUNS] };
        }
        let near = |d: f32| steps.map(|step| nearest_in((step / (d * self.shape.unit) - 1.0) * 0.5, self.range()));
        let (mut scale, mut error) = self.moved(d, &near(d));
        for _ in 0..2 {
            let fitted = stored(self.fitted(d, &scale));
            if fitted == d || fitted <= 0.0 || !fitted.is_finite() {
                break;
            }
            let (moved, less) = self.moved(fitted, &scale);
            if less >= error {
                break;
            }
            (d, scale, error) = (fitted, moved, less);
        }
        let mut run = [0; RUNS];
        let mut own = 0f64;
        #[expect(clippy::needless_range_loop, reason = "it numbers runs, of which scales are one thing")]
        for sub in 0..SUBS {
            let step = self.step_of(d, scale[sub]);
            let grid = self.grid(sub, step).1;
            for at in self.runs(sub) {
                let number = self.number(at, grid, step);
                run[at] = number as u16;
                own += f64::from(step) * f64::from(step) * f64::from(self.vv[at][number]);
            }
        }
        let louder = stored((f64::from(d) * (power / own).sqrt()) as f32);
        if self.shape.keeps_power && louder > d && louder.is_finite() && louder <= d * MOST_LOUDER {
            d = louder;
        }
        Found { d: f16::from_f32(d), scale: scale.map(|scale| scale as u8), run }
    }

    fn range(&self) -> (f32, f32) {
        (0.0, self.shape.last)
    }

    #[inline(always)]
    fn step_of(&self, d: f32, scale: f32) -> f32 {
        d * self.shape.unit * (2.0 * scale + 1.0)
    }

    fn runs(&self, sub: usize) -> std::ops::Range<usize> {
        let each = RUNS / SUBS;
        sub * each..(sub + 1) * each
    }

    /// The step that suits a sub-block by itself.
    #[inline(always)]
    fn step(&self, sub: usize, x: &[f32]) -> f32 {
        let obvious = x.iter().fold(0f32, |most, x| most.max(x.abs())) / self.shape.most;
        let (low, high) = self.shape.shares;
        let tried = |i: usize| obvious * (low + (high - low) * i as f32 / (TRIED - 1) as f32);
        let (mut best, mut least) = (0.0, 0.0);
        for step in (0..TRIED).map(tried) {
            let error = self.grid(sub, step).0;
            if error < least {
                (best, least) = (step, error);
            }
        }
        best
    }

    /// Moves each scale to the neighbour of least error; tells the error of all.
    #[inline(always)]
    fn moved(&self, d: f32, scale: &[f32; SUBS]) -> ([f32; SUBS], f32) {
        let (mut moved, mut all) = (*scale, 0.0);
        for sub in 0..SUBS {
            let mut least = f32::INFINITY;
            for near in [0.0, -1.0, 1.0].map(|by| scale[sub] + by) {
                if near < 0.0 || near > self.shape.last {
                    continue;
                }
                let error = self.grid(sub, self.step_of(d, near)).0;
                if error < least {
                    (moved[sub], least) = (near, error);
                }
            }
            all += least;
        }
        (moved, all)
    }

    /// d by least squares for the runs as they are chosen.
    #[inline(always)]
    fn fitted(&self, d: f32, scale: &[f32; SUBS]) -> f32 {
        let (mut xa, mut aa) = (0f64, 0f64);
        #[expect(clippy::needless_range_loop, reason = "it numbers runs, of which scales are one thing")]
        for sub in 0..SUBS {
            let step = self.step_of(d, scale[sub]);
            let grid = self.grid(sub, step).1;
            let odd = f64::from(self.step_of(1.0, scale[sub]));
            for run in self.runs(sub) {
                let number = self.number(run, grid, step);
                xa += odd * f64::from(self.xv[run][number]);
                aa += odd * odd * f64::from(self.vv[run][number]);
            }
        }
        if aa > 0.0 { (xa / aa) as f32 } else { d }
    }

    /// The least error of a sub-block, less what its weights are worth, and in which of the grids.
    #[inline(always)]
    fn grid(&self, sub: usize, step: f32) -> (f32, usize) {
        let mut best = (f32::INFINITY, 0);
        for grid in 0..self.shape.grids {
            let error = self.runs(sub).map(|run| self.least(run, grid, step)).sum::<f32>();
            if error < best.0 {
                best = (error, grid);
            }
        }
        best
    }

    fn numbers(&self, grid: usize) -> std::ops::Range<usize> {
        let each = N / self.shape.grids;
        grid * each..(grid + 1) * each
    }

    /// The least of step²·Σ w·v² − 2·step·Σ w·x·v over a grid.
    #[inline(always)]
    fn least(&self, run: usize, grid: usize, step: f32) -> f32 {
        let own = self.numbers(grid);
        let (xv, vv) = (self.xv[run][own.clone()].as_chunks().0, self.vv[run][own].as_chunks().0);
        let mut least = [f32::INFINITY; AT_ONCE];
        for (xv, vv) in xv.iter().zip(vv) {
            let (xv, vv): (&[f32; AT_ONCE], &[f32; AT_ONCE]) = (xv, vv);
            for lane in 0..AT_ONCE {
                let error = step * (step * vv[lane] - 2.0 * xv[lane]);
                least[lane] = if error < least[lane] { error } else { least[lane] };
            }
        }
        least.into_iter().fold(f32::INFINITY, |least, error| if error < least { error } else { least })
    }

    /// The number with that error, the first of equals.
    #[inline(always)]
    fn number(&self, run: usize, grid: usize, step: f32) -> usize {
        let error = |n: usize| step * (step * self.vv[run][n] - 2.0 * self.xv[run][n]);
        let own = self.numbers(grid);
        own.clone().fold((own.start, f32::INFINITY), |best, n| if error(n) < best.1 { (n, error(n)) } else { best }).0
    }
}

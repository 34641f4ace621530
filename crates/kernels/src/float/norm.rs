//! Norms of rows. Root mean square (Zhang and Sennrich 2019, arXiv:1910.07467): y = x / sqrt(mean(x²) + eps) · w.
//! Layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450): y = (x − mean(x)) / sqrt(var(x) + eps) · w + b, with the
//! variance of the whole row (divided by its length).

use super::for_each_isa;
use super::reduce::{dot_of, sum_map, sum_of};

for_each_isa! {
    /// Norms rows x (rows, dim) by root mean square to y, with weight w (dim).
    pub fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) {
        for (y, x) in y.chunks_exact_mut(w.len()).zip(x.chunks_exact(w.len())) {
            let r = inverse_rms(x, eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * r * w;
            }
        }
    }
}

for_each_isa! {
    /// Gives the gradient of rows: with r = 1 / sqrt(mean(x²) + eps) and n = x r, dx = r (w dy − n mean(w dy n)).
    pub fn rms_norm_dx(x: &[f32], w: &[f32], dy: &[f32], eps: f32, dx: &mut [f32]) {
        let dim = w.len();
        let rows = x.chunks_exact(dim).zip(dy.chunks_exact(dim));
        for (dx, (x, dy)) in dx.chunks_exact_mut(dim).zip(rows) {
            let r = inverse_rms(x, eps);
            for ((d, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                *d = w * dy;
            }
            let mean = dot_of(dx, x) * r / dim as f32;
            for (d, x) in dx.iter_mut().zip(x) {
                *d = r * (*d - x * r * mean);
            }
        }
    }
}

for_each_isa! {
    /// Adds the gradient of the weight: dw += Σ_rows dy n.
    pub fn rms_norm_dw(x: &[f32], dy: &[f32], eps: f32, dw: &mut [f32]) {
        let dim = dw.len();
        for (x, dy) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)) {
            let r = inverse_rms(x, eps);
            for ((d, x), dy) in dw.iter_mut().zip(x).zip(dy) {
                *d += dy * x * r;
            }
        }
    }
}

for_each_isa! {
    /// Norms rows x (rows, dim) to y, with weight w (dim) and bias b (dim).
    pub fn layer_norm(x: &[f32], w: &[f32], b: &[f32], eps: f32, y: &mut [f32]) {
        for (y, x) in y.chunks_exact_mut(w.len()).zip(x.chunks_exact(w.len())) {
            let (mean, r) = moments(x, eps);
            for (((y, x), w), b) in y.iter_mut().zip(x).zip(w).zip(b) {
                *y = (x - mean) * r * w + b;
            }
        }
    }
}

for_each_isa! {
    /// Gives the gradient of rows: with r = 1 / sqrt(var + eps) and n = (x − mean) r,
    /// dx = r (w dy − mean(w dy) − n mean(w dy n)).
    pub fn layer_norm_dx(x: &[f32], w: &[f32], dy: &[f32], eps: f32, dx: &mut [f32]) {
        let dim = w.len();
        let rows = x.chunks_exact(dim).zip(dy.chunks_exact(dim));
        for (dx, (x, dy)) in dx.chunks_exact_mut(dim).zip(rows) {
            let (mean, r) = moments(x, eps);
            for ((d, w), dy) in dx.iter_mut().zip(w).zip(dy) {
                *d = w * dy;
            }
            let along_one = sum_of(dx) / dim as f32;
            let along_n = (dot_of(dx, x) - mean * dim as f32 * along_one) * r / dim as f32;
            for (d, x) in dx.iter_mut().zip(x) {
                *d = r * (*d - along_one - (x - mean) * r * along_n);
            }
        }
    }
}

for_each_isa! {
    /// Adds the gradients of weight and bias: dw += Σ_rows dy n, db += Σ_rows dy.
    pub fn layer_norm_dw(x: &[f32], dy: &[f32], eps: f32, dw: &mut [f32], db: &mut [f32]) {
        let dim = dw.len();
        for (x, dy) in x.chunks_exact(dim).zip(dy.chunks_exact(dim)) {
            let (mean, r) = moments(x, eps);
            for (((dw, db), x), dy) in dw.iter_mut().zip(&mut *db).zip(x).zip(dy) {
                *dw += dy * (x - mean) * r;
                *db += dy;
            }
        }
    }
}

#[inline(always)]
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    1.0 / (dot_of(row, row) / row.len() as f32 + eps).sqrt()
}

/// Mean, and one over the deviation. In two passes: the mean of squares minus the squared mean cancels.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum_of(row) / n;
    let variance = sum_map(row, |x| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

//! What the CPU kernels share: reading a tensor's floats, splitting rows over threads, and the few inner loops.
//! The loops are written in fixed lanes, because the compiler may not reorder a float sum by itself.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use gemm::Parallelism;
use rayon::prelude::*;

/// Below this many floats a kernel stays on its thread: handing out work costs about ten microseconds.
const SERIAL_BELOW: usize = 1 << 15;

/// The floats of a contiguous CPU tensor, inside a custom op.
pub fn floats<'a>(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{op}: the input must be contiguous, its strides are {:?}", layout.stride());
    };
    match storage {
        CpuStorage::F32(data) => Ok(&data[start..end]),
        other => bail!("{op}: the input must be f32, it is {:?}", candle_core::backend::BackendStorage::dtype(other)),
    }
}

/// Hands `read` the floats of CPU tensors outside a custom op (made contiguous where they are not).
pub fn with_floats<const N: usize, R>(
    tensors: [&Tensor; N],
    op: &'static str,
    read: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor.contiguous()?);
    }
    let guards: Vec<_> = contiguous.iter().map(|t| t.storage_and_layout()).collect();
    let mut all = [&[] as &[f32]; N];
    for (data, (storage, layout)) in all.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("{op}: all inputs must be on the CPU");
        };
        *data = floats(storage, layout, op)?;
    }
    read(all)
}

/// Fills `out` in blocks of whole rows of `width`, in parallel when that pays; `fill` gets the first row and the block.
pub fn fill_rows(out: &mut [f32], width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    fill_rows_costing(out, width, width, fill);
}

/// As `fill_rows`, where a row costs as much as `cost` floats and not as many as it has.
pub fn fill_rows_costing(out: &mut [f32], width: usize, cost: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    let threads = rayon::current_num_threads();
    let rows = out.len() / width.max(1);
    if threads == 1 || rows * cost < SERIAL_BELOW {
        return fill(0, out);
    }
    let share = rows.div_ceil(threads);
    out.par_chunks_mut(share * width).enumerate().for_each(|(i, block)| fill(i * share, block));
}

/// How a gemm large enough to share should run in the current thread pool.
pub fn parallelism() -> Parallelism {
    match rayon::current_num_threads() {
        1 => Parallelism::None,
        n => Parallelism::Rayon(n),
    }
}

/// A read-only matrix in memory: element (i, j) is `data[i * rows + j * cols]`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
}

impl<'a> View<'a> {
    pub fn new(data: &'a [f32], row_stride: usize) -> Self {
        View { data, rows: row_stride, cols: 1 }
    }

    pub fn t(self) -> Self {
        View { data: self.data, rows: self.cols, cols: self.rows }
    }

    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0 || n == 0 || (m - 1) * self.rows + (n - 1) * self.cols < self.data.len()
    }
}

/// dst (m, n; row stride `dst_rows`) = `keep` * dst + `scale` * a (m, k) · b (k, n); `keep` zero overwrites.
///
/// # Safety
/// `dst` must be valid for writes of the m rows of n floats, and nothing else may touch those floats meanwhile.
#[allow(clippy::too_many_arguments)] // it is a BLAS signature
pub unsafe fn gemm_into(
    dst: *mut f32,
    dst_rows: usize,
    (m, k, n): (usize, usize, usize),
    keep: f32,
    scale: f32,
    a: View,
    b: View,
    parallelism: Parallelism,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "a gemm operand is shorter than its shape says");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the operands were checked above; dst is the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_rows as isize,
            keep != 0.0, //
            a.data.as_ptr(),
            a.cols as isize,
            a.rows as isize, //
            b.data.as_ptr(),
            b.cols as isize,
            b.rows as isize, //
            keep,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

const LANES: usize = 16;

/// Σ f(a[i], b[i]) in sixteen lanes.
#[inline(always)]
fn fold2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a16, b16) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a16.remainder().iter().zip(b16.remainder()).map(|(&x, &y)| f(x, y)).sum();
    for (x, y) in a16.zip(b16) {
        for l in 0..LANES {
            lanes[l] += f(x[l], y[l]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    fold2(a, b, |x, y| x * y)
}

#[inline]
pub fn sum(row: &[f32]) -> f32 {
    fold2(row, row, |x, _| x)
}

/// Σ f(row[i])
#[inline(always)]
pub fn sum_map(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    fold2(row, row, |x, _| f(x))
}

/// y += s * x
#[inline]
pub fn axpy(y: &mut [f32], s: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += s * x;
    }
}

#[inline]
pub fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in chunks {
        for l in 0..LANES {
            lanes[l] = if x[l] > lanes[l] { x[l] } else { lanes[l] };
        }
    }
    lanes.iter().copied().fold(tail, f32::max)
}

/// exp(x) over the sum of all: a handful of scores as shares of 1.
pub fn softmax(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

/// row[i] = exp(row[i] - shift); returns the sum.
#[inline]
pub fn exp_shifted(row: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for x in &mut chunks {
        for l in 0..LANES {
            x[l] = exp(x[l] - shift);
            lanes[l] += x[l];
        }
    }
    let mut sum = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        sum += *x;
    }
    sum + lanes.iter().sum::<f32>()
}

/// Σ exp(row[i] - shift)
#[inline]
pub fn sum_exp(row: &[f32], shift: f32) -> f32 {
    fold2(row, row, |x, _| exp(x - shift))
}

/// e^x to within 2 units in the last place, in a form the compiler turns into vector code: e^x = 2^n e^r with
/// |r| <= ln 2 / 2 and a degree-6 polynomial for e^r (Cephes expf). Below -87 it gives 0, above 88 it saturates.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let c = x.clamp(-87.0, 88.0);
    let shifted = c * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = c - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_6e-1;
    p = p * r + 5e-1;
    let e = p * r * r + r + 1.0;
    // The integer n, moved into the exponent field. A NaN gives rubbish here and stays a NaN through `e`.
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    let scaled = e * f32::from_bits(power.wrapping_add(1f32.to_bits()));
    if x < -87.0 { 0.0 } else { scaled }
}

/// One sigmoid for forward and backward alike.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

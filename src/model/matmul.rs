//! x times Wᵀ on the CPU for weights in the forms that checkpoints store: f32, f16 and bf16 read as they lie, and
//! quantized blocks. Few rows of x walk W once, dot by dot, which is all memory speed; many rows go through gemm, W
//! widened a panel at a time, so that half-precision weights are never held in f32 as a whole. Other devices, and
//! whatever needs a gradient, use candle's own products.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::error::Result;
use super::ops;

/// Up to this many rows of x each row of W is read once and dotted with all of them; beyond, gemm reuses better.
const DOT_ROWS: usize = 4;
/// Below this many weights a product stays on its thread: handing out work costs about ten microseconds.
const SERIAL_BELOW: usize = 1 << 16;
/// Rows of W that are widened at a time: at a width of 2048 half a megabyte, which stays in the second-level cache.
const PANEL: usize = 64;
/// From this many rows of x on, widening a panel of W costs less than candle's row-by-row quantized dots.
const PANEL_ROWS: usize = 16;

/// x (T, inp) f32 times Wᵀ, W (out, inp) dense, giving (T, out) f32. Differentiable where W is f32.
pub fn dense(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let few = x.dims2()?.0 <= DOT_ROWS;
    if !x.device().is_cpu() {
        return Ok(x.to_dtype(w.dtype())?.matmul(&w.t()?)?.to_dtype(DType::F32)?);
    }
    if w.dtype() == DType::F32 && (!few || x.track_op() || w.track_op()) {
        return Ok(ops::linear(x, w)?);
    }
    Ok(x.contiguous()?.apply_op2_no_bwd(w, &Product)?)
}

/// x (T, inp) f32 times Wᵀ, W (out, inp) quantized, giving (T, out) f32.
pub fn quantized(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let rows = x.dims2()?.0;
    if rows < PANEL_ROWS || !x.device().is_cpu() || candle_is_fast(w) {
        return Ok(x.apply_op1_no_bwd(w)?);
    }
    by_panels(&x, w)
}

/// Whether candle multiplies this form by repacked tiles rather than row by row (its `repack_x86::select`).
fn candle_is_fast(w: &QTensor) -> bool {
    let tiled = matches!(w.dtype(), GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0);
    match *w.shape().dims() {
        [out, inp] => tiled && out.is_multiple_of(16) && inp.is_multiple_of(256) && cfg!(target_feature = "avx2"),
        _ => false,
    }
}

/// The product as one candle operation: the storages of x and W are only reachable inside one.
struct Product;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "dense-product"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, inp) = x_layout.shape().dims2()?;
        let (out, w_inp) = w_layout.shape().dims2()?;
        let (Some((x0, x1)), Some((w0, w1))) = (x_layout.contiguous_offsets(), w_layout.contiguous_offsets()) else {
            bail!("dense-product: both sides must be contiguous");
        };
        if inp != w_inp {
            bail!("dense-product: the weight ({out}, {w_inp}) does not fit the input ({rows}, {inp})");
        }
        let x = &x.as_slice::<f32>()?[x0..x1];
        let shape = Size { rows, inp, out };
        let y = match w {
            CpuStorage::F32(w) => shape.product(x, &w[w0..w1]),
            CpuStorage::F16(w) => shape.product(x, &w[w0..w1]),
            CpuStorage::BF16(w) => shape.product(x, &w[w0..w1]),
            _ => bail!("dense-product: the weight must be f32, f16 or bf16"),
        };
        Ok((CpuStorage::F32(y), (rows, out).into()))
    }
}

/// A number that weights are stored in.
trait Stored: Copy + Sync {
    fn widen(from: &[Self], to: &mut [f32]);
}

impl Stored for f32 {
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        to.copy_from_slice(from);
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }
}

impl Stored for bf16 {
    // not bf16::to_f32, whose care for signalling NaNs keeps the loop from becoming vector code
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}

/// x (rows, inp), W (out, inp).
#[derive(Clone, Copy)]
struct Size {
    rows: usize,
    inp: usize,
    out: usize,
}

impl Size {
    fn product<T: Stored>(self, x: &[f32], w: &[T]) -> Vec<f32> {
        match self.rows {
            1 => self.dots::<T, 1>(x, w),
            2 => self.dots::<T, 2>(x, w),
            3 => self.dots::<T, 3>(x, w),
            DOT_ROWS => self.dots::<T, DOT_ROWS>(x, w),
            _ => self
                .panels(x, |first, panel| {
                    let from = first * self.inp;
                    T::widen(&w[from..from + panel.len()], panel);
                    Ok(())
                })
                .expect("widening a slice cannot fail"),
        }
    }

    /// Each row of W dotted with the M rows of x.
    fn dots<T: Stored, const M: usize>(self, x: &[f32], w: &[T]) -> Vec<f32> {
        let x: [&[f32]; M] = std::array::from_fn(|m| &x[m * self.inp..(m + 1) * self.inp]);
        let mut by_out = vec![[0f32; M]; self.out];
        let fill = |first: usize, ys: &mut [[f32; M]]| {
            for (y, w) in ys.iter_mut().zip(w[first * self.inp..].chunks_exact(self.inp)) {
                *y = dot(w, x);
            }
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || w.len() < SERIAL_BELOW {
            fill(0, &mut by_out);
        } else {
            let share = self.out.div_ceil(threads);
            by_out.par_chunks_mut(share).enumerate().for_each(|(i, ys)| fill(i * share, ys));
        }
        (0..M).flat_map(|m| by_out.iter().map(move |y| y[m])).collect()
    }

    /// W a panel of rows at a time: `widen` writes the panel that begins at a row, and gemm multiplies by it.
    fn panels(
        self,
        x: &[f32],
        widen: impl Fn(usize, &mut [f32]) -> candle_core::Result<()> + Sync,
    ) -> candle_core::Result<Vec<f32>> {
        let mut y = vec![0f32; self.rows * self.out];
        let columns = Columns(y.as_mut_ptr());
        (0..self.out.div_ceil(PANEL)).into_par_iter().try_for_each_init(
            || vec![0f32; PANEL * self.inp],
            |panel, index| {
                let first = index * PANEL;
                let width = PANEL.min(self.out - first);
                let panel = &mut panel[..width * self.inp];
                widen(first, panel)?;
                // SAFETY: x has rows * inp floats and the panel width * inp; this task alone writes the columns
                // first..first + width of y, which has rows of `out` floats and outlives the loop.
                unsafe { self.gemm(columns.at(first), x, panel, width) };
                Ok::<(), candle_core::Error>(())
            },
        )?;
        Ok(y)
    }

    /// y (rows, width; row stride `out`) = x · panelᵀ, panel (width, inp).
    unsafe fn gemm(self, y: *mut f32, x: &[f32], panel: &[f32], width: usize) {
        let (out, inp) = (self.out as isize, self.inp as isize);
        // SAFETY: the caller's promise.
        unsafe {
            gemm::gemm(
                self.rows,
                width,
                self.inp, //
                y,
                1,
                out,
                false, //
                x.as_ptr(),
                1,
                inp, //
                panel.as_ptr(),
                inp,
                1, //
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

/// The result, of which each task writes its own columns.
struct Columns(*mut f32);

// SAFETY: tasks write disjoint columns, see `Size::panels`.
unsafe impl Sync for Columns {}

impl Columns {
    /// # Safety
    /// `column` must lie within a row.
    unsafe fn at(&self, column: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(column) }
    }
}

/// How many products are summed side by side; the compiler may not reorder a float sum by itself.
const LANES: usize = 32;

/// One row of W dotted with the M rows of x, all of one length.
#[inline(always)]
fn dot<T: Stored, const M: usize>(w: &[T], x: [&[f32]; M]) -> [f32; M] {
    let whole = w.len() / LANES * LANES;
    let mut lanes = [[0f32; LANES]; M];
    let mut wide = [0f32; LANES];
    for at in (0..whole).step_by(LANES) {
        T::widen(&w[at..at + LANES], &mut wide);
        for (lanes, x) in lanes.iter_mut().zip(x) {
            for ((lane, w), x) in lanes.iter_mut().zip(wide).zip(&x[at..at + LANES]) {
                *lane = multiply_add(w, *x, *lane);
            }
        }
    }
    let rest = &mut wide[..w.len() - whole];
    T::widen(&w[whole..], rest);
    std::array::from_fn(|m| {
        let tail: f32 = rest.iter().zip(&x[m][whole..]).map(|(w, x)| w * x).sum();
        lanes[m].iter().sum::<f32>() + tail
    })
}

/// a * b + c; fused only where the processor does it, since elsewhere `mul_add` is a slow library call.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// A quantized product through widened panels of W: exact in x, where candle's rounds it to 8 bits.
fn by_panels(x: &Tensor, w: &QTensor) -> Result<Tensor> {
    let ((rows, inp), (out, w_inp)) = (x.dims2()?, w.shape().dims2()?);
    if inp != w_inp {
        return Err(candle_core::Error::Msg(format!(
            "the weight ({out}, {w_inp}) does not fit the input ({rows}, {inp})"
        ))
        .into());
    }
    let (storage, layout) = x.storage_and_layout();
    let (candle_core::Storage::Cpu(data), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(candle_core::Error::Msg("by_panels: x must be contiguous and on the CPU".into()).into());
    };
    let x_data = &data.as_slice::<f32>()?[from..to];
    let y = Size { rows, inp, out }.panels(x_data, |first, panel| {
        let ids: Vec<u32> = (first as u32..(first + panel.len() / inp) as u32).collect();
        let rows = w.embedding(&Tensor::new(ids, x.device())?)?;
        let (storage, _) = rows.storage_and_layout();
        if let candle_core::Storage::Cpu(rows) = &*storage {
            panel.copy_from_slice(rows.as_slice::<f32>()?);
        }
        Ok(())
    })?;
    Ok(Tensor::from_vec(y, (rows, out), x.device())?)
}

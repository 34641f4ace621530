//! x times Wᵀ on the CPU for weights in the forms that checkpoints store: f32, f16 and bf16 read as they lie, and
//! quantized blocks. Few rows of x walk W once, dot by dot, which is all memory speed; many rows go through gemm, W
//! widened a panel at a time, so that half-precision weights are never held in f32 as a whole. Other devices, and
//! whatever needs a gradient, use candle's own products.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::error::Result;
use super::iq4::Iq4;
use super::lanes::{Eight, Stored, WIDTH};
use super::ops;

/// Up to this many rows of x each row of W is read once and dotted with all of them; beyond, gemm reuses better.
const DOT_ROWS: usize = 4;
/// Up to this many weights a product stays on its thread: handing out work costs about ten microseconds, and much more
/// on a host that is busy.
const SERIAL_UP_TO: usize = 1 << 18;
/// Up to this many multiplications a product by panels stays on its thread.
const SERIAL_PRODUCTS: usize = 1 << 20;
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

/// x (T, inp) f32 times Wᵀ, W (out, inp) in blocks that are widened row by row, giving (T, out) f32. x and W must be on
/// the CPU; no gradient passes.
pub fn chosen(x: &Tensor, w: &Iq4) -> Result<Tensor> {
    let ((rows, inp), (out, w_inp)) = (x.dims2()?, w.dims());
    if inp != w_inp {
        let what = format!("the weight ({out}, {w_inp}) does not fit the input ({rows}, {inp})");
        return Err(candle_core::Error::Msg(what).into());
    }
    let y = ops::with_floats([&x.contiguous()?], "chosen", |[x]| {
        let size = Size { rows, inp, out };
        match rows {
            1 => Ok(size.widened_dots::<1>(x, w)),
            2 => Ok(size.widened_dots::<2>(x, w)),
            3 => Ok(size.widened_dots::<3>(x, w)),
            DOT_ROWS => Ok(size.widened_dots::<DOT_ROWS>(x, w)),
            _ => size.panels(x, |first, panel| {
                panel.chunks_exact_mut(inp).enumerate().for_each(|(i, row)| w.read_row(first + i, row));
                Ok(())
            }),
        }
    })?;
    Ok(Tensor::from_vec(y, (rows, out), x.device())?)
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

/// x (rows, inp), W (out, inp).
#[derive(Clone, Copy)]
struct Size {
    rows: usize,
    inp: usize,
    out: usize,
}

impl Size {
    fn product<T: Stored>(self, x: &[f32], w: &[T]) -> Vec<f32> {
        // as many rows of W together as their sums, with those of x, fit the registers
        match self.rows {
            1 => self.dots::<T, 4, 1, 2>(x, w),
            2 => self.dots::<T, 4, 2, 1>(x, w),
            3 => self.dots::<T, 2, 3, 1>(x, w),
            DOT_ROWS => self.dots::<T, 2, DOT_ROWS, 1>(x, w),
            _ => {
                let widen = |first: usize, panel: &mut [f32]| {
                    let from = first * self.inp;
                    widen(&w[from..from + panel.len()], panel);
                    Ok(())
                };
                self.panels(x, widen).expect("widening a slice cannot fail")
            }
        }
    }

    /// Each row of W dotted with the M rows of x, R rows of W at a time.
    fn dots<T: Stored, const R: usize, const M: usize, const A: usize>(self, x: &[f32], w: &[T]) -> Vec<f32> {
        let x: [&[f32]; M] = std::array::from_fn(|m| &x[m * self.inp..(m + 1) * self.inp]);
        let mut by_out = vec![[0f32; M]; self.out];
        let fill = |first: usize, ys: &mut [[f32; M]]| {
            let row = |r: usize| &w[r * self.inp..(r + 1) * self.inp];
            let (whole, rest) = ys.as_chunks_mut::<R>();
            let last = first + whole.len() * R;
            for (i, ys) in whole.iter_mut().enumerate() {
                *ys = dot::<T, R, M, A>(std::array::from_fn(|r| row(first + i * R + r)), x);
            }
            for (i, y) in rest.iter_mut().enumerate() {
                [*y] = dot::<T, 1, M, A>([row(last + i)], x);
            }
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || w.len() <= SERIAL_UP_TO {
            fill(0, &mut by_out);
        } else {
            let share = self.out.div_ceil(threads).next_multiple_of(R);
            by_out.par_chunks_mut(share).enumerate().for_each(|(i, ys)| fill(i * share, ys));
        }
        (0..M).flat_map(|m| by_out.iter().map(move |y| y[m])).collect()
    }

    /// Each row of W widened once and dotted with the M rows of x.
    fn widened_dots<const M: usize>(self, x: &[f32], w: &Iq4) -> Vec<f32> {
        let x: [&[f32]; M] = std::array::from_fn(|m| &x[m * self.inp..(m + 1) * self.inp]);
        let mut by_out = vec![[0f32; M]; self.out];
        let fill = |first: usize, ys: &mut [[f32; M]]| {
            let mut row = vec![0f32; self.inp];
            for (i, y) in ys.iter_mut().enumerate() {
                w.read_row(first + i, &mut row);
                [*y] = dot::<f32, 1, M, 2>([&row], x);
            }
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || self.out * self.inp <= SERIAL_UP_TO {
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
        let panels = self.out.div_ceil(PANEL);
        let share = if self.rows * self.inp * self.out <= SERIAL_PRODUCTS { panels } else { 1 };
        (0..panels).into_par_iter().with_min_len(share).try_for_each_init(
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

/// R rows of W dotted with M rows of x, all of one length, in A sums of eight each.
#[inline(always)]
fn dot<T: Stored, const R: usize, const M: usize, const A: usize>(w: [&[T]; R], x: [&[f32]; M]) -> [[f32; M]; R] {
    let len = w[0].len();
    let eights = len / WIDTH;
    let w_eights = w.map(|w| &w.as_chunks::<WIDTH>().0[..eights]);
    let x_eights = x.map(|x| &x.as_chunks::<WIDTH>().0[..eights]);
    let mut sums = [[[Eight::zero(); A]; M]; R];
    let mut step = |at: usize, a: usize| {
        let x = x_eights.map(|x| Eight::load(&x[at]));
        for r in 0..R {
            let w = T::eight(&w_eights[r][at]);
            for m in 0..M {
                sums[r][m][a] = sums[r][m][a].plus(w, x[m]);
            }
        }
    };
    for at in (0..eights / A * A).step_by(A) {
        for a in 0..A {
            step(at + a, a);
        }
    }
    for at in eights / A * A..eights {
        step(at, 0);
    }
    let tail = |r: usize, m: usize| -> f32 { (eights * WIDTH..len).map(|i| w[r][i].widen() * x[m][i]).sum() };
    std::array::from_fn(|r| {
        std::array::from_fn(|m| sums[r][m].iter().map(|eight| eight.sum()).sum::<f32>() + tail(r, m))
    })
}

fn widen<T: Stored>(from: &[T], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<WIDTH>(), to.as_chunks_mut::<WIDTH>());
    for (from, to) in from.iter().zip(to) {
        T::eight(from).store(to);
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = from.widen();
    }
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

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use half::f16;

    use super::*;

    fn random(rows: usize, columns: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, columns), &Device::Cpu).expect("random")
    }

    /// The largest difference to x wᵀ in f64.
    fn error(got: &Tensor, x: &Tensor, w: &Tensor) -> f64 {
        let wide = |t: &Tensor| t.to_dtype(DType::F64).expect("f64");
        let want = wide(x).matmul(&wide(w).t().expect("transposed")).expect("product");
        let far = (wide(got) - want).and_then(|d| d.abs()).and_then(|d| d.max_all()).expect("difference");
        far.to_scalar().expect("a number")
    }

    #[test]
    fn dense_products_are_right_in_every_shape_and_type() {
        // below, at and above eight lanes, four rows and a panel; the last one is shared between threads
        for (inp, out) in [(1, 1), (7, 3), (8, 4), (37, 66), (64, 5), (130, 131), (512, 600)] {
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let w = random(out, inp).to_dtype(dtype).expect("cast");
                for rows in [1, 2, 3, 4, 5, 33] {
                    let x = random(rows, inp);
                    let far = error(&dense(&x, &w).expect("product"), &x, &w);
                    // a thousand roundings of sums of about twenty
                    assert!(far < 2e-4, "{dtype:?} ({rows}, {inp}) by ({out}, {inp}): {far}");
                }
            }
        }
    }

    #[test]
    fn quantised_panels_are_exact_on_the_stored_weights() {
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q5_1, GgmlDType::Q3K, GgmlDType::Q5K] {
            let w = QTensor::quantize(&random(130, 512), dtype).expect("quantized");
            let stored = w.dequantize(&Device::Cpu).expect("dequantized");
            for rows in [PANEL_ROWS, 50] {
                let x = random(rows, 512);
                let far = error(&quantized(&x, &w).expect("product"), &x, &stored);
                assert!(far < 2e-4, "{dtype:?} with {rows} rows: {far}");
            }
        }
    }

    #[test]
    fn few_rows_of_a_quantised_product_stay_near() {
        let w = QTensor::quantize(&random(64, 512), GgmlDType::Q4_0).expect("quantized");
        let stored = w.dequantize(&Device::Cpu).expect("dequantized");
        let x = random(2, 512);
        // x is rounded to 8 bits: of 512 products of unit size, a few tenths
        assert!(error(&quantized(&x, &w).expect("product"), &x, &stored) < 1.0);
    }

    #[test]
    fn blocks_of_choices_multiply_as_their_values_do() {
        use crate::iq4::{Iq4, Layout};
        for (layout, out, inp, bytes) in [(Layout::Nl, 67, 96, 67 * 54), (Layout::Xs, 600, 512, 600 * 272)] {
            let mut bytes: Vec<u8> = (0..bytes).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
            let block = if layout == Layout::Nl { 18 } else { 136 };
            bytes.chunks_exact_mut(block).for_each(|b| b[..2].copy_from_slice(&f16::from_f32(0.001).to_le_bytes()));
            let w = Iq4::new(layout, out, inp, bytes).expect("whole blocks");
            let values = w.rows(0..out).expect("values");
            for rows in [1, 2, 3, 4, 5, 70] {
                let x = random(rows, inp);
                let far = error(&chosen(&x, &w).expect("product"), &x, &values);
                assert!(far < 2e-4, "{layout:?} with {rows} rows: {far}");
            }
            assert!(chosen(&random(1, inp + 1), &w).is_err());
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let w = random(8, 32);
        for rows in [1, 40] {
            assert!(dense(&random(rows, 31), &w).is_err());
            let q = QTensor::quantize(&w, GgmlDType::Q8_0).expect("quantized");
            assert!(quantized(&random(rows, 31), &q).is_err());
        }
    }

    #[test]
    fn gradients_pass_through_a_dense_product() {
        let w = candle_core::Var::from_tensor(&random(6, 8)).expect("variable");
        for rows in [1, 40] {
            let y = dense(&random(rows, 8), w.as_tensor()).expect("product");
            let gradients = y.sum_all().and_then(|sum| sum.backward()).expect("backward");
            assert!(gradients.get(w.as_tensor()).is_some(), "{rows} rows");
        }
    }
}

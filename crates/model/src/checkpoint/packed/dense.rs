//! Dense rows made in parallel, and the narrowest plain type that has them exactly.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::error::Result;

/// Rows that are made together.
pub(super) const TILE: usize = 16;

/// An f32 (out, inp) of rows that `fill` writes, a tile from a first row on at a time.
pub(super) fn rows(out: usize, inp: usize, device: &Device, fill: impl Fn(usize, &mut [f32]) + Sync) -> Result<Tensor> {
    let mut weights = vec![0f32; out * inp];
    weights.par_chunks_mut((TILE * inp).max(1)).enumerate().for_each(|(tile, weights)| fill(tile * TILE, weights));
    Ok(Tensor::from_vec(weights, (out, inp), device)?)
}

/// A matrix in f16 or bf16 where that type has every number of it, and else as it is.
pub(super) fn narrowed(weights: Tensor) -> Result<Tensor> {
    let narrower = |dtype: DType| {
        let narrow = weights.to_dtype(dtype)?;
        let same = narrow.to_dtype(DType::F32)?.eq(&weights)?.to_dtype(DType::U32)?.min_all()?.to_scalar::<u32>()?;
        Ok::<_, candle_core::Error>((same == 1).then_some(narrow))
    };
    for dtype in [DType::F16, DType::BF16] {
        if let Some(narrow) = narrower(dtype)? {
            return Ok(narrow);
        }
    }
    Ok(weights)
}

/// A number rounded to a plain type, as f32.
pub(super) fn rounded(number: f32, dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::from_f32(number).to_f32(),
        DType::BF16 => bf16::from_f32(number).to_f32(),
        _ => number,
    }
}

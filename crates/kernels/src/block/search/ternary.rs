//! Weights that are −d, 0 or d, rounded as ggml does it: such types are for models that were trained to have no others, so
//! that d is the largest weight of a block, and nothing is searched for.

use super::lanes::reciprocal;
use half::f16;

/// d, and for each weight the nearest of −1, 0 and 1, plus one (`quantize_row_tq2_0_ref` in ggml-quants.c).
#[inline(always)]
pub(crate) fn round<const N: usize>(x: &[f32; N]) -> (f16, [u8; N]) {
    let d = x.iter().fold(0f32, |most, x| most.max(x.abs()));
    let inverse = reciprocal(d);
    (f16::from_f32(d), x.map(|x| ((x * inverse).round() + 1.0) as u8))
}

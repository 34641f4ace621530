//! Q4_1: 32 weights, x = d·q + m. Layout: d f16; m f16; halves as in Q4_0.

use bantam_format::ggml::Type;

use super::Quants;
use super::bits::{halves, whole, whole_mut, word};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q4_1;

impl Quants for Q4_1 {
    const TYPE: Type = Type::Q4_1;
    type Form = Of<1, 1, 15>;
    const ZERO: i32 = 0;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 20] = whole(block);
        halves(whole(&block[4..]), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
        offsets[0] = simd.f16(word(block, 2));
    }
}

//! Q2_0: 64 weights of two bits; x = d·(q − 1). Layout: d f16; 16 bytes of q, four adjacent in each from the lowest bits up.

use bantam_format::ggml::Type;

use super::bits::{spread, whole, whole_mut, word};
use super::search::ternary;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q2_0;

impl Quants for Q2_0 {
    const TYPE: Type = Type::Q2_0;
    type Form = Of<1, 0, 3>;
    const ZERO: i32 = 1;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 18] = whole(block);
        let runs: &mut [[u8; 32]; 2] = whole_mut(quants.as_chunks_mut().0);
        for (run, quants) in runs.iter_mut().enumerate() {
            let eights = std::array::from_fn(|eight| spread(word(block, 2 + 8 * run + 2 * eight)));
            simd.store(simd.eights(eights), quants);
        }
        scales.fill(simd.f16(word(block, 0)));
    }
}

impl Encode for Q2_0 {
    const IN_TURN: bool = false;

    /// As ggml does it, importance or not: q is at most 2, and 2·d never occurs.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let (d, q): (_, [u8; 64]) = ternary::round(whole(weights));
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (byte, q) in block[2..].iter_mut().zip(q.as_chunks::<4>().0) {
            *byte = q[0] | q[1] << 2 | q[2] << 4 | q[3] << 6;
        }
    }
}

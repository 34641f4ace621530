//! Q1_0: 128 weights that are a sign; x = d·(2·bit − 1). Layout: d f16; 16 bytes of bits, the lowest first.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{whole, whole_mut, word};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q1_0;

impl Quants for Q1_0 {
    const TYPE: Type = Type::Q1_0;
    type Form = Of<1, 0, 3>;
    const ZERO: i32 = 1;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 18] = whole(block);
        let runs: &mut [[u8; 32]; 4] = whole_mut(quants.as_chunks_mut().0);
        for (quants, bits) in runs.iter_mut().zip(block[2..].as_chunks().0) {
            simd.store(simd.where_set(*bits, 2), quants);
        }
        scales.fill(simd.f16(word(block, 0)));
    }
}

impl Encode for Q1_0 {
    const IN_TURN: bool = false;

    /// As ggml does it, importance or not: d is the mean magnitude.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let d = weights.iter().map(|x| x.abs()).sum::<f32>() / 128.0;
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        for (byte, x) in block[2..].iter_mut().zip(weights.as_chunks::<8>().0) {
            *byte = (0..8).fold(0, |bits, i| bits | u8::from(x[i] >= 0.0) << i);
        }
    }
}

//! Q8_0: 32 weights, x = d·q, written with q in −127..=127 (never −128, whose magnitude some kernels cannot hold).
//! Layout: d f16; 32 i8.

use bantam_format::ggml::Type;

use super::bits::{whole, whole_mut, word};
use super::search::legacy;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q8_0;

impl Quants for Q8_0 {
    const TYPE: Type = Type::Q8_0;
    type Form = Of<1, 0, 255>;
    const ZERO: i32 = 128;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 34] = whole(block);
        let quants: &mut [u8; 32] = whole_mut(quants);
        for (quant, byte) in quants.iter_mut().zip(&block[2..]) {
            *quant = byte ^ 0x80; // an i8 plus 128
        }
        scales[0] = simd.f16(word(block, 0));
    }
}

impl Encode for Q8_0 {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (d, q) = legacy::scaled(whole(weights), importance.map(whole), (-127.0, 127.0));
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (byte, q) in block[2..].iter_mut().zip(q) {
            *byte = q as u8;
        }
    }
}

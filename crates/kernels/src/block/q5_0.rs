//! Q5_0: 32 weights, x = d·(q − 16). Layout: d f16; the fifth bits of all weights as a u32; low halves as in Q4_0.

use bantam_format::ggml::Type;

use super::bits::{add_fifth, fifth_bits, halves, pack_halves, whole, whole_mut, word};
use super::search::legacy;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q5_0;

impl Quants for Q5_0 {
    const TYPE: Type = Type::Q5_0;
    type Form = Of<1, 0, 31>;
    const ZERO: i32 = 16;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let (block, quants): (&[u8; 22], &mut [u8; 32]) = (whole(block), whole_mut(quants));
        halves(whole(&block[6..]), quants);
        add_fifth(*whole(&block[2..6]), quants);
        scales[0] = simd.f16(word(block, 0));
    }
}

impl Encode for Q5_0 {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (d, q) = legacy::scaled(whole(weights), importance.map(whole), (-16.0, 15.0));
        let q = q.map(|q| (q + 16) as u8);
        block[..2].copy_from_slice(&d.to_le_bytes());
        block[2..6].copy_from_slice(&fifth_bits(&q));
        pack_halves(&q, whole_mut(&mut block[6..]));
    }
}

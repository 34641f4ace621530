//! Q5_1: 32 weights, x = d·q + m. Layout: d f16; m f16; fifth bits as in Q5_0; low halves.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{add_fifth, fifth_bits, halves, pack_halves, whole, whole_mut, word};
use super::search::lanes::{nearest_in, reciprocal, stored};
use super::search::{Weighed, affine};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q5_1;

impl Quants for Q5_1 {
    const TYPE: Type = Type::Q5_1;
    type Form = Of<1, 1, 31>;
    const ZERO: i32 = 0;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let (block, quants): (&[u8; 24], &mut [u8; 32]) = (whole(block), whole_mut(quants));
        halves(whole(&block[8..]), quants);
        add_fifth(*whole(&block[4..8]), quants);
        scales[0] = simd.f16(word(block, 0));
        offsets[0] = simd.f16(word(block, 2));
    }
}

impl Encode for Q5_1 {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let weights: &[f32; 32] = whole(weights);
        let line = affine(&Weighed::new(weights, importance.map(whole)), 31.0, false);
        let (d, m) = (f16::from_f32(stored(line.scale)), f16::from_f32(line.offset));
        let (inverse, offset) = (reciprocal(d.to_f32()), m.to_f32());
        let q = weights.map(|x| nearest_in((x - offset) * inverse, (0.0, 31.0)) as u8);
        block[..2].copy_from_slice(&d.to_le_bytes());
        block[2..4].copy_from_slice(&m.to_le_bytes());
        block[4..8].copy_from_slice(&fifth_bits(&q));
        pack_halves(&q, whole_mut(&mut block[8..]));
    }
}

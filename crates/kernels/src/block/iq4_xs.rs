//! IQ4_XS: 256 weights as IQ4_NL's, with a scale of six bits more for each 32; x = d·(scale − 32)·value.
//! Layout: d f16; the high two bits of eight scales as a u16; their low four bits in 4 bytes; 128 of choices.

use bantam_format::ggml::Type;

use super::Quants;
use super::bits::{whole, whole_mut, word};
use super::iq4_nl::choose;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq4Xs;

impl Quants for Iq4Xs {
    const TYPE: Type = Type::IQ4_XS;
    type Form = Of<1, 0, 241>;
    const ZERO: i32 = 128;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let (block, quants): (&[u8; 136], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        let (d, high) = (simd.f16(word(block, 0)), word(block, 2));
        for (run, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            choose(simd, whole(&block[8 + 16 * run..][..16]), whole_mut(quants));
            let low = block[4 + run / 2] >> (4 * (run % 2)) & 15;
            let scale = i16::from(low) | (high >> (2 * run) & 3) as i16 * 16;
            scales[run] = d * f32::from(scale - 32);
        }
    }
}

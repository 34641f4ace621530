//! IQ4_XS: 256 weights as IQ4_NL's, with a scale of six bits more for each 32; x = d·(scale − 32)·value.
//! Layout: d f16; the high two bits of eight scales as a u16; their low four bits in 4 bytes; 128 of choices.

use std::array::from_fn;

use bantam_format::ggml::Type;

use super::Quants;
use super::bits::{each_run, whole, word};
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
        let block: &[u8; 136] = whole(block);
        let choices: &[[u8; 16]; 8] = whole(block[8..].as_chunks().0);
        each_run(simd, quants, |run| choose(simd, &choices[run]));
        let (high, low) = (word(block, 2), u32::from_le_bytes(*whole(&block[4..8])));
        let scale = |run: usize| (low >> (4 * run) & 15) as i8 + 16 * (high >> (2 * run) & 3) as i8;
        scales.copy_from_slice(&simd.times(simd.f16(word(block, 0)), from_fn(|run| scale(run) - 32)));
    }
}

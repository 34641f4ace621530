//! IQ4_XS: 256 weights as IQ4_NL's, with a scale of six bits more for each 32; x = d·(scale − 32)·value.
//! Layout: d f16; the high two bits of eight scales as a u16; their low four bits in 4 bytes; 128 of choices.

use std::array::from_fn;

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_halves, whole, word};
use super::iq4_nl::choose;
use super::search::uneven::SuperBlock;
use super::{Encode, Quants};
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

impl Encode for Iq4Xs {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let found = SuperBlock::search(whole(weights), importance.map(whole));
        let scale = found.scale.map(|scale| (scale + 32).cast_unsigned());
        let high = (0..8).fold(0, |bits, run| bits | u16::from(scale[run] >> 4) << (2 * run));
        block[..2].copy_from_slice(&found.d.to_le_bytes());
        block[2..4].copy_from_slice(&high.to_le_bytes());
        for (byte, pair) in block[4..8].iter_mut().zip(scale.as_chunks::<2>().0) {
            *byte = (pair[0] & 15) | (pair[1] & 15) << 4;
        }
        for (bytes, choices) in block[8..].as_chunks_mut().0.iter_mut().zip(&found.choice) {
            pack_halves(choices, bytes);
        }
    }
}

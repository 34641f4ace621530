//! IQ4_XS: 256 weights as IQ4_NL's, with a scale of six bits more for each 32; x = d·(scale − 32)·value.
//! Layout: d f16; the high two bits of eight scales as a u16; their low four bits in 4 bytes; 128 of choices.

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_halves, spread, whole, word};
use super::iq4_nl::{QUANTS, choose};
use super::search::turns::{self, InTurn};
use super::search::uneven::{UnevenGrid, UnevenSuperBlock};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq4Xs;

impl Quants for Iq4Xs {
    const TYPE: Type = Type::IQ4_XS;
    type Form = Of<1, 0, 241>;
    const ZERO: i32 = 128;
    const IN_REGISTERS_FROM: usize = 2;
    const WORDS: &'static [usize] = &[0, 4];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 136] = whole(block);
        let choices: &[[u8; 16]; 8] = whole(block[8..].as_chunks().0);
        each_run(simd, quants, |run| choose(simd, &choices[run]));
        let numbers = sub_scales(u32::from_le_bytes(*whole(&block[4..8])), word(block, 2));
        scales.copy_from_slice(&simd.times(simd.f16(word(block, 0)), numbers));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        let both = unsafe { simd.each(blocks.add(8 + 16 * first), 16) };
        simd.pick(simd.every(&QUANTS), simd.down(both, [4 * half as u32; 4], 15))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        let (head, low) = (words[0], words[1]);
        let d = simd.halves_as_reals(head);
        for (run, scale) in (0..).zip(scales) {
            let high = simd.bits(head, 16 + 2 * run, 3);
            let number = simd.plus(simd.over(simd.bits(low, 4 * run, 15), high, 4), -32);
            *scale = simd.product(d, simd.real(number));
        }
    }
}

/// All scales − 32, from eight times four low bits and two high ones.
#[inline(always)]
fn sub_scales(low: u32, high: u16) -> [i8; 8] {
    // halves, quarters, then eighths of the bits move to their places in a word of eight bytes
    let (mut low, high) = (u64::from(low), spread(high));
    low = (low | low << 16) & 0x0000_FFFF_0000_FFFF;
    low = (low | low << 8) & 0x00FF_00FF_00FF_00FF;
    low = (low | low << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    // less 32 in each byte, the top bit lent so that none borrows of the next
    let less = ((low | high << 4 | 0x8080_8080_8080_8080) - 0x2020_2020_2020_2020) ^ 0x8080_8080_8080_8080;
    less.to_le_bytes().map(u8::cast_signed)
}

impl Encode for Iq4Xs {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&UnevenSuperBlock::search(whole(weights), importance.map(whole)), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

impl InTurn<32> for Iq4Xs {
    type Scales = UnevenGrid;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> UnevenGrid {
        UnevenGrid::search(whole(targets), Some(whole(costs)))
    }

    #[inline(always)]
    fn write(scales: &UnevenGrid, levels: &[f32], block: &mut [u8]) {
        write(&scales.with(turns::in_subs(levels, turns::choices)), block);
    }
}

#[inline(always)]
fn write(found: &UnevenSuperBlock, block: &mut [u8]) {
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

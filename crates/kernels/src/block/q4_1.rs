//! Q4_1: 32 weights, x = d·q + m. Layout: d f16; m f16; halves as in Q4_0.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{pack_halves, whole, whole_mut, word};
use super::search::legacy;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q4_1;

impl Quants for Q4_1 {
    const TYPE: Type = Type::Q4_1;
    type Form = Of<1, 1, 15>;
    const ZERO: i32 = 0;
    const IN_REGISTERS_FROM: usize = 4;
    const WORDS: &'static [usize] = &[0];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 20] = whole(block);
        simd.store(simd.halves(whole(&block[4..])), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
        offsets[0] = simd.f16(word(block, 2));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        let both = unsafe { simd.each(blocks.add(first * 20 + 4), 20) };
        simd.down(both, [4 * half as u32; 4], 15)
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], offsets: &mut [S::Reals]) {
        let both = words[0];
        scales[0] = simd.halves_as_reals(both);
        offsets[0] = simd.halves_as_reals(simd.bits(both, 16, 0xFFFF));
    }
}

impl Encode for Q4_1 {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (d, m, q) = legacy::line(whole(weights), importance.map(whole), LEVELS);
        write(d, m, &q, block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

const LEVELS: f32 = 15.0;

#[inline(always)]
fn write(d: f16, m: f16, q: &[u8; 32], block: &mut [u8]) {
    block[..2].copy_from_slice(&d.to_le_bytes());
    block[2..4].copy_from_slice(&m.to_le_bytes());
    pack_halves(q, whole_mut(&mut block[4..]));
}

impl InTurn<32> for Q4_1 {
    type Scales = turns::Lined;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Lined {
        turns::Lined::search(whole(targets), whole(costs), LEVELS)
    }

    #[inline(always)]
    fn write(scales: &turns::Lined, levels: &[f32], block: &mut [u8]) {
        write(f16::from_f32(scales.d), f16::from_f32(scales.m), &turns::counts(levels), block);
    }
}

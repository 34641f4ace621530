//! Q4_0: 32 weights, x = d·(q − 8). Layout: d f16; 16 bytes, weight j in the low and weight j+16 in the high half of
//! byte j.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{pack_halves, whole, whole_mut, word};
use super::search::legacy;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q4_0;

impl Quants for Q4_0 {
    const TYPE: Type = Type::Q4_0;
    type Form = Of<1, 0, 15>;
    const ZERO: i32 = 8;
    const IN_REGISTERS_FROM: usize = 4;
    const WORDS: &'static [usize] = &[0];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 18] = whole(block);
        simd.store(simd.halves(whole(&block[2..])), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        let both = unsafe { simd.each(blocks.add(first * 18 + 2), 18) };
        simd.down(both, [4 * half as u32; 4], 15)
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales[0] = simd.halves_as_reals(words[0]);
    }
}

impl Encode for Q4_0 {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (d, q) = legacy::scaled(whole(weights), importance.map(whole), RANGE);
        write(d, &q, block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

const RANGE: (f32, f32) = (-8.0, 7.0);

#[inline(always)]
fn write(d: f16, q: &[i8; 32], block: &mut [u8]) {
    block[..2].copy_from_slice(&d.to_le_bytes());
    pack_halves(&q.map(|q| (q + 8) as u8), whole_mut(&mut block[2..]));
}

impl InTurn<32> for Q4_0 {
    type Scales = turns::Scaled;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Scaled {
        turns::Scaled::search(whole(targets), whole(costs), RANGE)
    }

    #[inline(always)]
    fn write(scales: &turns::Scaled, levels: &[f32], block: &mut [u8]) {
        write(f16::from_f32(scales.d), &turns::integers(levels), block);
    }
}

//! Q5_0: 32 weights, x = d·(q − 16). Layout: d f16; the fifth bits of all weights as a u32; low halves as in Q4_0.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{fifth_bits, pack_halves, whole, whole_mut, word};
use super::search::legacy;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q5_0;

impl Quants for Q5_0 {
    const TYPE: Type = Type::Q5_0;
    type Form = Of<1, 0, 31>;
    const ZERO: i32 = 16;
    const IN_REGISTERS_FROM: usize = usize::MAX;
    const WORDS: &'static [usize] = &[0];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 22] = whole(block);
        let fifth = simd.where_set(*whole(&block[2..6]), 16);
        simd.store(simd.or(simd.halves(whole(&block[6..])), fifth), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        let (both, fifth) = unsafe {
            let from = blocks.add(first * 22);
            (simd.each(from.add(6), 22), simd.each(from.add(2), 22))
        };
        simd.unite(simd.down(both, [4 * half as u32; 4], 15), simd.flags(fifth, 2 * half, 16))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales[0] = simd.halves_as_reals(words[0]);
    }
}

impl Encode for Q5_0 {
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

const RANGE: (f32, f32) = (-16.0, 15.0);

#[inline(always)]
fn write(d: f16, q: &[i8; 32], block: &mut [u8]) {
    let q = q.map(|q| (q + 16) as u8);
    block[..2].copy_from_slice(&d.to_le_bytes());
    block[2..6].copy_from_slice(&fifth_bits(&q));
    pack_halves(&q, whole_mut(&mut block[6..]));
}

impl InTurn<32> for Q5_0 {
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

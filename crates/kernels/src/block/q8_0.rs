//! Q8_0: 32 weights, x = d·q, written with q in −127..=127 (never −128, whose magnitude some kernels cannot hold).
//! Layout: d f16; 32 i8.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{whole, whole_mut, word};
use super::search::legacy;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q8_0;

impl Quants for Q8_0 {
    const TYPE: Type = Type::Q8_0;
    type Form = Of<1, 0, 255>;
    const ZERO: i32 = 128;
    const IN_REGISTERS_FROM: usize = 4;
    const WORDS: &'static [usize] = &[0];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 34] = whole(block);
        // an i8 plus 128
        simd.store(simd.xor(simd.load(whole(&block[2..])), simd.fill(0x80)), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        simd.flip(unsafe { simd.each(blocks.add(first * 34 + 2 + 16 * half), 34) }, 0x80)
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales[0] = simd.halves_as_reals(words[0]);
    }
}

impl Encode for Q8_0 {
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

const RANGE: (f32, f32) = (-127.0, 127.0);

#[inline(always)]
fn write(d: f16, q: &[i8; 32], block: &mut [u8]) {
    block[..2].copy_from_slice(&d.to_le_bytes());
    for (byte, q) in block[2..].iter_mut().zip(q) {
        *byte = *q as u8;
    }
}

impl InTurn<32> for Q8_0 {
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

//! IQ4_NL: 32 weights, four bits each that choose one of sixteen unevenly spaced values; x = d·value.
//! Layout: d f16; 16 bytes of choices, low halves first.

use bantam_format::ggml::Type;
use half::f16;

use super::bits::{pack_halves, whole, whole_mut, word};
use super::search::Weighed;
use super::search::lanes::{reciprocal, stored};
use super::search::turns::{self, InTurn};
use super::search::uneven::{self, VALUES, choice};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq4Nl;

/// The values plus 128.
pub(super) static QUANTS: [u8; 16] = {
    let mut quants = [0; 16];
    let mut i = 0;
    while i < 16 {
        quants[i] = (VALUES[i] as i16 + 128) as u8;
        i += 1;
    }
    quants
};

impl Quants for Iq4Nl {
    const TYPE: Type = Type::IQ4_NL;
    type Form = Of<1, 0, 241>;
    const ZERO: i32 = 128;
    const IN_REGISTERS_FROM: usize = 4;
    const WORDS: &'static [usize] = &[0];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 18] = whole(block);
        simd.store(choose(simd, whole(&block[2..])), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        // SAFETY: the caller's promise.
        let both = unsafe { simd.each(blocks.add(first * 18 + 2), 18) };
        simd.pick(simd.every(&QUANTS), simd.down(both, [4 * half as u32; 4], 15))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales[0] = simd.halves_as_reals(words[0]);
    }
}

/// 32 quants from 16 bytes of choices.
#[inline(always)]
pub(super) fn choose<S: Simd>(simd: S, choices: &[u8; 16]) -> S::Bytes {
    simd.choose(simd.join(&QUANTS, &QUANTS), simd.halves(choices))
}

impl Encode for Iq4Nl {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let weights: &[f32; 32] = whole(weights);
        let d = stored(uneven::scale(&Weighed::new(weights, importance.map(whole))));
        let inverse = reciprocal(d);
        write(d, &weights.map(|x| choice(x * inverse)), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

#[inline(always)]
fn write(d: f32, choices: &[u8; 32], block: &mut [u8]) {
    block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    pack_halves(choices, whole_mut(&mut block[2..]));
}

impl InTurn<32> for Iq4Nl {
    type Scales = turns::Uneven;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Uneven {
        turns::Uneven::search(whole(targets), whole(costs))
    }

    #[inline(always)]
    fn write(scales: &turns::Uneven, levels: &[f32], block: &mut [u8]) {
        write(scales.d, &turns::choices(levels), block);
    }
}

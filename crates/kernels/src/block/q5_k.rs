//! Q5_K: as Q4_K with 5-bit q. Layout: d; dmin; 12 bytes of scales and mins; 32 of fifth bits, bit j of byte l for
//! weight l of sub-block j; 128 of low halves.

use bantam_format::ggml::Type;

use super::bits::{each_run, long_half, pack_long_halves, whole, whole_mut};
use super::q4_k::{HEAD_WORDS, head_factors, unpack_head, write_head};
use super::search::affine::SuperBlock;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q5K;

impl Quants for Q5K {
    const TYPE: Type = Type::Q5_K;
    type Form = Of<1, 1, 31>;
    const ZERO: i32 = 0;
    const IN_REGISTERS_FROM: usize = usize::MAX;
    const WORDS: &'static [usize] = &HEAD_WORDS;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 176] = whole(block);
        let (low, fifth) = (whole(&block[48..]), simd.load(whole(&block[16..48])));
        each_run(simd, quants, |run| {
            let by = run as u32;
            let fifth = if by < 4 { simd.left(fifth, 4 - by, 16) } else { simd.right(fifth, by - 4, 16) };
            simd.or(long_half(simd, low, run), fifth)
        });
        unpack_head(simd, whole(&block[..16]), scales, offsets);
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let by = |lane: usize| 4 * ((first + lane) as u32 % 2);
        // SAFETY: the caller's promise.
        let low = unsafe { simd.pairs(blocks.add(48 + first / 2 * 32 + 16 * half), 32) };
        let fifth = |lane: usize| (first + lane) as u32;
        // SAFETY: as above.
        let bits = simd.every(unsafe { &*blocks.add(16 + 16 * half).cast() });
        let fifth = simd.down(bits, [fifth(0), fifth(1), fifth(2), fifth(3)], 1);
        simd.unite(simd.down(low, [by(0), by(1), by(2), by(3)], 15), simd.up(fifth, 4))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], offsets: &mut [S::Reals]) {
        head_factors(simd, words, scales, offsets);
    }
}

impl Encode for Q5K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&SuperBlock::search(whole(weights), importance.map(whole), LEVELS, STEPS), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

const LEVELS: f32 = 31.0;
const STEPS: f32 = 63.0;

#[inline(always)]
fn write(found: &SuperBlock<8, 32>, block: &mut [u8]) {
    write_head(found, block);
    for (l, byte) in block[16..48].iter_mut().enumerate() {
        *byte = (0..8).fold(0, |bits, j| bits | (found.q[j][l] >> 4) << j);
    }
    pack_long_halves(whole(found.q.as_flattened()), whole_mut(&mut block[48..]));
}

impl InTurn<32> for Q5K {
    type Scales = turns::Affine<8>;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Affine<8> {
        turns::Affine::search::<32>(whole(targets), whole(costs), LEVELS, STEPS)
    }

    #[inline(always)]
    fn write(scales: &turns::Affine<8>, levels: &[f32], block: &mut [u8]) {
        write(&scales.grid.with(turns::in_subs(levels, turns::counts)), block);
    }
}

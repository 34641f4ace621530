//! Q4_K: 8 sub-blocks of 32, 4-bit q, 6-bit scale and min; x = d·scale·q − dmin·min.
//! Layout: d; dmin; 12 bytes of scales and mins; 128 of q.

use bantam_format::ggml::Type;

use super::bits::{each_run, long_half, pack_long_halves, pack_six_bits, six_bits, whole, whole_mut, word};
use super::search::affine::SuperBlock;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q4K;

impl Quants for Q4K {
    const TYPE: Type = Type::Q4_K;
    type Form = Of<1, 1, 15>;
    const ZERO: i32 = 0;
    const IN_REGISTERS_FROM: usize = 2;
    const WORDS: &'static [usize] = &HEAD_WORDS;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 144] = whole(block);
        let low = whole(&block[16..]);
        each_run(simd, quants, |run| long_half(simd, low, run));
        unpack_head(simd, whole(&block[..16]), scales, offsets);
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let by = |lane: usize| 4 * ((first + lane) as u32 % 2);
        // SAFETY: the caller's promise.
        let low = unsafe { simd.pairs(blocks.add(16 + first / 2 * 32 + 16 * half), 32) };
        simd.down(low, [by(0), by(1), by(2), by(3)], 15)
    }

    #[inline(always)]
    unsafe fn dots<S: Lanes>(simd: S, blocks: *const u8, _: &[u8; 16], first: usize, x: [S::Wide; 2]) -> [S::Words; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(dots) = simd.nibbles::<Self::Form>(blocks.add(16 + first / 2 * 32), x) {
                return [dots; 2];
            }
            let w = [Self::lanes(simd, blocks, first, 0), Self::lanes(simd, blocks, first, 1)];
            [simd.dots::<Self::Form>(w, x); 2]
        }
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], offsets: &mut [S::Reals]) {
        head_factors(simd, words, scales, offsets);
    }
}

/// d·scale and −dmin·min of each sub-block.
#[inline(always)]
pub(super) fn unpack_head<S: Simd>(simd: S, head: &[u8; 16], scales: &mut [f32], offsets: &mut [f32]) {
    let (d, dmin) = (simd.f16(word(head, 0)), simd.f16(word(head, 2)));
    let (sub_scales, mins) = six_bits(whole(&head[4..]));
    scales.copy_from_slice(&simd.times(d, sub_scales));
    offsets.copy_from_slice(&simd.times(-dmin, mins));
}

/// Where the words of a head are.
pub(super) const HEAD_WORDS: [usize; 4] = [0, 4, 8, 12];

/// As `unpack_head`, of the heads of several rows.
#[inline(always)]
pub(super) fn head_factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], offsets: &mut [S::Reals]) {
    let [d, low_scales, low_mins, rest] = [words[0], words[1], words[2], words[3]];
    let dmin = simd.halves_as_reals(simd.bits(d, 16, 0xFFFF));
    let (d, dmin) = (simd.halves_as_reals(d), simd.product(dmin, simd.same(-1.0)));
    for j in 0..4 {
        let by = 8 * j as u32;
        let later_scale = simd.over(simd.bits(rest, by, 15), simd.bits(low_scales, by + 6, 3), 4);
        let later_min = simd.over(simd.bits(rest, by + 4, 15), simd.bits(low_mins, by + 6, 3), 4);
        scales[j] = simd.product(d, simd.real(simd.bits(low_scales, by, 63)));
        scales[j + 4] = simd.product(d, simd.real(later_scale));
        offsets[j] = simd.product(dmin, simd.real(simd.bits(low_mins, by, 63)));
        offsets[j + 4] = simd.product(dmin, simd.real(later_min));
    }
}

/// Writes what `unpack_head` reads.
#[inline(always)]
pub(super) fn write_head(found: &SuperBlock<8, 32>, head: &mut [u8]) {
    head[..2].copy_from_slice(&found.d.to_le_bytes());
    head[2..4].copy_from_slice(&found.dmin.to_le_bytes());
    head[4..16].copy_from_slice(&pack_six_bits(&found.scale, &found.min));
}

impl Encode for Q4K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&SuperBlock::search(whole(weights), importance.map(whole), LEVELS, STEPS), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 32>(weights, targets, feedback, block)
    }
}

const LEVELS: f32 = 15.0;
const STEPS: f32 = 63.0;

#[inline(always)]
fn write(found: &SuperBlock<8, 32>, block: &mut [u8]) {
    write_head(found, block);
    pack_long_halves(whole(found.q.as_flattened()), whole_mut(&mut block[16..]));
}

impl InTurn<32> for Q4K {
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

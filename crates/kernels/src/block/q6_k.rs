//! Q6_K: 16 sub-blocks of 16, q in −32..=31, scale an i8; x = d·scale·q.
//! Layout: 128 bytes with the lower four bits of q + 32; 64 with its upper two; 16 scales; d.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::search::symmetric::{Range, SuperBlock};
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q6K;

impl Quants for Q6K {
    const TYPE: Type = Type::Q6_K;
    type Form = Of<2, 0, 63>;
    const ZERO: i32 = 32;
    const IN_REGISTERS_FROM: usize = usize::MAX;
    const WORDS: &'static [usize] = &[192, 196, 200, 204, 206];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 210] = whole(block);
        each_run(simd, quants, |run| {
            let at = |at: usize| simd.load(whole(&block[at..at + 32]));
            let (half, run) = (run / 4, run % 4);
            let (low, high) = (at(64 * half + 32 * (run % 2)), at(128 + 32 * half));
            let by = 2 * run as u32;
            let high = if by < 4 { simd.left(high, 4 - by, 48) } else { simd.right(high, by - 4, 48) };
            simd.or(simd.right(low, 4 * (run as u32 / 2), 15), high)
        });
        let d = simd.f16(word(block, 208));
        for (scales, numbers) in scales.as_chunks_mut().0.iter_mut().zip(block[192..208].as_chunks().0) {
            *scales = simd.times(d, numbers.map(u8::cast_signed));
        }
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let (part, run) = (first / 4, first % 4);
        // SAFETY: the caller's promise.
        let (low, high) = unsafe {
            let low = blocks.add(64 * part + 32 * (run % 2) + 16 * half);
            (simd.in_turn(low, 32), simd.every(&*blocks.add(128 + 32 * part + 16 * half).cast()))
        };
        let run = |lane: usize| (run + lane) as u32 % 4;
        let by = |lane: usize| 4 * (run(lane) / 2);
        let high = simd.down(high, [2 * run(0), 2 * run(1), 2 * run(2), 2 * run(3)], 3);
        simd.unite(simd.down(low, [by(0), by(1), by(2), by(3)], 15), simd.up(high, 4))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        let d = simd.halves_as_reals(simd.bits(words[4], 16, 0xFFFF));
        for (four, word) in scales.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            let word = *word;
            for (at, scale) in (0..).zip(four) {
                *scale = simd.product(d, simd.real(simd.signed_byte(word, at)));
            }
        }
    }
}

impl Encode for Q6K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&SuperBlock::search(whole(weights), importance.map(whole), &RANGE), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 16>(weights, targets, feedback, block)
    }
}

const RANGE: Range = Range { q: (-32.0, 31.0), scale: (-128.0, 127.0) };

#[inline(always)]
fn write(found: &SuperBlock, block: &mut [u8]) {
    for (half, q) in found.q.as_flattened().as_chunks::<128>().0.iter().enumerate() {
        let q = |l: usize| (q[l] + 32) as u8;
        for l in 0..32 {
            block[64 * half + l] = q(l) & 15 | (q(l + 64) & 15) << 4;
            block[64 * half + 32 + l] = q(l + 32) & 15 | (q(l + 96) & 15) << 4;
            block[128 + 32 * half + l] = (0..4).fold(0, |bits, k| bits | (q(l + 32 * k) >> 4) << (2 * k));
        }
    }
    for (byte, scale) in block[192..208].iter_mut().zip(found.scale) {
        *byte = scale as u8;
    }
    block[208..].copy_from_slice(&found.d.to_le_bytes());
}

impl InTurn<16> for Q6K {
    type Scales = turns::Symmetric;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Symmetric {
        turns::Symmetric::search(whole(targets), whole(costs), &RANGE)
    }

    #[inline(always)]
    fn write(scales: &turns::Symmetric, levels: &[f32], block: &mut [u8]) {
        write(&scales.grid.with(turns::in_subs(levels, turns::integers)), block);
    }
}

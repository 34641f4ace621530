//! TQ2_0: 256 weights of two bits; x = d·(q − 1). Layout: 64 bytes of q; d f16.

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_quarters, quarter, whole, whole_mut, word};
use super::search::ternary;
use super::{Encode, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Tq2_0;

impl Quants for Tq2_0 {
    const TYPE: Type = Type::TQ2_0;
    type Form = Of<1, 0, 3>;
    const ZERO: i32 = 1;
    const IN_REGISTERS_FROM: usize = 2;
    const WORDS: &'static [usize] = &[62];

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 66] = whole(block);
        let q = whole(&block[..64]);
        each_run(simd, quants, |run| quarter(simd, q, run));
        scales.fill(simd.f16(word(block, 64)));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let by = |lane: usize| 2 * ((first + lane) as u32 % 4);
        // SAFETY: the caller's promise.
        let q = simd.every(unsafe { &*blocks.add(first / 4 * 32 + 16 * half).cast() });
        simd.down(q, [by(0), by(1), by(2), by(3)], 3)
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales.fill(simd.halves_as_reals(simd.bits(words[0], 16, 0xFFFF)));
    }
}

impl Encode for Tq2_0 {
    const IN_TURN: bool = false;

    /// As ggml does it, importance or not.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let (d, q): (_, [u8; 256]) = ternary::round(whole(weights));
        pack_quarters(&q, whole_mut(&mut block[..64]));
        block[64..].copy_from_slice(&d.to_le_bytes());
    }
}

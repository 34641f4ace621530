//! IQ1_M: 256 weights, each eight a run of IQ1_S's grid and the sign of an eighth, a scale of three bits for 16;
//! x = d·(2·scale + 1)·(value ± 1/8). Layout: 32 bytes with the low eight bits of the runs' numbers; 16 with a half for each
//! run, its high three bits and whether the eighth is taken off; four u16 with four scales each and, on top, four bits of d,
//! the lowest first.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::iq1_s::{GRID, PLACES, ZERO};
use super::search::Weighed;
use super::search::runs::{self, Found, Shape};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq1M;

impl Quants for Iq1M {
    const TYPE: Type = Type::IQ1_M;
    type Form = Of<2, 0, 24>;
    const ZERO: i32 = ZERO;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 56] = whole(block);
        each_run(simd, quants, |run| {
            let (low, high) = (&block[4 * run..4 * run + 4], usize::from(word(block, 32 + 2 * run)));
            let runs = std::array::from_fn(|eight| {
                let half = high >> (4 * eight);
                let added = if half & 8 == 0 { 0x0202_0202_0202_0202 } else { 0 };
                GRID[usize::from(low[eight]) | (half & 7) << 8] + added
            });
            simd.eights(runs)
        });
        let d = simd.f16(scale_bits(block)) * 0.125;
        for (four, scales) in scales.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let packed = word(block, 48 + 2 * four);
            *scales = std::array::from_fn(|i| d * f32::from((packed >> (3 * i) & 7) << 1 | 1));
        }
    }
}

/// The bits of d, an f16.
#[inline(always)]
fn scale_bits(block: &[u8; 56]) -> u16 {
    (0..4).fold(0, |bits, four| bits | word(block, 48 + 2 * four) >> 12 << (4 * four))
}

const SHAPE: Shape = Shape { unit: 0.125, last: 7.0, most: 9.0, shares: (0.35, 1.05), grids: 1, keeps_power: true };

impl Encode for Iq1M {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let Found { d, scale, run }: Found<32, 16> = runs::search(x, &w, &PLACES, &SHAPE);
        for (eight, run) in run.iter().enumerate() {
            block[eight] = *run as u8;
        }
        for (byte, runs) in block[32..48].iter_mut().zip(run.as_chunks::<2>().0) {
            // the bit above the number of a run in its grid says in which of the two it is
            *byte = ((runs[0] >> 8) | (runs[1] >> 8) << 4) as u8;
        }
        let words = block[48..].as_chunks_mut::<2>().0.iter_mut().zip(scale.as_chunks::<4>().0);
        for (part, (bytes, scale)) in words.enumerate() {
            let own = scale.iter().rev().fold(0, |bits, scale| bits << 3 | u16::from(*scale));
            *bytes = (own | (d.to_bits() >> (4 * part) & 15) << 12).to_le_bytes();
        }
    }
}

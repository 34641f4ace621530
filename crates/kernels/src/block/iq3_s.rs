//! IQ3_S: 256 weights, each four a run of a grid of 512, eight signs for eight, a scale of four bits for 32;
//! x = d·(2·scale + 1)·value. Layout: d f16; 64 bytes with the low eight bits of the runs' numbers; 8 with the ninth of each,
//! bit j for run j of 32 weights; 32 bytes of signs; 4 of scales, low halves first.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::search::Weighed;
use super::search::runs::{self, Found, Shape};
use super::signed::{above, pack_pairs, signed, with_signs};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq3S;

/// The values that the runs consist of.
pub(super) const VALUES: [u8; 8] = [1, 3, 5, 7, 9, 11, 13, 15];
const ZERO: u8 = 15;

static GRID: [u32; 512] = grids::fours(&grids::IQ3_S, above(ZERO, VALUES));

impl Quants for Iq3S {
    const TYPE: Type = Type::IQ3_S;
    type Form = Of<1, 0, 31>;
    const ZERO: i32 = ZERO as i32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 110] = whole(block);
        each_run(simd, quants, |run| {
            let (low, high) = (&block[2 + 8 * run..10 + 8 * run], usize::from(block[66 + run]));
            let four = |j: usize| u64::from(GRID[usize::from(low[j]) | (high >> j & 1) << 8]);
            let runs = std::array::from_fn(|eight| four(2 * eight) | four(2 * eight + 1) << 32);
            signed(simd, runs, *whole(&block[74 + 4 * run..78 + 4 * run]), ZERO)
        });
        let odd = |run: usize| (block[106 + run / 2] >> (4 * (run % 2)) & 15) << 1 | 1;
        scales
            .copy_from_slice(&simd.times(simd.f16(word(block, 0)), std::array::from_fn(|run| odd(run).cast_signed())));
    }
}

const SHAPE: Shape = Shape { unit: 1.0, last: 15.0, most: 15.0, shares: (0.7, 1.15), grids: 1, keeps_power: false };

static PLACES: [[f32; 512]; 4] = runs::places(&grids::wide(&GRID), ZERO as i32);

impl Encode for Iq3S {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let (x, signs) = with_signs(x);
        let Found { d, scale, run }: Found<64, 8> = runs::search(&x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (four, run) in run.iter().enumerate() {
            block[2 + four] = *run as u8;
        }
        for (byte, runs) in block[66..74].iter_mut().zip(run.as_chunks::<8>().0) {
            *byte = runs.iter().rev().fold(0, |bits, run| bits << 1 | (run >> 8) as u8);
        }
        block[74..106].copy_from_slice(&signs);
        pack_pairs(&scale, &mut block[106..]);
    }
}
